"""devdep-service: the cache service that GitHub's own client speaks to, by that client and by a hostile guest."""
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest
import store_session
from github import node
from service_session import NAME, PROGRAM, Bridge, Refused, Service, environment, service  # noqa: F401
from store_session import shelves  # noqa: F401

CLIENTS = pathlib.Path(__file__).resolve().parents[1] / "github-clients"
VERSION = "0123456789abcdef" * 4
pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not PROGRAM.exists(), reason="devdep-service is not built")]
needs_client = pytest.mark.skipif(not node() or not (CLIENTS / "node_modules/cache-6").is_dir(),
                                  reason="node or the npm packages of tests/github-clients are missing: run tools/setup-interop")


def keys(shelves):
    return [(x["key"], x["scope"]) for x in shelves.entries(shelves.caches)]


class Client:
    """npm @actions/cache, as it is published."""

    def __init__(self, service, package, folder):
        self.service, self.package, self.folder = service, package, folder
        (folder / "temp").mkdir(exist_ok=True)

    def __call__(self, verb, keys, *paths, **options):
        with Bridge(self.service) as bridge:
            env = {**environment(bridge), "RUNNER_TEMP": str(self.folder / "temp"), "GITHUB_WORKSPACE": str(self.folder),
                   "TEST_OPTIONS": json.dumps(options)}
            done = subprocess.run([node(), "--require", CLIENTS / "hook.cjs", CLIENTS / "cache.mjs", self.package, verb, keys, *paths],
                                  cwd=self.folder, env=env, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.out = done.stdout
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout.splitlines()[-1])["result"]


@pytest.fixture(params=["cache-4", "cache-6"])
def client(request, service, tmp_path):
    return Client(service, request.param, tmp_path)


# ---- GitHub's own client


@needs_client
def test_what_the_client_saves_it_restores(client, shelves):
    (client.folder / "data").mkdir()
    (client.folder / "data/a.txt").write_text("hello")
    number = client("save", "npm-1", "data")
    assert number > 0, client.out
    (client.folder / "data/a.txt").unlink()
    assert client("restore", "npm-1", "data") == "npm-1", client.out
    assert (client.folder / "data/a.txt").read_text() == "hello"
    assert client("restore", "npm-2,npm-", "data") == "npm-1" and client("restore", "npm-2", "data") is None
    assert client("restore", "npm-1", "other") is None
    assert keys(shelves) == [("npm-1", "refs/heads/main")] and shelves.entries(shelves.caches)[0]["id"] == number
    assert shelves.is_clean()


@needs_client
def test_a_key_is_saved_once(client, shelves):
    (client.folder / "data").write_text("one")
    assert client("save", "key", "data") > 0
    assert client("save", "key", "data") == -1 and "Unable to reserve cache with key key" in client.out, client.out
    assert len(keys(shelves)) == 1


@needs_client
def test_a_large_cache_comes_in_blocks(client, shelves):
    """Past 128 MiB the client sends blocks, several at once; the service puts them in the order of its list."""
    data = os.urandom(1 << 20) * 140
    (client.folder / "data").write_bytes(data)
    env = dict(os.environ)
    assert client("save", "large", "data", uploadChunkSize=16 << 20, uploadConcurrency=4) > 0, client.out
    (client.folder / "data").unlink()
    assert client("restore", "large", "data") == "large", client.out
    assert (client.folder / "data").read_bytes() == data and dict(os.environ) == env
    assert shelves.is_clean()


# ---- requests


def request(method, target, body=b"", **fields):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {NAME}", f"Content-Length: {len(body)}"] + [f"{k}: {v}" for k, v in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def call(service, method, status=200, **message):
    got, _, body = service.ask(request("POST", f"/twirp/github.actions.results.api.v1.CacheService/{method}", json.dumps(message).encode()))
    assert got == status, body
    return json.loads(body)


def target(url):
    assert url.startswith(f"http://{NAME}/"), url
    return url[len(f"http://{NAME}"):]


def create(service, key="key"):
    return target(call(service, "CreateCacheEntry", key=key, version=VERSION)["signed_upload_url"])


def save(service, key="key", content=b"content"):
    assert service.ask(request("PUT", create(service, key), content))[0] == 201
    return call(service, "FinalizeCacheEntryUpload", key=key, version=VERSION, size_bytes=str(len(content)))


def look_up(service, *keys):
    return call(service, "GetCacheEntryDownloadURL", key=keys[0], restore_keys=list(keys[1:]), version=VERSION)


def test_an_entry_is_read_whole_or_in_ranges(service):
    assert save(service, content=b"0123456789")["ok"]
    url = target(look_up(service, "key")["signed_download_url"])
    assert service.ask(request("GET", url))[2] == b"0123456789"
    status, headers, body = service.ask(request("HEAD", url))
    assert (status, headers["content-length"]) == (200, "10")
    for wanted, content, told in (("bytes=2-4", b"234", "bytes 2-4/10"), ("bytes=7-", b"789", "bytes 7-9/10"),
                                  ("bytes=9-99", b"9", "bytes 9-9/10")):
        status, headers, body = service.ask(request("GET", url, Range=wanted))
        assert (status, body, headers["content-range"]) == (206, content, told)
    assert service.ask(request("GET", url, Range="bytes=10-"))[0] == 416
    assert service.ask(request("GET", url, Range="lines=1-2"))[2] == b"0123456789"


def test_requests_follow_each_other_on_one_connection(service):
    stream = service.connect()
    for i in range(20):
        status, _, body = service.ask(request("POST", "/twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL",
                                              json.dumps({"key": f"k{i}", "version": VERSION}).encode()), stream)
        assert status == 200 and json.loads(body) == {"ok": False}
    stream.write(request("GET", "/a") + request("GET", "/b", Connection="close"))
    assert stream.read_all().count(b"HTTP/1.1 404 Not Found") == 2


def test_blocks_are_put_in_the_order_of_the_list_and_the_last_of_an_id_counts(service, shelves):
    url = create(service)
    for name, content in (("Yg==", b"two"), ("YQ==", b"old"), ("YQ==", b"one")):
        assert service.ask(request("PUT", f"{url}&comp=block&blockid={name.replace('=', '%3D')}", content))[0] == 201
    listed = b"<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>"
    assert service.ask(request("PUT", f"{url}&comp=blocklist", listed.replace(b"Yg==", b"Yw==")))[0] == 400
    assert call(service, "FinalizeCacheEntryUpload", 400, key="key", version=VERSION, size_bytes="6")["code"] == "invalid_argument"
    url = create(service)
    for name, content in (("Yg==", b"two"), ("YQ==", b"one")):
        service.ask(request("PUT", f"{url}&comp=block&blockid={name}", content))
    assert service.ask(request("PUT", f"{url}&comp=blocklist", listed))[0] == 201
    assert call(service, "FinalizeCacheEntryUpload", key="key", version=VERSION, size_bytes="6")["ok"]
    assert service.ask(request("GET", target(look_up(service, "key")["signed_download_url"])))[2] == b"onetwo"
    assert shelves.is_clean()


def test_an_upload_of_another_size_is_no_cache(service, shelves):
    url = create(service)
    assert service.ask(request("PUT", url, b"abc"))[0] == 201
    answer = call(service, "FinalizeCacheEntryUpload", 400, key="key", version=VERSION, size_bytes="4")
    assert "3 bytes came, 4 were announced" in answer["msg"]
    assert call(service, "FinalizeCacheEntryUpload", key="key", version=VERSION, size_bytes="3") == {
        "ok": False, "message": "there is no upload of this key"}
    assert service.ask(request("PUT", url, b"abc"))[0] == 404 and keys(shelves) == []


def test_the_newest_uploads_are_kept_when_there_are_too_many(service):
    urls = [create(service, f"k{i}") for i in range(9)]
    assert [service.ask(request("PUT", u, b"x"))[0] for u in urls] == [404] + [201] * 8


def test_who_is_first_has_the_key(service, shelves):
    with Service(shelves) as other:
        urls = [create(s) for s in (service, other)]
        for s, url in zip((service, other), urls):
            assert s.ask(request("PUT", url, b"x"))[0] == 201
        assert call(other, "FinalizeCacheEntryUpload", key="key", version=VERSION, size_bytes="1")["ok"]
        assert not call(service, "FinalizeCacheEntryUpload", key="key", version=VERSION, size_bytes="1")["ok"]
        assert not call(service, "CreateCacheEntry", key="key", version=VERSION)["ok"]


def test_what_rotted_on_the_disk_is_no_hit_and_is_removed(service, shelves):
    save(service, content=b"whole")
    (archive,) = (shelves.caches / "objects").iterdir()
    archive.chmod(0o600)
    archive.write_bytes(archive.read_bytes().replace(b"whole", b"WHOLE"))
    assert look_up(service, "key") == {"ok": False} and keys(shelves) == []


def test_built_in_caches_and_those_of_clients_do_not_meet(service, shelves):
    save(service, "mine")
    with shelves.start(cls=store_session.Client) as store:
        assert store.find("mine", version=VERSION) is None
        store.put_cache("theirs", __import__("test_cli_artifacts").archive({"a": b"1"}), version=VERSION)
    assert look_up(service, "theirs") == {"ok": False}


# ---- what binds


def test_an_entry_of_another_scope_is_out_of_reach(service, shelves):
    """A pull request must not read what only another branch saved, whatever it guesses."""
    save(service, "secret")
    number = shelves.entries(shelves.caches)[0]["id"]
    with Service(shelves, "refs/pull/1/merge") as pull:
        assert look_up(pull, "secret") == {"ok": False}
        assert pull.ask(request("GET", f"/entries/{number}"))[0] == 404
        save(pull, "own")
    assert keys(shelves) == [("secret", "refs/heads/main"), ("own", "refs/pull/1/merge")]
    assert look_up(service, "own") == {"ok": False}


def test_an_upload_of_another_job_is_out_of_reach(service, shelves):
    url = create(service)
    with Service(shelves) as other:
        assert other.ask(request("PUT", url, b"x"))[0] == 404


def test_only_one_name_and_port_is_served(service):
    for more in ({"name": "other.devdep.internal"}, {"port": 443}, {"name": "127.0.0.1"}):
        with pytest.raises(Refused) as refused:
            service.connect(**more)
        assert refused.value.code == "unreachable"
    with pytest.raises(Refused):
        service.connect(op="records")


def test_a_call_that_nobody_knows_is_told(service):
    assert service.ask(request("POST", "/twirp/other.Service/Call", b"{}"))[0] == 404


# ---- a hostile guest

HEAD = f"Host: {NAME}\r\n"


@pytest.mark.parametrize("text", [
    "GET / HTTP/1.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET http://x/ HTTP/1.1\r\n\r\n", "DELETE / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n\r\n\r\n",
    "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    "GET /" + "a" * 2000 + " HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n" + "A: b\r\n" * 65 + "\r\n", "GET / HTTP/1.1\r\nA: " + "b" * 20000])
def test_what_is_no_request_ends_its_connection_alone(service, text):
    stream = service.connect()
    stream.write(text.encode("latin-1"))
    answer = stream.read_all()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"Connection: close" in answer, answer
    assert look_up(service, "key") == {"ok": False}


@pytest.mark.parametrize("message", [
    b"", b"[]", b"{", b'{"key": 1, "version": "%s"}', b'{"key": "a,b", "version": "%s"}', b'{"key": "", "version": "%s"}', b'{"key": "k", "version": "x"}',
    b'{"key": "%s", "version": "v"}' % (b"k" * 513), b'{"key": "k", "version": "%s", "restore_keys": ["a", 1]}',
    b'{"key": "k", "version": "%s", "restore_keys": [%s]}' % (b"%s", b",".join([b'"k"'] * 10)), b'{"key": "k\\u0000", "version": "%s"}'])
def test_what_is_no_message_is_told(service, message):
    message = message.replace(b"%s", VERSION.encode())
    for method in ("CreateCacheEntry", "GetCacheEntryDownloadURL"):
        if method == "CreateCacheEntry" and b"restore_keys" in message:
            continue
        status, _, body = service.ask(request("POST", f"/twirp/github.actions.results.api.v1.CacheService/{method}", message))
        assert status == 400 and json.loads(body)["code"] == "invalid_argument", body


def test_lengths_past_the_limits_are_refused_before_they_come(service):
    big = b"POST /twirp/x HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"
    assert service.ask(big)[0] == 413
    url = create(service)
    assert service.ask(f"PUT {url}&comp=blocklist HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n".encode())[0] == 413
    assert service.ask(f"PUT {url} HTTP/1.1\r\nContent-Length: {(10 << 30) + 1}\r\n\r\n".encode())[0] == 400
    assert service.ask(f"PUT {url}&comp=block HTTP/1.1\r\nContent-Length: 1\r\n\r\n".encode())[0] == 400
    assert service.ask(b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n")[0] == 400


def test_a_client_that_asks_whether_to_send_is_told_to(service):
    stream = service.connect()
    stream.write(f"PUT {create(service)} HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n".encode())
    assert stream.read_exact(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    stream.write(b"x")
    assert stream.read(4096).startswith(b"HTTP/1.1 201 ")


def memory(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def test_clients_that_do_not_read_or_do_not_send_cost_bounded_memory_and_nobody_else(service):
    save(service, content=b"x" * 20_000_000)
    url = target(look_up(service, "key")["signed_download_url"])
    before = memory(service.process.pid)
    streams = [service.connect() for _ in range(100)]
    for i, stream in enumerate(streams):
        stream.write(request("GET", url) * 50 if i % 2 else b"PUT " + create(service, f"k{i % 8}").encode() if i < 8 else b"GET / HT")
    for stream in streams[1::2]:
        stream.fill()
    assert look_up(service, "key")["ok"]
    assert memory(service.process.pid) - before < 100 * 2 * 384
    streams += [service.connect() for _ in range(28)]
    with pytest.raises(Refused) as refused:
        service.connect()
    assert refused.value.code == "limited"
    for stream in streams:
        stream.abort()
    assert len(service.ask(request("GET", url))[2]) == 20_000_000


def test_an_upload_that_is_given_up_while_it_is_written_leaves_nothing(service, shelves):
    url, stream = create(service), service.connect()
    stream.write(f"PUT {url} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 1000)
    for i in range(8):
        create(service, f"k{i}")
    stream.write(b"x" * 999_000)
    assert stream.read(4096).startswith(b"HTTP/1.1 404 ")
    second = service.connect()
    second.write(f"PUT {create(service, 'again')} HTTP/1.1\r\nContent-Length: 1000\r\n\r\nxx".encode())
    assert service.close() == 0 and shelves.is_clean()


def test_uploads_beside_each_other_do_not_mix(service):
    def one(i):
        content = bytes([65 + i]) * 700_000
        url, stream = create(service, f"k{i}"), service.connect()
        stream.write(f"PUT {url} HTTP/1.1\r\nContent-Length: {len(content)}\r\n\r\n".encode())
        for at in range(0, len(content), 10_000):
            stream.write(content[at:at + 10_000])
        assert stream.read(4096).startswith(b"HTTP/1.1 201 ")
        assert call(service, "FinalizeCacheEntryUpload", key=f"k{i}", version=VERSION, size_bytes=str(len(content)))["ok"]
        results[i] = service.ask(request("GET", target(look_up(service, f"k{i}")["signed_download_url"])))[2] == content
    results = [False] * 6
    threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 6
