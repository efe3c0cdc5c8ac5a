"""devdep-pool under test, and a client that speaks its protocol (docs/protocol-pool.md), well or badly."""
import array
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import devdep
import runs

CONTROL, CHANNEL, LIFELINE, LEASH, LOG, JAIL, LOCK = range(7)
CLASS = {"vcpus": "2", "memory": str(2 << 30), "scratch": str(16 << 30), "accel": "auto"}


def fields(*pairs):
    body = b""
    for key, value in pairs:
        value = value.encode() if isinstance(value, str) else value
        body += struct.pack(">H", len(key)) + key.encode() + struct.pack(">I", len(value)) + value
    return struct.pack(">I", len(body)) + body


def parse(data):
    """[(key, value)] of one whole list."""
    (size,), at, found = struct.unpack_from(">I", data), 4, []
    assert size + 4 == len(data), data
    while at < len(data):
        (n,) = struct.unpack_from(">H", data, at)
        key = data[at + 2:at + 2 + n].decode()
        (m,) = struct.unpack_from(">I", data, at + 2 + n)
        found.append((key, data[at + 6 + n:at + 6 + n + m]))
        at += 6 + n + m
    return found


class Answer:
    holding = []  # those with descriptors: the VM of one that nobody closes lives as long as this process

    def __init__(self, data, fds):
        pairs = parse(data)
        self.fds = fds
        if fds:
            Answer.holding.append(self)
        self.words = {k: v.decode() for k, v in pairs if k not in ("vm", "keep", "held", "claimed")}
        rows = {key: [{k: v.decode() for k, v in parse(value)} for k2, value in pairs if k2 == key] for key in ("vm", "keep", "held", "claimed")}
        self.vms, self.keeps, self.held, self.claimed = rows["vm"], rows["keep"], rows["held"], rows["claimed"]
        self.status, self.message = self.words["status"], self.words.get("message", "")

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    @staticmethod
    def close_all():
        while Answer.holding:
            Answer.holding.pop().close()

    def __repr__(self):
        return f"<{self.words} {self.claimed}>"


def request(op, *pairs, protocol="2", **more):
    return fields(("op", op), ("protocol", protocol), *pairs, *((k, str(v)) for k, v in more.items()))


def kind(op, image="default", **more):
    return request(op, ("image", image), **{**CLASS, **more})


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(30)
        self.socket.connect(str(path))

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([data], ancillary)
        except BrokenPipeError:
            pass  # turned away: what was said is there to be read

    def receive(self):
        """One answer, or None when the pool has cut us off."""
        data, fds = b"", []
        while len(data) < 4 or len(data) < 4 + struct.unpack_from(">I", data)[0]:
            try:
                more, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(16 * 4))
            except ConnectionResetError:
                more, ancillary = b"", []
            for level, kind_, value in ancillary:
                if (level, kind_) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.extend(array.array("i", value))
            if not more:
                assert not data, data
                return None
            data += more
        return Answer(data, fds)

    def ask(self, data, fds=()):
        self.send(data, fds)
        return self.receive()

    def is_cut_off(self):
        return self.receive() is None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Pool:
    """A devdep-pool on the state folder of a cli."""

    def __init__(self, cli, *args, env=None):
        self.cli, self.args, self.env = cli, args, env or {}
        self.socket = pathlib.Path(cli.state) / "pool" / "socket"
        self.start()

    def start(self):
        self.process = subprocess.Popen(devdep.become([devdep.BUILD / "devdep-pool", *self.args]), env=self.cli.env(self.env),
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/")
        runs.wait_until(self.listens, "the pool listens", 30)
        runs.wait_until(lambda: self.connections() == 0, "the pool forgets who asked whether it listens", 30)

    def listens(self):
        assert self.process.poll() is None, self.process.stderr.read()
        try:
            self.client().close()
        except OSError:
            return False
        return True

    def client(self):
        return Client(self.socket)

    def ask(self, data):
        with self.client() as client:
            return client.ask(data)

    def ls(self):
        return self.ask(request("ls"))

    def wait_for(self, count, state="parked", seconds=200):
        """Until so many VMs are in that state; the last answer."""
        last = []

        def there():
            last[:] = [self.ls()]
            problem = [k["problem"] for k in last[0].keeps if k["problem"]]
            assert not problem, problem
            return sum(vm["state"] == state for vm in last[0].vms) == count
        runs.wait_until(there, f"{count} VMs are {state}", seconds)
        return last[0]

    def connections(self):
        """Connections that it has taken: they and the listening socket have its path."""
        return sum(line.split()[-1] == str(self.socket) for line in pathlib.Path("/proc/net/unix").read_text().splitlines()) - 1

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, signo=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signo)
        status = self.process.wait(60)
        self.log = self.process.stderr.read()
        return status


def is_gone(pid):
    """Has this process ended? A zombie has."""
    entry = runs.processes().get(int(pid))
    return entry is None or entry[1] in "ZX"
