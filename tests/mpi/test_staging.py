"""Calls on memory of the library's own: what is copied in and out, when, and whose it is."""

import gc
import weakref

import numpy as np
import pytest
from common import COMM, RANK, P, check
from mpi4py import MPI

from collectives.errors import ArgumentError, BufferMismatch, Timeout
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


def test_how_far_a_pair_may_reach(comm):
    """Its padding may lie beyond the buffer, as far as the array that this is a part of."""
    size = MPI.DOUBLE_INT.Get_size()
    for _ in range(3):
        large = np.full(16, RANK, np.uint8)
        comm.Bcast([large[: size - 2], 1, MPI.DOUBLE_INT])
        check(large, np.array([0] * size + [RANK] * (16 - size)))
        with pytest.raises(BufferMismatch, match="the memory from byte"):
            comm.Bcast([np.full(size - 2, RANK, np.uint8)[:], 1, MPI.DOUBLE_INT])


def test_counts_that_only_look_alike(comm):
    """2 and 2.0 are equal, but only one of them is a count."""
    for _ in range(3):
        whole, mine = np.arange(2 * P), empty(2)
        comm.Reduce_scatter(whole, mine, (2,) * P)
        check(mine, P * whole[2 * RANK :][:2])
        with pytest.raises(BufferMismatch, match="integers as counts"):
            comm.Reduce_scatter(np.arange(2 * P), empty(2), (2.0,) * P)


def test_a_wrong_root_on_one_rank(comm):
    """In the first call the ranks compare, and all learn of it, whatever its type."""
    for algorithm, root in (("tree", np.int64(P)), ("ring", 0.5)):
        with pytest.raises(ArgumentError, match="root must be a rank"):
            comm.Bcast(empty(2), root if RANK == 0 else 0, algorithm=algorithm)
    buf = np.full(2, RANK)
    comm.Bcast(buf, np.int64(P - 1), algorithm="tree")
    check(buf, np.full(2, P - 1))


# What is kept.


def test_counts_are_remembered_without_the_buffers(comm):
    """With gaps they have packed memory, which would not be counted."""
    pairs = MPI.INT64_T.Create_vector(2, 1, 2).Commit()
    sent = np.arange(2) + RANK
    for turn in range(3):
        whole = np.arange(4 * P) + turn
        expected = whole.copy()
        for rank in range(P):
            expected[4 * rank : 4 * rank + 3 : 2] = np.arange(2) + rank
        large = pairs.Create_resized(0, 32).Commit()
        there = [whole, [1] * P, [*range(P)], large] if RANK == 0 else None
        comm.Gatherv(sent, there)
        check(whole, expected if RANK == 0 else np.arange(4 * P) + turn)
        large.Free()
    pairs.Free()
    assert not any(placement.staged for _, placement in channel_of(comm).counts.values())


def test_no_room_for_requests(comm, monkeypatch):
    """The plan of which a direct one could not be made goes back."""
    send, result = np.arange(3) + RANK, empty(3)

    def full(*_):
        raise MemoryError

    comm.Allreduce(send, result)
    with monkeypatch.context() as patched:
        patched.setattr(store, "Setup", full)
        with pytest.raises(MemoryError):
            comm.Allreduce(send, result)
    counted(comm)
    comm.Allreduce(send, result)
    check(result, total(np.arange(3)))
    assert len(counted(comm).pools) == 1


# How long the user's memory is held.


def test_an_output_lives_until_it_is_written(comm, monkeypatch):
    """Nobody but the request has it."""
    alive, copy_out = [], staging.Copied.store

    def look(self, address):
        alive.append(output() is not None)
        copy_out(self, address)

    monkeypatch.setattr(staging.Copied, "store", look)
    for _ in range(2):
        result = empty(3)
        output = weakref.ref(result)
        request = comm.Iallreduce(np.arange(3), result)
        del result
        request.Wait()
        assert alive.pop() and not alive
        del request
        assert output() is None


@pytest.mark.skipif(P == 1, reason="a call of one rank ends at once")
@pytest.mark.parametrize("typed", [False, True])
def test_memory_in_flight_may_not_move(comm, typed):
    """Its export is held until the end, and of a persistent call until it is freed."""
    data = bytearray(24)
    buf = [data, MPI.INT64_T] if typed else data

    def move():
        data.extend(b"12345678")
        del data[24:]

    def started(call, *arguments):
        """A request that cannot end on any rank before all have looked."""
        if RANK == P - 1:
            COMM.Barrier()
            return call(*arguments)
        request = call(*arguments)
        with pytest.raises(BufferError):
            move()
        COMM.Barrier()
        return request

    for _ in range(2):
        started(comm.Iallreduce, MPI.IN_PLACE, buf, MPI.MAX).Wait()
        move()
        started(comm.Ireduce_scatter, np.zeros(24 * P, np.uint8), data, None, MPI.MAX).Wait()
        move()
    request = comm.Allreduce_init(MPI.IN_PLACE, buf, MPI.MAX)
    for _ in range(2):
        with pytest.raises(BufferError):
            move()
        request.Start()
        request.Wait()
    with pytest.raises(BufferError):
        move()
    request.Free()
    move()


# What fails.


def test_copying_out_fails(comm, monkeypatch):
    """Whoever waits is told, and the next call is right."""
    send, result = np.arange(3) + RANK, empty(3)

    def fails(*_):
        raise MemoryError

    for call in (comm.Allreduce, lambda *args: comm.Iallreduce(*args).Wait()):
        with monkeypatch.context() as patched:
            patched.setattr(staging.Copied, "store", fails)
            with pytest.raises(MemoryError):
                call(send, result)
        assert not channel_of(comm).traffic.operations
        check(result, empty(3))
        counted(comm)
    comm.Allreduce(send, result)
    check(result, total(np.arange(3)))


def test_a_call_after_one_that_timed_out(comm):
    """It raises at once, and its plan is not lost."""
    send, result = np.arange(3), empty(3)
    limited = Comm(comm, timeout=60)
    for _ in range(2):
        limited.Allreduce(send, result)
        limited.Iallreduce(send, result).Wait()
    watch = channel_of(limited).supervisor.watch

    def begin(*_):
        raise Timeout("an earlier call")

    begins, watch.begin = watch.begin, begin
    for call in (limited.Allreduce, limited.Iallreduce):
        with pytest.raises(Timeout):
            call(send, result)
    counted(comm)
    watch.begin = begins
    Comm(comm, timeout=None)


def test_a_plan_that_cannot_be_moved(comm, monkeypatch):
    """It serves one place, and even there the buffers must be apart."""

    def refuse(*_):
        raise callplan.NotMovable

    monkeypatch.setattr(callplan, "Relocatable", refuse)
    whole = empty(1000 * P)
    for _ in range(3):
        comm.Allgather(np.full(1000, RANK)[:2], whole[: 2 * P])
        comm.Allgather(np.full(1000, RANK), whole)
        check(whole, np.repeat(np.arange(P), 1000))
        for start in (0, 5):
            with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
                comm.Allgather(whole[start:][:1000], whole)
        check(whole, np.repeat(np.arange(P), 1000))
        comm.Allgather(np.full(1000, RANK), empty(1000 * P))


# Memory of all kinds.


class ByDLPack:
    """Has memory by DLPack alone, and says what is in it, as the tensors of deep learning."""

    def __init__(self, array):
        self.array, self.dtype = array, array.dtype

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_read_only_memory_by_dlpack(comm):
    """As an output it is refused, also where the same memory has been one before."""
    numbers, result = np.arange(3.0), np.zeros(3)
    for _ in range(3):
        comm.Allreduce(ByDLPack(numbers + RANK), ByDLPack(result))
        check(result, total(numbers))
    result.flags.writeable = False
    for _ in range(2):
        for call in (comm.Allreduce, comm.Iallreduce, comm.Allreduce_init):
            with pytest.raises(BufferMismatch, match="not writable"):
                call(ByDLPack(numbers), ByDLPack(result))
    again = np.zeros(3)
    comm.Allreduce(ByDLPack(result), ByDLPack(again))  # as an input it is not
    check(again, P * result)
