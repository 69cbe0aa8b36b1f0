"""Two levels at once: while one segment is between nodes, another is inside them.

In `hierarchical.py` a phase begins when the one before has ended: nodes wait while the leaders
talk to each other, and the network waits while the nodes talk. Here the vector is cut into
segments, and each goes on to the next level as soon as it can, while the next segment takes the
level that it left.

`hierarchical_pipelined` sends segments along a chain of nodes. They come in by the first rank of
a node and leave by the last, so that no rank sends to both levels; the ranks between get
them down a chain of their own. For three nodes of four ranks::

    0 --> 3 -> 4 --> 7 -> 8
    |          |          |
    1          5          9
    |          |          |
    2          6          10 -> 11

Each byte enters a node once and leaves it once. An allreduce goes up this tree and
down again. Its segments go up one behind the other, and come down while others are still on
their way up: all links are busy in both directions. When a rank has to do with a segment
follows from its depth, its hops from the top: the deeper, the earlier on the way up and the
later on the way down.

`split_rail_pipelined` has rings in place of chains, and every rank talks to both levels. A rank has
one port, so half of a node's ranks begin each round with the network and half with the
node: there is always one who uses the network.

`group` says which ranks form a node, as in `hierarchical.py`.
"""

from functools import lru_cache
from itertools import accumulate

from ..language import (
    algorithm,
    copy,
    default_segments,
    in_rank_order,
    members,
    place,
    recv,
    scratch,
    send,
    side_by_side,
    split,
)
from .multi_leader import on_rails
from .pipelined_trees import stream_down
from .rings import pass_round


@algorithm("bcast", name="hierarchical_pipelined", also="han")
def bcast(rank, p, buf, root, groups, *, segments=None):
    """Two levels that overlap: a chain of nodes, and a chain in each node.

    The nodes make a chain, which begins with the root's. A segment comes to the first rank of a
    node, or to the root, which sends it to the last, which sends it to the next node, and
    down a chain of the ranks between, while the next segment comes in. Each byte enters a node
    once and leaves it at most once. All factors are upper bounds, which are met by nodes of one
    size.

    `group` says which ranks form a node, and `segments` is the number of segments; by default
    the optimum where starting a message costs as much as 8 KiB of it.

    Cost: ((ceil(p/group) - 1)*(1 + (group > 1)) + min(group, p) - 1
        + (p > 1)*(1 + (p > group)*(group > 2))*(segments - 1))*(alpha + n/segments*beta)
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
    """Two levels that overlap, up and down: chains in the nodes and one of nodes.

    The tree of the broadcast from rank 0, up and then down. A segment comes to the first rank of
    a node from the ranks before the last, one after the other, and from the last with all
    that lies beyond the node; each adds its share. While later segments are added up, earlier
    ones come down. Each byte enters and leaves a node twice, which for many nodes is as
    little as a ring takes. Rank order is kept where the ranks of a node are neighbours. All
    factors are upper bounds.

    `group` says which ranks form a node. `segments` is the number of segments; by default the
    optimum where starting a message costs as much as 8 KiB of it.

    Cost: (2*(ceil(p/group) - 1)*(1 + (group > 1)) + 2*(min(group, p) - 1)
        + 2*(p > 2*group)*(group > 2)
        + (min(p - 1, 2) + (p > 2*group)*(group > 2))*(segments - 1))*(alpha + n/segments*beta)
        + ((ceil(p/group) - 1)*(1 + min(group - 1, 2)) + min(group, p) - 1
        + (p > 1)*(1 + (p > group)*(group > 2))*(segments - 1))*n/segments*gamma
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


@algorithm("allreduce", commutative=True)
def split_rail_pipelined(rank, p, sendbuf, recvbuf, groups, *, segments=None):
    """Two levels that overlap, every rank a leader: `split_rail`, segment by segment.

    A ring in the node adds up a segment and leaves each rank with one share; ranks with the same
    share, one on each node, add it up on rings of their own; then it goes round in the node
    again. While a segment is between nodes, the one after it is at the first of the three and
    the one before at the last, a round of each in one. Every second rank of a node begins with
    the network and the others with their node, so that the network never waits, and each
    node sends the fewest bytes possible, 2(m-1)/m of the vector on m nodes. Nodes of different
    sizes are dealt with as in `split_rail`. On one port of each rank both levels take their time,
    and up to a quarter more where they wait for each other. All factors are upper bounds.

    `group` says which ranks form a node, and `segments` is the number of segments; by default as
    many as leave messages of 64 KiB between nodes.

    Cost: (1 + (p > group)/4)*(2*(min(group, p) - 1)*(segments*alpha + n/min(group, p)*beta)
        + 2*(ceil(p/group) - 1)*segments*(ceil(group/(p % group or group))
        + (group % (p % group or group) > 0))*alpha
        + 2*(1 - 1/ceil(p/group))*n/(p % group or group)*beta
        + ((1 - 1/min(group, p)) + (1 - 1/ceil(p/group))/(p % group or group))*n*gamma)
    Restrictions: commutative op; the rings add up in cyclic order
    Reference: Luo et al. 2020 (levels that overlap); UCC (split_rail)
    """
    if segments is None:
        segments = max(1, recvbuf.nbytes // (p * 65536))
    node, _, _ = place(rank, groups)
    segment = split(recvbuf, segments)
    share = [split(segment[k], len(node)) for k in range(segments)]
    arriving = scratch(share[0][0])

    def inside(k):
        if k < segments:
            yield from pass_round(rank, node, share[k], arriving)
        if k >= 2:
            yield from pass_round(rank, node, share[k - 2])

    yield copy(sendbuf, recvbuf)
    for k in range(segments + 2):
        between = on_rails(rank, groups, segment[k - 1]) if 0 < k <= segments else ()
        levels = [between, inside(k)]
        yield from side_by_side(reversed(levels) if node.index(rank) % 2 else levels)


@lru_cache(maxsize=64)
def chains_from(root, groups):
    """The ranks of each node, the leader first; the root's node before all."""
    nodes = members(groups)
    home = next(i for i, node in enumerate(nodes) if root in node)
    first = [root, *(rank for rank in nodes[home] if rank != root)]
    return [first, *nodes[home + 1 :], *nodes[:home]]


def links(rank, chains):
    """The parent and the children of a rank in the tree of nodes, and its depth."""
    number = next(i for i, chain in enumerate(chains) if rank in chain)
    chain, beyond = chains[number], [later[0] for later in chains[number + 1 :][:1]]
    depth = sum(min(len(earlier), 2) for earlier in chains[:number])
    gate = chain[-1:] if beyond else []
    line = [chain[0], *(inner for inner in chain[1:] if inner not in gate)]
    if rank not in line:
        return chain[0], beyond, depth + 1
    place = line.index(rank)
    children = line[place + 1 : place + 2]
    if place:
        return line[place - 1], children, depth + place
    parent = chains[number - 1][-1] if number else None
    return parent, (beyond if gate == line else [*gate, *children]), depth


def height(chains):
    """Hops, as many as any rank of the tree is deep or a few more."""
    depths = accumulate((min(len(chain), 2) for chain in chains), initial=0)
    return max(depth + len(chain) - 1 for depth, chain in zip(depths, chains))
