"""`uses: actions/checkout` in devdep-job: a real devdep-source on one side, a scripted guest with a real git on the other."""
import os
import tempfile

import pytest

from fake_guest import FakeGuest, Job, fields, spec
from source_session import PROGRAM, Direct, git

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-source is not built")]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


@pytest.fixture
def repo(tmp_path):
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    for n in (1, 2, 3):
        (top / "file").write_text(f"line {n}\n")
        git(top, "add", "-A")
        git(top, "commit", "-qm", f"commit {n}")
    git(top, "tag", "-a", "v1", "-m", "one", "HEAD~2")
    git(top, "branch", "side", "HEAD~1")
    (top / "new").write_text("untracked\n")
    (top / "file").write_text("changed\n")
    return top


class Source(Direct):
    """devdep-source whose greeting is left to devdep-job."""

    def fields(self):
        return None


def run(folder, repo, *steps, tree="working", commit=None, guest=FakeGuest):
    commit = commit or git(repo, "rev-parse", "HEAD")
    with Source(repo) as source:
        with Job(folder, spec(folder, *steps, source={"commit": commit, "tree": tree}), guest=guest, source=source.sock.fileno()) as job:
            source.sock.close()
            job.wait()
    return job


def checkout(**inputs):
    return {"uses": "actions/checkout@v4", "with": {k.replace("_", "-"): v for k, v in inputs.items()}}


STATE = "git rev-parse HEAD; git describe; git symbolic-ref -q HEAD || echo detached; cat file; ls; git log --oneline | wc -l"


def test_the_working_tree_arrives_with_its_changes(folder, repo):
    job = run(folder, repo, "ls -A | wc -l", checkout(), STATE + "; git status --porcelain")
    head = git(repo, "rev-parse", "HEAD")
    assert job.status == 0, job.text()
    assert job.log(0) == "0\n"  # before a checkout the workspace is empty
    assert job.log(2).split("\n") == [head, "v1-2-g" + head[:7], "detached", "changed", "file", "new", "3", " M file", "?? new", ""]


def test_a_commit_arrives_clean(folder, repo):
    job = run(folder, repo, checkout(), STATE + "; git status --porcelain", tree="commit")
    assert job.status == 0, job.text()
    assert job.log(1).split("\n")[3:] == ["line 3", "file", "3", ""]


def test_a_ref_is_resolved_and_told_as_output(folder, repo):
    side = git(repo, "rev-parse", "side")
    job = run(folder, repo, {**checkout(ref="side"), "id": "co"}, STATE, "echo ${{ steps.co.outputs.commit }} ${{ steps.co.outputs.ref }}")
    assert job.status == 0, job.text()
    assert job.log(1).startswith(side) and "line 2" in job.log(1)
    assert job.log(2) == f"{side} refs/heads/side\n"


def test_an_unknown_ref_fails_with_its_name(folder, repo):
    job = run(folder, repo, checkout(ref="nowhere"))
    assert job.status == 1 and "nowhere" in job.verdict["message"]


def test_depth(folder, repo):
    job = run(folder, repo, checkout(fetch_depth="1"), "git log --oneline | wc -l; git tag; git rev-parse --is-shallow-repository")
    assert job.status == 0, job.text()
    assert job.log(1) == "1\ntrue\n"


def test_depth_0_brings_branches_and_tags(folder, repo):
    job = run(folder, repo, checkout(fetch_depth="0"), "git tag; git branch -r")
    assert job.status == 0 and "v1" in job.log(1) and "origin/side" in job.log(1)


def test_a_path_below_the_workspace(folder, repo):
    job = run(folder, repo, checkout(path="a/b"), "ls; git -C a/b rev-parse HEAD")
    assert job.status == 0 and job.log(1).startswith("a\n")


@pytest.mark.parametrize("inputs, message", [
    ({"path": "../out"}, "with.path"), ({"path": "/etc"}, "with.path"), ({"path": "a/../../b"}, "with.path"),
    ({"repository": "other/project"}, "with.repository"), ({"fetch-depth": "many"}, "with.fetch-depth"),
    ({"submodules": "some"}, "with.submodules"), ({"clean": "maybe"}, "with.clean"),
])
def test_inputs_that_cannot_be_honoured_are_refused(folder, repo, inputs, message):
    job = run(folder, repo, checkout(**inputs))
    assert job.status == 1 and message in job.events("step_finished")[0]["reason"]
    assert job.guest.put_data == []


def test_what_cannot_be_left_out_or_fetched_is_said(folder, repo):
    inputs = {"sparse-checkout": "docs", "sparse-checkout-cone-mode": "false", "filter": "blob:none", "lfs": "true", "fetchdepth": "1"}
    job = run(folder, repo, checkout(**inputs))
    assert job.status == 0 and "sparse-checkout: all files are checked out here" in job.log(0), job.text()
    unexpected, pointers = [a["message"] for a in job.events("annotation")]
    assert unexpected.startswith("Unexpected input(s) 'fetchdepth', valid inputs are ['repository', ") and "stay pointers" in pointers


def test_clean_decides_whether_what_is_there_stays(folder, repo):
    class Wiping(FakeGuest):
        wiped = []

        def op_put(self, stream, header, pairs):
            self.wiped.append(header["wipe"])
            super().op_put(stream, header, pairs)
    run(folder, repo, checkout(), checkout(clean="false"), guest=Wiping)
    assert Wiping.wiped == [b"1", b"0"]


def test_submodules(folder, tmp_path):
    for name in ("inner", "outer", "project"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q")
        (tmp_path / name / "file").write_text(name + "\n")
        git(tmp_path / name, "add", "-A")
        git(tmp_path / name, "commit", "-qm", name)
    git(tmp_path / "outer", "submodule", "--quiet", "add", tmp_path / "inner", "deep")
    git(tmp_path / "outer", "commit", "-qm", "deep")
    top = tmp_path / "project"
    git(top, "submodule", "--quiet", "add", tmp_path / "outer", "lib/outer")
    git(top, "commit", "-qm", "outer")
    git(top, "submodule", "update", "--init", "--recursive")
    files = "cat file; cat lib/outer/file lib/outer/deep/file 2>/dev/null || true"
    job = run(folder, top, checkout(), files, checkout(submodules="true"), files, checkout(submodules="recursive"), files)
    assert job.status == 0, job.text()
    assert [job.log(i) for i in (1, 3, 5)] == ["project\n", "project\nouter\n", "project\nouter\ninner\n"]


def test_a_guest_that_cannot_unpack_fails_the_step(folder, repo):
    class Full(FakeGuest):
        def op_put(self, stream, header, pairs):
            stream.write(fields(status="ok"))
            stream.read_rest()
            stream.write(fields(status="error", message="No space left on device", entries=0, bytes=0))
            stream.close()
    job = run(folder, repo, checkout(), guest=Full)
    assert job.status == 1 and "No space left" in job.verdict["message"]


def test_a_guest_that_refuses_to_unpack_fails_the_step(folder, repo):
    class Refusing(FakeGuest):
        def op_put(self, stream, header, pairs):
            self.refuse(stream, "read-only")
    job = run(folder, repo, checkout(), "true", guest=Refusing)
    assert job.status == 1 and "read-only" in job.verdict["message"]


def test_no_source_is_a_clear_error(folder):
    with Job(folder, spec(folder, checkout())) as job:
        assert job.wait() == 1 and "has no source" in job.verdict["message"]


def test_a_large_tree_flows_with_a_bounded_memory(folder, tmp_path):
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    (top / "big").write_bytes(os.urandom(1 << 20) * 60)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "big")
    job = run(folder, top, checkout(), "ls -l big; sleep 30 & wait $!", guest=peak(folder))
    assert "62914560" in job.log(1)
    assert PEAK["kib"] < 32 * 1024, PEAK


PEAK = {}


def peak(folder):
    class Watching(FakeGuest):
        """Notes how large devdep-job ever was, then ends the step."""

        def op_exec(self, stream, header, pairs):
            if b"step-1" in header["step"]:
                pid = next(p for p in os.listdir("/proc") if p.isdigit() and is_ours(p))
                with open(f"/proc/{pid}/status") as f:
                    PEAK["kib"] = int(next(line for line in f if line.startswith("VmHWM")).split()[1])
                pairs = [(k, v) for k, v in pairs if k != "arg"] + [("arg", b"/bin/ls"), ("arg", b"-l"), ("arg", b"big")]
            super().op_exec(stream, header, pairs)

    def is_ours(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields_ = f.read().rsplit(")", 1)
            return "(devdep-job" in fields_[0] and int(fields_[1].split()[1]) == os.getpid()
        except OSError:
            return False
    return Watching
