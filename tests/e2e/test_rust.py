"""A Rust project in a guest of the image `rust`: the example passes, and each tool's problems become annotations at their lines.

The image is built by `make soak`; elsewhere the tests run when it is there."""
import os
import re
import shutil

import pytest

import devdep
import images
import runs

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64")

EXAMPLE = devdep.ROOT / "examples" / "roman"

# The assertion is line 12.
FAILING = """//! A library whose test fails.

/// Twice a number.
pub fn double(n: u32) -> u32 {
    n + n
}

#[cfg(test)]
mod tests {
    #[test]
    fn twice_two_is_five() {
        assert_eq!(super::double(2), 5);
    }
}
"""


class Scene(runs.Scene):
    def __init__(self):
        super().__init__()
        self.cli = images.built("rust", only_existing=os.environ.get("DEVDEP_ABUSE") != "full")

    def project(self, name, lib=None):
        """The example, or its package with another library and no other tests."""
        repo = self.repo(name)
        shutil.copytree(EXAMPLE, repo.path, dirs_exist_ok=True)
        if lib:
            shutil.rmtree(repo.path / "tests")
            repo.write("src/lib.rs", lib)
        devdep.give(repo.path)
        repo.commit()
        return self.json(repo, timeout=1800)["check"]


@pytest.fixture(scope="module")
def scene():
    scene = Scene()
    yield scene
    scene.close()


def annotations(job):
    return [{k: a[k] for k in ("level", "file", "line", "source", "message") if k in a} for step in job.steps for a in step.annotations]


def test_the_example_passes(scene):
    job = scene.project("whole")
    assert job.conclusion == "success", job.steps
    assert annotations(job) == []
    passed = re.findall(r"(\d+) passed; 0 failed", job["Run cargo test"].log)
    assert [int(n) for n in passed] == [2, 3, 0], job["Run cargo test"]


def test_a_failing_assertion_is_exactly_one_annotation_at_its_line(scene):
    job = scene.project("failing", FAILING)
    assert job.conclusion == "failure" and job["Run cargo test"].outcome == "failure", job.steps
    found = annotations(job)
    assert [(a["level"], a["file"], a["line"], a["source"]) for a in found] == [("error", "src/lib.rs", 12, "cargo")], job.steps
    assert "left: `4`" in found[0]["message"] or "left: 4" in found[0]["message"], found


def test_clippy_and_the_compiler_name_their_lines(scene):
    job = scene.project("lint", FAILING.replace("    n + n\n", "    return n + n;\n").replace(", 5)", ", 4)"))
    assert job["Run cargo clippy --all-targets -- -D warnings"].outcome == "failure", job.steps
    assert ("error", "src/lib.rs", 5) in {(a["level"], a["file"], a["line"]) for a in annotations(job)}, annotations(job)


def test_a_difference_of_rustfmt_is_an_annotation(scene):
    job = scene.project("format", FAILING.replace("    n + n\n", "  n+n\n"))
    assert job["Run cargo fmt --check"].outcome == "failure", job.steps
    assert {(a["file"], a["source"]) for a in annotations(job)} == {("src/lib.rs", "cargo")}, annotations(job)
