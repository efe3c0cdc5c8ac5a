"""The host's side of a guest's network: answers `connect` and `event`, and remembers them."""
import contextlib
import threading

import yamux


class Outside:
    """`reached` names are resolved; connections to (name or address, port) in `servers` are given to their function, others refused."""

    def __init__(self, session, reached=(), servers=None):
        self.reached, self.servers = set(reached), servers or {}
        self.events, self.connects, self.changed = [], [], threading.Condition()
        session.on_open = self.take

    def take(self, stream):
        with contextlib.suppress(yamux.Closed, TimeoutError, OSError):
            header = {k: v.decode() for k, v in yamux.read_fields(stream)}
            answer = {"connect": self.connect, "event": self.event}[header["op"]]
            answer(stream, header)

    def note(self, where, header):
        with self.changed:
            where.append(header)
            self.changed.notify_all()

    def event(self, stream, header):
        more = {"reached": int(header["name"] in self.reached)} if header["kind"] == "lookup" else {}
        self.note(self.events, header)
        stream.write(yamux.fields(status="ok", **more))
        stream.close()

    def connect(self, stream, header):
        self.note(self.connects, header)
        server = self.servers.get((header.get("name") or header["address"], int(header["port"])))
        if not server:
            stream.write(yamux.fields(status="error", code="denied", message="not listed"))
            stream.close()
            return
        stream.write(yamux.fields(status="ok"))
        server(stream)

    def wait(self, where, condition, timeout=60):
        """The first header that the condition holds for."""
        def found():
            return next((h for h in where if condition(h)), None)
        with self.changed:
            assert self.changed.wait_for(found, timeout), f"it never came: {where}"
            return found()


def echo(stream):
    while data := stream.read(65536):
        stream.write(data)
    stream.close()
