"""Bruck's idea: go round the ring in jumps of 1, 2, 4, ..., whatever p is.

On a hypercube a rank meets partners who differ from it in one bit, which takes a
power of two. Bruck and his co-authors number the ranks relative to oneself
instead: who is d to the right. Any distance d < p is a sum of powers of two, so
ceil(lg p) jumps reach everybody, and only the last one may be cut short. The jumps
can be made in any order: Sparbit makes the longest first.

To a radix k a jump goes 1, 2, ..., k-1 times 1, k, k*k, ...; the k-1 jumps of one
digit do not wait for each other and make one round. With k-1 ports that is
ceil(log_k p) rounds; a rank with one port pays for each message, and gains only
where messages can overlap.

The all-to-all to base 2 is `alltoall.recursive_doubling`. Blocks may differ in length
there, as in all algorithms here. The literature has two ways to let Bruck's algorithm do
so, because a rank does not know the lengths of blocks that only pass through it: tell
them one round ahead (two-phase Bruck), or make all blocks as long as the longest
(`padded_bruck`). Here the lengths are known before the first round, since all that is
yielded follows from them; so the second phase of two-phase Bruck is all there is to do.
Over MPI that is not free: where blocks differ, all ranks tell all others their counts before
the first round, p*p numbers in all, for every algorithm that wants to know them.
"""

from ..language import algorithm, copy, distances, partition, recv, scratch, send


@algorithm("allgather")
def bruck(rank, p, sendbuf, recvbuf):
    """Bruck's allgather: windows of blocks that double, the last one cut short.

    Rank r holds the blocks of the ranks r, r+1, ..., one at first. In the round
    of distance d it holds d, sends them to the rank d to the left, and gets the
    next d from the rank d to the right, in the last round only what is missing.
    Blocks land in place, so the textbook's final rotation is not needed.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Bruck et al. 1997
    """
    yield copy(sendbuf, recvbuf[rank])
    for distance in distances(p):
        count = min(distance, p - distance)
        outgoing, incoming = recvbuf.range(rank, count), recvbuf.range(rank + distance, count)
        yield send(outgoing, (rank - distance) % p), recv(incoming, (rank + distance) % p)


@algorithm("allgather")
def sparbit(rank, p, sendbuf, recvbuf):
    """Sparbit: Bruck's jumps, the longest first, so that most bytes stay near.

    Before the round of distance d a rank holds blocks of ranks 0, 2d, 4d, ... to its left.
    It sends them to the rank d to its right, but for one that would come round to its own
    owner, or past it. What rank 0 of six ranks does::

        distance   sends on            hears              then holds
                                                          0
        4          0       to 4        2       from 2     0 2
        2          0       to 2        4       from 4     0 2 4
        1          0 4 2   to 1        5 3 1   from 5     all

    (In the second round block 2 stays: two to the right is its owner.) The last rounds,
    which carry half and a quarter of the data, are those between neighbours, who often
    share a node. The blocks of one message are not neighbours in memory. The name stands
    for stripe parallel binomial trees.

    Cost: ceil(lg(p))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Loch, Koslovski 2021
    """
    yield copy(sendbuf, recvbuf[rank])
    for distance in reversed(distances(p)):
        held = range(0, p - distance, 2 * distance)
        outgoing = [recvbuf[(rank - back) % p] for back in held]
        incoming = [recvbuf[(rank - back - distance) % p] for back in held]
        yield send(outgoing, (rank + distance) % p), recv(incoming, (rank - distance) % p)


@algorithm("allgather")
def k_bruck(rank, p, sendbuf, recvbuf, *, k=3):
    """Bruck's allgather to a radix k: windows that grow `k`-fold.

    A rank that holds d blocks sends them to the ranks d, 2d, ..., (k-1)*d to
    the left, all in one round, and gets as many from each such rank on the right,
    fewer where the ring is full.

    With `k` = 2 this is `allgather.bruck`, with p the direct exchange.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)*alpha
        + (p-1)*n/p*beta
    Restrictions: none
    Reference: Bruck et al. 1997
    """
    yield copy(sendbuf, recvbuf[rank])
    for held in distances(p, k):
        steps = []
        for jump in range(held, min(held * k, p), held):
            count = min(held, p - jump)
            steps.append(send(recvbuf.range(rank, count), (rank - jump) % p))
            steps.append(recv(recvbuf.range(rank + jump, count), (rank + jump) % p))
        yield steps


@algorithm("alltoall", name="k_bruck")
def alltoall_k_bruck(rank, p, sendbuf, recvbuf, counts, *, k=3):
    """Bruck's all-to-all to a radix k: one jump for each digit of the distance.

    A block for the rank d to the right makes a jump for every digit of d, to the
    radix k, that is not 0. All blocks with the same digit in the same place go in
    one message, those of one place in one round. A larger k means more
    messages, and fewer hops for a byte. For each place at most (k-1)/k of
    the blocks move: the factor of beta is an upper bound, met by powers of k.

    With `k` = 2 this is `alltoall.recursive_doubling`, with p the direct exchange.

    Cost: ((k-1)*(ceil(log(p, k)) - 1) + ceil(p/k**(ceil(log(p, k)) - 1)) - 1)*alpha
        + ceil(log(p, k))*(k-1)/k*n*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Bruck et al. 1997
    """
    held = [sendbuf[(rank + d) % p] for d in range(p)]
    yield copy(held[0], recvbuf[rank])
    for unit in distances(p, k):
        steps = []
        for jump in range(unit, min(unit * k, p), unit):
            moving = [d for d in range(p) if d % (unit * k) - d % unit == jump]
            steps.append(send([held[d] for d in moving], (rank + jump) % p))
            for d in moving:
                origin = (rank - d % (unit * k)) % p
                size = int(counts[origin][(origin + d) % p])
                arrived = d < unit * k
                held[d] = recvbuf[origin] if arrived else scratch(recvbuf.buf, size)
            steps.append(recv([held[d] for d in moving], (rank - jump) % p))
        yield steps


@algorithm("alltoall")
def padded_bruck(rank, p, sendbuf, recvbuf, counts):
    """Padded Bruck: all blocks are made as long as the longest, then jump.

    Each block is laid into a slot of its own, one for every distance. In the round of
    jump 2**k the slots whose distance has bit k go to the rank 2**k to the right, full
    or not. In the end the block in slot d is the one that the rank d to the left has
    sent. Nobody needs to know what a slot holds, only how long the longest block is; in the
    paper the ranks agree on that first, with an allreduce of one number.
    Half of the slots move in each round, or fewer if p is not a power of two: the
    factor of beta is then an upper bound.

    Cost: ceil(lg(p))*(alpha + n/2*beta)
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Fan et al. 2022
    """
    longest = int(counts.max())
    slots, arriving = (
        list(partition(scratch(recvbuf.buf, p * longest), [longest] * p)) for _ in range(2)
    )
    leaving = [sendbuf[(rank + d) % p] for d in range(p)]
    yield [copy(block, slots[d][: block.size]) for d, block in enumerate(leaving)]
    for jump in distances(p):
        moving = [d for d in range(p) if d & jump]
        outgoing, incoming = ([room[d] for d in moving] for room in (slots, arriving))
        yield send(outgoing, (rank + jump) % p), recv(incoming, (rank - jump) % p)
        for d in moving:
            slots[d], arriving[d] = arriving[d], slots[d]
    landing = [recvbuf[(rank - d) % p] for d in range(p)]
    yield [copy(slots[d][: block.size], block) for d, block in enumerate(landing)]


@algorithm("alltoall")
def hybrid(rank, p, sendbuf, recvbuf, counts, *, short=512):
    """Short blocks jump as in Bruck's algorithm, long ones go straight.

    What a long block pays for its jumps is bytes, what a short one pays for going straight
    is a message. Where blocks differ, each has its own way: those of at most `short` bytes
    travel their distance in powers of two, many in one message; then each of the others
    goes in a message of its own. Where there is nothing to send there is no message.

    Every rank must know all p*p lengths before, those of strangers, too: it passes their
    blocks on. There is no phase here in which ranks tell each other, for what is yielded
    depends on no value; the caller brings the counts, and a call over MPI whose blocks
    differ gathers them first. UCC's `hybrid` has the lengths, and marks for what will come
    straight, in the head of every message.

    With a `short` that no block has it is `naive`, with one that all have
    `recursive_doubling`. For the latter the factor of beta is an upper bound if p is not a
    power of two.

    Cost: ceil(lg(p))*(alpha + n/2*beta) if n/p <= short else (p-1)*(alpha + n/p*beta)
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: UCC (hybrid)
    """
    longest = short // recvbuf.buf.itemsize

    def size(origin, d):
        return int(counts[origin][(origin + d) % p])

    held = [sendbuf[(rank + d) % p] for d in range(p)]
    yield copy(held[0], recvbuf[rank])
    for jump in distances(p):
        moving = [d for d in range(p) if d & jump]
        leaving = [held[d] for d in moving if 0 < size((rank - d % jump) % p, d) <= longest]
        coming = []
        for d in moving:
            origin = (rank - d % (2 * jump)) % p
            if 0 < size(origin, d) <= longest:
                arrived = d < 2 * jump
                held[d] = recvbuf[origin] if arrived else scratch(recvbuf.buf, size(origin, d))
                coming.append(held[d])
        sends = [send(leaving, (rank + jump) % p)] if leaving else []
        yield sends + ([recv(coming, (rank - jump) % p)] if coming else [])
    dests = [(rank + d) % p for d in range(1, p) if size(rank, d) > longest]
    sources = [(rank - d) % p for d in range(1, p) if size((rank - d) % p, d) > longest]
    sends = [send(sendbuf[dest], dest) for dest in dests]
    yield sends + [recv(recvbuf[source], source) for source in sources]
