"""Pairwise exchange: everybody deals with everybody else, one at a time.

All p-1 messages of a rank may start at once, as in the `naive` algorithms; then
the network decides who waits for whom, and every message needs a place to land.
Here there is one partner a round. No rank is ever sent more than one message at
a time, and a reduction needs room for one block, not for p-1 of them.

In round k a rank sends to the one k to the right and hears from the one k to the
left. Or both are the same: rank XOR k makes pairs of all ranks, if their number is a
power of two, so that both directions of a link are used at once. Between one partner a round
and all at once lies a window of a few.
"""

from ..language import algorithm, ceil_lg, copy, recv, reduce, scratch, send


@algorithm("alltoall", name="pairwise", also="pairwise_shift")
def alltoall(rank, p, sendbuf, recvbuf):
    """Pairwise exchange: in round k, send to the right by k, hear from the left by k.

    Every block goes straight to its destination, whatever p is, and in no round do two
    ranks send to the same one. MPICH's `pairwise` is this, too, unless p is a power of two:
    then it is `pairwise_xor`.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    yield copy(sendbuf[rank], recvbuf[rank])
    for k in range(1, p):
        dest, source = (rank + k) % p, (rank - k) % p
        yield send(sendbuf[dest], dest), recv(recvbuf[source], source)


@algorithm("alltoall")
def pairwise_xor(rank, p, sendbuf, recvbuf):
    """Pairwise exchange in pairs: in round k, swap blocks with rank XOR k.

    If p is not a power of two, there are as many rounds as for the next one, and a
    rank whose partner does not exist sits out.

    Cost: (2**ceil(lg(p)) - 1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005 (for powers of two)
    """
    yield copy(sendbuf[rank], recvbuf[rank])
    for k in range(1, 1 << ceil_lg(p)):
        partner = rank ^ k
        if partner < p:
            yield send(sendbuf[partner], partner), recv(recvbuf[partner], partner)


@algorithm("alltoall")
def scattered(rank, p, sendbuf, recvbuf, *, window=32):
    """Direct exchange in windows: the messages to and from `window` ranks at a time.

    The order is that of `pairwise`, but a round has several partners: enough messages to keep
    the network busy, not so many that they are in each other's way or take all the memory for
    messages that nobody has asked for yet.

    With `window` = 1 this is `pairwise`, with p - 1 or more `naive`.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: MPICH (scattered)
    """
    yield copy(sendbuf[rank], recvbuf[rank])
    for first in range(1, p, window):
        near = range(first, min(first + window, p))
        sends = [send(sendbuf[(rank + k) % p], (rank + k) % p) for k in near]
        recvs = [recv(recvbuf[(rank - k) % p], (rank - k) % p) for k in near]
        yield sends + recvs


@algorithm("reduce_scatter", name="pairwise")
def reduce_scatter(rank, p, sendbuf, recvbuf):
    """Pairwise exchange: hear one share of the own block a round, and add it.

    In round k the share of the rank k to the left comes in. Lower ranks come
    first, the nearest one first, so that each is added on the left of those before
    it. Then the ring closes and the higher ranks come, from p-1 down; they are
    added up on their own, and both sums meet in the end. So rank order is kept
    with two blocks of scratch space, at the price of one more addition on the
    critical path.

    Cost: (p-1)*(alpha + n/p*beta) + (p-1 + (p > 2))*n/p*gamma
    Restrictions: none
    Reference: Thakur, Rabenseifner, Gropp 2005 (for commutative operators)
    """
    above, arriving = scratch(recvbuf), scratch(recvbuf)
    yield copy(sendbuf[rank], recvbuf)
    for k in range(1, p):
        dest, source = (rank + k) % p, (rank - k) % p
        outgoing = send(sendbuf[dest], dest)
        if source == p - 1:
            yield outgoing, recv(above, source)
        elif source > rank:
            yield outgoing, recv(arriving, source), reduce(arriving, above)
        else:
            yield outgoing, recv(arriving, source), reduce(arriving, recvbuf)
    if rank < p - 1:
        yield reduce(recvbuf, above, out=recvbuf)
