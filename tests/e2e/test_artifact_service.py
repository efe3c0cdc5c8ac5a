"""devdep-service: the artifact service that GitHub's own client speaks to, by that client and by a hostile guest."""
import hashlib
import json
import os
import subprocess

import pytest
import store_session
from github import node
from service_session import PROGRAM, Bridge, Service, environment
from test_cache_service import CLIENTS

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-service is not built")
needs_client = pytest.mark.skipif(not node() or not (CLIENTS / "node_modules/artifact-6").is_dir(),
                                  reason="node or the npm packages of tests/github-clients are missing: run tools/setup-interop")


@pytest.fixture
def shelves():
    with store_session.Shelves() as shelves:
        yield shelves


@pytest.fixture
def service(shelves):
    with Service(shelves) as service:
        yield service


class Failed(Exception):
    pass


class Client:
    """npm @actions/artifact, as it is published."""

    def __init__(self, service, package, folder):
        self.service, self.package, self.folder = service, package, folder

    def __call__(self, verb, *arguments, **options):
        with Bridge(self.service) as bridge:
            env = {**environment(bridge), "GITHUB_WORKSPACE": str(self.folder), "TEST_OPTIONS": json.dumps(options)}
            done = subprocess.run([node(), "--require", CLIENTS / "hook.cjs", CLIENTS / "artifact.mjs", self.package, verb, *map(str, arguments)],
                                  cwd=self.folder, env=env, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.out = done.stdout
        assert done.returncode == 0, done.stdout
        answer = json.loads(done.stdout.splitlines()[-1])
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["result"]

    def upload(self, name, files, **options):
        root = self.folder / "upload"
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        return self("upload", name, root, *(root / path for path in files), **options)

    def download(self, number, **options):
        """The files that come of it."""
        folder = self.folder / f"download-{number}"
        result = self("download", number, folder, **options)
        assert not result.get("digestMismatch"), result
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["artifact-2", "artifact-6"])
def client(request, service, tmp_path):
    return Client(service, request.param, tmp_path)


FILES = {"a.txt": b"hello\n", "folder/b.bin": os.urandom(300_000), "folder/deep/empty": b"", "Größe.txt": "schön".encode()}


@needs_client
def test_what_the_client_uploads_it_lists_downloads_and_deletes(client, shelves):
    sent = client.upload("dist", FILES)
    (listed,) = client("list")["artifacts"]
    assert (listed["name"], listed["id"]) == ("dist", sent["id"]) and listed["digest"].startswith("sha256:"), client.out
    assert client("get", "dist")["artifact"] == listed
    assert client.download(sent["id"], expectedHash=listed["digest"]) == FILES
    (entry,) = shelves.entries(shelves.artifacts)
    assert (entry["name"], entry["files"], entry["job"], entry["id"]) == ("dist", 4, "build", sent["id"])
    assert client("delete", "dist")["id"] == sent["id"]
    assert client("list")["artifacts"] == [] and shelves.entries(shelves.artifacts) == [] and shelves.is_clean()
