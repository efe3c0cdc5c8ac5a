"""The marks and fixtures that the suites of end-to-end tests share; a suite's conftest.py imports them."""
import pathlib
import tempfile

import pytest

import devdep
import sanitizer


def pytest_configure(config):
    config.addinivalue_line("markers", "user: belongs to the suite that also runs as an ordinary user")
    config.addinivalue_line("markers", "guest: boots guests of the default image")
    config.addinivalue_line("markers", "sanitized: belongs to the suite that also runs on programs with sanitizers, which look for leaks when they end")
    config.addinivalue_line("markers", "as_used: of programs without sanitizers, which are larger, call more and leave themselves /proc")


def pytest_collection_modifyitems(items):
    reason = devdep.default_image_missing()
    for item in items:
        if reason and item.get_closest_marker("guest"):
            item.add_marker(pytest.mark.skip(reason=reason))
        if sanitizer.is_in(devdep.BUILD / "devdep-store") and item.get_closest_marker("as_used"):
            item.add_marker(pytest.mark.skip(reason="a sanitizer's build"))


@pytest.fixture
def folder():
    """A folder that the test user can use; short, because sockets are made below it."""
    with tempfile.TemporaryDirectory(prefix="devdep-") as path:
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


@pytest.fixture
def repo(folder):
    return devdep.Repo(folder / "repo")
