"""The source: a repository on the host becomes a git work tree in the guest (docs/protocol-source.md)."""
import io
import os
import pathlib
import stat
import subprocess
import tarfile
import time

import pytest

from source_session import PROBE, PROGRAM, Direct, Jailed, Refused, assemble, git

pytestmark = pytest.mark.skipif(not PROGRAM.exists() or not PROBE.exists(), reason="devdep-source is not built")


@pytest.fixture
def repo(tmp_path):
    """Three commits, two tags, a branch, and a work tree that differs from HEAD in every way."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    for n in (1, 2, 3):
        (top / "file").write_text(f"line {n}\n")
        (top / ".gitignore").write_text("*.o\nbuild/\n")
        git(top, "add", "-A")
        git(top, "commit", "-qm", f"commit {n}")
        if n < 3:
            git(top, "tag", "-a", f"v{n}", "-m", f"release {n}")
    git(top, "branch", "side", "HEAD~1")
    return top


def head(top):
    return git(top, "rev-parse", "HEAD")


def names(tar):
    return tarfile.open(fileobj=io.BytesIO(tar)).getnames()


def files_of(folder):
    """Every file below a folder but git's own: name to (kind, content, executable)."""
    found = {}
    for root, dirs, files in os.walk(os.fsencode(folder)):
        if b".git" in dirs and root == os.fsencode(folder):
            dirs.remove(b".git")
        for name in files + [d for d in dirs if os.path.islink(os.path.join(root, d))]:
            path = os.path.join(root, name)
            st = os.lstat(path)
            content = b""
            if stat.S_ISLNK(st.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(st.st_mode):
                content = pathlib.Path(os.fsdecode(path)).read_bytes()
            found[os.path.relpath(path, os.fsencode(folder))] = (stat.S_IFMT(st.st_mode), content,
                                                                 bool(st.st_mode & 0o100) or stat.S_ISLNK(st.st_mode))
    return found


# ---- what a checkout is


def test_the_working_tree_arrives_as_it_is(repo, tmp_path):
    git(repo, "config", "http.extraheader", "AUTHORIZATION: basic c2VjcmV0")
    (repo / "file").write_text("changed\n")
    (repo / "new file").write_text("untracked\n")
    (repo / "gone").write_text("x")
    git(repo, "add", "gone")
    git(repo, "commit", "-qm", "gone")
    (repo / "gone").unlink()
    (repo / "deep/er").mkdir(parents=True)
    (repo / "deep/er/tool").write_text("#!/bin/sh\n")
    (repo / "deep/er/tool").chmod(0o4775)
    (repo / "a.o").write_text("ignored\n")
    (repo / "build").mkdir()
    (repo / "build/out").write_text("ignored\n")
    (repo / "link").symlink_to("/etc/passwd")
    os.mkfifo(repo / "pipe")
    (repo / b"\xff\n\x1b]0;x".decode("utf-8", "surrogateescape")).write_text("odd name\n")
    out = tmp_path / "out.tar"
    totals = Jailed(repo, scratch=tmp_path).checkout(out, head(repo))
    assert "error" not in totals, totals
    there = assemble(out.read_bytes(), tmp_path / "there")
    expected = files_of(repo)
    for left_out in (b"a.o", b"build/out", b"pipe"):
        expected.pop(left_out, None)
    assert files_of(there) == expected
    assert totals["files"] == len(expected)
    assert not any("pipe" in n for n in totals["notes"])  # git does not list it
    assert b"c2VjcmV0" not in out.read_bytes()
    assert not list(tmp_path.glob("source.*")), "the scratch folder is removed"


def test_what_git_says_in_the_guest(repo, tmp_path):
    (repo / "file").write_text("changed\n")
    (repo / "new").write_text("new\n")
    with Direct(repo) as s:
        tar, totals = s.checkout(head(repo), ref="refs/heads/main")
    there = assemble(tar, tmp_path / "there")
    assert git(there, "rev-parse", "HEAD") == head(repo)
    assert git(there, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD", "detached"
    assert git(there, "describe") == git(repo, "describe")
    assert git(there, "rev-parse", "origin/main") == head(repo)
    assert git(there, "status", "--porcelain") == "M file\n?? new"
    assert git(there, "tag") == "v1\nv2"
    assert git(there, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes") == "refs/remotes/origin/main"
    git(there, "fsck", "--strict")
    assert int(totals["refs"]) == 3


def test_an_exact_commit_is_written_by_the_guests_git(repo, tmp_path):
    (repo / "file").write_text("not in any commit\n")
    first = git(repo, "rev-parse", "v1^{commit}")
    with Direct(repo) as s:
        tar, totals = s.checkout(first, working=False)
    there = assemble(tar, tmp_path / "there", working=False)
    assert (there / "file").read_text() == "line 1\n"
    assert git(there, "status", "--porcelain") == ""
    assert git(there, "describe") == "v1"
    assert git(there, "tag") == "v1", "v2 is not reachable from this commit"
    assert totals["files"] == "0"


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_a_depth_cuts_as_git_does(tmp_path, depth):
    """Compared with git clone --depth over a history with merges."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    git(top, "commit", "--allow-empty", "-qm", "root")
    for n in range(4):
        git(top, "checkout", "-qb", f"b{n}", "main")
        git(top, "commit", "--allow-empty", "-qm", f"side {n}")
        git(top, "checkout", "-q", "main")
        git(top, "commit", "--allow-empty", "-qm", f"main {n}")
        git(top, "merge", "-q", "--no-ff", "-m", f"merge {n}", f"b{n}")
    git(top, "tag", "here")
    git(top, "tag", "root", git(top, "rev-list", "--max-parents=0", "HEAD"))
    with Direct(top) as s:
        tar, totals = s.checkout(head(top), working=False, depth=depth)
    there = assemble(tar, tmp_path / "there", working=False)
    git(tmp_path, "clone", "-q", "--depth", str(depth), "--branch", "main", "--no-tags", f"file://{top}", "clone")
    assert git(there, "rev-list", "HEAD").split() == git(tmp_path / "clone", "rev-list", "HEAD").split()
    shallow = (tmp_path / "clone/.git/shallow")
    assert (totals["shallow"] == "1") == shallow.exists()
    if shallow.exists():
        assert sorted((there / ".git/shallow").read_text().split()) == sorted(shallow.read_text().split())
    assert "here" in git(there, "tag").split()
    git(there, "fsck", "--strict")


def test_fetch_depth_0_brings_every_branch_and_tag(repo, tmp_path):
    git(repo, "tag", "elsewhere", git(repo, "commit-tree", "-m", "apart", "HEAD^{tree}"))
    git(repo, "update-ref", "refs/remotes/origin/theirs", "side")
    with Direct(repo) as s:
        tar, _ = s.checkout(head(repo), working=False, refs="all")
    there = assemble(tar, tmp_path / "there", working=False)
    assert git(there, "for-each-ref", "--format=%(refname)").split() == [
        "refs/remotes/origin/main", "refs/remotes/origin/side", "refs/remotes/origin/theirs", "refs/tags/elsewhere",
        "refs/tags/v1", "refs/tags/v2"]
    git(there, "fsck", "--strict")


def test_a_long_path_and_a_huge_file(repo, tmp_path):
    parent = os.open(repo, os.O_DIRECTORY)
    parts = ["d" * 255] * 15
    for part in parts:
        os.mkdir(part, dir_fd=parent)
        parent, old = os.open(part, os.O_DIRECTORY, dir_fd=parent), parent
        os.close(old)
    leaf = "f" * (4095 - 16 * 15 * 16)
    with os.fdopen(os.open(leaf, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=parent), "w") as f:
        f.write("deep\n")
    os.close(parent)
    with open(repo / "huge", "wb") as f:
        f.truncate(300 << 20)
        f.seek(150 << 20)
        f.write(b"middle")
    out = tmp_path / "out.tar"
    totals = Jailed(repo).checkout(out, head(repo))
    assert "error" not in totals, totals
    with tarfile.open(out) as tar:
        sizes = {m.name: m.size for m in tar}
    assert sizes["huge"] == 300 << 20
    assert sizes["/".join(parts + [leaf])] == 5
    assert len("/".join(parts + [leaf])) == 4095


def test_a_tree_of_two_thousand_files(tmp_path):
    top = tmp_path / "project"
    for n in range(2000):
        path = top / f"src/d{n % 40}/file{n}.c"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"int f{n}(void) {{ return {n}; }}\n" * 20)
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "all")
    out = tmp_path / "out.tar"
    totals = Jailed(top, scratch=tmp_path).checkout(out, head(top))
    assert totals["files"] == 2000
    there = assemble(out.read_bytes(), tmp_path / "there")
    assert git(there, "status", "--porcelain") == ""


# ---- kinds of repositories


def test_facts_of_a_repository(repo):
    git(repo, "remote", "add", "origin", "https://user:hunter2@example.org/ann/project.git?x=1#y")
    (clean,) = Jailed(repo).ask(("facts",))
    assert clean["commit"] == head(repo) and clean["branch"] == "main" and clean["tag"] == ""
    assert clean["subject"] == "commit 3" and clean["author_name"] == "Ann"
    assert clean["remote_url"] == "https://example.org/ann/project.git"
    assert not clean["dirty"] and not clean["bare"] and clean["object_format"] == "sha1"
    (repo / "new").write_text("x")
    git(repo, "tag", "now")
    git(repo, "checkout", "-q", "--detach")
    (dirty,) = Jailed(repo / ".git/..").ask(("facts",))
    assert dirty["dirty"] and dirty["branch"] == "" and dirty["tag"] == "now"


def test_a_folder_below_the_top_finds_the_repository(repo):
    (repo / "sub/dir").mkdir(parents=True)
    assert Jailed(repo / "sub/dir").ask(("facts",))[0]["commit"] == head(repo)


def test_resolving_what_a_person_writes(repo):
    git(repo, "tag", "both", "v1")
    git(repo, "branch", "both", "v2")
    with Direct(repo) as s:
        def resolve(ref):
            answer = s.ask("resolve", ("repository", ""), ("ref", ref))
            return answer["commit"], answer["ref"]
        v1, v2, top = (git(repo, "rev-parse", r + "^{commit}") for r in ("v1", "v2", "HEAD"))
        assert resolve("") == resolve("HEAD") == resolve("main") == resolve("refs/heads/main") == (top, "refs/heads/main")
        assert resolve("v1") == resolve("refs/tags/v1") == (v1, "refs/tags/v1")
        assert resolve("both") == (v2, "refs/heads/both"), "a branch before a tag, as actions/checkout"
        assert resolve(v1) == resolve(v1[:9]) == (v1, "")
        for bad in ("nothing", "-x", "--all", "HEAD~1", "main@{1}", "main^{/x}", "../HEAD", ":/commit", "v1..main", "0" * 40,
                    "refs/heads/../../HEAD", "@", "abc\ndef", "$(touch x)"):
            with pytest.raises(Refused) as refused:
                resolve(bad)
            assert refused.value.code == 2


def test_a_full_id_means_its_commit_whatever_a_branch_is_called(repo):
    v1, v2 = (git(repo, "rev-parse", r + "^{commit}") for r in ("v1", "v2"))
    for kind in ("heads", "tags", "remotes/origin"):
        git(repo, "update-ref", f"refs/{kind}/{v1}", v2)
    git(repo, "update-ref", v1, v2)
    with Direct(repo) as s:
        assert s.ask("resolve", ("repository", ""), ("ref", v1))["commit"] == v1
        assert s.ask("resolve", ("repository", ""), ("ref", f"refs/heads/{v1}"))["commit"] == v2


def test_a_linked_work_tree(repo, tmp_path):
    git(repo, "worktree", "add", "-q", tmp_path / "linked", "side")
    (tmp_path / "linked/extra").write_text("only here\n")
    session = Jailed(tmp_path / "linked")
    facts, = session.ask(("facts",))
    assert facts["branch"] == "side" and facts["dirty"]
    out = tmp_path / "out.tar"
    session.checkout(out, facts["commit"])
    there = assemble(out.read_bytes(), tmp_path / "there")
    assert (there / "extra").read_text() == "only here\n"
    assert git(there, "status", "--porcelain") == "?? extra"


def make_submodules(tmp_path):
    for name in ("inner", "outer"):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "-q")
        (tmp_path / name / "file").write_text(name + "\n")
        git(tmp_path / name, "add", "-A")
        git(tmp_path / name, "commit", "-qm", name)
    git(tmp_path / "outer", "submodule", "--quiet", "add", tmp_path / "inner", "in side")
    git(tmp_path / "outer", "commit", "-qm", "inner")
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q")
    git(top, "submodule", "--quiet", "add", tmp_path / "outer", "lib/outer")
    git(top, "commit", "-qm", "outer")
    return top


def test_submodules_and_what_is_in_them(tmp_path):
    top = make_submodules(tmp_path)
    with Direct(top) as s:
        (outer,) = s.submodules(head(top))
        assert outer["path"] == "lib/outer" and outer["present"] == "1"
        (inner,) = s.submodules(outer["commit"], repository="lib/outer")
        assert inner["path"] == "lib/outer/in side" and inner["present"] == "0" and "submodule update" in inner["why"]
        with pytest.raises(Refused):
            s.checkout(head(top), repository="lib/outer/in side")
    git(top, "submodule", "update", "--init", "--recursive")
    (top / "lib/outer/in side/local").write_text("mine\n")
    out = [tmp_path / f"{n}.tar" for n in range(3)]
    answers = Jailed(top).ask(("submodules", "", head(top)), ("submodules", "lib/outer", outer["commit"]),
                              ("checkout", "", head(top), "", "working", 0, "tags", out[0]),
                              ("checkout", "lib/outer", outer["commit"], "", "commit", 0, "tags", out[1]),
                              ("checkout", "lib/outer/in side", inner["commit"], "", "working", 0, "tags", out[2]))
    assert not [a for a in answers if "error" in a], answers
    there = assemble(out[0].read_bytes(), tmp_path / "there")
    assert os.listdir(there / "lib/outer") == []
    assemble(out[1].read_bytes(), there / "lib/outer", working=False)
    assemble(out[2].read_bytes(), there / "lib/outer/in side")
    assert (there / "lib/outer/file").read_text() == "outer\n"
    assert (there / "lib/outer/in side/local").read_text() == "mine\n"
    assert git(there, "submodule", "status", "--recursive").split()[0].lstrip("-") == outer["commit"]
    # A submodule may be the folder that the user names.
    assert Jailed(top / "lib/outer").ask(("facts",))[0]["commit"] == outer["commit"]


def test_a_nested_repository_is_left_out_with_a_note(repo, tmp_path):
    (repo / "nested").mkdir()
    git(repo / "nested", "init", "-q")
    (repo / "nested/file").write_text("x")
    git(repo / "nested", "add", "-A")
    git(repo / "nested", "commit", "-qm", "x")
    with Direct(repo) as s:
        tar, totals = s.checkout(head(repo))
    assert not [n for n in names(tar) if n.startswith("nested")]
    assert "nested/: left out" in totals["note"]


def test_sha256_repositories(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256", "project")
    top = tmp_path / "project"
    (top / "file").write_text("x")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "x")
    assert len(head(top)) == 64
    out = tmp_path / "out.tar"
    assert "error" not in Jailed(top).checkout(out, head(top))
    there = assemble(out.read_bytes(), tmp_path / "there")
    assert git(there, "rev-parse", "HEAD") == head(top) and git(there, "status", "--porcelain") == ""


def test_a_split_index_and_a_packed_repository(repo, tmp_path):
    git(repo, "update-index", "--split-index")
    git(repo, "gc", "-q")
    (repo / "more").write_text("x")
    git(repo, "add", "more")
    assert list((repo / ".git").glob("sharedindex.*"))
    with Direct(repo) as s:
        assert "more" in names(s.checkout(head(repo))[0])


def test_a_shallow_clone_stays_one(repo, tmp_path):
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{repo}", "clone")
    out = tmp_path / "out.tar"
    totals = Jailed(tmp_path / "clone").checkout(out, head(repo), working=False)
    assert totals["shallow"]
    there = assemble(out.read_bytes(), tmp_path / "there", working=False)
    assert len(git(there, "rev-list", "HEAD").split()) == 2
    git(there, "fsck")
    (answer,) = Jailed(tmp_path / "clone").ask(("resolve", "", git(repo, "rev-list", "--max-parents=0", "HEAD")))
    assert answer["code"] == 2 and "git fetch --unshallow" in answer["error"]


def save(top, name, content="x"):
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    git(top, "add", "-A")
    git(top, "commit", "-qm", name)
    return head(top)


def test_what_changed_is_compared_with_a_commit_its_parent_or_the_fork(repo):
    root = git(repo, "rev-list", "--max-parents=0", "HEAD").strip()
    fork = head(repo)
    git(repo, "checkout", "-qb", "topic")
    save(repo, "topic/one")
    topic = save(repo, "topic/two")
    git(repo, "checkout", "-q", "-")
    base = save(repo, "base/one")
    by_commit, by_fork, by_parent, by_root, by_nobody = Jailed(repo).ask(
        ("changed", base, "commit", topic), ("changed", base, "fork", topic), ("changed", topic, "parent", topic),
        ("changed", root, "parent", root), ("changed", "1" * 40, "commit", topic))
    assert by_commit == {"paths": ["base/one", "topic/one", "topic/two"], "truncated": False, "commits": 2}
    assert by_fork == {"paths": ["topic/one", "topic/two"], "truncated": False, "commits": 2}
    assert by_parent == {"paths": ["topic/two"], "truncated": False, "commits": 1}
    assert by_root == {"paths": [".gitignore", "file"], "truncated": False, "commits": 1}
    assert by_nobody["code"] == 2 and "no commit" in by_nobody["error"]
    git(repo, "checkout", "-q", "--orphan", "alone")
    (answer,) = Jailed(repo).ask(("changed", fork, "fork", save(repo, "alone")))
    assert answer["code"] == 2 and "no common ancestor" in answer["error"]


def test_what_changed_at_the_end_of_a_shallow_clone_is_unknown(repo, tmp_path):
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repo}", "clone")
    (answer,) = Jailed(tmp_path / "clone").ask(("changed", head(repo), "parent", head(repo)))
    assert answer["code"] == 2 and "the history ends at the commit" in answer["error"] and "git fetch --unshallow" in answer["error"]


@pytest.mark.parametrize("n", [300, 301])
def test_what_changed_is_at_most_300_paths(repo, n):
    for i in range(n):
        (repo / f"{i:04}").write_text("x")
    (answer,) = Jailed(repo).ask(("changed", head(repo), "commit", save(repo, "0000")))
    assert answer == {"paths": [f"{i:04}" for i in range(300)], "truncated": n > 300, "commits": 1}


def test_commits_are_counted_up_to_1001(repo):
    first = head(repo)
    stream = "".join(f"commit refs/heads/many\ncommitter x <x@x> {i} +0000\ndata 0\n{f'from {first}' if i == 0 else ''}\n" for i in range(1005))
    subprocess.run(["git", "-C", repo, "fast-import", "--quiet"], input=stream, text=True, check=True)
    many, within = Jailed(repo).ask(("changed", first, "commit", git(repo, "rev-parse", "many")),
                                    ("changed", first, "commit", git(repo, "rev-parse", "many~5")))
    assert (many["commits"], within["commits"]) == (1001, 1000)


def test_a_bare_repository_gives_commits_only(repo, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", repo, "bare.git")
    bare = tmp_path / "bare.git"
    facts, working, commit = Jailed(bare).ask(
        ("facts",), ("checkout", "", head(repo), "", "working", 0, "tags", tmp_path / "a.tar"),
        ("checkout", "", head(repo), "", "commit", 0, "tags", tmp_path / "b.tar"))
    assert facts["bare"] and not facts["dirty"]
    assert working["code"] == 2 and "no working tree" in working["error"]
    assert git(assemble((tmp_path / "b.tar").read_bytes(), tmp_path / "there", working=False), "describe") == "v2-1-g" + head(
        repo)[:7]


def test_clear_words_where_there_is_no_commit(tmp_path):
    (tmp_path / "plain").mkdir()
    (answer,) = Jailed(tmp_path / "plain").ask(("facts",))
    assert answer["code"] == 2 and "git init" in answer["error"]
    git(tmp_path, "init", "-q", "unborn")
    facts, head_ = Jailed(tmp_path / "unborn").ask(("facts",), ("resolve", "", ""))
    assert facts["code"] == head_["code"] == 2 and "no commit yet" in facts["error"]
    (answer,) = Jailed(tmp_path / "missing").ask(("facts",))
    assert answer["code"] == 2 and "No such file" in answer["error"]


@pytest.mark.parametrize("plant, words", [
    (lambda g: (g / "objects/info/alternates").write_text("/elsewhere/objects\n"), "git repack -a -d"),
    (lambda g: (g / "packed-refs").write_text("0123 refs/heads/x\n"), "packed-refs, line 1"),
    (lambda g: (g / "packed-refs").write_text("0" * 40 + " refs/heads/../x\n"), "packed-refs, line 1"),
    (lambda g: (g / "HEAD").write_text("ref: refs/heads/../../x\n"), "HEAD"),
    (lambda g: (g / "shallow").write_text("zz\n"), "shallow"),
    (lambda g: (g / "config").write_text("[core]\nrepositoryformatversion = 7\n"), "format version"),
    (lambda g: (g / "config").write_text("[core]\nrepositoryformatversion = 1\n[extensions]\nnew = 1\n"), "extension"),
    (lambda g: (g / "config").write_text("[core\n"), "bad config line 1"),
    (lambda g: (g / "config").write_bytes(b"x" * (2 << 20)), "config"),
])
def test_a_repository_that_cannot_be_used_is_refused_with_a_reason(repo, plant, words):
    plant(repo / ".git")
    (answer,) = Jailed(repo).ask(("facts",))
    assert answer["code"] == 2 and words in answer["error"], answer


def test_missing_objects_of_a_partial_clone(repo, tmp_path):
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repo}", "partial")
    (answer,) = Jailed(tmp_path / "partial").ask(
        ("checkout", "", head(repo), "", "commit", 0, "tags", tmp_path / "x.tar"))
    assert answer["code"] == 2 and "partial clone" in answer["error"], answer


# ---- hostile repositories

CANARY = "canary"


def shell(top, copies=True):
    """A command that leaves a canary, and copies its input where a filter would."""
    script = top.parent / ("copy.sh" if copies else "fail.sh")
    script.write_text(f"#!/bin/sh\ntouch {top.parent / CANARY}\n" + ("exec cat\n" if copies else "exit 1\n"))
    script.chmod(0o755)
    return str(script)


def attributes(top):
    (top / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "attributes")
    (top / "file").write_text("touched\n")


def plant_include(top, cmd):
    (top / "more.cfg").write_text(f"[core]\n\tfsmonitor = {cmd}\n")
    git(top, "config", "include.path", "../more.cfg")


def plant_include_if(top, cmd):
    (top / "more.cfg").write_text(f"[core]\n\tfsmonitor = {cmd}\n")
    git(top, "config", "includeIf.gitdir:/**.path", str(top / "more.cfg"))


def plant_filter(top, cmd):
    attributes(top)
    git(top, "config", "filter.evil.clean", cmd)
    git(top, "config", "filter.evil.smudge", cmd)


def plant_filter_process(top, cmd):
    attributes(top)
    git(top, "config", "filter.evil.process", cmd)


def plant_textconv(top, cmd):
    attributes(top)
    git(top, "config", "diff.evil.textconv", cmd)


def plant_diff_command(top, cmd):
    attributes(top)
    git(top, "config", "diff.evil.command", cmd)


def plant_attributes_file(top, cmd):
    (top / "attr").write_text("* filter=evil\n")
    git(top, "config", "core.attributesFile", str(top / "attr"))
    git(top, "config", "filter.evil.clean", cmd)
    (top / "file").write_text("touched\n")


def plant_info_attributes(top, cmd):
    (top / ".git/info").mkdir(exist_ok=True)
    (top / ".git/info/attributes").write_text("* filter=evil\n")
    git(top, "config", "filter.evil.clean", cmd)
    (top / "file").write_text("touched\n")


def plant_hook(name):
    def plant(top, cmd):
        hook = top / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nexec {cmd} </dev/null\n")
        hook.chmod(0o755)
    return plant


def plant_hooks_path(top, cmd):
    (top / "hooks").mkdir()
    (top / "hooks/post-checkout").write_text(f"#!/bin/sh\nexec {cmd} </dev/null\n")
    (top / "hooks/post-checkout").chmod(0o755)
    git(top, "config", "core.hooksPath", str(top / "hooks"))


def plant_promisor(top, cmd):
    """An object is missing, and the way to fetch it is a command."""
    blob = git(top, "rev-parse", "HEAD:file")
    git(top, "config", "core.repositoryFormatVersion", "1")
    git(top, "config", "extensions.partialClone", "origin")
    git(top, "config", "remote.origin.url", str(top))
    git(top, "config", "remote.origin.promisor", "true")
    git(top, "config", "remote.origin.uploadpack", shell(top, copies=False))
    (top / ".git/objects" / blob[:2] / blob[2:]).unlink()


def plant_ssh_command(top, cmd):
    plant_promisor(top, cmd)
    git(top, "config", "--unset", "remote.origin.uploadpack")
    git(top, "config", "remote.origin.url", "ssh://nowhere.invalid/x")
    git(top, "config", "core.sshCommand", shell(top, copies=False))


def plant_ext_url(top, cmd):
    plant_promisor(top, cmd)
    git(top, "config", "--unset", "remote.origin.uploadpack")
    git(top, "config", "remote.origin.url", f"ext::{shell(top, copies=False)}")
    git(top, "config", "protocol.ext.allow", "always")


def plant_gpg(top, cmd):
    git(top, "config", "log.showSignature", "true")
    git(top, "config", "gpg.program", cmd)
    tree = git(top, "rev-parse", "HEAD^{tree}")
    text = (f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n"
            "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\nsigned\n")
    commit = git(top, "hash-object", "-t", "commit", "-w", "--stdin", input=text.encode())
    git(top, "update-ref", "HEAD", commit)


def plant_submodule(top, cmd):
    inner = top.parent / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "--allow-empty", "-qm", "x")
    git(top, "submodule", "--quiet", "add", inner, "sub")
    git(top, "commit", "-qm", "sub")
    git(top / "sub", "config", "core.fsmonitor", cmd)


def plant_nested(top, cmd):
    (top / "nested").mkdir()
    git(top / "nested", "init", "-q")
    git(top / "nested", "commit", "--allow-empty", "-qm", "x")
    git(top / "nested", "config", "core.fsmonitor", cmd)
    git(top, "add", "nested")


def plant_worktree_config(top, cmd):
    git(top, "config", "core.repositoryFormatVersion", "1")
    git(top, "config", "extensions.worktreeConfig", "true")
    git(top, "config", "--worktree", "core.fsmonitor", cmd)


# Each trick with the git command that shows it is alive.
TRICKS = {
    "fsmonitor": (lambda top, cmd: git(top, "config", "core.fsmonitor", cmd), ["status"]),
    "include": (plant_include, ["status"]),
    "include-if": (plant_include_if, ["status"]),
    "worktree-config": (plant_worktree_config, ["ls-files", "-o"]),
    "filter": (plant_filter, ["status"]),
    "filter-process": (plant_filter_process, ["status"]),
    "attributes-file": (plant_attributes_file, ["status"]),
    "info-attributes": (plant_info_attributes, ["status"]),
    "textconv": (plant_textconv, ["log", "-p", "-1"]),
    "diff-command": (plant_diff_command, ["diff"]),
    "diff-external": (lambda top, cmd: (git(top, "config", "diff.external", cmd), attributes(top)), ["diff"]),
    "alias": (lambda top, cmd: git(top, "config", "alias.st", f"!{cmd}"), ["st"]),
    "hook-post-index-change": (plant_hook("post-index-change"), ["update-index", "--force-write-index"]),
    "hook-post-checkout": (plant_hook("post-checkout"), ["checkout", "-q", "--detach"]),
    "hook-reference-transaction": (plant_hook("reference-transaction"), ["update-ref", "refs/x", "HEAD"]),
    "hooks-path": (plant_hooks_path, ["checkout", "-q", "--detach"]),
    "uploadpack": (plant_promisor, ["cat-file", "-p", "HEAD:file"]),
    "ssh-command": (plant_ssh_command, ["cat-file", "-p", "HEAD:file"]),
    "ext-url": (plant_ext_url, ["cat-file", "-p", "HEAD:file"]),
    "gpg-program": (plant_gpg, ["log", "-1"]),
    "submodule-fsmonitor": (plant_submodule, ["status"]),
    "nested-fsmonitor": (plant_nested, ["status"]),
    "editor": (lambda top, cmd: git(top, "config", "core.editor", cmd), ["commit", "--allow-empty", "--amend"]),
}


def drive(session, commit):
    """Every operation once; failures are fine, what counts is what ran."""
    for op, pairs in (("facts", []), ("resolve", [("repository", ""), ("ref", "main")]),
                      ("changed", [("base", commit), ("since", "parent"), ("head", commit)])):
        try:
            session.ask(op, *pairs)
        except Refused:
            pass
    try:
        for sub in session.submodules(commit):
            if sub["present"] == "1":
                session.checkout(sub["head"], repository=sub["path"])
    except Refused:
        pass
    for working in (True, False):
        for depth in (0, 1):
            try:
                session.checkout(commit, working=working, depth=depth, refs="tags")
            except Refused:
                pass


@pytest.mark.parametrize("trick", sorted(TRICKS))
def test_nothing_that_a_repository_configures_runs(repo, trick):
    """Without the jail, so that only devdep-source's own care stands between the trick and the host."""
    canary = repo.parent / CANARY
    plant, alive = TRICKS[trick]
    commit = head(repo)
    plant(repo, shell(repo))
    canary.unlink(missing_ok=True)
    git(repo, *alive, check=False, stdin=subprocess.DEVNULL, timeout=20)
    assert canary.exists(), f"the trick is dead: git {alive} did not run it"
    canary.unlink()
    with Direct(repo) as s:
        drive(s, commit)
        drive(s, head(repo))
    assert not canary.exists(), f"{trick} ran on the host"


def test_the_callers_environment_does_not_reach_git(repo):
    cmd, canary = shell(repo), repo.parent / CANARY
    trace = repo.parent / "trace"
    env = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": cmd,
           "GIT_TRACE": str(trace), "GIT_TRACE2": str(trace), "GIT_EXTERNAL_DIFF": cmd, "GIT_SSH_COMMAND": cmd, "GIT_PAGER": cmd,
           "GIT_DIR": "/nowhere", "GIT_EXEC_PATH": str(repo), "GIT_TEMPLATE_DIR": str(repo), "HOME": str(repo)}
    (repo / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {cmd}\n")
    with Direct(repo, env=env) as s:
        drive(s, head(repo))
        assert s.ask("facts")["commit"] == head(repo)
    assert not canary.exists() and not trace.exists()


def test_only_our_program_and_git_are_executed(repo, tmp_path):
    """Everything that can carry a command carries one; strace follows every process of a session."""
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace cannot trace here")
    cmd = shell(repo)
    canary = repo.parent / CANARY
    evil = f"$({cmd});`{cmd}`|{cmd}"
    ref = "refs/heads/$(touch${IFS}x);`id`|--upload-pack=x"
    git(repo, "update-ref", ref, "HEAD")
    git(repo, "symbolic-ref", "HEAD", ref)
    git(repo, "update-ref", "refs/tags/--exec=touch;`id`", "HEAD")
    (repo / f"--exec={evil}".replace("/", "_")).write_text("x")
    (repo / "-rf").write_text("x")
    for trick in ("fsmonitor", "include", "filter", "textconv", "alias", "hook-post-index-change", "submodule-fsmonitor"):
        TRICKS[trick][0](repo, cmd)
    git(repo, "config", "core.pager", cmd)  # alive on a terminal only
    canary.unlink(missing_ok=True)
    log = tmp_path / "strace.log"
    session = Jailed(repo, scratch=tmp_path,
                     before=["strace", "-f", "-qq", "-s", "4096", "-e", "trace=execve,execveat", "-e", "signal=none", "-o", log])
    commit = head(repo)
    answers = session.ask(("facts",), ("resolve", "", ref), ("resolve", "", "--exec=touch;`id`"), ("changed", commit, "parent", commit),
                          ("submodules", "", commit), ("checkout", "sub", head(repo / "sub"), "", "working", 0, "tags", tmp_path / "s.tar"),
                          ("checkout", "", commit, ref, "working", 0, "all", tmp_path / "a.tar"),
                          ("checkout", "", commit, "", "commit", 2, "tags", tmp_path / "b.tar"))
    assert not [a for a in answers if "error" in a], answers
    executed = {line.split('execve("')[1].split('"')[0] for line in log.read_text().splitlines() if 'execve("' in line}
    assert executed == {str(PROBE), str(PROGRAM), "/usr/bin/git"}
    by_descriptor = [line for line in log.read_text().splitlines() if "execveat(" in line]
    assert all('["devdep-source"' in line for line in by_descriptor) and len(by_descriptor) <= 1
    assert not canary.exists()
    there = assemble((tmp_path / "a.tar").read_bytes(), tmp_path / "there")
    assert git(there, "rev-parse", "refs/remotes/origin/" + ref[len("refs/heads/"):]) == commit


# ---- what a repository may point at


@pytest.fixture
def secret(tmp_path):
    """Another repository of the same user, which the hostile one must not reach."""
    other = tmp_path / "private"
    other.mkdir()
    git(other, "init", "-q")
    (other / "file").write_text("top secret\n")
    git(other, "add", "-A")
    git(other, "commit", "-qm", "private matters")
    return other


def refused(folder, *words):
    (answer,) = Jailed(folder).ask(("facts",))
    assert answer.get("code") == 2, answer
    for word in words:
        assert word in answer["error"], answer


def test_a_git_file_cannot_borrow_another_repository(tmp_path, secret):
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / ".git").write_text(f"gitdir: {secret}/.git\n")
    refused(hostile, "does not name this work tree back")
    (hostile / ".git").write_text("gitdir: /etc\n")
    refused(hostile, "which is no git folder")
    (hostile / ".git").write_text("gitdir: \n")
    refused(hostile, "found nothing")
    (hostile / ".git").write_text("x" * 100000)
    refused(hostile)
    (hostile / ".git").unlink()
    (hostile / ".git").symlink_to(secret / ".git")
    refused(hostile, "symbolic link")


def test_a_git_file_cannot_take_another_work_trees_folder(tmp_path, secret):
    git(secret, "worktree", "add", "-q", tmp_path / "linked")
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / ".git").write_text((tmp_path / "linked/.git").read_text())
    refused(hostile, "belongs to another work tree")


def test_a_common_folder_must_own_the_git_folder(repo, tmp_path, secret):
    (repo / ".git/commondir").write_text(f"{secret}/.git\n")
    refused(repo, "commondir")
    hostile = tmp_path / "hostile"
    fake = hostile / "fake"
    fake.mkdir(parents=True)
    (hostile / ".git").write_text("gitdir: fake\n")
    (fake / "gitdir").write_text(f"{hostile}/.git\n")
    (fake / "HEAD").write_text("ref: refs/heads/main\n")
    (fake / "commondir").write_text(f"{secret}/.git\n")
    refused(hostile, "commondir")


def test_a_submodule_cannot_borrow_another_repository(tmp_path, secret):
    top = make_submodules(tmp_path)
    (top / "lib/outer/.git").write_text(f"gitdir: {secret}/.git\n")
    with Direct(top) as s:
        (outer,) = s.submodules(head(top))
        assert outer["present"] == "0" and "not below .git/modules" in outer["why"]
        with pytest.raises(Refused):
            s.checkout(head(secret), repository="lib/outer")
    (top / "lib/outer/.git").write_text("gitdir: ../../.git/modules/../../../private/.git\n")
    with Direct(top) as s:
        assert s.submodules(head(top))[0]["present"] == "0"


def test_links_inside_the_git_folder_are_not_followed(repo, secret):
    for name in ("HEAD", "packed-refs", "config"):
        target = repo / ".git" / name
        kept = target.read_bytes() if target.exists() else None
        target.unlink(missing_ok=True)
        target.symlink_to(secret / ".git/HEAD")
        with pytest.raises(Refused, match="symbolic link") as refused:
            with Direct(repo) as s:
                s.ask("facts")
        target.unlink()
        if kept is not None:
            target.write_bytes(kept)


def wait_until_blocked(process):
    """Until devdep-source waits for us to read: its system call is write()."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        word = pathlib.Path(f"/proc/{process.pid}/syscall").read_text().split()[0]
        if word == "1":
            return
        time.sleep(0.01)
    raise AssertionError("devdep-source does not wait for its client")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads a system call number")
def test_what_is_swapped_between_list_and_read_leaks_nothing(repo, tmp_path):
    (tmp_path / "shadow").write_text("root:secret\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("secret\n")
    (repo / "a-big").write_bytes(os.urandom(2 << 20))
    for name in ("z-file", "z-fifo", "z-gone"):
        (repo / name).write_text("mine\n")
    (repo / "z-folder").mkdir()
    (repo / "z-folder/file").write_text("mine\n")
    with Direct(repo) as s:
        s.begin_checkout(head(repo))
        stream = s.chunks()
        tar = next(stream)
        wait_until_blocked(s.process)
        for name in ("z-file", "z-fifo", "z-gone", "z-folder/file"):
            (repo / name).unlink()
        (repo / "z-folder").rmdir()
        (repo / "z-file").symlink_to(tmp_path / "shadow")
        os.mkfifo(repo / "z-fifo")
        (repo / "z-folder").symlink_to(tmp_path / "outside")
        tar += b"".join(stream)
        totals = s.fields()
    assert b"secret" not in tar
    members = {m.name: m for m in tarfile.open(fileobj=io.BytesIO(tar))}
    assert members["z-file"].issym()
    assert not {"z-gone", "z-fifo", "z-folder/file"} & set(members)
    assert "z-fifo: left out" in totals["note"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads a system call number")
def test_a_file_that_shrinks_under_the_reader_fails_the_checkout(repo):
    (repo / "a-big").write_bytes(os.urandom(4 << 20))
    with Direct(repo) as s:
        s.begin_checkout(head(repo))
        stream = s.chunks()
        next(stream)
        wait_until_blocked(s.process)
        os.truncate(repo / "a-big", 10)
        for _ in stream:
            pass
        with pytest.raises(Refused) as refused:
            s.fields()
        assert refused.value.code == 2 and "a-big became shorter" in str(refused.value)
        assert s.ask("facts")["commit"] == head(repo), "the session goes on"


# ---- hostile clients


@pytest.mark.parametrize("pairs", [
    [("op", "resolve"), ("ref", "main")],
    [("op", "sing")],
    [("ref", "main")],
    [("op", "submodules"), ("repository", ""), ("commit", "--help")],
    [("op", "submodules"), ("repository", ""), ("commit", "HEAD")],
    [("op", "changed"), ("base", "-O/etc/passwd"), ("since", "commit"), ("head", "0" * 40)],
    [("op", "changed"), ("base", "0" * 40), ("since", "commit"), ("head", "--output=/tmp/x")],
    [("op", "changed"), ("base", "0" * 40), ("since", "--root"), ("head", "0" * 40)],
    [("op", "resolve"), ("repository", "../x"), ("ref", "main")],
    [("op", "resolve"), ("repository", "/etc"), ("ref", "main")],
    [("op", "resolve"), ("repository", ".git"), ("ref", "main")],
    [("op", "resolve"), ("repository", ""), ("ref", "x" * 2000)],
    [("op", "resolve"), ("op", "facts")],
    [("op", "checkout"), ("repository", ""), ("commit", "0" * 40), ("ref", "--x"), ("working", 0), ("depth", 0), ("refs", "tags")],
    [("op", "checkout"), ("repository", ""), ("commit", "0" * 40), ("ref", ""), ("working", 2), ("depth", 0), ("refs", "tags")],
    [("op", "checkout"), ("repository", ""), ("commit", "0" * 40), ("ref", ""), ("working", 0), ("depth", -1), ("refs", "tags")],
    [("op", "checkout"), ("repository", ""), ("commit", "0" * 40), ("ref", ""), ("working", 0), ("depth", 2), ("refs", "all")],
])
def test_a_request_that_breaks_the_protocol_is_cut_off(repo, pairs):
    from source_session import fields
    with Direct(repo) as s:
        s.sock.sendall(fields(*pairs))
        with pytest.raises(Refused) as refused:
            s.fields()
        assert refused.value.code == 303
        assert s.sock.recv(1) == b""


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\1\0\1", b"\0\0\0\4\0\0\0\0", b"\0\0\0\x08\0\2op\0\0\0\xff"],
                         ids=["huge", "one past", "no key", "cut"])
def test_garbage_is_cut_off(repo, data):
    """Before the rest of it is waited for: a length past the limit ends the session at once."""
    with Direct(repo) as s:
        s.sock.settimeout(10)
        s.sock.sendall(data)
        with pytest.raises((Refused, EOFError, ConnectionResetError)):
            s.fields()
            s.fields()
    assert s.process.returncode != 0


def test_only_listed_submodules_can_be_named(tmp_path):
    top = make_submodules(tmp_path)
    with Direct(top) as s:
        with pytest.raises(Refused) as refused:
            s.ask("resolve", ("repository", "lib/outer"), ("ref", ""))
        assert refused.value.code == 2
        s.submodules(head(top))
        assert s.ask("resolve", ("repository", "lib/outer"), ("ref", ""))["commit"] == head(top / "lib/outer")


def test_a_client_that_goes_away_ends_everything(repo, tmp_path):
    (repo / "big").write_bytes(os.urandom(8 << 20))
    session = Jailed(repo, scratch=tmp_path)
    session.before = ["/usr/bin/env"]
    with pytest.raises(AssertionError):
        session.ask(("stall", "", head(repo), "", "working", 0, "tags", tmp_path / "x.tar"))
    assert not list(tmp_path.glob("source.*"))
    assert not pathlib.Path(f"/proc/{session.started['pid']}").exists()


# ---- the jail


def jailed_process(repo):
    """A session that is kept open: (process, pid of devdep-source)."""
    command = [PROBE, "--program", PROGRAM] + (["--uid", "70017"] if os.geteuid() == 0 else []) + [repo]
    probe = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    import json
    started = json.loads(probe.stdout.readline())
    return probe, started


def test_the_jail_holds_what_the_architecture_says(repo):
    probe, started = jailed_process(repo)
    try:
        probe.stdin.write("facts\n")
        probe.stdin.flush()
        assert "commit" in probe.stdout.readline()
        proc = pathlib.Path(f"/proc/{started['pid']}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
        assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
        assert {status[c] for c in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
        if os.geteuid() == 0:
            assert status["Uid"].split() == ["70017"] * 4
        for ns in ("net", "mnt", "pid", "ipc", "uts"):
            assert os.readlink(proc / "ns" / ns) != os.readlink(f"/proc/self/ns/{ns}"), ns
        assert [line.split(":")[0].strip() for line in (proc / "net/dev").read_text().splitlines()[2:]] == ["lo"]
        assert [os.readlink(proc / "fd" / fd) for fd in ("0", "1", "2")] == ["/dev/null"] * 3
        assert sorted(os.listdir(proc / "fd")) == ["0", "1", "2", "3", "4"], "the socket and the work tree"
        mounts = {line.split()[4]: line.split()[5].split(",") for line in (proc / "mountinfo").read_text().splitlines()}
        for there in ("/repo/top", "/repo/git", "/repo/common"):
            assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts[there]), mounts[there]
        assert {p for p, options in mounts.items() if "rw" in options} <= {"/dev/null", "/dev/urandom", "/dev/shm"}
        if started["protections"]["own-user"] == "ok":
            limits = (proc / "limits").read_text()
            assert next(line for line in limits.splitlines() if line.startswith("Max processes")).split()[2:4] == ["64", "64"]
        if os.geteuid() == 0:
            assert sorted(os.listdir(proc / "root/usr/bin")) == ["git"]
            assert not (proc / "root/bin").exists() and not (proc / "root/etc/passwd").exists()
    finally:
        probe.stdin.close()
        probe.wait(timeout=20)
    assert started["protections"]["seccomp"] == started["protections"]["empty-network"] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of several users")
def test_a_private_repository_of_root_is_readable_in_the_jail(repo, tmp_path):
    for root, dirs, files in os.walk(repo):
        for d in dirs:
            os.chmod(os.path.join(root, d), 0o700)
        for f in files:
            os.chmod(os.path.join(root, f), 0o600)
    os.chmod(repo, 0o700)
    (repo / "foreign").write_text("x")
    os.chown(repo / "foreign", 12345, 12345)
    os.chmod(repo / "foreign", 0o600)
    totals = Jailed(repo).checkout(tmp_path / "out.tar", head(repo))
    assert "error" not in totals, totals
    assert totals["notes"] == ["foreign: left out: the file cannot be read"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("owner, readable", [(12345, True), (0, True), (0, False)])
def test_a_file_system_that_cannot_map_owners(repo, tmp_path, owner, readable):
    """overlayfs, as in a container."""
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir()
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={repo.parent / 'project'},upperdir="
                              f"{tmp_path / 'upper'},workdir={tmp_path / 'work'}", tmp_path / "merged"], check=False)
    if mounted.returncode:
        pytest.skip("overlayfs is not available")
    try:
        merged = tmp_path / "merged"
        (merged / "secret").write_text("x")
        (merged / "secret").chmod(0o600)
        subprocess.run(["chown", "-R", f"{owner}:{owner}", merged], check=True)
        merged.chmod(0o755)
        if not readable:
            (merged / ".git").chmod(0o700)
        session = Jailed(merged, scratch=tmp_path)
        totals = session.checkout(tmp_path / "out.tar", head(repo))
        if session.started["protections"]["own-user"] == "ok":
            pytest.skip("this kernel maps owners on overlayfs")
        assert session.started["protections"]["own-user"] == "degraded"
        if not readable:
            assert "Permission denied" in totals["error"]
        else:
            assert totals["notes"] == ([] if owner else ["secret: left out: the file cannot be read"])
    finally:
        subprocess.run(["umount", tmp_path / "merged"], check=True)
