"""Clones of one template, and parked clones that are claimed, are different machines. The same comparison is made with an agent that
does not reseed the kernel's generator, and must fail there; the agent that is shipped has no way to be that one."""
import json
import re
import shutil
import socket
import subprocess
import threading

import pytest

import devdep
import identity
import pool
import runs
import vm_stage

pytestmark = [pytest.mark.guest, pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64")]

CLONES, UNSEEDED, PARKED = 20, 3, 4
AGENT, UNSEEDED_AGENT = devdep.BUILD / "devdep-guest", devdep.BUILD / "devdep-guest-unseeded"


def guests(agent, count, origin):
    """The identities of so many jobs of one run, each in a clone of the template of the default image with this agent, or in a parked one."""
    scene = runs.Scene()
    served = None
    try:
        made = scene.cli("image", "build", "default", "--if-missing", "--agent", agent, timeout=600)
        assert made.status == 0, made
        repo = scene.repo()
        job = {"runs-on": "default", "strategy": {"matrix": {"n": list(range(count))}}, "steps": identity.STEPS}
        repo.workflow(json.dumps({"on": "push", "jobs": {"guest": job}}))
        repo.commit()
        if origin == "parked":
            served = pool.Pool(scene.cli, "--warm", f"default={count}")
            served.wait_for(count, seconds=600)
        run = scene.json(repo, timeout=1500)
        assert len(run.jobs) == count and all(job.conclusion == "success" for job in run.jobs.values()), run.result
        assert {job.started["origin"] for job in run.jobs.values()} == {origin}
        return [identity.Identity(job.events) for job in run.jobs.values()]
    finally:
        if served:
            served.stop()
        scene.close()


@pytest.fixture(scope="module")
def cloned():
    return guests(AGENT, CLONES, "cloned")


@pytest.fixture(scope="module")
def parked():
    return guests(AGENT, PARKED, "parked")


@pytest.fixture(scope="module")
def unseeded():
    return guests(UNSEEDED_AGENT, UNSEEDED, "cloned")


@pytest.mark.parametrize("name", identity.NAMES)
def test_what_must_differ_between_clones_does(cloned, name):
    assert len(cloned) == CLONES
    assert identity.shared(cloned, name) == [], [i.values[name] for i in cloned]


def test_the_clock_of_a_clone_is_the_hosts(cloned):
    assert all(abs(i.clock_ahead_ms) <= 50 for i in cloned), [round(i.clock_ahead_ms) for i in cloned]


@pytest.mark.parametrize("name", identity.NAMES)
def test_what_must_differ_between_parked_guests_does_after_their_claims(parked, name):
    assert len(parked) == PARKED
    assert identity.shared(parked, name) == [], [i.values[name] for i in parked]


def test_the_clock_of_a_parked_guest_is_the_hosts_after_its_claim(parked):
    assert all(abs(i.clock_ahead_ms) <= 50 for i in parked), [round(i.clock_ahead_ms) for i in parked]


@pytest.fixture(scope="module")
def stage():
    with vm_stage.Stage(agent=AGENT) as s:
        s.template()
        yield s


class Tap:
    """Between a guest and its owners: remembers what they tell it. `fd` is the channel that the owners get."""

    def __init__(self, channel):
        ours, theirs = socket.socketpair()
        guest = socket.socket(fileno=channel)
        guest.setblocking(True)
        self.told, self.fd = bytearray(), theirs.detach()
        for source, target, kept in ((ours, guest, self.told), (guest, ours, bytearray())):
            threading.Thread(target=self.pump, args=(source, target, kept), daemon=True).start()

    def pump(self, source, target, kept):
        try:
            while data := source.recv(65536):
                kept += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the VM has ended

    def values(self, key):
        """Of this field in every seed, in order; docs/protocol-guest.md has the bytes."""
        name = key.encode()
        found = re.finditer(len(name).to_bytes(2, "big") + name + rb"(....)", self.told, re.S)
        return [bytes(self.told[m.end():m.end() + int.from_bytes(m[1], "big")]) for m in found]


def test_a_claim_tells_a_guest_another_identity_than_it_was_parked_with(stage):
    vm = stage.clone()
    tap = Tap(vm.channel)
    vm.channel = tap.fd
    assert stage.prepare(vm, "--park") == (0, "")
    parking = len(tap.values("entropy"))
    assert parking == 2
    steps = [{**step, "env": [{"name": k, "value": v} for k, v in step.get("env", {}).items()]} for step in identity.STEPS]
    status, events, text = stage.job(vm, "parked", *steps)
    assert status == 0, (text, events)
    seen = identity.Identity(events).values
    for key in ("entropy", "nonce", "machine_id", "boot_id", "hostname", "time_ns"):
        values = tap.values(key)
        assert len(values) == parking + 1 and values[-1] not in values[:-1], (key, values)
    assert len(set(tap.values("entropy"))) == len(set(tap.values("nonce"))) == parking + 1
    assert int(tap.values("time_ns")[-1]) > max(map(int, tap.values("time_ns")[:-1]))
    assert all(seen[key].encode() == tap.values(key)[-1] for key in ("machine_id", "boot_id", "hostname")), (seen, tap.values("hostname"))


def test_without_reseeding_clones_draw_the_same_random_bytes(unseeded):
    caught = {name for name in identity.NAMES if identity.shared(unseeded, name)}
    assert {"scratch_key", "isn", "kernel_boot_id", "uuid_cpu0", "at_random_cpu0"} & caught, caught
    assert not caught & {"boot_id", "machine_id", "hostname"}  # the host tells these


def symbols(program):
    return {line.split()[-1] for line in subprocess.run(["nm", program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()}


def disassembled(program, function):
    out = subprocess.run(["objdump", "-d", f"--disassemble={function}", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert f"<{function}>:" in out
    return out


def test_the_shipped_agent_has_no_switch_that_leaves_reseeding_out():
    """It is the same sources but for the one file with the one function; that one has both ioctls here, and nothing there."""
    add_entropy, reseed = "$0x40085203", "$0x5207"
    shipped, other = disassembled(AGENT, "reseed_kernel"), disassembled(UNSEEDED_AGENT, "reseed_kernel")
    assert add_entropy in shipped and reseed in shipped
    assert add_entropy not in other and reseed not in other
    assert symbols(UNSEEDED_AGENT) - symbols(AGENT) == {"__wrap_channel_open"}  # tests/lib/unseeded_guest.c says why
    assert b"unseeded" not in AGENT.read_bytes()
    # Nothing else in the program adds entropy, and the one caller of reseed_kernel does nothing before it.
    calls = subprocess.run(["objdump", "-d", AGENT], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert calls.count(add_entropy) == 1 and calls.count("<reseed_kernel>\n") == 1
