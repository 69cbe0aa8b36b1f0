"""What the tests over MPI share.

Our functions and mpi4py's methods take the same arguments, so one tuple of
arguments serves both.
"""

import os
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import collectives
from collectives.algorithms import REGISTRY
from collectives.catalogue import TEXTBOOK, check_restrictions
from collectives.errors import RestrictionError

COMM = MPI.COMM_WORLD
RANK, P = COMM.rank, COMM.size

# Much is tried on up to 4 ranks only: more would add little but time. `make test` runs
# over both MPIs; 4 ranks are left to Open MPI. `make test-all` tries all of it everywhere.
EVERYWHERE = bool(os.environ.get("COLLECTIVES_TEST_ALL"))
FEW = EVERYWHERE or P <= 3 or (P == 4 and MPI.get_vendor()[0] != "MPICH")

# The textbook's four on any number of ranks, the rest of the catalogue on few. What is
# lossy cannot be compared so: test_compressed.py has its tests.
ALGORITHMS = [
    (primitive, name)
    for primitive, algorithms in REGISTRY.items()
    for name, one in algorithms.items()
    if not one.lossy and (name in TEXTBOOK or FEW)
]

# Functions that are a primitive with other blocks.
PRIMITIVE = {
    "scatterv": "scatter",
    "gatherv": "gather",
    "allgatherv": "allgather",
    "alltoallv": "alltoall",
    "reduce_scatter_block": "reduce_scatter",
}

at_few_ranks = pytest.mark.skipif(
    not EVERYWHERE and (P == 2 or not FEW), reason="runs on 1, 3 and 4 ranks"
)


def ours(function: str, *arguments: Any, comm: MPI.Intracomm = COMM, **options: Any) -> None:
    getattr(collectives, function)(comm, *arguments, **options)


def builtin(function: str, *arguments: Any) -> None:
    getattr(COMM, function.capitalize())(*arguments)


def algorithms(function: str, commutative: bool = True) -> list[str]:
    """Names of the exact algorithms that can do this on so many ranks."""
    primitive = PRIMITIVE.get(function, function)
    return [name for name in REGISTRY[primitive] if can(primitive, name, commutative)]


def can(primitive: str, name: str, commutative: bool = True) -> bool:
    if REGISTRY[primitive][name].lossy:
        return False
    try:
        check_restrictions(REGISTRY[primitive][name], P, commutative)
    except RestrictionError:
        return False
    return True


def check(got: np.ndarray, expected: np.ndarray, *what: Any) -> None:
    """Equal in every element, those in gaps included."""
    assert np.array_equal(got, expected), (*what, "rank", RANK, "got", got, "expected", expected)


def nothing_arrives(channel):
    """Look on all ranks that no message is on its way, under any tag in use."""
    COMM.Barrier()
    lane, first = channel.lane, channel.lane.tags[channel.rank]
    for tag in range(first, first + channel.traffic.place.next):
        assert not lane.comm.Iprobe(MPI.ANY_SOURCE, tag)
    COMM.Barrier()
