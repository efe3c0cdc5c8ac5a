"""A second, independent implementation of yamux version 0 and of the guest protocol's host side, for tests.

Written from the HashiCorp specification and docs/protocol-guest.md, not from src/wire. One thread reads; calls block with a
timeout. `Session.raw()` sends any bytes, so hostile tests can break every rule."""

import os
import select
import socket
import struct
import threading
import time

DATA, WINDOW, PING, GOAWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW = 256 * 1024
MAX_FRAME = 16 * 1024
TIMEOUT = 60


class Closed(Exception):
    """The session or the stream ended."""


class Stream:
    def __init__(self, session, stream_id):
        self.session, self.id = session, stream_id
        self.received, self.eof, self.reset = bytearray(), False, False
        self.send_window, self.unacknowledged = INITIAL_WINDOW, 0

    def _wait(self, ready, timeout):
        deadline = time.monotonic() + timeout
        while not ready():
            if self.reset or self.session.error:
                raise Closed(self.session.error or "reset")
            left = deadline - time.monotonic()
            if left <= 0 or not self.session.changed.wait(left):
                raise TimeoutError(f"stream {self.id}")

    def fill(self, timeout=TIMEOUT):
        """Read nothing until the peer has used its whole window."""
        with self.session.lock:
            self._wait(lambda: len(self.received) + self.unacknowledged == INITIAL_WINDOW, timeout)

    def read(self, n, timeout=TIMEOUT):
        """Up to n bytes; b"" at the end."""
        with self.session.lock:
            self._wait(lambda: self.received or self.eof, timeout)
            data = bytes(self.received[:n])
            del self.received[:n]
            self.unacknowledged += len(data)
            update = 0
            if self.unacknowledged >= INITIAL_WINDOW // 2 and not self.eof:
                update, self.unacknowledged = self.unacknowledged, 0
        if update:
            self.session.frame(WINDOW, 0, self.id, update)
        return data

    def read_exact(self, n, timeout=TIMEOUT):
        data = bytearray()
        while len(data) < n:
            piece = self.read(n - len(data), timeout)
            if not piece:
                raise Closed(f"end of stream {self.id} after {len(data)} of {n} bytes")
            data += piece
        return bytes(data)

    def read_all(self, timeout=TIMEOUT):
        data = bytearray()
        while piece := self.read(1 << 20, timeout):
            data += piece
        return bytes(data)

    def write_some(self, view, timeout=TIMEOUT):
        """How many bytes the window had room for, at least one."""
        with self.session.lock:
            self._wait(lambda: self.send_window > 0, timeout)
            n = min(len(view), self.send_window, MAX_FRAME)
            self.send_window -= n
        self.session.frame(DATA, 0, self.id, n, view[:n])
        return n

    def write(self, data, timeout=TIMEOUT):
        view = memoryview(data)
        while view:
            view = view[self.write_some(view, timeout):]

    def write_until_full(self):
        """Until nothing has been taken for a second: how many bytes."""
        total = 0
        try:
            while True:
                total += self.write_some(memoryview(bytes(MAX_FRAME)), 1)
        except TimeoutError:
            return total

    def close(self):
        self.session.frame(WINDOW, FIN, self.id, 0)

    def abort(self):
        self.session.frame(WINDOW, RST, self.id, 0)
        with self.session.lock:
            self.reset = True


class Session:
    """The client's side (odd stream ids) over a connected socket."""

    def __init__(self, sock):
        self.sock, self.streams, self.next_id, self.error = sock, {}, 1, None
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.send_lock, self.pongs, self.goaway = threading.Lock(), set(), None
        self.arrivals = []  # the streams of all data frames, in their order
        self.on_open = None  # called with each stream that the peer opens, in a thread of its own; None: it is reset
        threading.Thread(target=self._receive, daemon=True).start()

    def raw(self, data):
        with self.send_lock:
            self.sock.sendall(data)

    def frame(self, kind, flags, stream, value, payload=b""):
        self.raw(struct.pack(">BBHII", 0, kind, flags, stream, value) + bytes(payload))

    def open(self):
        with self.lock:
            stream = Stream(self, self.next_id)
            self.streams[stream.id] = stream
            self.next_id += 2
        self.frame(WINDOW, SYN, stream.id, 0)
        return stream

    def ping(self, timeout=TIMEOUT):
        """Seconds until the answer."""
        value = int.from_bytes(os.urandom(4), "big")
        start = time.monotonic()
        self.frame(PING, SYN, 0, value)
        with self.lock:
            while value not in self.pongs:
                if self.error:
                    raise Closed(self.error)
                left = start + timeout - time.monotonic()
                if left <= 0:
                    raise TimeoutError("ping")
                self.changed.wait(left)
        return time.monotonic() - start

    def _exact(self, n):
        data = bytearray()
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise Closed("the guest's end is gone")
            data += piece
        return bytes(data)

    def _receive(self):
        try:
            while True:
                version, kind, flags, stream, value = struct.unpack(">BBHII", self._exact(12))
                assert version == 0, version
                payload = self._exact(value) if kind == DATA else b""
                with self.lock:
                    self._handle(kind, flags, stream, value, payload)
                    self.changed.notify_all()
        except (Closed, OSError, AssertionError) as e:
            with self.lock:
                self.error = str(e) or "closed"
                self.changed.notify_all()

    def _handle(self, kind, flags, stream_id, value, payload):
        if kind == PING:
            if flags & SYN:
                self.frame(PING, ACK, 0, value)
            else:
                self.pongs.add(value)
        elif kind == GOAWAY:
            self.goaway = value
        elif flags & SYN and self.on_open:
            self._accept(stream_id, payload)
        elif flags & SYN:
            self.frame(WINDOW, RST, stream_id, 0)
        elif stream := self.streams.get(stream_id):
            assert len(payload) <= MAX_FRAME
            stream.received += payload
            if kind == DATA:
                self.arrivals.append(stream_id)
            if kind == WINDOW:
                stream.send_window += value
            stream.eof |= bool(flags & FIN)
            stream.reset |= bool(flags & RST)

    def _accept(self, stream_id, payload):
        stream = self.streams[stream_id] = Stream(self, stream_id)
        stream.received += payload
        self.frame(WINDOW, ACK, stream_id, 0)
        threading.Thread(target=self.on_open, args=[stream], daemon=True).start()


def fields(*pairs, **more):
    """A field list from ("key", value) pairs and keyword arguments."""
    body = bytearray()
    for key, value in [*pairs, *more.items()]:
        value = value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack(">H", len(key)) + key.encode() + struct.pack(">I", len(value)) + value
    return struct.pack(">I", len(body)) + bytes(body)


def parse_fields(body):
    """A list of (key, value bytes) from a field list without its length word."""
    pairs, i = [], 0
    while i < len(body):
        (n,) = struct.unpack_from(">H", body, i)
        key = body[i + 2:i + 2 + n].decode()
        i += 2 + n
        (n,) = struct.unpack_from(">I", body, i)
        pairs.append((key, bytes(body[i + 4:i + 4 + n])))
        assert len(pairs[-1][1]) == n
        i += 4 + n
    return pairs


def read_fields(stream, timeout=TIMEOUT):
    (n,) = struct.unpack(">I", stream.read_exact(4, timeout))
    return parse_fields(stream.read_exact(n, timeout))


def recv_exact(sock, n):
    data = bytearray()
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise Closed("the guest's end is gone")
        data += piece
    return bytes(data)


def wait_readable(sock, timeout):
    if not select.select([sock], [], [], timeout)[0]:
        raise TimeoutError("nothing to read")


def socket_pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
