"""Tensors of torch: short floats, by its own kernels where they are long."""

from importlib.util import find_spec

import pytest
from launch import mpirun

PROGRAM = """
import torch
from mpi4py import MPI
import collectives

comm = collectives.Comm(MPI.COMM_WORLD)
for name in ("float16", "bfloat16", "float8_e4m3fn", "complex32"):
    dtype = getattr(torch, name)
    for n in (3, 10_000):
        mine = (torch.arange(n) % 3 + comm.rank).to(dtype)
        right = ((torch.arange(n) % 3) * comm.size + sum(range(comm.size))).to(dtype)
        for algorithm in ("ring", "tree"):
            total = torch.zeros(n, dtype=dtype)
            comm.Allreduce(mine, total, algorithm=algorithm)
            assert torch.equal(total.to(torch.complex64), right.to(torch.complex64)), (name, n)
print("right")
"""


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 3])
def test_short_floats(ranks):
    for package in ("torch", "ml_dtypes"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}: pip install {package}")
    done = mpirun(ranks, "-W", "ignore", "-c", PROGRAM)
    assert done.out.count("right") == ranks, done.err
