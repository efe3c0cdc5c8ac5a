"""devdep-secrets by itself: the test is devdep-job, and devdep-cli."""
import ctypes
import fcntl
import mmap
import os
import socket
import struct
import subprocess

import sanitizer
import yamux
from fake_guest import BUILD
from fake_secrets import F_ADD_SEALS, FUTURE_WRITE, GROW, SEAL, SHRINK

ALL_SEALS = 0xF
SIZE = 4 << 20
TIMEOUT = 120
VAULT = {"address": None, "namespace": "", "ca": "", "auth": "token", "mount": "token", "role": ""}


def memory(data, seals):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def secret(name, reference="", version=0, rotate=False, where=None, provider="vault"):
    return [("name", name), ("provider", provider), ("reference", reference), ("version", version), ("where", where or f"devdep.yaml:7:3"),
            ("rotate", int(rotate))]


def order(*secrets, networks=(), **vault):
    pairs = [("order", 1)]
    if vault:
        pairs += [(f"vault.{key}", value) for key, value in {**VAULT, **vault}.items()]
        pairs += [("vault.network", n) for n in networks]
    return yamux.fields(*pairs, *[pair for s in secrets for pair in s])


def credentials(pairs):
    return b"".join(struct.pack(">I", len(p)) + p for pair in pairs.items() for p in [v.encode() for v in pair]) or b"\0"


class Service:
    """One devdep-secrets with an order, in a world's host or in the test's own network."""

    def __init__(self, order, world=None, check=False, wrap=(), **given):
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(TIMEOUT)
        self.values = os.memfd_create("secrets", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.values, SIZE)
        fds = {3: memory(order, ALL_SEALS), 4: theirs.fileno(), 6: memory(credentials(given), SEAL | SHRINK | GROW | FUTURE_WRITE)}
        if not check:
            fds[5] = self.values

        def give():
            # Whatever numbers these have: first out of the way.
            high = {to: fcntl.fcntl(fd, fcntl.F_DUPFD, 600) for to, fd in fds.items()}
            for to, fd in high.items():
                os.dup2(fd, to, inheritable=True)
            os.closerange(7, 700)
            ctypes.CDLL(None).prctl(1, 9)
        argv = ["env", "-i", *wrap, f"{BUILD}/devdep-secrets", "--network"] + (["--check"] if check else [])
        self.process = subprocess.Popen(world.on_host(argv) if world else argv, preexec_fn=give, close_fds=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        theirs.close()
        for to in (3, 6):
            os.close(fds[to])
        self.view = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.end()
        os.close(self.values)

    def say(self, verb):
        self.sock.sendall(verb.encode())

    def hear(self):
        """The next message: its word, its pairs."""
        try:
            (n,) = struct.unpack(">I", yamux.recv_exact(self.sock, 4))
        except (yamux.Closed, ConnectionError):
            raise AssertionError(f"devdep-secrets ended: {self.end()}") from None
        pairs = yamux.parse_fields(yamux.recv_exact(self.sock, n))
        assert pairs[0][0] == "word"
        return pairs[0][1].decode(), [(k, v.decode()) for k, v in pairs[1:]]

    def read(self, at, n):
        self.view = self.view or mmap.mmap(self.values, SIZE, prot=mmap.PROT_READ)
        return self.view[at:at + n].decode()

    def taken(self, pairs):
        """name: (value, version) of a message with values."""
        rows = [pairs[i:i + 4] for i in range(0, len(pairs), 4)]
        return {row[0][1]: (self.read(int(row[2][1]), int(row[3][1])), row[1][1]) for row in rows}

    def ask(self):
        """The values by name, or the message of a failure."""
        self.say("a")
        word, pairs = self.hear()
        if word == "failed":
            return dict(pairs)["message"]
        assert word == "values", (word, pairs)
        return {name: value for name, (value, _) in self.taken(pairs).items()}

    def until(self, word):
        """Messages up to one of this word: [(word, pairs)]."""
        heard = []
        while not heard or heard[-1][0] != word:
            heard.append(self.hear())
        return heard

    def release(self):
        """How many were revoked, and what was noted."""
        self.say("f")
        heard = self.until("released")
        return int(dict(heard[-1][1])["count"]), [dict(pairs)["message"] for word, pairs in heard if word == "note"]

    def end(self):
        """The exit status after devdep-job went away, and what it said."""
        self.sock.close()
        err = self.process.communicate(timeout=TIMEOUT)[1]
        sanitizer.assert_silent(err)
        return self.process.returncode, err
