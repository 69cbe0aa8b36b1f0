"""More rings: in pairs and in pieces.

A ring keeps every link busy and sends nothing twice, but a rank is p-1 hops away
from its left neighbour. Two ways to bend it; `torus.py` has a third:

- `neighbor_exchange` sends in both directions. Two neighbours swap what they know,
  then each swaps with its other neighbour, two blocks at a time: half the rounds.
- `ring_segmented` adds up a block in pieces, so that its scratch space, one piece,
  stays in the cache.
"""

from math import ceil

from .. import allgather
from ..language import algorithm, copy, neighbours, recv, reduce, scratch, send, split


@algorithm("allgather")
def neighbor_exchange(rank, p, sendbuf, recvbuf):
    """Neighbor exchange: swap two blocks at a time, left and right in turn.

    First the ranks 2j and 2j+1 swap their blocks, which makes pair j. From then on
    a rank swaps the pair it got last with one neighbour, then with the other, so
    that pairs arrive from farther and farther on both sides. For p = 6::

        round   who swaps               rank 0 sends    gets
        1       0-1   2-3   4-5         0               1
        2       1-2   3-4   5-0         0 1             4 5
        3       0-1   2-3   4-5         4 5             2 3

    If p is odd, the last rank is a pair by itself, with two neighbours in every second
    round and none in those between. It takes part in both swaps in one round; having one
    port it is slower, by one message in all from p = 7 on. If the number of pairs is even,
    the last pair would reach this rank from both sides; it comes from one.

    Cost: ((p > 1)*ceil(p/2) + (p % 2)*(p > 5))*alpha
        + (p-1 + (p % 2)*((p > 1) + 2*(p > 5)))*n/p*beta
    Restrictions: none
    Reference: Chen et al. 2005 (for even p)
    """
    mate, own, pairs = rank ^ 1, rank // 2, (p + 1) // 2

    def pair(number):
        first = 2 * (number % pairs)
        return recvbuf[first : min(first + 2, p)]

    yield copy(sendbuf, recvbuf[rank])
    if mate < p:
        yield send(sendbuf, mate), recv(recvbuf[mate], mate)
    outward = (-1, 1) if mate == p else (1,) if rank % 2 else (-1,)
    for k in range(1, pairs):
        reach = (k + 1) // 2
        steps = []
        for side in outward:
            outer, inner = own + side * reach, own - side * reach
            peer, had, gets = (mate, outer, inner)
            if k % 2:
                peer, had, gets = (rank + side) % p, inner + side, outer
            # The last pair would come to a lone rank from both sides.
            twice = p % 2 and 2 * reach == pairs and {rank, peer} == {0, p - 1}
            if peer < p and not (twice and rank == 0):
                steps.append(send(pair(had), peer))
            if peer < p and not (twice and rank > 0):
                steps.append(recv(pair(gets), peer))
        yield steps


def pass_round(rank, ring, block, arriving=None):
    """One round trip of all blocks on the ring of ranks `ring`, one block a rank.

    With `arriving` partial sums travel and are added to: the rank at place i ends
    with the sum of block i. Without, complete blocks travel until all have all.
    """
    size, place = len(ring), ring.index(rank)
    left, right = ring[(place - 1) % size], ring[(place + 1) % size]
    ahead = 0 if arriving is None else 1
    for k in range(size - 1):
        leaving, coming = ((place - k - ahead - i) % size for i in (0, 1))
        if arriving is None:
            yield send(block[leaving], right), recv(block[coming], left)
        else:
            share = arriving[: block.size(coming)]
            yield send(block[leaving], right), recv(share, left), reduce(share, block[coming])


@algorithm("allreduce", commutative=True)
def ring_segmented(rank, p, sendbuf, recvbuf, *, segments=None):
    """Segmented ring: every block is added up piece by piece.

    The ring goes round once for each of the `segments` pieces of a block, then
    once more with whole blocks. What is sent stays the same, in more messages; the
    scratch space is one piece, small enough for the cache.

    `segments` is the number of pieces of a block; by default pieces of 64 KiB.

    Cost: (p-1)*(segments + 1)*alpha + 2*(p-1)*n/p*beta + (p-1)*n/p*gamma
    Restrictions: commutative op; block b is added up in cyclic order
    Reference: Open MPI (ring_segmented)
    """
    segments = max(1, ceil(recvbuf.nbytes / p / 65536)) if segments is None else segments
    block = split(recvbuf, p)
    arriving = scratch(split(block[0], segments)[0])
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf)
    for s in range(segments):
        for k in range(1, p):
            theirs, mine = (split(block[(rank - k - i) % p], segments)[s] for i in (0, 1))
            share = arriving[: mine.size]
            yield send(theirs, right), recv(share, left), reduce(share, mine)
    yield from allgather.ring(rank, p, block[rank], block)
