"""Buffers in every form that mpi4py knows: it and we take the same, and refuse the same."""

from array import array

import numpy as np
import pytest
from common import COMM, RANK, P, builtin, check
from common import ours as run
from mpi4py import MPI

from collectives.errors import BufferMismatch, CollectiveError
from collectives.mpi.plans.channel import channel_of

pytestmark = pytest.mark.mpi

TOTAL = P * (P - 1) // 2  # 0 + 1 + .. + P-1
STARTS = [rank * (rank - 1) // 2 for rank in range(P)]
COUNTS = list(range(P))


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
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


def test_memory_that_is_no_array_keeps_plans():
    """Whatever it holds by now, and wherever it is."""
    plans = channel_of(COMM).store.pools
    total, before = bytearray(8), set()
    for number in range(2 * P):
        run("allreduce", [np.int64(number), MPI.LONG], [total, MPI.LONG])
        assert int.from_bytes(total, "little") == P * number
        run("allreduce", array("q", [number + RANK]), memoryview(total).cast("q"))
        assert int.from_bytes(total, "little") == P * number + sum(COUNTS)
        before = before or set(plans)
    assert set(plans) == before


class ByDLPack:
    """Has memory by DLPack alone, as the tensors of deep learning."""

    def __init__(self, array, device=None):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device or self.array.__dlpack_device__()


class Raises:
    """Fails when it is exported."""

    def __init__(self, error):
        self.error = error

    def __dlpack__(self, **options):
        raise self.error

    def __dlpack_device__(self):
        return 1, 0


class ByCuda:
    """Has memory by the interface of CUDA's arrays alone; it is the host's."""

    def __init__(self, array, **more):
        self.array = array
        self.__cuda_array_interface__ = {**array.__array_interface__, **more}
        del self.__cuda_array_interface__["descr"]


class ByArrayInterface:
    """numpy could read it; mpi4py does not."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__


def read_only(array):
    array.flags.writeable = False
    return array


# What each makes of an array of 6 float64.
D = MPI.DOUBLE
SPELLINGS = {
    "array": lambda a: a,
    "matrix": lambda a: a.reshape(2, 3),
    "Fortran": lambda a: a.reshape(2, 3).T,
    "memoryview": memoryview,
    "buffer": lambda a: MPI.buffer(a),
    "array.array": lambda a: array("d", a),
    "bytearray": lambda a: bytearray(a),
    "bytes": lambda a: bytes(a),
    "DLPack": ByDLPack,
    "DLPack, type": lambda a: [ByDLPack(a), D],
    "DLPack, count": lambda a: [ByDLPack(a), 6],
    "DLPack, strides": lambda a: ByDLPack(a[::2]),
    "DLPack, ints": lambda a: ByDLPack(a.view(np.int16)),
    "DLPack that raises": lambda a: Raises(BufferError("no")),
    "DLPack with a wrong value": lambda a: Raises(ValueError("no")),
    "DLPack with a wrong type": lambda a: Raises(TypeError("no")),
    "CUDA": ByCuda,
    "CUDA, type": lambda a: [ByCuda(a), D],
    "CUDA, count": lambda a: [ByCuda(a), 6],
    "CUDA, too few": lambda a: [ByCuda(a), 3, D],
    "CUDA, ints": lambda a: ByCuda(a.view(np.int16)),
    "CUDA, strides": lambda a: ByCuda(a[::2]),
    "CUDA, read-only": lambda a: ByCuda(read_only(a)),
    "CUDA, mask": lambda a: ByCuda(a, mask=a),
    "array interface": ByArrayInterface,
    "read-only": read_only,
    "strides": lambda a: a[::2],
    "backwards": lambda a: a[::-1],
    "square": lambda a: a.reshape(2, 3)[:, :2],
    "memoryview, strides": lambda a: memoryview(a)[::2],
    "objects": lambda a: a.astype(object),
    "byte order": lambda a: a.astype(">f8"),
    "byte order, type": lambda a: [a.astype(">f8"), D],
    "half": lambda a: a.astype("e"),
    "complex": lambda a: a.view(complex),
    "bool": lambda a: a.view(bool),
    "list of numbers": lambda a: [1.0, 2.0],
    "number": lambda a: 1.0,
    "text": lambda a: "text",
    "None": lambda a: None,
    "empty": lambda a: [],
    "empty tuple": lambda a: (),
    "(a)": lambda a: [a],
    "five": lambda a: [a, 6, 0, D, 0],
    "count": lambda a: [a, 6],
    "numpy's count": lambda a: (a, np.int8(6)),
    "fewer": lambda a: [a, 3],
    "no elements": lambda a: [a, 0],
    "negative": lambda a: [a, -1],
    "a float as count": lambda a: [a, 6.0],
    "a text as count": lambda a: [a, 6, "6"],
    "type": lambda a: [a, D],
    "code": lambda a: [a, "d"],
    "long code": lambda a: [a, "f8"],
    "unknown code": lambda a: [a, "zz"],
    "no code": lambda a: [a, 6, 8],
    "dtype": lambda a: [a, 6, np.dtype("d")],
    "other type": lambda a: [a, MPI.INT],
    "other size": lambda a: [a[:3], MPI.INT.Create_contiguous(4)],
    "null type": lambda a: [a, 6, MPI.DATATYPE_NULL],
    "count and type": lambda a: [a, 6, D],
    "count and None": lambda a: [a, 6, None],
    "None and type": lambda a: [a, None, D],
    "pair": lambda a: [a, (3, 1)],
    "pair in a list": lambda a: [a, [3, 1]],
    "pair and type": lambda a: [a, (3, 1), D],
    "half a pair": lambda a: [a, (None, 2), D],
    "other half": lambda a: [a, (3, None), D],
    "triple": lambda a: [a, (3, 1, 1), D],
    "displacement": lambda a: [a, 3, 1, D],
    "numpy's displacement": lambda a: [a, 3, np.int64(1), "d"],
    "no displacement": lambda a: [a, 3, None, D],
    "negative displacement": lambda a: [a, 3, -1, D],
    "displacement beyond": lambda a: [a, None, 7, D],
    "MPI.BOTTOM": lambda a: [MPI.BOTTOM, 0, D],
    "MPI.BOTTOM, no count": lambda a: [MPI.BOTTOM, D],
    "MPI.BOTTOM, no type": lambda a: [MPI.BOTTOM, 0],
    "MPI.BOTTOM, displacement": lambda a: [MPI.BOTTOM, (0, 1), D],
    "MPI.BOTTOM alone": lambda a: MPI.BOTTOM,
    "bare": lambda a: MPI.buffer.fromaddress(MPI.Get_address(a), 48),
    "bare, too short": lambda a: [MPI.buffer.fromaddress(MPI.Get_address(a), 8), 6, D],
    "bare, empty": lambda a: [MPI.buffer.fromaddress(MPI.Get_address(a), 0), 6, D],
    "bare, no count": lambda a: [MPI.buffer.fromaddress(MPI.Get_address(a), 12), D],
    "bare, displacement": lambda a: [MPI.buffer.fromaddress(MPI.Get_address(a), 8), (3, 2), D],
    "bare, part": lambda a: [MPI.buffer.fromaddress(MPI.Get_address(a), 48)[:8], 6, D],
    "no data": lambda a: [None, 0, D],
    "no data, no count": lambda a: [None, D],
    "no data, pair": lambda a: [None, (0, 0), D],
    "no data, no type": lambda a: [None, 0],
    "no data but a count": lambda a: [None, 3, D],
    "counts": lambda a: [a, [6]],
    "counts of an array": lambda a: [a, np.array([6])],
    "counts and type": lambda a: [a, [6], D],
    "counts and displs": lambda a: [a, ([3], [1])],
    "counts, displs, type": lambda a: [a, ([3], [1]), D],
    "counts, displs": lambda a: [a, [3], [1], D],
    "tuples": lambda a: [a, (3,), (1,), D],
    "arrays": lambda a: [a, array("i", [3]), np.array([1]), D],
    "a count and displs": lambda a: [a, 3, [1], D],
    "counts and None": lambda a: [a, [3], None, D],
    "too many counts": lambda a: [a, [1, 2], None, D],
    "no counts": lambda a: [a, [], None, D],
    "floats": lambda a: [a, [3.0], None, D],
}
ONLY_MPI4PY = {  # which reads what does not belong to the buffer, or what we cannot
    "too much": lambda a: [a, 7],
    "DLPack on a GPU": lambda a: ByDLPack(a, device=(2, 0)),
}


def outcome(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return error
    return None


@pytest.mark.skipif(P > 1, reason="compares what one rank takes")
@pytest.mark.parametrize("name", SPELLINGS)
def test_as_mpi4py(name):
    """Read or written, whole or in blocks: refused by both or by none, by the same error."""
    make = SPELLINGS[name]
    calls = {"bcast": [None], "scatter": [None, MPI.IN_PLACE], "scatterv": [None, MPI.IN_PLACE]}
    calls |= {"allgather": [MPI.IN_PLACE, None], "allgatherv": [MPI.IN_PLACE, None]}
    calls |= {"alltoallv": [MPI.IN_PLACE, None], "alltoall": [MPI.IN_PLACE, None]}
    for function, call in calls.items():
        if name in ("negative", "no data but a count") and function.endswith("v"):
            continue  # mpi4py leaves it to MPI, and not every MPI looks at it
        errors = []
        for collective in (builtin, run):
            buf = make(np.arange(6.0))
            errors.append(outcome(collective, function, *[buf if x is None else x for x in call]))
        theirs, ours = errors
        assert (theirs is None) == (ours is None), (function, theirs, ours)
        if theirs is not None:
            assert isinstance(ours, CollectiveError) and isinstance(ours, MPI.Exception)
            assert isinstance(ours, type(theirs)), (function, theirs, ours)


@pytest.mark.parametrize("name", ONLY_MPI4PY)
def test_what_we_refuse(name):
    with pytest.raises(BufferMismatch) as caught:
        run("bcast", ONLY_MPI4PY[name](np.arange(6.0)))
    assert caught.value.Get_error_class() in (MPI.ERR_BUFFER, MPI.ERR_TRUNCATE)


def test_count_of_a_block():
    """Where a buffer has one block per rank, its count is that of a block, as in C."""
    send, whole = np.arange(3.0) + 10 * RANK, np.full(4 * P, -1.0)
    right = whole.copy()
    right[: 3 * P] = (np.arange(3.0) + 10 * np.arange(P)[:, None]).ravel()
    for call in (run, builtin):
        whole[...] = -1
        call("allgather", [send, 3, MPI.DOUBLE], [whole, 3, MPI.DOUBLE])
        check(whole, right)
        whole[...] = -1
        call("gather", send, [whole, 3] if RANK == P - 1 else None, P - 1)
        check(whole, right if RANK == P - 1 else np.full(4 * P, -1.0))
        mine, there = np.full(3, -1.0), np.arange(3.0 * P)
        call("scatter", [there, 3, MPI.DOUBLE] if RANK == P - 1 else None, mine, P - 1)
        check(mine, there[3 * RANK :][:3])
        whole[...] = -1
        call("alltoall", [there + 100 * RANK, 3], [whole, 3, "d"])
        check(whole[: 3 * P], (mine + 100 * np.arange(P)[:, None]).ravel())
        result = np.full(3, -1.0)
        options = {"function": "reduce_scatter_block"}
        if call is builtin:
            COMM.Reduce_scatter_block([there, 3, MPI.DOUBLE], [result, 3, MPI.DOUBLE])
        else:
            run(*options.values(), [there, 3, MPI.DOUBLE], [result, 3, MPI.DOUBLE])
        check(result, P * there[3 * RANK :][:3])
    with pytest.raises(BufferMismatch, match=rf"needs {5 * P} elements for block 0"):
        run("allgather", send, [whole, 5, MPI.DOUBLE])


def test_equal_blocks_of_a_v_variant():
    """One count and one distance stand for all; without any the elements are dealt out."""
    send, right = np.arange(2.0) + 10 * RANK, np.full((P, 3), -1.0)
    right[:, :2] = np.arange(2.0) + 10 * np.arange(P)[:, None]
    for call in (run, builtin):
        whole = np.full((P, 3), -1.0)
        call("allgatherv", send, [whole, 2, 3, MPI.DOUBLE])
        check(whole, right)
        whole = np.full(2 * P, -1.0)
        call("allgatherv", send, [whole, 2])
        check(whole, right[:, :2].ravel())
        dealt = np.full(P + 1, -1.0)  # rank 0 has one more
        mine = np.arange(1.0 + (RANK == 0)) + 10 * RANK
        call("allgatherv", mine, dealt)
        check(dealt, np.array([0, 1, *(10.0 * np.arange(1, P))]))


def test_tensors():
    """What has memory by DLPack alone is read and written each time."""
    data, result = np.arange(5.0) + RANK, np.zeros(5)
    for _ in range(2):
        run("allreduce", ByDLPack(data), ByDLPack(result))
        check(result, P * np.arange(5.0) + TOTAL)
        data += 1
        result -= P
        check(result, P * np.arange(5.0) + TOTAL - P)
        data -= 1


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
    pair.Free()
    triple = MPI.INT.Create_contiguous(3).Commit()  # maybe under the same handle
    data[...] = np.arange(6, dtype="i") + RANK
    run("bcast", [data, 2, triple], root=P - 1)
    check(data, np.arange(6, dtype="i") + P - 1)
    triple.Free()


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
