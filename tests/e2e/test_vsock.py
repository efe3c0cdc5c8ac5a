"""The host's side of vsock on a kernel that has it: the test program of src/vm/vsock.c runs as root in a guest with vhost_vsock and vsock_loopback."""

import io
import os
import re
import subprocess
import sys
import tarfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from lib import yamux  # noqa: E402
from lib.guest_harness import BUILD, Guest, module_order  # noqa: E402

PROGRAM = os.path.join(BUILD, "tests/unit/vm/test_vm_vsock")
WANTED = ["vhost_vsock", "vsock_loopback"]


def with_libraries(program, modules):
    """A tar stream with the program, its loader and its libraries, and the modules, in one folder."""
    files = {"program": program, **{os.path.basename(m): m for m in modules}}
    for line in subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines():
        if path := re.search(r"(/\S+) \(0x", line):
            files[os.path.basename(path.group(1))] = path.group(1)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", dereference=True) as tar:
        for name, path in files.items():
            tar.add(os.path.realpath(path), name)
    return out.getvalue()


def test_ids_ports_and_peers_are_those_of_a_real_kernel():
    modules = module_order(WANTED)
    if missing := set(WANTED) - {os.path.basename(m)[:-3] for m in modules}:
        pytest.skip(f"the guest's kernel lacks {missing}")
    with Guest() as guest:
        guest.boot()
        stream, answer = guest.request("put", path="/opt/vsock", user="0")
        assert answer["status"] == b"ok", answer
        stream.write(with_libraries(PROGRAM, modules))
        stream.close()
        assert dict(yamux.read_fields(stream))["status"] == b"ok"
        script = r"""set -e
            for module in $MODULES; do insmod "/opt/vsock/$module"; done
            mknod /dev/vhost-vsock c 10 "$(sed -n 's/ vhost-vsock//p' /proc/misc)"
            exec /opt/vsock/ld-linux-x86-64.so.2 --library-path /opt/vsock /opt/vsock/program 2>&1"""
        result = guest.sh(script, user="0", env={"MODULES": " ".join(map(os.path.basename, modules))})
        text = result.out.decode()
        assert (result.kind, result.code) == ("exited", 0), result
        for name in ["each_reservation_has_its_own_id_and_port", "the_kernels_addresses_are_read_as_the_tests_are"]:
            assert re.search(rf"^\[       OK \] {name}$", text, re.M), text
