"""Our expressions and workflow checks beside GitHub's own, npm @actions/expressions and @actions/workflow-parser.

What is allowed to differ is in docs/compatibility.md. DEVDEP_SEED and DEVDEP_EXPRESSIONS (count) choose what is generated; `make differential`
takes a new seed each time and 200,000 expressions."""
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest

import github as parser

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = parser.HERE
BUILD = pathlib.Path(os.environ.get("DEVDEP_BUILD", ROOT / "build"))
SEED = int(os.environ.get("DEVDEP_SEED", "1"))
COUNT = int(os.environ.get("DEVDEP_EXPRESSIONS", "60000"))


@pytest.fixture(scope="module")
def node():
    if parser.missing():
        pytest.skip(parser.missing())
    return parser.node()


@pytest.fixture(scope="module")
def github(node, tmp_path_factory):
    return parser.prepare(tmp_path_factory.mktemp("github") / "copy")


def program(name):
    path = BUILD / "tests" / "github-parser" / name
    if not path.exists():
        pytest.skip(f"{path} is not built (meson option tests)")
    return path


def same(text, ours, theirs):
    """Equal values, or the same kind of error with the same words and place. Our messages are cut after a kilobyte, and at a NUL."""
    if ours == theirs:
        return True
    ours, theirs = (json.loads(line, parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits)) for line in (ours, theirs))
    if "error" not in ours or "error" not in theirs or ours["error"]["kind"] != theirs["error"]["kind"]:
        return ours == theirs
    message, wanted = ours["error"]["message"], theirs["error"]["message"].split("\0")[0].encode()[:800].decode(errors="ignore")
    if wanted == "ErrorExceededMaxLength":
        return message == "Exceeded max expression length 21000"
    if "\n" in text:
        wanted = wanted.split(". Located at")[0]
    return message.startswith(wanted)


def answers(lines, node, github):
    ours = subprocess.run([BUILD / "devdep-cli", "expr", "--jsonl"], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = subprocess.run([node, "answer.mjs"], input=lines, capture_output=True, text=True, check=True, cwd=github).stdout.split("\n")[:-1]
    return ours, theirs


def test_generated_expressions_have_the_same_value_or_error(node, github):
    lines = subprocess.run([sys.executable, HERE / "generate.py", str(SEED), str(COUNT)], capture_output=True, text=True, check=True).stdout
    ours, theirs = answers(lines, node, github)
    texts = [json.loads(line)["expr"] for line in lines.splitlines()]
    assert len(ours) == len(theirs) == len(texts) == COUNT
    different = [f"{text!r}\n  ours   {a[:500]}\n  theirs {b[:500]}" for text, a, b in zip(texts, ours, theirs) if not same(text, a, b)]
    assert not different, f"seed {SEED}: {len(different)} of {COUNT}\n" + "\n".join(different[:10])
    valued = sum(line.startswith('{"kind"') for line in ours)
    print(f"{COUNT} expressions of seed {SEED}: {valued} values, {COUNT - valued} errors, no difference")
    assert valued > COUNT / 3, "the generator makes too many errors"


def problems(output):
    """{(file, line, column, message)} without positions inside an expression. "Unexpected type" is what GitHub's second reader adds to a place
    that its schema check has complained about already; "and and" is a slip of the pen in one of its messages."""
    found = set()
    for line in output.splitlines():
        match = re.fullmatch(r"(.*?):(\d+):(\d+): (.*)", line)
        if match and not match[4].startswith("Unexpected type '"):
            found.add((*match.groups()[:3], match[4].split(". Located at")[0].replace("and and", "and")))
    return found


def test_workflows_have_the_same_problems_at_the_same_places(node, github):
    files = sorted((HERE / "workflows").glob("*.yml"))
    assert len(files) >= 10
    names = [str(file) for file in files]
    ours = subprocess.run([program("workflow_check"), *names], capture_output=True, text=True, check=True).stdout
    theirs = subprocess.run([node, "check.mjs", *names], capture_output=True, text=True, check=True, cwd=github).stdout
    assert problems(ours) == problems(theirs)
    ok = {line for line in theirs.splitlines() if line.endswith(": ok")}
    assert ok and ok == {line for line in ours.splitlines() if line.endswith(": ok")}


# What the package's schema does not say, and the runner does when it runs the action.
RUNNER = re.compile(r"Missing 'using' value|'using: .*' is not supported|You are using an? .* Action but|You are using a composite action but|"
                    r"Top level 'runs:' section is required")


def test_action_files_have_the_same_problems_at_the_same_places(node, github):
    names = [str(file) for file in sorted((HERE / "actions").glob("*.yml"))]
    assert len(names) >= 8
    ours = subprocess.run([program("workflow_check"), "-a", *names], capture_output=True, text=True, check=True).stdout
    theirs = subprocess.run([node, "check.mjs", "-a", *names], capture_output=True, text=True, check=True, cwd=github).stdout
    assert {problem for problem in problems(ours) if not RUNNER.match(problem[3])} == problems(theirs)
    ok = {line for line in theirs.splitlines() if line.endswith(": ok")}
    assert len(ok) >= 3 and ok == {line for line in ours.splitlines() if line.endswith(": ok")}


class Calls:
    """Callers and called workflows whose inputs and secrets fit by chance."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def some(self, names, chance):
        return [name for name in names if self.r.random() < chance]

    def called(self):
        inputs = "".join(f"      {name}: {{type: {self.r.choice(['string', 'number', 'boolean'])}, required: {self.r.choice(['true', 'false', 'false'])}}}\n"
                         for name in self.some("abcd", 0.8))
        secrets = "".join(f"      {name}:" + self.r.choice(["\n", " {required: true}\n", " {required: false}\n", " {description: x}\n"])
                          for name in self.some("stu", 0.8))
        call = "".join(f"    {key}:\n{text}" for key, text in (("inputs", inputs), ("secrets", secrets)) if text)
        on = self.r.choice([f"on:\n  workflow_call:\n{call}"] * 20 + ["on: [push, workflow_call]\n", "on: push\n", "on:\n  push:\n"])
        return on + "jobs:\n  j:\n    runs-on: x\n    steps: [{run: a}]\n"

    def caller(self, files):
        text = "on: push\njobs:\n"
        for job in self.some("kl", 0.4) or ["k"]:
            text += f"  {job}:\n    uses: ./.github/workflows/{self.r.choice(files + ['none.yml'] * (self.r.random() < 0.1))}\n"
            given = self.some("ABcd", 0.6) + self.some("ef", 0.05)
            if given:
                text += "    with:\n" + "".join(f"      {name}: ${{{{ github.{name} }}}}\n" for name in given)
            secrets = self.some("Stu", 0.5) + self.some("v", 0.1)
            if self.r.random() < 0.5:
                text += "    secrets: inherit\n"
            elif secrets:
                text += "    secrets:\n" + "".join(f"      {name}: x\n" for name in secrets)
        return text


def call_problems(output):
    """{(line, column, words)}: ours name the place in the called file behind the package's words."""
    found = set()
    for line in output.splitlines():
        match = re.fullmatch(r".*?:(\d+):(\d+): (.*)", line)
        if match:
            words = re.sub(r" \((declared at )?\.github/.*\)$|\.$", "", match[3])
            words = re.sub(r"the repository has no workflow '.*'", "Unable to find reusable workflow", words)
            found.add((int(match[1]), int(match[2]), words))
    return found


def test_generated_calls_fit_or_are_refused_alike(node, github, tmp_path):
    count = max(COUNT // 600, 10)
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    different, refused = [], 0
    for number in range(count):
        calls = Calls(SEED * 100_000 + number)
        names = [f"c{i}.yml" for i in range(2)]
        for name in names:
            (folder / name).write_text(calls.called())
        (folder / f"{number:05}.yml").write_text(calls.caller(names).replace("c0", f"c{number}-0").replace("c1", f"c{number}-1"))
        for i, name in enumerate(names):
            (folder / name).rename(folder / f"c{number}-{i}.yml")
    files = [f".github/workflows/{number:05}.yml" for number in range(count)]
    outputs = [subprocess.run([*argv, "-c", *files], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
               for argv in ([program("workflow_check")], [node, github / "check.mjs"])]
    for file in files:
        ours, theirs = (call_problems("\n".join(line for line in output.splitlines() if line.startswith(file))) for output in outputs)
        refused += bool(theirs)
        if ours != theirs:
            different.append(f"{file}\n  ours   {sorted(ours - theirs)}\n  theirs {sorted(theirs - ours)}\n{(tmp_path / file).read_text()}")
    assert not different, f"seed {SEED}: {len(different)} of {count}\n" + "\n".join(different[:5])
    print(f"{count} callers of seed {SEED}: {refused} refused, {count - refused} accepted, alike")
    assert count / 10 < refused < count


# The service refuses these; the package does not look (docs/compatibility.md).
STRICTER = re.compile(r"'.*' is no pattern: ")
# The service accepts these; the package's second reader does not.
LAXER = re.compile(r"Unexpected type 'BasicExpressionToken'|Unexpected type '\w+' encountered while reading 'input default'. The type 'StringToken'")


def problems_by_file(output, names):
    """{file: [(line, column, message)]}; all that GitHub's second reader says beyond its schema check counts as one more refusal."""
    found = {name: [] for name in names}
    for line in output.splitlines():
        match = re.fullmatch(r"(.*?):(\d+):(\d+): (.*)", line)
        if match:
            found[match[1]].append((int(match[2]), int(match[3]), match[4].split(". Located at")[0].replace("and and", "and")))
    return found


def agree(ours, theirs):
    """Both accept, or both refuse for one reason at one place (a column less where the package leaves out a quote). Where one thing is wrong either may have
    more to say about what follows from it."""
    ours = [p for p in ours if not STRICTER.match(p[2])]
    if not ours:
        return not theirs or any(LAXER.match(p[2]) for p in theirs)
    return any(a[0] == b[0] and abs(a[1] - b[1]) <= 1 and (a[2] == b[2] or b[2].startswith("Unexpected type '") or a[2].startswith("invalid YAML"))
               for a in ours for b in theirs)


def test_generated_workflows_are_accepted_or_refused_alike(node, github, tmp_path):
    count = max(COUNT // 150, 10)
    subprocess.run([sys.executable, HERE / "generate_workflows.py", str(SEED), str(count), tmp_path], check=True)
    names = sorted(file.name for file in tmp_path.glob("*.yml"))
    checks = {"ours": [program("workflow_check")], "theirs": [node, github / "check.mjs"]}
    found = {who: problems_by_file(subprocess.run([*argv, *names], capture_output=True, text=True, check=True, cwd=tmp_path).stdout, names)
             for who, argv in checks.items()}
    different = [f"{name}\n  ours   {found['ours'][name][:3]}\n  theirs {found['theirs'][name][:3]}\n{(tmp_path / name).read_text()[:3000]}" for name in names
                 if not agree(found["ours"][name], found["theirs"][name])]
    assert not different, f"seed {SEED}: {len(different)} of {count}\n" + "\n".join(different[:5])
    accepted = sum(not found["theirs"][name] for name in names)
    print(f"{count} workflows of seed {SEED}: {accepted} accepted, {count - accepted} refused, alike")
    assert accepted > count / 10
