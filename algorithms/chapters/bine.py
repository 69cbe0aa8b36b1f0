r"""Swing and Bine: the rounds of a hypercube, two thirds of its distances.

Recursive doubling meets partners at distance 1, 2, 4, ..., always the same way.
Swing goes back and forth: even ranks meet the rank at +1, -1, +3, -5, +11, ...,
odd ranks the one at -1, +1, -3, +5, ... The sums of these jumps still reach every
rank, but each jump is shorter, a third less in the end; on a ring or a torus that
means fewer links used at once, and more partners on the same switch. The jumps
are (1 - (-2)**k) / 3, the numbers whose binary digits, to base -2, are all 1; so
Bine, for binomial negabinary, is the name of the trees that they draw. With eight ranks on
a ring, the longest jump first::

    round   Bine tree                          binomial tree
    1       0>3                                0>4
    2       0>7   3>4                          0>2   4>6
    3       0>1   7>6   3>2   4>5              0>1   2>3   4>5   6>7
    hops    3 + 2*1 + 4*1 = 9                  4 + 2*2 + 4*1 = 12

             0                                        0
           / | \                                    / | \
          3  7  1                                  4  2  1
         / \ |                                    / \ |
        4  2 6                                   6  5 3
        |                                        |
        5                                        7

Any even number of ranks will do. If it is not a power of two, some ranks can be
reached in two ways; what counts is the first one, so that every block still
spreads on a tree of its own (`arrivals`). (The authors' code compares two ways only, and
takes a later one for some p, such as 18 and 34; the bytes are the same.) An allgather sends
each block down its tree, a reduce-scatter goes the same trees backwards, and in each round
everybody sends and hears equally much. If p is odd, one rank is folded onto its neighbour.
"""

from functools import lru_cache
from typing import NamedTuple

from ..alltoall import forward
from ..language import (
    Fold,
    algorithm,
    ceil_lg,
    copy,
    floor_lg,
    fold,
    in_rank_order,
    partition,
    pass_down,
    pass_up,
    recv,
    reduce,
    scratch,
    send,
    split,
)


def partner(player, k, size):
    """Whom a player of an even team meets at the k-th jump: +1, -1, +3, -5, ..."""
    jump = (1 - (-2) ** (k + 1)) // 3
    return (player + (-jump if player % 2 else jump)) % size


@lru_cache(maxsize=256)
def arrivals(size):
    """The round in which each player first hears from player 0, the longest jump first.

    Player 0 itself has -1. The jumps look the same from every even player, and
    mirrored from every odd one.
    """
    rounds = {0: -1}
    for k in range(ceil_lg(size)):
        for informed in list(rounds):
            rounds.setdefault(partner(informed, ceil_lg(size) - 1 - k, size), k)
    return [rounds[player] for player in range(size)]


@lru_cache(maxsize=256)
def newcomers(size):
    """For each round the players who first hear from player 0 in it."""
    first = arrivals(size)
    return [[q for q in range(size) if first[q] == k] for k in range(ceil_lg(size))]


@lru_cache(maxsize=256)
def subtrees(size):
    """For each player all players of its subtree in the tree of player 0, itself first."""
    first, members = arrivals(size), [[player] for player in range(size)]
    for player in sorted(range(1, size), key=first.__getitem__, reverse=True):
        members[partner(player, ceil_lg(size) - 1 - first[player], size)] += members[player]
    return members


class Limb(NamedTuple):
    """A subtree: its root, and its ranks in order."""

    root: int
    ranks: list[int]


def bine_tree(rank, p, root):
    """The parent of a rank, its children, those served first in front, and its own subtree.

    Players are counted from the root. If p is odd, there is one more player than there are
    ranks. The one left without a rank is a player to whom the last round would bring the
    vector: nobody waits for it.
    """
    size = p + p % 2
    first, members = arrivals(size), subtrees(size)
    absent = max(range(size), key=first.__getitem__) if p % 2 else size

    def limb(player):
        ranks = [(root + q - (q > absent)) % p for q in members[player] if q != absent]
        return Limb(ranks[0], sorted(ranks))

    player = (rank - root) % p
    player += player >= absent
    others = [partner(player, ceil_lg(p) - 1 - k, size) for k in range(ceil_lg(p))]
    children = [limb(q) for k, q in enumerate(others) if first[q] == k and q != absent]
    parent = None if rank == root else limb(others[first[player]]).root
    return parent, children, limb(player)


def _schedule(player, size):
    """For each round of an allgather: the partner, the blocks it gets, those it gives."""

    def news(receiver, k):
        jumps = [jump if (receiver + jump) % 2 else -jump for jump in newcomers(size)[k]]
        return sorted([(receiver + jump) % size for jump in jumps])

    for k in range(ceil_lg(size)):
        other = partner(player, ceil_lg(size) - 1 - k, size)
        yield other, news(other, k), news(player, k)


def _team(p):
    """An even team: if p is odd, rank 1 plays for rank 0 too."""
    size = max(p - p % 2, 1)
    return Fold(size, p - size)


def _gather(player, team, part):
    """Every player has its part, a list of views; all get all of them."""
    for other, gives, gets in _schedule(player, team.size):
        outgoing, incoming = ([view for b in parts for view in part[b]] for parts in (gives, gets))
        yield send(outgoing, team.rank(other)), recv(incoming, team.rank(other))


def _reduce(player, team, part):
    """Every player has a share of all parts; it gets the sum of its own."""
    arriving = scratch(part.buf)
    for other, gets, gives in reversed([*_schedule(player, team.size)]):
        peer = team.rank(other)
        share = partition(arriving, [part.size(b) for b in gets])
        adds = [reduce(share[i], part[b]) for i, b in enumerate(gets)]
        outgoing = send([part[b] for b in gives], peer)
        yield [outgoing, recv(share[0 : len(gets)], peer), *adds]


@algorithm("bcast", name="bine")
def bcast(rank, p, buf, root):
    """Bine tree: everyone who has the vector jumps, the longest jumps first.

    In each round whoever has the vector sends it to its partner, unless that has
    it already. For a power of two this is a binomial tree with shorter edges: `bine.py`
    has a drawing. If p is odd, there is a player too many, who would hear in the last round.

    Cost: ceil(lg(p))*(alpha + n*beta)
    Restrictions: none
    Reference: De Sensi et al. 2025
    """
    yield from pass_down(bine_tree(rank, p, root), buf)


@algorithm("reduce", name="bine", commutative=True)
def reduce_(rank, p, sendbuf, recvbuf, root):
    """Bine tree: sums go up, the shortest jumps first.

    The broadcast backwards: a rank adds what its children send, and sends the sum to its
    parent.

    Cost: ceil(lg(p))*(alpha + n*beta + n*gamma)
    Restrictions: commutative op; subtrees are runs of ranks for powers of two only, and
        their sums meet in another order
    Reference: De Sensi et al. 2025
    """
    yield from pass_up(rank, bine_tree(rank, p, root), sendbuf, recvbuf)


@algorithm("scatter", name="bine")
def scatter(rank, p, sendbuf, recvbuf, root, counts):
    """Bine tree: blocks go down, those of a subtree in one message.

    As `scatter.tree`, the longest jumps first; but half of the blocks goes a third of the way
    round, not half of it. If p is not a power of two, the factor of beta is an upper bound.

    Cost: ceil(lg(p))*alpha + (p-1 + fold(p)*(p+7)/8)*n/p*beta
    Restrictions: none
    Reference: De Sensi et al. 2025
    """
    parent, children, mine = bine_tree(rank, p, root)
    held = sendbuf
    if parent is not None:
        held = _stage(recvbuf, counts, mine.ranks)
        yield recv([held[r] for r in mine.ranks], parent)
    for child in children:
        yield send([held[r] for r in child.ranks], child.root)
    yield copy(held[rank], recvbuf)


@algorithm("gather", name="bine")
def gather(rank, p, sendbuf, recvbuf, root, counts):
    """Bine tree: blocks come up, those of a subtree in one message.

    The scatter backwards, the shortest jumps first. If p is not a power of two, the factor of
    beta is an upper bound.

    Cost: ceil(lg(p))*alpha + (p-1 + fold(p)*(p+7)/8)*n/p*beta
    Restrictions: none
    Reference: De Sensi et al. 2025
    """
    parent, children, mine = bine_tree(rank, p, root)
    held = recvbuf if parent is None else _stage(sendbuf, counts, mine.ranks)
    yield copy(sendbuf, held[rank])
    for child in reversed(children):
        yield recv([held[r] for r in child.ranks], child.root)
    if parent is not None:
        yield send([held[r] for r in mine.ranks], parent)


def _stage(like, counts, ranks):
    """Scratch for the blocks of these ranks, by rank."""
    sizes = [counts[r] for r in ranks]
    return dict(zip(ranks, partition(scratch(like, sum(sizes)), sizes)))


@algorithm("allgather", name="bine")
def allgather(rank, p, sendbuf, recvbuf):
    """Bine butterfly: swap with partners ever nearer what they do not have yet.

    Each block spreads on a Bine tree of its own, the longest jumps first, while
    there is little to send; most of the data moves between neighbours. If p is
    odd, a rank that sits out hands over its block first and hears the rest last;
    its player has two blocks, and the factor of beta is an upper bound.

    Cost: (ceil(lg(max(p - p % 2, 1))) + 2*(p > 1)*(p % 2))*alpha
        + (p-1 + (p > 1)*(p % 2)*(p + ceil(lg(p))))*n/p*beta
    Restrictions: none
    Reference: De Sensi et al. 2025
    """
    team = _team(p)
    player, mate = team.player(rank), team.mate(rank)
    yield copy(sendbuf, recvbuf[rank])
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf.range(rank + 1, p - 1), mate)
        return
    if mate is not None:
        yield recv(recvbuf[mate], mate)
    yield from _gather(player, team, [recvbuf[team.span(q)] for q in range(team.size)])
    if mate is not None:
        yield send(recvbuf.range(mate + 1, p - 1), mate)


@algorithm("reduce_scatter", name="bine", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf):
    """Bine butterfly backwards: half of the data moves in the first, shortest jump.

    The partial sums of each block climb the tree on which the allgather would
    spread it. A player sends on what it has of some blocks, and adds what it gets
    to the others, block by block. If p is odd, a rank that sits out hands over
    its vector and gets its block; its player has two, and the factors of beta and
    gamma are upper bounds.

    Cost: (ceil(lg(max(p - p % 2, 1))) + 2*(p > 1)*(p % 2))*alpha
        + (p-1 + (p > 1)*(p % 2)*(p + ceil(lg(p))))*n/p*(beta + gamma)
    Restrictions: commutative op; the trees are not in rank order
    Reference: De Sensi et al. 2025
    """
    team = _team(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf[0:p], mate)
        yield recv(recvbuf, mate)
        return
    counts = sendbuf.sizes
    work = scratch(sendbuf.buf, sum(counts))
    yield copy(sendbuf[0:p], work)
    if mate is not None:
        arriving = scratch(work)
        yield recv(arriving, mate), reduce(arriving, work)
    part = partition(work, [sum(counts[team.span(q)]) for q in range(team.size)])
    yield from _reduce(player, team, part)
    complete = partition(work, counts)
    yield copy(complete[rank], recvbuf)
    if mate is not None:
        yield send(complete[mate], mate)


@algorithm("allreduce", also="bine", commutative=True)
def swing(rank, p, sendbuf, recvbuf):
    """Swing: the reduce-scatter of `bine`, then its allgather.

    The vector is cut into as many parts as there are players. Each player sends
    2(p-1)/p of it in 2 ceil(lg p) rounds, with the same partners there and back,
    for every even p. If p is odd, a rank that sits out hands over its vector and
    gets the sum; the factors of beta and gamma are upper bounds. This is the Swing for
    long vectors, and the Bine allreduce for them; `swing_latency` is that for short ones.

    Cost: 2*(ceil(lg(max(p - p % 2, 1))) + (p > 1)*(p % 2))*alpha
        + 2*(p-1 + (p > 1)*(p % 2)*(p + 1))*n/p*beta
        + (p-1 + (p > 1)*(p % 2)*(p + 1))*n/p*gamma
    Restrictions: commutative op; the trees are not in rank order
    Reference: De Sensi et al. 2024
    """
    team = _team(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        arriving = scratch(recvbuf)
        yield recv(arriving, mate), reduce(arriving, recvbuf)
    part = split(recvbuf, team.size)
    yield from _reduce(player, team, part)
    yield from _gather(player, team, [[view] for view in part])
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("allreduce", also="bine_latency", commutative=True)
def swing_latency(rank, p, sendbuf, recvbuf):
    """Swing for short vectors: swap whole sums with partners at ..., -5, +3, -1, +1.

    Recursive doubling with the partners of `swing`, the longest jump first: groups of players
    who know the same sum join in pairs. The authors begin with the shortest jump. Then players
    who know one sum meet others who know different ones; each brackets the whole in its own
    way, and the results differ in their last bits. Here all are the same. Sums would overlap if
    the number of players were no power of two; so 2**floor(lg p) ranks play, and the first
    even ranks hand their vector to the odd rank after them, which brings the result back.

    Cost: (floor(lg(p)) + 2*fold(p))*(alpha + n*beta) + ceil(lg(p))*n*gamma
    Restrictions: commutative op; distant ranks meet first
    Reference: after De Sensi et al. 2024 (the shortest jump first); De Sensi et al. 2025
    """
    team = fold(p)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        yield recv(arriving, mate), reduce(arriving, recvbuf)
    for k in reversed(range(floor_lg(team.size))):
        peer = team.rank(partner(player, k, team.size))
        add = in_rank_order(rank, recvbuf, peer, arriving)
        yield send(recvbuf, peer), recv(arriving, peer), add
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("alltoall", name="bine")
def alltoall(rank, p, sendbuf, recvbuf, counts):
    """Bine butterfly: each block goes down the Bine tree of its source.

    In a round a player swaps with its partner all blocks whose way to their destination, from
    wherever they come, leads over this edge: half of what it holds for a power of two, or
    less. As `hypercube`, with shorter ways. The authors' code makes the shortest jump first,
    with as many bytes, and for powers of two only. If p is odd, a rank that sits out hands over its
    blocks first and gets those for it in the end; its player has the blocks of two ranks for
    two ranks. If p is not a power of two, the factor of beta is an upper bound.

    Cost: (ceil(lg(max(p - p % 2, 1))) + 2*(p > 1)*(p % 2))*alpha
        + (ceil(lg(p))*(3/4 if p % 2 else 1/2) + 2*(p > 1)*(p % 2))*n*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: after De Sensi et al. 2025 (the shortest jump first)
    """
    team = _team(p)
    yield from forward(rank, p, sendbuf, recvbuf, counts, team, _swaps(team, p, team.player(rank)))


def _swaps(team, p, player):
    """For each round the partner and the blocks, (source, dest), for it and from it."""

    def blocks(taker, sources):
        for source in sources:
            way = -1 if source % 2 else 1
            for hops in subtrees(team.size)[way * (taker - source) % team.size]:
                dests = range(p)[team.span((source + way * hops) % team.size)]
                yield from ((s, d) for s in range(p)[team.span(source)] for d in dests)

    for other, gives, gets in _schedule(player, team.size) if player is not None else ():
        yield other, [*blocks(other, gives)], [*blocks(player, gets)]
