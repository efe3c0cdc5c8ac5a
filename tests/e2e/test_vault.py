"""devdep-secrets and Vault: recorded exchanges, played back strictly over TLS in a piece of internet of the test's own."""
import json
import ssl
import threading
import time

import pytest

import world as worlds
from secrets_service import TIMEOUT, Service, order, secret
from vault_replay import Exchange, Replay
from vault_scene import FOREVER, TOKEN, Scene, signed_in
from world import SERVERS, Authority, World

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(worlds.missing() is not None, reason=str(worlds.missing()))]
ADDRESS = "https://vault.test:8200"
JWT = Exchange("37-jwt-login-ok").body.split('"jwt":"')[1].split('"')[0]
RECORDED = {"jwt": JWT, "jwt-token": "s.GdPH8wRzgtiA3XSxgcXTfaj6", "approle-token": "s.yDpZkEaxRTJn78YJioRLTmO1",
            "role_id": "93422640-b99c-adeb-b5c8-73b58ad658b5", "secret_id": "e5f309a5-76d3-ad3c-bad7-99713b161fa3",
            "wrapped": "s.lQgU8y8XM42y8cz0SOMpEjHN", "unwrapped": "94f3536a-7c3e-210f-ca54-df9424cdabef"}


@pytest.fixture(scope="module")
def scene():
    with World() as world:
        yield Scene(world)


DB = secret("PASSWORD", "secret/ci/db#pass")


# ---- KV version 2 ----

def test_keys_of_one_path_are_read_with_one_request(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(DB, secret("USER_NAME", "secret/ci/db#user")) as s:
            assert s.ask() == {"PASSWORD": "p1", "USER_NAME": "u"}
            assert len(vault.asked("GET", "/v1/secret/data/ci/db")) == 1


def test_a_version_is_asked_for_by_its_number(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("07-kv2-read-v1", token=TOKEN)
        with scene.service(secret("PASSWORD", "secret/ci/db#pass", version=1)) as s:
            assert s.ask() == {"PASSWORD": "p1"}


@pytest.mark.parametrize("value, text", [(12, "12"), (True, "true"), (False, "false"), ("", ""), ("line 1\nline 2\n", "line 1\nline 2\n"),
                                         ("\u00e4\U0001f600", "\u00e4\U0001f600")])
def test_what_a_key_may_hold(scene, value, text):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", "/v1/kv/data/a%20b/c", 200, {"data": {"data": {"k": value}, "metadata": {"version": 1}}}, token=TOKEN)
        with scene.service(secret("A", "kv/a b/c#k")) as s:
            assert s.ask() == {"A": text}


@pytest.mark.parametrize("value", [None, {"a": 1}, [1], 1.5])
def test_a_key_that_is_no_text_is_refused(scene, value):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", "/v1/kv/data/a", 200, {"data": {"data": {"k": value}, "metadata": {"version": 1}}}, token=TOKEN)
        with scene.service(secret("A", "kv/a#k")) as s:
            assert "its key k is no text" in s.ask()


def refused(scene, names, part, reference="secret/ci/db#pass", version=0, tries=1, token=TOKEN):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play(*names, token=token)
        with scene.service(secret("PASSWORD", reference, version, where="devdep.yaml:12:9")) as s:
            message = s.ask()
            assert message.startswith("devdep.yaml:12:9: secret PASSWORD: ") and part in message, message
            assert len([r for r in vault.asked() if "/data/" in r[1] or "secret/ci/db" in r[1]]) == tries
            assert s.end()[0] == 0


def test_what_was_deleted_or_destroyed_or_never_was_is_told_apart(scene):
    refused(scene, ["12-kv2-read-deleted"], "version 2 of it was deleted at 2026-11-22T02:00:38.951674327Z")
    refused(scene, ["15-kv2-read-destroyed"], "version 1 of it was destroyed", version=1)
    refused(scene, ["16-kv2-missing"], "no such secret or version", reference="secret/nope#x")


def test_a_key_that_is_missing_is_named(scene):
    refused(scene, ["04-kv2-read"], "it has no key token", reference="secret/ci/db#token")


def test_a_mount_of_another_kind_is_told(scene):
    with scene.replay() as vault:
        signed_in(vault)
        recorded = Exchange("19-kv2-wrong-path")
        vault.answer("GET", "/v1/secret/data/ci/db", recorded.status, recorded.answer, token=TOKEN)
        with scene.service(DB) as s:
            assert "that mount is no KV version 2" in s.ask()


def test_denied_and_bad_tokens_are_not_asked_for_again(scene):
    with scene.replay() as vault:
        vault.answer("GET", "/v1/auth/token/lookup-self", 403, {"errors": ["permission denied"]}, token="s.bogus")
        vault.play("18-kv2-bad-token")
        with scene.service(DB, given={"token": "s.bogus"}) as s:
            assert "secret/data/ci/db: permission denied" in s.ask()
            assert len(vault.asked()) == 2
    refused(scene, ["61-use-revoked"], "permission denied")


def test_references_that_a_url_would_read_otherwise_reach_nobody(scene):
    with scene.replay() as vault:
        signed_in(vault)
        for reference in ("secret/../sys/seal#x", "secret/%2e%2e/sys#x", "secret/ci?version=1#x", "secret/ci#x#y", "secret/ci\nX-A: b#x",
                          "secret/./ci#x", "secret//ci#x"):
            with scene.service(secret("A", reference)) as s:
                assert "reference '" in s.ask()
        assert {r[1] for r in vault.asked()} == {"/v1/auth/token/lookup-self"}


# ---- signing in ----

def test_an_identity_token_signs_in_and_its_token_is_revoked_at_the_end(scene):
    ours = {RECORDED["jwt-token"]: TOKEN, JWT: "eyJ.test.jwt"}
    with scene.replay(**ours) as vault:
        vault.play("37-jwt-login-ok", "60-revoke-self")
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(DB, auth="jwt", mount="jwt", role="ci", given={"jwt": "eyJ.test.jwt"}) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            assert s.release() == (1, [])
            assert vault.asked()[-1][:2] == ("POST", "/v1/auth/token/revoke-self")
            assert s.end()[0] == 0


@pytest.mark.parametrize("name", ["38-jwt-login-badaud", "39-jwt-login-badiss", "40-jwt-login-badclaim", "41-jwt-login-expired",
                                  "42-jwt-login-noexp", "43-jwt-login-algnone", "44-jwt-login-hs256", "45-jwt-login-norole"])
def test_an_identity_token_that_is_refused_is_told_as_the_server_tells_it(scene, name):
    recorded = Exchange(name)
    body, reason = json.loads(recorded.body), json.loads(recorded.answer)["errors"][0]
    with scene.replay() as vault:
        vault.play(name)
        with scene.service(DB, auth="jwt", mount="jwt", role=body["role"], given={"jwt": body["jwt"]}) as s:
            message = s.ask()
            assert f"auth/jwt/login: the server answers 400: {reason}" in message and body["jwt"] not in message
            assert len(vault.asked()) == 1
            assert s.end()[0] == 0


APPROLE = dict(auth="approle", mount="approle", role="ci")


def test_approle_signs_in_with_a_secret_id(scene):
    with scene.replay(**{RECORDED["approle-token"]: TOKEN}) as vault:
        vault.play("29-approle-login", "60-revoke-self", token=TOKEN)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(DB, **APPROLE, given={"role_id": RECORDED["role_id"], "secret_id": RECORDED["secret_id"]}) as s:
            assert s.ask() == {"PASSWORD": "p1"} and s.release() == (1, [])


def test_a_wrapped_secret_id_is_looked_at_before_it_is_unwrapped(scene):
    with scene.replay(**{RECORDED["approle-token"]: TOKEN, RECORDED["secret_id"]: RECORDED["unwrapped"]}) as vault:
        vault.play("26-wrapping-lookup", "27-unwrap", "29-approle-login")
        vault.play("04-kv2-read", "60-revoke-self", token=TOKEN)
        with scene.service(DB, **APPROLE, given={"role_id": RECORDED["role_id"], "wrapped_secret_id": RECORDED["wrapped"]}) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            assert [r[1] for r in vault.asked()][:3] == ["/v1/sys/wrapping/lookup", "/v1/sys/wrapping/unwrap", "/v1/auth/approle/login"]


@pytest.mark.parametrize("path", ["auth/approle/role/evil/secret-id", "auth/other/role/ci/secret-id", "cubbyhole/response",
                                  "x-auth/approle/role/ci/secret-id"])
def test_a_wrapping_that_somebody_else_made_is_never_unwrapped(scene, path):
    with scene.replay() as vault:
        vault.play("26-wrapping-lookup", **{"auth/approle/role/ci/secret-id": path})
        with scene.service(DB, **APPROLE, given={"role_id": "r", "wrapped_secret_id": RECORDED["wrapped"]}) as s:
            assert "it may be a stranger's" in s.ask()
            assert [r[1] for r in vault.asked()] == ["/v1/sys/wrapping/lookup"]


def test_a_second_unwrapping_means_that_somebody_else_read_it(scene):
    with scene.replay() as vault:
        vault.play("26-wrapping-lookup", "28-unwrap-again")
        with scene.service(DB, **APPROLE, given={"role_id": "r", "wrapped_secret_id": RECORDED["wrapped"]}) as s:
            assert "somebody else has unwrapped it" in s.ask()
            assert len(vault.asked("POST", "/v1/sys/wrapping/unwrap")) == 1


def test_what_a_credential_file_lacks_is_named(scene):
    with scene.replay():
        for vault, given, part in ((dict(auth="jwt", mount="jwt", role="ci"), {"token": "x"}, "has no 'jwt'"),
                                   (dict(), {"jwt": "x"}, "has no 'token'"),
                                   (APPROLE, {"role_id": "x"}, "has no 'secret_id'"),
                                   (dict(), {"token": "a b"}, "X-Vault-Token: a character that no header may have"),
                                   (dict(), {"token": "a\r\nX-Evil: b"}, "X-Vault-Token: a character that no header may have")):
            with scene.service(DB, given=given, **vault) as s:
                assert part in s.ask()


def test_a_namespace_is_in_every_request(scene):
    """From the published description; the recorded server had none."""
    with scene.replay(**{RECORDED["jwt-token"]: TOKEN}) as vault:
        vault.play("37-jwt-login-ok", "60-revoke-self")
        vault.play("04-kv2-read", token=TOKEN)
        vault.require(x_vault_namespace="team/web")
        with scene.service(DB, auth="jwt", mount="jwt", role="ci", namespace="team/web", given={"jwt": JWT}) as s:
            assert s.ask() == {"PASSWORD": "p1"} and s.release() == (1, [])


# ---- faults ----

KV = "/v1/secret/data/ci/db"
GOOD = Exchange("04-kv2-read").answer


def after(failures, *answers):
    """The failures one after another, then the recorded answer for good."""
    left = list(failures)
    return lambda: left.pop(0) if left else (200, GOOD)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 412, 473])
def test_a_server_that_recovers_is_asked_again(scene, status):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, after([(status, json.dumps({"errors": ["try later"]}))] * 3), token=TOKEN)
        with scene.service(DB) as s:
            assert s.ask() == {"PASSWORD": "p1"} and len(vault.asked("GET", KV)) == 4


@pytest.mark.parametrize("status, part", [(429, "the server answers 429: too fast"), (500, "the server answers 500: too fast")])
def test_a_server_that_does_not_recover_is_given_up(scene, status, part):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, status, {"errors": ["too fast"]}, token=TOKEN)
        with scene.service(DB) as s:
            message = s.ask()
            assert "at the last try" in message and part in message and len(vault.asked("GET", KV)) == 4


def test_a_sealed_server_is_told_at_once(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("63-sealed-read", token=TOKEN)
        with scene.service(DB) as s:
            assert "the server is sealed" in s.ask() and len(vault.asked("GET", KV)) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(scene, status):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, status, token=TOKEN, headers={"Location": f"https://vault.test:{scene.port}/v1/elsewhere"})
        with scene.service(DB) as s:
            assert f"the server redirects ({status}), which is not followed" in s.ask()
            assert not vault.asked(path="/v1/elsewhere")


@pytest.mark.as_used
@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(1 << 40)}, {"Connection": "close"}])
def test_a_huge_answer_is_cut_off_and_memory_stays_bounded(scene, headers):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, b"{" + b" " * (64 << 20), token=TOKEN, headers=headers)
        with scene.service(DB, wrap=("/usr/bin/prlimit", f"--data={32 << 20}")) as s:
            assert "sends more than 4096 KiB" in s.ask()


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])  # with its length, and without
@pytest.mark.parametrize("extra, taken", [(0, True), (1, False)])
def test_an_answer_has_a_largest_size(scene, extra, taken, headers):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, GOOD.ljust((4 << 20) + extra), token=TOKEN, headers=headers)
        with scene.service(DB) as s:
            assert (s.ask() == {"PASSWORD": "p1"}) == taken


@pytest.mark.parametrize("lines, taken", [(15, True), (16, False)])
def test_the_head_of_an_answer_has_a_largest_size(scene, lines, taken):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, GOOD, token=TOKEN, headers={f"X-Pad-{i:02}": "x" * (4096 - len("X-Pad-00: \r\n")) for i in range(lines)})
        with scene.service(DB) as s:
            answer = s.ask()
            assert (answer == {"PASSWORD": "p1"}) == taken
            assert taken or "sends more than" in answer


@pytest.mark.parametrize("extra, taken", [(0, True), (1, False)])
def test_a_token_has_a_longest_length(scene, extra, taken):
    token = "t" * (8192 + extra)
    with scene.replay() as vault:
        vault.answer("GET", "/v1/auth/token/lookup-self", 200, FOREVER, token=token)
        vault.play("04-kv2-read", token=token)
        with scene.service(DB, given={"token": token}) as s:
            answer = s.ask()
            assert (answer == {"PASSWORD": "p1"}) == taken
            assert taken or "expected text of 1 to 8192 bytes" in answer


@pytest.mark.parametrize("length, taken", [(0, False), (8192, True), (8193, False)])
def test_a_token_that_the_server_gives_has_a_longest_length(scene, length, taken):
    recorded, token = Exchange("37-jwt-login-ok"), "t" * length
    with scene.replay() as vault:
        vault.answer("POST", recorded.path, 200, recorded.answer.replace(RECORDED["jwt-token"], token), body=json.loads(recorded.body))
        vault.play("04-kv2-read", "60-revoke-self", token=token)
        with scene.service(DB, **JWT_LOGIN) as s:
            answer = s.ask()
            assert answer == {"PASSWORD": "p1"} if taken else "gives no token of 1 to 8192 bytes" in answer


def test_a_slow_server_is_given_up_and_asked_again_where_that_is_no_other_request(scene):
    done = threading.Event()
    first = [lambda: done.wait(TIMEOUT)]

    def slow_once():
        if first:
            first.pop()()
        return 200, GOOD
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, slow_once, token=TOKEN)
        vault.answer("GET", "/v1/database/creds/app", 200, lambda: (done.wait(TIMEOUT), (200, "{}"))[1], token=TOKEN)
        with scene.service(DB, secret("LENT", "database/creds/app#password")) as s:
            message = s.ask()
            assert "secret LENT: vault.test: " in message and "timed out" in message.lower()
            assert len(vault.asked("GET", KV)) == 2 and len(vault.asked("GET", "/v1/database/creds/app")) == 1
        done.set()


@pytest.mark.parametrize("body, part", [("{", "the answer:"), ("[1]", "expected data.data"), ('{"data":{"data":{"pass":"x"}}}', "expected data.data"),
                                        ('{"data":{"data":{"pass":"x"},"metadata":{"version":0}}}', "expected data.data"),
                                        ('{"a":' + "[" * 1000, "nested deeper"), ('{"data":1,"data":2}', "duplicate"),
                                        ('{"data":{"data":{"pass":"a\\u0000b"},"metadata":{"version":1}}}', "the answer:")])
def test_an_answer_that_is_none_is_refused(scene, body, part):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", KV, 200, body, token=TOKEN)
        with scene.service(DB) as s:
            assert part in s.ask()


def test_a_connection_that_breaks_is_tried_again_where_that_is_no_other_request(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.drop("GET", KV)
        vault.drop("GET", "/v1/database/creds/app")
        with scene.service(DB) as s:
            assert "at the last try" in s.ask() and len(vault.asked("GET", KV)) == 4
        with scene.service(secret("A", "database/creds/app#password")) as s:
            assert "devdep.yaml:7:3: secret A: vault.test: " in s.ask()
            assert len(vault.asked("GET", "/v1/database/creds/app")) == 1


def test_a_server_that_is_down_is_told_after_the_tries(scene):
    with scene.service(DB, address=f"https://vault.test:{scene.port + 1000}") as s:
        began = time.monotonic()
        assert "at the last try: vault.test: " in s.ask()
        assert time.monotonic() - began < 30
        assert s.end()[0] == 0


def test_a_certificate_that_nobody_vouches_for_ends_it_at_once(scene):
    other = Authority(scene.world.folder / "other") if (scene.world.folder / "other").mkdir(exist_ok=True) is None else None
    for certificate, ca in ((other.issue("vault.test"), scene.ca), (scene.authority.issue("other.test"), scene.ca), (scene.certificate, "")):
        with scene.replay(certificate) as vault:
            with scene.service(DB, ca=ca) as s:
                assert "vault.test: SSL" in s.ask()
            assert not vault.asked()


def test_an_old_tls_is_refused(scene, tmp_path):
    """Where OpenSSL itself would take it."""
    lax = tmp_path / "openssl.cnf"
    lax.write_text("openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = lax\n"
                   "[lax]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n")
    with scene.replay() as vault:
        context = vault.server.socket.context
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with scene.service(DB, wrap=(f"OPENSSL_CONF={lax}",)) as s:
            assert "vault.test: " in s.ask()
        assert not vault.asked()


def test_a_reason_that_repeats_a_credential_is_left_out(scene):
    with scene.replay() as vault:
        vault.answer("GET", KV, 400, {"errors": [f"no such thing for {TOKEN}"]}, token=TOKEN)
        signed_in(vault)
        with scene.service(DB) as s:
            said = s.ask()
            assert "the server answers 400: its reason repeats what it was sent" in said and TOKEN not in said


# ---- addresses ----

@pytest.mark.parametrize("addresses, part", [
    (["169.254.169.254"], "169.254.169.254, a metadata address"),
    (["fd00:ec2::254"], "fd00:ec2::254, a metadata address"),
    (["169.254.1.1"], "169.254.1.1, a link-local address"),
    (["10.99.0.2"], "10.99.0.2, a private address, which no allowed network has"),
    (["127.0.0.1"], "127.0.0.1, a loopback address, which no allowed network has"),
    (["::ffff:10.99.0.2"], "::ffff:10.99.0.2, an IPv4-mapped address"),
    ([SERVERS[0], "169.254.169.254"], "169.254.169.254, a metadata address"),
])
def test_an_address_that_must_not_be_dialled_is_refused_before_a_byte_is_sent(scene, addresses, part):
    scene.world.names.table["evil.test"] = addresses
    with scene.replay() as vault:
        with scene.service(DB, address=f"https://evil.test:{scene.port}") as s:
            message = s.ask()
            assert f"evil.test is at {part}" in message and "try" not in message
        assert not vault.requests


def test_a_private_network_is_reached_where_it_is_allowed_and_a_metadata_address_never(scene):
    listener = scene.world.socket(worlds.PRIVATE, 8200)
    scene.world.names.table["inside.test"] = [worlds.PRIVATE]
    with Replay(listener, scene.authority.issue("inside.test")) as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        made = order(DB, address="https://inside.test:8200", ca=scene.ca, networks=["10.99.0.0/16"])
        with Service(made, scene.world, token=TOKEN) as s:
            assert s.ask() == {"PASSWORD": "p1"}
    for network, address in (("169.254.0.0/16", "169.254.169.254"), ("fd00::/8", "fd00:ec2::254"), ("fe80::/10", "fe80::1"), ("0.0.0.0/0", "169.254.1.1")):
        scene.world.names.table["evil.test"] = [address]
        with Service(order(DB, address="https://evil.test:8200", networks=[network]), scene.world, token=TOKEN) as s:
            assert f"evil.test is at {address}, " in s.ask()


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "0x7f.1", "1.2.3", "vault.test.0x1"])
def test_what_some_program_reads_as_an_address_is_no_name(scene, host):
    with scene.service(DB, address=f"https://{host}:8200") as s:
        assert "the server's address" in s.ask()


@pytest.mark.parametrize("address, part", [
    ("http://vault.test:8200", "expected https://"), ("https://user:pw@vault.test", "no user"), ("https://vault.test/?a=b", "no user, query"),
    ("https://vault.test/#a", "no user, query"), ("file:///etc/passwd", "expected https://"), ("https://vault.test:99999", "expected https://"),
    ("https://", "expected https://"), ("https://vault.test:0", "port"), ("https://[fe80::1%25eth0]", "zone"),
    ("https://127.0.0.1:1", "127.0.0.1, a loopback address"), ("https://[::1]:1", "::1, a loopback address"),
    ("https://169.254.169.254", "a metadata address"), ("https://va\u00fclt.test", "the server's address"),
])
def test_addresses_are_https_and_nothing_else(scene, address, part):
    with scene.service(DB, address=address) as s:
        message = s.ask()
        assert part in message or (part == "zone" and "the server's address" in message), message


def test_a_name_that_changes_its_address_between_two_requests_is_looked_at_each_time(scene):
    answers = [[SERVERS[0]]]
    scene.world.names.table["rebinding.test"] = lambda kind: answers[0]
    with scene.replay(scene.authority.issue("rebinding.test")) as vault:
        def moved():
            answers[0] = ["169.254.169.254"]
            return 429, json.dumps({"errors": ["again"]})
        signed_in(vault)
        vault.answer("GET", KV, 200, moved, token=TOKEN)
        with scene.service(DB, address=f"https://rebinding.test:{scene.port}") as s:
            assert "169.254.169.254, a metadata address" in s.ask()
        assert len(vault.asked("GET", KV)) == 1


def test_a_name_that_nobody_knows_is_told(scene):
    with scene.service(DB, address="https://unknown.test:8200") as s:
        assert "unknown.test: " in s.ask()


# ---- versions ----

METADATA = "/v1/secret/metadata/ci/db"
AUTOMATIC = secret("PASSWORD", "secret/ci/db#pass", rotate=True)


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def ask_places(s):
    """The answer to `a` with places: name: (value, version, at)."""
    s.say("a")
    word, pairs = s.hear()
    assert word == "values", (word, pairs)
    rows = [dict(pairs[i:i + 4]) for i in range(0, len(pairs), 4)]
    return {r["secret"]: (s.read(int(r["at"]), int(r["len"])), r["version"], int(r["at"])) for r in rows}


def newest(vault, answer="04-kv2-read", **changes):
    """The server has another version of the recorded document."""
    vault.play("10-kv2-metadata", token=TOKEN)
    vault.play(answer, token=TOKEN, **{'"pass":"p1"': '"pass":"p2"', '"version":1': '"version":2', **changes})


def test_a_newer_version_is_told_once_and_the_old_value_goes_when_it_was_taken(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(AUTOMATIC, secret("USER_NAME", "secret/ci/db#user")) as s:
            given = ask_places(s)
            assert given["PASSWORD"][:2] == ("p1", "1") and given["USER_NAME"][:2] == ("u", "1")
            newest(vault)
            s.say("r")
            word, pairs = s.hear()
            assert word == "changed" and s.taken(pairs) == {"PASSWORD": ("p2", "2")}
            assert s.read(given["PASSWORD"][2], 2) == "p1"
            s.say("t")
            assert s.hear() == ("rotated", [("count", "1")])
            assert s.read(given["PASSWORD"][2], 2) == "\0\0"
            s.say("r")
            assert s.hear() == ("rotated", [("count", "0")])
            # By metadata alone: the document was read twice in all.
            assert len(vault.asked("GET", KV)) == 2 and len(vault.asked("GET", METADATA)) == 2
            assert s.release() == (0, [])
            assert s.read(0, 4096) == "\0" * 4096


def test_two_keys_of_one_path_change_together_one_after_another(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(AUTOMATIC, secret("USER_NAME", "secret/ci/db#user", rotate=True)) as s:
            ask_places(s)
            newest(vault, **{'"user":"u"': '"user":"v"'})
            s.say("r")
            assert s.taken(s.hear()[1]) == {"PASSWORD": ("p2", "2")}
            s.say("t")
            assert s.taken(s.hear()[1]) == {"USER_NAME": ("v", "2")}
            s.say("t")
            assert s.hear() == ("rotated", [("count", "2")])
            assert len(vault.asked("GET", KV)) == 2 and len(vault.asked("GET", METADATA)) == 1


def test_a_token_that_may_not_read_metadata_sees_versions_with_the_data(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        vault.answer("GET", METADATA, 403, {"errors": ["permission denied"]}, token=TOKEN)
        with scene.service(AUTOMATIC) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            vault.play("04-kv2-read", token=TOKEN, **{'"pass":"p1"': '"pass":"p2"', '"version":1': '"version":2'})
            s.say("r")
            assert s.taken(s.hear()[1]) == {"PASSWORD": ("p2", "2")}
            s.say("t")
            assert s.hear()[0] == "rotated"
            s.say("r")
            assert s.hear() == ("rotated", [("count", "0")])
            assert len(vault.asked("GET", METADATA)) == 1


def test_a_pinned_version_and_a_manual_secret_stay(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", "07-kv2-read-v1", token=TOKEN)
        with scene.service(DB, secret("PINNED", "secret/ci/db#pass", version=1, rotate=True)) as s:
            assert s.ask() == {"PASSWORD": "p1", "PINNED": "p1"}
            s.say("r")
            assert s.hear() == ("rotated", [("count", "0")])
            assert not vault.asked("GET", METADATA)


def test_a_server_that_is_away_at_a_look_is_noted_and_asked_again_the_next_time(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(AUTOMATIC) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            vault.answer("GET", METADATA, 503, {"errors": ["Vault is sealed"]}, token=TOKEN)
            s.say("r")
            assert s.hear() == ("note", [("message", "devdep.yaml:7:3: secret PASSWORD: the server is sealed")])
            assert s.hear() == ("rotated", [("count", "0")])
            newest(vault)
            s.say("r")
            assert s.taken(s.hear()[1]) == {"PASSWORD": ("p2", "2")}


def test_versions_are_asked_for_by_themselves(scene):
    """Every 30 s, SECRETS_ROTATE_MS: this test takes that long."""
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(AUTOMATIC) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            began = time.monotonic()
            newest(vault)
            word, pairs = s.hear()
            assert word == "changed" and s.taken(pairs) == {"PASSWORD": ("p2", "2")} and time.monotonic() - began > 25


# ---- dynamic credentials ----

LEASE = "database/creds/app/xE4kqFJlvhtFl9uFY4IaqNY5"
CREDS = [secret("DB_USER", "database/creds/app#username"), secret("DB_PASSWORD", "database/creds/app#password")]
JWT_LOGIN = dict(auth="jwt", mount="jwt", role="ci", given={"jwt": JWT})


def lends(vault, seconds=60):
    vault.play("37-jwt-login-ok", "60-revoke-self")
    vault.play("49-db-creds", token=RECORDED["jwt-token"], **{'"lease_duration":60': f'"lease_duration":{seconds}'})
    vault.play("53-lease-revoke", token=RECORDED["jwt-token"])


def test_user_and_password_come_of_one_lease_which_is_revoked_at_the_end(scene):
    with scene.replay() as vault:
        lends(vault)
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            assert s.ask() == {"DB_USER": "v-jwt-repo-app-5QBmfxB64z5Qj1PFAVJR-1795312840", "DB_PASSWORD": "j0SpHgTewWVmh5zQqRV-"}
            assert len(vault.asked("GET", "/v1/database/creds/app")) == 1
            assert s.release() == (2, [])
            assert [r[:2] for r in vault.asked()][-2:] == [("PUT", "/v1/sys/leases/revoke"), ("POST", "/v1/auth/token/revoke-self")]


@pytest.mark.parametrize("lease, taken", [("l" * 255, True), ("l" * 256, False), ("", False), (None, False)])
def test_what_is_lent_without_a_lease_to_give_back_is_refused(scene, lease, taken):
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", "/v1/database/creds/app", 200, {"lease_id": lease, "lease_duration": 60, "renewable": True, "data": {"password": "p"}}, token=TOKEN)
        vault.answer("PUT", "/v1/sys/leases/revoke", 204, token=TOKEN, body={"lease_id": lease})
        with scene.service(CREDS[1]) as s:
            answer = s.ask()
            assert answer == {"DB_PASSWORD": "p"} if taken else "the server lends it without a lease" in answer


def test_a_token_that_was_given_is_not_revoked(scene):
    """It is its owner's: others may use it."""
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        with scene.service(DB) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            assert s.release() == (0, [])
            assert not vault.asked("POST")


def test_a_lease_is_renewed_before_it_ends(scene):
    with scene.replay() as vault:
        lends(vault, 3)
        vault.play("50-lease-renew", token=RECORDED["jwt-token"], **{'"lease_duration":30': '"lease_duration":3'})
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            s.ask()
            wait_for(lambda: len(vault.asked("PUT", "/v1/sys/leases/renew")) >= 2, "two renewals")
            body = json.loads(vault.asked("PUT", "/v1/sys/leases/renew")[0][3])
            assert body == {"lease_id": LEASE, "increment": 3}
            assert s.release() == (2, [])


def test_a_lease_that_the_server_renews_no_longer_is_told_and_replaced_where_rotation_is_automatic(scene):
    with scene.replay() as vault:
        lends(vault, 6)
        # Recorded without an increment, which may be left out.
        vault.answer("PUT", "/v1/sys/leases/renew", 400, Exchange("54-lease-renew-revoked").answer, token=RECORDED["jwt-token"],
                     body={"lease_id": LEASE, "increment": 6})
        both = {LEASE, LEASE.replace("xE4kqFJlvhtFl9uFY4IaqNY5", "second")}
        vault.answer("PUT", "/v1/sys/leases/revoke", 204, token=RECORDED["jwt-token"], body={"lease_id": both})
        with scene.service(secret("DB_PASSWORD", "database/creds/app#password", rotate=True), **JWT_LOGIN) as s:
            assert s.ask() == {"DB_PASSWORD": "j0SpHgTewWVmh5zQqRV-"}
            vault.play("49-db-creds", token=RECORDED["jwt-token"], **{"j0SpHgTewWVmh5zQqRV-": "the-next-password", "xE4kqFJlvhtFl9uFY4IaqNY5": "second"})
            word, pairs = s.hear()
            assert word == "note" and LEASE in pairs[0][1] and "lease not found" in pairs[0][1]
            word, pairs = s.hear()
            assert word == "changed" and s.taken(pairs)["DB_PASSWORD"][0] == "the-next-password"
            s.say("t")
            assert s.release() == (3, [])
            assert {json.loads(r[3])["lease_id"] for r in vault.asked("PUT", "/v1/sys/leases/revoke")} == both


def test_a_token_is_renewed_and_its_end_is_told(scene):
    with scene.replay() as vault:
        vault.play("37-jwt-login-ok", "60-revoke-self", token=RECORDED["jwt-token"], **{})
        recorded = Exchange("37-jwt-login-ok")
        vault.answer("POST", recorded.path, 200, recorded.answer.replace('"lease_duration":300', '"lease_duration":3'), body=json.loads(recorded.body))
        vault.play("04-kv2-read", token=RECORDED["jwt-token"])
        renewal = Exchange("32-renew-self")
        vault.answer("POST", renewal.path, 200, renewal.answer.replace('"lease_duration":300', '"lease_duration":1'),
                     token=RECORDED["jwt-token"], body=json.loads(renewal.body))
        with scene.service(DB, **JWT_LOGIN) as s:
            assert s.ask() == {"PASSWORD": "p1"}
            word, pairs = s.hear()
            assert word == "note" and pairs[0][1].startswith("the token ends in ") and "lends it no longer" in pairs[0][1]
            assert json.loads(vault.asked("POST", renewal.path)[0][3]) == {"increment": "3s"}


def test_a_lease_that_may_not_be_revoked_by_itself_goes_with_the_token(scene):
    with scene.replay() as vault:
        lends(vault)
        vault.answer("PUT", "/v1/sys/leases/revoke", 403, {"errors": ["permission denied"]}, token=RECORDED["jwt-token"], body={"lease_id": LEASE})
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            s.ask()
            assert s.release() == (2, [])


def test_what_cannot_be_revoked_is_retried_and_told_with_its_end(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("49-db-creds", token=TOKEN)
        vault.answer("PUT", "/v1/sys/leases/revoke", 500, {"errors": ["storage is away"]}, token=TOKEN, body={"lease_id": LEASE})
        with scene.service(*CREDS) as s:
            s.ask()
            count, notes = s.release()
            assert count == 0 and len(vault.asked("PUT", "/v1/sys/leases/revoke")) == 4
            assert len(notes) == 1 and f"lease {LEASE} could not be revoked and ends by itself in " in notes[0] and "storage is away" in notes[0]


def test_leases_are_revoked_when_devdep_job_is_gone_and_what_cannot_be_is_said_on_standard_error(scene):
    with scene.replay() as vault:
        lends(vault)
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            s.ask()
            assert s.end() == (0, "")
            assert vault.asked("PUT", "/v1/sys/leases/revoke")
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("49-db-creds", token=TOKEN)
        vault.answer("PUT", "/v1/sys/leases/revoke", 403, {"errors": ["permission denied"]}, token=TOKEN, body={"lease_id": LEASE})
        with scene.service(*CREDS) as s:
            s.ask()
            status, err = s.end()
            assert status == 0 and f"lease {LEASE} could not be revoked" in err


def test_a_failure_half_way_gives_back_what_was_lent(scene):
    with scene.replay() as vault:
        lends(vault)
        vault.play("16-kv2-missing", token=RECORDED["jwt-token"])
        with scene.service(*CREDS, secret("NOPE", "secret/nope#x"), **JWT_LOGIN) as s:
            assert "no such secret" in s.ask()
            assert vault.asked("PUT", "/v1/sys/leases/revoke") and vault.asked("POST", "/v1/auth/token/revoke-self")


# ---- a check ----

def checked(s):
    s.say("c")
    heard = s.until("checked")
    return int(dict(heard[-1][1])["count"]), [dict(pairs)["message"] for word, pairs in heard if word == "missing"]


def test_a_check_reads_metadata_alone(scene):
    with scene.replay() as vault:
        signed_in(vault)
        vault.play("10-kv2-metadata", token=TOKEN)
        vault.answer("GET", "/v1/secret/metadata/nope", 404, {"errors": []}, token=TOKEN)
        vault.answer("POST", "/v1/sys/capabilities-self", 200, {"data": {"database/creds/app": ["read"]}}, token=TOKEN, body={"paths": ["database/creds/app"]})
        secrets = [DB, secret("OLD", "secret/ci/db#pass", version=1), secret("THIRD", "secret/ci/db#pass", version=3, where="devdep.yaml:9:1"),
                   secret("NOPE", "secret/nope#x", where="devdep.yaml:10:1"), CREDS[0]]
        with scene.service(*secrets, check=True) as s:
            assert checked(s) == (2, ["devdep.yaml:9:1: secret THIRD: it has no version 3", "devdep.yaml:10:1: secret NOPE: secret/nope: no such secret"])
            assert not [r for r in vault.asked() if "/data/" in r[1] or "/creds/" in r[1]]


def test_a_check_tells_deleted_and_destroyed_versions_and_what_may_not_be_asked(scene):
    versions = {"1": {"deletion_time": "", "destroyed": True}, "2": {"deletion_time": "2026-11-22T02:00:38Z", "destroyed": False}}
    with scene.replay() as vault:
        signed_in(vault)
        vault.answer("GET", METADATA, 200, {"data": {"current_version": 2, "versions": versions}}, token=TOKEN)
        vault.answer("POST", "/v1/sys/capabilities-self", 200, {"data": {"database/creds/app": ["deny"]}}, token=TOKEN, body={"paths": ["database/creds/app"]})
        vault.answer("GET", "/v1/other/metadata/x", 403, {"errors": ["permission denied"]}, token=TOKEN)
        with scene.service(DB, secret("OLD", "secret/ci/db#pass", version=1), secret("X", "other/x#k"), CREDS[0], check=True) as s:
            assert [m.split(": ", 2)[2] for m in checked(s)[1]] == [
                "version 2 of it was deleted", "version 1 of it was destroyed", "other/metadata/x: permission denied", "database/creds/app: permission denied"]
