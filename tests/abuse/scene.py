"""A hostile job and an innocent one beside it, run by the real command, and what the host saw of them."""
import json
import subprocess
import time

import census
import devdep
import runs
import sizes

# What the innocent job says when nobody disturbs it: it computes, writes and reads back its disk, and takes a while.
INNOCENT = """python3 - <<'END'
import hashlib
h = hashlib.sha256()
for i in range(64):
    h.update(bytes([i]) * 65536)
print(h.hexdigest())
END
seq 1 20000 > numbers; sync; sha256sum < numbers; rm numbers
for i in 1 2 3 4 5 6 7 8; do echo tick $i; sleep 0.25; done
test "$(date +%s)" -gt 1700000000 -a "$(date +%s)" -lt 4000000000
echo untouched
"""
INNOCENT_LINES = ["4f1f8b605b8fd4ba8b9a16234a54da5a4cb15268d08bcc7dc8acd84a0d90bea3", "f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a  -", *[f"tick {i}" for i in range(1, 9)], "untouched"]

MEMORY = f"{sizes.GUEST_MEMORY >> 20}M"


def workflow(**jobs):
    return json.dumps({"name": "abuse", "on": "push", "jobs": {
        name: {"runs-on": "ubuntu-latest", **job} if isinstance(job, dict) else
        {"runs-on": "ubuntu-latest", "steps": [s if isinstance(s, dict) else {"run": s} for s in job]} for name, job in jobs.items()}})


class Outcome:
    """How a run ended: the command's result without its output, the events of each job's journal, the host's peaks."""

    def __init__(self, scene, process, folder, watch, started):
        self.status, self.watch, self.out_path = process.returncode, watch, folder / "out"
        self.err = (folder / "err").read_text(errors="replace")
        self.started, self.ended = started, time.time()
        self.folder = scene.new_run()
        self.record = json.loads((self.folder / "run.json").read_text()) if self.folder else None
        self.jobs = {}

    def journal(self, job):
        return self.folder / f"{job}.journal"

    def events(self, job):
        with open(self.journal(job), encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)

    def __getitem__(self, job):
        if job not in self.jobs:
            self.jobs[job] = runs.JobRun()
            for event in self.events(job):
                self.jobs[job].take(event)
        return self.jobs[job]

    def verdict(self, job="hostile"):
        """(conclusion, code) of its last event."""
        *_, last = self.events(job)
        assert last["type"] == "job_finished", last
        return last["conclusion"], last["code"]

    def __repr__(self):
        if not self.record:
            return f"status {self.status}, no run\n--- err\n{self.err[-3000:]}"
        text = "".join(f"--- {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in self.folder.glob("*.journal"))
        return f"status {self.status}\n--- err\n{self.err[-3000:]}\n--- record\n{self.record}\n{text}\n--- peaks\n{self.watch.peaks}"


class Scene(runs.Scene):
    def __init__(self, state=None, memory=MEMORY):
        super().__init__()
        self.memory = memory
        # Templates of its own: what is left of one, and what becomes of a damaged one, shows here alone.
        state = state or self.folder / "abuse"
        state.mkdir(exist_ok=True)
        devdep.give(state)
        self.cli = devdep.Cli(state, own_templates=True)
        self.watches, self.all, self.runs = [], census.Watch(), 0

    def warm(self):
        """One run without a hostile job: templates are made, and the innocent one is right by itself."""
        repo = self.repo("warm")
        repo.workflow(workflow(innocent=[{"id": "work", "run": INNOCENT}]))
        repo.commit()
        run = self.json(repo, "--memory", self.memory)
        assert run.finished["conclusion"] == "success" and run["innocent"]["work"].lines == INNOCENT_LINES, run.result

    def run_folders(self):
        return {p.name: p for p in (self.cli.state / "runs").glob("[0-9]*")}

    def new_run(self):
        """The folder of the run that start() began last, or None while it has none."""
        return next((p for name, p in self.run_folders().items() if name not in self.before), None)

    def start(self, repo, jobs, *args, json_output=True):
        """Start a run of these jobs: (process, folder of its output). Two guests at most at a time."""
        self.before = self.run_folders()
        repo.workflow(workflow(**jobs))
        repo.commit()
        out, err = open(repo.path.parent / "out", "wb"), open(repo.path.parent / "err", "wb")
        with out, err:
            return subprocess.Popen(
                self.cli.argv("run", *(["--json"] if json_output else []), "--dir", repo.path, "--keep-going", "--jobs", "2",
                              "--memory", self.memory, *args),
                cwd="/", env=self.cli.env(), stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def run(self, repo, hostile, *args, beside=True, seconds=280, **more):
        """A hostile job (a list of steps, or a whole job), and an innocent one beside it, to their ends, with the oracles of
        every case: the innocent job is untouched, no process grew past its bound."""
        jobs = {"hostile": hostile, **({"innocent": [{"uses": "actions/checkout@v4"}, {"id": "work", "run": INNOCENT}]} if beside else {})}
        started = time.time()
        with census.Watch() as watch:
            self.watches.append(watch)
            process = self.start(repo, jobs, *args, **more)
            try:
                process.wait(seconds)
            finally:
                process.kill()
                process.wait()
        outcome = Outcome(self, process, repo.path.parent, watch, started)
        if beside:
            untouched(outcome)
        peaks = within_bounds(outcome)
        assert peaks["devdep-job"] > 0 and peaks["qemu-system-x86"] > 0, peaks
        assert outcome.verdict()[0] != "success" and outcome.status != 0, outcome
        return outcome

    def left(self):
        """What the runs since the last call have left, after a bounded wait."""
        now = census.Watch()
        for watch in self.watches:
            now.add(watch)
        self.all.add(now)
        self.runs += len(self.watches)
        self.watches.clear()
        return census.wait_until_clean(self.cli.state, now)

    def close(self):
        """The census of everything that ran here: (sentence, what was found)."""
        found = self.left() or census.wait_until_clean(self.cli.state, self.all)
        super().close()
        return f"left on the host after {self.runs} runs: {census.counted(found)}", found


def untouched(outcome):
    job = outcome["innocent"]
    recorded = {j["key"]: j["conclusion"] for j in outcome.record["jobs"]}
    assert job.conclusion == recorded["innocent"] == "success", outcome
    assert job["work"].lines == INNOCENT_LINES, job["work"]


def within_bounds(outcome):
    """The peak of each program of the run is below what docs/limits.md states."""
    peaks = {name: outcome.watch.peak(name) for name in sizes.MEMORY}
    assert all(peaks[name] <= bound for name, bound in sizes.MEMORY.items()), {k: v >> 10 for k, v in peaks.items()}
    print({name: f"{peak >> 10} KiB" for name, peak in peaks.items()})
    return peaks
