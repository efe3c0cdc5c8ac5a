"""What the processes of a live run hold, read back from /proc: nothing of the command's own terminal, no folder to write in."""
import os
import pathlib
import signal

import pytest

import runs
from test_run_ends import RUNNING, WAITS, workflow

pytestmark = pytest.mark.guest


def descriptors(pid):
    found = {}
    for link in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        try:
            found[int(link.name)] = os.readlink(link)
        except OSError:
            pass
    return found


@pytest.fixture
def live(cli, repo):
    repo.workflow(workflow(a=[WAITS]))
    repo.commit()
    run = runs.Live(cli, repo, "--memory", "512M")
    run.wait_for(f'"text":"{RUNNING}')
    yield run
    run.process.terminate()
    run.end()


def test_no_process_of_a_run_can_read_or_write_the_commands_standard_streams(live):
    own = descriptors(live.process.pid)
    streams = {own[1], own[2]}
    assert len(streams) == 2 and all(s.startswith("pipe:") for s in streams)
    others = runs.descendants(live.process.pid)
    names = {name for name in others.values()}
    assert any(n.startswith("devdep-job") for n in names) and any(n.startswith("devdep-source") for n in names), others
    held = {f"{name} {fd}": link for pid, name in others.items() for fd, link in descriptors(pid).items()}
    assert {k: v for k, v in held.items() if v in streams} == {}, held


def test_devdep_job_cannot_change_its_folder_or_fill_the_disk(cli, live):
    (slot,) = runs.slot_processes(cli).values()
    pid = slot["job"][0]
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    assert all("ro" in m[5].split(",") for m in mounts) and "/run" in [m[4] for m in mounts], mounts
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    size = next(line for line in limits.splitlines() if line.startswith("Max file size"))
    assert size.split()[3:5] == [str(1 << 30)] * 2


def test_devdep_store_sees_its_two_shelves_and_nothing_else_that_it_can_write(cli, live):
    """The row of ARCHITECTURE.md: a user of its own, no network, two folders, a filter, no capability, one process."""
    (pid,) = [p for p, name in runs.descendants(live.process.pid).items() if name.startswith("devdep-store")]
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and status["Seccomp_filters"] == "2"
    assert {status[c] for c in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    writable = {m[4]: m[5].split(",") for m in mounts if "rw" in m[5].split(",")}
    assert set(writable) == {"/artifacts", "/caches"}, mounts
    assert all({"nosuid", "nodev", "noexec"} <= set(flags) for flags in writable.values()), writable
    assert all(os.readlink(f"/proc/{pid}/ns/{ns}") != os.readlink(f"/proc/self/ns/{ns}") for ns in ("net", "mnt", "pid", "ipc", "uts"))
    links = descriptors(pid)
    assert {fd for fd in links if fd > 4} == {fd for fd, link in links.items() if link.startswith(("/artifacts", "/caches"))}, links
    assert [fd for fd, link in links.items() if link.startswith("socket:")] == [3, 4], links
    if os.geteuid() == 0:
        users = {int(u) for u in status["Uid"].split()}
        others = {os.stat(f"/proc/{p}").st_uid for p, name in runs.descendants(live.process.pid).items()
                  if p != pid and not name.startswith("devdep-service")}
        assert len(users) == 1 and 0 not in users and not users & others, (users, others)
        shelf = cli.state / "store/artifacts"
        assert {f.stat().st_uid for f in shelf.iterdir()} == users and shelf.stat().st_uid == 0


def test_devdep_service_sees_the_caches_and_nothing_else_that_it_can_write(cli, live):
    """The row of ARCHITECTURE.md: the store's user, no network, one folder to write and one to read, a filter, no capability, one process, two sockets."""
    (pid,) = [p for p, name in runs.descendants(live.process.pid).items() if name.startswith("devdep-service")]
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and status["Seccomp_filters"] == "2"
    assert {status[c] for c in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    writable = {m[4]: m[5].split(",") for m in mounts if "rw" in m[5].split(",")}
    assert set(writable) == {"/caches"}, mounts
    assert {"nosuid", "nodev", "noexec"} <= set(writable["/caches"]), writable
    assert all(os.readlink(f"/proc/{pid}/ns/{ns}") != os.readlink(f"/proc/self/ns/{ns}") for ns in ("net", "mnt", "pid", "ipc", "uts"))
    (artifacts,) = [m for m in mounts if m[4] == "/artifacts"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(artifacts[5].split(",")), artifacts
    links = descriptors(pid)
    assert {link.split(":")[0].split("/")[1] if link.startswith("/") else link.split(":")[0] for fd, link in links.items() if fd > 2} == {
        "socket", "caches", "anon_inode"}, links
    assert [fd for fd, link in links.items() if link.startswith("socket:")] == [3, 4], links
    if os.geteuid() == 0:
        (store,) = [p for p, name in runs.descendants(live.process.pid).items() if name.startswith("devdep-store")]
        assert os.stat(f"/proc/{pid}").st_uid == os.stat(f"/proc/{store}").st_uid != 0
        assert all(os.readlink(f"/proc/{pid}/ns/{ns}") != os.readlink(f"/proc/{store}/ns/{ns}") for ns in ("net", "mnt", "pid"))


def test_a_job_that_takes_no_request_does_not_end_the_run(cli, repo):
    """The socket is gone, as from a devdep-job that has just ended: the other job still cancels in order."""
    repo.workflow(workflow(a=[WAITS], b=[WAITS, {"if": "always()", "run": "echo cleaning-$((1+1))"}]))
    repo.commit()
    run = runs.Live(cli, repo, "--jobs", "2", "--memory", "512M")
    run.wait_for(f'"text":"{RUNNING}', 2)
    deaf = next(p["job"][0] for p in runs.slot_processes(cli).values() if is_job(cli, p["job"][0], "a"))
    slot = pathlib.Path(f"/proc/{deaf}/cmdline").read_text().split("\0")[2]
    (pathlib.Path(slot) / "control").unlink()
    run.signal(signal.SIGINT)
    run.wait_for("cleaning-2")
    result = run.end()
    assert result.status == 130 and result.error[:2] == (3, "ERR_CANCELLED"), result
    assert runs.leftovers(cli) == []


def is_job(cli, pid, key):
    return descriptors(pid)[4].endswith(f"/{key}.journal")


def test_a_reader_that_goes_away_ends_the_run_and_nothing_stays(cli, repo):
    repo.workflow(workflow(a=["while sleep 0.3; do echo tick; done"]))
    repo.commit()
    process = cli.popen("run", "--dir", repo.path, "--memory", "512M")
    for line in process.stdout:
        if line.endswith("| tick\n"):
            break
    process.stdout.close()
    assert process.wait(280) > 0
    process.stderr.read()
    assert runs.leftovers(cli) == []
