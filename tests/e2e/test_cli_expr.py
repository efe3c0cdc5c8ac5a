"""devdep-cli expr as it is typed and piped."""
import json
import resource
import subprocess

import pytest

pytestmark = pytest.mark.user


def lines(cli, *requests):
    result = cli("expr", "--jsonl", stdin="".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in requests))
    assert result.status == 0, result
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.parametrize("expression, printed", [
    ("format('{0}-{1}', 'build', 7)", '"build-7"\n'),
    ("fromJSON('{\"a\": [1, null]}')", '{\n  "a": [\n    1,\n    null\n  ]\n}\n'),
    ("NaN", "null\n"),
    ("-0", "0\n"),
    ("", "null\n"),
    ("'\u202e\x85'", '"\\u202e\\u0085"\n'),
])
def test_a_value_is_printed_as_json(cli, expression, printed):
    result = cli("expr", "--", expression)
    assert (result.status, result.out, result.err) == (0, printed, "")


def test_contexts_come_from_a_file(cli, folder):
    file = folder / "contexts.json"
    file.write_text('{"github": {"ref": "refs/heads/main"}, "job": {"status": "failure"}}')
    assert cli("expr", "--context", file, "startsWith(github.ref, 'refs/heads/') && failure()").out == "true\n"


@pytest.mark.parametrize("args, message", [
    (["1 @"], "lexing error: Unexpected symbol: '@'. Located at position 3 within expression: 1 @"),
    (["github"], "parsing error: Unrecognized named-value: 'github'"),
    (["fromJSON('')"], "evaluation error: empty input"),
    (["${{ 1 }}"], "write the expression without ${{ and }}"),
    ([], "expected EXPRESSION, or --jsonl"),
    (["--jsonl", "1"], "--jsonl takes expressions and contexts from standard input alone"),
    (["--context", "/nowhere.json", "1"], "there is no file '/nowhere.json'"),
    (["--context", "/etc/passwd", "1"], "/etc/passwd: not JSON: line 1, column 1"),
    (["\udcff"], "not UTF-8"),
    (["(" * 60000], "Exceeded max expression length 21000"),
])
def test_what_is_wrong_is_said_with_its_kind_and_place(cli, args, message):
    result = cli("expr", *args)
    assert result.status == 2 and message in result.error[2], result


def test_every_line_is_answered_and_a_bad_one_does_not_end_it(cli):
    answers = lines(cli, {"expr": "1 < 2"}, "not JSON", "", {"expr": "a.b", "contexts": {"a": {"b": [1]}}}, {"expr": "1 +"}, {"expr": "a"},
                    {"expr": "fromJSON('')"}, {"expr": "(" * 100000 + "1" + ")" * 100000})
    kinds = [a.get("kind") or a["error"]["kind"] for a in answers]
    assert kinds == ["Boolean", "request", "request", "Array", "lexing", "parsing", "evaluation", "lexing"]
    assert answers[3]["value"] == [1]


def test_a_last_line_without_its_newline_is_answered(cli):
    assert cli("expr", "--jsonl", stdin='{"expr": "1"}\n{"expr": "2"}').out == '{"kind":"Number","value":1}\n{"kind":"Number","value":2}\n'


def test_a_caller_may_wait_for_each_answer(cli):
    argv = cli.argv("expr", "--jsonl")
    with subprocess.Popen(argv, env=cli.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for i in range(3):
            process.stdin.write(json.dumps({"expr": str(i)}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"kind": "Number", "value": i}
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_line_of_ten_megabytes_is_refused_in_bounded_memory(cli):
    """The limit of address space would end a command that keeps the line, or the values of one."""
    long = '{"expr": "1", "contexts": {"a": [' + "1," * 5_000_000 + "1]}}\n"
    wide = '{"expr": "1", "contexts": {"a": [' + "1," * 1_500_000 + "1]}}\n"
    done = subprocess.run(cli.argv("expr", "--jsonl"), input=long + wide + '{"expr": "7"}\n', env=cli.env(), capture_output=True, text=True, timeout=120,
                          preexec_fn=None if "ASAN_OPTIONS" in cli.env() else lambda: resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20)))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(answers) == 3, done.stderr
    assert "longer than 4 MiB" in answers[0]["error"]["message"]
    assert "maximum allowed memory" in answers[1]["error"]["message"]
    assert answers[2] == {"kind": "Number", "value": 7}
