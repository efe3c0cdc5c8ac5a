"""A secret is where it must be and nowhere else: canaries, one given to the command and one of a Vault, are searched for while a job has
them, while its failed guest is kept for a person, when the run is over, and after each process was killed.

Searched are the memory of each process of the run (QEMU's, which is the guest's, and what was freed), its memory files, the arguments and
the environment of every process of this host, everything that the run writes and prints, the syslog, and the raw blocks of the file system
that the state folder and the guest's disks are on."""
import contextlib
import fcntl
import os
import pathlib
import pty
import signal
import socket
import subprocess
import termios
import threading

import pytest

import canary as canaries
import census
import devdep
import runs
import sizes
import world as worlds
from canary import Canary, Sighting
from test_canary import Disk, written_elsewhere
from vault_scene import TOKEN, Work, signed_in
from world import SERVERS

pytestmark = [pytest.mark.guest, pytest.mark.skipif(worlds.missing() is not None or bool(devdep.USER), reason=str(worlds.missing() or "reads memory, so root"))]

# Uses the secrets in the ways that jobs do, and waits for the test with them.
USES = """
test "$(cat /run/secrets/GIVEN)" = "$GIVEN" && test "$(cat /run/secrets/OF_VAULT)" = "$OF_VAULT" || exit 9
for value in "$GIVEN" "$OF_VAULT"; do
  echo "plain $value"; printf %s "$value" | base64 -w0; echo; printf x%s "$value" | base64 -w0; echo; printf %s "$value" | od -An -v -tx1 | tr -d ' \\n'; echo
  echo "::error title=$value,file=$value.c,line=1::failed with $value"; echo "::notice::$value"; echo "::group::$value"; echo "::endgroup::"; echo "::debug::$value"
  echo "- $value" >> $GITHUB_STEP_SUMMARY; echo "of=$value" >> $GITHUB_OUTPUT; echo "NAME=$value" >> $GITHUB_ENV
done
(sleep 1000; echo "$GIVEN") & disown
python3 -c "import os; x = [os.environ['OF_VAULT'] * 9 + str(i) for i in range(999)]; print(len(x))"
WRITES
echo used-$((1+1))
exec 3<>/dev/tcp/SERVER/8080; echo here >&3; read -r go <&3; exit $go
"""
# What the job itself leaves in its files and on the console, and what it looks up: in a guest that is kept, that is there.
WRITES = """
for value in "$GIVEN" "$OF_VAULT"; do
  printf %s "$value" > "$RUNNER_TEMP/kept"; printf %s "$value" > /dev/shm/kept; seq 200 | sed "s/\\$/ $value/" > many; sudo cp many /var/tmp/many; sync
  getent hosts "$value.example.test"; sudo sh -c "echo '$value' > /dev/console"
done
timeout 20 bash -c "echo $GIVEN > /dev/tcp/SERVER/81" || true
"""


class Gate:
    """A server in the world that a job waits at: and the status that it is told to end with."""

    def __init__(self, world, address, port):
        self.here, self.opened, self.status = threading.Event(), threading.Event(), None
        world.serve(address, port, self.serve)

    def serve(self, sock):
        sock.recv(64)
        self.here.set()
        self.opened.wait(600)
        self.here.clear()  # at first: whoever was killed meanwhile does not listen
        sock.sendall(b"%d\n" % self.status)

    def open(self, status):
        self.status = status
        self.opened.set()

    def close(self):
        self.opened.clear()


class Syslog:
    """/dev/log, where the host has none: what the run says there."""

    def __init__(self):
        self.lines, self.sock = [], None

    def __enter__(self):
        if not pathlib.Path("/dev/log").exists():
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.sock.bind("/dev/log")
            self.sock.settimeout(0.2)
        return self

    def __exit__(self, *unused):
        if self.sock:
            self.read()
            self.sock.close()
            pathlib.Path("/dev/log").unlink()

    def read(self):
        with contextlib.suppress(TimeoutError):
            while self.sock:
                self.lines.append(self.sock.recv(65536))


class Terminal:
    """The command on a terminal of its own, all that it shows, and a value on descriptor 3 of it."""

    def __init__(self, cli, *args, value):
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 120))
        value_fd, into = os.pipe()
        os.write(into, value.encode() + b"\n")
        os.close(into)

        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(cli.argv("run", "--secret", f"GIVEN@{value_fd}", *args), cwd="/", env=cli.env({"TERM": "xterm"}), stdin=theirs,
                                        stdout=theirs, stderr=theirs, preexec_fn=lead, pass_fds=[value_fd])
        os.close(theirs)
        os.close(value_fd)
        self.shown = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 65536):
                self.shown += data

    def until(self, condition, what, seconds=240):
        """Wait for it, but not past the end of the command."""
        try:
            runs.wait_until(lambda: condition() or self.process.poll() is not None, what, seconds)
        finally:
            assert condition(), f"no {what}: {self.shown.decode(errors='replace')}"

    def expect(self, text):
        self.until(lambda: text in self.shown, text)

    def end(self, seconds=240):
        status = self.process.wait(seconds)
        self.reader.join(30)
        return status

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


class Place(Work):
    """A world with a Vault and a gate, a state folder on a disk of its own, and canaries."""

    def __init__(self, world, folder):
        super().__init__(world, folder)
        self.disk = Disk(folder)
        self.gate = Gate(world, SERVERS[1], 8080)
        self.given, self.of_vault = Canary(), Canary()
        self.needles = canaries.every_needle([self.given, self.of_vault])
        self.report = self.disk.mount / "report"

    @contextlib.contextmanager
    def vault(self):
        with self.replay() as vault:
            self.use(self.disk.mount, ["OF_VAULT: secret/ci/db#pass"], account_folder=self.folder)
            signed_in(vault)
            vault.play("04-kv2-read", token=TOKEN, **{'"p1"': f'"{self.of_vault.value}"'})
            yield vault

    @contextlib.contextmanager
    def run(self, *args, writes=WRITES):
        """A run whose job waits at the gate, with its secrets."""
        self.workflow(USES.replace("WRITES", writes).replace("SERVER", SERVERS[1]), GIVEN="${{ secrets.GIVEN }}", OF_VAULT="${{ secrets.OF_VAULT }}")
        self.gate.close()
        terminal = Terminal(self.cli, "--dir", self.repo.path, "--memory", "512M", "--allow", f"{SERVERS[1]}/32:8080", "--on-violation", "warn",
                            "--egress-report", self.report, "--egress-syslog", "--vault", self.account, *args, value=self.given.value)
        try:
            terminal.until(self.gate.here.is_set, "a job that waits at the gate")
            yield terminal
        finally:
            terminal.close()

    def look(self):
        """Where the run's processes have a canary now."""
        return Sighting(census.processes_of(self.cli.state) | runs.descendants(), self.needles)

    def assert_nothing_is_left(self, *texts):
        """When the run is over: in its files, on its disk, in what it printed, in any process."""
        runs.wait_until(lambda: not census.processes_of(self.cli.state), "the end of the run's processes")
        assert canaries.in_process_table(self.needles) == []
        for text in texts:
            assert not canaries.hits(text, self.needles), text.decode(errors="replace")
        assert canaries.tree_hits(self.cli.state, self.needles) == {}
        assert not canaries.hits(self.report.read_bytes(), self.needles), self.report.read_text()
        assert self.disk.found(self.needles) == {}
        assert not canaries.hits(self.cli("logs").text.encode(), self.needles)

    def close(self):
        self.disk.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with worlds.World() as world:
        made = Place(world, tmp_path_factory.mktemp("secrets"))
        yield made
        made.close()


def part(name):
    """The process id of a program of the run."""
    return next(pid for pid, known in runs.descendants().items() if known.startswith(name))


def test_a_canary_is_found_in_each_form_and_in_part(folder):
    one = Canary()
    for text in (one.value, one.value[20:], one.value.lower(), one.value.encode().hex(), *(canaries.base64.b64encode(b"x" * n + one.value.encode()).decode() for n in range(3))):
        assert canaries.hits(text.encode(), one.needles), text
    (folder / "file").write_text("x" * 40_000_000 + one.value)
    assert canaries.tree_hits(folder, one.needles) and not canaries.tree_hits(folder, Canary().needles)


def test_nothing_of_a_secret_is_where_it_must_not_be(place):
    with place.vault(), Syslog() as syslog, place.disk.synced(), place.run("--shell-on-failure", writes="") as terminal:
        # The job has them, and waits. The search sees: the guest's memory, what the command was given, where devdep-secrets has them.
        there = place.look()
        assert {"devdep-cli", "devdep-job", "devdep-secrets", "qemu-system-x86"} == there.programs(), there
        # Nobody else has any of it: not those for sources, artifacts, caches, connections, nor the jail, nor anybody's arguments.
        assert there.unsafe("qemu-system-x86", "devdep-job") == [] and canaries.in_process_table(place.needles) == []
        assert not canaries.is_dumpable(part("devdep-job")) and {pid for pid in runs.descendants() if not canaries.leaves_no_core(pid)} == set()
        assert written_elsewhere(place, place.folder) == []
        # It fails, and its guest is kept for a person: what still has them can neither be swapped out nor dumped.
        place.gate.open(3)
        terminal.expect(b"a shell in the failed job's guest")
        kept = place.look()
        assert kept.programs() == {"devdep-cli", "devdep-job"} and kept.unsafe() == [], kept
        assert part("qemu-system-x86") and canaries.in_process_table(place.needles) == []
        terminal.expect(b"$ ")
        os.write(terminal.ours, b"exit\r")
        assert terminal.end() == 1, terminal.shown
        syslog.read()
    assert b"used-2" in terminal.shown and terminal.shown.count(b"plain ***") >= 2, terminal.shown
    place.assert_nothing_is_left(terminal.shown, b"".join(syslog.lines))


@pytest.mark.parametrize("victim", sizes.SIZE.secret_ends)
def test_nothing_of_a_secret_is_left_however_its_job_ends(place, victim):
    """By itself, when the job also wrote its secrets wherever it could; and when a process of the run is killed while it has them."""
    with place.vault(), place.disk.synced(), place.run() as terminal:
        if victim:
            os.kill(terminal.process.pid if victim == "devdep-cli" else part(victim), signal.SIGKILL)
        place.gate.open(0)
        assert (terminal.end() == 0) == (victim in (None, "devdep-secrets")), terminal.shown
    assert b"used-2" in terminal.shown
    place.assert_nothing_is_left(terminal.shown)
