"""devdep-broker by itself: the test is devdep-job."""
import ctypes
import fcntl
import json
import os
import subprocess
import threading

import sanitizer
import yamux
from fake_guest import BUILD, USER

F_ADD_SEALS, ALL_SEALS = 1033, 0xF


def sealed(text, seals=ALL_SEALS):
    import fcntl
    fd = os.memfd_create("policy", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Broker:
    """A broker with a policy, in the world's host (or in the test's own network)."""

    def __init__(self, world=None, profile="brokered", allow=(), policy=None, seals=ALL_SEALS):
        self.next_id, self.records, self.changed = 1, [], threading.Condition()
        ours, theirs = yamux.socket_pair()
        policy = sealed(json.dumps({"profile": profile, "allow": list(allow)}) if policy is None else policy, seals)
        argv = ["env", "-i", f"{BUILD}/devdep-broker"] + ([f"--uid={USER}", f"--gid={USER}"] if os.geteuid() == 0 else [])

        def give():
            # Whatever numbers these have: first out of the way.
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 600) for fd in (theirs.fileno(), policy)]
            os.dup2(high[0], 3, inheritable=True)
            os.dup2(high[1], 4, inheritable=True)
            os.closerange(5, 700)
            ctypes.CDLL(None).prctl(1, 9)
        self.process = subprocess.Popen(world.on_host(argv) if world else argv, preexec_fn=give, close_fds=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        os.close(policy)
        theirs.close()
        self.sock = ours
        self.session = yamux.Session(ours)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def end(self):
        """The exit status after devdep-job went away, and what it said."""
        self.sock.shutdown(2)
        err = self.process.communicate(timeout=60)[1]
        sanitizer.assert_silent(err)
        return self.process.returncode, err

    @property
    def pid(self):
        return self.process.pid

    def read_records(self):
        stream = self.session.open()
        stream.write(yamux.fields(op="records"))
        stream.close()
        assert dict(yamux.read_fields(stream))["status"] == b"ok"

        def read():
            try:
                while True:
                    record = {key: value.decode() for key, value in yamux.read_fields(stream, 3600)}
                    with self.changed:
                        self.records.append(record)
                        self.changed.notify_all()
            except (yamux.Closed, TimeoutError, ConnectionError):
                pass
        threading.Thread(target=read, daemon=True).start()
        return self

    def record(self, number, timeout=60):
        """The record of connection `number`, once it is there."""
        def found():
            return next((r for r in self.records if r["id"] == str(number)), None)
        with self.changed:
            assert self.changed.wait_for(found, timeout), f"no record {number} in {self.records}"
            return found()

    def ask(self, first=b"", **request):
        """A stream with its request and perhaps first bytes sent: (stream, id)."""
        number, self.next_id = self.next_id, self.next_id + 1
        stream = self.session.open()
        stream.write(yamux.fields(**{"op": "connect", "id": number, **request}) + first)
        return stream, number

    def connect(self, first=b"", **request):
        """(stream, id), connected; Refused else."""
        stream, number = self.ask(first, **request)
        answer = dict(yamux.read_fields(stream))
        if answer["status"] != b"ok":
            stream.close()
            raise Refused(answer["code"].decode(), answer["message"].decode())
        stream.address = answer["address"].decode()
        return stream, number
