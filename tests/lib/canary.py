"""A secret that is easy to find again, and where to look for it: processes, their memory files, files, raw disks.

A value is made of one word of the canary again and again with other text between, so that a part of it is found as well as the whole:
what freed memory keeps is often only the end of what was there. A value that is encoded has the word in another form, and in base64 in each alignment."""
import base64
import os
import pathlib
import re
import secrets
import string

import census
import runs

SPAN = 16 << 20  # bytes read at a time


class Canary:
    def __init__(self):
        # Both cases, and no word that a name of a file or a random token could have.
        self.word = "Zq" + "".join(secrets.choice(string.ascii_letters) for _ in range(8)) + "Jx"
        self.value = "".join(self.word + secrets.token_hex(2)[:n] for n in (4, 3, 1, 2))

    @property
    def needles(self):
        word = self.word.encode()
        found = {word, word.lower(), word.hex().encode(), word.hex().upper().encode()}
        for shift in range(3):
            text = base64.b64encode(bytes(shift) + word)
            found.add(text[-(-shift * 8 // 6):(shift + len(word)) * 8 // 6])
        return sorted(found)


def every_needle(canaries):
    return sorted({n for c in canaries for n in c.needles})


def hits(data, needles):
    return [n for n in needles if n in data]


def search(read, at, end, needles):
    """{needle: what is around it once} between two places of what read(at, n) gives; b"" ends it."""
    found, overlap = {}, max(map(len, needles)) - 1
    while at < end:
        data = read(at, min(end - at, SPAN))
        if not data:
            break
        for needle in hits(data, needles):
            i = data.find(needle)
            found.setdefault(needle, data[max(0, i - 120):i + 120])
        at += len(data) if len(data) <= overlap or at + len(data) >= end else len(data) - overlap
    return found


# ---- processes ----

class Mapping:
    def __init__(self, head):
        span, self.rights, self.offset, _, _, *name = head.split(None, 5)
        self.at, self.end = (int(x, 16) for x in span.split("-"))
        self.name, self.flags = name[0].strip() if name else "", set()

    @property
    def is_safe(self):
        """Neither swapped out nor part of a core file. The pages of an area (src/base/secret.h) are locked by who made it, for all who map it."""
        return "dd" in self.flags and ("lo" in self.flags or self.name.startswith(("/memfd:secrets", "/memfd:credentials")))


def mappings(pid):
    found = []
    for line in census.text_of(f"/proc/{pid}/smaps").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found.append(Mapping(line))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


def in_memory(pid, needles):
    """[(mapping, {needle: what is around it})] of what a process can read and write."""
    found = []
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            def read(at, n):
                try:
                    return os.pread(memory.fileno(), n, at)
                except OSError:
                    return b""
            for m in mappings(pid):
                if not m.name.startswith(("[vvar", "[vsyscall")) and (there := search(read, m.at, m.end, needles)):
                    found.append((m, there))
    except OSError:
        pass
    return found


def in_memory_files(pid, needles, seen):
    """Names of the memory files that a process has open, mapped or not; those of `seen` (inode numbers) once."""
    found = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
        try:
            if not os.readlink(fd).startswith("/memfd:"):
                continue
            st = os.stat(fd)
            if (st.st_dev, st.st_ino) in seen:
                continue
            seen.add((st.st_dev, st.st_ino))
            if file_hits(fd, needles):
                found.append(os.readlink(fd))
        except OSError:
            continue
    return found


def in_process_table(needles):
    """Processes of this host, whosever, that have it in their arguments or environment; not this one."""
    return [f"{pid} {what}" for pid in runs.processes() if pid != os.getpid() for what in ("cmdline", "environ", "comm")
            if hits(census.text_of(f"/proc/{pid}/{what}").encode(errors="replace"), needles)]


def is_dumpable(pid):
    """Would the kernel make a core file, or let a process of the same user read the memory? Then its files in /proc are root's. Of a process that is not root's."""
    return os.stat(f"/proc/{pid}/environ").st_uid != 0


def leaves_no_core(pid):
    limits = re.search(r"^Max core file size +(\S+) +(\S+)", census.text_of(f"/proc/{pid}/limits"), re.M)
    return limits is None or limits.groups() == ("0", "0")


class Sighting:
    """Where the processes of one run have a canary."""

    def __init__(self, pids, needles):
        self.memory, self.files, seen = [], [], set()
        for pid, name in pids.items():
            self.memory += [(name, m, there) for m, there in in_memory(pid, needles)]
            self.files += [(name, what) for what in in_memory_files(pid, needles, seen)]

    def programs(self):
        return {name for name, _, _ in self.memory} | {name for name, _ in self.files}

    def unsafe(self, *apart):
        """Places that could be swapped out or dumped, but for those of these programs."""
        return [f"{name} {m.name or 'anonymous'} {m.rights} {sorted(m.flags)} {there}" for name, m, there in self.memory
                if not m.is_safe and not name.startswith(apart)]

    def __repr__(self):
        return "\n".join([f"{name} {m.at:x} {m.name} {m.rights} {' '.join(sorted(m.flags))}: {there}" for name, m, there in self.memory]
                         + [f"{name} {what}" for name, what in self.files])


# ---- files and disks ----

def file_hits(path, needles):
    """{needle: what is around it} in a file or a disk, holes left out."""
    found = {}
    with open(path, "rb") as f:
        end, at = f.seek(0, 2), 0
        while at < end:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
                at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            except OSError:
                break
            found.update(search(lambda p, n: os.pread(f.fileno(), n, p), start, at, needles))
    return found


def tree_hits(top, needles):
    """{path: {needle: what is around it}} of the regular files below a folder, and of what is only named."""
    found = {}
    for path in pathlib.Path(top).rglob("*"):
        there = {n: b"its name" for n in hits(str(path).encode(errors="surrogateescape"), needles)}
        if path.is_file() and not path.is_symlink():
            there.update(file_hits(path, needles))
        if there:
            found[str(path)] = there
    return found
