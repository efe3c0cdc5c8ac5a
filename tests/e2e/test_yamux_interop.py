"""The yamux library against an independent implementation, @chainsafe/libp2p-yamux from npm, in both roles."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INTEROP = ROOT / "tests" / "interop"
PROGRAM = pathlib.Path(os.environ.get("DEVDEP_BUILD", ROOT / "build")) / "tests" / "interop" / "yamux_peer"
SCENARIOS = ["bulk", "half-close-first-here", "half-close-first-there", "source", "reset-there", "reset-here",
             "exhausted-window", "ping", "go-away"]


def node():
    found = shutil.which("node") or shutil.which("nodejs")
    if not found:
        pytest.skip("node is not installed")
    if not (INTEROP / "node_modules" / "@chainsafe" / "libp2p-yamux").is_dir():
        pytest.skip("the npm packages of tests/interop are not installed: run tools/setup-interop")
    return found


@pytest.mark.parametrize("part", ["open", "serve"])
@pytest.mark.parametrize("role", ["client", "server"])
def test_an_independent_yamux_agrees_in_every_scenario(role, part):
    """`role` and `part` are those of the other implementation; ours has the opposite ones."""
    if not PROGRAM.exists():
        pytest.skip(f"{PROGRAM} is not built (meson option tests)")
    result = subprocess.run([node(), INTEROP / "yamux_peer.mjs", PROGRAM, role, part], capture_output=True, text=True,
                            timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:-1] == [f"ok {name}" for name in SCENARIOS]
