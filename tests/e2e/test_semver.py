"""Our ranges of versions beside npm's `semver`, which is what the setup actions compare with. DEVDEP_SEED chooses what is generated."""
import os
import random
import subprocess

import pytest

import github
from devdep import BUILD

SEED = int(os.environ.get("DEVDEP_SEED", "1"))
COUNT = int(os.environ.get("DEVDEP_RANGES", "60000"))
CHECK = BUILD / "tests/github-parser/semver_check"


@pytest.fixture(scope="module")
def node():
    if github.missing():
        pytest.skip(github.missing())
    if not (github.HERE / "node_modules/semver").is_dir():
        pytest.skip("the npm package semver is not installed: run tools/setup-interop")
    if not CHECK.exists():
        pytest.skip(f"{CHECK} is not built (meson option tests)")
    return github.node()


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def any(self, *choices):
        return self.r.choice(choices)

    def number(self):
        return str(self.any(0, 0, 1, 1, 2, 3, 10, 18, 20, 9007199254740991, 9007199254740992) if self.r.random() < 0.02 else self.r.choice((0, 0, 1, 1, 2, 3, 10, 18)))

    def qualifier(self):
        pre = "-" + ".".join(self.any("0", "1", "2", "10", "01", "a", "alpha", "b2", "rc", "-", "x") for _ in range(self.any(1, 1, 2, 3)))
        build = "+" + ".".join(self.any("0", "01", "a", "9", "-x") for _ in range(self.any(1, 1, 2)))
        return self.any(*["" for _ in range(20)], *[pre] * 5, *[build] * 2, pre + build, "-", "+", "-a..b")

    def version(self):
        text = ".".join(self.number() for _ in range(3)) + self.qualifier()
        return self.any(*["" for _ in range(20)], "v", " ", "=") + text + self.any(*["" for _ in range(20)], " ", ".1")

    def partial(self):
        part = lambda: self.any("x", "X", "*") if self.r.random() < 0.15 else self.number()
        parts = [part() for _ in range(self.any(1, 2, 2, 3, 3, 3, 3, 4 if self.r.random() < 0.1 else 3))]
        return self.any("", "", "", "", "", "v", "=", "v ") + ".".join(parts) + (self.qualifier() if len(parts) == 3 or self.r.random() < 0.05 else "")

    def comparator(self):
        op = self.any("", "", "", "^", "^", "~", "~", "~>", ">", ">=", "<", "<=", "=", ">=", "<", ">" if self.r.random() < 0.9 else "=>")
        return op + self.any("", "", "", "", " ", "  ") + self.partial()

    def set(self):
        if self.r.random() < 0.15:
            return self.partial() + self.any(" - ", " - ", " - ", "  -  ", "- ", " -") + self.partial()
        return self.any(" ", " ", "  ").join(self.comparator() for _ in range(self.any(1, 1, 1, 2, 2, 3, 0)))

    def range(self):
        return self.any("", "", " ") + self.any("||", " || ", " || ", "|").join(self.set() for _ in range(self.any(1, 1, 1, 2, 3)))


def answers(command, text):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=github.HERE).stdout.splitlines()


def test_generated_ranges_hold_the_same_versions(node):
    g = Generator(SEED)
    lines = [f"{g.version()}\t{g.range()}" for _ in range(COUNT)]
    ours, theirs = (answers(command, "\n".join(lines) + "\n") for command in ([CHECK], [node, "semver.mjs"]))
    assert len(ours) == len(theirs) == COUNT
    different = [f"{line!r}: ours {a}, theirs {b}" for line, a, b in zip(lines, ours, theirs) if a != b]
    assert not different, f"seed {SEED}: {len(different)} of {COUNT}\n" + "\n".join(different[:20])
    counts = {word: ours.count(word) for word in ("yes", "no", "invalid range", "invalid version")}
    print(f"{COUNT} ranges of seed {SEED}: {counts}")
    assert counts["yes"] > COUNT / 20 and counts["no"] > COUNT / 10 and counts["invalid range"] > COUNT / 50
