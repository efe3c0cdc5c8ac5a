"""devdep-cli artifacts and cache: what runs uploaded and what they cached, listed, fetched and removed by a person.

The shelves are written by hand from docs/store-format.md, which devdep-cli reads; where a run is under way, devdep-store is."""
import concurrent.futures
import hashlib
import io
import json
import os
import pathlib
import signal
import subprocess
import tarfile
import time

import pytest
import store_session

from devdep import Repo, become, environment, give

pytestmark = pytest.mark.user

DAY = 86400000


def now():
    return int(time.time() * 1000)


def archive(files):
    """A tar of {name: bytes, or (type, link)}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class World:
    """A state with runs and shelves."""

    def __init__(self, cli, folder):
        self.cli, self.folder, self.state = cli, folder, pathlib.Path(cli.state)
        self.place = folder / "place"
        self.place.mkdir()
        self.ids = now()

    def done(self):
        give(self.folder)

    def run(self, number=7):
        path = self.state / f"runs/{number}"
        path.mkdir(parents=True)
        (path / "run.json").write_text(json.dumps({"conclusion": "success", "started_ms": now()}))
        self.done()
        return number

    def put(self, shelf, data, **more):
        """An archive and its manifest; the manifest."""
        for name in ("objects", "entries", "incoming"):
            (shelf / name).mkdir(parents=True, exist_ok=True)
        (shelf / "lock").touch()
        self.ids += 1
        digest = hashlib.sha256(data).hexdigest()
        entry = {"bytes": len(data), "content": 3, "created_ms": now(), "digest": digest, "files": 1, "id": self.ids, "job": "build",
                 "run": "7", "version": 1, **more}
        (shelf / f"objects/{digest}").write_bytes(data)
        (shelf / f"entries/{self.ids}.json").write_text(json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n")
        self.done()
        return entry

    def artifacts(self, number=7):
        return self.state / f"store/artifacts/{number}"

    def artifact(self, name="dist", files=None, number=7, **more):
        if not (self.state / f"runs/{number}").exists():
            self.run(number)
        data = files if isinstance(files, bytes) else archive(files or {"a.txt": b"one"})
        return self.put(self.artifacts(number), data, **{"name": name, "expires_ms": now() + DAY, "run": str(number), **more})

    def caches(self, repository):
        path = self.state / "store/caches" / hashlib.sha256(str(repository).encode()).hexdigest()[:32]
        (path / "data").mkdir(parents=True, exist_ok=True)
        (path / "repository").write_text(str(repository))
        return path / "data"

    def cache(self, key, repository="/gone/.git", scope="refs/heads/main", used_ms=None, text=b"one"):
        shelf = self.caches(repository)
        entry = self.put(shelf, archive({key: text}), key=key, scope=scope, cache_version=store_session.VERSION)
        if used_ms is not None:
            os.utime(shelf / f"entries/{entry['id']}.json", (used_ms / 1000, used_ms / 1000))
        return entry

    def repo(self, name="project"):
        repo = Repo(self.folder / name)
        repo.write("a", "1")
        repo.commit()
        return repo.path

    def json(self, *args, **more):
        result = self.cli(*args, "--json", **more)
        assert result.status == 0, result
        return json.loads(result.out)

    def names(self, *runs):
        return [x["name"] for x in self.json("artifacts", "ls", *runs)]

    def keys(self, *args):
        return {x["key"] for x in self.json("cache", "ls", *args)}

    def get(self, *args, cwd=None):
        return self.cli("artifacts", "get", *args, cwd=cwd or self.place)

    def refused(self, *args, code=2, cwd=None):
        result = self.cli(*args, cwd=cwd or self.place)
        assert result.status == code, result
        return result.error[2]

    def tree(self, path=None):
        top = path or self.place
        return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file() or p.is_symlink()}


@pytest.fixture
def world(cli, folder):
    world = World(cli, folder)
    world.done()
    return world


# ---- artifacts ls


def test_artifacts_are_listed_by_run_newest_run_first(world):
    world.artifact("dist", number=7)
    x = world.artifact("reports", {"r.xml": b"two"}, number=12)
    world.artifact("dist", number=12)
    world.artifact("old", number=12, expires_ms=1)
    assert [(x["run"], x["name"]) for x in world.json("artifacts", "ls")] == [("12", "reports"), ("12", "dist"), ("7", "dist")]
    row = world.json("artifacts", "ls", "12")[0]
    assert 0 <= row.pop("age_ms") < DAY
    assert row == {"run": "12", "name": "reports", "id": x["id"], "digest": f"sha256:{x['digest']}", "bytes": x["bytes"], "files": 1,
                   "content": 3, "job": "build", "created_ms": x["created_ms"], "expires_ms": x["expires_ms"]}
    lines = world.cli("artifacts", "ls", "12").out.splitlines()
    assert lines[0].split() == ["run", "size", "files", "age", "digest", "name"] and len(lines) == 3
    assert lines[1].startswith("    12") and f"sha256:{x['digest'][:12]}  reports" in lines[1]


def test_what_is_not_there_is_said(world):
    assert world.cli("artifacts", "ls").out == "there are no artifacts\n" and world.json("artifacts", "ls") == []
    assert world.cli("cache", "ls").out == "there are no caches\n" and world.json("cache", "ls") == []
    world.run(7)
    assert world.cli("artifacts", "ls", "7").out == "there are no artifacts\n"
    for command in (["ls", "8"], ["get", "8", "x"], ["rm", "8", "x"]):
        assert world.refused("artifacts", *command) == "there is no run 8; 'devdep-cli runs' lists them"
    assert world.refused("artifacts", "get", "7", "dist") == "run 7 has no artifact 'dist'; it has none"
    world.artifact("one")
    world.artifact("two")
    assert world.refused("artifacts", "get", "7", "a\x1bb") == "run 7 has no artifact 'a\\x1bb'; it has two, one"
    assert "artifacts belong to whole runs; say 7" in world.refused("artifacts", "ls", "7/build")
    assert "expected a number" in world.refused("artifacts", "ls", "x")


def test_manifests_that_are_none_are_no_artifacts_and_hide_no_others(world):
    world.artifact("good")
    entries = world.artifacts() / "entries"
    for name, text in (("5.json", "{"), ("6.json", "x" * 9000), ("no.json", "{}"),
                       ("9.json", (entries / sorted(os.listdir(entries))[0]).read_text().replace("good", "../bad"))):
        (entries / name).write_text(text)
    (entries / "8.json").symlink_to("/etc/passwd")
    world.done()
    assert world.names() == ["good"]


def test_no_name_reaches_the_terminal_as_more_than_text(world):
    """A name with control characters is refused by the manifest; what is legal but odd is shown on its line."""
    world.artifact("a\u202eb")
    world.artifact("übung (1) ")
    assert world.names() == ["übung (1) "]
    world.cache("key\x1b[2J", "/gone/\x1b[2J/.git")
    world.cache("key 2", "/gone/\x1b[2J\n/.git")
    out = world.cli("cache", "ls").out
    assert "\x1b" not in out and "key 2" in out and len(out.splitlines()) == 3, out


# ---- artifacts get


def test_the_files_of_an_artifact_appear_in_a_folder_of_its_name(world):
    x = world.artifact(files={"index.html": b"hello", "css/site.css": b"body"})
    result = world.get("7", "dist")
    assert result.status == 0 and result.out == f"1 file, 3 B, sha256:{x['digest']}, in dist\n", result
    assert world.tree() == {"dist/index.html": b"hello", "dist/css/site.css": b"body"}
    if os.environ.get("DEVDEP_TEST_USER"):
        assert (world.place / "dist/index.html").owner() == os.environ["DEVDEP_TEST_USER"]
    assert (world.place / "dist/index.html").stat().st_mode & 0o7777 == 0o644


def test_files_that_are_there_are_replaced_by_force_alone(world):
    world.artifact(files={"new": b"1", "a": b"theirs"})
    out = world.place / "out"
    out.mkdir()
    (out / "a").write_bytes(b"mine")
    world.done()
    assert world.refused("artifacts", "get", "7", "dist", "--out", "out") == (
        "'a' is there already; nothing was written (--force replaces files)")
    assert world.tree() == {"out/a": b"mine"}
    assert world.get("7", "dist", "-o", "out", "--force").status == 0
    assert world.tree() == {"out/a": b"theirs", "out/new": b"1"}


@pytest.mark.parametrize("files, message", [
    ({"good": b"1", "../evil": b"x"}, "'..'"),
    ({"good": b"1", "/tmp/evil": b"x"}, "absolute"),
    ({"good": b"1", "link": (tarfile.SYMTYPE, "/etc"), "link/evil": b"x"}, "link"),
    ({"good": b"1", "hard": (tarfile.LNKTYPE, "/etc/passwd")}, "hard"),
    ({"good": b"1", "dev": (tarfile.CHRTYPE, "")}, "dev"),
    ({"good": b"1", "a\x1b]0;x\x07": b"x"}, "control character"),
    ({"good": b"1", "d/" * 65 + "f": b"x"}, "64 folders"),
])
def test_an_archive_of_a_hostile_store_writes_nothing(world, files, message):
    world.artifact(files=files)
    for out in ([], ["--out", "."]):
        error = world.refused("artifacts", "get", "7", "dist", *out, "--force")
        assert message in error and "\x1b" not in error
        assert os.listdir(world.place) == []


def test_an_archive_that_is_damaged_writes_nothing(world):
    x = world.artifact(files={"a": b"one"})
    path = world.artifacts() / "objects" / x["digest"]
    data = bytearray(path.read_bytes())
    data[data.index(b"one")] ^= 1
    path.write_bytes(data)
    assert "the archive on this host is damaged" in world.refused("artifacts", "get", "7", "dist", code=48)
    assert os.listdir(world.place) == []


def test_a_full_disk_leaves_what_was_there(world):
    world.artifact(files={"small": b"1", "large": b"x" * 300_000})
    (world.place / "keep").write_text("mine")
    world.done()
    argv = ["prlimit", "--fsize=100000", *map(str, [world.cli.program, "artifacts", "get", "7", "dist", "-o", "."])]
    done = subprocess.run(become(["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *argv]), cwd=world.place, env=world.cli.env(),
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 48 and "large" in done.stderr, done
    assert world.tree() == {"keep": b"mine"} and os.listdir(world.place) == ["keep"]


def test_a_name_that_begins_with_a_dot_is_given_no_folder_unasked(world):
    world.artifact(".git", {"config": b"[core]"})
    assert "--out" in world.refused("artifacts", "get", "7", ".git")
    assert os.listdir(world.place) == []
    assert world.get("7", ".git", "--out", "new").status == 0
    assert world.tree() == {"new/config": b"[core]"}


def test_nothing_gets_into_the_git_folder_of_a_repository(world):
    repo = world.repo()
    world.artifact(files={".git/hooks/post-commit": b"#!/bin/sh\n", "b": b"1"})
    assert "could change what git does" in world.refused("artifacts", "get", "7", "dist", "--out", ".", "--force", cwd=repo)
    assert not (repo / "b").exists() and not (repo / ".git/hooks/post-commit").exists()


def test_a_get_that_is_killed_leaves_nothing_that_counts_and_the_next_one_tidies(world):
    world.artifact(files={f"f{i}": os.urandom(50_000) for i in range(400)})
    process = world.cli.popen("artifacts", "get", "7", "dist", "-o", "out", cwd=world.place)
    while process.poll() is None and not any(n.startswith(".devdep-") for n in os.listdir(world.place)):
        pass
    process.kill()
    process.communicate()
    assert not (world.place / "out").exists() or len(world.tree(world.place / "out")) == 400
    assert world.get("7", "dist", "-o", "again").status == 0
    assert set(os.listdir(world.place)) - {"out"} == {"again"} and len(world.tree(world.place / "again")) == 400


def test_an_interrupted_get_tidies_by_itself(world):
    world.artifact(files={f"f{i}": os.urandom(50_000) for i in range(400)})
    process = world.cli.popen("artifacts", "get", "7", "dist", "-o", "out", cwd=world.place)
    while process.poll() is None and not any(n.startswith(".devdep-") for n in os.listdir(world.place)):
        pass
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode in (0, 130), err
    assert set(os.listdir(world.place)) == ({"out"} if process.returncode == 0 else set()), err


def test_two_that_fetch_the_same_do_not_disturb_each_other(world):
    world.artifact(files={f"f{i}": b"x" * i for i in range(200)})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda i: world.get("7", "dist", "-o", f"out{i}"), range(6)))
    assert [r.status for r in results] == [0] * 6, results
    assert set(os.listdir(world.place)) == {f"out{i}" for i in range(6)}
    assert all(len(world.tree(world.place / f"out{i}")) == 200 for i in range(6))


# ---- artifacts rm


def test_artifacts_are_removed_by_name_and_a_shared_archive_stays(world):
    same = {"a": b"same"}
    for name in ("one", "two", "three"):
        world.artifact(name, same)
    assert world.refused("artifacts", "rm", "7", "one", "nothing").startswith("run 7 has no artifact 'nothing'; it has ")
    assert world.names() == ["one", "two", "three"]
    assert world.cli("artifacts", "rm", "7", "one", "two").status == 0
    assert world.names("7") == ["three"]
    assert world.get("7", "three").status == 0
    assert "--all" in world.refused("artifacts", "rm", "7")
    assert "either names, or --all" in world.refused("artifacts", "rm", "7", "three", "--all")
    assert world.cli("artifacts", "rm", "7", "--all").status == 0
    assert world.names() == [] and os.listdir(world.artifacts() / "objects") == []
    assert (world.state / "runs/7/run.json").exists()


# ---- beside a run


class State(store_session.Shelves):
    """The shelves of a world, for a devdep-store of a run that is under way."""

    def __init__(self, world, repository):
        self.artifacts, self.caches = world.artifacts(), world.caches(repository)
        self.artifacts.mkdir(parents=True, exist_ok=True)
        world.done()

    def __exit__(self, *_):
        pass


class Client(store_session.Client):
    """Of a devdep-store of the user whose state it is."""

    become = staticmethod(become)


def upload(store, what, data):
    """The first half of an upload; the rest is a call away."""
    assert (store.ask("put-artifact", ("name", what), ("days", 1), ("overwrite", 0)) if what == "dist" else
            store.ask("put-cache", ("key", what), ("version", store_session.VERSION)))["exists"] == "0"
    store.chunk(data[:1000])

    def rest():
        store.chunk(data[1000:])
        store.end()
        return store.list()
    return rest


def test_what_a_running_job_uploads_survives_every_command_beside_it(world):
    world.run(7)
    world.artifact("other")
    world.cache("old")
    data = archive({"a": os.urandom(5000)})
    with State(world, "/gone/.git") as state, state.start(cls=Client) as store:
        for what, command in (("dist", ("artifacts", "rm", "7", "--all")), ("key", ("cache", "prune", "--max-size", "0"))):
            rest = upload(store, what, data)
            assert world.cli(*command).status == 0
            assert rest()["digest"] == hashlib.sha256(data).hexdigest()
        world.done()
        assert world.names("7") == ["dist"] and world.keys() == {"key"}
    assert world.get("7", "dist").status == 0
    assert state.is_clean()


def test_a_cache_that_is_pruned_while_a_job_reads_it_is_read_to_its_end(world):
    content = os.urandom(3_000_000)
    entry = world.cache("key", text=content)
    with State(world, "/gone/.git") as state, state.start(cls=Client) as store:
        assert store.ask("find-cache", ("key", "key"), ("version", store_session.VERSION))["name"] == "key"
        store.ask("get-cache", ("id", entry["id"]))
        assert world.cli("cache", "rm", "key", "--dir", "/gone/.git").status == 0
        data = b""
        while size := int.from_bytes(store.exactly(4), "big"):
            data += store.exactly(size)
        assert store.list()["status"] == "ok"
    assert hashlib.sha256(data).hexdigest() == entry["digest"] and world.keys() == set()


def test_a_shelf_that_somebody_keeps_locked_is_an_error_and_can_still_be_read(world):
    world.artifact()
    with subprocess.Popen(become(["flock", "-x", world.artifacts() / "lock", "sh", "-c", "echo; read x"]), env=environment(),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.read(1)
        assert world.names() == ["dist"] and world.get("7", "dist").status == 0
        assert "locked" in world.refused("artifacts", "rm", "7", "dist", code=48)
        holder.communicate(b"\n")
    assert world.names() == ["dist"]


# ---- cache


def test_caches_are_listed_by_repository(world):
    repo = world.repo()
    x = world.cache("npm-1", f"{repo}/.git", used_ms=now() - 60000)
    world.cache("npm-2", f"{repo}/.git", scope="refs/heads/topic")
    world.cache("pip", "/gone/.git", scope="")
    assert world.keys() == {"npm-1", "npm-2", "pip"}
    assert world.keys("--dir", repo) == {"npm-1", "npm-2"} and world.keys("--dir", "/gone/.git") == {"pip"}
    row = [r for r in world.json("cache", "ls") if r["key"] == "npm-1"][0]
    assert 0 <= row.pop("age_ms") < DAY and row.pop("used_ms") <= now() - 60000
    assert row == {"repository": f"{repo}/.git", "key": "npm-1", "scope": "refs/heads/main", "version": store_session.VERSION, "id": x["id"],
                   "digest": f"sha256:{x['digest']}", "bytes": x["bytes"], "files": 1, "content": 3, "run": "7", "job": "build",
                   "created_ms": x["created_ms"]}
    out = world.cli("cache", "ls").out
    assert f"{repo}/.git\n" in out and "refs/heads/topic  npm-2\n" in out and "(no branch)  pip\n" in out
    assert "not in a git repository" in world.refused("cache", "ls", "--dir", "/")


def test_caches_are_removed_by_key_and_scope_of_one_repository(world):
    repo = world.repo()
    for scope in ("refs/heads/main", "refs/heads/topic"):
        world.cache("npm", f"{repo}/.git", scope=scope)
    world.cache("npm", "/gone/.git")
    assert world.cli("cache", "rm", "npm", "--scope", "refs/heads/topic", cwd=repo).out.startswith("1 cache removed, ")
    assert world.refused("cache", "rm", "npm", "--scope", "refs/heads/topic", cwd=repo) == (
        "the repository has no cache 'npm' in this scope; 'devdep-cli cache ls' lists them")
    assert {(r["repository"], r["scope"]) for r in world.json("cache", "ls")} == {
        (f"{repo}/.git", "refs/heads/main"), ("/gone/.git", "refs/heads/main")}
    assert world.cli("cache", "rm", "npm", cwd=repo).status == 0
    assert [r["repository"] for r in world.json("cache", "ls")] == ["/gone/.git"]
    assert world.cli("cache", "rm", "--all", "--dir", "/gone/.git").status == 0
    assert world.keys() == set()
    assert "not in a git repository" in world.refused("cache", "rm", "npm")
    assert "--all" in world.refused("cache", "rm", cwd=repo)
    assert "expected a full ref name" in world.refused("cache", "rm", "npm", "--scope", "main", cwd=repo)


def test_prune_removes_by_age_and_by_size(world):
    repo = world.repo()
    sizes = [world.cache(f"k{i}", f"{repo}/.git" if i % 2 else "/gone/.git", used_ms=now() - i * 3600000)["bytes"] for i in range(6)]
    assert "--older-than TIME, --max-size SIZE" in world.refused("cache", "prune")
    for args, message in ((["--older-than", "3"], "expected a time"), (["--max-size", "x"], "expected a size")):
        assert message in world.refused("cache", "prune", *args)
    assert world.json("cache", "prune", "--older-than", "270m") == {
        "removed": {"caches": 1, "bytes": sizes[5]}, "left": {"caches": 5, "bytes": sum(sizes[:5])}}
    assert world.keys() == {"k0", "k1", "k2", "k3", "k4"}
    assert world.cli("cache", "prune", "--max-size", str(sum(sizes[:3]))).out.splitlines() == [
        f"2 caches removed, {sum(sizes[3:5]) / 1024:.1f} KiB", f"3 stay, {sum(sizes[:3]) / 1024:.1f} KiB"]
    assert world.keys() == {"k0", "k1", "k2"}
    assert world.cli("cache", "prune", "--max-size", "0", "--dir", repo).status == 0
    assert world.keys() == {"k0", "k2"}
    assert world.cli("cache", "prune", "--older-than", "0s").status == 0
    assert world.keys() == set() and world.cli("cache", "prune", "--max-size", "1G").out == "0 caches removed, 0 B\n0 stay, 0 B\n"


# ---- a real run

WORKFLOW = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: mkdir -p dist/css && echo hello > dist/index.html && echo body > dist/css/site.css
      - uses: actions/upload-artifact@v4
        with: {name: site, path: dist}
      - uses: actions/cache/save@v4
        with: {key: site-1, path: dist}
"""


@pytest.mark.guest
def test_what_a_run_left_is_fetched_and_tidied(cli, folder):
    give(folder)
    repo = Repo(folder / "repo")
    repo.workflow(WORKFLOW)
    repo.commit()
    result = cli("run", "--no-profile", cwd=repo.path)
    assert result.status == 0, result
    place = folder / "place"
    place.mkdir()
    give(place)
    row = json.loads(cli("artifacts", "ls", "--json").out)[0]
    assert (row["name"], row["files"]) == ("site", 2)
    got = cli("artifacts", "get", row["run"], "site", cwd=place)
    assert got.status == 0 and (place / "site/index.html").read_text() == "hello\n" and (place / "site/css/site.css").exists(), got
    cache = json.loads(cli("cache", "ls", "--json").out)[0]
    assert (cache["key"], cache["scope"], cache["repository"]) == ("site-1", "refs/heads/main", f"{repo.path.resolve()}/.git")
    assert cli("cache", "rm", "site-1", cwd=repo.path).status == 0
    assert cli("artifacts", "rm", row["run"], "site").status == 0
    assert json.loads(cli("artifacts", "ls", "--json").out) == json.loads(cli("cache", "ls", "--json").out) == []
    assert cli("records", "verify").status == 0
