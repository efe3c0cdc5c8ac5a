"""devdep-job between a scripted guest and a scripted VMM (tests/lib/fake_guest.py)."""
import os
import tempfile

import pytest

from fake_guest import Job, spec

pytestmark = pytest.mark.sanitized


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def run(folder, *steps, guest=None, **more):
    kwargs = {"guest": guest} if guest else {}
    job = Job(folder, spec(folder, *steps, **more), **kwargs)
    with job:
        job.wait()
    return job


def test_a_step_runs_and_its_output_is_logged(folder):
    job = run(folder, "echo hello; echo oops >&2; pwd")
    assert job.status == 0, job.text()
    assert "hello\n" in job.log(0, "out") and job.log(0, "err") == "oops\n"
    assert job.verdict["conclusion"] == "success" and job.verdict["code"] == 0


def test_a_guest_that_does_not_bound_its_processes_as_asked_is_refused(folder):
    job = run(folder, "echo never", pids=300)
    assert job.verdict["code"] == 301 and "does not bound the job to 300 processes" in job.verdict["message"], job.text()
    assert "never" not in job.log()


def conclusions(job):
    return [(e["outcome"], e["conclusion"]) for e in job.events("step_finished")]


OK, BAD, SKIPPED = ("success", "success"), ("failure", "failure"), ("skipped", "skipped")


def test_a_failing_step_fails_the_job_and_skips_the_rest(folder):
    job = run(folder, "exit 3", "echo never", {"run": "echo after", "if": "always()"}, {"run": "echo why", "if": "failure()"})
    assert job.status == 1
    assert conclusions(job) == [BAD, SKIPPED, OK, OK]
    assert job.events("step_finished")[0]["exit_code"] == 3
    assert "exit code 3" in job.verdict["message"]
    assert "never" not in job.log() and "after" in job.log() and "why" in job.log()


def test_continue_on_error_keeps_the_job_green(folder):
    job = run(folder, {"run": "false", "id": "a", "continue_on_error": "${{ true }}"},
              "echo '${{ steps.a.outcome }} ${{ steps.a.conclusion }}'")
    assert job.status == 0
    assert conclusions(job) == [("failure", "success"), OK]
    assert "failure success\n" in job.log(1)


def test_outputs_env_and_path_reach_later_steps(folder):
    job = run(folder, {"run": 'echo "v=1 2" >> "$GITHUB_OUTPUT"; printf "M<<X\\na\\nb\\nX\\n" >> "$GITHUB_ENV"; echo /extra >> "$GITHUB_PATH"',
                       "id": "one"},
              'echo "${{ steps.one.outputs.v }}|$M|${{ env.M }}|${PATH%%:*}"',
              outputs={"o": "${{ steps.one.outputs.v }}!"})
    assert job.status == 0, job.text()
    assert "1 2|a\nb|a\nb|/extra\n" in job.log(1)
    assert job.verdict["outputs"] == {"o": "1 2!"}
    assert [(e["name"], e["value"]) for e in job.events("output")] == [("v", "1 2")]


def test_environment_has_three_levels_and_the_contexts_win(folder):
    job = run(folder, {"run": 'echo "$A $B $C $GITHUB_REF $CI $GITHUB_ACTIONS $RUNNER_OS $GITHUB_JOB $GITHUB_ACTION"',
                       "env": [{"name": "B", "value": "step-${{ env.A }}"}, {"name": "GITHUB_REF", "value": "forged"}]},
              env=[{"name": "A", "value": "workflow"}, {"name": "B", "value": "job"}, {"name": "C", "value": "${{ github.run_id }}"},
                   {"name": "A", "value": "job"}])
    assert job.log(0) == "job step-job 7 refs/heads/main true true Linux build __run\n"


def test_one_expression_may_give_a_whole_env_of_each_level(folder):
    job = run(folder, {"run": 'echo "$A $B $C $D"', "env": [{"all": "${{ fromJSON('{\"C\": 3}') }}"}, {"name": "D", "value": "${{ env.B }}4"}]},
              env=[{"all": "${{ fromJSON('{\"A\": \"of all\", \"B\": 1}') }}"}, {"all": "${{ matrix }}"}], contexts={"matrix": {"B": 2}})
    assert job.log(0) == "of all 2 3 24\n"


def test_a_whole_env_that_is_none_ends_the_job(folder):
    job = run(folder, "echo never", env=[{"all": "${{ fromJSON('[1]') }}"}])
    assert job.status == 1 and "env: the expression gives no object of texts" in job.verdict["message"]


def test_members_of_job_and_runner_that_are_given_are_there(folder):
    about = {"workflow_ref": "a/hello/.github/workflows/build.yml@refs/heads/main", "workflow_sha": "abc", "workflow_repository": "a/hello", "workflow_file_path": ".github/workflows/build.yml"}
    job = run(folder, 'echo "$RUNNER_DEBUG ${RUNNER_WORKSPACE%/hello} ${{ runner.debug }}"; echo "${{ job.workflow_ref }} ${{ job.workflow_sha }} ${{ job.workflow_repository }} ${{ job.workflow_file_path }} ${{ job.status }} [${{ job.container.id }}]"',
              contexts={"runner": {"debug": "1"}, "job": about})
    assert job.log(0) == f"1 {folder}/work 1\n{' '.join(about.values())} success []\n"


def test_a_job_may_not_set_reserved_variables(folder):
    job = run(folder, 'echo GITHUB_SHA=x >> "$GITHUB_ENV"')
    assert job.status == 1
    assert job.events("annotation")[0]["level"] == "error"


def test_shells(folder):
    job = run(folder, {"run": "echo ${BASH_VERSION:+bash} $-", "shell": "bash"}, {"run": "echo $0", "shell": "sh"},
              {"run": "import sys; print('py', sys.version_info[0])", "shell": "python"},
              {"run": "whatever", "shell": "cat {0}"}, {"run": "x", "shell": "perl"}, )
    assert job.log(0).startswith("bash ") and job.log(2) == "py 3\n" and job.log(3) == "whatever\n"
    assert conclusions(job)[-1] == BAD
    assert "{0}" in job.events("step_finished")[-1]["reason"]


def test_unset_shell_stops_at_the_first_error_but_has_no_pipefail(folder):
    job = run(folder, "false | true\necho here\nfalse\necho not", {"run": "false | true\necho not", "shell": "bash", "if": "always()"})
    assert job.log(0) == "here\n" and conclusions(job) == [BAD, BAD] and job.log(1) == ""


def test_working_directory(folder):
    job = run(folder, "mkdir -p sub/dir", {"run": "pwd", "working_directory": "sub/dir"}, "pwd",
              {"run": "pwd", "working_directory": "/"}, {"run": "pwd", "working_directory": "missing"},
              defaults={"working_directory": "sub"})
    # the first step's folder does not exist either
    assert conclusions(job)[0] == BAD


def test_working_directory_defaults(folder):
    job = run(folder, {"run": "mkdir -p sub/dir", "working_directory": "."}, {"run": "pwd", "working_directory": "sub/dir"}, "pwd",
              {"run": "pwd", "working_directory": "missing"}, defaults={"working_directory": "sub"})
    assert job.log(1).endswith("/sub/dir\n") and job.log(2).endswith("/sub\n")
    assert conclusions(job)[3] == BAD and "missing does not exist" in job.events("step_finished")[3]["reason"]


def test_a_step_that_runs_too_long_fails(folder):
    job = run(folder, {"run": "echo begun; sleep 60", "timeout_minutes": "0.005"}, {"run": "echo on", "if": "failure()"})
    assert conclusions(job) == [BAD, OK]
    assert "time limit" in job.events("step_finished")[0]["reason"]


def test_a_job_that_runs_too_long_is_timed_out_with_status_1(folder):
    job = run(folder, "sleep 60", "echo no", {"run": "echo cleaned", "if": "always()"}, job={"id": "build", "timeout_ms": 300})
    assert job.status == 1 and job.verdict["conclusion"] == "timed_out" and job.verdict["code"] == 1
    assert [c[0] for c in conclusions(job)] == ["cancelled", "skipped", "success"]


def test_commands_become_events(folder):
    job = run(folder, "echo '::error file=a.c,line=3,col=4,title=T::one%0Atwo'; echo ' ::warning::w'; echo '::notice::n'; "
                      "echo '::group::G'; echo in; echo '::endgroup::'; echo out; echo '::stop-commands::tok'; echo '::error::no'; "
                      "echo '::tok::'; echo '::debug::hidden'; echo 'x ::error::text'")
    notes = job.events("annotation")
    assert [(a["level"], a["message"]) for a in notes] == [("error", "one\ntwo"), ("warning", "w"), ("notice", "n")]
    assert (notes[0]["file"], notes[0]["line"], notes[0]["column"], notes[0]["title"]) == ("a.c", 3, 4, "T")
    assert [(e.get("group"), e["text"]) for e in job.events("log")][0] == ("G", "in\n")
    assert "::error::no" in job.log() and "hidden" not in job.log() and "x ::error::text" in job.log()


def names(job):
    return [e["name"] for e in job.events("step_started")]


def test_a_step_without_a_name_is_called_by_what_it_runs_with_the_values(folder):
    job = run(folder, {"id": "a", "run": 'echo v=1 >> "$GITHUB_OUTPUT"'}, "\n  echo ${{ steps.a.outputs.v }} $X\nsecond",
              {"run": "${{ format('echo {0}\n', 'first') }}"}, {"run": "echo ${{ hashFiles('none') }}", "if": "false"},
              {"run": "echo ${{ fromJSON('{') }}"}, {"run": "true", "name": "named ${{ steps.a.outputs.v }}", "if": "false"})
    assert names(job)[1:] == ["Run echo 1 $X", "Run echo first", "Run echo ${{ hashFiles('none') }}", "Run echo ${{ fromJSON('{') }}", "named 1"]


def test_a_name_that_is_cut_holds_no_half_of_a_masked_value(folder):
    secret = "s3cr3tvalue"
    job = run(folder, {"run": "exit 1 # " + "x" * (512 - 14) + "${{ env.S }}", "env": [{"name": "S", "value": secret}]}, mask=[secret])
    assert job.status == 1 and secret[:4] not in job.text() and names(job)[0].endswith("x***")


def test_a_masked_value_never_leaves_in_any_form(folder):
    job = run(folder, {"name": "masks", "run": "echo '::add-mask::hunter2222'; echo hunter2222; echo -n hunter2222 | base64; printf 'hunt'; sleep 0.1; echo er2222; "
                      'echo "o=hunter2222" >> "$GITHUB_OUTPUT"; echo "sum hunter2222" >> "$GITHUB_STEP_SUMMARY"; '
                      "echo '::error title=hunter2222::hunter2222'; echo 'pre-${{ github.run_id }}-s3cr3tvalue'"},
              {"run": "true", "name": "step s3cr3tvalue"}, mask=["s3cr3tvalue"], outputs={"leak": "s3cr3tvalue", "ok": "fine"})
    text = job.text()
    assert job.status == 0, text
    for form in ("hunter2222", "aHVudGVyMjIyM", "s3cr3tvalue"):
        assert form not in text
    assert job.verdict["outputs"] == {"ok": "fine"} and job.events("output") == []
    assert "sum ***" in job.events("summary")[0]["text"]
    assert any("may hold a masked value" in a["message"] for a in job.events("annotation"))


HOST = "https://${{ steps.a.outputs.host }}/"
SAY_HOST = 'echo host=one.example >> "$GITHUB_OUTPUT"'


@pytest.mark.parametrize("url, script, shown", [
    (HOST, SAY_HOST, {"url": "https://one.example/"}),
    (HOST, SAY_HOST + "; exit 1", {"url": "https://one.example/"}),
    ("${{ steps.a.outputs.host }}", "true", {}),
    ("", "true", {}),
    (None, "true", {}),
    ("x" * 2048, "true", {"url": "x" * 2048}),
])
def test_the_environments_url_is_evaluated_when_the_steps_are_over(folder, url, script, shown):
    job = run(folder, {"id": "a", "run": script}, environment={"name": "prod"} if url is None else {"name": "prod", "url": url})
    assert job.events("job_started")[0]["job_environment"] == {"name": "prod"}
    assert job.verdict["job_environment"] == {"name": "prod", **shown}, job.text()


@pytest.mark.parametrize("url, why", [
    ("x" * 2049, "longer than 2048 bytes"),
    ("https://s3cr3tvalue/", "may hold a masked value"),
    ("${{ fromJSON('') }}", "environment.url: "),
])
def test_an_environments_url_with_a_secret_or_too_long_is_left_out(folder, url, why):
    job = run(folder, "true", mask=["s3cr3tvalue"], environment={"name": "prod", "url": url})
    assert job.status == 0 and job.verdict["job_environment"] == {"name": "prod"}, job.text()
    assert any("The url of the environment 'prod' is left out: " in e["text"] and why in e["text"] for e in job.events("log")), job.text()
    assert "s3cr3tvalue" not in job.text()


@pytest.mark.parametrize("script, problem", [
    ('rm "$GITHUB_OUTPUT"; ln -s /etc/passwd "$GITHUB_OUTPUT"', "link"),
    ('rm "$GITHUB_OUTPUT"; mkfifo "$GITHUB_OUTPUT"', "pipe"),
    ('head -c 1048577 /dev/zero > "$GITHUB_OUTPUT"', "larger than 1 MiB"),
    ('echo no-equals-sign > "$GITHUB_OUTPUT"', "GITHUB_OUTPUT"),
    ('rm "$GITHUB_ENV"; mkdir "$GITHUB_ENV"', "GITHUB_ENV"),
])
def test_a_spoiled_file_command_fails_the_step(folder, script, problem):
    job = run(folder, script)
    assert job.status == 1
    assert problem in job.events("step_finished")[0]["reason"]


def test_a_file_command_of_exactly_the_limit_is_read(folder):
    job = run(folder, {"run": 'printf "v=" > "$GITHUB_OUTPUT"; head -c 1000000 /dev/zero | tr "\\0" x >> "$GITHUB_OUTPUT"', "id": "a"},
              "echo ${{ contains(steps.a.outputs.v, 'xxx') }}")
    assert job.status == 0, job.text()[-2000:]
    assert job.log(1) == "true\n"


@pytest.mark.parametrize("name, status", [("v", 0), ("w", 1)])
def test_an_output_that_is_set_anew_counts_once(folder, name, status):
    large = 'x() { printf "::set-output name=$1::"; head -c 600000 /dev/zero | tr "\\0" $2; echo; }\n'
    job = run(folder, {"run": f"{large}x v a; x {name} b", "id": "a"}, "echo ${{ endsWith(steps.a.outputs.v, 'bbb') }}")
    assert job.status == status, job.text()[-2000:]
    if status == 0:
        assert job.log(1) == "true\n"
    else:
        assert "the outputs of the step are larger than 1 MiB" in job.verdict["message"]


def test_a_hundred_thousand_outputs_of_a_step_are_kept(folder):
    job = run(folder, {"run": "seq 1 100000 | sed 's/.*/::set-output name=&::1/'", "id": "a"}, "echo ${{ steps.a.outputs['100000'] }}")
    assert job.status == 0 and job.log(1) == "1\n", job.text()[-2000:]


def test_each_step_has_fresh_files(folder):
    job = run(folder, 'echo "$GITHUB_OUTPUT"', 'echo "$GITHUB_OUTPUT"')
    assert job.log(0) != job.log(1)


def test_unknown_actions_are_refused_with_their_place(folder):
    job = run(folder, {"uses": "some/action@v1", "file": "ci.yml", "line": 12, "column": 9})
    assert job.status == 1
    reason = job.events("step_finished")[0]["reason"]
    assert reason.startswith("ci.yml:12:9:") and "some/action@v1" in reason


def test_a_bad_expression_fails_its_step_only(folder):
    job = run(folder, {"run": "echo x", "env": [{"name": "A", "value": "${{ fromJSON('{') }}"}]}, {"run": "echo y", "if": "always()"})
    assert conclusions(job) == [BAD, OK]
