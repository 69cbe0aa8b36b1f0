"""The example programs give the same with Comm as with mpi4py's communicator."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from common import COMM, at_few_ranks
from mpi4py import MPI

import collectives

pytestmark = [pytest.mark.mpi, at_few_ranks]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run


@pytest.fixture(params=[None, "ring", "naive"])
def comm(request):
    return collectives.Comm(COMM, algorithm=request.param)


def test_sample_sort(comm):
    run = load("sample_sort")
    assert np.array_equal(run(comm), run(COMM))


def test_conjugate_gradient(comm):
    """Sums in another order: equal up to rounding."""
    run = load("conjugate_gradient")
    assert np.allclose(run(comm), run(COMM), rtol=0, atol=1e-9)


def test_jacobi(comm):
    run = load("jacobi")
    sweeps, residual, grid = run(comm)
    expected_sweeps, expected_residual, expected_grid = run(COMM)
    assert sweeps == expected_sweeps and np.isclose(residual, expected_residual, rtol=1e-9)
    assert (grid is None) == (expected_grid is None) == (COMM.rank != 0)
    assert grid is None or np.array_equal(grid, expected_grid)


def test_reproducible(comm):
    """The usual sum is only close, the other the same."""
    run = load("reproducible")
    usual, ours = run(comm)
    assert np.isclose(usual, run(COMM)[0], rtol=1e-12) and ours == run(COMM)[1]


def test_large_objects():
    """Objects beyond any eager limit, as mpi4py.util.pkl5 is made for."""
    comm = collectives.Comm(COMM)
    mine = {"array": np.arange(300_000) * (COMM.rank + 1), "name": f"rank {COMM.rank}"}
    for got, expected in zip(comm.allgather(mine), COMM.allgather(mine)):
        assert got["name"] == expected["name"] and np.array_equal(got["array"], expected["array"])
    total = comm.allreduce(mine["array"], MPI.SUM)
    assert np.array_equal(total, COMM.allreduce(mine["array"], MPI.SUM))
