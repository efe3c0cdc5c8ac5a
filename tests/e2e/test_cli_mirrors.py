"""devdep-cli mirrors, and the operator's file of package mirrors: who may have written it, and what is said of a wrong one (docs/mirrors.md)."""
import http.server
import json
import os
import threading

import pytest

import devdep
import runs

pytestmark = pytest.mark.user
GOOD = "npm = http://npm.corp.test/all/ kind=npm\ndebian = 10.0.0.5:3142\n"


def put(cli, text, mode=0o644, name="mirrors.conf"):
    path = cli.state / name
    path.write_text(text)
    path.chmod(mode)
    devdep.give(cli.state)
    return path


def test_ls_shows_urls_in_the_guest_and_servers(cli):
    assert cli("mirrors", "ls").out == "no mirrors: there is no mirrors.conf; see devdep-mirrors.conf(5)\n"
    path = put(cli, GOOD)
    listed = cli("mirrors", "ls")
    assert listed.out == ("npm    http://npm.devdep.internal/all/  (http://npm.corp.test:80)\n"
                          "       http://debian.devdep.internal/  (http://10.0.0.5:3142)\n"), listed
    shown = json.loads(cli("mirrors", "ls", "--json").out)
    url = "http://npm.devdep.internal/all/"
    assert shown["file"] == str(path) and shown["mirrors"][0] == {
        "name": "npm", "kind": "npm", "url": url, "server": "http://npm.corp.test:80", "ca": None, "environment": {"DEVDEP_MIRROR_NPM": url, "npm_config_registry": url}}
    assert shown["mirrors"][1]["kind"] is None and len(shown["mirrors"]) == 2


def test_a_named_file_goes_before_that_of_the_state(cli, folder):
    put(cli, GOOD)
    other = put(cli, "go = 127.0.0.1:3000 kind=go\n", name="other")
    assert cli("mirrors", "ls", "--mirrors", other).out == "go     http://go.devdep.internal/  (http://127.0.0.1:3000)\n"
    missing = cli("mirrors", "ls", "--mirrors", folder / "none")
    assert missing.status == 2 and missing.error[2].startswith("--mirrors: there is no file"), missing


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_refused(cli, mode):
    put(cli, GOOD, mode)
    for command in (("mirrors", "ls"), ("run",)):
        result = cli(*command)
        assert result.status == 2, result
    assert "somebody else could have written it" in cli("mirrors", "ls").error[2]


@pytest.mark.skipif(os.geteuid() != 0 or devdep.USER is not None, reason="files of two users need root")
def test_a_file_of_another_user_is_refused(cli):
    os.chown(put(cli, GOOD), 65534, 65534)
    assert "somebody else could have written it" in cli("mirrors", "ls").error[2]


def test_what_is_no_file_is_refused_at_once(cli):
    os.mkfifo(cli.state / "mirrors.conf")
    devdep.give(cli.state)
    assert "expected a file" in cli("mirrors", "ls").error[2]


@pytest.mark.parametrize("line, part", [
    ("npm http://a", ":2:5: expected NAME = SERVER"), ("results = a:1", ":2:1: 'results' is a name of the host's own services"),
    ("npm = http://a:x", ":2:16: the port"), ("npm = 169.254.169.254:80", ":2:7: 169.254.169.254 is a metadata address"),
    ("npm = http://me:word@a", ":2:14: no user and no password"), ("npm = a:1\nnpm = b:1", ":3:1: 'npm' stands twice")])
def test_a_wrong_line_is_named_with_its_place_before_anything_runs(cli, repo, line, part):
    path = put(cli, f"# mirrors\n{line}\n")
    repo.workflow("on: push\njobs: {a: {runs-on: default, steps: [{run: 'true'}]}}")
    repo.commit()
    for result in (cli("mirrors", "ls"), cli("run", "--dir", repo.path)):
        assert result.status == 2 and result.error[2].startswith(f"{path}{part}"), result
    assert not (cli.state / "runs").exists() or not list((cli.state / "runs").glob("[0-9]*"))


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("text, mode, part", [
    (None, 0, "there is no such file of certificates"), (CERTIFICATE, 0o666, "somebody else could have written it"), ("nothing", 0o644, "expected certificates in PEM"),
    ("", 0o644, "expected certificates in PEM"), (CERTIFICATE + "x" * (1 << 20), 0o644, "1048576"), (CERTIFICATE.encode() + b"\xff", 0o644, "which is text")],
    ids=["missing", "writable", "none", "empty", "large", "binary"])
def test_a_file_of_certificates_that_is_none_is_refused_before_anything_runs(cli, repo, text, mode, part):
    ca = cli.state / "ca.pem"
    if text is not None:
        ca.write_bytes(text if isinstance(text, bytes) else text.encode())
        ca.chmod(mode)
    put(cli, f"npm = https://npm.corp.test ca={ca}\n")
    repo.workflow("on: push\njobs: {a: {runs-on: default, steps: [{run: 'true'}]}}")
    repo.commit()
    for result in (cli("run", "--dir", repo.path), cli("mirrors", "ls")):
        assert result.status == 2 and str(ca) in result.error[2] and part in result.error[2], result
    assert not (cli.state / "runs").exists() or not list((cli.state / "runs").glob("[0-9]*"))


def test_nothing_of_a_file_is_taken_from_the_repository(cli, repo):
    """Not a file of that name in it, nor an entry of its profile."""
    repo.write("mirrors.conf", GOOD)
    repo.write("devdep.yaml", "entity: a\ndomain: a.example\negress: {mirrors: [npm]}\n")
    repo.commit()
    assert cli("mirrors", "ls", cwd=repo.path).out.startswith("no mirrors")
    validated = cli("validate", "--offline", "--file", "devdep.yaml", cwd=repo.path)
    assert validated.status != 0 and "mirrors" in validated.text, validated


class Greets(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello {self.headers['Host']}\n".encode())

    def log_message(self, *args):
        pass


@pytest.mark.guest
def test_a_mirror_on_this_host_is_reached_from_a_sealed_guest_for_root_and_for_an_ordinary_user(cli, repo):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greets) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        put(cli, f"here = 127.0.0.1:{server.server_port}\n")
        repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "steps": [{"run": "curl -sSf $DEVDEP_MIRROR_HERE"}]}}}))
        repo.commit()
        job = runs.Run(cli("run", "--json", "--dir", repo.path, "--memory", "512M"))["a"]
        server.shutdown()
    assert job.conclusion == "success" and job.steps[0].log == "hello here.devdep.internal\n", job.steps
    (record,) = [e for e in job.events if e["type"] == "egress" and e["kind"] == "connect"]
    assert (record["verdict"], record["address"], record["mirror"]) == ("allowed", "127.0.0.1", f"http://127.0.0.1:{server.server_port}")
