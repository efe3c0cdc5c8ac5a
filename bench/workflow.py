#!/usr/bin/python3
"""Figures of the workflow language: expr_vs_github, plan_500kb_ms, plan_rss_mb. One JSON line each on standard output.

expr_vs_github: expressions per second of `devdep-cli expr --jsonl` over those of npm @actions/expressions behind the same JSON Lines
(tests/github-parser/answer.mjs, which keeps contexts from line to line as ours does), both from a file, in turns; the shortest time of each
counts, because other work only ever adds. The expressions are those of the differential test.

plan_500kb_ms: `devdep-cli plan -W FILE --json` from its start to its end, on a file of nearly 500 KB (the limit) with a matrix of 256 jobs and some
3,000 steps with expressions; plan_rss_mb: the most memory that it had resident."""
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/lib"))
import devdep  # noqa: E402
import github  # noqa: E402

COUNT = int(os.environ.get("BENCH_EXPRESSIONS", "60000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


def timed(argv, file, cwd):
    """(wall-clock seconds, processor seconds) of a program that reads the file."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(file) as lines:
        subprocess.run(argv, stdin=lines, stdout=subprocess.DEVNULL, check=True, cwd=cwd)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def expressions(folder):
    if github.missing():
        print(f"bench: expr_vs_github: {github.missing()}", file=sys.stderr)
        return
    programs = {"ours": [devdep.BUILD / "devdep-cli", "expr", "--jsonl"], "theirs": [github.node(), "answer.mjs"]}
    cwd = github.prepare(folder / "github")
    lines = folder / "lines"
    lines.write_text(subprocess.run([sys.executable, github.HERE / "generate.py", "1", str(COUNT)], capture_output=True, text=True, check=True).stdout)
    times = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, argv in programs.items():
            times[name].append(timed(argv, lines, cwd))
    wall = {name: min(w for w, _ in times[name]) for name in programs}
    processor = {name: min(p for _, p in times[name]) for name in programs}
    print(json.dumps({"figure": "expr_vs_github", "unit": "times", "n": ROUNDS, "value": round(wall["theirs"] / wall["ours"], 2),
                      "processor": round(processor["theirs"] / processor["ours"], 2), "ours_per_s": round(COUNT / wall["ours"]),
                      "theirs_per_s": round(COUNT / wall["theirs"])}), flush=True)


def large_workflow():
    """As large as a file may be."""
    numbers = ", ".join(str(i) for i in range(16))
    lines = ["on: push", "jobs:", "  grid:", "    runs-on: ubuntu-latest", "    strategy:", "      matrix:", f"        a: [{numbers}]", f"        b: [{numbers}]", "    steps:"]
    size = 0
    for step in range(100000):
        more = [f"  job{step}:", "    needs: grid", "    runs-on: ubuntu-latest", "    env: {REF: '${{ github.ref }}'}", "    steps:"] if step % 40 == 39 else []
        more += [f"      - name: step {step}", f"        if: github.event_name == 'push' && {step} > 3", '        run: echo "${{ github.sha }}" ' + "x" * 60]
        size += sum(len(line) + 1 for line in more)
        if size > 511_000:
            return "\n".join(lines) + "\n"
        lines += more


def plan(folder):
    (folder / "large.yml").write_text(large_workflow())
    argv = [devdep.BUILD / "devdep-cli", "plan", "-W", "large.yml", "--json"]
    times = []
    for _ in range(20):
        start = time.monotonic()
        subprocess.run(argv, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        times.append((time.monotonic() - start) * 1000)
    print(json.dumps({"figure": "plan_500kb_ms", "unit": "ms", "n": len(times), "p50": round(statistics.median(times), 1), "least": round(min(times), 1)}))
    print(json.dumps({"figure": "plan_rss_mb", "unit": "MB", "n": 1, "value": round(most_memory(argv, folder), 1)}), flush=True)


def most_memory(argv, cwd):
    """Megabytes at most, asked of a process that waits because nobody reads the end of its output. (What wait4() reports begins with our own.)"""
    process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE)
    process.stdout.read(1)
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    process.stdout.read()
    if process.wait():
        sys.exit("bench: plan failed")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024 / 1e6


def main():
    with tempfile.TemporaryDirectory(prefix="devdep-bench-") as path:
        plan(pathlib.Path(path))
        expressions(pathlib.Path(path))


main()
