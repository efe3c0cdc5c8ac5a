"""Workflows of the repository that call each other, with the real programs: planned, refused with both places, and run."""
import json
import re

import pytest

import runs

pytestmark = pytest.mark.user

CALLER = """name: CI
on: push
env: {TOP: of the caller}
jobs:
  setup:
    runs-on: ubuntu-latest
    outputs: {level: '${{ steps.s.outputs.level }}'}
    steps: [{id: s, run: echo level=high >> $GITHUB_OUTPUT}]
  build:
    needs: setup
    strategy: {matrix: {target: [one, two]}, max-parallel: 1}
    uses: ./.github/workflows/build.yml
    with: {target: '${{ matrix.target }}', level: '${{ needs.setup.outputs.level }}', tries: 3}
    secrets: inherit
  report:
    name: last
    needs: build
    runs-on: ubuntu-latest
    steps: [{run: 'echo "report: ${{ needs.build.result }} ${{ needs.build.outputs.made }}"'}]
"""
BUILD = """name: Build
on:
  workflow_call:
    inputs:
      target: {type: string, required: true}
      level: {type: string}
      tries: {type: number, default: 1}
      debug: {type: boolean}
    outputs:
      made: {value: '${{ jobs.pack.outputs.name }}'}
env: {OWN: of the called}
jobs:
  compile:
    name: compile ${{ inputs.target }}
    runs-on: ubuntu-latest
    steps:
      - run: echo "compile ${{ inputs.target }} ${{ inputs.level }} ${{ inputs.tries }} ${{ inputs.debug }} [$TOP] [$OWN] $GITHUB_WORKFLOW ${{ job.workflow_file_path }} $GITHUB_WORKFLOW_REF"
  pack:
    needs: compile
    runs-on: ubuntu-latest
    outputs: {name: '${{ steps.p.outputs.name }}'}
    steps: [{id: p, run: 'echo "name=${{ inputs.target }}.tar" >> $GITHUB_OUTPUT'}]
"""


@pytest.fixture
def calls(cli, repo):
    """A repository with these files, and a function that plans it."""
    def plan(*args, caller=CALLER, **files):
        repo.workflow(caller)
        for name, text in {"build": BUILD, **files}.items():
            repo.workflow(text, f"{name}.yml")
        repo.commit()
        return cli("plan", *args, cwd=repo.path)
    return plan


def test_called_jobs_are_planned_with_their_names_keys_and_inputs(calls):
    result = calls("--json")
    workflow, = json.loads(result.out)["workflows"]  # a push does not start build.yml itself
    jobs = {job["id"]: job for job in workflow["jobs"]}
    one, two = jobs["build"]["instances"]
    assert (one["name"], one["key"], one["calls"], one["inputs"]) == ("build (one)", "build.1", ".github/workflows/build.yml", None)
    assert jobs["build"]["max_parallel"] == 1 and two["matrix"] == {"target": "two"}
    inner = {job["id"]: job for job in two["jobs"]}
    assert inner["compile"]["dynamic"] and not inner["pack"]["dynamic"]  # the inputs wait for `setup`
    pack, = inner["pack"]["instances"]
    assert (pack["name"], pack["key"], pack["image"]) == ("build (two) / pack", "build.2.pack", "default")
    known = calls("--json", caller=CALLER.replace("'${{ needs.setup.outputs.level }}'", "low"))
    one = json.loads(known.out)["workflows"][0]["jobs"][1]["instances"][0]
    assert one["inputs"] == {"target": "one", "level": "low", "tries": 3, "debug": False}
    assert one["jobs"][0]["instances"][0]["name"] == "build (one) / compile one"


def test_the_text_shows_calls_indented(calls):
    out = calls().out
    assert "  build after setup\n      build (one)  calls .github/workflows/build.yml\n        compile\n" in out
    assert "        pack after compile\n            build (one) / pack  [ubuntu-latest -> default]\n" in out


@pytest.mark.parametrize("old, new, message", [
    ("build.yml\n", "gone.yml\n", ".github/workflows/ci.yml:12:11: the repository has no workflow '.github/workflows/gone.yml'"),
    ("./.github/workflows/build.yml", "o/r/.github/workflows/build.yml@v1", ".github/workflows/ci.yml:12:11: the workflow 'o/r/"),
    ("tries: 3", "tries: many", ".github/workflows/ci.yml:13:94: the input 'tries': expected a number, found String 'many'; "
     "fromJSON() converts a text (declared at .github/workflows/build.yml:7:7)"),
    ("target: '${{ matrix.target }}', ", "", ".github/workflows/ci.yml:12:11: Input target is required, but not provided while calling "
     "(declared at .github/workflows/build.yml:5:7)"),
    ("outputs.made", "outputs.nothing", ".github/workflows/ci.yml:19:60: needs.build.outputs.nothing does not exist"),
])
def test_a_call_that_cannot_work_is_refused_by_plan_and_run_alike(calls, cli, repo, old, new, message):
    for result in (calls(caller=CALLER.replace(old, new)), cli("run", cwd=repo.path)):
        assert result.status == 2 and result.error[2].startswith(message), result
    assert runs.leftovers(cli) == []


def test_problems_of_a_called_file_are_shown_with_it_and_its_caller(calls, cli, repo):
    bad = BUILD.replace("    needs: compile\n", "    container: alpine\n").replace("runs-on: ubuntu-latest\n    steps:", "runs-on: amiga\n    steps:")
    result = calls(build=bad)
    assert result.status == 2, result
    assert ".github/workflows/build.yml:19:16: error: `container` cannot be run yet\n    19 |     container: alpine\n" in result.err
    assert "  called from .github/workflows/ci.yml:12:11\n" in result.err
    assert result.error[2] == ".github/workflows/build.yml:19:16: `container` cannot be run yet (called from .github/workflows/ci.yml:12:11)"
    wrong = BUILD.replace("runs-on: ubuntu-latest\n    steps:", "runs-on: amiga\n    steps:").replace("compile ${{ inputs.target }}\n", "compile\n")
    for result in (calls(build=wrong), cli("run", cwd=repo.path)):
        assert result.status == 6 and ".github/workflows/build.yml:15:14: job build (one) / compile: runs-on: no image for the label 'amiga'" \
            in result.error[2], result


def test_a_called_file_is_not_followed_out_of_the_repository(calls, cli, repo, folder):
    calls()
    (folder / "outside.yml").write_text(BUILD)
    link = repo.path / ".github/workflows/build.yml"
    link.unlink()
    link.symlink_to("../../../outside.yml")
    for command in ("plan", "run"):
        result = cli(command, "-W", "ci.yml", cwd=repo.path)
        assert result.status == 2 and ".github/workflows/build.yml is a symbolic link out of the repository" in result.error[2], result


def test_workflows_that_call_themselves_and_calls_that_explode_end(calls):
    result = calls(build="on: workflow_call\njobs: {a: {uses: ./.github/workflows/next.yml}}\n",
                   next="on: workflow_call\njobs: {b: {uses: ./.github/workflows/build.yml}}\n",
                   caller="on: push\njobs: {c: {uses: ./.github/workflows/build.yml}}\n")
    assert result.status == 2 and "the workflow calls itself through .github/workflows/build.yml" in result.error[2], result
    assert "hint: .github/workflows/build.yml -> .github/workflows/next.yml -> .github/workflows/build.yml" in result.err


@pytest.mark.guest
def test_called_jobs_run_with_their_inputs_and_give_their_outputs(calls, cli, repo):
    calls()
    result = cli("run", "--jobs", "2", cwd=repo.path)
    assert result.status == 0, result
    assert "compile one high 3 false [] [of the called] CI .github/workflows/build.yml local/repo/.github/workflows/ci.yml@refs/heads/main" in result.out and "compile two high 3 false [] [of the called] CI" in result.out
    assert "report: success two.tar" in result.out
    record = json.loads(cli("runs", "--json").out)[0]
    assert {job["key"]: job["name"] for job in record["jobs"]} == {
        "setup": "setup", "build.1.compile": "build (one) / compile one", "build.1.pack": "build (one) / pack",
        "build.2.compile": "build (two) / compile two", "build.2.pack": "build (two) / pack", "report": "last"}
    assert re.search(r"^  build \(two\) / compile two +success", result.out, re.M)
    assert "compile two high" in cli("logs", "1/build.2.compile").out
