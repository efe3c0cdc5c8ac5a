"""What actions/checkout puts into a real guest: one repository with everything, one job with a checkout of each kind."""
import json
import os

import pytest

import devdep
import runs

pytestmark = [pytest.mark.guest, pytest.mark.user]


def checkout(name, **inputs):
    return {"id": name, "uses": "actions/checkout@v4", "with": {"path": name, **inputs}}


def look(name, script):
    return {"id": "in_" + name, "working-directory": name, "if": "${{ !cancelled() }}", "run": script}


@pytest.fixture(scope="module")
def tree():
    scene = runs.Scene()
    sub = scene.repo("sub")
    sub.write("inner.txt", "inner\n")
    sub_commit = sub.commit("inner")
    repo = scene.repo()
    repo.write("old.txt", "old\n")
    first = repo.commit("first")
    repo.git("tag", "-a", "v1.0", "-m", "one")
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(sub.path), "part")
    repo.write("kept.txt", "kept\n")
    repo.write("run.sh", "#!/bin/sh\necho executable\n", 0o755)
    repo.write("deleted.txt", "deleted\n")
    repo.write(".gitignore", "*.o\nbuild/\n")
    os.symlink("kept.txt", repo.path / "link")
    os.symlink("/etc/hostname", repo.path / "absolute")
    repo.workflow(json.dumps({"name": "ci", "on": "push", "jobs": {"a": {"runs-on": "ubuntu-latest", "steps": [
        checkout("whole"),
        look("whole", "git rev-parse HEAD; git describe --tags; git symbolic-ref -q HEAD || echo detached; git status --porcelain; echo end; "
                      "git log --oneline | wc -l; find . -path ./.git -prune -o -type f -print | sort; readlink link absolute; "
                      "./run.sh; cat kept.txt"),
        look("whole", "cat .git/config; git remote -v; git config --list --show-origin; ls .git .git/hooks 2>&1 || true; cat .git/* 2>/dev/null || true")
        | {"id": "secrets"},
        checkout("deep", **{"fetch-depth": 0}),
        look("deep", "git log --format=%s; git describe; git branch -r"),
        checkout("shallow", **{"fetch-depth": 1}),
        look("shallow", "git log --format=%s; git tag | wc -l"),
        checkout("tagged", ref="v1.0"),
        look("tagged", "git rev-parse HEAD; ls; git describe --exact-match || true"),
        checkout("with_parts", submodules=True),
        look("with_parts", "cat part/inner.txt; git -C part rev-parse HEAD; git submodule status"),
        checkout("bad", ref="no-such-ref") | {"continue-on-error": True},
    ]}}}))
    scene.commit = repo.commit("second")
    repo.git("branch", "elsewhere", first)
    scene.first, scene.sub_commit = first, sub_commit
    # The working tree: what is there now counts, not only what was committed.
    repo.write("kept.txt", "kept and changed\n")
    repo.write("new.txt", "new\n")
    repo.write("ignored.o", "ignored\n")
    repo.write("build/ignored", "ignored\n")
    (repo.path / "deleted.txt").unlink()
    (repo.path / ".git/config").open("a").write("[user]\n\tname = planted-developer\n[http]\n\textraHeader = planted-credential\n"
                                                "[url \"https://planted-token@host/\"]\n\tinsteadOf = https://host/\n")
    (repo.path / ".git/hooks/planted-hook").write_text("#!/bin/sh\n")
    devdep.give(repo.path)
    scene.run = scene.json(repo)
    yield scene
    scene.close()


@pytest.fixture
def job(tree):
    return tree.run["a"]


def test_head_is_detached_at_the_commit_and_git_describe_works(tree, job):
    assert job["in_whole"].outcome == "success", job["in_whole"]
    lines = job["in_whole"].lines
    assert lines[:3] == [tree.commit, "v1.0-1-g" + tree.commit[:7], "detached"], lines


def test_the_working_tree_arrives_as_it_is_now(job):
    lines = job["in_whole"].lines
    files = {line for line in lines if line.startswith("./")}
    assert {"./new.txt", "./kept.txt", "./run.sh", "./old.txt"} <= files
    assert not files & {"./ignored.o", "./build/ignored", "./deleted.txt"}
    assert "kept and changed" in lines and "executable" in lines


def test_git_status_in_the_guest_shows_the_developers_changes_only(job):
    lines = job["in_whole"].lines
    status = sorted(lines[lines.index("detached") + 1:lines.index("end")])
    assert status == [" D deleted.txt", " M kept.txt", "?? new.txt"], job["in_whole"]


def test_links_arrive_as_links(job):
    lines = job["in_whole"].lines
    assert "kept.txt" in lines and "/etc/hostname" in lines


def test_the_developers_git_configuration_and_credentials_stay_at_home(tree, job):
    assert job["secrets"].outcome == "success"
    assert "planted" not in job["secrets"].log, job["secrets"]
    assert "planted" not in "".join(str(e) for e in job.events)


def test_depth_n_is_n_commits_without_one_it_is_the_commits_history_and_0_is_everything(job):
    lines = job["in_whole"].lines
    assert lines[lines.index("end") + 1].strip() == "2" and job["in_shallow"].lines == ["second", "0"], job["in_shallow"]
    assert job["in_deep"].lines[:2] == ["second", "first"] and job["in_deep"].lines[2].startswith("v1.0-1-g"), job["in_deep"]
    assert any("elsewhere" in line for line in job["in_deep"].lines[3:]), job["in_deep"]


def test_a_ref_and_a_path_choose_what_comes_where(tree, job):
    assert job["in_tagged"].lines[:2] == [tree.first, "old.txt"], job["in_tagged"]


def test_submodules_come_with_their_files_at_their_commit(tree, job):
    assert job["in_with_parts"].lines[:2] == ["inner", tree.sub_commit], job["in_with_parts"]


def test_a_ref_that_is_nowhere_fails_the_step_with_its_name(job):
    assert job["bad"].outcome == "failure" and "no-such-ref" in job["bad"].reason
