"""What a `devdep-cli run --json` told, sorted by job and step, for assertions that read as sentences."""
import os
import pathlib
import tempfile
import threading
import time

import devdep


class Step:
    def __init__(self, started):
        self.id, self.name, self.index, self.parent = started.get("id"), started["name"], started["step"], started.get("parent")
        self.outcome = self.conclusion = self.reason = self.exit_code = None
        self.logs, self.annotations, self.summary, self.outputs = [], [], "", {}

    @property
    def log(self):
        """What the step wrote, without the platform's own notes."""
        return "".join(e["text"] for e in self.logs if e["stream"] != "note")

    @property
    def lines(self):
        return self.log.splitlines()

    def __repr__(self):
        return f"<{self.name}: {self.outcome}/{self.conclusion} {self.reason or ''}\n{self.log}{self.annotations}>"


class JobRun:
    def __init__(self):
        self.steps, self.by_index = [], {}  # in the order of their beginnings, the steps of actions too
        self.started, self.finished, self.console, self.events = None, None, None, []

    def take(self, event):
        kind = event["type"]
        self.events.append(event)
        if kind == "job_started":
            self.started = event
        elif kind == "job_finished":
            self.finished = event
        elif kind == "console":
            self.console = event
        elif kind == "step_started":
            assert event["step"] not in self.by_index
            self.steps.append(Step(event))
            self.by_index[event["step"]] = self.steps[-1]
        elif kind == "log" and event["step"] >= 0:
            self.by_index[event["step"]].logs.append(event)
        elif kind == "annotation":
            self.by_index[event["step"]].annotations.append(event)
        elif kind == "summary":
            self.by_index[event["step"]].summary += event["text"]
        elif kind == "output":
            self.by_index[event["step"]].outputs[event["name"]] = event["value"]
        elif kind == "step_finished":
            step = self.by_index[event["step"]]
            for key in ("outcome", "conclusion", "reason", "exit_code"):
                setattr(step, key, event.get(key))

    def __getitem__(self, name):
        """The step of that id or name."""
        found = [s for s in self.steps if s.id == name or s.name == name]
        assert len(found) == 1, f"{name}: {found}, known {[(s.id, s.name) for s in self.steps]}"
        return found[0]

    @property
    def conclusion(self):
        return self.finished["conclusion"]


class Run:
    """The events of one run; jobs by key."""

    def __init__(self, result):
        self.result, self.jobs, self.order = result, {}, []
        events = result.events
        assert events, result
        for line in events[:-1]:
            if "event" not in line:  # of the run, not of a job's journal
                continue
            job = self.jobs.setdefault(line["job"], JobRun())
            job.take(line["event"])
            self.order.append((line["job"], line["event"]["type"]))
        self.finished = events[-1]

    def __getitem__(self, key):
        return self.jobs[key]


class Scene:
    """A state folder and a repository that several tests of one module share."""

    def __init__(self, own_templates=False):
        self.temporary = tempfile.TemporaryDirectory(prefix="devdep-")
        self.folder = pathlib.Path(self.temporary.name)
        self.folder.chmod(0o755)
        state = self.folder / "state"
        state.mkdir()
        devdep.give(state)
        self.cli = devdep.Cli(state, own_templates)

    def repo(self, name="repo"):
        return devdep.Repo(self.folder / name)

    def json(self, repo, *args, **more):
        return Run(self.cli("run", "--json", "--dir", repo.path, *args, **more))

    def close(self):
        self.temporary.cleanup()


# ---- what is left ----

def become_subreaper():
    """Orphans of the command become ours, so that none can hide: PR_SET_CHILD_SUBREAPER."""
    import ctypes
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def processes():
    """pid: (ppid, state, name) of every process."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
            found[int(entry.name)] = (int(rest[1]), rest[0], name)
    return found


def descendants(root=None):
    """Living processes below us (or root): pid: name. A zombie whose parent we are is no process any more."""
    table = processes()
    below, grown = {root or os.getpid()}, True
    while grown:
        more = {pid for pid, (ppid, _, _) in table.items() if ppid in below} - below
        below |= more
        grown = bool(more)
    below.discard(root or os.getpid())
    return {pid: table[pid][2] for pid in below if table[pid][1] != "Z"}


def leftovers(cli):
    """What a command left on the host although it ended: processes, files of slots, mounts, half-made runs."""
    left = [f"process {pid} {name}" for pid, name in descendants().items()]
    left += [str(p) for p in (cli.state / "slots").glob("*/*") if p.name != "lock"]
    left += [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(cli.state) + "/" in line]
    left += [str(p) for p in (cli.state / "runs").glob("*") if not (p / "run.json").exists()]
    return left


def wait_until(condition, what, seconds=120):
    """Wait for an event that nothing tells us of; fails with what it was."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.05)


# ---- runs that are watched while they go ----

class Live:
    """A `run --json` in progress: events as they come, signals, the end."""

    def __init__(self, cli, repo, *args, json_output=True, **more):
        self.cli, self.lines, self.condition = cli, [], threading.Condition()
        self.process = cli.popen("run", *(["--json"] if json_output else []), "--dir", repo.path, *args, errors="surrogateescape", **more)
        self.err = ""
        self.readers = [threading.Thread(target=self.read_out, daemon=True), threading.Thread(target=self.read_err, daemon=True)]
        for reader in self.readers:
            reader.start()

    def read_out(self):
        for line in self.process.stdout:
            with self.condition:
                self.lines.append(line)
                self.condition.notify_all()
        with self.condition:
            self.lines.append(None)
            self.condition.notify_all()

    def read_err(self):
        self.err = self.process.stderr.read()

    def wait_for(self, text, count=1, seconds=280):
        """Wait until the text has been told `count` times on standard output."""
        def told():
            return sum(line.count(text) for line in self.lines if line)
        with self.condition:
            done = self.condition.wait_for(lambda: told() >= count or None in self.lines, seconds)
            assert done and told() >= count, f"{text!r} never came:\n{''.join(x or '' for x in self.lines)}"

    def signal(self, signo):
        self.process.send_signal(signo)

    def end(self, seconds=280):
        status = self.process.wait(seconds)
        for reader in self.readers:
            reader.join(30)
        out = "".join(line for line in self.lines if line)
        return devdep.Result(self.process.args, status, out, self.err)


def slot_processes(cli):
    """{slot number: {program: [pid]}} of everything that holds or serves a slot of this state."""
    table, slots = processes(), {}
    for pid in descendants():
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if table[pid][2].startswith("devdep-job"):
            slots[int(pathlib.Path(words[words.index("--run-dir") + 1]).parent.name)] = {"job": [pid]}
    for pid in descendants():
        held = set()
        for link in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            try:
                held.add(os.readlink(link))
            except OSError:
                pass
        for number, found in slots.items():
            if str(cli.state / "slots" / str(number) / "lock") in held and table[pid][2].startswith("devdep-jail"):
                found.setdefault("jail", []).append(pid)
    for found in slots.values():
        for jail in found.get("jail", []):
            found.setdefault("qemu", []).extend(p for p, name in descendants(jail).items() if name.startswith("qemu") and p not in found.get("qemu", []))
    return slots
