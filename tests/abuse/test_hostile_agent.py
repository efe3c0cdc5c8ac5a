"""A guest or a VMM that breaks, lies or stalls, against the real devdep-job: each ends with its own verdict, never with success."""
import os
import struct
import subprocess
import tempfile
import time

import pytest

import sizes
from fake_guest import DATA, EXIT, FIN, PING, STDOUT, SYN, WINDOW, FakeGuest, Job, fields, frame, ready_record, recv_exact, spec

BOOT, LOST, PROTOCOL, RESOURCES = (45, 301), (46, 302), (47, 303), (48, 304)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def verdict_of(job):
    """(status, code); whatever the guest did, devdep-job stayed within its bound of memory."""
    assert 0 < job.peak <= sizes.MEMORY["devdep-job"], job.peak
    assert job.verdict["conclusion"] == ("success" if job.status == 0 else "failure")
    assert sum(e["type"] == "job_finished" for e in job.events()) == 1 and job.events()[-1]["type"] == "job_finished"
    return job.status, job.verdict["code"]


def run(folder, guest, *steps, **more):
    more = {"boot_timeout_ms": 20000, **more}
    job = Job(folder, spec(folder, *(steps or ["echo out; sleep 30"]), **more), guest=guest, console=b"boot: one\nboot: two\x1b[31m\n")
    with job:
        job.wait()
    return job


# Booting


class Silent(FakeGuest):
    def boot(self):
        recv_exact(self.sock, 1)


class HalfReady(FakeGuest):
    def boot(self):
        self.send(ready_record()[:20])
        recv_exact(self.sock, 1)


class NoAnswer(FakeGuest):
    def boot(self):
        self.send(ready_record())
        self.receive_nothing = recv_exact(self.sock, 1 << 20)


class SeedRefused(FakeGuest):
    def boot(self):
        self.send(ready_record())
        recv_exact(self.sock, 100)
        self.send(fields(status="error", message="no scratch disk"))
        recv_exact(self.sock, 1 << 20)


@pytest.mark.parametrize("guest", [Silent, HalfReady, NoAnswer, SeedRefused])
def test_a_guest_that_does_not_boot_is_301_with_the_console(folder, guest):
    job = run(folder, guest, boot_timeout_ms=700)
    assert verdict_of(job) == BOOT
    assert job.events("console")[0]["text"] == "boot: one\nboot: two\x1b[31m\n"
    assert "step_started" not in [e["type"] for e in job.events()]


class WrongReady(FakeGuest):
    def boot(self):
        self.send(b"\x7fELF".ljust(32, b"A"))
        recv_exact(self.sock, 1)


class EagerReady(FakeGuest):
    def boot(self):
        self.send(ready_record() + fields(status="ok"))
        recv_exact(self.sock, 1 << 20)


class HugeSeedAnswer(FakeGuest):
    def boot(self):
        self.send(ready_record())
        recv_exact(self.sock, 4)
        self.send(struct.pack(">I", 0xffffffff) + bytes(4096))
        recv_exact(self.sock, 1 << 20)


class JunkBeforeReady(FakeGuest):
    def boot(self):
        self.send(b"\0" + ready_record())
        recv_exact(self.sock, 1 << 20)


class ReadyTwice(FakeGuest):
    def boot(self):
        self.send(ready_record() * 2)
        recv_exact(self.sock, 1 << 20)


class ReadyForTheSeed(FakeGuest):
    def boot(self):
        self.send(ready_record())
        recv_exact(self.sock, 100)
        self.send(ready_record())
        recv_exact(self.sock, 1 << 20)


@pytest.mark.parametrize("guest", [WrongReady, EagerReady, HugeSeedAnswer, JunkBeforeReady, ReadyTwice, ReadyForTheSeed])
def test_a_broken_beginning_is_303(folder, guest):
    assert verdict_of(run(folder, guest)) == PROTOCOL


# Frames


class Raw(FakeGuest):
    """Sends `bad` once the step's process runs."""
    bad = b""
    hears = True

    def deaf(self):
        self.hears = False

    def receive(self):
        while not self.hears and not self.over:
            time.sleep(0.01)
        super().receive()

    def forward(self, stream, pipe, kind):
        if kind == STDOUT and os.read(pipe.fileno(), 100):
            bad = self.bad(stream) if callable(self.bad) else self.bad
            self.send(bad)


def raw(bad):
    return type("Raw", (Raw,), {"bad": staticmethod(bad) if callable(bad) else bad})


def data_frame(stream, payload):
    return frame(DATA, 0, stream.id, len(payload), payload)


HOSTILE_FRAMES = {
    "oversized": lambda s: struct.pack(">BBHII", 0, DATA, 0, s.id, 1 << 30),
    "one_past_the_limit": lambda s: frame(DATA, 0, s.id, 16385, bytes(16385)),
    "bad_version": b"\x01" + bytes(11),
    "bad_type": struct.pack(">BBHII", 0, 9, 0, 1, 0),
    "bad_flags": struct.pack(">BBHII", 0, WINDOW, 0xff00, 1, 0),
    "stream_that_never_was": lambda s: frame(DATA, 0, 4001, 1, b"x"),
    "replayed_acknowledgement": lambda s: frame(WINDOW, 2, s.id, 0),
    "window_overflow": lambda s: frame(WINDOW, 0, s.id, 0xffffffff) * 3,
    "unknown_frame_type": lambda s: data_frame(s, struct.pack(">BI", 77, 0)),
    "oversized_step_frame": lambda s: data_frame(s, struct.pack(">BI", STDOUT, 1 << 31)),
    "a_frame_of_the_host": lambda s: data_frame(s, struct.pack(">BI", 0, 1) + b"x"),
    "truncated_then_other_stream": lambda s: frame(DATA, 0, s.id, 100, b"x" * 50) + frame(WINDOW, 0, s.id, 1) * 20,
    "data_behind_fin": lambda s: frame(WINDOW, FIN, s.id, 0) + data_frame(s, b"late"),
    "stream_id_of_the_host": lambda s: frame(WINDOW, SYN, 99, 0),
    "same_stream_twice": lambda s: frame(WINDOW, SYN, 2, 0) * 2,
    "pong_nobody_asked_for": frame(2, 2, 0, 12345),
    "goaway": frame(3, 0, 0, 0),
    "reset_of_the_step": lambda s: frame(WINDOW, 8, s.id, 0),
    "flood_of_empty_frames": lambda s: frame(DATA, 0, s.id, 0) * 2000,
    "pings_of_one_that_reads_no_answer": lambda s: s.guest.deaf() or frame(PING, SYN, 0, 7) * 200_000,
    "streams_of_one_that_reads_no_answer": lambda s: s.guest.deaf() or b"".join(frame(WINDOW, SYN, i, 0) for i in range(2, 400_000, 2)),
}


@pytest.mark.parametrize("bad", HOSTILE_FRAMES.values(), ids=HOSTILE_FRAMES.keys())
def test_a_guest_that_breaks_the_protocol_is_303(folder, bad):
    job = run(folder, raw(bad))
    assert verdict_of(job) == PROTOCOL, job.text()
    assert [e["outcome"] for e in job.events("step_finished")] == ["failure"]


# EXIT


class Forger(FakeGuest):
    """Answers exec with what `script` makes, without running anything."""

    def op_exec(self, stream, header, pairs):
        stream.write(fields(status="ok"))
        self.script(stream)


def exit_frame(**more):
    body = fields(**more)
    return struct.pack(">BI", EXIT, len(body)) + body


class NoNonce(Forger):
    def script(self, stream):
        stream.write(exit_frame(kind="exited", code=0, oom=0))
        stream.close()


class WrongNonce(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=bytes(16), kind="exited", code=0, oom=0))
        stream.close()


class ShortNonce(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"][:15], kind="exited", code=0, oom=0))
        stream.close()


class NoExit(Forger):
    def script(self, stream):
        stream.frame(STDOUT, b"all fine\n")
        stream.close()


class TwoExits(Forger):
    def script(self, stream):
        for _ in range(2):
            stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", code=0, oom=0))
        stream.close()


class OutputBehindExit(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", code=0, oom=0))
        stream.frame(STDOUT, b"late\n")
        stream.close()


class HalfExit(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", code=0, oom=0)[:-3])
        stream.close()


class StrangeKind(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="succeeded", code=0, oom=0))
        stream.close()


class ImpossibleCode(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", code=256, oom=0))
        stream.close()


class NoCode(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", oom=0))
        stream.close()


class NonceTwice(Forger):
    """A wrong nonce and the right one: neither the first nor the last of a repeated key may count."""

    def script(self, stream):
        body = fields(("nonce", bytes(16)), ("nonce", self.seed["nonce"]), ("kind", "exited"), ("code", 0), ("oom", 0))
        stream.write(struct.pack(">BI", EXIT, len(body)) + body)
        stream.close()


class ExitOfAnotherStep(Forger):
    """Replays, as the end of the second step, what ended the first: before the second's answer."""
    kept = None

    def op_exec(self, stream, header, pairs):
        if self.kept:
            stream.write(self.kept)
            stream.close()
            return
        stream.write(fields(status="ok"))
        self.kept = exit_frame(nonce=self.seed["nonce"], kind="exited", code=0, oom=0)
        stream.write(self.kept)
        stream.close()


@pytest.mark.parametrize("guest", [NoNonce, WrongNonce, ShortNonce, NoExit, TwoExits, OutputBehindExit, HalfExit, StrangeKind, ImpossibleCode,
                                   NoCode, NonceTwice])
def test_only_an_exit_with_the_nonce_counts(folder, guest):
    job = run(folder, guest, "true")
    assert verdict_of(job) == PROTOCOL, job.text()


def test_an_exit_that_is_replayed_in_place_of_an_answer_is_303(folder):
    assert verdict_of(run(folder, ExitOfAnotherStep, "true", "true")) == PROTOCOL


class GoodForger(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="exited", code=0, oom=0))
        stream.close()


def test_the_same_exit_with_the_nonce_is_a_success(folder):
    assert verdict_of(run(folder, GoodForger, "true")) == (0, 0)


class LostStep(Forger):
    def script(self, stream):
        stream.write(exit_frame(nonce=self.seed["nonce"], kind="lost", code=0, oom=0))
        stream.close()


def test_a_lost_process_is_302(folder):
    assert verdict_of(run(folder, LostStep, "true")) == LOST


# Answers


class WrongFile(FakeGuest):
    def read_one(self, path, most):
        return fields(path="/etc/passwd", kind="regular", data=b"x=1")


class HugeFile(FakeGuest):
    def read_one(self, path, most):
        return fields(path=path, kind="regular", data=bytes(3 << 20))


class TooManyLists(FakeGuest):
    def op_read(self, stream, header, pairs):
        self.ok(stream, *[fields(path=v, kind="missing") for k, v in pairs if k == "path"] * 2)


class TooFewLists(FakeGuest):
    def op_read(self, stream, header, pairs):
        self.ok(stream)


class NoStatus(FakeGuest):
    def op_mkdir(self, stream, header, pairs):
        stream.write(fields(nothing="here"))
        stream.close()


class ManyPaths(FakeGuest):
    def op_which(self, stream, header, pairs):
        self.ok(stream, fields(*[("path", "/bin/x")] * 50))


class EndlessHeader(FakeGuest):
    """An answer of many fields that has no end."""

    def op_mkdir(self, stream, header, pairs):
        stream.write(struct.pack(">I", (1 << 20) + (60 << 10)))
        while True:
            stream.write(b"\0\1k\0\0\0\1v" * 2000)


class ManyFields(FakeGuest):
    def op_mkdir(self, stream, header, pairs):
        stream.write(fields(("status", "ok"), *[(f"k{i}", "") for i in range(9000)]))
        stream.close()


@pytest.mark.parametrize("guest", [WrongFile, HugeFile, TooManyLists, TooFewLists, NoStatus, ManyPaths, EndlessHeader, ManyFields])
def test_an_answer_out_of_form_is_303(folder, guest):
    assert verdict_of(run(folder, guest, "true")) == PROTOCOL


class Opener(FakeGuest):
    """Opens streams of its own, which this run does not offer."""

    def op_which(self, stream, header, pairs):
        for i in range(2, 100, 2):
            body = fields(op="connect", name="example.org", port=443)
            self.send(frame(WINDOW, SYN, i, 0) + frame(DATA, 0, i, len(body), body))
        super().op_which(stream, header, pairs)


def test_a_stream_that_the_guest_opens_is_refused_and_the_job_goes_on(folder):
    assert verdict_of(run(folder, Opener, "true")) == (0, 0)


# Floods


class Flood(FakeGuest):
    """Writes the same line for as long as the step lives."""
    text = b"x"

    def forward(self, stream, pipe, kind):
        while kind == STDOUT and not self.over and self.processes[-1].poll() is None:
            stream.frame(STDOUT, (self.text * 16000)[:16000])


class FloodOfAnnotations(Flood):
    text = b"::error file=a,line=1::x\n"


class FloodOfMasks(Flood):
    text = b"::add-mask::\n"


@pytest.mark.parametrize("guest", [Flood, FloodOfAnnotations, FloodOfMasks])
def test_a_flood_without_an_end_ends_with_the_jobs_time_and_costs_no_memory(folder, guest):
    job = run(folder, guest, job={"id": "build", "timeout_ms": 3000})
    assert job.verdict["conclusion"] == "timed_out" and job.status == 1
    assert 0 < job.peak <= sizes.MEMORY["devdep-job"]
    assert len(job.events("annotation")) <= 101


# Stalls: each costs its limit of time, so only at full size. The unit test of the session has them with short limits.


class Dribble(FakeGuest):
    def op_exec(self, stream, header, pairs):
        for byte in frame(DATA, 0, stream.id, 16384, bytes(16384)):
            self.send(bytes([byte]))
            time.sleep(0.5)


class Mute(FakeGuest):
    def op_mkdir(self, stream, header, pairs):
        pass

    def pong(self, value):
        pass


class Deaf(FakeGuest):
    def op_exec(self, stream, header, pairs):
        stream.write(fields(status="ok"))
        self.started.set()
        self.receive = lambda: time.sleep(600)


@pytest.mark.skipif(not sizes.SIZE.slow_agents, reason="waits for limits of 30 to 120 s: at full size")
@pytest.mark.parametrize("guest, verdict", [(Dribble, PROTOCOL), (Mute, LOST), (Deaf, LOST)])
def test_a_guest_that_stalls_is_cut_off(folder, guest, verdict):
    job = Job(folder, spec(folder, "true"), guest=guest)
    with job:
        job.wait(300)
    assert verdict_of(job) == verdict


# The VMM


@pytest.mark.parametrize("words", [b"junk\r\n", b"[" * (512 << 10), b'{"event":"' + b"x" * (512 << 10), b'{"return":{},"id":99}\r\n'],
                         ids=["junk", "depth", "endless_line", "answer_to_nothing"])
def test_a_vmm_that_breaks_its_control_protocol_is_302(folder, words):
    assert verdict_of(with_vmm(folder, lambda j: j.vmm.send(words))) == LOST


def test_a_vmm_that_floods_events_costs_no_memory(folder):
    def flood(job):
        for _ in range(20000):
            job.vmm.event("RTC_CHANGE", offset=1)
            job.sample()
        job.vmm.die()
    assert verdict_of(with_vmm(folder, flood)) == LOST


def with_vmm(folder, act, **more):
    job = Job(folder, spec(folder, "echo out; sleep 30", **more), console=b"Kernel panic\n")
    with job:
        job.until("log")
        act(job)
        job.wait(20)
    return job


def test_a_killed_vmm_is_302(folder):
    assert verdict_of(with_vmm(folder, lambda j: j.vmm.die())) == LOST


@pytest.mark.parametrize("reason", ["guest-shutdown", "guest-reset"])
def test_poweroff_and_reboot_are_302_with_the_console(folder, reason):
    job = with_vmm(folder, lambda j: j.vmm.event("SHUTDOWN", guest=True, reason=reason))
    assert verdict_of(job) == LOST
    assert reason in job.verdict["message"] and job.events("console")[0]["text"] == "Kernel panic\n"


def test_a_panic_is_302(folder):
    assert verdict_of(with_vmm(folder, lambda j: j.vmm.event("GUEST_PANICKED", action="pause"))) == LOST


def test_a_full_host_is_304(folder):
    def fill(job):
        job.vmm.event("BLOCK_IO_ERROR", device="scratch", **{"node-name": "scratch", "operation": "write", "action": "report",
                                                             "nospace": True, "reason": "No space left on device"})
    assert verdict_of(with_vmm(folder, fill)) == RESOURCES


def test_a_vmm_that_never_boots_and_dies_is_301(folder):
    job = Job(folder, spec(folder, "true"), guest=Silent)
    with job:
        job.until("job_started")
        job.vmm.die()
        job.wait()
    assert verdict_of(job) == BOOT


# The journal


def test_a_full_journal_is_304_and_the_verdict_is_still_written(folder):
    mount = os.path.join(folder, "small")
    os.mkdir(mount)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount]).returncode:
        pytest.skip("needs the right to mount")
    try:
        path = os.path.join(mount, "journal")
        job = Job(folder, spec(folder, "yes 0123456789012345678901234567890123456789 | head -c 30000000; sleep 30"),
                  journal=os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        job.journal_path = path
        with job:
            job.wait()
        assert verdict_of(job) == RESOURCES
        with open(path, "rb") as f:
            assert f.read().endswith(b"\n")
        # The verdict was written into what had been kept free, and the rest of that was given back.
        free = os.statvfs(mount)
        assert free.f_bavail * free.f_bsize >= 512 * 1024
        assert os.stat(path).st_blocks * 512 - os.stat(path).st_size < 64 * 1024
    finally:
        subprocess.run(["umount", mount], check=True)
