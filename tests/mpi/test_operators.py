"""Operators: every predefined one on every type against the built-in, and users' own."""

import hashlib

import numpy as np
import pytest
from common import ALGORITHMS, COMM, RANK, P, algorithms, can, check
from common import ours as run
from mpi4py import MPI
from mpi4py.util import dtlib

from collectives.algorithms.language.registry import REDUCTIONS
from collectives.errors import ArgumentError, RestrictionError
from collectives.mpi.data.operators import PREDEFINED
from collectives.mpi.plans.channel import channel_of
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem

pytestmark = pytest.mark.mpi

CODES = "? b B h H i I q Q e f d g F D G".split()
REDUCING = [(primitive, name) for primitive, name in ALGORITHMS if primitive in REDUCTIONS]


try:
    MPI_HAS_FLOAT16 = bool(MPI.Datatype.fromcode("e"))
except ValueError:
    MPI_HAS_FLOAT16 = False


def values(code):
    """Small numbers whose sums and products are exact even in float16."""
    dtype = np.dtype(code)
    numbers = (np.arange(7) * 2 + RANK * 3) % (2 if code == "?" else 3 if dtype.kind == "u" else 5)
    if dtype.kind not in "ub":
        numbers -= 2
    return (numbers * (1 + 1j) if dtype.kind == "c" else numbers).astype(dtype)


def compare(names, data, spec=lambda array: array):
    for name in names:
        op, right, result = PREDEFINED[name], data.copy(), data.copy()
        try:
            COMM.Allreduce(spec(data), spec(right), op)
        except MPI.Exception:
            with pytest.raises(ArgumentError, match=rf"op must be defined .* got MPI\.{name} for"):
                run("allreduce", spec(data), spec(result), op)
            assert result.tobytes() == data.tobytes()
            continue
        for algorithm in algorithms("allreduce")[:2] if name in ("MAX", "LXOR") else (None,):
            run("allreduce", spec(data), spec(result), op, algorithm)
            check(result, right, name, data.dtype, algorithm)


@pytest.mark.parametrize("code", CODES)
def test_as_the_builtin(code):
    if code == "e" and not MPI_HAS_FLOAT16:
        pytest.skip("this MPI has no type for float16")
    compare(PREDEFINED, values(code))


@pytest.mark.parametrize("datatype", [MPI.INT32_T, MPI.UINT8_T, MPI.BYTE, MPI.AINT, MPI.CHAR])
def test_named_datatypes(datatype):
    """What the dtype alone does not tell, MPI decides."""
    data = values("B" if datatype.Get_size() == 1 else f"i{datatype.Get_size()}")
    compare(["SUM", "MAX", "LAND", "BXOR"], data, lambda array: [array, datatype])


def predefined_datatypes():
    """All that this MPI has, each once."""
    named = (getattr(MPI, name) for name in dir(MPI))
    found = {x.handle: x for x in named if isinstance(x, MPI.Datatype) and x.is_predefined}
    found.pop(MPI.DATATYPE_NULL.handle, None)
    return [datatype for datatype in found.values() if datatype.Get_size()]


@pytest.mark.share(2)
@pytest.mark.skipif(P != 3, reason="runs on 3 ranks")
@pytest.mark.parametrize("name", PREDEFINED)
def test_every_predefined_datatype(name):
    """The operator is applied or refused as by the built-in, by name and not by size."""
    op, applied = PREDEFINED[name], 0
    for datatype in predefined_datatypes():
        dtype = dtlib.to_numpy_dtype(datatype)
        if dtype.itemsize != datatype.extent:
            dtype = np.dtype((np.void, datatype.extent))
        data = np.zeros(4, dtype)
        if dtype.fields:
            for field in dtype.names:
                data[field] = (np.arange(4) + RANK) % 3
        elif dtype.kind in "?biufc" and datatype not in (MPI.REAL16, MPI.COMPLEX32):
            # numpy cannot write those two; of the others, a logical is 0 or 1
            data[...] = (np.arange(4) + RANK) % 2
        right, result = data.copy(), data.copy()
        try:
            COMM.Allreduce([data, datatype], [right, datatype], op)
        except MPI.Exception as error:
            with pytest.raises(ArgumentError, match="op must be defined for the datatype") as ours:
                run("allreduce", [data, datatype], [result, datatype], op)
            assert ours.value.Get_error_class() == error.Get_error_class() == MPI.ERR_OP
            continue
        run("allreduce", [data, datatype], [result, datatype], op)
        for field in dtype.names or [...]:
            check(result[field], right[field], name, datatype.name)
        applied += 1
    assert applied > 5 or name in ("REPLACE", "NO_OP")


@pytest.mark.share(2)
@pytest.mark.parametrize("name", "FLOAT DOUBLE LONG SHORT LONG_DOUBLE TWOINT".split())
def test_where_the_largest_is(name):
    """Of equal values the lowest rank's place wins."""
    datatype = MPI.TWOINT if name == "TWOINT" else getattr(MPI, f"{name}_INT")
    dtype = dtlib.to_numpy_dtype(datatype)
    value, place = dtype.names
    data = np.zeros(5, dtype)
    data[value], data[place] = (np.arange(5) + RANK // 2) % 3, 10 * RANK + np.arange(5)
    for op in (MPI.MAXLOC, MPI.MINLOC):
        right, result = np.zeros(5, dtype), np.zeros(5, dtype)
        COMM.Allreduce([data, datatype], [right, datatype], op)
        for algorithm in algorithms("allreduce"):
            result[...] = 0
            run("allreduce", [data, datatype], [result, datatype], op, algorithm)
            for field in dtype.names:
                check(result[field], right[field], algorithm, field)


def product(left, right, datatype):
    """Of matrices, in the place of the right factors."""
    one, other = np.frombuffer(left, MATRIX), np.frombuffer(right, MATRIX)
    MATPROD.kernel(one, other, other)


@pytest.fixture(scope="module")
def matrices():
    datatype = MPI.INT64_T.Create_contiguous(4).Commit()
    op = MPI.Op.Create(product, commute=False)
    yield datatype, op
    op.Free()
    datatype.Free()


@pytest.mark.share(2)
@pytest.mark.parametrize("primitive, name", REDUCING)
def test_order_of_the_operands(primitive, name, matrices):
    """A product of matrices, in rank order; refused by what needs a commutative operator."""
    datatype, op = matrices
    for n in (1, 3 * P):
        problem = Problem(primitive, P, n, P // 2, MATRIX, MATPROD)
        buffers = problem.buffers(RANK)
        counts = [problem.lengths] if primitive == "reduce_scatter" else []
        root = [problem.root] if primitive == "reduce" else []
        recv = None if buffers.recv is None else [buffers.recv, datatype]
        call = [[buffers.send, datatype], recv, *counts, op, *root]
        if not can(primitive, name, commutative=False):
            with pytest.raises(RestrictionError, match="needs a commutative operator, got one th"):
                run(primitive, *call, algorithm=name)
            continue
        run(primitive, *call, algorithm=name)
        expected = problem.expected(RANK)
        if expected is not None:
            check(buffers.recv, expected, name, problem)


def test_operator_of_the_user():
    """One that commutes, in all algorithms; freed and made again it is another."""
    data, result = np.array([RANK + 1, P - RANK, 5]), np.zeros(3, np.int64)

    def make(function):
        def call(left, right, datatype):
            one, other = np.frombuffer(left, np.int64), np.frombuffer(right, np.int64)
            other[...] = function(one, other)

        return MPI.Op.Create(call, commute=True)

    for name in algorithms("allreduce"):
        for function in (np.maximum, np.minimum, np.add):
            op = make(function)
            right = function.reduce([[r + 1, P - r, 5] for r in range(P)], axis=0)
            for again in range(3):
                result[...] = -1
                run("allreduce", data + again, result, op, name)
                added = again * (P if function is np.add else 1)
                check(result, right + added, name, function)
            op.Free()
    run("bcast", np.zeros(23, np.uint16))  # what is recorded anew takes their place
    tokens = [token for pool in channel_of(COMM).store.pools.values() for token in pool.tokens]
    assert all(token.alive for token in tokens)


def test_copy_of_a_predefined_operator():
    result = np.zeros(3)
    for op in (MPI.Op(MPI.SUM), MPI.Op.fromhandle(MPI.SUM.handle)):
        run("allreduce", np.full(3, 2.0), result, op)
        check(result, np.full(3, 2.0 * P))


@pytest.mark.parametrize("name", algorithms("allreduce"))
def test_same_bits_on_all_ranks(name):
    """Rounding differs between orders of summation; the ranks must not."""
    for n in (1, 7, 1000):
        for code in "fe":
            data = np.random.default_rng(RANK).standard_normal(n).astype(code)
            result = np.zeros_like(data)
            run("allreduce", data, result, algorithm=name)
            digests = COMM.allgather(hashlib.sha256(result.tobytes()).hexdigest())
            assert len(set(digests)) == 1, (name, n, code)
            total = sum(np.random.default_rng(r).standard_normal(n).astype(code) for r in range(P))
            assert np.allclose(result, total, rtol=1e-2, atol=0.05)
