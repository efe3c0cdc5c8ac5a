"""What steps see and what they may say: workflows that run in real guests, many steps to a guest. Each workflow runs once; each
test is one sentence about it."""
import re

import pytest

import runs

pytestmark = pytest.mark.guest  # what a step sees does not depend on the user of the host

LANGUAGE = r"""
name: the language
on: push
env:
  LEVEL: workflow
  FROM_WORKFLOW: w-${{ github.event_name }}
defaults:
  run:
    working-directory: sub
jobs:
  first:
    runs-on: ubuntu-latest
    env:
      LEVEL: job
      FROM_JOB: j-${{ github.ref_name }}
    outputs:
      short: ${{ steps.say.outputs.short }}
      long: ${{ steps.say.outputs.long }}
      secret: ${{ steps.mask.outputs.leak }}
    steps:
      - run: mkdir -p sub/deeper
        working-directory: ${{ github.workspace }}
      - id: unset
        run: |
          echo "$0 $-"; false | true; echo "pipes may fail"; shopt -o pipefail || true
      - id: bash
        shell: bash
        run: shopt -o pipefail errexit; (false | true) || echo "pipes may not fail"
      - id: sh
        shell: sh
        run: readlink /proc/$$/exe; case $- in *e*) echo errexit;; esac
      - id: python
        shell: python
        run: |
          import os, sys
          print("python", sys.version_info[0], os.environ["LEVEL"])
      - id: custom
        shell: awk -v word='two words' -f {0} /dev/null
        run: 'BEGIN { print "awk says", word }'
      - id: levels
        env:
          LEVEL: step
          FROM_STEP: s-${{ env.FROM_JOB }}
        run: echo "$LEVEL $FROM_WORKFLOW $FROM_JOB $FROM_STEP"
      - id: levels_after
        run: echo "$LEVEL ${FROM_STEP-unset} ${{ env.LEVEL }}"
      - id: say
        run: |
          echo "short=one two" >> "$GITHUB_OUTPUT"
          printf 'long<<END\nline 1\n\nEND of it\nEND\n' >> "$GITHUB_OUTPUT"
          echo "PLAIN=from the file" >> "$GITHUB_ENV"
          printf 'BLOCK<<E_O_F\na\nb=c\nE_O_F\n' >> "$GITHUB_ENV"
          mkdir -p "$HOME/tools"; printf '#!/bin/sh\necho my own tool\n' > "$HOME/tools/mytool"; chmod +x "$HOME/tools/mytool"
          echo "$HOME/tools" >> "$GITHUB_PATH"
          echo "${PLAIN-not yet}"
          printf '# Title\n\nsome *text*\n' >> "$GITHUB_STEP_SUMMARY"
      - id: hear
        run: |
          echo "${{ steps.say.outputs.short }}|$PLAIN|${{ env.PLAIN }}"
          echo "$BLOCK"
          mytool
      - id: hear_long
        env:
          LONG: ${{ steps.say.outputs.long }}
        run: echo "$LONG"
      - id: folder
        run: pwd
      - id: deeper
        working-directory: sub/deeper
        run: pwd
      - id: absolute
        working-directory: /usr
        run: pwd
      - id: nowhere
        continue-on-error: true
        working-directory: not/there
        run: pwd
      - id: forgiven
        continue-on-error: true
        run: exit 7
      - id: after_forgiven
        run: echo "${{ steps.forgiven.outcome }} ${{ steps.forgiven.conclusion }} ${{ job.status }}"
      - id: skipped
        if: ${{ failure() || github.event_name == 'nothing' }}
        run: echo never
      - id: slow
        continue-on-error: true
        timeout-minutes: 0.1
        run: trap 'echo told to stop; exit 5' INT; echo begun; sleep 60 & wait
      - id: stubborn
        continue-on-error: true
        timeout-minutes: 0.05
        run: trap '' INT TERM; (setsid sleep 1000 &) ; echo "held $$"; while :; do sleep 60; done
      - id: gone
        run: pgrep -f 'sleep 1000' || echo nobody
      - id: link
        continue-on-error: true
        run: rm "$GITHUB_OUTPUT"; ln -s /etc/hostname "$GITHUB_OUTPUT"
      - id: fifo
        continue-on-error: true
        run: rm "$GITHUB_ENV"; mkfifo "$GITHUB_ENV"
      - id: large
        continue-on-error: true
        run: head -c 1048577 /dev/zero | tr '\0' x > "$GITHUB_OUTPUT"
      - id: malformed
        continue-on-error: true
        run: echo "no equals sign" > "$GITHUB_OUTPUT"
      - id: reserved
        continue-on-error: true
        run: |
          echo "GITHUB_SHA=forged" >> "$GITHUB_ENV"
      - id: late
        run: |
          echo "$GITHUB_OUTPUT" > /tmp/first
          echo "a=in time" >> "$GITHUB_OUTPUT"
          (sleep 1; echo "a=late" >> "$GITHUB_OUTPUT"; echo wrote > /tmp/late) > /dev/null 2>&1 &
          setsid sh -c "sleep 1; echo a=late >> '$GITHUB_OUTPUT'; echo wrote > /tmp/late" > /dev/null 2>&1 &
      - id: after_late
        run: |
          sleep 1.5; cat /tmp/late || echo "nobody wrote late"
          echo "a=forged" >> "$(cat /tmp/first)" || true
      - id: still
        run: echo "${{ steps.late.outputs.a }}|${{ steps.after_late.outputs.a }}"
      - id: held
        continue-on-error: true
        run: |
          sudo sh -c 'mkdir /sys/fs/cgroup/away; echo $$ > /sys/fs/cgroup/away/cgroup.procs; exec 9>> "$0"; echo a=now >&9
            exec > /dev/null 2>&1; sleep 1000' "$GITHUB_OUTPUT" &
          for i in $(seq 100); do grep -q now "$GITHUB_OUTPUT" && exit 0; sleep 0.1; done
          exit 9
      - id: mask
        run: |
          echo "::add-mask::hunter2-secret"
          echo "the value is hunter2-secret, in base64 $(printf hunter2-secret | base64)"
          echo "leak=it is hunter2-secret" >> "$GITHUB_OUTPUT"
          echo "kept=harmless" >> "$GITHUB_OUTPUT"
          echo "see hunter2-secret" >> "$GITHUB_STEP_SUMMARY"
      - id: after_mask
        run: echo "[${{ steps.mask.outputs.leak }}] [${{ steps.mask.outputs.kept }}]"
      - id: notes
        run: |
          echo "::error file=src/a.c,line=3,endLine=3,col=5,endColumn=6,title=A title::first%0Asecond"
          echo "::warning file=b.c,line=9::careful"
          echo "::notice::by the way"
          echo "text ::error::is no command in the middle"
      - id: groups
        run: |
          echo "::group::The group"; echo inside; echo "::endgroup::"; echo outside
          echo "::stop-commands::tok3n"; echo "::error::is text now"; echo "::tok3n::"; echo "::warning::commands again"
      - id: environment
        shell: bash
        working-directory: /
        env:
          GITHUB_SHA: forged
        run: env -0 | sort -z | tr '\0\n' '\n ' ; cat "$GITHUB_EVENT_PATH" | python3 -c 'import json,sys; print("EVENT", json.load(sys.stdin)["ref"])'
      - id: long_lines
        shell: python
        run: |
          import sys
          sys.stdout.write("x" * 100000 + "end\n"); sys.stdout.write("y" * 100000 + "end")
      - id: bytes
        shell: python
        run: |
          import os
          os.write(1, b"binary \x00\x01\x7f|\xff\xfe|\xc3\x28|\xed\xa0\x80|\xf0\x9f\x92\xa9\r\nlast")
  second:
    runs-on: ubuntu-latest
    timeout-minutes: 0.2
    steps:
      - id: forever
        working-directory: /
        run: sleep 1000
      - id: unreached
        run: echo no
      - id: cleanup
        working-directory: /
        if: always()
        run: echo cleaned
      - id: told
        working-directory: /
        if: cancelled()
        run: echo "told ${{ job.status }}"
  failing:
    runs-on: ubuntu-latest
    defaults:
      run:
        working-directory: .
    steps:
      - id: fails
        run: |
          echo out; echo err >&2
          exit 3
      - id: by_default
        run: echo no
      - id: on_success
        if: success()
        run: echo no
      - id: on_failure
        if: failure()
        run: echo "${{ steps.fails.outcome }} ${{ job.status }}"
      - id: on_failure_of_it
        if: ${{ failure() && steps.fails.outcome == 'failure' }}
        run: echo it
      - id: always
        if: always()
        run: echo yes
      - id: on_cancel
        if: cancelled()
        run: echo no
      - id: expression
        if: always()
        run: echo "${{ fromJSON('{') }}"
      - id: last
        if: ${{ !cancelled() }}
        run: echo "${{ join(steps.*.outcome, ',') }}"
  skipped:
    needs: failing
    runs-on: ubuntu-latest
    steps:
      - run: echo no
  anyway:
    needs: [first, failing, skipped]
    if: always()
    runs-on: ubuntu-latest
    defaults:
      run:
        working-directory: .
        shell: sh
    steps:
      - id: outputs
        env:
          LONG: ${{ needs.first.outputs.long }}
        run: |
          echo "${{ needs.first.result }}|${{ needs.first.outputs.short }}|${{ needs.first.outputs.secret }}"
          echo "$LONG"; pwd; readlink /proc/$$/exe
      - id: seen
        working-directory: /
        run: echo "${{ needs.failing.result }} ${{ needs.skipped.result }}"
"""


@pytest.fixture(scope="module")
def language():
    scene = runs.Scene()
    repo = scene.repo()
    repo.workflow(LANGUAGE)
    repo.write("file.txt", "content\n")
    commit = repo.commit()
    run = scene.json(repo, "--keep-going", "--jobs", "2")
    run.commit = commit
    yield run
    scene.close()


@pytest.fixture
def first(language):
    return language["first"]


def test_the_unset_shell_stops_at_errors_but_lets_pipes_fail(first):
    assert first["unset"].outcome == "success", first["unset"]
    assert "e" in first["unset"].lines[0].split()[1] and "pipes may fail" in first["unset"].log
    assert re.search(r"pipefail\s+off", first["unset"].log)


def test_shell_bash_stops_at_errors_in_pipes(first):
    assert re.search(r"pipefail\s+on", first["bash"].log) and re.search(r"errexit\s+on", first["bash"].log)
    assert "pipes may not fail" in first["bash"].log


def test_shell_sh_is_a_plain_shell_that_stops_at_errors(first):
    assert first["sh"].lines == ["/usr/bin/dash", "errexit"] or first["sh"].lines == ["/bin/dash", "errexit"]


def test_shell_python_runs_the_script_with_python(first):
    assert first["python"].lines == ["python 3 job"]


def test_a_custom_shell_template_gets_the_script_in_its_place(first):
    assert first["custom"].lines == ["awk says two words"]


def test_env_of_the_step_wins_over_the_jobs_and_that_over_the_workflows(first):
    assert first["levels"].lines == ["step w-push j-main s-j-main"]
    assert first["levels_after"].lines == ["job unset job"]


def test_github_env_and_path_reach_the_later_steps_only(first):
    assert first["say"].lines == ["not yet"]
    assert first["hear"].lines == ["one two|from the file|from the file", "a", "b=c", "my own tool"]


def test_step_outputs_of_both_forms_reach_later_steps(first):
    assert first["say"].outputs == {"short": "one two", "long": "line 1\n\nEND of it"}
    assert first["hear_long"].lines == ["line 1", "", "END of it"]


def test_job_outputs_reach_the_jobs_that_need_them(language):
    assert language["anyway"]["outputs"].lines[:4] == ["success|one two|", "line 1", "", "END of it"]


def test_the_working_directory_is_the_steps_or_the_default_or_the_workspace(language):
    first = language["first"]
    assert first["folder"].lines == ["/home/runner/work/repo/repo/sub"]
    assert first["deeper"].lines == ["/home/runner/work/repo/repo/sub/deeper"]
    assert first["absolute"].lines == ["/usr"]
    assert language["anyway"]["outputs"].lines[4:] == ["/home/runner/work/repo/repo", "/usr/bin/dash"]


def test_a_working_directory_that_does_not_exist_is_named(first):
    assert first["nowhere"].outcome == "failure" and "not/there" in first["nowhere"].reason


def test_continue_on_error_forgives_the_step_and_keeps_its_outcome(first):
    step = first["forgiven"]
    assert (step.outcome, step.conclusion, step.exit_code) == ("failure", "success", 7)
    assert first["after_forgiven"].lines == ["failure success success"]
    assert first.conclusion == "success"


def test_a_condition_that_is_false_skips_the_step(first):
    assert first["skipped"].outcome == "skipped" and first["skipped"].log == ""


def test_a_step_past_its_time_limit_is_told_to_stop_and_fails(first):
    step = first["slow"]
    assert step.outcome == "failure" and "time limit" in step.reason
    assert step.lines == ["begun", "told to stop"]


def test_a_step_that_ignores_signals_is_killed_with_all_that_it_started(first):
    assert first["stubborn"].outcome == "failure" and "time limit" in first["stubborn"].reason
    assert first["gone"].lines == ["nobody"]


def test_a_job_past_its_time_limit_is_timed_out_with_code_1_and_cleans_up(language):
    job = language["second"]
    assert job.conclusion == "timed_out" and job.finished["code"] == 1 and "time limit" in job.finished["message"]
    assert job["forever"].outcome == "cancelled" and job["unreached"].outcome == "skipped"
    assert job["cleanup"].lines == ["cleaned"] and job["told"].lines == ["told cancelled"]


@pytest.mark.parametrize("step, problem", [("link", "link"), ("fifo", "pipe"), ("large", "larger than 1 MiB"),
                                           ("malformed", "no equals sign"), ("reserved", "GITHUB_SHA")])
def test_a_file_command_that_is_no_plain_small_file_of_the_right_form_fails_the_step(first, step, problem):
    assert first[step].outcome == "failure" and problem in first[step].reason, first[step]
    assert any(a["level"] == "error" for a in first[step].annotations)


def test_what_is_written_after_the_step_does_not_count(first):
    assert first["late"].outputs == {"a": "in time"}
    assert "nobody wrote late" in first["after_late"].log
    assert first["still"].lines == ["in time|"]


def test_a_file_that_a_process_outside_the_step_still_writes_to_fails_the_step(first):
    step = first["held"]
    assert step.outcome == "failure" and "GITHUB_OUTPUT" in step.reason and "still writes" in step.reason, step
    assert step.outputs == {}


def test_a_step_summary_is_kept_as_it_was_written(first):
    assert first["say"].summary == "# Title\n\nsome *text*\n"


def test_a_masked_value_leaves_in_no_form_and_an_output_that_holds_it_is_dropped_with_a_warning(language):
    first = language["first"]
    assert first["mask"].lines == ["the value is ***, in base64 ***="]
    assert first["mask"].outputs == {"kept": "harmless"} and first["after_mask"].lines == ["[] [harmless]"]
    assert any(a["level"] == "warning" and "'leak'" in a["message"] for a in first["mask"].annotations)
    assert first["mask"].summary == "see ***\n"
    events = [e for e in first.events if e["type"] not in ("step_started",)]
    assert "hunter2" not in str(events)


def test_annotations_are_events_with_their_place(first):
    notes = first["notes"].annotations
    assert [(n["level"], n["message"]) for n in notes] == [("error", "first\nsecond"), ("warning", "careful"),
                                                           ("notice", "by the way")]
    assert {k: notes[0][k] for k in ("file", "line", "end_line", "column", "end_column", "title")} == {
        "file": "src/a.c", "line": 3, "end_line": 3, "column": 5, "end_column": 6, "title": "A title"}
    assert first["notes"].lines == ["text ::error::is no command in the middle"]


def test_groups_are_told_with_their_lines_and_stop_commands_stops_them(first):
    by_text = {e["text"]: e.get("group") for e in first["groups"].logs}
    assert any("inside" in text and group == "The group" for text, group in by_text.items()), by_text
    assert any("outside" in text and group is None for text, group in by_text.items()), by_text
    assert "::error::is text now" in first["groups"].lines
    assert [(a["level"], a["message"]) for a in first["groups"].annotations] == [("warning", "commands again")]


def test_the_default_environment_is_githubs_and_cannot_be_forged(language):
    env = dict(line.split("=", 1) for line in language["first"]["environment"].lines if "=" in line)
    expected = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_JOB": "first", "GITHUB_REF": "refs/heads/main",
                "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch", "GITHUB_REPOSITORY": "local/repo",
                "GITHUB_REPOSITORY_OWNER": "local", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_SHA": language.commit,
                "GITHUB_WORKFLOW": "the language", "GITHUB_WORKSPACE": "/home/runner/work/repo/repo", "RUNNER_OS": "Linux",
                "RUNNER_ARCH": "X64", "RUNNER_TEMP": "/home/runner/work/_temp", "HOME": "/home/runner", "USER": "runner",
                "GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com",
                "GITHUB_GRAPHQL_URL": "https://api.github.com/graphql"}
    assert {k: env.get(k) for k in expected} == expected
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"):
        assert env[name].startswith("/home/runner/work/_temp/"), name
    assert "EVENT refs/heads/main" in language["first"]["environment"].lines


def test_lines_of_100_kb_arrive_whole(first):
    assert first["long_lines"].log.replace("\n", "") == "x" * 100000 + "end" + "y" * 100000 + "end"


def test_bytes_that_are_no_text_are_replaced_and_controls_are_told_as_they_are(first):
    log = first["bytes"].log
    assert log.endswith("last\n") and "\U0001f4a9" in log and "\ufffd" in log
    assert log.startswith("binary \ufffd\x01\x7f|"), repr(log)


def test_status_functions_choose_the_steps_after_a_failure(language):
    job = language["failing"]
    assert job["fails"].exit_code == 3 and job["fails"].reason == "the process ended with exit code 3"
    assert {s.id: s.outcome for s in job.steps} == {
        "fails": "failure", "by_default": "skipped", "on_success": "skipped", "on_failure": "success", "on_failure_of_it": "success",
        "always": "success", "on_cancel": "skipped", "expression": "failure", "last": "success"}
    assert job["on_failure"].lines == ["failure failure"]
    assert {e["stream"]: e["text"] for e in job["fails"].logs if e["stream"] != "note"} == {"out": "out\n", "err": "err\n"}


def test_a_step_that_cannot_be_evaluated_fails_with_its_place(language):
    reason = language["failing"]["expression"].reason
    assert re.match(r"\.github/workflows/ci\.yml:\d+:\d+: ", reason), reason


def test_jobs_after_a_failed_need_are_skipped_unless_they_say_always(language):
    assert "skipped" not in language.jobs
    assert language["anyway"]["seen"].lines == ["failure skipped"]


def test_the_last_line_of_json_is_the_verdict(language):
    assert language.finished["type"] == "run_finished" and language.finished["conclusion"] == "failure"
    assert (language.finished["code"], language.finished["retryable"]) == (1, False)
    assert language.result.status == 1 and language.result.error[0] == 1


def test_each_job_tells_what_it_ran_on_first(language):
    for job in language.jobs.values():
        assert job.events[0]["type"] == "job_started"
        assert job.started["commit"] == language.commit and re.fullmatch("sha256:[0-9a-f]{64}", job.started["measurement"])
        assert job.started["image"] and job.started["accelerator"] in ("tcg", "kvm") and job.started["protections"]
