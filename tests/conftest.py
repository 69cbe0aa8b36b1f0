"""Fixtures, and when the slow tests run."""

import os
from collections import Counter

import pytest
from shares import place

from collectives.algorithms import REGISTRY

EVERYTHING = bool(os.environ.get("COLLECTIVES_TEST_ALL"))  # as `make test-all` sets it


@pytest.fixture
def registry():
    """The registry; what a test adds to it is gone afterwards."""
    before = {primitive: dict(algorithms) for primitive, algorithms in REGISTRY.items()}
    yield REGISTRY
    for primitive, algorithms in before.items():
        REGISTRY[primitive].clear()
        REGISTRY[primitive].update(algorithms)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Slow tests run when they are asked for: `pytest -m slow`.

    Of the cases of a test with the mark `share(k)` one in k runs always, and all of them
    where everything is tested.
    """
    seen = Counter()
    for item in items:
        if not EVERYTHING and (share := item.get_closest_marker("share")):
            name = item.nodeid.partition("[")[0]
            if place(seen[name]) >= 1 / share.args[0]:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1
    if "slow" in config.option.markexpr:
        return
    slow = {item for item in items if item.get_closest_marker("slow")}
    config.hook.pytest_deselected(items=[*slow])
    items[:] = [item for item in items if item not in slow]
