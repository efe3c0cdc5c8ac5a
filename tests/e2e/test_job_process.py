"""What devdep-job and devdep-prepare are, read back from /proc while they face a guest: their rows of ARCHITECTURE.md."""
import os
import subprocess
import tempfile
import threading

import pytest

import vm_stage
from fake_guest import BUILD, USER, FakeGuest, FakeVmm, Job, recv_exact, spec

pytestmark = pytest.mark.sanitized

ROOT = os.geteuid() == 0


class Waiting(FakeGuest):
    def boot(self):
        recv_exact(self.sock, 1)


def prepares(folder):
    """devdep-prepare that has come as far as the greeting of its VMM."""
    class Vmm(FakeVmm):
        def answer(self, request):
            reached.set()
            return super().answer(request)
    reached = threading.Event()
    prepare = vm_stage.Prepare(folder, "--template", Waiting, Vmm)
    assert reached.wait(60)
    return prepare


@pytest.fixture(scope="module", params=["devdep-job", "devdep-prepare"])
def process(request):
    if request.param == "devdep-prepare":
        with tempfile.TemporaryDirectory(prefix="devdep-job-") as folder, prepares(folder) as prepare:
            yield prepare.process.pid
        return
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as folder:
        with Job(folder, spec(folder, "sleep 120")) as job:
            job.until("step_started")
            yield job.pid


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def read(pid, name):
    with open(f"/proc/{pid}/{name}") as f:
        return f.read()


@pytest.mark.skipif(not ROOT, reason="an ordinary user's job keeps that user's id")
def test_it_has_its_own_user_and_no_groups(process):
    s = status(process)
    assert s["Uid"].split() == [str(USER)] * 4 and s["Gid"].split() == [str(USER)] * 4
    assert s["Groups"].split() in ([], [str(USER)])


def test_it_has_no_capability_and_cannot_gain_one(process):
    s = status(process)
    assert all(int(s[k], 16) == 0 for k in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    assert s["NoNewPrivs"] == "1"


def test_a_filter_is_on_its_system_calls(process):
    assert status(process)["Seccomp"] == "2"


def test_its_network_is_empty(process):
    assert os.readlink(f"/proc/{process}/ns/net") != os.readlink("/proc/self/ns/net")
    lines = read(process, "net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] in ([], ["lo"])
    assert read(process, "net/route").splitlines()[1:] == []


@pytest.mark.as_used
def test_it_sees_no_file(process):
    assert os.readlink(f"/proc/{process}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    if ROOT:
        assert sorted(os.listdir(f"/proc/{process}/root")) == []
        assert os.listdir(f"/proc/{process}/cwd") == []


def test_it_holds_its_descriptors_and_no_others(process):
    kinds = {}
    for fd in os.listdir(f"/proc/{process}/fd"):
        kinds[int(fd)] = os.readlink(f"/proc/{process}/fd/{fd}").split(":")[0]
    assert kinds[7] == "pipe" and all(kinds[fd] == "socket" for fd in (5, 6)) and kinds.get(9, "socket") == "socket"
    # 3, the specification, was read and closed; its number may be the loop's by now
    ours = {fd: k for fd, k in kinds.items() if fd > 11 or fd == 3}
    assert set(ours.values()) <= {"anon_inode"}, kinds


@pytest.mark.as_used
def test_its_environment_is_empty_and_it_leaves_no_core(process):
    # glibc keeps the block it was started with; the starter gives none (ARCHITECTURE.md)
    limits = read(process, "limits")
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    processes = next(line for line in limits.splitlines() if line.startswith("Max processes"))
    assert processes.split()[2:4] == ["0", "0"]


@pytest.mark.as_used
def test_it_is_small_while_it_waits(process):
    """At most 12 MB resident (job_rss_mb)."""
    assert int(status(process)["VmRSS"].split()[0]) <= 12 * 1024


def test_root_must_give_it_a_user():
    if not ROOT:
        pytest.skip("needs root")
    r = subprocess.run([os.path.join(BUILD, "devdep-job")], capture_output=True, text=True)
    assert r.returncode == 2 and "--uid" in r.stderr


@pytest.mark.as_used
def test_it_confines_itself_before_the_first_byte_of_the_guest():
    """The order of system calls: the filter is loaded before the channel is read."""
    if subprocess.run(["which", "strace"], capture_output=True).returncode:
        pytest.skip("needs strace")

    with tempfile.TemporaryDirectory(prefix="devdep-job-") as folder:
        trace = os.path.join(folder, "trace")
        with Job(folder, spec(folder, "true", boot_timeout_ms=300), guest=Waiting,
                 wrap=["/usr/bin/strace", "-o", trace, "-e", "trace=read,recvfrom,recvmsg,seccomp,prctl,execve"]) as job:
            job.wait()
        with open(trace) as f:
            lines = f.read().splitlines()
    assert_confined_first(lines)


def assert_confined_first(lines):
    filtered = next(i for i, line in enumerate(lines) if line.startswith("seccomp(") or "PR_SET_SECCOMP" in line)
    reads = [i for i, line in enumerate(lines) if line.startswith(("read(3,", "read(5,", "read(6,", "recvfrom(6,", "recvmsg(6,"))]
    early = [lines[i] for i in reads if i < filtered and "ELF" not in lines[i]]
    assert reads and not [line for line in early if not line.startswith("read(3,")], early


@pytest.mark.parametrize("program", ["devdep-job", "devdep-prepare"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_it_explains_itself(option, program):
    r = subprocess.run([os.path.join(BUILD, program), option], capture_output=True, text=True)
    assert r.returncode == 0 and program in r.stdout


@pytest.mark.parametrize("text, message", [(b"", "job specification"), (b"{}", "version"), (b'{"version": 1, "extra": 1}', "extra: unknown key")])
def test_a_bad_specification_is_a_usage_error_that_names_the_field(text, message):
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as folder:
        with Job(folder, text) as job:
            assert job.wait() == 2
            with open(job.stderr_path) as f:
                last = f.read().splitlines()[-1]
            assert "ERR_USAGE" in last and message in last
