"""Actions of other repositories in devdep-job: a real devdep-source with a mirror on one side, a scripted guest on the other."""
import tempfile

import pytest

from devdep import Repo
from fake_guest import FakeGuest, Job, spec
from source_session import PROGRAM, Direct

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-source is not built")]

GREET = """name: Greet
inputs: {who: {default: nobody}}
outputs: {said: {value: '${{ steps.say.outputs.said }}'}}
runs:
  using: composite
  steps:
    - {id: say, shell: bash, run: '"$GITHUB_ACTION_PATH/say" ${{ inputs.who }}; echo said=yes >> "$GITHUB_OUTPUT"'}
"""
SAY = "#!/bin/sh\necho hello $1\n"


STATUS = """runs:
  using: composite
  steps:
    - {shell: bash, run: 'echo first ${{ github.action_status }} $GITHUB_ACTION_STATUS'}
    - {shell: bash, run: 'exit 1'}
    - {shell: bash, if: always(), run: 'echo last ${{ github.action_status }} $GITHUB_ACTION_STATUS'}
"""


class Source(Direct):
    """devdep-source whose greeting is left to devdep-job."""

    def fields(self):
        return None


class World:
    """A folder for the job, and a mirror."""

    def __init__(self, folder, tmp_path):
        self.folder, self.tmp_path = folder, tmp_path
        self.mirror = tmp_path / "mirror"
        (self.mirror / "owner").mkdir(parents=True)
        (self.mirror / "pins").write_text("")

    def add(self, name, manifest, path="", **files):
        """owner/name@v1 in the mirror, as a clone."""
        repo = Repo(self.mirror / "owner" / name)
        for file, text in files.items():
            repo.write(f"{path}{file}", text, mode=0o755)
        repo.write(f"{path}action.yml", manifest)
        commit = repo.commit()
        with (self.mirror / "pins").open("a") as pins:
            pins.write(f"owner/{name}@v1 {commit}\n")
        return commit

    def run(self, *steps, guest=FakeGuest, mirror=True, before=None):
        with Source(self.tmp_path if not mirror else None, gitdir=None, mirror=self.mirror if mirror else None, pins=self.mirror / "pins") as source:
            with Job(self.folder, spec(self.folder, *steps), guest=guest, source=source.sock.fileno()) as job:
                source.sock.close()
                job.wait()
        return job


@pytest.fixture
def world(tmp_path):
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as path:
        yield World(path, tmp_path)


def used(job):
    return [(e["step"], e["uses"], e["commit"]) for e in job.events("action")]


def reasons(job):
    return [e.get("reason") for e in job.events("step_finished")]


def test_an_action_of_the_mirror_runs_and_its_commit_is_told(world):
    commit = world.add("greet", GREET, say=SAY)
    job = world.run({"uses": "Owner/Greet@v1", "with": {"who": "ada"}, "id": "g"}, "echo ${{ steps.g.outputs.said }}")
    assert job.status == 0, job.text()
    assert "hello ada\n" in job.log() and "yes\n" in job.log()
    assert used(job) == [(0, "owner/greet@v1", commit)]


def test_it_lies_beside_the_temporary_folder_by_its_name_and_ref(world):
    world.add("greet", GREET, say=SAY)
    job = world.run({"uses": "owner/greet@v1"}, "cd $RUNNER_TEMP/../_actions && find owner -type f | sort")
    assert job.log(1) == "owner/greet/v1/action.yml\nowner/greet/v1/say\n"


def test_a_folder_of_a_repository_by_commit(world):
    commit = world.add("many", GREET, path="sub/deep/", say=SAY)
    job = world.run({"uses": f"owner/many/sub/deep@{commit}"})
    assert job.status == 0, job.text()
    assert "hello nobody\n" in job.log() and used(job) == [(0, f"owner/many@{commit}", commit)]


def test_one_transfer_for_all_steps_of_a_job(world):
    commit = world.add("greet", GREET, say=SAY)
    job = world.run({"uses": "owner/greet@v1"}, {"uses": "owner/greet@v1", "with": {"who": "again"}})
    assert job.status == 0, job.text()
    assert len(job.guest.put_data) == 1
    assert [(uses, c) for _, uses, c in used(job)] == [("owner/greet@v1", commit)] * 2


def test_an_action_that_an_action_uses(world):
    inner = world.add("greet", GREET, say=SAY)
    outer = world.add("outer", "runs:\n  using: composite\n  steps:\n    - {uses: owner/greet@v1, with: {who: inner}}\n")
    job = world.run({"uses": "owner/outer@v1"})
    assert job.status == 0, job.text()
    assert "hello inner\n" in job.log()
    assert [(uses, c) for _, uses, c in used(job)] == [("owner/outer@v1", outer), ("owner/greet@v1", inner)]


def test_a_composite_action_sees_its_own_status(world):
    world.add("status", STATUS)
    job = world.run({"uses": "owner/status@v1"}, {"if": "always()", "run": "echo outside [$GITHUB_ACTION_STATUS]"})
    assert job.status == 1 and "first success success\n" in job.log() and "last failure failure\n" in job.log()
    assert "outside []\n" in job.log()


@pytest.mark.parametrize("uses, words", [
    ("owner/other@v1", "owner/other is not in the mirror"),
    ("owner/greet@v2", "owner/greet@v2 is not pinned to a commit"),
    ("owner/greet@" + "0" * 40, "the repository has no commit '0000"),
    ("owner/greet/sub@v1", "there is no action.yml and no action.yaml"),
    ("owner@v1", "Expected format {org}/{repo}[/path]@ref. Actual 'owner@v1'"),
    ("owner/../greet@v1", "Expected format"),
    ("docker://alpine", "a Docker action cannot run in a microVM"),
])
def test_what_cannot_be_had_fails_the_step_with_its_reason(world, uses, words):
    world.add("greet", GREET, say=SAY)
    job = world.run({"uses": uses, "continue_on_error": "true"}, "echo on")
    assert words in reasons(job)[0] and job.log(1) == "on\n", job.text()
    assert not [e for e in job.events("action") if "sub" not in uses]


def test_without_a_mirror_it_is_said(world):
    Repo(world.tmp_path).commit()
    job = world.run({"uses": "owner/greet@v1"}, mirror=False)
    assert job.status == 1 and "there is no mirror of actions" in reasons(job)[0]


def test_without_a_source_it_is_said(world):
    with Job(world.folder, spec(world.folder, {"uses": "owner/greet@v1"})) as job:
        job.wait()
    assert job.status == 1 and "this run has no mirror of actions" in reasons(job)[0]


def test_a_guest_that_refuses_the_folder_fails_the_step(world):
    class Full(FakeGuest):
        def op_put(self, stream, header, pairs):
            self.refuse(stream, "no space left")

    world.add("greet", GREET, say=SAY)
    job = world.run({"uses": "owner/greet@v1"}, guest=Full)
    assert job.status == 1 and "write files in the guest: no space left" in reasons(job)[0]
    assert used(job) == []


def test_a_folder_that_is_there_is_emptied_first(world):
    class Wiping(FakeGuest):
        wiped = []

        def op_put(self, stream, header, pairs):
            self.wiped.append(header["wipe"])
            super().op_put(stream, header, pairs)

    world.add("greet", GREET, say=SAY)
    world.run({"uses": "owner/greet@v1"}, guest=Wiping)
    assert Wiping.wiped == [b"1"]


def test_a_cancelled_job_says_so(world):
    """While the guest holds the transfer up; the step ends when it is through."""
    class Slow(FakeGuest):
        def op_put(self, stream, header, pairs):
            job.ask({"op": "cancel"})
            super().op_put(stream, header, pairs)

    world.add("greet", GREET, say=SAY)
    with Source(None, mirror=world.mirror, pins=world.mirror / "pins") as source:
        with Job(world.folder, spec(world.folder, {"uses": "owner/greet@v1"}), guest=Slow, source=source.sock.fileno()) as job:
            source.sock.close()
            job.wait()
    assert job.verdict["conclusion"] == "cancelled" and "hello" not in job.log(), job.text()


def test_steps_that_run_beside_each_other_take_turns_at_the_source(world):
    """devdep-source answers one request at a time; nobody's transfer begins before it is its turn."""
    class Counting(FakeGuest):
        now, most = 0, 0

        def op_put(self, stream, header, pairs):
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            super().op_put(stream, header, pairs)
            Counting.now -= 1

    for name in ("a", "b", "c"):
        world.add(name, GREET, say=SAY)
    steps = [{"uses": f"owner/{name}@v1", "with": {"who": f"{name}{n}"}, "background": True} for name in "abc" for n in (1, 2)]
    job = world.run(*steps, {"uses": "owner/lost@v1", "background": True, "continue_on_error": "true"}, {"wait_all": True}, guest=Counting)
    assert job.status == 0, job.text()
    assert all(f"hello {name}{n}\n" in job.log() for name in "abc" for n in (1, 2))
    assert Counting.most == 1 and len(job.guest.put_data) == 4  # the fourth is the one that fails
    assert len(used(job)) == 6


# The three parts of a JavaScript action

PARTS = "runs: {using: node20, pre: pre.js, main: main.js, post: post.js}\n"
SAVE = "require('fs').appendFileSync(process.env.GITHUB_STATE, `{0}=${{process.env.INPUT_N}}\\n`);"


def parts(world, more="", **files):
    files = {"pre.js": "console.log('pre');" + SAVE.format("a"), "main.js": "console.log('main ' + process.env.STATE_a);" + SAVE.format("b"),
             "post.js": "console.log('post ' + process.env.STATE_a + process.env.STATE_b);", **files}
    world.add("parts", "inputs: {n: {default: '1'}}\n" + PARTS.replace("}\n", more + "}\n"), **files)


def told(job):
    return [line for line in job.log(stream="out").split("\n") if line]


def test_pre_main_and_post_run_in_their_order_and_share_their_state(world):
    parts(world)
    job = world.run({"uses": "owner/parts@v1", "id": "p", "with": {"n": "7"}}, "echo between")
    assert job.status == 0, job.text()
    assert told(job) == ["pre", "main 7", "between", "post 77"]
    starts = [(e["name"], e.get("parent"), e.get("pre_of"), e.get("post_of")) for e in job.events("step_started")]
    assert starts == [("Run owner/parts@v1", None, None, None), ("Pre Run owner/parts@v1", 0, 0, None), ("Run echo between", None, None, None),
                      ("Post Run owner/parts@v1", None, None, 0)]


def test_a_pre_part_that_fails_fails_the_step_and_its_main_part_does_not_run(world):
    parts(world, **{"pre.js": "process.exit(3)"})
    job = world.run({"uses": "owner/parts@v1"}, "echo never")
    assert job.status == 1 and told(job) == ["post undefinedundefined"]
    assert "step 'Pre Run owner/parts@v1' failed" in next(e["reason"] for e in job.events("step_finished") if e["step"] == 0)


def test_pre_if_decides_about_a_pre_part(world):
    parts(world, ", pre-if: failure()")
    job = world.run({"uses": "owner/parts@v1"})
    assert job.status == 0 and told(job) == ["main undefined", "post undefined1"]


def test_an_action_that_replaces_its_file_between_its_parts_runs_as_it_was_read(world):
    evil = "require('fs').writeFileSync(process.env.GITHUB_ACTION_PATH + '/action.yml', 'runs: {using: node20, main: evil.js, post: evil.js}');"
    parts(world, **{"pre.js": evil, "evil.js": "console.log('evil')"})
    job = world.run({"uses": "owner/parts@v1"})
    assert job.status == 0 and told(job) == ["main undefined", "post undefined1"]
