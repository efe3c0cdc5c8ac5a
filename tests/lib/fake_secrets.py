"""devdep-secrets without a provider: the other end of devdep-job's descriptors 16 and 17 (docs/protocol-secrets.md)."""
import fcntl
import mmap
import os
import socket
import struct

from yamux import fields

F_ADD_SEALS, SEAL, SHRINK, GROW, FUTURE_WRITE = 1033, 1, 2, 4, 16
TIMEOUT = 60


class FakeSecrets:
    """Answers nothing by itself: a test says what devdep-job is told, and reads which verbs came."""

    def __init__(self, sealed=True):
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(TIMEOUT)
        self.values_fd = os.memfd_create("secrets", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.values_fd, 1 << 16)
        self.area = mmap.mmap(self.values_fd, 1 << 16)
        if sealed:
            fcntl.fcntl(self.values_fd, F_ADD_SEALS, SEAL | SHRINK | GROW | FUTURE_WRITE)
        self.used = 0

    def put(self, value):
        at = self.used
        self.area[at:at + len(value)] = value
        self.used += len(value) // 16 * 16 + 16
        return at

    def verb(self):
        return self.ours.recv(1).decode()

    def say(self, *pairs):
        self.ours.sendall(fields(*pairs))

    def value(self, name, value, version=""):
        return [("secret", name), ("version", version), ("at", self.put(value.encode())), ("len", len(value.encode()))]

    def give(self, _version="", **secrets):
        """The answer to `ask`."""
        assert self.verb() == "a"
        self.say(("word", "values"), *[pair for name, value in secrets.items() for pair in self.value(name, value, _version)])

    def change(self, name, value, version):
        self.say(("word", "changed"), *self.value(name, value, version))

    def fail(self, message):
        assert self.verb() == "a"
        self.say(("word", "failed"), ("message", message))

    def released(self, count=0):
        self.say(("word", "released"), ("count", count))

    def close(self):
        """May be done twice: a test may play one that dies."""
        self.ours.close()
        self.area.close()
        if self.values_fd >= 0:
            os.close(self.values_fd)
        self.values_fd = -1


def is_mapped(pid):
    """Does the process still map the memory file of secrets?"""
    with open(f"/proc/{pid}/maps") as f:
        return "memfd:secrets" in f.read()
