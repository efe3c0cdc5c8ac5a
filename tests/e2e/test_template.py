"""Templates and clones: the first run makes a template, every guest after that is a clone of it, and what is wrong with a template
costs a run time and nothing else."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal

import pytest

import census
import devdep
import runs

pytestmark = [pytest.mark.guest, pytest.mark.user]

MAKING = "making a template of image default"
F_GET_SEALS, SEALED = 1034, 0xf


def workflow(jobs=1, step="echo hi"):
    return json.dumps({"on": "push", "jobs": {f"job{i}": {"runs-on": "ubuntu-latest", "steps": [{"run": step}]} for i in range(jobs)}})


def new_scene(step="echo hi", jobs=1):
    scene = runs.Scene(own_templates=True)
    scene.here = scene.repo()
    scene.here.workflow(workflow(jobs, step))
    scene.here.commit()
    return scene


def booting(process, seen=()):
    """QEMU of a template that this command makes: its memory is shared with a file. None of `seen`."""
    def found():
        return [pid for pid, name in runs.descendants(process.pid).items()
                if name.startswith("qemu") and pid not in seen and "share=on" in census.text_of(f"/proc/{pid}/cmdline")]
    runs.wait_until(found, "a guest boots that is to become a template")
    return found()[0]


def read_until(process, words):
    """What the command says up to the line with these words."""
    told = ""
    while words not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    return told


@contextlib.contextmanager
def held(vmm):
    """A guest that boots for no shorter time than the test needs, however fast the machine is."""
    os.kill(vmm, signal.SIGSTOP)
    yield
    os.kill(vmm, signal.SIGCONT)


@pytest.fixture(scope="module")
def scene():
    """A state folder whose first run was told as text."""
    scene = new_scene()
    process = scene.cli.popen("run", "--dir", scene.here.path)
    with held(booting(process)):
        scene.making = read_until(process, "it boots")
    scene.first, err = process.communicate(timeout=280)
    assert process.returncode == 0, scene.making + err
    yield scene
    scene.close()


def folders(scene):
    return list((scene.cli.state / "templates").iterdir())


def origin(run, job="job0"):
    return run[job].started["origin"]


def test_the_first_run_makes_a_template_and_says_what_it_waits_for(scene):
    assert f"devdep-cli: {MAKING}, of which its guests are clones: there is none yet\n" in scene.making
    assert re.search(r"the template of image default: it boots \([0-9.]+s\)\n", scene.making)
    assert "starts in a guest of image default (cloned)" in scene.first


def test_later_runs_clone_without_a_word(scene):
    result = scene.cli("run", "--json", "--dir", scene.here.path)
    run = runs.Run(result)
    assert MAKING not in result.err and run.finished["conclusion"] == "success"
    assert origin(run) == "cloned"
    record = json.loads(scene.cli("runs", "--json").out)[0]
    assert [job["origin"] for job in record["jobs"]] == ["cloned"]


def test_cold_boots_whatever_template_there_is(scene):
    run = scene.json(scene.here, "--cold")
    assert origin(run) == "booted" and run.finished["conclusion"] == "success"


def test_another_class_is_another_template(scene):
    before = set(folders(scene))
    result = scene.cli("run", "--json", "--memory", "1G", "--dir", scene.here.path)
    assert MAKING in result.err and origin(runs.Run(result)) == "cloned"
    assert len(set(folders(scene)) - before) == 1
    shutil.rmtree((set(folders(scene)) - before).pop())


def test_a_template_is_two_files_a_manifest_and_a_lock_of_this_user_alone(scene):
    [folder] = folders(scene)
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {p.name: p.stat().st_mode & 0o7777 for p in folder.iterdir()} == dict.fromkeys(("lock", "manifest.json", "memory", "state"), 0o600)
    manifest = json.loads((folder / "manifest.json").read_text())
    memory, state = folder / "memory", folder / "state"
    assert manifest["memory"]["size"] == memory.stat().st_size == 2 << 30
    assert manifest["memory"]["data"] <= memory.stat().st_blocks * 512 < 256 << 20, "what is zero is a hole"
    assert manifest["state"]["size"] == state.stat().st_size
    assert manifest["key"]["image"].startswith("sha256:") and manifest["image"] == "default"


def test_doctor_says_how_many_there_are(scene):
    check = next(c for c in json.loads(scene.cli("doctor", "--json").out)["checks"] if c["name"] == "templates")
    assert check["state"] == "ok" and re.match(r"1, \d+ MiB in ", check["why"]), check


def test_a_damaged_template_is_made_again_and_why_is_said(scene):
    [folder] = folders(scene)
    with open(folder / "state", "r+b") as f:
        f.seek(1000)
        byte = f.read(1)
        f.seek(1000)
        f.write(bytes([byte[0] ^ 1]))
    result = scene.cli("run", "--dir", scene.here.path)
    assert result.status == 0 and f"{MAKING}, of which its guests are clones: its state is not the one that was saved\n" in result.err
    assert "(cloned)" in result.out


def test_a_template_that_is_removed_while_a_clone_starts_does_no_harm(scene):
    live = runs.Live(scene.cli, scene.here)
    live.wait_for("job_started")
    for folder in folders(scene):
        shutil.rmtree(folder)
    live.process.wait(timeout=280)
    assert live.process.returncode == 0 and '"origin":"cloned"' in "".join(x for x in live.lines if x).replace(" ", "")
    assert scene.cli("run", "--dir", scene.here.path).status == 0 and len(folders(scene)) == 1


def vmm_of(run):
    return next(pid for pid, name in runs.descendants(run.process.pid).items() if name.startswith("qemu"))


def test_memory_and_state_of_a_clone_are_sealed(scene):
    repo = scene.repo("slow")
    repo.workflow(workflow(step="sleep 600"))
    repo.commit()
    live = runs.Live(scene.cli, repo)
    live.wait_for("step_started")
    seen = {}
    folder = pathlib.Path(f"/proc/{vmm_of(live)}/fd")
    for entry in folder.iterdir():
        target = os.readlink(entry)
        match = re.match(r"/memfd:(template-\w+) ", target)
        if match:
            fd = os.open(entry, os.O_RDWR)
            seen[match[1]] = fcntl.fcntl(fd, F_GET_SEALS)
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", 0)
            os.close(fd)
    live.process.kill()
    live.process.wait()
    assert seen["template-memory"] == SEALED and seen.get("template-state", SEALED) == SEALED, "QEMU closes the state once it is read"
    runs.wait_until(lambda: not runs.descendants(), "the end of the run")


def test_guests_of_one_run_share_a_template_and_nothing_else(scene):
    repo = scene.repo("several")
    repo.workflow(workflow(jobs=3, step="cat /proc/sys/kernel/random/boot_id /etc/machine-id /proc/sys/kernel/random/uuid"))
    repo.commit()
    run = scene.json(repo)
    told = [tuple(run[f"job{i}"].steps[0].lines) for i in range(3)]
    assert run.finished["conclusion"] == "success" and {origin(run, f"job{i}") for i in range(3)} == {"cloned"}
    assert all(len(set(column)) == 3 for column in zip(*told)), told


def test_an_interrupt_ends_the_making_and_the_run(scene):
    for folder in folders(scene):
        shutil.rmtree(folder)
    process = scene.cli.popen("run", "--dir", scene.here.path)
    vmm = booting(process)
    os.kill(vmm, signal.SIGSTOP)
    (vm,) = json.loads(scene.cli("vm", "ls", "--json").out)["vms"]
    assert vm["state"] == "template" and vm["image"].startswith("default@sha256:") and vm["memory"] == 2 << 30, vm
    if os.geteuid() == 0 and not devdep.USER:
        (note,) = (scene.cli.state / "slots").glob("*/groups/prepare")
        members = {(pathlib.Path(group) / "cgroup.procs").read_text() for group in note.read_text().split()}
        assert members and "" not in members, "devdep-prepare has bounds of its own"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "devdep: error 3 ERR_CANCELLED" in err, out + err
    assert json.loads(scene.cli("runs", "--json").out)[0]["conclusion"] == "cancelled"
    assert not runs.leftovers(scene.cli)


def test_a_guest_that_stands_still_before_it_is_ready_is_given_up_for_another(scene):
    """As one does whose kernel has found no timer: nothing of its VMM runs any more."""
    for folder in folders(scene):
        shutil.rmtree(folder)
    process = scene.cli.popen("run", "--dir", scene.here.path)
    os.kill(booting(process), signal.SIGSTOP)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0 and "(cloned)" in out, out + err
    assert "a guest of image default did not come up, another one is tried (2 of 3): the guest stood still for 10 s before it was ready" in err
    assert not runs.leftovers(scene.cli)


def test_after_three_guests_that_do_not_come_up_the_runs_guest_is_booted(scene):
    for folder in folders(scene):
        shutil.rmtree(folder)
    process = scene.cli.popen("run", "--dir", scene.here.path)
    seen = []
    for _ in range(3):
        seen.append(booting(process, seen))
        os.kill(seen[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0 and "(booted)" in out, out + err
    assert err.count("another one is tried") == 2 and "no template of image default, its guests are booted" in err


def test_two_commands_make_one_template(scene):
    for folder in folders(scene):
        shutil.rmtree(folder)
    maker = scene.cli.popen("run", "--dir", scene.here.path)
    with held(booting(maker)):
        other = scene.cli.popen("run", "--dir", scene.here.path)
        read_until(other, "another process makes it")
    told = [p.communicate(timeout=280) for p in (maker, other)]
    assert [p.returncode for p in (maker, other)] == [0, 0], told
    assert "it boots" not in told[1][1] and all("(cloned)" in out for out, _ in told), told
    assert len(folders(scene)) == 1


def test_a_killed_command_leaves_nothing_that_a_later_one_trips_over(scene):
    for folder in folders(scene):
        shutil.rmtree(folder)
    process = scene.cli.popen("run", "--dir", scene.here.path)
    booting(process)
    process.kill()
    process.wait()
    runs.wait_until(lambda: not runs.descendants(), "the end of the VM and of devdep-prepare")
    assert not list(folders(scene)[0].glob("manifest.json"))
    result = scene.cli("run", "--dir", scene.here.path)
    assert result.status == 0 and MAKING in result.err and "(cloned)" in result.out
    assert not runs.leftovers(scene.cli)


def test_a_host_that_cannot_keep_templates_boots_with_a_warning(folder):
    state = folder / "state"
    state.mkdir()
    (state / "templates").write_text("no folder")
    devdep.give(state)
    cli = devdep.Cli(state, own_templates=True)
    repo = devdep.Repo(folder / "repo")
    repo.workflow(workflow())
    repo.commit()
    result = cli("run", "--dir", repo.path)
    assert result.status == 0 and "starts in a guest of image default (booted)" in result.out
    assert re.search(r"no template of image default, its guests are booted: .*templates", result.err)
