"""Calls on memory of the library's own: what is copied in and out, when, and whose it is."""

import array
import ctypes
import gc
import mmap
import threading
import time
import weakref

import forms
import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, algorithms, check
from mpi4py import MPI

from collectives.algorithms import algorithm
from collectives.algorithms.language.steps import copy
from collectives.errors import ArgumentError, BufferMismatch, Timeout
from collectives.mpi.comm import Comm
from collectives.mpi.data import staging
from collectives.mpi.data.tokens import token_of
from collectives.mpi.plans import callplan, store
from collectives.mpi.plans.channel import channel_of

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(P > 4 and not EVERYWHERE, reason="what is copied depends on one rank alone"),
]

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


MANNERS = ["blocking", "nonblocking", "persistent"]
KNOWN = 3  # calls after which there is a direct plan


def method(comm, name, manner):
    """A form of a communicator as a function that comes to its end."""
    if manner == "blocking":
        return getattr(comm, name)
    if manner == "nonblocking":
        start = getattr(comm, f"I{name.lower()}")
        return lambda *arguments, **options: start(*arguments, **options).Wait()

    def carry_out(*arguments, **options):
        request = getattr(comm, f"{name}_init")(*arguments, **options)
        try:
            for _ in range(2):
                request.Start()
                request.Wait()
        finally:
            request.Free()

    return carry_out


# What is copied in and out.


@pytest.mark.share(2)
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("form", forms.FORMS)
def test_nothing_of_an_earlier_call(comm, form, manner):
    """Nor is anything written that the call does not give: gaps, and what is not significant."""
    carry_out, kept = method(comm, form.capitalize(), manner), []
    for seed in range(4):
        for root in {0, forms.TOP}:
            call = forms.make(form, seed, root)
            kept.append(call)  # or its memory would come again
            before = [each.copy() for each in forms.inputs(call)]
            for _ in range(1 + seed % KNOWN):
                carry_out(*call.arguments)
            forms.check(call, form, manner, seed, root)
            for got, expected in zip(forms.inputs(call), before):
                check(got, expected, form, manner, "input")


@pytest.mark.parametrize("manner", MANNERS)
def test_holes_and_tails(comm, manner):
    """Of datatypes, between blocks, before the displacement and behind the count."""
    vector = MPI.INT64_T.Create_vector(2, 1, 2)
    holes = vector.Create_resized(0, 32).Commit()
    vector.Free()
    for turn in range(KNOWN + 1):
        numbers = np.arange(2) + 100 * RANK + turn
        sent, got = empty(6), empty(4 * P + 3) - turn
        sent[1:3] = numbers
        expected = got.copy()
        for rank in range(P):
            expected[1 + 4 * rank : 4 + 4 * rank : 2] = np.arange(2) + 100 * rank + turn
        there = [got[1:], 1, holes]
        method(comm, "Allgather", manner)([sent, (2, 1), MPI.INT64_T], there)
        check(got, expected)
        back = empty(5) - turn
        method(comm, "Scatter", manner)(there if RANK == 0 else None, [back, (2, 1), MPI.INT64_T])
        check(back, np.array([-77 - turn, *numbers, -77 - turn, -77 - turn]))
        check(got, expected)
        totals = empty(4) - turn
        method(comm, "Allreduce", manner)(
            [sent, (2, 1), MPI.INT64_T], [totals, (2, 2), MPI.INT64_T]
        )
        check(totals[2:], P * (np.arange(2) + turn) + 100 * RANKS)
        check(totals[:2], empty(2) - turn)
    holes.Free()


def started(comm, call, *arguments, **options):
    """A request that cannot end on rank 0 before the barrier after it: rank P - 1 comes late."""
    if RANK == P - 1:
        COMM.Barrier()
    return call(*arguments, **options)


def go_on():
    if RANK < P - 1:
        COMM.Barrier()


@pytest.mark.skipif(P == 1, reason="a call of one rank ends at once")
def test_what_a_call_does_not_write(comm):
    """It may change meanwhile: it is not copied out again."""
    for turn in range(KNOWN):
        whole = np.full(2 * P, RANK + turn)
        request = started(
            comm, comm.Igather, *((MPI.IN_PLACE, whole) if RANK == 0 else (whole[:2], None))
        )
        if RANK == 0:
            whole[:2] = -5
        go_on()
        request.Wait()
        if RANK == 0:
            check(whole, np.array([-5, -5, *np.repeat(np.arange(1, P) + turn, 2)]))
        first = empty(2)
        request = started(comm, comm.Iexscan, np.full(2, RANK + turn), first)
        if RANK == 0:
            first[:] = -5
        go_on()
        request.Wait()
        check(first, np.full(2, sum(range(RANK)) + turn * RANK if RANK else -5))


@pytest.mark.parametrize("name", algorithms("bcast"))
def test_the_root_of_a_broadcast(comm, name):
    """Its buffer is only read, whatever the algorithm sends back: it may be read-only or change."""
    kept = []
    for turn in range(KNOWN + 2):
        for readonly in (False, True):
            numbers = np.arange(3 * P + 1) + turn
            buf = numbers.copy() if RANK == 0 else empty(3 * P + 1)
            kept.append(buf)
            buf.flags.writeable = not (readonly and RANK == 0)
            for _ in range(KNOWN):
                comm.Bcast(buf, algorithm=name)
                check(buf, numbers)
            request = comm.Ibcast(buf, algorithm=name)
            if RANK == 0 and not readonly:
                buf[:] = -5
            request.Wait()
            check(buf, np.full(3 * P + 1, -5) if RANK == 0 and not readonly else numbers)


@pytest.mark.parametrize("name", algorithms("bcast"))
def test_a_root_whose_memory_cannot_be_written(comm, name):
    """Writing there, even what is there already, ends the process."""
    size = 8 * (3 * P + 1)
    fixed = mmap.mmap(-1, size, prot=mmap.PROT_READ)  # zeros
    for _ in range(KNOWN + 1):
        buf = fixed if RANK == 0 else empty(size // 8)
        comm.Bcast([buf, MPI.INT64_T], algorithm=name)
        comm.Ibcast([buf, MPI.INT64_T], algorithm=name).Wait()
        assert RANK == 0 or not buf.any()
    sent = np.frombuffer(fixed, np.int64)
    for _ in range(KNOWN + 1):
        buf = sent if RANK == 0 else empty(size // 8)
        comm.Bcast(buf, algorithm=name)
        assert not buf.any()


@pytest.mark.parametrize("manner", MANNERS)
def test_exscan_with_holes(comm, manner):
    """Rank 0 gets nothing."""
    spaced = MPI.INT64_T.Create_resized(0, 16).Commit()

    def add(one, other, datatype):
        left, right = (np.frombuffer(x, np.int64)[::2] for x in (one, other))
        right += left

    op = MPI.Op.Create(add, True)
    for turn in range(KNOWN):
        sent, got = np.arange(6) + RANK, empty(6) - turn
        expected = got.copy()
        if RANK > 0:
            expected[::2] = np.arange(6)[::2] * RANK + sum(range(RANK))
        method(comm, "Exscan", manner)([sent, 3, spaced], [got, 3, spaced], op)
        check(got, expected)
    op.Free()
    spaced.Free()


# What the user's addresses decide.

PAIRS = {
    "Allreduce": (1, 1),
    "Scan": (1, 1),
    "Exscan": (1, 1),
    "Reduce": (1, 1),
    "Allgather": (1, P),
    "Gather": (1, P),
    "Scatter": (P, 1),
    "Alltoall": (P, P),
    "Reduce_scatter_block": (P, 1),
}


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", PAIRS)
def test_buffers_that_overlap(comm, name, manner):
    """Refused in a known shape, as in the first call: nothing changes, and others go on."""
    n, m = (6 * blocks for blocks in PAIRS[name])
    carry_out = method(comm, name, manner)
    memory = np.zeros(n + m + 8, np.int64)
    for turn in range(KNOWN + 1):
        memory[:] = np.arange(memory.size) + turn
        carry_out(memory[:n], memory[n : n + m])
        before = memory.copy()
        if RANK == 0:  # of those with a root only the root has both
            for start in {0, n // 2, n - 1}:
                with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
                    carry_out(memory[:n], memory[start:][:m])
            with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
                carry_out(memory[m - 1 :][:n], memory[:m])
        check(memory, before)
        carry_out(memory[8:][:n], memory[n + 8 :][:m])


@pytest.mark.parametrize("manner", MANNERS)
def test_what_is_refused_in_a_known_shape(comm, manner):
    """Read-only outputs, memory that is too short, placeholders that stand in the wrong place."""
    carry_out = method(comm, "Allreduce", manner)
    large = np.zeros(20, np.int64)
    for _ in range(KNOWN):
        large[:] = np.arange(20)
        carry_out([large[:10], 3, MPI.INT64_T], [large[10:], 3, MPI.INT64_T])
        carry_out(MPI.IN_PLACE, large[:4])
        carry_out(MPI.IN_PLACE, memoryview(large[:4]))
        before = large.copy()
        fixed = large[10:]
        fixed.flags.writeable = False
        for wrong in (
            ([large[:10], 3, MPI.INT64_T], [fixed, 3, MPI.INT64_T]),
            ([large[:2], 3, MPI.INT64_T], [large[10:], 3, MPI.INT64_T]),
            ([large[:10], 3, MPI.INT64_T], [large[10:12], 3, MPI.INT64_T]),
            ([bytearray(23), 3, MPI.INT64_T], [large[10:], 3, MPI.INT64_T]),
            ([large[:10], 3, MPI.INT64_T], [bytes(24), 3, MPI.INT64_T]),
            (MPI.IN_PLACE, memoryview(large[:4]).toreadonly()),
            (large[:4], MPI.IN_PLACE),
            (large[:4], None),
        ):
            with pytest.raises(BufferMismatch):
                carry_out(*wrong)
        check(large, before)
        carry_out(None, large[:4])  # as in mpi4py, the same as in place
        assert large[3] == before[3] * P ** (2 if manner == "persistent" else 1)


# When it is read and written.


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in ("Scatter", "Gather")])
def test_inputs_are_read_when_the_call_starts(comm, name):
    n, m = (3 * blocks for blocks in PAIRS[name])
    for turn in range(KNOWN + 1):
        numbers = np.arange(n) * (turn + 1) + RANK
        expected, got = empty(m), empty(m)
        getattr(COMM, name)(numbers, expected)
        request = getattr(comm, f"I{name.lower()}")(numbers, got)
        numbers[:] = -5
        request.Wait()
        if not (name == "Exscan" and RANK == 0):
            check(got, expected, name)
        else:
            check(got, empty(m))


@pytest.mark.parametrize("holes", [False, True])
def test_persistent_inputs_are_read_at_each_start(comm, holes):
    kind = MPI.INT64_T.Create_vector(2, 1, 2).Commit() if holes else MPI.INT64_T
    step = 2 if holes else 1
    sent, got = empty(3), empty(2 * P)
    request = comm.Allgather_init([sent, 1 if holes else 2, kind], got)
    kind.Free() if holes else None
    for turn in range(4):
        sent[: 2 * step : step], got[:] = np.arange(2) + 10 * RANK + turn, UNTOUCHED
        request.Start()
        request.Wait()
        check(got, np.concatenate([np.arange(2) + 10 * rank + turn for rank in range(P)]))
    request.Free()


ENDINGS = {
    "Wait": lambda requests: [request.Wait() for request in reversed(requests)],
    "Test": lambda requests: [until(request.Test) for request in requests],
    "Waitall": MPI.Request.Waitall,
    "Testall": lambda requests: until(lambda: MPI.Request.Testall(requests)),
    "thread": lambda requests: [until(lambda r=r: MPI.Request.Test(r), 1e-3) for r in requests],
}


def until(done, pause=0.0):
    while not done():
        time.sleep(pause)


@pytest.mark.parametrize("ending", ENDINGS)
def test_several_in_flight(comm, ending):
    """Each has memory of its own, and outputs are there when the end is told, by whatever."""
    numbers = np.arange(5)
    for _ in range(2):
        results = [empty(5) for _ in range(8)]
        requests = [
            comm.Iallreduce(numbers * turn + RANK, result) for turn, result in enumerate(results)
        ]
        ENDINGS[ending](requests)
        for turn, result in enumerate(results):
            check(result, total(numbers * turn), ending)
    pools = counted(comm).pools.values()
    assert sum(len(pool.idle) for pool in pools) <= 8


@pytest.mark.skipif(P != 2, reason="elsewhere the ranks apply an operator in different numbers")
@pytest.mark.parametrize("manner", ["blocking", "nonblocking"])
@pytest.mark.parametrize("same", [False, True], ids=["sum", "the same operator"])
def test_a_call_within_a_call(comm, manner, same):
    """User code makes a call of the same shape: it gets a second plan."""
    depth, inner, carry_out = [], [], method(comm, "Allreduce", manner)

    def function(one, other, datatype):
        left, right = (np.frombuffer(x, np.int64) for x in (one, other))
        before = left.copy()
        if not depth:
            depth.append(None)
            got = empty(3)
            comm.Allreduce(1000 * np.arange(3) + RANK, got, op if same else MPI.SUM)
            inner.append(got)
            depth.pop()
        check(left, before)
        right += left

    op = MPI.Op.Create(function, True)
    result = empty(3)
    for turn in range(4):
        result[:] = UNTOUCHED
        carry_out(np.arange(3) + turn + RANK, result, op)
        check(result, total(np.arange(3) + turn))
        check(inner.pop(), total(1000 * np.arange(3)))
    op.Free()


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


def test_all_that_makes_plans_differ(comm, registry):
    """The same buffers, and one thing after the other changes, there and back."""
    numbers, whole, got = np.arange(4 * P), empty(4 * P), empty(4 * P)
    mine = numbers + RANK

    def reductions():
        for op, expected in ((MPI.SUM, total(numbers)), (MPI.MAX, numbers + P - 1)):
            for name in ("ring", "recursive_doubling"):
                comm.Allreduce(mine, got, op, algorithm=name)
                check(got, expected, name)
            Comm(comm, "ring").Allreduce(mine, got, op)
            check(got, expected)
        for root in range(P):
            got[:] = UNTOUCHED
            comm.Reduce(mine, got, MPI.MIN, root)
            check(got, numbers if root == RANK else empty(4 * P))
        for code in ("i8", "i4", "u1"):
            view = mine.view(code)
            comm.Allreduce(view, got.view(code), MPI.BAND)
            expected = view.copy()
            COMM.Allreduce(view, expected, MPI.BAND)
            check(got.view(code), expected, code)

    def blocks():
        for counts, displs in (([2] * P, [4 * r for r in range(P)]), ([1] * P, [*range(P)[::-1]])):
            for root in range(P):
                whole[:] = UNTOUCHED
                layout = [whole, counts, displs, MPI.INT64_T]
                comm.Gatherv(mine[: counts[0]], layout if root == RANK else None, root)
                expected = empty(4 * P)
                for rank, start in enumerate(displs):
                    expected[start : start + counts[0]] = numbers[: counts[0]] + rank
                check(whole, expected if root == RANK else empty(4 * P))
                whole[:] = UNTOUCHED
                comm.Allgatherv(mine[: counts[0]], layout)
                check(whole, expected)

    def groups():
        for group in (None, 1, 2, tuple(rank % 2 for rank in range(P))):
            got[:] = mine if RANK == P - 1 else UNTOUCHED
            comm.Bcast(got, P - 1, algorithm="hierarchical", group=group)
            check(got, numbers + P - 1)

    def register(copies):
        @algorithm("allreduce", name="newest")
        def newest(rank, p, sendbuf, recvbuf):
            for _ in range(copies):
                yield copy(sendbuf, recvbuf)

    for turn in range(KNOWN):
        reductions()
        blocks()
        groups()
        register(turn % 2)
        for _ in range(KNOWN):
            got[:] = UNTOUCHED
            comm.Allreduce(mine, got, algorithm="newest")
            check(got, mine if turn % 2 else empty(4 * P))
    counted(comm)


@pytest.mark.parametrize("manner", MANNERS)
def test_other_wrappers_of_a_handle(comm, manner):
    """They are right, and never taken for one another."""
    carry_out, result = method(comm, "Allreduce", manner), empty(4)
    numbers = np.arange(4) + RANK
    op, pair = times(1), MPI.INT64_T.Create_contiguous(2).Commit()
    for turn in range(KNOWN):
        for factor in (op, MPI.Op.fromhandle(op.handle)):
            result[:] = UNTOUCHED
            carry_out(numbers, result, factor)
            check(result, total(np.arange(4)))
        for maximum in (MPI.MAX, MPI.Op.fromhandle(MPI.MAX.handle)):
            result[:] = UNTOUCHED
            carry_out(numbers, result, maximum)
            check(result, np.arange(4) + P - 1)
        for datatype in (MPI.INT64_T, MPI.Datatype.fromhandle(MPI.INT64_T.handle)):
            result[:] = UNTOUCHED
            carry_out([numbers, 3, datatype], [result, 3, datatype])
            check(result, np.array([*total(np.arange(3)), UNTOUCHED]))
        for datatype in (pair, MPI.Datatype.fromhandle(pair.handle)):
            result[:] = turn * RANK
            method(comm, "Bcast", manner)([result, 1, datatype], P - 1)
            check(result, turn * np.array([P - 1, P - 1, RANK, RANK]))
    op.Free()
    pair.Free()


@pytest.mark.parametrize("manner", MANNERS)
def test_a_datatype_freed_and_made_again(comm, manner):
    """Its object and its handle may come again, with another layout."""
    carry_out = method(comm, "Bcast", manner)
    for stride in (2, 3, 4, 2, 3):
        datatype = MPI.INT64_T.Create_vector(2, 1, stride).Commit()
        buf = np.zeros(9, np.int64)
        for turn in range(KNOWN):
            buf[:] = np.arange(9) + 10 * RANK + turn
            expected = buf.copy()
            expected[[0, stride]] = np.array([0, stride]) + 10 * (P - 1) + turn
            carry_out([buf, 1, datatype], P - 1)
            check(buf, expected, stride)
        datatype.Free()
        with pytest.raises((BufferMismatch, MPI.Exception)):
            carry_out([buf, 1, datatype], P - 1)
        check(buf, expected)
    kept = counted(comm)
    carry_out(np.zeros(1), 0)
    carry_out(np.zeros(2), 0)
    assert manner == "persistent" or len(kept.pools) == 2  # what was freed has gone


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
    for name in (None, default):
        for _ in range(3):
            comm.Allreduce(send, result, algorithm=name)
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
    for name, root in (("tree", np.int64(P)), ("ring", 0.5)):
        with pytest.raises(ArgumentError, match="root must be a rank"):
            comm.Bcast(empty(2), root if RANK == 0 else 0, algorithm=name)
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


# What is shared, and with whom.


def test_threads_on_communicators_of_their_own(comm):
    """The same shape, at the same time."""
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("needs MPI.THREAD_MULTIPLE")
    comms, wrong = [Comm(COMM.Dup()) for _ in range(3)], []

    def work(number):
        numbers, result = np.arange(6) * number, empty(6)
        for turn in range(100):
            sent = numbers + turn + RANK
            if turn % 3:
                comms[number].Allreduce(sent, result, algorithm="ring")
            else:
                comms[number].Iallreduce(sent, result, algorithm="ring").Wait()
            if not np.array_equal(result, total(numbers + turn)):
                wrong.append((number, turn, result.tolist()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for each in comms:
        counted(each)
        each.Free()


def test_memory_is_limited(comm, monkeypatch):
    """Of all manners, with plans in flight and of operators that come and go."""
    monkeypatch.setattr(store, "MAX_PLANS", 12)
    monkeypatch.setattr(store, "MAX_BYTES", 100_000)
    alive = []
    for size in range(3, 30, 3):
        op, numbers = times(1), np.arange(20 * size)
        results = [empty(20 * size) for _ in range(4)]
        alive.append(results)
        sent = numbers + RANK
        for _ in range(KNOWN):
            comm.Allreduce(sent, results[0])
            comm.Allreduce(sent, results[1], op)
            requests = [comm.Iallreduce(sent, result) for result in results[2:]]
            requests += [comm.Iallreduce(sent, results[1], op)]
            comm.Allreduce(sent, results[0])
            MPI.Request.Waitall(requests)
            for result in results:
                check(result, total(numbers))
            kept = counted(comm)
            assert kept.plans <= 12
            assert kept.nbytes <= 100_000
        op.Free()


def test_more_in_flight_than_plans_are_kept(comm, monkeypatch):
    """Each has one of its own all the same, which ends with it."""
    monkeypatch.setattr(store, "MAX_ALIKE", 2)
    numbers, results = np.arange(3), [empty(3) for _ in range(6)]
    for _ in range(3):
        requests = [comm.Iallreduce(numbers * n + RANK, each) for n, each in enumerate(results)]
        MPI.Request.Waitall(requests)
        for number, result in enumerate(results):
            check(result, total(numbers * number))
        assert 1 <= counted(comm).plans <= 2  # those before may have ended


def test_the_ranks_compare_a_call_that_has_been_in_flight(comm):
    """The first blocking one, also if only some ranks can keep a plan."""
    numbers, result = np.arange(4.0).reshape(2, 2), np.zeros((2, 2))
    unknown = memoryview(np.asfortranarray(numbers))  # it has no key
    comm.Iallreduce(numbers, result).Wait()
    comm.Allreduce(unknown if RANK == 0 else numbers, result)
    check(result, numbers.T + (P - 1) * numbers)


def test_another_thread_drops_nothing(comm, monkeypatch):
    """A call may be under way by a direct plan, whose requests must stay."""
    op = times(1)
    comm.Allreduce(np.arange(3), empty(3), op)
    for _ in range(KNOWN):
        comm.Allreduce(np.arange(3), empty(3))
    op.Free()  # its plans are to go, but not now
    kept = counted(comm)
    pools, plans = {**kept.pools}, kept.plans
    [*_, pool] = pools.values()
    plan = pool.take((0, 2**20))
    monkeypatch.setattr(store, "MAX_PLANS", plans)
    added = kept.add((*pool.shape, "another"), plan, alone=False)
    assert added.closed  # it ends with its call
    assert kept.pools == pools
    pool.give(plan)
    kept.make_room()
    assert counted(comm).plans <= plans - 2
    assert len(kept.pools) < len(pools)


def test_threads_that_add_and_drop_at_once(comm, monkeypatch):
    """What can come no more is dropped once, and plans and bytes are counted all the same."""
    comm.Allreduce(np.arange(3), empty(3))
    kept = counted(comm)
    [pool] = kept.pools.values()
    plan, problems, drop = pool.take((0, 2**20)), [], store.Store.drop

    def slowly(self, shape):
        time.sleep(1e-4)  # lets the others run
        drop(self, shape)

    monkeypatch.setattr(store.Store, "drop", slowly)

    def work():
        try:
            for _ in range(100):
                op = times(1)
                shape = (*pool.shape[:3], token_of(op), *pool.shape[4:])
                added = kept.add(shape, plan)
                op.Free()
                kept.discard(added, plan)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    pool.give(plan)
    kept.forget()
    assert (kept.plans, kept.nbytes) == (0, 0)


def test_a_plan_is_taken_by_another_thread(comm):
    """The thread that advances may give plans back, and free those of a closed pool."""
    comm.Allreduce(np.arange(3), empty(3))
    kept = counted(comm)
    [pool] = kept.pools.values()

    class Taken(list):
        def __bool__(self):
            return True

    pool.idle = Taken(pool.idle)
    kept.forget()
    assert len(pool.idle) == 0


@pytest.mark.parametrize("options", [{"check": True}, {"timeout": 60}], ids=["check", "timeout"])
@pytest.mark.parametrize("manner", MANNERS)
def test_supervised(comm, options, manner):
    """The same copies, also for calls that have become known before, and afterwards again."""
    numbers, result, whole = np.arange(3) + RANK, empty(3), empty(3 * P)

    def calls():
        for _ in range(KNOWN):
            result[:] = whole[:] = UNTOUCHED
            method(comm, "Allreduce", manner)(numbers, result)
            check(result, total(np.arange(3)))
            method(comm, "Gatherv", manner)(numbers, [whole, [3] * P] if RANK == 0 else None)
            everyone = np.concatenate([np.arange(3) + rank for rank in range(P)])
            check(whole, everyone if RANK == 0 else empty(3 * P))
            with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
                method(comm, "Allreduce", manner)(result[:2], result[1:])
            counted(comm)

    calls()
    Comm(comm, **options)
    calls()
    Comm(comm, **{"check": False} if "check" in options else {"timeout": None})
    calls()


# What fails.


class Refuses:
    """Its memory cannot be had."""

    dtype = np.dtype(np.int64)

    def __dlpack__(self, **options):
        raise RuntimeError("no memory today")

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("manner", MANNERS)
def test_memory_that_cannot_be_had(comm, manner):
    carry_out, result = method(comm, "Allreduce", manner), empty(3)
    gone = memoryview(bytearray(24)).cast("q")
    gone.release()
    for _ in range(KNOWN):
        for wrong in (Refuses(), gone, "text", 1.0, object()):
            for call in ((wrong, result), (np.arange(3), wrong), (MPI.IN_PLACE, [wrong, MPI.LONG])):
                with pytest.raises(BufferMismatch):
                    carry_out(*call)
        check(result, empty(3))
        carry_out(np.arange(3) + RANK, result)
        check(result, total(np.arange(3)))
        result[:] = UNTOUCHED
    assert len(counted(comm).pools) <= 2


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


def parted(make):
    """A part of a memoryview, with something on both sides."""
    return lambda n: memoryview(make(n + 16)).cast("B")[8:-8].cast("q")


def allocated(n):
    return MPI.Alloc_mem(n)


KINDS = {
    "array": lambda n: np.zeros(n // 8, np.int64),
    "C order": lambda n: np.zeros((n // 8, 1), np.int64),
    "Fortran order": lambda n: np.zeros((2, n // 16), np.int64, order="F"),
    "unaligned": lambda n: np.frombuffer(bytearray(n + 3), np.int64, n // 8, 3),
    "subclass": lambda n: np.zeros(n // 8, np.int64).view(np.recarray),
    "masked": lambda n: np.ma.zeros(n // 8, np.int64),
    "memoryview": lambda n: memoryview(np.zeros(n // 8, np.int64)),
    "memoryview, cast": lambda n: memoryview(bytearray(n)).cast("q"),
    "memoryview, square": lambda n: memoryview(bytearray(n)).cast("B").cast("q", [2, n // 16]),
    "part of a bytearray": parted(bytearray),
    "part of a map": parted(lambda n: mmap.mmap(-1, n)),
    "array.array": lambda n: array.array("q", bytes(n)),
    "ctypes": lambda n: (ctypes.c_int64 * (n // 8))(),
    "DLPack": lambda n: ByDLPack(np.zeros(n // 8, np.int64)),
    "bytearray": bytearray,
    "map": lambda n: mmap.mmap(-1, n),
    "MPI.Alloc_mem": allocated,
    "MPI.buffer": MPI.buffer.allocate,
}
BYTES = {"bytearray", "map", "MPI.Alloc_mem", "MPI.buffer"}  # they do not say what is in them


def inside(memory):
    """What is in a memory, as an array."""
    memory = memory.array if isinstance(memory, ByDLPack) else memory
    return np.frombuffer(MPI.buffer.frombuffer(memory), np.int64)


@pytest.mark.share(3)
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", KINDS)
def test_memory_of_every_kind(comm, kind, manner):
    """With and without a count and a datatype: each spelling has plans, wherever memory is."""
    spellings = [lambda data, n: [data, n, MPI.INT64_T], lambda data, n: (data, MPI.INT64_T)]
    spellings += [lambda data, n: [data, n, "q"], lambda data, n: [data, (n, 0), MPI.INT64_T]]
    spellings += [] if kind in BYTES else [lambda data, n: data, lambda data, n: [data, n]]
    alive = []
    for spell in spellings:
        for turn in range(KNOWN):
            sent, got, whole = (KINDS[kind](8 * n) for n in (4, 4, 4 * P))
            alive.append((sent, got, whole))
            for again in range(1 if manner == "persistent" else KNOWN):
                numbers = np.arange(4) + 10 * turn + again
                inside(sent)[:], inside(got)[:] = numbers + RANK, UNTOUCHED
                method(comm, "Allreduce", manner)(spell(sent, 4), spell(got, 4))
                check(inside(got), total(numbers), kind)
                method(comm, "Allgather", manner)(spell(sent, 4), spell(whole, 4))
                everyone = [numbers + rank for rank in range(P)]
                check(inside(whole), np.concatenate(everyone), kind)
    if manner != "persistent":
        assert len(counted(comm).pools) == 2 * len(spellings)
    for memory in sum(alive, ()) if kind == "MPI.Alloc_mem" else ():
        MPI.Free_mem(memory)


@pytest.mark.share(2)
@pytest.mark.parametrize("code", ["q", "i", "d", "B", "?"])
def test_the_same_bytes_meaning_other_numbers(comm, code):
    """Views of one memory, each of which has a plan of its own."""
    memory = mmap.mmap(-1, 4096)
    for other in ("q", code, "d", code):
        for _ in range(KNOWN):
            sent = memoryview(memory)[:48].cast(other)
            got = memoryview(memory)[64:112].cast(other)
            np.asarray(sent)[:] = 1
            comm.Allreduce(sent, got, MPI.LAND if other == "?" else MPI.SUM)
            check(
                np.asarray(got),
                np.full(len(got), True if other == "?" else P, np.asarray(got).dtype),
            )
            del sent, got
    gc.collect()
    memory.close()  # fails if anything still holds it


class ByDLPack:
    """Has memory by DLPack alone, and says what is in it, as the tensors of deep learning."""

    def __init__(self, data):
        self.array, self.dtype = data, data.dtype

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
            with pytest.raises(BufferMismatch, match="writable memory, got a read-only buffer"):
                call(ByDLPack(numbers), ByDLPack(result))
    again = np.zeros(3)
    comm.Allreduce(ByDLPack(result), ByDLPack(again))  # as an input it is not
    check(again, P * result)
