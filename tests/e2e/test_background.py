"""Steps that run beside others (`background`, `wait`, `wait-all`, `cancel`, `parallel`) in devdep-job, between a scripted guest and a
scripted VMM. Steps meet by files in the workspace; nothing here depends on how long something takes."""
import pathlib
import tempfile

import pytest

from fake_guest import Job, spec
from test_actions import composite, log_until, node_action, outcomes, place, reason, rows, run

pytestmark = pytest.mark.sanitized


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def beside(script, step_id=None, **more):
    """A `run` step in the background."""
    return {"run": script, "background": True, **({"id": step_id} if step_id else {}), **more}


def until(*files):
    """Shell that waits for files of the workspace."""
    return "; ".join(f"while ! test -e {f}; do sleep 0.01; done" for f in files)


def order(job, kind, key="step"):
    return [e[key] for e in job.events(kind)]


def test_a_background_step_runs_beside_the_next_ones(folder):
    job = run(folder, beside(f"touch begun; {until('seen')}; echo served", "server"), f"{until('begun')}; touch seen; echo tested", {"wait": ["server"]})
    assert job.status == 0, job.text()
    assert [name for name, _, _ in rows(job)] == ["Run touch begun; while ! test -e seen; do sleep 0.01; done; echo served",
                                                  f"Run {until('begun')}; touch seen; echo tested", "Wait"]
    assert job.log(0) == "served\n" and job.log(1) == "tested\n" and outcomes(job) == ["success"] * 3
    assert [e.get("background", False) for e in job.events("step_started")] == [True, False, False]


def test_what_it_sets_is_there_once_it_was_waited_for(folder):
    sets = "echo v=1 >> $GITHUB_OUTPUT; echo SET=yes >> $GITHUB_ENV; echo /extra >> $GITHUB_PATH; touch done"
    see = "echo \"[${{ steps.a.outputs.v }}][${{ steps.a.outcome }}][$SET][${PATH%%:*}]\""
    job = run(folder, beside(sets, "a"), {"run": f"{until('done')}; {see}", "env": [{"name": "OWN", "value": "1"}]}, {"wait": ["a"]}, see,
              outputs={"o": "${{ steps.a.outputs.v }}"})
    assert job.status == 0, job.text()
    assert job.log(1).startswith("[][][][/home/runner") and job.log(3) == "[1][success][yes][/extra]\n"
    assert job.verdict["outputs"] == {"o": "1"}


def test_wait_takes_one_or_several_and_wait_all_the_rest(folder):
    job = run(folder, beside("echo v=1 >> $GITHUB_OUTPUT", "a"), beside("echo v=2 >> $GITHUB_OUTPUT", "b"), beside(f"{until('go')}; echo v=3 >> $GITHUB_OUTPUT", "c"),
              {"wait": ["a", "B"]}, "echo ${{ steps.a.outputs.v }}${{ steps.b.outputs.v }}${{ steps.c.outputs.v }}; touch go", {"wait_all": True},
              "echo ${{ steps.c.outputs.v }}", {"wait_all": True})
    assert job.status == 0, job.text()
    assert job.log(4) == "12\n" and job.log(6) == "3\n"
    assert [name for name, _, _ in rows(job)][-3:] == ["Wait for all", "Run echo 3", "Wait for all"]


def test_later_ones_win_where_two_set_the_same_variable(folder):
    job = run(folder, beside(f"{until('second')}; echo V=first >> $GITHUB_ENV", "a"), beside("echo V=second >> $GITHUB_ENV; touch second", "b"),
              {"wait_all": True}, "echo $V")
    assert job.status == 0 and job.log(3) == "second\n"


def test_a_failure_is_the_jobs_when_it_is_waited_for(folder):
    job = run(folder, beside("echo oh; exit 3", "bad"), "echo ${{ job.status }}", {"wait": ["bad"]}, "echo no",
              {"run": "echo ${{ steps.bad.outcome }}", "if": "failure()"})
    assert job.status == 1
    assert outcomes(job)[2:] == ["failure", "skipped", "success"] and job.log(1) == "success\n"
    assert "step 'Run echo oh; exit 3' failed: the process ended with exit code 3" in reason(job, 2)
    assert "exit code 3" in job.verdict["message"] and job.log(4) == "failure\n"


def test_continue_on_error_of_the_step_or_of_the_wait(folder):
    job = run(folder, beside("exit 1", "a", continue_on_error="true"), beside("exit 1", "b"), {"wait": ["a"]}, {"wait": ["b"], "continue_on_error": "true"},
              "echo ${{ steps.a.outcome }} ${{ steps.a.conclusion }} ${{ steps.b.outcome }}")
    assert job.status == 0, job.text()
    assert job.log(4) == "failure success failure\n" and [c for _, _, c in rows(job)][2:4] == ["success", "success"]


def test_wait_steps_run_whatever_failed_before(folder):
    job = run(folder, beside(f"{until('go')}; echo v=1 >> $GITHUB_OUTPUT", "a"), "touch go; exit 1", {"wait": ["a"]},
              {"run": "echo ${{ steps.a.outputs.v }}", "if": "always()"})
    assert job.status == 1 and [o for _, o, _ in rows(job)] == ["success", "failure", "success", "success"] and job.log(3) == "1\n"


def test_the_end_of_the_job_waits_for_what_nobody_waited_for(folder):
    node_action(folder, "js", "", post="console.log('post ' + require('fs').existsSync('late'))")
    job = run(folder, {"uses": "./js"}, beside(f"{until('go')}; touch late; echo v=1 >> $GITHUB_OUTPUT", "a"), "touch go",
              outputs={"o": "${{ steps.a.outputs.v }}"})
    assert job.status == 0, job.text()
    assert job.log(3, "out") == "post true\n" and job.verdict["outputs"] == {"o": "1"}


def test_a_failure_that_nobody_waited_for_fails_the_job_at_its_end(folder):
    job = run(folder, beside("exit 4"), "echo on")
    assert job.status == 1 and "exit code 4" in job.verdict["message"] and outcomes(job) == ["failure", "success"]


def test_cancel_ends_a_step_and_the_job_goes_on(folder):
    trap = "trap 'echo tidied; exit 0' INT; touch begun; while :; do sleep 0.01; done"
    job = run(folder, beside(trap, "server"), until("begun"), {"cancel": "server"}, "echo ${{ steps.server.outcome }} ${{ job.status }}")
    assert job.status == 0, job.text()
    assert [(o, c) for _, o, c in rows(job)] == [("cancelled", "cancelled")] + [("success", "success")] * 3
    assert job.log(0) == "tidied\n" and job.log(3) == "cancelled success\n" and "Cancelling: Run trap" in job.log(2)


def test_cancel_of_what_is_over_or_never_began_is_nothing(folder):
    job = run(folder, beside("touch over", "a"), beside("echo", "b", **{"if": "false"}), until("over"), {"wait": ["a"]}, {"cancel": "a"}, {"cancel": "b"}, {"wait": ["b"]})
    assert job.status == 0 and outcomes(job) == ["success", "skipped"] + ["success"] * 5


def test_what_had_failed_before_it_was_cancelled_fails_the_job_at_its_end(folder):
    with Job(folder, spec(folder, beside("exit 6", "bad"), until("go"), {"cancel": "bad"}, "echo ${{ steps.bad.outcome }} ${{ job.status }}")) as job:
        job.until("step_finished")
        place(folder, "go", "")
        assert job.wait() == 1
    assert outcomes(job) == ["failure", "success", "success", "success"] and job.log(3) == "failure success\n"
    assert "exit code 6" in job.verdict["message"]


def test_parallel_runs_its_steps_beside_each_other_and_waits_for_them(folder):
    group = {"parallel": [{"run": f"touch a; {until('b')}; echo v=1 >> $GITHUB_OUTPUT", "id": "one"}, {"run": f"touch b; {until('a')}", "name": "two"}]}
    job = run(folder, "true", group, "echo ${{ steps.one.outputs.v }}")
    assert job.status == 0, job.text()
    starts = {e["step"]: e for e in job.events("step_started")}
    assert [(e["step"], e.get("parent"), e.get("background", False)) for e in job.events("step_started")] == \
        [(0, None, False), (1, None, False), (3, 1, True), (4, 1, True), (2, None, False)]
    assert starts[1]["name"] == "Parallel group" and order(job, "step_finished")[-2:] == [1, 2] and job.log(2) == "1\n"


def test_a_parallel_block_fails_with_its_steps_and_lets_the_others_end(folder):
    group = {"parallel": [{"run": "touch failed; exit 2", "name": "bad"}, {"run": f"{until('failed')}; echo ended"}, {"run": "exit 1", "continue_on_error": "true"}]}
    job = run(folder, group, "echo no")
    assert job.status == 1 and "ended\n" in job.log() and "no\n" not in job.log()
    assert "step 'bad' failed" in reason(job) and rows(job)[0][1] == "failure" and outcomes(job)[-1] == "skipped"


def test_a_mistake_in_a_step_of_a_parallel_block_fails_the_block(folder):
    group = {"parallel": [{"run": "echo x", "env": [{"name": "A", "value": "${{ fromJSON('{') }}"}]}, {"run": "echo fine", "if": "always()"}]}
    job = run(folder, group, "echo no")
    assert job.status == 1 and "fine\n" in job.log() and rows(job)[0][1] == "failure"


def test_an_empty_parallel_block_and_one_whose_steps_are_skipped(folder):
    job = run(folder, {"parallel": []}, {"parallel": [{"run": "echo", "if": "false"}, {"run": "echo", "if": "false"}]}, "echo on")
    assert job.status == 0 and job.log(2) == "on\n"


COUNT = ("mkdir running.$I; n=$(ls -d running.* | wc -l); echo $n; touch seen.$I; "
         "if [ $I -le 10 ]; then " + until(*[f"seen.{i}" for i in range(1, 11)]) + "; fi; rmdir running.$I")


def counters(n, **more):
    return [{"run": COUNT, "env": [{"name": "I", "value": str(i + 1)}], **more} for i in range(n)]


def most(job):
    return max(int(line) for line in job.log(stream="out").split() if line.isdigit())


def test_ten_steps_run_at_a_time_and_the_others_wait_for_a_place(folder):
    job = run(folder, *counters(14, background=True), {"wait_all": True})
    assert job.status == 0, job.text()
    assert most(job) == 10 and outcomes(job) == ["success"] * 15


def test_a_parallel_block_of_thirty_steps_runs_ten_at_a_time(folder):
    job = run(folder, {"parallel": counters(30)})
    assert job.status == 0, job.text()
    assert most(job) == 10 and outcomes(job) == ["success"] * 31


def test_sixty_four_steps_are_in_the_background_and_no_more(folder):
    waiting = [beside(until("go")) for _ in range(65)]
    job = run(folder, *waiting, {"run": "touch go", "if": "always()"})
    assert job.status == 1 and outcomes(job) == ["success"] * 64 + ["failure", "success"]
    assert "more than 64 steps in the background" in reason(job, 64)


def test_cancelling_the_job_ends_steps_in_the_background_whatever_their_condition(folder):
    steps = [beside("touch begun; sleep 60", **{"if": "always()"})] + [beside("sleep 60") for _ in range(11)] + \
        [f"{until('begun')}; echo begun; sleep 60", {"wait_all": True}, {"run": "echo tidied", "if": "always()"}]
    with Job(folder, spec(folder, *steps)) as job:
        log_until(job, "begun")
        job.ask({"op": "cancel"})[1].close()
        assert job.wait() == 130
    assert outcomes(job) == ["cancelled"] * 14 + ["success"] and "tidied\n" in job.log()
    assert job.verdict["conclusion"] == "cancelled"


def test_cancelling_a_job_that_waits(folder):
    with Job(folder, spec(folder, beside("echo begun; sleep 60", "a"), {"wait": ["a"]}, "echo no")) as job:
        log_until(job, "begun")
        log_until(job, "Waiting for")
        job.ask({"op": "cancel"})[1].close()
        assert job.wait() == 130
    assert outcomes(job) == ["cancelled", "cancelled", "skipped"]


def test_cancelling_a_parallel_block(folder):
    with Job(folder, spec(folder, {"parallel": [{"run": "echo begun; sleep 60"}] + [{"run": "sleep 60"}] * 14}, {"run": "echo tidied", "if": "always()"})) as job:
        log_until(job, "begun")
        job.ask({"op": "cancel"})[1].close()
        assert job.wait() == 130
    assert rows(job)[0][1] == "cancelled" and set(outcomes(job)[1:-1]) == {"cancelled", "skipped"} and "tidied\n" in job.log()


def test_a_step_in_the_background_has_its_own_time_limit(folder):
    job = run(folder, beside("sleep 60", "a", timeout_minutes="0.005"), "echo on", {"wait": ["a"]})
    assert job.status == 1 and outcomes(job) == ["failure", "success", "failure"] and "time limit" in reason(job)


def test_an_action_runs_in_the_background_and_what_its_steps_set_stays_with_it(folder):
    composite(folder, "act", f"""\
        - run: echo "V=inner" >> "$GITHUB_ENV"
          shell: bash
        - run: echo "$V"; touch set; {until('seen')}; echo "o=1" >> "$GITHUB_OUTPUT"
          id: x
          shell: bash
        """, "outputs: {o: {value: '${{ steps.x.outputs.o }}'}}\n")
    job = run(folder, {"uses": "./act", "id": "a", "background": True}, f"{until('set')}; echo \"[$V]\"; touch seen", {"wait": ["a"]},
              "echo $V ${{ steps.a.outputs.o }}")
    assert job.status == 0, job.text()
    assert job.log(1) == "[]\n" and "inner\n" in job.log() and job.log(3) == "inner 1\n"


def test_cancel_ends_an_action_and_begins_none_of_its_steps(folder):
    composite(folder, "act", "- run: touch begun; sleep 60\n  shell: bash\n- run: echo never\n  if: always()\n  shell: bash\n")
    job = run(folder, {"uses": "./act", "id": "a", "background": True}, until("begun"), {"cancel": "a"}, "echo on")
    assert job.status == 0, job.text()
    assert "never" not in job.log() and rows(job)[0][1] == "cancelled" and job.log(3) == "on\n"


def test_cancel_of_one_that_has_no_place_yet(folder):
    steps = [beside(until("go")) for _ in range(10)] + [beside("echo never", "late", name="Late"), {"cancel": "late"}, "echo ${{ steps.late.outcome }}; touch go", {"wait_all": True}]
    job = run(folder, *steps)
    assert job.status == 0, job.text()
    assert outcomes(job)[10] == "cancelled" and "never" not in job.log() and job.log(12) == "cancelled\n"


def test_post_parts_come_in_the_reverse_order_of_the_beginnings(folder):
    for name in ("a", "b"):
        node_action(folder, name, f"while (!require('fs').existsSync('{'b-over' if name == 'a' else 'go'}'));" +
                    ("require('fs').writeFileSync('b-over', '')" if name == "b" else ""), post=f"console.log('post {name}')")
    job = run(folder, {"uses": "./a", "background": True}, {"uses": "./b", "background": True}, "touch go")
    assert job.status == 0, job.text()
    assert [line for line in job.log(stream="out").split("\n") if line] == ["post b", "post a"]


def test_output_matchers_and_masks_of_steps_beside_each_other_do_not_mix(folder):
    place(folder, "m.json", '{"problemMatcher": [{"owner": "own", "pattern": [{"regexp": "^FILE (.+)$", "file": 1}, {"regexp": "^BAD (.*)$", "message": 1}]}]}')
    job = run(folder, "echo '::add-matcher::m.json'",
              beside(f"echo 'FILE one.c'; touch one; {until('two')}; echo 'BAD first'; echo '::add-mask::hunter2222'; touch masked", "a"),
              beside(f"{until('one')}; echo 'FILE two.c'; touch two; {until('masked')}; echo 'BAD second hunter2222'", "b"), {"wait_all": True})
    assert job.status == 0, job.text()
    assert [(e["step"], e["file"], e["message"]) for e in job.events("annotation")] == [(1, "one.c", "first"), (2, "two.c", "second ***")]


def test_the_end_of_the_guest_ends_every_step_that_is_open(folder):
    with Job(folder, spec(folder, beside("echo begun; sleep 60"), beside("sleep 60"), "sleep 60")) as job:
        log_until(job, "begun")
        while len(job.events("step_started")) < 3:
            job.until("step_started")
        job.vmm.die()
        assert job.wait() != 0
    assert job.verdict["code"] == 302 and sorted(order(job, "step_finished")) == [0, 1, 2]


def test_what_many_steps_leave_to_be_taken_is_bounded(folder):
    big = beside('printf "V=" >> $GITHUB_ENV; head -c 1000000 /dev/zero | tr "\\0" x >> $GITHUB_ENV')
    job = run(folder, {"parallel": [{"run": big["run"]}] * 36})
    assert job.status == 1 and any("larger than 32 MiB" in e.get("reason", "") for e in job.events("step_finished"))


@pytest.mark.parametrize("step, problem", [
    ({"wait": ["a"], "run": "x"}, "steps[0]: expected either"), ({"wait": []}, "steps[0]: expected either"),
    ({"parallel": [{"wait": ["a"]}]}, "steps[0].parallel[0]: expected either `run` or `uses`"),
    ({"parallel": [{"run": "x", "background": True}]}, "steps[0].parallel[0].background"), ({"cancel": "a", "background": True}, "steps[0].background"),
    ({"parallel": [{"parallel": []}]}, "steps[0].parallel[0].parallel"), ({"wait": [1]}, "steps[0].wait[0]"),
    ({"parallel": [{"run": "x"}] * 1100}, "at most 1100 steps"),
])
def test_a_specification_that_mixes_what_a_step_is_is_refused(folder, step, problem):
    job = run(folder, step)
    assert job.status == 2 and problem in pathlib.Path(job.stderr_path).read_text()
