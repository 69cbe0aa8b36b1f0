"""Rounds in few bytes: what a round has in common with the one before is not said again.

A round has a shape (the place of its yield, and how many views each message and step has) and
numbers (peers and views). A folded round is the number of its shape, and by how much its numbers
differ from those of the round of this shape before: the last one of the rank, or without one
the first one of the ranks before. In a ring nearly all of that is -1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from collectives.explain.recording import Compact

Shape = tuple[Any, ...]


def folded(ranks: Iterable[Sequence[Compact]], views: Sequence[int]) -> dict[str, Any]:
    """The rounds of all ranks, folded.

    Parameters
    ----------
    ranks : iterable of sequence of Compact
        The rounds of each rank, with the number of their place in front.
    views : sequence of int
        For every number of a view in them the one to put in its place.

    Returns
    -------
    dict
        `shapes`, and `ranks`: lists of folded rounds.
    """
    shapes: dict[Shape, int] = {}
    begin: dict[int, list[int]] = {}
    made = []
    for rounds in ranks:
        before, first = dict(begin), dict[int, list[int]]()
        changes = []
        for round_ in rounds:
            shape, numbers = _parted(round_, views)
            which = shapes.setdefault(shape, len(shapes))
            base = before.get(which) or repeat(0)
            changes.append([which, *[a - b for a, b in zip(numbers, base, strict=False)]])
            before[which] = numbers
            first.setdefault(which, numbers)
        begin |= first
        made.append(changes)
    return {"shapes": list(shapes), "ranks": made}


def _parted(round_: Compact, views: Sequence[int]) -> tuple[Shape, list[int]]:
    """A round as its shape and its numbers."""
    place, sends, recvs, steps = round_
    counts = [tuple(len(message) - 1 for message in each) for each in (sends, recvs)]
    local = tuple((kind, len(reads), len(writes)) for kind, reads, writes in steps)
    numbers: list[int] = []
    for peer, *carried in chain(sends, recvs):
        numbers += peer, *[views[view] for view in carried]
    for _, reads, writes in steps:
        numbers += [views[view] for view in chain(reads, writes)]
    return (place, *counts, local), numbers
