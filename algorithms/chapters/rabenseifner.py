"""Rabenseifner's idea: a long vector is halved on the way up, doubled on the way down.

Recursive doubling swaps whole vectors, so that each rank does the work of all.
Here two partners split the work: each sends the half that the other one will
finish, and adds what it gets to the half that it keeps. The pieces get shorter with
every round, and in the end each rank has one p-th of the vector, complete. That is a
reduce-scatter; gathered, it is a reduce; with the halving run backwards, an allreduce.

Which partner comes first is a choice. For p = 8, rank 0 meets::

    nearest first    1  2  4   then   4  2  1     rabenseifner
    farthest first   4  2  1   then   1  2  4     halving_doubling

Nearest first, ranks that meet stand for neighbouring runs of ranks, so rank order is
kept. It is the order of Rabenseifner's papers, of MPICH and of Open MPI. Rank 1 then
ends with the piece that begins half way through the vector: pieces lie in
bit-reversed order. Farthest first, rank r ends with piece r, which a reduce-scatter
wants, but ranks 0 and p/2 meet before 0 and 1, so the operator must commute.

If p is not a power of two, some ranks are left over: the first ones pair up, an even
rank with the odd one after it, and one of the two plays on. Pairs swap halves, so that
both add up half a vector at the same time; then the rank that is left over hands in
its half::

    ranks 0 and 1            first                    then
    lower half               1 -> 0, which adds 0 1   0 -> 1
    upper half               0 -> 1, which adds 0 1

Halving need not go on to the end. Each round of it saves bytes and costs a round on the way
back: `generalised` has a number of them, and goes on by recursive doubling.
"""

from ..language import (
    algorithm,
    copy,
    distances,
    floor_lg,
    fold,
    in_rank_order,
    partition,
    recv,
    reduce,
    scratch,
    send,
    split,
)


def swaps(number, size, pieces, rank_of):
    """The rounds of recursive halving, the nearest first: peer, pieces kept, pieces given.

    `number` is the place of this rank among `size` peers, a power of two, `rank_of` says
    which rank is at a place, and `pieces` is a range: those of the vector that they share out.
    """
    first, last = pieces.start, pieces.stop
    for distance in distances(size):
        middle = (first + last) // 2
        lower, upper = slice(first, middle), slice(middle, last)
        keep, give = (upper, lower) if number & distance else (lower, upper)
        yield rank_of(number ^ distance), keep, give
        first, last = keep.start, keep.stop


def halve(rank, rounds, part, arriving):
    """Recursive halving: give the partner its half, add up the own one in rank order."""
    for peer, keep, give in rounds:
        [mine] = part[keep]
        share = arriving[: mine.size]
        yield send(part[give], peer), recv(share, peer), in_rank_order(rank, mine, peer, share)


def double(rounds, part):
    """The way back: both partners get what either has."""
    for peer, keep, give in reversed(rounds):
        yield send(part[keep], peer), recv(part[give], peer)


def pair_up(rank, mate, plays, vector, arriving):
    """Two ranks add up half of their vectors each; one that does not play hands it in."""
    lower, upper = split(vector, 2)
    own, other = (lower, upper) if rank < mate else (upper, lower)
    share = arriving[: own.size]
    yield send(other, mate), recv(share, mate), in_rank_order(rank, own, mate, share)
    yield recv(other, mate) if plays else send(own, mate)


@algorithm("reduce")
def rabenseifner(rank, p, sendbuf, recvbuf, root):
    """Rabenseifner's reduce: recursive halving, then a gather the same way back.

    The players split the sum among them by recursive halving, the nearest partners
    first. On the way back the partner on the root's side takes what the other has, the
    farthest first. Twice the rounds of a binomial tree, but nobody adds more than one
    vector's length and a half, and the vector passes a port about twice. If p is not a
    power of two, pairs of ranks swap halves first, and one of the two plays on, the
    root always.

    Cost: (2*floor(lg(p)) + 2*fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p)/2)*n*gamma
    Restrictions: none
    Reference: Rabenseifner 2004
    """
    team = fold(p, keep=root)
    player, mate, origin = team.player(rank), team.mate(rank), team.player(root)
    total, arriving = recvbuf if rank == root else scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, total)
    if mate is not None:
        yield from pair_up(rank, mate, player is not None, total, arriving)
    if player is None:
        return
    part = split(total, team.size)
    rounds = list(swaps(player, team.size, range(team.size), team.rank))
    yield from halve(rank, rounds, part, arriving)
    for distance, (peer, keep, give) in reversed([*zip(distances(team.size), rounds)]):
        if (player ^ origin) & distance:
            yield send(part[keep], peer)
            return
        yield recv(part[give], peer)


@algorithm("allreduce", name="rabenseifner")
def allreduce_rabenseifner(rank, p, sendbuf, recvbuf):
    """Rabenseifner's allreduce: halving with ever farther partners, doubling back.

    Halving splits the sum among the players, doubling brings its parts back to all of
    them, with the same partners in reverse: 1, 2, 4, ..., then ..., 4, 2, 1. Each player
    sends 2(p-1)/p of the vector in 2 lg p rounds. If p is not a power of two, pairs of
    ranks swap halves first, and one of the two plays on; the other gets the whole sum
    in the end.

    Cost: (2*floor(lg(p)) + 3*fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + 2*fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p)/2)*n*gamma
    Restrictions: none
    Reference: Rabenseifner 2004
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        yield from pair_up(rank, mate, player is not None, recvbuf, arriving)
    if player is None:
        yield recv(recvbuf, mate)
        return
    part = split(recvbuf, team.size)
    rounds = list(swaps(player, team.size, range(team.size), team.rank))
    yield from halve(rank, rounds, part, arriving)
    yield from double(rounds, part)
    if mate is not None:
        yield send(recvbuf, mate)


def halve_far(rank, team, part, arriving):
    """Recursive halving over the players, the farthest first: player q ends with part q."""
    player, mate = team.player(rank), team.mate(rank)
    if mate is not None:  # who only watches hands over its vector
        yield recv(arriving, mate), reduce(arriving, part.buf)
    for distance in reversed(distances(team.size)):
        peer = team.rank(player ^ distance)
        keep, give = (q - q % distance for q in (player, player ^ distance))
        [total] = part[keep : keep + distance]
        share = arriving[: total.size]
        yield send(part[give : give + distance], peer), recv(share, peer), reduce(share, total)


def double_near(player, team, part):
    """Recursive doubling over the players, the nearest first: every part gets everywhere."""
    for distance in distances(team.size):
        peer = team.rank(player ^ distance)
        mine, theirs = (q - q % distance for q in (player, player ^ distance))
        outgoing, incoming = part[mine : mine + distance], part[theirs : theirs + distance]
        yield send(outgoing, peer), recv(incoming, peer)


class Parts:
    """A block for each rank, sliced by players: each has its own, and its mate's."""

    def __init__(self, blocks, team):
        self.blocks, self.team, self.buf = blocks, team, blocks.buf

    def __getitem__(self, players):
        first, last = (self.team.first(player) for player in (players.start, players.stop))
        return self.blocks[first:last]


@algorithm("reduce_scatter", commutative=True)
def recursive_halving(rank, p, sendbuf, recvbuf):
    """Recursive halving: partners split the work, the farthest ones first.

    In each round a rank sends its partner those of its partial sums that belong
    on the partner's side, half of them, and adds what it gets to the rest. If p
    is not a power of two, the first even ranks hand their whole vector to the odd
    rank after them, which plays for both and sends back their block. The halves
    are then uneven, and the factors of beta and gamma upper bounds.

    Cost: (floor(lg(p)) + 2*fold(p))*alpha
        + (p-1 + fold(p)*3/2*p)*n/p*(beta + gamma)
    Restrictions: commutative op; distant ranks meet first
    Reference: Thakur, Rabenseifner, Gropp 2005
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf[0:p], mate)
        yield recv(recvbuf, mate)
        return
    counts = sendbuf.sizes
    total = sum(counts)
    work, arriving = scratch(recvbuf, total), scratch(recvbuf, total)
    yield copy(sendbuf[0:p], work)
    complete = partition(work, counts)
    yield from halve_far(rank, team, Parts(complete, team), arriving)
    yield copy(complete[rank], recvbuf)
    if mate is not None:
        yield send(complete[mate], mate)


@algorithm("allreduce", commutative=True)
def halving_doubling(rank, p, sendbuf, recvbuf):
    """Halving, the farthest partner first, then doubling, the nearest first.

    `reduce_scatter.recursive_halving` on the parts of the players, then the allgather
    that doubles runs of neighbouring parts. As many rounds and bytes as `rabenseifner`
    for a power of two, but half of the vector crosses the longest distance, and the
    operands do not meet in rank order. If p is not a power of two, ranks that do not
    play hand over their whole vector first and get the sum in the end.

    Cost: (2*floor(lg(p)) + 2*fold(p))*alpha
        + (2*(2**floor(lg(p)) - 1)/2**floor(lg(p)) + 2*fold(p))*n*beta
        + ((2**floor(lg(p)) - 1)/2**floor(lg(p)) + fold(p))*n*gamma
    Restrictions: commutative op; distant ranks meet first
    Reference: Thakur, Rabenseifner, Gropp 2005 (the reduce-scatter)
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    part, arriving = split(recvbuf, team.size), scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    yield from halve_far(rank, team, part, arriving)
    yield from double_near(player, team, part)
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("allreduce", also="generalized")
def generalised(rank, p, sendbuf, recvbuf, *, halvings=2):
    """Between recursive doubling and Rabenseifner: halve some times, then swap pieces.

    After `halvings` rounds of recursive halving, the nearest partners first, a player has one
    of 2**halvings pieces, summed over its group. In the rounds that are left partners have the
    same piece, and swap it whole; then it is complete, and as many rounds as at first collect
    the pieces in the group. Each halving costs one round more and saves half of the bytes of all
    further rounds. With floor(lg p) or more this is `rabenseifner`, with 0 `recursive_doubling`
    but for the ranks left over.

    The paper walks the same line without a fold for any p, on rings. But there each rank that
    completes a piece begins its sum elsewhere, so that results differ in their last
    bits; here pairs of ranks swap halves first, as in `rabenseifner`.

    Cost: (floor(lg(p)) + min(halvings, floor(lg(p))) + 3*fold(p))*alpha
        + (2 - 2/2**min(halvings, floor(lg(p))) + 2*fold(p)
        + max(floor(lg(p)) - halvings, 0)/2**min(halvings, floor(lg(p))))*n*beta
        + (1 - 1/2**min(halvings, floor(lg(p))) + fold(p)/2
        + max(floor(lg(p)) - halvings, 0)/2**min(halvings, floor(lg(p))))*n*gamma
    Restrictions: none
    Reference: after Kolmakov, Zhang 2020 (for powers of two)
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        yield from pair_up(rank, mate, player is not None, recvbuf, arriving)
    if player is None:
        yield recv(recvbuf, mate)
        return
    pieces = 2 ** min(halvings, floor_lg(p))
    first = player - player % pieces
    way = swaps(player % pieces, pieces, range(pieces), lambda place: team.rank(first + place))
    part, rounds = split(recvbuf, pieces), list(way)
    yield from halve(rank, rounds, part, arriving)
    [mine] = part[rounds[-1][1]] if rounds else part[:]
    share = arriving[: mine.size]
    for distance in distances(team.size)[len(rounds) :]:
        peer = team.rank(player ^ distance)
        yield send(mine, peer), recv(share, peer), in_rank_order(rank, mine, peer, share)
    yield from double(rounds, part)
    if mate is not None:
        yield send(recvbuf, mate)
