#!/usr/bin/python3
"""Write N workflow files: input for check.mjs and workflow_check.

Each is made from GitHub's own schema (npm @actions/workflow-parser), key by key, in block or flow style; then, in two of three, one thing is made wrong: a key
misspelt, left out or added, a value of another kind, an expression with a context that may not be there, a name that nothing has.

usage: generate_workflows.py SEED COUNT FOLDER"""
import json
import pathlib
import random
import sys

SCHEMA = json.loads((pathlib.Path(__file__).parent / "node_modules/@actions/workflow-parser/dist/workflow-v1.0.min.json").read_text())["definitions"]
CONTEXTS = {"github": "github.ref", "inputs": "inputs.level", "vars": "vars.X", "needs": "needs.a.result", "strategy": "strategy.job-index",
            "matrix": "matrix.os", "secrets": "secrets.S", "steps": "steps.s.outcome", "job": "job.status", "runner": "runner.os", "env": "env.A",
            "jobs": "jobs.a.result"}
WORDS = ["x", "abc", "a b", "build", "Release 1", "1.20", "true", "null", "ubuntu-latest", "main", "é", "v*", "it's", "8", "-", "yes", "''"]
IDS = ["a", "b", "c", "job-1", "_x"]
SEQUENCES_OF = {"cron": "'30 5 * * 1-5'"}


class Scalar:
    """Text that stands in the file as it is."""

    def __init__(self, text):
        self.text = text


def quoted(text):
    return Scalar("'" + text.replace("'", "''") + "'")


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def expression(self, contexts):
        known = [CONTEXTS[c] for c in contexts if c in CONTEXTS]
        if not known or self.r.random() < 0.03:
            known = list(CONTEXTS.values())
        text = self.r.choice(known)
        kind = self.r.random()
        if kind < 0.3:
            text = f"{text} == '{self.r.choice(['x', 'main'])}' && {self.r.choice(known)}"
        elif kind < 0.5:
            text = f"format('{{0}}', {text})"
        elif kind < 0.53:
            text = self.r.choice(["", "a b", "1 +", "nope()", text + ".", "'", f"contains({text})"])
        return "${{ " + text + " }}"

    def string(self, name, body, contexts):
        if "constant" in body:
            return Scalar(body["constant"])
        if name == "cron-pattern" or name == "cron":
            return quoted(self.r.choice(["30 5 * * 1-5", "*/15 * * * *", "0 0 1 jan sun", "61 * * * *"]))
        if contexts and self.r.random() < 0.35:
            text = self.expression(contexts)
            return quoted(text if self.r.random() < 0.7 else "a " + text + " b")
        text = self.r.choice(WORDS)
        plain = text not in ("-", "''") and "'" not in text
        return Scalar(text) if plain and self.r.random() < 0.6 else quoted(text)

    def value(self, name, contexts=(), depth=0):
        special = getattr(self, "make_" + name.replace("-", "_"), None)
        if special:
            return special(contexts, depth)
        if name in ("string", "any"):
            return self.string(name, {}, contexts)
        if name in ("number", "boolean", "null", "mapping", "sequence"):
            return self.basic(name)
        body = SCHEMA[name]
        contexts = list(contexts) + body.get("context", [])
        if "one-of" in body:
            return self.value(self.r.choice(body["one-of"]), contexts, depth)
        if "allowed-values" in body:
            return Scalar(self.r.choice(body["allowed-values"]))
        if "mapping" in body:
            return self.mapping(body["mapping"], contexts, depth)
        if "sequence" in body:
            return [self.value(body["sequence"]["item-type"], contexts, depth + 1) for _ in range(self.r.randrange(1, 3))]
        if "string" in body:
            return self.string(name, body["string"], contexts)
        return self.basic(next((k for k in ("number", "boolean", "null") if k in body), "null"))

    def basic(self, kind):
        return {"number": Scalar(self.r.choice(["1", "30", "2.5", "0", "0x10"])), "boolean": Scalar(self.r.choice(["true", "false", "True"])),
                "null": Scalar(""), "mapping": {"k": Scalar("v")}, "sequence": [Scalar("v")]}[kind]

    def mapping(self, body, contexts, depth):
        result = {}
        properties = body.get("properties", {})
        chance = 0.3 if len(properties) > 8 else 0.5
        for key, kind in properties.items():
            kind = {"type": kind} if isinstance(kind, str) else kind
            if kind.get("required") or (depth < 7 and self.r.random() < chance):
                result[key] = self.value(kind["type"], contexts, depth + 1)
        if "loose-key-type" in body:
            for key in self.r.sample(["A", "b-c", "D_1"], self.r.randrange(0 if properties else 1, 3)):
                result[key] = self.value(body["loose-value-type"], contexts, depth + 1)
        return result

    # What a random choice among everything would hardly ever make.

    def make_jobs(self, contexts, depth):
        ids = self.r.sample(IDS, self.r.randrange(1, 4))
        jobs = {}
        for i, job in enumerate(ids):
            jobs[job] = self.value("job-factory" if self.r.random() < 0.85 else "workflow-job", contexts, depth + 1)
            jobs[job].pop("needs", None)
            if i and self.r.random() < 0.6:
                jobs[job]["needs"] = [Scalar(n) for n in self.r.sample(ids[:i], self.r.randrange(1, i + 1))]
        if self.r.random() < 0.9 and not any("needs" not in job for job in jobs.values()):
            jobs[ids[0]].pop("needs", None)
        return jobs

    def make_steps(self, contexts, depth):
        contexts = ["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env"]
        return [self.value("run-step" if self.r.random() < 0.6 else "regular-step", contexts, depth + 1) for _ in range(self.r.randrange(1, 4))]

    def make_job_if(self, contexts, depth):
        return self.condition(["github.ref == 'x'", "always()", "needs.a.result != 'x' || failure('a')", "inputs.level", "success('a', 'b') && vars.X"])

    def make_step_if(self, contexts, depth):
        return self.condition(["github.ref == 'x'", "always() && steps.s.outcome == 'success'", "!cancelled()", "matrix.os", "hashFiles('x') != ''", "env.A"])

    def make_snapshot_if(self, contexts, depth):
        return quoted(self.r.choice(["github.ref == 'x'", "${{ matrix.os == 'a' }}"]))

    def condition(self, good):
        text = self.r.choice(good) if self.r.random() < 0.95 else self.r.choice(["a b", "1 +", "secrets.S", "matrix.os", "steps.s", "success(", "nope()"])
        return quoted(text if self.r.random() < 0.6 else "${{ " + text + " }}")

    def make_step_uses(self, contexts, depth):
        return Scalar(self.r.choice(["actions/checkout@v4", "./local", "docker://alpine:3", "owner/repo/path@main", "owner/repo", "x"] if self.r.random() < 0.3
                                    else ["actions/checkout@v4"]))

    def make_step_id(self, contexts, depth):
        return Scalar(self.r.choice(["s", "t", "u", "v", "w"]))

    def make_workflow_job(self, contexts, depth):
        job = self.mapping(SCHEMA["workflow-job"]["mapping"], contexts, depth)
        job["uses"] = Scalar(self.r.choice(["owner/repo/.github/workflows/x.yml@v1", "owner/repo/.github/workflows/x.yml@v1", "owner/repo/x.yml", "x"]))
        return job

    # One thing wrong.

    def places(self, tree, path=()):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else []
        for key, child in items:
            yield tree, key
            yield from self.places(child, path + (key,))

    def spoil(self, tree):
        parent, key = self.r.choice(list(self.places(tree)))
        kind = self.r.randrange(7)
        if kind == 0 and isinstance(parent, dict):
            self.rename(parent, key, self.r.choice([str(key)[:-1] + "x", str(key).upper() if key not in IDS else "Y", "unknown", "${{ github.ref }}"]))
        elif kind == 1:
            del parent[key]
        elif kind == 2 and isinstance(parent, dict):
            parent[self.r.choice(["unknown", "run", "uses", "steps", "needs", "name", "types"])] = self.string("", {}, [])
        elif kind == 3:
            parent[key] = self.r.choice([Scalar("7"), Scalar("true"), Scalar(""), [Scalar("a")], {"k": Scalar("v")}, quoted("text")])
        elif kind == 4:
            parent[key] = quoted(self.expression([]))
        elif kind == 5:
            parent[key] = quoted(self.r.choice(["${{ github.ref", "${{ }}", "${{ a..b }}", "x ${{ github.ref }} ${{ ! }}"]))
        elif isinstance(tree.get("jobs"), dict):
            job = self.r.choice(list(tree["jobs"].values()) or [None])
            if isinstance(job, dict):
                job["needs"] = self.r.choice([Scalar("nobody"), [Scalar(i) for i in self.r.sample(IDS, 2)], Scalar("a")])

    @staticmethod
    def rename(parent, key, name):
        items = list(parent.items())
        parent.clear()
        parent.update({(name if k == key else k): v for k, v in items})

    # YAML.

    def flow(self, value):
        if isinstance(value, Scalar):
            return value.text
        if isinstance(value, list):
            return "[" + ", ".join(self.flow(v) for v in value) + "]"
        return "{" + ", ".join(f"{self.key(k)}: {self.flow(v)}" for k, v in value.items()) + "}"

    @staticmethod
    def key(text):
        return f"'{text}'" if text[:1] in "${" or not text else text

    def lines(self, value, indent):
        pad = " " * indent
        for key, child in value.items() if isinstance(value, dict) else ((None, v) for v in value):
            head = pad + ("- " if key is None else self.key(key) + ":")
            if isinstance(child, Scalar):
                yield head + ("" if key is None or not child.text else " ") + child.text
            elif not child or self.r.random() < 0.15:
                yield head + ("" if key is None else " ") + self.flow(child)
            elif key is None:
                first, *rest = self.lines(child, indent + 2)
                yield pad + "- " + first[indent + 2:]
                yield from rest
            else:
                yield head
                yield from self.lines(child, indent + 2)

    def file(self):
        tree = self.value("workflow-root-strict")
        for _ in range(self.r.choice([0, 1, 1])):
            self.spoil(tree)
        return "\n".join(self.lines(tree, 0)) + "\n"


def main():
    maker, folder = Maker(int(sys.argv[1])), pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(int(sys.argv[2])):
        (folder / f"{i:05}.yml").write_text(maker.file())


if __name__ == "__main__":
    main()
