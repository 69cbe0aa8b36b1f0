"""Lab 5: all-to-all, placement and contention, the reference solution.

What the sheet asks. Task 3: 7 (alpha + n/8 beta) < 3 (alpha + n/2 beta) from n = 6.4 alpha / beta
on, n being the whole vector: 8000 bytes for alpha = 1 us and beta = 0.8 ns.
"""

from math import ceil, log2

from collectives.algorithms.language import algorithm, copy, partition, recv, scratch, send


@algorithm("alltoall")
def pairwise(rank, p, sendbuf, recvbuf):
    """In round r to rank + r, from rank - r."""
    yield copy(sendbuf[rank], recvbuf[rank])
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        yield send(sendbuf[to], to), recv(recvbuf[source], source)


@algorithm("alltoall")
def bruck(rank, p, sendbuf, recvbuf):
    """Slot d holds the block that has d ranks to go; those with bit b set move by 2**b."""
    sizes = [sendbuf.size(i) for i in range(p)]
    longest = max(sizes)
    slots, landing = (partition(scratch(sendbuf.buf, longest * p), [longest] * p) for _ in "ab")
    # After all rounds so far the block in slot d is for the rank (holder + d - moved) % p.
    yield [copy(sendbuf[(rank + d) % p], slots[d][: sizes[(rank + d) % p]]) for d in range(p)]
    step, moved = 1, 0
    while step < p:
        moving = [d for d in range(p) if d & step]
        below = [(d & (step - 1)) for d in moving]  # how far each has come already
        going = [slots[d][: sizes[(rank - m + d) % p]] for d, m in zip(moving, below, strict=True)]
        here = [
            landing[d][: sizes[(rank - m - step + d) % p]]
            for d, m in zip(moving, below, strict=True)
        ]
        home = [slots[d][: view.size] for d, view in zip(moving, here, strict=True)]
        yield send(going, (rank + step) % p), recv(here, (rank - step) % p), copy(here, home)
        moved += step
        step *= 2
    yield [copy(slots[d][: sizes[rank]], recvbuf[(rank - d) % p]) for d in range(p)]


@algorithm("alltoall")
def dispatch(rank, p, sendbuf, recvbuf):
    """As `pairwise`, without messages of no bytes."""
    yield copy(sendbuf[rank], recvbuf[rank])
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        steps = []
        if sendbuf.size(to):
            steps.append(send(sendbuf[to], to))
        if recvbuf.size(source):
            steps.append(recv(recvbuf[source], source))
        yield steps


def predict_pairwise(p, n, alpha, beta, gamma):
    """p - 1 messages of one block."""
    return (p - 1) * (alpha + n / p * beta)


def predict_bruck(p, n, alpha, beta, gamma):
    """lg p messages of half the vector."""
    return ceil(log2(p)) * (alpha + n / 2 * beta)


def ring_order(leaf):
    """Rank after rank of one switch, then those of the next."""
    return sorted(range(len(leaf)), key=lambda rank: leaf[rank])
