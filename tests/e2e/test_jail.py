"""The jail of a live run, from outside: control groups, what the kernel kills, what the run says then. What an intruder can do inside
is in tests/abuse/test_intruder.py."""
import errno
import fcntl
import json
import os
import pathlib
import shutil
import signal
import time

import pytest

import devdep
import runs
from test_run_ends import RUNNING, WAITS, workflow

pytestmark = [pytest.mark.guest, pytest.mark.skipif(os.geteuid() != 0, reason="root sees every process")]

F_GET_SEALS, SEALED = 1034, 0xf  # SEAL, SHRINK, GROW, WRITE
MEMORY = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
as_root = pytest.mark.skipif(bool(devdep.USER), reason="an ordinary user's groups need delegation")


@pytest.fixture
def start(cli, repo):
    """start(option..., step=command): a run whose one step waits, or does what the command says once it runs."""
    started = []

    def one(*options, step=WAITS):
        repo.workflow(workflow(a=[step]))
        repo.commit()
        started.append(runs.Live(cli, repo, "--memory", "512M", *options))
        started[-1].wait_for(f'"text":"{RUNNING}')
        return started[-1]
    yield one
    for run in started:
        run.process.terminate()
        run.end()


@pytest.fixture
def live(start):
    return start()


def places(cli, role):
    return [pathlib.Path(p) for p in (cli.state / "slots/0/groups" / role).read_text().split()]


def memory_files(cli, role):
    """(limit, use) of the group's memory."""
    return next((p / limit, p / use) for p in places(cli, role) for limit, use in MEMORY if (p / limit).exists())


def members(cli, role):
    return {int(pid) for pid in (places(cli, role)[0] / "cgroup.procs").read_text().split()}


@as_root
def test_every_process_that_faces_the_guest_is_in_a_group_with_a_bound(cli, live):
    (slot,) = runs.slot_processes(cli).values()
    assert members(cli, "vmm") == {*slot["jail"], *slot["qemu"], *runs.descendants(slot["jail"][0])}
    assert members(cli, "job") == set(slot["job"])
    source = [pid for pid, name in runs.descendants(live.process.pid).items() if name.startswith("devdep-source")]
    assert members(cli, "source") == set(source) and source
    for role, bound in (("vmm", (512 << 20) + (512 << 20) + (512 << 20) // 256), ("job", 512 << 20), ("source", 4 << 30)):
        limit, use = memory_files(cli, role)
        assert int(limit.read_text()) == bound and 0 < int(use.read_text()) < bound
    started = next(json.loads(line)["event"] for line in live.lines if '"job_started"' in line)
    held = started["protections"]
    assert [held[f"{who}.control-group"] for who in ("vmm", "job", "source")] == ["ok"] * 3, held
    assert held["job.seccomp"] == held["job.empty-network"] == held["vmm.seccomp"] == "ok", held
    groups = places(cli, "vmm") + places(cli, "job") + places(cli, "source")
    live.process.terminate()
    live.end()
    assert [p for p in groups if p.exists()] == []


def descriptor_is_harmless(path):
    """Nothing that anybody else has can be changed through it."""
    link = os.readlink(path)
    if link == "/dev/null" or link.startswith(("socket:", "pipe:", "anon_inode:")):
        return True
    fd = os.open(path, os.O_RDONLY)
    try:
        if link.startswith("/memfd:"):
            own = link.startswith("/memfd:vmm-log")
            return own or fcntl.fcntl(fd, F_GET_SEALS) & SEALED == SEALED
    finally:
        os.close(fd)
    if link.endswith(" (deleted)"):
        return os.stat(path).st_nlink == 0  # the VM's own scratch disk
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as e:
        return e.errno == errno.EROFS
    return False


@pytest.mark.user
@pytest.mark.parametrize("how", ["--cold", None], ids=["booted", "cloned"])
def test_every_descriptor_of_a_live_vmm_is_sealed_its_own_or_read_only(cli, start, how):
    start(*([how] if how else []))
    (slot,) = runs.slot_processes(cli).values()
    paths = sorted(pathlib.Path(f"/proc/{slot['qemu'][0]}/fd").glob("*"))
    links = {p.name: os.readlink(p) for p in paths}
    assert len(paths) >= 8 and any(link.startswith("/memfd:template-memory" if how is None else "/memfd:") for link in links.values()), links
    assert {links[p.name] for p in paths if not descriptor_is_harmless(p)} == set()


# What a job asks devdep-job to remember, without an end; QEMU takes pages by itself.
REMEMBER = f"echo {RUNNING}; while :; do i=$((i + 1)); echo ::add-mask::value-of-$i; done"


@as_root
@pytest.mark.parametrize("role, step, name", [
    ("vmm", WAITS, "the VMM was killed because it used up the memory of its control group"),
    ("job", REMEMBER, "devdep-job ended without a verdict: it used up the memory of its control group")])
def test_whom_the_kernel_kills_for_memory_is_named_in_the_verdict(cli, start, role, step, name):
    """The bound is lowered below what is in use, and no swap takes the rest: as if the process had grown past it."""
    run = start(step=step)
    lower(cli, role, 1 << 20)
    result = run.end()
    assert result.status == 46 and result.error[:2] == (302, "ERR_GUEST_LOST") and name in result.text, result
    assert runs.leftovers(cli) == []


def lower(cli, role, bound):
    """Version 2 kills whoever is above a new bound; version 1 refuses it, so memory is asked for: with the bound a little above what is in
    use the next pages that the process takes are too many."""
    limit, use = memory_files(cli, role)
    if limit.name == "memory.max":
        limit.write_text(str(bound))
        return
    pids = members(cli, role)
    with open(limit.parent / "memory.oom_control") as control:
        assert "oom_kill_disable 0" in control.read()
    deadline = time.monotonic() + 120
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"{role} took no page more"
        try:
            limit.write_text(str(max(bound, int(use.read_text()))))
        except OSError:
            pass


@pytest.mark.user
def test_a_vmm_that_its_filter_killed_is_named_with_the_signal(cli, live):
    (slot,) = runs.slot_processes(cli).values()
    os.kill(slot["qemu"][0], signal.SIGSYS)
    result = live.end()
    assert result.status == 46 and "the VMM was killed by its system call filter (SIGSYS)" in result.text, result


def test_a_devdep_source_that_its_filter_killed_is_named_with_the_signal(cli, repo):
    """An intruder stands beside a copy of the command under devdep-source's name."""
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    programs = cli.state.parent / "programs"
    programs.mkdir()
    shutil.copy(devdep.BUILD / "devdep-cli", programs)
    shutil.copy(devdep.BUILD / "tests/abuse/intruder", programs / "devdep-source")
    cli.program = programs / "devdep-cli"
    result = cli("run", "--dir", repo.path)
    assert result.error[0] == 304 and "devdep-source was killed by its system call filter (SIGSYS)" in result.error[2], result
