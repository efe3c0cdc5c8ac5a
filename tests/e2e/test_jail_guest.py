"""Control groups of version 2, where all controllers exist: the unit test of src/sandbox/cgroup.c runs in a guest, as root, as the user
that the group of a step is delegated to, and without delegation."""
import pathlib
import re
import shutil
import subprocess

import pytest

import devdep
import runs
from test_run_ends import workflow

pytestmark = pytest.mark.guest

PROGRAM = devdep.BUILD / "test-sandbox-cgroup"
RUN = "LD_LIBRARY_PATH=$PWD/lib ./test-sandbox-cgroup"
LIVE = ("process_past_the_bound_of_memory_is_killed_and_that_is_told", "new_group_of_the_same_name_ends_what_an_older_one_left",
        "fork_past_the_bound_of_processes_is_refused_and_what_is_left_is_killed")


def libraries(program):
    """What the guest's image may lack; the C library is Debian's there, too."""
    out = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [pathlib.Path(p) for p in re.findall(r"=> (/\S*(?:cmocka|seccomp)\S*)", out)]


@pytest.fixture(scope="module")
def job():
    scene = runs.Scene()
    repo = scene.repo()
    shutil.copy(PROGRAM, repo.path)
    (repo.path / "lib").mkdir()
    for library in libraries(PROGRAM):
        shutil.copy(library, repo.path / "lib")
    devdep.give(repo.path)
    repo.workflow(workflow(a=[
        {"uses": "actions/checkout@v4"},
        {"id": "user", "run": RUN, "continue-on-error": True},
        {"id": "root", "run": f"sudo env {RUN}", "continue-on-error": True},
        {"id": "alone", "continue-on-error": True,
         "run": f"sudo sh -c \"mkdir /sys/fs/cgroup/of-root; echo $$ > /sys/fs/cgroup/of-root/cgroup.procs\"; {RUN}"},
        {"id": "left", "run": "find /sys/fs/cgroup -type d -name 'test-*'"}]))
    repo.commit()
    yield scene.json(repo, "--memory", "1G")["a"]
    scene.close()


@pytest.mark.parametrize("who", ["user", "root"])
def test_groups_of_version_2_bound_memory_and_processes_and_end(job, who):
    log = job[who].log
    assert job[who].outcome == "success" and "FAILED" not in log, log
    assert "; version 2" in log and "; version 1" not in log, log
    for name in LIVE:
        assert f"[       OK ] {name}" in log, log


def test_a_user_without_delegation_is_told_what_is_missing(job):
    log = job["alone"].log
    assert job["alone"].outcome == "success" and "FAILED" not in log, log
    assert "no control group with memory and pids is delegated to this user" in log and "; version" not in log, log


def test_nothing_is_left_of_the_groups(job):
    assert job["left"].lines == []
