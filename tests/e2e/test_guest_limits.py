"""Whatever a job exhausts, devdep-guest answers a ping within two seconds, reports the right verdict, and starts the next step."""

import os
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from lib.guest_harness import Guest  # noqa: E402

PROMISED = 2.0  # seconds until a ping is answered: behaviour that is promised under exhaustion, not a figure
UNDER_ABUSE = 100  # pings that are answered while a step does its worst


@pytest.fixture(scope="module")
def guest():
    with Guest(scratch=512 << 20) as g:
        g.boot()
        yield g


class Pinger:
    """Pings all the time, and remembers the worst answer."""

    def __init__(self, guest):
        self.guest, self.times, self.stop, self.answered = guest, [], threading.Event(), threading.Condition()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            try:
                took = self.guest.session.ping(timeout=30)
            except Exception as e:  # noqa: BLE001 - the test must see it as a failed answer
                print("ping:", e)
                took = float("inf")
            with self.answered:
                self.times.append(took)
                self.answered.notify_all()
            if took == float("inf"):
                return
            self.stop.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        self.thread.join()
        print(f"{len(self.times)} pings, worst {max(self.times):.3f} s")
        assert len(self.times) > 3 and max(self.times) < PROMISED

    def wait(self, answers):
        """Until so many more pings were answered."""
        with self.answered:
            wanted = len(self.times) + answers
            self.answered.wait_for(lambda: len(self.times) >= wanted or float("inf") in self.times)


def next_step_works(guest):
    result = guest.sh("echo next", step="next")
    assert (result.out, result.code) == (b"next\n", 0), result


def abuse(guest, script, program="python3", **more):
    """Let the step run until many pings were answered, kill it, and see its verdict and the next step."""
    with Pinger(guest) as pinger:
        process = guest.start([program, "-c", script], step="abuse", **more)
        assert process.ok, process.answer
        pinger.wait(UNDER_ABUSE)
        assert guest.call("signal", step="abuse", signo=9)["status"] == b"ok"
        result = process.finish()
        assert (result.kind, result.code) == ("signaled", 9), result
        next_step_works(guest)
    return result


BOMB = """import os
while True:
    try: os.fork()
    except OSError: pass
"""


def test_during_a_fork_bomb(guest):
    abuse(guest, BOMB)


def test_during_a_fork_bomb_whose_main_process_ends(guest):
    with Pinger(guest):
        result = guest.exec("python3", "-c", "import os\nif os.fork(): os._exit(3)\n" + BOMB, step="abuse")
        assert (result.kind, result.code) == ("exited", 3)
        next_step_works(guest)


def test_a_fork_bomb_as_root_is_bounded_as_well(guest):
    abuse(guest, BOMB, user="0")


def test_during_processor_starvation(guest):
    abuse(guest, "import os\nfor i in range(200): os.fork() or exec('while True: pass')\nwhile True: pass")


def test_during_processor_starvation_by_root_at_the_highest_priority(guest):
    abuse(guest, "import os\nos.nice(-20)\nfor i in range(50): os.fork() or exec('while True: pass')\nwhile True: pass", user="0")


def test_memory_exhaustion_kills_the_process_and_says_so(guest):
    with Pinger(guest):
        result = guest.exec("python3", "-c", "b = []\nwhile True: b.append(b'x' * (16 << 20))", step="abuse")
        assert (result.kind, result.code, result.oom) == ("signaled", 9, True), result
        next_step_works(guest)


def test_memory_exhaustion_of_a_child_leaves_the_step_its_own_verdict(guest):
    with Pinger(guest):
        result = guest.sh("python3 -c 'b = []\nwhile True: b.append(b\"x\" * (16 << 20))'; echo status $?", step="abuse")
        assert (result.out, result.code, result.oom) == (b"status 137\n", 0, True), result
        next_step_works(guest)


def test_during_memory_exhaustion_by_many_processes(guest):
    abuse(guest, """import os
for i in range(40):
    if not os.fork():
        while True:
            if not os.fork():
                b = []
                while True: b.append(b'x' * (1 << 20))
            try: os.wait()
            except OSError: pass
while True: pass
""")


def test_a_full_memory_file_system_is_no_space_and_leaves_room_for_a_step(guest):
    with Pinger(guest):
        result = guest.sh("cat /dev/zero > /dev/shm/full", step="abuse")
        assert result.code == 1 and b"No space left" in result.err and not result.oom, result
        next_step_works(guest)
    guest.sh("rm /dev/shm/full")


def test_a_full_disk_is_no_space_and_no_kill(guest):
    with Pinger(guest):
        result = guest.sh("cat /dev/zero > /tmp/full", step="abuse")
        assert result.code == 1 and b"No space left" in result.err and not result.oom, result
        next_step_works(guest)
        assert guest.call("write", path="/tmp/more", data=b"x" * 70000)["code"] == b"no-space"
        root = guest.sh("cat /dev/zero > /full", step="abuse", user="0")
        assert root.code == 1 and b"No space left" in root.err, root
        next_step_works(guest)
    guest.sh("rm -f /tmp/full /full", user="0")


def test_a_disk_full_of_small_files_is_no_space(guest):
    with Pinger(guest):
        result = guest.exec("python3", "-c", "import os\nos.mkdir('/tmp/many')\ni = 0\nwhile True:\n  open(f'/tmp/many/{i}', 'w').close(); i += 1", step="abuse",
                            timeout=300)
        assert result.code == 1 and b"No space left" in result.err, result
        next_step_works(guest)
    guest.sh("rm -rf /tmp/many")


def test_during_a_flood_of_output_that_nobody_reads(guest):
    with Pinger(guest) as pinger:
        process = guest.start(["yes"], step="flood")
        process.stream.fill()
        pinger.wait(UNDER_ABUSE)
        next_step_works(guest)
        process.stream.abort()


def test_all_at_once(guest):
    abuse(guest, """import os
if not os.fork(): os.execvp('sh', ['sh', '-c', 'while :; do cat /dev/zero > /tmp/full; rm /tmp/full; done'])
if not os.fork(): os.execvp('yes', ['yes'])
if not os.fork():
    b = []
    while True: b.append(b'x' * (1 << 20))
""" + BOMB)
    guest.sh("rm -f /tmp/full")
