"""devdep-service and its devdep-store, without their jails: the test is devdep-job. `Bridge` lets programs of this host connect to it."""
import contextlib
import fcntl
import os
import socket
import subprocess
import threading

import pytest
import sanitizer
import store_session
import yamux
from source_session import BUILD

PROGRAM = BUILD / "devdep-service"
NAME = "results.devdep.internal"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6cnVuOmpvYiJ9."


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def launch(argv, *sockets):
    """Start a program with these as its descriptors 3 and 4."""
    first, second = [fcntl.fcntl(s, fcntl.F_DUPFD, 100) for s in sockets]  # none of them is 3 or 4 itself
    move = f'exec 3<&{first} 4<&{second} {first}<&- {second}<&-; exec "$@"'
    process = subprocess.Popen(["/bin/bash", "-c", move, "bash", *map(str, argv)], pass_fds=[first, second], env={}, stderr=subprocess.PIPE)
    os.close(first)
    os.close(second)
    return process


class Service:
    """A running devdep-service with its shelves. As a context manager it ends with devdep-job."""

    def __init__(self, shelves, *scopes, run="7", job="build"):
        self.sock, theirs = yamux.socket_pair()
        self.store_sock, store_theirs = socket.socketpair()
        left, right = socket.socketpair()
        argv = ["--run", run, "--job", job, "--artifacts", shelves.artifacts, "--caches", shelves.caches, "--peer", 4]
        for scope in scopes or ("refs/heads/main",):
            argv += ["--scope", scope]
        self.store = launch([store_session.PROGRAM, *argv], store_theirs, left)
        self.process = launch([PROGRAM, *argv], theirs, right)
        for sock in (theirs, store_theirs, left, right):
            sock.close()
        self.session, self.opening = yamux.Session(self.sock), threading.Lock()
        self.masked, self.session.on_open = set(), self.answer  # masked: texts that the job masks

    def answer(self, stream):
        """devdep-job's side of a question."""
        question = dict(yamux.read_fields(stream))
        assert question["op"] == b"is-masked", question
        masked = question["text"].decode() in self.masked
        with contextlib.suppress(OSError, yamux.Closed):  # who asked may be gone
            stream.write(yamux.fields(status="error", code="masked", message="it holds a masked value") if masked else yamux.fields(status="ok"))
            stream.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The exit status, and what it said."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(2)
        self.stderr = self.process.communicate(timeout=60)[1].decode()
        self.store_sock.close()
        self.stderr += self.store.communicate(timeout=60)[1].decode()
        sanitizer.assert_silent(self.stderr)
        return self.process.returncode

    def connect(self, name=NAME, port=80, op="connect"):
        with self.opening:
            stream = self.session.open()
        stream.write(yamux.fields(op=op, id=1, name=name, port=port))
        answer = dict(yamux.read_fields(stream))
        if answer["status"] != b"ok":
            stream.close()
            raise Refused(answer.get("code", b"").decode(), answer["message"].decode())
        return stream

    def ask(self, request, stream=None):
        """(status, headers, body) of one request given as bytes."""
        if not stream:
            stream = self.connect()
            try:
                return self.ask(request, stream)
            finally:
                stream.close()
                stream.read_all()
        stream.write(request)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = stream.read(1)
            if not piece:
                raise EOFError(head)
            head += piece
        first, *lines = head.decode().split("\r\n")[:-2]
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0)) if not request.startswith(b"HEAD") else 0
        return int(first.split()[1]), headers, stream.read_exact(length) if length else b""


@pytest.fixture
def service(shelves):
    with Service(shelves) as service:
        yield service


class Bridge:
    """A port of this host; each connection is one of the guest's."""

    def __init__(self, service):
        self.service, self.listener = service, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(sock,), daemon=True).start()

    def carry(self, sock):
        stream = self.service.connect()

        def out():
            with contextlib.suppress(OSError, yamux.Closed, TimeoutError):
                while data := stream.read(1 << 16, 3600):
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
        threading.Thread(target=out, daemon=True).start()
        with contextlib.suppress(OSError, yamux.Closed, TimeoutError):
            while data := sock.recv(1 << 16):
                stream.write(data)
            stream.close()


def environment(bridge=None):
    """What a JavaScript action has in its environment."""
    return {"PATH": os.environ["PATH"], "ACTIONS_RESULTS_URL": f"http://{NAME}/", "ACTIONS_CACHE_SERVICE_V2": "true",
            "ACTIONS_RUNTIME_TOKEN": TOKEN, **({"TEST_PORT": str(bridge.port)} if bridge else {})}
