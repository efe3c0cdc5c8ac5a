"""The unit of devdep-pool: what systemd says of it, and the service under a systemd that is process 1 of namespaces of its own, with a
control group of its own and in place of /var/lib/devdep a folder that is thrown away."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import devdep
import runs

UNIT = devdep.BUILD / "share" / "systemd" / "devdep-pool.service"
SYSTEMD = pathlib.Path("/lib/systemd/systemd")
EXPOSURE = 4.2  # of 10, by systemd-analyze: what it may, most of all, is to build jails

analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
boots = pytest.mark.skipif(not SYSTEMD.exists() or not shutil.which("nsenter") or os.geteuid() != 0 or bool(devdep.USER),
                           reason="systemd starts in namespaces of root's, or is not installed")


def unit(folder):
    """The unit with the programs where its own mounts leave them visible: /tmp and home folders are not."""
    path = folder / "devdep-pool.service"
    path.write_text(re.sub(r"^ExecStart=\S+/", "ExecStart=/mnt/", UNIT.read_text(), flags=re.M))
    return path


def verify(path):
    return subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)


@analyze
def test_systemd_finds_no_fault_with_the_unit(folder):
    path = folder / "devdep-pool.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.M))
    done = verify(path)
    assert (done.returncode, done.stderr) == (0, ""), done
    path.write_text(path.read_text().replace("PrivateTmp=yes", "PrivateTmp=perhaps"))
    assert "perhaps" in verify(path).stderr


@analyze
def test_the_unit_is_no_more_exposed_than_it_has_to_be():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", UNIT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


# /sys/fs/cgroup becomes the unified hierarchy below the group in which this runs; the host's own settings are only to be read.
START = """
mount --bind /var/lib/devdep/images "$STATE/images"
mount --bind /var/lib/devdep/keys "$STATE/keys"
mount --rbind "$STATE" /var/lib/devdep
mount --bind "$PROGRAMS" /mnt
mount -t cgroup2 none /sys/fs/cgroup
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs /run
exec env -i PATH="$PATH" container=test SYSTEMD_UNIT_PATH="$UNITS" "$SYSTEMD" --system --unit=test.target --log-target=console
"""


class Systemd:
    def __init__(self, folder):
        self.state, self.units = folder / "state", folder / "units"
        for path in (self.state, self.state / "images", self.state / "keys", self.units):
            path.mkdir()
        unit(self.units)
        (self.units / "test.target").write_text("[Unit]\nWants=devdep-pool.service\n")
        for name in ("basic", "sysinit", "shutdown", "multi-user"):
            (self.units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        root = pathlib.Path("/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup")
        self.group = root / f"devdep-test-{os.getpid()}"
        self.group.mkdir()
        self.log = open(folder / "log", "w+")
        env = {**os.environ, "STATE": self.state, "PROGRAMS": devdep.BUILD, "UNITS": self.units, "SYSTEMD": SYSTEMD}
        self.process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--cgroup", "--propagation", "private",
                                         "sh", "-ec", START], env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=lambda: (self.group / "cgroup.procs").write_text("0"))
        runs.wait_until(lambda: self.pid() and self("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"), self.text)

    def pid(self):
        assert self.process.poll() is None, self.text
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children and children[0]

    def argv(self, *argv):
        return ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--", *map(str, argv)]

    def __call__(self, *argv):
        return subprocess.run(self.argv(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                              env=devdep.environment({"DEVDEP_STATE": "/var/lib/devdep"}))

    def cli(self, *argv):
        return self("/mnt/devdep-cli", *argv)

    @property
    def text(self):
        self.log.seek(0)
        return self.log.read()

    def end(self):
        if pid := self.pid():
            os.kill(int(pid), 9)
        self.process.wait(30)
        groups = [self.group, *(p for p in self.group.rglob("*") if p.is_dir())]
        for group in sorted(groups, key=lambda p: -len(p.parts)):
            group.rmdir()


@pytest.fixture
def systemd(folder):
    system = Systemd(folder)
    yield system
    with contextlib.suppress(AssertionError):
        system.end()


def state_of(systemd):
    return systemd("systemctl", "is-active", "devdep-pool").stdout.strip()


@boots
@pytest.mark.guest
def test_the_service_parks_machines_and_leaves_those_that_work(systemd, repo):
    assert state_of(systemd) == "active", systemd.text
    warmed = systemd.cli("vm", "warm", "default", "--count", "2")
    assert warmed.returncode == 0, warmed
    repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [
        {"run": "echo it-is-$((1+1))-running; sleep 5"}, {"run": "echo end-$((1+1))"}]}}}))
    repo.commit()
    command = subprocess.Popen(systemd.argv("/mnt/devdep-cli", "run", "--json", "--dir", repo.path), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True, env=devdep.environment({"DEVDEP_STATE": "/var/lib/devdep"}))
    told = ""
    while "it-is-2-running" not in told:
        line = command.stdout.readline()
        assert line, told
        told += line
    assert '"origin":"parked"' in told
    assert systemd("systemctl", "stop", "devdep-pool").returncode == 0 and state_of(systemd) == "inactive"
    told += command.stdout.read()
    assert command.wait(60) == 0 and "end-2" in told, told
    assert systemd("systemctl", "start", "devdep-pool").returncode == 0 and state_of(systemd) == "active"
    assert "parked: 1 of" in systemd.cli("vm", "warm", "default").stdout
    assert systemd("systemctl", "stop", "devdep-pool").returncode == 0
    assert [p for p in systemd.state.glob("slots/*/*") if p.name != "lock"] == []
