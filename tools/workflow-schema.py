#!/usr/bin/python3
"""Write src/workflow/schema_tables.c from GitHub's published schemas of workflow and action files, so that no key, type or context is typed by hand.

usage: npm pack @actions/workflow-parser && tar xzf actions-workflow-parser-*.tgz
       tools/workflow-schema.py package > src/workflow/schema_tables.c

Only names and structure are taken (licence of the package: MIT); descriptions stay behind."""
import json
import pathlib
import sys

CONTEXTS = ["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env", "jobs"]
FUNCTIONS = {"always(0,0)": "SCHEMA_STATUS", "cancelled(0,0)": "SCHEMA_STATUS", "failure(0,0)": "SCHEMA_STATUS", "success(0,0)": "SCHEMA_STATUS",
             "failure(0,MAX)": "SCHEMA_STATUS | SCHEMA_STATUS_JOBS", "success(0,MAX)": "SCHEMA_STATUS | SCHEMA_STATUS_JOBS",
             "hashFiles(1,255)": "SCHEMA_HASH_FILES"}
BUILT_IN = {"any": {"any": {}}, "string": {"string": {}}, "number": {"number": {}}, "boolean": {"boolean": {}}, "null": {"null": {}},
            "sequence": {"sequence": {"item-type": "any"}}, "mapping": {"mapping": {"loose-key-type": "string", "loose-value-type": "any"}}}
IGNORED = {"description", "context"}
CONDITIONS = {"job-if", "step-if", "snapshot-if", "runs-if"}  # an expression without ${{ }} is meant
ACTION_ROOTS = ["action-root", "runs-if"]  # as the runner reads them; the editor's stricter forms refuse actions that run


def context_mask(names):
    bits = []
    for name in names:
        if name in CONTEXTS:
            bits.append(f"SCHEMA_{name.upper()}")
        else:
            bits.extend(FUNCTIONS[name].split(" | "))
    return " | ".join(sorted(set(bits))) or "0"


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def body_of(definition):
    """(kind, body) of a definition."""
    (kind, body), = [(k, v) for k, v in definition.items() if k not in IGNORED]
    return kind, body


def named_by(definition):
    """The definitions that one refers to."""
    kind, body = body_of(definition)
    if kind == "one-of":
        return body
    if kind == "sequence":
        return [body["item-type"]]
    if kind != "mapping":
        return []
    properties = [v if isinstance(v, str) else v["type"] for v in body.get("properties", {}).values()]
    return properties + [body[key] for key in ("loose-key-type", "loose-value-type") if key in body]


def reachable(definitions, roots):
    """What the roots need, in the order of the file."""
    found, todo = set(), list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(named_by(definitions[name]))
    return {name: definitions[name] for name in definitions if name in found}


class Tables:
    """The rows and arrays of one schema; its rows stand behind `base` others."""

    def __init__(self, prefix, base, definitions):
        self.prefix = prefix
        self.base = base
        self.definitions = definitions
        self.names = list(self.definitions)
        self.arrays = []
        self.rows = [self.row(name, definition) for name, definition in self.definitions.items()]

    def index(self, name):
        return self.base + self.names.index(name)

    def add_array(self, kind, name, items):
        self.arrays.append(f"static const {kind} {name}[] = {{ {', '.join(items)} }};")
        return name

    def mapping(self, symbol, body):
        properties = []
        for key, value in body.get("properties", {}).items():
            value = {"type": value} if isinstance(value, str) else value
            required = "true" if value.get("required") else "false"
            properties.append(f"{{ {quote(key)}, {self.index(value['type'])}, {required} }}")
        parts = []
        if properties:
            parts.append(f".properties = {self.add_array('struct schema_property', symbol, properties)}, .n = {len(properties)}")
        if "loose-key-type" in body:
            parts.append(f".loose = true, .loose_key = {self.index(body['loose-key-type'])}, .loose_value = {self.index(body['loose-value-type'])}")
        return ["SCHEMA_MAPPING", *parts]

    def string(self, body):
        parts = ["SCHEMA_STRING"]
        if "constant" in body:
            parts.append(f".constant = {quote(body['constant'])}")
        if body.get("require-non-empty"):
            parts.append(".non_empty = true")
        return parts

    def row(self, name, definition):
        kind, body = body_of(definition)
        symbol = self.prefix + "".join(c if c.isalnum() else "_" for c in name)
        if kind == "one-of":
            choices = self.add_array("uint16_t", symbol, [str(self.index(c)) for c in body])
            parts = ["SCHEMA_ONE_OF", f".choices = {choices}, .n = {len(body)}"]
        elif kind == "allowed-values":
            values = self.add_array("char *const", symbol, [quote(v) for v in body])
            parts = ["SCHEMA_VALUES", f".values = {values}, .n = {len(body)}"]
        elif kind == "mapping":
            parts = self.mapping(symbol, body)
        elif kind == "sequence":
            parts = ["SCHEMA_SEQUENCE", f".item = {self.index(body['item-type'])}"]
        elif kind == "string":
            parts = self.string(body)
        else:
            parts = [{"any": "SCHEMA_ANY", "number": "SCHEMA_NUMBER", "boolean": "SCHEMA_BOOLEAN", "null": "SCHEMA_NULL"}[kind]]
        if name in CONDITIONS:
            parts.append(".condition = true")
        mask = context_mask(definition.get("context", []))
        if mask != "0":
            parts.append(f".context = {mask}")
        return f"        {{ {quote(name)}, {', '.join(parts)} }},"


def emit(version, workflow, action):
    print(f"/* Generated by tools/workflow-schema.py from npm @actions/workflow-parser {version}; do not edit. */")
    print('#include "workflow/schema.h"\n')
    print("/* clang-format off */")
    print("\n".join(workflow.arrays + action.arrays))
    print("\nconst struct schema_def schema_defs[] = {")
    print("\n".join(workflow.rows + action.rows))
    print("};")
    print(f"const uint16_t schema_workflow = {workflow.index('workflow-root-strict')};")
    print(f"const uint16_t schema_events = {workflow.index('on-mapping-strict')};")
    print(f"const uint16_t schema_action = {action.index('action-root')};")
    print(f"const uint16_t schema_action_if = {action.index('runs-if')};")


def main():
    package = pathlib.Path(sys.argv[1])
    definitions = [{**BUILT_IN, **json.loads((package / "dist" / name).read_text())["definitions"]} for name in ("workflow-v1.0.min.json", "action-v1.0.min.json")]
    version = json.loads((package / "package.json").read_text())["version"]
    workflow = Tables("d_", 0, definitions[0])
    emit(version, workflow, Tables("a_", len(workflow.rows), reachable(definitions[1], ACTION_ROOTS)))


if __name__ == "__main__":
    main()
