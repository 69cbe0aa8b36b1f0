"""More bytes than an int can count, on 2 ranks: `pytest -m slow`."""

import os

import numpy as np
import pytest
from common import RANK, P
from common import ours as run
from mpi4py import MPI

import collectives

N = 2**31 + 2**28 + 5  # bytes
ROOM = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.slow,
    pytest.mark.skipif(P != 2 or ROOM < 7 * N, reason="needs 2 ranks and 16 GiB"),
]


def numbers(rank):
    """No two neighbours, ranks or powers of two look alike."""
    return np.resize(np.arange(rank, rank + 101, dtype=np.int8), N)


def check(got, *ranks):
    """The sum over ranks, compared bit by bit: there is no room for another vector."""
    for start in range(0, N, 101 * 2**20):
        right = sum(np.arange(rank, rank + 101, dtype=np.int8) for rank in ranks)
        piece = got[start : start + 101 * 2**20]
        assert np.array_equal(piece, np.resize(right, piece.size)), start


@pytest.mark.parametrize("algorithm", ["tree", "ring:segments=1", "naive"])
def test_bcast(algorithm):
    buf = numbers(RANK)
    run("bcast", buf, 1, algorithm=algorithm)
    check(buf, 1)


@pytest.mark.parametrize("algorithm", ["recursive_doubling", "ring"])
def test_allreduce(algorithm):
    send, recv = numbers(RANK), np.zeros(N, np.int8)
    run("allreduce", send, recv, algorithm=algorithm)
    check(recv, 0, 1)


def test_persistent():
    buf = numbers(RANK)
    request = collectives.Comm(MPI.COMM_WORLD).Bcast_init(buf, 0)
    request.Start()
    request.Wait()
    request.Free()
    check(buf, 0)


def test_gaps():
    """One element out of two pieces, and into two pieces, from one rank to the other."""
    half = N // 2
    rest = N - half
    pieces = MPI.BYTE.Create_hindexed([half, rest], [0, half + 1]).Commit()
    buf = np.full(N + 1, -77, np.int8)
    if RANK == 0:
        data = numbers(0)
        buf[:half], buf[half + 1 :] = data[:half], data[half:]
        del data
    run("bcast", [buf, 1, pieces], 0)
    pieces.Free()
    assert buf[half] == -77
    buf[half:-1] = buf[half + 1 :]
    check(buf[:-1], 0)
