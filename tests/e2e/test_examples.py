"""The examples of secrets and outgoing connections: one gets what its profile names, the other is stopped at its first attempt at more."""
import io
import shutil
import tarfile

import pytest

import devdep
import runs
import world as worlds
from test_vault import KV
from vault_replay import Replay
from vault_scene import TOKEN, signed_in
from world import SERVERS, Authority, HostCli, World

pytestmark = [pytest.mark.guest, pytest.mark.skipif(worlds.missing() is not None, reason=str(worlds.missing()))]
GREETING = {"greeting.h": "const char *greeting(void);\n", "greeting.c": '#include "greeting.h"\n\nconst char *greeting(void)\n{\n        return "hello from the library";\n}\n'}
NGINX = """daemon off; worker_processes 1; error_log /dev/null; pid {folder}/pid; user root;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen {address}:443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; root {folder}/www; }}
}}
"""


def listening():
    with open("/proc/thread-self/net/tcp") as table:
        return ":01BB " in table.read()


def pack(path):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in GREETING.items():
            member = tarfile.TarInfo(f"greeting-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture(scope="module")
def world():
    """A package server and a Vault."""
    with World() as w:
        w.authority = Authority(w.folder)
        for name in ("packages.corp.example", "vault.corp.example", "collector.example.net"):
            w.names.table[name] = [SERVERS[0]]
        (w.folder / "www").mkdir()
        pack(w.folder / "www" / "greeting-1.0.tar.gz")
        certificate, key = w.authority.issue("packages.corp.example")
        (w.folder / "nginx.conf").write_text(NGINX.format(folder=w.folder, address=SERVERS[0], certificate=certificate, key=key))
        w.popen(["nginx", "-p", w.folder, "-c", w.folder / "nginx.conf"])
        runs.wait_until(lambda: w.inside(listening), "nginx listens")
        with Replay(w.socket(SERVERS[0], 8200), w.authority.issue("vault.corp.example")) as vault:
            signed_in(vault)
            vault.play("04-kv2-read", token=TOKEN)
            w.vault = vault
            yield w


def example(world, folder, name):
    state = folder / "state"
    state.mkdir()
    account = state / "vault.conf"
    account.write_text(f"address=https://vault.corp.example:8200\ntoken={TOKEN}\n")
    account.chmod(0o600)
    repo = devdep.Repo(folder / name)
    shutil.copytree(devdep.ROOT / "examples" / name, repo.path, dirs_exist_ok=True)
    repo.write("deploy/ca.pem", world.authority.bundle.read_text())
    repo.commit()
    return HostCli(world, state)("run", "--dir", repo.path)


def test_a_build_gets_its_package_and_its_secret(world, folder):
    result = example(world, folder, "parcel")
    assert result.status == 0, result
    print(result.out)
    assert "| hello from the library\n" in result.out and "| signed with ***\n" in result.out
    assert " p1" not in result.out
    assert world.vault.asked("GET", KV)


def test_a_build_that_reaches_for_more_is_stopped_at_its_first_attempt(world, folder):
    result = example(world, folder, "leak")
    print(result.out, result.err)
    assert result.error[:2] == (401, "ERR_EGRESS_VIOLATION"), result
    for part in ("step 'Build'", "collector.example.net:443", "process curl", "'collector.example.net' in egress.allow would allow it"):
        assert part in result.error[2], result
    assert "| published" not in result.out
