"""GitHub's own evaluator and parser of workflows (npm @actions/expressions, @actions/workflow-parser) as programs beside ours."""
import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).resolve().parents[1] / "github-parser"


def missing():
    """Why they cannot run, or None."""
    if not node():
        return "node is not installed"
    if not (HERE / "node_modules" / "@actions" / "expressions").is_dir():
        return "the npm packages of tests/github-parser are not installed: run tools/setup-interop"
    return None


def node():
    return shutil.which("node") or shutil.which("nodejs")


def prepare(folder):
    """A copy of programs and packages whose JSON imports work in every Node."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "node_modules", folder / "node_modules")
    for name in ["answer.mjs", "check.mjs"]:
        shutil.copy(HERE / name, folder)
    for source in (folder / "node_modules" / "@actions").glob("*/dist/**/*.js"):
        text = source.read_text()
        new = re.sub(r'import (\w+) from ("[^"]+\.json");',
                     r'import { createRequire } from "node:module"; const \1 = createRequire(import.meta.url)(\2);', text)
        if new != text:
            source.write_text(new)
    return folder
