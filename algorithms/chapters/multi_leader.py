"""Two levels, several leaders: a node has as many ways out as it has leaders.

With one leader (`hierarchical.py`) everything that a node sends or hears passes one rank, while
the others wait. So the work is shared out. Each of the leaders of a node deals with a part of
the ranks (`allgather.multi_leader`) or of the vector (`allreduce.multi_leader`), and only with
those who lead the same part on the other nodes. For nodes of four and two leaders each::

    node 0:   0 1 2 3      node 1:   4 5 6 7      node 2:   8 9 10 11
              |   |                  |   |                  |   |
              a   b                  a   b                  a   b      all a talk, all b talk

In the end every rank is a leader, of its own share. Then nothing is done twice in a node and
nobody waits: `allreduce.split_rail` moves the fewest bytes that a node has to send, 2(m-1)/m of
the vector on m nodes, in equal shares by all its ranks. `alltoall.two_step` does the same for
blocks that are meant for one rank each, an allgather or a reduce-scatter by `split_rail` for blocks
that all ranks get or add to.

Nodes may differ in size. Where there is a number of `leaders`, it is no more than the
smallest node has ranks. In `split_rail` the vector is cut wherever a share of any node
begins; a rank of a small node leads several pieces then. In `two_step` a rank of a small
node takes care of several ranks of a large one.

`group` says which ranks form a node, as in `hierarchical.py`.
"""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, pairwise

from .. import bcast
from ..language import (
    algorithm,
    among,
    copy,
    even_counts,
    in_rank_order,
    members,
    partition,
    place,
    recv,
    scratch,
    send,
    side_by_side,
    split,
)
from .hierarchical import to_leader
from .rabenseifner import allreduce_rabenseifner
from .rings import pass_round


@algorithm("allgather", name="multi_leader")
def allgather(rank, p, sendbuf, recvbuf, groups, *, leaders=2):
    """Two levels, several leaders: each deals with a part of its node.

    A node is cut into `leaders` teams, runs of its ranks, fewer where the smallest
    node has fewer ranks. The first rank of a team leads it and collects its blocks.
    The leaders of the same team on all nodes form a ring, so that all of them use the
    network at once; then the leaders of a node pass on to each other, round a ring
    too, what they have heard. In the end each hands its team the whole vector. If
    nodes or teams differ in size, the factor of beta is an upper bound.

    In words, with m nodes, l leaders in each and t ranks in the largest team: 2 ceil(lg t)
    messages up and down the tree of a team, m - 1 round the ring of nodes and l - 1 round
    the ring of leaders. The way down takes the whole vector, n bytes, in each of ceil(lg t)
    rounds; everything else, n bytes but for a block, comes once. `p % group or group` is
    the size of the last node, the smallest.

    `group` says which ranks form a node, and `leaders` is how many leaders it has.

    Cost: (2*ceil(lg(ceil(min(group, p)/min(leaders, p % group or group))))
        + ceil(p/group) + min(leaders, p % group or group) - 2)*alpha
        + ceil(lg(ceil(min(group, p)/min(leaders, p % group or group))))*n*beta
        + (ceil(min(group, p)/min(leaders, p % group or group))
        *min(leaders, p % group or group)*ceil(p/group) - 1)*n/p*beta
    Restrictions: none
    Reference: Kandalla et al. 2009
    """
    teams = teams_of(groups, leaders)
    here = teams[groups[rank]]
    mine = next(i for i, team in enumerate(here) if rank in team)
    yield from to_leader(here[mine], rank, sendbuf, recvbuf)
    if rank == here[mine][0]:
        block = [[[recvbuf[r] for r in t] for t in ts] for ts in teams.values()]
        yield from pass_round(rank, lanes(groups, leaders)[mine], [parts[mine] for parts in block])
        heard = [[view for parts in block for view in parts[i]] for i in range(len(here))]
        yield from pass_round(rank, [t[0] for t in here], heard)
    yield from among(here[mine], rank, bcast.tree, recvbuf[:], 0)


@algorithm("allreduce", name="multi_leader", also="dpml")
def allreduce(rank, p, sendbuf, recvbuf, groups, *, leaders=2):
    """Two levels, several leaders: each deals with a share of the vector.

    The vector is cut into `leaders` shares, fewer where the smallest node has fewer ranks, and
    each share has a leader in every node. Everyone in a node sends each leader its share. The
    leader adds them up, meets the leaders of the same share on the other nodes in an allreduce
    by `rabenseifner`, and sends the sum to everyone in its node. Rank order is kept where
    the ranks of a node are neighbours. With `leaders` = 1 a whole vector passes one rank of
    each node; with more they share the work. If the number of nodes is no power of two, the
    factors of beta and gamma are upper bounds; all factors are where nodes differ in size.

    In words, with l leaders and m nodes of g ranks: g-1 messages of n/l to a leader, an
    allreduce of n/l among m, and g-1 messages of n/l from a leader.

    `group` says which ranks form a node, and `leaders` is how many leaders it has.

    Cost: 2*(min(group, p) - 1)*alpha
        + (2*floor(lg(ceil(p/group))) + 3*fold(ceil(p/group)))*alpha
        + (2*(min(group, p) - 1) + 2 - 2/2**floor(lg(ceil(p/group))) + 2*fold(ceil(p/group)))
        *n/min(leaders, p % group or group)*beta
        + (min(group, p) - 1/2**floor(lg(ceil(p/group))) + fold(ceil(p/group))/2)
        *n/min(leaders, p % group or group)*gamma
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: Bayatpour et al. 2017
    """
    node, _, _ = place(rank, groups)
    here = [team[0] for team in teams_of(groups, leaders)[groups[rank]]]
    yield from hand_in(rank, node, here, sendbuf, recvbuf)
    if rank in here:
        mine = here.index(rank)
        share = split(recvbuf, len(here))[mine]
        peers = lanes(groups, leaders)[mine]
        yield from among(peers, rank, allreduce_rabenseifner, share, share)
    yield from hand_back(rank, node, here, recvbuf)


@algorithm("allreduce", commutative=True, also="blueconnect")
def split_rail(rank, p, sendbuf, recvbuf, groups):
    """Every rank leads: reduce-scatter in the node, rings between nodes, allgather.

    A node of g ranks cuts the vector into g shares, one for each rank. First everyone
    sends the others in its node their shares, and adds up its own. Then ranks with the same
    share, one on each node, pass its parts round a ring, as `ring` does. In the end everyone
    tells its node. Each node sends 2(m-1)/m of the vector to others, the least possible, each
    rank of it one g-th of that: all ways out of a node (its rails) are busy at once.

    If nodes differ in size, so do their shares. Then the vector is cut wherever a share of any
    node begins, each piece has its own ring, and a rank takes part in as many rings as
    its share has pieces. All factors are upper bounds then, with an eighth for pieces that are
    not equally long; with nodes of one size they are exact.

    `group` says which ranks form a node.

    Cost: 2*(min(group, p) - 1)*(alpha + n/min(group, p)*beta)
        + 2*(ceil(p/group) - 1)*(ceil(group/(p % group or group))
        + (group % (p % group or group) > 0))*alpha
        + (1 + (p % group > 0)/8)*(1 - 1/ceil(p/group))*n/(p % group or group)*(2*beta + gamma)
        + (1 - 1/min(group, p))*n*gamma
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: UCC (split_rail); Cho et al. 2019
    """
    node, _, _ = place(rank, groups)
    yield from hand_in(rank, node, node, sendbuf, recvbuf)
    yield from on_rails(rank, groups, recvbuf)
    yield from hand_back(rank, node, node, recvbuf)


@algorithm("allgather", name="split_rail")
def allgather_on_rails(rank, p, sendbuf, recvbuf, groups):
    """Every rank leads: blocks to its place on other nodes, then to all of the node.

    First each rank sends its block to the rank at its place on every other node. Then a rank has
    one block of each node, which it sends to all of its own node as one message. Each block
    enters a node once, and all ranks of a node share that work. If nodes differ in size, places
    are counted round as in `alltoall.two_step`. All factors are upper bounds then; with nodes of
    one size they are exact.

    `group` says which ranks form a node.

    Cost: (ceil(p/group) - 1)*ceil(group/(p % group or group))*(alpha + n/p*beta)
        + (min(group, p) - 1)*alpha + max((min(group, p) - 1)*ceil(p/group),
        ((p % group or group) - 1)*(1 + (ceil(p/group) - 1)
        *ceil(min(group, p)/(p % group or group))))*n/p*beta
    Restrictions: none
    Reference: after Cho et al. 2019
    """
    node, others, ahead, behind = around(rank, groups)
    yield copy(sendbuf, recvbuf[rank])
    sends = [send(sendbuf, carrier(rank, node, other)) for other in ahead]
    yield sends + [recv(recvbuf[source], source) for source in carried(rank, node, behind)]
    steps = []
    for peer in turned(rank, node):
        leaving = [rank, *carried(rank, node, others)]
        steps.append(send([recvbuf[source] for source in leaving], peer))
    for peer in reversed(turned(rank, node)):
        coming = [peer, *carried(peer, node, others)]
        steps.append(recv([recvbuf[source] for source in coming], peer))
    yield steps


@algorithm("reduce_scatter", name="split_rail")
def reduce_scatter_on_rails(rank, p, sendbuf, recvbuf, groups):
    """Every rank leads: sums in the node, for its place on all nodes, then to owners.

    The allgather backwards. First a rank adds up in its node the blocks for itself and for the
    ranks at its place on the other nodes. Then it sends these sums there, and adds
    up what comes for its own block. Rank order is kept where the ranks of a node are neighbours.
    If nodes differ in size, places are counted round as in `alltoall.two_step`. All factors
    are upper bounds then; with nodes of one size they are exact.

    `group` says which ranks form a node.

    Cost: (ceil(p/group) - 1)*ceil(group/(p % group or group))*(alpha + n/p*(beta + gamma))
        + (min(group, p) - 1)*alpha + max((min(group, p) - 1)*ceil(p/group),
        ((p % group or group) - 1)*(1 + (ceil(p/group) - 1)
        *ceil(min(group, p)/(p % group or group))))*n/p*(beta + gamma)
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: after Cho et al. 2019
    """
    node, others, ahead, behind = around(rank, groups)
    peers, mine = turned(rank, node), [rank, *carried(rank, node, others)]
    total = {i: scratch(recvbuf, sendbuf.size(i)) for i in mine}
    share = {peer: {i: scratch(total[i]) for i in mine} for peer in peers}
    steps = [copy(sendbuf[i], total[i]) for i in mine]
    for peer in peers:
        steps.append(send([sendbuf[i] for i in [peer, *carried(peer, node, others)]], peer))
    steps += [recv([*share[peer].values()], peer) for peer in reversed(peers)]
    for peer in nearest(rank, peers):
        steps += [in_rank_order(rank, total[i], peer, share[peer][i]) for i in mine]
    yield steps
    arriving = {other[0]: scratch(recvbuf) for other in behind}
    steps = [send(total[dest], dest) for dest in carried(rank, node, ahead)]
    steps += [recv(arriving[other[0]], carrier(rank, node, other)) for other in behind]
    for first in nearest(node[0], arriving):
        steps.append(in_rank_order(node[0], total[rank], first, arriving[first]))
    yield [*steps, copy(total[rank], recvbuf)]


@algorithm("alltoall", also="2dh")
def two_step(rank, p, sendbuf, recvbuf, counts, groups):
    """Two steps: to the right place in one's own node, then to the right node.

    A rank sends each other of its node, in one message, the blocks for all ranks
    that have that one's place on their nodes. Then each has, from all of its node, what goes to
    the ranks at its own place, and sends these one message each: between nodes there are
    as many messages as nodes a rank, not as ranks, and longer ones. Every byte
    leaves its node once, and all ranks of a node send. `hierarchical` takes all bytes through
    one leader, three times.

    A node with fewer ranks counts round: place 5 on a node of 4 ranks is that of number 1,
    which has several ranks of a large node to send to. All factors are upper bounds
    then; with nodes of one size they are exact.

    `group` says which ranks form a node.

    Cost: (min(group, p) - 1)*(alpha + ceil(p/group)*n/p*beta) + (ceil(p/group) - 1)
        *ceil(group/(p % group or group))*(alpha + (p % group or group)*n/p*beta)
        + (ceil(p/group) - 1)*(group - (p % group or group))*n/p*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: MSCCL; Hwang et al. 2023
    """
    node, others, ahead, behind = around(rank, groups)
    held = {source: {rank: recvbuf[source]} for source in node}
    for source in node:
        for dest in carried(rank, node, others):
            size = int(counts[source][dest])
            mine = source == rank
            held[source][dest] = sendbuf[dest] if mine else scratch(recvbuf.buf, size)
    steps = [copy(sendbuf[rank], recvbuf[rank])]
    for peer in turned(rank, node):
        leaving = [peer, *carried(peer, node, others)]
        steps.append(send([sendbuf[dest] for dest in leaving], peer))
    for peer in reversed(turned(rank, node)):
        steps.append(recv(list(held[peer].values()), peer))
    yield steps
    sends = [
        send([held[source][dest] for source in node], dest) for dest in carried(rank, node, ahead)
    ]
    recvs = [
        recv([recvbuf[source] for source in other], carrier(rank, node, other)) for other in behind
    ]
    yield sends + recvs


def around(rank, groups):
    """A rank's node and the others: in order, those ahead first, and those behind first."""
    nodes, (node, _, _) = members(groups), place(rank, groups)
    ahead = turned(node, nodes)
    return node, [other for other in nodes if other != node], ahead, ahead[::-1]


def carried(rank, node, others):
    """The ranks on other nodes that a rank sends to, for all of its node: those at its place."""
    return [dest for other in others for dest in other[node.index(rank) :: len(node)]]


def carrier(rank, node, other):
    """The rank of another node that has what comes from there for a rank."""
    return other[node.index(rank) % len(other)]


def turned(one, all_of_them):
    """The others, beginning behind one of them, so that no two begin with the same."""
    number = all_of_them.index(one)
    return all_of_them[number + 1 :] + all_of_them[:number]


def hand_in(rank, node, leaders, sendbuf, recvbuf):
    """Everyone sends each leader its share; a leader adds up all of its share, in rank order."""
    shares, totals = split(sendbuf, len(leaders)), split(recvbuf, len(leaders))
    others = turned(rank, node)
    steps = [send(shares[leaders.index(r)], r) for r in others if r in leaders]
    if rank in leaders:
        mine = leaders.index(rank)
        arriving = {peer: scratch(shares[mine]) for peer in reversed(others)}
        steps += [recv(part, peer) for peer, part in arriving.items()]
        steps.append(copy(shares[mine], totals[mine]))
        for peer in nearest(rank, others):
            steps.append(in_rank_order(rank, totals[mine], peer, arriving[peer]))
    yield steps


def nearest(number, others):
    """Others in an order in which each adjoins what was added up before: lower ones first."""
    return sorted(others, key=lambda other: (other > number, abs(other - number)))


def hand_back(rank, node, leaders, recvbuf):
    """Each leader sends its share to everyone."""
    shares, others = split(recvbuf, len(leaders)), turned(rank, node)
    steps = [recv(shares[leaders.index(r)], r) for r in reversed(others) if r in leaders]
    if rank in leaders:
        steps += [send(shares[leaders.index(rank)], peer) for peer in others]
    yield steps


def on_rails(rank, groups, vector):
    """A ring allreduce of every piece of the vector that a rank has, all at once."""
    return side_by_side(
        ring(rank, owners, vector[first:last])
        for first, last, owners in rails(groups, vector.size)
        if rank in owners
    )


def ring(rank, owners, piece):
    """A ring allreduce of a piece of the vector among the ranks that have it."""
    part = split(piece, len(owners))
    yield from pass_round(rank, owners, part, scratch(part[0]))
    yield from pass_round(rank, owners, part)


@lru_cache(maxsize=64)
def rails(groups, n):
    """The pieces of a vector of n elements, and the ranks, one on each node, that have each.

    A piece ends where a share of some node ends: whoever has its first element has all of it.
    """
    nodes = members(groups)
    ends = [[*accumulate(even_counts(n, len(node)), initial=0)] for node in nodes]
    cuts = sorted({cut for each in ends for cut in each})
    return [
        (first, last, [node[bisect_right(each, first) - 1] for node, each in zip(nodes, ends)])
        for first, last in pairwise(cuts)
    ]


@lru_cache(maxsize=64)
def teams_of(groups, leaders):
    """The teams of each node, by its number: `leaders` runs of its ranks.

    There are fewer where the smallest node has fewer ranks.
    """
    nodes = members(groups)
    number = min(leaders, *map(len, nodes))
    return {groups[node[0]]: [*partition(node, even_counts(len(node), number))] for node in nodes}


@lru_cache(maxsize=64)
def lanes(groups, leaders):
    """For each team of a node, those who lead it on all nodes."""
    leading = [[team[0] for team in teams] for teams in teams_of(groups, leaders).values()]
    return [*map(list, zip(*leading))]
