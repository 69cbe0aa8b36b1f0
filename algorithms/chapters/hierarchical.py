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

What is gained is that a vector crosses the network once per node, not once per rank. A
simulator that takes every message to cost the same does not see that, only that there are a
few more rounds; given a topology, such as `nodes:8x8,nic=25G`, it does. One leader per node
cannot keep a fast network busy, and while it talks to other nodes its own node waits:
`multi_leader.py` has several leaders, and `overlapping.py` runs both levels at once.

In all of them the parameter `group` says which ranks form a node: so many neighbouring
ranks, or a number for each rank; without it, those that MPI finds on one machine, or those of
the simulator's topology.
"""

from functools import lru_cache

from .. import allreduce as on_one_level
from .. import alltoall as everybody
from .. import barrier as signals
from .. import bcast as spread
from .. import exscan as below
from .. import gather as collect
from .. import reduce as combine
from .. import reduce_scatter as share
from .. import scan as prefixes
from .. import scatter as hand_out
from ..language import (
    NOTHING,
    Bundles,
    algorithm,
    among,
    binomial_tree,
    copy,
    members,
    neighbourhoods,
    partition,
    place,
    recv,
    reduce,
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
def reduce_to_root(rank, p, sendbuf, recvbuf, root, groups):
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


@algorithm("gather", name="hierarchical")
def gather(rank, p, sendbuf, recvbuf, root, counts, groups):
    """Two levels: each node collects its blocks, the root those of all nodes.

    The root leads its own node, the first rank leads any other. Both phases are binomial
    trees; the blocks of a node leave it as one message. The factor of beta is that of root 0
    and an upper bound if the nodes differ in size.

    `group` says which ranks form a node.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Kielmann et al. 1999; Karonis et al. 2000
    """
    node, leaders, leader = place(rank, groups, root)
    own = [int(counts[member]) for member in node]
    mine = total = None
    if rank == root:
        mine = Bundles([recvbuf[member]] for member in node)
        total = Bundles([recvbuf[member] for member in other] for other in members(groups))
    elif rank == leader:
        mine = partition(scratch(sendbuf, sum(own)), own)
    yield from among(node, rank, collect.tree, sendbuf, mine, node.index(leader), own)
    if rank == leader:
        place_of_root, sizes = leaders.index(root), of_nodes(tuple(counts), groups)
        held = total[place_of_root] if rank == root else mine.buf
        yield from among(leaders, rank, collect.tree, held, total, place_of_root, sizes)


@algorithm("scatter", name="hierarchical")
def scatter(rank, p, sendbuf, recvbuf, root, counts, groups):
    """Two levels: the root hands each node its blocks, the leader each rank its own.

    The gather backwards. The root leads its own node, the first rank leads any other. Both
    phases are binomial trees; the blocks of a node enter it as one message. The factor of
    beta is that of root 0 and an upper bound if the nodes differ in size.

    `group` says which ranks form a node.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*alpha + (p-1)*n/p*beta
    Restrictions: none
    Reference: Kielmann et al. 1999; Karonis et al. 2000
    """
    node, leaders, leader = place(rank, groups, root)
    own = [int(counts[member]) for member in node]
    mine = total = None
    if rank == root:
        total = Bundles([sendbuf[member] for member in other] for other in members(groups))
    if rank == leader:
        mine, sizes = partition(scratch(recvbuf, sum(own)), own), of_nodes(tuple(counts), groups)
        yield from among(leaders, rank, hand_out.tree, total, mine.buf, leaders.index(root), sizes)
    yield from among(node, rank, hand_out.tree, mine, recvbuf, node.index(leader), own)


@algorithm("reduce_scatter", name="hierarchical")
def reduce_scatter(rank, p, sendbuf, recvbuf, groups):
    """Two levels: reduce in nodes, reduce-scatter of leaders, scatter in nodes.

    The first rank of a node is its leader and adds up the vectors of its node, on a binomial
    tree. Each leader sends every other the sums of that one's node, and adds up what it
    gets for its own. Then each rank gets its block. All vectors pass the leader's port:
    for short ones. If the nodes differ in size, the factors of beta and gamma are upper
    bounds.

    `group` says which ranks form a node.

    Cost: ceil(lg(min(group, p)))*(2*alpha + n*beta + n*gamma) + (min(group, p) - 1)*n/p*beta
        + (ceil(p/group) - 1)*(alpha + group*n/p*beta + group*n/p*gamma)
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: Kielmann et al. 1999
    """
    node, leaders, leader = place(rank, groups)
    counts = sendbuf.sizes
    own, block = [counts[member] for member in node], None
    if rank == leader:
        total = scratch(sendbuf.buf)
        by_node = partition(scratch(sendbuf.buf), of_nodes(counts, groups))
        block = partition(scratch(recvbuf, sum(own)), own)
    yield from among(node, rank, combine.tree, sendbuf.buf, total if block else None, 0)
    if rank == leader:
        sums = partition(total, counts)
        yield copy([sums[member] for other in members(groups) for member in other], by_node.buf)
        yield from among(leaders, rank, share.naive, by_node, block.buf)
    yield from among(node, rank, hand_out.tree, block, recvbuf, 0, own)


@algorithm("scan", name="hierarchical")
def scan(rank, p, sendbuf, recvbuf, groups):
    """Two levels: scan in the nodes, an exscan of their sums, and back into the nodes.

    After the scan in its node the last rank has the sum over the node. An exscan among these
    last ranks tells each of them the sum over all nodes before its own, which then goes down
    a binomial tree in its node, where each rank adds it on the left: for short vectors. Only
    ranks that are neighbours can be taken together here: of a node whose ranks lie scattered,
    each run of neighbours works as a node of its own. All factors are upper bounds, which
    are met by nodes of one size.

    `group` says which ranks form a node.

    Cost: (ceil(lg(min(group, p))) + (p > group)*(1 + ceil(lg(max(ceil(p/group) - 1, 1)))
        + ceil(lg(group))))*(alpha + n*beta) + (ceil(lg(min(group, p)))
        + (p > group)*(1 + ceil(lg(max(ceil(p/group) - 1, 1)))))*n*gamma
    Restrictions: none
    Reference: MPICH (smp)
    """
    run, ends = neighbourhood(rank, groups)
    yield from among(run, rank, prefixes.recursive_doubling, sendbuf, recvbuf)
    before = yield from sum_before(rank, run, ends, recvbuf)
    if before is not None:
        yield reduce(before, recvbuf)


@algorithm("exscan", name="hierarchical")
def exscan(rank, p, sendbuf, recvbuf, groups):
    """Two levels: exscan in nodes, an exscan of their sums, and back into nodes.

    `scan.hierarchical`, but the last rank of a node adds its own vector only to the sum that
    it takes to the other nodes. The first rank of a node gets what comes before the node, the
    others add it on the left. All factors are upper bounds, which are met by nodes of one
    size.

    `group` says which ranks form a node.

    Cost: ((min(group, p) > 1) + ceil(lg(max(min(group, p) - 1, 1)))
        + (p > group)*(1 + ceil(lg(max(ceil(p/group) - 1, 1)))
        + ceil(lg(group))))*(alpha + n*beta) + (ceil(lg(max(min(group, p) - 1, 1)))
        + (p > group)*(2*(group > 1) + ceil(lg(max(ceil(p/group) - 1, 1)))))*n*gamma
    Restrictions: none
    Reference: MPICH (smp)
    """
    run, ends = neighbourhood(rank, groups)
    total = scratch(sendbuf)
    yield copy(sendbuf, total)
    yield from among(run, rank, below.recursive_doubling, sendbuf, recvbuf)
    if rank == run[-1] and len(run) > 1 and rank < p - 1:
        yield reduce(recvbuf, total)
    before = yield from sum_before(rank, run, ends, total)
    if before is not None:
        yield copy(before, recvbuf) if rank == run[0] else reduce(before, recvbuf)


def neighbourhood(rank, groups):
    """The run of neighbours in one node that this rank is in, and the last ranks of all runs."""
    runs = neighbourhoods(groups)
    return next(run for run in runs if rank in run), [run[-1] for run in runs]


def sum_before(rank, run, ends, total):
    """The sum over all ranks before a run, whose own is the `total` of its last rank."""
    before = scratch(total) if run[-1] != ends[0] else None
    if rank == run[-1]:
        yield from among(ends, rank, below.recursive_doubling, total, before)
    if before is not None:
        yield from among(run, rank, spread.tree, before, len(run) - 1)
    return before


@lru_cache(maxsize=64)
def of_nodes(counts, groups):
    """How long the blocks of all ranks of a node are together, for each node."""
    return tuple([sum(int(counts[rank]) for rank in node) for node in members(groups)])


def to_leader(team, rank, sendbuf, recvbuf):
    """The first rank of a team collects the blocks of all, each in its place."""
    blocks = recvbuf.chosen(team)
    counts = [blocks.size(i) for i in range(len(team))]
    leader = rank == team[0]
    yield from among(team, rank, collect.tree, sendbuf, blocks if leader else None, 0, counts)


def report(rank, p):
    """Signal to rank 0 that all have come."""
    parent, children, _ = binomial_tree(rank, p)
    for child in reversed(children):
        yield recv(NOTHING, child.root)
    if parent is not None:
        yield send(NOTHING, parent)
