"""devdep-store, spoken to as devdep-job does and as a devdep-job that was taken over might."""
import io
import os
import socket
import struct
import subprocess
import tarfile
import threading

import pytest

from source_session import Refused, fields
from store_session import PROGRAM, VERSION, Client, shelves  # noqa: F401

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-store is not built")]


def start(shelves, *scopes, **more):
    return shelves.start(*scopes, cls=Client, **more)


def archive(*names, data=b"hello", **info):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in info.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data[:member.size]))
    return out.getvalue()


def test_artifacts_of_a_run_pass_from_one_job_to_another(shelves):
    data = archive("a", "sub/b")
    with start(shelves, job="build") as s:
        assert s.greeting["protocol"] == "1"
        put = s.put_artifact("dist", data)
        assert (put["name"], put["files"], put["content"]) == ("dist", "2", "10")
    with start(shelves, job="use") as s:
        assert s.ask("list-artifacts")["digest"] == put["digest"]
        assert s.get("get-artifact", put["id"]) == data
    (entry,) = shelves.entries(shelves.artifacts)
    assert (entry["run"], entry["job"]) == ("7", "build")


def test_a_branch_reads_the_default_branchs_caches_and_never_writes_them(shelves):
    with start(shelves, "refs/heads/main") as s:
        s.put_cache("npm-1", archive("a"))
    with start(shelves, "refs/pull/7/merge", "refs/heads/main") as s:
        assert s.find("npm-1") == "npm-1"
        assert s.put_cache("npm-1", archive("b"))["exists"] == "0"
        assert s.find("npm-1") == "npm-1"
    with start(shelves, "refs/heads/main") as s:
        number = s.ask("find-cache", ("key", "npm-1"), ("version", VERSION))["id"]
        assert s.get("get-cache", number) == archive("a")
    with start(shelves, "refs/heads/other") as s:
        assert s.find("npm-1") is None
    assert [x["scope"] for x in shelves.entries(shelves.caches)] == ["refs/heads/main", "refs/pull/7/merge"]


def test_a_cache_of_another_branch_is_not_had_by_its_id_either(shelves):
    with start(shelves, "refs/heads/secret") as s:
        number = s.put_cache("npm-1", archive("a"))["id"]
    with start(shelves, "refs/pull/7/merge", "refs/heads/main") as s:
        with pytest.raises(Refused) as refused:
            s.get("get-cache", number)
        assert (refused.value.code, str(refused.value)) == (2, f"there is no cache {number} any more")
    with start(shelves, "refs/pull/8/merge", "refs/heads/secret") as s:
        assert s.get("get-cache", number) == archive("a")


HOSTILE = {
    "dotdot": archive("../x"), "dotdot inside": archive("a/../../x"), "absolute": archive("/etc/passwd"),
    "device": archive("d", type=tarfile.CHRTYPE, size=0), "block device": archive("d", type=tarfile.BLKTYPE, size=0),
    "fifo": archive("f", type=tarfile.FIFOTYPE, size=0), "hard link": archive("h", type=tarfile.LNKTYPE, linkname="/etc/passwd", size=0),
    "symbolic link": archive("s", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), "folder": archive("d", type=tarfile.DIRTYPE, size=0),
    "huge": archive("a")[:124] + b"77777777777\0" + archive("a")[136:], "cut": archive("a")[:700], "nothing": b"", "zeros": bytes(10240),
    "garbage": os.urandom(4096), "behind the end": archive("a") + b"x" * 512,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_the_next_one_is_taken(shelves, kind):
    with start(shelves) as s:
        with pytest.raises(Refused) as refused:
            s.put_artifact("dist", HOSTILE[kind])
        assert refused.value.code == 2, refused.value
        assert s.put_artifact("dist", archive("a"))["exists"] == "0"
    assert len(shelves.entries(shelves.artifacts)) == 1


def test_an_archive_of_a_million_entries_is_refused_on_its_way(shelves):
    """500,000 may be in an artifact: what is refused is told when it is known, not when a gigabyte has come."""
    one = archive("a", data=b"")[:512]
    sent = 0
    with start(shelves) as s:
        s.ask("put-artifact", ("name", "dist"), ("days", 1), ("overwrite", 0))
        s.sock.setblocking(False)
        answer = b""
        pieces = iter([struct.pack(">I", 65536) + one * 128] * 7813)
        pending = b""
        while not answer:
            try:
                answer = s.sock.recv(4096)
            except BlockingIOError:
                pass
            pending = pending or next(pieces)
            try:
                n = s.sock.send(pending)
                sent += n
                pending = pending[n:]
            except BlockingIOError:
                pass
        s.sock.setblocking(True)
        assert b"more than 500000 entries" in answer
        assert sent < 600000 * 512
        s.sock.sendall(pending)
        s.end("error")
        assert s.ask("list-artifacts")["status"] == "ok"


@pytest.mark.parametrize("op,pairs", [
    ("put-artifact", [("name", "../x"), ("days", 1), ("overwrite", 0)]), ("put-artifact", [("name", ".."), ("days", 1), ("overwrite", 0)]),
    ("put-artifact", [("name", "a/b"), ("days", 1), ("overwrite", 0)]), ("put-artifact", [("name", "a\n"), ("days", 1), ("overwrite", 0)]),
    ("put-artifact", [("name", "x" * 256), ("days", 1), ("overwrite", 0)]), ("get-artifact", [("id", "../../etc/passwd")]),
    ("get-cache", [("id", "-1")]), ("put-cache", [("key", "a,b"), ("version", VERSION)]), ("put-cache", [("key", "a"), ("version", "../x")]),
    ("find-cache", [("version", VERSION)]), ("remove", [("id", 1)]), ("put-artifact", [("name", "a"), ("days", 401), ("overwrite", 0)]),
])
def test_a_request_that_names_anything_else_is_cut_off(shelves, op, pairs):
    with start(shelves) as s:
        with pytest.raises(Refused) as refused:
            s.ask(op, *pairs)
        assert refused.value.code == 303
        assert s.sock.recv(1) == b""


def test_garbage_is_cut_off(shelves):
    for data in (b"\xff" * 64, struct.pack(">I", 70000) + bytes(70000), fields(("op", "list-artifacts"))[:-1] + b"\xff" * 99):
        with start(shelves) as s:
            s.sock.sendall(data)
            s.sock.shutdown(socket.SHUT_WR)
        assert s.process.returncode != 0


def test_a_chunk_that_is_too_long_is_cut_off(shelves):
    with start(shelves) as s:
        s.ask("put-artifact", ("name", "dist"), ("days", 1), ("overwrite", 0))
        s.sock.sendall(struct.pack(">I", 65537))
        with pytest.raises(Refused) as refused:
            s.list()
        assert refused.value.code == 303


def test_a_client_that_stalls_in_the_middle_of_an_upload_holds_up_nobody(shelves):
    with start(shelves) as slow, start(shelves) as quick:
        slow.ask("put-artifact", ("name", "dist"), ("days", 1), ("overwrite", 0))
        slow.chunk(archive("a")[:512])
        assert quick.put_artifact("dist", archive("b"))["exists"] == "0"
        assert quick.put_artifact("other", archive("b"))["exists"] == "0"
        slow.chunk(archive("a")[512:])
        slow.end()
        assert slow.list()["exists"] == "1"
    assert [x["name"] for x in shelves.entries(shelves.artifacts)] == ["dist", "other"]


def test_of_many_who_put_one_key_at_once_one_wins(shelves):
    clients = [start(shelves) for _ in range(8)]
    answers = []
    barrier = threading.Barrier(len(clients))

    def put(i, client):
        client.ask("put-cache", ("key", "k"), ("version", VERSION))
        barrier.wait()
        answers.append((client.give(archive("a", data=b"%d" % i))["exists"], i))

    threads = [threading.Thread(target=put, args=x) for x in enumerate(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    winners = [i for exists, i in answers if exists == "0"]
    assert len(answers) == 8 and len(winners) == 1
    (entry,) = shelves.entries(shelves.caches)
    assert shelves.archive(shelves.caches, entry) == archive("a", data=b"%d" % winners[0])
    for c in clients:
        c.close()


def test_one_that_is_killed_in_an_upload_leaves_what_the_next_one_removes(shelves):
    s = start(shelves)
    s.put_artifact("old", archive("a"))
    s.ask("put-artifact", ("name", "dist"), ("days", 1), ("overwrite", 0))
    s.chunk(archive("b")[:1024])
    s.process.kill()
    s.close()
    assert len(list((shelves.artifacts / "incoming").iterdir())) == 1
    with start(shelves) as s:
        assert s.ask("list-artifacts")["name"] == "old"
        assert list((shelves.artifacts / "incoming").iterdir()) == []


def test_a_reader_that_never_reads_stops_its_own_devdep_store_alone(shelves):
    data = archive("a", data=bytes(20 << 20))
    with start(shelves) as slow, start(shelves) as quick:
        put = quick.put_artifact("dist", data)
        slow.sock.sendall(fields(("op", "get-artifact"), ("id", put["id"])))
        assert quick.get("get-artifact", put["id"]) == data
        status = open(f"/proc/{slow.process.pid}/status").read()
        assert int(status.split("VmRSS:")[1].split()[0]) < 32 << 10


@pytest.mark.as_used
def test_it_executes_nothing_and_opens_nothing_else(shelves):
    """After its filter: no exec, socket, clone, chmod, chown, link or symlink; files are opened beneath the two folders."""
    if subprocess.run(["which", "strace"], capture_output=True).returncode:
        pytest.skip("needs strace")
    with start(shelves) as s:
        tracer = subprocess.Popen(["strace", "-f", "-q", "-o", str(shelves.top / "trace"), "-p", str(s.process.pid)], stderr=subprocess.DEVNULL)
        while "TracerPid:\t0" in open(f"/proc/{s.process.pid}/status").read():
            assert tracer.poll() is None
        put = s.put_artifact("dist", archive("a"))
        s.put_cache("k", archive("a"))
        s.find("k")
        s.get("get-artifact", put["id"])
    tracer.wait(20)
    calls = {line.split("(")[0].split()[-1] for line in (shelves.top / "trace").read_text().splitlines() if "(" in line}
    assert not calls & {"execve", "execveat", "socket", "connect", "clone", "fork", "chmod", "fchmod", "fchmodat", "chown", "symlinkat", "linkat", "open"}, calls
    assert "renameat" in calls and "fsync" in calls and "flock" in calls


def test_a_broken_folder_is_told_in_the_greeting(shelves):
    (shelves.artifacts / "objects").symlink_to("/etc")
    s = shelves.start(cls=Client.__mro__[1])
    client = Client.__new__(Client)
    client.sock, client.process = s.sock, s.process
    with pytest.raises(Refused) as refused:
        client.list()
    assert refused.value.code == 304
    s.close()
    (shelves.artifacts / "objects").unlink()


def test_wrong_arguments_are_told():
    for args in ([], ["--artifacts"], ["--artifacts", "/x", "--run", "1", "--job", "a", "--caches", "/y"],
                 ["--artifacts", "/x", "--run", "1", "--job", "a", "--caches", "/y", "--scope", "main"], ["--wrong", "x"]):
        done = subprocess.run([PROGRAM, *args], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith("devdep: error 2 ERR_USAGE: "), done
