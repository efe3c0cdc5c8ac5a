"""The operator's package mirrors by name in real guests: apt-get, npm and pip as they are, against nginx in a namespace of the test."""
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile
import zipfile

import pytest

import devdep
import pool
import runs
import test_egress
import world as worlds
from test_egress import text_of
from world import NOBODY, PRIVATE, SERVERS

pytestmark = [pytest.mark.guest, pytest.mark.skipif(worlds.missing() is not None or devdep.USER is not None, reason="network namespaces need root")]
NPM = pathlib.Path(__file__).resolve().parents[1] / "mirror-clients/node_modules/npm"
WHEELS = pathlib.Path("/usr/share/python-wheels")
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; events {{ worker_connections 512; }}
http {{
  log_format asked '$host $server_port $request_uri'; access_log {folder}/access.log asked; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; types {{ }}
  server {{ listen {private}:8443 ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; root {folder}/www; default_type application/octet-stream; }}
  server {{ listen {private}:443; listen {private}:3142; root {folder}/www; default_type application/octet-stream; }}
  server {{ listen {private}:4873; root {folder}/npm; default_type application/json; index package.json; absolute_redirect off; }}
  server {{ listen {private}:3141; root {folder}/pypi; default_type text/html; index index.html; }}
}}
"""
MIRRORS = f"""\
# what this host's operator offers
debian = http://deb.corp.test:3142
npm = {PRIVATE}:4873 kind=npm
py-pi = http://pypi.corp.test:3141/simple/ kind=pypi
gone = http://nobody.corp.test
astray = http://astray.corp.test:8080
tls = https://secure.corp.test:8443 ca={{authorities}}
unproven = https://secure.corp.test:8443
"""
APT = "sudo apt-get -q -o Dir::Etc::sourcelist=$PWD/list -o Dir::Etc::sourceparts=/dev/null"


def put_npm(folder):
    """A registry of static files: what npm reads of a package, and its archive. Registries name archives by the Host that they were asked for."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, text in (("package.json", '{"name": "greet", "version": "1.0.0"}'), ("index.js", "module.exports = 'hello from npm'\n")):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    (folder / "greet/-").mkdir(parents=True)
    (folder / "greet/-/greet-1.0.0.tgz").write_bytes(archive.getvalue())
    dist = {"tarball": "http://npm.devdep.internal/greet/-/greet-1.0.0.tgz", "shasum": hashlib.sha1(archive.getvalue()).hexdigest()}
    (folder / "greet/package.json").write_text(json.dumps({
        "name": "greet", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "greet", "version": "1.0.0", "dist": dist}}}))


def put_pypi(folder):
    """A simple index (PEP 503) with one wheel."""
    wheel = folder / "simple/greet/greet-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("greet.py", "print('hello from pip')\n")
        z.writestr("greet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
        z.writestr("greet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("greet-1.0.dist-info/RECORD", "greet.py,,\ngreet-1.0.dist-info/METADATA,,\ngreet-1.0.dist-info/WHEEL,,\ngreet-1.0.dist-info/RECORD,,\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "simple/greet/index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


@pytest.fixture(scope="module")
def world():
    with worlds.World() as w:
        www = w.folder / "www"
        www.mkdir()
        (www / "hello").write_text("hello from nginx\n")
        test_egress.package(w.folder)
        put_npm(w.folder / "npm")
        put_pypi(w.folder / "pypi")
        w.names.table.update({"deb.corp.test": [PRIVATE], "pypi.corp.test": [PRIVATE], "nobody.corp.test": [NOBODY], "astray.corp.test": ["127.0.0.1"], "secure.corp.test": [PRIVATE],
                              "web.example.test": [SERVERS[0]]})
        w.authority = worlds.Authority(w.folder)
        certificate, key = w.authority.issue("secure.corp.test")
        (w.folder / "nginx.conf").write_text(NGINX.format(folder=w.folder, private=PRIVATE, certificate=certificate, key=key))
        nginx = w.popen(["nginx", "-p", w.folder, "-c", w.folder / "nginx.conf"])

        def serves():
            assert nginx.poll() is None, (w.folder / "error.log").read_text()
            return w.inside(test_egress.listening)
        runs.wait_until(serves, "nginx listens")
        yield w


class Scene(test_egress.Scene):
    def __init__(self, world, folder):
        self.world = world
        state = folder / "state"
        state.mkdir()
        self.cli, self.repo = test_egress.HostCli(world, state), devdep.Repo(folder / "repo")
        (state / "mirrors.conf").write_text(MIRRORS.format(authorities=world.authority.bundle))

    def run(self, *steps, args=("--memory", "512M"), env=None):
        self.repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "env": env or {}, "steps": [
            {"uses": "actions/checkout@v4"}, *({"name": f"step {i}", "run": step} if isinstance(step, str) else step for i, step in enumerate(steps))]}}}))
        self.repo.commit()
        self.result = runs.Run(self.cli("run", "--json", "--dir", self.repo.path, *args))
        return self.result["a"]


@pytest.fixture
def scene(world, folder):
    return Scene(world, folder)


def pack_npm():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(NPM, "npm", filter=lambda m: None if m.name.startswith(("npm/docs", "npm/man")) else m)
    return data.getvalue()


@pytest.mark.skipif(not NPM.is_dir(), reason="npm of tests/mirror-clients is missing: run tools/setup-interop")
@pytest.mark.skipif(not list(WHEELS.glob("pip-*.whl")), reason="no wheel of pip: apt-get install python3-pip-whl")
def test_apt_get_npm_and_pip_work_unmodified_in_a_sealed_guest(scene):
    (wheel,) = WHEELS.glob("pip-*.whl")
    scene.repo.write("npm.tgz", pack_npm())
    scene.repo.write(wheel.name, wheel.read_bytes())
    job = scene.run(f'echo "deb [trusted=yes] ${{DEVDEP_MIRROR_DEBIAN}}debian ./" > list\n{APT} update && {APT} install -y greet && greet',
                    "tar xf npm.tgz && node npm/bin/npm-cli.js install --no-audit greet && node -p 'require(\"greet\")'",
                    f"python3 {wheel.name}/pip install --disable-pip-version-check --target there greet && PYTHONPATH=there python3 -m greet")
    assert job.conclusion == "success", [(s.log, s.annotations) for s in job.steps]
    assert [s.lines[-1] for s in job.steps[1:]] == ["hello from a package", "hello from npm", "hello from pip"], job.steps
    asked = (scene.world.folder / "access.log").read_text()
    for line in ("debian.devdep.internal 3142 /debian/./greet.deb", "npm.devdep.internal 4873 /greet/-/greet-1.0.0.tgz", "py-pi.devdep.internal 3141 /simple/greet/"):
        assert line in asked, asked
    connections = scene.records(kind="connect")
    assert {(r["name"], r["port"], r["address"], r["verdict"], r["mirror"]) for r in connections} == {
        ("debian.devdep.internal", 80, PRIVATE, "allowed", "http://deb.corp.test:3142"), ("npm.devdep.internal", 80, PRIVATE, "allowed", f"http://{PRIVATE}:4873"),
        ("py-pi.devdep.internal", 80, PRIVATE, "allowed", "http://pypi.corp.test:3141")}
    assert all(r["received"] > 0 and r["sent"] > 0 for r in connections) and {r["step"] for r in connections} == {1, 2, 3}
    recorded = json.loads((scene.cli.state / "runs/1/run.json").read_text())
    names = {"debian": "plain", "npm": "npm", "py-pi": "pypi", "gone": "plain", "astray": "plain", "tls": "plain", "unproven": "plain"}
    assert recorded["egress"] == {"profile": "sealed", "mirrors": names} and recorded["jobs"][0]["egress"]["mirrors"] == names
    signed = json.loads(scene.cli("records", "show", "1").out)
    assert signed["record"]["egress"]["mirrors"] == names, signed


QUICK = "timeout 60 {} || echo status $?"  # 124: it hung
PROFILES = {"sealed": ["--egress", "sealed"], "brokered": ["--allow", "web.example.test"], "audit": ["--egress", "audit"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_mirror_is_there_in_every_profile_and_nothing_else_is_there_through_it(scene, profile, folder):
    report = folder / "report"
    urls = {"other": "http://other.devdep.internal/", "below": "http://a.debian.devdep.internal/", "port": "http://debian.devdep.internal:3142/hello",
            "secure": "https://debian.devdep.internal/hello", "gone": "http://gone.devdep.internal/", "astray": "http://astray.devdep.internal/",
            "unproven": "http://unproven.devdep.internal/hello"}
    job = scene.run({"id": "case", "run": "curl -sSf http://DEBIAN.devdep.internal/hello http://debian.devdep.internal./hello http://tls.devdep.internal/hello"},
                    *({"id": name, "run": QUICK.format(f"curl -sS {url}")} for name, url in urls.items()),
                    args=["--memory", "512M", *PROFILES[profile], "--egress-report", report])
    assert job.conclusion == "success" and job["case"].log == "hello from nginx\n" * 3, job.steps
    for name in urls:
        assert "status" in job[name].log and "status 124" not in job[name].log, job[name]
        (told,) = job[name].annotations
        assert told["level"] == "notice" and "could not be reached" in told["message"], told
    assert "its certificate is not good" in job["unproven"].annotations[0]["message"]
    assert "127.0.0.1 is a loopback address" in text_of(job) and "mirror" not in job["other"].annotations[0]["message"]
    assert "it is this host's mirror http://nobody.corp.test:80" in job["gone"].annotations[0]["message"]
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    found = {(x["name"], x["port"], x["verdict"], x.get("mirror")) for x in lines if x["kind"] == "connect"}
    deb = "http://deb.corp.test:3142"
    assert found == {("debian.devdep.internal", 80, "allowed", deb), ("debian.devdep.internal", 3142, "unreachable", deb),
                     ("debian.devdep.internal", 443, "unreachable", deb), ("other.devdep.internal", 80, "unreachable", None),
                     ("a.debian.devdep.internal", 80, "unreachable", None), ("gone.devdep.internal", 80, "unreachable", "http://nobody.corp.test:80"),
                     ("astray.devdep.internal", 80, "unreachable", "http://astray.corp.test:8080"),
                     ("tls.devdep.internal", 80, "allowed", "https://secure.corp.test:8443"),
                     ("unproven.devdep.internal", 80, "unreachable", "https://secure.corp.test:8443")}, found
    for source in ("1", report):
        assert "devdep.internal" not in scene.cli("egress", "suggest", source).out


def test_what_the_mirror_is_called_outside_stays_refused(scene):
    """The guest has the name that the operator gave, and no way to the server by its own name or address."""
    job = scene.run(*({"run": f"curl -sS {url} || echo refused", "continue-on-error": True} for url in ("http://deb.corp.test:3142/hello", f"http://{PRIVATE}:3142/hello")),
                    args=["--memory", "512M", "--on-violation", "warn"])
    assert [step.lines[-1] for step in job.steps[1:]] == ["refused"] * 2
    assert {(r.get("name") or r["address"], r["verdict"]) for r in scene.records(kind="packet")} == {("deb.corp.test", "denied"), (PRIVATE, "denied")}


def test_a_parked_guest_of_the_pool_has_the_mirrors_of_its_run(scene):
    """Parked before the file was there: it is the run's broker that knows mirrors."""
    (scene.cli.state / "mirrors.conf").unlink()
    parked = pool.Pool(scene.cli, "--warm", "default")
    try:
        parked.wait_for(1)
        (scene.cli.state / "mirrors.conf").write_text(MIRRORS.format(authorities=scene.world.authority.bundle))
        job = scene.run("curl -sSf http://debian.devdep.internal/hello; echo $DEVDEP_MIRROR_DEBIAN", args=())
        assert job.started["origin"] == "parked" and job.steps[1].log == "hello from nginx\nhttp://debian.devdep.internal/\n", job.steps
        assert scene.records(kind="connect")[0]["mirror"] == "http://deb.corp.test:3142"
    finally:
        parked.stop()


def test_steps_have_variables_that_a_workflow_can_replace(scene, folder):
    named = folder / "other.conf"
    named.write_text(f"debian = {PRIVATE}:3142\nnpm = {PRIVATE}:4873 kind=npm\n")
    show = 'env | grep -i -e ^npm_config -e ^PIP_ -e ^DEVDEP_MIRROR | sort'
    job = scene.run(show, {"run": show, "env": {"NPM_CONFIG_REGISTRY": "http://own.test/", "DEVDEP_MIRROR_DEBIAN": "own"}},
                    args=["--memory", "512M", "--mirrors", named])
    url = "http://npm.devdep.internal/"
    assert job.steps[1].lines == ["DEVDEP_MIRROR_DEBIAN=http://debian.devdep.internal/", f"DEVDEP_MIRROR_NPM={url}", f"npm_config_registry={url}"], job.steps
    assert job.steps[2].lines == ["DEVDEP_MIRROR_DEBIAN=own", f"DEVDEP_MIRROR_NPM={url}", "NPM_CONFIG_REGISTRY=http://own.test/"]
