"""The control socket of devdep-job: cancelling, killing, holding, terminals, dialled ports, and clients that misbehave."""
import json
import os
import pty
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from fake_guest import (EXIT, INITIAL_WINDOW, RESIZE, STDIN, STDOUT, TIMEOUT, WINDOW, FakeGuest, Job, fields, frame, parse_fields, recv_exact,
                        spec)

pytestmark = pytest.mark.sanitized


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def outcomes(job):
    return [e["outcome"] for e in job.events("step_finished")]


def ask(job, request):
    answer, connection = job.ask(request)
    connection.close()
    return answer


def log_until(job, text):
    deadline = time.monotonic() + TIMEOUT
    while text not in job.log():
        assert time.monotonic() < deadline, job.text()
        time.sleep(0.005)


def test_cancel_interrupts_the_step_and_always_steps_still_run(folder):
    steps = ["trap 'echo got INT; exit 0' INT; echo begun; while :; do sleep 0.05; done", "echo never",
             {"run": "echo cleaned", "if": "always()"}, {"run": "echo saw it", "if": "cancelled()"},
             {"run": "echo not this", "if": "failure()"}]
    with Job(folder, spec(folder, *steps)) as job:
        log_until(job, "begun")
        assert ask(job, {"op": "cancel"}) == {"ok": True}
        assert ask(job, {"op": "cancel"}) == {"ok": True}
        assert job.wait() == 130
        assert outcomes(job) == ["cancelled", "skipped", "success", "success", "skipped"]
        assert "got INT" in job.log() and "cleaned" in job.log() and "saw it" in job.log()
        assert job.verdict["conclusion"] == "cancelled" and job.verdict["code"] == 3


def test_a_step_that_ignores_signals_is_killed_after_ten_seconds(folder):
    with Job(folder, spec(folder, "trap '' INT TERM; echo begun; while :; do sleep 0.05; done")) as job:
        log_until(job, "begun")
        ask(job, {"op": "cancel"})
        assert job.wait() == 130
        assert outcomes(job) == ["cancelled"]
        assert job.events("step_finished")[0]["exit_code"] == 128 + 9


def test_kill_ends_the_vm_at_once(folder):
    with Job(folder, spec(folder, "echo begun; sleep 60", {"run": "echo never", "if": "always()"})) as job:
        log_until(job, "begun")
        assert ask(job, {"op": "kill"}) == {"ok": True}
        assert job.wait() == 130
        assert outcomes(job) == ["cancelled"] and job.verdict["conclusion"] == "cancelled"


def test_the_end_of_who_started_it_ends_the_job_and_its_vm(folder):
    read_end, write_end = os.pipe()
    with Job(folder, spec(folder, "echo begun; sleep 60", {"run": "echo never", "if": "always()"}), owner=read_end) as job:
        os.close(read_end)
        log_until(job, "begun")
        os.close(write_end)
        assert job.wait() == 130
        assert outcomes(job) == ["cancelled"] and job.verdict["conclusion"] == "cancelled"


def test_a_leash_that_it_is_given_is_kept_until_it_ends(folder):
    read_end, write_end = os.pipe()
    with Job(folder, spec(folder, "echo begun; sleep 60"), leash=write_end) as job:
        os.close(write_end)
        log_until(job, "begun")
        assert select.select([read_end], [], [], 0)[0] == []
        ask(job, {"op": "kill"})
        assert job.wait() == 130
        assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_cancel_while_booting_ends_the_job(folder):
    class Silent(FakeGuest):
        def boot(self):
            recv_exact(self.sock, 1)
    with Job(folder, spec(folder, "true"), guest=Silent) as job:
        job.until("job_started")
        ask(job, {"op": "cancel"})
        assert job.wait() == 130 and job.verdict["conclusion"] == "cancelled"


def test_a_failed_job_is_held_until_it_is_released(folder):
    with Job(folder, spec(folder, "exit 1", hold_on_failure=True)) as job:
        job.until("held")
        assert job.events("job_finished") == []
        assert ask(job, {"op": "release"}) == {"ok": True}
        assert job.wait() == 1 and job.verdict["conclusion"] == "failure"


def test_a_job_that_succeeds_is_not_held(folder):
    with Job(folder, spec(folder, "true", hold_on_failure=True)) as job:
        assert job.wait() == 0 and job.events("held") == []


def test_release_of_a_job_that_is_not_held_is_refused(folder):
    with Job(folder, spec(folder, "sleep 60")) as job:
        job.until("step_started")
        assert "not held" in ask(job, {"op": "release"})["message"]


def test_the_verdict_of_a_held_job_stands_when_the_guest_dies(folder):
    with Job(folder, spec(folder, "exit 1", hold_on_failure=True)) as job:
        job.until("held")
        job.vmm.die()
        assert job.wait() == 1


# Terminals and ports


class Terminal(FakeGuest):
    """A pty that runs a shell here."""

    def op_pty(self, stream, header, pairs):
        argv = [v.decode() for k, v in pairs if k == "arg"]
        env = dict(v.decode().split("=", 1) for k, v in pairs if k == "env")
        self.size = (int(header["rows"]), int(header["columns"]))
        master, slave = pty.openpty()
        process = subprocess.Popen(argv, env=env, cwd=header["cwd"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        self.processes.append(process)
        os.close(slave)
        stream.write(fields(status="ok"))
        threading.Thread(target=self.typed, args=(stream, master), daemon=True).start()
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:
                break
            stream.frame(STDOUT, data)
        stream.frame(EXIT, self.exit_fields(kind="exited", code=process.wait(), oom=0))
        stream.close()

    def typed(self, stream, master):
        try:
            while True:
                kind, n = struct.unpack(">BI", stream.read_exact(5))
                data = stream.read_exact(n)
                if kind == STDIN:
                    os.write(master, data)
                elif kind == RESIZE:
                    self.size = struct.unpack(">HH", data)
        except Exception:
            pass

    def op_dial(self, stream, header, pairs):
        if int(header["port"]) != 8080:
            self.refuse(stream, "connection refused")
            return
        stream.write(fields(status="ok"))
        data = stream.read_rest()
        stream.write(b"you said " + data)
        stream.close()


def frame_to(connection, kind, payload):
    connection.sendall(struct.pack(">BI", kind, len(payload)) + payload)


def read_frames(connection, until):
    text = b""
    while True:
        kind, n = struct.unpack(">BI", recv_exact(connection, 5))
        payload = recv_exact(connection, n)
        if kind == EXIT:
            return text, dict(parse_fields(payload[4:]))
        text += payload
        if until and until in text:
            return text, None


def test_a_terminal_in_a_held_job(folder):
    with Job(folder, spec(folder, "exit 1", hold_on_failure=True, mask=["s3cr3tvalue"]), guest=Terminal) as job:
        job.until("held")
        answer, connection = job.ask({"op": "pty", "rows": 33, "columns": 99})
        assert answer == {"ok": True} and job.guest.size == (33, 99)
        frame_to(connection, STDIN, b"echo he''llo; echo s3cr''3tvalue; pwd; exit 5\n")
        text, end = read_frames(connection, None)
        assert b"hello" in text and b"s3cr3tvalue" not in text and b"***" in text and b"/work/hello/hello" in text
        assert end == {"kind": b"exited", "code": b"5"}  # the nonce stays with devdep-job
        assert connection.recv(1) == b""


def test_a_terminal_whose_user_leaves_ends(folder):
    with Job(folder, spec(folder, "exit 1", hold_on_failure=True), guest=Terminal) as job:
        job.until("held")
        _, connection = job.ask({"op": "pty"})
        connection.close()
        ask(job, {"op": "release"})
        assert job.wait() == 1


def test_a_dialled_port_carries_bytes_and_its_half_close(folder):
    with Job(folder, spec(folder, "sleep 60"), guest=Terminal) as job:
        job.until("step_started")
        answer, connection = job.ask({"op": "dial", "port": 8080})
        assert answer == {"ok": True}
        connection.sendall(b"x" * 1000000)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(65536):
            data += piece
        assert data == b"you said " + b"x" * 1000000
        answer, _ = job.ask({"op": "dial", "port": 81})
        assert answer == {"ok": False, "message": "connection refused"}


def test_no_terminal_before_the_guest_is_there(folder):
    class Silent(FakeGuest):
        def boot(self):
            recv_exact(self.sock, 1)
    with Job(folder, spec(folder, "true"), guest=Silent) as job:
        assert "not there" in ask(job, {"op": "pty"})["message"]


def test_what_is_typed_goes_before_what_other_clients_have_queued(folder):
    class Deaf(Terminal):
        """Takes a window of each stream and gives no more."""
        deaf = ()

        def op_dial(self, stream, header, pairs):
            stream.write(fields(status="ok"))
            self.deaf = (*self.deaf, stream)

        op_pty = op_dial

        def is_full(self):
            return len(self.deaf) == 3 and all(len(stream.received) == INITIAL_WINDOW for stream in self.deaf)

    def send(connection, data):
        try:
            connection.sendall(data)
        except OSError:
            pass  # the job ended
    with Job(folder, spec(folder, "sleep 60"), guest=Deaf) as job:
        job.until("step_started")
        typed = (struct.pack(">BI", STDIN, 16000) + bytes(16000)) * 60
        for request, data in (({"op": "dial", "port": 1}, bytes(len(typed))), ({"op": "dial", "port": 2}, bytes(len(typed))), ({"op": "pty"}, typed)):
            _, connection = job.ask(request)
            threading.Thread(target=send, args=(connection, data), daemon=True).start()
        with job.guest.changed:
            assert job.guest.changed.wait_for(job.guest.is_full, TIMEOUT)
        for _ in range(3):  # turns of the job's loop, in which it queues what its clients have sent
            ask(job, {"op": "release"})
        seen, windows = len(job.guest.arrivals), [frame(WINDOW, 0, stream.id, INITIAL_WINDOW) for stream in job.guest.deaf]
        job.guest.send(b"".join(windows))
        with job.guest.changed:
            assert job.guest.changed.wait_for(lambda: len(job.guest.arrivals) >= seen + 4, TIMEOUT)
        assert job.guest.arrivals[seen:seen + 3] == [job.guest.deaf[2].id] * 3


# Hostile clients


@pytest.mark.parametrize("request_line", [b"x\n", b"\n", b"{}\n", b'{"op":"dance"}\n', b"\xff" * 5000, b'{"op":"cancel","op":"kill"}\n',
                                          b'{"op":"dial","port":99999}\n', b"[" * 4000 + b"\n"],
                         ids=["word", "empty", "no_op", "unknown_op", "endless", "duplicate", "port", "deep"])
def test_a_bad_request_is_answered_and_changes_nothing(folder, request_line):
    with Job(folder, spec(folder, "sleep 0.4")) as job:
        job.until("step_started")
        answer, connection = job.ask(request_line)
        assert answer["ok"] is False and answer["message"]
        connection.close()
        assert job.wait() == 0


def test_too_many_clients_are_turned_away_and_the_job_goes_on(folder):
    with Job(folder, spec(folder, "sleep 60")) as job:
        job.until("step_started")
        clients = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX)
            s.connect(job.control_path)
            clients.append(s)
        clients[0].sendall(b'{"op":')
        turned_away = set()
        while len(turned_away) < 40 - 16:
            ready = select.select([c for c in clients if c not in turned_away], [], [], 3)[0]
            assert ready, f"only {len(turned_away)} were turned away"
            turned_away |= set(ready)
        for c in clients:
            c.close()
        assert ask(job, {"op": "kill"}) == {"ok": True}
        assert job.wait() == 130


def test_a_client_that_sends_and_leaves_is_still_heard(folder):
    with Job(folder, spec(folder, "sleep 60")) as job:
        job.until("step_started")
        s = socket.socket(socket.AF_UNIX)
        s.connect(job.control_path)
        s.sendall(json.dumps({"op": "kill"}).encode() + b"\n")
        s.close()
        assert job.wait() == 130
