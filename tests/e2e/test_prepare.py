"""devdep-prepare: templates and parked clones. With a scripted guest and VMM first, every breach with its code; then with QEMU."""
import os
import shutil
import signal
import struct
import subprocess

import pytest

import vm_stage
from fake_guest import ACK, BUILD, DATA, EXIT, FIN, PING, SYN, USER, WINDOW, FakeGuest, FakeVmm, fields, frame, ready_record, recv_exact
from test_job_process import assert_confined_first

pytestmark = pytest.mark.sanitized

DONE, USAGE, BOOT, LOST, PROTOCOL = 0, 2, 45, 46, 47


def prepare(folder, mode, guest, vmm=FakeVmm):
    with vm_stage.Prepare(folder, mode, guest, vmm) as p:
        status, text = p.wait()
        return status, text, p


# --template


class Booted(FakeGuest):
    """Ready, and then silent for ever."""

    def boot(self):
        self.send(ready_record())
        self.last = recv_exact(self.sock, 1)


class Commands(FakeVmm):
    """Remembers what it was told."""
    told = None

    def answer(self, request):
        self.told = (self.told or []) + [request["execute"]]
        return super().answer(request)


def test_a_template_is_stopped_and_saved_and_its_guest_told_nothing(folder):
    status, text, p = prepare(folder, "--template", Booted, Commands)
    assert (status, text) == (DONE, "")
    assert p.vmm.told == ["qmp_capabilities", "query-status", "stop", "migrate"]
    assert not hasattr(p.guest, "last")


def guest_that(boot):
    return type("Guest", (FakeGuest,), {"boot": boot})


def hangs_up(self):
    self.sock.close()


@pytest.mark.parametrize("boot, code, word", [
    (lambda g: g.send(b"\x7fELF".ljust(32, b"A")), PROTOCOL, "not a ready record"),
    (lambda g: g.send(ready_record()[:16] + b"\0\2" + ready_record()[18:]), PROTOCOL, "rebuild the image"),
    (lambda g: g.send(ready_record() + b"x"), PROTOCOL, "before the seed"),
    (lambda g: g.send(ready_record() + fields(status="ok")), PROTOCOL, "before the seed"),
    (lambda g: (g.send(ready_record()[:9]), g.vmm.die()), BOOT, "ended"),
    (lambda g: g.vmm.die(), BOOT, "ended"),
    (lambda g: (g.vmm.event("GUEST_PANICKED", action="pause"), recv_exact(g.sock, 1)), BOOT, "went down"),
    (lambda g: (g.vmm.event("SHUTDOWN", guest=True, reason="guest-shutdown"), recv_exact(g.sock, 1)), BOOT, "went down"),
])
def test_a_template_whose_guest_does_anything_but_come_up_is_refused(folder, boot, code, word):
    status, text, _ = prepare(folder, "--template", guest_that(lambda g: (boot(g), recv_exact(g.sock, 1))))
    assert status == code and word in text, text


class AtStop(FakeVmm):
    """The guest says something more before its processor stands, and devdep-prepare hears of the stop first."""
    words, stops = b"", False

    def answer(self, request):
        self.stops = request["execute"] == "stop"
        return super().answer(request)

    def say(self, value):
        if not self.stops or "return" not in value:
            super().say(value)
            return
        pid = self.prepare.process.pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        super().say(value)
        self.guest.send(self.words)
        os.kill(pid, signal.SIGCONT)


def test_a_template_that_speaks_before_it_stands_is_refused(folder):
    vmm = type("Vmm", (AtStop,), {"words": b"x"})
    status, text, _ = prepare(folder, "--template", Booted, vmm)
    assert status == PROTOCOL and "before the seed" in text, text


class NotSaved(FakeVmm):
    def event(self, name, **data):
        super().event(name, **({"status": "failed"} if name == "MIGRATION" else data))


class Refuses(FakeVmm):
    refused = "migrate"

    def say(self, value):
        if "return" in value and self.request == self.refused:
            value = {"error": {"class": "GenericError", "desc": "no \x1b[31mway"}, "id": value["id"]}
        super().say(value)

    def answer(self, request):
        self.request = request["execute"]
        return super().answer(request)

    request = None


class DiesAtStop(FakeVmm):
    def answer(self, request):
        if request["execute"] == "stop":
            self.die()
        return super().answer(request)


class Nonsense(FakeVmm):
    def answer(self, request):
        if request["execute"] == "stop":
            self.control.sendall(b"this is no JSON\n")
        return super().answer(request)


class Full(FakeVmm):
    """The disk is full and the template is saved: devdep-prepare hears of both at once."""

    def answer(self, request):
        if request["execute"] != "migrate":
            return super().answer(request)
        pid = self.prepare.process.pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        self.event("BLOCK_IO_ERROR", **{"node-name": "scratch", "reason": "No space left on device"})
        result = super().answer(request)
        os.kill(pid, signal.SIGCONT)
        return result


@pytest.mark.parametrize("vmm, code, word", [(NotSaved, LOST, "could not save"), (Refuses, LOST, "did not save"), (DiesAtStop, LOST, "ended"),
                                             (Nonsense, LOST, "control connection"), (Full, 48, "no space left")])
def test_a_template_whose_vmm_fails_is_not_saved(folder, vmm, code, word):
    status, text, _ = prepare(folder, "--template", Booted, vmm)
    assert status == code and word in text and "\x1b" not in text, text


# --park


class Clone(FakeGuest):
    """A clone: no ready record."""

    def boot(self):
        self.take_seed()
        self.send(self.seed_answer())

    def take_seed(self):
        (n,) = struct.unpack(">I", recv_exact(self.sock, 4))
        self.seed = self.first = dict(vm_stage.fake_guest.parse_fields(recv_exact(self.sock, n)))

    def op_seed(self, stream, header, pairs):
        self.seed = header
        stream.write(fields(status="ok"))
        stream.close()

    def seed_answer(self):
        return fields(status="ok", kernel="6.1.0-fake", cpus=2, memory=1 << 30, agent="fake")


def test_a_clone_is_seeded_warmed_and_paused(folder):
    status, text, p = prepare(folder, "--park", Clone, Commands)
    assert (status, text) == (DONE, "")
    assert [op for op, _ in p.guest.requests] == ["which", "exec", "exec", "seed", "park"]
    assert p.guest.first["hostname"] == b"devdep-parked" and p.guest.first["rootfs"] == b"overlay"
    assert "rootfs" not in p.guest.seed and p.guest.seed["nonce"] != p.guest.first["nonce"]
    assert p.vmm.told[-1] == "stop" and "migrate" not in p.vmm.told
    argvs = [[v.decode() for k, v in pairs if k == "arg"] for op, pairs in p.guest.requests if op == "exec"]
    assert [a[0].rsplit("/", 1)[-1] for a in argvs] == ["sh", "bash"]
    assert argvs[1][1:] == ["--noprofile", "--norc", "-eo", "pipefail", "-c", "echo"]
    assert all(dict(pairs).get("user") in (None, b"runner") for op, pairs in p.guest.requests if op == "exec")


def test_an_image_without_shells_is_parked_as_it_is(folder):
    class Bare(Clone):
        def op_which(self, stream, header, pairs):
            self.ok(stream, fields(("path", ""), ("path", "")))
    status, text, p = prepare(folder, "--park", Bare)
    assert (status, text) == (DONE, "") and [op for op, _ in p.guest.requests] == ["which", "seed", "park"]


def clone_that(**methods):
    return type("Guest", (Clone,), methods)


def answers(text):
    return {"seed_answer": lambda g: text}


def exits(**more):
    def op_exec(g, stream, header, pairs):
        stream.write(fields(status="ok"))
        stream.frame(EXIT, fields(**{"nonce": g.seed["nonce"], "kind": "exited", "code": 0, "oom": 0, **more}))
        stream.close()
    return {"op_exec": op_exec}


def replies(op, *data):
    def handle(g, stream, header, pairs):
        stream.write(b"".join(data))
        stream.close()
    return {"op_" + op: handle}


def refuses(op):
    return {"op_" + op: lambda g, stream, header, pairs: g.refuse(stream, "no \x1b[2J")}


OK = fields(status="ok")


@pytest.mark.parametrize("methods, code, word", [
    ({"boot": lambda g: g.vmm.die()}, BOOT, "ended"),
    ({"seed_answer": lambda g: ready_record()}, PROTOCOL, "limit"),
    (answers(fields(status="error", message="no disk")), BOOT, "no disk"),
    (answers(fields(status="maybe")), PROTOCOL, "status"),
    (answers(b"\xff" * 64), PROTOCOL, "limit"),
    (answers(OK + frame(DATA, 0, 1, 1, b"x")), PROTOCOL, "not yet acknowledged"),
    (answers(OK + frame(DATA, 0, 65535, 1, b"x")), PROTOCOL, "never opened"),
    (answers(OK + frame(PING, ACK, 0, 5)), PROTOCOL, "never sent"),
    (answers(OK + frame(3, 0, 0, 0)), PROTOCOL, "ended the session"),
    (refuses("which"), BOOT, "look for shells"),
    (replies("which", OK, fields(("path", "/bin/sh"))), PROTOCOL, "paths are missing"),
    (replies("which", OK, fields(("path", "/bin/sh"), ("path", ""), ("path", ""))), PROTOCOL, "not what was asked"),
    (replies("which", OK, fields(("path", "/" * 5000), ("path", ""))), PROTOCOL, "not what was asked"),
    (replies("which", OK), PROTOCOL, "before it was complete"),
    (refuses("exec"), BOOT, "in the guest"),
    (exits(nonce=b"0" * 16), PROTOCOL, "nonce"),
    (exits(code=1), BOOT, "ended with code 1"),
    (exits(kind="signaled", code=9), BOOT, "ended with signal 9"),
    (exits(kind="lost"), BOOT, "ended with"),
    (replies("exec", OK), PROTOCOL, "without EXIT"),
    (refuses("seed"), BOOT, "could not apply its seed"),
    (replies("seed", OK, b"more"), PROTOCOL, "has none in this direction"),
    (refuses("park"), BOOT, "cannot be parked"),
    (replies("park", OK, b"more"), PROTOCOL, "more than was asked for"),
])
def test_a_clone_that_does_anything_else_is_not_parked(folder, methods, code, word):
    status, text, p = prepare(folder, "--park", clone_that(**methods), Commands)
    assert status == code and word in text and "\x1b" not in text, text
    assert "stop" not in (p.vmm.told or [])


def test_a_clone_that_spoke_before_its_seed_is_not_parked(folder):
    class Early(Clone):
        def __init__(self, sock):
            super().__init__(sock)
            self.send(ready_record())  # before devdep-prepare is started

        def boot(self):
            recv_exact(self.sock, 1 << 20)
    status, text, _ = prepare(folder, "--park", Early)
    assert status == PROTOCOL and "before the seed" in text, text


@pytest.mark.parametrize("words, code, word", [
    (frame(WINDOW, 0, 1, 4)[:5], PROTOCOL, "in the middle of a message"),
    (frame(DATA, 0, 1, 100, b"")[:12] + b"half", PROTOCOL, "in the middle of a message"),
    (frame(WINDOW, SYN, 2, 0), PROTOCOL, "in the middle of a message"),
    (frame(PING, ACK, 0, 5), PROTOCOL, "never sent"),
    (frame(DATA, 0, 7777, 1, b"x"), PROTOCOL, "never opened"),
    (frame(WINDOW, 0, 1, 4), DONE, ""),
    (frame(PING, SYN, 0, 4), DONE, ""),
])
def test_what_a_clone_says_before_it_stands_is_whole_and_right_or_it_is_not_parked(folder, words, code, word):
    vmm = type("Vmm", (AtStop,), {"words": words})
    status, text, _ = prepare(folder, "--park", Clone, vmm)
    assert status == code and word in text, text


@pytest.mark.parametrize("vmm", [type("Vmm", (Refuses,), {"refused": "stop"}), DiesAtStop, Nonsense])
def test_a_clone_whose_vmm_does_not_pause_it_is_not_parked(folder, vmm):
    status, text, _ = prepare(folder, "--park", Clone, vmm)
    assert status == LOST, text


# The program


@pytest.mark.parametrize("arguments", [[], ["--park", "--template"], ["--park", "x"], ["--bake"], ["--uid", "0", "--park"]])
def test_wrong_arguments_are_said(arguments):
    done = subprocess.run([os.path.join(BUILD, "devdep-prepare"), *arguments, "--uid", str(USER), "--gid", str(USER)], capture_output=True, text=True)
    assert done.returncode == USAGE and len(done.stderr.splitlines()) == 1, done


def test_missing_and_wrong_descriptors_are_said(folder):
    with open("/dev/null") as null:
        for descriptors, word in (({}, "VMM control"), ({5: null.fileno()}, "wrong kind")):
            process = vm_stage.spawn("devdep-prepare", ["--park"], USER, descriptors, str(folder))
            assert process.wait(60) == USAGE
            assert word in (folder / "devdep-prepare.stderr").read_text()


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.as_used
def test_it_confines_itself_before_it_reads_a_byte(folder):
    trace = folder / "trace"
    with vm_stage.Prepare(folder, "--template", Booted,
                          wrap=["/usr/bin/strace", "-o", trace, "-e", "trace=read,recvfrom,recvmsg,seccomp,prctl,execve"]) as p:
        assert p.wait()[0] == DONE
    assert_confined_first(trace.read_text().splitlines())


# With QEMU


@pytest.fixture(scope="module")
def stage():
    with vm_stage.Stage() as s:
        s.template()
        yield s


IDENTITY = "cat /etc/machine-id /proc/sys/kernel/random/boot_id /etc/hostname; hostname; head -c16 /dev/urandom | od -An -tx1"


def log(events):
    return "".join(e["text"] for e in events if e["type"] == "log")


@pytest.mark.guest
@pytest.mark.parametrize("origin", ["cloned", "parked"])
def test_each_clone_becomes_a_job_with_an_identity_of_its_own(stage, origin):
    seen = []
    for _ in range(2):
        vm = stage.parked() if origin == "parked" else stage.clone()
        status, events, text = stage.job(vm, origin, IDENTITY)
        assert status == 0, (text, events)
        assert [e["type"] for e in events][:3] == ["job_started", "vm_ready", "vm_seeded"]
        assert events[2]["kernel"].startswith("6.") and events[2]["cpus"] == 2
        seen.append(log(events).splitlines())
    first, second = seen
    assert first[2] == first[3] and first[2].startswith("devdep-7-")
    assert all(first[i] != second[i] for i in (0, 1, 4)), seen


LEFT = r"""
ls -A /tmp /dev/shm /var/tmp /home/runner/work | sort | tr '\n' ' '; echo
find / -xdev -newer /etc/machine-id -type f -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null | sort
find /sys/fs/cgroup -mindepth 1 -type d
ps -eo user=,args= | grep -v '\[.*\]$'
"""


@pytest.mark.guest
def test_parking_leaves_nothing_in_the_guest(stage):
    """Of files, processes and control groups a job finds the same in a parked clone as in a fresh one."""
    found = []
    for origin in ("cloned", "parked"):
        vm = stage.parked() if origin == "parked" else stage.clone()
        status, events, text = stage.job(vm, origin, LEFT)
        assert status == 0, (text, events)
        found.append([line for line in log(events).splitlines() if "_temp" not in line])
    assert found[0] == found[1]
    assert not any("warming" in line or "devdep-parked" in line for line in found[1])


@pytest.mark.guest
def test_a_parked_clone_cannot_become_a_job_with_a_read_only_root(stage):
    status, events, _ = stage.job(stage.parked(), "parked", "true", rootfs="read-only")
    assert status != 0 and "rootfs" in events[-1]["message"], events
    assert not any(e["type"] == "step_started" for e in events)


@pytest.mark.guest
def test_a_clone_started_as_something_else_breaks_the_protocol_or_never_answers(stage):
    """The wrong origin is found, never a success: a parked guest takes the first seed's bytes for a frame."""
    status, events, _ = stage.job(stage.parked(), "cloned", "true", boot_timeout_ms=3000)
    assert status in (BOOT, PROTOCOL) and not any(e["type"] == "step_started" for e in events)
