#!/usr/bin/python3
"""Figures of clones and claims: claim_to_ack_ms, claim_to_output_ms, claim_to_step_ms, claim_to_step_ratio, clone_to_output_ms,
run_one_step_ms (cloned; bench/pool.py has it parked), clones_per_s, and where podman is installed podman_run_ms, claim_vs_podman_run,
clone_vs_podman_run. One JSON line each on standard output; docs/performance.md says how each is taken. As root.

BENCH_ACKS (200), BENCH_CLONES (20), BENCH_RUNS (10), BENCH_PODMAN (10): how often."""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests/lib"), str(TOP / "tests")]
import devdep  # noqa: E402
import pool  # noqa: E402
import vm_stage  # noqa: E402
from figures import figure  # noqa: E402
from lib import guest_harness, yamux  # noqa: E402

CLAIMS, CLONES, RUNS, PODMAN = (int(os.environ.get(name, default)) for name, default in (
    ("BENCH_ACKS", 200), ("BENCH_CLONES", 20), ("BENCH_RUNS", 10), ("BENCH_PODMAN", 10)))
PARKED = 4
CORES = len(os.sched_getaffinity(0))
COMMAND = ["/bin/sh", "-c", "echo hi"]
AFTER_PARK = (1 << 16) + 1  # a parked guest's next owner begins with this stream
accelerator = "tcg"


class Owner(guest_harness.Guest):
    """Who owns a VM that devdep started: the channel is a descriptor."""

    def __init__(self, channel):
        self.sock = socket.socket(fileno=os.dup(channel))
        self.sock.setblocking(True)
        self.session = self.nonce = None

    def claim(self):
        self.session = yamux.Session(self.sock)
        self.session.next_id = AFTER_PARK
        answer = self.call(**self.seed_fields())
        assert answer["status"] == b"ok", answer

    def first_output(self):
        """Until the first byte of the command, which then ends."""
        process = self.start(COMMAND)
        process.until(b"h")
        at = time.monotonic()
        assert process.finish().out == b"hi\n"
        return at


def since(start, end=None):
    return ((end or time.monotonic()) - start) * 1e3


def claims(p):
    """A parked VM is claimed, seeded, and runs a command; then it ends, and the pool parks another one."""
    acks, outputs = [], []
    for _ in range(CLAIMS):
        p.wait_for(PARKED)
        with p.client() as client:
            start = time.monotonic()
            answer = client.ask(pool.kind("claim"))
            os.write(answer.fds[pool.CONTROL], b'{"execute": "cont"}\r\n')
            owner = Owner(answer.fds[pool.CHANNEL])
            owner.claim()
            acks.append(since(start))
            outputs.append(since(start, owner.first_output()))
            owner.sock.close()
            answer.close()
    return acks, outputs


def clone(stage, request):
    """From asking for a clone to the first byte of the command in it."""
    start = time.monotonic()
    vm = stage.vm(request)
    owner = Owner(vm.channel)
    answer = owner.seed()
    assert answer["status"] == b"ok", answer
    took = since(start, owner.first_output())
    owner.sock.close()
    vm.close()
    stage.vms.remove(vm)
    return took


def from_disk():
    with vm_stage.Stage(memory=2048) as stage:
        clone(stage, "disk")  # makes the template
        return [clone(stage, "disk") for _ in range(CLONES)]


def throughput():
    """Clones a second, seeded and with a command's output, made by as many at a time as there are processors."""
    def work(stage):
        for _ in range(CLONES // CORES):
            clone(stage, "clone")
    stages = [vm_stage.Stage(memory=2048).__enter__() for _ in range(CORES)]
    try:
        for stage in stages:
            stage.template()
        threads = [threading.Thread(target=work, args=(stage,)) for stage in stages]
        start = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return CLONES // CORES * CORES / (time.monotonic() - start)
    finally:
        for stage in stages:
            stage.__exit__()


def one_step(cli, repo, origin):
    """Wall time of the whole command, and the durations of its steps."""
    start = time.monotonic()
    result = cli("run", "--json", "--dir", repo.path, timeout=600)
    took = since(start)
    events = [line["event"] for line in result.events if "event" in line]
    began = next((e for e in events if e["type"] == "job_started"), {})
    assert result.status == 0 and began["origin"] == origin, result
    return took, [e["ms"] for e in events if e["type"] == "step_finished"]


def repository(folder, name, steps):
    repo = devdep.Repo(folder / name)
    repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [{"run": "echo hi"}] * steps}}}))
    repo.commit()
    return repo


def podman():
    """Milliseconds to the first byte of the same command on the same root file system in a container, or why there is none."""
    if not shutil.which("podman"):
        return None, "podman is not installed"
    runtime = ["--runtime", "runc"] if shutil.which("runc") else []
    with tempfile.TemporaryDirectory(prefix="devdep-podman-") as path:
        mounted = subprocess.run(["mount", "-o", "loop,ro", devdep.SYSTEM_IMAGES / "default/root.img", path], capture_output=True, text=True)
        if mounted.returncode:
            return None, mounted.stderr.strip()
        try:
            times = []
            for _ in range(PODMAN + 1):  # the first one is not counted
                start = time.monotonic()
                process = subprocess.Popen(["podman", "run", *runtime, "--rm", "--network", "none", "--ulimit", "nofile=1024:1024",
                                            "--ulimit", "nproc=1024:1024", "--rootfs", f"{path}:O", *COMMAND], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
                first = process.stdout.read(1)
                times.append(since(start))
                said = process.communicate()[1].decode(errors="replace").strip()
                if first != b"h":
                    return None, said.splitlines()[-1] if said else "no output"
            return times[1:], None
        finally:
            subprocess.run(["umount", path], check=True)


def with_pool(cli, folder):
    one, several = repository(folder, "one", 1), repository(folder, "several", 6)
    cloned = [one_step(cli, one, "cloned")[0] for _ in range(RUNS + 1)][1:]  # the first one makes the template
    figure("run_one_step_ms", "ms", accelerator, cloned, origin="cloned")
    p = pool.Pool(cli, "--warm", f"default={PARKED}", "--memory", "4G")
    try:
        firsts, ratios = [], []
        for _ in range(RUNS):
            p.wait_for(PARKED)
            steps = one_step(cli, several, "parked")[1]
            firsts.append(steps[0])
            ratios.append(steps[0] / statistics.median(steps[1:]))
        figure("claim_to_step_ms", "ms", accelerator, firsts)
        figure("claim_to_step_ratio", "first step / same step again", accelerator, [round(r, 2) for r in ratios])
        acks, outputs = claims(p)
    finally:
        p.stop()
    figure("claim_to_ack_ms", "ms", accelerator, acks)
    figure("claim_to_output_ms", "ms", accelerator, outputs)
    return outputs


def main():
    missing = devdep.default_image_missing() or (os.geteuid() != 0 and "needs root: it owns VMs as devdep-job does")
    if missing:
        sys.exit(f"bench: {missing}")
    with tempfile.TemporaryDirectory(prefix="devdep-bench-") as path:
        folder = pathlib.Path(path)
        (folder / "state").mkdir()
        cli = devdep.Cli(folder / "state")
        os.environ["DEVDEP_STATE"] = str(cli.state)
        cli("image", "build", "default", "--if-missing")  # with the agent of this build; the rest is linked
        claimed = with_pool(cli, folder)
        cloned = from_disk()
        figure("clone_to_output_ms", "ms", accelerator, cloned)
        figure("clones_per_s", "1/s", accelerator, value=throughput())
    container, why = podman()
    if why:
        figure("podman_run_ms", "ms", "none", reason=why)
    else:
        figure("podman_run_ms", "ms", "none", container)
        figure("claim_vs_podman_run", "p50 / p50", accelerator, value=statistics.median(claimed) / statistics.median(container))
        figure("clone_vs_podman_run", "p50 / p50", accelerator, value=statistics.median(cloned) / statistics.median(container))
    print(f"clones: load average {os.getloadavg()[0]:.1f}", file=sys.stderr)


main()
