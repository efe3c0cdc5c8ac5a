"""The network as a guest's job sees it, on real QEMU guests: the test is the host."""
import pathlib
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.guest_harness import Guest  # noqa: E402
from lib.outside import Outside, echo  # noqa: E402

SPEAK = 'exec 3<>/dev/tcp/{}/{}; echo hi >&3; head -1 <&3'


@pytest.fixture(scope="module")
def machine():
    with Guest() as g:
        yield g.boot()


@pytest.fixture
def guest(machine):
    machine.outside = Outside(machine.session, ["good.test"], {("good.test", 7000): echo, ("11.1.2.3", 5000): echo, ("2a0f::9", 5000): echo})
    return machine


def bash(guest, script, **more):
    return guest.exec("bash", "-c", script, **more)


def test_every_name_gets_an_address_of_the_kind_that_the_host_says(guest):
    out = guest.sh("getent ahostsv4 good.test | head -1; getent ahostsv6 good.test | head -1; getent ahostsv4 bad.test | head -1; "
                   "getent ahostsv6 bad.test | head -1; getent hosts a.localhost | head -1").out.decode().split("\n")
    assert [line.split()[0].rsplit(".", 2)[0].rsplit("::", 1)[0] for line in out[:4]] == ["198.18", "fd64:6576:6465:7000", "198.19", "fd64:6576:6465:7001"], out
    assert out[4].startswith("::1")
    asked = [e["name"] for e in guest.outside.events if e["kind"] == "lookup"]
    assert sorted(asked) == ["bad.test", "good.test"]  # once for both families, and never again
    assert guest.sh("cat /etc/resolv.conf").out == b"nameserver 198.18.0.1\n"


def test_a_connection_to_a_name_becomes_a_stream_whatever_its_port(guest):
    result = bash(guest, SPEAK.format("good.test", 7000))
    assert result.out == b"hi\n", result
    (connect,) = [c for c in guest.outside.connects if c["port"] == "7000"]
    assert connect["name"] == "good.test" and "address" not in connect


def test_a_refused_connection_is_reset_and_its_process_is_told(guest):
    result = bash(guest, SPEAK.format("good.test", 81))
    assert b"reset by peer" in result.err + result.out, result
    connect = guest.outside.wait(guest.outside.connects, lambda c: c["port"] == "81")
    event = guest.outside.wait(guest.outside.events, lambda e: e["kind"] == "process" and e["connection"] == connect["connection"])
    assert event["process"] in ("bash", "head") and int(event["pid"]) > 1


def test_an_address_is_carried_once_it_is_listed_at_its_port_alone(guest):
    for address, route in (("11.1.2.3", "11.1.2.0/24 5000"), ("2a0f::9", "2a0f::/16 5000")):
        assert b"refused" in bash(guest, SPEAK.format(address, 5000)).err
        event = guest.outside.wait(guest.outside.events, lambda e: e.get("address") == address)
        assert (event["kind"], event["protocol"], event["port"], event["process"]) == ("packet", "tcp", "5000", "bash")
        assert guest.call("route", ("to", route))["status"] == b"ok"
        assert bash(guest, SPEAK.format(address, 5000)).out == b"hi\n"
        assert b"refused" in bash(guest, SPEAK.format(address, 5001)).err


@pytest.mark.parametrize("route", ["11.1.2.0/24", "11.1.2.3/24 5000", "x 5000", "11.1.2.0/24 65536", "11.1.2.0/24 5000 1", ""])
def test_a_route_out_of_form_is_refused(guest, route):
    assert guest.call("route", ("to", route))["code"] == b"invalid"


def test_audit_carries_every_address_but_those_of_the_machine(machine):
    """Of a guest of its own: rules stay."""
    with Guest() as guest:
        guest.boot()
        guest.outside = Outside(guest.session, [], {("8.8.8.8", 5000): echo, ("2a00::1", 5000): echo})
        assert guest.call("route", ("to", "0.0.0.0/0 0"), ("to", "::/0 0"))["status"] == b"ok"
        assert bash(guest, SPEAK.format("8.8.8.8", 5000)).out == b"hi\n"
        assert bash(guest, SPEAK.format("2a00::1", 5000)).out == b"hi\n"
        own = "import socket, threading; s = socket.create_server(('', 5000)); t = threading.Thread(target=lambda: s.accept()[0].sendall(b'own')); t.start(); "
        assert guest.exec("python3", "-c", own + "print(socket.create_connection(('127.0.0.1', 5000)).recv(3))").out == b"b'own'\n"
        assert {c["address"] for c in guest.outside.connects} == {"8.8.8.8", "2a00::1"}


def test_the_streams_of_a_reset_and_of_a_half_close_are_told_apart(guest):
    ends = []

    def end(stream):
        try:
            stream.write(b"y")
            ends.append(stream.read_all())
            stream.close()
        except Exception as e:
            ends.append(type(e).__name__)
    guest.outside.servers[("good.test", 7003)] = end
    guest.exec("python3", "-c", "import socket, struct; s = socket.create_connection(('good.test', 7003)); s.sendall(b'x'); s.shutdown(1); "
               "s.makefile('rb').read()")
    guest.exec("python3", "-c", "import socket, struct; s = socket.create_connection(('good.test', 7003)); s.sendall(b'x'); s.recv(1); "
               "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()")
    with guest.outside.changed:
        guest.outside.changed.wait_for(lambda: len(ends) == 2, 20)
    assert ends == [b"x", "Closed"], ends


def test_a_slow_reader_that_ended_its_own_side_first_gets_every_byte(guest):
    """The host ends its side, too, while bytes of it still wait for the program: they stay."""
    sent = []

    def flood(stream):
        assert stream.read_all() == b"x"
        sent.append(stream.write_until_full())
        stream.close()
        with guest.outside.changed:
            sent.append("all")
            guest.outside.changed.notify_all()
    guest.outside.servers[("good.test", 7005)] = flood

    def tell(stream):
        with guest.outside.changed:
            guest.outside.changed.wait_for(lambda: "all" in sent, 60)
        stream.write(b"y")
        stream.close()
    guest.outside.servers[("good.test", 7006)] = tell
    result = guest.exec("python3", "-c", "import socket; s = socket.create_connection(('good.test', 7005)); s.sendall(b'x'); s.shutdown(1); "
                        "t = socket.create_connection(('good.test', 7006)); t.recv(1); t.recv(1); print(sum(len(d) for d in iter(lambda: s.recv(65536), b'')))")
    assert int(result.out) == sent[0], (result, sent)


def test_more_connections_than_the_host_takes_wait_for_their_turn(guest):
    """200 at once: 128 are open, the rest follows as these end. Nothing is lost."""
    release, gate = threading.Event(), threading.Semaphore(0)

    def slow(stream):
        gate.release()
        release.wait(60)
        stream.write(b"done")
        stream.close()
    guest.outside.servers[("good.test", 7004)] = slow
    process = guest.start(["python3", "-c", "import socket; a = [socket.create_connection(('good.test', 7004)) for _ in range(200)]; print('all', flush=True); "
                           "print(sum(s.recv(4) == b'done' and not s.close() for s in a))"])
    for _ in range(128):
        assert gate.acquire(timeout=60)
    process.until(b"all")
    assert not gate.acquire(blocking=False)
    release.set()
    assert process.finish().out.split() == [b"all", b"200"]


def test_a_flood_of_datagrams_is_counted_and_does_not_stop_the_agent(guest):
    guest.exec("python3", "-c", "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range(3000):\n"
               "  try: s.sendto(b'x', ('9.9.9.9', 1 + i % 60000))\n  except OSError: pass")
    assert guest.sh("echo still-$((1+1))").out == b"still-2\n"
    bash(guest, SPEAK.format("9.9.9.8", 99))
    packets = [e for e in guest.outside.events if e["kind"] == "packet"]
    assert sum(1 + int(e.get("missed", 0)) for e in packets) > len(packets) > 0 and len(packets) < 1500


def test_a_parked_guest_neither_asks_nor_connects(machine):
    with Guest() as guest:
        guest.boot()
        guest.outside = Outside(guest.session, ["good.test"], {("good.test", 7000): echo})
        process = guest.start(["getent", "hosts", "good.test"])
        process.finish()
        process.stream.close()
        seen = len(guest.outside.events)
        assert guest.call(op="park")["status"] == b"ok"
        assert guest.call(**guest.seed_fields())["status"] == b"ok"
        assert len(guest.outside.events) == seen
        assert bash(guest, SPEAK.format("good.test", 7000)).out == b"hi\n"
