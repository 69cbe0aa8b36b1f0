"""Barrier: nobody leaves before everybody has come. Messages carry no data."""

from .language import NOTHING, algorithm, binomial_tree, distances, neighbours, recv, send


@algorithm("barrier", also=("linear", "central"))
def naive(rank, p):
    """Central counter: everyone reports to rank 0, then rank 0 answers everyone.

    Rank 0 has heard from all before it answers the first. It handles all the
    messages itself, one after another.

    Cost: 2*(p-1)*alpha
    Restrictions: none
    Reference: folklore
    """
    if rank == 0:
        yield [recv(NOTHING, source) for source in range(1, p)]
        yield [send(NOTHING, dest) for dest in range(1, p)]
    else:
        yield send(NOTHING, 0)
        yield recv(NOTHING, 0)


@algorithm("barrier")
def ring(rank, p):
    """A token runs round the ring twice.

    It starts at rank 0 and passes every rank. When it has reached rank p-1 all
    have come; on the second lap it brings this news to everyone else, rank 0
    first, and ends at rank p-2.

    Cost: 2*(p-1)*alpha
    Restrictions: none
    Reference: folklore
    """
    left, right = neighbours(rank, p)
    first_lap = [recv(NOTHING, left)] if rank > 0 else []
    second_lap = [recv(NOTHING, left)] if rank < p - 1 else []
    yield first_lap
    yield [send(NOTHING, right)] if p > 1 else []
    yield second_lap
    yield [send(NOTHING, right)] if rank < p - 2 else []


@algorithm("barrier", known_as="dissemination")
def recursive_doubling(rank, p):
    """Dissemination barrier: news travels twice as far in each round.

    In round k every rank signals the rank 2**k to its right and waits for the
    one 2**k to its left. After round k it knows, directly or through others,
    that the 2**(k+1) ranks up to itself have come. Works for every p as it is:
    going round the ring once and a bit does no harm. Open MPI calls this `bruck`;
    its `recursive_doubling` is `recursive_exchange` here.

    Cost: ceil(lg(p))*alpha
    Restrictions: none
    Reference: Hensgen, Finkel, Manber 1988
    """
    for distance in distances(p):
        yield send(NOTHING, (rank + distance) % p), recv(NOTHING, (rank - distance) % p)


@algorithm("barrier", also=("binomial", "tournament"))
def tree(rank, p):
    """Binomial tree: reports come up to rank 0, the answer goes down again.

    A rank reports to its parent once all its children have reported.

    Cost: 2*ceil(lg(p))*alpha
    Restrictions: none
    Reference: folklore; Hensgen, Finkel, Manber 1988 (as a tournament)
    """
    parent, children, _ = binomial_tree(rank, p)
    for child in reversed(children):
        yield recv(NOTHING, child.root)
    if parent is not None:
        yield send(NOTHING, parent)
        yield recv(NOTHING, parent)
    for child in children:
        yield send(NOTHING, child.root)
