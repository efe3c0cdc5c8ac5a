"""A well-known C project, taken from Debian's source package and not changed, is built and tested in a guest.

The source package comes through the host's own apt sources, proxy and keyring (with `deb-src` in place of `deb`, in a private
configuration) and is kept below the build folder."""
import pathlib
import shutil
import subprocess

import pytest

import devdep

PACKAGE = "bzip2"
KEEP = devdep.BUILD / "debian-source"

WORKFLOW = """\
name: bzip2
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: The checkout is the commit, clean
        run: |
          test "$(git rev-parse HEAD)" = "$GITHUB_SHA"
          test -z "$(git status --porcelain)"
          test "$(git describe)" = from-debian
      - run: make -j2 bzip2 bzip2recover
      - name: Test
        run: make test
"""


def deb_src():
    """The host's apt sources as source packages: one-line and deb822 files."""
    lines, stanzas = [], []
    etc = pathlib.Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            lines += [line.replace("deb ", "deb-src ", 1) for line in path.read_text().splitlines() if line.startswith("deb ")]
        if path.suffix == ".sources":
            stanzas.append("\n".join("Types: deb-src" if line.startswith("Types:") else line
                                     for line in path.read_text().splitlines()))
    return "\n".join(lines) + "\n", "\n\n".join(stanzas) + "\n"


def fetch():
    """The upstream archive of the source package, downloaded and checked by apt once."""
    found = sorted(KEEP.glob(f"{PACKAGE}_*.orig.tar.*[!c]"))
    if found:
        return found[0]
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (KEEP / folder).mkdir(parents=True, exist_ok=True)
    one_line, deb822 = deb_src()
    (KEEP / "parts/host.list").write_text(one_line)
    (KEEP / "parts/host.sources").write_text(deb822)
    options = ["-oDir::Etc::sourcelist=/dev/null", f"-oDir::Etc::sourceparts={KEEP / 'parts'}",
               f"-oDir::State::lists={KEEP / 'lists'}", f"-oDir::Cache={KEEP / 'cache'}", "-oAPT::Sandbox::User="]
    for command in (["update", "-q"], ["source", "-q", "--download-only", PACKAGE]):
        done = subprocess.run(["apt-get", *options, *command], cwd=KEEP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"apt-get {command[0]} failed here: {done.stdout.strip().splitlines()[-1:]}")
    shutil.rmtree(KEEP / "lists")
    return sorted(KEEP.glob(f"{PACKAGE}_*.orig.tar.*[!c]"))[0]


@pytest.mark.guest
def test_bzip2_from_its_debian_source_builds_and_passes_its_tests(cli, folder):
    archive = fetch()
    repo = devdep.Repo(folder / "bzip2")
    subprocess.run(["tar", "-xf", archive, "-C", repo.path, "--strip-components=1"], check=True)
    devdep.give(repo.path)
    repo.git("add", "-A", "--force")
    repo.git("commit", "-qm", "as Debian has it")
    repo.git("tag", "-a", "from-debian", "-m", archive.name)
    workflow = folder / "bzip2.yml"
    workflow.write_text(WORKFLOW)
    devdep.give(workflow)
    result = cli("run", "-W", workflow, "--dir", repo.path, timeout=1800)
    assert result.status == 0, result
    assert result.text.count("cmp sample") == 6 and "looks\n" in result.text, result
    assert repo.git("status", "--porcelain") == "", "nothing of the build reaches the host"
