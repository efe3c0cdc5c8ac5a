"""A session with devdep-source: its protocol (docs/protocol-source.md) in Python, with and without the jail."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("DEVDEP_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
PROGRAM = BUILD / "devdep-source"
PROBE = BUILD / "tests/lib/source-probe"
JAIL_UID = 70017


def git(cwd, *args, **kw):
    """The host's own git, with nothing of the caller's configuration. Returns its output."""
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C",
           "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann",
           "GIT_COMMITTER_EMAIL": "ann@example.org", **kw.pop("env", {})}
    check = kw.pop("check", True)
    done = subprocess.run(["git", "-c", "safe.directory=*", "-c", "init.defaultBranch=main", "-c",
                           "protocol.file.allow=always", *args], cwd=cwd, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **kw)
    if check and done.returncode:
        raise AssertionError(f"git {args}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def fields(*pairs):
    body = b""
    for key, value in pairs:
        value = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
        body += struct.pack(">H", len(key)) + key.encode() + struct.pack(">I", len(value)) + value
    return struct.pack(">I", len(body)) + body


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Direct:
    """devdep-source without its jail: what holds here holds by its own care alone."""

    def __init__(self, top, gitdir=None, common=None, back_link=False, env=None, host_top=None, mirror=None, pins="/dev/null"):
        self.own = tempfile.TemporaryDirectory(prefix="devdep-own.")
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(60)
        args = [PROGRAM, "--own", self.own.name]
        if top or gitdir:
            gitdir = gitdir or os.path.join(top, ".git")
            common = common or gitdir
            args += ["--gitdir", gitdir, "--host-gitdir", gitdir, "--common", common, "--host-common", common]
        if mirror:
            args += ["--mirror", mirror, "--host-mirror", mirror]
        if top:
            args += ["--top", top, "--host-top", host_top or top]
        if back_link:
            args.append("--back-link")
        fd = theirs.fileno()
        launch = ["/bin/bash", "-c", f'[ {fd} = 3 ] || exec 3<&{fd} {fd}<&-; exec 4<"$PINS"; exec "$@"', "bash"]
        self.process = subprocess.Popen(launch + [str(a) for a in args], pass_fds=[fd],
                                        env={"PINS": str(pins), **(env or {"PATH": "/usr/bin:/bin"})}, stderr=subprocess.PIPE)
        theirs.close()
        self.greeting = self.fields()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()
        self.process.wait(timeout=20)
        self.stderr = self.process.stderr.read().decode()
        self.process.stderr.close()
        self.own.cleanup()

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise EOFError(f"{n} bytes were expected, {len(data)} came")
            data += more
        return data

    def fields(self):
        data, at, pairs = self.exactly(struct.unpack(">I", self.exactly(4))[0]), 0, []
        while at < len(data):
            (n,) = struct.unpack_from(">H", data, at)
            key = data[at + 2:at + 2 + n].decode()
            (m,) = struct.unpack_from(">I", data, at + 2 + n)
            at += 6 + n
            pairs.append((key, data[at:at + m].decode("utf-8", "surrogateescape")))
            at += m
        values = dict(pairs)
        if values["status"] != "ok":
            raise Refused(int(values["code"]), values["message"])
        values["all"] = pairs
        return values

    def ask(self, op, *pairs):
        self.sock.sendall(fields(("op", op), *pairs))
        return self.fields()

    def begin_checkout(self, commit, ref="", working=True, depth=0, refs="tags", repository=""):
        return self.ask("checkout", ("repository", repository), ("commit", commit), ("ref", ref),
                        ("working", int(working)), ("depth", depth), ("refs", refs))

    def chunks(self):
        while size := struct.unpack(">I", self.exactly(4))[0]:
            assert size <= 65536
            yield self.exactly(size)

    def checkout(self, *args, **kw):
        """Returns the tar and the totals."""
        self.begin_checkout(*args, **kw)
        data = b"".join(self.chunks())
        totals = self.fields()
        assert int(totals["bytes"]) == len(data)
        return data, totals

    def action(self, repository, ref, path=""):
        return self.ask("action", ("action", repository), ("ref", ref), ("path", path))

    def action_tree(self, repository, ref):
        """Returns the tar and the totals."""
        self.ask("action_tree", ("action", repository), ("ref", ref))
        data = b"".join(self.chunks())
        return data, self.fields()

    def submodules(self, commit, repository=""):
        pairs = self.ask("submodules", ("repository", repository), ("commit", commit))["all"][1:]
        assert len(pairs) % 5 == 0
        return [dict(pairs[i:i + 5]) for i in range(0, len(pairs), 5)]


class Jailed:
    """devdep-source as devdep-cli starts it. Requests go in at once, answers come back in order."""

    def __init__(self, folder, scratch=None, before=(), env=None, mirror=None, pins="/dev/null"):
        self.folder, self.scratch, self.before, self.env = folder, scratch, list(before), env
        self.mirror = ["--mirror", mirror, "--pins", pins] if mirror else []

    def ask(self, *requests):
        """requests: tuples of words. Returns one answer per request; `started` holds the facts of the start."""
        command = [*self.before, PROBE, "--program", PROGRAM, *self.mirror]
        if os.geteuid() == 0:
            command += ["--uid", str(JAIL_UID)]
        if self.scratch:
            command += ["--scratch", self.scratch]
        text = "".join("\t".join(str(w) for w in r) + "\n" for r in requests)
        done = subprocess.run([str(c) for c in command + ([self.folder] if self.folder else [])], input=text, text=True, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if "pid" in (lines[0] if lines else {}):
            self.started = lines.pop(0)
        self.stderr = done.stderr
        assert lines, done.stderr
        return lines

    def checkout(self, target, commit, ref="", working=True, depth=0, refs="tags", repository=""):
        return self.ask(("checkout", repository, commit, ref, "working" if working else "commit", depth, refs,
                         target))[0]


def assemble(tar, target, working=True):
    """What the guest does with a checkout stream: unpack, one git command. Returns the target."""
    os.makedirs(target, exist_ok=True)
    subprocess.run(["tar", "-xf", "-", "--no-same-owner"], cwd=target, input=tar, check=True, timeout=60)
    command = ["update-index", "-q", "--refresh"] if working else ["reset", "--quiet", "--hard", "HEAD"]
    git(target, *command)
    return target
