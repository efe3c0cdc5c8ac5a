"""devdep-cli plan: jobs, matrices and reasons, without starting anything."""
import json

import pytest

pytestmark = pytest.mark.user

WORKFLOW = """name: CI
run-name: by ${{ github.actor }} at ${{ inputs.level }}
on:
  push: {branches: [main], paths: ['src/**']}
  pull_request:
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [low, high], default: low}
jobs:
  lint: {runs-on: ubuntu-latest, steps: [{run: a}]}
  setup:
    runs-on: ubuntu-latest
    outputs: {list: '${{ steps.s.outputs.list }}'}
    steps: [{id: s, run: a}]
  dynamic:
    needs: setup
    strategy: {matrix: '${{ fromJSON(needs.setup.outputs.list) }}'}
    runs-on: ubuntu-latest
    steps: [{run: a}]
  grid:
    needs: lint
    strategy: {matrix: {os: [linux, bsd], n: [1, 2], exclude: [{os: bsd, n: 2}]}, max-parallel: 2, fail-fast: false}
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps: [{run: a}]
  none:
    strategy: {matrix: {os: [linux], exclude: [{os: linux}]}}
    runs-on: ubuntu-latest
    steps: [{run: a}]
  deploy:
    needs: [dynamic, grid]
    if: github.ref == 'refs/heads/release'
    runs-on: ubuntu-latest
    steps: [{run: a}]
  announce: {needs: deploy, runs-on: ubuntu-latest, steps: [{run: a}]}
  mourn: {needs: grid, if: failure(), runs-on: ubuntu-latest, steps: [{run: a}]}
  report: {needs: announce, if: always(), runs-on: ubuntu-latest, steps: [{run: a}]}
  ask: {needs: grid, if: needs.grid.result == 'success', runs-on: ubuntu-latest, steps: [{run: a}]}
"""


def plan(cli, folder, *args, payload=None, text=WORKFLOW):
    (folder / "ci.yml").write_text(text)
    if payload is not None:
        (folder / "event.json").write_text(json.dumps(payload))
        args = (*args, "--event-file", "event.json")
    return cli("plan", "-W", "ci.yml", *args, cwd=folder)


def jobs_of(result):
    assert result.status == 0, result
    return {job["id"]: job for job in json.loads(result.out)["workflows"][0]["jobs"]}


def test_jobs_are_expanded_in_order_with_names_needs_and_reasons(cli, folder):
    result = plan(cli, folder, "--json", payload={"ref": "refs/heads/main", "sender": {"login": "ada"}})
    jobs = jobs_of(result)
    assert list(jobs) == ["lint", "setup", "dynamic", "grid", "none", "deploy", "announce", "mourn", "report", "ask"]
    assert {name: job["state"] for name, job in jobs.items()} == {
        "lint": "runs", "setup": "runs", "dynamic": "runs", "grid": "runs", "none": "skipped", "deploy": "skipped", "announce": "skipped",
        "mourn": "later", "report": "runs", "ask": "later"}
    assert [i["name"] for i in jobs["grid"]["instances"]] == ["grid (linux, 1)", "grid (linux, 2)", "grid (bsd, 1)"]
    assert jobs["grid"]["instances"][2]["matrix"] == {"os": "bsd", "n": 1}
    assert (jobs["grid"]["max_parallel"], jobs["grid"]["fail_fast"], jobs["grid"]["instances"][0]["timeout_minutes"]) == (2, False, 5)
    assert jobs["grid"]["instances"][0]["runs_on"] == ["ubuntu-latest"] and jobs["grid"]["instances"][0]["image"] == "default"
    assert jobs["deploy"]["needs"] == ["dynamic", "grid"]
    assert jobs["dynamic"]["dynamic"] and jobs["dynamic"]["instances"] == []
    assert jobs["deploy"]["reason"] == "its `if` is false: github.ref == 'refs/heads/release'"
    assert jobs["announce"]["reason"] == "it needs 'deploy', which is skipped"
    assert jobs["none"]["reason"] == "every combination of its matrix is excluded"
    assert jobs["mourn"]["reason"] == "runs only when something before it fails: failure()"
    assert jobs["ask"]["reason"].startswith("decided by the results of other jobs")
    assert json.loads(result.out)["workflows"][0]["run_name"] == "by ada at "


def test_one_expression_gives_the_whole_strategy(cli, folder):
    text = "on: push\njobs:\n  a:\n    strategy: ${{ fromJSON(vars.S) }}\n    runs-on: ubuntu-latest\n    steps: [{run: a}]\n"
    job = jobs_of(plan(cli, folder, "--json", "--var", 'S={"matrix": {"n": [1, 2]}, "max-parallel": 1}', text=text))["a"]
    assert [i["name"] for i in job["instances"]] == ["a (1)", "a (2)"] and job["max_parallel"] == 1
    result = plan(cli, folder, "--var", 'S={"matrx": {}}', text=text)
    assert result.status == 2 and "ci.yml:4:15: error: strategy: expected matrix, fail-fast and max-parallel, found 'matrx'" in result.err


def test_the_text_shows_the_same(cli, folder):
    out = plan(cli, folder, payload={"ref": "refs/heads/release"}).out
    assert out.startswith("ci.yml: CI\n  run name: by ") and out.splitlines(True)[2] == (
        "  (the event does not start it: the branch does not pass the filters; planned because it was named)\n")
    assert "  grid after lint\n      grid (linux, 1)  [ubuntu-latest -> default]\n" in out
    assert "  dynamic after setup\n      expanded when the jobs that it needs are done" in out
    assert "  deploy after dynamic, grid\n      deploy  [" in out
    assert "  none: skipped: every combination" in out


def test_one_job_is_planned_with_what_it_needs(cli, folder):
    assert list(jobs_of(plan(cli, folder, "--json", "--job", "grid"))) == ["lint", "grid"]


def test_inputs_of_a_dispatch_have_defaults_and_are_checked(cli, folder):
    result = plan(cli, folder, "--json", "--event", "workflow_dispatch")
    assert json.loads(result.out)["workflows"][0]["run_name"].endswith(" at low")
    result = plan(cli, folder, "--event", "workflow_dispatch", payload={"inputs": {"level": "middle"}})
    assert result.status == 2 and "ci.yml:6:3: the input 'level': expected one of its options, found 'middle'" in result.error[2]


def test_the_payload_selects_workflows_of_a_repository(cli, folder, repo):
    repo.workflow(WORKFLOW)
    repo.workflow(WORKFLOW.replace("branches: [main], ", "").replace("name: CI", "name: Docs", 1), name="docs.yml")
    repo.commit()

    def selected(payload):
        (folder / "event.json").write_text(json.dumps(payload))
        result = cli("plan", "--json", "--event-file", folder / "event.json", cwd=repo.path)
        return [w["name"] for w in json.loads(result.out)["workflows"]] if result.status == 0 else result.error[2]

    assert selected({"ref": "refs/heads/main", "commits": [{"modified": ["src/a.c"]}]}) == ["CI", "Docs"]
    assert selected({"ref": "refs/heads/dev", "commits": [{"modified": ["src/a.c"]}]}) == ["Docs"]
    assert "no changed file passes the filters" in selected({"ref": "refs/heads/main", "commits": [{"modified": ["README"]}]})


@pytest.mark.parametrize("name, lines", [("\" of ${{ inputs.who }}\"", [": CI", "  run name:  of ada"]), ("\" \"", [": CI"])])
def test_a_run_is_called_by_its_run_name_unless_that_is_blank(cli, repo, name, lines):
    repo.workflow("name: CI\nrun-name: %s\non: {workflow_dispatch: {inputs: {who: {}}}}\n"
                  "jobs: {a: {if: false, runs-on: ubuntu-latest, steps: [{run: a}]}}\n" % name)
    repo.commit()
    result = cli("plan", "--event", "workflow_dispatch", "--input", "who=ada", cwd=repo.path)
    assert result.status == 0 and result.out.splitlines()[:len(lines)] == [".github/workflows/ci.yml" + lines[0], *lines[1:]], result
    assert "run name" in result.out or len(lines) == 1


SAYS = "run-name: '%s'\non: [push, workflow_dispatch]\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: a}]}}\n"


def said(cli, repo, expression, *args):
    repo.workflow(SAYS % expression)
    result = cli("plan", "--json", *args, cwd=repo.path)
    assert result.status == 0, result
    return json.loads(result.out)["workflows"][0]["run_name"]


def test_the_github_context_says_what_the_payload_and_the_repository_know(cli, folder, repo):
    repo.workflow(SAYS)
    repo.git("remote", "add", "origin", "https://git.example.org/ada/hello.git")
    sha = repo.commit("a subject")
    ids = "${{ github.repository_id }}|${{ github.repository_owner_id }}|${{ github.actor_id }}|${{ github.repositoryUrl }}"
    assert said(cli, repo, ids) == "|||https://git.example.org/ada/hello.git"
    (folder / "event.json").write_text(json.dumps({"repository": {"id": 5, "git_url": "git://x/y.git", "owner": {"id": 6}}, "sender": {"id": 7}}))
    assert said(cli, repo, ids, "--event-file", folder / "event.json") == "5|6|7|git://x/y.git"
    event = "${{ github.event.after }}|${{ github.event.repository.owner.login }}|${{ github.event.head_commit.author.name }}|${{ github.event.head_commit.committer.email }}|${{ github.event.head_commit.message }}"
    assert said(cli, repo, event) == f"{sha}|ada|devdep|devdep@localhost|a subject"
    assert said(cli, repo, "${{ github.event.sender.login == github.actor && github.event.pusher.name == github.actor }}") == "true"


PATHS = "on: {push: {paths: ['src/**']}, pull_request: {paths: ['src/**']}}\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: a}]}}\n"
ZEROS = "0" * 40


@pytest.fixture
def starts(cli, folder, repo):
    """Whether an event starts the workflow that filters by src/**, and what was said."""
    def ask(payload=None, event="push", text=None):
        if text:
            repo.workflow(text)
        args = ["plan", "--json", "--event", event]
        if payload is not None:
            (folder / "event.json").write_text(json.dumps(payload))
            args += ["--event-file", folder / "event.json"]
        result = cli(*args, cwd=repo.path)
        assert result.status == 0 or "no changed file passes the filters" in result.error[2], result
        ask.said = result.err
        return result.status == 0
    repo.workflow(PATHS)
    repo.write("src/a.c", "1")
    ask.first = repo.commit()
    repo.write("README", "1")
    ask.second = repo.commit()
    return ask


def test_a_run_without_a_payload_goes_by_the_files_of_HEAD(starts, repo):
    assert not starts()
    assert not starts(event="pull_request")
    repo.write("src/a.c", "2")
    assert not starts()  # not committed
    repo.commit()
    assert starts() and starts(event="pull_request")
    assert not starts(text=PATHS.replace("paths:", "paths-ignore:"))


def test_a_push_is_compared_with_the_commit_before_it(starts, repo):
    third = repo.commit()
    push = {"ref": "refs/heads/main"}
    assert not starts({**push, "before": starts.first, "after": starts.second})
    repo.write("src/b.c", "1")
    fourth = repo.commit()
    repo.write("src/b.c", "2")
    repo.commit()
    repo.git("rm", "-q", "src/b.c")
    last = repo.commit()
    assert starts({**push, "before": fourth, "after": last})
    assert not starts({**push, "before": third, "after": last}), "a file that came and went is no difference"
    assert starts({**push, "before": fourth}), "HEAD is what was pushed"
    assert not starts({**push, "before": third, "after": third}), "no file changed"
    lies = {"commits": [{"id": last, "modified": ["src/a.c"]}]}
    assert not starts({**push, **lies, "before": third, "after": last}), "the commits count, not what the payload lists"


def test_a_new_branch_is_compared_with_the_parent_of_its_first_commit(starts, repo):
    repo.write("src/b.c", "1")
    third = repo.commit()
    repo.write("README", "2")
    last = repo.commit()
    push = {"ref": "refs/heads/new", "before": ZEROS, "after": last}
    assert starts({**push, "commits": [{"id": third}, {"id": last}]})
    assert not starts({**push, "commits": [{"id": last}]})
    assert not starts({**push, "commits": []}), "no commit of its own"
    assert not starts({**push}), "the newest commit alone"


def test_a_pull_request_is_compared_with_where_it_left_its_base(starts, repo):
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("doc", "1")
    topic = repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("src/b.c", "1")
    base = repo.commit()
    pull = {"action": "opened", "number": 1, "pull_request": {"head": {"ref": "topic", "sha": topic}, "base": {"ref": "main", "sha": base}}}
    assert not starts(pull, "pull_request"), "src/b.c differs from the base, but the topic did not change it"
    del pull["pull_request"]["base"]["sha"]
    assert not starts(pull, "pull_request")
    repo.git("checkout", "-q", "topic")
    repo.write("src/c.c", "1")
    pull["pull_request"]["head"]["sha"] = repo.commit()
    assert starts(pull, "pull_request")


def test_files_that_cannot_be_known_pass_with_a_warning(starts, repo):
    push = {"ref": "refs/heads/main", "before": "1" * 40, "after": starts.second}
    assert starts(push)
    assert f"path filters pass: which files the event changed is unknown (the repository has no commit '{'1' * 40}')" in starts.said
    assert not starts({**push, "commits": [{"modified": ["README"]}]}) and "unknown" not in starts.said
    assert starts({**push, "commits": [{"modified": ["src/a.c"]}]})


def test_more_than_1000_commits_of_a_push_pass_every_filter(starts, repo):
    commands = "".join(f"commit refs/heads/many\ncommitter x <x@x> {i} +0000\ndata 0\n{f'from {starts.first}' if i == 0 else ''}\n" for i in range(1001))
    (repo.path.parent / "stream").write_text(commands)
    repo.git("-c", f"alias.feed=!git fast-import --quiet < {repo.path.parent}/stream", "feed")
    push = {"ref": "refs/heads/many", "before": starts.first}
    assert starts({**push, "after": repo.git("rev-parse", "many").strip()})
    assert not starts({**push, "after": repo.git("rev-parse", "many~1").strip()})


def test_the_first_300_files_count(starts, repo):
    for i in range(299):
        repo.write(f"a/{i}", "1")
    repo.write("src/b.c", "1")
    repo.commit()
    assert starts()
    for i in range(300):
        repo.write(f"a/{i}", "2")
    repo.write("src/b.c", "2")
    repo.commit()
    assert not starts()


def test_an_unknown_label_fails_as_it_does_in_a_run(cli, folder, repo):
    text = WORKFLOW.replace("lint: {runs-on: ubuntu-latest", "lint: {runs-on: amiga")
    result = plan(cli, folder, text=text)
    assert result.status == 6 and "ci.yml:10:19: job lint: runs-on: no image for the label 'amiga'; known are ubuntu-latest" in result.error[2]


@pytest.mark.parametrize("payload, message", [
    ("{", "event.json: not JSON: line 1, column 2"),
    ("[]", "expected the event's payload, a JSON object"),
    ("{" + '"a":{' * 200 + "}" * 201, "nested deeper than 100 levels"),
])
def test_a_payload_that_is_none_is_refused(cli, folder, payload, message):
    (folder / "event.json").write_text(payload)
    (folder / "ci.yml").write_text(WORKFLOW)
    result = cli("plan", "-W", "ci.yml", "--event-file", "event.json", cwd=folder)
    assert result.status == 2 and message in result.error[2], result


def test_what_cannot_run_is_refused_with_its_place(cli, folder):
    result = plan(cli, folder, text=WORKFLOW.replace("lint: {", "lint: {container: alpine, "))
    assert result.status == 2 and "ci.yml:10:21: error: `container` cannot be run yet" in result.err


def test_outside_of_a_repository_a_file_must_be_named(cli, folder):
    result = cli("plan", cwd=folder)
    assert result.status == 2 and "repository" in result.error[2]
