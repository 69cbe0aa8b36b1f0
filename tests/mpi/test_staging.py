"""Calls on memory of the library's own: what is copied in and out, when, and whose it is."""

import gc
import weakref

import numpy as np
import pytest
from common import COMM, RANK, P, check
from mpi4py import MPI

from collectives.errors import ArgumentError, BufferMismatch
from collectives.mpi.comm import Comm
from collectives.mpi.data import staging
from collectives.mpi.plans import callplan, store
from collectives.mpi.plans.channel import channel_of

pytestmark = pytest.mark.mpi

RANKS = P * (P - 1) // 2  # the sum of all ranks
UNTOUCHED = -77


@pytest.fixture
def comm(request):
    """A communicator of our own, with an empty cache."""
    duplicate = Comm(COMM.Dup())
    yield duplicate
    if not request.session.testsfailed:
        counted(duplicate)
        duplicate.Free()


def counted(comm):
    """The store of a communicator with nothing in flight: what it counts must be there."""
    kept = channel_of(comm).store
    pools = kept.pools.values()
    assert kept.plans == sum(len(pool.idle) + len(pool.direct) for pool in pools)
    assert all(pool.plans == len(pool.idle) + len(pool.direct) for pool in pools)
    assert kept.nbytes == sum(pool.nbytes for pool in pools)
    return kept


def empty(n):
    return np.full(n, UNTOUCHED, np.int64)


def total(numbers):
    """What a sum gives where each rank adds its rank to the same numbers."""
    return P * numbers + RANKS


# What belongs to one call alone.


@pytest.mark.parametrize("elements", [40, 4000], ids=["copied", "moved"])
def test_a_call_while_another_of_its_shape_is_in_flight(comm, elements):
    """It has been repeated: the direct plan must not work on the scratch of the one in flight."""
    one, other = np.arange(elements), 1000 * np.arange(elements)
    mine, first, second, last = one + RANK, empty(elements), other + RANK, empty(elements)
    for name in ("recursive_doubling", "ring", "tree"):
        for _ in range(3):
            comm.Allreduce(mine, first, algorithm=name)
        for _ in range(20):
            first[:] = last[:] = UNTOUCHED
            request = comm.Iallreduce(second, last, algorithm=name)
            comm.Allreduce(mine, first, algorithm=name)
            request.Wait()
            check(first, total(one), name)
            check(last, total(other), name)


# What calls are known by.


def times(factor):
    """An operator that adds and multiplies."""

    def function(one, other, datatype):
        result = np.frombuffer(other, np.int64)
        result[:] = factor * (np.frombuffer(one, np.int64) + result)

    return MPI.Op.Create(function, True)


def reduced(factor, numbers):
    """What `times` makes of the vectors of two ranks, and of more."""
    return numbers if P == 1 else factor * 2 * numbers


@pytest.mark.skipif(P > 2, reason="the order of ranks would matter")
@pytest.mark.parametrize("spelled", [False, True])
def test_an_operator_freed_and_made_again(comm, spelled):
    """Its object and its handle may come again, with another meaning."""
    numbers, result = np.arange(4), empty(4)
    send = [numbers, MPI.INT64_T] if spelled else numbers
    for factor in (1, 3, 5, 3, 1):
        op = times(factor)
        for _ in range(3):
            result[:] = UNTOUCHED
            comm.Allreduce(send, result, op)
            check(result, reduced(factor, numbers), factor)
            comm.Iallreduce(send, result, op).Wait()
            check(result, reduced(factor, numbers), factor)
        op.Free()
        result[:] = UNTOUCHED
        for call in (comm.Allreduce, comm.Iallreduce, comm.Allreduce_init):
            with pytest.raises(ArgumentError, match="op must be"):
                call(send, result, op)
        check(result, empty(4))
        del op
        gc.collect()


def test_one_direct_plan_for_all_ways_to_spell_a_call(comm):
    send, result = np.arange(3) + RANK, empty(3)
    default = comm.algorithm_for("allreduce")
    for algorithm in (None, default):
        for _ in range(3):
            comm.Allreduce(send, result, algorithm=algorithm)
            check(result, total(np.arange(3)))
    again = Comm(comm, "ring")
    for _ in range(3):
        again.Allreduce(send, result, algorithm=default)
    [pool] = counted(comm).pools.values()
    assert len(pool.direct) == len(pool.idle) == 1
