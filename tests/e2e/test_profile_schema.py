"""The published schema of devdep.yaml beside our parser: npm ajv (an independent validator) and npm yaml (an independent reader) give the same verdict on
every example and on generated profiles. What a schema cannot say is in tests/profile-schema/beyond and in BEYOND.

DEVDEP_SEED and DEVDEP_PROFILES (count) choose what is generated."""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess

import pytest

import devdep

HERE = devdep.ROOT / "tests" / "profile-schema"
SEED = int(os.environ.get("DEVDEP_SEED", "1"))
COUNT = int(os.environ.get("DEVDEP_PROFILES", "400"))
# Ranges of sizes and times, values that have to be understood, and rules between keys.
BEYOND = re.compile(r"expected a (size|time) such as .*, from .* to .*; found '[1-9][0-9]{0,7}[A-Za-z]'|bits behind its prefix|is no address|is no IPv6 address"
                    r"|a name of a host has 1 to 253|a run with secrets cannot|the key 'role' is missing|cannot be rotated|names that differ only in case"
                    r"|is already defined|the key 'endpoint' is missing")


@pytest.fixture(scope="module")
def node():
    program = shutil.which("node") or shutil.which("nodejs")
    if not program:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules" / "ajv").is_dir():
        pytest.skip("the npm packages of tests/profile-schema are not installed: run tools/setup-interop")
    return program


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return devdep.Cli(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def schema(command, tmp_path_factory):
    path = tmp_path_factory.mktemp("schema") / "schema.json"
    result = command("schema")
    assert result.status == 0 and result.err == "", result
    path.write_text(result.out)
    return path


def theirs(node, schema, files):
    """{path: None, or why ajv refuses it}"""
    out = subprocess.run([node, "check.mjs", schema, *files], cwd=HERE, check=True, capture_output=True, text=True).stdout
    lines = dict(line.split(": ", 1) for line in out.splitlines() if line.split(": ", 1)[0] in {str(f) for f in files})
    assert len(lines) == len(files), out
    return {pathlib.Path(path): None if verdict == "ok" else verdict for path, verdict in lines.items()}


def ours(command, path):
    """The messages of what we refuse in a file."""
    document = json.loads(command("validate", "--file", path, "--json").out)
    return [p["message"] for p in document["problems"] if p["severity"] == "error"]


def examples(kind):
    return sorted((HERE / kind).glob("*.yaml"))


def test_examples_have_the_same_verdict(node, command, schema):
    good, bad = examples("good"), examples("bad")
    assert len(good) > 4 and len(bad) > 30
    verdicts = theirs(node, schema, good + bad)
    assert {p.name: verdicts[p] for p in good if verdicts[p]} == {} and [p.name for p in bad if not verdicts[p]] == []
    assert {p.name: ours(command, p) for p in good if ours(command, p)} == {} and [p.name for p in bad if not ours(command, p)] == []


def test_what_only_the_parser_knows_is_refused_by_it_alone(node, command, schema):
    files = examples("beyond")
    assert len(files) > 8
    assert {p.name: why for p, why in theirs(node, schema, files).items() if why} == {}
    for path in files:
        messages = ours(command, path)
        assert messages and all(BEYOND.search(m) for m in messages), (path, messages)


# ---- generated profiles ----

WHOLE = {
    "entity": "web", "domain": "corp.example", "workflow": ".github/workflows/ci.yml", "image": "default", "rootfs": "overlay",
    "vcpus": 2, "memory": "2G", "scratch": "16G", "pids": 4096, "timeout": "1h",
    "hooks": {"before": ["make", "make all"], "after": "df"},
    "egress": {"profile": "brokered", "on_violation": "fail", "allow": ["a.b", "*.c.d:80", "10.0.0.0/8:1", "[::1]/128:2"]},
    "identity": [{"issuer": "https://a.b", "audience": ["c"], "claims": {"ref": "refs/heads/main"}}],
    "vault": {"endpoint": "https://v.example:8200", "auth": "jwt", "role": "ci", "namespace": "a/b", "ca": "ca.pem"},
    "secrets": {"A": "kv/x#y", "B": {"ref": "kv/x#z", "key_rotation": "manual", "version": 3}},
    "environments": {"p": {"memory": "4G", "vault": {"role": "prod"}, "secrets": {"C": "kv/p#q"}, "egress": {"allow": ["e.f"]}}},
}
TEXTS = ["", "a", "a b", " ", "a.b", "A.B", "a..b", "../a", "a/../b", "./a", "a/b", "/a", "a//b", "a.yml", "../a.yml", "on", "null", "1", "01", "1K", "64M", "128M",
         "1g", "2G", "1T", "9999999T", "0M", "1.5G", "30m", "90s", "5d", "0s", "1h ", "jwt", "JWT", "token", "sealed", "audit", "fail", "overlay", "read-only",
         "*", "*.a", "*.a.b", "a:1", "a:0", "a:65535", "a:65536", "a:443:443", "10.0.0.0/8:1", "10.0.0.1/32:443", "10.0.0.0/0:1", "10.0.0.0/33:1", "10.0.0.256/32:1",
         "10.0.0.1", "1.2.3", "[::1]/128:1", "[::1]/129:1", "[::]/1:1", "::1/128:1", "[g::1]/128:1", "https://a", "https://a.b:1/c", "https://a.b?c", "https://u@a",
         "http://a.b", "https://", "https://a/..", "kv/x#y", "kv/x", "kv/x#", "#y", "kv/x#y#z", "kv/../x#y", "kv/%2e/x#y", "kv/x?y#z", "kv/x#y\n", "a\nb", "a\tb",
         "a\u00e9", "\u00e9", "\u0085", "\u2028", "a\x1b", "\x7f", "${{ a }}", "$ {{", "a ${{", "default", "default@sha256:" + "0" * 64, "default@sha256:" + "0" * 63,
         "x" * 64, "x" * 65, "x" * 253, "x" * 512, "a." * 126 + "a", "a." * 127 + "a", "GITHUB_X", "github_x", "_a", "-a", "a-", "a_", "refs/heads/main"]
KEYS = ["entity", "domain", "memory", "ref", "version", "key_rotation", "profile", "allow", "role", "claims", "p", "A", "a", "GITHUB_A", "x y", "../a", "1", "memry"]
OTHERS = [None, True, False, 0, 1, -1, 1.5, 2.0, 64, 65, 15, 16, 16384, 16385, 1e9, 1e10, [], {}, ["a"], [["a"]], {"a": "b"}, [None], [1]]


def places(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def spoil(chance, whole):
    """The whole profile with a few places changed: a value, a key that is gone, one more, or another name for it."""
    document = json.loads(json.dumps(whole))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        path = chance.choice([p for p in places(document) if p])
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        change = chance.randrange(10)
        if change < 6:
            holder[path[-1]] = chance.choice(TEXTS if chance.randrange(4) else OTHERS)
        elif change < 8:
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[chance.choice(KEYS)] = holder[path[-1]] if change == 8 else chance.choice(TEXTS + OTHERS)
    return document


def test_generated_profiles_have_the_same_verdict(node, command, schema, tmp_path):
    chance = random.Random(SEED)
    files = [tmp_path / f"{i}.yaml" for i in range(COUNT)]
    for path in files:
        path.write_text(json.dumps(spoil(chance, WHOLE), ensure_ascii=bool(chance.randrange(2))) + "\n")
    verdicts, different, accepted = theirs(node, schema, files), [], 0
    for path in files:
        messages = ours(command, path)
        further = [m for m in messages if not BEYOND.search(m)]
        accepted += not messages
        if further and not verdicts[path] or verdicts[path] and not messages:
            different.append(f"{path.read_text()}  ours   {messages}\n  theirs {verdicts[path]}")
    assert not different, f"seed {SEED}: {len(different)} of {COUNT}\n" + "\n".join(different[:5])
    print(f"{COUNT} profiles of seed {SEED}: {accepted} accepted, {COUNT - accepted} refused, alike")
    assert accepted > COUNT / 20


# ---- what is written about it ----

def keys_of(schema):
    found = set()
    for definition in [schema, *schema["$defs"].values()]:
        found |= set(definition.get("properties", {}))
    return found


@pytest.mark.parametrize("page", ["docs/profile.md", "man/devdep.yaml.5"])
def test_every_key_is_described(schema, page):
    text = (devdep.ROOT / page).read_text()
    missing = {key for key in keys_of(json.loads(schema.read_text())) if not re.search(rf"(`|\.Cm |\b){re.escape(key)}\b", text)}
    assert missing == set()
