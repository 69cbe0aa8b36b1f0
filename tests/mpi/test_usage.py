"""What ran on a communicator: calls, messages and bytes of each algorithm."""

import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks
from mpi4py import MPI

import collectives
from collectives.mpi.engines.tally import everything

pytestmark = [pytest.mark.mpi, at_few_ranks]


@pytest.fixture
def comm():
    comm = collectives.Comm(COMM.Dup())
    comm.counts(reset=True)
    yield comm
    comm.Free()


def counted(comm, primitive, algorithm, within=""):
    """Calls, messages and bytes, which may be none."""
    rows = [
        row[4:] for row in comm.counts() if (*row[:2], row[3]) == (primitive, algorithm, within)
    ]
    return tuple(map(sum, zip(*rows))) or (0, 0, 0)


def started(request):
    request.Start()
    request.Wait()


def test_every_form_and_every_way(comm):
    """The first call, one with new buffers, a direct plan, nonblocking, persistent."""
    mine, total = np.arange(6) + RANK, np.empty(6, int)
    request = comm.Allreduce_init(mine, total, algorithm="ring")
    calls = [
        lambda: comm.Allreduce(mine, total, algorithm="ring"),
        lambda: comm.Allreduce(mine.copy(), total, algorithm="ring"),
        lambda: comm.Allreduce([mine, 6, MPI.INT64_T], total, algorithm="ring"),
        lambda: collectives.allreduce(comm, mine, total, algorithm="ring"),
        lambda: comm.Iallreduce(mine, total, algorithm="ring").Wait(),
        lambda: started(request),
        lambda: request.Start() or MPI.Prequest.Waitall([request]),
    ]
    page, _ = collectives.find("allreduce", "ring")
    steps = [
        step
        for round_ in page.generator(RANK, P, mine, np.empty(6, int))
        for step in (round_ if isinstance(round_, (tuple, list)) else (round_,))
        if type(step).__name__ == "send"
    ]
    for number in range(1, 5):
        for call in calls:
            call()
        runs = number * len(calls)
        expected = runs, runs * len(steps), runs * sum(step.buf.nbytes for step in steps)
        assert counted(comm, "allreduce", "ring") == expected
    request.Free()
    for length in range(1, 40):  # plans come and go
        comm.Allreduce(np.zeros(length), np.empty(length), algorithm="ring")
    collectives.mpi.plans.channel.channel_of(comm).forget()
    assert counted(comm, "allreduce", "ring")[0] == runs + 39


def test_supervised_calls(comm):
    comm = collectives.Comm(comm, check=True, timeout=60)
    for _ in range(3):
        comm.Barrier(algorithm="ring")
        comm.Ibarrier(algorithm="ring").Wait()
    assert counted(comm, "barrier", "ring")[0] == 6
    compared = counted(comm, "allreduce", "recursive_doubling", "comparison of calls")
    assert compared[0] >= 6


def test_what_auto_took(comm):
    for length in (1, 10**5):
        comm.Allreduce(np.ones(length), np.empty(length))
        comm.Allreduce(np.ones(length), np.empty(length), algorithm="ring")
    rows = [row for row in comm.counts() if row.primitive == "allreduce" and not row.within]
    assert sum(row.calls for row in rows if row.asked == "auto") == 2
    assert [row.calls for row in rows if row.asked == "ring"] == [2]


def test_parts_are_told_apart(comm):
    comm.allreduce(RANK)
    comm.Allgather(np.zeros(16, np.int64), np.empty(16 * P, np.int64))
    assert counted(comm, "allgather", "recursive_doubling", "allreduce (object)")[0] == 1
    assert counted(comm, "bcast", "tree", "allreduce (object)")[0] == 1
    assert counted(comm, "allgather", comm.algorithm_for("allgather"))[0] == 1


def test_reset_and_everything(comm):
    fresh = COMM.Dup()
    assert collectives.Comm(fresh).counts() == []
    before = sum(row.calls for row in everything() if row.algorithm == "tree")
    other = collectives.Comm(fresh)
    other.Scan(np.ones(1), np.empty(1), algorithm="tree")
    comm.Scan(np.ones(1), np.empty(1), algorithm="tree")
    assert counted(comm, "scan", "tree")[0] == 1
    comm.counts(reset=True)
    assert comm.counts() == []
    other.Free()
    assert sum(row.calls for row in everything() if row.algorithm == "tree") == before + 2
