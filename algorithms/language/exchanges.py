"""What the ranks of a tree do, whatever they do it for, and sums of vectors in pieces.

Algorithms of one primitive that are put together from those of another are in the
other's file: `bcast` uses `allgather` and `scatter`. What would make two files need
each other is here.
"""

from .blocks import partition
from .memory import scratch
from .steps import copy, in_rank_order, recv, reduce, send


def pass_down(tree, buf):
    """A vector goes down a tree: take it from the parent, send it to the children.

    The largest subtree comes first, since it has the longest way to go.
    """
    parent, children, _ = tree
    if parent is not None:
        yield recv(buf, parent)
    for child in children:
        yield send(buf, child.root)


def pass_up(rank, tree, sendbuf, recvbuf):
    """Sums go up a tree: add what the children send to one's own, and tell the parent.

    The smallest subtree comes first. The root has the sum in `recvbuf`, which others do
    not need. The ranks of a subtree are neighbours, so that rank order is kept.
    """
    parent, children, _ = tree
    total = recvbuf if parent is None else scratch(sendbuf)
    arriving = scratch(sendbuf)
    yield copy(sendbuf, total)
    for child in reversed(children):
        yield recv(arriving, child.root), in_rank_order(rank, total, child.root, arriving)
    if parent is not None:
        yield send(total, parent)


def add_pieces(vector, pieces, out, left=True):
    """Steps that combine a vector, on the left or the right, with one that lies in pieces."""
    length = [piece.size for piece in pieces]
    parts = zip(partition(vector, length), pieces, partition(out, length))
    return [reduce(a, b, o) if left else reduce(b, a, o) for a, b, o in parts]
