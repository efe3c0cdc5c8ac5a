"""A piece of internet of a test's own: two network namespaces with a cable between them, a name server, a certificate authority.

`host` is where the programs under test live, `out` has the servers. Nothing leads out of the two. The addresses look public, because that
is what the broker has to tell apart; they are on these two interfaces only. Needs root."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

import devdep

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
HOST, NAMES = "11.1.0.1", "11.1.0.53"
HOST6 = "2a0f:ffff::1"
SERVERS = ["11.1.0.2", "11.1.0.3", "11.1.0.4"]
SERVERS6 = ["2a0f:ffff::2", "2a0f:ffff::3"]
NOBODY = "11.1.0.99"  # on the cable, and nobody's: refused by the host of the servers at once
PRIVATE = "10.99.0.2"
A, PTR, AAAA = 1, 12, 28


def missing():
    """Why there can be no such world, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return None if shutil.which("ip") else "no ip: apt-get install iproute2"


def enter(path):
    with open(path) as f:
        if LIBC.setns(f.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class NameServer:
    """Answers A and AAAA from a table: name to a list of addresses, or a function that makes one for each question."""

    def __init__(self, sock):
        self.sock, self.table, self.asked = sock, {}, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.sock.recvfrom(4096)
                self.sock.sendto(self.answer(data), peer)

    def answer(self, data):
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        question, (kind,) = data[12:at + 5], struct.unpack_from(">H", data, at + 1)
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        known = self.table.get(name)
        addresses = known(kind) if callable(known) else known
        records = [packed for text in addresses or () if (packed := pack(text, kind))]
        head = data[:2] + struct.pack(">HHHHH", 0x8180 if addresses is not None else 0x8183, 1, len(records), 0, 0)
        return head + question + b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(r)) + r for r in records)


def pack(text, kind):
    if kind == A and ":" not in text:
        return socket.inet_pton(socket.AF_INET, text)
    return socket.inet_pton(socket.AF_INET6, text) if kind == AAAA and ":" in text else None


def run(*argv):
    subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class World:
    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="devdep-world-")
        self.folder = pathlib.Path(self.temporary.name)
        self.folder.chmod(0o755)
        self.host, self.out = f"dv{os.getpid()}h", f"dv{os.getpid()}o"
        self.sockets, self.processes = [], []
        try:
            self.lay_cable()
            self.names = NameServer(self.socket(NAMES, 53, kind=socket.SOCK_DGRAM))
        except BaseException:
            self.close()
            raise
        (self.folder / "resolv.conf").write_text(f"nameserver {NAMES}\n")
        return self

    def lay_cable(self):
        for name in (self.host, self.out):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", self.host, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self.out)
        for name, addresses in ((self.host, [f"{HOST}/24", f"{HOST6}/64"]),
                                (self.out, [f"{a}/24" for a in [NAMES, *SERVERS]] + [f"{a}/64" for a in SERVERS6] + [f"{PRIVATE}/24"])):
            for address in addresses:
                run("ip", "-n", name, "address", "add", address, "dev", "cable", "nodad")
            run("ip", "-n", name, "link", "set", "cable", "up")
        run("ip", "-n", self.host, "route", "add", "10.99.0.0/24", "via", SERVERS[0])
        run("ip", "-n", self.host, "route", "add", "unreachable", NOBODY)

    def __exit__(self, *unused):
        self.close()

    def close(self):
        for process in self.processes:
            process.terminate()
            process.wait(20)
        for sock in self.sockets:
            sock.close()
        for name in (self.host, self.out):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        self.temporary.cleanup()

    def inside(self, function, namespace=None):
        """The result of the function, called in a thread that lives in the namespace of the servers."""
        result = []

        def work():
            try:
                enter(f"/run/netns/{namespace or self.out}")
                result.append(function())
            except BaseException as e:
                result.append(e)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def socket(self, address, port, kind=socket.SOCK_STREAM, namespace=None):
        def make():
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if kind == socket.SOCK_STREAM:
                sock.listen(512)
            return sock
        sock = self.inside(make, namespace)
        self.sockets.append(sock)
        return sock

    def serve(self, address, port, handler, namespace=None):
        """Calls handler(socket) for each connection, in a thread of its own."""
        listener = self.socket(address, port, namespace=namespace)

        def one(sock):
            with contextlib.suppress(OSError), sock:
                handler(sock)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=[listener.accept()[0]], daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()

    def popen(self, argv, namespace=None, **more):
        """A program that lives in one of the namespaces until the end of this world."""
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{namespace or self.out}", *map(str, argv)], **more)
        self.processes.append(process)
        return process

    def on_host(self, argv):
        """argv as a command of the host: in its namespace, with its name server."""
        script = 'mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["nsenter", f"--net=/run/netns/{self.host}", "unshare", "-m", "sh", "-c", script, str(self.folder / "resolv.conf"), *map(str, argv)]


class HostCli(devdep.Cli):
    """The command on the host of the world."""

    def __init__(self, world, state):
        super().__init__(state)
        self.world = world

    def argv(self, *args):
        return self.world.on_host(super().argv(*args))


class Authority:
    """A certificate authority of the test: `certificate` and `key` of any names; "IP:ADDRESS" is one, too."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.bundle, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj", "/CN=test",
            "-keyout", self.key, "-out", self.bundle)

    def issue(self, *names):
        path = self.folder / names[0]
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={names[0]}", "-keyout", f"{path}.key",
            "-out", f"{path}.csr")
        (self.folder / "ext").write_text("subjectAltName=" + ",".join(n if n.startswith("IP:") else f"DNS:{n}" for n in names))
        run("openssl", "x509", "-req", "-in", f"{path}.csr", "-CA", self.bundle, "-CAkey", self.key, "-CAcreateserial", "-days", 2,
            "-extfile", self.folder / "ext", "-out", f"{path}.pem")
        return f"{path}.pem", f"{path}.key"
