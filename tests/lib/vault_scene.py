"""What the tests of Vault share: a server at vault.test that plays recordings back, and runs that take their secrets from it."""
import contextlib
import json

import devdep
import runs
from secrets_service import Service, order
from vault_replay import Replay
from world import SERVERS, Authority, HostCli

TOKEN = "hvs.test-token-of-this-job"
FOREVER = {"request_id": "x", "data": {"ttl": 0, "renewable": False}}
PROFILE = """entity: web
domain: corp.example
vault: {{endpoint: 'https://vault.test:{port}', auth: {auth}, {more}ca: ca.pem}}
secrets:
{secrets}"""


class Scene:
    """A world with a name server, an authority, and one server at vault.test."""

    def __init__(self, world):
        self.world = world
        self.authority = Authority(world.folder)
        self.certificate = self.authority.issue("vault.test")
        self.ca = self.authority.bundle.read_text()
        world.names.table["vault.test"] = [SERVERS[0]]
        self.port = 8200

    @contextlib.contextmanager
    def replay(self, certificate=None, **substitutes):
        # A port of its own for each test: connections of the last one may still be there.
        self.port += 1
        listener = self.world.socket(SERVERS[0], self.port)
        with Replay(listener, certificate or self.certificate, **substitutes) as replay:
            yield replay

    def order(self, *secrets, **vault):
        return order(*secrets, **{"address": f"https://vault.test:{self.port}", "ca": self.ca, **vault})

    def service(self, *secrets, given=None, check=False, wrap=(), **vault):
        return Service(self.order(*secrets, **vault), self.world, check=check, wrap=wrap, **(given or {"token": TOKEN}))


def signed_in(replay):
    replay.answer("GET", "/v1/auth/token/lookup-self", 200, FOREVER, token=TOKEN)


class Work(Scene):
    """A scene, and a repository and a host that use its server."""

    def __init__(self, world, folder):
        super().__init__(world)
        self.folder = folder

    def use(self, folder, secrets, auth="token", more="", account=None, rest="", account_folder=None):
        """A repository whose profile names these lines of secrets, and what this host signs in with (None: the token of the test)."""
        state = folder / "state"
        state.mkdir(exist_ok=True)
        self.cli, self.repo = HostCli(self.world, state), devdep.Repo(folder / "repo")
        self.repo.write("ca.pem", self.ca)
        self.repo.write("devdep.yaml", PROFILE.format(port=self.port, auth=auth, more=more, secrets="".join(f"  {line}\n" for line in secrets)) + rest)
        account = {"address": f"https://vault.test:{self.port}", "token": TOKEN} if account is None else account
        self.account = (account_folder or state) / "vault.conf"
        self.account.write_text("".join(f"{key}={value}\n" for key, value in account.items()))
        self.account.chmod(0o600)

    def validate(self, *args):
        return self.cli("validate", "--file", self.repo.path / "devdep.yaml", *args)

    def workflow(self, run, **env):
        self.repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "default", "env": env, "steps": [{"run": run}]}}}))
        self.repo.commit()

    def run(self, run, *args, **env):
        self.workflow(run, **env)
        return runs.Run(self.cli("run", "--json", "--dir", self.repo.path, "--memory", "512M", *args))
