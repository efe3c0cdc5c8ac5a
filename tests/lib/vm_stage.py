"""VMs started as devdep does, handed to devdep-prepare and devdep-job by descriptor: build/vm-stage starts them."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import fake_guest

BUILD = fake_guest.BUILD
NUMBERS = {"control": 5, "channel": 6, "lifeline": 7, "lock": 10, "log": 11}


def spawn(name, arguments, uid, descriptors, folder, wrap=()):
    """A program of ours as a process with the descriptors {number: fd} and nothing else; standard error goes to a file."""
    argv = [*wrap, os.path.join(BUILD, name), *arguments]
    if os.geteuid() == 0:
        argv += ["--uid", str(uid), "--gid", str(uid)]
    copies = {number: fake_guest.high(fd) for number, fd in descriptors.items()}
    error = open(os.path.join(folder, name + ".stderr"), "wb")

    def place():
        for number, fd in copies.items():
            os.dup2(fd, number)
        for number in set(range(3, 14)) - set(copies):
            try:
                os.close(number)
            except OSError:
                pass

    env = {k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=error,
                               preexec_fn=place, pass_fds=tuple(copies))
    error.close()
    for fd in copies.values():
        os.close(fd)
    return process


class Prepare:
    """devdep-prepare between a scripted guest and a VMM that only speaks QMP: `run` gives its status and last words."""

    def __init__(self, folder, mode, guest, vmm=fake_guest.FakeVmm, wrap=()):
        self.channel, theirs = socket.socketpair()
        self.control, control = socket.socketpair()
        read_end, lifeline = os.pipe()
        self.folder = str(folder)
        self.guest = guest(self.channel)
        self.vmm = vmm(self.control, read_end, [self.channel])
        self.vmm.guest, self.guest.vmm, self.vmm.prepare = self.guest, self.vmm, self
        self.process = spawn("devdep-prepare", [mode], fake_guest.USER, {5: control.fileno(), 6: theirs.fileno(), 7: lifeline}, self.folder, wrap)
        for s in (theirs, control):
            s.close()
        self.lifeline = lifeline
        self.guest.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.lifeline)
        self.guest.end()
        self.channel.close()
        self.control.close()

    def wait(self, timeout=60):
        status = self.process.wait(timeout)
        with open(os.path.join(self.folder, "devdep-prepare.stderr"), errors="replace") as f:
            lines = f.read().splitlines()
        assert len(lines) == (status != 0), lines
        return status, "".join(lines)


class Vm:
    """The descriptors of one VM. It lives while somebody holds the lifeline."""

    def __init__(self, uid, fds):
        self.uid = uid
        self.control, self.channel, self.lifeline, self.log, self.lock = fds

    def numbers(self):
        return {number: getattr(self, name) for name, number in NUMBERS.items()}

    def close(self):
        for name in NUMBERS:
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


class Stage:
    """A context manager with a folder of its own, removed at the end; every VM ends with it."""

    def __init__(self, memory=512, image="default", agent=None):
        self.folder = tempfile.mkdtemp(prefix="devdep-stage-")
        os.chmod(self.folder, 0o755)
        if agent:  # the image with this agent, in place of the one that is installed
            subprocess.run([os.path.join(BUILD, "devdep-cli"), "image", "build", image, "--if-missing", "--agent", agent], check=True,
                           env={**os.environ, "DEVDEP_STATE": self.folder}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen([os.path.join(BUILD, "vm-stage"), self.folder, image, str(memory), str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()])
        theirs.close()
        self.vms = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for vm in self.vms:
            vm.close()
        self.socket.close()
        assert self.process.wait(60) == 0
        left = [p for p in pathlib.Path(self.folder, "slots").glob("*/pids/*")]
        shutil.rmtree(self.folder)
        assert left == [], left

    def ask(self, request):
        self.socket.send(request.encode())
        data, fds, _, _ = socket.recv_fds(self.socket, 1024, 5)
        assert data.startswith(b"ok"), data.decode(errors="replace")
        return data, fds

    def vm(self, request):
        data, fds = self.ask(request)
        self.vms.append(Vm(int(data.split()[1]), fds))
        return self.vms[-1]

    def prepare(self, vm, mode, timeout=180, wrap=()):
        """devdep-prepare on a VM: its status and last line of standard error."""
        process = spawn("devdep-prepare", [mode], vm.uid, vm.numbers(), self.folder, wrap)
        return self.ended(process, "devdep-prepare", timeout)

    def ended(self, process, name, timeout=60):
        status = process.wait(timeout)
        text = pathlib.Path(self.folder, name + ".stderr").read_text(errors="replace")
        return status, text.strip().split("\n")[-1]

    def template(self):
        vm = self.vm("template")
        assert self.prepare(vm, "--template") == (0, "")
        vm.close()
        self.vms.remove(vm)
        self.ask("seal")

    def clone(self):
        return self.vm("clone")

    def parked(self):
        vm = self.clone()
        assert self.prepare(vm, "--park") == (0, "")
        return vm

    def job(self, vm, origin, *steps, timeout=120, **more):
        """devdep-job on a VM: its status, its events, its standard error."""
        spec = fake_guest.spec(self.folder, *steps, workspace="/home/runner/work/hello/hello", **more)
        fd = os.memfd_create("spec")
        os.write(fd, json.dumps(spec).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        path = os.path.join(self.folder, "journal")
        journal = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o644)
        process = spawn("devdep-job", ["--vm", origin], vm.uid, {3: fd, 4: journal, **vm.numbers()}, self.folder)
        vm.close()
        os.close(fd)
        os.close(journal)
        status, text = self.ended(process, "devdep-job", timeout)
        with open(path, "rb") as f:
            return status, [json.loads(line) for line in f], text
