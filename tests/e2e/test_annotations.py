"""Problems in the output of steps become annotations: by registered problem matchers, by the built-in readers, from JUnit files.
One workflow in one guest; each test is a sentence about it."""
import json

import pytest

import runs

pytestmark = pytest.mark.guest  # what a step's output means does not depend on the user of the host

MATCHER = {"problemMatcher": [
    {"owner": "demo", "severity": "warning", "pattern": [
        {"regexp": r"^demo (\S+) at (\S+) (\d+)/(\d+): (.*)$", "code": 1, "file": 2, "line": 3, "column": 4, "message": 5}]},
    {"owner": "loop", "pattern": [{"regexp": r"^in file (\S+)$", "file": 1},
                                  {"regexp": r"^  (\d+): (\w+) (.*)$", "line": 1, "severity": 2, "message": 3, "loop": True}]}]}

WORKFLOW = r"""
name: problems
on: push
jobs:
  all:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: gcc
        working-directory: sub
        run: gcc -Wall -c bad.c -o /dev/null
        continue-on-error: true
      - id: again
        run: cd sub; gcc -Wall -c bad.c -o /dev/null
        working-directory: sub/..
        continue-on-error: true
      - id: off
        run: gcc -Wall -c other.c -o /dev/null
        env: {DEVDEP_READERS: "off"}
        continue-on-error: true
      - id: matcher
        run: |
          echo "demo early at a.c 1/2: before it is registered"
          echo "::add-matcher::matcher.json"
          echo "demo x12 at sub/bad.c 3/4: found"
          printf '\033[1;31mdemo x13 at %s/sub/bad.c 5/6: in colour\033[0m\n' "$PWD"
          echo "demo x14 at /etc/passwd 7/8: elsewhere"
          echo "in file sub/bad.c"; echo "  10: error first"; echo "  11: warning second"
          echo "  12: strange third"; echo "nothing"; echo "  13: error not any more"
      - id: later
        run: |
          echo "demo x15 at a.c 9/9: in a later step"
          echo "::remove-matcher owner=demo::"
          echo "demo x16 at a.c 9/9: removed"
          echo "::remove-matcher::matcher.json"
          echo "in file a.c"; echo "  1: error removed too"
      - id: command
        run: |
          echo "::error file=$PWD/sub/../sub/bad.c,line=2,endLine=3,col=1,title=T::absolute"
          echo "::notice file=./sub/bad.c,line=4::relative"; echo "::warning file=../x.c,line=5::outside"
          echo "sub/bad.c:2: error: the same place as the command's"
      - id: missing
        run: echo "::add-matcher::not-there.json"
        continue-on-error: true
      - id: broken
        run: |
          echo '{"problemMatcher": [{"owner": "x", "pattern": [{"regexp": "("}]}]}' > broken.json
          echo "::add-matcher::broken.json"; echo "the output goes on"
        continue-on-error: true
      - id: last
        run: printf '::add-matcher::matcher.json'
      - id: hostile
        run: |
          cat > hostile.json <<'END'
          {"problemMatcher": [{"owner": "hostile", "pattern": [{"regexp": "^(a+)+$", "message": 1}]}]}
          END
          echo "::add-matcher::hostile.json"
          for i in 1 2 3 4; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!; done
          echo aaa
      - id: report
        env: {DEVDEP_JUNIT: "report.xml, none.xml"}
        run: |
          cat > report.xml <<'END'
          <testsuite><testcase name="adds" file="sub/bad.c" line="40"><failure message="too much">x</failure></testcase></testsuite>
          END
"""


@pytest.fixture(scope="module")
def job():
    scene = runs.Scene()
    repo = scene.repo()
    repo.workflow(WORKFLOW)
    repo.write("sub/bad.c", "int f(void)\n{\n        return undeclared;\n}\n")
    repo.write("other.c", "int f(void)\n{\n        return undeclared;\n}\n")
    repo.write("matcher.json", json.dumps(MATCHER))
    repo.commit()
    result = runs.Run(scene.cli("run", "--json", "--dir", repo.path))
    yield result["all"]
    scene.close()


def places(step):
    return [(a["level"], a.get("file"), a.get("line"), a.get("column"), a["message"], a.get("source")) for a in step.annotations]


def test_an_error_of_gcc_is_an_annotation_without_any_registration(job):
    error, warning = places(job["gcc"])
    assert error[:4] == ("error", "sub/bad.c", 3, 16) and "undeclared" in error[4] and error[5] == "cc"
    assert warning[:4] == ("warning", "sub/bad.c", 4, 1) and "[-Wreturn-type]" in warning[4]
    assert job["gcc"].annotations[1]["code"] == "-Wreturn-type"
    assert any("bad.c:3:16: error:" in line for line in job["gcc"].lines), "the line is in the log too"


def test_a_path_is_below_the_folder_where_the_step_began_whatever_its_script_enters(job):
    assert [a[:4] for a in places(job["again"])] == [("error", "bad.c", 3, 16), ("warning", "bad.c", 4, 1)]


def test_the_readers_can_be_switched_off(job):
    assert job["off"].outcome == "failure" and job["off"].annotations == []


def test_a_matcher_counts_from_the_very_next_line(job):
    assert places(job["matcher"])[:3] == [
        ("warning", "sub/bad.c", 3, 4, "found", "demo"),
        ("warning", "sub/bad.c", 5, 6, "in colour", "demo"),
        ("warning", None, 7, 8, "elsewhere", "demo")]
    assert [a.get("code") for a in job["matcher"].annotations[:3]] == ["x12", "x13", "x14"]
    assert any("Added matchers: 'demo', 'loop'" in e["text"] for e in job["matcher"].logs if e["stream"] == "note")


def test_a_looping_matcher_finds_problem_after_problem_until_a_line_does_not_match(job):
    assert places(job["matcher"])[3:] == [("error", "sub/bad.c", 10, None, "first", "loop"), ("warning", "sub/bad.c", 11, None, "second", "loop")]


def test_a_matcher_lasts_until_it_is_removed_by_name_or_by_file(job):
    assert places(job["later"]) == [("warning", "a.c", 9, 9, "in a later step", "demo")]


def test_files_of_commands_are_relative_to_the_workspace_and_none_lies_outside(job):
    error, notice, warning = job["command"].annotations
    assert (error["file"], error["line"], error["end_line"], error["title"]) == ("sub/bad.c", 2, 3, "T")
    assert "column" not in error and "source" not in error, "a column means nothing over several lines; a command has no finder"
    assert notice["file"] == "sub/bad.c" and "file" not in warning and warning["message"] == "outside"


def test_a_matcher_file_that_is_missing_or_wrong_fails_the_step_and_says_why(job):
    assert job["missing"].outcome == "failure" and "there is no such file" in job["missing"].annotations[0]["message"]
    assert job["broken"].outcome == "failure" and "Matcher 'x': the regexp is refused" in job["broken"].annotations[0]["message"]
    assert job["broken"].lines[-1] == "the output goes on"


def test_the_last_line_of_a_step_may_register_a_matcher(job):
    assert job["last"].outcome == "success"
    assert any("Added matchers" in e["text"] for e in job["last"].logs)


def test_a_matcher_whose_pattern_never_ends_is_removed_and_the_step_goes_on(job):
    [warning] = job["hostile"].annotations
    assert warning["level"] == "warning" and "Removing problem matcher 'hostile'" in warning["message"]
    assert job["hostile"].outcome == "success" and job["hostile"].lines[-1] == "aaa"


def test_a_junit_file_of_a_step_is_read_at_its_end(job):
    failure, warning = places(job["report"])
    assert failure == ("error", "sub/bad.c", 40, None, "too much", "junit")
    assert warning[0] == "warning" and "none.xml: there is no such file" in warning[4]
    assert job.conclusion == "success"
