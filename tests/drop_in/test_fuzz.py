"""The fuzz finds what is wrong, and says how to see it again."""

import re
import shlex

import pytest
from launch import mpirun

HEAD = """
from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.registry import algorithm
from collectives.algorithms.language.steps import copy, recv, reduce, send
"""
FORGETFUL = """
@algorithm("allreduce", commutative=True)
def forgetful(rank, p, sendbuf, recvbuf):
    '''The vector goes round the ring; its seventh element is not added up.'''
    passing, arriving = scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, passing), copy(sendbuf, recvbuf)
    for _ in range(p - 1):
        yield (
            send(passing, (rank + 1) % p),
            recv(arriving, (rank - 1) % p),
            reduce(arriving[:6], recvbuf[:6]),
            reduce(arriving[7:], recvbuf[7:]),
        )
        passing, arriving = arriving, passing
"""
STALE = """
@algorithm("scan")
def stale(rank, p, sendbuf, recvbuf):
    '''Copies its input before the first yield: right but for what is replayed.'''
    before, mine = scratch(sendbuf), sendbuf.copy()
    yield copy(mine, recvbuf)
    if rank > 0:
        yield recv(before, rank - 1), reduce(before, recvbuf)
    if rank < p - 1:
        yield send(recvbuf, rank + 1)
"""
DEAF = """
@algorithm("gather")
def deaf(rank, p, sendbuf, recvbuf, root):
    '''Waits for a message that nobody sends.'''
    if rank == root and p > 1:
        yield recv(recvbuf[(root + 1) % p], (root + 1) % p)
"""


def fuzz(*arguments):
    return mpirun(3, "tests/fuzz", *arguments)


@pytest.fixture
def planted(tmp_path):
    """Write a file with a wrong algorithm."""

    def write(source):
        path = tmp_path / "planted.py"
        path.write_text(HEAD + source)
        return path

    return write


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "name, source", [("allreduce.forgetful", FORGETFUL), ("scan.stale", STALE)]
)
def test_finds_a_wrong_algorithm_and_repeats_it(planted, name, source):
    run = fuzz("--cases", 300, "--seed", 5, "--only", name, "--load", planted(source))
    assert run.status, run.out
    command = re.search(r"^FAILED: (mpirun .* --case .*)$", run.out, re.M)[1]
    described = run.out[run.out.index(command) :].splitlines()[1:4]
    assert re.match(r"  rank \d: turn \d: .*expected .*, got ", described[2]), run.out
    beginning, ranks, python, *words = shlex.split(command)[1:]
    assert (beginning, python) == ("-n", "python")
    again = mpirun(ranks, *words)
    assert again.status and f"FAILED: {command}\n" in again.out
    assert again.out[again.out.index(command) :].splitlines()[1:4] == described


def test_ends_what_hangs(planted):
    path = planted(DEAF)
    run = fuzz("--cases", 50, "--only", "gather.deaf", "--load", path, "--limit", 1.5)
    assert run.status
    failed = r"^FAILED: mpirun -n 3 python tests/fuzz --seed 0 .*--load"
    assert re.search(failed, run.out, re.M), run.out
    assert re.search(r"rank \d has spent \d+\.\d s in case \d+: .*gather.* \(", run.out), run.out
