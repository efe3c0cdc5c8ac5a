"""Actions of the repository (`uses: ./path`) in devdep-job, between a scripted guest and a scripted VMM."""
import os
import pathlib
import tempfile
import textwrap
import time

import pytest

from fake_guest import TIMEOUT, FakeGuest, Job, fields, spec

pytestmark = pytest.mark.sanitized


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def place(folder, path, text):
    """A file of the workspace."""
    file = pathlib.Path(folder, "work", "hello", "hello", path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def action(folder, name, text):
    return place(folder, f"{name}/action.yml", text)


def composite(folder, name, steps, head=""):
    """A composite action: steps as indented YAML, head: inputs and outputs."""
    body = textwrap.indent(textwrap.dedent(steps), "    ")
    return action(folder, name, textwrap.dedent(head) + "runs:\n  using: composite\n  steps:\n" + body)


def run(folder, *steps, guest=FakeGuest, **more):
    with Job(folder, spec(folder, *steps, **more), guest=guest) as job:
        job.wait()
    return job


def log_until(job, text):
    deadline = time.monotonic() + TIMEOUT
    while text not in job.log():
        assert time.monotonic() < deadline, job.text()
        time.sleep(0.005)


def rows(job):
    """Every step that began: (name, outcome, conclusion), in the order of their beginnings."""
    ends = {e["step"]: e for e in job.events("step_finished")}
    return [(e["name"], ends[e["step"]]["outcome"], ends[e["step"]]["conclusion"]) for e in job.events("step_started")]


def outcomes(job):
    return [outcome for _, outcome, _ in rows(job)]


def reason(job, step=0):
    return next(e["reason"] for e in job.events("step_finished") if e["step"] == step)


def warnings(job):
    return [e["message"] for e in job.events("annotation") if e["level"] == "warning"]


# Composite actions


def test_a_composite_action_runs_its_steps_with_its_inputs_and_gives_its_outputs(folder):
    composite(folder, "greet", """\
        - id: say
          name: Say ${{ inputs.who }}
          run: echo "hello ${{ inputs.who }} ${{ inputs.mark }}"; echo "text=hi ${{ inputs.who }}" >> "$GITHUB_OUTPUT"
          shell: bash
        - run: echo "${{ steps.say.outputs.text }} in $GITHUB_ACTION_PATH, ${{ github.action_path }}, [$INPUT_WHO]"
          shell: sh
        """, """\
        name: Greet
        inputs:
          who: {required: true}
          mark: {default: "${{ github.ref }}!"}
        outputs:
          answer: {value: "${{ steps.say.outputs.text }}."}
        """)
    job = run(folder, {"uses": "./greet", "id": "g", "with": {"who": "me"}}, "echo '${{ steps.g.outputs.answer }} [${{ steps.say }}]'")
    assert job.status == 0, job.text()
    assert job.log(2) == "hello me refs/heads/main!\n"
    path = os.path.join(job.spec["workspace"], "greet")
    assert job.log(3) == f"hi me in {path}, {path}, []\n"
    assert job.log(1) == "hi me. []\n"
    starts = {e["step"]: e for e in job.events("step_started")}
    assert [e["step"] for e in job.events("step_started")] == [0, 2, 3, 1]
    assert "parent" not in starts[0] and starts[2]["parent"] == starts[3]["parent"] == 0
    assert (starts[0]["name"], starts[2]["name"]) == ("Run ./greet", "Say me")
    assert [(e["step"], e["name"], e["value"]) for e in job.events("output")] == [(2, "text", "hi me"), (0, "answer", "hi me.")]


def test_actions_use_actions_and_each_has_its_own_steps(folder):
    composite(folder, "inner", """\
        - id: x
          run: echo "v=${{ inputs.n }}${{ inputs.n }}" >> "$GITHUB_OUTPUT"
          shell: bash
        """, "inputs: {n: {default: '0'}}\noutputs: {v: {value: '${{ steps.x.outputs.v }}'}}\n")
    composite(folder, "outer", """\
        - id: x
          uses: ./inner
          with: {n: "${{ inputs.n }}1"}
        - uses: ./inner
          id: y
        - run: echo "${{ steps.x.outputs.v }} ${{ steps.y.outputs.v }} ${{ inputs.n }}"
          shell: bash
        """, "inputs: {n: {default: '9'}}\n")
    job = run(folder, {"uses": "./outer", "with": {"n": "7"}})
    assert job.status == 0, job.text()
    assert "7171 00 7\n" in job.log()
    parents = [(e["step"], e.get("parent")) for e in job.events("step_started")]
    assert parents == [(0, None), (1, 0), (2, 1), (3, 0), (4, 3), (5, 0)]


def test_variables_of_the_caller_reach_the_steps_of_an_action_and_what_they_set_reaches_the_job(folder):
    composite(folder, "act", """\
        - run: echo "$A ${{ env.A }} $B"; echo "B=set" >> "$GITHUB_ENV"; echo "A=set" >> "$GITHUB_ENV"; echo /bin/x >> "$GITHUB_PATH"
          shell: bash
        - run: echo "$A $B ${PATH%%:*} $C"
          shell: bash
          env: {C: "${{ env.A }}-own"}
        """)
    job = run(folder, {"uses": "./act", "env": [{"name": "A", "value": "caller"}]}, 'echo "$A $B"', env=[{"name": "B", "value": "job"}])
    assert job.status == 0, job.text()
    assert job.log(2) == "caller caller job\n" and job.log(3) == "caller set /bin/x caller-own\n" and job.log(1) == "set set\n"


def test_defaults_of_the_job_do_not_reach_into_an_action(folder):
    composite(folder, "act", """\
        - run: pwd
          shell: bash
        - run: pwd
          shell: bash
          working-directory: act
        """)
    job = run(folder, {"uses": "./act"}, defaults={"working_directory": "sub", "shell": "python"})
    assert job.status == 0, job.text()
    workspace = job.spec["workspace"]
    assert job.log() == f"{workspace}\n{workspace}/act\n"


def test_a_failing_step_of_an_action_fails_the_action_and_its_later_steps_are_asked(folder):
    composite(folder, "act", """\
        - run: exit 4
          shell: bash
        - run: echo not this
          shell: bash
        - run: echo "failed ${{ job.status }}"
          if: failure()
          shell: bash
        - run: echo always
          if: always()
          shell: bash
        """)
    job = run(folder, {"uses": "./act", "id": "a"}, "echo no", {"run": "echo '${{ steps.a.outcome }}'", "if": "failure()"})
    assert job.status == 1
    assert outcomes(job) == ["failure", "failure", "skipped", "success", "success", "skipped", "success"]
    assert "failed success\n" in job.log() and "not this" not in job.log() and "failure\n" in job.log(2)
    assert "exit code 4" in reason(job) and "exit code 4" in job.verdict["message"]


def test_an_action_begins_with_a_status_of_its_own(folder):
    composite(folder, "act", "- run: echo clean\n  shell: bash\n")
    job = run(folder, "false", {"uses": "./act", "if": "always()"})
    assert job.status == 1 and outcomes(job) == ["failure", "success", "success"]


def test_continue_on_error_counts_inside_and_outside_of_an_action(folder):
    composite(folder, "act", """\
        - run: exit 1
          id: bad
          shell: bash
          continue-on-error: true
        - run: echo "${{ steps.bad.outcome }} ${{ steps.bad.conclusion }}"
          shell: bash
        """)
    composite(folder, "broken", "- run: exit 1\n  shell: bash\n")
    job = run(folder, {"uses": "./act"}, {"uses": "./broken", "continue_on_error": "true", "id": "b"}, "echo '${{ steps.b.outcome }}'")
    assert job.status == 0, job.text()
    assert "failure success\n" in job.log() and "failure\n" in job.log(2)


def test_inputs_are_warned_about(folder):
    composite(folder, "act", "- run: echo [${{ inputs.old }}]\n  shell: bash\n",
              "inputs:\n  old: {deprecationMessage: use new}\n  need: {required: true}\n")
    job = run(folder, {"uses": "./act", "with": {"OLD": "x", "odd": "y"}})
    assert job.status == 0, job.text()
    assert "[x]\n" in job.log()
    assert warnings(job) == ["Unexpected input(s) 'odd', valid inputs are ['old', 'need']",
                             "Input 'old' has been deprecated with message: use new",
                             "Input 'need' is required by the action and was not given"]


def test_annotations_groups_and_matchers_work_inside_of_an_action(folder):
    place(folder, "m.json", '{"problemMatcher": [{"owner": "own", "pattern": [{"regexp": "^BAD (.+):(\\\\d+) (.*)$", "file": 1, "line": 2, "message": 3}]}]}')
    composite(folder, "act", """\
        - run: echo "::add-matcher::m.json"
          shell: bash
        - run: echo "::group::G"; echo "BAD a.c:3 oops"; echo "::endgroup::"; echo "::warning::w"
          shell: bash
        """)
    job = run(folder, {"uses": "./act"}, "echo 'BAD b.c:4 later'")
    assert job.status == 0, job.text()
    assert [(a["step"], a.get("file"), a["message"]) for a in job.events("annotation")] == [(3, "a.c", "oops"), (3, None, "w"), (1, "b.c", "later")]


def test_masks_of_an_action_hold_for_all(folder):
    composite(folder, "act", "- name: hides\n  run: echo '::add-mask::hunter2222'; echo 'o=hunter2222' >> \"$GITHUB_OUTPUT\"\n  id: x\n  shell: bash\n",
              "outputs: {o: {value: 'hunter2222'}}\n")
    job = run(folder, {"uses": "./act", "id": "a"}, "echo hunter2222 [${{ steps.a.outputs.o }}]")
    assert "hunter2222" not in job.text() and "*** []\n" in job.log(1)


def test_a_time_limit_ends_an_action_and_begins_none_of_its_further_steps(folder):
    composite(folder, "act", "- run: sleep 60\n  shell: bash\n- run: echo never\n  if: always()\n  shell: bash\n")
    job = run(folder, {"uses": "./act", "timeout_minutes": "0.005"}, {"run": "echo on", "if": "failure()"})
    assert job.status == 1 and rows(job)[0][1] == "failure" and "time limit" in reason(job)
    assert "never" not in job.log() and "on\n" in job.log(1)


def test_the_action_of_the_repository_itself(folder):
    place(folder, "action.yaml", "runs:\n  using: composite\n  steps:\n  - run: echo root\n    shell: bash\n")
    job = run(folder, {"uses": "./"}, {"uses": "./././"})
    assert job.status == 0 and job.log() == "root\nroot\n"


# JavaScript actions


def node_action(folder, name, main, head="", post=None, using="node20", more=""):
    place(folder, f"{name}/main.js", main)
    if post is not None:
        place(folder, f"{name}/post.js", post)
    runs = f"runs:\n  using: {using}\n  main: main.js\n" + ("  post: post.js\n" if post is not None else "") + more
    return action(folder, name, textwrap.dedent(head) + runs)


JS = "const fs = require('fs'), env = process.env, say = (file, text) => fs.appendFileSync(env[file], text + '\\n');\n"


def test_a_javascript_action_gets_inputs_and_gives_outputs_state_and_variables(folder):
    node_action(folder, "js", JS + """
        console.log([env.INPUT_WHO, env['INPUT_A-B'], env.INPUT_TWO_WORDS, env.GITHUB_ACTION_PATH, env.GITHUB_ACTION, process.cwd()].join('|'));
        say('GITHUB_OUTPUT', 'answer=42'); say('GITHUB_ENV', 'SET=yes'); say('GITHUB_PATH', '/extra'); say('GITHUB_STATE', 'token=kept');
        console.log('::save-state name=by::command'); console.log('::error file=a.js,line=3::bad');
        """, "inputs: {who: {default: you}, a-b: {default: c}, two words: {default: '${{ runner.os }}'}}\n",
                post=JS + "console.log(['post', env.STATE_token, env.STATE_by, env.INPUT_WHO, env.SET].join('|'));")
    job = run(folder, {"uses": "./js", "id": "j", "with": {"Who": "me"}}, "echo \"${{ steps.j.outputs.answer }} $SET ${PATH%%:*} $STATE_token\"")
    assert job.status == 0, job.text()
    workspace = job.spec["workspace"]
    assert f"me|c|Linux|{workspace}/js|j|{workspace}\n" in job.log(0)
    assert job.log(1) == "42 yes /extra \n" and job.log(2) == "post|kept|command|me|yes\n"
    assert rows(job)[2] == ("Post Run ./js", "success", "success")
    start = job.events("step_started")[2]
    assert (start["post_of"], start["if"], "id" in start) == (0, "always()", False)
    assert [a["message"] for a in job.events("annotation") if a["level"] == "error"] == ["bad"]


def test_post_parts_run_in_reverse_order_also_after_a_failure(folder):
    for name in ("a", "b", "skipped"):
        node_action(folder, name, f"console.log('{name}')", post=f"console.log('post {name}')")
    node_action(folder, "c", "process.exit(3)", post="console.log('post c'); process.exit(1)")
    job = run(folder, {"uses": "./a"}, {"uses": "./b"}, {"uses": "./skipped", "if": "false"}, {"uses": "./c"}, "echo never")
    assert job.status == 1
    assert [name for name, _, _ in rows(job)[5:]] == ["Post Run ./c", "Post Run ./b", "Post Run ./a"]
    assert outcomes(job)[5:] == ["failure", "success", "success"]
    assert "step 'Run ./c' failed" in job.verdict["message"]


def test_post_if_decides_about_a_post_part(folder):
    for name, condition in (("one", "success()"), ("two", "failure()")):
        node_action(folder, name, "", post=f"console.log('post {name}')", more=f"  post-if: {condition}\n")
    job = run(folder, {"uses": "./one"}, {"uses": "./two"}, "exit 1")
    assert [outcome for name, outcome, _ in rows(job) if name.startswith("Post")] == ["success", "skipped"]
    assert "post two\n" in job.log() and "post one" not in job.log()


def test_a_failing_post_part_fails_the_job(folder):
    node_action(folder, "js", "", post="process.exit(5)")
    job = run(folder, {"uses": "./js"})
    assert job.status == 1 and "Post Run ./js" in job.verdict["message"]


def test_post_parts_of_nested_actions_run_at_the_end_of_the_job(folder):
    node_action(folder, "js", JS + "say('GITHUB_STATE', 'n=' + env.INPUT_N); console.log('main ' + env.INPUT_N)", "inputs: {n: {}}\n",
                post="console.log('post ' + process.env.STATE_n + ' ' + process.env.INPUT_N)")
    composite(folder, "act", "- uses: ./js\n  with: {n: \"${{ inputs.k }}1\"}\n- uses: ./js\n  with: {n: \"${{ inputs.k }}2\"}\n", "inputs: {k: {}}\n")
    job = run(folder, {"uses": "./act", "with": {"k": "x"}}, "echo after")
    assert job.status == 0, job.text()
    assert [line for line in job.log().split("\n") if not line.startswith("The action asks")] == \
        ["main x1", "main x2", "after", "post x2 x2", "post x1 x1", ""]


def test_the_version_of_node_is_said_when_it_is_another_one(folder):
    major = int(os.popen("node --version").read()[1:].split(".")[0])
    other = 24 if major != 24 else 20
    node_action(folder, "js", "console.log('ran ' + process.version)", using=f"node{other}", post="")
    job = run(folder, {"uses": "./js"})
    assert job.status == 0 and f"ran v{major}." in job.log(0)
    assert job.log(stream="note") == f"The action asks for node{other}; it runs with node {major} of the image.\n"


def test_pre_of_a_local_action_is_not_run_and_said(folder):
    node_action(folder, "js", "console.log('main')", more="  pre: pre.js\n")
    job = run(folder, {"uses": "./js"})
    assert job.status == 0 and job.log(0, "out") == "main\n"
    assert warnings(job) == ["`pre` execution is not supported for local action from './js'"]


def test_an_image_without_node_refuses_a_javascript_action(folder):
    class Bare(FakeGuest):
        def op_which(self, stream, header, pairs):
            self.ok(stream, fields(*[("path", "" if v == b"node" else "/bin/" + v.decode()) for k, v in pairs if k == "name"]))
    node_action(folder, "js", "")
    job = run(folder, {"uses": "./js"}, guest=Bare)
    assert job.status == 1 and "the image has no node" in reason(job)


def test_cancelling_runs_post_parts(folder):
    node_action(folder, "js", "", post="console.log('tidied')")
    composite(folder, "act", "- run: echo begun; sleep 60\n  shell: bash\n- run: echo inner cleanup\n  if: always()\n  shell: bash\n- run: echo no\n  shell: bash\n")
    with Job(folder, spec(folder, {"uses": "./js"}, {"uses": "./act"}, "echo never")) as job:
        log_until(job, "begun")
        job.ask({"op": "cancel"})[1].close()
        assert job.wait() == 130
    assert "tidied\n" in job.log() and "inner cleanup\n" in job.log() and "never" not in job.log()
    assert [o for n, o, _ in rows(job)] == ["success", "cancelled", "cancelled", "success", "skipped", "skipped", "success"]
    assert job.verdict["conclusion"] == "cancelled"


def test_a_step_whose_condition_still_holds_goes_on_when_the_job_is_cancelled(folder):
    composite(folder, "act", "- run: echo begun; while test ! -e go; do sleep 0.02; done; echo through\n  shell: bash\n  if: always()\n")
    with Job(folder, spec(folder, {"uses": "./act", "if": "always()"}, "echo never")) as job:
        log_until(job, "begun")
        job.ask({"op": "cancel"})[1].close()
        place(folder, "go", "")
        assert job.wait() == 130
    assert outcomes(job) == ["success", "success", "skipped"] and "through\n" in job.log()


# Hostile ones


def refused(job):
    """Why the first step failed."""
    assert job.status == 1 and rows(job)[0][1] == "failure"
    return reason(job)


def test_a_folder_without_an_action_file(folder):
    job = run(folder, {"uses": "./none", "file": "ci.yml", "line": 4, "column": 9})
    assert refused(job) == "ci.yml:4:9: uses: ./none: there is no action.yml and no action.yaml; does actions/checkout come before?"


@pytest.mark.parametrize("prepare, problem", [
    ("ln -s /etc/passwd act/action.yml", "it is a link"),
    ("mkfifo act/action.yml", "it is a pipe"),
    ("mkdir act/action.yml", "it is no regular file"),
    ("head -c 1048577 /dev/zero > act/action.yml", "it is larger than 1 MiB"),
    ("head -c 512001 /dev/zero > act/action.yml", "ACTION_MAX_SIZE"),
    ("echo 'runs: [' > act/action.yml", "act/action.yml:"),
    ("echo 'runs: {using: composite}' > act/action.yml", "act/action.yml:1:7: "),
    ("echo 'runs: {using: node99, main: x}' > act/action.yml", "node99"),
    ("printf 'runs:\\n  using: composite\\n  steps:\\n  - run: x\\n    shell: sh\\n    background: true\\n' > act/action.yml", "background"),
    ("printf 'runs:\\n  using: composite\\n  steps:\\n  - run: x\\n' > act/action.yml", "shell"),
])
def test_an_action_file_that_is_none_fails_the_step(folder, prepare, problem):
    job = run(folder, "mkdir act; " + prepare, {"uses": "./act"}, {"run": "echo on", "if": "failure()"})
    assert job.status == 1 and outcomes(job) == ["success", "failure", "success"]
    assert problem in reason(job, 1)


def test_action_yml_comes_before_action_yaml_even_when_it_is_none(folder):
    place(folder, "act/action.yaml", "runs: {using: composite, steps: [{run: echo yaml, shell: bash}]}")
    job = run(folder, {"uses": "./act"}, "ln -s action.yaml act/action.yml", {"uses": "./act"})
    assert outcomes(job) == ["success", "success", "success", "failure"] and "link" in reason(job, 2)


@pytest.mark.parametrize("uses", ["./../x", "./a/../../x", "./a/.."])
def test_a_path_out_of_the_repository_is_refused(folder, uses):
    assert "lies below it" in refused(run(folder, {"uses": uses}))


def test_docker_actions_are_refused_with_what_to_do_instead(folder):
    action(folder, "act", "runs: {using: docker, image: Dockerfile}")
    job = run(folder, {"uses": "./act"}, {"uses": "docker://alpine", "if": "always()"})
    assert "call it with `run`" in reason(job, 0) and "call it with `run`" in reason(job, 1)


def test_an_action_that_uses_itself_ends_at_the_nesting_limit(folder):
    composite(folder, "act", "- uses: ./act\n")
    job = run(folder, {"uses": "./act"})
    assert job.status == 1 and len(rows(job)) == 11
    assert "nested deeper than 10" in refused(job)


def test_ten_levels_of_actions_run(folder):
    for i in range(10):
        composite(folder, f"a{i}", f"- uses: ./a{i + 1}\n" if i < 9 else "- run: echo deep\n  shell: bash\n")
    job = run(folder, {"uses": "./a0"})
    assert job.status == 0, job.text()
    assert "deep\n" in job.log()


def test_actions_have_a_thousand_steps_in_a_job_and_no_more(folder):
    steps = "- run: 'true'\n  shell: sh\n  if: inputs.go\n"
    composite(folder, "act", steps * 500, "inputs: {go: {default: ''}}\n")
    composite(folder, "one", "- run: echo one more\n  shell: bash\n")
    job = run(folder, {"uses": "./act"}, {"uses": "./act"}, {"uses": "./one"})
    assert job.status == 1 and outcomes(job).count("skipped") == 1000
    assert "more than 1000 steps" in reason(job, 2) and "one more" not in job.log()


def test_an_action_that_calls_itself_twice_is_bounded(folder):
    composite(folder, "act", "- uses: ./act\n  continue-on-error: true\n" * 2)
    job = run(folder, {"uses": "./act"})
    assert len(rows(job)) == 1001 and any("more than 1000 steps" in e.get("reason", "") for e in job.events("step_finished"))


def test_action_files_that_are_held_are_bounded(folder):
    pad = "# " + "x" * 400_000 + "\n"
    for i in range(6):
        file = composite(folder, f"a{i}", f"- uses: ./a{i + 1}\n" if i < 5 else "- run: echo deep\n  shell: bash\n")
        file.write_text(file.read_text() + pad)
    job = run(folder, {"uses": "./a0"}, {"uses": "./a1", "if": "always()"})
    assert "more than 2 MiB of action files" in reason(job) and "deep\n" in job.log()
    assert outcomes(job)[0] == "failure" and rows(job)[-1][1] == "success"


def test_an_action_that_replaces_its_own_file_runs_as_it_was_read(folder):
    evil = "runs: {using: node20, main: main.js, post: evil.js}"
    node_action(folder, "js", f"require('fs').writeFileSync('js/action.yml', '{evil}')", post="console.log('as it was')")
    place(folder, "js/evil.js", "console.log('evil')")
    job = run(folder, {"uses": "./js"}, {"uses": "./js"})
    assert job.log(3, "out") == "as it was\n" and job.log(2, "out") == "evil\n"


def test_a_composite_action_that_removes_its_own_file_runs_to_its_end(folder):
    composite(folder, "act", "- run: rm act/action.yml\n  shell: bash\n- run: echo still\n  shell: bash\n")
    job = run(folder, {"uses": "./act"})
    assert job.status == 0 and "still\n" in job.log()


def test_outputs_of_an_action_are_bounded(folder):
    big = "x" * 600_000
    steps = "".join(f"- id: s{i}\n  run: printf 'o={'%s'}\\n' \"$(head -c 600000 /dev/zero | tr '\\0' x)\" >> \"$GITHUB_OUTPUT\"\n  shell: bash\n" for i in range(2))
    composite(folder, "act", steps, "outputs: {a: {value: '${{ steps.s0.outputs.o }}'}, b: {value: '${{ steps.s1.outputs.o }}'}}\n")
    job = run(folder, {"uses": "./act"})
    assert job.status == 1 and "larger than 1 MiB" in reason(job)
    assert any(e["value"] == big for e in job.events("output"))


def test_the_state_of_an_action_that_is_too_large_fails_it(folder):
    node_action(folder, "js", "for (let i = 0; i < 36; i++) console.log('::save-state name=s' + i + '::' + 'x'.repeat(1000000));", post="")
    job = run(folder, {"uses": "./js"})
    assert job.status == 1 and "larger than 32 MiB" in reason(job)


def test_a_guest_that_gives_another_file_is_cut_off(folder):
    class Liar(FakeGuest):
        def read_one(self, path, most):
            return super().read_one(path, most) if "action" not in path else fields(path="/etc/passwd", kind="regular", data=b"x")
    job = run(folder, {"uses": "./act"}, guest=Liar)
    assert job.verdict["code"] == 303
