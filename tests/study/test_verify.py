"""`verify` sees what a wrong algorithm did, in place and in odd dtypes, too."""

import numpy as np
import pytest

from collectives.algorithms import REGISTRY, algorithm
from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.steps import copy, recv, send
from collectives.catalogue import find
from collectives.errors import ScheduleError, WrongResult
from collectives.machine.clock import Clock
from collectives.problems import Problem
from collectives.study.cost import predicted_time
from collectives.study.verify import verify

pytestmark = pytest.mark.usefixtures("registry")


def run(generator, primitive, **problem):
    algorithm(primitive, name="wrong")(generator)
    return verify(find(primitive, "wrong")[0], Problem(primitive, 2, 6, **problem))


def test_scatter_in_place_keeps_the_other_blocks():
    def wrong(rank, p, sendbuf, recvbuf, root):
        if rank == root:
            yield send(sendbuf[1], 1)
            yield copy(sendbuf[0], sendbuf[1])
        else:
            yield recv(recvbuf, root)

    with pytest.raises(WrongResult, match=r"rank 0 of 2: input\[3\] must be 4, got 1"):
        run(wrong, "scatter", in_place=True)


def test_exscan_in_place_keeps_the_input_of_rank_0():
    def wrong(rank, p, sendbuf, recvbuf):
        other = scratch(sendbuf)
        yield send(sendbuf, 1 - rank), recv(other, 1 - rank)
        yield copy(other, recvbuf)

    with pytest.raises(WrongResult, match=r"rank 0 of 2: input\[0\] must be 1"):
        run(wrong, "exscan", in_place=True)


def test_bool_that_was_never_written():
    def wrong(rank, p, buf, root):
        yield []

    with pytest.raises(WrongResult, match=r"rank 1 of 2: output\[0\] .*; 6 of 6 elements"):
        run(wrong, "bcast", dtype=np.dtype(bool))


def test_dtype_of_a_message():
    """Sixteen bytes are not sixteen bytes."""

    def wrong(rank, p):
        yield send(np.zeros(2), 1) if rank == 0 else recv(np.zeros(2, np.int64), 0)

    with pytest.raises(ScheduleError, match=r"needs int64 from rank 0 .*, got float64"):
        run(wrong, "barrier")


def test_barrier_that_lets_everyone_pass():
    def wrong(rank, p):
        yield []

    with pytest.raises(WrongResult, match=r"rank 1 of 2: must wait .*, got out before rank 0 came"):
        run(wrong, "barrier")


@pytest.mark.parametrize("algorithm", REGISTRY["barrier"].values(), ids=str)
def test_barriers(algorithm):
    for p in range(1, 18):
        verify(algorithm, Problem("barrier", p))


@pytest.mark.parametrize("primitive", ["bcast", "reduce", "scan", "exscan"])
def test_cost_line_with_the_default_number_of_segments(primitive):
    chain, _ = find(primitive, "ring")
    assert predicted_time(chain, 6, 2**20, Clock(1, 0, 0)) == 4 + 23
