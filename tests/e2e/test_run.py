"""The command: what it chooses, in which order it runs it, what it prints and keeps. One run of several files is shared by most
tests; jobs whose condition is false need no guest."""
import json
import os
import re
import subprocess

import pytest

import devdep
import runs

pytestmark = [pytest.mark.guest, pytest.mark.user]


def workflow(name=None, on="push", **jobs):
    return json.dumps({"name": name or "ci", "on": on, "jobs": {
        key: {"runs-on": "ubuntu-latest", "steps": [{"run": "echo hi"}], **job} for key, job in jobs.items()}}, indent=1)


def steps(*texts):
    return {"steps": [t if isinstance(t, dict) else {"run": t} for t in texts]}


DIAMOND = dict(top=dict(outputs={"v": "${{ steps.v.outputs.v }}"}, steps=[{"id": "v", "run": "echo v=from-top >> $GITHUB_OUTPUT"}]),
               left=dict(needs="top", **steps("sleep 2; echo left-${{ needs.top.outputs.v }}")),
               right=dict(needs="top", **steps("sleep 2; echo right-${{ needs.top.outputs.v }}")),
               bottom=dict(needs=["left", "right"], **steps("echo bottom-${{ needs.left.result }}-${{ needs.right.result }}")))


@pytest.fixture(scope="module")
def several():
    """Two files that the event selects and one that it does not, run as text."""
    scene = runs.Scene()
    repo = scene.repo()
    repo.workflow(workflow("build it", **DIAMOND))
    repo.write(".forgejo/workflows/other.yaml", workflow("other", on=["push", "pull_request"], broken=steps(
        {"name": "works", "run": "echo fine"},
        {"name": "breaks", "run": "for i in $(seq 1 40); do echo line $i; done; echo '::error file=a.c,line=3,col=5::too bad'; exit 4"})))
    repo.workflow(workflow("release", on="release", never={}), "release.yml")
    repo.commit()
    scene.result = scene.cli("run", "--dir", repo.path, "--jobs", "2")
    scene.record = json.loads(scene.cli("runs", "--json").out)[0]
    yield scene
    scene.close()


def position(text, line):
    assert line in text, f"{line!r} is not in\n{text}"
    return text.index(line)


def test_needs_are_run_in_order_and_what_can_run_together_does(several):
    out = several.result.out
    ends = {key: position(out, f"job build it / {key}: success") for key in ("top", "left", "right", "bottom")}
    starts = {key: re.search(rf"build it / {key} +\| starts in a guest", out).start() for key in ends}
    assert ends["top"] < starts["left"] < ends["right"] and ends["top"] < starts["right"] < ends["left"], "left and right overlap"
    assert max(ends["left"], ends["right"]) < starts["bottom"]
    assert "left-from-top" in out and "right-from-top" in out and "bottom-success-success" in out


def test_every_file_that_the_event_selects_runs_and_no_other(several):
    out = several.result.out
    assert "run 1: .github/workflows/ci.yml, commit " in out and "run 1: .forgejo/workflows/other.yaml, commit " in out
    assert "release.yml" not in out and several.record["workflows"] == [".github/workflows/ci.yml", ".forgejo/workflows/other.yaml"]


def test_output_is_live_and_prefixed_with_the_job(several):
    assert re.search(r"^other / broken +\| line 40$", several.result.out, re.M)
    assert re.search(r"^build it / left +\| left-from-top$", several.result.out, re.M)


def test_the_summary_has_a_row_per_job_and_the_failed_steps_last_lines(several):
    summary = several.result.out[several.result.out.rindex("| job "):].split("\n\n", 1)[1]
    for title, conclusion in (("build it / top", "success"), ("build it / bottom", "success"), ("other / broken", "failure")):
        assert re.search(rf"^  {title} +{conclusion} +[0-9.]+m?s\b", summary, re.M), summary
    assert "step 'breaks' failed: the process ended with exit code 4" in summary
    assert "    line 40\n" in summary and "    line 1\n" not in summary
    assert "error: a.c:3:5: too bad" in summary


def test_the_status_and_the_last_line_say_which_job_failed(several):
    result = several.result
    assert result.status == 1 and result.error[:2] == (1, "ERR_RUN_FAILED")
    assert "job broken" in result.error[2] and "devdep-cli logs 1/" in result.error[2]


def test_no_control_characters_are_printed_where_no_colour_is_wanted(several):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", several.result.text)


def test_runs_lists_what_ran_and_how_it_ended(several):
    record = several.record
    assert (record["run"], record["state"], record["code"], record["event"]) == (1, "failure", 1, "push")
    assert {j["name"]: j["conclusion"] for j in record["jobs"]} == {"top": "success", "left": "success", "right": "success",
                                                                   "bottom": "success", "broken": "failure"}
    text = several.cli("runs").out
    assert re.search(r"^ +1 +failure ", text, re.M) and "repo" in text


def test_logs_shows_a_whole_run_or_one_job_again(several):
    whole = several.cli("logs", "1")
    assert whole.status == 0 and "line 40" in whole.out and "bottom-success-success" in whole.out
    key = next(j["key"] for j in several.record["jobs"] if j["name"] == "broken")
    one = several.cli("logs", f"1/{key}")
    assert "line 40" in one.out and "bottom" not in one.out and one.status == 0
    events = [json.loads(line) for line in several.cli("logs", "--json", f"1/{key}").out.splitlines()]
    assert any("too bad" in json.dumps(e) for e in events)
    missing = several.cli("logs", "1/nosuch")
    assert missing.status == 2 and "nosuch" in missing.error[2]


def test_logs_and_state_are_the_users_alone(several):
    state = several.cli.state
    for path in [state / "runs" / "1", *(state / "runs" / "1").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert runs.leftovers(several.cli) == []


# ---- what is chosen: jobs that need no guest ----

@pytest.fixture
def idle(cli, repo):
    """A repository whose jobs are all skipped, and a function that runs it."""
    never = {"if": False}
    repo.workflow(workflow("one", a=never, b=dict(needs="a", **never), c=never))
    repo.workflow(workflow("two", on={"push": {"branches": ["release/**"]}}, d=never), "two.yml")
    repo.workflow(workflow("three", on={"pull_request": {}}, e=never), "three.yml")
    repo.commit()

    def run(*args, **more):
        result = cli("run", *(() if "cwd" in more else ("--dir", repo.path)), *args, **more)
        return result, set(re.findall(r"job (?:\w+ / )?(\w+): skipped", result.out))
    return run


def test_a_run_is_called_by_its_run_name_when_it_has_one(cli, folder):
    repo = devdep.Repo(folder)
    repo.workflow(json.dumps({"run-name": "release of ${{ github.ref_name }}", **json.loads(workflow("one", a={"if": False}))}))
    repo.commit()
    assert cli("run", "--dir", repo.path).status == 0
    assert json.loads(cli("runs", "--json").out)[0]["title"] == "release of " + repo.git("branch", "--show-current").strip()


def test_a_name_that_is_no_text_is_recorded_in_its_visible_form(cli, folder):
    repo = devdep.Repo(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    repo.workflow(workflow("one", a={"if": False}))
    repo.commit()
    result = cli("run", "--dir", repo.path)
    assert result.status == 0, result
    assert json.loads((cli.state / "runs/1/run.json").read_text())["dir"] == f"{folder}/caf\\xe9"
    assert cli("runs").status == 0


def test_the_event_and_its_branch_select_files(idle, repo):
    assert idle()[1] == {"a", "b", "c"}
    assert idle("--event", "pull_request")[1] == {"e"}
    repo.git("checkout", "-q", "-b", "release/1")
    assert idle()[1] == {"a", "b", "c", "d"}


def test_the_repository_is_found_from_a_folder_in_it(idle, repo):
    assert idle(cwd=repo.path)[1] == {"a", "b", "c"}
    assert idle(cwd=repo.path / ".github")[1] == {"a", "b", "c"}


def test_a_workflow_is_named_by_file_or_by_path_and_runs_whatever_its_event(idle, repo, folder):
    result, jobs = idle("-W", "two.yml")
    assert jobs == {"d"} and "two.yml" in result.err and "because it was named" in result.err
    assert idle("-W", repo.path / ".github/workflows/three.yml")[1] == {"e"}
    (folder / "outside.yml").write_text(workflow("outside", x={"if": False}))
    assert idle("-W", folder / "outside.yml")[1] == {"x"}


def test_job_runs_a_job_with_what_it_needs_and_nothing_else(idle):
    assert idle("--job", "b")[1] == {"a", "b"}
    assert idle("--job", "c")[1] == {"c"}
    assert idle("--event", "pull_request", "--job", "e")[1] == {"e"}


def test_json_has_one_object_a_line_and_ends_with_the_verdict(idle):
    result, _ = idle("--json")
    assert result.status == 0
    last = result.events[-1]
    assert (last["type"], last["conclusion"], last["code"], last["retryable"]) == ("run_finished", "success", 0, False)


def test_rm_removes_runs_and_only_those_named(idle, cli):
    for _ in range(3):
        idle()
    assert cli("rm", "2").status == 0
    assert [r["run"] for r in json.loads(cli("runs", "--json").out)] == [3, 1]
    assert cli("rm", "--all").status == 0
    assert cli("runs").out == "" and not list((cli.state / "runs").glob("[0-9]*"))
    assert idle()[0].status == 0


def test_the_number_of_kept_runs_is_bounded(idle, cli):
    most = int(re.search(r"define RUNDIR_MAX_RUNS (\d+)", (devdep.ROOT / "src/cli/rundir.h").read_text())[1])
    for number in range(1, most + 4):
        (cli.state / "runs" / str(number)).mkdir(parents=True)
        (cli.state / "runs" / str(number) / "run.json").write_text("{}")
    devdep.give(cli.state)
    assert idle()[0].status == 0
    kept = sorted(int(p.name) for p in (cli.state / "runs").iterdir() if p.is_dir())
    assert kept == list(range(5, most + 5))


# ---- hostile texts, a failure among others, an ordinary user ----

EVIL = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x9b2J\x1b[8mhidden\x1b[0m\r\x08\x7f\u202e"


@pytest.fixture(scope="module")
def hostile():
    scene = runs.Scene()
    repo = scene.repo()
    script = r"""
import os, sys
evil = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x9b2J\x1b[8mhidden\x1b[0m\r\x08\x7f\u202e"
os.write(1, (evil + " text\n").encode() + b"\x9b2J\xff\n")
os.write(2, (evil + " err\n").encode())
for line in ("::group::" + evil, "inside", "::endgroup::", "::error file=" + evil + ",title=" + evil + "::" + evil, "::warning::" + evil,
             "::notice::" + evil, "::debug::" + evil):
    print(line.replace("\r", "%0D"))
print("\x1b[32mgreen that never ends")
sys.stdout.flush()
with open(os.environ["GITHUB_STEP_SUMMARY"], "w") as f:
    f.write(evil)
sys.exit(1)
"""
    evil = EVIL.replace("\r", "")
    repo.workflow(json.dumps({"name": "wf " + evil, "on": "push", "jobs": {
        "a": {"name": "job " + evil, "runs-on": "ubuntu-latest", "steps": [{"name": "step " + evil, "shell": "python", "run": script}]},
        "b": {"name": "skipped " + evil, "if": "failure()", "needs": "a", "runs-on": "ubuntu-latest", "steps": [
            {"name": "seen " + evil, "run": "echo ok"}]}}}))
    repo.workflow(workflow("second " + evil, z={"if": False}), "b\x1b[2J.yml")
    repo.commit()
    repo.git("checkout", "-q", "-b", "branch-\u009b2J-\u202e")
    scene.plain = scene.cli("run", "--dir", repo.path, "--color", "always", "--progress", "never")
    yield scene
    scene.close()


def only_colours(text):
    """What is neither text nor colour. \\x1b[8m (conceal) is no colour."""
    rest = re.sub(r"\x1b\[(?!8m)[0-9;]*m", "", text)
    return re.findall(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069\udc80-\udcff]", rest)


def test_nothing_but_colours_reaches_the_terminal(hostile):
    result = hostile.plain
    assert result.status == 1 and "text" in result.out, result
    assert only_colours(result.out) == [] and only_colours(result.err) == []
    assert r"\x1b]0;title" in result.out and "\x1b[31mred\x1b[0m" in result.out


def test_nothing_but_colours_comes_from_kept_logs_and_lists(hostile):
    for args in (["logs", "1", "--color", "always"], ["logs", "1"], ["runs"]):
        result = hostile.cli(*args)
        assert result.status == 0 and only_colours(result.text) == [], args


def test_a_colour_that_is_left_on_ends_with_its_line(hostile):
    line = next(line for line in hostile.plain.out.splitlines() if "green that never ends" in line)
    assert line.endswith("\x1b[0m")


def test_after_a_failure_nothing_new_starts_unless_told_to_keep_going(cli, repo):
    repo.workflow(workflow(f=steps("exit 1"), g=steps("echo never")))
    repo.commit()
    result = cli("run", "--dir", repo.path, "--jobs", "1")
    assert result.status == 1 and "never" not in result.out.replace("echo never", "")
    record = json.loads(cli("runs", "--json").out)[0]
    assert {j["name"]: j["conclusion"] for j in record["jobs"]}["f"] == "failure"
    assert all(j["conclusion"] in ("cancelled", "skipped") for j in record["jobs"] if j["name"] == "g"), record


def test_what_is_weaker_is_reported_for_every_job(several):
    key = next(j["key"] for j in several.record["jobs"] if j["name"] == "top")
    events = [json.loads(line) for line in several.cli("logs", "--json", f"1/{key}").out.splitlines()]
    events = [e.get("event", e) for e in events]
    protections = next(e for e in events if e["type"] == "job_started")["protections"]
    assert protections and set(protections.values()) <= {"ok", "degraded", "missing"}
    assert any(name.startswith("vmm.") for name in protections) and any(name.startswith("source.") for name in protections)
    if devdep.USER:
        weaker = [name for name, state in protections.items() if state != "ok"]
        assert weaker and all(name.split(".", 1)[1] in several.result.out for name in weaker), (weaker, several.result)
