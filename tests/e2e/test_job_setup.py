"""The built-in setup actions in devdep-job, between a scripted guest and tools that are made for each test."""
import os
import pathlib
import stat
import sys
import tempfile
import time

import pytest

from fake_guest import TIMEOUT, FakeGuest, Job, spec

pytestmark = pytest.mark.sanitized

BASE = "/usr/bin:/bin"
OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


class World:
    def __init__(self, folder):
        self.folder = folder
        self.bin = pathlib.Path(folder, "bin")
        self.tools = pathlib.Path(folder, "tools")
        self.workspace = pathlib.Path(folder, "work/hello/hello")
        for path in (self.bin, self.tools, self.workspace):
            path.mkdir(parents=True)

    def program(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def node(self, version, path=None):
        self.program(path or self.bin / "node", f"echo {version}\n")

    def go(self, version, root):
        self.program(root / "bin/go", f'case "$1 $2" in "version ") echo go version go{version} linux/amd64;; "env GOROOT") echo {root};; *) echo {root}/path:/x;; esac\n')

    def java(self, version, kind="jdk", name="Java_Any"):
        home = self.tools / name / version / "x64"
        for program in ("java", "javac") if kind == "jdk" else ("java",):
            self.program(home / "bin" / program, "true\n")
        (home / "release").write_text(f'IMPLEMENTOR="Any"\nJAVA_RUNTIME_VERSION="{version}"\n')
        return home

    def file(self, name, text):
        (self.workspace / name).write_text(text)

    def run(self, *steps, guest=FakeGuest):
        steps = [{"run": s} if isinstance(s, str) else s for s in steps]
        job_spec = spec(self.folder, *steps, env=[{"name": "PATH", "value": f"{self.bin}:{BASE}"}])
        job_spec["contexts"]["runner"]["tool_cache"] = str(self.tools)
        with Job(self.folder, job_spec, guest=guest) as job:
            job.wait()
        return job


@pytest.fixture
def world():
    with tempfile.TemporaryDirectory(prefix="devdep-job-") as folder:
        yield World(folder)


def setup(tool, **inputs):
    return {"id": "s", "uses": f"actions/setup-{tool}@v4", "with": {k.replace("_", "-"): v for k, v in inputs.items()}}


def reason(job, step=0):
    return [e.get("reason") for e in job.events("step_finished") if e["step"] == step][0]


def outputs(job):
    return {e["name"]: e["value"] for e in job.events("output") if e["step"] == 0}


# ---- what all have in common


@pytest.mark.parametrize("wish", ["18", "18.x", "^18.1", ">=16 <20", "lts/*", "lts/hydrogen", "latest", "v18.19.0", " 18 "])
def test_a_version_that_the_image_has_is_used(world, wish):
    world.node("v18.19.0")
    job = world.run(setup("node", node_version=wish), "node --version")
    assert job.status == 0, job.text()
    assert outputs(job) == {"node-version": "v18.19.0"}
    assert f"Using Node.js 18.19.0 of the image ({world.bin}/node)" in job.log(0)


def test_what_the_image_lacks_is_said_with_what_it_has(world):
    world.node("v18.19.0")
    job = world.run(setup("node", node_version="20"))
    assert job.status == 1
    assert f"the image has no Node.js 20; it has 18.19.0 ({world.bin}/node). Build an image with another" in reason(job)
    assert "devdep-cli image build NAME --package nodejs" in reason(job)


def test_an_image_without_the_tool_is_said(world):
    world.bin.joinpath("node").write_text("#!/bin/sh\nexit 1\n")
    world.bin.joinpath("node").chmod(0o755)
    job = world.run(setup("node", node_version="20"))
    assert "the image has no Node.js; build one that has it (devdep-cli image build NAME --package nodejs)" in reason(job)


def test_of_several_the_highest_that_fits_is_used(world):
    world.node("v18.19.0")
    for version in ("20.1.0", "20.10.0", "21.0.0"):
        world.node("v" + version, world.tools / "node" / version / "x64/bin/node")
    job = world.run(setup("node", node_version="20"), "node --version; echo ${{ steps.s.outputs.node-version }}")
    assert job.log(1) == "v20.10.0\nv20.10.0\n"


@pytest.mark.parametrize("inputs, words", [
    ({"node_version": "newest"}, "with.node-version: expected a version or a range of versions, found 'newest'"),
    ({"node_version": "18", "architecture": "arm64"}, "with.architecture: a guest is x64, found 'arm64'"),
    ({"node_version_file": "none"}, "The specified version file at: "),
    ({"node_version": "18", "registry_url": "https://x/\nevil=1"}, "with.registry-url: expected one line"),
])
def test_inputs_that_cannot_be_honoured_are_refused(world, inputs, words):
    world.node("v18.19.0")
    job = world.run(setup("node", **inputs))
    assert job.status == 1 and words in reason(job), job.text()


def test_an_input_that_no_action_has_is_a_warning_in_the_words_of_the_runner(world):
    world.node("v18.19.0")
    job = world.run(setup("node", node_versions="99"))
    (warning,) = [a for a in job.events("annotation") if a["level"] == "warning"]
    assert job.status == 0 and warning["message"].startswith("Unexpected input(s) 'node-versions', valid inputs are ['node-version', 'node-version-file', ")


def test_a_version_file_says_what_is_wanted(world):
    world.node("v18.19.0")
    world.file(".nvmrc", "v18\n")
    job = world.run(setup("node", node_version_file=".nvmrc"))
    assert job.status == 0 and "Resolved" in job.log(0) and ".nvmrc as v18" in job.log(0)


def test_the_input_counts_more_than_the_file(world):
    world.node("v18.19.0")
    job = world.run(setup("node", node_version="18", node_version_file="nowhere"))
    assert job.status == 0
    assert [a["message"] for a in job.events("annotation")] == ["Both node-version and node-version-file inputs are specified, only node-version will be used."]


@pytest.mark.parametrize("plant, words", [
    (lambda w: w.file("v", "\n# nothing\n"), "names no version of Node.js"),
    (lambda w: w.file("v", "#" * (256 << 10) + "\n18"), "has more than 256 KiB"),
    (lambda w: os.symlink("/etc/hostname", w.workspace / "v"), "is no regular file"),
    (lambda w: os.mkfifo(w.workspace / "v"), "is no regular file"),
    (lambda w: (w.workspace / "v").mkdir(), "is no regular file"),
])
def test_a_version_file_of_another_kind_is_refused(world, plant, words):
    world.node("v18.19.0")
    plant(world)
    job = world.run(setup("node", node_version_file="v"))
    assert job.status == 1 and words in reason(job), job.text()


@pytest.mark.parametrize("program", ["yes x", "printf 'v18\\033[31m\\n'", "echo 'v18.19.0\tx\ty'", "kill -9 $PPID"])
def test_a_tool_that_lies_is_not_believed(world, program):
    world.program(world.bin / "node", f"{program} | head -c 200000\n" if program.startswith("yes") else program + "\n")
    job = world.run(setup("node", node_version="18"))
    assert job.status == 1 and outputs(job) == {}, job.text()
    assert "\x1b" not in reason(job)


def test_what_a_guest_tells_is_bounded(world):
    class Talking(FakeGuest):
        def op_exec(self, stream, header, pairs):
            super().op_exec(stream, header, [(k, b"yes path//x/v1.0.0 | head -c 65537" if k == "arg" and v.startswith(b"k=path") else v) for k, v in pairs])

    job = world.run(setup("node", node_version="18"), guest=Talking)
    assert "the guest tells more than 64 KiB of its Node.js" in reason(job), job.text()


def test_cancelling_ends_it(world):
    world.program(world.bin / "node", f"touch {world.folder}/began; exec sleep 300\n")
    with Job(world.folder, {**spec(world.folder, setup("node", node_version="18")), "env": [{"name": "PATH", "value": f"{world.bin}:{BASE}"}]}) as job:
        deadline = time.monotonic() + TIMEOUT
        while not os.path.exists(f"{world.folder}/began"):
            assert time.monotonic() < deadline, job.text()
            time.sleep(0.005)
        job.ask({"op": "cancel"})
        job.wait()
    assert job.verdict["conclusion"] == "cancelled"


def test_a_cache_is_not_kept_and_that_is_said(world):
    world.node("v18.19.0")
    job = world.run(setup("node", node_version="18", cache="npm"))
    assert outputs(job) == {"node-version": "v18.19.0", "cache-hit": "false"}
    assert "cache: this action keeps none here; use actions/cache" in job.log(0)


# ---- node


def test_without_a_version_node_is_the_one_of_the_path(world):
    world.node("v18.19.0")
    world.node("v22.0.0", world.tools / "node/22.0.0/x64/bin/node")
    job = world.run(setup("node"))
    assert outputs(job) == {"node-version": "v18.19.0"}


def test_a_registry_is_written_for_npm_without_its_token(world):
    world.node("v18.19.0")
    job = world.run(setup("node", node_version="18", registry_url="https://npm.example.org/x", scope="Ours"), "cat $NPM_CONFIG_USERCONFIG; stat -c %a $NPM_CONFIG_USERCONFIG")
    assert job.log(1) == "//npm.example.org/x/:_authToken=${NODE_AUTH_TOKEN}\n@Ours:registry=https://npm.example.org/x/\nalways-auth=false\n600\n", job.text()


# ---- python


def test_python_becomes_an_environment_with_python_and_pip(world):
    job = world.run(setup("python", python_version=OURS),
                    'command -v python; python -c "import sys; print(sys.prefix == sys.base_prefix, sys.prefix)"; echo $pythonLocation $Python3_ROOT_DIR')
    assert job.status == 0, job.text()
    found = outputs(job)
    location = f"{world.folder}/work/_tool/Python/{found['python-version']}/x64"
    assert found["python-version"].startswith(OURS + ".") and found["python-path"] == f"{location}/bin/python"
    assert job.log(1).splitlines() == [f"{location}/bin/python", f"False {location}", f"{location} {location}"]


@pytest.mark.parametrize("other", [">=3", "2.6"])
def test_several_pythons_must_all_be_there(world, other):
    job = world.run(setup("python", python_version=f"{other}\n{OURS}\n"))
    assert job.status == 0 if other == ">=3" else "the image has no Python 2.6; it has" in reason(job), job.text()


def test_a_python_version_file_is_looked_for_by_itself(world):
    world.file(".python-version", "2.6\n")
    job = world.run(setup("python"))
    assert "the image has no Python 2.6" in reason(job)


def test_without_any_version_python_is_the_one_of_the_path(world):
    job = world.run(setup("python"), "python --version")
    assert job.status == 0 and outputs(job)["python-version"] in job.log(1)


def test_the_environment_is_left_alone_when_that_is_asked(world):
    job = world.run(setup("python", update_environment="false"), "echo [$pythonLocation]; ${{ steps.s.outputs.python-path }} --version")
    assert job.log(1).startswith("[]\nPython 3."), job.text()


# ---- go


def test_go_brings_its_folder_and_that_of_what_it_installs(world):
    root = world.tools / "go/1.21.3/x64"
    world.go("1.21.3", root)
    job = world.run(setup("go", go_version="^1.20"), 'echo "$PATH"; ls -d $(dirname $(dirname $(command -v go)))/path/bin; echo [$GOROOT]')
    assert job.status == 0, job.text()
    assert outputs(job) == {"go-version": "1.21.3"}
    path, folder, goroot = job.log(1).splitlines()
    assert path.startswith(f"{root}/path/bin:{root}/bin:") and folder == f"{root}/path/bin" and goroot == "[]"


def test_go_mod_says_which_go(world):
    world.go("1.21.3", world.tools / "go/1.21.3/x64")
    world.file("go.mod", "module x\n\ngo 1.22\n")
    job = world.run(setup("go", go_version_file="go.mod"))
    assert "the image has no Go 1.22; it has " in reason(job) and "1.21.3" in reason(job)


# ---- java (versions that no host has)


def test_java_gets_its_home(world):
    world.java("77.0.9+9-Debian-1")
    home = world.java("78.0.1+12")
    job = world.run(setup("java", java_version="77\n78", distribution="temurin"), "echo $JAVA_HOME $JAVA_HOME_77_X64 $JAVA_HOME_78_X64; command -v java")
    assert job.status == 0, job.text()
    assert outputs(job) == {"distribution": "temurin", "path": str(home), "version": "78.0.1+12"}
    assert job.log(1).splitlines() == [f"{home} {world.tools}/Java_Any/77.0.9+9-Debian-1/x64 {home}", f"{home}/bin/java"]


@pytest.mark.parametrize("inputs, words", [
    ({"java_version": "17"}, "Input required and not supplied: distribution"),
    ({"distribution": "zulu"}, "with.java-version or with.java-version-file says which version is wanted"),
    ({"distribution": "zulu", "java_version": "8", "java_package": "jdk+fx"}, "with.java-package: expected jdk or jre, found 'jdk+fx'"),
    ({"distribution": "zulu", "java_version": "11", "jdkFile": "x"}, "with.jdkFile: the built-in actions/setup-java cannot do this; leave it out"),
    ({"distribution": "zulu", "java_version": "79", "set-default": "false"}, "with.set-default: "),
    ({"distribution": "zulu", "java_version": "79"}, "the image has no Java 79; it has "),
])
def test_java_is_refused_with_the_reason(world, inputs, words):
    world.java("1.8.0_392-b08")
    world.java("79.0.21+9", kind="jre", name="Java_Run")
    job = world.run(setup("java", **inputs))
    assert job.status == 1 and words in reason(job), job.text()


def test_a_jre_is_enough_when_that_is_asked(world):
    world.java("79.0.21+9", kind="jre")
    job = world.run(setup("java", java_version="79", distribution="zulu", java_package="jre"))
    assert outputs(job)["version"] == "79.0.21+9", job.text()
