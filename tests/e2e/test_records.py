"""The record of a run: written at its end, whatever that is, chained and signed, without free text."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

import devdep
import runs

HELD = ["seccomp", "no-capabilities", "no-new-privileges", "no-dumps", "private-root", "closed-descriptors", "limits"]
WAITS = "echo it-is-$((1+1))-running; sleep 3000"


def workflow(run, **more):
    return json.dumps({"name": "a name; with text", "on": "push", "jobs": {"a": {"runs-on": "ubuntu-latest", "steps": [{"run": run}], **more}}})


def record(cli, run):
    return json.loads(cli("records", "show", run).out)["record"]


def log_of(cli):
    return cli.state / "records" / "log"


@pytest.mark.guest
@pytest.mark.user
def test_a_run_leaves_a_signed_record_of_what_ran_where(cli, repo):
    repo.workflow(workflow("echo a text that stays; exit 3"))
    repo.commit()
    result = cli("run", "--json", "--dir", repo.path)
    assert result.status == 1
    segments = [line["segment"] for line in map(json.loads, result.out.splitlines()) if line.get("type") == "segment"]
    assert segments == ["pre_bootstrap", "run_command", "post_teardown"]
    kept = json.loads((cli.state / "runs" / "1" / "run.json").read_text())
    written = record(cli, "1")
    job = written["jobs"][0]
    assert (written["conclusion"], written["code"], job["conclusion"], written["egress"]) == ("failure", 1, "failure", {"profile": "sealed"})
    assert written["commit"] == repo.git("rev-parse", "HEAD").strip() and job["image"] == kept["jobs"][0]["image"]
    assert set(job["segments"]) == {"pre_bootstrap", "run_command", "post_teardown"} and job["segments"]["run_command"] > 0
    assert {k.split(".")[0] for k in job["protections"]} >= {"vmm", "source", "job"} and job["protections"]["vmm.seccomp"] == "ok"
    started = next(e for e in runs.Run(result)["a"].events if e["type"] == "job_started")
    assert job["spec_digest"] == started["spec_digest"] and job["measurement"] == started["measurement"]
    text = log_of(cli).read_text()
    assert "text" not in text and str(repo.path) not in text
    verdict = json.loads(cli("records", "verify", "--json").out)
    assert verdict["valid"] and verdict["entries"] == 1 and log_of(cli).stat().st_mode & 0o777 == 0o600


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@pytest.mark.guest
@pytest.mark.user
def test_protections_of_broker_and_secrets_are_recorded_and_hold(cli, repo, folder):
    """What the record and the doctor say of them, read back from /proc."""
    repo.workflow(workflow(WAITS, env={"TOKEN": "${{ secrets.TOKEN }}"}))
    repo.commit()
    secrets = folder / "secrets.env"
    secrets.write_text("TOKEN=a value\n")
    secrets.chmod(0o600)
    devdep.give(secrets)
    live = runs.Live(cli, repo, "--allow", "a.example.test", "--secrets", secrets)
    live.wait_for("it-is-2-running")
    pids = {name.removeprefix("devdep-")[:7]: pid for pid, name in runs.descendants().items() if name in ("devdep-broker", "devdep-secrets")}
    for who in ("broker", "secrets"):
        held = status_of(pids[who])
        assert (held["Seccomp"], held["NoNewPrivs"], int(held["CapEff"], 16), int(held["CapBnd"], 16)) == ("2", "1", 0, 0), who
        # What may not be dumped is root's in /proc, whoever it runs as.
        assert pathlib.Path(f"/proc/{pids[who]}/environ").stat().st_uid == 0, who
        assert os.geteuid() != 0 or int(held["Uid"].split()[0]) >= 1000, who
    assert int(status_of(pids["secrets"])["VmLck"].split()[0]) > 0
    live.signal(signal.SIGINT)
    live.end()
    job = record(cli, "1")["jobs"][0]
    checks = {c["name"]: c["state"] for c in json.loads(cli("doctor", "--json").out)["checks"]}
    for who, names in {"broker": HELD, "secrets": [*HELD, "locked-memory", "pid-namespace", "empty-network"]}.items():
        for name in names:
            assert job["protections"][f"{who}.{name}"] == checks[f"{who}.{name}"] == "ok", (who, name)
        own_user = "degraded" if devdep.USER or os.geteuid() else "ok"
        assert job["protections"][f"{who}.own-user"] == checks[f"{who}.own-user"] == own_user, who


@pytest.mark.guest
@pytest.mark.user
def test_a_killed_command_has_its_record_from_the_next_one(cli, repo):
    repo.workflow(workflow(WAITS))
    repo.commit()
    live = runs.Live(cli, repo)
    live.wait_for("it-is-2-running")
    live.signal(signal.SIGKILL)
    live.end()
    runs.wait_until(lambda: not runs.descendants(), "the end of what a killed command started")
    assert not log_of(cli).exists()
    half = cli.state / "runs/1/run.json.new-aB3xYz"  # as a kill in the moment of writing leaves it
    half.write_text("{")
    devdep.give(half)
    assert cli("records", "list").status == 0
    assert not half.exists()
    written = record(cli, "1")
    assert (written["conclusion"], written["code"], written["jobs"][0]["conclusion"]) == ("interrupted", 302, "interrupted")
    # Once: whoever comes later finds it.
    assert len(json.loads(cli("records", "list", "--json").out)) == 1
    assert json.loads(cli("records", "verify", "--json").out)["entries"] == 1
    assert "interrupted" in cli("runs").out


@pytest.mark.user
def test_a_run_that_cannot_be_recorded_is_said_and_stops_nothing(cli):
    folder = cli.state / "runs/1"
    (folder / "run.json.new-aB3xYz").mkdir(parents=True)  # what no writer leaves, and cannot be removed as a file
    (folder / "lock").touch()
    (folder / "run.json").write_text("{}")
    devdep.give(cli.state)
    listed = cli("records", "list")
    assert listed.status == 0 and "run 1 has no record: " in listed.err, listed


def skipped(cli, repo):
    """A run without a guest."""
    repo.workflow(workflow("echo", **{"if": False}))
    repo.commit()
    result = cli("run", "--dir", repo.path)
    assert result.status == 0, result


@pytest.mark.guest
def test_a_change_is_found_and_named_and_so_is_what_was_taken_from_the_end(cli, repo):
    for _ in range(3):
        skipped(cli, repo)
    head = json.loads(cli("records", "verify", "--json").out)["head"]
    lines = log_of(cli).read_bytes().splitlines(keepends=True)
    log_of(cli).write_bytes(lines[0] + lines[1].replace(b'"code":0', b'"code":1', 1) + lines[2])
    result = cli("records", "verify")
    assert result.error[:2] == (7, "ERR_IMAGE_REFUSED") and "line 2 of" in result.error[2] and "not what its hash says" in result.error[2]
    log_of(cli).write_bytes(lines[0] + lines[1] + lines[2][:-1] + b"\x0b")
    result = cli("records", "verify")
    assert result.error[:2] == (7, "ERR_IMAGE_REFUSED") and "line 3 of" in result.error[2]
    verdict = json.loads(cli("records", "verify", "--json").out)
    assert verdict["valid"] is False and verdict["entries"] == 2 and verdict["message"] == result.error[2], verdict
    # While a run is kept, it knows its entry; afterwards the head does.
    for end in (b"", lines[2][:-1], lines[2][:100]):
        log_of(cli).write_bytes(lines[0] + lines[1] + end)
        result = cli("records", "verify")
        assert result.error[:2] == (7, "ERR_IMAGE_REFUSED") and f"run 3 was recorded, and its entry {head} is not in the log" in result.error[2]
    assert cli("rm", "3").status == 0
    assert cli("records", "verify").status == 0
    assert "taken away" in cli("records", "verify", "--head", head).error[2]
    for cut in (head[:16], head.upper(), head + "0", ""):
        assert cli("records", "verify", "--head", cut).error[:2] == (2, "ERR_USAGE"), cut


@pytest.mark.guest
def test_a_removed_run_keeps_its_record_and_its_number(cli, repo):
    """The newest is removed, one that was killed before its record was written is, too, and a further one takes the number of neither."""
    for _ in range(2):
        skipped(cli, repo)
    assert cli("rm", "2").status == 0
    skipped(cli, repo)
    first = log_of(cli).read_bytes().splitlines(keepends=True)
    log_of(cli).write_bytes(b"".join(first[:2]))
    (cli.state / "runs" / "3" / "record").unlink()
    assert cli("rm", "--all").status == 0
    skipped(cli, repo)
    assert [entry["record"]["run"] for entry in json.loads(cli("records", "list", "--json").out)] == [1, 2, 3, 4]
    assert json.loads(cli("records", "verify", "--json").out)["entries"] == 4


@pytest.mark.guest
def test_the_signer_signs_hashes_alone_and_never_gives_its_key(cli, repo, folder):
    skipped(cli, repo)
    import socket
    ours, theirs = socket.socketpair()
    fd = theirs.fileno()
    process = subprocess.Popen([devdep.BUILD / "devdep-signer", cli.state / "keys"], stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: os.dup2(fd, 3, inheritable=True) if fd != 3 else os.set_inheritable(3, True), pass_fds=[3])
    theirs.close()
    import pool
    ours.sendall(pool.fields(("op", "key")))
    answer = dict(pool.parse(ours.recv(65536)))
    assert answer["status"] == b"error" and b"sign" in answer["message"]
    assert process.wait(30) != 0
    ours.close()


def test_without_runs_there_is_nothing_to_verify_and_the_schema_is_json(cli):
    assert cli("records", "list").out == ""
    assert cli("records", "verify").error[:2] == (2, "ERR_USAGE")
    assert cli("records", "show", "1").error[:2] == (2, "ERR_USAGE")
    schema = json.loads(cli("records", "schema").out)
    assert schema["additionalProperties"] is False and "jobs" in schema["required"]
