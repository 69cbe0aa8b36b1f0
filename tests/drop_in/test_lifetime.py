"""Nothing of ours calls MPI before it is initialised or after it is finalized, whoever does that.

MPI ends a job that calls it outside, so it is enough to see that the job ends well.
"""

import subprocess
import sys

import pytest
from launch import ROOT, mpirun

BEFORE = """
import sys
import mpi4py
mpi4py.rc.initialize = False
mpi4py.rc.finalize = True  # at exit, unless the program does it
import pkgutil, importlib
from mpi4py import MPI
import collectives, collectives.mpi
for module in pkgutil.walk_packages(collectives.mpi.__path__, "collectives.mpi."):
    importlib.import_module(module.name)
for name in collectives.__all__:
    getattr(collectives, name)
assert not MPI.Is_initialized()
"""

# A program that leaves everything of ours alive.
ALL = """
import gc, time
import numpy as np

MPI.Init_thread(getattr(MPI, "THREAD_" + sys.argv[1]))
mine, total = np.arange(5) + MPI.COMM_WORLD.rank, np.empty(5, int)
comms = [
    collectives.Comm(MPI.COMM_WORLD),
    collectives.Comm(MPI.COMM_WORLD),
    collectives.Comm(MPI.COMM_WORLD.Dup(), timeout=30),
    collectives.Comm(MPI.COMM_SELF, check=True),
]
comms.append(comms[0].Split(0))
comms.append(comms[2].Create_cart([comms[2].size]))
request, kept = None, []
for comm in comms:
    for _ in range(3):
        comm.Allreduce(mine, total)
    comm.Bcast([mine, 1, MPI.INT64_T.Create_vector(2, 1, 4).Commit()])
    comm.allreduce("text")
    if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
        request = comm.Iallreduce(mine, total)
        request.Wait()
        waited = comm.Ibcast(mine)
        MPI.Request.Waitall([waited])
        never = comm.Allgather_init(mine, np.empty(5 * comm.size, int))
        often = comm.Allreduce_init(mine, total)
        for _ in range(2):
            often.Start()
            often.Wait()
        kept += [request, waited, never, often]
    else:
        try:
            comm.Ibarrier()
        except collectives.RestrictionError:
            pass
collectives.barrier(MPI.COMM_WORLD.Dup())
if sys.argv[2] == "program":
    MPI.Finalize()
    time.sleep(0.1)
    for request in kept:
        request.free()
    del request
    kept.clear()
    comms.clear()
    gc.collect()
print("ended")
"""


def run(level, finalizes):
    done = mpirun(2, "-c", BEFORE + ALL, level, finalizes, limit=50)
    assert done.status == 0, done.err
    assert done.out.count("ended") == 2
    assert "Traceback" not in done.err


def test_imported_before_mpi_is_initialised():
    """Also by a program that never initialises it."""
    command = [sys.executable, "-c", BEFORE]
    assert subprocess.run(command, cwd=ROOT, timeout=50).returncode == 0


@pytest.mark.share(2)
@pytest.mark.parametrize("finalizes", ["program", "exit"])
def test_everything_is_alive_at_the_end(finalizes):
    run("MULTIPLE", finalizes)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["SINGLE", "FUNNELED", "SERIALIZED"])
def test_fewer_threads(level):
    run(level, "program")
