"""Variables of a run, and environments of jobs: planned, refused, and run."""
import json

import pytest

pytestmark = pytest.mark.user

WORKFLOW = """name: CI
on: push
env: ${{ fromJSON(vars.OF_WORKFLOW || '{}') }}
jobs:
  deploy:
    env: ${{ matrix }}
    runs-on: ${{ matrix.to == 'production' && 'ubuntu-24.04' || 'ubuntu-latest' }}
    strategy: {matrix: {to: [production, '']}}
    environment: {name: '${{ matrix.to }}', url: 'https://${{ steps.say.outputs.host }}/${{ vars.PLACE }}'}
    steps:
      - id: say
        env: {PLACE: '${{ vars.place }}'}
        run: |
          echo "vars: $PLACE ${{ vars.WHO }} [${{ vars.NONE }}] ${{ matrix.to }}"
          echo "debug: [$RUNNER_DEBUG] ${{ runner.debug }}"
          echo "env: $WHOLE ${{ env.to }}"
          echo "host=$PLACE.example" >> "$GITHUB_OUTPUT"
  call: {uses: ./.github/workflows/called.yml, with: {to: '${{ vars.WHO }}'}}
"""
CALLED = """on: {workflow_call: {inputs: {to: {type: string}}}}
jobs:
  inner:
    environment: staging
    name: inner of ${{ inputs.to }} ${{ vars.PLACE }}
    runs-on: ubuntu-latest
    steps: [{run: 'echo "vars: ${{ vars.PLACE }}"'}]
"""
FILE = "# for all\nWHO=ada\nPLACE=nowhere\n[production]\nPLACE=hill\n[Staging]\nPLACE=meadow\n"


@pytest.fixture
def scene(cli, repo):
    """A repository with an environment and a file of variables, and a function that plans it."""
    def plan(*args, text=WORKFLOW, variables=FILE):
        repo.workflow(text)
        repo.workflow(CALLED, "called.yml")
        repo.commit()
        (repo.path.parent / "vars").write_text(variables)
        return cli("plan", "--var-file", "../vars", *args, cwd=repo.path)
    return plan


def test_a_plan_shows_environments_and_knows_variables_of_all(scene):
    result = scene()
    assert result.status == 0, result
    assert "      deploy (production)  [ubuntu-24.04 -> default]  environment production\n" in result.out
    assert "      deploy ()  [ubuntu-latest -> default]\n" in result.out
    assert "call / inner of ada nowhere  [ubuntu-latest -> default]  environment staging\n" in result.out
    jobs = json.loads(scene("--json", "--var", "who=bob").out)["workflows"][0]["jobs"]
    assert [i["environment"] for i in jobs[0]["instances"]] == ["production", None]
    assert jobs[1]["instances"][0]["inputs"] == {"to": "bob"}


@pytest.mark.parametrize("args, variables, message", [
    (("--var", "A"), "", "--var: expected NAME=VALUE, found 'A'"),
    (("--var", "GITHUB_X=1"), "", "--var: the name of a variable: expected letters, digits and '_', not beginning with a digit or GITHUB_, found 'GITHUB_X'"),
    (("--var", "/A=1"), "", "--var: expected ENVIRONMENT/NAME=VALUE, found '/A=1'"),
    ((), "A=1\nB\n", "../vars:2: expected NAME=VALUE, found 'B'"),
    (("--var-file", "nowhere"), "", "--var-file: there is no file 'nowhere'"),
])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_wrong_variables_are_told(cli, repo, scene, command, args, variables, message):
    scene(variables=variables)
    result = cli(command, *(args or ("--var-file", "../vars")), cwd=repo.path)
    assert result.status == 2 and message in result.err, result


def test_jobs_see_variables_of_their_environment_and_its_url_is_recorded(cli, repo, scene):
    scene()
    result = cli("run", "--var-file", "../vars", "--var", "WHO=eve", "--var", "ACTIONS_STEP_DEBUG=true", "--var", 'OF_WORKFLOW={"WHOLE": 7}', cwd=repo.path)
    assert result.status == 0, result
    assert "debug: [1] 1" in result.out and "env: 7 production" in result.out
    assert "vars: hill eve [] production" in result.out and "vars: nowhere eve [] \n" in result.out and "vars: meadow" in result.out
    jobs = {job["key"]: job for job in json.loads(cli("runs", "--json").out)[0]["jobs"]}
    assert jobs["deploy.1"]["environment"] == {"name": "production", "url": "https://hill.example/hill"}
    assert jobs["call.inner"]["environment"] == {"name": "staging", "url": None} and "environment" not in jobs["deploy.2"]
    assert [jobs[key]["runs_on"] for key in ("deploy.1", "deploy.2")] == [["ubuntu-24.04"], ["ubuntu-latest"]]
    assert all(job["image"].startswith("sha256:") for job in jobs.values())
    assert "  environment production: https://hill.example/hill\n" in result.out and "  environment staging\n" in result.out
