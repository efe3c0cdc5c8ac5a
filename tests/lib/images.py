"""Images that tests need beside `default`, built once into build/e2e-images/USER."""
import re

import pytest

import devdep


def built(name, *args, only_existing=False):
    """devdep-cli on a state that has the image. only_existing: one that takes long to build is not built here."""
    state = devdep.BUILD / "e2e-images" / (devdep.USER or "root")
    state.mkdir(parents=True, exist_ok=True)
    devdep.give(state)
    cli = devdep.Cli(state)
    if only_existing and not (state / "images" / name / "manifest.json").exists():
        pytest.skip(f"building the image '{name}' takes minutes: `make soak` does it, or {' '.join(map(str, cli.argv('image', 'build', name)))} with DEVDEP_STATE={state}")
    result = cli("image", "build", name, "--if-missing", *args, timeout=900)
    if result.status != 0 and re.search(r"Temporary failure resolving|Could not (resolve|connect)|Unable to connect", result.err):
        pytest.skip(f"the image '{name}' is not cached, and there is no network")
    assert result.status == 0, result
    return cli
