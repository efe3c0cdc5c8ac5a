"""devdep-job and its secrets, between a devdep-secrets and a guest that are the test's: what is masked, where values go, in which order,
and what is left when the job is over."""
import json
import os
import tempfile
import threading

import pytest

from fake_guest import FakeGuest, Job, spec
from fake_secrets import FakeSecrets, is_mapped

pytestmark = pytest.mark.sanitized


class Scene:
    def __init__(self, folder, *steps, guest=FakeGuest, sealed=True, wrap=(), **more):
        self.secrets = FakeSecrets(sealed)
        self.job = Job(folder, spec(folder, *steps, **more), guest=guest, secrets=self.secrets, wrap=wrap)

    def __enter__(self):
        return self.secrets, self.job

    def __exit__(self, *exc):
        self.secrets.close()
        self.job.__exit__(*exc)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-", ignore_cleanup_errors=True) as path:
        yield path


def finish(secrets, job, count=0):
    assert secrets.verb() == "f"
    secrets.released(count)
    return job.wait()


def test_a_secret_reaches_guest_and_expressions_and_is_masked(folder):
    with Scene(folder, {"env": [{"name": "T", "value": "${{ secrets.token }}"}], "run": "echo env $T, job $J; echo in-script ${{ secrets.TOKEN }}"},
               env=[{"name": "J", "value": "x-${{ secrets.TOKEN }}-y"}]) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value", EMPTY="")
        assert finish(secrets, job) == 0
        assert job.guest.secrets == {"TOKEN": b"hunter2-the-value", "EMPTY": b""}
        assert job.log(stream="out") == "env ***, job x-***-y\nin-script ***\n"
        assert "hunter2" not in job.text()
        assert job.events("secrets")[0]["versions"] == {"TOKEN": "", "EMPTY": ""}


def test_everything_is_masked_before_anything_is_in_the_guest_and_the_guest_has_it_before_the_first_step(folder):
    with Scene(folder, "true") as (secrets, job):
        secrets.give(A="first-value", B="second-value")
        assert finish(secrets, job) == 0
        operations = [op for op, _ in job.guest.requests]
        assert operations.index("secret") < operations.index("exec")
        kinds = [e["type"] for e in job.events()]
        assert kinds.index("secrets") < kinds.index("step_started")


def test_a_job_waits_for_its_secrets_and_can_be_cancelled_meanwhile(folder):
    with Scene(folder, "true") as (secrets, job):
        assert secrets.verb() == "a"
        job.until("vm_seeded")
        assert job.ask({"op": "cancel"})[0] == {"ok": True}
        assert finish(secrets, job) == 130
        assert not job.events("step_started")


@pytest.mark.parametrize("message", ["devdep.yaml:12:9: secret TOKEN: kv/ci#token: permission denied"])
def test_what_cannot_be_had_is_201_before_the_first_step(folder, message):
    with Scene(folder, "echo never") as (secrets, job):
        secrets.fail(message)
        assert job.wait() == 201
        assert (job.verdict["code"], job.verdict["message"], job.verdict["conclusion"]) == (201, message, "failure")
        assert not job.events("step_started") and not job.guest.secrets


def test_a_devdep_secrets_that_dies_is_201(folder):
    with Scene(folder, "echo never") as (secrets, job):
        assert secrets.verb() == "a"
        secrets.close()
        assert job.wait() == 201 and "ended before its work was done" in job.verdict["message"]
        assert not job.events("step_started")


def test_a_memory_file_that_others_can_write_is_not_read(folder):
    with Scene(folder, "echo never", sealed=False) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert job.wait() == 201 and "not sealed" in job.verdict["message"]


def test_a_guest_that_takes_no_secrets_gets_no_steps(folder):
    class Old(FakeGuest):
        def op_secret(self, stream, header, pairs):
            self.refuse(stream, "the operation is not known")
    with Scene(folder, "echo never", guest=Old) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert finish(secrets, job) == 201
        assert "the operation is not known" in job.verdict["message"] and not job.events("step_started")


def test_an_expression_of_the_jobs_env_that_fails_ends_the_job(folder):
    with Scene(folder, "echo never", env=[{"name": "J", "value": "${{ fromJSON(secrets.TOKEN) }}"}]) as (secrets, job):
        secrets.give(TOKEN="{hunter2-the-value")
        assert finish(secrets, job) == 1
        assert "env" in job.verdict["message"] and "hunter2" not in job.text()


# ---- calls of workflows around the job ----

def call(contexts=None, **secrets):
    return {"file": "ci.yml", "contexts": contexts or {}, "pass": [{"name": k.replace("__", "-"), "value": v, "line": 7, "column": 9} for k, v in secrets.items()]}


def test_a_called_job_has_what_the_calls_pass_under_their_names_and_nothing_else(folder):
    calls = [call(MIDDLE="${{ secrets.OUTER }}", OTHER="${{ secrets.SECOND }}"),
             call({"inputs": {"which": "middle"}}, inner="k-${{ secrets[inputs.which] }}-k", with__dash="${{ secrets.OTHER }}", unset="${{ secrets.NOBODY }}", no="never")]
    with Scene(folder, "echo ${{ secrets.INNER }} ${{ secrets.with-dash }} [${{ secrets.OUTER }}${{ secrets.MIDDLE }}${{ secrets.no }}] '${{ toJSON(secrets) }}'",
               secrets={"calls": calls, "only": ["INNER", "with-dash", "unset", "OUTER", "MIDDLE"]}) as (secrets, job):
        secrets.give(OUTER="hunter2-the-value", SECOND="second-value")
        assert finish(secrets, job) == 0
        assert job.guest.secrets == {"inner": b"k-hunter2-the-value-k"}
        assert "".join(job.log(stream="out").split()) == '******[]{"inner":"***","with-dash":"***"}'
        assert "hunter2" not in job.text() and "second-value" not in job.text()


def test_a_call_may_pass_what_is_no_secret_of_anybody(folder):
    with Job(folder, spec(folder, {"env": [{"name": "T", "value": "${{ secrets.t }}"}], "run": "echo $T $J"}, env=[{"name": "J", "value": "x${{ secrets.T }}"}],
                          contexts={"github": {"actor": "ada"}}, secrets={"calls": [call(t="by-${{ github.actor }}")]})) as job:
        assert job.wait() == 0
        assert job.guest.secrets == {"t": b"by-ada"} and job.log(stream="out") == "*** x***\n"


def test_what_a_call_cannot_evaluate_ends_the_job_with_its_place(folder):
    with Scene(folder, "echo never", secrets={"calls": [call(t="${{ fromJSON(secrets.A).x }}")]}) as (secrets, job):
        secrets.give(A="{hunter2-the-value")
        assert finish(secrets, job) == 1
        assert "ci.yml:7:9: the secret 't': " in job.verdict["message"] and "hunter2" not in job.text()
        assert not job.guest.secrets and not job.events("step_started")


# ---- rotation ----

class Slow(FakeGuest):
    """Takes a second `secret` when the test says so."""

    def __init__(self, sock):
        super().__init__(sock)
        self.may_take, self.asked = threading.Event(), threading.Event()

    def op_secret(self, stream, header, pairs):
        if self.secrets:
            self.asked.set()
            self.may_take.wait(60)
        super().op_secret(stream, header, pairs)


def test_a_rotated_secret_is_masked_before_the_guest_has_it_and_the_old_value_lives_until_then(folder):
    step = f"until [ -e {folder}/go ]; do sleep 0.05; done; cat {folder}/go"
    with Scene(folder, step, "echo ${{ secrets.TOKEN }}", guest=Slow) as (secrets, job):
        secrets.give(_version="1", TOKEN="old-value")
        assert job.guest.started.wait(60)
        secrets.change("TOKEN", "new-value", "2")
        assert job.guest.asked.wait(60)
        secrets.ours.settimeout(0.2)
        with pytest.raises(TimeoutError):
            secrets.verb()
        secrets.ours.settimeout(60)
        job.guest.may_take.set()
        assert secrets.verb() == "t"
        assert job.guest.secrets == {"TOKEN": b"new-value"}
        with open(f"{folder}/text", "w") as f:
            f.write("old-value new-value\n")
        os.rename(f"{folder}/text", f"{folder}/go")
        assert finish(secrets, job) == 0
        assert job.log(step=0, stream="out") == "*** ***\n" and job.log(step=1, stream="out") == "***\n"
        assert job.events("secret_rotated")[0]["versions"] == {"TOKEN": "2"}
        assert "new-value" not in job.text() and "old-value" not in job.text()


def test_a_rotated_secret_is_passed_again_by_the_calls(folder):
    with Scene(folder, f"until [ -e {folder}/go ]; do sleep 0.05; done", "echo ${{ secrets.t }}",
               secrets={"calls": [call(t="k-${{ secrets.TOKEN }}-k", u="${{ secrets.OTHER }}")]}) as (secrets, job):
        secrets.give(TOKEN="old-value", OTHER="other-value")
        assert job.guest.started.wait(60)
        secrets.change("TOKEN", "new-value", "2")
        assert secrets.verb() == "t"
        assert job.guest.secrets == {"t": b"k-new-value-k", "u": b"other-value"}
        open(f"{folder}/go", "w").close()
        assert finish(secrets, job) == 0
        assert job.log(step=1, stream="out") == "***\n" and "new-value" not in job.text()


def test_the_control_socket_asks_for_a_look_at_the_versions(folder):
    with Scene(folder, f"until [ -e {folder}/go ]; do sleep 0.05; done") as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert job.guest.started.wait(60)
        assert job.ask({"op": "rotate"})[0] == {"ok": True}
        assert secrets.verb() == "r"
        secrets.say(("word", "note"), ("message", "kv/ci: the server is slow"))
        secrets.say(("word", "rotated"), ("count", 0))
        assert job.until("secrets_looked_at")["rotated"] == 0
        open(f"{folder}/go", "w").close()
        assert finish(secrets, job) == 0
        assert "secrets: kv/ci: the server is slow\n" in job.log(stream="note")


def test_a_job_without_secrets_has_nothing_to_rotate(folder):
    with Job(folder, spec(folder, "sleep 100")) as job:
        assert job.guest.started.wait(60)
        answer, _ = job.ask({"op": "rotate"})
        assert answer == {"ok": False, "message": "the job has no secrets now"}


# ---- the end ----

def test_the_last_event_waits_until_everything_is_given_back(folder):
    with Scene(folder, "true") as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert secrets.verb() == "f"
        assert not is_mapped(job.pid) and not job.events("job_finished")
        secrets.say(("word", "note"), ("message", "lease x was revoked at the second try"))
        secrets.released(3)
        assert job.wait() == 0
        kinds = [e["type"] for e in job.events()]
        assert kinds.index("secrets_released") < kinds.index("job_finished") and job.events("secrets_released")[0]["revoked"] == 3
        assert "second try" in job.log(stream="note")


@pytest.mark.parametrize("how", ["kill", "vmm", "guest"])
def test_everything_is_given_back_however_a_job_ends(folder, how):
    with Scene(folder, "sleep 100") as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert job.guest.started.wait(60)
        if how == "kill":
            job.ask({"op": "kill"})
        elif how == "vmm":
            job.vmm.die()
        else:
            job.guest.send(b"\xff" * 64)
        assert finish(secrets, job) == {"kill": 130, "vmm": 46, "guest": 47}[how]
        assert job.events("secrets_released")


class Wiped(FakeGuest):
    def __init__(self, sock):
        super().__init__(sock)
        self.rinses = []  # operations are threads

    def op_secret(self, stream, header, pairs):
        self.rinses += [len(v) for k, v in pairs if k == "data" and not v.strip(b"\0")]
        if header.get("wipe"):
            self.wipe = sorted(self.secrets)
        super().op_secret(stream, header, pairs)

    def op_pty(self, stream, header, pairs):
        self.shell = [v for k, v in pairs if k == "env"]
        self.refuse(stream, "no shell today")


def test_a_held_guest_has_no_secret_any_more(folder):
    with Scene(folder, "echo ${{ secrets.TOKEN }}; false", guest=Wiped, hold_on_failure=True,
               env=[{"name": "J", "value": "x-${{ secrets.TOKEN }}"}, {"name": "K", "value": "plain"}]) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert secrets.verb() == "f"
        assert job.guest.secrets == {} and job.guest.wipe == ["TOKEN", "_"] and sum(job.guest.rinses) >= 6 << 20
        assert not job.events("held") and not is_mapped(job.pid)
        secrets.released()
        job.until("held")
        # The script that the value was written into is empty, and a shell's variables are without it.
        left = [open(os.path.join(top, name)).read() for top, _, names in os.walk(f"{folder}/work") for name in names]
        assert left and not any("hunter2" in text for text in left)
        assert job.ask({"op": "pty", "rows": 24, "columns": 80})[0] == {"ok": False, "message": "no shell today"}
        assert b"K=plain" in job.guest.shell and not [v for v in job.guest.shell if b"hunter2" in v]
        assert job.ask({"op": "release"})[0] == {"ok": True}
        assert job.wait() == 1 and "hunter2" not in job.text()


def test_a_guest_that_does_not_give_its_secrets_up_is_not_held(folder):
    class Keeps(FakeGuest):
        def op_secret(self, stream, header, pairs):
            if header.get("wipe"):
                self.refuse(stream, "no process to zero the memory")
            else:
                super().op_secret(stream, header, pairs)
    with Scene(folder, "false", guest=Keeps, hold_on_failure=True) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert finish(secrets, job) != 0
        assert not job.events("held")


def test_an_output_that_holds_a_secret_is_left_out(folder):
    with Scene(folder, {"id": "a", "run": "echo v=x-hunter2-the-value >> $GITHUB_OUTPUT; echo w=plain >> $GITHUB_OUTPUT"},
               outputs={"v": "${{ steps.a.outputs.v }}", "w": "${{ steps.a.outputs.w }}", "s": "${{ secrets.TOKEN }}"}) as (secrets, job):
        secrets.give(TOKEN="hunter2-the-value")
        assert finish(secrets, job) == 0
        assert job.verdict["outputs"].get("w") == "plain" and not job.verdict["outputs"].get("v") and not job.verdict["outputs"].get("s")
        assert "hunter2" not in json.dumps(job.events())
