"""devdep-broker and the outside: the test is devdep-job, the servers are in a network namespace of the test."""
import json
import os
import socket
import ssl
import threading
import warnings

import pytest

import brokers
import runs
import world as worlds
from brokers import Broker, Refused
from world import HOST, NOBODY, PRIVATE, SERVERS, SERVERS6

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(worlds.missing() is not None, reason=str(worlds.missing()))]
ECHO, TLS, HTTP = 7000, 443, 80


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


@pytest.fixture(scope="module")
def world():
    with worlds.World() as w:
        w.authority = worlds.Authority(w.folder)
        certificate, key = w.authority.issue("tls.example.test", "other.example.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def tls(sock):
            with context.wrap_socket(sock, server_side=True) as s:
                s.sendall(b"hello " + s.recv(100))
        for address in (SERVERS[0], SERVERS6[0], PRIVATE):
            w.serve(address, ECHO, echo)
            w.serve(address, TLS, tls)
            w.serve(address, HTTP, echo)
        w.serve("127.0.0.1", ECHO, echo, namespace=w.host)
        w.serve(HOST, ECHO, echo, namespace=w.host)
        w.names.table.update({
            "echo.example.test": [SERVERS[0]], "six.example.test": [SERVERS6[0]], "tls.example.test": [SERVERS[0]],
            "nobody.example.test": [NOBODY], "closed.example.test": [SERVERS[1]], "private.example.test": [PRIVATE],
            "empty.example.test": [], "own.example.test": [HOST], "mixed.example.test": ["127.0.0.1", SERVERS[0]]})
        yield w


@pytest.fixture
def broker(world):
    with Broker(world, allow=["*.example.test:7000", "*.example.test", "*.example.test:80", "11.1.0.2/32:7000",
                              "[2a0f:ffff::]/64:7000"]) as b:
        yield b.read_records()


def talk(stream, data=b"ping"):
    stream.write(data)
    return stream.read_exact(len(data))


def test_a_listed_name_is_resolved_dialled_and_recorded(broker):
    stream, number = broker.connect(name="echo.example.test", port=ECHO)
    assert stream.address == SERVERS[0]
    assert talk(stream) == b"ping"
    stream.close()
    assert stream.read_all() == b""
    record = broker.record(number)
    assert (record["verdict"], record["name"], record["address"], record["port"], record["sent"], record["received"]) == (
        "allowed", "echo.example.test", SERVERS[0], str(ECHO), "4", "4")
    assert "weak" not in record


def test_ipv6_and_literal_addresses_are_reached(broker):
    for request in ({"name": "six.example.test"}, {"address": SERVERS[0]}, {"address": SERVERS6[0]}):
        stream, number = broker.connect(port=ECHO, **request)
        assert talk(stream) == b"ping"
        stream.abort()
        assert broker.record(number)["verdict"] == "allowed"


@pytest.mark.parametrize("request_", [
    {"name": "echo.example.org", "port": ECHO}, {"name": "example.test", "port": ECHO}, {"name": "echo.example.test", "port": 7001},
    {"name": "xexample.test", "port": ECHO}, {"address": SERVERS[0], "port": 7001}, {"address": SERVERS[1], "port": ECHO},
    {"address": "127.0.0.1", "port": ECHO}])
def test_what_is_not_listed_is_denied(broker, request_):
    with pytest.raises(Refused) as refused:
        broker.connect(**request_)
    assert refused.value.code == "denied"
    assert broker.record(1)["verdict"] == "denied"


def test_a_private_address_is_reached_only_where_its_prefix_is_named(world):
    with Broker(world, allow=["private.example.test:7000"]) as broker:
        with pytest.raises(Refused, match="10.99.0.2 is a private address"):
            broker.read_records().connect(name="private.example.test", port=ECHO)
        assert broker.record(1)["address"] == PRIVATE
    with Broker(world, allow=["private.example.test:7000", "10.99.0.0/24:7000"]) as broker:
        stream, _ = broker.connect(name="private.example.test", port=ECHO)
        assert talk(stream) == b"ping"
    with Broker(world, profile="audit") as broker:
        with pytest.raises(Refused, match="private"):
            broker.connect(name="private.example.test", port=ECHO)


def test_an_address_of_this_host_is_refused_unless_its_prefix_is_named(world, broker):
    with pytest.raises(Refused, match=f"{HOST} is an address of this host"):
        broker.connect(name="own.example.test", port=ECHO)
    with Broker(world, allow=["own.example.test:7000", f"{HOST}/32:7000"]) as other:
        assert talk(other.connect(name="own.example.test", port=ECHO)[0]) == b"ping"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1",
                                     "::1", "0.0.0.0", "fe80::1", "fd00:ec2::254", "100.100.100.200", "::ffff:11.1.0.2"])
def test_a_name_that_resolves_to_a_special_address_is_denied(world, broker, address):
    world.names.table["special.example.test"] = [address]
    with pytest.raises(Refused) as refused:
        broker.connect(name="special.example.test", port=ECHO)
    assert refused.value.code == "denied" and " is a" in refused.value.message


def test_of_a_mixed_answer_only_what_may_be_dialled_is_dialled(broker):
    stream, _ = broker.connect(name="mixed.example.test", port=ECHO)
    assert stream.address == SERVERS[0]


def test_the_address_that_was_checked_is_the_one_that_is_dialled(world, broker):
    """The first answer is good; whoever asks again gets the host's own loopback, where somebody listens, too."""
    answers = iter([[SERVERS[0]]])
    world.names.table["rebind.example.test"] = lambda kind: next(answers, ["127.0.0.1"]) if kind == worlds.A else []
    stream, number = broker.connect(name="rebind.example.test", port=ECHO)
    assert stream.address == SERVERS[0] and talk(stream) == b"ping"
    assert world.names.asked.count(("rebind.example.test", worlds.A)) == 1
    with pytest.raises(Refused, match="127.0.0.1 is a loopback address"):
        broker.connect(name="rebind.example.test", port=ECHO)


# ---- the operator's mirrors ----

def with_mirrors(world, profile="sealed", allow=(), **servers):
    policy = {"profile": profile, "allow": list(allow), "mirrors": [{"name": name, "server": server} for name, server in servers.items()]}
    return Broker(world, policy=json.dumps(policy))


@pytest.mark.parametrize("profile", ["sealed", "brokered", "audit"])
def test_a_mirror_is_reached_by_its_name_in_every_profile(world, profile):
    """At a private address, and whatever is sent: no byte is looked at."""
    with with_mirrors(world, profile, named="http://private.example.test:7000", written=f"{PRIVATE}:7000", six=f"[{SERVERS6[0]}]:7000") as broker:
        broker.read_records()
        for name, address in (("named", PRIVATE), ("written", PRIVATE), ("six", SERVERS6[0])):
            stream, number = broker.connect(name=f"{name}.devdep.internal", port=80)
            assert stream.address == address and talk(stream, b"\x16\x03\x01\x00\x05hello") == b"\x16\x03\x01\x00\x05hello"
            stream.close()
            stream.read_all()
            record = broker.record(number)
            assert (record["verdict"], record["name"], record["port"], record["address"], record["sent"], record["received"]) == (
                "allowed", f"{name}.devdep.internal", "80", address, "10", "10")
            assert "weak" not in record


def test_nothing_but_the_mirrors_is_reached_with_the_profile_sealed(world):
    with with_mirrors(world, allow=["echo.example.test:7000", f"{PRIVATE}/32:7000"], npm="private.example.test:7000") as broker:
        for request in ({"name": "echo.example.test", "port": ECHO}, {"name": "private.example.test", "port": ECHO},
                        {"address": PRIVATE, "port": ECHO}, {"address": SERVERS[0], "port": ECHO}):
            with pytest.raises(Refused) as refused:
                broker.connect(**request)
            assert refused.value.code == "denied"


@pytest.mark.parametrize("profile", ["sealed", "brokered", "audit"])
def test_other_names_and_ports_below_the_hosts_domain_are_unreachable_and_never_looked_up(world, profile):
    """Not even where an entry lists them, and a name server has them."""
    world.names.table.update({f"{name}.devdep.internal": [SERVERS[0]] for name in ("other", "a.npm", "npm")})
    world.names.asked.clear()
    allow = ["*.devdep.internal:80", "*.devdep.internal:7000", "npm.devdep.internal:7000"]
    with with_mirrors(world, profile, allow=allow, npm="private.example.test:7000") as broker:
        for name, port in (("other.devdep.internal", 80), ("a.npm.devdep.internal", 80), ("npm.devdep.internal", ECHO), ("npm.devdep.internal", 443),
                           ("results.devdep.internal", 80)):
            with pytest.raises(Refused) as refused:
                broker.connect(name=name, port=port)
            assert refused.value.code == "unreachable", name
    assert world.names.asked == []


@pytest.mark.parametrize("name", ["NPM.DevDep.Internal", "npm.devdep.internal.", "Npm.devdep.internal."])
def test_a_mirrors_name_is_the_same_in_every_spelling(world, name):
    with with_mirrors(world, npm="private.example.test:7000") as broker:
        stream, number = broker.read_records().connect(name=name, port=80)
        assert talk(stream) == b"ping"
        stream.abort()
        assert broker.record(number)["name"] == "npm.devdep.internal"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0", "::ffff:10.99.0.2",
                                     "64:ff9b::a63:2", "2002:a63:2::1", HOST])
def test_a_mirror_whose_name_leads_elsewhere_is_unreachable_and_no_violation(world, address):
    """Whoever answers for that name must not lead guests to metadata, or back into this host, where somebody listens."""
    world.names.table["astray.example.test"] = [address]
    with with_mirrors(world, npm="astray.example.test:7000") as broker:
        with pytest.raises(Refused, match=" is an? ") as refused:
            broker.read_records().connect(name="npm.devdep.internal", port=80)
        record = broker.record(1)
        assert refused.value.code == record["verdict"] == "unreachable" and record["address"] == address and "entry" not in record


def test_a_mirror_on_this_host_is_reached_where_its_address_is_written(world):
    with with_mirrors(world, loop="127.0.0.1:7000", own=f"{HOST}:7000") as broker:
        for name in ("loop", "own"):
            assert talk(broker.connect(name=f"{name}.devdep.internal", port=80)[0]) == b"ping"


def test_the_address_of_a_mirror_that_was_checked_is_the_one_that_is_dialled(world):
    answers = iter([[PRIVATE]])
    world.names.table["rebind.example.test"] = lambda kind: next(answers, ["127.0.0.1"]) if kind == worlds.A else []
    world.names.asked.clear()
    with with_mirrors(world, npm="rebind.example.test:7000") as broker:
        stream, _ = broker.connect(name="npm.devdep.internal", port=80)
        assert stream.address == PRIVATE and talk(stream) == b"ping"
        assert world.names.asked.count(("rebind.example.test", worlds.A)) == 1
        with pytest.raises(Refused, match="127.0.0.1 is a loopback address"):
            broker.connect(name="npm.devdep.internal", port=80)


@pytest.mark.parametrize("server", ["nobody.example.test:7000", "closed.example.test:7000", "unknown.example.test:7000", "empty.example.test:7000", f"{NOBODY}:7000"])
def test_a_mirror_that_is_away_is_told_at_once(world, server):
    with with_mirrors(world, npm=server) as broker:
        with pytest.raises(Refused) as refused:
            broker.read_records().connect(name="npm.devdep.internal", port=80)
        assert refused.value.code == "unreachable" and broker.record(1)["verdict"] == "unreachable"


def test_connections_to_a_mirror_count_as_any_others(world):
    with with_mirrors(world, npm=f"{PRIVATE}:7000") as broker:
        held = [broker.connect(name="npm.devdep.internal", port=80)[0] for _ in range(128)]
        with pytest.raises(Refused, match="too many connections at once") as refused:
            broker.connect(name="npm.devdep.internal", port=80)
        assert refused.value.code == "limited"
        assert talk(held[0]) == b"ping"


SECURE = 8443


def with_tls(world, server, authorities=None, authority=0):
    policy = {"profile": "sealed", "mirrors": [{"name": "npm", "server": server, "authority": authority}],
              "authorities": [world.authority.bundle.read_text()] if authorities is None else authorities}
    return Broker(world, policy=json.dumps(policy))


@pytest.fixture(scope="module")
def secured(world):
    """A server that says in clear what it was asked for in TLS: its certificate is of mirror.example.test and of its address."""
    certificate, key = world.authority.issue("mirror.example.test", "*.wild.example.test", f"IP:{PRIVATE}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked = []
    context.sni_callback = lambda sock, name, ctx: asked.append(name)

    def echo_tls(sock):
        with context.wrap_socket(sock, server_side=True) as s:
            while data := s.recv(65536):
                s.sendall(data)
            s.unwrap()
    world.serve(PRIVATE, SECURE, echo_tls)
    world.names.table.update({f"{name}.example.test": [PRIVATE] for name in ("mirror", "a.wild", "wrong")})
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(certificate, key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1

    def echo_old(sock):
        with old.wrap_socket(sock, server_side=True):
            pass

    def cut_off(sock):
        with context.wrap_socket(sock, server_side=True) as s:
            s.sendall(b"half of it")
            s.recv(100)
            with socket.socket(fileno=s.detach()):
                pass
    def more_than_a_window(sock):
        with context.wrap_socket(sock, server_side=True) as s:
            assert s.recv(2) == b"go"
            s.sendall(b"a" * 100)
            for _ in range(16):
                s.sendall(b"b" * 16384)  # one record
            s.recv(1)
            s.unwrap()
    world.serve(PRIVATE, SECURE + 4, more_than_a_window)
    world.serve(PRIVATE, SECURE + 1, echo_old)
    world.serve(PRIVATE, SECURE + 2, cut_off)
    world.serve(PRIVATE, SECURE + 3, lambda sock: sock.recv(1 << 20) and sock.recv(1))  # says nothing
    return asked


@pytest.mark.parametrize("host, name", [("mirror.example.test", "mirror.example.test"), ("a.wild.example.test", "a.wild.example.test"), (PRIVATE, None)])
def test_a_mirror_of_https_is_spoken_to_in_tls_by_the_host(world, secured, host, name):
    """The guest speaks in clear; half a megabyte comes back whole, and is counted as what the guest sent and got."""
    secured.clear()
    data = bytes(range(256)) * 2048
    with with_tls(world, f"https://{host}:{SECURE}") as broker:
        stream, number = broker.read_records().connect(name="npm.devdep.internal", port=80)
        assert stream.address == PRIVATE and talk(stream, b"GET / HTTP/1.1\r\n") == b"GET / HTTP/1.1\r\n"
        sender = threading.Thread(target=lambda: (stream.write(data), stream.close()))
        sender.start()
        assert stream.read_exact(len(data)) == data and stream.read_all() == b""
        sender.join()
        record = broker.record(number)
        assert (record["verdict"], int(record["sent"]), int(record["received"])) == ("allowed", len(data) + 16, len(data) + 16)
    assert secured == [name]


def test_first_bytes_that_come_with_the_request_wait_for_the_handshake(world, secured):
    with with_tls(world, f"https://mirror.example.test:{SECURE}") as broker:
        stream, _ = broker.connect(b"early", name="npm.devdep.internal", port=80)
        assert stream.read_exact(5) == b"early"


def test_a_mirror_that_does_not_prove_who_it_is_is_unreachable_and_gets_no_byte(world, secured, folder):
    other = worlds.Authority(folder)
    bundle = world.authority.bundle.read_text()
    for server, roots, authority, reason in (
            (f"https://wrong.example.test:{SECURE}", None, 0, "hostname mismatch"),
            (f"https://{SERVERS[0]}:{TLS}", None, 0, "IP address mismatch"),
            (f"https://mirror.example.test:{SECURE}", [other.bundle.read_text()], 0, "unable to get local issuer certificate"),
            (f"https://mirror.example.test:{SECURE}", [other.bundle.read_text(), bundle], 0, "unable to get local issuer certificate"),
            (f"https://mirror.example.test:{SECURE}", [], 0, "no certificates of an authority"),
            (f"https://mirror.example.test:{SECURE}", [bundle], 1, "no certificates of an authority"),
            (f"https://mirror.example.test:{SECURE + 1}", None, 0, "does not speak TLS as it should"),
            (f"https://private.example.test:{ECHO}", None, 0, "does not speak TLS as it should"),
            (f"https://mirror.example.test:{SECURE + 3}", None, 0, "did not begin in time")):
        with with_tls(world, server, roots, authority) as broker:
            with pytest.raises(Refused, match=reason) as refused:
                broker.read_records().connect(b"secret of the guest", name="npm.devdep.internal", port=80)
            record = broker.record(1)
            assert refused.value.code == record["verdict"] == "unreachable" and record["sent"] == "0", (server, record)
    with with_tls(world, f"https://mirror.example.test:{SECURE}", [other.bundle.read_text(), other.bundle.read_text() + bundle], 1) as broker:
        assert talk(broker.connect(name="npm.devdep.internal", port=80)[0]) == b"ping"


def test_a_mirror_that_is_cut_off_within_tls_is_no_end_of_file(world, secured):
    with with_tls(world, f"https://mirror.example.test:{SECURE + 2}") as broker:
        stream, number = broker.read_records().connect(name="npm.devdep.internal", port=80)
        assert stream.read_exact(10) == b"half of it"
        stream.write(b"x")
        with pytest.raises(brokers.yamux.Closed):
            stream.read_all()
        assert broker.record(number)["reason"]


def test_a_connection_to_a_mirror_that_is_given_up_in_its_handshake_is_abandoned(world, secured):
    with with_tls(world, f"https://mirror.example.test:{SECURE + 3}") as broker:
        stream, number = broker.read_records().ask(name="npm.devdep.internal", port=80)
        stream.abort()
        assert broker.record(number)["verdict"] == "abandoned"


def test_a_guest_that_does_not_read_what_comes_in_tls_loses_nothing(world, secured):
    """The window is full in the midst of the server's last record: what TLS has taken from the socket already comes when there is room."""
    with with_tls(world, f"https://mirror.example.test:{SECURE + 4}") as broker:
        stream, _ = broker.connect(b"go", name="npm.devdep.internal", port=80)
        stream.fill()
        assert stream.read_exact(100) == b"a" * 100 and stream.read_exact(16 * 16384) == b"b" * 16 * 16384
        stream.close()
        assert stream.read_all() == b""


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_no_certificate_is_refused_at_the_start(world, text):
    with with_tls(world, "https://mirror.example.test", [text]) as broker:
        status, err = broker.end()
        assert status == 2 and "egress.authorities[0]: expected certificates in PEM" in err, err


def test_a_policy_whose_mirrors_are_out_of_form_is_refused(world):
    with with_mirrors(world, npm="169.254.169.254:80") as broker:
        status, err = broker.end()
        assert status == 2 and "egress.mirrors[0]: 169.254.169.254 is a metadata address" in err


@pytest.mark.parametrize("name", ["nobody", "closed", "unknown", "empty"])
def test_a_name_that_cannot_be_reached_is_told_at_once(broker, name):
    with pytest.raises(Refused) as refused:
        broker.connect(name=f"{name}.example.test", port=ECHO)
    assert refused.value.code == "unreachable"
    assert broker.record(1)["verdict"] == "unreachable"


def test_of_many_addresses_thirty_two_are_tried(world, broker):
    for n in (32, 33):
        world.names.table[f"many-{n}.example.test"] = [SERVERS[1]] * 20 + [SERVERS6[1]] * (n - 21) + [SERVERS6[0]]
    assert talk(broker.connect(name="many-32.example.test", port=ECHO)[0]) == b"ping"
    with pytest.raises(Refused, match="unreachable: Connection refused"):
        broker.connect(name="many-33.example.test", port=ECHO)


def test_records_have_one_reader(broker):
    stream = broker.session.open()
    stream.write(brokers.yamux.fields(op="records"))
    assert dict(brokers.yamux.read_fields(stream))["code"] == b"busy"
    stream.close()
    number = broker.connect(name="echo.example.test", port=ECHO)[1]
    broker.session.streams[max(broker.session.streams)].close()
    assert broker.record(number)["verdict"] == "allowed"


@pytest.mark.parametrize("request_", [{"name": "a" * 254, "port": 1}, {"name": "1.2.3.4", "port": 1}, {"name": "0x7f.1", "port": 1},
                                      {"name": "a..b", "port": 1}, {"name": "bücher.example", "port": 1}, {"name": "", "port": 1},
                                      {"address": "0177.0.0.1", "port": 1}, {"address": "2130706433", "port": 1}, {"port": 1},
                                      {"name": "a.b", "address": "1.2.3.4", "port": 1}, {"name": "a.b", "port": 0}, {"name": "a.b", "port": 65536}])
def test_a_request_out_of_form_is_refused(broker, request_):
    with pytest.raises(Refused) as refused:
        broker.connect(**request_)
    assert refused.value.code == "invalid"


# ---- the first bytes ----

def client_hello(name, **more):
    """What a real TLS client sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


class OverStream:
    """A TLS client on a stream of the broker."""

    def __init__(self, world, stream, name):
        context = ssl.create_default_context(cafile=world.authority.bundle)
        self.stream, self.incoming, self.outgoing = stream, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.until(self.tls.do_handshake)

    def until(self, call, *args):
        while True:
            try:
                result = call(*args)
                self.stream.write(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self.stream.write(self.outgoing.read())
                self.incoming.write(self.stream.read(65536))


def test_tls_that_asks_for_the_name_goes_through(world, broker):
    stream, number = broker.connect(name="tls.example.test", port=TLS)
    client = OverStream(world, stream, "tls.example.test")
    client.until(client.tls.write, b"world")
    assert client.until(client.tls.read, 100) == b"hello world"


def denied_after(broker, stream, number):
    with pytest.raises(Exception):
        stream.read_exact(1)
    record = broker.record(number)
    assert record["verdict"] == "denied" and record["sent"] == "0", record
    return record["reason"]


@pytest.mark.parametrize("asked,reason", [("other.example.test", "its TLS asks for other.example.test"), (None, "its TLS names no host")])
def test_tls_that_asks_for_another_name_is_cut_off_before_a_byte_goes_out(broker, asked, reason):
    stream, number = broker.connect(name="tls.example.test", port=TLS)
    stream.write(client_hello(asked))
    assert denied_after(broker, stream, number) == reason


def test_a_client_hello_in_pieces_is_put_together(broker):
    hello = client_hello("other.example.test")
    stream, number = broker.connect(name="tls.example.test", port=ECHO)
    for i in range(0, len(hello), 100):
        stream.write(hello[i:i + 100])
    assert "other.example.test" in denied_after(broker, stream, number)


@pytest.fixture(scope="module")
def retrying(world):
    """A TLS server that asks every client for a second ClientHello: the names that it was asked for."""
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*world.authority.issue("retry.example.test", "other.example.test"))
    context.set_ecdh_curve("secp384r1")
    context.sni_callback = lambda sock, name, context: asked.append(name)

    def serve(sock):
        with context.wrap_socket(sock, server_side=True) as s:
            s.sendall(b"hello " + s.recv(100))
    world.serve(SERVERS[2], TLS, serve)
    world.names.table["retry.example.test"] = [SERVERS[2]]
    return asked


def test_a_second_client_hello_that_the_server_asks_for_goes_through(world, broker, retrying):
    stream, number = broker.connect(name="retry.example.test", port=TLS)
    client = OverStream(world, stream, "retry.example.test")
    client.until(client.tls.write, b"world")
    assert client.until(client.tls.read, 100) == b"hello world"
    assert retrying == ["retry.example.test"] * 2


def test_a_second_client_hello_that_asks_for_another_name_does_not_go_out(world, broker, retrying):
    """The first one says the listed name, the second another, which a server would go by. Sent when the server asks for it, in pieces, and
    before it can have asked, behind early data or a heartbeat, which a server may pass over."""
    names = [b"retry.example.test", b"other.example.test"]
    context = ssl.create_default_context(cafile=world.authority.bundle)
    for pieces, early in ((1 << 20, b""), (7, b""), (1 << 20, b"\x17\x03\x03\x00\x05early"), (1 << 20, b"\x18\x03\x03\x00\x13" + bytes(19))):
        retrying.clear()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="other.example.test")
        stream, number = broker.connect(name="retry.example.test", port=TLS)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        first = outgoing.read()
        changed = first.replace(*reversed(names))
        if early:
            stream.write(changed + early + first)
        else:
            stream.write(changed)
            incoming.write(stream.read(65536))
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            second = outgoing.read()
            for i in range(0, len(second), pieces):
                stream.write(second[i:i + pieces])
        with pytest.raises(brokers.yamux.Closed):
            while True:
                stream.read_exact(1)
        record = broker.record(number)
        assert (record["verdict"], record["reason"]) == ("denied", "the second ClientHello of its TLS asks for other.example.test")
        assert retrying == ["retry.example.test"]


def test_a_record_version_that_servers_do_not_look_at_hides_no_name(broker):
    hello = client_hello("other.example.test")
    stream, number = broker.connect(name="tls.example.test", port=ECHO)
    stream.write(hello[:2] + b"\x07" + hello[3:])
    assert "other.example.test" in denied_after(broker, stream, number)


def test_a_client_hello_that_does_not_come_within_a_second_is_cut_off(broker):
    stream, number = broker.connect(name="tls.example.test", port=TLS)
    stream.write(client_hello("tls.example.test")[:50])
    assert "within 1000 ms" in denied_after(broker, stream, number)


@pytest.mark.parametrize("first", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", b"\x80\x2e\x01\x03\x01"])
def test_what_is_no_tls_does_not_go_to_port_443(broker, first):
    with pytest.raises(Refused, match="what was sent to port 443 is no TLS"):
        broker.connect(first=first, name="tls.example.test", port=TLS)
    stream, number = broker.connect(name="tls.example.test", port=TLS)
    stream.write(first)
    assert denied_after(broker, stream, number) == "what was sent to port 443 is no TLS"


def test_a_plain_http_entry_is_marked_weak(broker):
    stream, number = broker.connect(first=b"GET / HTTP/1.1\r\n\r\n", name="echo.example.test", port=HTTP)
    assert stream.read_exact(3) == b"GET"
    stream.abort()
    assert broker.record(number)["weak"] == "1"


def test_a_server_that_speaks_first_is_heard(world, broker):
    world.serve(SERVERS[2], ECHO, lambda sock: (sock.sendall(b"SSH-2.0-x\r\n"), echo(sock)))
    world.names.table["first.example.test"] = [SERVERS[2]]
    stream, _ = broker.connect(name="first.example.test", port=ECHO)
    assert stream.read_exact(11) == b"SSH-2.0-x\r\n"
    assert talk(stream) == b"ping"


def test_audit_lets_every_public_name_and_address_through_and_notes_what_tls_asked_for(world):
    with Broker(world, profile="audit") as broker:
        stream, number = broker.read_records().connect(name="tls.example.test", port=TLS)
        stream.write(client_hello("other.example.test"))
        assert stream.read_exact(1) == b"\x16"
        stream.abort()
        record = broker.record(number)
        assert (record["verdict"], record["reason"]) == ("allowed", "its TLS asks for other.example.test")
        assert talk(broker.connect(address=SERVERS[0], port=ECHO)[0]) == b"ping"


# ---- its place ----

def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


@pytest.mark.as_used
def test_its_row_of_the_architecture_holds(world, broker):
    broker.connect(name="echo.example.test", port=ECHO)
    s = status(broker.pid)
    assert s["Uid"].split() == [str(brokers.USER)] * 4 and s["Groups"].split() in ([], [str(brokers.USER)])
    assert all(int(s[k], 16) == 0 for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")) and s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"
    for kind, same in (("net", True), ("mnt", False), ("ipc", False), ("uts", False), ("user", False)):
        of_host = os.stat(f"/run/netns/{world.host}").st_ino if kind == "net" else os.stat(f"/proc/self/ns/{kind}").st_ino
        assert (os.stat(f"/proc/{broker.pid}/ns/{kind}").st_ino == of_host) == same, kind
    assert os.listdir(f"/proc/{broker.pid}/root") == []
    links = {os.readlink(f"/proc/{broker.pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{broker.pid}/fd")}
    assert links <= {"socket", "pipe", "anon_inode", "/dev/null"}, links
    with open(f"/proc/{broker.pid}/environ") as f:
        assert f.read() == ""


def test_a_policy_that_is_not_sealed_or_not_one_is_refused(world):
    for policy, part in (("{", "egress policy"), ('{"profile": "open"}', "egress.profile"), ('{"allow": ["*"]}', "egress.allow[0]")):
        with Broker(world, policy=policy) as broker:
            code, said = broker.end()
            assert code == 2 and part in said
    with Broker(world, seals=6) as broker:  # against its size alone
        assert broker.end()[0] == 2


def test_it_ends_with_devdep_job(world):
    with Broker(world) as broker:
        assert broker.end() == (0, "")


# ---- hostile ----

def peak(pid):
    return int(status(pid)["VmHWM"].split()[0]) << 10


LIMIT, BOUND = 128, 64 << 20


def test_connections_at_once_are_limited_and_come_back(world, broker):
    streams = [broker.connect(name="echo.example.test", port=ECHO)[0] for _ in range(LIMIT)]
    with pytest.raises(Refused, match="too many connections at once"):
        broker.connect(name="echo.example.test", port=ECHO)
    assert broker.record(LIMIT + 1)["verdict"] == "limited"
    assert talk(streams[-1]) == b"ping"
    streams[0].close()
    assert streams[0].read_all() == b"" and broker.record(1)
    assert talk(broker.connect(name="echo.example.test", port=ECHO)[0]) == b"ping"


def test_new_connections_a_second_are_limited(world, broker):
    """Of a flood of requests a burst is taken up, and no name is asked for more often."""
    world.names.asked.clear()
    codes = []
    for _ in range(1000):
        try:
            broker.connect(name="unknown.example.test", port=ECHO)
        except Refused as refused:
            codes.append((refused.code, refused.message))
    assert ("limited", "too many new connections a second") in codes and codes[0][0] == "unreachable"
    assert len(world.names.asked) <= 2 * (1000 - codes.count(("limited", "too many new connections a second")))


@pytest.mark.as_used
def test_a_hundred_thousand_requests_leave_it_small_and_at_work(world, broker):
    """Sent by the thousand without waiting for an answer; most are reset or refused, some are connected and given up. Who reads nothing for
    longer is cut off."""
    good, _ = broker.connect(name="echo.example.test", port=ECHO)
    header = [brokers.yamux.fields(op="connect", id=i, name="echo.example.test", port=ECHO) for i in (7, 8)]
    for i in range(100000):
        stream = broker.session.open()
        stream.write(header[i % 2])
        stream.abort()
        broker.session.streams.pop(stream.id)
        if i % 1000 == 0:
            assert talk(good) == b"ping"
    assert talk(good) == b"ping"
    assert peak(broker.pid) < BOUND


def test_a_guest_that_never_reads_stops_its_own_connections_alone(world, broker):
    def flood(sock):
        while True:
            sock.sendall(bytes(1 << 20))
    world.serve(SERVERS[1], 7100, flood)
    world.names.table["flood.example.test"] = [SERVERS[1]]
    with Broker(world, allow=["flood.example.test:7100", "echo.example.test:7000"]) as other:
        silent = [other.connect(name="flood.example.test", port=7100)[0] for _ in range(40)]
        for stream in silent:
            stream.fill()
        assert talk(other.connect(name="echo.example.test", port=ECHO)[0]) == b"ping"
        assert peak(other.pid) < BOUND


def test_a_server_that_never_reads_stops_the_sender(world, broker):
    release = threading.Event()
    world.serve(SERVERS[1], 7101, lambda sock: release.wait(60))
    world.names.table["deaf.example.test"] = [SERVERS[1]]
    with Broker(world, allow=["deaf.example.test:7101"]) as other:
        streams = [other.connect(name="deaf.example.test", port=7101)[0] for _ in range(20)]
        for stream in streams:
            with pytest.raises(TimeoutError):
                while True:
                    stream.write(bytes(1 << 16), timeout=1)
        assert peak(other.pid) < BOUND
        release.set()


@pytest.mark.parametrize("size", [4000, 1 << 20])
def test_a_name_of_a_megabyte_does_not_get_in(world, broker, size):
    """Up to a header's limit it is refused; past it devdep-job broke the protocol, and the broker ends."""
    if size < 4096:
        with pytest.raises(Refused) as refused:
            broker.connect(name="a" * size, port=1)
        assert refused.value.code == "invalid"
        return
    with pytest.raises((brokers.yamux.Closed, ConnectionError)):
        broker.connect(name="a" * size, port=1)
    broker.process.wait(60)
    assert broker.process.returncode == 47


def test_records_that_nobody_takes_stop_new_connections(world):
    with Broker(world, allow=["unknown.example.test:7000"]) as broker:
        said = []
        for _ in range(257):
            with pytest.raises(Refused) as refused:
                broker.connect(name="unknown.example.test", port=ECHO)
            said.append(refused.value.message)
        assert "records" in said[256] and "records" not in said[255]


def test_who_never_takes_a_record_is_cut_off_before_they_fill_the_memory(world):
    """Requests that are denied cost nothing but their record."""
    with Broker(world, allow=["echo.example.test:7000"]) as broker:
        with pytest.raises((brokers.yamux.Closed, ConnectionError)):
            for _ in range(100000):
                with pytest.raises(Refused, match="not listed"):
                    broker.connect(name="other.example.test", port=ECHO)
        code, said = broker.end()
        assert code == 47 and "nobody takes them" in said


def test_a_violation_at_a_limit_is_denied(world, broker):
    streams = [broker.connect(name="echo.example.test", port=ECHO)[0] for _ in range(LIMIT)]
    with pytest.raises(Refused, match="denied: not listed"):
        broker.connect(name="echo.example.org", port=ECHO)
    assert broker.record(LIMIT + 1)["verdict"] == "denied" and talk(streams[-1]) == b"ping"


def test_bytes_of_both_sides_arrive_whole_and_are_counted(world, broker):
    data = os.urandom(1 << 20) * 8
    stream, number = broker.connect(name="echo.example.test", port=ECHO)
    threading.Thread(target=lambda: (stream.write(data), stream.close()), daemon=True).start()
    assert stream.read_all() == data
    record = broker.record(number)
    assert record["sent"] == record["received"] == str(len(data))


def test_a_connection_that_the_server_resets_is_reset(world, broker):
    import struct
    world.serve(SERVERS[1], 7102, lambda sock: (sock.recv(1), sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))))
    world.names.table["resets.example.test"] = [SERVERS[1]]
    with Broker(world, allow=["resets.example.test:7102"]) as other:
        stream, number = other.read_records().connect(name="resets.example.test", port=7102)
        stream.write(b"x")
        with pytest.raises(brokers.yamux.Closed):
            stream.read_exact(1)
        assert other.record(number)["reason"] == "Connection reset by peer"


def test_what_is_sent_arrives_whole_at_a_slow_server_that_ended_its_own_side_first(world):
    ready, taken = threading.Event(), []

    def slow(sock):
        sock.shutdown(socket.SHUT_WR)
        ready.wait(60)
        while data := sock.recv(65536):
            taken.append(len(data))
        taken.append(0)
    world.serve(SERVERS[1], 7103, slow)
    world.names.table["slow.example.test"] = [SERVERS[1]]
    with Broker(world, allow=["slow.example.test:7103"]) as other:
        stream, number = other.read_records().connect(name="slow.example.test", port=7103)
        assert stream.read_all() == b""
        total = stream.write_until_full()
        stream.close()
        ready.set()
        record = other.record(number)
        assert (record["verdict"], record["sent"]) == ("allowed", str(total))
        runs.wait_until(lambda: taken[-1:] == [0], "the end of what was sent")
        assert sum(taken) == total


def test_a_connection_that_is_given_up_is_reset_at_the_server(world):
    """An upload that was cut off must not look like one that ended: the guest resets it, or the broker dies."""
    seen = []

    def take(sock):
        try:
            while data := sock.recv(100):
                seen.append(data)
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")
    world.serve(SERVERS[1], 7104, take)
    world.names.table["takes.example.test"] = [SERVERS[1]]
    with Broker(world, allow=["takes.example.test:7104"]) as other:
        for give_up in (brokers.yamux.Stream.abort, lambda stream: other.process.kill()):
            seen.clear()
            stream, _ = other.connect(name="takes.example.test", port=7104)
            stream.write(b"half a message")
            runs.wait_until(lambda: seen, "half a message")
            give_up(stream)
            runs.wait_until(lambda: seen[1:], "the end of the connection")
            assert seen == [b"half a message", "reset"]
