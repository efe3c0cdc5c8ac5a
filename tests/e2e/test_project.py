"""What this repository promises about itself: `make install`, and the example that `make demo` runs."""
import os
import re
import shutil
import subprocess

import pytest

import devdep
import runs

EXAMPLE = devdep.ROOT / "examples" / "rill"


@pytest.mark.skipif(not (devdep.BUILD / "build.ninja").exists(), reason="the programs are copies without their build folder")
def test_install_puts_programs_man_pages_and_completions_in_place(tmp_path):
    done = subprocess.run(["meson", "install", "-C", devdep.BUILD, "--no-rebuild", "--destdir", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done
    top = tmp_path / "usr/local"
    assert subprocess.run([top / "bin/devdep-cli", "errors"], capture_output=True).returncode == 0
    for program in ("devdep-job", "devdep-jail", "devdep-source", "devdep-guest", "devdep-prepare", "devdep-pool"):
        assert list(top.glob(f"**/{program}")), f"{program} is not installed"
    pages = {page.name.split(".gz")[0] for page in top.glob("share/man/man*/*")}
    assert pages == {page.name for page in (devdep.ROOT / "man").glob("*.[1-8]")}
    assert sorted(path.name for path in top.glob("share/**/*devdep-cli*") if "man" not in path.parts) == ["_devdep-cli", "devdep-cli", "devdep-cli.fish"]


def test_the_example_has_two_thousand_lines_and_five_jobs_with_a_diamond(cli, folder):
    lines = sum(len(path.read_text().splitlines()) for path in EXAMPLE.rglob("*.[ch]"))
    assert lines >= 2000
    repo = devdep.Repo(folder / "rill")
    shutil.copytree(EXAMPLE, repo.path, dirs_exist_ok=True)
    devdep.give(repo.path)
    repo.commit()
    known = cli("run", "--dir", repo.path, "--job", "no-such-job")
    assert known.status == 2 and all(re.search(rf"\b{job}\b", known.err) for job in ("lint", "build", "unit", "cli", "package")), known
    text = next((EXAMPLE / ".github/workflows").glob("*.yml")).read_text()
    assert text.count("needs: build\n") == 2 and "needs: [build, unit, cli]" in text


@pytest.mark.guest
def test_the_jobs_of_the_relay_hand_outputs_caches_and_artifacts_to_each_other(cli, folder):
    repo = devdep.Repo(folder / "relay")
    shutil.copytree(devdep.ROOT / "examples" / "relay", repo.path, dirs_exist_ok=True)
    devdep.give(repo.path)
    repo.commit()
    first, second = (runs.Run(cli("run", "--json", "--dir", repo.path)) for _ in range(2))
    for run in (first, second):
        assert run.finished["conclusion"] == "success", run.result
        assert len([key for key in run.jobs if key.startswith("count")]) == 3
        (report,) = [job for key, job in run.jobs.items() if key.startswith("table")]
        assert report["sum"].lines == ["Words", "boat 9 7", "fox 9 8", "question 10 8"], report["sum"]
        assert run["last"].steps[0].lines == ["the texts have 28 words"]
    said = "".join(event["text"] for job in second.jobs.values() for step in job.steps for event in step.logs)
    assert said.count("Cache restored from key: sorted-") == 3, said


@pytest.mark.skipif(os.environ.get("DEVDEP_ABUSE") != "full", reason="some ten minutes under emulation: `make soak` runs it")
def test_this_repository_builds_and_tests_itself_in_a_guest(cli, folder):
    image = cli("image", "build", "devdep", "--if-missing", timeout=900)
    assert image.status == 0, image
    repo = devdep.Repo(folder / "itself")
    subprocess.run(["git", "clone", "-q", devdep.ROOT, folder / "clone"], check=True)
    shutil.copytree(folder / "clone", repo.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    devdep.give(repo.path)
    repo.commit()
    result = cli("run", "-W", "ci.yml", "--dir", repo.path, "--memory", "4G", timeout=5400)
    assert result.status == 0, result
    assert re.search(r"^Fail: +0\s*$", re.sub(r"^unit +\| ", "", result.out, flags=re.M), re.M), result
