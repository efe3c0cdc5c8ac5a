"""devdep-cli actions, and what plan says about actions of other repositories (docs/actions-mirror.md)."""
import concurrent.futures
import json

import pytest

from devdep import Repo, give

pytestmark = pytest.mark.user

COMPOSITE = "name: Greet\nruns:\n  using: composite\n  steps:\n    - {run: echo hi, shell: bash}\n"


class World:
    """A mirror, repositories of actions, and a workflow that uses them."""

    def __init__(self, cli, folder):
        self.cli, self.folder = cli, folder
        self.mirror = folder / "mirror"

    def action(self, name, manifest=COMPOSITE):
        """An action's own repository, as its author has it: one commit, tagged v1."""
        repo = Repo(self.folder / name)
        repo.write("action.yml", manifest)
        repo.head = repo.commit()
        repo.git("tag", "-f", "v1")
        return repo

    def add(self, repo, name, *args):
        return self.cli("actions", "add", repo.path, name, "--actions", self.mirror, *args)

    def added(self, name, *args, manifest=COMPOSITE):
        """In the mirror as owner/name@v1."""
        repo = self.action(name, manifest)
        result = self.add(repo, f"owner/{name}", *(args or ["--pin", "v1"]))
        assert result.status == 0, result
        return repo

    def actions(self, command, *args):
        return self.cli("actions", command, "--actions", self.mirror, *args)

    def plan(self, *uses, args=None):
        repo = Repo(self.folder / "project")
        steps = "".join(f"      - uses: {u}\n" for u in uses)
        repo.workflow(f"on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}")
        repo.commit()
        return self.cli("plan", *(["--actions", self.mirror] if args is None else args), cwd=repo.path)

    def refused(self, *uses, args=None):
        result = self.plan(*uses, args=args)
        assert result.status == 2 and not result.out, result
        return result.err


@pytest.fixture
def world(cli, folder):
    give(folder)
    return World(cli, folder)


# ---- filling the mirror


def test_a_pin_is_added_listed_and_removed(world):
    repo = world.action("greet")
    result = world.add(repo, "Owner/Greet", "--pin", "v1")
    assert result.status == 0 and result.out == f"owner/greet@v1 is pinned to {repo.head}\n", result
    assert (world.mirror / "pins").read_text() == f"owner/greet@v1 {repo.head}\n"
    listed = json.loads(world.actions("ls", "--json").out)
    assert listed == {"mirror": str(world.mirror.resolve()), "actions": [
        {"repository": "owner/greet", "kind": "repository", "pins": [{"ref": "v1", "commit": repo.head}]}]}
    assert world.actions("ls").out == f"{repo.head}  owner/greet@v1\n"
    assert world.plan("owner/greet@v1", f"owner/greet@{repo.head}").status == 0
    assert world.actions("rm", "owner/greet@v1").status == 0
    assert "owner/greet@v1 is not pinned" in world.refused("owner/greet@v1")
    assert world.plan(f"owner/greet@{repo.head}").status == 0
    assert world.actions("rm", "owner/greet").status == 0
    assert not (world.mirror / "owner/greet.git").exists()
    assert "owner/greet is not in the mirror" in world.refused(f"owner/greet@{repo.head}")


def test_without_a_pin_the_commit_is_there_by_its_id(world):
    repo = world.action("greet")
    result = world.add(repo, "owner/greet")
    assert result.out == f"owner/greet has commit {repo.head}; use it as owner/greet@{repo.head}\n", result
    assert world.plan(f"owner/greet@{repo.head}").status == 0
    assert world.actions("ls").out == f"{'(nothing is pinned)':40}  owner/greet\n"


def test_the_id_of_a_commit_is_not_a_branch_that_its_author_called_so(world):
    repo = world.action("greet")
    good = repo.head
    repo.write("action.yml", COMPOSITE + "# evil\n")
    evil = repo.commit()
    repo.git("update-ref", f"refs/heads/{good}", evil)
    assert world.add(repo, "owner/greet", "--pin", "v2", "--commit", good).out == f"owner/greet@v2 is pinned to {good}\n"


def test_a_pin_moves_when_it_is_added_again_and_what_it_meant_stays(world):
    repo = world.added("greet")
    first = repo.head
    (world.mirror / "pins").write_text(f"# ours\nowner/greet@v1 {first}\nother/one@v1 {'0' * 40}\n")
    repo.write("action.yml", COMPOSITE + "# newer\n")
    second = repo.commit()
    result = world.add(repo, "owner/greet", "--pin", "v1", "--pin", "main", "--commit", "main")
    assert result.out == f"owner/greet@v1 is pinned to {second}\nowner/greet@main is pinned to {second}\n", result
    assert (world.mirror / "pins").read_text() == (f"# ours\nowner/greet@v1 {second}\nother/one@v1 {'0' * 40}\nowner/greet@main {second}\n")
    assert world.plan(f"owner/greet@{first}", "owner/greet@main").status == 0
    assert f"{'0' * 40}  other/one@v1  (the repository is missing)" in world.actions("ls").out


def test_what_is_added_is_the_commit_alone_without_its_history(world):
    repo = world.action("greet")
    repo.write("old", "x")
    old = repo.commit()
    repo.write("old", "y")
    new = repo.commit()
    assert world.add(repo, "owner/greet", "--commit", new).status == 0
    bare = Repo.__new__(Repo)
    bare.path = world.mirror / "owner/greet.git"
    assert bare.git("rev-list", new).split() == [new]
    assert not [line for line in bare.git("fsck", "--strict", "--full").splitlines() if not line.startswith("notice: ")]
    assert world.add(repo, "owner/greet", "--commit", old).status == 0
    assert bare.git("rev-list", "--no-walk", new, old).split() == [new, old]


def test_a_clone_in_the_mirror_is_pinned_and_left_alone(world):
    repo = world.action("greet")
    (world.mirror / "owner").mkdir(parents=True)
    give(world.mirror)
    Repo(world.folder / "any").git("clone", "-q", repo.path, world.mirror / "owner/greet")
    assert world.add(repo, "owner/greet", "--pin", "v1").status == 0
    assert not (world.mirror / "owner/greet.git").exists()
    assert world.plan("owner/greet@v1").status == 0
    repo.write("action.yml", COMPOSITE + "# newer\n")
    repo.commit()
    lacks = world.add(repo, "owner/greet", "--pin", "main")
    assert lacks.status == 2 and "is a clone that somebody keeps, and it lacks commit" in lacks.err
    removed = world.actions("rm", "owner/greet")
    assert removed.status == 2 and "is a clone that somebody keeps" in removed.err
    assert (world.mirror / "owner/greet/action.yml").exists() and (world.mirror / "pins").read_text() == ""


def test_two_at_a_time_leave_both_pins(world):
    repos = [world.action(f"a{n}") for n in range(6)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda n: world.add(repos[n], f"owner/a{n}", "--pin", "v1"), range(6)))
    assert all(r.status == 0 for r in results), results
    assert sorted((world.mirror / "pins").read_text().splitlines()) == [f"owner/a{n}@v1 {repos[n].head}" for n in range(6)]


@pytest.mark.parametrize("args, words", [
    (["greet", "owner"], "expected OWNER/REPO, found 'owner'"),
    (["greet", "owner/../x"], "expected OWNER/REPO, found 'owner/../x'"),
    (["greet", "owner/greet", "--pin", "v9"], "the repository has no commit 'v9'"),
    (["greet", "owner/greet", "--pin", "-x"], "--pin: expected a tag or a branch, found '-x'"),
    (["greet", "owner/greet", "--pin", "0" * 40], "--pin: expected a tag or a branch"),
    (["nowhere", "owner/greet"], "nowhere: No such file or directory"),
])
def test_what_cannot_be_added_is_said(world, args, words):
    world.action("greet")
    result = world.cli("actions", "add", "--actions", world.mirror, *args, cwd=world.folder)
    assert result.status == 2 and words in result.err, result
    assert not (world.mirror / "pins").exists()


def test_a_repository_of_other_ids_is_refused(world):
    """GitHub has none, and a pin of 64 digits would mean nothing elsewhere."""
    path = world.folder / "sha256"
    repo = Repo.__new__(Repo)
    repo.path = path
    path.mkdir()
    give(path)
    repo.git("init", "-q", "--object-format=sha256")
    repo.write("action.yml", COMPOSITE)
    repo.commit()
    result = world.add(repo, "owner/greet")
    assert result.status == 2 and "has ids of 64 digits; an action's repository has 40, as at GitHub" in result.err, result


def test_removing_what_is_not_there_is_an_error(world):
    assert "there is no mirror of actions" in world.actions("rm", "owner/greet").err
    world.added("greet")
    for what, words in (("owner/other", "owner/other is not in the mirror"), ("owner/greet@v2", "owner/greet@v2 is not pinned"),
                        ("greet", "expected OWNER/REPO, found 'greet'")):
        result = world.actions("rm", what)
        assert result.status == 2 and words in result.err, result


# ---- where the mirror is


def test_the_mirror_is_named_by_option_file_or_folder(world):
    repo = world.action("greet")
    state = world.cli.state
    assert "there is no mirror of actions" in world.refused("owner/greet@v1", args=[])
    assert world.cli("actions", "ls").out.startswith("the mirror is empty; fill it: devdep-cli actions add")
    assert world.cli("actions", "add", repo.path, "owner/greet", "--pin", "v1").status == 0
    assert (state / "actions/pins").exists() and world.plan("owner/greet@v1", args=[]).status == 0
    (state / "actions.conf").write_text(f"# elsewhere\nmirror = {world.mirror}\n")
    missing = world.refused("owner/greet@v1", args=[])
    assert f"{state}/actions.conf: the mirror of actions {world.mirror}: No such file or directory" in missing
    world.add(repo, "owner/greet", "--pin", "v1")
    assert world.plan("owner/greet@v1", args=[]).status == 0
    assert "--actions: the mirror of actions /nowhere: No such file" in world.refused("owner/greet@v1", args=["--actions", "/nowhere"])


def test_a_wrong_line_in_its_files_is_named(world):
    world.added("greet")
    (world.mirror / "pins").write_text("\nowner/greet v1\n")
    assert f"{world.mirror.resolve()}/pins:2: expected OWNER/REPO@REF COMMIT" in world.refused("owner/greet@v1")
    (world.cli.state / "actions.conf").write_text("folder = /x\n")
    assert f"{world.cli.state}/actions.conf:1: expected 'mirror = FOLDER'" in world.refused("owner/greet@v1", args=[])


# ---- what a plan says


def test_what_is_missing_has_its_place_and_what_to_do(world):
    err = world.refused("actions/checkout@v4", "owner/greet@v1", "owner/greet@" + "0" * 40, args=[])
    assert ".github/workflows/ci.yml:7:15: error: the action cannot be had: there is no mirror of actions" in err
    assert "hint: add it to the mirror: devdep-cli actions add FOLDER-OR-REPOSITORY owner/greet --pin v1" in err
    assert "hint: add it to the mirror: devdep-cli actions add FOLDER-OR-REPOSITORY owner/greet --commit " + "0" * 40 in err
    assert "(1 more problem)" in err


def test_what_an_action_uses_is_looked_for_too(world):
    world.added("outer", manifest="runs:\n  using: composite\n  steps:\n    - uses: owner/inner@v1\n    - uses: ./here\n    - uses: actions/checkout@v4\n")
    err = world.refused("owner/outer@v1")
    assert "ci.yml:6:15: error: owner/outer@v1/action.yml:4:13: the action cannot be had: owner/inner is not in the mirror" in err
    world.added("inner")
    assert world.plan("owner/outer@v1").status == 0


@pytest.mark.parametrize("manifest, words", [
    ("runs: {using: docker, image: Dockerfile}\n", "a Docker action cannot run in a microVM"),
    ("runs: {using: node18, main: x}\n", "owner/greet@v1/action.yml:1:15: 'using: node18' is not supported"),
    ("runs:\n  using: composite\n  steps:\n    - uses: docker://x\n", "owner/greet@v1/action.yml:4:13: a Docker action cannot run in a microVM"),
    ("runs:\n  using: composite\n  steps:\n    - uses: x\n", "owner/greet@v1/action.yml:4:13: Expected format {org}/{repo}[/path]@ref. Actual 'x'"),
    ("runs: [\n", "owner/greet@v1/action.yml:2:1: invalid YAML"),
    ("runs:\n  using: composite\n  steps:\n    - uses: owner/greet@v1\n", "actions that use actions, more than 10 levels deep"),
])
def test_an_action_that_cannot_run_is_refused(world, manifest, words):
    world.added("greet", manifest=manifest)
    err = world.refused("owner/greet@v1")
    assert "ci.yml:6:15: error: " in err and words in err


def test_a_folder_without_an_action_file_is_named(world):
    world.added("greet")
    assert "has neither sub/action.yml nor sub/action.yaml" in world.refused("owner/greet/sub@v1")


def test_actions_that_use_each_other_many_times_are_looked_at_once(world):
    """Eight levels of ten uses each would be a hundred million."""
    for n in range(8):
        steps = "".join(f"    - uses: owner/a{n + 1}@v1\n" for _ in range(10))
        world.added(f"a{n}", manifest=f"runs:\n  using: composite\n  steps:\n{steps}")
    world.added("a8")
    assert world.plan("owner/a0@v1").status == 0


def test_actions_may_be_ten_levels_deep(world):
    for n in range(1, 11):
        use = f"    - uses: owner/a{n + 1}@v1\n" if n < 10 else "    - {run: echo, shell: sh}\n"
        world.added(f"a{n}", manifest=f"runs:\n  using: composite\n  steps:\n{use}")
    assert world.plan("owner/a1@v1").status == 0
    world.added("a0", manifest="runs:\n  using: composite\n  steps:\n    - uses: owner/a1@v1\n")
    assert "more than 10 levels deep" in world.refused("owner/a0@v1")
