"""Tests over MPI take turns, and leave the library's channel empty.

A test that fails on one rank ends the run there, so what comes after it must
not wait for the other ranks.
"""

from collections import Counter
from pathlib import Path

import pytest
from common import EVERYWHERE, P, nothing_arrives
from mpi4py import MPI
from shares import place

from collectives.mpi.plans.channel import channel_of

# `make test` runs on 1, 2, 3 and 5 ranks of MPICH and on 4 of Open MPI. Each of these takes
# half of the cases of a test; `make test-all` takes all of them everywhere.
TURN = 0 if P in (2, 3) else 1


def pytest_collection_modifyitems(config, items):
    """Leave out the cases that are not this run's turn; what has one case runs always."""
    if EVERYWHERE or "slow" in config.option.markexpr:
        return
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    names = [item.nodeid.partition("[")[0] for item in ours]
    cases, seen, left_out = Counter(names), Counter(), set()
    for item, name in zip(ours, names):
        if cases[name] > 1 and int(2 * place(seen[name])) != TURN:
            left_out.add(item)
        seen[name] += 1
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True, scope="module")
def nothing_left(request):
    channel = channel_of(MPI.COMM_WORLD)
    yield
    if request.session.testsfailed:
        return
    nothing_arrives(channel)
