"""Binary blocks: every number is a sum of powers of two.

Recursive halving wants a power of two. So cut the ranks into blocks that have one
each: 13 ranks are blocks of 8, 4 and 1. Every block adds up its vectors by recursive
halving, at the same time and without asking the others. Then the sums meet, from the
smallest block to the largest: a rank of a small block has a longer part of its sum than
those of the next larger one, and sends each of these the piece that it is working on.
The largest block ends with the sum over all, piece by piece, and the way back is the
same. For 13 ranks::

    block of 8    ranks 0 .. 7     an eighth of the vector each
    block of 4    ranks 8 .. 11    a quarter, two pieces for the block of 8
    block of 1    rank 12          all of it, four pieces for the block of 4

Nobody sits out as in a fold, and the work is shared by all; but a rank has to send as
many pieces as the next block is larger, so 2**k + 1 ranks are a bad number. Blocks are
runs of ranks, and the halving starts with neighbours: rank order is kept.
"""

from itertools import accumulate

from ..language import (
    algorithm,
    bit_reversed,
    copy,
    in_rank_order,
    powers,
    recv,
    scratch,
    send,
    split,
)
from .rabenseifner import double, halve, swaps


def blocks(p):
    """Runs of ranks whose lengths are the powers of two that p is the sum of."""
    sizes = powers(p)
    return [range(stop - size, stop) for size, stop in zip(sizes, accumulate(sizes), strict=True)]


def pieces(block, rank, finest):
    """The run of the vector's `finest` pieces that a rank of a block ends with."""
    width = finest // len(block)
    first = bit_reversed(len(block))[rank - block[0]] * width
    return slice(first, first + width)


def partners(rank, block, other, finest):
    """The ranks of another block that work on the same pieces, and on which."""
    mine = pieces(block, rank, finest)
    theirs = [(peer, pieces(other, peer, finest)) for peer in other]
    common = [(p, max(mine.start, r.start), min(mine.stop, r.stop)) for p, r in theirs]
    return [(peer, slice(first, last)) for peer, first, last in common if first < last]


@algorithm("allreduce")
def binary_blocks(rank, p, sendbuf, recvbuf):
    """Halving in blocks of powers of two, whose sums then meet, and doubling.

    Each block adds up its vectors by recursive halving, the nearest ranks first. A rank
    then adds what the next smaller block has of its piece, and sends the sum to the
    ranks of the next larger block that work on it. When the largest block has the
    whole sum the pieces go back the same way, and each block collects them by recursive
    doubling. All factors are upper bounds unless p is a power of two; `ratios(p)` adds
    up how many times as large each block is as the next.

    Cost: (2*floor(lg(p)) + ratios(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + 3/2*fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p)/2)*n*gamma
    Restrictions: none
    Reference: Rabenseifner 2004
    """
    runs = blocks(p)
    at = next(i for i, run in enumerate(runs) if rank in run)
    part, arriving, finest = split(recvbuf, len(runs[0])), scratch(recvbuf), len(runs[0])
    larger = partners(rank, runs[at], runs[at - 1], finest) if at > 0 else []
    smaller = partners(rank, runs[at], runs[at + 1], finest) if at + 1 < len(runs) else []
    yield copy(sendbuf, recvbuf)
    run = runs[at]
    rounds = list(swaps(rank - run[0], len(run), range(finest), run.__getitem__))
    yield from halve(rank, rounds, part, arriving)
    for peer, common in smaller:
        [mine] = part[common]
        share = arriving[: mine.size]
        yield recv(share, peer), in_rank_order(rank, mine, peer, share)
    if larger:
        yield [send(part[common], peer) for peer, common in larger]
        yield [recv(part[common], peer) for peer, common in larger]
    for peer, common in smaller:
        yield send(part[common], peer)
    yield from double(rounds, part)
