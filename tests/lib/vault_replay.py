"""Vault, as far as it was recorded: tests/data/vault, played back strictly.

A request must be one of those that the test put on stage: its method, its path, the names of its headers and the shape of its body are those
of the recording; where the recording has a credential (a token, a password, a lease, an identity token), it must be the one that the
test put in its place. Anything else is kept in `violations`, which `close()` turns into a failure of the test.

What is not recorded (namespaces, capabilities-self, faults) a test puts on stage with `answer()`, from the published description."""
import contextlib
import json
import pathlib
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "vault"
# What every HTTP client sends by itself, and the header by which Vault's own clients say that they are clients.
PLAIN_HEADERS = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "content-type", "x-vault-request"}
# Values of these keys in a body are credentials or names: they have to be what was recorded, or what the test put in their place.
EXACT = {"role", "jwt", "role_id", "secret_id", "token", "lease_id", "paths"}


class Exchange:
    """One recorded file."""

    def __init__(self, name):
        text = (DATA / f"{name}.http").read_text()
        request = [line[2:] for line in text.splitlines() if line.startswith("> ")]
        rest = text[text.index("HTTP/1.1"):]
        head, _, body = rest.partition("\n\n")
        self.name = name
        self.method, self.path = request[0].split(" ", 1)
        bodies = [line for line in request[1:] if line.startswith("{")]
        self.body = bodies[0] if bodies else None
        self.headers = dict(line.split(": ", 1) for line in request[1:] if not line.startswith("{"))
        self.status, self.answer = int(head.split()[1]), body.strip() or None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode() if length else None
        status, answer, headers = self.server.replay.take(self.command, self.path, dict(self.headers.items()), body)
        if status is None:
            self.close_connection = True
            return
        data = (answer or "").encode() if not isinstance(answer, bytes) else answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and headers.get("Connection") != "close":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_LIST = do_DELETE = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


class Replay:
    """A server on a listening socket, with the certificate and key of an authority of the test."""

    def __init__(self, listener, certificate, **substitutes):
        self.substitutes = substitutes  # recorded text: what is in its place
        self.stage, self.requests, self.violations = {}, [], []
        self.lock = threading.Lock()
        self.server = Server(listener.getsockname()[:2], Handler, bind_and_activate=False)
        self.server.socket.close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(listener, server_side=True, do_handshake_on_connect=False)
        self.server.replay = self
        self.token = None  # the one that is good now; None: as recorded
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
        assert kind is not None or self.violations == [], self.violations

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def put(self, text):
        """A recorded text with the test's credentials in it."""
        for recorded, ours in self.substitutes.items():
            text = text.replace(recorded, ours)
        return text

    def play(self, *names, token=None, **changes):
        """Put recorded exchanges on stage; one takes the place of another with the same method and path. changes: texts of the answer
        that are replaced beyond the substitutes. token: who has to ask, instead of who asked when it was recorded."""
        for name in names:
            x = Exchange(name)
            answer = self.put(x.answer) if x.answer else None
            for recorded, ours in changes.items():
                assert answer and recorded in answer, f"{name} has no {recorded}"
                answer = answer.replace(recorded, ours)
            headers = {key.lower(): self.put(value) for key, value in x.headers.items()}
            if token and "x-vault-token" in headers:
                headers["x-vault-token"] = token
            with self.lock:
                self.stage[x.method, x.path] = (headers, json.loads(self.put(x.body)) if x.body else None, x.status, answer, {})

    def answer(self, method, path, status, answer=None, token=None, body=None, namespace=None, headers=None):
        """What was not recorded."""
        wanted = {"x-vault-token": token} if token else {}
        if namespace:
            wanted["x-vault-namespace"] = namespace
        text = answer if isinstance(answer, (str, bytes)) or answer is None or callable(answer) else json.dumps(answer)
        with self.lock:
            self.stage[method, path] = (wanted, body, status, text, headers or {})

    def drop(self, method, path):
        """The connection ends without an answer."""
        with self.lock:
            self.stage[method, path] = None

    def require(self, **headers):
        """From now on each request has these headers as well."""
        with self.lock:
            for key, value in list(self.stage.items()):
                self.stage[key] = ({**value[0], **{k.replace("_", "-"): v for k, v in headers.items()}}, *value[1:])

    def asked(self, method=None, path=None):
        """The requests so far."""
        with self.lock:
            return [r for r in self.requests if method in (None, r[0]) and path in (None, r[1])]

    def refuse(self, why):
        self.violations.append(why)
        return 599, json.dumps({"errors": ["this was never recorded"]}), {}

    def take(self, method, path, headers, body):
        with self.lock:
            self.requests.append((method, path, headers, body))
            if (method, path) not in self.stage:
                return self.refuse(f"{method} {path}")
            scene = self.stage[method, path]
            if scene is None:
                return None, None, {}
            wanted, shape, status, answer, more = scene
            names = {name.lower(): value for name, value in headers.items()}
            extra = {name: value for name, value in names.items() if name not in PLAIN_HEADERS}
            if extra != wanted:
                return self.refuse(f"{method} {path}: headers {extra}, expected {wanted}")
            problem = compare(shape, json.loads(body) if body else None)
            if problem:
                return self.refuse(f"{method} {path}: body: {problem}")
        return (*answer(), more) if callable(answer) else (status, answer, more)


def compare(wanted, got, key=""):
    """What differs in shape, or None. A set stands for any of its members."""
    if isinstance(wanted, set):
        return None if got in wanted else f"{key}: {got!r}, expected one of {sorted(wanted)}"
    if isinstance(wanted, dict) and isinstance(got, dict):
        if set(wanted) != set(got):
            return f"keys {sorted(got)}, expected {sorted(wanted)}"
        return next((p for k in wanted if (p := compare(wanted[k], got[k], k))), None)
    if type(wanted) is not type(got):
        return f"{key}: {type(got).__name__}, expected {type(wanted).__name__}"
    if key in EXACT and wanted != got:
        return f"{key}: {got!r}, expected {wanted!r}"
    if key == "increment" and isinstance(got, str) and not re.fullmatch(r"\d+s", got):
        return f"increment: {got!r}"
    return None
