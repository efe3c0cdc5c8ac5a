"""A virtio-vsock device behind vhost-user, for hosts whose kernel has no vhost-vsock: the guest sees the same device and uses the same
AF_VSOCK, and its one connection to CID 2 is joined to a socket of the test.

Written from the virtio 1.2 specification (split rings, section 5.10) and QEMU's vhost-user specification. One connection, one guest, no feature
that is not needed: no indirect descriptors, no event index, rings are always signalled."""

import collections
import mmap
import os
import select
import socket
import struct
import threading

HOST = 2
VERSION_1, PROTOCOL_FEATURES, PROTOCOL_CONFIG = 1 << 32, 1 << 30, 1 << 9
GET_FEATURES, SET_MEM_TABLE, SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = 1, 5, 8, 9, 10, 11, 12, 13
GET_PROTOCOL_FEATURES, GET_CONFIG = 15, 24
NO_FD = 0x100
NEXT, WRITABLE = 1, 2
HEADER = struct.Struct("<QQIIIHHIII")  # source and destination: id, port; length, type, operation, flags, buffer size, bytes forwarded
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
STREAM = 1
BUFFER = 256 * 1024
CHUNK = 3584  # the guest's receive buffers are pages, less what its kernel keeps beside them


class Ring:
    def __init__(self):
        self.size, self.seen, self.desc, self.avail, self.used, self.kick, self.call = 0, 0, 0, 0, 0, None, None


class Device:
    """`channel` is the host's end of the guest's connection. self.fd is for QEMU's chardev; close it once QEMU has it."""

    def __init__(self, cid, channel):
        self.cid, self.channel = cid, channel
        self.vhost, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.fd = theirs.detach()
        self.regions, self.rings = [], [Ring(), Ring()]  # receive and transmit, as the guest sees it
        self.owed = collections.deque()                  # control packets for the guest
        self.guest_port, self.refused = None, []
        self.sent = self.forwarded = self.told = self.guest_buffer = self.guest_forwarded = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # guest memory

    def at(self, address, size, key=0):
        """A view of guest memory; key 0: guest-physical, 1: QEMU's own address."""
        for region in self.regions:
            if region[key] <= address and address + size <= region[key] + region[2]:
                start = address - region[key] + region[3]
                return memoryview(region[4])[start:start + size]
        raise ValueError(f"address {address:#x} is outside of the guest's memory")

    def take(self, ring):
        """The next chain: (head, [readable views], [writable views]), or None."""
        if not ring.avail or ring.kick is None:
            return None
        (index,) = struct.unpack("<H", self.at(ring.avail + 2, 2, 1))
        if index == ring.seen:
            return None
        (head,) = struct.unpack("<H", self.at(ring.avail + 4 + 2 * (ring.seen % ring.size), 2, 1))
        readable, writable, n = [], [], head
        while True:
            address, length, flags, following = struct.unpack("<QIHH", self.at(ring.desc + 16 * n, 16, 1))
            (writable if flags & WRITABLE else readable).append(self.at(address, length))
            if not flags & NEXT:
                break
            n = following
        ring.seen = (ring.seen + 1) & 0xffff
        return head, readable, writable

    def give_back(self, ring, head, written):
        (index,) = struct.unpack("<H", self.at(ring.used + 2, 2, 1))
        self.at(ring.used + 4 + 8 * (index % ring.size), 8, 1)[:] = struct.pack("<II", head, written)
        self.at(ring.used + 2, 2, 1)[:] = struct.pack("<H", (index + 1) & 0xffff)
        os.eventfd_write(ring.call, 1)

    # packets

    def header(self, operation, port, own_port, length=0, flags=0):
        return HEADER.pack(HOST, self.cid, own_port, port, length, STREAM, operation, flags, BUFFER, self.forwarded & 0xffffffff)

    def owe(self, operation, flags=0):
        self.owed.append(self.header(operation, self.guest_port, self.cid, flags=flags))

    def deliver(self, packet):
        """False when the guest has no buffer ready."""
        chain = self.take(self.rings[0])
        if not chain:
            return False
        head, _, writable = chain
        left = packet
        for view in writable:
            n = min(len(view), len(left))
            view[:n] = left[:n]
            left = left[n:]
        assert not left, "the guest's buffer is too small"
        self.give_back(self.rings[0], head, len(packet))
        return True

    def on_packet(self, data):
        source, target, port, own_port, length, kind, operation, flags, buffer, forwarded = HEADER.unpack(data[:HEADER.size])
        if (source, target, own_port, kind) != (self.cid, HOST, self.cid, STREAM) or (operation == REQUEST) == (self.guest_port is not None):
            if operation != RST:
                self.refused.append((operation, own_port))
                self.owed.append(self.header(RST, port, own_port))
            return
        self.guest_buffer, self.guest_forwarded = buffer, forwarded
        if operation == REQUEST:
            self.guest_port = port
            self.owe(RESPONSE)
        elif operation == RW:
            self.forward(data[HEADER.size:HEADER.size + length])
        elif operation == CREDIT_REQUEST:
            self.owe(CREDIT_UPDATE)
        elif operation in (SHUTDOWN, RST):
            if operation == SHUTDOWN:
                self.owe(RST)
            self.channel.close()

    def forward(self, data):
        self.channel.setblocking(True)
        self.channel.sendall(data)
        self.forwarded += len(data)
        if self.forwarded - self.told >= BUFFER // 4:
            self.told = self.forwarded
            self.owe(CREDIT_UPDATE)

    def credit(self):
        return self.guest_buffer - ((self.sent - self.guest_forwarded) & 0xffffffff) if self.guest_port is not None else 0

    # vhost-user

    def on_message(self):
        data, fds, _, _ = socket.recv_fds(self.vhost, 12, 16)
        if not data:
            return False
        request, flags, size = struct.unpack("<III", data)
        body = self.vhost.recv(size, socket.MSG_WAITALL) if size else b""
        answer = self.answer(request, body, list(fds))
        if answer is not None:
            self.vhost.sendall(struct.pack("<III", request, 1 | 4, len(answer)) + answer)
        return True

    def answer(self, request, body, fds):
        if request == GET_FEATURES:
            return struct.pack("<Q", VERSION_1 | PROTOCOL_FEATURES)
        if request == GET_PROTOCOL_FEATURES:
            return struct.pack("<Q", PROTOCOL_CONFIG)
        if request == GET_CONFIG:
            offset, size, flags = struct.unpack("<III", body[:12])
            return body[:12] + struct.pack("<Q", self.cid).ljust(size, b"\0")[offset:offset + size]
        if request == SET_MEM_TABLE:
            (n,) = struct.unpack("<I", body[:4])
            self.regions = []
            for i, fd in enumerate(fds[:n]):
                physical, size, address, offset = struct.unpack("<QQQQ", body[8 + 32 * i:40 + 32 * i])
                self.regions.append((physical, address, size, offset, mmap.mmap(fd, size + offset)))
                os.close(fd)
        elif request == GET_VRING_BASE:
            ring = self.rings[body[0]]
            ring.kick = None
            return struct.pack("<II", body[0], ring.seen)
        elif request in (SET_VRING_KICK, SET_VRING_CALL):
            setattr(self.rings[body[0]], "kick" if request == SET_VRING_KICK else "call", fds[0] if not body[1] else None)
        elif request == SET_VRING_ADDR:
            index, _, desc, used, avail, _ = struct.unpack("<IIQQQQ", body)
            ring = self.rings[index]
            ring.desc, ring.used, ring.avail = desc, used, avail
        elif request in (SET_VRING_NUM, SET_VRING_BASE):
            index, value = struct.unpack("<II", body)
            setattr(self.rings[index], "size" if request == SET_VRING_NUM else "seen", value)
        return None

    def turn(self):
        """Move what can be moved; is the guest out of buffers?"""
        while chain := self.take(self.rings[1]):
            head, readable, _ = chain
            data = b"".join(readable)
            self.give_back(self.rings[1], head, 0)
            self.on_packet(data)
        while self.owed:
            if not self.deliver(self.owed[0]):
                return True
            self.owed.popleft()
        return False

    def send(self):
        """Bytes of the channel for the guest; one read, as many packets as it takes."""
        try:
            data = self.channel.recv(min(CHUNK, self.credit()), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            self.owe(SHUTDOWN, 3)
            self.guest_port = None
            return
        self.sent += len(data)
        self.owed.append(self.header(RW, self.guest_port, self.cid, len(data)) + data)

    def run(self):
        try:
            while True:
                full = self.turn()
                watched = [self.vhost] + [r.kick for r in self.rings if r.kick is not None]
                if not full and self.credit() > 0 and self.channel.fileno() >= 0:
                    watched.append(self.channel)
                ready, _, _ = select.select(watched, [], [])
                for ring in self.rings:
                    if ring.kick in ready:
                        os.read(ring.kick, 8)
                if self.channel in ready:
                    self.send()
                if self.vhost in ready and not self.on_message():
                    return
        except (OSError, BrokenPipeError):
            pass  # QEMU or the test has ended
        finally:
            self.channel.close()
            self.vhost.close()
