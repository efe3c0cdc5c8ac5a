"""devdep-pool: what is parked is claimed once, by its user; whoever behaves badly costs nothing; whatever dies leaves nothing."""
import ctypes
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

import census
import devdep
import pool
import runs

WALL = 0x40000000  # of waitpid: what is traced, too
as_root = pytest.mark.skipif(os.geteuid() != 0 or bool(devdep.USER), reason="speaks as several users, so root")
HELLO = json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [{"run": "echo it-is-$((1+1))"}]}}})
WAITS = json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [
    {"run": "echo it-is-$((1+1))-running; until [ -e go ]; do sleep 0.1; done"}, {"run": "echo end-$((1+1))"}]}}})
SHORT = json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [
    {"run": "echo it-is-$((1+1))-running; sleep 6; echo end-$((1+1))"}]}}})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the template of one test is kept for the others: making it takes most of the time."""
    return tmp_path_factory.mktemp("kept") / "templates"


def copy(source, target):
    if source.exists() and not target.exists():
        subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)


@pytest.fixture
def start(cli, kept):
    """Start a pool of this test's state; whatever it is in the end, it is ended."""
    started = []
    copy(kept, cli.state / "templates")

    def start_pool(*args, **more):
        started.append(pool.Pool(cli, *args, **more))
        return started[-1]
    yield start_pool
    pool.Answer.close_all()
    for p in started:
        p.stop()
    copy(cli.state / "templates", kept)


# ---- verbs ----

@pytest.mark.user
def test_a_pool_says_what_it_has_and_why_it_has_not(start):
    p = start("--memory", "100M")
    hello = p.ask(pool.request("hello"))
    assert hello.status == "ok" and hello.words["budget"] == str(100 << 20) and hello.words["used"] == "0"
    assert p.ls().vms == [] and p.ls().keeps == []
    assert p.ask(pool.kind("claim")).status == "none"
    assert p.ask(pool.kind("warm", "no-such-image", count=2)).status == "ok"
    runs.wait_until(lambda: p.ls().keeps[0]["problem"], "the pool says why nothing is parked")
    keep = p.ls().keeps[0]
    assert "no-such-image" in keep["problem"] and (keep["count"], keep["parked"]) == ("2", "0")
    assert p.ask(pool.kind("warm", "no-such-image", count=0)).status == "ok"
    assert p.ls().keeps == []


@pytest.mark.user
def test_the_command_says_what_to_do_without_a_pool_and_without_an_image(cli, start):
    assert "devdep-pool --warm" in cli("vm", "warm", "default").error[2]
    assert cli("vm", "ls").out.startswith("no VMs")
    assert json.loads(cli("vm", "ls", "--json").out) == {"vms": [], "kept": [], "pool": None}
    start()
    result = cli("vm", "warm", "no-such-image")
    assert result.status != 0 and "image build" in result.error[2], result
    assert "kept: no-such-image" in cli("vm", "ls").out
    assert cli("vm", "stop", "--all-parked").status == 0
    assert cli("vm", "stop", "7").error[:2] == (2, "ERR_USAGE")
    assert cli("vm", "stop").error[:2] == (2, "ERR_USAGE")


@pytest.mark.user
def test_one_pool_per_state_folder_and_no_socket_with_a_path_that_is_too_long(cli, start, folder):
    start()
    second = subprocess.run(devdep.become([devdep.BUILD / "devdep-pool"]), env=cli.env(), capture_output=True, text=True, timeout=60)
    assert second.returncode == 2 and "runs already" in second.stderr
    long = folder / ("x" * 100)
    long.mkdir()
    devdep.give(long)
    third = subprocess.run(devdep.become([devdep.BUILD / "devdep-pool"]), env=cli.env({"DEVDEP_STATE": str(long)}), capture_output=True,
                           text=True, timeout=60)
    assert third.returncode == 2 and "set DEVDEP_STATE to a shorter" in third.stderr


@pytest.mark.user
def test_the_service_manager_is_told_and_the_socket_goes_at_the_end(cli, start, folder):
    path = folder / "notify"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path))
    path.chmod(0o666)
    manager.settimeout(30)
    p = start(env={"NOTIFY_SOCKET": str(path)})
    assert manager.recv(100) == b"READY=1"
    assert p.stop() == 0
    assert manager.recv(100) == b"STOPPING=1"
    assert not p.socket.exists()
    assert runs.leftovers(cli) == []


# ---- hostile clients ----

BAD = {
    "a verb that is none": pool.request("exec"),
    "another protocol": pool.request("ls", protocol="1"),
    "no protocol": pool.fields(("op", "ls")),
    "a verb twice": pool.fields(("op", "ls"), ("op", "ls"), ("protocol", "2")),
    "an image that is a path": pool.kind("claim", "../../etc/passwd"),
    "an image that is an option": pool.kind("warm", "--make", count=1),
    "an image with an end": pool.kind("claim", "a\0b"),
    "a long image": pool.kind("claim", "a" * 300),
    "a count that is too large": pool.kind("warm", count=65),
    "a number that is none": pool.kind("warm", count="-1"),
    "a slot that is none": pool.request("stop", slot=512),
    "bytes that are no list": b"\0\0\0\4\xff\xff\xff\xff",
    "a long message": b"\0\0\x10\0" + b"a" * 4096,
    "a huge length": b"\xff\xff\xff\xff" + b"a" * 100,
    "a second request before the answer": pool.request("ls") * 2,
    "text": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.user
def test_what_is_no_request_gets_one_error_and_the_end(start):
    p = start()
    before = p.fds()
    for name, data in BAD.items():
        with p.client() as client:
            answer = client.ask(data)
            assert answer and answer.status == "error" and answer.words["code"] == "303", name
            assert client.is_cut_off(), name
    assert p.ls().status == "ok"
    runs.wait_until(lambda: p.fds() == before, "the pool closes what its clients left")


@pytest.mark.user
def test_descriptors_that_a_client_sends_are_refused_and_closed(start, folder):
    p = start()
    before = p.fds()
    read, write = os.pipe()
    for count in (1, 16, 250):
        with p.client() as client:
            answer = client.ask(pool.request("ls"), [write] * count)
            assert answer.status == "error" and answer.words["code"] == "303", count
            assert client.is_cut_off()
    os.close(write)
    assert os.read(read, 1) == b"", "the pool holds a descriptor of its client"
    os.close(read)
    runs.wait_until(lambda: p.fds() == before, "the pool closes what its clients left")


@pytest.mark.user
def test_half_a_message_and_silence_are_cut_off(start):
    p = start()
    clients = [p.client() for _ in range(3)]
    clients[1].send(pool.request("ls")[:10])
    clients[2].send(b"\0")
    assert p.ls().status == "ok"
    assert all(c.is_cut_off() for c in clients)


@pytest.mark.user
def test_a_client_that_does_not_read_is_cut_off_and_costs_nobody_anything(start):
    p = start()
    with p.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        for _ in range(60):
            try:
                client.send(pool.request("ls"))
            except OSError:
                break
        assert p.ask(pool.request("hello")).status == "ok"


@pytest.mark.user
def test_a_thousand_connections_are_turned_away_and_others_are_served_after_them(start):
    p = start()
    before, sockets = p.fds(), []
    for _ in range(1000):
        sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sockets[-1].connect(str(p.socket))
    runs.wait_until(lambda: p.fds() == before + 32, "the pool keeps a user's share of connections")
    turned_away = pool.Client(p.socket)
    assert "too many connections" in turned_away.receive().message and turned_away.is_cut_off()
    for s in sockets:
        s.close()
    runs.wait_until(lambda: p.fds() == before, "the pool closes what its clients left")
    assert p.ls().status == "ok"


@pytest.mark.user
def test_a_flood_of_requests_is_cut_off(start):
    p = start()
    with p.client() as client:
        answers = []
        for _ in range(400):
            try:
                answers.append(client.ask(pool.request("hello")))
            except OSError:
                break
            if answers[-1] is None or answers[-1].status == "error":
                break
        assert len(answers) < 400 and answers[-1].status == "error" and "requests a second" in answers[-1].message
        assert client.is_cut_off()


def as_user(name, script, *args):
    """Run a script that speaks the protocol as another user; its standard output."""
    lib = pathlib.Path(pool.__file__).parent
    code = f"import sys; sys.path.insert(0, {str(lib)!r}); import pool\n{script}"
    entry = pwd.getpwnam(name)
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], user=entry.pw_uid, group=entry.pw_gid, extra_groups=[],
                          capture_output=True, text=True, timeout=200, env={"PATH": "/usr/bin:/bin"})


ASK = "a = pool.Client(sys.argv[1]).ask(pool.request('ls')); print(a.status, a.message)"


@as_root
def test_a_user_who_is_not_allowed_is_turned_away(cli, start):
    cli.state.chmod(0o755)
    p = start("--allow", "daemon")
    assert as_user("daemon", ASK, p.socket).stdout.startswith("ok")
    told = as_user("nobody", ASK, p.socket).stdout
    assert told.startswith("error") and "--allow" in told
    p.stop()
    p = start()
    assert "PermissionError" in as_user("daemon", ASK, p.socket).stderr


@as_root
def test_a_pool_of_another_user_is_not_used(cli):
    """A socket in our state folder, made by somebody else: nothing is asked of it, and nothing is taken from it."""
    folder = cli.state / "pool"
    folder.mkdir()
    shutil.chown(folder, "nobody")
    script = ("import os, socket; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + '/socket'); s.listen(); print(flush=True)\n"
              "for c in (s.accept()[0], s.accept()[0]): c.settimeout(60); print(c.recv(100), flush=True)")
    entry = pwd.getpwnam("nobody")
    stranger = subprocess.Popen([sys.executable, "-c", "import sys\n" + script, str(folder)], user=entry.pw_uid, group=entry.pw_gid,
                                stdout=subprocess.PIPE, text=True)
    stranger.stdout.readline()
    assert "not to you or root" in cli("vm", "warm", "default").err
    listed = cli("vm", "ls")
    assert listed.status == 0 and "not to you or root" in listed.err and "no VMs" in listed.out, listed
    assert stranger.communicate(timeout=60)[0] == "b''\n" * 2


@as_root
@pytest.mark.parametrize("owner, mode, word", [("nobody", 0o755, "belongs to user"), ("root", 0o777, "written by others"),
                                               ("root", 0o775, "chmod go-w")])
def test_a_state_folder_that_strangers_can_write_to_is_not_used(cli, folder, owner, mode, word):
    """A link in the place of a slot would have root clean away what it leads to."""
    (folder / "precious").mkdir()
    (folder / "precious" / "file").write_text("x")
    (cli.state / "slots").mkdir()
    (cli.state / "slots" / "0").symlink_to(folder / "precious")
    shutil.chown(cli.state, owner)
    cli.state.chmod(mode)
    assert word in cli("vm", "ls").err
    assert word in cli("image", "ls").err
    started = subprocess.run([devdep.BUILD / "devdep-pool"], env=cli.env(), capture_output=True, text=True, timeout=60)
    assert started.returncode != 0 and word in started.stderr
    assert [f.name for f in (folder / "precious").iterdir()] == ["file"]


# ---- with guests ----

def jails(p):
    return {vm["slot"]: int(vm["pid"]) for vm in p.ls().vms if vm["state"] == "parked"}


@pytest.mark.user
@pytest.mark.guest
def test_a_run_claims_what_is_parked_and_the_next_one_is_another(cli, repo, start):
    repo.workflow(HELLO)
    repo.commit()
    p = start()
    warm = cli("vm", "warm", "default")
    assert warm.status == 0 and warm.out == "parked: 1 of image default\n", warm
    listed = json.loads(cli("vm", "ls", "--json").out)
    (vm,) = listed["vms"]
    assert vm["state"] == "parked" and vm["image"].startswith("default@sha256:") and vm["vcpus"] == 2 and vm["memory"] == 2 << 30
    assert 0 < vm["private_bytes"] < 200 << 20
    assert listed["kept"][0]["parked"] == 1 and listed["pool"]["used"] > vm["private_bytes"]
    shown = cli("vm", "ls").out
    assert "parked" in shown and "default@" in shown and "2x2048M" in shown
    first = jails(p)
    run = runs.Run(cli("run", "--json", "--dir", repo.path))
    assert run["a"].conclusion == "success" and "it-is-2" in run["a"].steps[0].lines, run.result
    assert all(pool.is_gone(pid) for pid in first.values())
    p.wait_for(1)
    assert set(jails(p).values()).isdisjoint(first.values())
    assert p.stop() == 0
    assert runs.leftovers(cli) == []


@pytest.mark.user
@pytest.mark.guest
def test_what_a_job_is_doing_is_listed_and_stopped(cli, repo, start):
    repo.workflow(WAITS)
    repo.commit()
    p = start("--warm", "default")
    p.wait_for(1)
    parked = set(jails(p))
    live = runs.Live(cli, repo)
    live.wait_for("it-is-2-running")
    (vm,) = [v for v in json.loads(cli("vm", "ls", "--json").out)["vms"] if v["state"] == "running"]
    assert vm["job"] == "1/a" and str(vm["slot"]) in parked and vm["private_bytes"] > 0
    assert p.ask(pool.request("stop", slot=vm["slot"])).status == "error", "a VM that was handed over is nobody's but the claimer's"
    assert cli("vm", "stop", str(vm["slot"])).status == 0
    result = live.end()
    assert runs.Run(result)["a"].conclusion == "cancelled", result
    p.stop()
    assert runs.leftovers(cli) == []


def below_maker(p):
    """The process that prepares a VM for this pool and what it started. Empty when none does."""
    makers = [pid for pid, (ppid, state, _) in runs.processes().items() if ppid == p.process.pid and state != "Z"]
    return [pid for maker in makers for pid in [maker, *runs.descendants(maker)]]


def wait_until_prepared(p):
    """The second VM is under way: a maker that still asks about the host has a jail and a VMM, too, but no devdep-prepare."""
    runs.wait_until(lambda: any(runs.processes().get(pid, ("", "", ""))[2].startswith("devdep-prepare") for pid in below_maker(p)),
                    "the second VM is prepared")


def stands_still(pid):
    """Is it stopped, or will it be before it runs again? On a busy host an idle process takes its time to notice."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    words = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return words["State"].strip().startswith("T") or int(words["ShdPnd"], 16) >> (signal.SIGSTOP - 1) & 1 == 1


def works(p, pid):
    """The maker and the VMM; devdep-jail and devdep-prepare only wait, and end the VM if the pool is killed meanwhile."""
    ppid, _, name = runs.processes().get(pid, (0, "", "devdep-"))
    return ppid == p.process.pid or not name.startswith("devdep-")


@pytest.mark.user
@pytest.mark.guest
def test_what_is_prepared_stands_still_in_the_first_second_of_a_claimed_job_and_is_idle_as_root(cli, start):
    p = start("--warm", "default=2")
    p.wait_for(1)
    wait_until_prepared(p)
    if os.geteuid() == 0 and not devdep.USER:
        assert {os.sched_getscheduler(pid) for pid in below_maker(p)} == {os.SCHED_IDLE}
    (parked,) = jails(p).values()
    threads = [int(t) for pid in (parked, *runs.descendants(parked)) for t in os.listdir(f"/proc/{pid}/task")]
    assert {os.sched_getscheduler(t) for t in threads} == {os.SCHED_OTHER}
    with p.client() as client:
        answer = client.ask(pool.kind("claim"))
        # Seen as soon as the answer is here; whoever looks a second later learns nothing.
        still = {pid: stands_still(pid) for pid in below_maker(p) if works(p, pid)}
        assert answer.status == "ok" and len(still) >= 2 and all(still.values()), still
        answer.close()
    p.wait_for(2)
    p.stop()
    assert runs.leftovers(cli) == []


@pytest.mark.user
@pytest.mark.guest
def test_a_pool_that_is_killed_while_a_preparation_stands_still_leaves_nothing(cli, start):
    p = start("--warm", "default=2")
    p.wait_for(1)
    wait_until_prepared(p)
    with p.client() as client:
        answer = client.ask(pool.kind("claim"))
        held = below_maker(p)
        still = [pid for pid in held if stands_still(pid)]
        p.process.kill()
        assert answer.status == "ok" and still, held
        answer.close()
    p.stop()
    runs.wait_until(lambda: all(pool.is_gone(pid) for pid in held), "what stood still ends with the pool")
    p.start()
    assert p.stop() == 0
    assert runs.leftovers(cli) == []


@pytest.mark.user
@pytest.mark.guest
def test_no_pool_or_a_read_only_root_means_that_what_is_parked_stays(cli, repo, start):
    repo.workflow(HELLO)
    repo.commit()
    p = start("--warm", "default")
    p.wait_for(1)
    before = jails(p)
    assert runs.Run(cli("run", "--no-pool", "--json", "--dir", repo.path))["a"].conclusion == "success"
    repo.write("devdep.yaml", "entity: web\ndomain: corp.example\nrootfs: read-only\n")
    job = runs.Run(cli("run", "--json", "--dir", repo.path))["a"]
    assert job.conclusion == "success" and job.started["origin"] == "cloned"
    assert jails(p) == before


@pytest.mark.user
def test_the_pool_has_descriptors_for_the_vms_of_many_users(start):
    few = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, few[1]), few[1]))
    try:
        p = start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, few)
    # Not prlimit(2): that asks for a privilege over another user's process.
    limits = pathlib.Path(f"/proc/{p.process.pid}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert [int(word) for word in line.split()[3:5]] == [min(8192, few[1]), few[1]], line


@pytest.mark.user
def test_the_pool_gains_no_privileges_and_has_no_network(start):
    p = start()
    status = pathlib.Path(f"/proc/{p.process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    ours = {os.readlink(f"/proc/{p.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{p.process.pid}/fd")}
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            assert not any(f"socket:[{word}]" in ours for word in line.split()), (table, line)


@pytest.mark.user
@pytest.mark.guest
def test_of_many_claims_one_gets_the_vm_and_it_ends_with_its_claimer(cli, start):
    p = start("--warm", "default")
    p.wait_for(1)
    (pid,) = jails(p).values()
    assert cli("vm", "warm", "default", "--count", "0").status == 0
    assert p.ask(pool.kind("claim")).status == "none"
    runs.wait_until(lambda: pool.is_gone(pid), "a VM that nobody wants ends")
    assert cli("vm", "warm", "default").status == 0
    (pid,) = jails(p).values()
    answers, gate = [], threading.Barrier(8)

    def claim():
        with p.client() as client:
            gate.wait()
            answers.append(client.ask(pool.kind("claim")))
    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [a for a in answers if a.status == "ok"]
    assert [a.status for a in answers].count("none") == 7
    assert won.claimed[0]["pid"] == str(pid)
    own = devdep.USER is None
    assert len(won.fds) == (7 if own else 6), won
    assert won.words.get("adopt") == ("1" if own else None)
    assert not pool.is_gone(pid)
    won.close()
    runs.wait_until(lambda: pool.is_gone(pid), "the VM ends with its claimer")


@pytest.mark.user
@pytest.mark.guest
def test_a_claimer_that_goes_away_takes_the_vm_with_it_at_each_step(cli, start):
    p = start("--warm", "default")

    def at_once(client):
        client.send(pool.kind("claim"))

    def half(client):
        client.send(pool.kind("claim")[:-3])

    def unread(client):
        client.send(pool.kind("claim"))
        runs.wait_until(lambda: not jails(p), "the VM was claimed")

    def deaf(client):
        client.socket.shutdown(socket.SHUT_RD)
        client.send(pool.kind("claim"))
        runs.wait_until(lambda: not jails(p), "the VM was claimed")

    for step in (half, at_once, unread, deaf):
        p.wait_for(1)
        (pid,) = jails(p).values()
        with p.client() as client:
            step(client)
        if step is half:
            assert p.ls().status == "ok" and not pool.is_gone(pid)
        else:
            runs.wait_until(lambda: pool.is_gone(pid), f"the VM ends: {step.__name__}")
    p.wait_for(1)
    p.stop()
    assert runs.leftovers(cli) == []


@pytest.mark.user
@pytest.mark.guest
def test_a_killed_pool_takes_what_is_parked_and_leaves_what_runs(cli, repo, start):
    repo.workflow(SHORT)
    repo.commit()
    p = start("--warm", "default=2")
    p.wait_for(2)
    live = runs.Live(cli, repo)
    live.wait_for("it-is-2-running")
    pids = [int(v["pid"]) for v in p.ls().vms if v["state"] == "parked"]
    runs.wait_until(lambda: any(v["state"] == "preparing" for v in p.ls().vms), "one is prepared in the place of what was claimed")
    p.stop(signal.SIGKILL)
    assert pids
    runs.wait_until(lambda: all(pool.is_gone(pid) for pid in pids), "what was parked ends with the pool")
    p.start()
    p.wait_for(2)
    result = live.end()
    assert runs.Run(result)["a"].conclusion == "success" and "end-2" in result.out, result
    assert p.stop() == 0
    assert runs.leftovers(cli) == []


@pytest.mark.user
@pytest.mark.guest
def test_a_pool_that_is_told_to_end_leaves_what_runs(cli, repo, start):
    repo.workflow(SHORT)
    repo.commit()
    p = start("--warm", "default")
    p.wait_for(1)
    live = runs.Live(cli, repo)
    live.wait_for("it-is-2-running")
    assert p.stop() == 0
    result = live.end()
    assert runs.Run(result)["a"].conclusion == "success" and "end-2" in result.out, result
    assert runs.leftovers(cli) == []


@pytest.mark.guest
def test_a_parked_vm_grows_old_and_is_replaced(cli, start):
    p = start("--warm", "default", "--age", "5")
    p.wait_for(1)
    (first,) = jails(p).values()
    runs.wait_until(lambda: pool.is_gone(first), "an old VM ends")
    p.wait_for(1)
    p.stop()
    assert runs.leftovers(cli) == []


@pytest.mark.guest
def test_a_vm_that_dies_while_it_is_parked_is_replaced(cli, start):
    p = start("--warm", "default")
    p.wait_for(1)
    (first,) = jails(p).values()
    os.kill(first, signal.SIGKILL)
    runs.wait_until(lambda: first not in jails(p).values(), "the dead VM is not offered any more")
    p.wait_for(1)
    p.stop()
    assert "ended by itself" in p.log
    assert runs.leftovers(cli) == []


@pytest.mark.guest
def test_memory_past_the_budget_is_not_used_and_the_user_is_told(cli, start):
    start("--memory", "250M")
    result = cli("vm", "warm", "default", "--count", "8")
    assert result.status != 0 and "--memory" in result.error[2], result
    listed = json.loads(cli("vm", "ls", "--json").out)
    assert listed["pool"]["used"] <= listed["pool"]["budget"] == 250 << 20


@as_root
@pytest.mark.guest
def test_a_template_that_the_disk_cannot_take_is_made_once_and_serves_from_memory(folder):
    state = folder / "state"
    (state / "templates").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", state / "templates"], check=True)
    try:
        cli = devdep.Cli(state, own_templates=True)
        p = pool.Pool(cli, "--warm", "default=2")
        runs.wait_until(lambda: [vm["state"] for vm in p.ls().vms] == ["parked"] * 2, "two VMs are parked", 200)
        (keep,) = p.ls().keeps
        assert keep["problem"].startswith("its template is not kept: ") and "No space left" in keep["problem"], keep
        assert "2 of 2 parked; its template is not kept: " in cli("vm", "ls").out
        p.stop()
        assert p.log.count("is not kept") == 1, p.log
    finally:
        subprocess.run(["umount", state / "templates"], check=True)
    assert runs.leftovers(cli) == []


class SlowToDie:
    """A process of a user id that is killed when anybody likes, and ends when we do: it is traced, and stops on its way out."""
    SEIZE, CONTINUE, TRACE_EXIT = 0x4206, 7, 0x40

    def __init__(self, uid):
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.process = subprocess.Popen(["sleep", "600"], user=uid, group=uid, extra_groups=[])
        assert self.ptrace(self.SEIZE, self.process.pid, None, self.TRACE_EXIT) == 0

    def end(self):
        os.waitpid(self.process.pid, WALL)
        self.ptrace(self.CONTINUE, self.process.pid, None, None)
        assert self.process.wait(30) == -signal.SIGKILL


def burials(p):
    return [pid for pid, (ppid, _, _) in runs.processes().items()
            if ppid == p.process.pid and "--bury" in census.text_of(f"/proc/{pid}/cmdline")]


@as_root
@pytest.mark.guest
def test_a_claim_is_answered_while_the_processes_of_another_slot_take_their_time_to_die(cli, start):
    p = start("--warm", "default=2")
    slots = [int(vm["slot"]) for vm in p.wait_for(2).vms]
    slow = SlowToDie(census.slot_uids(cli.state)[8 * slots[0]])
    p.ask(pool.request("stop", slot=slots[0]))
    runs.wait_until(lambda: burials(p), "the slot is cleaned by a process of its own")
    with p.client() as client:
        answer = client.ask(pool.kind("claim"))
        assert answer.status == "ok" and answer.claimed[0]["slot"] == str(slots[1]), answer
        assert len(burials(p)) == 1 and [vm["slot"] for vm in p.ls().vms if vm["state"] == "cleaning"] == [str(slots[0])]
        answer.close()
    slow.end()
    runs.wait_until(lambda: not burials(p), "the slot is given back")
    p.stop()
    assert runs.leftovers(cli) == []


CLAIM = """
import os
c = pool.Client(sys.argv[1])
print(c.ask(pool.kind('warm', count=1)).status)
import time
while not [v for v in c.ask(pool.request('ls')).vms if v['state'] == 'parked']:
    time.sleep(0.1)
a = c.ask(pool.kind('claim'))
print(a.status, len(a.fds), a.words.get('adopt'), a.claimed[0]['pid'], a.claimed[0]['slot'], flush=True)
"""


@as_root
@pytest.mark.guest
def test_another_user_who_is_allowed_has_vms_of_its_own(cli, start):
    cli.state.chmod(0o755)
    p = start("--allow", "daemon", "--allow", "nobody", "--warm", "default")
    p.wait_for(1)
    (roots,) = jails(p).values()
    assert as_user("nobody", "c = pool.Client(sys.argv[1]); a = c.ask(pool.request('ls')); b = c.ask(pool.kind('claim')); "
                   "s = c.ask(pool.request('stop', all='parked')); print(len(a.vms), b.status, s.words['stopped'])", p.socket).stdout == "0 none 0\n"
    told = as_user("daemon", CLAIM, p.socket)
    status, fds, adopt, pid, slot = told.stdout.splitlines()[1].split()
    assert (status, fds, adopt) == ("ok", "6", "None"), told
    runs.wait_until(lambda: pool.is_gone(pid), "the VM ends with its claimer")
    assert not pool.is_gone(roots)
    p.stop()
    assert runs.leftovers(cli) == []
