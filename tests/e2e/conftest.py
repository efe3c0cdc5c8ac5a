import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import devdep  # noqa: E402
import runs  # noqa: E402
from fixtures import folder, pytest_collection_modifyitems, pytest_configure, repo  # noqa: E402, F401

runs.become_subreaper()


@pytest.fixture
def cli(folder):  # noqa: F811
    state = folder / "state"
    state.mkdir()
    devdep.give(state)
    return devdep.Cli(state)
