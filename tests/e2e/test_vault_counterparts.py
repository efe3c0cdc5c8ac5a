"""The Vault of the tests beside others: hvac, a client that is not ours, is answered by it; and credentials of its database role open a real
PostgreSQL until they are revoked."""
import contextlib
import glob
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

import pytest

import world as worlds
from secrets_service import secret
from test_vault import CREDS, DB, JWT, JWT_LOGIN, LEASE, RECORDED
from vault_replay import Exchange, Replay
from vault_scene import TOKEN, Scene
from world import World

hvac = pytest.importorskip("hvac", reason="no hvac: apt-get install python3-hvac")
POSTGRES = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), None)


@pytest.fixture(scope="module")
def scene():
    if worlds.missing():
        pytest.skip(worlds.missing())
    with World() as world:
        yield Scene(world)


@contextlib.contextmanager
def client(scene, token=None):
    """hvac's view of a replay: it lives in the world's host, so its requests are made in a thread there."""
    with scene.replay() as vault:
        made = scene.world.inside(lambda: hvac.Client(url=f"https://{worlds.SERVERS[0]}:{scene.port}", token=token, verify=False), scene.world.host)
        yield vault, lambda call: scene.world.inside(lambda: call(made), scene.world.host)


pytestmark = pytest.mark.filterwarnings("ignore")


def test_hvac_reads_a_document_and_its_metadata(scene):
    with client(scene, TOKEN) as (vault, ask):
        vault.play("04-kv2-read", "07-kv2-read-v1", "10-kv2-metadata", token=TOKEN)
        assert ask(lambda c: c.secrets.kv.v2.read_secret_version("ci/db", version=1))["data"]["data"] == {"pass": "p1", "user": "u"}
        assert ask(lambda c: c.secrets.kv.v2.read_secret_metadata("ci/db"))["data"]["current_version"] == 2


def test_hvac_signs_in_looks_up_and_revokes(scene):
    with client(scene) as (vault, ask):
        vault.play("29-approle-login", "33-lookup-self", "60-revoke-self")
        login = ask(lambda c: c.auth.approle.login(RECORDED["role_id"], RECORDED["secret_id"]))
        assert login["auth"]["client_token"] == RECORDED["approle-token"]
        assert ask(lambda c: c.lookup_token())["data"]["ttl"] == 300


def test_hvac_is_told_what_we_are_told_of_what_is_missing_or_denied(scene):
    with client(scene, "s.bogus") as (vault, ask):
        vault.play("18-kv2-bad-token")
        with pytest.raises(hvac.exceptions.Forbidden):
            ask(lambda c: c.adapter.get("/v1/secret/data/ci/db"))
    with client(scene, TOKEN) as (vault, ask):
        vault.play("16-kv2-missing", token=TOKEN)
        with pytest.raises(hvac.exceptions.InvalidPath):
            ask(lambda c: c.adapter.get("/v1/secret/data/nope"))


def test_hvac_borrows_renews_and_revokes(scene):
    with client(scene, RECORDED["jwt-token"]) as (vault, ask):
        vault.play("49-db-creds", "50-lease-renew", "53-lease-revoke", token=RECORDED["jwt-token"])
        assert ask(lambda c: c.secrets.database.generate_credentials("app"))["lease_id"] == LEASE
        assert ask(lambda c: c.sys.renew_lease(LEASE, 30))["lease_duration"] == 30
        ask(lambda c: c.sys.revoke_lease(LEASE))


def test_what_a_client_does_that_was_never_recorded_is_a_violation(scene):
    with pytest.raises(AssertionError, match="GET /v1/secret/data/other"):
        with client(scene, TOKEN) as (vault, ask):
            vault.play("04-kv2-read", token=TOKEN)
            with contextlib.suppress(Exception):
                ask(lambda c: c.adapter.get("/v1/secret/data/other"))
    with pytest.raises(AssertionError, match="headers"):
        with client(scene, "s.other") as (vault, ask):
            vault.play("04-kv2-read", token=TOKEN)
            with contextlib.suppress(Exception):
                ask(lambda c: c.adapter.get("/v1/secret/data/ci/db"))


# ---- PostgreSQL ----

class Postgres:
    """A server of the test, as an ordinary user, on a socket of its own."""

    def __init__(self, folder):
        self.folder, self.user = folder, pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", folder / "data", "-U", "root1", "--auth-local=scram-sha-256", "--auth-host=reject", f"--pwfile={self.password()}", "-N")
        self.run("pg_ctl", "-D", folder / "data", "-w", "-t", "120", "-l", folder / "log", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")

    def password(self):
        path = self.folder / "password"
        path.write_text("pw\n")
        path.chmod(0o644)
        return path

    def run(self, program, *args, **more):
        become = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", "--"] if self.user else []
        return subprocess.run([*become, f"{POSTGRES}/{program}", *map(str, args)], check=True, cwd="/", stdout=subprocess.DEVNULL, **more)

    def sql(self, text, user="root1", password="pw"):
        """What a statement gives, or None when the user may not come in."""
        done = subprocess.run([f"{POSTGRES}/psql", "-h", str(self.folder), "-U", user, "-d", "postgres", "-tAc", text],
                              env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def postgres():
    if not POSTGRES:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="devdep-pg-"))
    server = Postgres(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Database:
    """What Vault's database engine does behind the recorded exchanges 48 to 53: the role's creation statement, and its end."""

    def __init__(self, postgres, vault):
        self.postgres, self.vault, self.made = postgres, vault, 0
        self.recorded = Exchange("49-db-creds")
        statement = json.loads(Exchange("48-db-role").body)["creation_statements"][0]
        self.statement = statement
        vault.answer("GET", self.recorded.path, 200, self.create, token=RECORDED["jwt-token"])
        vault.answer("PUT", "/v1/sys/leases/revoke", 204, self.revoke, token=RECORDED["jwt-token"], body={"lease_id": LEASE})

    def create(self):
        data = json.loads(self.recorded.answer)["data"]
        until = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(time.time() + 60))
        text = self.statement.replace("{{name}}", data["username"]).replace("{{password}}", data["password"]).replace("{{expiration}}", until)
        assert self.postgres.sql(text) is not None
        self.made += 1
        return 200, self.recorded.answer

    def revoke(self):
        name = json.loads(self.recorded.answer)["data"]["username"]
        assert self.postgres.sql(f'DROP ROLE "{name}"') is not None
        return 204, None


def test_credentials_that_were_lent_open_a_database_until_the_end_of_the_job(scene, postgres):
    with scene.replay() as vault:
        vault.play("37-jwt-login-ok", "60-revoke-self")
        database = Database(postgres, vault)
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            given = s.ask()
            user, password = given["DB_USER"], given["DB_PASSWORD"]
            assert database.made == 1
            assert postgres.sql("select current_user", user, password) == user
            assert postgres.sql("select 1", user, "wrong") is None
            assert s.release() == (2, [])
            assert postgres.sql("select 1", user, password) is None


def test_credentials_end_with_devdep_job_as_well(scene, postgres):
    with scene.replay() as vault:
        vault.play("37-jwt-login-ok", "60-revoke-self")
        Database(postgres, vault)
        with scene.service(*CREDS, **JWT_LOGIN) as s:
            given = s.ask()
            assert postgres.sql("select 1", given["DB_USER"], given["DB_PASSWORD"]) == "1"
            assert s.end() == (0, "")
            assert postgres.sql("select 1", given["DB_USER"], given["DB_PASSWORD"]) is None
