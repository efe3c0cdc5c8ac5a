"""What happens to the host, or is done on it, while a job runs: its disk is full, its templates vanish or rot, a slot's user id is in
use by a stranger."""
import errno
import itertools
import os
import shutil
import subprocess

import pytest

import census
import devdep
import runs
import scene as scenes
import sizes

pytestmark = [pytest.mark.guest, pytest.mark.skipif(os.geteuid() != 0 or bool(devdep.USER), reason="mounts and takes other users' ids, so root")]


@pytest.fixture
def small_disk(folder):
    """A state folder on a file system of its own."""
    state = folder / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1600m,mode=755", "none", state], check=True)
    made = scenes.Scene(state)
    yield made
    left = made.left()
    subprocess.run(["umount", state], check=True)
    assert left == []


def fill_but(path, left):
    """A file that takes all room but `left` bytes, while others take some, too."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    while (room := (free := os.statvfs(path)).f_bavail * free.f_frsize - left) > 0:
        try:
            os.posix_fallocate(fd, os.fstat(fd).st_size, room)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    os.close(fd)


def test_a_full_file_system_of_the_host_is_304_and_never_a_paused_guest(small_disk, repo):
    state = small_disk.cli.state
    repo.workflow(scenes.workflow(
        a=["echo it-is-$((1+1))-running; while :; do dd if=/dev/zero of=$HOME/big bs=1M count=200 conv=fsync || break; done; sync; sleep 3000"]))
    repo.commit()
    with census.Watch() as watch:
        small_disk.watches.append(watch)
        live = runs.Live(small_disk.cli, repo, "--memory", scenes.MEMORY)
        live.wait_for('"type":"step_started"')
        fill_but(state / "filler", 16 << 20)
        result = live.end()
    (state / "filler").unlink()
    assert result.status == 48 and result.error[:2] == (304, "ERR_RESOURCES"), result
    repo.workflow(scenes.workflow(a=["echo after"]))
    after = small_disk.json(repo, "--memory", scenes.MEMORY)
    assert after.finished["conclusion"] == "success", after.result


def stranger(uid):
    """A process of that user that wants to stay."""
    return subprocess.Popen(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", "sh", "-c",
                             "trap '' TERM INT HUP; while :; do sleep 1; done"], stdin=subprocess.DEVNULL)


def test_whoever_has_a_slots_user_ids_is_gone_before_the_next_job_has_them(scene, repo):
    uids = census.slot_uids(scene.cli.state)[:3]
    strangers = [stranger(uid) for uid in uids]
    slot = scene.cli.state / "slots" / "0"
    (slot / "run").mkdir()
    (slot / "run" / "control").write_text("planted")
    os.chown(slot / "run" / "control", uids[0], uids[0])
    runs.wait_until(lambda: all(f"Uid:\t{uid}" in census.text_of(f"/proc/{s.pid}/status") for uid, s in zip(uids, strangers)), "the strangers")
    repo.workflow(scenes.workflow(a=["echo it-is-$((1+1))-running; sleep 3000"]))
    repo.commit()
    with census.Watch() as watch:
        scene.watches.append(watch)
        live = runs.Live(scene.cli, repo, "--memory", scenes.MEMORY)
        live.wait_for("it-is-2-running")
        assert [s.poll() for s in strangers] == [-9, -9, -9]
        job = next(pid for pid, name in runs.descendants().items() if name.startswith("devdep-job"))
        assert f"Uid:\t{uids[0]}" in census.text_of(f"/proc/{job}/status")
        live.signal(2)
        assert live.end().status == 130


def templates(scene):
    return [p for p in (scene.cli.state / "templates").glob("*") if (p / "manifest.json").exists()]


def remove(folder):
    """At once: the run may be making files in it."""
    away = folder.parent.parent / "removed"
    folder.rename(away)
    shutil.rmtree(away)


def cut(folder):
    os.truncate(folder / "memory", os.path.getsize(folder / "memory") // 2)


def rot(folder):
    """Another device state of the same size."""
    size = os.path.getsize(folder / "state")
    (folder / "state").write_bytes(os.urandom(size))


def unlink_memory(folder):
    (folder / "memory").unlink()


ACTS = {"removed": remove, "without-memory": unlink_memory, "cut": cut, "rotten": rot}
WHEN = ("before", "as-it-is-read", "as-it-runs")
SAMPLE = [("rotten", "before"), ("removed", "as-it-is-read"), ("cut", "as-it-is-read")]  # what tests/e2e/test_template.py has not


def assert_innocent(result):
    assert result.status == 0 and runs.Run(result)["innocent"]["work"].lines == scenes.INNOCENT_LINES, result


@pytest.mark.parametrize("act, when", itertools.product(ACTS, WHEN) if sizes.SIZE.cycles else SAMPLE)
def test_a_template_that_goes_or_rots_harms_no_run(scene, repo, act, when):
    if not templates(scene):
        scene.warm()
    repo.workflow(scenes.workflow(innocent=[{"id": "work", "run": scenes.INNOCENT}]))
    repo.commit()

    def vandalize():
        for folder in templates(scene):
            ACTS[act](folder)
    if when == "before":
        vandalize()
    with census.Watch() as watch:
        scene.watches.append(watch)
        live = runs.Live(scene.cli, repo, "--memory", scenes.MEMORY)
        if when == "as-it-is-read":
            runs.wait_until(lambda: runs.descendants(live.process.pid), "the command's first process")
            vandalize()
        elif when == "as-it-runs":
            live.wait_for('"type":"step_started"')
            vandalize()
        result = live.end()
    assert_innocent(result)
    if when != "before":
        # What is left is a damaged template that the next run finds, and makes whole; as it is read, too, where the run was faster.
        assert_innocent(runs.Live(scene.cli, repo, "--memory", scenes.MEMORY).end())
