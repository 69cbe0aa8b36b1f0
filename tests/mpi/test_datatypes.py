"""Derived datatypes: every shape in every form, with the gaps left alone.

A typed buffer is memory full of a sentinel in which some integers stand; where,
`places` says without asking MPI. So a test knows every byte that it must find.

Every shape meets every function; every algorithm as well with `pytest -m slow`.
"""

import gc
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
from common import COMM, RANK, P, algorithms, at_few_ranks, check
from common import ours as run
from mpi4py import MPI

import collectives
from collectives.errors import ArgumentError, BufferMismatch, CallMismatch
from collectives.mpi.data.datatypes import Own, element_of, unit_of
from collectives.mpi.plans.channel import channel_of

pytestmark = [pytest.mark.mpi, at_few_ranks]

INT = MPI.INT32_T
ROOM = 400  # int32 of memory
START = 120  # where displacement 0 is
UNTOUCHED = -7777


class Shape(NamedTuple):
    """A datatype of int32, where these stand in an element, and its extent, in int32."""

    datatype: MPI.Datatype
    places: list[int]
    extent: int


def _nested():
    columns = INT.Create_vector(2, 1, 4).Create_resized(0, 4).Create_contiguous(2)
    return Shape(columns.Create_resized(0, 32), [0, 4, 1, 5], 8)


def _struct():
    pair = INT.Create_vector(2, 1, 2)
    return Shape(MPI.Datatype.Create_struct([1, 1], [4, 20], [INT, pair]), [1, 5, 7], 7)


SHAPES = {
    "contiguous": lambda: Shape(INT.Create_contiguous(3), [0, 1, 2], 3),
    "dup": lambda: Shape(INT.Dup(), [0], 1),
    "vector": lambda: Shape(INT.Create_vector(3, 2, 4), [0, 1, 4, 5, 8, 9], 10),
    "hvector": lambda: Shape(INT.Create_hvector(2, 1, 12), [0, 3], 4),
    "backwards": lambda: Shape(INT.Create_vector(3, 1, -2), [0, -2, -4], 5),
    "indexed": lambda: Shape(INT.Create_indexed([1, 2], [4, 0]), [4, 0, 1], 5),
    "swapped": lambda: Shape(INT.Create_indexed([1, 1], [1, 0]), [1, 0], 2),
    "indexed_block": lambda: Shape(INT.Create_indexed_block(2, [5, 1]), [5, 6, 1, 2], 6),
    "struct": _struct,
    "long": lambda: Shape(INT.Create_resized(0, 16), [0], 4),
    "short": lambda: Shape(INT.Create_vector(3, 1, 20).Create_resized(0, 4), [0, 20, 40], 1),
    "negative": lambda: Shape(INT.Create_resized(-8, 16), [0], 4),
    "reversed": lambda: Shape(INT.Create_contiguous(2).Create_resized(0, -12), [0, 1], -3),
    "subarray": lambda: Shape(INT.Create_subarray([3, 4], [2, 2], [1, 1]), [5, 6, 9, 10], 12),
    "fortran": lambda: Shape(
        INT.Create_subarray([3, 4], [1, 2], [2, 1], MPI.ORDER_FORTRAN), [5, 8], 12
    ),
    "nested": _nested,
}
every_shape = pytest.mark.parametrize("shape", SHAPES, indirect=True)
at_3_ranks = pytest.mark.skipif(P != 3, reason="runs on 3 ranks")


@contextmanager
def made(name):
    """A shape for a while."""
    shape = SHAPES[name]()
    shape.datatype.Commit()
    yield shape
    shape.datatype.Free()


@pytest.fixture
def shape(request):
    with made(request.param) as shape:
        yield shape


def every_other(names):
    """Pairs of a shape and an algorithm: all shapes, and the algorithms in turn."""
    names = [*names]
    return [(shape, names[i % len(names)]) for i, shape in enumerate(SHAPES)]


def where(shape, count, displ=0):
    """The places of `count` elements from a displacement on."""
    starts = [(displ + i) * shape.extent for i in range(count)]
    return [START + start + place for start in starts for place in shape.places]


def memory(places=(), values=UNTOUCHED):
    whole = np.full(ROOM, UNTOUCHED, np.int32)
    whole[list(places)] = values
    return whole


def numbers(rank, n, seed=0):
    return np.arange(n, dtype=np.int32) + 1000 * rank + 100_000 * seed + 1


def spec(whole, shape, *layout):
    """The buffer that starts where displacement 0 is."""
    return [whole[START:], *layout, shape.datatype]


def collected(counts, units, seed):
    return np.concatenate([numbers(r, n * units, seed) for r, n in enumerate(counts)])


@every_shape
def test_signature(shape):
    """What the unit is, and where an element reaches."""
    assert unit_of(shape.datatype) == np.int32
    element = element_of(shape.datatype)
    assert element.units == len(shape.places)
    low, high = min(where(shape, 2)) - START, max(where(shape, 2)) - START + 1
    assert element.reach(2) == (4 * low, 4 * high)
    gapless = shape.places == list(range(shape.extent))
    assert element.gaps != gapless


class Case(NamedTuple):
    """Arguments of one call, the memory that it writes, and what must be in it then."""

    arguments: list
    written: np.ndarray
    expected: np.ndarray


def counts_of(case):
    return [(rank + case) % 3 for rank in range(P)]


def displacements(counts, shape):
    """In reverse order, one element apart; none for elements that overlap or run backwards."""
    if shape.extent <= 0 or max(shape.places) - min(shape.places) >= shape.extent:
        return None
    return [sum(counts[rank + 1 :]) + (P - rank) for rank in range(P)]


def block_places(shape, counts, displs):
    starts = [sum(counts[:r]) for r in range(P)] if displs is None else displs
    return [where(shape, n, d) for n, d in zip(counts, starts)]


def bcast(shape, seed, root):
    """The root has a plain vector, the others the shape, or the other way round."""
    values = numbers(root, 2 * len(shape.places), seed)
    places = where(shape, 2)
    typed = (root == RANK) == (seed % 2 == 0)
    if typed:
        whole = memory(places, values if root == RANK else UNTOUCHED)
        return Case([spec(whole, shape, 2), root], whole, memory(places, values))
    plain = values.copy() if root == RANK else np.zeros_like(values)
    return Case([plain, root], plain, values)


def gather(shape, seed, root, everywhere=False):
    counts = [2] * P
    values = collected(counts, len(shape.places), seed)
    places = where(shape, 2 * P)
    whole = memory(places)
    mine = numbers(RANK, 2 * len(shape.places), seed)
    here = everywhere or root == RANK
    arguments = [mine, spec(whole, shape, 2) if here else None]
    expected = memory(places, values) if here else memory()
    return Case(arguments + ([] if everywhere else [root]), whole if here else memory(), expected)


def allgather(shape, seed, root):
    return gather(shape, seed, root, everywhere=True)


def gatherv(shape, seed, root, everywhere=False):
    counts = counts_of(seed)
    displs = displacements(counts, shape)
    places = [place for block in block_places(shape, counts, displs) for place in block]
    values = collected(counts, len(shape.places), seed)
    here = everywhere or root == RANK
    whole = memory()
    mine = numbers(RANK, counts[RANK] * len(shape.places), seed)
    arguments = [mine, spec(whole, shape, counts, displs) if here else None]
    expected = memory(places, values) if here else memory()
    return Case(arguments + ([] if everywhere else [root]), whole, expected)


def allgatherv(shape, seed, root):
    return gatherv(shape, seed, root, everywhere=True)


def scatter(shape, seed, root):
    units = 2 * len(shape.places)
    whole = memory(where(shape, 2 * P), numbers(root, units * P, seed))
    mine = np.zeros(units, np.int32)
    expected = numbers(root, units * P, seed)[units * RANK :][:units]
    return Case([spec(whole, shape, 2) if root == RANK else None, mine, root], mine, expected)


def scatterv(shape, seed, root):
    """From a plain vector into the shape."""
    counts = counts_of(seed)
    lengths = [n * len(shape.places) for n in counts]
    values = numbers(root, sum(lengths), seed)
    places = where(shape, counts[RANK])
    whole = memory()
    mine = values[sum(lengths[:RANK]) :][: lengths[RANK]]
    send = [values, lengths] if root == RANK else None
    return Case([send, spec(whole, shape, counts[RANK]), root], whole, memory(places, mine))


def alltoall(shape, seed, root):
    units = len(shape.places)
    send = numbers(RANK, units * P, seed)
    places = where(shape, P)
    whole = memory()
    values = [numbers(r, units * P, seed)[units * RANK :][:units] for r in range(P)]
    expected = memory(places, np.concatenate(values))
    return Case([send, spec(whole, shape, 1)], whole, expected)


def alltoallv(shape, seed, root):
    """Both sides typed."""
    units = len(shape.places)
    going = [(RANK + to + seed) % 3 for to in range(P)]
    coming = [(of + RANK + seed) % 3 for of in range(P)]
    there, here = displacements(going, shape), displacements(coming, shape)
    sent = memory()
    for to, places in enumerate(block_places(shape, going, there)):
        sent[places] = numbers(RANK, len(places), seed) + 17 * to
    places = block_places(shape, coming, here)
    expected = memory()
    for of, block in enumerate(places):
        expected[block] = numbers(of, units * coming[of], seed) + 17 * RANK
    whole = memory()
    arguments = [spec(sent, shape, going, there), spec(whole, shape, coming, here)]
    return Case(arguments, whole, expected)


MOVERS = {
    function.__name__: function
    for function in (
        *(bcast, gather, gatherv, allgather, allgatherv, scatter, scatterv, alltoall, alltoallv),
    )
}


@pytest.mark.parametrize("function", MOVERS)
def test_moving(function):
    for seed, (name, algorithm) in enumerate(every_other(algorithms(function))):
        with made(name) as shape:
            case = MOVERS[function](shape, seed, seed % P)
            run(function, *case.arguments, algorithm=algorithm)
            check(case.written, case.expected, name, function, algorithm)


@pytest.mark.slow
@every_shape
@pytest.mark.parametrize("function", MOVERS)
def test_moving_by_all_algorithms(function, shape):
    for seed, algorithm in enumerate(algorithms(function)):
        for root in range(P):
            case = MOVERS[function](shape, seed, root)
            run(function, *case.arguments, algorithm=algorithm)
            check(case.written, case.expected, function, algorithm, root)


@pytest.mark.parametrize("function", MOVERS)
@at_3_ranks
def test_moving_as_the_builtin(function):
    """What these tests expect is what MPI does."""
    for name in SHAPES:
        if name == "reversed" and "Open MPI" in MPI.Get_library_version():
            continue  # its built-ins cannot do it
        with made(name) as shape:
            case = MOVERS[function](shape, 1, P // 2)
            getattr(COMM, function.capitalize())(*case.arguments)
            check(case.written, case.expected, name, function)


@pytest.mark.parametrize("function", MOVERS)
@at_3_ranks
def test_nonblocking(function):
    """The datatype is freed meanwhile."""
    comm = collectives.Comm(COMM)
    for name, algorithm in every_other(algorithms(function)):
        with made(name) as shape:
            case = MOVERS[function](shape, 0, P - 1)
            request = getattr(comm, f"I{function}")(*case.arguments, algorithm=algorithm)
        request.Wait()
        check(case.written, case.expected, name, function)


@pytest.mark.parametrize("function", MOVERS)
@at_3_ranks
def test_persistent(function):
    """The datatype is freed meanwhile; what is in the buffers counts at each start."""
    comm = collectives.Comm(COMM)
    for name, algorithm in every_other(algorithms(function)):
        with made(name) as shape:
            case = MOVERS[function](shape, 0, P - 1)
            form = f"{function.capitalize()}_init"
            request = getattr(comm, form)(*case.arguments, algorithm=algorithm)
        before = case.written.copy()
        for _ in range(2):
            case.written[...] = before
            request.Start()
            request.Wait()
            check(case.written, case.expected, name, function)
        request.Free()


@every_shape
@at_3_ranks
def test_what_a_persistent_call_reads(shape):
    """It packs anew at each start."""
    comm = collectives.Comm(COMM)
    places = where(shape, 2)
    mine, result = memory(), np.zeros(P * len(places), np.int32)
    request = comm.Allgather_init(spec(mine, shape, 2), result)
    for seed in range(3):
        mine[places] = numbers(RANK, len(places), seed)
        request.Start()
        request.Wait()
        check(result, collected([1] * P, len(places), seed), seed)
    request.Free()


# In place: the input lies in the output, gaps and all


def test_gathering_in_place():
    for seed, (name, algorithm) in enumerate(every_other(algorithms("allgather"))):
        with made(name) as shape:
            units, places, root = len(shape.places), where(shape, P), seed % P
            mine, all_ = numbers(RANK, units, seed), collected([1] * P, units, seed)
            whole = memory(places[units * RANK :][:units], mine)
            run("allgather", MPI.IN_PLACE, spec(whole, shape, 1), algorithm=algorithm)
            check(whole, memory(places, all_), name, algorithm)
            whole = memory(places[units * RANK :][:units], mine)
            if root == RANK:
                run("gather", MPI.IN_PLACE, spec(whole, shape, 1), root)
                check(whole, memory(places, all_), name, root)
            else:
                run("gather", mine, None, root)


def test_scattering_in_place():
    for root, (name, algorithm) in enumerate(every_other(algorithms("scatter"))):
        root %= P
        with made(name) as shape:
            units, places = len(shape.places), where(shape, P)
            values = numbers(root, units * P, root)
            whole, mine = memory(places, values), np.zeros(units, np.int32)
            if root == RANK:
                run("scatter", spec(whole, shape, 1), MPI.IN_PLACE, root, algorithm=algorithm)
                check(whole, memory(places, values), name, algorithm)
            else:
                run("scatter", None, mine, root, algorithm=algorithm)
                check(mine, values[units * RANK :][:units], name, algorithm)


def test_exchanging_in_place():
    for seed, (name, algorithm) in enumerate(every_other(algorithms("alltoall"))):
        with made(name) as shape:
            units, places = len(shape.places), where(shape, P)
            whole = memory(places, numbers(RANK, units * P, seed))
            run("alltoall", MPI.IN_PLACE, spec(whole, shape, 1), algorithm=algorithm)
            values = [numbers(r, units * P, seed)[units * RANK :][:units] for r in range(P)]
            check(whole, memory(places, np.concatenate(values)), name, algorithm)


def test_alltoallw():
    """Every shape at once, one for each rank."""
    comm = collectives.Comm(COMM)
    shapes = [make() for make in SHAPES.values()]
    sends = [shapes[(RANK + to) % len(shapes)] for to in range(P)]
    units = [len(shapes[(of + RANK) % len(shapes)].places) for of in range(P)]
    starts = [4 * START + 4 * 48 * to for to in range(P)]
    sent, expected = np.full(ROOM + 48 * P, UNTOUCHED, np.int32), []
    for to, shape in enumerate(sends):
        sent[[48 * to + place for place in where(shape, 1)]] = numbers(RANK, len(shape.places), to)
    expected = np.concatenate([numbers(of, units[of], RANK) for of in range(P)])
    result = np.zeros(sum(units), np.int32)
    displs = [4 * sum(units[:of]) for of in range(P)]
    send = [sent, [1] * P, starts, [shape.datatype for shape in sends]]
    comm.Alltoallw(send, [result, units, displs, [INT] * P])
    check(result, expected)
    for shape in shapes:
        shape.datatype.Free()


# Types that the ranks spell differently


def test_one_signature_in_many_spellings():
    """Each rank takes the vector by another datatype."""
    spellings = [
        lambda: (INT.Create_contiguous(6), 1, 6),
        lambda: (INT.Create_contiguous(2), 3, 6),
        lambda: (INT.Create_vector(6, 1, 2), 1, 11),
        lambda: (INT.Create_vector(3, 1, 2), 2, 10),
        lambda: (MPI.INT.Dup(), 6, 6),
        lambda: (MPI.TWOINT.Create_resized(0, 12), 3, 8),
    ]
    for turn in range(len(spellings)):
        datatype, count, _ = spellings[(RANK + turn) % len(spellings)]()
        datatype.Commit()
        root = turn % P
        for algorithm in algorithms("bcast")[:4]:
            whole = np.arange(12, dtype=np.int32) + 100 * RANK
            run("bcast", [whole, count, datatype], root, algorithm=algorithm)
            got = np.zeros(6, np.int32)
            datatype.Pack(MPI.buffer(whole)[: count * datatype.extent], got, 0, MPI.COMM_SELF)
            sent = COMM.bcast(got, root)
            check(got, sent, turn, algorithm)
        whole = np.arange(12, dtype=np.int32) + 100 * RANK
        result = np.zeros(6 * P, np.int32)
        run("allgather", [whole, count, datatype], result)
        datatype.Pack(MPI.buffer(whole)[: count * datatype.extent], got, 0, MPI.COMM_SELF)
        check(result[6 * RANK :][:6], got, turn)
        datatype.Free()


def test_mixed_signature():
    """Bytes are the unit; the padding of a record stays as it is."""
    record = np.dtype([("n", np.int32), ("x", np.float64)], align=True)
    fields = [0, 8], [MPI.INT32_T, MPI.DOUBLE]
    aligned = MPI.Datatype.Create_struct([1, 1], *fields).Create_resized(0, 16).Commit()
    dense = MPI.Datatype.Create_struct([1, 1], [0, 4], fields[1]).Create_resized(0, 12).Commit()
    assert unit_of(aligned) == unit_of(dense) == np.uint8
    for algorithm in algorithms("allgather"):
        whole = np.frombuffer(bytearray(b"\xa5" * 16 * 3 * P), record)
        mine = np.zeros(3, [("n", np.int32), ("x", np.float64)])
        mine["n"], mine["x"] = np.arange(3) + 10 * RANK, np.arange(3) * 0.5 + RANK
        run("allgather", [mine, 3, dense], [whole, 3, aligned], algorithm=algorithm)
        check(whole["n"], (np.arange(3) + 10 * np.arange(P)[:, None]).ravel())
        check(whole["x"], (np.arange(3) * 0.5 + np.arange(P)[:, None]).ravel())
        assert set(bytes(whole.view(np.uint8).reshape(-1, 16)[:, 4:8].ravel())) == {0xA5}
    pairs = np.frombuffer(
        bytearray(b"\xa5" * 16 * P), np.dtype([("x", "d"), ("n", "i4")], align=True)
    )
    pair = np.zeros(1, [("x", "d"), ("n", "i4")])
    pair["x"], pair["n"] = RANK + 0.5, RANK
    packed = MPI.Datatype.Create_struct([1, 1], [0, 8], fields[1][::-1]).Commit()
    for _ in range(2):
        run("allgather", [pair, 1, packed], [pairs, 1, MPI.DOUBLE_INT])
        check(pairs["x"], np.arange(P) + 0.5)
        assert set(bytes(pairs.view(np.uint8).reshape(-1, 16)[:, 12:].ravel())) == {0xA5}
    for datatype in (aligned, dense, packed):
        datatype.Free()


def test_signatures_that_differ():
    """Agreement sees it: three int32 are no three float32."""
    if P == 1:
        pytest.skip("one rank always agrees")
    channel_of(COMM).supervisor.agreed.clear()
    basic = INT if RANK else MPI.FLOAT
    datatype = basic.Create_vector(3, 1, 2).Commit()
    with pytest.raises(CallMismatch, match=r"3 elements, float32.*3 elements, int32"):
        run("bcast", [np.zeros(5, np.int32), 1, datatype])
    datatype.Free()
    datatype = INT.Create_vector(3 if RANK else 2, 1, 2).Commit()
    with pytest.raises(CallMismatch, match=r"2 elements, int32.*3 elements, int32"):
        run("bcast", [np.zeros(5, np.int32), 1, datatype])
    datatype.Free()


def test_memory_that_a_datatype_reaches():
    """As far as the array goes that the buffer is a part of, and no further."""
    whole = np.arange(10, dtype=np.int32) + 100 * RANK
    backwards = INT.Create_vector(3, 1, -2).Commit()
    run("bcast", [whole[4:5], 1, backwards])
    check(whole[[0, 2, 4]], np.array([0, 2, 4]))
    for start in (3, 2):
        with pytest.raises(
            BufferMismatch, match=r"needs the memory from byte -16 to 4 for block 0"
        ):
            run("bcast", [whole[start:], 1, backwards])
    backwards.Free()
    spread = INT.Create_vector(2, 1, 8).Commit()
    run("bcast", [whole[1:2], 1, spread])
    with pytest.raises(
        BufferMismatch, match=r"needs the memory from byte 0 to 36 .* bytes -8 to 32"
    ):
        run("bcast", [whole[2:], 1, spread])
    with pytest.raises(
        BufferMismatch, match="needs a whole number of 36-byte elements, got 40 byt"
    ):
        run("bcast", [whole, spread])
    spread.Free()


def test_nothing():
    """Of a datatype without data, and no elements of one with gaps."""
    empty, gaps = INT.Create_contiguous(0).Commit(), INT.Create_vector(2, 1, 2).Commit()
    whole = memory()
    for call in ([whole, 5, empty], [whole, 0, gaps], [None, 0, gaps]):
        run("bcast", call)
        run("allgather", call, call)
        run("alltoallv", [None, 0, None, gaps], [None, [0] * P, None, gaps])
    check(whole, memory())
    empty.Free()
    gaps.Free()


# Reductions


def affine(left, right, datatype):
    """x -> a x + b, one after the other: does not commute. Elements are [a, gap, b]."""
    one, other = (np.frombuffer(x, np.int64).reshape(-1, 3) for x in (left, right))
    assert datatype.Get_size() == 16 and datatype.extent == 24
    other[:, 2] += one[:, 2] * other[:, 0]
    other[:, 0] *= one[:, 0]


def affine_inputs(n):
    """Of every rank, shape (P, n, 2)."""
    seeds = np.arange(P * n * 2).reshape(P, n, 2)
    return seeds * 7 % 5 + 1


def affine_result(inputs):
    a, b = inputs[0].T.copy()
    for x, y in (each.T for each in inputs[1:]):
        a, b = a * x, y + b * x
    return np.stack([a, b], axis=-1)


@pytest.fixture(scope="module")
def affines():
    datatype = MPI.INT64_T.Create_vector(2, 1, 2).Commit()
    op = MPI.Op.Create(affine, commute=False)
    yield datatype, op
    op.Free()
    datatype.Free()


def laid_out(values):
    whole = np.full((len(values), 3), UNTOUCHED, np.int64)
    whole[:, ::2] = values
    return whole


def reduction(primitive, n, datatype, op, in_place):
    """Arguments, what is written, and what must be in it."""
    inputs = affine_inputs(n)
    send, blank = laid_out(inputs[RANK]), laid_out(np.full((n, 2), -1))
    recv = send.copy() if in_place else blank
    root = P // 2
    total = affine_result(inputs)
    if primitive.startswith("reduce_scatter"):
        size = n // P
        right = recv.copy() if in_place else blank[:size]
        right = right.copy()
        right[:size, ::2] = total[size * RANK :][:size]
        recv = recv if in_place else blank[:size]
    elif primitive == "scan":
        right = laid_out(affine_result(inputs[: RANK + 1]))
    elif primitive == "exscan":
        right = laid_out(affine_result(inputs[:RANK])) if RANK else recv.copy()
    else:
        right = laid_out(total)
    if primitive == "reduce" and root != RANK:
        call = [[send, datatype], None, op, root]
        return call, blank, blank.copy()
    call = [MPI.IN_PLACE if in_place else [send, datatype], [recv, datatype]]
    call += [[n // P] * P] if primitive == "reduce_scatter" else []
    call += [op, root] if primitive == "reduce" else [op]
    return call, recv, right


REDUCTIONS = "reduce allreduce reduce_scatter reduce_scatter_block scan exscan".split()


@pytest.mark.parametrize("in_place", [False, True], ids=["", "in_place"])
@pytest.mark.parametrize("primitive", REDUCTIONS)
def test_reducing(primitive, in_place, affines):
    """A user's operator over elements with a gap, in rank order."""
    for name in algorithms(primitive, commutative=False):
        call, written, right = reduction(primitive, 3 * P, *affines, in_place)
        run(primitive, *call, algorithm=name)
        check(written, right, primitive, name)


@pytest.mark.parametrize("primitive", REDUCTIONS)
@at_3_ranks
def test_reducing_later(primitive):
    """Operator and datatype are freed while the call is in flight or set up."""
    comm = collectives.Comm(COMM)
    for kind in ("I{}", "{}_init"):
        datatype = MPI.INT64_T.Create_vector(2, 1, 2).Commit()
        op = MPI.Op.Create(affine, commute=False)
        call, written, right = reduction(primitive, 2 * P, datatype, op, False)
        form = kind.format(primitive if kind == "I{}" else primitive.capitalize())
        request = getattr(comm, form)(*call)
        op.Free()
        datatype.Free()
        others = [MPI.INT.Create_contiguous(n).Commit() for n in range(1, 5)]  # in their places
        operators = [MPI.Op.Create(lambda *_: None) for _ in range(2)]
        if kind == "I{}":
            request.Wait()
            check(written, right, primitive, kind)
        else:
            before = written.copy()
            for _ in range(2):
                written[...] = before
                request.Start()
                request.Wait()
                check(written, right, primitive, kind)
        request.free()
        for handle in others + operators:
            handle.Free()


def test_reducing_what_overlaps():
    """Columns of a matrix: the elements are interleaved."""
    columns = MPI.INT64_T.Create_vector(3, 1, 4).Create_resized(0, 8).Commit()

    def add(left, right, datatype):
        """Whatever the layout is, the datatype tells; here all of it is known."""
        count = len(left) // 8
        one, other = (
            np.ndarray((3, 4), np.int64, MPI.buffer.fromaddress(x.address, 96))
            for x in (left, right)
        )
        other[:, :count] += one[:, :count]

    op = MPI.Op.Create(add, commute=True)
    for name in algorithms("allreduce")[:4]:
        send = np.arange(12).reshape(3, 4) + 100 * RANK
        recv = np.full((3, 4), UNTOUCHED)
        run("allreduce", [send, 4, columns], [recv, 4, columns], op, name)
        check(recv, P * np.arange(12).reshape(3, 4) + 100 * (P * (P - 1) // 2), name)
        recv[...] = UNTOUCHED
        run("allreduce", [send, 3, columns], [recv, 3, columns], op, name)
        right = P * np.arange(12).reshape(3, 4) + 100 * (P * (P - 1) // 2)
        right[:, 3] = UNTOUCHED
        check(recv, right, name)
    op.Free()
    columns.Free()


def test_predefined_operators_are_for_predefined_datatypes():
    for datatype in (INT.Create_contiguous(2), INT.Dup(), INT.Create_vector(2, 1, 2)):
        datatype.Commit()
        send, recv = memory(), memory()
        with pytest.raises(ArgumentError, match=r"op must be defined .* for a derived datatype"):
            run("allreduce", [send, 2, datatype], [recv, 2, datatype], MPI.SUM)
        with pytest.raises(MPI.Exception) as caught:
            COMM.Allreduce([send, 2, datatype], [recv, 2, datatype], MPI.SUM)
        assert caught.value.Get_error_class() == MPI.ERR_OP
        check(recv, memory())
        datatype.Free()


def test_two_datatypes_in_one_reduction(affines):
    datatype, op = affines
    other = datatype.Dup()
    send, recv = laid_out(affine_inputs(2)[RANK]), laid_out(affine_inputs(2)[RANK])
    with pytest.raises(BufferMismatch, match="sendbuf needs recvbuf's datatype, got another"):
        run("allreduce", [send, datatype], [recv, other], op)
    other.Free()


def test_nothing_is_left():
    """The plans of datatypes that were freed go, and so do our duplicates of these."""
    duplicate = COMM.Dup()
    pools, alive = channel_of(duplicate).store.pools, _datatypes_alive()
    data, result = np.arange(5, dtype=np.int32) + RANK, np.zeros(3 * P, np.int32)
    for number in range(5):
        datatype = INT.Create_vector(3, 1, 2).Commit()
        for _ in range(3):
            run("allgather", [data, 1, datatype], result, comm=duplicate)
            check(result, [value + rank for rank in range(P) for value in (0, 2, 4)])
            result[...] = -1
        assert len(pools) == 1, "those that were freed have made room"
        if number % 2:
            datatype.Free()
        del datatype
    run("barrier", comm=duplicate)
    assert len(pools) == 1
    assert _datatypes_alive() == alive
    duplicate.Free()


def _datatypes_alive():
    gc.collect()
    return sum(isinstance(thing, Own) for thing in gc.get_objects())
