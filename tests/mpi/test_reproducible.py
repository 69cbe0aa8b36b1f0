"""The reproducible sum over MPI: one result, whatever algorithm, form and number of ranks."""

import gc
import math

import numpy as np
import pytest
from common import COMM, RANK, P, algorithms, at_few_ranks
from mpi4py import MPI

import collectives
from collectives import REPRODUCIBLE_SUM, ArgumentError, BufferMismatch, CallMismatch
from collectives.mpi.plans.channel import channel_of
from collectives.operators.binned import RECORD, rounded, summed

pytestmark = [pytest.mark.mpi, at_few_ranks]

FORMS = ["allreduce", "reduce", "reduce_scatter", "reduce_scatter_block", "scan", "exscan"]
DTYPES = [np.float16, np.float32, np.float64, np.complex64, np.complex128]
N = 3 * P  # elements of the whole vector
ROOT = P - 1
UNTOUCHED = -77.0


def vector(rank, dtype=np.float64, seed=0):
    """Numbers of many sizes and both signs, some of which cancel over the ranks."""
    rng = np.random.default_rng((seed, rank))
    numbers = rng.standard_normal(N) * 10.0 ** rng.integers(-4, 4, N)
    numbers[::3] = (-1) ** rank * 1000.5 if P % 2 == 0 or rank else 0.0
    if np.dtype(dtype).kind == "c":
        numbers = numbers + 1j * numbers[::-1]
    return numbers.astype(dtype)


def total(ranks, dtype=np.float64, seed=0):
    rows = np.array([vector(rank, dtype, seed) for rank in ranks])
    return rounded(summed(rows), dtype)


def block(form):
    """Where this rank's block is, and what reduce_scatter needs to be told."""
    counts = [3] * P
    if form == "reduce_scatter" and P > 1:
        counts[0], counts[1] = 1, 5
    start = sum(counts[:RANK])
    return slice(start, start + counts[RANK]), [counts] if form == "reduce_scatter" else []


def call(form, dtype=np.float64, in_place=False, seed=0):
    """Arguments before and after the operator, the output, and what it must hold."""
    mine, after = vector(RANK, dtype, seed), [ROOT] if form == "reduce" else []
    expected, out, where = total(range(P), dtype, seed), np.full(N, UNTOUCHED, dtype), slice(None)
    before = []
    if form.startswith("reduce_scatter"):
        where, before = block(form)
        expected = expected[where]
        out = out if in_place else out[: len(expected)].copy()
        where = slice(len(expected))
    elif form == "scan":
        expected = total(range(RANK + 1), dtype, seed)
    elif form == "exscan":
        expected = total(range(RANK), dtype, seed) if RANK else (mine if in_place else out.copy())
    elif form == "reduce" and RANK != ROOT:
        expected = out.copy()
    send = mine
    if in_place and not (form == "reduce" and RANK != ROOT):
        send, out[:] = MPI.IN_PLACE, mine
    recv = None if form == "reduce" and RANK != ROOT else out
    return [send, recv, *before], after, out[where], expected


def check(got, expected, *what):
    assert got.tobytes() == expected.tobytes(), (*what, "rank", RANK, got, expected)


@pytest.mark.share(3)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_every_algorithm(form, dtype):
    for in_place in (False, True):
        for name in algorithms(form):
            before, after, got, expected = call(form, dtype, in_place)
            getattr(collectives, form)(COMM, *before, REPRODUCIBLE_SUM, *after, algorithm=name)
            check(got, expected, form, name, in_place)


@pytest.fixture(scope="module")
def comm():
    comm = collectives.Comm(COMM).Dup()
    yield comm
    comm.Free()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form(comm, form, in_place):
    """Blocking, several nonblocking ones at once, and persistent with changing data."""
    before, after, got, expected = call(form, in_place=in_place)
    getattr(comm, form.capitalize())(*before, REPRODUCIBLE_SUM, *after)
    check(got, expected, form, "blocking")

    calls = [call(form, dtype, in_place, seed) for seed, dtype in enumerate(DTYPES * 2)]
    requests = [
        getattr(comm, f"I{form}")(*before, REPRODUCIBLE_SUM, *after) for before, after, *_ in calls
    ]
    MPI.Request.Waitall(requests)
    for _, _, got, expected in calls:
        check(got, expected, form, "nonblocking")

    before, after, got, expected = call(form, in_place=in_place)
    request = getattr(comm, f"{form.capitalize()}_init")(*before, REPRODUCIBLE_SUM, *after)
    for seed in range(3):
        anew, _, _, expected = call(form, in_place=in_place, seed=seed)
        for buffer, other in zip(before[:2], anew[:2]):
            if isinstance(buffer, np.ndarray):
                buffer[:] = other
        request.Start()
        request.Wait()
        check(got, expected, form, "persistent", seed)
    request.Free()


def test_buffers_that_nobody_else_keeps(comm):
    """A nonblocking call keeps them as long as it needs them."""
    got = np.empty(N)
    request = comm.Iallreduce(vector(RANK), got, REPRODUCIBLE_SUM)
    gc.collect()
    litter = [np.full(N, UNTOUCHED) for _ in range(20)]
    request.Wait()
    check(got, total(range(P)), len(litter))


@pytest.mark.parametrize("form", FORMS)
def test_a_replayed_plan_takes_the_new_data(comm, form):
    """Found again by its buffers, and never taken for the plan of the ordinary sum."""
    pools = channel_of(comm).store.pools
    before, after, got, _ = call(form)
    kept = 0
    for seed in range(4):
        anew, _, _, expected = call(form, seed=seed)
        before[0][:] = anew[0]
        getattr(collectives, form)(comm, *before, REPRODUCIBLE_SUM, *after)
        kept = len(pools) if seed == 0 else kept
        check(got, expected, form, seed)
        getattr(collectives, form)(comm, *before, MPI.SUM, *after)
        if seed:
            assert len(pools) == kept + 1
    names = {shape[3] for shape, pool in pools.items() if pool.direct}
    assert names >= {"SUM", REPRODUCIBLE_SUM.name}


def test_the_ordinary_sum_depends_on_the_algorithm():
    """What this is for."""
    if P < 4:
        pytest.skip("three summands are too few for that")
    plain, ours = set(), set()
    for op, bits in ((MPI.SUM, plain), (REPRODUCIBLE_SUM, ours)):
        for name in algorithms("allreduce"):
            got = np.empty(N)
            collectives.allreduce(COMM, vector(RANK), got, op, name)
            bits.add(got.tobytes())
    assert len(plain) > 1 == len(ours)


def test_infinities_nans_and_zeros():
    numbers = np.array([np.inf, -np.inf, np.nan, -0.0, 0.0, np.inf if RANK else -np.inf, 1e308])
    got = np.empty_like(numbers)
    collectives.allreduce(COMM, numbers, got, REPRODUCIBLE_SUM)
    both = np.nan if P > 1 else -np.inf
    many = np.inf if P > 1 else 1e308
    check(got, np.array([np.inf, -np.inf, np.nan, -0.0, 0.0, both, many]))


def test_spellings():
    """Predefined datatypes by name, counts, no elements, and other objects with memory."""
    mine, expected = vector(RANK), total(range(P))
    for spell in (lambda x: [x, MPI.DOUBLE], lambda x: [x, N, "d"], memoryview):
        got = np.empty(N)
        collectives.allreduce(COMM, spell(mine), spell(got), REPRODUCIBLE_SUM)
        check(got, expected)
    got = np.full(N, UNTOUCHED)
    collectives.allreduce(COMM, [mine, 2, MPI.DOUBLE], [got, 2, MPI.DOUBLE], REPRODUCIBLE_SUM)
    check(got, np.concatenate([expected[:2], np.full(N - 2, UNTOUCHED)]))
    collectives.allreduce(COMM, np.empty(0), np.empty(0), REPRODUCIBLE_SUM)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "reduce_scatter"])
def test_what_it_is_not_defined_for(form):
    """The same error on all ranks, before anything is sent."""

    def refused(dtype, message):
        send = np.zeros(P, dtype)
        recv = np.zeros(1 if form == "reduce_scatter_block" else P, dtype)
        with pytest.raises(
            ArgumentError, match=rf"{primitive}\.\w+: {needed}, got {message}"
        ) as caught:
            getattr(collectives, form)(COMM, send, recv, REPRODUCIBLE_SUM)
        assert caught.value.Get_error_class() == MPI.ERR_OP

    primitive, needed = form.removesuffix("_block"), "op must be defined for the datatype"
    refused(np.int64, "reproducible_sum for int64; use MPI.SUM, which is exact for integers")
    refused(np.uint8, "reproducible_sum for uint8; use MPI.SUM, which is exact for integers")
    refused(bool, "reproducible_sum for bool; convert the data")
    refused(np.longdouble, rf"reproducible_sum for {np.dtype(np.longdouble)}; convert the data")
    refused("V16", r"reproducible_sum for \|V16; convert the data")


def test_derived_datatypes():
    """Refused, with gaps and without, as they are with MPI's own operators."""
    for datatype in (MPI.DOUBLE.Create_vector(2, 1, 2), MPI.DOUBLE.Create_contiguous(4)):
        datatype.Commit()
        one, other = np.zeros(8), np.full(8, UNTOUCHED)
        with pytest.raises(ArgumentError, match="got reproducible_sum for a derived datatype"):
            spelled = [one, 2, datatype], [other, 2, datatype]
            collectives.allreduce(COMM, *spelled, REPRODUCIBLE_SUM)
        assert (other == UNTOUCHED).all()
        datatype.Free()


def test_buffers_that_do_not_fit():
    wide, narrow = np.zeros(4), np.zeros(4, np.float32)
    with pytest.raises(BufferMismatch, match="sendbuf needs recvbuf's dtype float32, got float64"):
        collectives.allreduce(COMM, wide, narrow, REPRODUCIBLE_SUM)
    with pytest.raises(BufferMismatch, match="sendbuf needs 3 elements"):
        collectives.allreduce(COMM, wide, wide[:3].copy(), REPRODUCIBLE_SUM)
    with pytest.raises(BufferMismatch, match="recvbuf needs writable memory"):
        constant = np.zeros(4)
        constant.flags.writeable = False
        collectives.allreduce(COMM, wide, constant, REPRODUCIBLE_SUM)


def test_buffers_that_overlap():
    """What is sent is read before anything is written."""
    memory = np.concatenate([vector(RANK), np.full(2, UNTOUCHED)])
    collectives.allreduce(COMM, memory[:N], memory[2:], REPRODUCIBLE_SUM)
    check(memory, np.concatenate([vector(RANK)[:2], total(range(P))]))


@pytest.mark.skipif(P == 1, reason="needs ranks that differ")
def test_checked_mode_compares_it():
    comm = collectives.Comm(COMM.Dup(), check=True)
    got = np.empty(N)
    comm.Allreduce(vector(RANK), got, REPRODUCIBLE_SUM)
    check(got, total(range(P)))
    op = MPI.SUM if RANK == ROOT else REPRODUCIBLE_SUM
    with pytest.raises(CallMismatch, match=r"\(reproducible_sum, \d+ elements, float64\)") as told:
        comm.Allreduce(vector(RANK), got, op)
    assert len(set(COMM.allgather(str(told.value)))) == 1
    dtype = np.float32 if RANK == ROOT else np.float64
    with pytest.raises(CallMismatch, match=r"\(reproducible_sum, \d+ elements, float32\)"):
        comm.Allreduce(vector(RANK, dtype), np.empty(N, dtype), REPRODUCIBLE_SUM)
    comm.Free()


def test_time_limits():
    comm = collectives.Comm(COMM.Dup(), timeout=30)
    got = np.empty(N)
    comm.Allreduce(vector(RANK), got, REPRODUCIBLE_SUM)
    check(got, total(range(P)))
    comm.Free()


def test_objects(comm):
    """Floats and arrays, to the bit as in the buffer forms."""
    mine, expected = float(vector(RANK)[1]), total(range(P))
    assert comm.allreduce(mine, REPRODUCIBLE_SUM) == expected[1]
    assert type(comm.allreduce(mine, REPRODUCIBLE_SUM)) is float
    check(comm.allreduce(vector(RANK), REPRODUCIBLE_SUM), expected)
    check(comm.scan(vector(RANK), REPRODUCIBLE_SUM), total(range(RANK + 1)))
    lower = comm.exscan(vector(RANK, np.complex64), REPRODUCIBLE_SUM)
    at_root = comm.reduce(vector(RANK), REPRODUCIBLE_SUM, root=ROOT)
    if RANK:
        check(lower, total(range(RANK), np.complex64))
    if RANK == ROOT:
        check(at_root, expected)
    for wrong in (3, "text", None):
        with pytest.raises(ArgumentError, match="reproducible_sum of objects: needs an array of"):
            comm.allreduce(wrong, REPRODUCIBLE_SUM)


# Distributed arrays


def part(array, rank=RANK):
    """Uneven parts; that of some ranks is empty."""
    cuts = sorted(len(array) * k * k % (len(array) + 1) for k in range(1, P))
    return np.split(array, cuts)[rank]


def test_a_distributed_array():
    """The right result, correctly rounded, for any algorithm."""
    rng = np.random.default_rng(7)
    for dtype in (np.float16, np.float32, np.float64):
        array = (rng.standard_normal(10_001) * 10.0 ** rng.integers(-4, 4, 10_001)).astype(dtype)
        for name in [*algorithms("allreduce"), "auto"]:
            got = collectives.reproducible_sum(COMM, part(array), name)
            assert type(got) is float and got == math.fsum(array.astype(float)), name
    got = collectives.reproducible_sum(COMM, array.reshape(73, 137)[:, ::-1].T)
    assert got == math.fsum(np.tile(array, P))
    assert collectives.reproducible_sum(COMM, 1.0 if RANK == ROOT else []) == 1.0
    assert collectives.reproducible_sum(COMM, []) == 0.0
    assert collectives.reproducible_sum(COMM, np.inf if RANK else -1.0) == (np.inf if P > 1 else -1)
    array = array + 1j * array[::-1]
    got = collectives.reproducible_sum(COMM, part(array))
    assert got == complex(math.fsum(array.real), math.fsum(array.imag))


def test_complex_on_one_rank():
    got = collectives.reproducible_sum(COMM, 1j if RANK == ROOT else 2.0)
    assert type(got) is complex and got == complex(2 * (P - 1), 1)


def test_a_sum_over_summands_of_all_ranks():
    """Records in, records out: ranks with any number of rows."""
    rows = np.random.default_rng(3).standard_normal((50, 9)).astype(np.float32)
    records = np.empty(9, RECORD)
    for name in algorithms("allreduce"):
        collectives.allreduce(COMM, summed(part(rows)), records, REPRODUCIBLE_SUM, name)
        check(records, summed(rows), name)
    check(rounded(records, np.float32), rounded(summed(rows), np.float32))


def test_an_array_of_something_else():
    """On one rank: all ranks are told."""
    for wrong in (np.arange(3), np.zeros(2, np.longdouble), ["x"]):
        if RANK == ROOT:
            needed = "reproducible_sum: array needs floats of up to 64 bits, got"
        else:
            needed = "reproducible_sum: array needs floats on all ranks, got others on 1 of them"
        with pytest.raises(ArgumentError, match=needed):
            collectives.reproducible_sum(COMM, wrong if RANK == ROOT else [1.0])
    assert collectives.reproducible_sum(COMM, [1.0]) == P
