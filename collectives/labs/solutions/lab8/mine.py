"""Lab 8: collectives on a hypercube, the reference solution.

What the sheet asks: rung 4 counts p - 1 messages on the critical path, where lg p are allowed.
"""

from collectives.algorithms.language import (
    algorithm,
    copy,
    partition,
    recv,
    reduce,
    scratch,
    send,
)


@algorithm("scatter", power_of_two=True)
def cube_scatter(rank, p, sendbuf, recvbuf, root, counts):
    """Ranks are numbered rank ^ root: number v holds the blocks v .. v + 2**k - 1 in between."""
    place = rank ^ root
    mine = p if not place else place & -place  # as many blocks come to this rank
    sizes = [counts[(place + d) ^ root] for d in range(mine)]
    like = recvbuf if sendbuf is None else sendbuf.buf
    held = partition(scratch(like, sum(sizes)), sizes)
    if rank == root:
        yield [copy(sendbuf[d ^ root], held[d]) for d in range(p)]
    else:
        yield recv(held.buf, (place - mine) ^ root)
    distance = mine // 2
    while distance:
        yield send(held[distance : 2 * distance], (place + distance) ^ root)
        distance //= 2
    yield copy(held[0], recvbuf)


@algorithm("allgather", power_of_two=True)
def cube_allgather(rank, p, sendbuf, recvbuf):
    """The blocks of the lowest k dimensions, then those of one more."""
    yield copy(sendbuf, recvbuf[rank])
    distance = 1
    while distance < p:
        partner = rank ^ distance
        mine, theirs = rank - rank % distance, partner - partner % distance
        yield (
            send(recvbuf[mine : mine + distance], partner),
            recv(recvbuf[theirs : theirs + distance], partner),
        )
        distance *= 2


@algorithm("allreduce", commutative=True, power_of_two=True)
def cube_allreduce(rank, p, sendbuf, recvbuf):
    """rank ^ 1, rank ^ 2, rank ^ 4."""
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    distance = 1
    while distance < p:
        partner = rank ^ distance
        yield send(recvbuf, partner), recv(arriving, partner), reduce(arriving, recvbuf)
        distance *= 2


@algorithm("alltoall", power_of_two=True)
def cube_alltoall(rank, p, sendbuf, recvbuf):
    """Slot d holds a block that has the bits of d still to cross."""
    sizes = [sendbuf.size(i) for i in range(p)]
    longest = max(sizes)
    slots, landing = (partition(scratch(sendbuf.buf, longest * p), [longest] * p) for _ in "ab")
    yield [copy(sendbuf[rank ^ d], slots[d][: sizes[rank ^ d]]) for d in range(p)]
    distance = 1
    while distance < p:
        partner = rank ^ distance
        moving = [d for d in range(p) if d & distance]
        # A block in slot d has crossed the lower bits of d: it is for the rank beyond the rest.
        goal = [rank ^ (d & ~(distance - 1)) for d in moving]
        going = [slots[d][: sizes[g]] for d, g in zip(moving, goal, strict=True)]
        theirs = [partner ^ (d & ~(distance - 1)) for d in moving]
        here = [landing[d][: sizes[g]] for d, g in zip(moving, theirs, strict=True)]
        home = [slots[d][: sizes[g]] for d, g in zip(moving, theirs, strict=True)]
        yield send(going, partner), recv(here, partner), copy(here, home)
        distance *= 2
    yield [copy(slots[d][: sizes[rank]], recvbuf[rank ^ d]) for d in range(p)]


@algorithm("alltoall")
def any_alltoall(rank, p, sendbuf, recvbuf):
    """In round r to rank + r, from rank - r."""
    yield copy(sendbuf[rank], recvbuf[rank])
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        yield send(sendbuf[to], to), recv(recvbuf[source], source)
