"""devdep.yaml: the commands around it, what a run makes of it, and that a guest gets exactly what it says."""
import hashlib
import json
import os
import pathlib
import subprocess

import pytest

import devdep
import images
import runs
from test_bad_input import refused, usage
from test_jail import as_root, memory_files, places
from test_run_ends import RUNNING, WAITS, workflow

HEAD = "entity: web\ndomain: corp.example\n"  # two lines
NONE = "0" * 64


# ---- init, validate ----

@pytest.mark.user
def test_init_writes_a_commented_profile_that_validates(cli, folder):
    devdep.give(folder)
    result = cli("init", "--entity", "123", "--domain", "corp.example", cwd=folder)
    assert (result.status, result.text) == (0, ""), result
    text = (folder / "devdep.yaml").read_text()
    assert 'entity: "123"\n' in text and 'domain: "corp.example"\n' in text and "\n# Memory of each guest. From 128M to 1T.\n#memory: 2G\n" in text
    checked = cli("validate", "--file", "devdep.yaml", "--offline", cwd=folder)
    assert (checked.status, checked.out, checked.err) == (0, "devdep.yaml: no problems\n", "")
    assert cli("init", "--entity", "123", "--domain", "corp.example", "--out", "-", cwd=folder).out == text


@pytest.mark.user
def test_init_never_replaces_a_file_unless_it_is_forced(cli, folder):
    devdep.give(folder)
    (folder / "devdep.yaml").write_text("mine\n")
    (folder / "link.yaml").symlink_to("nowhere")
    args = ["init", "--entity", "web", "--domain", "corp.example"]
    usage(cli(*args, cwd=folder), "devdep.yaml is there already; --force replaces it")
    usage(cli(*args, "--out", "link.yaml", cwd=folder), "link.yaml is there already")
    assert (folder / "devdep.yaml").read_text() == "mine\n" and not (folder / "nowhere").exists()
    assert cli(*args, "--force", cwd=folder).status == 0
    assert (folder / "devdep.yaml").read_text().startswith("# The profile of this repository")


@pytest.mark.user
@pytest.mark.parametrize("args, message", [
    ([], "--entity is missing"),
    (["--entity", "web"], "--domain is missing"),
    (["--entity", "a b", "--domain", "corp.example"], "entity: expected a name of letters"),
    (["--entity", "a\"\nsecrets: x", "--domain", "corp.example"], "entity: expected a name of letters"),
    (["--entity", "web", "--domain", "corp"], "domain: expected a domain name"),
    (["--entity", "web", "--domain", "corp.example", "--out", "/nowhere/at/all.yaml"], "/nowhere/at/all.yaml"),
])
def test_what_init_cannot_write_is_said(cli, folder, args, message):
    usage(cli("init", *args, cwd=folder), message)
    assert not (folder / "devdep.yaml").exists()


@pytest.mark.user
def test_validate_knows_a_profile_by_its_name_or_by_its_keys(cli, folder):
    text = HEAD + "memry: 2G\negress: {profile: seald}\n"
    for name in ("devdep.yaml", "other.yml"):
        (folder / name).write_text(text)
        result = cli("validate", "--file", name, cwd=folder)
        assert result.status == 2 and f"{name}:3:1: error: unknown key 'memry'\n     3 | memry: 2G\n       | ^^^^^\n  hint: did you mean 'memory'?\n" in result.out, result
        assert f"{name}:4:19: error: egress.profile: " not in result.out and result.out.endswith(f"{name}: 2 errors, 0 warnings\n")
    document = json.loads(cli("validate", "--file", "-", "--json", cwd=folder, stdin=text).out)
    assert [(p["line"], p["column"], p["hint"]) for p in document["problems"]] == [(3, 1, "did you mean 'memory'?"), (4, 19, "did you mean 'sealed'?")]
    (folder / "devdep.yaml").write_text("on: push\njobs: {}\n")
    assert "unknown key 'on'" in cli("validate", "--file", "devdep.yaml", cwd=folder).out


@pytest.mark.user
def test_secrets_that_nobody_was_asked_for_are_a_warning_of_validate(cli, folder):
    (folder / "devdep.yaml").write_text(HEAD + "vault: {endpoint: 'https://vault.corp.example', auth: token}\nsecrets: {A: kv/x#y}\n"
                                        "egress: {profile: brokered, allow: [deb.debian.org]}\n")
    document = json.loads(cli("validate", "--file", "devdep.yaml", "--json", cwd=folder).out)
    assert document["ok"] and [(p["severity"], p["line"], p["column"]) for p in document["problems"]] == [("warning", 4, 11)]


# ---- what a run refuses before anything starts ----

@pytest.fixture
def run(cli, repo):
    """Run with this profile; whatever comes of it, nothing may be left."""
    def go(profile, *args, **more):
        if profile is not None:
            repo.write("devdep.yaml", HEAD + profile)
        repo.workflow(workflow(a=["true"]))
        repo.commit()
        result = cli("run", "--dir", repo.path, *args, **more)
        assert runs.leftovers(cli) == [] and not list((cli.state / "runs").glob("[0-9]*")), result
        return result
    return go


@pytest.mark.user
@pytest.mark.parametrize("profile, message", [
    ("secrets: {A: kv/x#y}\negress: {profile: audit}\n", "devdep.yaml:4:19: a run with secrets cannot have the egress profile 'audit'"),
    ("memry: 2G\n", "devdep.yaml:3:1: unknown key 'memry'"),
    ("vcpus: 65\n", "devdep.yaml:3:8: vcpus: expected a whole number from 1 to 64"),
    ("environments: {p: {memory: 2}}\n", "devdep.yaml:3:28: memory: expected a size"),
    ("workflow: nothing.yml\n", "devdep.yaml:3:11: workflow: there is no workflow 'nothing.yml'"),
    ("workflow: .github/nothing.yml\n", "devdep.yaml:3:11: workflow: there is no workflow '.github/nothing.yml'"),
])
def test_a_profile_that_cannot_be_met_is_refused_with_its_place(run, profile, message):
    result = usage(run(profile))
    assert result.error[2].startswith(message), result


@pytest.mark.user
def test_a_run_with_secrets_is_refused_the_profile_audit_wherever_both_come_from(run, folder):
    """The profile's own pair is refused by its parser, above."""
    file = folder / "secrets.env"
    file.write_text("OTHER=value-of-other\n")
    file.chmod(0o600)
    devdep.give(file)
    audit, secret = "egress: {profile: audit}\n", "secrets: {A: kv/x#y}\n"
    refused = "a run with secrets cannot have the egress profile 'audit', which lets them go anywhere"
    usage(run(None, "--egress", "audit", "--secret", "TOKEN", stdin="value-of-token"), f"--secret TOKEN: {refused}")
    usage(run(None, "--egress", "audit", "--secrets", file), f"{file}: OTHER: {refused}")
    empty = run(None, "--egress", "audit", "--secret", "TOKEN", stdin="")
    usage(empty, f"--secret TOKEN: {refused}")
    assert "--secret TOKEN: its value is empty" in empty.err, empty
    usage(run(audit, "--secret", "TOKEN", stdin="value-of-token"), f"--secret TOKEN: {refused}")
    usage(run(secret, "--egress", "audit"), f"devdep.yaml:3:14: secret A: {refused}")
    usage(run("environments: {open: {egress: {profile: audit}}}\n", "--environment", "open", "--secrets", file), f"{file}: OTHER: {refused}")


@pytest.mark.user
def test_an_environment_is_one_of_the_profile(run):
    usage(run("environments: {production: {vcpus: 1}}\n", "--environment", "prodction"),
          "devdep.yaml: there is no environment 'prodction'; did you mean 'production'?")
    usage(run(None, "--environment", "p", "--no-profile"), "--no-profile does not go together with --environment")


@pytest.mark.user
def test_an_environment_without_a_profile_is_an_error(cli, repo):
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    usage(cli("run", "--dir", repo.path, "--environment", "p"), "--environment p: the repository has no devdep.yaml")
    usage(cli("run", "--dir", repo.path, "--profile", "/nowhere.yaml"), "/nowhere.yaml")


@pytest.mark.user
def test_a_profile_outside_of_the_repository_is_not_followed(run, repo, folder):
    (folder / "outside.yaml").write_text(HEAD)
    (repo.path / "devdep.yaml").symlink_to("../outside.yaml")
    usage(run(None), "devdep.yaml is a symbolic link out of the repository")


@pytest.mark.user
def test_the_workflow_of_a_profile_stays_in_the_repository(run, repo, folder):
    (folder / "ci.yml").write_text(workflow(a=["true"]))
    (repo.path / "ci.yml").symlink_to("../ci.yml")
    (repo.path / "sub").mkdir()
    (repo.path / "sub" / "ci.yml").symlink_to("../../ci.yml")
    usage(run("workflow: sub/ci.yml\n"), "devdep.yaml:3:11: workflow: sub/ci.yml is a symbolic link out of the repository")


@pytest.mark.user
@pytest.mark.guest
def test_another_image_than_the_digest_names_is_refused_before_a_boot(run):
    result = refused(run(f"image: default@sha256:{NONE}\n"), 7, 7, "ERR_IMAGE_REFUSED", "devdep.yaml:3:8: image: ", "sha256:")
    assert "template" not in result.err


@pytest.mark.user
def test_what_the_host_cannot_give_is_said_with_its_place(run):
    refused(run("vcpus: 64\n"), 48, 304, "ERR_RESOURCES", f"devdep.yaml:3:8: vcpus: 64 are asked for, this host has {os.cpu_count()}", "--cpus")
    refused(run("memory: 1T\n"), 48, 304, "ERR_RESOURCES", "devdep.yaml:3:9: memory: not enough memory for one guest")
    refused(run("memory: 1T\n", "--memory", "1T"), 48, 304, "ERR_RESOURCES", "not enough memory")


@pytest.fixture
def small_disk(folder):
    """A state folder on a file system of 1.5 GiB."""
    state = folder / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536m,mode=755", "none", state], check=True)
    devdep.give(state)
    yield devdep.Cli(state)
    subprocess.run(["umount", state], check=True)


@as_root
def test_a_scratch_disk_that_the_host_has_no_room_for_is_refused(small_disk, repo):
    repo.write("devdep.yaml", HEAD + "scratch: 2G\n")
    repo.workflow(workflow(a=["true"]))
    repo.commit()
    refused(small_disk("run", "--dir", repo.path), 48, 304, "ERR_RESOURCES", "devdep.yaml:3:10: scratch: 2048 MiB are asked for", "--scratch")


# ---- plan ----

@pytest.mark.user
def test_plan_goes_by_the_profile_as_a_run_does(cli, repo):
    repo.write("devdep.yaml", HEAD + f"image: other@sha256:{NONE}\nworkflow: tools/release.yml\nenvironments: {{p: {{workflow: ci.yml, image: small}}}}\n")
    repo.write("tools/release.yml", workflow(release=["true"]).replace("push", "release"))
    repo.workflow(workflow(a=["true"]))
    repo.commit()

    def plan(*args):
        result = cli("plan", "--json", "--dir", repo.path, *args)
        assert result.status == 0, result
        return [(w["file"], w["jobs"][0]["id"], w["jobs"][0]["instances"][0]["image"]) for w in json.loads(result.out)["workflows"]]
    assert plan() == [("tools/release.yml", "release", f"other@sha256:{NONE}")]
    assert plan("--environment", "p") == [(".github/workflows/ci.yml", "a", "small")]
    assert plan("-W", "ci.yml") == [(".github/workflows/ci.yml", "a", f"other@sha256:{NONE}")]
    assert plan("--no-profile") == [(".github/workflows/ci.yml", "a", "default")]


# ---- a guest gets exactly what the profile says ----

EXACT = HEAD + """\
workflow: exact.yml
rootfs: read-only
vcpus: 1
memory: 640M
scratch: 192M
timeout: 20m
hooks:
  before:
    - echo "before in $PWD" && echo HOOK=set >> "$GITHUB_ENV"
    - echo second
  after: |
    echo "after ${HOOK}"
environments:
  short: {timeout: 15s, rootfs: overlay}
"""

MEASURES = json.dumps({"name": "exact", "on": "release", "defaults": {"run": {"working-directory": "sub"}}, "jobs": {
    "measure": {"runs-on": "ubuntu-latest", "steps": [
        {"id": "cpus", "run": "mkdir -p sub; nproc", "working-directory": "."},
        {"id": "memory", "run": "awk '/MemTotal/ {print $2}' /proc/meminfo"},
        {"id": "root", "run": "sudo touch /usr/local/x"},
        {"id": "full", "if": "always()", "run": "cat /dev/zero > full || echo \"status $?\"; stat -c %s full; rm full"},
        {"id": "hook", "if": "always()", "run": "echo $HOOK"}]},
    "late": {"runs-on": "ubuntu-latest", "timeout-minutes": 60, "if": "${{ vars.never }}", "steps": [{"run": "true"}]}}})


@pytest.fixture(scope="module")
def exact():
    scene = runs.Scene()
    repo = scene.repo()
    scene.profile = repo.write("devdep.yaml", EXACT)
    repo.write(".github/workflows/exact.yml", MEASURES)
    repo.workflow(workflow(never=["exit 1"]))
    repo.commit()
    scene.run = scene.json(repo)
    scene.record = json.loads((scene.cli.state / "runs/1/run.json").read_text())
    yield scene
    scene.close()


guest = pytest.mark.guest


@guest
def test_the_workflow_that_the_profile_names_runs_and_no_other(exact):
    assert exact.record["workflows"] == [".github/workflows/exact.yml"] and set(exact.run.jobs) == {"measure"}
    assert "it runs because it was named" in exact.run.result.err


@guest
def test_processors_and_memory_are_those_of_the_profile(exact):
    job = exact.run["measure"]
    assert job["cpus"].lines == ["1"]
    assert 640 * 0.88 < int(job["memory"].log) / 1024 < 640


@guest
def test_the_scratch_disk_ends_where_the_profile_says(exact):
    status, size = exact.run["measure"]["full"].lines[-2:]
    assert "No space left on device" in exact.run["measure"]["full"].log and status == "status 1"
    assert 192 * 0.85 < int(size) / (1 << 20) < 192


@guest
def test_a_read_only_root_is_one(exact):
    step = exact.run["measure"]["root"]
    assert step.outcome == "failure" and "Read-only file system" in step.log


@guest
def test_hooks_are_steps_around_the_jobs_whatever_happens_in_it(exact):
    steps = exact.run["measure"].steps
    assert [s.name for s in steps][:2] == ['before: echo "before in $PWD" && echo HOOK=set >> "$GITHUB_ENV"', "before: echo second"]
    assert steps[0].lines == ["before in /home/runner/work/repo/repo"] and steps[1].lines == ["second"]
    assert exact.run["measure"]["hook"].lines == ["set"]
    assert steps[-1].name == 'after: echo "after ${HOOK}"' and steps[-1].lines == ["after set"] and steps[-1].outcome == "success"
    assert exact.run["measure"].conclusion == "failure"  # the step that cannot write to the root


@guest
def test_the_digest_of_the_profile_is_recorded_and_told_first(exact):
    digest = "sha256:" + hashlib.sha256(EXACT.encode()).hexdigest()
    assert exact.record["profile"] == {"digest": digest, "environment": None, "entity": "web", "domain": "corp.example"}
    started = exact.run["measure"].started
    assert started["profile"] == digest and "environment" not in started
    spec = json.loads((exact.cli.state / "runs/1/measure.spec.json").read_text())
    assert spec["profile"] == {"digest": digest} and spec["rootfs"] == "read-only" and spec["job"]["timeout_ms"] == 20 * 60 * 1000


@guest
def test_a_job_past_the_profiles_timeout_is_timed_out_and_hooks_still_run(exact):
    repo = exact.repo("late")
    repo.write("devdep.yaml", EXACT)
    repo.write(".github/workflows/exact.yml", workflow(a=["echo begun; sleep 3000"]).replace("push", "release"))
    repo.commit()
    run = exact.json(repo, "--environment", "short")
    assert run["a"].conclusion == "timed_out" and run["a"].finished["message"] == "the job ran into its time limit of 15.0s"
    assert run["a"].steps[-1].lines == ["after set"] and run["a"].started["environment"] == "short"


@guest
@as_root
def test_the_control_groups_on_the_host_are_those_of_the_profile_and_options_go_before_it(cli, repo):
    repo.write("devdep.yaml", HEAD + "vcpus: 1\nmemory: 512M\nscratch: 1G\n")
    repo.workflow(workflow(a=[WAITS]))
    repo.commit()
    for options, memory, vcpus in (([], 512, 1), (["--memory", "640M", "--cpus", "2"], 640, 2)):
        live = runs.Live(cli, repo, *options)
        live.wait_for(f'"text":"{RUNNING}')
        limit, use = memory_files(cli, "vmm")
        assert int(limit.read_text()) == (memory << 20) + (512 << 20) + (memory << 20) // 256 and int(use.read_text()) > 0
        pids = next(p / "pids.max" for p in places(cli, "vmm") if (p / "pids.max").exists())
        assert int(pids.read_text()) == vcpus + 96
        (slot,) = runs.slot_processes(cli).values()
        command = pathlib.Path(f"/proc/{slot['qemu'][0]}/cmdline").read_text().split("\0")
        assert command[command.index("-smp") + 1].split(",")[0] in (str(vcpus), f"cpus={vcpus}"), command
        live.process.terminate()
        assert live.end().status == 130
    assert runs.leftovers(cli) == []


FORKS = "cat /sys/fs/cgroup/pids.max; n=0; while sleep 100 & do n=$((n+1)); [ $n -lt 400 ] || break; done 2>/dev/null; echo started $n"


@guest
@as_root
def test_processes_are_bounded_by_the_profile_for_root_as_well(folder, repo):
    """On an image of the agent that was built here."""
    cli = images.built("small")
    repo.write("devdep.yaml", HEAD + "pids: 60\nmemory: 512M\n")
    repo.workflow(workflow(a=[
        {"id": "root", "run": "echo 1000 | sudo tee /sys/fs/cgroup/pids.max || true"},
        {"id": "user", "run": f"timeout 60 bash -c '{FORKS}'; kill $(jobs -p) 2>/dev/null; true"}]))
    repo.commit()
    run = runs.Run(cli("run", "--json", "--dir", repo.path, "--image", "small"))
    lines = run["a"]["user"].lines
    assert lines[0] == "60" and (len(lines) < 2 or int(lines[1].split()[1]) < 60), run["a"].steps
    assert next(e for e in run["a"].events if e["type"] == "vm_seeded")["pids"] == 60
