"""The conformance suite of devdep-guest: each operation, each refusal, on real QEMU guests, over each transport that this host can carry."""

import io
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from lib import yamux  # noqa: E402
from lib import guest_harness  # noqa: E402
from lib.guest_harness import RESIZE, SIGNAL, STDIN, STDIN_EOF, TRANSPORTS, Guest, missing_transport  # noqa: E402

ROOT = "0"
WORK = "/home/runner/work"


@pytest.fixture(scope="module", params=TRANSPORTS)
def transport(request):
    if reason := missing_transport(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def guest(transport):
    with Guest(transport=transport) as g:
        g.boot()
        yield g


def tar_of(*members):
    """A tar stream: (name, content or None for a folder, {attributes})."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, attributes in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = (tarfile.REGTYPE, 0o644) if content is not None else (tarfile.DIRTYPE, 0o755)
            info.size = len(content or b"")
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


def put(guest, path, data, **more):
    stream, answer = guest.request("put", path=path, **more)
    if answer["status"] != b"ok":
        return answer
    stream.write(data)
    stream.close()
    result = dict(yamux.read_fields(stream))
    assert stream.read(1) == b""
    return result


def get(guest, path, **more):
    more.setdefault("max", 1 << 30)
    stream, answer = guest.request("get", path=path, **more)
    stream.close()
    if answer["status"] != b"ok":
        return answer
    return tarfile.open(fileobj=io.BytesIO(stream.read_all()))


def read(guest, *paths, max=1 << 16):
    stream, answer = guest.request("read", *[("path", p) for p in paths], max=max)
    stream.close()
    assert answer["status"] == b"ok", answer
    results = [dict(yamux.read_fields(stream)) for _ in paths]
    assert stream.read(1) == b""
    assert [r["path"].decode() for r in results] == list(paths)
    return [(r["kind"].decode(), r["data"]) for r in results]


def ok(result, code=0):
    assert (result.kind, result.code) == ("exited", code), result
    return result.out.decode()


# Identity and the job's world

def test_the_seed_answer_carries_facts(guest):
    answer = guest.seed_answer
    assert answer["cpus"] == b"2" and int(answer["memory"]) > 900 << 20
    assert answer["kernel"].startswith(b"6.") and answer["agent"]


def test_the_seed_becomes_the_guests_identity(guest):
    out = ok(guest.sh("cat /etc/machine-id /proc/sys/kernel/random/boot_id /etc/hostname; hostname; date +%s; getent hosts $(hostname)"))
    machine_id, boot_id, name, hostname, now, hosts = out.splitlines()
    assert machine_id == guest.identity["machine_id"]
    assert boot_id == guest.identity["boot_id"]
    assert name == hostname == guest.identity["hostname"]
    assert abs(int(now) - time.time()) < 5
    assert hosts.split() == ["127.0.1.1", hostname]


def test_the_clock_keeps_time(guest):
    process = guest.start(["sh", "-c", "while read x; do date +%s.%N; done"], stdin=1, step="clock")

    def offset():
        """How far the guest is ahead, from the quickest of some answers."""
        best = None
        for _ in range(20):
            seen, start = len(process.out), time.time()
            process.write(b"?\n")
            while process.out[seen:].count(b"\n") < 1:
                assert process.next()
            took = time.time() - start
            ahead = float(process.out[seen:]) - (start + took / 2)
            best = min(best or (took, ahead), (took, ahead))
        return best
    took, before = offset()
    start = time.time()
    time.sleep(8)  # a rate is measured over a time: there is no event to wait for
    took_after, after = offset()
    process.stream.abort()
    # Half of each answer's time is all that is not known; a clock that counts ticks is 2 to 8 % off.
    assert abs(after - before) < (took + took_after) / 2 + 0.01 * (time.time() - start)


def test_a_second_seed_replaces_identity_and_nonce(guest):
    identity = guest.seed_fields(hostname="guest-2")
    answer = guest.call(**identity)
    assert answer["status"] == b"ok", answer
    guest.identity = identity
    assert ok(guest.sh("cat /etc/machine-id /proc/sys/kernel/random/boot_id; hostname; cat /etc/hostname")).splitlines() == [
        identity["machine_id"], identity["boot_id"], "guest-2", "guest-2"]


def test_every_seed_reseeds_the_kernels_generator(quiet):
    """RNDADDENTROPY, then RNDRESEEDCRNG, as the kernel saw them: what a parked guest drew before does not tell what it draws after its claim."""
    trace = "/tmp/trace"
    assert ok(quiet.sh(f"mkdir {trace} && mount -t tracefs none {trace} && echo 1 >{trace}/events/syscalls/sys_enter_ioctl/enable", user=ROOT)) == ""
    for i in range(2):
        assert quiet.call(**quiet.seed_fields(hostname=f"guest-{i}"))["status"] == b"ok"
    seen = ok(quiet.sh(f"cat {trace}/trace", user=ROOT))
    assert re.findall(r"init-1 .*cmd: (40085203|5207),", seen) == ["40085203", "5207"] * 2, seen


# Its arguments are complements, so that nothing of what is looked for comes into the agent's memory with them.
SEARCH = """
import re, sys
found = set()
words = [bytes(255 - b for b in bytes.fromhex(word)) for word in sys.argv[1:]]
print('ready', flush=True)
sys.stdin.readline()
with open('/proc/1/maps') as maps, open('/proc/1/mem', 'rb', 0) as memory:
    for line in maps:
        begin, end, mode, name = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\\S+) \\S+ \\S+ \\S+ *(.*)', line).groups()
        if mode[0] != 'r' or name.startswith('[v'):
            continue
        memory.seek(int(begin, 16))
        data = memory.read(int(end, 16) - int(begin, 16))
        found |= {(i, name) for i, word in enumerate(words) if word in data}
print(sorted(found))
"""


def pieces(data, size=16):
    return [bytes(255 - b for b in data[at:at + size]).hex() for at in range(0, len(data), size)]


def test_nothing_of_a_seeds_entropy_is_left_in_the_agent(quiet):
    first, second, refused = quiet.identity, quiet.seed_fields(hostname="guest-2"), quiet.seed_fields(hostname="-")
    quiet.nonce = first["nonce"]
    # Two that are there show that the search finds.
    words = [*pieces(b"no process of such a step", 64), *pieces(second["nonce"])]
    words += [word for seed in (first, second, refused) for word in pieces(seed["entropy"])]
    search = quiet.start(["python3", "-c", SEARCH, *words], user=ROOT, stdin=1)
    while b"ready" not in search.out:
        assert search.next()
    # The search waits: what comes after the seeds is a byte or two.
    assert quiet.call(**second)["status"] == b"ok" and quiet.call(**refused)["status"] != b"ok"
    quiet.nonce = second["nonce"]
    search.write(b"\n")
    found = eval(ok(search.finish()).splitlines()[1])
    assert {0, 1} <= {i for i, _ in found}, found
    assert [x for x in found if x[0] > 1] == []


@pytest.fixture
def quiet():
    """A guest of its own, in which nothing runs."""
    with Guest() as g:
        yield g.boot()


def test_a_parked_guest_takes_nothing_but_its_next_seed(quiet):
    guest = quiet
    assert guest.call(op="park")["status"] == b"ok"
    requests = [{"op": "park"}, {"op": "which", "name": "sh"}, {"op": "mkdir", "path": "/tmp/x"}, {"op": "read", "path": "/etc/hosts"},
                {"op": "exec", "arg": "true", "step": "x"}, {"op": "shutdown"}, {"op": "signal", "step": "x", "signo": 9}]
    for request in requests:
        answer = guest.call(**request)
        assert answer["status"] == b"error" and answer["code"] == b"denied", (request, answer)
    nonce = guest.nonce
    wrong = guest.seed_fields(rootfs=None, hostname="-a")
    assert guest.call(**wrong)["code"] == b"invalid"
    guest.nonce = nonce
    assert guest.call(op="which", name="sh")["code"] == b"denied"  # a seed that was refused changes nothing
    identity = guest.seed_fields(hostname="guest-3")
    answer = guest.call(**identity)
    assert answer["status"] == b"ok" and answer["kernel"] == guest.seed_answer["kernel"] and answer["cpus"] == b"2"
    guest.identity = identity
    assert ok(guest.sh("cat /etc/machine-id; hostname; cat /etc/hostname")).split() == [identity["machine_id"], "guest-3", "guest-3"]


def test_a_guest_in_which_something_runs_is_not_parked(quiet):
    guest = quiet
    process = guest.start(["sleep", "600"], step="lasting")
    assert guest.call(op="park")["code"] == b"busy"
    process.send(guest_harness.SIGNAL, b"\x09")
    assert process.finish().kind == "signaled"
    ok(guest.sh("true"))


@pytest.mark.parametrize("change", [{"rootfs": "overlay"}, {"nonce": b"short"}, {"boot_id": "x" * 36}, {"hostname": "-a"}, {"entropy": None}])
def test_a_second_seed_that_is_wrong_is_refused_and_changes_nothing(guest, change):
    nonce = guest.nonce
    identity = guest.seed_fields(**{"rootfs": None, **change})
    guest.nonce = nonce
    assert guest.call(**identity)["code"] == b"invalid"
    ok(guest.sh("true"))  # EXIT carries the old nonce


def test_a_step_runs_as_an_ordinary_user_with_its_groups(guest):
    assert ok(guest.sh("id")).strip() == "uid=1001(runner) gid=1001(runner) groups=1001(runner),100(users)"


def test_a_step_can_become_root_with_sudo(guest):
    assert ok(guest.sh("sudo id -u")).strip() == "0"


def test_a_user_is_found_by_number_or_refused_by_name(guest):
    assert ok(guest.sh("id -u; id -G", user=ROOT)).split() == ["0", "0"]
    assert ok(guest.sh("id -u", user="4711")).strip() == "4711"
    assert guest.start(["true"], user="nobody-such").answer["code"] == b"user"


def test_the_jobs_root_is_an_ordinary_one(guest):
    script = r"""set -e
        test -w /tmp; test -w /home/runner/work; test -w /dev/shm; test -c /dev/null; echo x > /dev/stdout
        test "$(cat /proc/1/comm)" = init; tty || true; test -e /dev/fd/0; test ! -e /image; test ! -e /scratch; test ! -e /modules
        touch "$HOME/x"; sudo touch /usr/local/x; ls -ld /home/runner/work | grep -q 'runner runner'"""
    ok(guest.sh(script, env={"HOME": "/home/runner"}))


def test_random_bytes_differ_between_two_guests_with_the_same_image(guest):
    with Guest() as other:
        other.boot()
        script = "head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid"
        assert ok(guest.sh(script)) != ok(other.sh(script))


def test_a_step_can_make_namespaces_with_a_proc_of_their_own(guest):
    out = ok(guest.sh("unshare --user --map-root-user --pid --fork --mount-proc sh -c 'id -u; cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l'"))
    assert out.split()[:2] == ["0", "sh"] and int(out.split()[2]) < 5
    ok(guest.sh("sudo unshare --mount --pid --fork --mount-proc sh -c 'mount -t tmpfs none /mnt && touch /mnt/x'"))


def test_every_limit_of_a_step_is_set(guest):
    out = ok(guest.sh("ulimit -n; ulimit -Hn; ulimit -c; cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max; cat /proc/self/cgroup"))
    soft, hard, core, pids, memory, group = out.split()
    assert (soft, hard, core, group) == ("65536", "1048576", "0", "0::/step-1")
    assert 512 <= int(pids) <= 16384 and 500 << 20 < int(memory) < 960 << 20


def test_a_seed_bounds_the_jobs_processes_for_root_as_well_and_the_next_one_anew(guest):
    forks = "cat /sys/fs/cgroup/pids.max; n=0; while sleep 100 & do n=$((n+1)); test $n -lt 200 || break; done; echo started $n"
    for pids, user in (("40", "runner"), ("60", ROOT)):
        answer = guest.call(**guest.seed_fields(pids=pids))
        assert answer["status"] == b"ok" and answer["pids"] == pids.encode(), answer
        result = guest.sh(forks, user=user)
        assert result.out.split() == [pids.encode()] and b"annot fork" in result.err, result
    answer = guest.call(**guest.seed_fields())
    assert 512 <= int(answer["pids"]) <= 16384 and ok(guest.sh(forks)).split()[1:] == ["started", "200"]


def test_root_of_the_job_cannot_lift_the_jobs_limits(guest):
    result = guest.sh("echo max > /sys/fs/cgroup/memory.max || echo max > /sys/fs/cgroup/pids.max", user=ROOT)
    assert result.code != 0


def test_a_step_may_divide_its_own_control_group(guest):
    ok(guest.sh("set -e; cd /sys/fs/cgroup/step-1; mkdir sub; echo $$ > sub/cgroup.procs; grep step-1/sub /proc/self/cgroup; "
                "echo +memory > cgroup.subtree_control; echo 20M > sub/memory.max"))


OPEN_DISKS = """
import os, stat, subprocess
os.makedirs('/tmp/dev', exist_ok=True)
subprocess.run(['mount', '-t', 'devtmpfs', 'none', '/tmp/dev'], check=True)
def attempt(name, act):
    try:
        act()
        print(name, 'worked')
    except OSError as e:
        print(name, e.strerror)
for name in sorted(os.listdir('/sys/block')):
    if name.startswith('vd'):
        device = [int(n) for n in open(f'/sys/block/{name}/dev').read().split(':')]
        attempt(name, lambda: os.mknod(f'/tmp/raw-{name}', stat.S_IFBLK | 0o600, os.makedev(*device)))
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            attempt(name, lambda: os.open(f'/tmp/dev/{name}', flags))
"""


def test_root_of_the_job_cannot_open_the_machines_disks(guest):
    """What it would write there, past dm-crypt, would stand in clear on the host."""
    result = guest.exec("python3", "-c", OPEN_DISKS, user="0")
    lines = result.out.decode().splitlines()
    assert len(lines) >= 8 and {line.split(" ", 1)[1] for line in lines} == {"Operation not permitted"}, result
    ok(guest.sh("head -c 1 /dev/zero >/dev/null && test -c /dev/fuse", user="0"))


# exec

def test_exec_carries_status_and_both_streams_apart(guest):
    result = guest.sh("echo out; echo err >&2; exit 7")
    assert (result.out, result.err, result.kind, result.code, result.oom) == (b"out\n", b"err\n", "exited", 7, False)


def test_exec_tells_a_signal_from_a_status(guest):
    result = guest.sh("kill -TERM $$")
    assert (result.kind, result.code) == ("signaled", 15)


def test_exec_gives_exactly_the_environment_and_folder(guest):
    assert ok(guest.exec("/usr/bin/env", cwd="/tmp", env={"A": "b c", "PATH": "/bin"})).splitlines() == ["PATH=/bin", "A=b c"]
    assert ok(guest.sh("pwd", cwd="/usr/lib")).strip() == "/usr/lib"


def test_exec_passes_input_to_its_end(guest):
    process = guest.start(["cat"], stdin=1)
    data = os.urandom(1 << 20)
    process.write(data)
    process.send(STDIN_EOF)
    result = process.finish()
    assert result.out == data and result.code == 0


def test_exec_without_input_reads_an_end(guest):
    assert ok(guest.exec("cat")) == ""


def test_input_that_nobody_reads_only_stops_its_own_stream(guest):
    process = guest.start(["sleep", "60"], stdin=1, step="stuck")
    with pytest.raises(TimeoutError):
        for _ in range(200):
            process.stream.write(struct.pack(">BI", STDIN, 16000) + bytes(16000), timeout=2)
    ok(guest.sh("true", step="step-2"))
    process.stream.abort()


def test_output_that_nobody_reads_only_stops_its_own_stream(guest):
    process = guest.start(["sh", "-c", "yes | head -c 20000000"], step="silent")
    process.stream.fill()
    ok(guest.sh("true", step="step-2"))
    assert len(process.finish().out) == 20000000


def test_a_signal_frame_reaches_every_process_of_the_step(guest):
    process = guest.start(["sh", "-c", "sh -c 'trap \"echo child; exit\" USR1; echo ready; while :; do sleep 0.1; done' & trap 'echo main; wait; exit 3' USR1; "
                                       "while :; do sleep 0.1; done"])
    process.until(b"ready")
    process.send(SIGNAL, bytes([10]))
    result = process.finish()
    assert b"main" in result.out and b"child" in result.out and result.code == 3


def test_the_signal_operation_ends_a_step(guest):
    process = guest.start(["sleep", "60"], step="step-9")
    assert guest.call("signal", step="step-9", signo=15)["status"] == b"ok"
    result = process.finish()
    assert (result.kind, result.code) == ("signaled", 15)
    assert guest.call("signal", step="never", signo=15)["code"] == b"not-found"
    assert guest.call("signal", step="step-9", signo=4711)["code"] == b"invalid"


def test_what_a_step_leaves_behind_is_killed_and_exit_comes(guest):
    result = guest.sh("setsid sh -c 'while :; do sleep 1; done' & (sleep 100000 &) ; echo done")
    assert result.out == b"done\n"
    assert "sleep" not in ok(guest.sh("ps -eo comm", step="step-2"))


def test_survivors_keep_lives_and_may_go_on_writing(guest):
    result = guest.sh("sh -c 'i=0; while :; do i=$((i+1)); echo line $i; echo $i > /tmp/alive; sleep 0.1; done' & echo started", step="keeper",
                      survivors="keep")
    assert b"started" in result.out and result.code == 0
    first = int(ok(guest.sh("cat /tmp/alive || echo 0")))
    ok(guest.sh("for i in 1 2 3 4 5 6 7 8 9 10; do test $(cat /tmp/alive) -gt %d && exit 0; sleep 0.5; done; exit 1" % (first + 2)))
    assert guest.call("signal", step="keeper", signo=9)["status"] == b"ok"


def test_output_before_the_end_is_complete_even_with_survivors_kept(guest):
    result = guest.sh("sleep 30 & head -c 3000000 /dev/zero", step="keeper2", survivors="keep")
    assert len(result.out) == 3000000
    guest.call("signal", step="keeper2", signo=9)


def test_a_process_that_left_the_group_as_root_cannot_hold_the_exit_up(guest):
    result = guest.sh("sudo sh -c 'mkdir /sys/fs/cgroup/away; echo $$ > /sys/fs/cgroup/away/cgroup.procs; while :; do echo still here; done' & sleep 1; exit 5")
    assert result.code == 5
    guest.sh("echo 1 > /sys/fs/cgroup/away/cgroup.kill", user=ROOT)


def test_a_reset_stream_kills_the_step(guest):
    process = guest.start(["sh", "-c", "echo $$; exec sleep 1000"], step="reset")
    process.until(b"\n")
    process.stream.abort()
    pid = int(process.out)
    ok(guest.sh(f"for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 {pid} 2>/dev/null || exit 0; sleep 0.5; done; exit 1", step="step-2", user=ROOT))


@pytest.mark.parametrize("argv, more, code", [
    (["no-such-program"], {}, b"not-found"), (["/etc/passwd"], {}, b"denied"), (["true"], {"cwd": "/nowhere"}, b"not-found"),
    (["true"], {"cwd": "/root"}, b"denied"), (["true"], {"step": "Step_1"}, b"invalid"), (["true"], {"step": "x" * 33}, b"invalid"),
    ([], {}, b"invalid"), (["true"], {"stdin": "2"}, b"invalid"), (["true"], {"survivors": "maybe"}, b"invalid")])
def test_an_exec_that_cannot_be_is_refused_with_a_code(guest, argv, more, code):
    answer = guest.start(argv, **more).answer
    assert (answer["status"], answer["code"]) == (b"error", code) and answer["message"]


def test_two_processes_cannot_share_a_live_step(guest):
    process = guest.start(["sleep", "60"], step="shared")
    assert guest.start(["true"], step="shared").answer["code"] == b"busy"
    process.stream.abort()


def test_many_steps_run_at_once(guest):
    processes = [guest.start(["sh", "-c", f"echo {i}; sleep 0.2"], step=f"many-{i}") for i in range(20)]
    assert [p.finish().out for p in processes] == [f"{i}\n".encode() for i in range(20)]


def test_orphans_are_reaped(guest):
    ok(guest.sh("for i in $(seq 50); do (sh -c 'sleep 0.05 &' &); done"))
    ok(guest.sh("for i in $(seq 100); do ps -eo stat,comm | grep -q defunct || exit 0; sleep 0.1; done; exit 1"))


# pty

def test_a_terminal_has_its_size_and_echoes(guest):
    process = guest.start(["sh"], op="pty", rows=40, columns=100, env={"TERM": "xterm", "PS1": "$ "})
    process.until(b"$ ")
    process.write(b"tty; stty size\n")
    process.until(b"40 100")
    assert b"/dev/pts/" in process.out
    process.send(RESIZE, struct.pack(">HH", 24, 80))
    process.write(b"stty size; exit 4\n")
    result = process.finish()
    assert b"24 80" in result.out and result.code == 4


def test_a_terminals_interrupt_key_interrupts(guest):
    process = guest.start(["cat"], op="pty")  # no shell: one that is interrupted while it forks waits for its child
    process.write(b"ready\n")
    process.until(b"ready\r\nready\r\n")
    process.write(b"\x03")
    result = process.finish()
    assert (result.kind, result.code) == ("signaled", 2)


def test_a_terminals_output_goes_before_what_steps_have_queued(guest):
    steps = [guest.start(["yes"], step=f"bulk-{i}") for i in range(2)]
    terminal = guest.start(["yes"], op="pty", step="terminal")
    everyone = [process.stream for process in (*steps, terminal)]
    for stream in everyone:
        stream.fill()
    ok(guest.sh("true"))  # meanwhile all of them have filled their queues
    seen = len(guest.session.arrivals)
    guest.session.raw(b"".join(struct.pack(">BBHII", 0, yamux.WINDOW, 0, stream.id, yamux.INITIAL_WINDOW) for stream in everyone))
    ok(guest.sh("true"))
    assert guest.session.arrivals[seen] == terminal.stream.id
    for stream in everyone:
        stream.abort()


def test_the_end_of_input_ends_a_terminals_reader(guest):
    process = guest.start(["cat"], op="pty")
    process.write(b"abc\n")
    process.until(b"abc\r\nabc\r\n")
    process.send(STDIN_EOF)
    assert process.finish().code == 0


# put and get

def test_put_unpacks_files_folders_and_links_with_modes_and_times(guest):
    data = os.urandom(300000)
    result = put(guest, WORK + "/p/q", tar_of(
        ("dir", None, {"mode": 0o750, "mtime": 1000}), ("dir/file", data, {"mode": 0o755, "mtime": 1234567890}),
        ("dir/link", b"", {"type": tarfile.SYMTYPE, "linkname": "../other", "size": 0}), ("deep/er/file", b"x", {"mode": 0o4755})))
    assert result["status"] == b"ok" and result["entries"] == b"4" and int(result["bytes"]) == len(data) + 1
    out = ok(guest.sh(f"cd {WORK}/p/q && stat -c '%n %a %Y %U %F' dir dir/file deep/er/file; readlink dir/link; sha256sum < dir/file"))
    lines = out.splitlines()
    assert lines[0] == "dir 750 1000 runner directory"
    assert lines[1] == "dir/file 755 1234567890 runner regular file"
    assert lines[2].startswith("deep/er/file 755 ")
    assert lines[3] == "../other"


def test_put_replaces_what_is_there_and_never_writes_through_a_link(guest):
    ok(guest.sh(f"mkdir -p {WORK}/r && cd {WORK}/r && echo keep > victim && ln -s victim file && ln -s /etc folder"))
    assert put(guest, WORK + "/r", tar_of(("file", b"new", {}), ("folder", None, {}), ("folder/passwd", b"mine", {})))["status"] == b"ok"
    assert ok(guest.sh(f"cd {WORK}/r && cat victim file folder/passwd; test -d folder -a ! -L folder; grep -q root: /etc/passwd")) == "keep\nnewmine"


def test_put_wipes_first_when_asked(guest):
    ok(guest.sh(f"mkdir -p {WORK}/w/a/b && echo x > {WORK}/w/a/b/c && ln -s /etc {WORK}/w/link"))
    assert put(guest, WORK + "/w", tar_of(("new", b"1", {})), wipe=1)["status"] == b"ok"
    assert ok(guest.sh(f"ls -A {WORK}/w; ls /etc/passwd")).split() == ["new", "/etc/passwd"]


@pytest.mark.parametrize("member", [
    ("../out", b"x", {}), ("/abs", b"x", {}), ("hard", b"", {"type": tarfile.LNKTYPE, "linkname": "file", "size": 0}),
    ("dev", b"", {"type": tarfile.CHRTYPE, "size": 0}), ("fifo", b"", {"type": tarfile.FIFOTYPE, "size": 0})])
def test_put_refuses_what_may_not_be_in_a_tar(guest, member):
    result = put(guest, WORK + "/bad", tar_of(("file", b"x", {}), member))
    assert result["status"] == b"error" and result["message"], result


def test_put_cannot_leave_its_folder_through_a_link_of_its_own(guest):
    result = put(guest, WORK + "/esc", tar_of(("out", b"", {"type": tarfile.SYMTYPE, "linkname": "/tmp", "size": 0}), ("out/escaped", b"x", {})))
    assert result["status"] == b"error"
    assert guest.sh("test -e /tmp/escaped").code == 1


def test_put_of_a_cut_stream_is_an_error(guest):
    assert put(guest, WORK + "/cut", tar_of(("file", b"x" * 5000, {}))[:3000])["status"] == b"error"


def test_put_as_a_user_has_only_that_users_rights(guest):
    assert put(guest, "/usr/local/deep", tar_of(("file", b"x", {})))["code"] == b"denied"
    assert put(guest, "/usr/local/deep", tar_of(("file", b"x", {})), user=ROOT)["status"] == b"ok"


def test_get_brings_a_folder_as_it_is(guest):
    ok(guest.sh(f"mkdir -p {WORK}/g/sub && cd {WORK}/g && echo -n abc > sub/f && ln -s sub/f l && mkfifo pipe && chmod 700 sub/f && touch -d @1000 sub/f"))
    tar = get(guest, WORK + "/g")
    assert tar.getnames() == [".", "l", "sub", "sub/f"]
    assert tar.extractfile("sub/f").read() == b"abc"
    assert (tar.getmember("sub/f").mode, tar.getmember("sub/f").mtime, tar.getmember("l").linkname) == (0o700, 1000, "sub/f")


def test_what_was_put_comes_back_the_same(guest):
    members = [(f"f{i}", os.urandom(i * 1000), {}) for i in range(40)] + [("x" * 150 + "/" + "y" * 120, b"long", {})]
    assert put(guest, WORK + "/same", tar_of(*members))["status"] == b"ok"
    tar = get(guest, WORK + "/same")
    for name, content, _ in members:
        assert tar.extractfile(name).read() == content


def test_get_of_one_file_and_its_limits(guest):
    ok(guest.sh(f"head -c 1000 /dev/zero > {WORK}/one"))
    assert get(guest, WORK + "/one", max=512 + 1024 + 1024).getmember("one").size == 1000
    assert get(guest, WORK + "/one", max=512 + 1024 + 1023)["code"] == b"too-large"
    assert get(guest, WORK + "/none")["code"] == b"not-found"
    assert get(guest, "/dev/null")["code"] == b"invalid"
    assert get(guest, "/root")["code"] == b"denied"


def test_get_of_a_folder_with_more_bytes_than_allowed_is_reset(guest):
    ok(guest.sh(f"mkdir -p {WORK}/big && head -c 100000 /dev/zero > {WORK}/big/a"))
    stream, answer = guest.request("get", path=WORK + "/big", max=5000)
    assert answer["status"] == b"ok"
    with pytest.raises(yamux.Closed):
        stream.read_all()


# read, write, mkdir, which

def test_read_takes_regular_files_only_and_names_the_rest(guest):
    ok(guest.sh("cd /tmp && printf abc > r && : > e && ln -sf r l && mkfifo p; head -c 65537 /dev/zero > big; ln -sf /tmp d; chmod 000 r"))
    kinds = read(guest, "/tmp/r", "/tmp/e", "/tmp/l", "/tmp/p", "/tmp/big", "/tmp/none", "/tmp", "/tmp/d/r", "/dev/zero", "/tmp/none/x")
    assert kinds == [("regular", b"abc"), ("regular", b""), ("link", b""), ("fifo", b""), ("too-large", b""), ("missing", b""), ("other", b""),
                     ("link", b""), ("other", b""), ("missing", b"")]


def test_read_refuses_a_file_that_somebody_still_writes_to(guest):
    ok(guest.sh("sudo sh -c 'mkdir /sys/fs/cgroup/writer; echo $$ > /sys/fs/cgroup/writer/cgroup.procs; exec 9>> /tmp/held; echo begun >&9; "
                "exec > /dev/null 2>&1; sleep 1000' & for i in $(seq 100); do grep -qs begun /tmp/held && exit 0; sleep 0.1; done; exit 1"))
    assert read(guest, "/tmp/held") == [("busy", b"")]
    guest.sh("echo 1 > /sys/fs/cgroup/writer/cgroup.kill; while grep -q populated.1 /sys/fs/cgroup/writer/cgroup.events; do sleep 0.1; done", user=ROOT)
    assert read(guest, "/tmp/held") == [("regular", b"begun\n")]


def test_read_at_its_limits(guest):
    ok(guest.sh("head -c 65536 /dev/zero > /tmp/at"))
    assert read(guest, "/tmp/at")[0][1] == bytes(65536)
    assert len(read(guest, *["/tmp/at"] * 16)) == 16
    assert guest.call("read", *[("path", "/tmp/at")] * 17, max=10)["code"] == b"invalid"
    assert guest.call("read", path="tmp/at", max=10)["code"] == b"invalid"
    assert guest.call("read", path="/tmp/at", max=(1 << 20) + 1)["code"] == b"invalid"
    ok(guest.sh("head -c 1048576 /dev/zero > /tmp/mib"))
    assert read(guest, "/tmp/mib", max=1 << 20) == [("regular", bytes(1 << 20))]


def test_write_makes_a_new_file_and_never_follows_a_link(guest):
    write = lambda path, **more: guest.call("write", path=path, **{"data": b"abc", "mode": "640", **more})
    assert write("/tmp/new")["status"] == b"ok"
    assert ok(guest.sh("cat /tmp/new; stat -c ' %a %U' /tmp/new")) == "abc 640 runner\n"
    assert write("/tmp/new")["code"] == b"exists"
    assert write("/tmp/new", data=b"other", replace=1)["status"] == b"ok"
    ok(guest.sh("grep other /tmp/new; ln -s /tmp/elsewhere /tmp/wl; ln -s /tmp /tmp/wd"))
    assert write("/tmp/wl")["code"] == b"exists"
    assert write("/tmp/wd/x")["status"] == b"error"
    assert write("/tmp/wl", replace=1)["status"] == b"ok"
    ok(guest.sh("test ! -e /tmp/elsewhere -a -f /tmp/wl -a ! -L /tmp/wl"))
    assert write("/tmp/no/x")["code"] == b"not-found"
    assert write("/etc/x")["code"] == b"denied"
    assert write("/tmp/y", mode="999")["code"] == b"invalid"
    assert write("/tmp/")["code"] == b"invalid"


def test_mkdir_makes_folders_with_all_above_them(guest):
    assert guest.call("mkdir", ("path", "/tmp/m/n/o"), ("path", WORK + "/m"), mode="700")["status"] == b"ok"
    assert ok(guest.sh("stat -c '%a %U' /tmp/m/n/o")) == "700 runner\n"
    assert guest.call("mkdir", path="/tmp/m/n/o")["status"] == b"ok"
    assert guest.call("mkdir", path="/opt/x")["code"] == b"denied"
    assert guest.call("mkdir", path="/etc/passwd/x")["code"] == b"not-found"


def test_which_answers_in_order_and_empty_when_missing(guest):
    stream, answer = guest.request("which", ("name", "sh"), ("name", "no-such"), ("name", "bash"), ("name", "../sh"))
    stream.close()
    assert answer["status"] == b"ok"
    assert [v.decode() for k, v in yamux.read_fields(stream) if k == "path"] == ["/usr/bin/sh", "", "/usr/bin/bash", ""]


# dial

SERVER = """import socket
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen(); print("listening", flush=True)
while True:
    c, _ = s.accept(); data = b""
    while piece := c.recv(65536): data += piece
    c.sendall(data[::-1]); c.close()
"""


def test_dial_carries_bytes_both_ways_with_half_closes(guest):
    server = guest.start(["python3", "-c", SERVER], step="server")
    server.until(b"listening")
    for size in (0, 5, 2 << 20):
        data = os.urandom(size)
        stream, answer = guest.request("dial", port=8080)
        assert answer["status"] == b"ok"
        stream.write(data)
        stream.close()
        assert stream.read_all() == data[::-1]
    early = guest.session.open()
    early.write(yamux.fields(("op", "dial"), ("port", 8080), ("host", "localhost")) + b"early")
    early.close()
    assert dict(yamux.read_fields(early))["status"] == b"ok" and early.read_all() == b"ylrae"
    server.stream.abort()


def test_dial_refuses_what_does_not_listen_and_what_is_no_address(guest):
    assert guest.call("dial", port=9)["code"] == b"refused"
    assert guest.call("dial", port=0)["code"] == b"invalid"
    assert guest.call("dial", port=70000)["code"] == b"invalid"
    assert guest.call("dial", port=80, host="example.org")["code"] == b"invalid"
    assert guest.call("dial", port=80, host="192.0.2.1")["status"] == b"error"


# The session

def test_an_unknown_operation_is_unsupported(guest):
    assert guest.call("teleport")["code"] == b"unsupported"
    assert guest.call("connect")["code"] == b"unsupported"


def test_a_ping_is_answered(guest):
    guest.session.ping()


def test_vsock_is_the_door_only_where_there_is_no_port(guest, transport):
    out = ok(guest.sh("cat /sys/class/virtio-ports/*/name; cat /proc/net/protocols"))
    assert ("devdep.door" in out) == (transport == "serial")
    if transport == "vhost-user-vsock":
        assert guest.transport.device.guest_port and not guest.transport.device.refused


def test_shutdown_kills_answers_and_powers_off(transport):
    with Guest(transport=transport) as g:
        g.boot()
        process = g.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        process.until(b"ready")
        assert g.call("shutdown")["status"] == b"ok"
        g.wait_end(30)


# The root file systems

def test_a_containers_layers_fit_where_jobs_may_write_outside_the_overlay():
    with Guest() as g:
        g.boot()
        for place in ("/tmp", "/var/tmp", "/home/runner/work"):
            ok(g.sh(f"cd {place} && mkdir u w m && mount -t overlay -o lowerdir=/usr,upperdir=u,workdir=w x m && touch m/made && test -f u/made",
                    user=ROOT))
            ok(g.sh(f"touch {place}/mine"))
        refused = g.sh("cd /opt && mkdir u w m && mount -t overlay -o lowerdir=/usr,upperdir=u,workdir=w x m", user=ROOT)
        assert refused.code != 0
        assert b" shared:" in g.sh("grep ' / / ' /proc/self/mountinfo").out


def test_a_read_only_root_answers_erofs_everywhere_but_in_three_places():
    with Guest() as g:
        g.boot(rootfs="read-only")
        for place in ("/", "/etc", "/usr/bin", "/var/tmp", "/home/runner", "/root", "/opt"):
            result = g.sh(f"touch {place}/x", user=ROOT)
            assert result.code == 1 and b"Read-only file system" in result.err, (place, result)
        ok(g.sh("touch /tmp/x /home/runner/work/x"))
        ok(g.sh("touch /run/x; mount -o remount,rw / || true; touch /etc/x 2>/dev/null && exit 1; exit 0", user=ROOT))
        out = ok(g.sh("cat /etc/machine-id /etc/hostname; sudo id -u")).splitlines()
        assert out == [g.identity["machine_id"], "guest-1", "0"]
        assert g.call("write", path="/etc/x", user=ROOT, data=b"")["code"] == b"denied"
        again = g.seed_fields(hostname="guest-9")
        assert g.call(**again)["status"] == b"ok"
        assert ok(g.sh("cat /etc/machine-id /etc/hostname")).splitlines() == [again["machine_id"], "guest-9"]


def test_a_flipped_byte_of_the_image_makes_the_read_fail():
    path, blocks, root_hash, salt = guest_harness.root_image()
    listing = subprocess.run(["/sbin/debugfs", "-R", "blocks /usr/lib/x86_64-linux-gnu/libcrypto.so.3", path], capture_output=True, text=True).stdout
    if not listing.split():
        listing = subprocess.run(["/sbin/debugfs", "-R", "blocks /usr/bin/python3.11", path], capture_output=True, text=True).stdout
    block = int(listing.split()[100])
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfile(path, copy.name)
        with open(copy.name, "r+b") as f:
            f.seek(block * 4096 + 17)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        with Guest(image=(copy.name, blocks, root_hash, salt)) as g:
            g.boot()
            result = g.sh("cat /usr/lib/x86_64-linux-gnu/libcrypto.so.3 /usr/bin/python3.11 > /dev/null")
            assert b"Input/output error" in result.err, result
            ok(g.sh("cat /bin/bash > /dev/null"))


def test_nothing_that_a_job_writes_reaches_the_scratch_disk_readable():
    marker = os.urandom(32).hex().encode()
    with Guest(scratch=128 << 20) as g:
        g.boot()
        ok(g.sh(f"for i in $(seq 100); do echo {marker.decode()} > /tmp/$i; done; for i in $(seq 300); do cat /tmp/1 /tmp/2; done > /home/runner/work/big; sync"))
        with open(g.scratch, "rb") as f:
            data = f.read()
    assert any(data) and marker not in data and b"\x53\xef" != data[1080:1082]


def test_the_scratch_file_system_has_the_disks_whole_size():
    with Guest(scratch=40 << 30) as g:
        g.boot()
        blocks = int(ok(g.sh("df -k --output=size /tmp | tail -1")))
        assert 38 << 20 < blocks < 40 << 20
        inodes = int(ok(g.sh("df --output=itotal /tmp | tail -1")))
        assert inodes > 2000000


def test_the_kernel_finds_the_jobs_own_modules(guest):
    assert "fuse" not in ok(guest.sh("cut -d' ' -f1 /proc/modules"))
    guest.sh("exec 3<>/dev/fuse", user=ROOT)
    assert "fuse" in ok(guest.sh("cut -d' ' -f1 /proc/modules"))


# Refusals: before the seed, and what cannot boot

@pytest.mark.parametrize("first", [
    yamux.fields(("op", "exec"), ("arg", "true"), ("step", "a")), b"\0\0\0\4abcd", b"\xff" * 64, yamux.fields(("op", "seed")) + b"more"])
def test_before_the_seed_everything_else_ends_the_guest(first):
    with Guest() as g:
        assert g.ready() == b"DEVDEP-GUEST" + bytes(4) + b"\0\1\0\0" + g_build(g) + bytes(8)
        g.sock.sendall(first)
        g.wait_end(30)
        assert "devdep-guest: fatal:" in g.console()


def g_build(_):
    return struct.pack(">I", 1)


@pytest.mark.parametrize("change, word", [
    ({"entropy": b"x" * 63}, "entropy"), ({"nonce": None}, "nonce"), ({"machine_id": "A" * 32}, "machine_id"), ({"boot_id": "0" * 36}, "boot_id"),
    ({"time_ns": "soon"}, "time_ns"), ({"hostname": "a b"}, "hostname"), ({"rootfs": "tmpfs"}, "rootfs")])
def test_a_wrong_seed_is_answered_with_what_is_wrong(change, word):
    with Guest() as g:
        g.ready()
        answer = g.seed(**change)
        assert answer["status"] == b"error" and word in answer["message"].decode(), answer


def test_a_scratch_disk_that_is_missing_or_too_small_is_said():
    for size, word in ((None, "no scratch disk"), (1 << 20, "at least 67108864")):
        with Guest(scratch=size) as g:
            g.ready()
            answer = g.seed()
            assert answer["status"] == b"error" and word in answer["message"].decode(), answer


@pytest.mark.parametrize("options, word", [
    ({"cmdline": ""}, "devdep.root"), ({"cmdline": "devdep.root=12 devdep.salt=34 devdep.blocks=1"}, "devdep.root"),
    ({"order": "no-such.ko\n"}, "no-such.ko"), ({"order": "../init\n"}, "order"), ({"port": "other"}, "devdep.door")])
def test_what_cannot_boot_says_why_on_the_console_and_stops(options, word):
    order = options.pop("order", None)
    if order is not None:
        order = "virtio_ring.ko\nvirtio.ko\nvirtio_mmio.ko\nvirtio_console.ko\n" + order
    with Guest(initrd=guest_harness.initramfs(order), **options) as g:
        g.wait_end(60)
        assert re.search(f"devdep-guest: fatal: .*{re.escape(word)}", g.console()), g.console()


def test_a_wrong_root_hash_does_not_boot():
    path, blocks, root_hash, salt = guest_harness.root_image()
    with Guest(image=(path, blocks, "0" * 64, salt)) as g:
        g.wait_end(60)
        assert "fatal: mount the root file system" in g.console()


def test_the_host_going_away_ends_the_guest():
    with Guest() as g:
        g.boot()
        g.session.raw(b"\xff" * 12)
        g.wait_end(30)


# ---- the end of secrets ----

def places_of(pid, needle):
    """Where a process has these bytes in its memory."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            at, end = (int(x, 16) for x in span.split("-"))
            if rights[0] != "r" or "[v" in line:
                continue
            while at < end:
                try:
                    memory.seek(at)
                    data = memory.read(min(end - at, 16 << 20))
                except OSError:
                    break
                found += [(hex(at + m.start()), line.split(None, 5)[-1], data[max(0, m.start() - 40):m.end() + 8]) for m in re.finditer(re.escape(needle), data)]
                at += len(data) if at + len(data) >= end else len(data) - len(needle) + 1
    return found


# Pages of the kernel's own, given back by each processor: it keeps them for itself, and no process is given one of those.
PIPES = """
import fcntl, os, sys
value = (os.environ["T"] + "\\n").encode()
for cpu in os.sched_getaffinity(0):
    os.sched_setaffinity(0, {cpu})
    pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(10)]
    for _, end in pipes:
        try:
            while True:
                os.write(end, value * (4096 // len(value)))
        except BlockingIOError:
            pass
    for end in (end for pipe in pipes for end in pipe):
        os.close(end)
"""


@pytest.mark.parametrize("memory", [512, 2048])
def test_nothing_of_a_secret_is_left_in_the_machines_memory_after_its_wipe(memory):
    """Zeroing ends for want of memory, which is no failure."""
    if os.geteuid() != 0:
        pytest.skip("the memory of QEMU is read by root")
    value = b"canary-" + os.urandom(16).hex().encode()
    with Guest(memory=memory) as g:
        g.boot()
        assert g.call("secret", ("name", "TOKEN"), ("data", value))["status"] == b"ok"
        # In variables, in processes, in a file that the host reads, and in output of many sizes: a port takes each through memory of its own.
        ok(g.sh('test "$(cat /run/secrets/TOKEN)" = "$T" && (sleep 1000 & )', env={"T": value.decode(), **{f"T{i}": value.decode() for i in range(200)}}))
        ok(g.sh('for i in $(seq 40); do echo "$T"; sleep 0.02; head -c $((i * 60)) /dev/zero | tr "\\0" x; echo "$T"; sleep 0.02; done; echo "$T" > /tmp/file', env={"T": value.decode()}))
        assert value in repr(read(g, "/tmp/file")).encode()
        ok(g.sh("rm /tmp/file"))
        ok(g.exec("/usr/bin/python3", "-c", PIPES, env={"T": value.decode()}))
        assert places_of(g.process.pid, value)
        # A virtio port over mmio has 1,024 buffers of a page each, which are used in turn: what came in last is still there. Twice around.
        for _ in range(10):
            assert g.call("secret", ("name", "_"), ("data", bytes((1 << 20) - 4096)))["status"] == b"ok"
        answer = g.call("secret", wipe=1)
        assert answer["status"] == b"ok", answer
        assert places_of(g.process.pid, value) == []
        assert ok(g.sh("ls -A /run/secrets; echo well")) == "well\n"


# Spans of free pages, as the kernel of the guest knows them: bit 10 of /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst).
FREE_PAGES = """
import struct
begin, page = None, 0
with open("/proc/kpageflags", "rb", 0) as flags:
    while words := flags.read(1 << 16):
        for (word,) in struct.iter_unpack("Q", words):
            free = word >> 10 & 1
            if free and begin is None:
                begin = page
            elif not free and begin is not None:
                print(begin, page)
                begin = None
            page += 1
"""
PAGE = 4096


def used_of_free_pages(g):
    """How many free pages of the guest are not zero, and how many there are. The longest mapping of QEMU is the guest's memory."""
    spans = [[int(x) for x in line.split()] for line in ok(g.exec("/usr/bin/sudo", "/usr/bin/python3", "-c", FREE_PAGES)).splitlines()]
    with open(f"/proc/{g.process.pid}/maps") as maps:
        start, end = max(([int(x, 16) for x in line.split()[0].split("-")] for line in maps), key=lambda m: m[1] - m[0])
    used = 0
    with open(f"/proc/{g.process.pid}/mem", "rb", 0) as memory:
        for begin, after in spans:
            assert after * PAGE <= end - start
            memory.seek(start + begin * PAGE)
            pages = memory.read((after - begin) * PAGE)
            if pages.strip(b"\0"):
                used += sum(any(pages[at:at + PAGE]) for at in range(0, len(pages), PAGE))
    return used, sum(after - begin for begin, after in spans)


def test_free_memory_is_zero_after_the_wipe():
    """All but what ran since has given back: processes that look for it, and their files."""
    if os.geteuid() != 0:
        pytest.skip("the memory of QEMU is read by root")
    with Guest(memory=2048) as g:
        g.boot()
        ok(g.exec("/usr/bin/python3", "-c", PIPES, env={"T": "x" * 40}))
        assert used_of_free_pages(g)[0] > 1000
        assert g.call("secret", wipe=1)["status"] == b"ok"
        used, free = used_of_free_pages(g)
        assert used < 256 and free > (1 << 30) // PAGE, (used, free)
