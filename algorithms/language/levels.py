"""Two levels: which ranks form a node, and how some of the ranks run an algorithm."""

from collections import defaultdict
from functools import lru_cache
from itertools import groupby, zip_longest

from .steps import recv, send


class Groups(tuple):
    """The number of each rank's group; its hash is worked out once, however many ranks ask."""

    def __hash__(self):
        if not hasattr(self, "known"):
            self.known = super().__hash__()
        return self.known


@lru_cache(maxsize=64)
def by_number(groups):
    """The ranks of each node, by its number, the node with the lowest rank first."""
    found = defaultdict(list)
    for rank, number in enumerate(groups):
        found[number].append(rank)
    return dict(found)


@lru_cache(maxsize=64)
def members(groups):
    """The ranks of each node, the node with the lowest rank first."""
    return list(by_number(groups).values())


@lru_cache(maxsize=64)
def leaders_of(groups, root=None):
    """The leader of each node: the root of its own, the first rank of any other."""
    return [root if root in node else node[0] for node in members(groups)]


@lru_cache(maxsize=64)
def neighbourhoods(groups):
    """The runs of neighbouring ranks of one node: several where its ranks lie scattered."""
    return [list(run) for _, run in groupby(range(len(groups)), groups.__getitem__)]


def place(rank, groups, root=None):
    """The ranks of this rank's node, the leaders of all nodes, and this node's.

    The root leads its own node, the first rank leads any other.
    """
    node = by_number(groups)[groups[rank]]
    return node, leaders_of(groups, root), root if root in node else node[0]


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
