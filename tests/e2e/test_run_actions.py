"""Actions of the repository and steps that run beside others, in a real guest: one repository, one job with all of it."""
import pytest

import runs

pytestmark = [pytest.mark.guest, pytest.mark.user]

GREET = """\
name: Greet
inputs:
  who: {required: true}
outputs:
  answer: {value: "${{ steps.say.outputs.text }}"}
runs:
  using: composite
  steps:
    - id: say
      run: echo "text=hello ${{ inputs.who }}" >> "$GITHUB_OUTPUT"
      shell: bash
    - id: nested
      uses: ./.github/actions/count
      with: {from: "4"}
    - run: echo "counted ${{ steps.nested.outputs.next }} in $(basename "$GITHUB_ACTION_PATH")"
      shell: sh
"""

COUNT = """\
name: Count
inputs: {from: {default: '0'}}
runs:
  using: node20
  main: dist/main.js
  post: dist/post.js
"""

MAIN = """\
const fs = require('fs');
const next = Number(process.env.INPUT_FROM) + 1;
fs.appendFileSync(process.env.GITHUB_OUTPUT, `next=${next}\\n`);
fs.appendFileSync(process.env.GITHUB_STATE, `counted=${next}\\n`);
console.log('::notice file=README.md,line=1::counted');
"""

WORKFLOW = """\
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    outputs: {answer: "${{ steps.greet.outputs.answer }}"}
    steps:
      - uses: actions/checkout@v4
      - {id: greet, uses: ./.github/actions/greet, with: {who: you}}
      - id: server
        background: true
        run: trap 'echo tidied; exit 0' INT TERM; touch up; while :; do sleep 0.1; done
      - {id: meets, run: 'while ! test -e up; do sleep 0.1; done; echo met'}
      - parallel:
          - {id: left, run: 'touch left; while ! test -e right; do sleep 0.1; done; echo "v=l" >> "$GITHUB_OUTPUT"'}
          - {id: right, run: 'touch right; while ! test -e left; do sleep 0.1; done; echo "V=r" >> "$GITHUB_ENV"'}
      - {id: both, run: 'echo "${{ steps.left.outputs.v }} $V"'}
      - {id: cancels, cancel: server}
      - {id: fails, uses: ./.github/actions/broken, continue-on-error: true}
      - {id: sees, run: 'echo "${{ steps.server.outcome }} ${{ steps.fails.outcome }} ${{ steps.fails.conclusion }}"'}
      - {id: link, uses: ./.github/actions/link, continue-on-error: true}
"""


@pytest.fixture(scope="module")
def scene():
    scene = runs.Scene()
    repo = scene.repo()
    repo.write("README.md", "hello\n")
    repo.write(".github/actions/greet/action.yml", GREET)
    repo.write(".github/actions/count/action.yaml", COUNT)
    repo.write(".github/actions/count/dist/main.js", MAIN)
    repo.write(".github/actions/count/dist/post.js", "console.log('tidied ' + process.env.STATE_counted);\n")
    repo.write(".github/actions/broken/action.yml", "runs:\n  using: composite\n  steps:\n    - {run: exit 7, shell: bash}\n")
    repo.write(".github/actions/link/real.yml", GREET)
    (repo.path / ".github/actions/link/action.yml").symlink_to("real.yml")
    repo.workflow(WORKFLOW)
    repo.commit("actions")
    scene.run = scene.json(repo)
    yield scene
    scene.close()


@pytest.fixture
def job(scene):
    assert "a" in scene.run.jobs, scene.run.result
    return scene.run["a"]


def test_a_composite_action_gives_its_outputs_to_the_job(job):
    assert job.conclusion == "success", job.steps
    assert job["greet"].outputs == {"answer": "hello you"} and job.finished["outputs"] == {"answer": "hello you"}


def test_its_steps_are_parts_of_it_and_see_each_other(job):
    parts = [s for s in job.steps if s.parent == job["greet"].index]
    assert [s.id for s in parts] == ["say", "nested", None] and parts[2].lines == ["counted 5 in greet"]


def test_a_javascript_action_runs_with_the_images_node_and_annotates(job):
    nested = job["nested"]
    assert nested.outputs == {"next": "5"} and nested.annotations[0]["file"] == "README.md"
    assert [e["text"] for e in nested.logs if e["stream"] == "note"] == ["The action asks for node20; it runs with node 18 of the image.\n"]


def test_its_post_part_runs_at_the_end_with_its_state(job):
    assert job.steps[-1].name == "Post Run ./.github/actions/count" and job.steps[-1].lines == ["tidied 5"]


def test_steps_meet_that_run_beside_each_other(job):
    assert job["meets"].lines == ["met"] and job["both"].lines == ["l r"]
    assert job["left"].parent == job["right"].parent == job["Parallel group"].index


def test_a_cancelled_service_is_told_and_is_no_failure(job):
    assert job["server"].outcome == "cancelled" and job["server"].lines == ["tidied"]
    assert job["sees"].lines == ["cancelled failure success"]


def test_a_failing_step_of_an_action_explains_the_failure_of_the_action(job):
    assert "exit code 7" in job["fails"].reason


def test_an_action_file_that_is_a_link_is_refused_by_the_guest(job):
    assert job["link"].outcome == "failure" and "it is a link" in job["link"].reason


def test_the_log_shows_parts_inside_and_whose_a_line_is(scene, job):
    text = scene.cli("logs", job.started["run"]).out
    assert "== Run ./.github/actions/greet\n" in text and "-- Run ./.github/actions/count\n" in text
    assert "(in the background)\n" in text and "] met\n" in text
