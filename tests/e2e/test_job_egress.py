"""devdep-job and a guest that asks for connections out of turn: no VM, and no broker but the test's."""
import contextlib
import json
import struct
import tempfile
import threading

import pytest

import brokers
import runs
from fake_guest import ACK, DATA, FIN, SYN, WINDOW, FakeGuest, Job, Stream, fields, frame, parse_fields, spec

pytestmark = pytest.mark.sanitized

POLICY = {"profile": "brokered", "on_violation": "warn", "allow": ["good.test"]}


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


class Asking(FakeGuest):
    """A guest that opens streams of its own while its first step runs."""
    next_id = 2

    def ask(self, **header):
        sid, Asking.next_id = Asking.next_id, Asking.next_id + 2
        stream = self.streams[sid] = Stream(self, sid)
        header = fields(**header)
        self.send(frame(WINDOW, SYN, sid, 0) + frame(DATA, 0, sid, len(header), header))
        return stream

    def call(self, **header):
        stream = self.ask(**header)
        (n,) = struct.unpack(">I", stream.read_exact(4))
        answer = dict(parse_fields(stream.read_exact(n)))
        stream.close()
        self.streams.pop(stream.id)
        return {k: v.decode() for k, v in answer.items()}


@contextlib.contextmanager
def asking(folder, policy=None, **more):
    with Job(folder, spec(folder, "sleep 60", **({"egress": policy} if policy else {})), guest=Asking, **more) as job:
        assert job.guest.started.wait(60)
        yield job


def test_a_sealed_job_denies_every_connection_and_ends_with_401(folder):
    with asking(folder) as job:
        answer = job.guest.call(op="connect", connection=7, name="good.test", port=443)
        assert (answer["status"], answer["code"]) == ("error", "denied")
        job.guest.ask(op="event", kind="process", connection=7, process="curl", pid=12)
        assert job.wait() == 145
        (event,) = job.events("egress")
        assert (event["verdict"], event["process"], event["pid"], event["entry"]) == ("denied", "curl", 12, "good.test")
        assert job.verdict["code"] == 401 and "(process curl, pid 12): the profile is sealed" in job.verdict["message"]
        assert "good.test:443" in job.events("summary")[0]["text"]


def test_a_process_that_is_never_told_holds_up_nothing(folder):
    with asking(folder) as job:
        job.guest.call(op="connect", connection=7, address="8.8.8.8", port=443)
        assert job.wait() == 145
        assert "process" not in job.events("egress")[0]


class Leaving(Asking):
    """A guest whose step ends at once when it has tried something, and that says nothing of it."""

    def exit_fields(self, **more):
        self.attempt()
        return super().exit_fields(**more)

    def attempt(self):
        self.call(op="connect", connection=7, name="bad.test", port=443)


@pytest.mark.parametrize("policy", [None, {**POLICY, "on_violation": "fail"}])
def test_a_job_that_ends_before_its_guest_says_whose_a_connection_was_ends_with_401_too(folder, policy):
    with Job(folder, spec(folder, "true", **({"egress": policy} if policy else {})), guest=Leaving) as job:
        assert job.wait() == 145
        assert job.verdict["code"] == 401 and "bad.test:443" in job.verdict["message"]
        assert [e["verdict"] for e in job.events("egress")] == ["denied"]


def test_what_the_broker_did_not_answer_before_the_jobs_end_is_judged_by_the_policy(folder):
    class Hasty(Leaving):
        def attempt(self):
            self.ask(op="connect", connection=7, name="good.test", port=443)
            self.ask(op="connect", connection=8, name="bad.test", port=443)
    mute = Mute()
    with Job(folder, spec(folder, "true", egress={**POLICY, "on_violation": "fail"}), guest=Hasty, broker=mute.theirs.fileno()) as job:
        assert job.wait() == 145
        assert job.verdict["code"] == 401 and "'bad.test' in egress.allow would allow it" in job.verdict["message"]
        assert [e["verdict"] for e in job.events("egress")] == ["abandoned", "denied"]


def test_without_a_broker_a_brokered_job_reaches_nothing_either(folder):
    with asking(folder, POLICY) as job:
        assert job.guest.call(op="connect", connection=7, name="good.test", port=443)["code"] == "denied"
        assert job.guest.call(op="event", kind="lookup", name="good.test")["reached"] == "1"
        assert job.guest.call(op="event", kind="lookup", name="bad.test")["reached"] == "0"


@pytest.mark.parametrize("header", [{"name": "a" * 300, "port": 1}, {"name": "a.b", "port": 0}, {"port": 1}, {"address": "x", "port": 1},
                                    {"name": "a.b", "address": "1.2.3.4", "port": 1}])
def test_a_request_out_of_form_is_refused_and_the_job_goes_on(folder, header):
    with asking(folder, POLICY) as job:
        assert job.guest.call(op="connect", connection=1, **header)["code"] == "invalid"
        assert job.guest.call(op="event", kind="nonsense")["code"] == "unsupported"
        assert job.guest.call(op="service", name="x")["code"] == "unsupported"
        assert job.events("egress") == []


def test_a_flood_of_events_is_counted_and_not_kept(folder):
    """10,001 of them: one is past the limit."""
    with asking(folder, POLICY) as job:
        for i in range(10001):
            job.guest.call(op="event", kind="packet", protocol="udp", address="9.9.9.9", port=1 + i % 60000, process="x|`\x1b[31m", pid=9)
            job.sample()
        assert len(job.events("egress")) == 10000 and job.peak < 64 << 20
        # A connection has its record all the same.
        job.guest.call(op="connect", connection=1, name="good.test", port=443)
        job.guest.ask(op="event", kind="process", connection=1, process="curl", pid=12)
        runs.wait_until(lambda: job.events("egress")[-1]["kind"] == "connect", "the record of the connection")
        job.ask({"op": "cancel"})
        job.wait()
        assert "1 more outgoing connections, packets and lookups" in job.log()
        assert len(job.events("annotation")) == 20
        summary = job.events("summary")[0]["text"]
        assert "9982 more." in summary and "x???" in summary and "\x1b" not in summary


def test_a_name_that_is_none_offers_no_entry_and_stays_in_its_cell(folder):
    """The guest's words: what they say is shown, and is no text of ours."""
    with asking(folder, POLICY) as job:
        for i, name in enumerate(("x' in egress.allow would allow it", "`|[a](http://evil.test)", "a..b", "1.2.3.4", "Real.Test.")):
            job.guest.call(op="event", kind="packet", protocol="tcp", name=name, port=443 + i, process="a_b*c", pid=9)
        job.ask({"op": "cancel"})
        job.wait()
        assert [e.get("entry") for e in job.events("egress")] == [None] * 4 + ["real.test:447"]
        rows = [line for line in job.events("summary")[0]["text"].split("\n") if "443" in line or "444" in line]
        assert rows == ["| `x' in egress.allow would allow it:443` | a?b?c |  |", "| `??[a](http://evil.test):444` | a?b?c |  |"]


def test_a_secret_in_a_changed_cell_leaves_no_half_of_it(folder):
    class Telling(Leaving):
        def attempt(self):
            self.call(op="event", kind="packet", protocol="tcp", name="se_cret-value.test", port=443, process="ppp_se_cret-value", pid=9)
    with Job(folder, spec(folder, "echo ::add-mask::se_cret-value", egress={**POLICY, "on_violation": "fail"}), guest=Telling) as job:
        assert job.wait() == 145
        assert "cret-v" not in json.dumps([job.verdict, *job.events("annotation"), *job.events("summary"), *job.events("egress")])
        assert "| `***.test:443` | ppp?*** |" in job.events("summary")[0]["text"]


class Mute:
    """A broker that takes requests and never answers."""

    def __init__(self):
        self.sock, self.theirs = brokers.yamux.socket_pair()


def test_a_secret_across_the_end_of_a_long_message_leaves_no_half_of_it(folder):
    """All that a broker may say of a connection, in one sentence: it is longer than a message."""
    mute, secret = Mute(), "Q7" * 14

    def say(sid, **said):
        data = fields(**said)
        mute.sock.sendall(frame(DATA, 0, sid, len(data), data))
    step = {"run": f"echo ::add-mask::{secret}; echo it is masked; exec sleep 60", "name": "n" * 100}
    with Job(folder, spec(folder, step, egress={**POLICY, "on_violation": "fail"}), guest=Asking, broker=mute.theirs.fileno()) as job:
        runs.wait_until(lambda: "it is masked" in job.log(), "the mask")
        job.guest.ask(op="connect", connection=7, name="good.test", port=443)
        asked = b""
        while b"good.test" not in asked:
            asked += mute.sock.recv(65536)
        mute.sock.sendall(frame(WINDOW, ACK, 1, 0) + frame(WINDOW, ACK, 3, 0))
        say(1, status="ok")
        say(3, status="error", code="denied", message="x")
        mute.sock.sendall(frame(WINDOW, FIN, 3, 0))
        job.guest.ask(op="event", kind="process", connection=7, process="p" * 300, pid=12)
        say(1, id=0, verdict="denied", reason="r" * 300, entry=secret * 9, address="11.1.0.2", sent=0, received=0, ms=1)
        assert job.wait() == 145
        assert job.verdict["message"].endswith("rrr; '***' in egress.allow would allow it") and "Q7" not in job.verdict["message"]


def test_devdep_service_is_told_that_a_name_is_masked_and_nothing_else(folder):
    ours, theirs = brokers.yamux.socket_pair()
    step = "echo ::add-mask::hunter22; echo it is masked; exec sleep 60"
    with Job(folder, spec(folder, step), service=theirs.fileno()) as job:
        runs.wait_until(lambda: "it is masked" in job.log(), "the mask")
        service = brokers.yamux.Session(ours)
        service.next_id = 2  # as devdep-service numbers its streams

        def ask(**header):
            stream = service.open()
            stream.write(fields(**header))
            answer = {k: v.decode() for k, v in brokers.yamux.read_fields(stream)}
            stream.close()
            return answer
        assert ask(op="is-masked", text="npm-linux-x64") == {"status": "ok"}
        for text in ("hunter22", "npm-hunter22-x64"):
            answer = ask(op="is-masked", text=text)
            assert (answer["status"], answer["code"]) == ("error", "masked") and "hunter22" not in answer["message"]
        assert ask(op="connect", name="good.test", port=443)["code"] == "unsupported"


def test_a_broker_that_goes_away_ends_the_job(folder):
    mute = Mute()
    with asking(folder, POLICY, broker=mute.theirs.fileno()) as job:
        mute.theirs.close()
        mute.sock.close()
        assert job.wait() == 48
        assert "devdep-broker has ended" in job.verdict["message"]


def test_connections_at_once_are_limited(folder):
    mute = Mute()
    with asking(folder, POLICY, broker=mute.theirs.fileno()) as job:
        threading.Thread(target=lambda: [None for _ in iter(lambda: mute.sock.recv(65536), b"")], daemon=True).start()
        for i in range(128):
            job.guest.ask(op="connect", connection=i, name="good.test", port=443)
        answer = job.guest.call(op="connect", connection=999, name="good.test", port=443)
        assert (answer["code"], answer["message"]) == ("limited", "too many connections at once")
        # What is not listed is a violation all the same: a limit hides nothing.
        answer = job.guest.call(op="connect", connection=1000, name="bad.test", port=443)
        assert (answer["code"], answer["message"]) == ("denied", "not listed")
        job.ask({"op": "cancel"})
        job.wait()
        verdicts = [e["verdict"] for e in job.events("egress")]
        assert [verdicts.count(v) for v in ("abandoned", "limited", "denied")] == [128, 1, 1]


# ---- the operator's mirrors ----

MIRRORS = {"profile": "sealed", "mirrors": [{"name": "npm", "server": "http://npm.corp.test:4873", "kind": "npm"}]}


def test_without_a_broker_a_mirror_is_unreachable_and_no_violation(folder):
    with asking(folder, MIRRORS) as job:
        for _ in range(3):
            assert job.guest.call(op="connect", connection=1, name="NPM.devdep.internal.", port=80)["code"] == "unreachable"
        assert job.guest.call(op="event", kind="lookup", name="npm.devdep.internal")["reached"] == "1"
        job.ask({"op": "cancel"})
        job.wait()
        events = [e for e in job.events("egress") if e["kind"] == "connect"]
        assert {(e["verdict"], e["name"], e["port"], e["mirror"]) for e in events} == {("unreachable", "npm.devdep.internal", 80, "http://npm.corp.test:4873")}
        (told,) = job.events("annotation")
        assert told["level"] == "notice" and "npm.devdep.internal:80 could not be reached; it is this host's mirror http://npm.corp.test:4873:" in told["message"]
        assert job.verdict["code"] != 401 and job.events("summary") == []


def test_a_name_that_no_mirror_has_is_unreachable_and_told_once(folder):
    with asking(folder, MIRRORS) as job:
        for name, port in (("other.devdep.internal", 80), ("a.npm.devdep.internal", 80), ("other.devdep.internal", 80), ("other.devdep.internal", 443)):
            assert job.guest.call(op="connect", connection=1, name=name, port=port)["code"] == "unreachable"
        job.ask({"op": "cancel"})
        job.wait()
        assert all("mirror" not in e for e in job.events("egress"))
        assert [(a["level"], a["message"].split(" ")[0]) for a in job.events("annotation")] == [
            ("notice", "other.devdep.internal:80"), ("notice", "a.npm.devdep.internal:80"), ("notice", "other.devdep.internal:443")]


def test_with_mirrors_alone_the_broker_is_asked_for_nothing_else(folder):
    """What a sealed job refuses it refuses itself, whatever broker there is."""
    mute, heard = Mute(), []
    with asking(folder, MIRRORS, broker=mute.theirs.fileno()) as job:
        threading.Thread(target=lambda: heard.extend(iter(lambda: mute.sock.recv(65536), b"")), daemon=True).start()
        answer = job.guest.call(op="connect", connection=7, name="good.test", port=443)
        assert (answer["code"], answer["message"]) == ("denied", "the profile is sealed")
        assert job.wait() == 145 and b"good.test" not in b"".join(heard)


def test_a_flood_of_names_that_no_mirror_has_is_told_twenty_times(folder):
    with asking(folder, MIRRORS) as job:
        for i in range(30):
            job.guest.call(op="connect", connection=1, name=f"n{i}.devdep.internal", port=80)
        job.ask({"op": "cancel"})
        job.wait()
        assert len(job.events("annotation")) == 20 and len(job.events("egress")) == 30
