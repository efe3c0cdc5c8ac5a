"""http://results.devdep.internal in a real guest: an action that brings GitHub's own cache client, in every egress profile."""
import json
import shutil

import pytest
import runs
from test_cache_service import CLIENTS, needs_client

pytestmark = [pytest.mark.guest, pytest.mark.user]

ACTION = "name: Cached\ninputs: {verb: {required: true}, key: {required: true}}\noutputs: {result: {}}\nruns: {using: node20, main: main.js}\n"
MAIN = """\
const fs = require('fs');
require('cache-4')[process.env.INPUT_VERB]([process.env.GITHUB_WORKSPACE + '/data'], process.env.INPUT_KEY).then(result =>
    fs.appendFileSync(process.env.GITHUB_OUTPUT, `result=${result}\\n`)).catch(error => { console.log(error); process.exit(1); });
"""
WORKFLOW = """\
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - {id: missed, uses: ./.github/actions/cached, with: {verb: restoreCache, key: npm-1}}
      - run: mkdir data && echo kept > data/file
      - {id: saved, uses: ./.github/actions/cached, with: {verb: saveCache, key: npm-1}}
      - run: rm -r data
      - {id: found, uses: ./.github/actions/cached, with: {verb: restoreCache, key: npm-1}}
      - {id: shows, run: 'echo "${{ steps.missed.outputs.result }} ${{ steps.found.outputs.result }} $(cat data/file) [$ACTIONS_RESULTS_URL]"'}
"""
CURL = """\
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - {id: asks, run: 'curl -sS -o /dev/null -w "%{http_code}\\n" http://results.devdep.internal/entries/1'}
      - {id: other, run: 'curl -sS http://other.devdep.internal/ || echo refused'}
      - {id: tls, run: 'curl -sS https://results.devdep.internal/ || echo refused'}
"""


PROFILES = {"sealed": ["--egress", "sealed"], "brokered": ["--egress", "brokered", "--allow", "example.org"], "audit": ["--egress", "audit"]}


def put_client(repo):
    """The packages of the client as they are published, without what node does not read."""
    action = repo.path / ".github/actions/cached"
    action.mkdir(parents=True)
    (action / "action.yml").write_text(ACTION)
    (action / "main.js").write_text(MAIN)

    def skip(folder, names):
        return [n for n in names if n in ("cache-6", "dist-esm", "esm", "browser", "react-native", ".bin", "es") or n.endswith((".map", ".ts", ".md"))]
    shutil.copytree(CLIENTS / "node_modules", action / "node_modules", ignore=skip)


@pytest.fixture(scope="module")
def scene():
    scene = runs.Scene()
    yield scene
    scene.close()


def connections(job):
    return [x for x in job.events if x["type"] == "egress" and x["kind"] == "connect"]


@needs_client
def test_an_action_saves_and_restores_with_githubs_own_client_in_a_sealed_guest(scene):
    repo = scene.repo("sealed")
    put_client(repo)
    repo.workflow(WORKFLOW)
    repo.commit()
    run = scene.json(repo, "--no-profile", "--egress", "sealed")
    job = run["a"]
    assert job.conclusion == "success", job.steps
    assert job["shows"].lines == ["undefined npm-1 kept []"], [(s.log, s.annotations) for s in job.steps]
    assert connections(job) and all(x["name"] == "results.devdep.internal" and x["verdict"] == "allowed" and x["received"] > 0
                                    for x in connections(job)), connections(job)
    (row,) = json.loads(scene.cli("cache", "ls", "--json", "--dir", repo.path).out)
    assert (row["key"], row["scope"], row["files"]) == ("npm-1", "refs/heads/main", 1)


@pytest.mark.parametrize("egress", PROFILES)
def test_it_is_there_in_every_profile_and_nothing_else_below_its_domain(scene, egress):
    repo = scene.repo(egress)
    repo.workflow(CURL)
    repo.commit()
    job = scene.json(repo, "--no-profile", *PROFILES[egress])["a"]
    assert job["asks"].lines == ["404"] and job["other"].lines[-1] == "refused" and job["tls"].lines[-1] == "refused", job.steps
    assert job.conclusion == "success", job.steps
    found = {(x["name"], x["port"], x["verdict"]) for x in connections(job)}
    assert found == {("results.devdep.internal", 80, "allowed"), ("results.devdep.internal", 443, "unreachable"),
                     ("other.devdep.internal", 80, "unreachable")}, found
    assert "devdep.internal" not in scene.cli("egress", "suggest", "1").out
