#!/usr/bin/python3
"""Figures of devdep-pool: run_one_step_ms with a parked guest, claim_answer_ms, parked_vm_mb, refill_ms. One JSON line each on standard output.

run_one_step_ms: `devdep-cli run` of a one-step workflow (`run: echo hi`, bash), from its start to its end, while one VM is parked and none is prepared.
claim_answer_ms: the pool's part of it, from the client's connection to the last descriptor of its answer. parked_vm_mb: anonymous memory of a parked VM's VMM,
and what it consists of: the guest's copied pages, translated code (memory that is executed; emulation only), the rest. refill_ms: from the order to the parked VM, template in memory."""
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/lib"))
import devdep  # noqa: E402
import pool  # noqa: E402
import runs  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_CLAIMS", "10"))


def figure(name, values, unit="ms", **more):
    values = sorted(values)
    print(json.dumps({"figure": name, "unit": unit, "n": len(values), "p50": round(statistics.median(values), 1),
                      "p90": round(values[min(len(values) - 1, len(values) * 9 // 10)], 1), "least": round(values[0], 1), **more}), flush=True)


def memory(jail):
    """Anonymous memory of the VMM below a devdep-jail, by what it is for, in MB."""
    (vmm,) = [pid for pid, name in runs.descendants(int(jail)).items() if name.startswith("qemu")]
    sums, kind = {"guest": 0, "code": 0, "rest": 0}, "rest"
    for line in pathlib.Path(f"/proc/{vmm}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            kind = "guest" if "template-memory" in line or "/memfd:" in line else "code" if "x" in words[1] and len(words) < 6 else "rest"
        elif words[0] == "Anonymous:":
            sums[kind] += int(words[1]) * 1024 / 1e6
    return {name: round(value, 1) for name, value in sums.items()}


def measure(folder):
    state = folder / "state"
    state.mkdir()
    cli, repo = devdep.Cli(state), devdep.Repo(folder / "repo")
    repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "ubuntu-latest", "steps": [{"run": "echo hi"}]}}}))
    repo.commit()
    p = pool.Pool(cli)
    run, claim, refill, parked = [], [], [], []
    try:
        assert cli("vm", "warm", "default").status == 0
        for _ in range(ROUNDS):
            (vm,) = p.wait_for(1).vms
            parked.append(memory(vm["pid"]))
            start = time.monotonic()
            result = cli("run", "--dir", repo.path)
            run.append((time.monotonic() - start) * 1000)
            assert result.status == 0 and "parked" in result.out, result
            (vm,) = p.wait_for(1).vms
            start = time.monotonic()
            with p.client() as client:
                answer = client.ask(pool.kind("claim"))
                claim.append((time.monotonic() - start) * 1000)
                assert answer.status == "ok"
                answer.close()
            assert cli("vm", "stop", "--all-parked").status == 0
            runs.wait_until(lambda: not p.ls().vms, "nothing is parked")
            start = time.monotonic()
            assert cli("vm", "warm", "default").status == 0
            refill.append((time.monotonic() - start) * 1000)
    finally:
        p.stop()
    figure("run_one_step_ms", run, guest="parked")
    figure("claim_answer_ms", claim)
    figure("refill_ms", refill)
    figure("parked_vm_mb", [sum(m.values()) for m in parked], "MB", **{k: statistics.median(m[k] for m in parked) for k in parked[0]})


def main():
    why = devdep.default_image_missing()
    if why:
        print(f"bench: pool: {why}", file=sys.stderr)
        return
    runs.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="devdep-") as folder:
        measure(pathlib.Path(folder))


if __name__ == "__main__":
    main()
