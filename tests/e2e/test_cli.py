"""devdep-cli as it is typed: what needs no guest."""
import json
import os
import re
import subprocess

import pytest

import devdep

pytestmark = pytest.mark.user

SUBCOMMANDS = ["run", "runs", "logs", "records", "rm", "artifacts", "cache", "vm", "egress", "mirrors", "doctor", "image", "actions", "plan",
               "validate", "init", "schema", "expr", "errors", "completion", "version"]


def listed(text, heading):
    """The first words of the lines below a heading of a help."""
    part = text.partition(f"\n{heading}:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in part.splitlines() if line.startswith("  ") and line.split()]


def test_help_names_every_command_and_each_has_its_own_help(cli):
    top = cli("--help")
    assert top.status == 0 and listed(top.out, "Commands") == SUBCOMMANDS
    for name in SUBCOMMANDS:
        own = cli(name, "--help")
        assert own.status == 0 and f"Usage: devdep-cli {name}" in own.out, own


def test_the_manual_pages_name_every_option_of_every_command_and_every_status(cli):
    pages = "\n".join(page.read_text() for page in (devdep.ROOT / "man").glob("*.1"))
    missing = []

    def look(*command):
        text = cli(*command, "--help").out
        for word in re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text.partition("\nOptions:\n")[2].partition("\n\n")[0], re.MULTILINE):
            if word != "help" and not re.search(rf"Fl Fl {word}\b(?!-)", pages):
                missing.append(f"{' '.join(command)} --{word}")
        for word in listed(text, "Commands"):
            look(*command, word)
    look()
    assert missing == []
    own = (devdep.ROOT / "man" / "devdep-cli.1").read_text().partition(".Sh EXIT STATUS")[2].partition(".Sh EXAMPLES")[0]
    not_yet = {101, 102}  # of signing on
    assert [row["status"] for row in json.loads(cli("errors", "--json").out)
            if row["status"] not in not_yet and not re.search(rf"\b{row['status']}\b", own)] == []


@pytest.mark.parametrize("args, expected", [
    ([], "no command given"),
    (["runn"], "did you mean 'run"),
    (["run", "--kep-going"], "did you mean '--keep-going'?"),
    (["run", "-W"], "--workflow needs a value: FILE"),
    (["run", "--json=yes"], "--json takes no value"),
    (["run", "--job", "a", "--job", "b"], "--job was given twice"),
    (["run", "stray"], "unexpected argument 'stray'"),
    (["run", "--jobs", "0"], "--jobs: expected"),
    (["run", "--memory", "lots"], "--memory"),
    (["run", "--memory", "1M"], "at least 128M"),
    (["run", "--accel", "warp"], "--accel: expected auto, kvm or tcg, found 'warp'"),
    (["run", "--transport", "pigeon"], "--transport: expected"),
    (["run", "--egress", "sealed", "--allow", "example.org"], "--allow example.org: with --egress sealed nothing is reached"),
    (["run", "--egress", "broker"], "did you mean 'brokered'?"),
    (["run", "--driver", "none"], "--driver: expected qemu"),
    (["logs"], "expected RUN[/JOB]"),
    (["logs", "x"], "run: expected a number"),
    (["rm"], "name the runs to remove"),
    (["completion", "tcsh"], "known are bash, zsh and fish"),
])
def test_bad_arguments_are_refused_with_what_to_do(cli, args, expected):
    result = cli(*args)
    assert result.status == 2
    code, name, message = result.error
    assert (code, name) == (2, "ERR_USAGE") and expected in message, result


def test_errors_prints_the_whole_table_with_eight_bit_statuses(cli):
    rows = {row["code"]: row for row in json.loads(cli("errors", "--json").out)}
    assert {c: rows[c]["status"] for c in rows} == {0: 0, 1: 1, 2: 2, 3: 130, 6: 6, 7: 7, 101: 101, 102: 102, 201: 201, 301: 45,
                                                    302: 46, 303: 47, 304: 48, 401: 145}
    assert all(row["meaning"] and row["remedy"] and row["name"] for row in rows.values())
    text = cli("errors").out
    assert all(row["name"] in text for row in rows.values())
    table = [line for line in (devdep.ROOT / "docs" / "errors.md").read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert table == [f"| {row['code']} | {row['status']} | {row['name']} | {row['meaning']} | {row['remedy']} | {'yes' if row['retryable'] else 'no'} |"
                     for row in rows.values()]


def test_completions_are_valid_scripts_and_know_the_commands(cli):
    for shell in ("bash", "zsh"):
        script = cli("completion", shell).out
        assert "shell-on-failure" in script
    subprocess.run(["bash", "-n"], input=cli("completion", "bash").out, text=True, check=True)
    found = subprocess.run(["bash", "-c", cli("completion", "bash").out + """
COMP_WORDS=(devdep-cli image ''); COMP_CWORD=2; _devdep_cli; echo "${COMPREPLY[@]}"
COMP_WORDS=(devdep-cli cache prune --ma); COMP_CWORD=3; _devdep_cli; echo "${COMPREPLY[@]}"
COMP_WORDS=(devdep-cli artifacts ''); COMP_CWORD=2; _devdep_cli; echo "${COMPREPLY[@]}"
COMP_WORDS=(devdep-cli run --sh); COMP_CWORD=2; _devdep_cli; echo "${COMPREPLY[@]}" """],
                           text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    assert "build" in found[0].split() and "verify" in found[0].split()
    assert found[1] == "--max-size" and {"ls", "get", "rm"} <= set(found[2].split())
    assert found[3] == "--shell-on-failure"


def test_a_closed_output_is_an_error_not_a_crash(cli):
    with open("/dev/full", "w") as full:
        done = subprocess.run(cli.argv("errors", "--json"), env=cli.env(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 48 and "standard output" in done.stderr


def test_there_are_no_runs_at_first_and_unknown_ones_are_named(cli):
    assert cli("runs").out == "" and json.loads(cli("runs", "--json").out) == []
    for args in (["logs", "7"], ["rm", "7"]):
        result = cli(*args)
        assert result.status == 2 and "there is no run 7" in result.error[2]


def test_the_state_folder_is_the_users_own(cli):
    cli("runs")
    assert cli.state.stat().st_mode & 0o022 == 0
    assert os.path.isdir(cli.state)


def test_json_on_a_terminal_carries_no_control_character(cli):
    hostile = "\u009b2J \u202e \u009d52;c;AAAA\u009c é"
    run = cli.state / "runs" / "1"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"title": hostile, "conclusion": "success", "jobs": [{"key": "a", "name": hostile}]},
                                             ensure_ascii=False), encoding="utf-8")
    (run / "a.journal").write_text(json.dumps({"v": 1, "seq": 0, "type": "log", "stream": "out", "text": hostile},
                                              ensure_ascii=False) + "\n", encoding="utf-8")
    devdep.give(cli.state)
    for args in (["runs", "--json"], ["logs", "1", "--json"], ["runs"], ["logs", "1"]):
        result = cli(*args)
        assert result.status == 0 and not set("\u009b\u009c\u009d\u202e") & set(result.out), result
    assert json.loads(cli("runs", "--json").out)[0]["title"] == hostile
    assert json.loads(cli("logs", "1", "--json").out)["text"] == hostile
