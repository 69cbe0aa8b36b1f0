"""Scan: rank r gets the sum (or another reduction) of the vectors of ranks 0 .. r."""

from . import exscan
from .language import (
    algorithm,
    copy,
    default_segments,
    distances,
    in_rank_order,
    recv,
    reduce,
    scratch,
    send,
    split,
)


@algorithm("scan", also="direct")
def naive(rank, p, sendbuf, recvbuf):
    """Direct scan: every rank sends its vector to all the ranks above it.

    Rank r adds up r+1 vectors itself, in rank order, when they have all come;
    they take r vectors of scratch space.

    Cost: (p-1)*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: folklore
    """
    below = yield from exscan.sum_of_lower_ranks(rank, p, sendbuf)
    if below is None:
        yield copy(sendbuf, recvbuf)
    else:
        yield reduce(below, sendbuf, out=recvbuf)


@algorithm("scan", also="linear:segments=1", known_as="pipeline")
def ring(rank, p, sendbuf, recvbuf, *, segments=None):
    """Pipelined chain: the running sum goes from rank to rank, in segments.

    Rank r adds its share to the segment that comes from rank r-1, keeps the
    result, and passes it on to rank r+1 while the next segment comes in.

    `segments` is the number of segments; see `bcast.ring`.

    Cost: (p > 1)*(p - 2 + segments)*(alpha + n/segments*beta + n/segments*gamma)
    Restrictions: none
    Reference: folklore
    """
    segments = default_segments(p - 1, sendbuf.nbytes) if segments is None else segments
    total, arriving = split(recvbuf, segments), split(scratch(sendbuf), segments)
    yield copy(sendbuf, recvbuf)
    for k in range(segments + 1):
        steps = [send(total[k - 1], rank + 1)] if rank < p - 1 and k > 0 else []
        if rank > 0 and k < segments:
            steps.append(recv(arriving[k], rank - 1))
            steps.append(reduce(arriving[k], total[k]))
        yield steps


@algorithm("scan", also="kogge_stone", known_as="hillis_steele")
def recursive_doubling(rank, p, sendbuf, recvbuf):
    """Hillis-Steele scan: add what comes from 1, 2, 4, ... ranks below.

    After round k each rank holds the sum over the 2**(k+1) ranks up to itself,
    or over all from rank 0 on. In each round a rank sends its sum upwards and
    adds the one that comes from below on the left of its own. As a circuit it is the
    adder of Kogge and Stone. The `recursive_doubling` of MPICH and Open MPI is another
    algorithm, `recursive_exchange` here.

    Cost: ceil(lg(p))*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: Hillis, Steele 1986; Kogge, Stone 1973
    """
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    for distance in distances(p):
        steps = [send(recvbuf, rank + distance)] if rank + distance < p else []
        if rank >= distance:
            steps += [recv(arriving, rank - distance), reduce(arriving, recvbuf)]
        yield steps


@algorithm("scan", known_as="blelloch")
def tree(rank, p, sendbuf, recvbuf):
    """Blelloch scan on a binomial tree: sums go up, prefixes come down.

    The sweeps of `exscan.tree` give each rank the sum over all ranks below it;
    it adds its own share. About twice the rounds of `recursive_doubling`, but
    the whole machine applies the operator no more than 3p times, not p lg p. If
    p is not a power of two, the factor of gamma is an upper bound.

    Cost: max(2*ceil(lg(p)) - 1, 0)*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: Blelloch 1990 (up and down); Sanders, Träff 2006 (on a binomial tree)
    """
    below = yield from exscan.sweep(rank, p, sendbuf)
    if below is None:
        yield copy(sendbuf, recvbuf)
    else:
        yield reduce(below, sendbuf, out=recvbuf)


@algorithm("scan")
def recursive_exchange(rank, p, sendbuf, recvbuf):
    """Recursive exchange: partners swap the sums over their groups.

    Partners' ranks differ in one bit. As in the allreduce by recursive doubling, a rank knows
    the sum over its aligned group of 2**k ranks after k rounds. What a partner below it sends
    is the sum over ranks that all come before it, so it goes into the rank's prefix as well:
    two uses of the operator, one for each sum. A rank without a partner sits out; nobody will
    need the sum over its group, which is not full. MPICH and Open MPI have this as
    `recursive_doubling`; ours, of Hillis and Steele, makes do with one use a round. If p is not
    a power of two, the factor of gamma is an upper bound.

    Cost: ceil(lg(p))*(alpha + n*beta + 2*n*gamma)
    Restrictions: none
    Reference: MPICH (recursive_doubling); Open MPI (recursive_doubling)
    """
    group, arriving = scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, group), copy(sendbuf, recvbuf)
    for distance in distances(p):
        partner = rank ^ distance
        if partner < p:
            prefix = [reduce(arriving, recvbuf)] if partner < rank else []
            add = in_rank_order(rank, group, partner, arriving)
            yield send(group, partner), recv(arriving, partner), *prefix, add
