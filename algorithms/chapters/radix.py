"""Rabenseifner's idea to a radix k: a vector is shared out among k ranks at a time.

`rabenseifner.py` halves a long vector with one partner a round. With k - 1 partners a
round cuts it into k pieces: each rank keeps one, sends the others to the ranks that will finish
them, and adds what k - 1 ranks send to its own. So there are log_k p rounds, not lg p. What
is sent in all, 2(p-1)/p of the vector there and back, does not depend on k. A rank with
one port pays for k - 1 messages a round, one that can have several under way at once gains.
For p = 9, k = 3 rank 4 meets::

    to share out     3 5    one third each     then    1 7    one ninth each
    to collect       1 7    one ninth each     then    3 5    one third each

The nearest come first, so ranks that meet stand for neighbouring runs of ranks, and rank order
is kept. The number of players is p with all its digits to the radix k but the first set
to 0, as in `multiplying.py`; ranks beyond hand in their whole vector. The names are UCC's:
`sra` is a scatter-reduce and an allgather, `srg` a scatter-reduce and a gather, `sag` a
scatter and an allgather.
"""

from math import prod

from ..language import (
    algorithm,
    copy,
    in_rank_order,
    partition,
    recv,
    reduce,
    scratch,
    send,
    split,
)
from . import multiplying


@algorithm("allreduce")
def sra_knomial(rank, p, sendbuf, recvbuf, *, k=4):
    """Scatter-reduce, then allgather, with `k` - 1 partners a round.

    In the first phase each round shares out what a player still works on among `k` players,
    in the second each round collects the finished pieces from the same partners, in
    reverse. Ranks beyond the number of players hand in their vector first and get the
    sum in the end.

    With `k` = 2 this is `rabenseifner`, but for the ranks beyond; with p `two_shot`.

    Cost: 2*((k-1)*floor(log(p, k)) + floor(p/k**floor(log(p, k))) - 1
        + (p % k**floor(log(p, k)) > 0))*alpha
        + (1 - 1/(floor(p/k**floor(log(p, k)))*k**floor(log(p, k)))
        + (p % k**floor(log(p, k)) > 0))*n*(2*beta + gamma)
    Restrictions: none
    Reference: UCC (sra_knomial); MPICH (k_reduce_scatter_allgather)
    """
    stages, team = multiplying.team_of(p, k)
    player, mate = team.player(rank), team.mate(rank)
    if player is None:
        yield send(sendbuf, mate)
        yield recv(recvbuf, mate)
        return
    yield copy(sendbuf, recvbuf)
    if mate is not None:
        arriving = scratch(recvbuf)
        yield recv(arriving, mate), reduce(arriving, recvbuf)
    rounds, part = list(shares(player, stages)), split(recvbuf, team.size)
    yield from share_out(team, rounds, part)
    yield from collect(team, rounds, part)
    if mate is not None:
        yield send(recvbuf, mate)


@algorithm("reduce")
def srg_knomial(rank, p, sendbuf, recvbuf, root, *, k=4):
    """Scatter-reduce with `k` - 1 partners a round, then a gather the same way back.

    The players share out the sum as in `allreduce.sra_knomial`. On the way back the one of `k`
    players on the root's side takes what the others have, and they are done. Ranks beyond
    the number of players, never the root, hand in their vector first.

    Cost: (2*((k-1)*floor(log(p, k)) + floor(p/k**floor(log(p, k))) - 1)
        + (p % k**floor(log(p, k)) > 0))*alpha
        + (1 - 1/(floor(p/k**floor(log(p, k)))*k**floor(log(p, k))))*n*(2*beta + gamma)
        + (p % k**floor(log(p, k)) > 0)*n*(beta + gamma)
    Restrictions: none
    Reference: UCC (srg_knomial)
    """
    stages, team = multiplying.team_of(p, k, keep=root)
    player, mate, origin = team.player(rank), team.mate(rank), team.player(root)
    if player is None:
        yield send(sendbuf, mate)
        return
    total = recvbuf if rank == root else scratch(sendbuf)
    yield copy(sendbuf, total)
    if mate is not None:
        arriving = scratch(total)
        yield recv(arriving, mate), in_rank_order(rank, total, mate, arriving)
    rounds, part = list(shares(player, stages)), split(total, team.size)
    yield from share_out(team, rounds, part)
    for (groups, stride), (members, place, runs) in reversed([*zip(stages, rounds)]):
        home = origin // stride % groups
        if place != home:
            yield send(part[runs[place]], team.rank(members[home]))
            return
        yield [recv(part[runs[i]], team.rank(members[i])) for i in range(groups) if i != home]


@algorithm("bcast")
def sag_knomial(rank, p, buf, root, *, k=4):
    """Scatter to `k` - 1 partners a round, then an allgather the same way back.

    Van de Geijn's broadcast to a radix k. The root cuts the vector into k runs, keeps one and
    sends the others to its nearest partners; in the next round all of them do the same with
    their runs and partners farther away. Then each round collects the pieces from the same
    partners, in reverse. Ranks beyond the number of players, never the root, get the whole
    vector in the end.

    Cost: (2*((k-1)*floor(log(p, k)) + floor(p/k**floor(log(p, k))) - 1)
        + (p % k**floor(log(p, k)) > 0))*alpha
        + (2 - 2/(floor(p/k**floor(log(p, k)))*k**floor(log(p, k)))
        + (p % k**floor(log(p, k)) > 0))*n*beta
    Restrictions: none
    Reference: UCC (sag_knomial)
    """
    stages, team = multiplying.team_of(p, k, keep=root)
    player, mate, origin = team.player(rank), team.mate(rank), team.player(root)
    if player is None:
        yield recv(buf, mate)
        return
    rounds, part = list(shares(player, stages)), split(buf, team.size)
    for (groups, stride), (members, place, runs) in zip(stages, rounds):
        home, wider = origin // stride % groups, groups * stride
        if place == home and player // wider == origin // wider:
            others = [i for i in range(groups) if i != home]
            yield [send(part[runs[i]], team.rank(members[i])) for i in others]
        elif player // wider == origin // wider:
            yield recv(part[runs[place]], team.rank(members[home]))
    yield from collect(team, rounds, part)
    if mate is not None:
        yield send(buf, mate)


def shares(player, stages):
    """Per round the players that share out a run of parts, one's place among them, their runs."""
    first, width = 0, prod(groups for groups, _ in stages)
    for groups, stride in stages:
        members, place = multiplying.circle(player, groups, stride)
        width //= groups
        yield (
            members,
            place,
            [slice(first + i * width, first + (i + 1) * width) for i in range(groups)],
        )
        first += place * width


def share_out(team, rounds, part):
    """Send every partner its run, and add up one's own run of theirs, in rank order."""
    for members, place, runs in rounds:
        [mine] = part[runs[place]]
        groups = len(members)
        operand = partition(scratch(mine, groups * mine.size), [mine.size] * groups)
        others = [(place + i) % groups for i in range(1, groups)]
        sends = [send(part[runs[i]], team.rank(members[i])) for i in others]
        recvs = [recv(operand[i], team.rank(members[i])) for i in others]
        lower = [reduce(operand[i], mine) for i in reversed(range(place))]
        upper = [reduce(mine, operand[i], out=mine) for i in range(place + 1, groups)]
        yield sends + recvs + lower + upper


def collect(team, rounds, part):
    """The way back: every partner gets what one has finished, and sends what it has."""
    for members, place, runs in reversed(rounds):
        others = [(place + i) % len(members) for i in range(1, len(members))]
        sends = [send(part[runs[place]], team.rank(members[i])) for i in others]
        recvs = [recv(part[runs[i]], team.rank(members[i])) for i in others]
        yield sends + recvs
