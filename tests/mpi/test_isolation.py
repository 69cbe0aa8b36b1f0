"""Channels: messages apart from the user's, and plans that are never stale."""

import gc
import mmap
import time
import weakref

import numpy as np
import pytest
from common import COMM, RANK, P, algorithms, check
from common import ours as run
from mpi4py import MPI

from collectives.algorithms import algorithm
from collectives.algorithms.language.steps import copy
from collectives.errors import ArgumentError, BufferMismatch, ScheduleError
from collectives.mpi.comm import Comm
from collectives.mpi.engines.lanes import tags_of_a_lane
from collectives.mpi.plans import callplan
from collectives.mpi.plans import channel as channels
from collectives.mpi.plans import store as stores
from collectives.mpi.plans.channel import channel_of
from collectives.mpi.plans.recording import Recorder

pytestmark = pytest.mark.mpi


@pytest.fixture
def comm(request):
    """A communicator of our own, with an empty cache."""
    duplicate = COMM.Dup()
    yield duplicate
    if not request.session.testsfailed:
        duplicate.Free()


def total_is_right(comm, **options):
    result = np.zeros(2)
    run("allreduce", np.array([1.0, comm.rank]), result, comm=comm, **options)
    check(result, np.array([comm.size, comm.size * (comm.size - 1) / 2]))


# Messages.


def test_pending_receive_from_anyone(comm):
    """A receive that the user posted takes the user's message and none of ours."""
    message = np.zeros(1)
    request = comm.Irecv(message, MPI.ANY_SOURCE, MPI.ANY_TAG)
    for name in algorithms("allreduce"):
        total_is_right(comm, algorithm=name)
    run("barrier", comm=comm)
    buf = np.full(3, RANK)
    run("bcast", buf, P - 1, comm=comm)
    check(buf, np.full(3, P - 1))
    assert not request.Test()
    COMM.Barrier()
    comm.Send(np.array([RANK + 0.5]), (RANK + 1) % P, 0)
    request.Wait()
    assert message[0] == (RANK - 1) % P + 0.5


def test_messages_of_the_user_with_any_tag(comm):
    bound = comm.Get_attr(MPI.TAG_UB)
    sends = [comm.Isend(np.array([tag]), (RANK + 1) % P, tag) for tag in (0, 1, 77, bound)]
    total_is_right(comm)
    number = np.zeros(1, np.int64)
    for tag in (bound, 77, 1, 0):
        comm.Recv(number, (RANK - 1) % P, tag)
        assert number[0] == tag
    MPI.Request.Waitall(sends)


def test_made_communicators():
    group = COMM.group.Incl(list(range(P))[::-1])
    made = [COMM.Dup(), COMM.Split(RANK % 2, -RANK), COMM.Create(group), COMM.Create_cart([P])]
    made += [COMM.Create_group(group), COMM.Split(0 if RANK else MPI.UNDEFINED)]
    made += [made[1].Dup()]  # of one of these
    group.Free()
    for _ in range(2):
        for comm in made:
            if comm != MPI.COMM_NULL:
                total_is_right(comm)
                run("barrier", comm=comm)
    for comm in made:
        if comm != MPI.COMM_NULL:
            comm.Free()
    total_is_right(MPI.COMM_SELF)
    total_is_right(COMM)


def test_freed_with_its_communicator():
    """Otherwise an MPI runs out of context ids: MPICH has about 2000."""
    before = len(channels._CHANNELS)
    buf = np.zeros(1)
    for number in range(3000 if P == 1 else 20):  # more ranks take longer
        comm = COMM.Dup()
        buf[0] = comm.rank + number
        run("bcast", buf, comm=comm)
        assert buf[0] == number
        comm.Free()
    assert len(channels._CHANNELS) == before


def test_free_and_disconnect_forget():
    for free in (MPI.Comm.Free, MPI.Comm.Disconnect):
        comm = COMM.Split(0, -RANK)
        handle, lane = comm.handle, channel_of(comm).lane
        total_is_right(comm)
        assert handle in channels._CHANNELS
        free(comm)
        assert handle not in channels._CHANNELS
        assert lane.tags[lane.rank] // tags_of_a_lane() in lane.carrier._returned


def test_overlapping_communicators():
    """Pairs in a circle, each rank in the order of the pairs."""
    pairs = [(0, 1), (1, 2), (0, 2)] if P > 2 else [(0, 1)] * 3
    mine = [COMM.Split(0 if RANK in pair else MPI.UNDEFINED) for pair in pairs]
    for _ in range(3):
        for comm in mine:
            if comm != MPI.COMM_NULL:
                total_is_right(comm)
    for comm in mine:
        if comm != MPI.COMM_NULL:
            comm.Free()


def test_intercommunicator_is_refused():
    if P == 1:
        pytest.skip("needs two groups")
    half = COMM.Split(RANK % 2)
    inter = half.Create_intercomm(0, COMM, 1 - RANK % 2)
    with pytest.raises(ArgumentError, match="comm must be an intracommunicator, got "):
        run("barrier", comm=inter)
    with pytest.raises(ArgumentError, match="comm must be an intracommunicator, got "):
        run("allreduce", np.zeros(1), np.ones(1), comm=inter)
    merged = inter.Merge()
    total_is_right(merged)
    for comm in (merged, inter, half):
        comm.Free()


@pytest.mark.parametrize("name", algorithms("barrier"))
def test_nobody_leaves_before_the_last_has_come(name):
    run("barrier", algorithm=name)
    time.sleep(0.02 * ((RANK + 1) % P))
    times = np.array([time.monotonic(), 0])
    run("barrier", algorithm=name)
    times[1] = time.monotonic()  # one machine, one clock (MPI.Wtime may start in each rank anew)
    came, left = np.array(COMM.allgather(times)).T
    assert left.min() >= came.max(), (name, came, left)


# Plans.


def misses(comm, function, *arguments, **options):
    """How many new plans a call makes."""
    pools = channel_of(comm).store.pools
    before = set(pools)
    run(function, *arguments, comm=comm, **options)
    return len(set(pools) - before)


def test_same_call_same_plan(comm):
    send, recv, whole = np.zeros(2), np.zeros(2), np.zeros(2 * P)
    counts = [2] * P
    calls = [
        ("allreduce", send, recv),
        ("allreduce", MPI.IN_PLACE, recv),
        ("allreduce", [send, MPI.DOUBLE], [recv, 2, MPI.DOUBLE]),
        ("bcast", send.view(type("Subclass", (np.ndarray,), {}))),
        ("allgatherv", send, [whole, counts]),
        ("alltoall", MPI.IN_PLACE, whole),
        ("reduce_scatter", whole, send, counts),
        ("reduce", send, recv if RANK == 0 else None),
        ("barrier",),
    ]
    for function, *buffers in calls:
        assert misses(comm, function, *buffers) == 1, function
        for _ in range(2):
            assert misses(comm, function, *buffers) == 0, function
    # Where counts are exchanged first, that is a plan, too; it knows whose counts they are.
    for function, *buffers in (("gatherv", send, [whole, counts]), ("scatterv", whole, send)):
        assert misses(comm, function, *buffers) == 2
        assert misses(comm, function, *buffers) == 0
    assert misses(comm, "alltoallv", whole, whole.copy(), algorithm="tree") == 2


def test_other_call_other_plan(comm):
    send, recv, whole = np.zeros(4), np.zeros(4), np.zeros(4 * P)
    new = [
        ("reduce", {}, send, recv),
        ("reduce", {"algorithm": "ring"}, send, recv),
        ("reduce", {"algorithm": "ring:segments=2"}, send, recv),
        ("reduce", {"algorithm": "ring", "segments": 2}, send, recv),
        ("reduce", {"op": MPI.MAX}, send, recv),
        ("reduce", {}, send[:2], recv[:2]),
        ("reduce", {}, send.view(np.int64), recv.view(np.int64)),
        ("reduce", {}, [send, 2], [recv, 2]),
        ("reduce", {}, [send, 2, 1, MPI.DOUBLE], [recv, 2, 1, MPI.DOUBLE]),
        ("reduce", {}, [send, MPI.FLOAT], [recv, MPI.FLOAT]),
        ("allgatherv", {}, send, [whole, [4] * P]),
        ("allgatherv", {}, send, [whole, ([4] * P, list(range(0, 4 * P, 4)))]),
        ("allgatherv", {}, send[:3], [whole, [3] * P]),
        ("allgather", {}, send, whole),
    ]
    for function, options, *buffers in new:
        assert misses(comm, function, *buffers, **options) == 1, (function, options)
    for function, options, *buffers in new:
        assert misses(comm, function, *buffers, **options) == 0, (function, options)
    if P > 1:
        assert misses(comm, "reduce", send, recv, root=1) == 1


def test_defaults_are_those_of_one_comm(comm):
    """Several for one communicator share its plans, and the buffers do not tell them apart."""
    send, recv = np.arange(3) + RANK, np.zeros(3, int)
    ring, tree = Comm(comm, algorithm="ring"), Comm(comm, algorithm={"allreduce": "tree"})
    ways = [
        (comm, "auto"),
        (Comm(comm), "auto"),
        (ring, "ring"),
        (tree, "tree"),
        (Comm(ring), "ring"),
    ]
    pools = channel_of(comm).store.pools

    def asked():
        return [plan.asked.name for pool in pools.values() for plan in pool.idle]

    for _ in range(4):
        for each, _ in ways:
            run("allreduce", send, recv, comm=each)
            check(recv, P * np.arange(3) + P * (P - 1) // 2)
            recv[...] = -1
    assert asked() == ["auto", "ring", "tree"]
    for each, name in ways:
        channel_of(comm).forget()
        for _ in range(3):
            run("allreduce", send, recv, comm=each)
        assert asked() == [name]


def test_other_memory_needs_no_new_recording(comm, monkeypatch):
    """The plan of a call is made from that of one like it, and is right where it is."""
    recorded, attempt = [], Recorder.attempt

    def remember(self, call, **options):
        recorded.append(call.primitive)
        return attempt(self, call, **options)

    monkeypatch.setattr(Recorder, "attempt", remember)
    counts = [rank % 3 for rank in range(P)]
    firsts, kept = np.cumsum([0, *counts[:-1]]), []
    everybodys = P * (P - 1) // 2
    for number in range(5):
        send, total, place = (np.arange(7) + RANK + number, *np.full((2, 7), -1))
        whole, block = np.full(sum(counts) + 1, -1), np.full(counts[RANK], 10 * RANK + number)
        kept.append((send, total, place, whole, block))  # or its memory would come again
        place[...] = send
        run("allreduce", send, total, comm=comm)
        run("allreduce", MPI.IN_PLACE, place, comm=comm, algorithm="ring")
        run("allgatherv", block, [whole, counts, firsts, MPI.LONG], comm=comm)
        check(total, P * (np.arange(7) + number) + everybodys)
        check(place, total)
        expected = [10 * rank + number for rank in range(P) for _ in range(counts[rank])]
        check(whole, np.array([*expected, -1]))
        run("bcast", send, P - 1, comm=comm, algorithm="scatter_ring_allgather")
        check(send, np.arange(7) + P - 1 + number)
        whole_ones = np.full(7 * P, RANK + number)
        kept.append(whole_ones)
        run("reduce_scatter_block", whole_ones, send, comm=comm)
        check(send, np.full(7, P * number + everybodys))
    assert recorded == ["allreduce", "allreduce", "allgather", "bcast", "reduce_scatter"]
    for _ in range(2):
        with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
            run("allreduce", place[:7], np.frombuffer(place.data, place.dtype), comm=comm)
        whole = np.zeros(10, int)
        with pytest.raises(BufferMismatch, match="overlaps sendbuf"):
            run("allreduce", whole[:7], whole[3:], comm=comm)
    references = [weakref.ref(array) for array in (send, total, whole_ones)]
    del send, total, whole_ones
    kept.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


@pytest.mark.parametrize("elements", [5, 5000], ids=["copied", "moved"])
def test_a_call_with_the_same_buffers_gets_a_direct_plan(comm, elements):
    """Not the first time, when it may never come again."""
    numbers, alive = np.arange(elements), []
    for number in range(25):
        send, total = numbers * number + RANK, np.full(elements, -1)
        alive.append((send, total))  # or its memory would come again
        for turn in range(5):
            run("allreduce", send, total, comm=comm)
            check(total, P * numbers * (number + turn) + P * (P - 1) // 2)
            send += numbers
            [pool] = channel_of(comm).store.pools.values()
            assert len(pool.direct) == number + (turn > 0)
            assert len(pool.idle) == 1


def test_what_is_kept_is_bounded(comm, monkeypatch):
    store = channel_of(comm).store
    monkeypatch.setattr(stores, "MAX_PLANS", 10)
    memory, result = np.arange(2000 * P) + RANK, np.full(2000 * P, -1)
    for size in range(1, 25):
        for _ in range(3):
            run("allreduce", memory[:size], result[:size], comm=comm)
            check(result[:size], P * np.arange(size) + P * (P - 1) // 2)
            result[:size] = -1
        assert 0 < kept(store)[0] <= 11
    monkeypatch.setattr(stores, "MAX_BYTES", 40_000)
    for size in range(100, 2000, 100):
        run("alltoall", MPI.IN_PLACE, result[: size * P], comm=comm)
        assert kept(store)[1] <= 40_000


def kept(store):
    """How many plans there are, and their bytes, as the store counts them: it must be right."""
    pools = store.pools.values()
    assert store.plans == sum(len(pool.idle) + len(pool.direct) for pool in pools)
    assert store.nbytes == sum(pool.nbytes for pool in pools)
    assert all(pool.nbytes >= sum(plan.nbytes for plan in pool.idle) for pool in pools)
    return store.plans, store.nbytes


def test_memory_that_became_read_only(comm):
    """It may be read; as an output it is refused, whatever was written there before."""
    send, recv, seen = np.arange(3) + RANK, np.zeros(3, int), np.zeros(3, int)
    for _ in range(3):
        run("allreduce", send, recv, comm=comm)
        run("bcast", seen, comm=comm)
    send.flags.writeable = False
    recv[...] = -1
    assert misses(comm, "allreduce", send, recv) == 0
    check(recv, P * np.arange(3) + P * (P - 1) // 2)
    recv.flags.writeable = seen.flags.writeable = False
    recv_before = recv.copy()
    with pytest.raises(BufferMismatch, match="read-only"):
        run("allreduce", send, recv, comm=comm)
    if P > 1 and RANK > 0:
        with pytest.raises(BufferMismatch, match="read-only"):
            run("bcast", seen, comm=comm)
    check(recv, recv_before)


def test_placeholders_in_the_wrong_place(comm):
    """Calls with one array are found by it, and by which of the two buffers it is."""
    data, blocks = np.arange(3) + 10 * RANK, np.arange(3 * P) + 100 * RANK
    right = [
        ("allreduce", MPI.IN_PLACE, data),
        ("allgather", MPI.IN_PLACE, blocks),
        ("scan", MPI.IN_PLACE, data),
        ("reduce", *((MPI.IN_PLACE, data) if RANK == 0 else (data, None))),
        ("gather", *((MPI.IN_PLACE, blocks) if RANK == 0 else (data, None))),
        ("scatter", *((blocks, MPI.IN_PLACE) if RANK == 0 else (None, data))),
    ]
    for _ in range(4):
        for function, *buffers in right:
            run(function, *buffers, comm=comm)
    before = data.copy(), blocks.copy()
    for function, *buffers in right:
        with pytest.raises(BufferMismatch):
            run(function, *buffers[::-1], comm=comm)
        check(data, before[0])
        check(blocks, before[1])


def test_datatypes_are_part_of_a_call(comm):
    """Also where the array is the same, and where datatypes come and go."""
    ours = Comm(comm)
    send, recv = np.zeros(4, np.int64), np.zeros(4, np.int64)
    types = [(MPI.LONG, np.int64), (MPI.DOUBLE, np.float64), (MPI.INT, np.int32)]
    for turn in range(4):
        for datatype, dtype in types:
            mine, result = send.view(dtype), recv.view(dtype)
            numbers = np.arange(mine.size, dtype=dtype)
            for spell in (list, tuple):
                mine[...], result[...] = numbers + turn + RANK, -1
                ours.Allreduce(spell((send, datatype)), spell((recv, datatype)))
                total = P * (numbers + turn) + P * (P - 1) // 2
                check(result, total)
                result[...] += RANK
                ours.Allreduce(MPI.IN_PLACE, spell((recv, datatype)), op=MPI.MAX)
                check(result, total + P - 1)
                result[...] = numbers * 10 + RANK
                ours.Bcast(spell((recv, datatype)), root=P - 1)
                check(result, numbers * 10 + P - 1)
        with pytest.raises(BufferMismatch):
            ours.Allreduce([send, MPI.LONG], [recv, MPI.DOUBLE])
    data = np.arange(12) + 100 * RANK
    for turn in range(12):
        pairs = MPI.LONG.Create_vector(2, 1, 2 + turn % 3).Commit()
        before = data.copy()
        comm_data = [data, 1, pairs] if turn % 2 else [data[: 3 + turn % 3], pairs]
        ours.Bcast(comm_data, root=turn % P)
        pairs.Free()  # its object and its handle may come again
        for place in (0, 2 + turn % 3):
            before[place] = ours.bcast(int(before[place]), root=turn % P)
        check(data, before)


def test_counts_changed_in_place(comm):
    """Their contents are part of the call, in every form."""
    whole, send = np.zeros(2 * P), np.arange(2.0) + RANK
    counts, displs = np.full(P, 2), np.arange(P) * 2
    for form in (lambda: [whole, (counts, displs)], lambda: [whole, (list(counts), list(displs))]):
        counts[...], displs[...] = 2, np.arange(P) * 2
        for function in ("allgatherv", "gatherv"):
            for new_count, new_displs in ((2, np.arange(P) * 2), (1, np.arange(P)[::-1])):
                counts[...], displs[...], whole[...] = new_count, new_displs, -1
                run(function, send[:new_count], form() if RANK == 0 or function[0] == "a" else None)
                if RANK == 0 or function[0] == "a":
                    expected = np.full(2 * P, -1.0)
                    for rank in range(P):
                        start = displs[rank]
                        expected[start : start + new_count] = np.arange(new_count) + rank
                    check(whole, expected, function)
    recv = np.zeros(P)
    counts = np.zeros(P, np.int32)
    for owner in (0, P - 1, 0):  # all goes to one rank
        counts[...] = 0
        counts[owner], recv[...] = P, -1
        run("reduce_scatter", np.ones(P), recv[: counts[RANK]], counts)
        check(recv, np.full(P, float(P) if owner == RANK else -1.0))


def test_memory_that_another_array_has_taken_over(comm):
    """An address says where data lies, not whose it is."""
    memory = mmap.mmap(-1, 4096)
    for number in range(3):
        send = np.frombuffer(memory, np.float64, 4)
        recv = np.frombuffer(memory, np.float64, 4, 64)
        send[...], recv[...] = number + RANK, -1
        made = misses(comm, "allreduce", send, recv)
        assert made == (number == 0)
        check(recv, np.full(4, P * number + P * (P - 1) / 2))
        del send, recv
    for code in ("f8", "i8", "f4", "c8"):  # the same bytes, meaning other numbers
        for _ in range(2):
            send, recv = np.frombuffer(memory, code, 8), np.frombuffer(memory, code, 8, 64)
            send[...] = 1
            run("allreduce", send, recv, comm=comm)
            check(recv, np.full(8, P, code), code)
            del send, recv
    gc.collect()
    memory.close()  # fails if anything still holds it
    for number in range(50):  # whatever the allocator hands out again
        send, recv = np.full(5, number), np.zeros(5, np.int64)
        run("allreduce", send, recv, comm=comm)
        check(recv, np.full(5, P * number))


def test_arrays_are_not_kept_alive(comm):
    arrays = [np.zeros(100 * P) for _ in range(2)]
    block = np.zeros(100)
    for function in ("allreduce", "alltoall", "scan", "reduce"):
        for name in algorithms(function):
            run(function, *arrays, comm=comm, algorithm=name)
    run("alltoall", MPI.IN_PLACE, arrays[0], comm=comm)
    run("allgather", block, arrays[0], comm=comm)
    run("reduce_scatter_block", arrays[0], block, comm=comm)
    run("alltoallv", [arrays[0], [100] * P], [arrays[1], [100] * P], comm=comm, algorithm="tree")
    references = [weakref.ref(array) for array in (*arrays, block)]
    assert len(channel_of(comm).store.pools) > 10
    del arrays, block
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_what_is_dropped_is_made_again(comm, monkeypatch):
    store = channel_of(comm).store
    memory, result = np.ones(300), np.zeros(300)
    monkeypatch.setattr(stores, "MAX_PLANS", 10)
    for offset in range(15):
        run("allreduce", memory[offset:], result[offset:], comm=comm)
    assert kept(store)[0] == 10
    assert misses(comm, "allreduce", memory, result) == 1
    monkeypatch.setattr(stores, "MAX_BYTES", 100_000)
    for offset in range(8):
        for name in ("tree", "ring", "recursive_doubling"):
            run("alltoall", MPI.IN_PLACE, np.ones((P, 200 + offset)), comm=comm, algorithm=name)
    assert kept(store)[1] <= 100_000
    large, result = np.ones(20_000), np.zeros(20_000)
    # Too large to keep; on one rank the pass leaves nothing of it.
    assert misses(comm, "alltoall", MPI.IN_PLACE, np.ones(20_000 * P)) == (P == 1)
    for _ in range(2):
        run("allreduce", large, result, comm=comm)
        check(result, np.full(20_000, float(P)))


def test_kept_bytes_are_counted(comm):
    """Scratch, packed messages and the copies that are made beforehand."""
    store, size = channel_of(comm).store, 8 * 1000 * P
    run("alltoall", MPI.IN_PLACE, np.ones(1000 * P), comm=comm, algorithm="naive")
    assert kept(store)[1] >= size
    if P > 3:  # where the blocks of a message are no neighbours
        before = store.nbytes
        blocks = np.ones(1000 * P)
        run("alltoall", blocks, blocks.copy(), comm=comm, algorithm="recursive_doubling")
        assert kept(store)[1] >= before + size


def test_algorithm_that_fails_is_not_kept(comm, registry):
    @algorithm("bcast")
    def fails(rank, p, buf, root):
        yield copy(buf, buf[:0])

    for _ in range(2):
        with pytest.raises(ScheduleError, match=r"bcast\.fails"):
            run("bcast", np.zeros(2), comm=comm, algorithm="fails")
        assert not channel_of(comm).store.pools


def test_algorithm_that_was_registered_anew(comm, registry):
    """As when its file is edited and loaded again."""
    data, result = np.ones(2), np.zeros(2)

    def register(value):
        @algorithm("allreduce", name="local")
        def local(rank, p, sendbuf, recvbuf):
            for _ in range(value):
                yield copy(sendbuf, recvbuf)

    for value, expected in ((1, 1), (0, 0), (2, 1)):
        register(value)
        result[...] = 0
        for _ in range(2):
            run("allreduce", data, result, comm=comm, algorithm="local")
            check(result, np.full(2, float(expected)))
    assert kept(channel_of(comm).store)[0] == 2  # with the direct one


def test_the_memory_of_a_call_that_is_not_kept_lives_to_its_end(comm, monkeypatch):
    """Messages are addresses: somebody has to hold the scratch memory while they travel."""
    made, alive = [], []
    attempt, compiled = Recorder.attempt, callplan.compile_stages

    def remember(self, call):
        attempted = attempt(self, call)
        made.append(weakref.ref(attempted.plan))
        return attempted

    def then_look(*arguments):
        return [*compiled(*arguments), lambda: alive.extend(plan() is not None for plan in made)]

    data, group = np.arange(5) + RANK, [0] * P  # a list has no hash
    name = "hierarchical"
    run("bcast", data, comm=comm, algorithm=name, group=tuple(group))  # they agree the first time
    plans = set(channel_of(comm).store.pools)
    monkeypatch.setattr(Recorder, "attempt", remember)
    monkeypatch.setattr(callplan, "compile_stages", then_look)
    run("bcast", data, comm=comm, algorithm=name, group=group)
    assert alive == [True]
    assert set(channel_of(comm).store.pools) == plans
