"""Numbers that numpy does not have by itself, dates, durations, and operators of our kind."""

import ctypes

import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, check
from common import ours as run
from mpi4py import MPI

import collectives
from collectives.errors import ArgumentError
from collectives.mpi.data.buffers import datatype_of
from collectives.mpi.plans.channel import channel_of

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(P > 4 and not EVERYWHERE, reason="runs on up to 4 ranks"),
]

ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes: pip install ml_dtypes")

FLOATS = "bfloat16 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e4m3b11fnuz".split()
INTEGERS = ["int4", "uint4", "int2"]
N = 5


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name))


def values(dtype, rank=RANK):
    """Small numbers: sums of few are exact in all of these types."""
    return ((np.arange(N) + rank) % 2).astype(dtype)


def forms(comm, send, recv, op):
    """Each form in turn; recv is filled anew before each."""
    for _ in range(3):  # recorded, found, direct
        recv[...] = np.zeros(1, recv.dtype)
        yield comm.Allreduce(send, recv, op)
    recv[...] = np.zeros(1, recv.dtype)
    yield comm.Iallreduce(send, recv, op).Wait()
    request = comm.Allreduce_init(send, recv, op)
    for _ in range(2):
        recv[...] = np.zeros(1, recv.dtype)
        request.Start()
        yield request.Wait()
    request.Free()


@pytest.fixture(scope="module")
def comm():
    return collectives.Comm(COMM)


@pytest.mark.parametrize("name", FLOATS + INTEGERS)
def test_arrays_of_ml_dtypes(comm, name):
    """Reduced by their own kernels, whatever letter they have: that of int4 is MPI's for a char."""
    dtype = dtype_of(name)
    everybodys = [values(dtype, rank) for rank in range(P)]
    got = np.zeros(N, dtype)
    for op, ufunc in ((MPI.SUM, np.add), (MPI.PROD, np.multiply), (MPI.MAX, np.maximum)):
        right = everybodys[0]
        for each in everybodys[1:]:
            right = ufunc(right, each)
        for _ in forms(comm, values(dtype), got, op):
            check(got.astype(float), right.astype(float), name, op)
    for op in (MPI.MAXLOC, *([MPI.BAND] if name in FLOATS else [])):
        with pytest.raises(
            ArgumentError, match=f"op must be defined .* for {name}; choose"
        ) as told:
            run("allreduce", values(dtype), got, op)
        assert told.value.Get_error_class() == MPI.ERR_OP


def test_bfloat16_rounds_as_it_should(comm):
    """256 + 1 is 256 there, and NaN and infinity stay."""
    dtype = dtype_of("bfloat16")
    mine = np.array([256 if RANK == 0 else 0.5, np.nan if RANK == P - 1 else 1, np.inf], dtype)
    got = np.zeros(3, dtype)
    comm.Allreduce(mine, got, algorithm="naive")
    assert got[0] == 256 and np.isnan(got[1]) and np.isinf(got[2])


def test_complex_numbers_have_no_order(comm):
    if not hasattr(ml_dtypes, "complex32"):
        pytest.skip("needs an ml_dtypes with complex32")
    dtype = dtype_of("complex32")
    got = np.zeros(N, dtype)
    comm.Allreduce((values(np.int8) * (1 + 2j)).astype(dtype), got)
    right = sum(values(np.int64, rank) for rank in range(P))
    check(got.astype(np.complex128), right * (1 + 2j))
    with pytest.raises(ArgumentError, match=r"got MPI\.MAX for complex32"):
        comm.Allreduce(got, got.copy(), MPI.MAX)


def test_no_letter_decides():
    """Types that have a letter of MPI's by chance, or a size, are bytes to MPI."""
    for dtype in ("int4", "int2", "float8_e4m3fnuz", "M8[s]", "m8[us]", "S1", "U1", "V2"):
        dtype = dtype_of(dtype) if hasattr(ml_dtypes, dtype) else np.dtype(dtype)
        assert not datatype_of(dtype).is_predefined, dtype


# Tensors


POINTER = ctypes.pythonapi.PyCapsule_GetPointer
POINTER.restype, POINTER.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class Tensor:
    """Numbers that come by DLPack alone, of a type that numpy has no name for."""

    CODES = {"bfloat16": 4, "float8_e4m3fn": 10, "float128": 2, "new": 99}  # noqa: RUF012
    CODE_AT = 20  # in DLPack's description of a tensor, which begins 32 later with a version

    def __init__(self, array, name):
        self.words = array.view("c16" if array.itemsize == 16 else f"u{array.itemsize}")
        self.name = name

    def __dlpack_device__(self):
        return self.words.__dlpack_device__()

    def __dlpack__(self, **options):
        capsule = self.words.__dlpack__(**options)
        versioned = "versioned" in repr(capsule)
        name = b"dltensor_versioned" if versioned else b"dltensor"
        address = POINTER(capsule, name) + self.CODE_AT + 32 * versioned
        ctypes.c_uint8.from_address(address).value = self.CODES[self.name]
        return capsule


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
def test_tensors_are_reduced_as_what_they_are(comm, name):
    dtype = dtype_of(name)
    mine, got = values(dtype), np.zeros(N, dtype)
    right = sum(values(np.int64, rank) for rank in range(P))
    for _ in range(2):
        comm.Allreduce(Tensor(mine, name), Tensor(got, name))
        check(got.astype(np.int64), right)
        got[...] = 0
    comm.Iallreduce(Tensor(mine, name), [Tensor(got, name), N]).Wait()
    check(got.astype(np.int64), right)


@pytest.mark.skipif(np.dtype("g").itemsize != 16, reason="this machine has no 16-byte floats")
def test_tensors_that_numpy_does_not_import(comm):
    """Their capsule says what they are, in v-forms too, where lengths are in elements."""
    mine, got = np.arange(3, dtype="g") + 10 * RANK, np.zeros((P, 3), "g")
    tensor = Tensor(got.reshape(-1), "float128")
    comm.Allgatherv(Tensor(mine, "float128"), [tensor, [3] * P])
    check(got, np.arange(3) + 10 * np.arange(P)[:, None])
    comm.Allreduce(Tensor(mine, "float128"), Tensor(got[0], "float128"))
    check(got[0], sum(np.arange(3, dtype="g") + 10 * rank for rank in range(P)))


def test_tensors_of_a_type_that_nobody_knows(comm):
    """They move, element by element, and are never taken for integers."""
    array = np.arange(N, dtype=np.uint8) + 10 * RANK
    kept = array.copy()
    got = np.zeros((P, N), np.uint8)
    comm.Allgather(Tensor(array, "new"), Tensor(got.reshape(-1), "new"))
    check(got, np.arange(N) + 10 * np.arange(P)[:, None])
    result = np.full(N, 77, np.uint8)
    for form in (comm.Allreduce, comm.Iallreduce, comm.Allreduce_init):
        with pytest.raises(ArgumentError, match="elements of 1 bytes that numpy does not know"):
            form(Tensor(array, "new"), Tensor(result, "new"))
    check(array, kept)
    check(result, np.full(N, 77))


# Dates and durations


def test_durations_and_dates(comm):
    """NaT stays; dates have no sum."""
    for kind in "mM":
        dtype = np.dtype(f"{kind}8[s]")
        mine = np.array([RANK, P - RANK, 5, 7], "i8").astype(dtype)
        mine[2 if RANK == P // 2 else 3] = "NaT"
        got = np.zeros(4, dtype)
        right = np.array([P - 1, P], "i8").astype(dtype)
        for _ in forms(comm, mine, got, MPI.MAX):
            check(got[:2], right)
            assert np.isnat(got[2]) and (np.isnat(got[3]) or P == 1)
        comm.Allreduce(mine, got, MPI.MIN)
        check(got[:2], np.array([0, 1], "i8").astype(dtype))
        assert np.isnat(got[2])
        for op in (MPI.PROD, MPI.BOR, *([MPI.SUM] if kind == "M" else [])):
            with pytest.raises(ArgumentError, match=r"op must be defined .* for \w+64\[s\]"):
                comm.Allreduce(mine, got, op)
    mine = np.array([RANK + 1, 5], "m8[ms]")
    mine[1] = "NaT" if RANK == 0 else 5
    got = np.zeros(2, "m8[ms]")
    for _ in forms(comm, mine, got, MPI.SUM):
        assert got[0] == np.timedelta64(P * (P + 1) // 2, "ms") and np.isnat(got[1])


# Operators


def absolute(left, right, out):
    np.maximum(np.abs(left), np.abs(right), out=out)


def test_an_operator_of_ours(comm):
    """By name, kernel and whether it commutes; its plans are kept as long as it lives."""
    mine, got = np.array([RANK - 1.0, -2.0 * RANK, 3]), np.zeros(3)
    kernels = {np.float64: absolute, "i4": np.maximum}
    for kernel in (absolute, kernels):
        op = collectives.Operator("absolute", kernel, True)
        for _ in forms(comm, mine, got, op):
            check(got, mine if P == 1 else [max(P - 2, 1), 2.0 * (P - 1), 3])
        assert comm.allreduce(P - RANK + 0.0, op) == P
        check(comm.allreduce(mine, op), got)
    with pytest.raises(
        ArgumentError, match=r"got absolute for float32; its kernels are for float64"
    ):
        comm.Allreduce(mine.astype("f4"), got.astype("f4"), op)
    channel = channel_of(comm)
    tokens = [t for pool in channel.store.pools.values() for t in pool.tokens if t.alive]
    assert tokens
    del op


def test_an_operator_that_does_not_commute(comm):
    """Matrices: in the order of the ranks."""
    matprod = collectives.OPERATORS["matprod"]
    dtype = np.dtype([("m", np.int64, (2, 2))])
    mine, got = np.zeros(1, dtype), np.zeros(1, dtype)
    mine["m"] = [[1, RANK], [0, 1 + RANK % 2]]
    right = np.eye(2, dtype=int)
    for rank in range(P):
        right = right @ np.array([[1, rank], [0, 1 + rank % 2]])
    for _ in range(3):
        comm.Allreduce(mine, got, matprod)
        check(got["m"][0], right)


@pytest.mark.parametrize("op, wrong", [
    (collectives.Operator("logaddexp", np.logaddexp), np.int64),
    (collectives.Operator("nothing", {}), np.float64),
    (collectives.Operator("no kernel", 3), np.float64),
])  # fmt: skip
def test_operators_that_do_not_fit(comm, op, wrong):
    mine = np.ones(3, wrong)
    got = np.full(3, 77, wrong)
    with pytest.raises(ArgumentError, match=f"op must be defined for the datatype, got {op.name}"):
        comm.Allreduce(mine, got, op)
    check(got, np.full(3, 77))
