"""Containers inside: people build and run containers in VMs. Debian's podman, in a guest of the image `containers`, makes an image from
a local root file system and runs it, as `runner` without privileges and as root. No network, and no kernel module of a network."""
import shutil

import pytest

import images
import runs

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64")

WORKFLOW = """
on: push
jobs:
  containers:
    runs-on: containers
    steps:
      - name: a root file system
        run: |
          mkdir -p rootfs/bin context
          cp /bin/busybox rootfs/bin/
          for tool in cat grep id ls sh wc; do ln -s busybox rootfs/bin/$tool; done
          tar -C rootfs -cf context/rootfs.tar .
          cat >context/Containerfile <<'END'
          FROM scratch
          ADD rootfs.tar /
          RUN ["/bin/sh", "-c", "echo made in a container by user $(id -u) >/made"]
          CMD ["/bin/cat", "/made", "/proc/mounts"]
          END
      - name: build as runner
        run: podman build -t made context
      - name: run as runner
        run: podman run --network none made
      - name: build as root
        run: sudo podman build -t made context
      - name: run as root
        run: sudo podman run --network none --memory 64m --pids-limit 50 made sh -c
          'cat /made /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; wc -l </proc/net/dev; id -u; echo kept >/written; exit 42'
        continue-on-error: true
      - name: what a container wrote
        run: sudo podman run --rm --network none made ls /
"""


@pytest.fixture(scope="module")
def job():
    scene = runs.Scene()
    scene.cli = images.built("containers")
    repo = scene.repo()
    repo.workflow(WORKFLOW)
    repo.commit()
    yield scene.json(repo, "--image", "containers", timeout=900)["containers"]
    scene.close()


def test_runner_builds_and_runs_a_container_without_privileges(job):
    assert "Successfully tagged localhost/made" in job["build as runner"].log, job["build as runner"]
    assert job["run as runner"].lines[0] == "made in a container by user 0", job["run as runner"]


def test_layers_are_the_kernels_own_overlay_on_the_scratch_disk(job):
    roots = [line.split() for line in job["run as runner"].lines if line.split()[1] == "/"]
    assert [root[2] for root in roots] == ["overlay"] and "/var/tmp/containers-1001/storage/" in roots[0][3], roots


def test_root_builds_and_runs_a_container_with_limits_and_without_a_network(job):
    step = job["run as root"]
    assert "Successfully tagged localhost/made" in job["build as root"].log, job["build as root"]
    headings_and_lo = 3
    assert step.lines == ["made in a container by user 0", str(64 << 20), "50", str(headings_and_lo), "0"], step


def test_exit_status_of_a_container_is_the_steps(job):
    assert job["run as root"].exit_code == 42


def test_what_a_container_wrote_is_not_in_the_next_one(job):
    names = job["what a container wrote"].lines
    assert "made" in names and "written" not in names, names
