#!/usr/bin/python3
"""Figures of guests: cold_boot_ms, run_one_step_ms, output_mb_s, output_lines_mb_s, job_rss_mb, full_disk_ms. One JSON line each on standard output.

cold_boot_ms: from starting `devdep-cli run` (parsing, planning and git's facts included) to the start of the job's first step, in a
state folder that knows its accelerator.
output_*: a step that writes from C with write(2), from its start to its end, as the journal has them; through the guest's agent, the
door, masking and the journal. job_rss_mb: resident memory of devdep-job while a step sleeps. full_disk_ms: from the moment at which the state folder's file system has
no free block, while a step writes and syncs without end, to the job's verdict. Standard error has each boot's phases."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/lib"))
import devdep  # noqa: E402
from figures import figure  # noqa: E402

BOOTS = int(os.environ.get("BENCH_BOOTS", "10"))
CLONES = int(os.environ.get("BENCH_CLONES", "20"))
FULL_DISKS = int(os.environ.get("BENCH_FULL_DISKS", "3"))
MEBIBYTES = int(os.environ.get("BENCH_MEBIBYTES", "128"))

WRITER = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
        long size = atol(argv[1]), total = atol(argv[2]);
        char *block = malloc(size);
        memset(block, 'x', size);
        for (long i = 99; i < size; i += 100)
                block[i] = '\n';
        block[size - 1] = '\n';
        for (long done = 0; done < total; done += size)
                for (long n = 0; n < size;) {
                        long w = write(1, block + n, size - n);
                        if (w < 0)
                                return 1;
                        n += w;
                }
        return argc < 0;
}
"""

WORKFLOW = """
on: push
jobs:
  bench:
    runs-on: ubuntu-latest
    steps:
      - run: 'true'
      - run: |
          printf '%s' "$WRITER" > writer.c
          gcc -O1 -w -o writer writer.c
        env:
          WRITER: WRITER_TEXT
      - run: exec ./writer 65536 BLOCK_BYTES
      - run: exec ./writer 100 LINE_BYTES
"""


def events_of(cli, repo, *args):
    """(events of the one job, wall-clock ms at the start)."""
    start = time.time() * 1000
    result = cli("run", "--dir", repo.path, "--json", *args, timeout=900)
    if result.status != 0:
        sys.exit(f"bench: a run failed:\n{result}")
    return [e["event"] for e in result.events if "event" in e], start


def first(events, kind, step=None):
    return next(e for e in events if e["type"] == kind and (step is None or e["step"] == step))


def boots(cli, folder):
    repo = devdep.Repo(folder / "boot")
    repo.workflow("on: push\njobs:\n  boot:\n    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n")
    repo.commit()
    events_of(cli, repo, "--cold")  # the first run of a state folder also asks, once, whether KVM boots a guest
    times = []
    for _ in range(BOOTS):
        events, start = events_of(cli, repo, "--cold")
        times.append(first(events, "step_started")["t"] - start)
        print("boot: " + phases(events, start), file=sys.stderr, flush=True)
    return times, first(events, "job_started")["accelerator"]


def one_step(cli, folder):
    """The whole command, from its start to its end; the template is there."""
    repo = devdep.Repo(folder / "one-step")
    repo.workflow("on: push\njobs:\n  hello:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hi\n")
    repo.commit()
    events_of(cli, repo)
    times = []
    for _ in range(CLONES):
        start = time.monotonic()
        events, _ = events_of(cli, repo)
        times.append((time.monotonic() - start) * 1000)
        assert first(events, "job_started")["origin"] == "cloned"
    return times


def phases(events, start):
    """Where the time of one cold boot went: a line for people. The load average tells a busy machine's figures from a slow program's."""
    at = [start] + [first(events, kind)["t"] for kind in ("job_started", "vm_ready", "vm_seeded", "step_started")]
    names = ("planned", "guest ready", "seeded", "step started")
    parts = [f"{name} +{after - before:.0f}" for name, before, after in zip(names, at, at[1:])]
    return ", ".join(parts) + f" = {at[-1] - start:.0f} ms, load average {os.getloadavg()[0]:.1f}"


def output(cli, folder, accelerator):
    blocks, lines = MEBIBYTES << 20, (MEBIBYTES << 20) // 4
    repo = devdep.Repo(folder / "output")
    text = WORKFLOW.replace("WRITER_TEXT", json.dumps(WRITER)).replace("BLOCK_BYTES", str(blocks)).replace("LINE_BYTES", str(lines))
    repo.workflow(text)
    repo.commit()
    events, _ = events_of(cli, repo)
    figure("output_mb_s", "MB/s", accelerator, value=blocks / 1e3 / first(events, "step_finished", 2)["ms"])
    figure("output_lines_mb_s", "MB/s", accelerator, value=lines / 1e3 / first(events, "step_finished", 3)["ms"])


def idle(cli, folder, accelerator):
    repo = devdep.Repo(folder / "idle")
    repo.workflow("on: push\njobs:\n  idle:\n    runs-on: ubuntu-latest\n    steps:\n      - run: sleep 5\n")
    repo.commit()
    run = cli.popen("run", "--dir", repo.path, "--json")
    for line in run.stdout:
        event = json.loads(line).get("event", {})
        if event.get("type") == "step_started":
            break
    job = next(p for p in pathlib.Path("/proc").glob("[0-9]*")
               if name(p) == "devdep-job" and parent(p) == run.pid)
    rss = next(int(s.split()[1]) for s in (job / "status").read_text().splitlines() if s.startswith("VmRSS:"))
    run.stdout.read()
    run.wait()
    figure("job_rss_mb", "MB", accelerator, value=rss * 1024 / 1e6)


def full_disk(folder, accelerator):
    if os.geteuid() != 0:
        print("bench: full_disk_ms needs root, who may mount a file system", file=sys.stderr)
        return
    repo = devdep.Repo(folder / "full")
    repo.workflow("on: push\njobs:\n  full:\n    runs-on: ubuntu-latest\n    steps:\n"
                  "      - run: head -c 1M /dev/zero > ~/big; sync; echo wrote; exec dd if=/dev/zero of=$HOME/big bs=64k oflag=append,dsync conv=notrunc\n")
    repo.commit()
    figure("full_disk_ms", "ms", accelerator, values=[fill(repo, folder / "small") for _ in range(FULL_DISKS)])


def fill(repo, state):
    """One run on a small file system: milliseconds from its last free block to the verdict."""
    state.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m,mode=755", "none", state], check=True)
    try:
        run = devdep.Cli(state).popen("run", "--dir", repo.path, "--json")
        events = (json.loads(line).get("event", {}) for line in run.stdout)
        next(e for e in events if e.get("type") == "log" and "wrote" in e["text"])
        with open(state / "filler", "wb") as filler:
            left = 16 << 20  # the most of it first: that takes longer than a write of the guest
            while (free := os.statvfs(state).f_bavail * os.statvfs(state).f_frsize) > 0:
                with contextlib.suppress(OSError):  # the guest has taken some of it
                    os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, max(free - left, 4096))
                left = 0
        full = time.time() * 1000
        end = first(events, "job_finished")
        if run.wait() != 48:
            sys.exit(f"bench: a full disk ended with status {run.returncode}, not 48")
        return end["t"] - full
    finally:
        subprocess.run(["umount", "-l", state], check=True)


def name(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:  # it ended in between
        return ""


def parent(process):
    return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])


def main():
    missing = devdep.default_image_missing()
    if missing:
        sys.exit(f"bench: {missing}")
    with tempfile.TemporaryDirectory(prefix="devdep-bench-") as path:
        folder = pathlib.Path(path)
        (folder / "state").mkdir()
        cli = devdep.Cli(folder / "state")
        times, accelerator = boots(cli, folder)
        figure("cold_boot_ms", "ms", accelerator, values=times)
        figure("run_one_step_ms", "ms", accelerator, values=one_step(cli, folder))
        output(cli, folder, accelerator)
        idle(cli, folder, accelerator)
        full_disk(folder, accelerator)


main()
