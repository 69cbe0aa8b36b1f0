"""Lossy allreduces over MPI: within their limit, the same bits on all ranks, in all forms."""

import hashlib
from functools import cache

import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks, check
from common import ours as run
from mpi4py import MPI

import collectives
from collectives.algorithms import REGISTRY
from collectives.catalogue import find
from collectives.choice import ENVIRONMENT, written
from collectives.errors import ArgumentError, RestrictionError
from collectives.mpi.plans.channel import channel_of
from collectives.study.compression import error_limit

pytestmark = [pytest.mark.mpi, at_few_ranks]

LOSSY = [name for name, one in REGISTRY["allreduce"].items() if one.lossy]
SPECS = [f"{name}:codec={codec}" for name in LOSSY for codec in ("int8", "topk", "exact")]
SIZES = [1000, 1, P + 1, 0, P - 1, 70_000]
DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]

every = pytest.mark.parametrize("spec", SPECS)


@pytest.fixture
def comm():
    comm = collectives.Comm(COMM.Dup())
    yield comm
    comm.Free()


def data(rank, n, dtype, seed=0):
    return np.random.default_rng([rank, seed]).standard_normal(n).astype(dtype)


@cache
def answer(n, dtype, seed=0):
    return np.sum([data(rank, n, dtype, seed) for rank in range(P)], axis=0, dtype=np.float64)


def near(result, spec, seed=0):
    """Whether a result is within the limit of its algorithm, and the same on all ranks."""
    algorithm, parameters = find("allreduce", spec)
    n, dtype = result.size, result.dtype
    limit = error_limit(algorithm, [data(r, n, dtype, seed) for r in range(P)], parameters)
    errors = np.abs(result - answer(n, dtype, seed))
    assert (errors <= limit).all(), (spec, n, dtype, "rank", RANK, errors.max(), limit)
    bits = COMM.allgather(hashlib.sha256(result.tobytes()).hexdigest())
    assert len(set(bits)) == 1, (spec, n, dtype)


@pytest.mark.share(3)
@pytest.mark.parametrize("in_place", [False, True], ids=["", "in_place"])
@every
def test_within_the_limit(spec, in_place):
    """Twice each, the second time with a replayed plan and other data."""
    for n in SIZES:
        for dtype in DTYPES:
            sendbuf, result = np.empty(n, dtype), np.empty(n, dtype)
            for seed in range(2):
                for buffer in (sendbuf, result) if in_place else (sendbuf,):
                    buffer[...] = data(RANK, n, dtype, seed)
                source = MPI.IN_PLACE if in_place else sendbuf
                run("allreduce", source, result, MPI.SUM, algorithm=spec)
                near(result, spec, seed)
                check(sendbuf, data(RANK, n, dtype, seed), "input", spec)


@every
def test_nonblocking(comm, spec):
    """Several in flight together."""
    calls = []
    for seed in range(3):
        result = np.empty(500, np.float32)
        mine = data(RANK, 500, np.float32, seed)
        calls.append((comm.Iallreduce(mine, result, algorithm=spec), result, mine))
    for seed, (request, result, _) in enumerate(calls):
        request.Wait()
        near(result, spec, seed)


@every
def test_persistent(comm, spec):
    """Started again it draws on: another result of the same data, as good as the first."""
    mine, result = data(RANK, 5000, np.float64), np.empty(5000)
    request = comm.Allreduce_init(mine, result, algorithm=spec)
    results = []
    for _ in range(3):
        request.Start()
        request.Wait()
        near(result, spec)
        results.append(result.tobytes())
    assert len(set(results)) == (3 if "int8" in spec else 1)
    request.Free()


@pytest.mark.parametrize("name", LOSSY)
def test_a_replay_draws_on_and_a_run_can_be_repeated(name):
    mine = data(RANK, 1000, np.float32)

    def first_two():
        result = np.empty_like(mine)
        results = []
        for _ in range(2):
            run("allreduce", mine, result, algorithm=name)
            near(result, name)
            results.append(result.tobytes())
        channel_of(COMM).forget()
        return results

    once, again = first_two(), first_two()
    assert once == again and once[0] != once[1]
    other = np.empty_like(mine)
    run("allreduce", mine, other, algorithm=name, seed=7)
    assert other.tobytes() not in once


@pytest.mark.skipif(P < 2, reason="a rank alone draws nothing")
def test_a_call_elsewhere_draws_on_too(comm):
    """The same data from other buffers, or from the same ones again: other errors each time."""
    sent = data(RANK, 1000, np.float32)
    alive = [(sent.copy(), np.full_like(sent, -1)) for _ in range(3)]
    for mine, result in alive * 2:
        run("allreduce", mine, result, comm=comm, algorithm="compressed_ring")
        near(result, "compressed_ring")
        alive.append((mine, result.copy()))
    results = [result.tobytes() for _, result in alive[3:]]
    assert len(set(results)) == 6


@pytest.mark.parametrize("name", LOSSY)
def test_what_is_no_sum_of_floats_is_refused_on_all_ranks(name):
    floats, integers = np.ones(4), np.ones(4, np.int64)
    needed = rf"allreduce\.{name}: needs a sum of floating-point numbers, because it is lossy, got "
    both = data(RANK, 4, np.complex128)
    user = MPI.Op.Create(lambda left, right, datatype: None, commute=True)
    for array, op, got, code in (
        (floats, MPI.MAX, "max of float64; use naive or ring or", MPI.ERR_OP),
        (integers, MPI.SUM, "sum of int64; use naive or ring or", MPI.ERR_TYPE),
        (both, MPI.SUM, "sum of complex128; use", MPI.ERR_TYPE),
        (floats, user, "a user's operator of float64; use", MPI.ERR_OP),
    ):
        result = np.full_like(array, 7)
        with pytest.raises(RestrictionError, match=needed + got) as raised:
            run("allreduce", array, result, op, algorithm=name)
        assert raised.value.Get_error_class() == code
        assert (result == 7).all()
        assert "compressed" not in str(raised.value).partition("; use")[2]
    user.Free()


def test_what_is_no_codec_is_refused_on_all_ranks():
    mine = np.ones(4)
    for spec, message in (
        ("compressed_ring:codec=int4", "codec must be one of int8, topk, exact, got 'int4'"),
        ("compressed_ring:ratio=4", "codec int8 has no parameter 'ratio'; choose from bucket, "),
        ("sparse_ring:ratio=0", "ratio must be a positive integer, got 0"),
        ("quantised_oneshot:seed=-1", "seed must be an integer from 0 on, got -1"),
    ):
        with pytest.raises(ArgumentError, match=message):
            run("allreduce", mine, np.empty(4), algorithm=spec)


@pytest.mark.parametrize("name", LOSSY)
def test_a_rank_alone_with_another_codec_is_noticed(name):
    if P == 1:
        pytest.skip("nobody to differ from")
    comm = collectives.Comm(COMM.Dup(), check=True)
    codec = "topk" if RANK == P - 1 else "int8"
    with pytest.raises(collectives.CallMismatch, match="codec topk"):
        comm.Allreduce(np.ones(8), np.empty(8), algorithm=f"{name}:codec={codec}")
    comm.Free()


def test_what_is_not_a_number_comes_through():
    for spec in SPECS:
        mine, result = np.zeros(1000), np.empty(1000)
        if RANK == P - 1:
            mine[500] = np.nan
        run("allreduce", mine, result, algorithm=spec)
        assert np.isnan(result[500]), spec


def test_a_default_of_a_communicator(comm):
    """Asked for by name, for all calls: also those of other codecs."""
    lossy = collectives.Comm(COMM.Dup(), algorithm={"allreduce": "sparse_ring:ratio=1"})
    mine, result = data(RANK, 100, np.float64), np.empty(100)
    lossy.Allreduce(mine, result)
    near(result, "sparse_ring:ratio=1")
    with pytest.raises(RestrictionError, match="got sum of int64"):
        lossy.Allreduce(np.ones(3, np.int64), np.empty(3, np.int64))
    lossy.Free()


def test_auto_takes_nothing_lossy(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp("choice") / "mine.json"
    machine = collectives.Machine(collectives.Clock(1.0, 1.0, 1.0))
    rows = {"allreduce": {(1, 2): [(0, "quantised_ring")]}}
    path.write_text(written(machine, None, 8, rows, {}))
    monkeypatch.setenv(ENVIRONMENT, str(path))
    with pytest.raises(ArgumentError, match="needs a table of exact algorithms, got quantised_r"):
        run("allreduce", np.ones(4), np.empty(4), algorithm="auto")
