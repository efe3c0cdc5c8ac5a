"""Boots devdep-guest in QEMU directly, without the VM driver, and speaks the guest protocol to it: the conformance suite of the guest.

Everything is cached under build/cache: the kernel package, a small Debian root file system, verity data."""

import contextlib
import fcntl
import glob
import hashlib
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import uuid

from . import vhost_user_vsock, yamux

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("DEVDEP_BUILD", os.path.join(TOP, "build"))
CACHE = os.path.join(BUILD, "cache")
BLOCK = 4096
PACKAGES = "bash,sudo,procps,python3-minimal,kmod"
MODULES = ["crc32c-intel", "sha256-ssse3", "aesni-intel", "virtio_mmio", "virtio_console", "virtio_blk", "dm-verity", "dm-crypt", "xts", "ecb",
           "overlay", "tun", "vmw_vsock_virtio_transport"]
IMAGE_MODULES = ["fuse"]
STDIN, STDOUT, STDERR, EXIT, STDIN_EOF, RESIZE, SIGNAL = range(7)


def run(*argv, **kwargs):
    return subprocess.run(argv, check=True, **kwargs)


def made(path, make):
    """The path, made once, also where two want it at a time: make(temporary) is called when it is missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            temporary = f"{path}.{os.getpid()}"
            make(temporary)
            os.rename(temporary, path)
    return path


def kernel():
    """The unpacked kernel package."""
    def make(folder):
        listing = run("apt-cache", "depends", "linux-image-cloud-amd64", capture_output=True, text=True).stdout
        name = re.search(r"Depends: (linux-image-\S+)", listing).group(1)
        with tempfile.TemporaryDirectory() as there:
            run("apt-get", "-q", "download", name, cwd=there, stderr=subprocess.DEVNULL)
            run("dpkg-deb", "-x", glob.glob(there + "/*.deb")[0], folder)
    return made(os.path.join(CACHE, "kernel"), make)


def modinfo(path, key):
    with open(path, "rb") as f:
        match = re.search(rb"\0" + key.encode() + rb"=([^\0]*)\0", f.read())
    return match.group(1).decode() if match else ""


def module_order(modules=MODULES):
    """Paths of the wanted modules and what they need, dependencies first; built-in ones are left out."""
    files = {os.path.basename(p)[:-3].replace("-", "_"): p for p in glob.glob(kernel() + "/lib/modules/*/kernel/**/*.ko", recursive=True)}
    order = []

    def add(name):
        path = files.get(name.replace("-", "_"))
        if path and path not in order:
            for need in filter(None, modinfo(path, "depends").split(",")):
                add(need)
            order.append(path)
    for name in modules:
        add(name)
    return order


def tsc_khz():
    """The host's, as the VM driver measures it; its kernel knows it best."""
    with open("/proc/cpuinfo") as f:
        return int(float(re.search(r"cpu MHz\s*: ([\d.]+)", f.read()).group(1)) * 1000)


class Cpio:
    """A newc archive."""

    def __init__(self):
        self.data, self.inode = bytearray(), 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        values = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0]
        self.data += b"070701" + b"".join(b"%08x" % v for v in values) + name
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)

    def finish(self):
        self.inode = 0
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def initramfs(order=None, extra=()):
    """Modules, then the agent. `order` replaces /modules/order."""
    modules = module_order()
    archive = Cpio()
    archive.add("modules", 0o40755)
    text = order if order is not None else "".join(os.path.basename(p) + "\n" for p in modules)
    archive.add("modules/order", 0o100644, text.encode())
    for path in modules:
        with open(path, "rb") as f:
            archive.add("modules/" + os.path.basename(path), 0o100644, f.read())
    for folder in ["dev", "proc", "sys", "run", "newroot"]:
        archive.add(folder, 0o40755)
    archive.add("dev/console", 0o20600, device=(5, 1))
    with open(os.path.join(BUILD, "devdep-guest"), "rb") as f:
        archive.add("init", 0o100755, f.read())
    for name, content in extra:
        archive.add(name, 0o100644, content)
    return archive.finish()


CUSTOMIZE = r"""
set -e
chroot "$1" groupadd -g 1001 runner
chroot "$1" useradd -m -u 1001 -g 1001 -s /bin/bash -G users runner
echo 'runner ALL=(ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/runner"
ln -sf python3 "$1/usr/bin/python" 2>/dev/null || true
"""


def recipe():
    """Names what the cached root file system was made from."""
    return hashlib.sha256((PACKAGES + CUSTOMIZE + " ".join(IMAGE_MODULES)).encode()).hexdigest()[:12]


def add_modules(tree):
    """Some of the kernel's modules, for the job's own modprobe."""
    version = os.path.basename(glob.glob(kernel() + "/lib/modules/*")[0])
    target = f"{tree}/lib/modules/{version}"
    os.makedirs(target)
    for name in IMAGE_MODULES:
        shutil.copy(glob.glob(f"{kernel()}/lib/modules/*/kernel/**/{name}.ko", recursive=True)[0], target)
    run("chroot", tree, "depmod", version)


def root_image():
    """A small Debian ext4 with its hash tree behind it: (path, blocks, root hash, salt)."""
    def make(path):
        with tempfile.TemporaryDirectory() as there:
            os.chmod(there, 0o755)
            script = os.path.join(there, "customize")
            with open(script, "w") as f:
                f.write("#!/bin/sh\n" + CUSTOMIZE)
            os.chmod(script, 0o755)
            tree = os.path.join(there, "tree")
            run("mmdebstrap", "--quiet", "--variant=minbase", "--include=" + PACKAGES, "--customize-hook=" + script, "bookworm", tree)
            add_modules(tree)
            shutil.rmtree(tree + "/var/cache/apt")
            shutil.rmtree(tree + "/var/lib/apt/lists")
            run("truncate", "-s", "400M", path)
            run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0", "-d", tree, path,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            run("/sbin/e2fsck", "-fy", path, stdout=subprocess.DEVNULL)
            run("/sbin/resize2fs", "-M", path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.truncate(path, os.path.getsize(path) // BLOCK * BLOCK)
    path = made(os.path.join(CACHE, f"root-{recipe()}.ext4"), make)
    verity = made(os.path.join(CACHE, f"root-{recipe()}.verity-img"), lambda p: add_verity(path, p))
    with open(path + ".verity") as f:
        blocks, root_hash, salt = f.read().split()
    return verity, int(blocks), root_hash, salt


def add_verity(image, path):
    blocks, salt = os.path.getsize(image) // BLOCK, hashlib.sha256(b"salt").hexdigest()
    run("cp", "--sparse=always", image, path)
    out = run("/sbin/veritysetup", "format", "--no-superblock", f"--data-blocks={blocks}", f"--hash-offset={blocks * BLOCK}",
              f"--salt={salt}", path, path, capture_output=True, text=True).stdout
    root_hash = re.search(r"Root hash:\s+(\w+)", out).group(1)
    with open(image + ".verity", "w") as f:
        f.write(f"{blocks} {root_hash} {salt}\n")


# How the door's bytes travel. "vhost-user-vsock" is a virtio-vsock device whose host side is a test's (vhost_user_vsock.py): the guest's side, its
# driver and its AF_VSOCK are the real ones on any host. "vhost-vsock" is the host kernel's device.
TRANSPORTS = ["serial", "vhost-user-vsock", "vhost-vsock"]
VHOST_VSOCK_SET_GUEST_CID = 0x4008AF60


def missing_transport(transport):
    """Why this host cannot carry the door that way, or None."""
    if transport == "vhost-vsock" and not os.access("/dev/vhost-vsock", os.R_OK | os.W_OK):
        return "/dev/vhost-vsock does not open: modprobe vhost_vsock, on a kernel that has it"
    return None


class Serial:
    """The door as a virtio-serial port. Each transport has QEMU's arguments, the descriptors that QEMU inherits, and connect()."""

    def __init__(self, port):
        self.sock, self.theirs = yamux.socket_pair()
        self.fds = [self.theirs.fileno()]
        self.memory = "memory-backend-ram"
        self.argv = ["-chardev", f"socket,id=door,fd={self.fds[0]}", "-device", f"virtserialport,chardev=door,name={port}"]

    def started(self):
        self.theirs.close()

    def connect(self, timeout):
        return self.sock


class VhostUserVsock:
    def __init__(self):
        self.sock, theirs = yamux.socket_pair()
        self.device = vhost_user_vsock.Device(random.randrange(1 << 16, 1 << 31), theirs)
        self.fds = [self.device.fd]
        self.memory = "memory-backend-memfd,share=on"
        self.argv = ["-chardev", f"socket,id=vsock,fd={self.fds[0]}", "-device", "vhost-user-vsock-device,chardev=vsock"]

    def started(self):
        os.close(self.device.fd)

    def connect(self, timeout):
        return self.sock


class VhostVsock:
    def __init__(self):
        self.cid = random.randrange(1 << 16, 1 << 31)
        self.fds = [os.open("/dev/vhost-vsock", os.O_RDWR)]
        fcntl.ioctl(self.fds[0], VHOST_VSOCK_SET_GUEST_CID, struct.pack("=Q", self.cid))
        self.sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.sock.bind((socket.VMADDR_CID_ANY, self.cid))
        self.sock.listen(1)
        self.memory = "memory-backend-ram"
        self.argv = ["-device", f"vhost-vsock-device,guest-cid={self.cid},vhostfd={self.fds[0]}"]

    def started(self):
        os.close(self.fds[0])

    def connect(self, timeout):
        listener = self.sock
        listener.settimeout(timeout)
        with listener:
            self.sock, (cid, _) = listener.accept()
        assert cid == self.cid
        return self.sock


class Guest:
    """A running VM. Use as a context manager."""

    def __init__(self, memory=1024, cpus=2, scratch=16 << 30, cmdline=None, initrd=None, image=None, accel="tcg", port="devdep.door",
                 transport="serial"):
        self.folder = tempfile.mkdtemp(prefix="devdep-guest-")
        path, blocks, root_hash, salt = image or root_image()
        if cmdline is None:
            cmdline = f"devdep.root={root_hash} devdep.salt={salt} devdep.blocks={blocks}"
        initrd_path = os.path.join(self.folder, "initramfs")
        with open(initrd_path, "wb") as f:
            f.write(initrd or initramfs())
        self.scratch = os.path.join(self.folder, "scratch")
        with open(self.scratch, "wb") as f:
            f.truncate(scratch or 0)
        self.console_path = os.path.join(self.folder, "console")
        self.transport = (Serial(port) if transport == "serial" else VhostUserVsock() if transport == "vhost-user-vsock" else VhostVsock())
        self.sock = self.transport.sock
        vmlinuz = glob.glob(kernel() + "/boot/vmlinuz-*")[0]
        append = ("quiet loglevel=1 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests console=hvc0 init=/init "
                  f"mitigations=off tsc=reliable tsc_early_khz={tsc_khz()} no_timer_check lpj=8000000 " + cmdline)
        argv = ["qemu-system-x86_64", "-M", "microvm,acpi=on,x-option-roms=off,isa-serial=off,rtc=on,mem-merge=off,dump-guest-core=off,"
                "memory-backend=mem", "-object", f"{self.transport.memory},id=mem,size={memory}M",
                "-accel", "tcg,tb-size=128" if accel == "tcg" else accel, "-cpu", "max,-erms" if accel == "tcg" else "host", "-smp", str(cpus), "-m", str(memory),
                "-nodefaults", "-no-user-config", "-display", "none", "-serial", "none", "-monitor", "none", "-no-reboot",
                "-kernel", vmlinuz, "-initrd", initrd_path, "-append", append,
                "-chardev", f"file,id=con,path={self.console_path}",
                "-device", "virtio-serial-device", "-device", "virtconsole,chardev=con",
                *self.transport.argv,
                "-drive", f"if=none,id=root,file={path},format=raw,readonly=on,file.locking=off",
                "-device", "virtio-blk-device,drive=root,serial=devdep-root",
                *(["-drive", f"if=none,id=scratch,file={self.scratch},format=raw,cache=unsafe,werror=report,rerror=report",
                   "-device", "virtio-blk-device,drive=scratch,serial=devdep-scratch"] if scratch else [])]
        self.started = time.monotonic()
        self.process = subprocess.Popen(argv, pass_fds=self.transport.fds, stdin=subprocess.DEVNULL)
        self.transport.started()
        self.session, self.nonce, self.ready_seconds = None, None, None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.sock.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def console(self):
        with open(self.console_path, "rb") as f:
            return f.read().decode(errors="replace")

    def wait_end(self, timeout=60):
        return self.process.wait(timeout)

    def ready(self, timeout=60):
        """Wait for the ready record."""
        self.sock = self.transport.connect(timeout)
        self.sock.settimeout(timeout)
        record = yamux.recv_exact(self.sock, 32)
        self.ready_seconds = time.monotonic() - self.started
        return record

    def seed_fields(self, rootfs=None, **changes):
        self.nonce = os.urandom(16)
        values = {"op": "seed", "entropy": os.urandom(64), "nonce": self.nonce, "time_ns": time.time_ns(), "machine_id": os.urandom(16).hex(),
                  "boot_id": str(uuid.uuid4()), "hostname": "guest-1"}
        if rootfs:
            values["rootfs"] = rootfs
        values.update(changes)
        return {k: v for k, v in values.items() if v is not None}

    def seed(self, rootfs="overlay", timeout=60, **changes):
        self.identity = self.seed_fields(rootfs, **changes)
        self.sock.settimeout(timeout)
        self.sock.sendall(yamux.fields(*self.identity.items()))
        (n,) = struct.unpack(">I", yamux.recv_exact(self.sock, 4))
        answer = dict(yamux.parse_fields(yamux.recv_exact(self.sock, n)))
        self.seed_answer = answer
        if answer["status"] == b"ok":
            self.sock.settimeout(None)
            self.session = yamux.Session(self.sock)
        return answer

    def boot(self, **kwargs):
        self.ready()
        answer = self.seed(**kwargs)
        assert answer["status"] == b"ok", answer
        return self

    def request(self, op, *pairs, **more):
        """A stream with its header sent, and the answer."""
        stream = self.session.open()
        stream.write(yamux.fields(("op", op), *pairs, **more))
        return stream, dict(yamux.read_fields(stream))

    def call(self, op, *pairs, **more):
        """An operation that ends with its answer."""
        stream, answer = self.request(op, *pairs, **more)
        stream.close()
        return answer

    def start(self, argv, op="exec", env=(), **more):
        pairs = [("arg", a) for a in argv] + [("env", f"{k}={v}") for k, v in dict({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, **dict(env)).items()]
        more.setdefault("step", "step-1")
        more.setdefault("cwd", "/")
        return Process(self, *self.request(op, *pairs, **more))

    def exec(self, *argv, timeout=120, **more):
        """Run to its end: a Result."""
        return self.start(argv, **more).finish(timeout)

    def sh(self, script, **more):
        return self.exec("/bin/sh", "-c", script, **more)


class Result:
    def __init__(self, process):
        self.out, self.err, self.exit = bytes(process.out), bytes(process.err), process.exit
        self.kind, self.code = self.exit["kind"].decode(), int(self.exit["code"])
        self.oom = self.exit.get("oom") == b"1"
        assert self.exit["nonce"] == process.guest.nonce

    def __repr__(self):
        return f"<{self.kind} {self.code} oom={self.oom} out={self.out[-500:]!r} err={self.err[-500:]!r}>"


class Process:
    """A running exec or pty."""

    def __init__(self, guest, stream, answer):
        self.guest, self.stream, self.answer = guest, stream, answer
        self.out, self.err, self.exit = bytearray(), bytearray(), None

    @property
    def ok(self):
        return self.answer["status"] == b"ok"

    def send(self, kind, payload=b""):
        self.stream.write(struct.pack(">BI", kind, len(payload)) + payload)

    def write(self, data):
        for i in range(0, len(data), 16000):
            self.send(STDIN, data[i:i + 16000])

    def frame(self, timeout=120):
        kind, size = struct.unpack(">BI", self.stream.read_exact(5, timeout))
        return kind, self.stream.read_exact(size, timeout)

    def next(self, timeout=120):
        """Take one frame in; False after EXIT."""
        kind, payload = self.frame(timeout)
        if kind == STDOUT:
            self.out += payload
        elif kind == STDERR:
            self.err += payload
        elif kind == EXIT:
            self.exit = dict(yamux.parse_fields(payload[4:]))
            return False
        return True

    def until(self, text, timeout=120):
        while text not in self.out:
            assert self.next(timeout), f"ended without {text!r}: {Result(self)}"

    def finish(self, timeout=120):
        assert self.ok, self.answer
        while self.next(timeout):
            pass
        return Result(self)
