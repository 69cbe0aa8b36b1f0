"""A user's operator that raises ends the program: other ranks wait for its result."""

import subprocess
import sys

import pytest

PROGRAM = """
from mpi4py import MPI
import numpy as np
from collectives.mpi.data.datatypes import element_of
from collectives.mpi.data.operators import operator_of

def wrong(left, right, datatype):
    raise ZeroDivisionError("of the user's")

operator = operator_of("allreduce.tree", MPI.Op.Create(wrong), element_of(MPI.DOUBLE, whole=True))
one, other = np.ones(3), np.ones(3)
try:
    operator.kernel(one, other, other)
finally:
    print("went on")
"""


def test_an_operator_that_raises():
    pytest.importorskip("mpi4py")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0 and "went on" not in done.stdout
    assert "ZeroDivisionError: of the user's" in done.stderr
