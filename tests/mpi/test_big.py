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


def tile(*ranks):
    """The sum over ranks of a pattern in which no two neighbours and powers of two look alike."""
    total = sum(np.arange(rank, rank + 101, dtype=np.int8) for rank in ranks)
    return np.tile(total, 2**18)


def pieces(array, size):
    return [array[start : start + size] for start in range(0, array.size, size)]


def numbers(rank):
    data, pattern = np.empty(N, np.int8), tile(rank)
    for piece in pieces(data, pattern.size):
        piece[...] = pattern[: piece.size]
    return data


def check(got, *ranks, start=0):
    """Against the elements from `start` on."""
    pattern = np.roll(tile(*ranks), -start)
    for number, piece in enumerate(pieces(got, pattern.size)):
        assert np.array_equal(piece, pattern[: piece.size]), number


@pytest.mark.parametrize("algorithm", ["tree", "ring"])
def test_bcast(algorithm):
    buf = numbers(RANK)
    run("bcast", buf, 1, algorithm=algorithm)
    check(buf, 1)


@pytest.mark.parametrize("algorithm", ["tree", "recursive_doubling"])
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
    two_pieces = MPI.BYTE.Create_hindexed([half, rest], [0, half + 1]).Commit()
    buf = np.full(N + 1, -77, np.int8)
    if RANK == 0:
        data = numbers(0)
        buf[:half], buf[half + 1 :] = data[:half], data[half:]
        del data
    run("bcast", [buf, 1, two_pieces], 0)
    two_pieces.Free()
    assert buf[half] == -77
    check(buf[:half], 0)
    check(buf[half + 1 :], 0, start=half)
