"""A session with devdep-store: its protocol (docs/protocol-store.md) in Python, without its jail; and its shelves."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile

import pytest
import sanitizer
from source_session import BUILD, Refused, fields

PROGRAM = BUILD / "devdep-store"
VERSION = "0123456789abcdef" * 4


class Shelves:
    """Two folders, as devdep-cli makes them."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="devdep-shelves.")
        self.top = pathlib.Path(self.folder.name)
        self.artifacts, self.caches = self.top / "artifacts", self.top / "caches"
        for path in (self.artifacts, self.caches):
            path.mkdir(mode=0o700)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def start(self, *scopes, run="7", job="build", cls=None):
        return (cls or Store)(self, scopes or ("refs/heads/main",), run, job)

    @staticmethod
    def entries(shelf):
        """Manifests, oldest first."""
        found = [json.loads(p.read_text()) for p in (shelf / "entries").glob("*.json")]
        return sorted(found, key=lambda x: x["id"])

    def archive(self, shelf, entry):
        return (shelf / "objects" / entry["digest"]).read_bytes()

    def is_clean(self):
        """Nothing half-made, and each archive has its manifest."""
        for shelf in (self.artifacts, self.caches):
            if not (shelf / "objects").is_dir():
                continue
            assert list((shelf / "incoming").iterdir()) == []
            assert {p.name for p in (shelf / "objects").iterdir()} == {x["digest"] for x in self.entries(shelf)}
        return True


@pytest.fixture
def shelves():
    """Of one test, which leaves nothing half-made."""
    with Shelves() as shelves:
        yield shelves
        assert shelves.is_clean()


class Store:
    """A running devdep-store; `sock` is the client's end. As a context manager it ends with the client."""

    become = staticmethod(list)  # whose process it is

    def __init__(self, shelves, scopes, run, job):
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(60)
        args = [PROGRAM, "--artifacts", shelves.artifacts, "--caches", shelves.caches, "--run", run, "--job", job]
        for scope in scopes:
            args += ["--scope", scope]
        fd = theirs.fileno()
        launch = ["/bin/bash", "-c", f'[ {fd} = 3 ] || exec 3<&{fd} {fd}<&-; exec "$@"', "bash"]
        self.process = subprocess.Popen(self.become(launch + [str(a) for a in args]), pass_fds=[fd], env={}, stderr=subprocess.PIPE)
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        self.process.wait(timeout=20)
        self.stderr = self.process.stderr.read().decode()
        self.process.stderr.close()
        sanitizer.assert_silent(self.stderr)


class Client(Store):
    """The test is the client."""

    def __init__(self, *args):
        super().__init__(*args)
        self.greeting = self.list()

    @classmethod
    def on(cls, sock):
        """On a socket that is there: the process is somebody else's."""
        self = cls.__new__(cls)
        self.sock = sock
        self.sock.settimeout(60)
        self.greeting = self.list()
        return self

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError(f"{n} bytes were expected, {len(data)} came")
            data += more
        return data

    def pairs(self):
        data, at, pairs = self.exactly(struct.unpack(">I", self.exactly(4))[0]), 0, []
        while at < len(data):
            (n,) = struct.unpack_from(">H", data, at)
            key = data[at + 2:at + 2 + n].decode()
            (m,) = struct.unpack_from(">I", data, at + 2 + n)
            at += 6 + n
            pairs.append((key, data[at:at + m].decode("utf-8", "surrogateescape")))
            at += m
        return pairs

    def list(self):
        values = dict(self.pairs())
        if values["status"] != "ok":
            raise Refused(int(values["code"]), values["message"])
        return values

    def ask(self, op, *pairs):
        self.sock.sendall(fields(("op", op), *pairs))
        return self.list()

    def chunk(self, data):
        self.sock.sendall(struct.pack(">I", len(data)) + data)

    def end(self, status="ok"):
        self.sock.sendall(struct.pack(">I", 0) + fields(("status", status)))

    def give(self, archive, status="ok"):
        for i in range(0, len(archive), 65536):
            self.chunk(archive[i:i + 65536])
        self.end(status)
        return self.list()

    def put_artifact(self, name, archive, days=1, overwrite=0):
        answer = self.ask("put-artifact", ("name", name), ("days", days), ("overwrite", overwrite))
        return answer if answer["exists"] == "1" else self.give(archive)

    def put_cache(self, key, archive, version=VERSION):
        answer = self.ask("put-cache", ("key", key), ("version", version))
        return answer if answer["exists"] == "1" else self.give(archive)

    def find(self, *keys, version=VERSION):
        return self.ask("find-cache", *[("key", k) for k in keys], ("version", version)).get("name")

    def get(self, op, number):
        self.ask(op, ("id", number))
        data = b""
        while size := struct.unpack(">I", self.exactly(4))[0]:
            data += self.exactly(size)
        self.list()
        return data
