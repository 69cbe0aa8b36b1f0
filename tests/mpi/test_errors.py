"""What is wrong is said on all ranks, before anything is sent or written."""

import pickle
import re

import numpy as np
import pytest
from common import COMM, RANK, REGISTRY, P, check, nothing_arrives
from common import ours as run
from mpi4py import MPI

from collectives import PRIMITIVES
from collectives.algorithms import algorithm
from collectives.algorithms.language.steps import send
from collectives.errors import (
    ArgumentError,
    BufferMismatch,
    CollectiveError,
    RestrictionError,
    ScheduleError,
    UnknownAlgorithm,
)
from collectives.mpi.plans.channel import channel_of

pytestmark = pytest.mark.mpi

ROOTED = ("bcast", "scatter", "scatterv", "gather", "gatherv", "reduce")


@pytest.fixture(autouse=True)
def nothing_was_sent(request):
    forget()
    yield
    if request.session.testsfailed:
        return
    nothing_arrives(channel_of(COMM))
    assert not channel_of(COMM).store.pools
    total = np.zeros(2)
    run("allreduce", np.array([1.0, RANK]), total)  # the next good call works
    check(total, np.array([P, P * (P - 1) / 2]))
    forget()


def forget():
    """Drop all plans; what is refused must not leave one."""
    channel_of(COMM).forget()


def arrays(value):
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays(item)]
    return [value] if isinstance(value, (np.ndarray, bytearray)) else []


def refused(error, message, function, *arguments, **options):
    """The call raises on this rank and all its buffers stay as they are."""
    before = [bytes(memoryview(x).tobytes()) for x in arrays(arguments) if _plain(x)]
    with pytest.raises(error, match=message) as caught:
        run(function, *arguments, **options)
    assert before == [bytes(memoryview(x).tobytes()) for x in arrays(arguments) if _plain(x)]
    text = str(caught.value)
    assert "comm" in text or re.match(r"[a-z_]+(\.[a-z0-9_]+)?: ", text), text


def _plain(x):
    return not isinstance(x, np.ndarray) or not x.dtype.hasobject


def blocks(size=1):
    return np.arange(float(size * P))


@pytest.mark.parametrize("function", ROOTED)
def test_root(function):
    buffers = [blocks()] if function == "bcast" else [blocks(), blocks()]
    for root in (-1, P, 10**12, None, "0", 0.0, np.float64(0), [0], np.array([0, 1])):
        refused(ArgumentError, "root must be a rank from 0 to", function, *buffers, root=root)
    # Once a plan is there, equal numbers of another type are still refused.
    whole, mine = blocks(), np.zeros(1)
    call = [whole] if function == "bcast" else [mine, whole]
    call = [whole, mine] if function.startswith("scatter") else call
    call = [mine, mine + 1] if function == "reduce" else call
    for root in (0, np.int8(0), True if P > 1 else 0):
        run(function, *call, root=root)
    refused(ArgumentError, r"got 0\.0", function, *call, root=0.0)
    forget()


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_algorithm(primitive):
    buffers = (
        [] if primitive == "barrier" else [blocks()] if primitive == "bcast" else [blocks()] * 2
    )
    message = f"{primitive}: the name of an algorithm is needed, got 'rimg'; choose from ring, "
    refused(UnknownAlgorithm, message, primitive, *buffers, algorithm="rimg")
    refused(
        UnknownAlgorithm, "got 'Tree'; choose from tree, ", primitive, *buffers, algorithm="Tree"
    )
    refused(UnknownAlgorithm, "got ''", primitive, *buffers, algorithm="")
    for name in REGISTRY[primitive]:
        refused(
            ArgumentError, "no parameter 'colour'", primitive, *buffers, algorithm=name, colour=2
        )
        spec = f"{name}:colour=2"
        refused(ArgumentError, "no parameter 'colour'", primitive, *buffers, algorithm=spec)


def test_value_of_a_parameter():
    for segments in (0, -1, 1.5, "many", [1], np.float64(2)):
        options = {"algorithm": "ring", "segments": segments}
        refused(ArgumentError, "segments must be a positive integer", "bcast", blocks(), **options)
    buf = np.full(5, RANK)
    run("bcast", buf, algorithm="ring", segments=np.int64(2))
    run("bcast", buf, algorithm="ring", segments=2)
    refused(ArgumentError, "segments", "bcast", buf, algorithm="ring", segments=2.0)
    forget()


def test_restrictions(registry):
    @algorithm("bcast", name="crowd", minimum_p=P + 1)
    @algorithm("bcast", name="powers", power_of_two=True)
    def example(rank, p, buf, root):
        yield from ()

    message = f"bcast.crowd: needs at least {P + 1} ranks, got {P}; use naive or ring or"
    refused(RestrictionError, message, "bcast", blocks(), algorithm="crowd")
    if P & (P - 1):
        message = f"bcast.powers: needs a power-of-two number of ranks, got {P}; use naive"
        refused(RestrictionError, message, "bcast", blocks(), algorithm="powers")
    op = MPI.Op.Create(lambda left, right, datatype: None, commute=False)
    for function, size in (("allreduce", P), ("reduce_scatter_block", 1)):
        message = r"\.ring: needs a commutative operator, got one that is not; use naive or"
        call = [blocks(), np.zeros(size)]
        refused(RestrictionError, message, function, *call, op=op, algorithm="ring")
    op.Free()


def test_wrong_algorithm(registry):
    """It is recorded, to its end, before its first message."""

    @algorithm("bcast")
    def wrong(rank, p, buf, root):
        if p > 1:
            yield send(buf, (rank + 1) % p)
        yield send(buf, p)

    refused(
        ScheduleError,
        r"bcast.wrong: rank \d of \d: .*test_errors",
        "bcast",
        blocks(),
        algorithm="wrong",
    )


def test_communicator():
    for comm in (None, MPI.COMM_NULL, "world", MPI.SUM):
        refused(ArgumentError, "comm must be an intracommunicator", "bcast", blocks(), comm=comm)
        refused(ArgumentError, "comm must be an intracommunicator", "barrier", comm=comm)


@pytest.mark.parametrize(
    "function", ["allreduce", "reduce", "scan", "exscan", "reduce_scatter_block"]
)
def test_operator(function):
    a, b = blocks(), np.zeros(1 if function == "reduce_scatter_block" else P)
    for op in (None, MPI.OP_NULL, "sum", np.add):
        refused(ArgumentError, "op must be an MPI.Op such as MPI.SUM", function, a, b, op=op)
    message = r"op must be defined for the datatype, got MPI\.REPLACE for float64; choose"
    refused(ArgumentError, message, function, a, b, op=MPI.REPLACE)
    a, b = a.astype(complex), b.astype(complex)
    refused(ArgumentError, r"got MPI\.MAX for complex128", function, a, b, op=MPI.MAX)


def test_length():
    a, b = np.arange(5.0), np.arange(6.0)
    for function in ("allreduce", "scan", "exscan"):
        message = rf"{function}\..*: sendbuf needs 6 elements \(as many as recvbuf\), got 5"
        refused(BufferMismatch, message, function, a, b)
    message = r"sendbuf needs 2 elements \(its block of recvbuf\), got 5"
    refused(BufferMismatch, message, "allgather", a, blocks(2))
    refused(BufferMismatch, message, "allgatherv", a, [blocks(2), [2] * P])
    message = rf"sendbuf needs {2 * P} elements \(as many as recvbuf\), got {3 * P}"
    refused(BufferMismatch, message, "alltoall", blocks(3), blocks(2))
    message = rf"sendbuf needs {2 * P} elements \(the blocks of all ranks\), got {3 * P}"
    refused(BufferMismatch, message, "reduce_scatter_block", blocks(3), np.zeros(2))
    message = r"recvbuf needs 2 elements \(its block of sendbuf\), got 3"
    refused(BufferMismatch, message, "reduce_scatter", blocks(2), np.zeros(3), [2] * P)
    message = rf"recvbuf needs {2 * P} elements \(the whole vector, in place\), got {3 * P}"
    refused(BufferMismatch, message, "reduce_scatter", MPI.IN_PLACE, blocks(3), [2] * P)
    refused(BufferMismatch, "needs one count per rank", "reduce_scatter", MPI.IN_PLACE, blocks())
    refused(BufferMismatch, r"buf needs 7 elements for block 0 \(7 from dis", "bcast", [b, 7])
    refused(BufferMismatch, "whole number of 8-byte elements", "bcast", [bytearray(9), MPI.DOUBLE])
    if P > 1:
        odd = np.zeros(P + 1)
        message = f"recvbuf needs a multiple of {P} elements, got {P + 1}"
        refused(BufferMismatch, message, "allgather", np.zeros(1), odd)
        refused(BufferMismatch, message, "alltoall", odd, odd.copy())
        refused(BufferMismatch, message, "alltoall", MPI.IN_PLACE, odd)
        refused(BufferMismatch, message, "reduce_scatter_block", MPI.IN_PLACE, odd)


@pytest.mark.parametrize(
    "counts, message",
    [
        ([1] * (P + 1), rf"needs {P} counts and displacements, got {P + 1}"),
        ([], rf"needs {P} counts and displacements, got 0"),
        ([-1] * P, r"needs counts (and displacements )?from 0 on, got"),
        ([1.0] * P, r"needs integers as counts and displacements"),
        ([[1] * P] * P, r"needs integers as counts and displacements"),
        ([[1]] * (P - 1) + [[1, 1]], r"needs integers as counts and displacements"),
        (["1"] * P, r"needs integers as counts and displacements"),
        ([2**80] * P, r"needs \d+ elements"),
        (1.5, rf"needs one count per rank \({P}\), got 1.5"),
        ([2**40] * P, r"needs \d+ elements"),
    ],
)
def test_counts(counts, message):
    mine, whole = np.zeros(1), blocks()
    refused(BufferMismatch, f"recvbuf {message}", "allgatherv", mine, [whole, counts])
    refused(BufferMismatch, message, "reduce_scatter", whole, mine, counts)
    for name in ("naive", "tree"):
        call = [[whole, counts], [whole + 1, [1] * P]]
        refused(BufferMismatch, f"sendbuf {message}", "alltoallv", *call, algorithm=name)
    for root in (0, P - 1):  # the root sees it first, and tells
        told = message if root == RANK else f"the root, rank {root}, needs a"
        here = root == RANK
        call = mine, [whole, counts] if here else None
        refused(BufferMismatch, told, "gatherv", *call, root=root)
        refused(BufferMismatch, told, "scatterv", *call[::-1], root=root)
    forget()


def test_what_the_root_alone_sees():
    """In the v-variants all ranks raise."""
    read_only, mine, whole = blocks(), np.zeros(1), blocks(2)
    read_only.flags.writeable = False
    for root in (0, P - 1):
        here = root == RANK
        told = "" if here else f"the root, rank {root}, needs a "
        refused(BufferMismatch, told or "writable", "gatherv", mine, read_only, root)
        refused(BufferMismatch, told or "memory of its own", "gatherv", whole[:1], whole[:P], root)
        refused(BufferMismatch, told or "2 elements", "gatherv", mine, whole, root)
        refused(BufferMismatch, told or "2 elements", "scatterv", whole, mine, root)
        refused(BufferMismatch, told or "dtype", "scatterv", blocks().astype("f"), mine, root)
    forget()


def test_displacements():
    whole, mine = blocks(2), np.zeros(1)
    message = (
        "recvbuf needs counts and displacements from 0 on, got block 0 .1 from displacement -1"
    )
    refused(BufferMismatch, message, "allgatherv", mine, [whole, ([1] * P, [-1] * P)])
    message = f"recvbuf needs {2 * P + 1} elements for block 0"
    refused(BufferMismatch, message, "allgatherv", mine, [whole, ([1] * P, [2 * P] * P)])
    if P > 1:
        message = "recvbuf needs blocks that do not overlap"
        refused(BufferMismatch, message, "allgatherv", mine, [whole, ([1] * P, [1] * P)])
        call = whole + 1, [whole, ([2] * P, list(range(P)))]
        refused(BufferMismatch, message, "alltoallv", *call, algorithm="naive")
    message = "recvbuf needs 1 elements from the rank itself, as sendbuf has, got 2"
    call = [whole, [1] * P], [whole + 1, [2] * P]
    refused(BufferMismatch, message, "alltoallv", *call, algorithm="naive")
    if P > 1:
        message = "recvbuf needs the counts that the ranks send"
    else:
        message = "needs"
    refused(BufferMismatch, message, "alltoallv", *call, algorithm="tree")
    forget()


@pytest.mark.parametrize("function", ["allreduce", "scan", "exscan", "alltoall", "allgather"])
def test_memory(function):
    good, other = blocks(), blocks()
    mine = good[:1] if function == "allgather" else good
    read_only = other.copy()
    read_only.flags.writeable = False
    message = "recvbuf needs writable memory, got a read-only buffer"
    refused(BufferMismatch, message, function, mine, read_only)
    refused(BufferMismatch, message, function, mine, bytes(8 * P))
    refused(BufferMismatch, message, function, MPI.IN_PLACE, read_only)
    count = 1 if function in ("alltoall", "allgather") else P  # of one block
    refused(BufferMismatch, message, function, mine, [read_only, count, MPI.DOUBLE])
    spread, square = np.zeros(2 * P + 2)[::2], np.zeros((4, 4))[:2, :2]
    message = r"needs contiguous memory, got an array with strides \(16,\); pass a contiguous copy"
    refused(BufferMismatch, f"recvbuf {message}", function, mine, spread)
    refused(BufferMismatch, f"sendbuf {message}", function, spread, other)
    refused(BufferMismatch, "needs contiguous memory", function, mine, square)
    refused(
        BufferMismatch,
        "needs contiguous memory",
        function,
        mine,
        other[::-1][: P + 1][:9] if P > 1 else spread,
    )
    for wrong in (3, 1.5, "text", None, [1.0, 2.0], [], {}, object(), MPI.BOTTOM):
        refused(BufferMismatch, "recvbuf needs", function, mine, wrong)
        if wrong is not None:  # which mpi4py takes for MPI.IN_PLACE
            refused(BufferMismatch, "sendbuf needs", function, wrong, other)
    refused(BufferMismatch, "recvbuf needs a buffer, got", function, mine, MPI.IN_PLACE)
    message = "sendbuf needs recvbuf's dtype float64, got int64"
    refused(BufferMismatch, message, function, mine.astype(np.int64), other)
    refused(BufferMismatch, "dtype", function, [mine, MPI.INT64_T], other)
    for dtype in ("O", ">f8", "<f8,>i4"):
        refused(
            BufferMismatch,
            "needs numbers in native byte order",
            function,
            mine,
            other.astype(dtype),
        )
    refused(BufferMismatch, "needs a datatype or its code", function, [mine, "zz"], other)
    refused(BufferMismatch, "needs a datatype, got", function, [mine, MPI.DATATYPE_NULL], other)
    spread = MPI.DOUBLE.Create_vector(2, 1, 2).Commit()
    refused(
        BufferMismatch,
        r"needs the memory from byte 0 to \d+ for block 0",
        function,
        [blocks(), 3 * P, spread],
        other,
    )
    spread.Free()


def classes():
    """Wrong calls, the error class that MPI has for each, and an error of Python's."""
    a, b, whole = np.arange(3.0), np.zeros(3), np.arange(3.0 * P)
    read_only = np.frombuffer(bytes(24))
    commute = MPI.Op.Create(lambda *_: None, commute=False)
    derived = MPI.DOUBLE.Create_vector(2, 1, 2).Commit()
    empty = MPI.DATATYPE_NULL
    return [
        (MPI.ERR_ROOT, ValueError, "bcast", [a, P]),
        (MPI.ERR_ROOT, ValueError, "gather", [a, None, -1]),
        (MPI.ERR_OP, ValueError, "allreduce", [a, b, MPI.OP_NULL]),
        (MPI.ERR_OP, ValueError, "allreduce", [a, b, MPI.BAND]),
        (MPI.ERR_OP, ValueError, "allreduce", [[a, derived], [b, derived], MPI.SUM]),
        (MPI.ERR_OP, ValueError, "allreduce", [a, b, commute, "ring"]),
        (MPI.ERR_TYPE, KeyError, "bcast", [[a, "zz"]]),
        (MPI.ERR_TYPE, KeyError, "bcast", [a.astype(object)]),
        (MPI.ERR_TYPE, ValueError, "bcast", [[a, 3, empty]]),
        (MPI.ERR_TYPE, ValueError, "allgather", [np.arange(3), whole]),
        (MPI.ERR_COUNT, ValueError, "bcast", [[a, -1]]),
        (MPI.ERR_COUNT, ValueError, "allreduce", [a, b[:2]]),
        (MPI.ERR_TRUNCATE, ValueError, "reduce_scatter", [whole, b[:2], [3] * P]),
        (MPI.ERR_TRUNCATE, ValueError, "bcast", [[a, 4]]),
        (MPI.ERR_BUFFER, BufferError, "bcast", [np.zeros((3, 3))[:, 1]]),
        (MPI.ERR_BUFFER, BufferError, "allreduce", [a, read_only]),
        (MPI.ERR_BUFFER, TypeError, "bcast", ["text"]),
        (MPI.ERR_BUFFER, ValueError, "allreduce", [a, a]),
        (MPI.ERR_ARG, LookupError, "barrier", ["rimg"]),
    ]


def test_error_classes():
    """What catches mpi4py's errors catches ours; they can be told to other processes."""
    for mpi_class, kind, function, call in classes():
        with pytest.raises(MPI.Exception) as caught:
            run(function, *call)
        error = caught.value
        assert isinstance(error, CollectiveError) and isinstance(error, kind), (function, error)
        assert isinstance(error, (ValueError, LookupError))
        assert error.Get_error_class() == error.error_class == error.Get_error_code() == mpi_class
        assert error == mpi_class and int(error) == mpi_class and error
        assert str(error) == error.Get_error_string() == error.args[0]
        assert str(error).startswith(f"{function}")
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and again == error
    with pytest.raises(MPI.Exception) as caught:
        run("barrier", comm=MPI.COMM_NULL)
    assert caught.value.Get_error_class() == MPI.ERR_COMM


def test_the_same_error_everywhere():
    """One rank's mistake is told to all, with its class."""
    for culprit in {0, P - 1}:
        channel_of(COMM).supervisor.agreed.clear()
        buf = np.zeros(3) if culprit != RANK else np.zeros((3, 3))[:, 1]
        with pytest.raises(BufferMismatch, match=rf"rank {culprit} of {P}: buf needs") as caught:
            run("bcast", buf, algorithm="tree")
        error = caught.value
        assert isinstance(error, MPI.Exception) and isinstance(error, BufferError)
        assert error.Get_error_class() == MPI.ERR_BUFFER
        assert len(set(COMM.allgather((type(error).__name__, str(error), error.mpi_class)))) == 1


def test_overlap():
    whole = np.arange(4.0 * P)
    message = (
        "recvbuf needs memory of its own, got a buffer that overlaps sendbuf; use MPI.IN_PLACE"
    )
    for function in ("allreduce", "scan", "exscan", "alltoall"):
        refused(BufferMismatch, message, function, whole, whole)
        refused(BufferMismatch, message, function, whole[: 2 * P], whole[P : 3 * P])
    for function in ("allgather", "allgatherv"):
        refused(BufferMismatch, message, function, whole[4 * RANK : 4 * RANK + 4], whole)
    refused(BufferMismatch, message, "reduce_scatter_block", whole, whole[:4])
    refused(BufferMismatch, message, "reduce_scatter", whole, whole[:4], [4] * P)
    refused(BufferMismatch, message, "alltoallv", whole, whole)
    run("allreduce", whole[:0], whole[:0])  # nothing overlaps nothing
    forget()


def test_writable_no_more():
    """A plan does not outlive the permission to write."""
    data, result = np.ones(3), np.zeros(3)
    run("allreduce", data, result)
    result.flags.writeable = False
    refused(BufferMismatch, "writable", "allreduce", data, result)
    result.flags.writeable = True
    result[...] = 0
    run("allreduce", data, result)
    check(result, np.full(3, float(P)))
    forget()
