#!/usr/bin/python3
"""Figure of rotated secrets: rotation_ms. One JSON line on standard output.

A run with a secret of a (replayed) Vault and `key_rotation: automatic`, and a step that reads its file again and again. From the moment at which the server
has answered with the newer value, which devdep-secrets asks for as soon as it sees the change, to the first line that the step writes about it: through
devdep-secrets, devdep-job with its masks, the door, the guest's file, the step (which looks every 10 ms), and its line's way back. Versions are asked for every
30 s, so each value takes that long. Needs root."""
import json
import os
import pathlib
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / folder) for folder in ("tests/lib", "tests/e2e")]
import runs  # noqa: E402
from figures import figure  # noqa: E402
from test_vault import KV, TOKEN, signed_in  # noqa: E402
from test_vault_run import Work  # noqa: E402
from world import World  # noqa: E402

ROTATIONS = int(os.environ.get("BENCH_ROTATIONS", "5"))
STEP = """was=$(cat /run/secrets/PASSWORD); echo first-$((1+1))
for i in $(seq %d); do
        while now=$(cat /run/secrets/PASSWORD); [ "$now" = "$was" ]; do sleep 0.01; done
        was=$now; echo seen-$i-$((1+1))
done"""


class Versions:
    """What the server says: version n once it was published, and when it gave each away."""

    def __init__(self, vault):
        self.current, self.given, self.changed = 1, {}, threading.Condition()
        vault.answer("GET", KV, 200, self.read, token=TOKEN)
        vault.answer("GET", KV.replace("data", "metadata"), 200, self.metadata, token=TOKEN)

    def read(self):
        with self.changed:
            self.given.setdefault(self.current, time.monotonic())
            self.changed.notify_all()
        return 200, json.dumps({"data": {"data": {"pass": f"value-{self.current}"}, "metadata": {"version": self.current}}})

    def metadata(self):
        versions = {str(n): {"deletion_time": "", "destroyed": False} for n in range(1, self.current + 1)}
        return 200, json.dumps({"data": {"current_version": self.current, "versions": versions}})


def main():
    times = []
    with tempfile.TemporaryDirectory(prefix="devdep-bench-") as folder, World() as world:
        work = Work(world, pathlib.Path(folder))
        with work.replay() as vault:
            signed_in(vault)
            versions = Versions(vault)
            work.use(pathlib.Path(folder), ["PASSWORD: {ref: secret/ci/db#pass, key_rotation: automatic}"])
            work.workflow(STEP % ROTATIONS, P="${{ secrets.PASSWORD }}")
            live = runs.Live(work.cli, work.repo, "--memory", "512M")
            live.wait_for("first-2")
            for i in range(1, ROTATIONS + 1):
                versions.current += 1
                live.wait_for(f"seen-{i}-2")
                times.append((time.monotonic() - versions.given[versions.current]) * 1000)
            result = live.end()
            assert result.status == 0, result
            started = next(e for e in runs.Run(result)["a"].events if e["type"] == "job_started")
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    figure("rotation_ms", "ms", started["accelerator"], values=times)


main()
