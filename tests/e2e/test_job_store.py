"""Artifacts and caches in devdep-job: a real devdep-store on one side, a scripted guest with real find and tar on the other."""
import io
import os
import shutil
import signal
import struct
import tarfile
import tempfile
import threading
import time

import pytest

from fake_guest import EXIT, STDOUT, FakeGuest, Job, fields, spec
from store_session import PROGRAM, shelves  # noqa: F401

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-store is not built")]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


class Guest(FakeGuest):
    """Caches go back to where they stood: below the test's folder, or the test is wrong."""

    def __init__(self, sock):
        super().__init__(sock)
        self.busy = threading.Event()  # with what a test is about

    def op_put(self, stream, header, pairs):
        if header["path"] == b"/":
            read = stream.read_rest

            def checked():
                data = read()
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    assert all(n.startswith("tmp/devdep-job-") for n in tar.getnames()), tar.getnames()
                return data
            stream.read_rest = checked
        super().op_put(stream, header, pairs)


def run(folder, shelves, *steps, guest=Guest, name="build", scopes=("refs/heads/main",), mask=(), wait=True, **more):
    """A guest of its own, but for the workspace: what is cached goes back to the same path."""
    shutil.rmtree(os.path.join(folder, "work/_temp"), ignore_errors=True)
    place = os.path.join(folder, f"{name}-{time.monotonic_ns()}")
    os.mkdir(place)
    s = spec(place, *steps, mask=list(mask), **more)
    s["workspace"] = os.path.join(folder, "work", "hello", "hello")
    store = shelves.start(*scopes, job=name)
    job = Job(place, s, guest=guest, store=store.sock.fileno())
    store.sock.close()
    job.store = store
    if not wait:
        return job
    with job:
        job.wait()
    finish(job)
    return job


def finish(job):
    job.store.process.wait(20)
    job.store.process.stderr.close()


def uses(action, /, id=None, **inputs):
    step = {"uses": f"actions/{action}@v4", "with": {k.replace("_", "-"): str(v) for k, v in inputs.items()}}
    return {**step, "id": id} if id else step


def upload(path, id="up", **inputs):
    return uses("upload-artifact", id, path=path, **inputs)


def names(shelves, i=-1):
    entry = shelves.entries(shelves.artifacts)[i]
    with tarfile.open(fileobj=io.BytesIO(shelves.archive(shelves.artifacts, entry))) as tar:
        return tar.getnames()


def ended(job, conclusion="success"):
    assert job.verdict["conclusion"] == conclusion, job.text()
    return job


def reason(job, step=-1):
    return [e for e in job.events("step_finished") if e["conclusion"] == "failure"][step]["reason"]


TREE = ("mkdir -p dist/sub dist/.git; echo one > dist/one.txt; echo two > dist/sub/two.txt; echo log > dist/sub/x.log; echo h > dist/.hidden; echo g > dist/.git/x; "
        "ln -s one.txt dist/link; ln -s sub dist/folder; ln -s nowhere dist/broken; mkfifo dist/fifo; mkdir dist/empty; chmod 711 dist/one.txt; ln dist/one.txt dist/hard")


# ---- uploading ----

def test_an_artifact_holds_files_alone_as_githubs_does(folder, shelves):
    job = ended(run(folder, shelves, TREE, upload("dist", name="dist")))
    assert names(shelves) == ["folder/two.txt", "folder/x.log", "hard", "link", "one.txt", "sub/two.txt", "sub/x.log"]
    (entry,) = shelves.entries(shelves.artifacts)
    with tarfile.open(fileobj=io.BytesIO(shelves.archive(shelves.artifacts, entry))) as tar:
        assert {(m.type, m.mode, m.uid, m.gid) for m in tar} == {(tarfile.REGTYPE, 0o644, 0, 0)}
        assert tar.extractfile("link").read() == b"one\n"
    (event,) = job.events("artifact")
    assert (event["what"], event["name"], event["id"], event["digest"], event["files"]) == ("uploaded", "dist", entry["id"], entry["digest"], 7)
    assert {e["name"]: e["value"] for e in job.events("output")} == {
        "artifact-id": str(entry["id"]), "artifact-digest": entry["digest"], "artifact-url": f"devdep:runs/7/artifacts/{entry['id']}"}
    assert entry["expires_ms"] - entry["created_ms"] == 90 * 86400000


@pytest.mark.parametrize("path,expected", [
    ("dist/one.txt", ["one.txt"]), ("dist/sub", ["two.txt", "x.log"]), ("dist/sub/", ["two.txt", "x.log"]), ("dist/**/*.txt", ["folder/two.txt", "one.txt", "sub/two.txt"]),
    ("dist/sub\n!**/*.log", ["two.txt"]), ("dist/sub\ndist/one.txt", ["one.txt", "sub/two.txt", "sub/x.log"]), ("dist/*/two.txt", ["folder/two.txt", "sub/two.txt"]),
    ("./dist/sub/tw?.txt", ["two.txt"]), ("dist/sub/two.txt\ndist/sub/none.txt", ["two.txt"]), ("# all\n\n  dist/sub  \n", ["two.txt", "x.log"]),
])
def test_paths_are_read_as_github_reads_them(folder, shelves, path, expected):
    ended(run(folder, shelves, TREE, upload(path)))
    assert names(shelves) == expected
    assert shelves.entries(shelves.artifacts)[0]["name"] == "artifact"


def test_hidden_files_go_where_that_is_asked_for(folder, shelves):
    ended(run(folder, shelves, TREE, upload("dist", include_hidden_files="true")))
    assert {".hidden", ".git/x"} <= set(names(shelves))


def test_odd_names_arrive(folder, shelves):
    odd = ["-rf", "a b", "ü", "a\\b", "$(x)", "--checkpoint-action=exec=sh", "'q'"]
    script = "mkdir d; cd d; " + "; ".join(f"printf x > ./{_quote(n)}" for n in odd)
    ended(run(folder, shelves, script, upload("d")))
    assert sorted(names(shelves)) == sorted(odd)


def _quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.mark.parametrize("mode,conclusion", [("warn", "success"), ("ignore", "success"), ("error", "failure"), (None, "success")])
def test_no_files_are_what_the_input_says(folder, shelves, mode, conclusion):
    job = ended(run(folder, shelves, "true", upload("none/*", **({"if_no_files_found": mode} if mode else {}))), conclusion)
    warned = [e for e in job.events("annotation") if e["level"] == "warning"]
    assert len(warned) == (mode in ("warn", None))
    assert shelves.entries(shelves.artifacts) == [] and "No files were found with the provided path: none/*." in job.text()


@pytest.mark.parametrize("inputs,message", [
    ({"name": "../x"}, "contains '/'"), ({"name": "a:b"}, "colon"), ({"name": ".."}, "folder itself"), ({"name": "x" * 256}, "255"), ({"name": "s3cret-value"}, "masked value"),
    ({"if_no_files_found": "fail"}, "expected warn, error or ignore"), ({"retention_days": "x"}, "retention-days"), ({"compression_level": "10"}, "compression-level"),
    ({"overwrite": "maybe"}, "overwrite"), ({"path": "../x"}, "'..' is not allowed"), ({"path": ""}, "with.path"),
])
def test_wrong_inputs_are_told(folder, shelves, inputs, message):
    job = ended(run(folder, shelves, TREE, upload(inputs.pop("path", "dist"), **inputs), mask=["s3cret-value"]), "failure")
    assert message in reason(job) and shelves.entries(shelves.artifacts) == []


def test_a_name_is_used_once_unless_it_is_overwritten(folder, shelves):
    job = ended(run(folder, shelves, TREE, upload("dist/one.txt", "a", name="n"), {**upload("dist/sub", "b", name="n"), "continue_on_error": "true"},
                    upload("dist/sub/two.txt", "c", name="n", overwrite="true", retention_days=3)))
    assert "has an artifact 'n' already" in job.text()
    (entry,) = shelves.entries(shelves.artifacts)
    assert names(shelves) == ["two.txt"] and entry["expires_ms"] - entry["created_ms"] == 3 * 86400000


def test_a_retention_past_the_limit_is_shortened_with_a_warning(folder, shelves):
    job = ended(run(folder, shelves, TREE, upload("dist/one.txt", retention_days=401), upload("dist/one.txt", name="b", retention_days=400)))
    assert {e["expires_ms"] - e["created_ms"] for e in shelves.entries(shelves.artifacts)} == {400 * 86400000}
    assert [e["message"] for e in job.events("annotation")] == ["Retention days is greater than the max value allowed here; reducing retention to 400 days"]


def test_a_name_that_windows_cannot_have_is_refused_as_at_github(folder, shelves):
    job = ended(run(folder, shelves, "mkdir d; echo > 'd/a:b'", upload("d")), "failure")
    assert "'a:b'" in reason(job) and shelves.entries(shelves.artifacts) == []


def test_a_file_that_cannot_be_read_fails_the_upload(folder, shelves):
    class Locked(Guest):
        """find says it is there, tar cannot open it."""

        def op_exec(self, stream, header, pairs):
            if ("arg", b"/usr/bin/tar") in pairs:
                os.unlink(os.path.join(folder, "work/hello/hello/dist/one.txt"))
            super().op_exec(stream, header, pairs)
    job = ended(run(folder, shelves, TREE, upload("dist"), guest=Locked), "failure")
    assert "exit code 2" in reason(job) and "one.txt: Cannot" in job.text() and shelves.entries(shelves.artifacts) == []


def test_without_a_store_the_actions_say_so(folder):
    with Job(folder, spec(folder, upload("x"))) as job:
        job.wait()
    assert "keeps no artifacts and caches" in reason(job)


# ---- downloading ----

def download(**inputs):
    return uses("download-artifact", "down", **inputs)


@pytest.fixture
def filled(folder, shelves):
    ended(run(folder, shelves, TREE, upload("dist/sub", name="linux-x"), upload("dist/one.txt", name="linux-y"), upload("dist/one.txt", name="other"), "rm -rf dist"))
    return shelves


SHOW = "find got -type f -printf '%P:%m:%s\\n' 2>/dev/null | sort | tr '\\n' ' '"


@pytest.mark.parametrize("inputs,expected", [
    ({"name": "linux-x", "path": "got"}, "two.txt:644:4 x.log:644:4"), ({"path": "got"}, "linux-x/two.txt:644:4 linux-x/x.log:644:4 linux-y/one.txt:644:4 other/one.txt:644:4"),
    ({"path": "got", "pattern": "linux-*"}, "linux-x/two.txt:644:4 linux-x/x.log:644:4 linux-y/one.txt:644:4"),
    ({"path": "got", "pattern": "linux-*", "merge_multiple": "true"}, "one.txt:644:4 two.txt:644:4 x.log:644:4"), ({"path": "got", "pattern": "none-*"}, ""),
    ({"path": "{workspace}/got/deep", "name": "other", "run-id": "7", "repository": "A/hello", "github-token": "x"}, "deep/one.txt:644:4"),
])
def test_artifacts_are_chosen_by_name_and_pattern(folder, filled, inputs, expected):
    inputs = {k: v.replace("{workspace}", os.path.join(folder, "work/hello/hello")) for k, v in inputs.items()}
    job = ended(run(folder, filled, download(**inputs), SHOW, name="use"))
    assert job.log(1).strip() == expected
    (output,) = [e for e in job.events("output")]
    assert output["name"] == "download-path" and output["value"].endswith(inputs["path"])


def test_artifacts_are_chosen_by_id(folder, filled):
    ids = [x["id"] for x in filled.entries(filled.artifacts)]
    job = ended(run(folder, filled, download(path="got", **{"artifact-ids": f"{ids[0]}, {ids[2]}"}), SHOW, name="use"))
    assert job.log(1).strip() == "linux-x/two.txt:644:4 linux-x/x.log:644:4 other/one.txt:644:4"


@pytest.mark.parametrize("inputs,message", [
    ({"name": "none"}, "Artifact not found for name: none"), ({"repository": "a/other"}, "only artifacts of the own run"), ({"run-id": "8"}, "only artifacts of the own run"),
    ({"name": "other", "artifact-ids": "1"}, "cannot be used together"), ({"artifact-ids": "1"}, "1 of the 1 artifact-ids"), ({"artifact-ids": "x"}, "artifact-ids"),
])
def test_what_cannot_be_downloaded_is_told(folder, filled, inputs, message):
    assert message in reason(ended(run(folder, filled, download(**inputs), name="use"), "failure"))


def test_a_large_artifact_passes_with_little_memory(folder, shelves):
    """192 MiB through devdep-job both ways."""
    job = ended(run(folder, shelves, "mkdir d; head -c 201326592 /dev/urandom > d/big; sha256sum < d/big", upload("d"), "rm -rf d", download(name="artifact", path="d"), "sha256sum < d/big"))
    assert job.log(0) == job.log(4) and job.peak < 48 << 20, job.peak


def test_an_archive_that_rotted_fails_the_download(folder, filled):
    entry = filled.entries(filled.artifacts)[2]
    path = filled.artifacts / "objects" / entry["digest"]
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    assert "damaged" in reason(ended(run(folder, filled, download(name="other", path="got"), name="use"), "failure"))
    assert [x["name"] for x in filled.entries(filled.artifacts)] == ["linux-x"]


# ---- caches ----

def cache(action="cache", id="cache", key="k-1", path="deps", **inputs):
    return uses(action, id, key=key, path=path, **inputs)


FILL = ("mkdir -p deps/sub deps/empty; echo x > deps/sub/tool; chmod 755 deps/sub/tool; chmod 700 deps/sub; ln -s sub/tool deps/link; touch -d 2020-01-02T03:04:05Z deps/old; "
        "ln deps/sub/tool deps/hard")
LOOK = "cd deps && find . -printf '%P:%m:%l:%y ' | tr ' ' '\\n' | sort | tr '\\n' ' '; stat -c %Y old"


def outputs(job, step):
    return {e["name"]: e["value"] for e in job.events("output") if e["step"] == step}


def test_a_cache_is_missed_saved_and_found(folder, shelves):
    job = ended(run(folder, shelves, cache(), FILL, "echo hit=${{ steps.cache.outputs.cache-hit }}"))
    assert "Cache not found for input keys: k-1" in job.log(0) and job.log(2) == "hit=\n" and outputs(job, 0) == {}
    assert [e["what"] for e in job.events("cache")] == ["saved"] and "Cache saved with key: k-1" in job.text()
    (entry,) = shelves.entries(shelves.caches)
    assert (entry["key"], entry["scope"]) == ("k-1", "refs/heads/main")
    job = ended(run(folder, shelves, "rm -rf deps", cache(), LOOK))
    assert outputs(job, 1) == {"cache-hit": "true"} and [e["what"] for e in job.events("cache")] == ["restored"]
    assert job.log(2) == (":755::d empty:755::d hard:755::f link:777:sub/tool:l old:644::f sub/tool:755::f sub:700::d 1577934245\n"), job.log(2)
    assert "Cache hit occurred on the primary key k-1, not saving cache." in job.text() and len(shelves.entries(shelves.caches)) == 1


def test_restore_keys_find_the_newest_and_the_key_is_saved_behind_them(folder, shelves):
    for key in ("k-1", "k-2", "other"):
        ended(run(folder, shelves, f"rm -rf deps; mkdir -p deps; echo {key} > deps/x", cache("cache/save", key=key)))
    job = ended(run(folder, shelves, "rm -rf deps", cache(key="k-3", **{"restore-keys": "none-\nk-\n"}), "cat deps/x; echo ${{ steps.cache.outputs.cache-hit }}"))
    assert job.log(2) == "k-2\nfalse\n"
    assert [x["key"] for x in shelves.entries(shelves.caches)] == ["k-1", "k-2", "other", "k-3"]


def test_restore_and_save_alone(folder, shelves):
    job = ended(run(folder, shelves, FILL, cache("cache/save", id="save"), cache("cache/restore", **{"restore-keys": "k"}), cache("cache/save", id="again")))
    assert outputs(job, 2) == {"cache-hit": "true", "cache-primary-key": "k-1", "cache-matched-key": "k-1"}
    assert "there is a cache with key k-1 already" in job.log(3) and len(shelves.entries(shelves.caches)) == 1
    job = ended(run(folder, shelves, "rm -rf deps", cache("cache/restore", **{"lookup-only": "true"}), "ls", cache("cache/restore", id="miss", key="z")))
    assert job.log(2) == "" and "Cache found and can be restored from key: k-1" in job.log(1)
    assert outputs(job, 3) == {"cache-primary-key": "z"}


def test_a_miss_fails_where_that_is_asked_for(folder, shelves):
    job = ended(run(folder, shelves, cache("cache/restore", **{"fail-on-cache-miss": "true"})), "failure")
    assert "Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: k-1" in reason(job)


def test_other_paths_are_another_cache(folder, shelves):
    ended(run(folder, shelves, FILL, cache("cache/save")))
    job = ended(run(folder, shelves, cache("cache/restore", path="deps\nmore"), cache("cache/restore", id="same", path=" deps ")))
    assert "Cache not found" in job.log(0) and "Cache restored" in job.log(1)


def test_a_failed_job_saves_nothing(folder, shelves):
    job = ended(run(folder, shelves, cache(), FILL, "false"), "failure")
    assert job.events("step_finished")[-1]["conclusion"] == "skipped" and shelves.entries(shelves.caches) == []


def test_what_cannot_be_saved_is_a_warning(folder, shelves):
    job = ended(run(folder, shelves, cache()))
    (warning,) = job.events("annotation")
    assert warning["level"] == "warning" and "Path Validation Error" in warning["message"] and shelves.entries(shelves.caches) == []


def test_patterns_name_what_is_cached(folder, shelves):
    job = ended(run(folder, shelves, FILL + "; mkdir -p a/target b/target c; echo 1 > a/target/1; echo 2 > b/target/2; echo 3 > c/3", cache("cache/save", path="*/target\nc/*\n!b/target"),
                    "rm -rf a b c", cache("cache/restore", path="*/target\nc/*\n!b/target"), "find a b c -type f 2>/dev/null | sort | tr '\\n' ' '"))
    assert job.log(4).split() == ["a/target/1", "c/3"]


@pytest.mark.parametrize("inputs,message", [
    ({"key": "a,b"}, "comma"), ({"key": "x" * 513}, "512"), ({"key": ""}, "with.key"), ({"key": "s3cret-value"}, "masked value"), ({"path": ""}, "with.path"),
    ({"restore-keys": "s3cret-value"}, "with.restore-keys: it holds a masked value"), ({"restore-keys": "\n".join("abcdefghij")}, "maximum of 10"), ({"lookup-only": "x"}, "lookup-only"),
])
def test_wrong_inputs_of_a_cache_are_told(folder, shelves, inputs, message):
    job = ended(run(folder, shelves, cache(**inputs), mask=["s3cret-value"]), "failure")
    assert message in reason(job)


# ---- hostile guests, and helpers that die ----

class Lying(Guest):
    """find and tar of a guest that was taken over."""
    found, archive = None, None

    def op_exec(self, stream, header, pairs):
        program = next(v for k, v in pairs if k == "arg")
        data = {b"/usr/bin/find": self.found, b"/usr/bin/tar": self.archive}.get(program)
        if data is None:
            super().op_exec(stream, header, pairs)
            return
        stream.write(fields(status="ok"))
        for i in range(0, len(data), 16000):
            stream.frame(STDOUT, data[i:i + 16000])
        stream.frame(EXIT, self.exit_fields(kind="exited", code=0, oom=0))
        stream.close()


def lying(**what):
    return type("Liar", (Lying,), what)


def tar_of(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


REG = tarfile.REGTYPE


@pytest.mark.parametrize("archive,message", [
    (tar_of(("../x", REG, b"x")), ".."), (tar_of(("/etc/x", REG, b"x")), "absolute"), (tar_of(("a", tarfile.SYMTYPE, b"")), "symbolic link"),
    (tar_of(("a", tarfile.LNKTYPE, b"")), "hard link"), (tar_of(("a", tarfile.CHRTYPE, b"")), "device"), (tar_of(("a", tarfile.FIFOTYPE, b"")), "fifo"),
    (tar_of(("a", REG, b"x"))[:300], "early"), (b"", "early"), (os.urandom(2048), "checksum"),
    (tar_of(("a", REG, b""))[:124] + b"77777777777\0" + tar_of(("a", REG, b""))[136:], "checksum"),
])
def test_a_guest_that_sends_no_such_archive_fails_its_own_step(folder, shelves, archive, message):
    job = ended(run(folder, shelves, TREE, upload("dist"), {"run": "echo on", "if": "always()"}, guest=lying(archive=archive)), "failure")
    assert message in reason(job, 0) and shelves.entries(shelves.artifacts) == [] and job.log(2) == "on\n"


def test_what_the_guest_says_in_its_archive_stays_in_the_artifact(folder, shelves):
    """Other names and modes than the ones that were asked for are its own artifact's affair."""
    ended(run(folder, shelves, TREE, upload("dist/one.txt"), guest=lying(archive=tar_of(("what/ever", REG, b"x")))))
    assert names(shelves) == ["what/ever"]


@pytest.mark.parametrize("found,message", [
    (b"f/etc/passwd\0", "outside"), (b"f../x\0", "is no path"), (b"f" + b"/x" * 3000 + b"\0", "longer than a path"), (b"x\0", "is no path"), (b"\xff\xfe", "ends early"),
])
def test_a_list_of_files_that_is_none_fails_the_step(folder, shelves, found, message):
    job = ended(run(folder, shelves, TREE, upload("dist"), guest=lying(found=found)), "failure")
    assert message in reason(job) and shelves.entries(shelves.artifacts) == []


class Endless(Guest):
    """An archive without an end."""

    def op_exec(self, stream, header, pairs):
        if ("arg", b"/usr/bin/tar") not in pairs:
            super().op_exec(stream, header, pairs)
            return
        stream.write(fields(status="ok"))
        head = bytearray(tar_of(("a", REG, b""))[:512])
        head[124:136] = b"37777777777\0"
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        stream.frame(STDOUT, bytes(head))
        self.busy.set()
        while not stream.gone and not self.over:
            stream.frame(STDOUT, bytes(16000))


def test_a_file_of_four_gigabytes_that_never_ends_is_cancelled_and_nothing_stays(folder, shelves):
    with run(folder, shelves, TREE, upload("dist"), guest=Endless, wait=False) as job:
        job.guest.busy.wait(30)
        while sum(f.stat().st_size for f in (shelves.artifacts / "incoming").iterdir()) < 8 << 20:
            job.sample()
        assert job.ask({"op": "cancel"})[0]["ok"] is True
        job.wait()
    finish(job)
    assert job.verdict["conclusion"] == "cancelled" and job.peak < 48 << 20
    assert shelves.entries(shelves.artifacts) == []


class Stalled(Endless):
    """It stops in the middle of its archive."""

    def op_exec(self, stream, header, pairs):
        if ("arg", b"/usr/bin/tar") not in pairs:
            Guest.op_exec(self, stream, header, pairs)
            return
        stream.write(fields(status="ok"))
        stream.frame(STDOUT, tar_of(("a", REG, b"x" * 4096))[:1024])
        self.busy.set()


def test_a_guest_that_stalls_in_the_middle_of_an_upload_ends_with_the_steps_time(folder, shelves):
    job = run(folder, shelves, TREE, {**upload("dist"), "timeout_minutes": "0.02"}, {"run": "echo on", "if": "always()"}, guest=Stalled)
    ended(job, "failure")
    assert job.log(2) == "on\n" and shelves.entries(shelves.artifacts) == []


class Deaf(Guest):
    """It takes no byte of what it is to unpack."""

    def op_put(self, stream, header, pairs):
        stream.write(fields(status="ok"))
        self.busy.set()
        while not stream.gone and not self.over:
            with self.changed:
                self.changed.wait(0.2)


def test_a_guest_that_never_reads_a_download_holds_up_itself_alone(folder, shelves):
    ended(run(folder, shelves, "mkdir d; head -c 67108864 /dev/zero > d/big", upload("d")))
    with run(folder, shelves, download(name="artifact"), guest=Deaf, name="use", wait=False) as job:
        job.guest.busy.wait(30)
        for _ in range(50):
            job.sample()
        assert job.ask({"op": "kill"})[0]["ok"] is True
        job.wait()
    finish(job)
    assert job.verdict["conclusion"] == "cancelled" and job.peak < 48 << 20
    assert len(shelves.entries(shelves.artifacts)) == 1


def test_a_store_that_stands_still_stops_the_guest(folder, shelves):
    with run(folder, shelves, TREE, upload("dist"), guest=Endless, wait=False) as job:
        job.guest.busy.wait(30)
        job.store.process.send_signal(signal.SIGSTOP)
        stopped = 0
        while stopped < 20:
            job.sample()
            stopped = stopped + 1 if job.guest.streams[max(job.guest.streams)].window == 0 else 0
            time.sleep(0.01)
        assert job.peak < 48 << 20
        job.store.process.send_signal(signal.SIGCONT)
        job.ask({"op": "cancel"})
        job.wait()
    finish(job)
    assert shelves.entries(shelves.artifacts) == []


def test_a_store_that_is_killed_fails_the_step_and_the_job_goes_on(folder, shelves):
    with run(folder, shelves, TREE, upload("dist"), {"run": "echo on", "if": "always()"}, {**upload("dist", "again"), "if": "always()"}, guest=Endless, wait=False) as job:
        job.guest.busy.wait(30)
        job.store.process.kill()
        job.wait()
    finish(job)
    assert "devdep-store" in reason(job, 0) and job.log(2) == "on\n" and "devdep-store" in reason(job, 1)
    with shelves.start():
        pass
    assert shelves.entries(shelves.artifacts) == []


def test_a_cut_get_is_a_warning_of_the_cache(folder, shelves):
    class Cut(Guest):
        def op_get(self, stream, header, pairs):
            stream.write(fields(status="ok"))
            stream.write(tar_of(("deps", REG, b"x" * 4096))[:1024])
            self.send(struct.pack(">BBHII", 0, 1, 8, stream.id, 0))
    job = ended(run(folder, shelves, FILL, cache("cache/save"), guest=Cut))
    assert "could not be read to its end" in job.events("annotation")[0]["message"] and shelves.entries(shelves.caches) == []

