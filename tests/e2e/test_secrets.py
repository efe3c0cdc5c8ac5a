"""Secrets from the command line into a guest: where they are, where they are not, and what a job gets that names none."""
import json
import os
import pathlib

import pytest

import devdep
import runs

pytestmark = pytest.mark.guest

VALUE = "hunter2-the-value"
KEY = "-----BEGIN KEY-----\nMIIBOgIBAAJBAK\n{\nQ2hhcmxvdHRl\n-----END KEY-----"

USES = """
echo "env $TOKEN_OF_ENV"
stat -c '%A %U %n' /run/secrets /run/secrets/*
stat -f -c 'type %T' /run/secrets
echo "equal $([ "$(cat /run/secrets/TOKEN)" = "$TOKEN_OF_ENV" ] && echo yes)"
base64 < /run/secrets/TOKEN; xxd -p /run/secrets/TOKEN 2>/dev/null || od -An -tx1 /run/secrets/TOKEN | tr -d ' \\n'; echo
cat /run/secrets/KEY; echo
touch /run/secrets/new 2>&1 || sudo touch /run/secrets/new 2>&1 || sudo rm -f /run/secrets/TOKEN 2>&1 || true
echo "::error file=a.c,line=1::failed with $TOKEN_OF_ENV"
echo "### $TOKEN_OF_ENV" >> $GITHUB_STEP_SUMMARY
"""

NAMES_NONE = """
ls -A /run/secrets | wc -l
env | grep -c 'hunter[2]' || true
sudo grep -rl 'hunter2[-]the' /run/secrets /tmp /home /etc /var/lib /proc/[0-9]*/environ 2>/dev/null | wc -l
"""


def workflow(**jobs):
    return json.dumps({"name": "ci", "on": "push", "jobs": {
        key: {"runs-on": "ubuntu-latest", "steps": steps} for key, steps in jobs.items()}})


@pytest.fixture(scope="module")
def scene():
    made = runs.Scene()
    yield made
    made.close()


@pytest.fixture(scope="module")
def given(scene):
    """One run of a job that names two secrets and one that names none."""
    repo = scene.repo()
    file = scene.folder / "secrets.env"
    file.write_text(f"KEY<<END\n{KEY}\nEND\nUNUSED=never-in-any-guest\n")
    file.chmod(0o600)
    devdep.give(file)
    repo.workflow(workflow(names=[{"id": "uses", "env": {"TOKEN_OF_ENV": "${{ secrets.token }}"}, "run": USES},
                                  {"id": "again", "run": "echo in-script '${{ secrets.TOKEN }}'; env | grep -c TOKEN_OF_ENV || true"}],
                           none=[{"id": "looks", "run": NAMES_NONE}]))
    repo.commit()
    return scene.json(repo, "--jobs", "1", "--secret", "TOKEN", "--secrets", file, stdin=VALUE + "\n")


def test_a_secret_is_a_file_of_a_ramfs_that_nobody_can_write(given):
    step = given["names"]["uses"]
    assert step.exit_code == 0, step
    assert "dr-x------ runner /run/secrets" in step.lines
    assert [line for line in step.lines if line.startswith("-r--------")] == ["-r-------- runner /run/secrets/KEY", "-r-------- runner /run/secrets/TOKEN"]
    assert "type ramfs" in step.lines and "equal yes" in step.lines
    assert step.log.count("Read-only file system") == 3


def test_it_is_in_the_environment_where_the_workflow_puts_it_and_masked_in_every_form(given):
    step = given["names"]["uses"]
    assert "env ***" in step.lines and given["names"]["again"].lines == ["in-script ***", "0"]
    assert step.annotations[0]["message"] == "failed with ***" and step.summary == "### ***\n"
    # Of a value of several lines each is masked, but not one that says nothing.
    assert step.lines.count("{") == 1 and "MIIB" not in step.log


def test_a_job_that_names_no_secret_has_none(given):
    assert given["none"]["looks"].lines == ["0", "0", "0"]
    assert not [e for e in given["none"].events if e["type"] == "secrets"]
    assert given["names"].events and next(e for e in given["names"].events if e["type"] == "secrets")["versions"] == {"KEY": "", "TOKEN": ""}


LOOKS = "cd /run/secrets && for f in *; do [ -e $f ] && echo $f=$(wc -c < $f); done; true"
SEES = {"run": f"{LOOKS}; echo \"${{{{ secrets.token }}}} [${{{{ secrets.TOKEN_OF_OUTER }}}}${{{{ secrets.SECOND }}}}]\"", "id": "sees"}


def called(jobs, **secrets):
    return json.dumps({"on": {"workflow_call": {"secrets": secrets}}, "jobs": jobs})


def test_calls_pass_the_secrets_that_they_name_one_by_one(scene):
    """Named under another name, inherited, passed through two levels, and not passed at all."""
    repo = scene.repo("calls")
    file = scene.folder / "calls.env"
    file.write_text(f"TOKEN_OF_OUTER={VALUE}\nSECOND=second-value-of-two\n")
    file.chmod(0o600)
    devdep.give(file)
    inner = "./.github/workflows/inner.yml"
    jobs = {"sees": {"runs-on": "ubuntu-latest", "steps": [SEES]}, "blind": {"runs-on": "ubuntu-latest", "steps": [{"run": LOOKS, "id": "looks"}]}}
    repo.workflow(called(jobs, token={}), "inner.yml")
    repo.workflow(called({"deep": {"uses": inner, "secrets": {"token": "${{ secrets.middle }}"}}}, middle={"required": True}), "middle.yml")
    repo.workflow(json.dumps({"on": "push", "jobs": {
        "one": {"uses": inner, "secrets": {"token": "${{ secrets.TOKEN_OF_OUTER }}"}},
        "none": {"uses": inner},
        "all": {"uses": inner, "secrets": "inherit"},
        "two": {"uses": "./.github/workflows/middle.yml", "secrets": {"middle": "${{ secrets.NOBODY || secrets.SECOND }}"}}}}))
    repo.commit()
    run = scene.json(repo, "--jobs", "2", "--secrets", file)
    lines = {key: run[key]["sees"].lines for key in ("one.sees", "none.sees", "all.sees", "two.deep.sees")}
    assert lines == {"one.sees": [f"token={len(VALUE)}", "*** []"], "none.sees": [" []"],
                     "all.sees": ["SECOND=19", f"TOKEN_OF_OUTER={len(VALUE)}", " [***]"], "two.deep.sees": ["token=19", "*** []"]}
    assert [run[f"{call}.blind"]["looks"].lines for call in ("one", "none", "all", "two.deep")] == [[]] * 4
    assert VALUE not in run.result.text and "second-value" not in run.result.text


def test_no_value_is_in_what_a_run_leaves_or_prints(scene, given):
    kept = [p for p in pathlib.Path(scene.cli.state).rglob("*") if p.is_file() and "templates" not in p.parts and "cache" not in p.parts]
    assert kept
    for path in kept:
        data = path.read_bytes()
        assert VALUE.encode() not in data and b"never-in-any" not in data and b"Q2hhcmxv" not in data, path
    assert VALUE not in given.result.text


def test_protections_of_devdep_secrets_are_recorded(given):
    held = given["names"].started["protections"]
    assert held["secrets.seccomp"] == "ok" and held["secrets.no-capabilities"] == "ok"
    assert not [k for k in given["none"].started["protections"] if k.startswith("secrets.")]


def test_a_name_that_nobody_gave_is_empty(scene):
    repo = scene.repo("empty")
    repo.workflow(workflow(a=[{"id": "a", "run": "echo \"[${{ secrets.NOBODY }}]\""}]))
    repo.commit()
    assert scene.json(repo)["a"]["a"].lines == ["[]"]


@pytest.mark.parametrize("args, why", [
    (["--secret", "TOKEN=hunter2"], "never comes from the command line"),
    (["--secrets", "/etc/passwd"], "chmod 600"),
    (["--secret", "A@99"], "read its value"),
])
def test_what_cannot_be_given_is_refused_before_a_run_exists(scene, args, why):
    repo = scene.repo("refused")
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    before = sorted(os.listdir(scene.cli.state / "runs")) if (scene.cli.state / "runs").exists() else []
    result = scene.cli("run", "--dir", repo.path, *args)
    assert result.status == 2 and why in result.error[2] and "hunter2" not in result.text
    assert (sorted(os.listdir(scene.cli.state / "runs")) if (scene.cli.state / "runs").exists() else []) == before


# ---- swap ----

class SwappingCli(devdep.Cli):
    """The command on a host whose kernel says that it swaps to a plain file: /proc/swaps is another file there."""

    def __init__(self, state, swaps):
        super().__init__(state)
        self.swaps = swaps

    def argv(self, *args):
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /proc/swaps && exec "$@"', self.swaps, *super().argv(*args)]


@pytest.fixture
def swapping(scene):
    if os.geteuid() != 0 or devdep.USER:
        pytest.skip("mounts over /proc/swaps need root")
    if pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("control groups of version 2 hold swap back")
    swaps = scene.folder / "swaps"
    swaps.write_text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/nowhere/swap\\040file file\t\t1048572\t\t0\t\t-2\n")
    return SwappingCli(scene.cli.state, swaps)


def test_a_job_with_secrets_is_refused_where_its_guest_can_be_swapped_out_in_clear(scene, swapping):
    repo = scene.repo()
    file = scene.folder / "swap.env"
    file.write_text("TOKEN=x12345678\n")
    file.chmod(0o600)
    repo.workflow(workflow(a=[{"run": "echo there-$((1+1)) ${#TOKEN}", "env": {"TOKEN": "${{ secrets.TOKEN }}"}}]))
    repo.commit()
    refused = swapping("run", "--dir", repo.path, "--secrets", file)
    assert refused.error[:2] == (304, "ERR_RESOURCES") and "/nowhere/swap\\040file, which is not encrypted" in refused.error[2], refused
    assert "there-2" not in refused.out
    assert "/nowhere/swap" in next(c["why"] for c in json.loads(swapping("doctor", "--json").out)["checks"] if c["name"] == "swap")
    # Without a value to keep there is nothing to refuse, and the profile may allow it.
    assert "there-2 0" in swapping("run", "--dir", repo.path).out
    repo.write("devdep.yaml", "entity: web\ndomain: corp.example\nswap: allow\n")
    repo.commit()
    allowed = swapping("run", "--dir", repo.path, "--secrets", file)
    assert allowed.status == 0 and "there-2 9" in allowed.out, allowed
