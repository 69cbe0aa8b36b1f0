"""A user's operator that raises: its rank says so, and all ranks go on."""

import pytest
from launch import mpirun

PROGRAM = """
from mpi4py import MPI
import numpy as np
import collectives

comm = collectives.Comm(MPI.COMM_WORLD)

def wrong(left, right, datatype):
    if comm.rank == 1:
        raise KeyboardInterrupt

op = MPI.Op.Create(wrong, commute=False)
total = np.zeros(3)
try:
    comm.Allreduce(np.ones(3), total, op, algorithm="recursive_doubling")
except KeyboardInterrupt:
    print("interrupted", comm.rank)
comm.Allreduce(np.ones(3), total)
assert total.tolist() == [comm.size] * 3
raise SystemExit(3 if comm.rank == 1 else 0)
"""


def test_an_operator_that_raises():
    pytest.importorskip("mpi4py")
    done = mpirun(2, "-c", PROGRAM)
    assert done.out.split() == ["interrupted", "1"], done.err
