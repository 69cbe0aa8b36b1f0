"""Two levels: inside the nodes, and between their leaders.

Ranks on one node talk through memory, ranks on different nodes through a network
that is much slower and that they share. So each node has a leader, only leaders
talk to other nodes, and what they hear they tell the rest of their node. For
p = 10 and a group of 4, with root 5::

    nodes      0 1 2 3     4 5 6 7     8 9
    leaders    0           5           8        bcast: first 5 to 0 and 8,
                                                then each leader to its node

Every phase is an algorithm that we have, run among fewer ranks: `among` renumbers
its peers. Consecutive ranks form a node, so rank order is kept. The clock of the
simulator does not know nodes and sees only that there are a few more rounds; what
is gained is that the vector crosses the network once per node, not per rank.
"""

from . import allreduce as on_one_level
from . import barrier as signals
from . import bcast as spread
from . import gather as collect
from . import reduce as combine
from .blocks import Blocks
from .memory import scratch
from .ranks import binomial_tree, neighbours
from .registry import algorithm
from .steps import NOTHING, recv, send


@algorithm("barrier", name="hierarchical")
def barrier(rank, p, *, group=4):
    """Two levels: nodes report to their leaders, leaders meet, nodes are let go.

    `group` neighbouring ranks form a node, the last one perhaps fewer. Reports
    come up and the answer goes down a binomial tree in each node; between them
    the leaders, the first ranks of the nodes, run a dissemination barrier.

    Cost: (2*ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*alpha
    Restrictions: none
    Reference: Karonis et al., International Parallel and Distributed Processing
        Symposium 2000
    """
    node, leaders, leader = nodes(rank, p, group)
    yield from among(node, rank, report)
    if rank == leader:
        yield from among(leaders, rank, signals.recursive_doubling)
    yield from among(node, rank, spread.tree, NOTHING, 0)


@algorithm("bcast", name="hierarchical")
def bcast(rank, p, buf, root, *, group=4):
    """Two levels: the root tells the other leaders, each leader tells its node.

    `group` neighbouring ranks form a node, the last one perhaps fewer. The root
    leads its own node, the first rank leads any other. Both phases are binomial
    trees; the vector enters every node once.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*(alpha + n*beta)
    Restrictions: none
    Reference: Karonis et al., International Parallel and Distributed Processing
        Symposium 2000
    """
    node, leaders, leader = nodes(rank, p, group, root)
    if rank == leader:
        yield from among(leaders, rank, spread.tree, buf, leaders.index(root))
    yield from among(node, rank, spread.tree, buf, node.index(leader))


@algorithm("reduce", name="hierarchical")
def reduce(rank, p, sendbuf, recvbuf, root, *, group=4):
    """Two levels: each node adds up its vectors, the leaders add up the sums.

    `group` neighbouring ranks form a node, the last one perhaps fewer. The root
    leads its own node, the first rank leads any other. Both phases are binomial
    trees that keep rank order for every root; one vector leaves every node.

    Cost: (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*(alpha + n*beta + n*gamma)
    Restrictions: none
    Reference: Karonis et al., International Parallel and Distributed Processing
        Symposium 2000
    """
    node, leaders, leader = nodes(rank, p, group, root)
    partial = recvbuf if rank == root else scratch(sendbuf) if rank == leader else None
    yield from among(node, rank, combine.tree, sendbuf, partial, node.index(leader))
    if rank == leader:
        yield from among(leaders, rank, combine.tree, partial, recvbuf, leaders.index(root))


@algorithm("allreduce", name="hierarchical")
def allreduce(rank, p, sendbuf, recvbuf, *, group=4):
    """Two levels: reduce in the nodes, allreduce between leaders, broadcast back.

    `group` neighbouring ranks form a node, the last one perhaps fewer; its first
    rank is the leader. The leaders use recursive doubling, so the whole vector
    passes the port of a node once for each doubling of the number of nodes.

    Cost: (2*ceil(lg(min(group, p))) + floor(lg(ceil(p/group))) + 2*fold(ceil(p/group)))
        *(alpha + n*beta) + (ceil(lg(min(group, p))) + ceil(lg(ceil(p/group))))*n*gamma
    Restrictions: none
    Reference: Karonis et al., International Parallel and Distributed Processing
        Symposium 2000
    """
    node, leaders, leader = nodes(rank, p, group)
    yield from among(node, rank, combine.tree, sendbuf, recvbuf if rank == leader else None, 0)
    if rank == leader:
        yield from among(leaders, rank, on_one_level.recursive_doubling, recvbuf, recvbuf)
    yield from among(node, rank, spread.tree, recvbuf, 0)


@algorithm("allgather", name="hierarchical")
def allgather(rank, p, sendbuf, recvbuf, *, group=4):
    """Two levels: gather in the nodes, a ring of leaders, broadcast back.

    `group` neighbouring ranks form a node, the last one perhaps fewer; its first
    rank is the leader. Each leader collects the blocks of its node, which go
    round a ring of leaders as one message; in the end it hands its node the whole
    vector. If p is not a multiple of the group, the factor of beta is an upper
    bound.

    Cost: ceil(lg(min(group, p)))*(2*alpha + n*beta) + (min(group, p) - 1)*n/p*beta
        + (ceil(p/group) - 1)*(alpha + group*n/p*beta)
    Restrictions: none
    Reference: Träff, Efficient allgather for regular SMP-clusters, EuroPVM/MPI 2006
    """
    node, leaders, leader = nodes(rank, p, group)
    counts = [recvbuf.size(member) for member in node]
    starts, stops = ([ends[member] for member in node] for ends in (recvbuf.starts, recvbuf.stops))
    mine = Blocks(recvbuf.buf, starts, stops, recvbuf.adjacent, recvbuf.origin)
    yield from among(node, rank, collect.tree, sendbuf, mine if rank == leader else None, 0, counts)
    if rank == leader:
        left, right = (leaders[i] for i in neighbours(leaders.index(rank), len(leaders)))
        for k in range(len(leaders) - 1):
            out, into = ((leader - i * group) % (len(leaders) * group) for i in (k, k + 1))
            yield (
                send(recvbuf[out : min(out + group, p)], right),
                recv(recvbuf[into : min(into + group, p)], left),
            )
    yield from among(node, rank, spread.tree, recvbuf[:], 0)


def nodes(rank, p, group, root=0):
    """The ranks of this rank's node, the leaders of all nodes, and this node's."""
    first = rank - rank % group
    leaders = [root if at <= root < at + group else at for at in range(0, p, group)]
    return range(first, min(first + group, p)), leaders, leaders[rank // group]


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
