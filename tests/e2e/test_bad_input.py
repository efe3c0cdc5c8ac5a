"""Bad input: one clear message that names the place, the status of the table, nothing left behind. No guest boots here."""
import json
import os
import shutil
import subprocess

import pytest

import devdep
import runs

pytestmark = pytest.mark.user

GOOD = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ok\n"
as_root = pytest.mark.skipif(os.geteuid() != 0 or bool(devdep.USER), reason="mounts, so root")


def refused(result, status, code, name, *parts):
    """One last line with the code, nothing on standard output, no run."""
    assert result.status == status and result.error is not None, result
    assert result.error[:2] == (code, name), result
    for part in parts:
        assert part in result.err, f"{part!r} is not in {result.err!r}"
    return result


def usage(result, *parts):
    return refused(result, 2, 2, "ERR_USAGE", *parts)


@pytest.fixture
def run(cli, repo):
    """Run the repository's workflow; whatever comes of it, nothing may be left."""
    def go(*args, workflow=GOOD, commit=True, **more):
        if workflow is not None:
            repo.workflow(workflow)
        if commit:
            repo.commit()
        result = cli("run", *(more.pop("dir", ["--dir", repo.path])), *args, **more)
        assert runs.leftovers(cli) == []
        assert not list((cli.state / "runs").glob("[0-9]*")), "a run that never was has a folder"
        return result
    return go


def test_an_unknown_workflow_file_is_named(run):
    usage(run("-W", "nothing.yml"), "no workflow 'nothing.yml'")
    usage(run("-W", "no/such/file.yml"), "no/such/file.yml")


def test_a_repository_without_workflows_is_told_where_they_are_looked_for(run):
    usage(run(workflow=None), "no workflow", ".github/workflows", ".forgejo/workflows", ".gitea/workflows", "-W")


def test_an_input_that_nobody_gave_is_named(run):
    text = GOOD.replace("on: push\n", "on:\n  workflow_dispatch:\n    inputs:\n      tag: {required: true}\n")
    usage(run("--event", "workflow_dispatch", workflow=text), "ci.yml:2:3: the input 'tag' is required and was not given")


DISPATCH = GOOD.replace("on: push\n", """on:
  workflow_dispatch:
    inputs:
      level: {type: choice, options: [low, high], default: low}
      count: {type: number, default: 1}
      debug: {type: boolean}
""").replace("ubuntu-latest", "${{ inputs.level }}-${{ inputs.count }}-${{ inputs.debug }}-${{ github.event.inputs.count }}")


@pytest.mark.parametrize("args, label", [
    (["--event", "workflow_dispatch"], "low-1-false-1"),
    (["--input", "level=high", "--input", "count=2.50", "--input", "DEBUG=True"], "high-2.5-true-2.5"),
])
def test_inputs_are_given_on_the_command_line_with_their_types(run, cli, repo, args, label):
    for result in (run(*args, workflow=DISPATCH), cli("plan", *args, cwd=repo.path)):
        refused(result, 6, 6, "ERR_NO_RUNNER", f"no image for the label '{label}'")


@pytest.mark.parametrize("args, message", [
    (["level"], "--input: expected NAME=VALUE, found 'level'"),
    (["=high"], "--input: expected NAME=VALUE, found '=high'"),
    (["levl=high"], "ci.yml:2:3: the workflow has no input 'levl'"),
    (["level=middle"], "ci.yml:2:3: the input 'level': expected one of its options, found 'middle'"),
    (["count=many"], "ci.yml:2:3: the input 'count': expected a number, found 'many'"),
    (["debug=1"], "ci.yml:2:3: the input 'debug': expected true or false, found '1'"),
])
def test_a_wrong_input_is_refused_by_plan_and_run_alike(run, cli, repo, args, message):
    options = [word for pair in args for word in ("--input", pair)]
    for result in (run(*options, workflow=DISPATCH), cli("plan", *options, cwd=repo.path)):
        usage(result, message)


def test_an_input_for_an_event_that_has_none_is_refused(run):
    usage(run("--event", "push", "--input", "a=b"), "ci.yml: the workflow has no input 'a': it declares none for the event 'push'")


def test_a_payload_gives_the_event_its_ref_and_its_inputs(run, cli, repo, folder):
    text = GOOD.replace("on: push", "on: {push: {branches: [release]}, workflow_dispatch: {inputs: {tag: {type: string}}}}") \
        .replace("ubuntu-latest", "${{ github.event.label }}${{ inputs.tag }}-${{ github.ref_name }}-${{ github.actor }}")
    event = folder / "event.json"
    event.write_text(json.dumps({"label": "amiga", "ref": "refs/heads/release", "sender": {"login": "ada"}}))
    devdep.give(folder)
    for result in (run("--event-file", event, workflow=text), cli("plan", "--event-file", event, cwd=repo.path)):
        refused(result, 6, 6, "ERR_NO_RUNNER", "no image for the label 'amiga-release-ada'")
    event.write_text(json.dumps({"inputs": {"tag": "v1"}, "ref": "refs/heads/x", "sender": {"login": "bob"}}))
    refused(run("--event-file", event, "--event", "workflow_dispatch", workflow=text), 6, 6, "ERR_NO_RUNNER", "label 'v1-x-bob'")
    refused(run("--event-file", event, "--input", "tag=v2", workflow=text), 6, 6, "ERR_NO_RUNNER", "label 'v2-x-bob'")  # the command line counts more
    event.write_text(json.dumps({"inputs": ["tag"]}))
    usage(run("--event-file", event, "--event", "workflow_dispatch", workflow=text), "`inputs` of the payload are no object")
    usage(run("--event-file", folder / "none.json"), "--event-file: there is no file")


def test_workflows_outside_the_repository_are_not_followed(run, repo, folder):
    (folder / "outside").mkdir()
    (folder / "outside" / "ci.yml").write_text(GOOD)
    link = repo.path / ".github" / "workflows"
    link.parent.mkdir()
    link.symlink_to(folder / "outside")
    usage(run(workflow=None), ".github/workflows is a symbolic link out of the repository")
    link.unlink()
    link.mkdir()
    (link / "ci.yml").symlink_to("../../../outside/ci.yml")
    usage(run(workflow=None), ".github/workflows/ci.yml is a symbolic link out of the repository")
    usage(run("-W", "ci.yml", workflow=None), ".github/workflows/ci.yml is a symbolic link out of the repository")


@pytest.mark.parametrize("text, line, column, parts", [
    ("on: push\njobs:\n  a: [1,\n", 4, 1, []),
    ("on: push\njobs:\n\ta:\n", 3, 1, ["tab"]),
    ("on: push\non: pull_request\njobs: {}\n", 2, 1, ["'on'"]),
    (GOOD + "        shel: bash\n", 7, 9, ["'shel'", "did you mean 'shell'"]),
    (GOOD.replace("runs-on", "run-on"), 4, 5, ["'run-on'"]),
    (GOOD.replace("jobs:", "env: 3\njobs:"), 2, 6, ["expected a mapping"]),
    (GOOD.replace("echo ok", "echo ${{ github.ref"), 6, 14, []),
    (GOOD.replace("echo ok", "echo ${{ nosuch.thing }}"), 6, 19, ["nosuch"]),
    (GOOD.replace("    steps", "    needs: [b]\n    steps"), 3, 3, ["at least one job with no dependencies", "ci.yml:5:13: error: Job 'a' depends on unknown job 'b'"]),
    (GOOD + GOOD[GOOD.index("  a:"):].replace("  a:", "  z:").replace("    steps", "    needs: [b]\n    steps"), 9, 13, ["'b'"]),
    (GOOD.replace("run: echo ok", "uses: some/action@v1"), 6, 15, ["some/action@v1"]),
    (GOOD.replace("    steps", "    container: debian\n    steps"), 5, 16, ["container"]),
    (GOOD.replace("    steps", "    timeout-minutes: soon\n    steps"), 5, 22, ["expected a number"]),
    (GOOD.replace("  a:\n", "  'a b':\n"), 3, 3, ["a b"]),
])
def test_a_wrong_workflow_is_refused_with_file_line_and_column(run, text, line, column, parts):
    result = usage(run(workflow=text), f".github/workflows/ci.yml:{line}:", *parts)
    assert f".github/workflows/ci.yml:{line}:{column}: " in result.error[2], result.error


def test_every_problem_is_shown_with_its_line_and_a_caret(run):
    result = usage(run(workflow=GOOD + "        shel: bash\n        iff: x\n"), "1 more problem")
    assert "ci.yml:7:9: error:" in result.err and "ci.yml:8:9: error:" in result.err
    assert "     7 |         shel: bash" in result.err and "^^^^" in result.err


def test_a_cycle_of_needs_is_shown_as_a_cycle(run):
    text = "on: push\njobs:\n" + "".join(f"  {a}:\n    needs: {b}\n    runs-on: ubuntu-latest\n    steps:\n      - run: x\n"
                                          for a, b in ("ab", "bc", "ca"))
    result = usage(run(workflow=text + "  free:\n    runs-on: ubuntu-latest\n    steps:\n      - run: x\n"),
                   "Job 'c' depends on job 'a' which creates a cycle")
    assert ".github/workflows/ci.yml:14:12: " in result.error[2], result.error
    result = usage(run(workflow=text), "ci.yml:14:12: error: Job 'c' depends on job 'a' which creates a cycle")
    assert ".github/workflows/ci.yml:3:3: The workflow must contain at least one job with no dependencies" in result.error[2], result.error


def test_one_wrong_file_among_several_stops_all(run, repo):
    repo.workflow(GOOD, "good.yml")
    usage(run(workflow="on: push\njobs: 3\n"), "ci.yml:2:7")


def test_an_event_that_starts_nothing_says_why_of_each_file(run):
    usage(run("--event", "release"), "'release' starts no workflow", "ci.yml", "-W", "--event")
    usage(run("--event", "no-such-event"), "no-such-event")
    usage(run("--event", "pul_request"), "'pul_request' starts no workflow", "did you mean 'pull_request'?")


def test_a_run_whose_files_do_not_pass_the_filters_starts_nothing(run, repo):
    usage(run(workflow=GOOD.replace("on: push", "on: {push: {paths: ['src/**']}}")), "ci.yml: no changed file passes the filters")


def test_an_unknown_job_names_the_known_ones(run):
    usage(run("--job", "b"), "'b'", "a")


def test_a_folder_that_is_no_repository_is_named(run, folder):
    (folder / "plain").mkdir()
    devdep.give(folder / "plain")
    usage(run(dir=["--dir", folder / "plain"]), str(folder / "plain"), "git")
    usage(run(dir=["--dir", folder / "missing"]), str(folder / "missing"))


def test_a_repository_without_a_commit_is_told_to_make_one(run):
    usage(run(commit=False), "commit")


def test_a_missing_image_is_status_6_and_names_the_command(run):
    refused(run("--image", "nosuch"), 6, 6, "ERR_NO_RUNNER", "nosuch", "devdep-cli image build")


def test_an_unknown_label_is_status_6_and_names_the_known_ones(run):
    refused(run(workflow=GOOD.replace("ubuntu-latest", "[self-hosted, plan9]")), 6, 6, "ERR_NO_RUNNER",
            ".github/workflows/ci.yml:4:14: job a", "plan9", "ubuntu-latest", "--image")


@pytest.mark.guest
@pytest.mark.parametrize("file", ["kernel", "initramfs"])
def test_an_image_whose_kernel_or_initramfs_is_gone_or_changed_is_status_7(run, cli, file):
    private = cli.state / "images" / "default"
    shutil.copytree(devdep.SYSTEM_IMAGES / "default", private, copy_function=os.symlink, ignore=shutil.ignore_patterns("*.img"))
    shutil.copytree(private, private.with_name("whole"))
    shutil.rmtree(private)
    private.with_name("whole").rename(private)
    (private / "root.img").write_bytes(b"")
    devdep.give(cli.state)
    damaged = private / file
    with open(damaged, "r+b") as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))
    refused(run("--image", "default"), 7, 7, "ERR_IMAGE_REFUSED", file)
    damaged.unlink()
    refused(run("--image", "default"), 7, 7, "ERR_IMAGE_REFUSED", file)


def test_a_guest_larger_than_the_host_is_304_and_tells_both_sizes(run):
    refused(run("--memory", "1T"), 48, 304, "ERR_RESOURCES", "1048576 MiB", "are available", "--memory")


@as_root
def test_a_disk_that_is_nearly_full_is_304_before_anything_starts(run, cli):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", cli.state], check=True)
    try:
        refused(run(), 48, 304, "ERR_RESOURCES", "MiB are free", "devdep-cli rm")
    finally:
        subprocess.run(["umount", cli.state], check=True)


@as_root
@pytest.mark.guest
def test_a_host_without_qemu_is_told_which_package_to_install(cli, repo):
    repo.workflow(GOOD)
    repo.commit()
    hide = "mkdir $1/u $1/w && mknod $1/u/qemu-system-x86_64 c 0 0 && mount -t overlay -o lowerdir=/usr/bin,upperdir=$1/u,workdir=$1/w " \
           "none /usr/bin && shift && exec \"$@\""
    done = subprocess.run(["unshare", "-m", "sh", "-ec", hide, "sh", str(repo.path.parent), *cli.argv("run", "--dir", repo.path)],
                          env=cli.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    refused(devdep.Result([], done.returncode, done.stdout, done.stderr), 48, 304, "ERR_RESOURCES", "apt install qemu-system-x86")
    assert runs.leftovers(cli) == []
