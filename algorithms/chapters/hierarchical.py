"""Two levels: inside the nodes, and between their leaders.

Ranks on one node talk through memory, ranks on different nodes through a network
that is much slower and that they share. So each node has a leader, only leaders
talk to other nodes, and what they hear they tell the rest of their node. For
p = 10 and groups of 4, with root 5::

    nodes      0 1 2 3     4 5 6 7     8 9
    leaders    0           5           8        bcast: first 5 to 0 and 8,
                                                then each leader to its node

Every phase is an algorithm that we have, run among fewer ranks: `among` renumbers
its peers. Which ranks form a node is what `groups` says, a number for each rank, and
any ranks may. A reduction keeps rank order where each node is a run of neighbouring
ranks; where not, its operator must commute.

The clock of the simulator does not know nodes and sees only that there are a few
more rounds; what is gained is that the vector crosses the network once per node, not
per rank. One leader per node cannot keep a fast network busy: `multi_leader` has
several, each for a part of the node.

In all of them the parameter `group` says which ranks form a node: so many neighbouring
ranks, or a number for each rank; without it, those that MPI finds on one machine.
"""

from collections import defaultdict
from functools import lru_cache

from .. import allreduce as on_one_level
from .. import alltoall as everybody
from .. import barrier as signals
from .. import bcast as spread
from .. import gather as collect
from .. import reduce as combine
from .. import scatter as hand_out
from ..language import (
    NOTHING,
    Blocks,
    algorithm,
    binomial_tree,
    copy,
    even_counts,
    partition,
    recv,
    scratch,
    send,
)
from .rings import pass_round


@algorithm("barrier", name="hierarchical")
def barrier(rank, p, groups):
    """Two levels: nodes report to their leaders, leaders meet, nodes are let go.

    Reports come up and the answer goes down a binomial tree in each node; between
    them the leaders, the first ranks of the nodes, run a dissemination barrier.

    `group` says which ranks form a node.

    Cost: (2*ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*alpha
    Restrictions: none
    Reference: Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups)
    yield from among(node, rank, report)
    if rank == leader:
        yield from among(leaders, rank, signals.recursive_doubling)
    yield from among(node, rank, spread.tree, NOTHING, 0)


@algorithm("bcast", name="hierarchical")
def bcast(rank, p, buf, root, groups):
    """Two levels: the root tells the other leaders, each leader tells its node.

    The root leads its own node, the first rank leads any other. Both phases are
    binomial trees; the vector enters every node once.

    `group` says which ranks form a node.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*(alpha + n*beta)
    Restrictions: none
    Reference: Karonis et al. 2000; Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups, root)
    if rank == leader:
        yield from among(leaders, rank, spread.tree, buf, leaders.index(root))
    yield from among(node, rank, spread.tree, buf, node.index(leader))


@algorithm("reduce", name="hierarchical")
def reduce(rank, p, sendbuf, recvbuf, root, groups):
    """Two levels: each node adds up its vectors, the leaders add up the sums.

    The root leads its own node, the first rank leads any other. Both phases are
    binomial trees that keep rank order for every root, as far as the ranks of a node
    are neighbours; one vector leaves every node.

    `group` says which ranks form a node.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*(alpha + n*beta + n*gamma)
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups, root)
    partial = recvbuf if rank == root else scratch(sendbuf) if rank == leader else None
    yield from among(node, rank, combine.tree, sendbuf, partial, node.index(leader))
    if rank == leader:
        yield from among(leaders, rank, combine.tree, partial, recvbuf, leaders.index(root))


@algorithm("allreduce", name="hierarchical")
def allreduce(rank, p, sendbuf, recvbuf, groups):
    """Two levels: reduce in the nodes, allreduce between leaders, broadcast back.

    The first rank of a node is its leader. The leaders use recursive doubling, so the
    whole vector passes the port of a node once for each doubling of the number of
    nodes. Rank order is kept where the ranks of a node are neighbours.

    `group` says which ranks form a node.

    Cost: (2*ceil(lg(min(group, p))) + floor(lg(ceil(p/group))) + 2*fold(ceil(p/group)))
        *(alpha + n*beta) + (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*n*gamma
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups)
    yield from among(node, rank, combine.tree, sendbuf, recvbuf if rank == leader else None, 0)
    if rank == leader:
        yield from among(leaders, rank, on_one_level.recursive_doubling, recvbuf, recvbuf)
    yield from among(node, rank, spread.tree, recvbuf, 0)


@algorithm("allgather", name="hierarchical")
def allgather(rank, p, sendbuf, recvbuf, groups):
    """Two levels: gather in the nodes, a ring of leaders, broadcast back.

    The first rank of a node is its leader. It collects the blocks of its node, which
    go round a ring of leaders as one message; in the end it hands its node the whole
    vector. If the nodes differ in size, the factor of beta is an upper bound.

    `group` says which ranks form a node.

    Cost: ceil(lg(min(group, p)))*(2*alpha + n*beta) + (min(group, p) - 1)*n/p*beta
        + (ceil(p/group) - 1)*(alpha + group*n/p*beta)
    Restrictions: none
    Reference: Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups)
    yield from to_leader(node, rank, sendbuf, recvbuf)
    if rank == leader:
        part = [[recvbuf[member] for member in other] for other in members(groups)]
        yield from pass_round(rank, leaders, part)
    yield from among(node, rank, spread.tree, recvbuf[:], 0)


@algorithm("allgather")
def multi_leader(rank, p, sendbuf, recvbuf, groups, *, leaders=2):
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
    nodes = members(groups)
    number = min(leaders, *map(len, nodes))
    teams = [partition(node, even_counts(len(node), number)) for node in nodes]
    here = next(i for i, node in enumerate(nodes) if rank in node)
    mine = next(i for i, team in enumerate(teams[here]) if rank in team)
    team, block = teams[here][mine], [[[recvbuf[r] for r in t] for t in ts] for ts in teams]
    yield from to_leader(team, rank, sendbuf, recvbuf)
    if rank == team[0]:
        lane = [parts[mine][0] for parts in teams]
        yield from pass_round(rank, lane, [parts[mine] for parts in block])
        heard = [[view for parts in block for view in parts[i]] for i in range(number)]
        yield from pass_round(rank, [t[0] for t in teams[here]], heard)
    yield from among(team, rank, spread.tree, recvbuf[:], 0)


@algorithm("alltoall", name="hierarchical")
def alltoall(rank, p, sendbuf, recvbuf, counts, groups):
    """Two levels: gather in the nodes, an all-to-all of leaders, scatter in the nodes.

    The first rank of a node is its leader and collects all blocks of its ranks. Two
    leaders exchange one message, with the blocks between any ranks of their nodes,
    where there would be one for any pair of ranks. Then each rank gets those for it.
    All bytes pass the leader's port three times: for short blocks. If the nodes differ
    in size, the factor of beta is an upper bound.

    `group` says which ranks form a node.

    Cost: (2*ceil(lg(min(group, p))) + ceil(p/group) - 1)*alpha
        + (2*(min(group, p) - 1) + (ceil(p/group) - 1)*min(group, p)**2/p)*n*beta
    Restrictions: none; where blocks differ, an allgather of all p*p counts comes first
    Reference: Träff, Rougier 2014
    """
    node, leaders, leader = place(rank, groups)
    leaving, coming = (ends[node].tolist() for ends in (counts.sum(axis=1), counts.sum(axis=0)))
    mine, received = (scratch(recvbuf.buf, ends[node.index(rank)]) for ends in (leaving, coming))
    by_source = by_dest = None
    if rank == leader:
        by_source, by_dest = (
            partition(scratch(recvbuf.buf, sum(ends)), ends) for ends in (leaving, coming)
        )
    yield copy(sendbuf[0:p], mine)
    yield from among(node, rank, collect.tree, mine, by_source, 0, leaving)
    if rank == leader:
        row = [partition(by_source[i], counts[source]) for i, source in enumerate(node)]
        column = [partition(by_dest[i], counts[:, dest]) for i, dest in enumerate(node)]
        sends = [[one[dest] for one in row for dest in other] for other in members(groups)]
        recvs = [[one[source] for source in other for one in column] for other in members(groups)]
        yield from among(leaders, rank, everybody.naive, sends, recvs)
    yield from among(node, rank, hand_out.tree, by_dest, received, 0, coming)
    yield copy(received, recvbuf[0:p])


def place(rank, groups, root=None):
    """The ranks of this rank's node, the leaders of all nodes, and this node's."""
    nodes = members(groups)
    leaders = [root if root in node else node[0] for node in nodes]
    own = next(i for i, node in enumerate(nodes) if rank in node)
    return nodes[own], leaders, leaders[own]


@lru_cache(maxsize=64)
def members(groups):
    """The ranks of each node, the node with the lowest rank first."""
    found = defaultdict(list)
    for rank, number in enumerate(groups):
        found[number].append(rank)
    return list(found.values())


def to_leader(team, rank, sendbuf, recvbuf):
    """The first rank of a team collects the blocks of all, each in its place."""
    starts, stops = ([ends[member] for member in team] for ends in (recvbuf.starts, recvbuf.stops))
    near = recvbuf.adjacent and team[-1] - team[0] == len(team) - 1
    blocks = Blocks(recvbuf.buf, starts, stops, near, recvbuf.origin)
    counts = [blocks.size(i) for i in range(len(team))]
    leader = rank == team[0]
    yield from among(team, rank, collect.tree, sendbuf, blocks if leader else None, 0, counts)


def among(ranks, rank, generator, *arguments):
    """Run an algorithm among some of the ranks: number i of them is `ranks[i]`."""
    for steps in generator(ranks.index(rank), len(ranks), *arguments):
        renumbered = []
        for step in steps if isinstance(steps, (tuple, list)) else [steps]:
            if isinstance(step, send):
                step = send(step.buf, ranks[step.dest])
            elif isinstance(step, recv):
                step = recv(step.buf, ranks[step.source])
            renumbered.append(step)
        yield renumbered


def report(rank, p):
    """Signal to rank 0 that all have come."""
    parent, children, _ = binomial_tree(rank, p)
    for child in reversed(children):
        yield recv(NOTHING, child.root)
    if parent is not None:
        yield send(NOTHING, parent)
