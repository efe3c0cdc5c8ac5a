"""`kill -9` of each process of a run in each of its states: the verdict is the right one and never success, the job beside it is
untouched, nothing is left, and the next run works (it is the next cycle)."""
import itertools
import json
import os
import re
import shutil
import signal
import time

import pytest

import census
import devdep
import pool
import runs
import scene as scenes
import sizes

pytestmark = [pytest.mark.guest, pytest.mark.skipif(os.geteuid() != 0 or bool(devdep.USER), reason="tells processes by their users, so root")]

VICTIMS = ("command", "job", "jail", "jail-init", "qemu", "source")
STATES = ("starting", "coming-up", "seeded", "transfer", "running", "collecting", "cancelling", "ending")
# While a template is made there is no job yet, but its maker.
PAIRS = [*itertools.product(VICTIMS, STATES), *((v, "template") for v in ("command", "prepare", "jail", "jail-init", "qemu"))]
# Each process and each state once.
SAMPLE = [("prepare", "template"), ("source", "starting"), ("jail", "coming-up"), ("job", "seeded"), ("qemu", "transfer"), ("command", "running"), ("jail-init", "collecting"),
          ("job", "cancelling"), ("qemu", "ending")]
TREE = 32 * sizes.MIB  # of a checkout that is in progress for a while
LOST, BOOT, HOST, OWN, CANCELLED = ("failure", 302), ("failure", 301), ("failure", 304), ("failure", 1), ("cancelled", 3)


def cycles():
    if sizes.SIZE.cycles is None:
        return SAMPLE
    return list(itertools.islice(itertools.cycle(PAIRS), sizes.SIZE.cycles))


def expected(victim, state):
    """The verdicts that are right. A job that has none of its own loses its guest; one whose verdict was written keeps it, and a run whose
    template cannot be made boots its guests."""
    if state in ("ending", "template") or (victim == "source" and state not in ("cancelling", "transfer")):
        return {OWN}
    if victim == "source":
        return {OWN, CANCELLED}
    if state == "collecting":
        return {LOST, OWN}  # its last words may have been read
    if state == "cancelling":
        return {LOST, CANCELLED}
    if victim != "job" and state == "starting":
        return {HOST, BOOT, LOST}  # while the jail is built, and before and after the guest's first word
    if victim != "job" and state == "coming-up":
        return {BOOT, LOST}
    return {LOST}


def steps(victim, state):
    """A job that reaches the state, and that fails by itself where its victim cannot end it."""
    stays = victim != "source" and state in ("running", "cancelling")
    end = {"collecting": "echo v=$(head -c 700000 /dev/zero | tr '\\0' x) > $GITHUB_OUTPUT; echo it-is-$((1+1))-leaving; exit 3"}.get(
        state, f"trap 'exit 1' INT TERM; echo it-is-$((1+1))-running; sleep {3000 if stays or state == 'cancelling' else 1} & wait; exit 3")
    cleaning = f"trap '' INT TERM; echo it-is-$((1+1))-cleaning; sleep {3000 if stays else 2}"
    return [{"uses": "actions/checkout@v4"}, {"run": end}, *([{"if": "always()", "run": cleaning}] if state == "cancelling" else [])]


# What the journal says once the state is reached.
REACHED = {"coming-up": '"type":"job_started"', "seeded": '"type":"vm_seeded"', "transfer": '"type":"step_started"', "running": "it-is-2-running",
           "collecting": "it-is-2-leaving", "cancelling": "it-is-2-cleaning", "ending": '"type":"job_finished"'}


def parts(scene, process):
    """{what: pid} of the processes of the hostile job, which has slot 0."""
    job, source, vmm = census.slot_uids(scene.cli.state)[:3]
    found = {"command": process.pid}
    for pid, name in runs.descendants(process.pid).items():
        uid = re.search(r"^Uid:\s+(\d+)", census.text_of(f"/proc/{pid}/status"), re.M)
        words = census.text_of(f"/proc/{pid}/cmdline").split("\0")
        uid = int(uid[1]) if uid else -1
        if "devdep-prepare" in words[0]:
            found["prepare"] = pid
        if uid == 0 and "devdep-jail" in words[0] and str(vmm) in words:
            found["jail"] = pid
        elif uid == vmm:
            found["qemu" if name.startswith("qemu") else "jail-init"] = pid
        elif uid == source and words[0].endswith("devdep-source"):
            found["source"] = pid
        elif uid == job and name.startswith("devdep-job"):
            found["job"] = pid
    return found


class Cycle:
    def __init__(self, scene, repo, victim, state):
        self.scene, self.repo, self.victim, self.state = scene, repo, victim, state
        self.process = None

    def journal(self):
        new = self.scene.new_run()
        return census.text_of(new / "hostile.journal") if new else ""

    def said(self):
        """What the command wrote: its errors, and the last of its events."""
        return "\n".join(census.text_of(self.repo.path.parent / name)[-2000:] for name in ("err", "out"))

    def wait_for(self, condition, what, seconds=240):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline and self.process.poll() is None, f"the run never came to {what}:\n{self.said()}\n{self.journal()[-2000:]}"
            time.sleep(0.01)
        return found

    def reach(self):
        """Wait for the state, and return the victim's process."""
        if self.state == "cancelling":
            self.wait_for(lambda: "it-is-2-running" in self.journal(), "running")
            self.process.send_signal(signal.SIGINT)
        if self.state == "template":
            self.wait_for(lambda: parts(self.scene, self.process).get("prepare"), "the making of a template")
        elif self.state != "starting":
            self.wait_for(lambda: REACHED[self.state] in self.journal(), self.state)
        if self.state == "ending":
            return parts(self.scene, self.process).get(self.victim)  # it may have ended in order
        return self.wait_for(lambda: parts(self.scene, self.process).get(self.victim), f"a process {self.victim}")

    def kill(self, pid):
        try:
            if pid:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            assert self.state == "ending"

    def run(self):
        beside = self.victim != "command"
        if self.state == "template":
            for folder in (self.scene.cli.state / "templates").glob("*/"):
                shutil.rmtree(folder)
        jobs = {"hostile": steps(self.victim, self.state)}
        if beside:
            jobs["innocent"] = [{"id": "work", "run": scenes.INNOCENT}]
        with census.Watch() as watch:
            self.scene.watches.append(watch)
            self.process = self.scene.start(self.repo, jobs)
            try:
                self.kill(self.reach())
                self.process.wait(240)
            finally:
                self.process.kill()
                self.process.wait()
        return scenes.Outcome(self.scene, self.process, self.repo.path.parent, watch, time.time())


@pytest.fixture(scope="module")
def repos(tmp_path_factory):
    """Two repositories: a small one, and one whose checkout takes a while."""
    small, large = (devdep.Repo(tmp_path_factory.mktemp(name) / "repo") for name in ("small", "large"))
    large.write("random", os.urandom(TREE))
    return {False: small, True: large}


def ids(pair):
    return "-".join(pair)


@pytest.mark.parametrize("pair", cycles(), ids=ids)
def test_a_process_that_is_killed(scene, repos, pair):
    victim, state = pair
    outcome = Cycle(scene, repos[state == "transfer"], victim, state).run()
    if victim == "command":
        # Once the command has written its verdict, the verdict stands.
        assert outcome.status == -signal.SIGKILL or (state == "ending" and outcome.status == 1), outcome
        runs.wait_until(lambda: not census.processes_of(scene.cli.state), "the end of what a killed command started")
        assert_next_command_cleans(scene, repos[False], outcome.folder)
        if state == "template":
            scene.warm()
        return
    if not outcome.record:
        # Before the run has its number, what reads the repository may be the one that is killed: the run is refused.
        assert pair == ("source", "starting") and outcome.status == 48 and outcome.err.splitlines()[-1].startswith("devdep: error 304"), outcome
        return
    verdict = {j["key"]: (j["conclusion"], j["code"]) for j in outcome.record["jobs"]}["hostile"]
    assert verdict in expected(victim, state), outcome
    # A run that was interrupted is cancelled, whatever became of its jobs.
    assert outcome.status == (130 if state == "cancelling" else {302: 46, 301: 45, 304: 48, 1: 1}[verdict[1]]), outcome
    if state != "cancelling":
        scenes.untouched(outcome)
    if state == "template":
        scene.warm()  # the next run makes one; the command's bound below is for those that have it
    else:
        scenes.within_bounds(outcome)


def assert_next_command_cleans(scene, repo, killed):
    """A run without a guest: what a killed one left is gone when it ends, and is called interrupted if it had come to a number."""
    newest = scene.cli("runs").out.splitlines()[0]
    assert not killed or "interrupted" in newest or "failure" in newest, newest
    repo.workflow(json.dumps({"on": "push", "jobs": {"never": {"if": False, "runs-on": "ubuntu-latest", "steps": [{"run": "x"}]}}}))
    assert scene.cli("run", "--dir", repo.path).status == 0


@pytest.mark.skipif(not sizes.SIZE.cycles, reason="tests/e2e/test_pool.py kills a pool under a run; every state at full size")
@pytest.mark.parametrize("state", [s for s in STATES if s != "starting"])
def test_a_pool_that_is_killed_leaves_what_it_handed_over(scene, repos, state):
    served = pool.Pool(scene.cli)
    try:
        warmed = scene.cli("vm", "warm", "default", "--memory", scene.memory)
        assert warmed.status == 0, warmed
        served.wait_for(1)
        cycle = Cycle(scene, repos[state == "transfer"], "source", state)
        cycle.kill = lambda pid: served.stop(signal.SIGKILL)
        outcome = cycle.run()
        assert outcome.record["jobs"][0]["origin"] in ("parked", "cloned") and outcome.verdict()[0] != "success", outcome
        assert (outcome.record["jobs"][0]["conclusion"], outcome.record["jobs"][0]["code"]) in {OWN, CANCELLED}, outcome
    finally:
        served.stop(signal.SIGKILL)
    # The next pool cleans what the killed one left, and goes in order.
    served.start()
    assert served.stop() == 0


@pytest.mark.skipif(not sizes.SIZE.slow_agents, reason="waits for a limit of 60 s: at full size")
def test_a_command_that_stands_while_it_makes_a_template_keeps_no_other_from_its_job(scene, repos):
    for folder in (scene.cli.state / "templates").glob("*/"):
        shutil.rmtree(folder)
    repo = repos[False]
    stands = scene.start(repo, {"innocent": [{"run": "true"}]})
    try:
        runs.wait_until(lambda: parts(scene, stands).get("prepare"), "the making of a template")
        stands.send_signal(signal.SIGSTOP)
        other = scene.json(repo, "--memory", scene.memory)
        assert other.finished["conclusion"] == "success" and other["innocent"].started["origin"] == "booted", other.result
        assert "its guests are booted: another process makes it and did not come to an end within 60 s" in other.result.err
    finally:
        stands.send_signal(signal.SIGCONT)
    assert stands.wait(240) == 0
    scene.warm()


def test_the_next_run_works(scene):
    scene.warm()
