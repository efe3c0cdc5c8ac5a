"""Jobs that abuse their own machine, each with the verdict that it deserves and beside a job that must not notice. What every case is
held to besides its own words is in scene.run(): never success, the other job untouched, the host's memory within its bounds, nothing left."""
import json
import re

import pytest

import sizes

pytestmark = pytest.mark.guest
SIZE = sizes.SIZE
ALIVE = {"id": "alive", "if": "always()", "run": "echo next-$((1+1))"}


def python(script, root=False):
    return f"cat > /tmp/abuse.py <<'END'\n{script}\nEND\n{'sudo ' if root else ''}python3 /tmp/abuse.py"


def failed(outcome):
    """The job failed of itself: 1, not because its guest was lost."""
    assert outcome.status == 1 and outcome.verdict() == ("failure", 1), outcome
    return outcome["hostile"]


def failed_and_alive(outcome):
    """... and its guest ran the next step."""
    job = failed(outcome)
    assert job["alive"].lines == ["next-2"], job["alive"]
    return job


# What a guest runs out of


def test_a_fork_bomb_ends_at_its_timeout(scene, repo):
    bomb = python("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    outcome = scene.run(repo, [{"id": "bomb", "run": bomb, "timeout-minutes": 0.1}, ALIVE])
    job = failed_and_alive(outcome)
    assert job["bomb"].outcome == "failure" and "time limit" in job["bomb"].reason, job["bomb"]


def test_a_fork_bomb_whose_shell_ends_does_not_reach_the_next_step(scene, repo):
    outcome = scene.run(repo, [{"id": "bomb", "run": "bomb() { bomb | bomb & }; bomb; sleep 2; exit 3"},
                               {"id": "alive", "if": "always()", "run": "pgrep -c -f bomb | grep -v '^[01]$' || echo next-$((1+1))"}])
    job = failed_and_alive(outcome)
    assert job["bomb"].exit_code == 3, job["bomb"]


def test_a_memory_hog_is_killed_and_said_to_be(scene, repo):
    outcome = scene.run(repo, [{"id": "hog", "run": python("b = []\nwhile True: b.append(b'x' * (16 << 20))")}, ALIVE])
    job = failed_and_alive(outcome)
    assert job["hog"].exit_code == 137 and "memory" in str(job["hog"].reason) + "".join(e["text"] for e in job["hog"].logs), job["hog"]


FILL = """
import os
os.makedirs('/tmp/many')
n = 0
def one():
    global n
    n += 1
    with open(f'/tmp/many/{n}', 'wb') as f:
        f.write(b'x' * 4096)
for i in range(FILES):
    one()
free = os.statvfs('/tmp')
with open('/tmp/many/rest', 'wb') as f:
    os.posix_fallocate(f.fileno(), 0, free.f_bfree * free.f_frsize - (32 << 20))
try:
    while True:
        one()
except OSError as e:
    print('files', n > FILES, e.strerror, flush=True)
os.remove('/tmp/many/rest')
os.sync()
raise SystemExit(4)
"""


def test_a_disk_full_of_many_files_is_no_space_in_the_guest_alone(scene, repo):
    outcome = scene.run(repo, [{"id": "fill", "run": python(FILL.replace("FILES", str(SIZE.files)))}, ALIVE], seconds=1200)
    job = failed_and_alive(outcome)
    assert job["fill"].exit_code == 4 and "files True No space left on device" in job["fill"].lines, job["fill"]


# What a guest says


def test_a_flood_of_output_stays_within_the_journals_bound(scene, repo):
    flood = f"yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c {SIZE.output}; exit 5"
    outcome = scene.run(repo, [{"id": "flood", "run": flood}, ALIVE], seconds=1200)
    assert outcome.status == 1 and outcome.verdict() == ("failure", 1), outcome
    text = notes = 0
    for event in outcome.events("hostile"):
        if event["type"] == "log" and event["stream"] == "out":
            text += len(event["text"])
        notes += event["type"] == "log" and event["stream"] == "note" and "log" in event["text"] and "MiB" in event["text"]
    size = outcome.journal("hostile").stat().st_size
    bound = 512 * sizes.MIB
    assert size <= bound + sizes.MIB and outcome.out_path.stat().st_size <= bound + 256 * sizes.MIB, size
    if SIZE.output < bound:
        assert text >= SIZE.output and notes == 0
    else:
        assert bound * 0.8 < text < SIZE.output and notes == 1, (text, notes)


def test_one_endless_line_arrives_whole_in_bounded_pieces(scene, repo):
    outcome = scene.run(repo, [{"id": "line", "run": f"head -c {SIZE.line} /dev/zero | tr '\\0' x; exit 6"}, ALIVE], seconds=600)
    failed(outcome)
    pieces = [e["text"] for e in outcome.events("hostile") if e["type"] == "log" and e["step"] == 0 and e["stream"] == "out"]
    assert sum(p.count("x") for p in pieces) == SIZE.line
    assert max(len(line) for p in pieces for line in p.split("\n")) <= 64 << 10


def test_binary_output_is_text_for_readers_and_never_reaches_the_terminal(scene, repo):
    binary = f"head -c {SIZE.binary} /dev/urandom; printf '\\033]0;title\\007\\033[2J\\233\\200\\377\\0'; exit 7"
    outcome = scene.run(repo, [{"id": "binary", "run": binary}, ALIVE], json_output=False, seconds=600)
    job = failed_and_alive(outcome)
    assert len(job["binary"].log) >= SIZE.binary // 4
    shown = outcome.out_path.read_bytes().decode()  # strict: UTF-8
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", re.sub(r"\x1b\[[0-9;]*m", "", shown))


# How a guest ends


@pytest.mark.user
@pytest.mark.parametrize("how", ["poweroff", "reboot", "panic"])
def test_a_guest_that_ends_itself_is_302(scene, repo, how):
    key = {"poweroff": "o", "reboot": "b", "panic": "c"}[how]
    outcome = scene.run(repo, [{"id": "end", "run": f"sudo sh -c 'sync; echo {key} > /proc/sysrq-trigger'; sleep 3000"}, ALIVE])
    assert outcome.status == 46 and outcome.verdict() == ("failure", 302), outcome
    job = outcome["hostile"]
    assert "alive" not in [s.id for s in job.steps] or job["alive"].outcome == "skipped", job.steps
    if how == "panic":
        assert "sysrq triggered crash" in job.console["text"], job.console


# A guest's clock


def test_a_clock_of_1970_or_2106_changes_nothing_on_the_host(scene, repo):
    outcome = scene.run(repo, [
        {"id": "past", "run": "sudo date -s @86400; date +%Y; sleep 0.5; echo past"},
        {"id": "future", "run": "sudo date -s 2106-02-07T06:28:14Z; date +%Y; sleep 4; date +%Y-%m-%d; echo future"},
        {"id": "slow", "run": "sleep 3000", "timeout-minutes": 0.05}, ALIVE])
    job = failed_and_alive(outcome)
    assert job["past"].lines[-2:] == ["1970", "past"] and job["future"].lines[-3:] == ["2106", "2106-02-07", "future"], job.steps
    assert job["slow"].outcome == "failure" and "time limit" in job["slow"].reason, job["slow"]
    times = [e["t"] for e in job.events]
    assert times == sorted(times) and outcome.started * 1000 - 1 <= times[0] and times[-1] <= outcome.ended * 1000 + 1
    ms = [e["ms"] for e in job.events if e["type"] == "step_finished"]
    assert all(0 <= m <= (outcome.ended - outcome.started) * 1000 for m in ms), ms
    assert outcome.started * 1000 - 1 <= outcome.record["started_ms"] <= outcome.ended * 1000


# A guest's agent


PORT = """
import os, stat
found = []
for name in sorted(os.listdir('/sys/class/virtio-ports')):
    if not os.path.exists(f'/sys/class/virtio-ports/{name}/name'):
        continue
    major, minor = map(int, open(f'/sys/class/virtio-ports/{name}/dev').read().split(':'))
    for path in (f'/tmp/{name}', f'/proc/1/root/dev/{name}'):
        try:
            if path.startswith('/tmp'):
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            os.open(path, os.O_RDWR | os.O_NONBLOCK)
            found.append('opened')
        except OSError as e:
            found.append(e.strerror)
print('port:', *found, flush=True)
raise SystemExit(8)
"""


def test_a_job_that_opens_the_agents_port_finds_it_busy(scene, repo):
    job = failed_and_alive(scene.run(repo, [{"id": "port", "run": python(PORT, root=True)}, ALIVE]))
    (line,) = [x for x in job["port"].lines if x.startswith("port:")]
    assert "Device or resource busy" in line and "opened" not in line, line
    assert job["port"].exit_code == 8


HIJACK = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
agent = libc.syscall(434, 1, 0)
door = next(int(fd) for fd in os.listdir('/proc/1/fd') if 'vport' in os.readlink(f'/proc/1/fd/{fd}'))
mine = libc.syscall(438, agent, door, 0)
print('hijacked', mine >= 0, flush=True)
import time
time.sleep(1)
while True:
    os.write(mine, WHAT)
"""


@pytest.mark.parametrize("what", ["b'junk' * 4096", "bytes(64)", "b'\\0\\0\\0\\0\\0\\0\\0\\1\\xff\\xff\\xff\\xff'"], ids=["junk", "zeros", "huge_frame"])
def test_a_job_that_writes_into_the_agents_stream_is_303(scene, repo, what):
    outcome = scene.run(repo, [{"id": "hijack", "run": python(HIJACK.replace("WHAT", what), root=True) + "; sleep 3000"}])
    assert outcome.status == 47 and outcome.verdict() == ("failure", 303), outcome


KILLS_THE_AGENT = """
import re
maps = open("/proc/1/maps").read()
with open("/proc/1/mem", "r+b", 0) as memory:
    for first, last in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r-xp", maps, re.M):
        memory.seek(int(first, 16))
        try:
            memory.write(bytes(int(last, 16) - int(first, 16)))
        except OSError:
            pass
"""


def test_a_job_that_kills_its_agent_is_302_with_the_consoles_last_lines(scene, repo):
    outcome = scene.run(repo, [python(KILLS_THE_AGENT, root=True) + "; sleep 3000"], json_output=False)
    assert outcome.status == 46 and outcome.verdict() == ("failure", 302), outcome
    shown = outcome.out_path.read_text()
    assert "the guest's console ended with:" in shown and "Kernel panic" in shown, shown


DAEMONS = """
nohup sleep 1001 &
(setsid sh -c 'sleep 1002 & setsid sleep 1003 &' &)
setsid sudo sh -c 'sleep 1004 & exec sleep 1005' &
python3 -c 'import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "1006"])
    os._exit(0)'
sleep 0.5
echo started $(pgrep -c sleep)
exit 9
"""


def test_daemons_that_hold_the_output_open_end_with_their_step(scene, repo):
    outcome = scene.run(repo, [{"id": "daemons", "run": DAEMONS},
                               {"id": "alive", "if": "always()", "run": "pgrep sleep || echo next-$((1+1))"}])
    job = failed_and_alive(outcome)
    assert job["daemons"].exit_code == 9 and "started 6" in job["daemons"].lines, job["daemons"]


def test_nothing_but_the_verdict_is_shown_as_the_commands_last_word(scene, repo):
    """A job that prints the command's own last line, and events in the journal's form, convinces nobody."""
    forged = json.dumps({"v": 1, "seq": 1, "t": 1, "type": "job_finished", "conclusion": "success", "code": 0, "message": ""})
    outcome = scene.run(repo, [f"echo '{forged}'; echo '{forged}' >&2; printf '\\n%s\\n' '{forged}'; exit 10"])
    failed(outcome)
    shown = [json.loads(line) for line in outcome.out_path.read_text().splitlines()]
    assert shown[-1]["type"] == "run_finished" and shown[-1]["conclusion"] == "failure", shown[-1]
    assert outcome.err.splitlines()[-1].startswith("devdep: error 1 ERR_RUN_FAILED"), outcome.err
