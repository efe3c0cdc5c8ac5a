"""The operator's mirror of actions: which commit a `uses:` gets, and its action file and tree (docs/actions-mirror.md)."""
import io
import tarfile

import pytest

from source_session import PROBE, PROGRAM, Direct, Jailed, Refused, git

pytestmark = pytest.mark.skipif(not PROGRAM.exists() or not PROBE.exists(), reason="devdep-source is not built")

MANIFEST = "name: Greet\nruns: {using: composite, steps: []}\n"


def commit_all(top, message="change"):
    git(top, "add", "-A")
    git(top, "commit", "-qm", message)
    return git(top, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path):
    """What an action's author has: a file, a program, a link, a folder of its own, and what no archive holds."""
    top = tmp_path / "upstream"
    (top / "sub/deep").mkdir(parents=True)
    git(tmp_path, "init", "-q", top)
    (top / "action.yml").write_text(MANIFEST)
    (top / "sub/deep/action.yaml").write_text("name: Deep\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("run.sh")
    (top / "notes.txt").write_text("for authors\n")
    (top / ".gitattributes").write_text("notes.txt export-ignore\n")
    commit_all(top, "first")
    git(top, "tag", "v1")
    return top


@pytest.fixture
def mirror(tmp_path, upstream):
    """The mirror holds it as owner/greet.git; v1 is pinned."""
    folder = tmp_path / "mirror"
    (folder / "owner").mkdir(parents=True)
    git(folder, "clone", "-q", "--bare", upstream, "owner/greet.git")
    (folder / "pins").write_text(f"# ours\nOwner/Greet@v1 {git(upstream, 'rev-parse', 'v1')}\n")
    return folder


def session(mirror, top=None):
    return Direct(top, mirror=mirror, pins=mirror / "pins")


def refused(mirror, *what):
    with session(mirror) as s, pytest.raises(Refused) as refusal:
        s.action(*what)
    assert refusal.value.code == 2
    return str(refusal.value)


def names(tar):
    return {m.name: m for m in tarfile.open(fileobj=io.BytesIO(tar))}


def test_a_pin_decides_what_a_tag_means(mirror, upstream):
    pinned = git(upstream, "rev-parse", "v1")
    (upstream / "action.yml").write_text("name: Moved\n")
    commit_all(upstream)
    git(upstream, "tag", "-f", "v1")
    git(mirror / "owner/greet.git", "fetch", "-q", "--force", "--tags", upstream)
    assert git(mirror / "owner/greet.git", "rev-parse", "v1") != pinned
    with session(mirror) as s:
        answer = s.action("owner/greet", "v1")
        assert (answer["commit"], answer["file"], answer["manifest"]) == (pinned, "action.yml", MANIFEST)
        assert s.action_tree("owner/greet", "v1")[1]["commit"] == pinned


def test_a_full_id_is_taken_as_it_is_when_it_is_there(mirror, upstream):
    commit = git(upstream, "rev-parse", "v1")
    with session(mirror) as s:
        assert s.action("owner/greet", commit)["commit"] == commit
    assert f"the repository has no commit '{'0' * 40}'" in refused(mirror, "owner/greet", "0" * 40)
    blob = git(upstream, "rev-parse", "v1:action.yml")
    assert "the repository has no commit" in refused(mirror, "owner/greet", blob)


def test_everything_else_is_refused(mirror, upstream):
    commit = git(upstream, "rev-parse", "v1")
    assert refused(mirror, "owner/greet", "main") == "owner/greet@main is not pinned to a commit"
    assert refused(mirror, "owner/greet", commit[:12]) == f"owner/greet@{commit[:12]} is not pinned to a commit"
    assert refused(mirror, "owner/other", "v1") == f"owner/other is not in the mirror {mirror}"
    (mirror / "pins").write_text(f"owner/greet@v1 {'1' * 40}\n")
    assert "owner/greet@v1: the repository has no commit '1111" in refused(mirror, "owner/greet", "v1")


def test_the_tree_is_the_archive_of_the_commit(mirror, upstream):
    with session(mirror) as s:
        tar, totals = s.action_tree("owner/greet", "v1")
        again, _ = s.action_tree("owner/greet", git(upstream, "rev-parse", "v1"))
    assert int(totals["bytes"]) == len(tar) and again == tar
    found = names(tar)
    assert set(found) == {".gitattributes", "action.yml", "link", "run.sh", "sub", "sub/deep", "sub/deep/action.yaml"}
    assert found["link"].linkname == "run.sh"
    assert (found["run.sh"].mode, found["action.yml"].mode) == (0o755, 0o644)


def test_an_action_may_lie_in_a_folder(mirror):
    with session(mirror) as s:
        answer = s.action("owner/greet", "v1", "sub/deep")
    assert (answer["file"], answer["manifest"]) == ("action.yaml", "name: Deep\n")
    assert "has neither sub/action.yml nor sub/action.yaml" in refused(mirror, "owner/greet", "v1", "sub")
    assert "has neither nowhere/action.yml nor" in refused(mirror, "owner/greet", "v1", "nowhere")


def test_an_action_file_is_a_regular_file_of_bounded_size(mirror, upstream):
    bare = mirror / "owner/greet.git"
    (upstream / "action.yml").unlink()
    (upstream / "action.yml").symlink_to("run.sh")
    linked = commit_all(upstream)
    (upstream / "action.yml").unlink()
    (upstream / "action.yml").write_bytes(b"#" * (512 << 10))
    full = commit_all(upstream)
    (upstream / "action.yml").write_bytes(b"#" * ((512 << 10) + 1))
    large = commit_all(upstream)
    git(bare, "fetch", "-q", upstream, "HEAD")
    assert "action.yml of commit" in (words := refused(mirror, "owner/greet", linked)) and "is no regular file" in words
    with session(mirror) as s:
        assert len(s.action("owner/greet", full)["manifest"]) == 512 << 10
        with pytest.raises(Refused) as refusal:
            s.action("owner/greet", large)
    assert refusal.value.code == 304 and "more than 524288 bytes" in str(refusal.value)


def test_a_clone_serves_as_well(mirror, upstream):
    git(mirror, "clone", "-q", upstream, "owner/cloned")
    (mirror / "owner/cloned/action.yml").write_text("not committed\n")
    with session(mirror) as s:
        assert s.action("owner/cloned", git(upstream, "rev-parse", "v1"))["manifest"] == MANIFEST


def test_a_link_is_no_repository(mirror):
    (mirror / "owner/linked.git").symlink_to("greet.git")
    assert "owner/linked is not in the mirror" in refused(mirror, "owner/linked", "v1")


def test_pins_that_are_malformed_end_the_session(mirror):
    (mirror / "pins").write_text("owner/greet v1\n")
    with pytest.raises(Refused, match="pins:1: expected OWNER/REPO@REF COMMIT"):
        session(mirror)


@pytest.mark.parametrize("pairs", [
    (("action", "Owner/Greet"), ("ref", "v1"), ("path", "")),
    (("action", "owner/../greet"), ("ref", "v1"), ("path", "")),
    (("action", "greet"), ("ref", "v1"), ("path", "")),
    (("action", "owner/greet"), ("ref", "--output=x"), ("path", "")),
    (("action", "owner/greet"), ("ref", ""), ("path", "")),
    (("action", "owner/greet"), ("ref", "v1"), ("path", "../x")),
    (("action", "owner/greet"), ("ref", "v1"), ("path", "/x")),
    (("action", "owner/greet"), ("ref", "v1")),
])
def test_a_request_that_names_no_action_is_cut_off(mirror, pairs):
    with session(mirror) as s:
        with pytest.raises(Refused) as refusal:
            s.ask("action", *pairs)
        assert refusal.value.code == 303


def test_only_a_mirror_and_only_a_repository(mirror, upstream):
    with session(mirror) as s:
        with pytest.raises(Refused, match="there is no repository, only a mirror of actions"):
            s.ask("facts")
        assert s.action("owner/greet", "v1")["manifest"] == MANIFEST
    with Direct(upstream) as s, pytest.raises(Refused, match="there is no mirror of actions"):
        s.action("owner/greet", "v1")
    with session(mirror, upstream) as s:
        assert s.ask("facts")["commit"] == s.action("owner/greet", "v1")["commit"]


def test_nothing_that_a_mirrored_repository_configures_runs(mirror, upstream, tmp_path):
    """A smudge filter runs in `git archive`; shown alive first."""
    canary = tmp_path / "canary"
    (upstream / ".gitattributes").write_text("* filter=evil\n")
    commit = commit_all(upstream)
    bare = mirror / "owner/greet.git"
    git(bare, "fetch", "-q", upstream, "HEAD")
    git(bare, "config", "filter.evil.smudge", f"touch {canary}; cat")
    git(bare, "config", "core.fsmonitor", f"touch {canary}")
    git(bare, "archive", "-o", tmp_path / "alive.tar", commit)
    assert canary.exists(), "the trick is dead"
    canary.unlink()
    with session(mirror) as s:
        tar, _ = s.action_tree("owner/greet", commit)
    assert "action.yml" in names(tar) and not canary.exists()


def test_in_the_jail_and_without_a_repository(mirror, upstream, tmp_path):
    out = tmp_path / "tree.tar"
    jail = Jailed(None, mirror=mirror, pins=mirror / "pins")
    action, tree, lost = jail.ask(("action", "owner/greet", "v1", ""), ("action_tree", "owner/greet", "v1", out),
                                  ("action_tree", "owner/greet", "v2", tmp_path / "lost.tar"))
    commit = git(upstream, "rev-parse", "v1")
    assert action == {"commit": commit, "file": "action.yml", "manifest": MANIFEST}
    assert tree["commit"] == commit and tree["bytes"] == out.stat().st_size
    assert "run.sh" in names(out.read_bytes())
    assert lost == {"error": "owner/greet@v2 is not pinned to a commit", "code": 2}
    assert jail.started["protections"]["own-user"] in ("ok", "degraded")
