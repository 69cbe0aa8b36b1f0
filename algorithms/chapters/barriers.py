"""More barriers: how every rank can come to know that all the others are there.

After r rounds of one message each, a rank can have heard of 2**r ranks, so nobody
may leave before round ceil(lg p). There are two ways of organising it. Either all
ranks gather the news at once, and all know after the last round (dissemination,
recursive exchange). Or the news are brought to one rank, which lets the others go:
twice the rounds, but 2(p-1) messages instead of p lg p (counter, trees, MCS).

A tournament is `barrier.tree` under another name: the loser of each match reports
to the winner, and the champion wakes up the losers in reverse order. Since who wins
is agreed before the start, these are the messages of a binomial tree.
"""

from ..language import NOTHING, algorithm, distances, fold, neighbours, recv, send


@algorithm("barrier")
def mcs(rank, p):
    """Mellor-Crummey and Scott's barrier: a wide tree up, a narrow one down.

    Reports come up a tree of four children per rank: it was made for shared
    memory, where a parent can watch four flags in one word. The answer goes down
    a binary tree, because a rank calls its children one after the other. Both
    trees are numbered level by level, as a heap is. For p = 7::

        reports come up       0              the answer       0
                         1  2  3  4          goes down      1   2
                        5 6                                3 4 5 6

    The cost is the longest way, message after message. Up, a full level below the top
    costs four messages, since a parent takes its reports one by one, and a level that is
    begun costs one for each quarter of it that is there: the first two terms. Down, a full
    level costs two, and a level that is begun costs one if half of it is there: the others.

    Cost: (4*(floor(log(3*p+1, 4)) - 1)
        + floor(((3*p+1)/4**(floor(log(3*p+1, 4)) - 1) - 4)/3)
        + floor(lg(p+1)) + floor(lg((p+1)/3)))*alpha
    Restrictions: none
    Reference: Mellor-Crummey, Scott 1991
    """
    arrival, reports = heap(rank, p, 4)
    wakeup, sleepers = heap(rank, p, 2)
    yield [recv(NOTHING, child) for child in reports]
    if rank > 0:
        yield send(NOTHING, arrival)
        yield recv(NOTHING, wakeup)
    yield [send(NOTHING, child) for child in sleepers]


@algorithm("barrier")
def double_ring(rank, p):
    """Double ring: a token runs round the ring twice, each time back to rank 0.

    When it is back for the first time all have come; who sees it for the second time
    may leave. `barrier.ring` saves what is not needed: the last message of both laps,
    by which rank 0 hears that its news has gone round.

    Cost: (p > 1)*2*p*alpha
    Restrictions: none
    Reference: Open MPI (double ring)
    """
    left, right = neighbours(rank, p)
    for _ in range(2 if p > 1 else 0):
        if rank == 0:
            yield send(NOTHING, right)
            yield recv(NOTHING, left)
        else:
            yield recv(NOTHING, left)
            yield send(NOTHING, right)


@algorithm("barrier")
def recursive_exchange(rank, p):
    """Recursive exchange: swap signals along each dimension of a hypercube.

    In round k partners at distance 2**k signal each other; then both know of the
    same 2**(k+1) ranks. If p is not a power of two, the first even ranks sit out:
    each reports to the odd rank after it and waits for its answer. Dissemination
    (`recursive_doubling`) needs no such rounds; here all messages are swaps.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
    Restrictions: none
    Reference: Brooks 1986 (for powers of two); Open MPI (the fold)
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(NOTHING, mate)
        yield recv(NOTHING, mate)
        return
    if mate is not None:
        yield recv(NOTHING, mate)
    for distance in distances(team.size):
        partner = team.rank(player ^ distance)
        yield send(NOTHING, partner), recv(NOTHING, partner)
    if mate is not None:
        yield send(NOTHING, mate)


@algorithm("barrier")
def k_dissemination(rank, p, *, k=3):
    """K-way dissemination: news travels `k` times as far in each round.

    In each round a rank signals k - 1 others and hears from as many: those
    one, two, ... strides away, where a stride is what it knows already. All of
    a round are in flight at once. With one port a k above 2 never takes fewer messages
    one after the other, and as few for some small p only; a card that overlaps messages
    gets by with ceil(log p) rounds to that base.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)
        *alpha
    Restrictions: none
    Reference: Hoefler et al. 2006
    """
    for stride in distances(p, k):
        reach = range(stride, min(k * stride, p), stride)
        sends = [send(NOTHING, (rank + distance) % p) for distance in reach]
        yield sends + [recv(NOTHING, (rank - distance) % p) for distance in reach]


def heap(rank, p, arity):
    """Parent and children of a rank in a tree that is numbered level by level."""
    first = arity * rank + 1
    return (rank - 1) // arity, range(min(first, p), min(first + arity, p))
