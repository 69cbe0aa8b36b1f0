"""Fixtures, and when the slow tests run."""

import pytest

from collectives.algorithms import REGISTRY


@pytest.fixture
def registry():
    """The registry; what a test adds to it is gone afterwards."""
    before = {primitive: dict(algorithms) for primitive, algorithms in REGISTRY.items()}
    yield REGISTRY
    for primitive, algorithms in before.items():
        REGISTRY[primitive].clear()
        REGISTRY[primitive].update(algorithms)


def pytest_collection_modifyitems(config, items):
    """Slow tests run when they are asked for: `pytest -m slow`."""
    if "slow" in config.option.markexpr:
        return
    slow = {item for item in items if item.get_closest_marker("slow")}
    config.hook.pytest_deselected(items=[*slow])
    items[:] = [item for item in items if item not in slow]
