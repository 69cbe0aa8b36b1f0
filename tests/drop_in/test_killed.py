"""A rank that dies or hangs in the middle of a collective: the job ends, and says why.

mpirun ends the job when a rank dies. Where it does not notice, as on a node that
has gone, the others find a rank that does not answer; a stopped process is one.
"""

import re

import pytest
from launch import mpirun

from collectives.algorithms import PRIMITIVES

VICTIM = 1

PROGRAM = f"""
import os, signal, sys
import numpy as np
from mpi4py import MPI
from collectives import Comm, Timeout
from collectives.mpi.guards import watch
from collectives.mpi.plans.traffic import Flight

primitive, blow = sys.argv[1:]
watch.LAST = 1.0
comm = Comm(Comm(MPI.COMM_WORLD, algorithm="ring"), timeout=1)
rank, p = comm.rank, comm.size
one, many, out = np.arange(6) + rank, np.arange(6 * p) + rank, np.empty(6 * p, int)
arguments = {{
    "barrier": (),
    "bcast": (many, 0),
    "scatter": (many, one, 0),
    "gather": (one, out, 2),
    "allgather": (one, out),
    "reduce": (many, out, MPI.SUM, 2),
    "allreduce": (many, out),
    "reduce_scatter": (many, one),
    "alltoall": (many, out),
    "scan": (many, out),
    "exscan": (many, out),
}}[primitive]
name = "Reduce_scatter_block" if primitive == "reduce_scatter" else primitive.capitalize()
getattr(comm, name)(*arguments)
comm.Barrier()

post = Flight._post

def die(self, stage):
    if self.rounds == 2:
        os.kill(os.getpid(), getattr(signal, blow))
    return post(self, stage)

if rank == {VICTIM}:
    Flight._post = die
try:
    getattr(comm, name)(*arguments)
    comm.Barrier()
except Timeout as error:
    sys.stderr.write(f"{{error}}\\n")  # at once: two ranks' lines must not mix
    sys.exit(1)
print("went on as if nothing had happened")
"""


def run(primitive, blow):
    """What the program says on three ranks, one of which is hit. It must fail, and soon."""
    done = mpirun(3, "-c", PROGRAM, primitive, blow)
    assert done.status != 0, done.out
    assert "as if nothing" not in done.out
    return done.err


@pytest.mark.share(6)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_a_rank_that_dies(primitive):
    run(primitive, "SIGKILL")


@pytest.mark.share(5)
@pytest.mark.parametrize("primitive", ["bcast", "reduce", "alltoall"])
def test_a_rank_that_hangs(primitive):
    """The others say so, and end even though MPI would wait for it."""
    text = run(primitive, "SIGSTOP")
    told = re.findall(r"(\w+)\.ring.*, call 3: no end within 1 s: (.*)", text)
    assert set(told) == {(primitive, f"rank {VICTIM} did not answer")}, text
