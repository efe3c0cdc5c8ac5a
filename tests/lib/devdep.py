"""What end-to-end tests share: the programs under test, repositories to run, an ordinary user to run as.

DEVDEP_BUILD names the folder of the programs (default: build/). DEVDEP_TEST_IMAGES names a state folder whose images are used instead of
those of /var/lib/devdep: a guest that is not released yet. DEVDEP_TEST_USER names an ordinary user: then the command and git
run as that user, on folders of that user."""
import atexit
import functools
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("DEVDEP_BUILD", ROOT / "build")).resolve()
USER = os.environ.get("DEVDEP_TEST_USER") or None
OTHER_IMAGES = os.environ.get("DEVDEP_TEST_IMAGES")
SYSTEM_IMAGES = pathlib.Path(OTHER_IMAGES or "/var/lib/devdep") / "images"


def become(argv):
    """argv as the test user would type it."""
    if not USER:
        return [str(a) for a in argv]
    return ["setpriv", f"--reuid={USER}", f"--regid={pwd.getpwnam(USER).pw_gid}", "--init-groups", "--"] + [str(a) for a in argv]


def give(path):
    """Make a folder the test user's."""
    if USER:
        entry = pwd.getpwnam(USER)
        subprocess.run(["chown", "-R", f"{entry.pw_uid}:{entry.pw_gid}", str(path)], check=True)


def environment(extra=None):
    home = pwd.getpwnam(USER).pw_dir if USER else os.environ.get("HOME", "/root")
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LANG": "C.UTF-8",
           "TERM": "dumb"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(extra or {})
    return env


class Result:
    """What a command did: status, out, err (text, undecodable bytes kept as surrogates)."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    @property
    def text(self):
        return self.out + self.err

    @property
    def error(self):
        """(code, name, message) of the last line of standard error, or None."""
        lines = self.err.strip().splitlines()
        match = re.fullmatch(r"devdep: error (\d+) (\w+): (.*)", lines[-1]) if lines else None
        return (int(match[1]), match[2], match[3]) if match else None

    @property
    def events(self):
        """The JSON Lines of `run --json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self):
        return f"{' '.join(map(str, self.argv))}\nstatus {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


@functools.cache
def shared(what):
    """A folder that all state folders of these tests share: a template is made once, and one probe tells whether KVM boots a guest."""
    folder = tempfile.TemporaryDirectory(prefix=f"devdep-{what}-")
    give(folder.name)
    atexit.register(folder.cleanup)
    return folder.name


class Cli:
    """devdep-cli on one state folder. What is costly to find out (probes) or to make (templates, unless it has its own) is shared by all."""

    def __init__(self, state, own_templates=False):
        self.state = state
        for what in ("cache",) if own_templates else ("cache", "templates"):
            place = pathlib.Path(state, what)
            if place.is_symlink() and not place.exists():
                place.unlink()  # of an earlier session, whose folder is gone
            if not place.is_symlink() and not place.exists():
                place.symlink_to(shared(what))
        for what in ("images", "keys") if OTHER_IMAGES else ():
            if not os.path.lexists(f"{state}/{what}"):
                os.symlink(f"{OTHER_IMAGES}/{what}", f"{state}/{what}")
        self.program = BUILD / "devdep-cli"

    def argv(self, *args):
        return become([self.program, *args])

    def env(self, extra=None):
        return environment({"DEVDEP_STATE": str(self.state), **(extra or {})})

    def __call__(self, *args, cwd=None, env=None, timeout=300, stdin=None):
        argv = self.argv(*args)
        done = subprocess.run(argv, cwd=cwd or "/", env=self.env(env), timeout=timeout, stdin=subprocess.DEVNULL if stdin is None else None,
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="surrogateescape")
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def popen(self, *args, cwd=None, env=None, **more):
        return subprocess.Popen(self.argv(*args), cwd=cwd or "/", env=self.env(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)


class Repo:
    """A git repository made for one test."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        give(self.path)
        self.git("init", "-q", "-b", "main")

    def git(self, *args):
        argv = become(["git", "-C", self.path, "-c", "user.name=devdep", "-c", "user.email=devdep@localhost", *args])
        return subprocess.run(argv, env=environment({"GIT_CONFIG_GLOBAL": "/dev/null"}), check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace").stdout

    def write(self, name, content, mode=0o644):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)
        path.chmod(mode)
        give(self.path)
        return path

    def workflow(self, content, name="ci.yml"):
        return self.write(f".github/workflows/{name}", content)

    def commit(self, message="a commit"):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()


def default_image_missing():
    """Why guests cannot be started, or None."""
    if not (SYSTEM_IMAGES / "default" / "manifest.json").exists():
        return "no image 'default' in /var/lib/devdep/images; make demo builds it"
    if not shutil.which("qemu-system-x86_64"):
        return "no qemu-system-x86_64"
    return None
