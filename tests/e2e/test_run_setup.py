"""setup-node and setup-python in a real guest of the default image."""
import json

import pytest

import runs

pytestmark = [pytest.mark.guest, pytest.mark.user]


@pytest.fixture(scope="module")
def run():
    scene = runs.Scene()
    repo = scene.repo()
    repo.write(".python-version", "3\n")
    repo.workflow(json.dumps({"on": "push", "jobs": {"a": {"runs-on": "ubuntu-latest", "steps": [
        {"uses": "actions/checkout@v4"},
        {"id": "node", "uses": "actions/setup-node@v4", "with": {"node-version": ">=16"}},
        {"id": "python", "uses": "actions/setup-python@v5"},
        {"id": "look", "run": "node --version; echo ${{ steps.node.outputs.node-version }}; python --version; echo Python ${{ steps.python.outputs.python-version }}\n"
                              "python -c 'import sys; print(sys.prefix == \"'$pythonLocation'\", sys.prefix != sys.base_prefix)'; [ \"$(command -v python)\" = "
                              "'${{ steps.python.outputs.python-path }}' ] && echo found"},
        {"id": "old", "continue-on-error": True, "uses": "actions/setup-node@v4", "with": {"node-version": "4"}},
    ]}}}))
    repo.commit()
    return runs.Run(scene.cli("run", "--json", cwd=repo.path, timeout=600)).jobs["a"]


def test_the_image_has_what_is_asked_for(run):
    assert run.conclusion == "success", run["look"]
    node, told, python, wanted, prefix, found = run["look"].lines
    assert node == told and python == wanted and (prefix, found) == ("True True", "found")


def test_what_it_has_not_is_said(run):
    assert run["old"].outcome == "failure" and "the image has no Node.js 4; it has " in run["old"].reason
