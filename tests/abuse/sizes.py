"""How much of everything: the small sizes of `make check`, the full ones of `make soak` (DEVDEP_ABUSE=full)."""
import os
from types import SimpleNamespace

MIB = 1 << 20

SMALL = SimpleNamespace(
    name="small", output=16 * MIB, line=4 * MIB, binary=1 * MIB, files=2000, canary=16 * MIB, canary_kills=("command", "qemu"),
    search=64 * MIB, cycles=None, slow_agents=False, secret_ends=(None, "devdep-job"))
FULL = SimpleNamespace(
    name="full", output=1024 * MIB, line=100 * MIB, binary=64 * MIB, files=100_000, canary=512 * MIB,
    canary_kills=("command", "job", "jail", "jail-init", "qemu", "source"), search=None, cycles=int(os.environ.get("SOAK_CYCLES", "200")),
    slow_agents=True, secret_ends=(None, "devdep-job", "devdep-cli", "devdep-secrets", "devdep-broker", "devdep-jail", "qemu-system-x86"))

SIZE = FULL if os.environ.get("DEVDEP_ABUSE") == "full" else SMALL


def shown():
    s = SIZE
    return (f"abuse suite at {s.name} size: {s.output // MIB} MiB of output, a line of {s.line // MIB} MiB, {s.binary // MIB} MiB of binary output, "
            f"{s.files} files before the disk is full, {s.canary // MIB} MiB of canaries, "
            f"{'a kill of each process and in each state' if s.cycles is None else f'{s.cycles} kills over all pairs of process and state'}")


# The stated bounds of a run's memory on the host (docs/limits.md), bytes.
GUEST_MEMORY = 512 * MIB
MEMORY = {
    "devdep-cli": 64 * MIB,
    "devdep-job": 8 * MIB + 64 * (256 << 10),
    "devdep-source": 64 * MIB,
    "devdep-jail": 16 * MIB,
    "qemu-system-x86": GUEST_MEMORY + 384 * MIB,
}
