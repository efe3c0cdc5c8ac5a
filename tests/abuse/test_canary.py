"""What a job writes stays with its guest: to every writable path, to memory, to the scratch disk itself. Neither the next job of the
same slot finds it, nor is it in the raw blocks of the host's file system, whether the run ended by itself or a process was killed.

The state folder is on a file system of its own, in a file that is then searched whole, freed blocks included. The markers are made in
the guest, of a seed, so that they never pass through the host; a searcher only has their halves apart, or it would find itself."""
import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import canary as canaries
import census
import devdep
import runs
import scene as scenes
import sizes
import test_kills

pytestmark = [pytest.mark.guest, pytest.mark.skipif(os.geteuid() != 0 or bool(devdep.USER), reason="mounts, so root")]
DISK = 6 << 30

HALVES = """
import hashlib
def halves(seed):
    return [hashlib.sha256(f'{seed} {i}'.encode()).digest() for i in (1, 2)]
"""

WRITE = HALVES + """
import mmap, os, socket, stat
block = b''.join(halves('SEED')) * 64
kept, told = [], []
def attempt(name, write):
    try:
        write()
        told.append(name)
    except OSError as e:
        print('not', name, e.strerror)
def put(path, blocks):
    with open(path, 'wb') as f:
        for _ in range(blocks):
            f.write(block)
        os.fsync(f.fileno())
folders = ['/', '/dev', '/etc', '/home/runner', '/opt', '/root', '/run', '/srv', '/usr/local', '/var/cache', '/var/log', '/var/tmp', os.getcwd()]
folders += sorted({line.split()[1] for line in open('/proc/mounts')})
for folder in folders:
    attempt(folder, lambda: put(f'{folder}/canary', 4))
for folder in ('/tmp', os.getcwd()):
    attempt('much in ' + folder, lambda: put(f'{folder}/much', BULK // len(block) // 2))
kept.append(bytearray(block) * 4096)
shared = mmap.mmap(-1, 4 << 20)
shared.write(block * 1024)
pipes = [os.pipe() for _ in range(16)]
for _, end in pipes:
    os.write(end, block[:4096] * 8)
pairs = [socket.socketpair() for _ in range(16)]
for one, _ in pairs:
    one.send(block * 8)
def raw(name, device):
    path = f'/tmp/raw-{name}'
    os.mknod(path, stat.S_IFBLK | 0o600, device)
    fd = os.open(path, os.O_RDWR)
    size = os.lseek(fd, 0, os.SEEK_END)
    for at in (size // 2, size - (1 << 20)):
        os.pwrite(fd, block, at)
    os.fsync(fd)
for name in sorted(os.listdir('/sys/block')):
    major, minor = map(int, open(f'/sys/block/{name}/dev').read().split(':'))
    attempt('raw ' + name, lambda: raw(name, os.makedev(major, minor)))
os.sync()
print('wrote', *told, sep=';')
print('canary', 'is', 'written', sep='-', flush=True)
"""

SEARCH = HALVES + """
import os, stat, struct
wanted = {'canary': halves('SEED'), 'control': halves('CONTROL')}
control = bytearray().join(halves('CONTROL')) * 4096
folder = os.getcwd()
with open('/dev/shm/control', 'wb') as f:
    f.write(control)
found, counted = set(), {}
LIMIT = BYTES
def search(kind, name, read, size):
    at, tail = 0, b''
    while at < size:
        data = read(min(1 << 20, size - at))
        if not data:
            break
        at += len(data)
        counted[kind] = counted.get(kind, 0) + len(data)
        window = tail + data
        for what, (first, second) in wanted.items():
            i = window.find(first)
            while i >= 0:
                if window[i + 32:i + 64] == second:
                    found.add((what, kind, name))
                    break
                i = window.find(first, i + 1)
        tail = window[-63:]
def files():
    mounts = [line.split() for line in open('/proc/mounts')]
    kernels = {m[1] for m in mounts if m[2] in ('proc', 'sysfs', 'cgroup2')}
    for top, folders, names in os.walk('/'):
        if top in kernels or (LIMIT and top == '/usr'):
            folders.clear()
            continue
        for name in names:
            path = os.path.join(top, name)
            try:
                st = os.lstat(path)
                if stat.S_ISREG(st.st_mode):
                    with open(path, 'rb', 0) as f:
                        search('files', path, f.read, st.st_size)
            except OSError:
                pass
def disks():
    for name in sorted(os.listdir('/sys/block')):
        major, minor = map(int, open(f'/sys/block/{name}/dev').read().split(':'))
        try:
            os.mknod(f'/tmp/search-{name}', stat.S_IFBLK | 0o600, os.makedev(major, minor))
            with open(f'/tmp/search-{name}', 'rb', 0) as f:
                size = f.seek(0, 2)
                for at in [0, size // 2, max(0, size - LIMIT)] if LIMIT else [0]:
                    f.seek(at)
                    search('disks', name, f.read, LIMIT or size)
        except OSError as e:
            print('disk', name, e.strerror)
def memory():
    with open('/proc/kcore', 'rb', 0) as f:
        count, = struct.unpack_from('<H', f.read(64), 56)
        headers = [struct.unpack('<IIQQQQQQ', f.read(56)) for _ in range(count)]
        total = os.sysconf('SC_PHYS_PAGES') * 4096 * 3 // 2
        for kind, _, offset, _, _, size, _, _ in headers:
            if kind != 1 or size > total:
                continue
            f.seek(offset)
            search('memory', 'kcore', f.read, size)
import time
for search_all in (files, disks, memory):
    began = time.monotonic()
    try:
        search_all()
    except OSError as e:
        print(search_all.__name__, e.strerror)
    print(search_all.__name__, round(time.monotonic() - began, 1), 's', flush=True)
print('searched', *(f'{kind}={n >> 20}' for kind, n in sorted(counted.items())))
for hit in sorted(found):
    print('found', *hit)
"""


def script(text, **words):
    for word, value in words.items():
        text = text.replace(word, str(value))
    return f"cat > /tmp/canary.py <<'END'\n{text}\nEND\nsudo python3 /tmp/canary.py"


def markers(seed):
    return [hashlib.sha256(f"{seed} {i}".encode()).digest() for i in (1, 2)]


def raw_hits(path, seed):
    """Where either half of a marker stands in a file, holes left out: (hits, bytes searched)."""
    hits, searched = [], 0
    with open(path, "rb") as f:
        end, at = f.seek(0, 2), 0
        while at < end:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            tail, f_at = b"", start
            while f_at < at:
                data = os.pread(f.fileno(), min(16 << 20, at - f_at), f_at)
                window = tail + data
                hits += [f_at - len(tail) + window.find(m) for m in markers(seed) if m in window]
                f_at += len(data)
                searched += len(data)
                tail = window[-63:]
    return hits, searched


class Disk:
    """A file system of its own below the state folder, in one file."""

    def __init__(self, folder):
        self.file, self.mount = folder / "disk", folder / "mount"
        self.mount.mkdir()
        self.file.touch()
        os.truncate(self.file, DISK)
        subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=1", self.file], check=True)
        subprocess.run(["mount", "-o", "loop,nodiscard", self.file, self.mount], check=True)
        self.state = self.mount / "state"
        self.state.mkdir()

    def sync(self):
        """Everything that was written reaches the file: what a scratch disk holds in the cache would go with it."""
        fd = os.open(self.mount, os.O_RDONLY)
        census.syncfs(fd)
        os.close(fd)

    def hits(self, seed):
        self.sync()
        return raw_hits(self.file, seed)

    def found(self, needles):
        """Which of these words are anywhere on it, freed blocks included."""
        self.sync()
        return canaries.file_hits(self.file, needles)

    @contextlib.contextmanager
    def synced(self):
        """Sync again and again meanwhile."""
        over = threading.Event()

        def go_on():
            while not over.wait(0.5):
                self.sync()
        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self):
        subprocess.run(["umount", self.mount], check=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    made = Disk(tmp_path_factory.mktemp("canary"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def place(disk):
    made = scenes.Scene(disk.state, memory="256M")
    made.warm()
    yield made
    assert made.close()[1] == []


def written_elsewhere(scene, own):
    """Regular files open for writing by processes of the run that are neither in memory nor on the state's file system, nor the command's
    own output, which is below the folder `own`."""
    device, found = os.stat(scene.cli.state).st_dev, []
    for pid, name in runs.descendants().items():
        for link in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            try:
                st, target = os.stat(link), os.readlink(link)
                flags = int(census.text_of(f"/proc/{pid}/fdinfo/{link.name}").split("flags:")[1].split()[0], 8)
            except (OSError, IndexError):
                continue
            if os.path.stat.S_ISREG(st.st_mode) and flags & 3 and st.st_dev != device and not target.startswith(("/memfd:", str(own))):
                found.append(f"{name}: {target}")
    return found


def test_the_search_finds_what_is_written_in_clear(disk):
    """Also when it was removed: as a scratch disk in clear would be."""
    path = disk.state / "clear"
    path.write_bytes(b"".join(markers("in clear")) * 1000)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    path.unlink()
    assert disk.hits("in clear")[0] and not disk.hits("never written")[0]


def test_nothing_of_a_job_is_found_by_the_next_or_on_the_hosts_disk(disk, place, repo):
    before = disk.hits("x")[1]
    with disk.synced():
        outcome = place.run(repo, [{"id": "write", "run": script(WRITE, SEED="one", BULK=sizes.SIZE.canary) + "; sleep 8; exit 3"}], beside=False,
                            seconds=900)
    job = outcome["hostile"]
    assert "canary-is-written" in job["write"].lines and job["write"].exit_code == 3, job["write"]
    wrote = next(line for line in job["write"].lines if line.startswith("wrote")).split(";")[1:]
    assert {"/", "/tmp", "/run", "/dev/shm", "/home/runner", "/home/runner/work", "/var/tmp", "much in /tmp"} <= set(wrote), job["write"]
    hits, searched = disk.hits("one")
    assert hits == [], hits
    assert searched - before > sizes.SIZE.canary * 0.9, "what the job wrote never reached the file"
    search = script(SEARCH, SEED="one", CONTROL="two", BYTES=sizes.SIZE.search or 0)
    outcome = place.run(repo, [{"id": "search", "run": search + "; exit 3"}], beside=False, seconds=1800)
    lines = outcome["hostile"]["search"].lines
    found = [line.split()[1:] for line in lines if line.startswith("found")]
    assert [f for f in found if f[0] == "canary"] == [], lines
    # It finds what is there: its own, in a file and in memory.
    assert ["control", "files", "/dev/shm/control"] in found and ["control", "memory", "kcore"] in found, lines
    print(lines)


@pytest.mark.parametrize("victim", sizes.SIZE.canary_kills)
def test_nothing_of_a_job_is_on_the_hosts_disk_after_a_kill(disk, place, repo, victim):
    seed = f"killed {victim}"
    before = disk.hits("x")[1]
    jobs = {"hostile": [{"run": script(WRITE, SEED=seed, BULK=sizes.SIZE.canary) + ("; exit 3" if victim == "source" else "; sleep 3000")}]}
    with census.Watch() as watch:
        place.watches.append(watch)
        process = place.start(repo, jobs)
        out = repo.path.parent / "out"
        try:
            if victim == "source":
                runs.wait_until(lambda: test_kills.parts(place, process).get("source"), "a source", 240)
            else:
                runs.wait_until(lambda: b"canary-is-written" in out.read_bytes() or process.poll() is not None, "the canary", 900)
                assert written_elsewhere(place, out.parent) == []
                disk.sync()
            os.kill(test_kills.parts(place, process)[victim], signal.SIGKILL)
            process.wait(900)
        finally:
            process.kill()
            process.wait()
    assert process.returncode not in (0, None)
    runs.wait_until(lambda: not census.processes_of(place.cli.state), "the end of the run's processes")
    hits, searched = disk.hits(seed)
    assert hits == [] and searched >= before, hits
    if victim == "command":
        test_kills.assert_next_command_cleans(place, repo, place.new_run())
    assert place.left() == []
