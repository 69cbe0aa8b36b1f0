"""Two levels at once: while one segment is between nodes, another is inside them.

In `hierarchical.py` a phase begins when the one before has ended: nodes wait while the leaders
talk to each other, and the network waits while the nodes talk. Here the vector is cut into
segments, and each goes on to the next level as soon as it can, while the next segment takes the
level that it left. For three nodes of three ranks the chain of leaders and the chains of the
nodes make one tree::

    0 -> 3 -> 6        leaders
    |    |    |
    1    4    7        their nodes
    |    |    |
    2    5    8

A chain passes each byte into a node once and out of it once, and into and out of a rank once; a
leader has two to tell, the next leader first. Once the first segments have come, a new one
comes to everybody whenever a leader has sent two messages.

An allreduce goes up this tree and down again. Its segments go up one behind the other, and
come down while others are still on their way up: all links are busy in both directions. When a
rank has to do with a segment follows from its depth, its hops from the top: the deeper, the
earlier on the way up and the later on the way down.

`group` says which ranks form a node, as in `hierarchical.py`.
"""

from ..language import (
    algorithm,
    copy,
    default_segments,
    in_rank_order,
    members,
    recv,
    scratch,
    send,
    split,
)
from .pipelined_trees import stream_down


@algorithm("bcast", name="hierarchical_pipelined", also="han")
def bcast(rank, p, buf, root, groups, *, segments=None):
    """Two levels that overlap: a chain of leaders, and a chain in each node.

    The root leads its own node, the first rank any other. Segments run along the chain of
    leaders, which begins at the root; each leader also sends every segment down the chain of
    its node, while the next one comes in. Each byte enters a node once and leaves it
    at most once. All factors are upper bounds, which are met by nodes of one size.

    `group` says which ranks form a node, and `segments` is the number of segments; by default
    the optimum where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(ceil(p/group) + min(group, p) - 2 + ((group > 1) + (p > group))
        *(segments - 1))*(alpha + n/segments*beta)
    Restrictions: none
    Reference: Luo et al. 2020 (levels that overlap)
    """
    chains = chains_from(root, groups)
    parent, children, _ = links(rank, chains)
    if segments is None:
        segments = default_segments(height(chains), buf.nbytes, rate=2)
    yield from stream_down(split(buf, segments), parent, children)


@algorithm("allreduce", name="hierarchical_pipelined", also="han")
def allreduce(rank, p, sendbuf, recvbuf, groups, *, segments=None):
    """Two levels that overlap, up and down: chains in the nodes and one of leaders.

    The first rank of a node is its leader. Segments run up the chain of the node to the leader
    and up the chain of leaders to the first, each rank adding its share, and then the same
    way back. While later segments are added up, earlier ones come down. Each byte enters
    and leaves a node twice, which for many nodes is as little as a ring takes. Rank order is
    kept where the ranks of a node are neighbours. All factors are upper bounds.

    `group` says which ranks form a node. `segments` is the number of segments; by default the
    optimum where starting a message costs as much as 8 KiB of it.

    Cost: (p > 1)*(2*(ceil(p/group) + min(group, p) - 2) + 2*(p > 2*group)*(group > 1)
        + max((p > group) + (p > 2*group) + (group > 1), min(group, p, 3) - 1)
        *(segments - 1))*(alpha + n/segments*beta)
        + (p > 1)*((1 + (group > 1))*(ceil(p/group) - 1) + min(group, p) - 1
        + (1 + (p > group)*(group > 1))*(segments - 1))*n/segments*gamma
    Restrictions: keeps rank order in groups of neighbouring ranks only
    Reference: Luo et al. 2020 (levels that overlap)
    """
    chains = chains_from(0, groups)
    parent, children, depth = links(rank, chains)
    top = height(chains)
    if segments is None:
        segments = default_segments(2 * top, sendbuf.nbytes, rate=3)
    total = split(recvbuf, segments)
    arriving = {child: split(scratch(sendbuf), segments) for child in children}
    yield copy(sendbuf, recvbuf)

    for beat in range(top + depth + segments):
        passed, told = beat - (top - depth), beat - (top + depth)
        added, coming = passed + 1, told + 1
        steps = []
        if 0 <= passed < segments and parent is not None:
            steps.append(send(total[passed], parent))
        if 0 <= told < segments:
            steps += [send(total[told], child) for child in children]
        if 0 <= coming < segments and parent is not None:
            steps.append(recv(total[coming], parent))
        if 0 <= added < segments:  # its own node first, whose ranks come before those of others
            for child in reversed(children):
                share = arriving[child][added]
                steps += recv(share, child), in_rank_order(rank, total[added], child, share)
        yield steps


def chains_from(root, groups):
    """The ranks of each node, the leader first; the root's node before all."""
    nodes = members(groups)
    home = next(i for i, node in enumerate(nodes) if root in node)
    first = [root, *(rank for rank in nodes[home] if rank != root)]
    return [first, *nodes[home + 1 :], *nodes[:home]]


def links(rank, chains):
    """The parent and the children of a rank in the tree of chains, and its depth."""
    node = next(i for i, chain in enumerate(chains) if rank in chain)
    chain = chains[node]
    hops = chain.index(rank)
    if hops:
        return chain[hops - 1], chain[hops + 1 : hops + 2], node + hops
    parent = chains[node - 1][0] if node else None
    return parent, [*(later[0] for later in chains[node + 1 : node + 2]), *chain[1:2]], node


def height(chains):
    """The hops to the deepest rank of the tree of chains."""
    return max(node + len(chain) - 1 for node, chain in enumerate(chains))
