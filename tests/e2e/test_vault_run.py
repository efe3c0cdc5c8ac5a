"""Secrets of devdep.yaml: looked up in Vault by `validate`, delivered to the guests of a run; the server plays recordings back (test_vault.py)."""
import json

import pytest

import runs
import world as worlds
from test_vault import CREDS, JWT, KV, METADATA, RECORDED, lends, newest
from vault_replay import Exchange
from vault_scene import TOKEN, Work, signed_in
from world import World

pytestmark = pytest.mark.skipif(worlds.missing() is not None, reason=str(worlds.missing()))


@pytest.fixture(scope="module")
def world():
    with World() as w:
        yield w


@pytest.fixture(scope="module")
def work(world, tmp_path_factory):
    return Work(world, tmp_path_factory.mktemp("work"))


# ---- validate ----

def test_validate_looks_every_reference_up_by_metadata_alone(work, folder):
    with work.replay() as vault:
        signed_in(vault)
        vault.play("10-kv2-metadata", token=TOKEN)
        work.use(folder, ["PASSWORD: secret/ci/db#pass", "OLD: {ref: secret/ci/db#pass, version: 1}"])
        assert (work.validate().status, work.validate().out.endswith("devdep.yaml: no problems\n")) == (0, True)
        assert {r[:2] for r in vault.asked()} == {("GET", "/v1/auth/token/lookup-self"), ("GET", METADATA)}


def test_a_missing_secret_is_201_with_path_and_line(work, folder):
    with work.replay() as vault:
        signed_in(vault)
        vault.play("10-kv2-metadata", token=TOKEN)
        for name in ("nope", "of-production"):
            vault.answer("GET", f"/v1/secret/metadata/{name}", 404, {"errors": []}, token=TOKEN)
        work.use(folder, ["PASSWORD: secret/ci/db#pass", "NOPE: secret/nope#x", "THIRD: {ref: secret/ci/db#pass, version: 3}"],
                 rest="environments:\n  production: {secrets: {MORE: secret/of-production#x}}\n")
        result = work.validate()
        assert result.error[:2] == (201, "ERR_VAULT_MISMATCH") and "devdep.yaml:6:9: secret NOPE: secret/nope: no such secret (2 more problems)" in result.error[2], result
        assert "devdep.yaml:7:16: error: secret THIRD: it has no version 3\n" in result.out
        assert "devdep.yaml:9:32: error: secret MORE: secret/of-production: no such secret\n" in result.out
        assert result.out.count(": error: ") == 3
        problems = json.loads(work.validate("--json").out)["problems"]
        assert [(p["line"], p["column"], p["width"]) for p in problems] == [(6, 9, len("secret/nope#x")), (7, 16, len("secret/ci/db#pass")), (9, 32, 22)]
        asked = len(vault.asked())
        offline = work.validate("--offline")
        assert offline.status == 0 and len(vault.asked()) == asked


def test_a_server_that_refuses_is_201_and_one_that_is_not_known_is_a_warning(work, folder):
    with work.replay() as vault:
        refused = Exchange("38-jwt-login-badaud")
        body, reason = json.loads(refused.body), json.loads(refused.answer)["errors"][0]
        vault.play(refused.name)
        work.use(folder, ["PASSWORD: secret/ci/db#pass"], auth="jwt", more=f"role: {body['role']}, ",
                 account={"address": f"https://vault.test:{work.port}", "jwt": body["jwt"]})
        result = work.validate()
        assert result.error[:2] == (201, "ERR_VAULT_MISMATCH") and reason in result.error[2] and body["jwt"] not in result.text, result
        work.account.unlink()
        unknown = work.validate()
        assert unknown.status == 0 and "devdep.yaml:5:3: warning: nobody was asked whether the secrets are there" in unknown.out
        profile = work.repo.path / "devdep.yaml"
        before, after = profile.read_text().split("secrets:\n")
        profile.write_text(before + "environments:\n  production:\n    secrets:\n    " + after)
        told = work.validate().out
        assert "devdep.yaml:7:7: warning: nobody was asked" in told and told.count("nobody was asked") == 1, told


def test_method_role_namespace_and_authority_are_those_of_the_profile(work, folder):
    """AppRole with a wrapped secret id; the certificate is of an authority that only the profile names."""
    with work.replay(**{RECORDED["approle-token"]: TOKEN, RECORDED["secret_id"]: RECORDED["unwrapped"]}) as vault:
        vault.play("26-wrapping-lookup", "27-unwrap", "29-approle-login")
        vault.play("10-kv2-metadata", "60-revoke-self", token=TOKEN)
        vault.require(x_vault_namespace="team/web")
        work.use(folder, ["PASSWORD: secret/ci/db#pass"], auth="approle", more="role: ci, namespace: team/web, ",
                 account={"address": f"https://vault.test:{work.port}/", "role_id": RECORDED["role_id"], "wrapped_secret_id": RECORDED["wrapped"]})
        assert work.validate().status == 0
        assert [r[1] for r in vault.asked()] == ["/v1/sys/wrapping/lookup", "/v1/sys/wrapping/unwrap", "/v1/auth/approle/login", METADATA,
                                                 "/v1/auth/token/revoke-self"]
        work.repo.write("ca.pem", worlds.Authority(folder).bundle.read_text())
        asked = len(vault.asked())
        assert work.validate().error[:2] == (201, "ERR_VAULT_MISMATCH") and len(vault.asked()) == asked


# ---- whom credentials go to ----

ELSEWHERE = {"address": "https://vault.corp.example:8200", "token": TOKEN}


def test_credentials_go_to_no_other_server_than_their_own(work, folder):
    """Who can change a repository could name a server of theirs."""
    with work.replay() as vault:
        work.use(folder, ["PASSWORD: secret/ci/db#pass"], account=ELSEWHERE)
        for result in (work.validate(), work.run("echo ${#P}", P="${{ secrets.PASSWORD }}").result):
            assert result.error[:2] == (201, "ERR_VAULT_MISMATCH"), result
            assert "devdep.yaml:5:13: secret PASSWORD: it is in https://vault.test" in result.error[2] and "they go nowhere else" in result.error[2], result
        assert "devdep.yaml:5:13: error: secret PASSWORD: it is in" in work.validate().out and "no problems" not in work.validate().out
        told = json.loads(work.validate("--json").out)
        assert not told["ok"] and [(p["line"], p["column"]) for p in told["problems"]] == [(5, 13)], told
        assert vault.asked() == []


@pytest.mark.parametrize("account, mode, part", [
    ({"token": TOKEN}, 0o600, "'address' is missing"),
    ({"address": "https://vault.test:8200", "tokn": TOKEN}, 0o600, "unknown name 'tokn'"),
    ({"address": "https://vault.test:8200", "token": TOKEN}, 0o640, "readable by nobody else"),
    ({"address": "http://vault.test:8200", "token": TOKEN}, 0o600, "address: expected https://"),
    ({"address": "https://vault.test:8200", "network": "10.1.2.3/8", "token": TOKEN}, 0o600, "network '10.1.2.3/8': "),
])
def test_a_file_of_credentials_out_of_form_is_refused_without_its_values(work, folder, account, mode, part):
    work.use(folder, ["PASSWORD: secret/ci/db#pass"], account=account)
    work.account.chmod(mode)
    result = work.validate()
    assert result.error[:2] == (2, "ERR_USAGE") and part in result.error[2] and TOKEN not in result.text, result


# ---- run ----

SHOW = "echo there-$((1+1)) $(cat /run/secrets/PASSWORD) $P; ls -A /run/secrets | tr '\\n' ' '"


@pytest.mark.guest
def test_a_job_gets_the_secrets_of_the_profile_that_it_names(work, folder):
    with work.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        work.use(folder, ["PASSWORD: secret/ci/db#pass", "USER_NAME: secret/ci/db#user", "NOPE: secret/nope#x"])
        run = work.run(SHOW, P="${{ secrets.PASSWORD == 'p1' && 'right' || 'wrong' }}")
        assert run.result.status == 0, run.result
        log = run["a"].steps[0].log
        assert "there-2 *** right" in log and log.split("\n")[1].split() == ["PASSWORD"]
        assert {r[1] for r in vault.asked()} == {"/v1/auth/token/lookup-self", KV}
        # What the command line gives goes before the profile.
        file = folder / "given.env"
        file.write_text("PASSWORD=of-the-command-line\n")
        file.chmod(0o600)
        before = len(vault.asked())
        again = work.run(SHOW, "--secrets", file, P="${{ secrets.PASSWORD == 'of-the-command-line' && 'right' || 'wrong' }}")
        assert "there-2 *** right" in again["a"].steps[0].log and len(vault.asked()) == before


@pytest.mark.guest
def test_what_cannot_be_had_ends_the_run_with_201_before_the_first_step(work, folder):
    with work.replay() as vault:
        signed_in(vault)
        vault.answer("GET", "/v1/secret/data/nope", 404, {"errors": []}, token=TOKEN)
        work.use(folder, ["PASSWORD: secret/ci/db#pass", "NOPE: secret/nope#x"])
        run = work.run("echo there-$((1+1))", P="${{ secrets.NOPE }}")
        assert run.result.error[:2] == (201, "ERR_VAULT_MISMATCH") and "devdep.yaml:6:9: secret NOPE" in run.result.error[2], run.result
        assert "there-2" not in run.result.out
        # A job that names none of them needs none.
        assert work.run("echo there-$((1+1))").result.status == 0
        work.account.unlink()
        unknown = work.run("echo there-$((1+1))", P="${{ secrets.NOPE }}").result
        assert unknown.error[:2] == (201, "ERR_VAULT_MISMATCH") and "nothing says how this host signs in to https://vault.test" in unknown.error[2], unknown


@pytest.mark.guest
def test_lent_credentials_are_given_back_at_the_end(work, folder):
    with work.replay() as vault:
        lends(vault)
        work.use(folder, ["DB_USER: database/creds/app#username", "DB_PASSWORD: database/creds/app#password"], auth="jwt", more="role: ci, ",
                 account={"address": f"https://vault.test:{work.port}", "jwt": JWT})
        run = work.run("echo ${#U} ${#P}", U="${{ secrets.DB_USER }}", P="${{ secrets.DB_PASSWORD }}")
        assert run.result.status == 0 and len(CREDS) == 2, run.result
        assert run["a"].steps[0].log.split() == ["46", "20"]
        assert [r[:2] for r in vault.asked()][-2:] == [("PUT", "/v1/sys/leases/revoke"), ("POST", "/v1/auth/token/revoke-self")]


WAITS = """echo "first-$((1+1)) $(cat /run/secrets/PASSWORD) $$ $(stat -c %i /run/secrets/PASSWORD)"
until [ "$(cat /run/secrets/PASSWORD)" != p1 ]; do sleep 0.2; done
echo "then $(cat /run/secrets/PASSWORD) $$ $(stat -c %i /run/secrets/PASSWORD)"; printf '%s %s\\n' p1x xp2 | tr -d x
"""


@pytest.mark.guest
def test_a_rotated_secret_replaces_the_file_of_a_running_guest(work, folder):
    """Asked for every 30 s; the process keeps its pid, the file is another one, both values are masked."""
    with work.replay() as vault:
        signed_in(vault)
        vault.play("04-kv2-read", token=TOKEN)
        vault.play("10-kv2-metadata", token=TOKEN, **{'"current_version":2': '"current_version":1'})
        work.use(folder, ["PASSWORD: {ref: secret/ci/db#pass, key_rotation: automatic}"])
        work.workflow(WAITS, P="${{ secrets.PASSWORD }}")
        live = runs.Live(work.cli, work.repo, "--memory", "512M")
        live.wait_for("first-2")
        newest(vault)
        run = runs.Run(live.end())
        assert run.result.status == 0, run.result
        first, then, both = run["a"].steps[0].lines[:3]
        assert first.split()[:2] == ["first-2", "***"] and then.split()[:2] == ["then", "***"] and both == "*** ***"
        assert first.split()[2] == then.split()[2] and first.split()[3] != then.split()[3]


