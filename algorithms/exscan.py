"""Exscan: rank r gets the sum of the vectors of ranks 0 .. r-1; rank 0 gets nothing."""

from .language import (
    algorithm,
    binomial_tree,
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


@algorithm("exscan", also="direct")
def naive(rank, p, sendbuf, recvbuf):
    """Direct exscan: every rank sends its vector to all the ranks above it.

    Rank r adds up r vectors itself, in rank order, when they have all come;
    they take r vectors of scratch space.

    Cost: (p-1)*(alpha + n*beta) + max(p-2, 0)*n*gamma
    Restrictions: none
    Reference: folklore
    """
    below = yield from sum_of_lower_ranks(rank, p, sendbuf)
    if below is not None:
        yield copy(below, recvbuf)


@algorithm("exscan", also="linear:segments=1", known_as="pipeline")
def ring(rank, p, sendbuf, recvbuf, *, segments=None):
    """Pipelined chain: the running sum goes from rank to rank, in segments.

    Rank r keeps the segment that comes from rank r-1, and passes it on to rank
    r+1 with its own share added, while the next one comes in.

    `segments` is the number of segments; see `bcast.ring`.

    Cost: (p > 1)*(p - 2 + segments)*(alpha + n/segments*beta)
        + (p > 2)*(p - 3 + segments)*n/segments*gamma
    Restrictions: none
    Reference: folklore
    """
    segments = default_segments(p - 1, sendbuf.nbytes) if segments is None else segments
    mine, result = split(sendbuf, segments), split(recvbuf, segments)
    below, total = split(scratch(sendbuf), segments), split(scratch(sendbuf), segments)
    outgoing = mine if rank == 0 else total
    last = rank == p - 1
    for k in range(segments + 1):
        steps = [send(outgoing[k - 1], rank + 1)] if k > 0 and not last else []
        if rank > 0 and k < segments:
            steps.append(recv(below[k], rank - 1))
            if not last:
                steps.append(reduce(below[k], mine[k], out=total[k]))
            steps.append(copy(below[k], result[k]))
        yield steps


@algorithm("exscan", also="kogge_stone", known_as="hillis_steele")
def recursive_doubling(rank, p, sendbuf, recvbuf):
    """Hillis-Steele, shifted: pass the vectors one rank up, then scan them.

    After the first round rank r holds the vector of rank r-1; an inclusive scan
    over ranks 1 .. p-1 makes that the sum over ranks 0 .. r-1. The `recursive_doubling`
    of MPICH and Open MPI is another algorithm, `recursive_exchange` here.

    Cost: ((p > 1) + ceil(lg(max(p-1, 1))))*(alpha + n*beta)
        + ceil(lg(max(p-1, 1)))*n*gamma
    Restrictions: none
    Reference: Hillis, Steele 1986; Kogge, Stone 1973
    """
    arriving = scratch(sendbuf)
    steps = [send(sendbuf, rank + 1)] if rank < p - 1 else []
    if rank > 0:
        steps += [recv(arriving, rank - 1), copy(arriving, recvbuf)]
    yield steps
    for distance in distances(p - 1) if rank > 0 else []:
        steps = [send(recvbuf, rank + distance)] if rank + distance < p else []
        if rank > distance:
            steps += [recv(arriving, rank - distance), reduce(arriving, recvbuf)]
        yield steps


@algorithm("exscan", known_as="blelloch")
def tree(rank, p, sendbuf, recvbuf):
    """Blelloch scan on a binomial tree: sums go up, prefixes come down.

    Up: each rank adds its children's sums to its own share and tells its parent,
    and remembers what lay before each child. Down: each rank learns the sum over
    all ranks before its subtree, and sends every child that sum with what lay
    before the child inside the subtree. Blelloch's own way down starts with an identity
    at the root and swaps the values of left and right children; remembered sums need
    neither. Nobody waits for sums that reach up to rank p-1, since nothing comes after
    them. If p is not a power of two, the factor of gamma is an upper bound.

    Cost: max(2*ceil(lg(p)) - 1, 0)*(alpha + n*beta) + max(2*ceil(lg(p)) - 2, 0)*n*gamma
    Restrictions: none
    Reference: Blelloch 1990 (up and down); Sanders, Träff 2006 (on a binomial tree)
    """
    below = yield from sweep(rank, p, sendbuf)
    if below is not None:
        yield copy(below, recvbuf)


@algorithm("exscan")
def recursive_exchange(rank, p, sendbuf, recvbuf):
    """Recursive exchange: partners swap the sums over their groups.

    `scan.recursive_exchange`, but a rank does not put its own vector into its prefix: what the
    first partner below it sends starts the prefix, what others send is added on its left.
    As few rounds as `two_phase`, and about twice as many uses of the operator as rounds.
    MPICH and Open MPI have this as `recursive_doubling`. If p is not a power of two, the
    factor of gamma is an upper bound.

    Cost: ceil(lg(p))*(alpha + n*beta) + (p > 1)*(2*ceil(lg(p)) - 1)*n*gamma
    Restrictions: none
    Reference: MPICH (recursive_doubling); Open MPI (recursive_doubling)
    """
    group, arriving = scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, group)
    below = None
    for distance in distances(p):
        partner = rank ^ distance
        if partner >= p:
            continue
        prefix = []
        if partner < rank:
            prefix.append(copy(arriving, recvbuf) if below is None else reduce(arriving, below))
            below = recvbuf
        add = in_rank_order(rank, group, partner, arriving)
        yield send(group, partner), recv(arriving, partner), *prefix, add


def sum_of_lower_ranks(rank, p, sendbuf):
    """Exchange vectors directly; return the sum over all lower ranks, None at rank 0."""
    lower = [scratch(sendbuf) for _ in range(rank)]
    sends = [send(sendbuf, dest) for dest in range(rank + 1, p)]
    recvs = [recv(operand, source) for source, operand in enumerate(lower)]
    adds = [reduce(lower[0], operand, out=lower[0]) for operand in lower[1:]]
    yield sends + recvs + adds
    return lower[0] if lower else None


def sweep(rank, p, sendbuf):
    """Sweep a binomial tree up and down; return the same as `sum_of_lower_ranks`."""
    parent, children, mine = binomial_tree(rank, p)
    total, before = sendbuf, {}
    for child in reversed(children):
        before[child.root] = total
        if child.last < p:
            arriving = scratch(sendbuf)
            yield recv(arriving, child.root), reduce(total, arriving)
            total = arriving
    if parent is None:
        for child in children:
            yield send(before[child.root], child.root)
        return None
    below, prefix = scratch(sendbuf), scratch(sendbuf)
    if mine.last < p:
        yield send(total, parent)
    yield recv(below, parent)
    for child in children:
        yield reduce(below, before[child.root], out=prefix)
        yield send(prefix, child.root)
    return below
