"""One call of every form, with data that differ everywhere, and what it must give.

`make(form, seed)` gives the arguments, the arrays that the call writes, and what
they must hold then. All data follow from rank, index and seed, so every rank can
tell the result without communication.
"""

from typing import Any, NamedTuple

import numpy as np
from common import RANK, P
from mpi4py import MPI

UNTOUCHED = -77
TOP = P - 1  # the root, unless told otherwise


class Call(NamedTuple):
    """Arguments of one call, in mpi4py's order; `refill` gives the inputs new values."""

    arguments: tuple
    outputs: list[np.ndarray]
    expected: list[np.ndarray]


def numbers(rank: int, n: int, seed: int) -> np.ndarray:
    """A vector that no other rank or seed has."""
    return np.arange(n, dtype=np.int64) * 7 + 1000 * (rank + 1) + 100_003 * (seed + 1)


def empty(n: int) -> np.ndarray:
    return np.full(n, UNTOUCHED, np.int64)


def uneven(rank: int) -> int:
    """A block length for each rank, one of them 0."""
    return 3 * rank % 5


def spread(counts: list[int]) -> tuple[list[int], int]:
    """Displacements in reverse order with gaps, and the length they need."""
    displs, at = [0] * len(counts), 1
    for rank in reversed(range(len(counts))):
        displs[rank] = at
        at += counts[rank] + 2
    return displs, at


def placed(pieces: list[np.ndarray]) -> tuple[np.ndarray, list]:
    """The pieces at spread displacements, as array and layout."""
    counts = [len(piece) for piece in pieces]
    displs, length = spread(counts)
    whole = empty(length)
    for piece, start in zip(pieces, displs):
        whole[start : start + len(piece)] = piece
    return whole, [counts, displs, MPI.INT64_T]


def _all(n: int, seed: int) -> list[np.ndarray]:
    return [numbers(rank, n, seed) for rank in range(P)]


def barrier(seed: int, root: int) -> Call:
    return Call((), [], [])


def bcast(seed: int, root: int) -> Call:
    buf = numbers(RANK, 11, seed) if root == RANK else empty(11)
    return Call((buf, root), [buf], [numbers(root, 11, seed)])


def scatter(seed: int, root: int) -> Call:
    out, whole = empty(4), numbers(root, 4 * P, seed)
    return Call((whole if root == RANK else None, out, root), [out], [whole[4 * RANK :][:4]])


def scatterv(seed: int, root: int) -> Call:
    pieces = [numbers(rank, uneven(rank), seed) for rank in range(P)]
    whole, layout = placed(pieces)
    out = empty(uneven(RANK))
    return Call(([whole, *layout] if root == RANK else None, out, root), [out], [pieces[RANK]])


def gather(seed: int, root: int) -> Call:
    out = empty(4 * P)
    send = (numbers(RANK, 4, seed), out if root == RANK else None, root)
    return Call(send, [out], [np.concatenate(_all(4, seed)) if root == RANK else empty(4 * P)])


def gatherv(seed: int, root: int) -> Call:
    whole, layout = placed([numbers(rank, uneven(rank), seed) for rank in range(P)])
    out = empty(len(whole))
    recv = [out, *layout] if root == RANK else None
    mine = numbers(RANK, uneven(RANK), seed)
    return Call((mine, recv, root), [out], [whole if root == RANK else empty(len(whole))])


def allgather(seed: int, root: int) -> Call:
    out = empty(4 * P)
    return Call((numbers(RANK, 4, seed), out), [out], [np.concatenate(_all(4, seed))])


def allgatherv(seed: int, root: int) -> Call:
    whole, layout = placed([numbers(rank, uneven(rank), seed) for rank in range(P)])
    out = empty(len(whole))
    return Call((numbers(RANK, uneven(RANK), seed), [out, *layout]), [out], [whole])


def alltoall(seed: int, root: int) -> Call:
    out = empty(2 * P)
    blocks = [each[2 * RANK :][:2] for each in _all(2 * P, seed)]
    return Call((numbers(RANK, 2 * P, seed), out), [out], [np.concatenate(blocks)])


def _pair(source: int, dest: int, seed: int) -> np.ndarray:
    return numbers(source, uneven(source + 2 * dest), seed) + 13 * dest


def alltoallv(seed: int, root: int) -> Call:
    sent, going = placed([_pair(RANK, dest, seed) for dest in range(P)])
    whole, coming = placed([_pair(source, RANK, seed) for source in range(P)])
    out = empty(len(whole))
    return Call(([sent, *going], [out, *coming]), [out], [whole])


def alltoallw(seed: int, root: int) -> Call:
    """Pairs go out as vectors with gaps and arrive as they are."""
    sent = np.stack([numbers(RANK, 3, seed) + 13 * dest for dest in range(P)])
    got = np.stack([numbers(source, 3, seed) + 13 * RANK for source in range(P)])
    out = empty(2 * P)
    ends = MPI.INT64_T.Create_vector(2, 1, 2).Commit()
    send = [sent, [1] * P, [24 * rank for rank in range(P)], [ends] * P]
    recv = [out, [2] * P, [16 * (P - 1 - rank) for rank in range(P)], [MPI.INT64_T] * P]
    return Call((send, recv), [out], [got[::-1, ::2].ravel()])


def reduce(seed: int, root: int) -> Call:
    out = empty(9)
    arguments = (numbers(RANK, 9, seed), out if root == RANK else None, MPI.SUM, root)
    return Call(arguments, [out], [sum(_all(9, seed)) if root == RANK else empty(9)])


def allreduce(seed: int, root: int) -> Call:
    out = empty(9)
    return Call((numbers(RANK, 9, seed), out), [out], [sum(_all(9, seed))])


def reduce_scatter(seed: int, root: int) -> Call:
    counts = [uneven(rank) for rank in range(P)]
    start, n = sum(counts[:RANK]), sum(counts)
    out = empty(counts[RANK])
    total = np.asarray(sum(_all(n, seed)))
    return Call((numbers(RANK, n, seed), out, counts), [out], [total[start:][: counts[RANK]]])


def reduce_scatter_block(seed: int, root: int) -> Call:
    out = empty(3)
    total = np.asarray(sum(_all(3 * P, seed)))
    return Call((numbers(RANK, 3 * P, seed), out), [out], [total[3 * RANK :][:3]])


def scan(seed: int, root: int) -> Call:
    out = empty(9)
    return Call((numbers(RANK, 9, seed), out), [out], [sum(_all(9, seed)[: RANK + 1])])


def exscan(seed: int, root: int) -> Call:
    out = empty(9)
    lower = sum(_all(9, seed)[:RANK]) if RANK else empty(9)
    return Call((numbers(RANK, 9, seed), out), [out], [lower])


FORMS = {
    function.__name__: function
    for function in (
        *(barrier, bcast, scatter, scatterv, gather, gatherv, allgather, allgatherv),
        *(alltoall, alltoallv, alltoallw, reduce, allreduce, reduce_scatter),
        *(reduce_scatter_block, scan, exscan),
    )
}
ROOTED = {"bcast", "scatter", "scatterv", "gather", "gatherv", "reduce"}


def make(form: str, seed: int = 0, root: int = TOP) -> Call:
    return FORMS[form](seed, root)


def check(call: Call, *what: Any) -> None:
    for got, expected in zip(call.outputs, call.expected):
        assert np.array_equal(got, expected), (*what, "rank", RANK, got, expected)


def inputs(call: Call) -> list[np.ndarray]:
    """The arrays of a call that it reads."""
    first = [x[0] if isinstance(x, list) else x for x in call.arguments[:2]]
    arrays = [x for x in first if isinstance(x, np.ndarray)]
    return [x for x in arrays if not any(x is out for out in call.outputs)]
