"""Two levels: which ranks form a node, and how some of the ranks run an algorithm."""

from collections import defaultdict
from functools import lru_cache
from itertools import groupby, zip_longest

from .steps import recv, send


@lru_cache(maxsize=64)
def members(groups):
    """The ranks of each node, the node with the lowest rank first."""
    found = defaultdict(list)
    for rank, number in enumerate(groups):
        found[number].append(rank)
    return list(found.values())


@lru_cache(maxsize=64)
def neighbourhoods(groups):
    """The runs of neighbouring ranks of one node: several where its ranks lie scattered."""
    return [list(run) for _, run in groupby(range(len(groups)), groups.__getitem__)]


def place(rank, groups, root=None):
    """The ranks of this rank's node, the leaders of all nodes, and this node's.

    The root leads its own node, the first rank leads any other.
    """
    nodes = members(groups)
    leaders = [root if root in node else node[0] for node in nodes]
    own = next(i for i, node in enumerate(nodes) if rank in node)
    return nodes[own], leaders, leaders[own]


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


def side_by_side(algorithms):
    """Several algorithms at once: a round of each makes one round."""
    for rounds in zip_longest(*algorithms, fillvalue=()):
        together = []
        for steps in rounds:
            together.extend(steps if isinstance(steps, (tuple, list)) else [steps])
        yield together
