"""Buffers in every form that mpi4py knows."""

from array import array

import numpy as np
import pytest
from common import COMM, RANK, P, builtin, check
from common import ours as run
from mpi4py import MPI

from collectives.channel import channel_of

pytestmark = pytest.mark.mpi

TOTAL = P * (P - 1) // 2  # 0 + 1 + .. + P-1
STARTS = [rank * (rank - 1) // 2 for rank in range(P)]
COUNTS = list(range(P))


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        lambda a: [a],
        lambda a: (a, MPI.DOUBLE),
        lambda a: [a, "d"],
        lambda a: [a, a.size],
        lambda a: [a, np.int32(a.size)],
        lambda a: [a, a.size, MPI.DOUBLE],
        lambda a: [a, None, MPI.DOUBLE],
        lambda a: [a, (a.size, 0), MPI.DOUBLE],
        lambda a: [a, a.size, 0, MPI.DOUBLE],
        lambda a: [a, a.size, None, "d"],
        lambda a: [a.reshape(2, 3), MPI.DOUBLE],
        lambda a: a.reshape(2, 3),
        lambda a: a.reshape(2, 3).T,  # Fortran order
        lambda a: a.reshape(1, 6, 1),
        lambda a: memoryview(a),
        lambda a: [memoryview(a).cast("B"), 6, MPI.DOUBLE],
        lambda a: a.view(type("Subclass", (np.ndarray,), {})),
    ],
)
def test_forms_of_a_vector(form):
    send, recv = np.arange(6.0) + RANK, np.zeros(6)
    expected = np.arange(6.0) * P + P * (P - 1) / 2
    for _ in range(2):
        recv[...] = -1
        run("allreduce", form(send), form(recv))
        check(recv, expected)
        send, expected = -send, -expected  # other memory, too


def test_part_of_a_buffer():
    send, recv = np.arange(6.0) + RANK, np.zeros(6)
    run("allreduce", [send, 2, 3, MPI.DOUBLE], [recv, (2, 1), MPI.DOUBLE])
    check(recv, np.array([0, 3.0 * P + sum(COUNTS), 4.0 * P + sum(COUNTS), 0, 0, 0]))
    recv = np.arange(6.0) * (RANK + 1)
    run("bcast", [recv, (None, 3), MPI.DOUBLE], root=P - 1)
    check(recv, np.arange(6.0) * np.array([RANK + 1] * 3 + [P] * 3))


@pytest.mark.parametrize(
    "form",
    [
        lambda a: [a, COUNTS],
        lambda a: [a, COUNTS, MPI.INT64_T],
        lambda a: [a, (COUNTS, None), MPI.INT64_T],
        lambda a: [a, (COUNTS, [*STARTS])],
        lambda a: [a, (tuple(COUNTS), tuple(STARTS)), "q"],
        lambda a: [a, COUNTS, STARTS, MPI.INT64_T],
        lambda a: [a, np.array(COUNTS, np.int32), np.array(STARTS, np.int64), "l"],
        lambda a: (a, np.array(COUNTS, np.uint8)),
        lambda a: [a, [np.int64(count) for count in COUNTS]],
        lambda a: [a, array("i", COUNTS), array("i", STARTS), MPI.INT64_T],
    ],
)
def test_forms_of_blocks(form):
    mine, whole = np.full(RANK, RANK), np.zeros(TOTAL, np.int64)
    for function in ("allgatherv", "gatherv"):
        for root in (0, P - 1):
            whole[...] = -1
            here = function == "allgatherv" or root == RANK
            options = {} if function == "allgatherv" else {"root": root}
            run(function, mine, form(whole) if here else None, **options)
            if here:
                check(whole, np.repeat(np.arange(P), COUNTS), function, root)
    mine[...] = -1
    run("scatterv", form(whole) if RANK == P - 1 else None, mine, root=P - 1)
    check(mine, np.full(RANK, RANK))


def test_a_count_is_the_length_of_a_block():
    """Where there is one block per rank, as in mpi4py; the rest of the memory is left alone."""
    summed = [MPI.SUM]
    for function, more in (
        ("scatter", [P - 1]),
        ("gather", [P - 1]),
        ("allgather", []),
        ("alltoall", []),
        ("reduce_scatter_block", summed),
    ):
        for start in (0, 2):
            right, result = np.full(3 * P + 3, -1), np.full(3 * P + 3, -1)
            send = [np.arange(3 * P + 3) + 100 * RANK, 3, start, MPI.INT64_T]
            for call, out in ((builtin, right), (run, result)):
                call(function, send, [out, 3, start, MPI.INT64_T], *more)
            check(result, right, function, start)
    for function, more in (("allgather", []), ("alltoall", []), ("reduce_scatter_block", summed)):
        right = np.arange(3 * P + 3) + 100 * RANK
        result, written = right.copy(), 3 if more else 3 * P + 3
        builtin(function, MPI.IN_PLACE, [right, 3, MPI.INT64_T], *more)
        run(function, MPI.IN_PLACE, [result, 3, MPI.INT64_T], *more)
        check(result[:written], right[:written], function, "in place")


@pytest.mark.parametrize("memory", [bytearray, lambda size: array("B", bytes(size))])
def test_memory_that_is_no_array(memory):
    recv = memory(3 * P)
    run("allgather", bytes([RANK] * 3), recv)
    assert bytes(recv) == bytes(rank for rank in range(P) for _ in range(3))
    run("allgather", [bytes([RANK] * 4), 3, MPI.BYTE], [recv, MPI.BYTE])
    buf = memory(4)
    if RANK == P - 1:
        buf[:] = type(buf)(b"abcd") if isinstance(buf, bytearray) else array("B", b"abcd")
    run("bcast", [buf, MPI.CHAR], root=P - 1)
    assert bytes(buf) == b"abcd"


def test_memory_that_is_no_array_is_not_kept():
    """Its address may come back with other contents."""
    before = len(channel_of(COMM).entries)
    total = bytearray(8)
    for number in range(2 * P):
        run("allreduce", [np.int64(number), MPI.LONG], [total, MPI.LONG])
        assert int.from_bytes(total, "little") == P * number
        run("allreduce", array("q", [number + RANK]), memoryview(total).cast("q"))
        assert int.from_bytes(total, "little") == P * number + sum(COUNTS)
    assert len(channel_of(COMM).entries) == before


def test_numpy_scalars():
    total = np.zeros((), np.float64)
    run("allreduce", np.array(RANK + 0.5), total)
    assert total == sum(COUNTS) + 0.5 * P
    run("allreduce", np.float64(2), total, op=MPI.PROD)
    assert total == 2.0**P


def test_read_only_send_buffers():
    """In every primitive; in bcast the root's."""

    def constant(size):
        values = np.arange(float(size)) + RANK
        values.flags.writeable = False
        return values

    one, all_ = np.zeros(2), np.zeros(2 * P)
    for _ in range(2):  # the second time from the plans
        for function in ("allreduce", "reduce", "scan", "exscan"):
            run(function, constant(2), one)
        for function in ("allgather", "allgatherv", "gather", "gatherv"):
            run(function, constant(2), all_)
        for function in ("scatter", "scatterv", "reduce_scatter", "reduce_scatter_block"):
            run(function, constant(2 * P), one)
        for function in ("alltoall", "alltoallv"):
            run(function, constant(2 * P), all_)
    for algorithm in ("naive", "ring", "recursive_doubling", "tree"):
        for root in range(P):
            buf = constant(2 * P) if root == RANK else np.zeros(2 * P)
            for _ in range(2):
                run("bcast", buf, root, algorithm=algorithm)
                check(buf, np.arange(2.0 * P) + root, algorithm, root)
            whole = constant(2 * P) if root == RANK else None
            run("scatter", whole, MPI.IN_PLACE if root == RANK else one, root, algorithm=algorithm)


@pytest.mark.parametrize("garbage", [None, "nothing", np.zeros((3, 3))[:, 1], [None, -1]])
def test_what_is_not_significant_is_not_read(garbage):
    root = P - 1
    mine, whole = np.full(2, RANK), np.zeros(2 * P, np.int64)
    here = root == RANK
    for function in ("gather", "gatherv"):
        whole[...] = -1
        run(function, mine, whole if here else garbage, root)
        if here:
            check(whole, np.repeat(np.arange(P), 2), function)
    for function in ("scatter", "scatterv"):
        mine[...] = -1
        run(function, whole if here else garbage, mine, root)
        check(mine, np.full(2, RANK), function)
    total = np.zeros(2, np.int64)
    run("reduce", mine, total if here else garbage, MPI.SUM, root)
    if here:
        check(total, np.full(2, sum(COUNTS)))


@pytest.mark.parametrize("nothing", [[None, 0, MPI.INT], [None, 0, 0, "i"], [None, MPI.INT]])
def test_nothing(nothing):
    for function in ("allreduce", "scan", "exscan", "allgather", "alltoall", "reduce"):
        run(function, nothing, nothing)
    run("bcast", nothing)
    run("alltoallv", [None, [0] * P, MPI.INT], [None, ([0] * P, None), MPI.INT])
    mine = [None, 0, MPI.INT] if RANK else [np.array([7], "i"), 1, MPI.INT]
    whole = np.zeros(1, "i")
    run("allgatherv", mine, [whole, [1] + [0] * (P - 1)])
    assert whole[0] == 7


def test_derived_datatypes():
    pair = MPI.INT.Create_contiguous(2).Commit()
    data = np.arange(6, dtype="i") + RANK
    run("bcast", [data, 3, pair], root=P - 1)
    check(data, np.arange(6, dtype="i") + P - 1)
    run("bcast", [data + RANK, 2, 1, pair])
    whole = np.zeros(2 * P * 2, "i")
    run("allgather", [data + RANK, 2, pair], [whole, pair])
    check(whole.reshape(P, 4)[:, 0], np.arange(P, dtype="i") + P - 1)
    entries = len(channel_of(COMM).entries)
    pair.Free()
    triple = MPI.INT.Create_contiguous(3).Commit()  # maybe under the same handle
    data[...] = np.arange(6, dtype="i") + RANK
    run("bcast", [data, 2, triple], root=P - 1)
    check(data, np.arange(6, dtype="i") + P - 1)
    triple.Free()
    assert len(channel_of(COMM).entries) == entries


def test_dtypes_that_mpi_does_not_know():
    particle = np.dtype([("name", "S3"), ("place", np.float32, 3), ("count", np.int16)])
    for dtype in (particle, np.dtype("S5"), np.dtype("U3"), np.dtype("M8[s]"), np.dtype("e")):
        data = np.frombuffer(bytes((RANK + i) % 100 for i in range(4 * dtype.itemsize)), dtype)
        data, whole = data.copy(), np.zeros(4 * P, dtype)
        run("allgather", data, whole)
        assert whole[4 * RANK : 4 * RANK + 4].tobytes() == data.tobytes()
        run("bcast", data, P - 1)
        assert data.tobytes() == whole[4 * P - 4 :].tobytes()


def test_pieces_of_one_array():
    """Send and receive buffers may be parts of one array, in either order."""
    memory = np.zeros(4)
    for send, recv in ((memory[:2], memory[2:]), (memory[2:], memory[:2])):
        send[...], recv[...] = 1, -1
        run("allreduce", send, recv)
        check(recv, np.full(2, float(P)))
        check(send, np.ones(2))
