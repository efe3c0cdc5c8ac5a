"""devdep-cli image: what is built, what is refused, what an interruption leaves. Uses the image `small`, built once into
build/e2e-images/USER; as root and, in the second suite, as an ordinary user."""
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import devdep
import images

pytestmark = pytest.mark.user

AGENT = devdep.BUILD / "devdep-guest"
FILES = {"manifest.json", "manifest.sig", "kernel", "initramfs", "root.img"}


def tool(*argv, **more):
    return subprocess.run([str(a) for a in argv], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=devdep.environment(), **more).stdout


@pytest.fixture(scope="session")
def built():
    return images.built("small")


@pytest.fixture
def store(built, folder):
    """A copy of that state, to be damaged."""
    state = folder / "state"
    tool("cp", "-a", "--reflink=auto", built.state, state)
    devdep.give(state)
    return devdep.Cli(state)


def manifest(cli, name="small"):
    return json.loads((cli.state / "images" / name / "manifest.json").read_text())


def leftovers(cli):
    return [p.name for p in (cli.state / "images").iterdir() if p.name.startswith(".tmp")]


# What is built

def test_image_has_five_files_and_every_digest_in_its_manifest(built):
    folder = built.state / "images" / "small"
    assert {p.name for p in folder.iterdir()} == FILES
    m = manifest(built)
    for part, file in (("kernel", "kernel"), ("initramfs", "initramfs"), ("root", "root.img")):
        data = (folder / file).read_bytes()
        assert m[part]["size"] == len(data)
        assert m[part]["sha256"] == hashlib.sha256(data).hexdigest()
    shown = json.loads(built("image", "show", "--json", "small").out)
    assert shown["digest"] == "sha256:" + hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def test_hash_tree_is_one_that_veritysetup_accepts(built):
    root, image = manifest(built)["root"], built.state / "images" / "small" / "root.img"
    tool("/usr/sbin/veritysetup", "verify", "--no-superblock", "--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096",
         f"--data-blocks={root['data_blocks']}", f"--hash-offset={root['data_blocks'] * 4096}", f"--salt={root['salt']}",
         image, image, root["verity"])
    assert f"devdep.root={root['verity']} " in manifest(built)["cmdline"]["tcg"]


def debugfs(image, command):
    return tool("/usr/sbin/debugfs", "-R", command, image)


def test_root_is_clean_small_and_has_the_runner_with_sudo(built):
    image = built.state / "images" / "small" / "root.img"
    tool("/usr/sbin/e2fsck", "-f", "-n", image)
    assert "runner:x:1001:1001:" in debugfs(image, "cat /etc/passwd")
    assert "runner ALL=(ALL) NOPASSWD:ALL" in debugfs(image, "cat /etc/sudoers.d/runner")
    assert re.search(r"User: +1001 +Group: +1001", debugfs(image, "stat /home/runner"))
    sudo = debugfs(image, "stat /usr/bin/sudo")
    assert re.search(r"Mode: +04755", sudo) and re.search(r"User: +0 ", sudo)
    for absent in ("/usr/share/man/man1", "/usr/share/locale/de", "/var/lib/apt/lists/lock", "/usr/sbin/policy-rc.d",
                   "/etc/apt/apt.conf.d/99mmdebstrap", "/.devdep-work"):
        assert "File not found" in debugfs(image, f"stat {absent}"), absent
    release = manifest(built)["kernel"]["version"]
    assert "modules.dep" in debugfs(image, f"ls /usr/lib/modules/{release}")
    assert debugfs(image, "cat /etc/hostname").splitlines()[-1] == "devdep"


def test_initramfs_loads_dependencies_first(built, folder):
    data = built.state / "images" / "small" / "initramfs"
    tool("sh", "-c", f"cd {folder} && cpio -id --quiet --no-absolute-filenames modules/* <{data}")
    order = (folder / "modules" / "order").read_text().split()
    names = [line.lstrip("?") for line in order]
    assert names == list(dict.fromkeys(names))
    for earlier, later in (("virtio_ring.ko", "virtio_mmio.ko"), ("dm-mod.ko", "dm-verity.ko"), ("dm-mod.ko", "dm-crypt.ko")):
        assert names.index(earlier) < names.index(later)
    for required in ("virtio_console.ko", "virtio_blk.ko", "overlay.ko", "tun.ko"):
        assert required in order
    for name in names:
        assert (folder / "modules" / name).read_bytes()[:4] == b"\x7fELF"


def test_second_build_with_if_missing_changes_nothing(built):
    before = (built.state / "images" / "small").stat().st_ino
    again = built("image", "build", "small", "--if-missing")
    assert again.status == 0 and "is there already" in again.err, again
    assert (built.state / "images" / "small").stat().st_ino == before


def test_newer_agent_gets_in_without_network(store, folder):
    agent = folder / "agent"
    agent.write_bytes(AGENT.read_bytes() + b"\0newer")
    agent.chmod(0o755)
    old = manifest(store)
    argv = ["unshare", "-n", "--", *store.argv("image", "build", "small", "--if-missing", "--agent", agent)]
    if os.geteuid() != 0:
        argv = argv[3:]
    done = subprocess.run(argv, env=store.env(), cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and "has this devdep-guest now" in done.stdout, done.stdout
    new = manifest(store)
    assert new["root"] == old["root"] and new["kernel"] == old["kernel"]
    assert new["initramfs"]["sha256"] != old["initramfs"]["sha256"]
    assert new["measurement"] != old["measurement"]
    assert store("image", "verify", "small").status == 0
    assert leftovers(store) == []


def test_keys_of_the_first_use_are_private_and_trusted(built):
    secret = built.state / "keys" / "signing.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    signer = json.loads(built("image", "show", "--json", "small").out)["signer"]
    assert (built.state / "keys" / "trusted" / f"{signer}.pub").exists()


# What is found and refused

@pytest.mark.parametrize("file, at, expected", [
    ("manifest.json", 100, "does not fit"),
    ("manifest.sig", 150, "manifest.sig"),
    ("kernel", 5000000, "small/kernel: its digest"),
    ("initramfs", 2000000, "small/initramfs: its digest"),
])
def test_one_changed_byte_makes_every_use_refuse_the_image(store, file, at, expected):
    flip(store.state / "images" / "small" / file, at)
    for command in ("show", "verify"):
        result = store("image", command, "small")
        assert result.status == 7 and result.error[1] == "ERR_IMAGE_REFUSED" and expected in result.error[2], result
    listed = store("image", "ls")
    assert listed.status == 0 and "refused" in listed.out


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 1]))


def test_verify_finds_one_flipped_byte_of_the_root_and_names_its_block(store):
    assert store("image", "verify", "small").status == 0
    flip(store.state / "images" / "small" / "root.img", 20000 * 4096 + 77)
    assert store("image", "show", "small").status == 0
    result = store("image", "verify", "small")
    assert result.status == 7 and "block 20000 (from byte 81920000)" in result.error[2], result


def test_image_of_an_untrusted_maker_is_refused(store):
    shutil.rmtree(store.state / "keys")
    result = store("image", "show", "small")
    assert result.status == 7 and "not trusted" in result.error[2], result


@pytest.mark.parametrize("name", ["../keys", "/etc", "..", "a/b", "-x y", "small@sha256:00"])
def test_names_cannot_point_elsewhere(built, name):
    for command in (["show"], ["verify"], ["rm"]):
        result = built("image", *command, "--", name)
        assert result.status == 2, result
    assert (built.state / "keys").is_dir()


def test_missing_image_is_said_with_the_command_that_makes_it(cli):
    result = cli("image", "show", "nowhere")
    assert result.status == 6 and "devdep-cli image build nowhere" in result.error[2], result
    assert cli("image", "rm", "nowhere").status == 2


@pytest.mark.parametrize("args, expected", [
    (["build", "unheard-of"], "there is no definition"),
    (["build", "a/b"], "expected 1 to 64"),
    (["build", "x", "--package", "--oops"], "expected the name of a package"),
    (["build", "x", "--package=gcc;reboot"], "expected the name of a package"),
    (["build", "x", "--packages-file", "/nowhere"], "there is no /nowhere"),
    (["build", "small", "--suite", "../x"], "expected a Debian suite"),
    (["build", "small", "--agent", "/nowhere"], "/nowhere"),
    (["import", "/nowhere", "--name", "x"], "/nowhere"),
    (["import", "/etc/passwd"], "--name NAME says what the new image is called"),
    (["import", "/etc", "--name", "x"], "expected a regular file"),
    (["sign", "--key", "/nowhere", "/etc/passwd"], "openssl genpkey"),
    (["trust", "/etc/passwd"], "not a public key"),
])
def test_bad_arguments_say_what_was_expected(cli, args, expected):
    result = cli("image", *args)
    assert result.status in (2, 48) and expected in result.error[2], result
    if (cli.state / "images").exists():
        assert leftovers(cli) == []


# Foreign files

@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A signed ext4 file and its maker's keys."""
    base = tmp_path_factory.mktemp("foreign")
    for part in (base, *base.parents[:2]):
        part.chmod(0o755)
    (base / "tree").mkdir()
    (base / "tree" / "hello").write_text("hello\n")
    tool("/usr/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", base / "tree", base / "good.ext4", "16M")
    tool("openssl", "genpkey", "-algorithm", "ed25519", "-out", base / "maker.key")
    (base / "maker.key").chmod(0o600)
    tool("openssl", "pkey", "-in", base / "maker.key", "-pubout", "-out", base / "maker.pub")
    devdep.give(base)
    return base


@pytest.fixture
def importing(store, foreign):
    """import FILE with a good signature of a trusted maker."""
    assert store("image", "trust", foreign / "maker.pub").status == 0

    def run(path, sign=True, name="foreign"):
        devdep.give(path)
        args = ["image", "import", path, "--name", name, "--kernel-from", "small"]
        if sign:
            # Beside the file an ordinary user could not write.
            sig = store.state / f"{pathlib.Path(path).name}.sig"
            assert store("image", "sign", "--key", foreign / "maker.key", path, "--output", sig).status == 0
            args += ["--signature", sig]
        return store(*args)

    run.cli = store
    return run


def variant(foreign, folder, name="x.ext4"):
    path = folder / name
    shutil.copy(foreign / "good.ext4", path)
    return path


def damaged_by(*commands):
    def change(path):
        for command in commands:
            tool("/usr/sbin/debugfs", "-w", "-R", command, path)
    return change


def rewrite(fn):
    return lambda path: path.write_bytes(fn(path.read_bytes()))


def compress_zstd(path):
    tool("zstd", "-q", "-f", "-o", f"{path}.z", path)
    os.replace(f"{path}.z", path)


def make_qcow2(path):
    path.write_bytes(b"QFI\xfb\0\0\0\3" + bytes(196608))


def pretend_qcow2(path):
    """Both: the first bytes of a qcow2 image in the boot block of a good ext4 file system."""
    path.write_bytes(b"QFI\xfb\0\0\0\3" + path.read_bytes()[8:])


def make_tar(path):
    tool("tar", "-cf", f"{path}.t", "-C", path.parent, path.name)
    os.replace(f"{path}.t", path)


def make_iso(path):
    path.write_bytes(bytes(32768) + b"\1CD001\1" + bytes(4096))


def break_inode_table(path):
    out = tool("/usr/sbin/dumpe2fs", path)
    block = int(re.search(r"Inode table at (\d+)", out)[1])
    with open(path, "r+b") as f:
        f.seek(block * 4096 + 256)  # the root folder
        f.write(b"\xff" * 128)


@pytest.mark.parametrize("change, expected", [
    (rewrite(gzip.compress), "compressed with gzip"),
    (rewrite(lzma.compress), "compressed with xz"),
    (compress_zstd, "compressed with zstd"),
    (make_qcow2, "a qcow2 disk image"),
    (pretend_qcow2, "a qcow2 disk image"),
    (make_tar, "a tar archive"),
    (make_iso, "an ISO 9660 image"),
    (damaged_by("feature needs_recovery"), "its journal has to be recovered"),
    (damaged_by("ssv state 0"), "not unmounted cleanly"),
    (damaged_by("ssv state 2"), "marked as damaged"),
    (damaged_by("ssv blocks_count 99999"), "cut off"),
    (rewrite(lambda data: data[:-4096]), "cut off"),
    (rewrite(lambda data: data + bytes(4096)), "cut off"),
    (break_inode_table, "the file system is damaged"),
    (rewrite(lambda data: b""), "the file is empty"),
    (rewrite(lambda data: b"hello\n" * 1000), "something else"),
])
def test_each_unfit_file_is_refused_with_its_own_message(importing, foreign, folder, change, expected):
    path = variant(foreign, folder)
    change(path)
    result = importing(path)
    assert result.status == 7 and expected in result.error[2], result
    assert leftovers(importing.cli) == [] and not (importing.cli.state / "images" / "foreign").exists()


def test_unsigned_untrusted_and_wrongly_signed_files_are_refused(store, foreign, folder):
    path = variant(foreign, folder)
    devdep.give(path)
    args = ["image", "import", path, "--name", "foreign", "--kernel-from", "small"]
    result = store(*args)
    assert result.status == 7 and "is unsigned" in result.error[2], result
    result = store(*args, "--signature", folder / "none.sig")
    assert result.status == 7 and "is unsigned" in result.error[2], result
    assert store("image", "sign", "--key", foreign / "maker.key", path, "--output", folder / "state" / "x.sig").status == 0
    args += ["--signature", folder / "state" / "x.sig"]
    result = store(*args)
    assert result.status == 7 and "not trusted" in result.error[2], result
    assert store("image", "trust", foreign / "maker.pub").status == 0
    flip(path, 8000000)
    result = store(*args)
    assert result.status == 7 and "does not fit" in result.error[2], result
    # A manifest's signature is no signature over a file.
    result = store(*args[:-1], store.state / "images" / "small" / "manifest.sig")
    assert result.status == 7 and "expected one for 'root-file-system'" in result.error[2], result
    assert leftovers(store) == []


def test_good_file_becomes_an_image_signed_here(importing, foreign, folder):
    result = importing(variant(foreign, folder))
    assert result.status == 0, result
    cli = importing.cli
    assert cli("image", "verify", "foreign").status == 0
    m = manifest(cli, "foreign")
    assert m["source"]["kind"] == "import" and m["kernel"] == manifest(cli)["kernel"]
    root = (cli.state / "images" / "foreign" / "root.img").read_bytes()
    assert root[:16 << 20] == (foreign / "good.ext4").read_bytes()
    assert "foreign" in cli("image", "ls").out
    assert cli("image", "rm", "foreign").status == 0
    assert cli("image", "show", "foreign").status == 6


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_foreign_file_system_is_examined_in_a_jail(importing, foreign, folder):
    path = variant(foreign, folder)
    devdep.give(path)
    cli = importing.cli
    assert cli("image", "sign", "--key", foreign / "maker.key", path, "--output", folder / "state" / "x.sig").status == 0
    trace = folder / "trace"
    trace.touch()
    devdep.give(trace)
    argv = cli.argv("image", "import", path, "--name", "foreign", "--kernel-from", "small", "--signature", folder / "state" / "x.sig")
    where = next(i for i, word in enumerate(argv) if word.endswith("devdep-cli"))
    argv[where:where] = ["strace", "-f", "-o", str(trace), "-e", "trace=execve,execveat,pivot_root,seccomp,prctl"]
    subprocess.run(argv, env=cli.env(), cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = trace.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "exec" in line and "e2fsck" in line)
    before = [line for line in lines[:start] if line.split()[0] == lines[start].split()[0]]
    assert any("pivot_root(" in line for line in before)
    assert any("seccomp(" in line or "PR_SET_SECCOMP" in line for line in before)
    assert any("PR_SET_NO_NEW_PRIVS" in line for line in before)


# Interruptions

def mounts_below(path):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(path) in line]


def wait_for_line(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail("the build did not get so far: " + text)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_build_leaves_nothing(built, cli, signo):
    process = cli.popen("image", "build", "other", "--package", "kmod", start_new_session=True)
    wait_for_line(process, "downloading packages")
    os.killpg(process.pid, signo)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err
    assert [p.name for p in (cli.state / "images").iterdir()] == [".lock"], err
    assert mounts_below(cli.state) == []


def test_what_a_killed_build_leaves_goes_with_the_next(store, foreign, folder):
    process = store.popen("image", "build", "other", "--package", "kmod")
    wait_for_line(process, "preparing Debian")
    process.kill()
    process.communicate(timeout=60)
    assert store("image", "trust", foreign / "maker.pub").status == 0
    path = variant(foreign, folder)
    devdep.give(path)
    assert store("image", "sign", "--key", foreign / "maker.key", path, "--output", folder / "state" / "x.sig").status == 0
    # An ordinary user's tools notice the end of the build at their next line of output.
    for _ in range(60):
        result = store("image", "import", path, "--name", "foreign", "--kernel-from", "small", "--signature", folder / "state" / "x.sig")
        assert result.status == 0, result
        if not leftovers(store):
            break
        time.sleep(1)
    assert leftovers(store) == []
    assert mounts_below(store.state) == []


def test_failed_tool_shows_its_last_lines(built, cli):
    result = cli("image", "build", "other", "--package", "no-such-package-devdep")
    assert result.status == 48, result
    assert "no-such-package-devdep" in result.err and "the last lines of" in result.err
    assert leftovers(cli) == []


def test_listing_is_readable_by_programs(built):
    rows = json.loads(built("image", "ls", "--json").out)
    small = next(row for row in rows if row["name"] == "small")
    assert small["cmdline"]["kvm"] and small["measurement"]["tcg"].startswith("sha256:")
    assert small["root_bytes"] == (built.state / "images" / "small" / "root.img").stat().st_size


@pytest.mark.parametrize("command", ["build", "import", "ls", "show", "rm", "verify", "sign", "trust"])
def test_every_command_has_help_with_an_example(cli, command):
    result = cli("image", command, "--help")
    assert result.status == 0 and f"devdep-cli image {command}" in result.out
    assert result.out.count("devdep-cli image") >= 2 or "Examples" in result.out


# In a guest

UNREAD = "/usr/share/common-licenses/GPL-3"  # nothing reads it at boot


@pytest.fixture
def workflow(repo):
    repo.workflow("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
                  f"      - run: wc -c {UNREAD.replace('GPL-3', 'GPL-2')}; cat {UNREAD} >/dev/null && echo read it\n")
    repo.commit()
    return repo.path


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64")
def test_flipped_byte_of_the_root_is_an_io_error_in_the_guest(store, workflow):
    good = store("run", "--image", "small", cwd=workflow)
    assert good.status == 0 and "| read it" in good.text, good
    image = store.state / "images" / "small" / "root.img"
    block = int(debugfs(image, f"blocks {UNREAD}").splitlines()[-1].split()[0])
    flip(image, block * 4096 + 100)
    bad = store("run", "--image", "small", cwd=workflow)
    assert bad.status == 1 and "Input/output error" in bad.text and "| read it" not in bad.text, bad
    assert "GPL-2" in bad.text


def test_run_refuses_a_changed_kernel_or_manifest(store, workflow):
    for file in ("kernel", "manifest.json"):
        flip(store.state / "images" / "small" / file, 150)
        result = store("run", "--image", "small", cwd=workflow)
        assert result.status == 7 and result.error[1] == "ERR_IMAGE_REFUSED", result
        flip(store.state / "images" / "small" / file, 150)


def test_run_with_an_image_that_is_nowhere_names_the_command(cli, workflow):
    result = cli("run", "--image", "nowhere", cwd=workflow)
    assert result.status == 6 and "devdep-cli image build nowhere" in result.error[2], result
