"""What a run uses of the host while it goes, and what is left of it afterwards.

The machine may run other things of the same kind, so nothing here counts by name alone: a process belongs to a state folder when it
descends from this test (orphans come to it, runs.become_subreaper), has a user id of the folder's slots, or holds a file of it."""
import ctypes
import os
import pathlib
import re
import threading
import time

import runs

UID_BASE, UID_BLOCK, UID_BLOCKS = 1879500000, 512 * 8, 65000  # src/vm/slot.h
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
# Every file that may stay in a state folder: ARCHITECTURE.md, "Where things are kept".
KEPT = re.compile(r"cache/probe-[0-9a-f]+\.json|(runs|slots|templates|images)/\.?lock|slots/\d+/lock|images/.*|keys/.*|runs/last"
                  r"|runs/\d+/(run\.json|lock|record|[^/]+\.journal|[^/]+\.spec\.json)|pool/lock|store/(artifacts|caches)/.*|records/(lock|log)|templates/[0-9a-f]+/(memory|state|manifest\.json|lock)")


def slot_uids(state):
    """The block of user ids that root gives to the slots of this state folder: first_uid() of src/vm/slot.c."""
    try:
        st = os.stat(state / "slots")
    except OSError:
        return range(0)
    word = 2 ** 64 - 1
    x = (st.st_ino + (st.st_dev << 32) + 0x9E3779B97F4A7C15) & word
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & word
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & word
    first = UID_BASE + UID_BLOCK * (1 + (x ^ (x >> 31)) % UID_BLOCKS)
    return range(first, first + UID_BLOCK)


def syncfs(fd):
    """Everything of the descriptor's file system reaches its device."""
    if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), "syncfs")


def text_of(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def descriptors(pid):
    try:
        return [link_of(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def namespaces(pid):
    return {link_of(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES} - {""}


def control_groups(pid):
    """Paths below /sys/fs/cgroup, of every hierarchy that is mounted there; the roots, where a process is while it ends, are nobody's."""
    found = set()
    for line in text_of(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if path == "/":
            continue
        names = [controllers.removeprefix("name=")] + controllers.split(",") if controllers else ["", "unified"]
        found |= {group for name in names if (group := pathlib.Path(f"/sys/fs/cgroup/{name}/{path}")).is_dir()}
    return found


def peak_memory(pid):
    match = re.search(r"^VmHWM:\s+(\d+) kB", text_of(f"/proc/{pid}/status"), re.M)
    return int(match[1]) << 10 if match else 0


class Watch:
    """Samples the processes below this test: {pid: (name, peak of its resident memory)}, their namespaces and control groups. Use as
    a context manager."""
    PERIOD = 0.2

    def __init__(self):
        self.peaks, self.namespaces, self.groups = {}, {}, set()  # namespaces: when each was seen last
        self.own = namespaces(os.getpid()), control_groups(os.getpid())
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        self.thread.join()

    def run(self):
        while not self.over.wait(self.PERIOD):
            self.sample()

    def sample(self):
        for pid, name in runs.descendants().items():
            # In the time between fork and exec a process is still its parent's program.
            if pid in self.peaks and self.peaks[pid][0] != name:
                del self.peaks[pid]
            self.peaks[pid] = (name, max(peak_memory(pid), self.peaks.get(pid, ("", 0))[1]))
            self.namespaces.update((name, time.monotonic()) for name in namespaces(pid) - self.own[0])
            self.groups |= control_groups(pid) - self.own[1]

    def add(self, other):
        """What another watch saw, too."""
        self.namespaces.update(other.namespaces)
        self.groups |= other.groups

    def peak(self, name):
        """The largest of all processes of that program, in bytes."""
        return max((peak for program, peak in self.peaks.values() if name.startswith(program) or program.startswith(name)), default=0)


def processes_of(state):
    """{pid: why} of what belongs to a state folder."""
    below, users = str(state) + "/", slot_uids(state)
    found = {pid: name for pid, name in runs.descendants().items()}
    for pid in runs.processes():
        if pid == os.getpid() or pid in found:
            continue
        uid = re.search(r"^Uid:\s+(\d+)", text_of(f"/proc/{pid}/status"), re.M)
        if uid and int(uid[1]) in users:
            found[pid] = f"user {uid[1]}"
        held = [link for link in (*descriptors(pid), link_of(f"/proc/{pid}/cwd"), link_of(f"/proc/{pid}/root")) if link.startswith(below)]
        if held:
            found[pid] = f"holds {held}"
    table = runs.processes()
    return {pid: why for pid, why in found.items() if pid in table and table[pid][1] != "Z"}


def mounts_of(state):
    """Lines of any mount table of the host that name something below the state folder."""
    seen, found = set(), []
    for pid in runs.processes():
        space = link_of(f"/proc/{pid}/ns/mnt")
        if space and space not in seen:
            seen.add(space)
            found += [line for line in text_of(f"/proc/{pid}/mountinfo").splitlines() if str(state) + "/" in line]
    return found


def age(pid):
    """Seconds since its start."""
    fields = text_of(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields else 0


def living(seen):
    """Which of these namespaces (name: when it was seen last) still exist: of a process, held by a descriptor, or mounted. Their numbers
    are used again, so a process that began after that has one of its own."""
    now, found = time.monotonic(), {line.split()[3] for line in text_of("/proc/self/mountinfo").splitlines() if " nsfs " in line} & set(seen)
    for pid, (_, state, _) in runs.processes().items() if seen else ():
        if state == "Z":
            continue  # ours to collect, and it still names its namespaces
        began = now - age(pid)
        found |= {name for name in (*namespaces(pid), *descriptors(pid)) if seen.get(name, 0) > began}
    return found


def waits_for_next(path):
    """A file that a killed command was about to put in the place of another in its run's folder: the next command that makes the run's record removes it."""
    return re.fullmatch(r"[^/]+\.new-\w{6}", path.name) and path.parent.parent.name == "runs" and not (path.parent / "record").exists()


def files_of(state):
    """What may not stay in a state folder, and templates that are not whole."""
    found = [str(p) for p in state.rglob("*") if not p.is_dir() and not KEPT.fullmatch(str(p.relative_to(state))) and not waits_for_next(p)]
    found += [str(p) for p in state.glob("slots/*/*") if p.is_dir()]
    found += [f"{p}: no run.json" for p in state.glob("runs/[0-9]*") if not (p / "run.json").exists()]
    found += [f"{p}: not whole" for p in state.glob("templates/*") if p.is_dir() and (p / "manifest.json").exists() and
              not ((p / "memory").exists() and (p / "state").exists())]
    return found


def left(state, watch=None):
    """Every process, mount, namespace, control group and file that runs left on the host, as sentences."""
    found = [f"process {pid}: {why}" for pid, why in processes_of(state).items()]
    found += [f"mount {line}" for line in mounts_of(state)]
    found += [f"file {path}" for path in files_of(state)]
    found += [f"socket {line}" for line in text_of("/proc/net/unix").splitlines() if str(state) + "/" in line]
    if watch:
        found += [f"namespace {name}" for name in living(watch.namespaces)]
        found += [f"control group {path}" for path in watch.groups if path.is_dir()]
    return found


def wait_until_clean(state, watch=None, seconds=60):
    """What is left after a bounded wait: [] is what is wanted."""
    deadline = time.monotonic() + seconds
    while (found := left(state, watch)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def counted(found):
    """"0 processes, 0 mounts, ..." of what left() found."""
    kinds = {"process": "processes", "mount": "mounts", "namespace": "namespaces", "control group": "control groups", "file": "files",
             "socket": "sockets"}
    return ", ".join(f"{sum(line.startswith(kind + ' ') for line in found)} {name}" for kind, name in kinds.items())
