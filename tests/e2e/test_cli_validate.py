"""devdep-cli validate: problems with their places, as text and as JSON; bad input."""
import json
import resource
import subprocess

import pytest

pytestmark = pytest.mark.user

GOOD = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n"


def validate(cli, folder, text, *args, name="ci.yml"):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return cli("validate", "--file", name, *args, cwd=folder)


def test_a_good_file_has_no_problems(cli, folder):
    result = validate(cli, folder, GOOD, "--offline")
    assert (result.status, result.out, result.err) == (0, "ci.yml: no problems\n", "")
    document = json.loads(validate(cli, folder, GOOD, "--json").out)
    assert document == {"file": "ci.yml", "ok": True, "errors": 0, "warnings": 0, "not_shown": 0, "problems": []}


def test_every_problem_has_its_place_a_caret_and_a_hint(cli, folder):
    text = GOOD.replace("runs-on", "runs-onn") + "      - run: echo ${{ github.event.issue.title }}\n        iff: always()\n"
    result = validate(cli, folder, text)
    assert result.status == 2
    assert "ci.yml:4:5: error: Unexpected value 'runs-onn'\n     4 |     runs-onn: ubuntu-latest\n       |     ^^^^^^^^\n  hint: did you mean 'runs-on'?\n" \
        in result.out
    assert "ci.yml:8:9: error: Unexpected value 'iff'" in result.out
    assert result.out.endswith("ci.yml: 3 errors, 0 warnings\n"), result
    assert result.error[0] == 2 and result.error[2].startswith("ci.yml:4:5: "), result


def test_what_is_legal_and_wrong_is_a_warning(cli, folder):
    text = GOOD + "      - run: echo ${{ github.head_ref }}\n        if: ${{ github.ref }} == 'x'\n  b:\n    container: alpine\n" \
        "    runs-on: ubuntu-latest\n    steps:\n      - uses: docker://alpine\n"
    result = validate(cli, folder, text, "--json")
    document = json.loads(result.out)
    assert result.status == 0 and document["ok"] and document["warnings"] == 4, document
    assert [(p["line"], p["column"], p["severity"]) for p in document["problems"]] \
        == [(7, 19, "warning"), (8, 13, "warning"), (10, 16, "warning"), (13, 15, "warning")]
    words = ["github.head_ref is written by anybody", "this condition is always true", "`container` cannot be run yet", "a Docker action"]
    for problem, part in zip(document["problems"], words):
        assert part in problem["message"] and problem["hint"], problem


@pytest.fixture
def tree(cli, folder):
    """Validate one file of a folder of files."""
    def check(name, *args, **files):
        for path, text in files.items():
            file = folder / {"ci": ".github/workflows/ci.yml", "called": ".github/workflows/called.yml"}.get(path, f"actions/{path}/action.yml")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return cli("validate", "--file", name, *args, cwd=folder)
    return check


CALL = GOOD + "      - {uses: ./actions/one, with: {leve: 3}}\n  b: {uses: ./.github/workflows/called.yml, with: {x: 1}}\n"
CALLED = GOOD.replace("on: push", "on: {workflow_call: {inputs: {x: {type: string}}}}")
ACTION = "name: one\ninputs: {level: {required: true}}\nruns:\n  using: composite\n  steps: [{run: a, shell: sh}, {uses: ./actions/two}]\n"


def test_called_workflows_and_actions_are_checked_under_their_own_names(tree):
    """Each file has a problem of its own; whoever names it is told, too."""
    broken = CALLED.replace("runs-on", "runson") + "      - run: echo ${{ github.head_ref }}\n"
    two = "name: two\nruns: {using: composite, steps: [{runn: a}]}\n"
    result = tree(".github/workflows/ci.yml", ci=CALL, called=broken, one=ACTION, two=two)
    assert result.status == 2, result
    assert ".github/workflows/called.yml:4:5: error: Unexpected value 'runson'\n     4 |     runson: ubuntu-latest\n" in result.out
    assert "  called from .github/workflows/ci.yml:8:13\n" in result.out
    assert "actions/two/action.yml:2:35: error: Unexpected value 'runn'" in result.out
    assert "  called from actions/one/action.yml:5:39, called from .github/workflows/ci.yml:7:16\n" in result.out
    assert ".github/workflows/ci.yml:7:38: warning: the action has no input 'leve' (actions/one/action.yml)" in result.out
    assert "  hint: did you mean 'level'?\n" in result.out
    assert ".github/workflows/ci.yml:7:16: warning: the action's input 'level' is required and not given (actions/one/action.yml:2:10)" in result.out
    document = json.loads(tree(".github/workflows/ci.yml", "--json").out)
    assert {(p["file"], p["called_from"]) for p in document["problems"]} == {
        (".github/workflows/ci.yml", None), (".github/workflows/called.yml", ".github/workflows/ci.yml:8:13"),
        ("actions/two/action.yml", "actions/one/action.yml:5:39, called from .github/workflows/ci.yml:7:16")}


def test_an_input_that_a_built_in_action_does_not_have_is_a_warning(cli, folder):
    (folder / "w.yml").write_text("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{uses: Actions/Checkout@v4, with: {fetchdepth: 0, lfs: true}},"
                                  " {uses: actions/setup-java@v4, with: {jdk-file: x, Cache: maven}}, {uses: other/action@v1, with: {any: 1}}]}}\n")
    result = cli("validate", "--file", folder / "w.yml")
    assert result.status == 0 and "warning: the action has no input 'fetchdepth' (actions/checkout)" in result.out, result
    assert "did you mean 'fetch-depth'?" in result.out and "1 warning\n" in result.out


def test_warnings_of_called_files_are_theirs(tree):
    called = CALLED + "      - run: echo ${{ github.head_ref }}\n  c: {container: x, runs-on: y, steps: [{run: a}]}\n"
    result = tree(".github/workflows/ci.yml", ci=CALL.replace("leve", "level"), called=called, one=ACTION.replace(", {uses: ./actions/two}", ""))
    assert result.status == 0 and result.out.endswith(".github/workflows/ci.yml: 0 errors, 2 warnings\n"), result
    assert ".github/workflows/called.yml:7:19: warning: github.head_ref" in result.out
    assert ".github/workflows/called.yml:8:18: warning: `container` cannot be run yet" in result.out


def test_a_call_that_cannot_work_is_an_error_and_a_foreign_one_a_warning(tree):
    result = tree(".github/workflows/ci.yml", ci=CALL.replace("x: 1", "y: 1").replace("{uses: ./actions/one, with: {leve: 3}}", "{uses: ./actions/none}"),
                  called=CALLED)
    assert result.status == 2 and "ci.yml:8:55: Invalid input, y is not defined in the referenced workflow (.github/workflows/called.yml:1:6)" in result.error[2]
    result = tree(".github/workflows/ci.yml", ci=GOOD + "  b: {uses: o/r/.github/workflows/x.yml@v1}\n")
    assert result.status == 0 and "ci.yml:7:13: warning: the workflow 'o/r/.github/workflows/x.yml@v1' cannot be called" in result.out


def test_an_action_is_checked_by_its_name(tree):
    result = tree("actions/one/action.yml", one=ACTION.replace("shell: sh", "shel: sh"), two="name: two\nruns: {using: docker, image: x}\n")
    assert result.status == 2 and "actions/one/action.yml:5:20: error: Unexpected value 'shel'" in result.out, result
    result = tree("actions/one/action.yml", one=ACTION)
    assert result.status == 0 and "actions/two/action.yml:2:15: warning: a Docker action cannot be run yet" in result.out, result
    assert "  called from actions/one/action.yml:5:39\n" in result.out


def test_actions_that_use_each_other_and_links_end(tree, folder):
    again = ACTION.replace("two", "one").replace("inputs: {level: {required: true}}\n", "")
    assert tree("actions/one/action.yml", one=again).status == 0
    chain = {f"n{i}": again.replace("actions/one", f"actions/n{i + 1}") for i in range(12)}
    result = tree(".github/workflows/ci.yml", ci=GOOD + "      - uses: ./actions/n0\n", **chain)
    assert result.status == 0 and "actions/n9/action.yml:4:39: warning: more than 10 levels of actions that use each other" in result.out, result
    outside = folder.parent / f"{folder.name}.yml"
    outside.write_text(again)
    (folder / "actions/one/action.yml").unlink()
    (folder / "actions/one/action.yml").symlink_to(outside)
    result = tree(".github/workflows/ci.yml", ci=GOOD + "      - uses: ./actions/one\n")
    outside.unlink()
    assert "ci.yml:7:15: warning: actions/one/action.yml is a symbolic link out of the repository" in result.out, result


@pytest.mark.parametrize("args, message", [
    ([], "--file is missing"),
    (["--file", "/nowhere.yml"], "/nowhere.yml"),
    (["--file", "/"], "/ is no regular file"),
    (["--file", "/dev/zero"], "/dev/zero is no regular file"),
])
def test_what_cannot_be_read_is_said(cli, args, message):
    result = cli("validate", *args)
    assert result.status == 2 and message in result.error[2], result


def test_nothing_in_a_file_reaches_the_terminal(cli, folder):
    result = validate(cli, folder, GOOD + "bad\u202e\x85key\": \"\x1b[31m\n".replace("\x1b", "\\x1b") + "zwei: '\u009b31m'\n", name="\x1b[2Jci.yml")
    assert result.status == 2 and not any(c in result.text for c in "\x1b\u202e\x85\u009b")


BAD = {
    "ten megabytes": ("# " + "x" * 10_000_000, 1),
    "deep flow": (GOOD + "env: {A: " + "[" * 100_000 + "]" * 100_000 + "}\n", 7),
    "deep blocks": ("\n".join(" " * i + "a:" for i in range(900)), 101),
    "an alias bomb": ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [" + ", ".join([f"*{chr(97 + i)}"] * 9) + "]\n"
                                                                     for i in range(9)), 0),
    "a merge key": (GOOD + "env:\n  <<: {A: b}\n", 8),
    "a duplicate key": (GOOD + "on: pull_request\n", 7),
    "a tab": (GOOD + "env:\n\tA: b\n", 8),
    "a NUL": (GOOD.encode() + b"env: {A: '\0'}\n", 7),
    "no UTF-8": (GOOD.encode() + b"env: {A: '\xff'}\n", 7),
    "an expression of 100,000 parentheses": (GOOD + "env: {A: '${{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}'}\n", 7),
    "twenty thousand broken expressions in one text": (GOOD + "env: {A: '" + "${{ no.thing }} " * 20_000 + "'}\n", 7),
    "a long chain of needs to itself": (GOOD + "  b:\n    needs: b\n    runs-on: x\n    steps: [{run: a}]\n", 8),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("command", ["validate", "plan"])
def test_bad_input_is_answered_with_a_place_in_bounded_memory(cli, folder, what, command):
    """In 256 MB of address space; a timing is no part of a test, but a minute means that something grows without bound."""
    text, line = BAD[what]
    (folder / "ci.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    args = ["--file", "ci.yml", "--json"] if command == "validate" else ["-W", "ci.yml"]
    bound = None if "ASAN_OPTIONS" in cli.env() else lambda: resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
    done = subprocess.run(cli.argv(command, *args), cwd=folder, env=cli.env(), capture_output=True, text=True, errors="replace", timeout=60, preexec_fn=bound)
    assert done.returncode == 2, done
    if command == "plan":
        assert f"ci.yml:{line}:" in done.stderr if line else "ci.yml:" in done.stderr, done.stderr
    else:
        first = json.loads(done.stdout)["problems"][0]
        assert first["severity"] == "error" and first["line"] >= 1 and first["column"] >= 1 and line in (0, first["line"]), first


def test_a_matrix_of_a_million_combinations_is_refused_with_its_place(cli, folder):
    vectors = "".join(f"        {name}: [{', '.join(str(i) for i in range(100))}]\n" for name in "abc")
    (folder / "ci.yml").write_text(GOOD.replace("    steps:", "    strategy:\n      matrix:\n" + vectors + "    steps:"))
    result = cli("plan", "-W", "ci.yml", cwd=folder, timeout=60)
    assert result.status == 2 and "ci.yml:7:9: error: the matrix has more than 256 combinations" in result.err, result


def test_of_twenty_thousand_warnings_in_one_script_a_hundred_are_shown(cli, folder):
    (folder / "ci.yml").write_text(GOOD.replace("'true'", "${{ github.head_ref }} " * 20_000))
    document = json.loads(cli("validate", "--file", "ci.yml", "--json", cwd=folder, timeout=60).out)
    assert (document["ok"], document["warnings"], document["not_shown"], len(document["problems"])) == (True, 20_000, 19_900, 100)
