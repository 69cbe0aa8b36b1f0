"""The fuzz finds what is wrong, and says how to see it again."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOW = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
HEAD = """
from collectives.algorithms.memory import scratch
from collectives.algorithms.registry import algorithm
from collectives.algorithms.steps import copy, recv, reduce, send
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


def launch(*words, limit=60):
    """Run a command line that begins with mpirun; return its status and what it prints."""
    beside = Path(sys.executable).with_name("mpirun")
    launcher = str(beside) if beside.exists() else shutil.which("mpirun")
    if launcher is None:
        pytest.skip("needs mpirun")
    words = [sys.executable if word == "python" else word for word in words[1:]]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [launcher, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **ALLOW, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        pytest.fail(f"not done after {limit} s\n{out}")
    return process.returncode, out


def fuzz(*arguments):
    return launch("mpirun", "-n", "3", "python", "tests/fuzz", *map(str, arguments))


@pytest.fixture
def planted(tmp_path):
    """Write a file with a wrong algorithm."""

    def write(source):
        path = tmp_path / "planted.py"
        path.write_text(HEAD + source)
        return path

    return write


@pytest.mark.parametrize(
    "name, source", [("allreduce.forgetful", FORGETFUL), ("scan.stale", STALE)]
)
def test_finds_a_wrong_algorithm_and_repeats_it(planted, name, source):
    status, out = fuzz("--cases", 300, "--seed", 5, "--only", name, "--load", planted(source))
    assert status, out
    command = re.search(r"^FAILED: (mpirun .* --case .*)$", out, re.M)[1]
    described = out[out.index(command) :].splitlines()[1:4]
    assert re.match(r"  rank \d: turn \d: .*expected .*, got ", described[2]), out
    status, again = launch(*shlex.split(command))
    assert status and f"FAILED: {command}\n" in again
    assert again[again.index(command) :].splitlines()[1:4] == described


def test_ends_what_hangs(planted):
    path = planted(DEAF)
    status, out = fuzz("--cases", 50, "--only", "gather.deaf", "--load", path, "--limit", 1.5)
    assert status
    assert re.search(r"^FAILED: mpirun -n 3 python tests/fuzz --seed 0 .*--load", out, re.M), out
    assert re.search(r"rank \d has spent \d+\.\d s in case \d+: .*gather.* \(", out), out
