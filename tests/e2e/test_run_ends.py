"""How runs end that do not end by themselves: interrupted, killed, the machine under them gone. Each has its verdict, and nothing
is left on the host."""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import termios

import pytest

import devdep
import runs

pytestmark = pytest.mark.guest


def workflow(**jobs):
    return json.dumps({"name": "ci", "on": "push", "jobs": {
        name: {"runs-on": "ubuntu-latest", "steps": [s if isinstance(s, dict) else {"run": s} for s in steps]}
        for name, steps in jobs.items()}})


WAITS = "echo it-is-$((1+1))-running; sleep 3000"
RUNNING = "it-is-2-running"


@pytest.mark.user
def test_the_first_interrupt_cancels_and_the_second_ends_the_guests_at_once(cli, repo):
    repo.workflow(workflow(a=[
        {"id": "long", "run": "trap 'echo interrupted; exit 1' INT; echo it-is-$((1+1))-running; sleep 3000 & wait"},
        {"id": "no", "run": "echo no"},
        {"id": "told", "if": "cancelled()", "run": "echo told"},
        {"id": "cleanup", "if": "always()", "run": "trap '' INT TERM; echo cleaning-$((1+1)); sleep 3000"}]))
    repo.commit()
    live = runs.Live(cli, repo)
    live.wait_for(RUNNING)
    live.signal(signal.SIGINT)
    live.wait_for("cleaning-2")
    assert live.process.poll() is None
    live.signal(signal.SIGINT)
    result = live.end()
    run = runs.Run(result)
    assert result.status == 130 and result.error[:2] == (3, "ERR_CANCELLED"), result
    assert run.finished["conclusion"] == "cancelled" and run.finished["retryable"] is True
    job = run["a"]
    assert job["long"].outcome == "cancelled" and job["long"].lines == ["it-is-2-running", "interrupted"]
    assert job["no"].outcome == "skipped" and job["told"].lines == ["told"]
    assert "press Ctrl-C again" in result.err
    assert runs.leftovers(cli) == []


@pytest.mark.user
def test_a_caller_that_ignores_the_ends_of_its_children_changes_no_verdict(cli, repo):
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    done = subprocess.run(["env", "--ignore-signal=CHLD", *map(str, cli.argv("run", "--dir", repo.path))], cwd="/", env=cli.env(),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.user
def test_a_killed_vmm_jail_or_job_is_302_and_nothing_stays(cli, repo):
    repo.workflow(workflow(a=[WAITS], b=[WAITS], c=[WAITS]))
    repo.commit()
    live = runs.Live(cli, repo, "--jobs", "3", "--keep-going", "--memory", "512M")
    live.wait_for(f'"text":"{RUNNING}', 3)
    victims = runs.slot_processes(cli)
    assert len(victims) == 3 and all(set(v) == {"job", "jail", "qemu"} for v in victims.values()), victims
    for slot, what in zip(sorted(victims), ("qemu", "jail", "job")):
        os.kill(victims[slot][what][0], signal.SIGKILL)
    result = live.end()
    assert result.status == 46 and result.error[:2] == (302, "ERR_GUEST_LOST"), result
    assert runs.leftovers(cli) == []
    record = json.loads(cli("runs", "--json").out)[0]
    assert record["conclusion"] == "failure" and record["code"] == 302, record
    text = cli("logs", "1").out
    assert "without a verdict: it was killed by signal 9" in live.err + text + json.dumps(record), text


@pytest.mark.user
def test_what_a_killed_command_leaves_ends_and_is_cleaned_by_the_next(cli, repo):
    repo.workflow(workflow(a=[WAITS]))
    repo.commit()
    live = runs.Live(cli, repo)
    live.wait_for(RUNNING)
    live.signal(signal.SIGKILL)
    live.end()
    runs.wait_until(lambda: not runs.descendants(), "the end of what a killed command started")
    shown = cli("runs")
    assert "interrupted" in shown.out, shown
    repo.workflow(json.dumps({"on": "push", "jobs": {"never": {"if": False, "runs-on": "ubuntu-latest", "steps": [{"run": "x"}]}}}))
    assert cli("run", "--dir", repo.path).status == 0
    assert runs.leftovers(cli) == []
    assert cli("rm", "1").status == 0


@pytest.fixture
def killed_with(cli, repo, folder):
    """A command is killed while another devdep-job, one of tests/lib/deaf_job.c, has its VM: {program: pid} of what it had started."""
    def kill(name):
        programs = folder / "programs"
        programs.mkdir()
        for program in devdep.BUILD.glob("devdep-*"):
            if program.is_file():
                shutil.copy(program, programs)
        shutil.copy(devdep.BUILD / name, programs / "devdep-job")
        return killed_beside(cli, repo, programs / "devdep-cli")
    yield kill
    for pid in runs.descendants():
        os.kill(pid, signal.SIGKILL)


def killed_beside(cli, repo, program):
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    process = subprocess.Popen(devdep.become([program, "run", "--dir", repo.path, "--cold", "--memory", "512M"]), cwd="/", env=cli.env(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    started = {}

    def there():
        assert process.poll() is None, process.communicate()
        started.update({name: pid for pid, name in runs.descendants(process.pid).items() if name.startswith(("devdep-job", "qemu"))})
        return len(started) == 2 and confined(started["devdep-job"])
    runs.wait_until(there, "a job that was taken over has its VM")
    process.kill()
    process.communicate()
    return started


def confined(pid):
    return "\nSeccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text()


@pytest.mark.user
def test_a_job_that_was_taken_over_ends_with_the_command_and_so_does_its_vm(cli, repo, killed_with):
    killed_with("deaf-job")
    runs.wait_until(lambda: not runs.descendants(), "the end of what a killed command started")
    repo.workflow(json.dumps({"on": "push", "jobs": {"never": {"if": False, "runs-on": "ubuntu-latest", "steps": [{"run": "x"}]}}}))
    assert cli("run", "--dir", repo.path).status == 0
    assert runs.leftovers(cli) == []


@pytest.mark.user
def test_a_vm_ends_with_the_command_whatever_keeps_its_lifeline(killed_with):
    started = killed_with("deathless-job")
    runs.wait_until(lambda: set(runs.descendants()) == {started["devdep-job"]}, "the end of the VM")


def terminal_run(cli, repo, *args):
    """The command on a pseudo-terminal of its own: its process and our end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 101))

    def lead():
        os.setsid()
        import fcntl
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = subprocess.Popen(cli.argv("run", "--dir", repo.path, *args), cwd="/", env=cli.env({"TERM": "xterm"}), stdin=theirs, stdout=theirs,
                               stderr=theirs, preexec_fn=lead)
    os.close(theirs)
    return process, ours


class Screen:
    def __init__(self, fd):
        self.fd, self.text, self.at = fd, "", 0

    def expect(self, text, seconds=280):
        """Wait until the text comes behind what was expected before."""
        while text not in self.text[self.at:]:
            ready, _, _ = select.select([self.fd], [], [], seconds)
            assert ready, f"{text!r} never came:\n{self.text}"
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b""
            assert data, f"the terminal was closed before {text!r}:\n{self.text}"
            self.text += data.decode(errors="replace")
        self.at = self.text.index(text, self.at) + len(text)

    def type(self, text):
        os.write(self.fd, text.encode())

    def rest(self):
        try:
            while data := os.read(self.fd, 65536):
                self.text += data.decode(errors="replace")
        except OSError:
            pass
        return self.text


@pytest.mark.user
def test_shell_on_failure_opens_a_shell_in_the_failed_guest(cli, repo):
    repo.workflow(workflow(a=["touch left-$((40+2)); exit 3", "echo no"]))
    repo.commit()
    process, fd = terminal_run(cli, repo, "--shell-on-failure")
    screen = Screen(fd)
    screen.expect("a shell in the failed job's guest")
    screen.expect("$")  # the prompt: what is typed before the terminal is the shell's is thrown away
    screen.type("ls; stty size; id -un; echo here-$((20+2))\r")
    screen.expect("left-42")
    screen.expect("33 101")
    screen.expect("runner")
    screen.expect("here-22")
    # A shell that is interrupted while it forks waits for its child: the key comes when the child is there and reads.
    screen.type("cat; echo went-on-$((1+1))\r")
    screen.expect("went-on-$")
    screen.type("to the cat\r")
    screen.expect("to the cat")
    screen.expect("to the cat")
    screen.type("\x03")
    screen.expect("$")
    screen.type("echo status-$?-$((1+1))\r")
    screen.expect("status-130-2")
    assert process.poll() is None
    screen.type("exit\r")
    assert process.wait(280) == 1
    text = screen.rest()
    assert "went-on-2" not in text and "devdep: error 1 ERR_RUN_FAILED" in text
    os.close(fd)
    assert runs.leftovers(cli) == []


def private_image(cli, change):
    """A copy of the default image with a changed manifest, signed by a key that this state trusts."""
    source, image = devdep.SYSTEM_IMAGES / "default", cli.state / "images" / "broken"
    image.mkdir(parents=True)
    for name in ("kernel", "initramfs", "root.img"):
        subprocess.run(["cp", "--reflink=auto", source / name, image / name], check=True)
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["name"] = "broken"
    change(manifest)
    for accel in ("kvm", "tcg"):
        line = manifest["cmdline"][accel].encode()
        manifest["measurement"][accel] = hash_of(
            b"devdep-measurement-v1\0", len(accel).to_bytes(4, "big"), accel.encode(), bytes.fromhex(manifest["kernel"]["sha256"]),
            bytes.fromhex(manifest["initramfs"]["sha256"]), len(line).to_bytes(4, "big"), line, bytes.fromhex(manifest["root"]["verity"]))
    text = json.dumps(manifest, indent=2).encode()
    (image / "manifest.json").write_bytes(text)
    key, public = cli.state / "test.key", cli.state / "test.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    raw = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout[-32:]
    (cli.state / "message").write_bytes(b"devdep-signature-v1\0image-manifest\0" + text)
    signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", cli.state / "message"], check=True,
                               stdout=subprocess.PIPE).stdout
    (image / "manifest.sig").write_text(f"devdep-signature-v1 image-manifest {hash_of(raw)} {signature.hex()}\n")
    devdep.give(cli.state)
    trusted = cli("image", "trust", public)
    assert trusted.status == 0, trusted
    return "broken"


def hash_of(*parts):
    import hashlib
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_guest_that_cannot_boot_is_301_with_the_consoles_last_lines(cli, repo):
    def other_root(manifest):
        right = manifest["root"]["verity"]
        wrong = "0" * 64
        manifest["root"]["verity"] = wrong
        for accel in ("kvm", "tcg"):
            manifest["cmdline"][accel] = manifest["cmdline"][accel].replace(right, wrong)
    image = private_image(cli, other_root)
    repo.workflow(workflow(a=["echo no"]))
    repo.commit()
    result = cli("run", "--cold", "--dir", repo.path, "--image", image)
    assert result.status == 45 and result.error[:2] == (301, "ERR_VM_BOOT_FAILED"), result
    console = result.out.split("the guest's console ended with:")
    assert len(console) == 2 and "devdep-guest" in console[1], result
    assert runs.leftovers(cli) == []
