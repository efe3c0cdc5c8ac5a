"""devdep-service: the artifact service that GitHub's own client speaks to, by that client and by a hostile guest."""
import hashlib
import io
import json
import os
import re
import socket
import struct
import subprocess
import tarfile
import threading
import zipfile

import pytest
import store_session
from github import node
from service_session import PROGRAM, Bridge, Service, environment, launch, service  # noqa: F401
from store_session import shelves  # noqa: F401
from test_cache_service import CLIENTS, request, target
from test_cli_artifacts import archive

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-service is not built")]
needs_client = pytest.mark.skipif(not node() or not (CLIENTS / "node_modules/artifact-6").is_dir(),
                                  reason="node or the npm packages of tests/github-clients are missing: run tools/setup-interop")


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


@needs_client
def test_a_file_without_an_archive_is_the_same_file_with_one_digest(service, shelves, tmp_path):
    client = Client(service, "artifact-6", tmp_path)
    for name, content in (("report.html", b"<p>" + os.urandom(100_000)), ("empty.txt", b"")):
        sent = client.upload("not used", {name: content}, skipArchive=True)
        listed = client("get", name)["artifact"]
        assert listed["digest"] == f"sha256:{sent['digest']}" == f"sha256:{hashlib.sha256(content).hexdigest()}", (sent, listed)
        assert client.download(sent["id"], expectedHash=listed["digest"]) == {name: content}
        assert client.download(sent["id"], skipDecompress=True) == {name: content}
    assert [(x["name"], x["type"], x["files"]) for x in shelves.entries(shelves.artifacts)] == [
        ("report.html", "text/html", 1), ("empty.txt", "text/plain", 1)]


@needs_client
def test_a_large_artifact_of_many_files_comes_in_blocks(client, shelves):
    """Blocks of 8 MiB, several at once."""
    files = {f"f{i % 40}/{i}": b"%d" % i for i in range(2000)} | {"large": os.urandom(1 << 20) * 45}
    sent = client.upload("large", files, retentionDays=3)
    assert client.download(sent["id"]) == files
    (entry,) = shelves.entries(shelves.artifacts)
    assert entry["files"] == 2001 and round((entry["expires_ms"] - entry["created_ms"]) / 86_400_000) == 3 and shelves.is_clean()


@needs_client
def test_a_name_is_given_once_and_again_after_it_was_deleted(client, shelves):
    client.upload("dist", {"a": b"1"})
    with pytest.raises(Failed, match=r"\(409\) Conflict: an artifact with this name already exists on the workflow run"):
        client.upload("dist", {"a": b"2"})
    client("delete", "dist")
    sent = client.upload("dist", {"a": b"2"})
    assert client.download(sent["id"]) == {"a": b"2"} and len(shelves.entries(shelves.artifacts)) == 1


@needs_client
def test_what_is_not_there_is_told(client):
    for verb, *arguments in (("get", "none"), ("delete", "none"), ("download", 5, "x")):
        with pytest.raises(Failed, match="not found|No artifacts found"):
            client(verb, *arguments)
    assert client("list")["artifacts"] == []


@needs_client
def test_the_client_reads_what_the_built_in_action_has_uploaded(client, shelves):
    files = {"a": b"1", "folder/b": os.urandom(70_000), "x" * 120 + "/" + "y" * 120: b"long"}
    with shelves.start(cls=store_session.Client) as store:
        store.put_artifact("theirs", archive(files))
    (listed,) = client("list")["artifacts"]
    assert client.download(listed["id"], expectedHash=listed["digest"]) == files
    with shelves.start(cls=store_session.Client) as store:
        client.upload("mine", files)
        number = next(x["id"] for x in shelves.entries(shelves.artifacts) if x["name"] == "mine")
        with tarfile.open(fileobj=io.BytesIO(store.get("get-artifact", number))) as tar:
            assert {x.name: tar.extractfile(x).read() for x in tar} == files


# ---- requests


def call(service, method, status=200, **message):
    message = {"workflow_run_backend_id": "run", "workflow_job_run_backend_id": "job", **message}
    got, _, body = service.ask(request("POST", f"/twirp/github.actions.results.api.v1.ArtifactService/{method}", json.dumps(message).encode()))
    assert got == status, body
    return json.loads(body)


def create(service, name="dist", **more):
    return target(call(service, "CreateArtifact", name=name, version=7, **more)["signed_upload_url"])


def finalize(service, content, name="dist", status=200, **more):
    return call(service, "FinalizeArtifact", status, name=name, **{"size": str(len(content)), **more})


def upload(service, content, name="dist", status=200, **more):
    assert service.ask(request("PUT", create(service, name, **more), content))[0] == 201
    return finalize(service, content, name, status)


def download(service, name="dist"):
    return service.ask(request("GET", target(call(service, "GetSignedArtifactURL", name=name)["signed_url"])))


def zipped(files, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


def unzipped(data):
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert z.testzip() is None
        return {x.filename: z.read(x) for x in z.infolist()}


def test_a_zip_is_made_anew_and_is_the_same_each_time(service):
    files = {"a": b"1" * 100, "b/c": os.urandom(200_000), "b/empty": b"", "naïve": b"x", "\\odd": b"x"}
    upload(service, zipped(files | {"folder/": b""}))
    status, headers, body = download(service)
    assert (status, headers["content-type"]) == (200, "application/zip") and headers["content-disposition"].endswith("UTF-8''dist.zip")
    (row,) = call(service, "ListArtifacts")["artifacts"]
    assert row["size"] == str(len(body)) and row["digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert unzipped(body) == files and download(service)[2] == body
    assert service.ask(request("HEAD", "/artifacts/" + row["database_id"]))[1]["content-length"] == row["size"]


def test_lists_are_filtered_by_name_or_number(service):
    for name in ("one", "two"):
        upload(service, zipped({"a": b"1"}), name)
    rows = call(service, "ListArtifacts")["artifacts"]
    assert [x["name"] for x in rows] == ["two", "one"]
    assert [x["name"] for x in call(service, "ListArtifacts", name_filter="one")["artifacts"]] == ["one"]
    assert [x["name"] for x in call(service, "ListArtifacts", id_filter=rows[0]["database_id"])["artifacts"]] == ["two"]
    assert call(service, "ListArtifacts", name_filter="three")["artifacts"] == []


def test_a_raw_file_is_read_in_ranges_under_its_own_type(service):
    upload(service, b"0123456789", "größe.txt", mime_type="text/plain")
    url = target(call(service, "GetSignedArtifactURL", name="größe.txt")["signed_url"])
    status, headers, body = service.ask(request("GET", url, Range="bytes=2-4"))
    assert (status, body, headers["content-type"]) == (206, b"234", "text/plain")
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a\\b", 'a"b', "a:b", "a<b", "a>b", "a|b", "a*b", "a?b", "a\rb", "a\nb", "a\x1bb", "x" * 256])
def test_what_is_no_name_is_no_artifact(service, shelves, name):
    answer = call(service, "CreateArtifact", 400, name=name, version=7)
    assert answer["code"] == "invalid_argument" and shelves.is_clean()


def test_a_name_that_the_job_masks_is_no_artifact_and_no_cache(service, shelves):
    service.masked.add("s3cret")
    assert call(service, "CreateArtifact", 400, name="s3cret", version=7)["msg"] == "the name holds a masked value"
    status, _, body = service.ask(request("POST", "/twirp/github.actions.results.api.v1.CacheService/CreateCacheEntry",
                                          json.dumps({"key": "s3cret", "version": store_session.VERSION}).encode()))
    assert (status, json.loads(body)["code"]) == (400, "invalid_argument")
    stream = service.connect()
    service.ask(request("POST", "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact", b'{"name": "s3cret"}'), stream)
    assert create(service, "dist") and service.ask(request("GET", "/x"), stream)[0] == 404


def test_a_job_that_does_not_say_whether_it_masks_a_name_gets_no_artifact(service):
    service.session.on_open = lambda stream: stream.abort()
    assert call(service, "CreateArtifact", 507, name="dist", version=7)["code"] == "resource_exhausted"
    assert call(service, "ListArtifacts") == {"artifacts": []}


def test_connections_that_end_while_the_job_is_asked_leave_nothing(service):
    asked, go = threading.Semaphore(0), threading.Event()

    def answer(stream):
        asked.release()
        go.wait()
        Service.answer(service, stream)
    service.session.on_open = answer
    body = json.dumps({"workflow_run_backend_id": "run", "name": "dist"}).encode()
    streams = [service.connect() for _ in range(20)]
    for stream in streams:
        stream.write(request("POST", "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact", body))
    for _ in streams:
        asked.acquire()
    for stream in streams[:10]:
        stream.abort()
    go.set()
    for stream in streams[10:]:
        assert stream.read_exact(15) == b"HTTP/1.1 200 OK"
    assert call(service, "ListArtifacts") == {"artifacts": []}


@pytest.mark.parametrize("more", [{"mime_type": "html"}, {"mime_type": "a/b\r\nX: y"}, {"mime_type": "a/" + "b" * 200}, {"mime_type": 1},
                                  {"expires_at": "tomorrow"}, {"expires_at": "2026-13-01T00:00:00Z"}, {"workflow_run_backend_id": "8"}, {"name": None}])
def test_what_is_no_request_is_told(service, more):
    assert call(service, "CreateArtifact", 400, **{"name": "dist", "version": 7, **more})["code"] == "invalid_argument"


def test_other_runs_are_out_of_reach(service, shelves):
    upload(service, zipped({"a": b"1"}))
    for method, more in (("ListArtifacts", {}), ("GetSignedArtifactURL", {"name": "dist"}), ("DeleteArtifact", {"name": "dist"}), ("FinalizeArtifact", {"name": "dist"})):
        assert "own run" in call(service, method, 400, workflow_run_backend_id="6", **more)["msg"]
    assert len(shelves.entries(shelves.artifacts)) == 1


def test_a_number_counts_once_it_was_told(service, shelves):
    upload(service, zipped({"a": b"1"}))
    number = shelves.entries(shelves.artifacts)[0]["id"]
    assert service.ask(request("GET", f"/artifacts/{number}"))[0] == 404
    call(service, "ListArtifacts")
    assert service.ask(request("GET", f"/artifacts/{number}"))[0] == 200
    assert [service.ask(request("GET", f"/artifacts/{x}"))[0] for x in ("", "0", "x", number + 1, "-1", "1" * 30)] == [400, 400, 400, 404, 400, 400]


def test_a_second_upload_of_a_name_that_is_not_finished_takes_its_place(service, shelves):
    first, second = create(service), create(service)
    assert [service.ask(request("PUT", url, zipped({"a": b"1"})))[0] for url in (first, second)] == [404, 201]
    assert finalize(service, zipped({"a": b"1"}))["ok"] and shelves.is_clean()


def test_of_two_jobs_of_a_run_the_first_has_the_name(service, shelves):
    data = zipped({"a": b"1"})
    with Service(shelves, job="other") as other:
        for s in (service, other):
            s.ask(request("PUT", create(s), data))
        assert finalize(other, data)["ok"]
        assert finalize(service, data, status=409)["code"] == "already_exists"
        assert [x["job"] for x in shelves.entries(shelves.artifacts)] == ["other"] and shelves.is_clean()
        assert call(service, "DeleteArtifact", name="dist")["ok"] and shelves.entries(shelves.artifacts) == []


def test_an_upload_that_is_not_what_was_announced_is_no_artifact(service, shelves):
    data = zipped({"a": b"1"})
    for more, told in (({"size": str(len(data) + 1)}, "were announced"), ({"hash": "sha256:" + "0" * 64}, "its SHA-256 is"), ({"hash": "md5:0"}, "hash: expected")):
        service.ask(request("PUT", create(service), data))
        assert told in finalize(service, data, status=400, **more)["msg"]
    create(service)
    assert "0 bytes came" in finalize(service, data, status=400)["msg"]
    assert finalize(service, data, status=404)["code"] == "not_found"
    digest = hashlib.sha256(data).hexdigest()
    service.ask(request("PUT", create(service), data))
    assert finalize(service, data, hash=f"sha256:{digest}")["ok"] and shelves.is_clean()


def test_what_rotted_on_the_disk_is_not_listed(service, shelves):
    upload(service, zipped({"a": b"whole"}))
    (path,) = (shelves.artifacts / "objects").iterdir()
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"whole", b"WHOLE"))
    assert call(service, "ListArtifacts") == {"artifacts": []} and call(service, "GetSignedArtifactURL", 404, name="dist")["code"] == "not_found"


def test_the_service_goes_on_without_its_store(service, shelves):
    upload(service, zipped({"a": b"1"}))
    service.store.kill()
    service.store.wait()
    assert "devdep-store has ended" in upload(service, zipped({"a": b"1"}), "more", 507)["msg"]
    assert "devdep-store has ended" in call(service, "DeleteArtifact", 507, name="dist")["msg"]
    assert unzipped(download(service)[2]) == {"a": b"1"}


# ---- zips that lie


def patched(data, magic, at, value, which=0):
    """The record of that magic, with these bytes in it."""
    place = -1
    for _ in range(which + 1):
        place = data.index(magic, place + 1)
    return data[:place + at] + value + data[place + at + len(value):]


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
GOOD = zipped({"one": b"1" * 1000, "two": b"2" * 1000})
STORED = zipped({"one": b"1" * 100, "two": b"2" * 100}, zipfile.ZIP_STORED)


def u16(x):
    return struct.pack("<H", x)


def u32(x):
    return struct.pack("<I", x)


def special(mode):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("entry")
        info.create_system, info.external_attr = 3, mode << 16
        z.writestr(info, "/etc/passwd")
    return out.getvalue()


def renamed(name):
    return zipped({"n" * len(name): b"1"}).replace(b"n" * len(name), name)


def twice():
    return zipped({"one": b"1", "two": b"2"}).replace(b"two", b"one")


def overlapping():
    """A small zip whose two files are one and the same piece: many of them would be a bomb."""
    data = zipped({"one": b"0" * 3_000_000, "two": b"0" * 3_000_000})
    first = struct.unpack_from("<I", data, data.index(CENTRAL) + 42)[0]
    return patched(data, CENTRAL, 42, u32(first), 1)


def boast(size):
    """Twelve files, each of which says that it has so many bytes."""
    data = zipped({f"f{i}": b"0" * 1000 for i in range(12)})
    for i in range(12):
        data = patched(patched(data, CENTRAL, 24, u32(size), i), LOCAL, 22, u32(size), i)
    return data


LIES = {
    "not a zip": (b"hello", "no zip archive"),
    "nothing": (b"", "no zip archive"),
    "truncated": (GOOD[:-1], "no zip archive"),
    "its first half": (GOOD[:len(GOOD) // 2], "no zip archive"),
    "bytes before it": (b"x" + GOOD, "directory is not where"),
    "bytes behind it": (GOOD + b"x", "no zip archive"),
    "no file": (zipped({}), "without a file"),
    "folders alone": (zipped({"a/": b""}), "without a file"),
    "another sum": (patched(patched(GOOD, CENTRAL, 16, u32(1)), LOCAL, 14, u32(1)), "its sum is another"),
    "damaged data": (STORED.replace(b"2" * 100, b"3" * 100), "its sum is another"),
    "another sum in its place": (patched(GOOD, LOCAL, 14, u32(1)), "something else in the directory"),
    "another size in its place": (patched(GOOD, LOCAL, 22, u32(1)), "something else in the directory"),
    "another name in its place": (GOOD[:30] + b"ONE" + GOOD[33:], "something else in the directory"),
    "another method in its place": (patched(GOOD, LOCAL, 8, u16(0)), "something else in the directory"),
    "more data than it says": (patched(patched(GOOD, CENTRAL, 24, u32(999)), LOCAL, 22, u32(999)), "more data than it says"),
    "less data than it says": (patched(patched(GOOD, CENTRAL, 24, u32(1001)), LOCAL, 22, u32(1001)), "less data than it says"),
    "cut in the middle of its data": (patched(patched(GOOD, CENTRAL, 20, u32(5)), LOCAL, 18, u32(5)), "does not inflate"),
    "two sizes of a stored file": (patched(STORED, CENTRAL, 24, u32(99)), "two sizes"),
    "overlapping entries": (overlapping(), "overlaps"),
    "a place that is none": (patched(GOOD, CENTRAL, 42, u32(1)), "not where the directory says"),
    "a place behind the directory": (patched(GOOD, CENTRAL, 42, u32(len(GOOD) - 10), 1), "behind the directory"),
    "data that reach into the directory": (patched(patched(STORED, CENTRAL, 20, u32(150) * 2, 1), LOCAL, 18, u32(150) * 2, 1), "overlaps"),
    "more entries than it says": (patched(GOOD, END, 8, u16(1) * 2), "more entries"),
    "fewer entries than it says": (patched(GOOD, END, 8, u16(3) * 2), "its directory"),
    "very many entries": (patched(GOOD, END, 8, u16(0xfffe) * 2), "fewer entries"),
    "several parts": (patched(GOOD, END, 4, u16(1)), "one part of several"),
    "encrypted": (patched(patched(GOOD, CENTRAL, 8, u16(1)), LOCAL, 6, u16(1)), "encrypted"),
    "another method": (zipped({"one": b"1" * 100}, zipfile.ZIP_BZIP2), "compressed in a way"),
    "files that are too large": (patched(zipped({"a": b"1"}), CENTRAL, 24, u32(0xfffffffe)), "two sizes|something else|less data"),
    "files that are too large together": (boast(0xfffffff0), "more than 10240 MiB"),
    "a link": (special(0o120777), "neither a file nor a folder"),
    "a device": (special(0o060666), "neither a file nor a folder"),
    "a pipe": (special(0o010666), "neither a file nor a folder"),
    "a socket": (special(0o140666), "neither a file nor a folder"),
    "a name that leads out": (renamed(b"../x"), "'.' or '..'"),
    "a name that leads out midway": (renamed(b"a/../../x"), "'.' or '..'"),
    "an absolute name": (renamed(b"/etc/x"), "absolute"),
    "a name with an empty part": (renamed(b"a//b"), "empty part"),
    "a name with a dot": (renamed(b"./b"), "'.' or '..'"),
    "a name with a NUL": (renamed(b"a\0b"), "NUL"),
    "a name with a control character": (renamed(b"a\x1bb"), "control character"),
    "a name below too many folders": (zipped({"a/" * 65 + "x": b"1"}), "64 folders"),
    "a name twice": (twice(), "twice"),
    "a name as file and folder": (zipped({"a": b"1", "a-b": b"1", "a/b": b"1"}), "as a file and as a folder"),
    "a very long name": (zipped({"a" * 5000: b"1"}), "too long"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_zip_that_lies_is_refused_and_leaves_nothing(service, shelves, lie):
    data, told = LIES[lie]
    answer = upload(service, data, status=400)
    assert re.search(told, answer["msg"]) and answer["code"] == "invalid_argument", answer
    assert shelves.entries(shelves.artifacts) == [] and shelves.is_clean()
    assert upload(service, GOOD)["ok"] and unzipped(download(service)[2]) == {"one": b"1" * 1000, "two": b"2" * 1000}


def test_zips_of_other_makers_are_taken(service, tmp_path):
    """A comment, 64-bit forms, sizes behind the data, case twins, another order of the directory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.comment = b"a comment with PK\5\6 in it"
        with z.open("wide", "w", force_zip64=True) as f:
            f.write(b"w" * 1000)
        z.writestr("README", b"1")
        z.writestr("readme", b"2")
    upload(service, out.getvalue(), "one")
    assert unzipped(download(service, "one")[2]) == {"wide": b"w" * 1000, "README": b"1", "readme": b"2"}

    class Pipe(io.RawIOBase):  # cannot seek: sizes come behind the data
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a", b"1" * 500)
        z.writestr("b", b"2" * 500)
    upload(service, pipe.data, "two")
    assert unzipped(download(service, "two")[2]) == {"a": b"1" * 500, "b": b"2" * 500}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a", b"1")
        z.writestr("b", b"2")
        z.filelist.reverse()
    upload(service, out.getvalue(), "three")
    assert unzipped(download(service, "three")[2]) == {"a": b"1", "b": b"2"}


# ---- a hostile guest, and a hostile devdep-service


def test_uploads_that_are_given_up_leave_nothing(service, shelves):
    url, stream = create(service), service.connect()
    stream.write(f"PUT {url} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 1000)
    stream.abort()
    for i in range(9):
        create(service, f"n{i}")
    assert service.ask(request("PUT", url, b"x"))[0] == 404
    assert service.close() == 0 and shelves.is_clean() and shelves.entries(shelves.artifacts) == []


def test_a_run_has_so_many_artifacts(service, shelves):
    upload(service, GOOD)
    (shelf,) = [p for p in (shelves.artifacts / "entries").iterdir()]
    row = json.loads(shelf.read_text())
    for i in range(499):
        row.update(id=i + 1, name=f"n{i}")
        (shelf.parent / f"{i + 1}.json").write_text(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n")
    assert "500 artifacts" in upload(service, GOOD, "more", 400)["msg"]
    assert len(call(service, "ListArtifacts")["artifacts"]) == 500


def test_downloads_that_nobody_reads_are_bounded(service):
    upload(service, zipped({"large": os.urandom(4_000_000)}))
    url = target(call(service, "GetSignedArtifactURL", name="dist")["signed_url"])
    streams = [service.connect() for _ in range(16)]
    for stream in streams:
        stream.write(request("GET", url))
        assert stream.read_exact(15) == b"HTTP/1.1 200 OK"
    assert service.ask(request("GET", url))[0] == 503 and service.ask(request("HEAD", url))[0] == 200
    streams.pop().abort()
    assert service.ask(request("GET", url))[0] == 200
    for stream in streams:
        stream.abort()


def test_devdep_service_may_add_and_delete_and_nothing_else(shelves):
    """What a devdep-service that was taken over can ask of devdep-store."""
    mine, theirs = socket.socketpair()
    left, right = socket.socketpair()
    process = launch([store_session.PROGRAM, "--run", 7, "--job", "build", "--artifacts", shelves.artifacts, "--caches", shelves.caches,
                      "--scope", "refs/heads/main", "--peer", 4], theirs, right)
    for sock in (theirs, right):
        sock.close()
    job, service = store_session.Client.on(mine), store_session.Client.on(left)
    number = int(service.put_artifact("dist", archive({"a": b"1"}))["id"])
    assert service.put_artifact("dist", archive({"a": b"2"}))["exists"] == "1"
    with pytest.raises(store_session.Refused, match="no artifact"):
        service.ask("delete-artifact", ("id", 5))
    service.ask("delete-artifact", ("id", number))
    with pytest.raises(store_session.Refused) as refused:
        service.put_cache("key", archive({"a": b"1"}))
    assert refused.value.code == 303
    with pytest.raises((EOFError, OSError)):
        service.put_artifact("more", archive({"a": b"1"}))
    job.put_artifact("dist", archive({"a": b"1"}))
    with pytest.raises(store_session.Refused) as refused:
        job.ask("delete-artifact", ("id", number))
    assert refused.value.code == 303 and [x["name"] for x in shelves.entries(shelves.artifacts)] == ["dist"]
    mine.close()
    process.communicate(timeout=20)
