"""Nonblocking and persistent forms say what they need of MPI's threads."""

import subprocess
import sys

import pytest

PROGRAM = """
import mpi4py
mpi4py.rc.thread_level = "funneled"
from mpi4py import MPI
import numpy as np, collectives
comm = collectives.Comm(MPI.COMM_WORLD)
comm.Barrier()
for call in (comm.Ibarrier, comm.Barrier_init):
    try:
        call()
    except collectives.RestrictionError as error:
        print(error)
"""


def test_without_thread_multiple():
    pytest.importorskip("mpi4py")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    expected = "need MPI.THREAD_MULTIPLE, got MPI.THREAD_FUNNELED; leave mpi4py.rc.thread_level"
    assert done.stdout.count(expected) == 2, done.stderr
