"""The artifact service in a real guest: an action that brings GitHub's own client in a sealed one; the built-in actions and devdep-cli beside it."""
import json
import shutil

import pytest
import devdep
import runs
from test_artifact_service import needs_client
from test_cache_service import CLIENTS

pytestmark = [pytest.mark.guest, pytest.mark.user]

ACTION = "name: Artifacts\ninputs: {calls: {required: true}}\noutputs: {result: {}}\nruns: {using: node20, main: main.js}\n"
MAIN = """\
const fs = require('fs');
globalThis.crypto ??= require('crypto').webcrypto;  // node 20 has it
const path = require('path');
const {INPUT_CALLS: calls, GITHUB_WORKSPACE: top, GITHUB_OUTPUT: output} = process.env;
const names = folder => fs.readdirSync(folder, {recursive: true, withFileTypes: true}).filter(x => x.isFile()).map(x => path.join(x.path, x.name));
let client;
const verbs = {
    upload: async name => (await client.uploadArtifact(name, names(`${top}/${name}`), `${top}/${name}`)).id,
    list: async () => (await client.listArtifacts()).artifacts.map(x => x.name).sort().join('+'),
    download: async name => {
        const {artifact} = await client.getArtifact(name);
        const got = await client.downloadArtifact(artifact.id, {path: `${top}/got-${name}`, expectedHash: artifact.digest});
        return got.digestMismatch ? 'mismatch' : 'whole';
    },
    delete: async name => (await client.deleteArtifact(name)).id,
};
import('@PACKAGE@').then(async it => {
    client = new it.DefaultArtifactClient();
    const results = [];
    for (const [verb, name] of calls.split(' ').map(x => x.split(':')))
        results.push(await verbs[verb](name).catch(error => error.message.match(/409|masked/)?.[0] ?? error.message));
    fs.appendFileSync(output, `result=${results.join(' ').replace(/\\s+/g, ' ')}\\n`);
});
"""
CALLS = "uses: ./.github/actions/artifacts, with: {calls: '%s'}"
WORKFLOW = f"""\
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: mkdir -p theirs/deep ours gone && echo theirs > theirs/deep/file && head -c 3000000 /dev/urandom > theirs/large && echo ours > ours/file && touch gone/file
      - {{run: 'echo ::add-mask::gone-secret && cp -r gone gone-secret'}}
      - {{uses: actions/upload-artifact@v4, with: {{name: ours, path: ours}}}}
      - {{id: first, {CALLS % "upload:theirs upload:theirs upload:gone upload:gone-secret list delete:gone list download:ours"}}}
      - {{uses: actions/download-artifact@v4, with: {{name: theirs, path: built-in}}}}
      - {{run: 'cmp theirs/large built-in/large && cmp theirs/deep/file built-in/deep/file && cmp ours/file got-ours/file'}}
      - {{id: shows, run: 'echo "$WHAT"', env: {{WHAT: '${{{{ steps.first.outputs.result }}}}'}}}}
"""


def put_client(repo, package):
    """The packages of the client as they are published, without what node does not read."""
    action = repo.path / ".github/actions/artifacts"
    action.mkdir(parents=True)
    (action / "action.yml").write_text(ACTION)
    (action / "main.js").write_text(MAIN.replace("@PACKAGE@", package))
    packages = set()

    def add(name, beside):
        """A package and what it needs, found as node finds it."""
        folder = next((p for p in [beside / "node_modules" / name, *(x / "node_modules" / name for x in beside.parents)] if p.is_dir()), None)
        if not folder or folder in packages or name in ("typescript", "@bufbuild/protoplugin"):
            return
        packages.add(folder)
        for other in json.loads((folder / "package.json").read_text()).get("dependencies", {}):
            add(other, folder)
    add(package, CLIENTS)

    forms = ("dist-esm", "es") if package == "artifact-2" else ()  # what node does not take

    def skip(folder, names):
        return [n for n in names if n in ("node_modules", "browser", "react-native", "test", *forms) or n.endswith((".map", ".ts", ".md", ".cts", ".mts"))]
    for folder in sorted(packages):
        shutil.copytree(folder, action / folder.relative_to(CLIENTS), ignore=skip, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def scene():
    scene = runs.Scene()
    yield scene
    scene.close()


@needs_client
@pytest.mark.parametrize("package", ["artifact-2", "artifact-6"])
def test_an_action_uploads_lists_downloads_and_deletes_with_githubs_own_client_in_a_sealed_guest(scene, folder, package):
    repo = scene.repo(package)
    put_client(repo, package)
    repo.workflow(WORKFLOW)
    repo.commit()
    job = scene.json(repo, "--no-profile", "--egress", "sealed", timeout=900)["a"]
    assert job.conclusion == "success", "\n".join(map(repr, job.steps)) + str([s.outputs for s in job.steps])
    listed = json.loads(scene.cli("artifacts", "ls", "--json").out)
    listed = [x for x in listed if x["run"] == listed[0]["run"]]  # the newest run's
    theirs = next(x for x in listed if x["name"] == "theirs")
    number, taken, gone, masked, before, deleted, after, whole = job["shows"].log.split()
    assert (number, taken, masked, before, deleted, after, whole) == (str(theirs["id"]), "409", "masked", "gone+ours+theirs", gone, "ours+theirs", "whole"), job["shows"].log
    assert {x["name"]: x["files"] for x in listed} == {"theirs": 2, "ours": 1}
    record = json.loads((scene.folder / "state/runs" / theirs["run"] / "run.json").read_text())
    assert {(x["name"], x["digest"]) for x in record["artifacts"]} == {(x["name"], x["digest"]) for x in listed}
    devdep.give(folder)
    out = scene.cli("artifacts", "get", theirs["run"], "theirs", "--out", folder / "got")
    assert out.status == 0 and (folder / "got/deep/file").read_text() == "theirs\n" and (folder / "got/large").stat().st_size == 3_000_000, out
