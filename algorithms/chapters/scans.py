"""More scans: fewer rounds for short vectors, fewer bytes for long ones.

Passing the vectors on and then scanning them, as `exscan.recursive_doubling`
does, spends a whole round on the shift. The 123-doubling exscan starts with
distances 1, 2, 3 instead and doubles only from then on: 1, 2, 3, 6, 12, ... More such
rounds at first, in which the ranks pass on the inclusive sums, reach farther, at one
more use of the operator each; `two_phase` takes as few as make the rounds the fewest,
and `popcount` mixes both kinds of rounds by the binary digits of p-1.

Doubling sends the whole vector ceil(lg p) times. For long vectors the pipelined
tree sends it three times from any port, however many ranks there are. It is an
in-order tree (`ranks.in_order_tree`). Going up, a rank learns the sum L over its
left subtree and R over its right one, and reports L + mine + R. Going down, it
learns the sum B over all ranks before its subtree, and the rest is arithmetic::

    parent       gets L + mine + R      gives B
    left child   gives L                gets B
    right child  gives R                gets B + L + mine

    my exclusive scan is B + L, my inclusive scan is B + L + mine

Both directions run at once, one segment behind the other. Nothing comes before a
subtree that starts with rank 0 and nobody needs the sum of one that ends with
rank p-1, so these messages are left out.
"""

from typing import NamedTuple

from ..language import (
    Blocks,
    algorithm,
    ceil_lg,
    copy,
    default_segments,
    distances,
    floor_lg,
    in_order_tree,
    recv,
    reduce,
    scratch,
    send,
    split,
)


@algorithm("scan", name="pipelined_tree")
def scan(rank, p, sendbuf, recvbuf, *, segments=None):
    """Pipelined binary tree: sums of segments go up, prefixes come down behind them.

    While a rank passes the sums of one segment up, it passes the prefixes of an
    earlier one down; the lower it stands, the farther the two are apart. All
    factors are upper bounds: they are those of a perfect tree, p = 2**k - 1, and
    if p is small some of the three messages a segment are missing.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(4*floor(lg(p)) - 2 + min(3, floor((p+3)/4))*(segments-1))
        *(alpha + n/segments*(beta + gamma))
    Restrictions: none
    Reference: Sanders, Träff 2006
    """
    yield from stream(rank, p, sendbuf, recvbuf, segments, True)


@algorithm("exscan", name="pipelined_tree")
def exscan(rank, p, sendbuf, recvbuf, *, segments=None):
    """Pipelined binary tree: sums of segments go up, prefixes come down behind them.

    As the inclusive scan, with the same messages; a rank keeps what comes before
    its subtree with its left subtree added, and only its right child is told the
    sum with the rank's own share. All factors are upper bounds, as there.

    `segments` is the number of segments; by default the optimum where starting
    a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(4*floor(lg(p)) - 2 + min(3, floor((p+3)/4))*(segments-1))
        *(alpha + n/segments*beta)
        + (p > 1)*(4*floor(lg(p)) - 2 + min(4, 3*floor((p+3)/4) - 2)*(segments-1))
        *n/segments*gamma
    Restrictions: none
    Reference: Sanders, Träff 2006
    """
    yield from stream(rank, p, sendbuf, recvbuf, segments, False)


@algorithm("exscan", name="123_doubling")
def doubling_123(rank, p, sendbuf, recvbuf):
    """Distances 1, 2, 3, then 6, 12, ...: at most one round more than the fewest.

    First every rank sends its vector one rank up; then, two ranks up, the sum of
    what came and its own. Now rank r has the sum over the three ranks below it.
    From here on everyone passes on what it has, 3, 6, 12, ... ranks up, and adds
    what comes from there on the left: the sum covers twice as many each time. In q
    rounds the last rank uses the operator q-1 times, as the paper counts; a rank in the
    middle, which in the second round adds its own vector for those above it, q times.

    Cost: (p > 1)*ceil(lg(max(4*(p-1)/3, 1)))*(alpha + n*beta)
        + max(ceil(lg(max(4*(p-1)/3, 1))) - (p < 4), 0)*n*gamma
    Restrictions: none
    Reference: Träff 2025b
    """
    below, pair, arriving = (scratch(sendbuf) for _ in range(3))
    steps = [send(sendbuf, rank + 1)] if rank + 1 < p else []
    if rank > 0:
        steps.append(recv(below, rank - 1))
    if 0 < rank < p - 2:
        steps.append(reduce(below, sendbuf, out=pair))
    yield steps
    outgoing, lowest = sendbuf if rank == 0 else pair, 0
    for distance in [2, *(3 * d for d in distances(p))]:
        steps = [send(outgoing, rank + distance)] if lowest <= rank < p - distance else []
        if rank - distance >= lowest:
            steps += [recv(arriving, rank - distance), reduce(arriving, below)]
        yield steps
        outgoing, lowest = below, 1  # the sum below rank 0 is empty
    if rank > 0:
        yield copy(below, recvbuf)


@algorithm("scan", name="123_doubling")
def inclusive_123(rank, p, sendbuf, recvbuf):
    """The 123-doubling exscan; then every rank adds its own share.

    Rank r learns the sum over the ranks below it as in `exscan.123_doubling`, and puts
    its own share on the right. An inclusive scan has no shift to save:
    `recursive_doubling` never takes more rounds, and from p = 4 on it uses the operator
    less often. What speaks for this one is that it has both sums at its end.

    Cost: (p > 1)*ceil(lg(max(4*(p-1)/3, 1)))*(alpha + n*beta)
        + (max(ceil(lg(max(4*(p-1)/3, 1))) - (p < 4), 0) + (p > 1))*n*gamma
    Restrictions: none
    Reference: after Träff 2025b (an exclusive scan)
    """
    below = scratch(sendbuf)
    yield from doubling_123(rank, p, sendbuf, below)
    yield reduce(below, sendbuf, out=recvbuf) if rank > 0 else copy(sendbuf, recvbuf)


@algorithm("exscan")
def two_phase(rank, p, sendbuf, recvbuf):
    """Inclusive sums first, exclusive sums then: the fewest rounds for every p.

    After k rounds of the first phase a rank has the sum over the 2**k - 1 ranks below
    it; it adds its own vector and passes that on, 2**k ranks up. In the second phase it
    passes on the sum as it is, and each round doubles what it covers. A round of the
    first kind reaches one rank farther, and applies the operator once more: there are
    as many as the whole needs to end after ceil(lg p) rounds, between 1 and all.

    Cost: ceil(lg(p))*(alpha + n*beta) + (p > 2)*(2*ceil(lg(p)) - 2
        - floor(lg(2**ceil(lg(p)) - p + 1)))*n*gamma
    Restrictions: none
    Reference: Träff 2026
    """
    rounds = ceil_lg(p)
    inclusive = next(k for k in range(rounds + 1) if (2**k - 1) * 2 ** (rounds - k) >= p - 1)
    below, through, arriving = (scratch(sendbuf) for _ in range(3))
    reach = [2**k for k in range(inclusive)]
    reach += [(2**inclusive - 1) * 2**k for k in range(rounds - inclusive)]
    outgoing, lowest = sendbuf, 0
    for k, distance in enumerate(reach):
        steps = [send(outgoing, rank + distance)] if lowest <= rank < p - distance else []
        if rank >= distance + lowest:
            steps.append(recv(arriving if k > 0 else below, rank - distance))
            steps += [reduce(arriving, below)] if k > 0 else []
        if k + 1 < inclusive and rank > 0:
            steps.append(reduce(below, sendbuf, out=through))
            outgoing = through
        elif k + 1 >= inclusive:
            outgoing, lowest = below, 1  # the sum below rank 0 is empty
        yield steps
    if rank > 0:
        yield copy(below, recvbuf)


@algorithm("exscan")
def popcount(rank, p, sendbuf, recvbuf):
    """Windows that grow by the binary digits of p-1: the fewest rounds for every p.

    A rank has the sum over the w ranks just below it, w = 0 at first, and for every binary
    digit of p-1, the highest first, there is a round. For a digit 0 it passes its sum on,
    w ranks up, which makes 2w of w; for a digit 1 the sum with its own vector, w+1 ranks
    up, which makes 2w+1. So w ends as p-1. Each round but the first takes a use of the
    operator, each digit 1 but the first one more: the name is that of the instruction that
    counts such digits. For p = 12, p-1 = 1011::

        digit   1    0    1    1
        w       1    2    5    11
        up      1    1    3    6     ranks

    On a ring the same windows give every rank the sum over all others: this comes from an
    allreduce in ceil(lg p) rounds for every p. There each rank begins elsewhere, so that results
    may differ in their last bits. If p is not a power of two, the factor of gamma is an upper
    bound.

    Cost: ceil(lg(p))*(alpha + n*beta) + (p > 1)*(2*ceil(lg(p)) - 2)*n*gamma
    Restrictions: none
    Reference: Träff 2026; Bar-Noy et al. 1995 (the allreduce)
    """
    below, through, arriving = (scratch(sendbuf) for _ in range(3))
    width = 0
    for digit in map(int, f"{p - 1:b}" if p > 1 else ""):
        distance, lowest = width + digit, 1 - digit
        steps, outgoing = [], below
        if digit:  # the sum below rank 0 is empty
            outgoing = sendbuf if width == 0 or rank == 0 else through
        if lowest <= rank < p - distance:
            if outgoing is through:
                yield reduce(below, sendbuf, out=through)
            steps.append(send(outgoing, rank + distance))
        if rank >= distance + lowest:
            steps.append(recv(arriving if width else below, rank - distance))
            steps += [reduce(arriving, below)] if width else []
        yield steps
        width += distance
    if rank > 0:
        yield copy(below, recvbuf)


class Sums(NamedTuple):
    """What a rank of a pipelined scan keeps, each in segments."""

    lower: Blocks  # L
    inner: Blocks  # L + mine
    upper: Blocks  # R
    total: Blocks  # L + mine + R
    below: Blocks  # B
    through: Blocks  # B + L + mine


def stream(rank, p, sendbuf, recvbuf, segments, inclusive):
    """Scan up and down an in-order tree, segment by segment.

    Time is in ticks. A rank d levels below the root hears of segment k from below
    in tick height - d + k, and from above in tick height + d + k, and passes it
    on one tick later: nobody waits for a segment that somebody else holds back.
    """
    if segments is None:
        segments = default_segments(4 * floor_lg(p), sendbuf.nbytes, rate=3)
    place = in_order_tree(rank, p, p // 2)
    mine, result = split(sendbuf, segments), split(recvbuf, segments)
    sums = Sums(*[split(scratch(sendbuf), segments) for _ in Sums._fields])
    if not any(child.root < rank for child in place.children):
        sums = sums._replace(inner=mine)
    if len(place.children) < 2:
        sums = sums._replace(total=sums.inner)
    height, depth = floor_lg(p), level(rank, p)
    for tick in range(2 * height + segments + 1):
        up, down = tick - height + depth, tick - height - depth
        steps = []
        if 0 <= up <= segments:
            steps += upward(place, p, mine, sums, up)
        if 0 <= down <= segments:
            steps += downward(place, sums, result, down, inclusive)
        yield steps


def level(rank, p):
    """How many levels below the root a rank is."""
    parent = in_order_tree(rank, p, p // 2).parent
    return 0 if parent is None else 1 + level(parent, p)


def upward(place, p, mine, sums, k):
    """Take segment k of both sums of the children; report segment k-1."""
    parent, children, (rank, _, last) = place
    lower, inner, upper, total, _, _ = sums
    steps = [send(total[k - 1], parent)] if k > 0 and parent is not None and last < p else []
    for child in children if k < len(mine) else ():
        if child.root < rank:
            steps += [recv(lower[k], child.root), reduce(lower[k], mine[k], out=inner[k])]
        elif last < p:
            steps += [recv(upper[k], child.root), reduce(inner[k], upper[k], out=total[k])]
    return steps


def downward(place, sums, result, k, inclusive):
    """Take segment k of what comes before the subtree; tell the children segment k-1."""
    parent, children, (rank, first, _) = place
    lower, inner, _, _, below, through = sums
    if first == 0:
        through = inner
    steps = []
    for child in children if k > 0 else ():
        if child.root > rank:
            steps.append(send(through[k - 1], child.root))
        elif first > 0:
            steps.append(send(below[k - 1], child.root))
    if k == len(result):
        return steps
    if first > 0:
        steps += [recv(below[k], parent), reduce(below[k], inner[k], out=through[k])]
    if inclusive:
        steps.append(copy(through[k], result[k]))
    elif first == rank:
        steps += [copy(below[k], result[k])] if rank > 0 else []
    elif first > 0:
        steps.append(reduce(below[k], lower[k], out=result[k]))
    else:
        steps.append(copy(lower[k], result[k]))
    return steps
