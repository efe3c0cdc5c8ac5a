"""No command of a repository runs on the host: every execve of a whole run is followed, while workflow, branch name, file names and
git configuration all carry commands."""
import json
import os
import re
import shutil
import subprocess

import pytest

import devdep
import runs

pytestmark = [pytest.mark.guest, pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="root and strace")]

BRANCH = "x$(touch${IFS}PLANTED)`touch${IFS}PLANTED`;touch${IFS}PLANTED|sh"


def plant(repo, mark):
    """Commands wherever git or a careless program would run one; each would touch the mark."""
    touch = repo.write("touch.sh", f"#!/bin/sh\ntouch {mark}\ncat\n", 0o755)
    repo.write(".gitattributes", "* filter=evil diff=evil merge=evil\n*.txt text working-tree-encoding=UTF-16\n")
    for name in ("$(touch PLANTED)", "`touch PLANTED`", "; touch PLANTED;", "-oProxyCommand=touch PLANTED", "--upload-pack=touch PLANTED",
                 "a\nb", "| sh", "evil\x1b]0;x\x07"):
        repo.write(f"names/{name}", "content\n")
    repo.workflow(json.dumps({"name": "$(touch PLANTED)", "on": "push", "env": {"LD_PRELOAD": "/nonexistent.so", "BASH_ENV": str(touch)}, "jobs": {
        "a": {"name": "`touch PLANTED`", "runs-on": "ubuntu-latest", "steps": [
            {"uses": "actions/checkout@v4"},
            {"name": "; touch PLANTED", "shell": "bash", "run": f"touch PLANTED {mark} || true; echo in the guest; git status --short; "
                                                                "git rev-parse HEAD; ls -a; cat .git/config; ls .git/hooks || true"}]}}}))
    repo.commit()
    repo.git("checkout", "-q", "-b", BRANCH)
    hooks = repo.path / ".git/hooks"
    for hook in ("post-checkout", "pre-commit", "post-index-change", "reference-transaction", "fsmonitor-watchman", "post-merge"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (hooks / hook).chmod(0o755)
    (repo.path / ".git/config").open("a").write(f"""
[core]
    fsmonitor = {touch}
    sshCommand = {touch}
    pager = {touch}
    editor = {touch}
    gitProxy = {touch}
    hooksPath = {hooks}
    alternateRefsCommand = {touch}
[filter "evil"]
    clean = {touch}
    smudge = {touch}
    process = {touch}
    required = true
[diff "evil"]
    command = {touch}
    textconv = {touch}
[diff]
    external = {touch}
[merge "evil"]
    driver = {touch}
[alias]
    status = !{touch}
    rev-parse = !{touch}
    ls-files = !{touch}
[uploadpack]
    packObjectsHook = {touch}
[remote "origin"]
    url = ext::{touch}
    uploadpack = {touch}
    promisor = true
    partialclonefilter = blob:none
[credential]
    helper = !{touch}
[include]
    path = {repo.path}/included
[gpg]
    program = {touch}
[http]
    extraHeader = "Authorization: planted-credential"
""")
    (repo.path / "included").write_text(f"[core]\n    fsmonitor = {touch}\n    askPass = {touch}\n")
    (repo.path / "untracked.txt").write_text("new\n")


@pytest.fixture(scope="module")
def traced():
    """One traced run: its result and what was executed on the host."""
    scene = runs.Scene(own_templates=True)
    repo = scene.repo()
    mark = scene.folder / "planted"
    plant(repo, mark)
    log = scene.folder / "trace"
    done = subprocess.run(["strace", "-f", "-y", "--seccomp-bpf", "-qq", "-s", "4096", "-e", "trace=execve,execveat", "-e", "signal=none", "-o", log,
                           *scene.cli.argv("run", "--dir", repo.path, "--color", "never")],
                          cwd=scene.folder, env=scene.cli.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          errors="surrogateescape", timeout=500)
    scene.result = devdep.Result([], done.returncode, done.stdout, done.stderr)
    scene.mark, scene.trace, scene.repository = mark, log.read_text(errors="replace"), repo
    yield scene
    scene.close()


def test_only_our_own_programs_git_in_its_jail_and_the_vmm_are_executed(traced):
    assert traced.result.status == 0 and "in the guest" in traced.result.out, traced.result
    executed = set()
    for line in traced.trace.splitlines():
        # -y tells the file of execveat's descriptor: execveat(5</path>, "", ["name"...
        match = re.search(r'execve\("((?:[^"\\]|\\.)*)"', line) or re.search(r'execveat\(\d+<([^>]*)>, ""', line)
        assert match or "resumed>" in line or "exited with" in line, line
        if match:
            executed.add(match[1])
    ours = {str(devdep.BUILD / name) for name in ("devdep-cli", "devdep-job", "devdep-jail", "devdep-source", "devdep-store", "devdep-service", "devdep-signer",
                                                   "devdep-prepare")}
    others = executed - ours
    assert ours <= executed and any("qemu-system-x86_64" in p for p in executed), executed
    assert all(re.fullmatch(r"/usr/bin/qemu-system-x86_64|/usr/bin/git|/usr/lib/git-core/git[a-z-]*", p) for p in others), others


def test_nothing_that_was_planted_ran(traced):
    assert not traced.mark.exists()
    found = [p for p in traced.folder.rglob("PLANTED*")]
    assert found == [], found
    assert not os.path.exists("/PLANTED")


def test_no_shell_ever_runs_on_the_host(traced):
    assert not re.search(r'execve\("(?:/usr)?/bin/(?:sh|bash|dash)"', traced.trace)


def test_the_guest_has_a_clean_git_folder_without_the_developers_configuration(traced):
    out = traced.result.out
    assert "planted-credential" not in out and "fsmonitor" not in out and "sshCommand" not in out
    assert traced.repository.git("rev-parse", "HEAD").strip() in out
