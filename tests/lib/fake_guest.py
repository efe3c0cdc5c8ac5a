"""devdep-job without a VM: a scripted guest, a VMM that only speaks QMP, and the program between them.

FakeGuest speaks the guest protocol (docs/protocol-guest.md) as the server of yamux, and runs what it is told to run as ordinary
processes of this machine, below a temporary folder: tests decide every script. Its methods are small so that a hostile test
replaces one of them."""

import base64
import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import time

import sanitizer
from census import peak_memory
from yamux import ACK, DATA, FIN, GOAWAY, INITIAL_WINDOW, MAX_FRAME, PING, RST, SYN, WINDOW, Closed, fields, parse_fields, recv_exact

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("DEVDEP_BUILD", os.path.join(TOP, "build"))
STDIN, STDOUT, STDERR, EXIT, STDIN_EOF, RESIZE, SIGNAL = range(7)
USER = 61234  # a user id that nobody has
TIMEOUT = 60


def ready_record():
    return b"DEVDEP-GUEST\0".ljust(16, b"\0") + struct.pack(">HHI", 1, 0, 1) + bytes(8)


def frame(kind, flags, stream, value, payload=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, value) + bytes(payload)


class Stream:
    """The answerer's side of one stream."""

    def __init__(self, guest, stream_id):
        self.guest, self.id = guest, stream_id
        self.received, self.eof, self.window, self.gone = bytearray(), False, INITIAL_WINDOW, False

    def read_exact(self, n):
        """In pieces that a window has room for."""
        data = bytearray()
        while len(data) < n:
            with self.guest.changed:
                while not self.received:
                    if self.eof or self.gone or self.guest.over:
                        raise Closed("end of stream")
                    self.guest.changed.wait(1)
                piece = bytes(self.received[:n - len(data)])
                del self.received[:len(piece)]
            self.guest.send(frame(WINDOW, 0, self.id, len(piece)))
            data += piece
        return bytes(data)

    def read_rest(self):
        data = bytearray()
        while True:
            with self.guest.changed:
                while not self.received and not self.eof and not self.guest.over:
                    self.guest.changed.wait(1)
                piece = bytes(self.received)
                self.received.clear()
            if not piece:
                return bytes(data)
            self.guest.send(frame(WINDOW, 0, self.id, len(piece)))
            data += piece

    def write(self, data):
        view = memoryview(bytes(data))
        while view:
            with self.guest.changed:
                while self.window == 0 and not self.guest.over:
                    self.guest.changed.wait(1)
                n = min(len(view), self.window, MAX_FRAME)
                self.window -= n
            if self.guest.over:
                raise Closed("session over")
            self.guest.send(frame(DATA, 0, self.id, n, view[:n]))
            view = view[n:]

    def frame(self, kind, payload):
        self.write(struct.pack(">BI", kind, len(payload)) + payload)

    def close(self):
        self.guest.send(frame(WINDOW, FIN, self.id, 0))


class FakeGuest:
    def __init__(self, sock):
        self.sock, self.lock = sock, threading.Lock()
        self.changed = threading.Condition()
        self.streams, self.over, self.seed = {}, False, {}
        self.requests, self.processes = [], []
        self.secrets = {}  # what would be in /run/secrets
        self.put_data, self.started = [], threading.Event()
        self.arrivals = []  # the streams of all data frames, in their order
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def send(self, data):
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                self.over = True

    def _run(self):
        try:
            self.boot()
            while True:
                self.receive()
        except (Closed, OSError, ValueError):
            pass
        finally:
            self.end()

    def end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()
        for p in self.processes:
            if p.poll() is None:
                p.kill()

    def boot(self):
        self.send(ready_record())
        (n,) = struct.unpack(">I", recv_exact(self.sock, 4))
        self.seed = dict(parse_fields(recv_exact(self.sock, n)))
        self.send(fields(status="ok", kernel="6.1.0-fake", cpus=2, memory=1 << 30, agent="fake"))

    def receive(self):
        _, kind, flags, sid, value = struct.unpack(">BBHII", recv_exact(self.sock, 12))
        payload = recv_exact(self.sock, value) if kind == DATA else b""
        with self.changed:
            if kind == PING:
                if flags & SYN:
                    self.pong(value)
            elif kind == GOAWAY:
                raise Closed("go away")
            else:
                self.take(kind, flags, sid, value, payload)
            self.changed.notify_all()

    def pong(self, value):
        self.send(frame(PING, ACK, 0, value))

    def take(self, kind, flags, sid, value, payload):
        if flags & SYN:
            stream = self.streams[sid] = Stream(self, sid)
            self.send(frame(WINDOW, ACK, sid, 0))
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()
        stream = self.streams.get(sid)
        if not stream:
            return
        stream.received += payload
        if kind == DATA:
            self.arrivals.append(sid)
        if kind == WINDOW:
            stream.window += value
        stream.eof |= bool(flags & FIN)
        stream.gone |= bool(flags & RST)

    def _serve(self, stream):
        try:
            (n,) = struct.unpack(">I", stream.read_exact(4))
            pairs = parse_fields(stream.read_exact(n))
            header = dict(pairs)
            op = header["op"].decode()
            self.requests.append((op, pairs))
            getattr(self, "op_" + op)(stream, header, pairs)
        except (Closed, BrokenPipeError):
            pass

    def refuse(self, stream, message):
        stream.write(fields(status="error", message=message))
        stream.close()

    def ok(self, stream, *lists):
        stream.write(fields(status="ok") + b"".join(lists))
        stream.close()

    def op_park(self, stream, header, pairs):
        self.ok(stream)

    def op_mkdir(self, stream, header, pairs):
        for key, value in pairs:
            if key == "path":
                os.makedirs(value.decode(), exist_ok=True)
        self.ok(stream)

    def op_write(self, stream, header, pairs):
        how = os.O_TRUNC if header.get("replace") == b"1" else os.O_EXCL
        try:
            fd = os.open(header["path"].decode(), os.O_WRONLY | os.O_CREAT | how, int(header.get("mode", b"644"), 8))
        except OSError as e:
            self.refuse(stream, str(e))
            return
        with os.fdopen(fd, "wb") as f:
            f.write(header["data"])
        self.ok(stream)

    def op_secret(self, stream, header, pairs):
        if header.get("wipe"):
            self.secrets.clear()
        names = [v.decode() for k, v in pairs if k == "name"]
        self.secrets.update(zip(names, [v for k, v in pairs if k == "data"]))
        self.ok(stream)

    def op_which(self, stream, header, pairs):
        found = [("path", shutil.which(v.decode(), path="/usr/bin:/bin") or "") for k, v in pairs if k == "name"]
        self.ok(stream, fields(*found))

    def op_read(self, stream, header, pairs):
        self.ok(stream, *[self.read_one(v.decode(), int(header["max"])) for k, v in pairs if k == "path"])

    def read_one(self, path, most):
        try:
            st = os.lstat(path)
        except OSError:
            return fields(path=path, kind="missing")
        if stat.S_ISLNK(st.st_mode):
            return fields(path=path, kind="link")
        if stat.S_ISFIFO(st.st_mode):
            return fields(path=path, kind="fifo")
        if not stat.S_ISREG(st.st_mode):
            return fields(path=path, kind="other")
        if st.st_size > most:
            return fields(path=path, kind="too-large")
        with open(path, "rb") as f:
            return fields(path=path, kind="regular", data=f.read())

    def op_put(self, stream, header, pairs):
        stream.write(fields(status="ok"))
        data = stream.read_rest()
        self.put_data.append((header, data))
        target = header["path"].decode()
        os.makedirs(target, exist_ok=True)
        status = subprocess.run(["tar", "-x", "-C", target, "--no-same-owner"], input=data).returncode
        stream.write(fields(status="ok" if status == 0 else "error", message="tar failed", entries=1, bytes=len(data)))
        stream.close()

    def op_get(self, stream, header, pairs):
        path = header["path"].decode()
        if not os.path.exists(path):
            self.refuse(stream, f"open {path}: No such file or directory")
            return
        real = os.path.realpath(path)
        place = ["-C", real, "."] if os.path.isdir(real) else ["-C", os.path.dirname(real), os.path.basename(real)]
        data = subprocess.run(["tar", "-c", "--hard-dereference", "--format=gnu", *place], stdout=subprocess.PIPE, check=True).stdout
        stream.write(fields(status="ok"))
        stream.write(data)
        stream.close()

    def op_exec(self, stream, header, pairs):
        argv = [v.decode() for k, v in pairs if k == "arg"]
        env = dict(v.decode().split("=", 1) for k, v in pairs if k == "env")
        if not os.path.isdir(header["cwd"]):
            self.refuse(stream, f"working directory {header['cwd'].decode()} does not exist")
            return
        process = subprocess.Popen(argv, env=env, cwd=header["cwd"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        stream.write(fields(status="ok"))
        self.started.set()
        readers = [threading.Thread(target=self.forward, args=(stream, pipe, kind), daemon=True)
                   for pipe, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))]
        for r in readers:
            r.start()
        threading.Thread(target=self.take_signals, args=(stream, process), daemon=True).start()
        process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for r in readers:
            r.join()
        code = process.returncode
        stream.frame(EXIT, self.exit_fields(kind="exited" if code >= 0 else "signaled", code=abs(code), oom=0))
        stream.close()

    def exit_fields(self, **more):
        return fields(nonce=self.seed["nonce"], **more)

    def forward(self, stream, pipe, kind):
        try:
            while data := os.read(pipe.fileno(), 16000):
                with stream.guest.changed:
                    pass
                stream.frame(kind, data)
        except Closed:
            pass

    def take_signals(self, stream, process):
        try:
            while True:
                kind, n = struct.unpack(">BI", stream.read_exact(5))
                payload = stream.read_exact(n)
                if kind == SIGNAL:
                    os.killpg(process.pid, payload[0])
        except (Closed, ProcessLookupError):
            pass


class FakeVmm:
    """QMP on one socket; dies with the lifeline."""

    def __init__(self, control, lifeline, guest_socks, console=b""):
        self.control, self.lifeline, self.guest_socks, self.console = control, lifeline, guest_socks, console
        self.lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, data):
        with self.lock:
            try:
                self.control.sendall(data)
            except OSError:
                pass

    def say(self, value):
        self.send(json.dumps(value).encode() + b"\r\n")

    def event(self, name, **data):
        self.say({"timestamp": {"seconds": 1, "microseconds": 1}, "event": name, "data": data})

    def _watch(self):
        while os.read(self.lifeline, 1):
            pass
        self.die()

    def die(self):
        for s in (self.control, *self.guest_socks):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _serve(self):
        self.say({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}})
        try:
            for line in self.control.makefile("rb"):
                request = json.loads(line)
                self.say({"return": self.answer(request), "id": request.get("id")})
                if request["execute"] == "migrate":
                    self.event("MIGRATION", status="completed")
        except (OSError, ValueError):
            pass

    def answer(self, request):
        if request["execute"] == "query-status":
            return {"running": True, "status": "running", "singlestep": False}
        if request["execute"] == "ringbuf-read":
            return base64.b64encode(self.console).decode()
        return {}


def high(fd):
    """A copy at a number that the program's own descriptors do not reach."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 60)


class Job:
    """devdep-job with everything around it. Use as a context manager; `guest` is a FakeGuest class or a factory."""

    def __init__(self, folder, spec, guest=FakeGuest, console=b"", source=None, owner=None, leash=None, journal=None, wrap=(), store=None, secrets=None, broker=None, service=None):
        self.folder, self.spec = folder, spec
        self.channel, theirs = socket.socketpair()
        self.vmm_control, vmm = socket.socketpair()
        read_end, lifeline = os.pipe()
        self.vmm = FakeVmm(self.vmm_control, read_end, [self.channel], console)
        self.guest = guest(self.channel)
        self.control_path = os.path.join(folder, "control")
        control = socket.socket(socket.AF_UNIX)
        control.bind(self.control_path)
        control.listen(8)
        self.journal_path = os.path.join(folder, "journal")
        journal_fd = journal if journal is not None else os.open(self.journal_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        spec_fd = os.memfd_create("spec")
        os.write(spec_fd, spec if isinstance(spec, bytes) else json.dumps(spec).encode())
        os.lseek(spec_fd, 0, os.SEEK_SET)
        self.stderr_path = os.path.join(folder, "stderr")
        err = os.open(self.stderr_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        sources = [(err, 2), (spec_fd, 3), (journal_fd, 4), (vmm.fileno(), 5), (theirs.fileno(), 6), (lifeline, 7),
                   (control.fileno(), 9)]
        if source is not None:
            sources.append((source, 8))
        if owner is not None:
            sources.append((owner, 12))
        if store is not None:
            sources.append((store, 14))
        if leash is not None:
            sources.append((leash, 13))
        if broker is not None:
            sources.append((broker, 15))
        if service is not None:
            sources.append((service, 18))
        if secrets is not None:
            sources += [(secrets.theirs.fileno(), 16), (secrets.values_fd, 17)]
        copies = [(high(fd), to) for fd, to in sources]
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in copies]
        unused = {*range(8, 19)} - {to for _, to in copies}
        actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in unused]
        argv = [*wrap, os.path.join(BUILD, "devdep-job")]
        if os.geteuid() == 0:
            argv += ["--uid", str(USER), "--gid", str(USER)]
        env = {k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}
        self.pid = os.posix_spawn(argv[0], argv, env, file_actions=actions)
        self.status, self.peak = None, 0
        for fd, _ in copies:
            os.close(fd)
        for fd in (spec_fd, journal_fd, lifeline, err):
            os.close(fd)
        for s in (theirs, vmm, control):
            s.close()
        if secrets is not None:
            secrets.theirs.close()
        self.guest.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        with open(self.stderr_path, errors="replace") as f:
            sanitizer.assert_silent(f.read())
        self.guest.end()
        self.channel.close()
        self.vmm_control.close()

    def sample(self):
        self.peak = max(self.peak, peak_memory(self.pid))

    def wait(self, timeout=TIMEOUT):
        """The exit status, or minus the signal; `peak` is then the most memory that it had, as sampled."""
        deadline = time.monotonic() + timeout
        while self.status is None:
            self.sample()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise TimeoutError(f"devdep-job still runs\n{self.text()}")
            else:
                time.sleep(0.005)
        return self.status

    def text(self):
        with open(self.journal_path, errors="replace") as f, open(self.stderr_path, errors="replace") as g:
            return f.read() + g.read()

    def events(self, kind=None):
        with open(self.journal_path, "rb") as f:
            lines = [json.loads(line) for line in f.read().split(b"\n")[:-1]]
        assert [e["seq"] for e in lines] == list(range(len(lines)))
        return [e for e in lines if kind in (None, e["type"])]

    def until(self, kind, timeout=TIMEOUT):
        """The first event of a type, once it is there."""
        deadline = time.monotonic() + timeout
        while not (found := self.events(kind)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {kind}\n{self.text()}")
            self.sample()
            time.sleep(0.005)
        self.sample()
        return found[0]

    def log(self, step=None, stream=None):
        return "".join(e["text"] for e in self.events("log")
                       if step in (None, e["step"]) and stream in (None, e["stream"]))

    @property
    def verdict(self):
        return self.events("job_finished")[-1]

    def ask(self, request):
        """One request of the control socket: (answer, the connection)."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(TIMEOUT)
        s.connect(self.control_path)
        s.sendall(request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n")
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = s.recv(1)
            if not piece:
                return None, s
            line += piece
        return json.loads(line), s


def spec(folder, *steps, **more):
    """A specification whose workspace is below the folder. A step is a script or a dictionary."""
    steps = [{"run": s} if isinstance(s, str) else s for s in steps]
    return {"version": 1, "run": "7", "attempt": 1, "job": {"id": "build", "timeout_ms": 600000},
            "image": {"name": "default", "digest": "sha256:00"}, "accelerator": "tcg", "boot_timeout_ms": 30000,
            "workspace": os.path.join(folder, "work", "hello", "hello"),
            "contexts": {"github": {"ref": "refs/heads/main", "repository": "a/hello", "run_id": "7"}, "runner": {"os": "Linux"}},
            "steps": steps, **more}
