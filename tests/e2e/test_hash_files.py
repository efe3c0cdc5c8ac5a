"""hashFiles() in the expressions of steps, in devdep-job between a scripted guest and a scripted VMM; the digests are those that GitHub's own
script would make: the digest of the files' digests, folders depth first, names in the order of their bytes."""
import hashlib
import os
import tempfile

import pytest

from fake_guest import EXIT, STDOUT, FakeGuest, Job, fields, spec
from test_actions import composite, node_action, outcomes, place, reason, run

pytestmark = pytest.mark.sanitized


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield path


def digest(*texts):
    return hashlib.sha256(b"".join(hashlib.sha256(t.encode()).digest() for t in texts)).hexdigest()


def shown(folder, expression, **more):
    """What an expression gives in a `run`, in a workspace with the files below."""
    for name in ("a.txt", "b/c.txt", "b/d/.hidden.txt", "b-a.txt", "b/x.bin", "z.txt"):
        place(folder, name, name)
    job = run(folder, f"echo '[${{{{ {expression} }}}}]'", **more)
    return job.log(0) if job.status == 0 else reason(job)


@pytest.mark.parametrize("patterns, names", [
    ("'a.txt'", ["a.txt"]), ("'**/*.txt'", ["a.txt", "b/c.txt", "b/d/.hidden.txt", "b-a.txt", "z.txt"]),
    ("'b'", ["b/c.txt", "b/d/.hidden.txt", "b/x.bin"]), ("'b/**', '!**/*.bin'", ["b/c.txt", "b/d/.hidden.txt"]),
    ("'z.txt', 'a.txt'", ["z.txt", "a.txt"]), ("format('{0}.txt', 'a')", ["a.txt"]), ("'*.txt'", ["a.txt", "b-a.txt", "z.txt"]),
])
def test_the_digest_is_that_of_the_files_digests_in_githubs_order(folder, patterns, names):
    assert shown(folder, f"hashFiles({patterns})") == f"[{digest(*names)}]\n"


@pytest.mark.parametrize("patterns", ["'none/**'", "'/etc/passwd'", "'a.txt', '!a.*'", "''"])
def test_nothing_that_is_named_is_an_empty_text(folder, patterns):
    assert shown(folder, f"hashFiles({patterns})") == "[]\n"


def test_links_to_files_count_and_links_to_folders_are_not_followed_unless_asked(folder):
    place(folder, "real/f", "text")
    os.symlink("real/f", place(folder, "x", "").parent / "link")
    os.symlink("real", place(folder, "x", "").parent / "folder")
    job = run(folder, "echo ${{ hashFiles('link') }}", "echo [${{ hashFiles('folder/*') }}]", "echo ${{ hashFiles('--follow-symbolic-links', 'folder/*') }}")
    assert (job.log(0), job.log(1), job.log(2)) == (digest("text") + "\n", "[]\n", digest("text") + "\n")


def test_it_works_wherever_a_step_has_expressions(folder):
    place(folder, "a", "1")
    node_action(folder, "js", "console.log(process.env.INPUT_GIVEN + ' ' + process.env.INPUT_KEY)", "inputs: {given: {}, key: {default: \"${{ hashFiles('a') }}\"}}\n")
    h = "${{ hashFiles('a') }}"
    job = run(folder, {"run": "echo $H $PWD", "name": f"name {h}", "env": [{"name": "H", "value": h}], "if": "hashFiles('a') != ''",
                       "working_directory": "${{ hashFiles('b') == '' && '.' }}", "timeout_minutes": "${{ hashFiles('a') && 5 }}"},
              {"uses": "./js", "with": {"given": h}}, {"run": "echo", "if": "hashFiles('a') == ''"})
    one = digest("1")
    assert job.status == 0, job.text()
    assert job.log(0).startswith(one) and job.log(1, "out") == f"{one} {one}\n" and outcomes(job) == ["success", "success", "skipped"]
    assert job.events("step_started")[0]["name"] == f"name {one}" and len(job.events("step_started")) == 3


def test_steps_of_an_action_see_the_files_as_they_are(folder):
    place(folder, "a", "before")
    composite(folder, "act", "- run: echo \"${{ inputs.key }}\"; printf after > a\n  shell: bash\n- run: echo ${{ hashFiles('a') }}\n  shell: bash\n",
              "inputs: {key: {default: \"${{ hashFiles('a') }}\"}}\n")
    job = run(folder, {"uses": "./act"})
    assert job.log() == f"{digest('before')}\n{digest('after')}\n", job.text()


def test_each_step_looks_anew(folder):
    job = run(folder, "printf 1 > a", "echo ${{ hashFiles('a') }}; printf 2 > a", "echo ${{ hashFiles('a') }}")
    assert job.log(1) == digest("1") + "\n" and job.log(2) == digest("2") + "\n"


def test_many_files_take_several_processes(folder):
    names = sorted(f"{i:05}" for i in range(4500))
    for name in names:
        place(folder, f"many/{name}", name)
    job = run(folder, "echo ${{ hashFiles('many/**') }}")
    assert job.log(0) == digest(*names) + "\n"


@pytest.mark.parametrize("patterns, problem", [("'--follow'", "the one option is --follow-symbolic-links"), ("'a/../b'", ".."), ])
def test_patterns_that_are_none_fail_the_step(folder, patterns, problem):
    assert problem in shown(folder, f"hashFiles({patterns})")


def test_a_file_that_cannot_be_read_fails_the_step(folder):
    class Refusing(FakeGuest):
        def op_exec(self, stream, header, pairs):
            if ("arg", b"sha256sum") in pairs:
                pairs = [(k, b"/bin/false" if v == b"/usr/bin/env" else v) for k, v in pairs]
            super().op_exec(stream, header, pairs)
    place(folder, "a", "1")
    job = run(folder, "echo ${{ hashFiles('a') }}", guest=Refusing)
    assert job.status == 1 and "sha256sum ended with exit code 1" in reason(job)


def liar(program, said):
    class Liar(FakeGuest):
        def op_exec(self, stream, header, pairs):
            if ("arg", program) not in pairs:
                super().op_exec(stream, header, pairs)
                return
            stream.write(fields(status="ok"))
            stream.frame(STDOUT, said)
            stream.frame(EXIT, self.exit_fields(kind="exited", code=0, oom=0))
            stream.close()
    return Liar


@pytest.mark.parametrize("program, said, problem", [
    (b"sha256sum", b"nonsense", "something else than was asked for"), (b"sha256sum", b"0" * 64 + b"  /etc/passwd\0", "something else"),
    (b"sha256sum", b"", "something else"), (b"find", b"/no/end", "did not end its list"),
])
def test_a_guest_that_says_something_else_fails_the_step(folder, program, said, problem):
    place(folder, "a", "1")
    job = run(folder, "echo ${{ hashFiles('a') }}", guest=liar(program, said))
    assert job.status == 1 and problem in reason(job)


def test_files_outside_of_the_workspace_that_the_guest_lists_do_not_count(folder):
    place(folder, "a", "1")
    job = run(folder, "echo [${{ hashFiles('/**') }}]", guest=liar(b"find", b"/etc/passwd\0/etc/../x\0"))
    assert job.status == 0 and job.log(0) == "[]\n"


def test_a_list_of_files_that_is_too_long_fails_the_step(folder):
    class Long(FakeGuest):
        def op_exec(self, stream, header, pairs):
            if ("arg", b"find") in pairs:
                pairs = [p for p in pairs if p[0] != "arg"] + [("arg", v) for v in (b"/bin/sh", b"-c", b"head -c 17000000 /dev/zero | tr '\\0' x; sleep 60")]
            super().op_exec(stream, header, pairs)
    job = run(folder, "echo ${{ hashFiles('**') }}", guest=Long)
    assert job.status == 1 and "longer than 16 MiB" in reason(job)


def test_patterns_that_take_too_long_to_compare_fail_the_step(folder):
    """Without an end of it devdep-job would hear neither a cancellation nor the clock for most of an hour."""
    class Deep(FakeGuest):
        def op_exec(self, stream, header, pairs):
            if ("arg", b"find") not in pairs:
                super().op_exec(stream, header, pairs)
                return
            top = next(v for k, v in pairs if k == "arg" and v.startswith(b"/") and v != b"/usr/bin/env")
            stream.write(fields(status="ok"))
            for _ in range(100):
                stream.frame(STDOUT, top + b"/a" * ((4000 - len(top)) // 2) + b"\0")
            stream.frame(EXIT, self.exit_fields(kind="exited", code=0, oom=0))
            stream.close()
    pattern = "**" + "/*" * 500 + "/b\n"
    job = run(folder, {"run": "echo ${{ hashFiles(env.P) }}", "env": [{"name": "P", "value": pattern * 60}]}, guest=Deep)
    assert job.status == 1 and "take too long to compare" in reason(job)


def test_cancelling_while_files_are_listed(folder):
    class Slow(FakeGuest):
        def op_exec(self, stream, header, pairs):
            if ("arg", b"find") in pairs:
                pairs = [p for p in pairs if p[0] != "arg"] + [("arg", v) for v in (b"/bin/sleep", b"60")]
                self.listing = True
            super().op_exec(stream, header, pairs)
    with Job(folder, spec(folder, {"run": "echo ${{ hashFiles('**') }}"}, {"run": "echo tidied", "if": "always()"}), guest=Slow) as job:
        log_until_listing(job)
        job.ask({"op": "cancel"})[1].close()
        assert job.wait() == 130
    assert outcomes(job) == ["cancelled", "success"] and "tidied\n" in job.log()


def log_until_listing(job):
    while not getattr(job.guest, "listing", False) or not job.guest.processes:
        job.until("step_started")
