"""A real guest and everything that a step has in it."""
import json

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.user]


def workflow(**jobs):
    return json.dumps({"name": "ci", "on": "push", "jobs": {
        name: {"runs-on": "ubuntu-latest", "steps": [s if isinstance(s, dict) else {"run": s} for s in steps]}
        for name, steps in jobs.items()}})


def run(cli, repo, *args, **jobs):
    repo.write(".github/workflows/ci.yml", workflow(**jobs))
    repo.commit()
    result = cli("run", "--json", "--keep-going", *args, cwd=repo.path, timeout=280)
    events = [(e["job"], e["event"]) for e in result.events if "event" in e]
    return result, {job: e for job, e in events if e["type"] == "job_finished"}, [e for _, e in events]


def test_a_job_uses_everything_a_step_has(cli, repo):
    result, ends, events = run(cli, repo, all=[
        {"uses": "actions/checkout@v4"},
        {"id": "one", "run": "git rev-parse HEAD; git describe --always; id -un; echo v=1 >> $GITHUB_OUTPUT; echo N=2 >> $GITHUB_ENV"},
        {"run": "import os; print(os.environ['N'], '${{ steps.one.outputs.v }}')", "shell": "python"},
        {"run": "rm $GITHUB_OUTPUT; ln -s /etc/passwd $GITHUB_OUTPUT", "continue-on-error": True, "id": "bad"},
        {"run": "test ${{ steps.bad.outcome }} = failure"},
        {"run": "sleep 60", "timeout-minutes": 0.01, "continue-on-error": True},
        {"run": "echo '::add-mask::s3cr3tvalue'; echo s3cr3tvalue", "name": "masks"},
    ])
    assert result.status == 0 and ends["all"]["conclusion"] == "success", result
    log = "".join(e["text"] for e in events if e["type"] == "log")
    assert "\nrunner\n2 1\n" in log and "s3cr3tvalue" not in result.out and "***" in log
    assert repo.git("rev-parse", "HEAD").strip() in log
