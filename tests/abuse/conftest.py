import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import runs  # noqa: E402
import scene as scenes  # noqa: E402
import sizes  # noqa: E402
from fixtures import folder, pytest_collection_modifyitems, pytest_configure, repo  # noqa: E402, F401

runs.become_subreaper()


censuses = []


def pytest_report_header():
    return sizes.shown()


def pytest_terminal_summary(terminalreporter):
    for sentence in censuses:
        terminalreporter.write_line(sentence)


@pytest.fixture(scope="session")
def shared():
    """One state folder for the whole suite: what one test leaves there, a later one finds. It has its template."""
    made = scenes.Scene()
    made.warm()
    yield made
    sentence, found = made.close()
    censuses.append(sentence)
    assert found == []


@pytest.fixture
def scene(shared):
    """The shared scene; afterwards nothing of any run may be left."""
    yield shared
    assert shared.left() == []
