"""Whether the plans of all ranks are one plan, but for whose blocks it is about.

Where an algorithm is the same seen from every rank (`symmetric`), block i of one rank's plan
is block i + d, or i ^ d, of another's. The pass over plans then leaves out the same copies for
all, as long as nothing depends on which blocks are neighbours: every view is a whole buffer
or lies within one block, there are no lists of views, and of what is copied whole all is kept
or nothing. Messages of such plans are never packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from collectives.engines.driver import Round
from collectives.engines.packing import address_of
from collectives.engines.places import owner_of
from collectives.engines.plan import Plan


def is_turned(plans: Mapping[int, Plan]) -> bool:
    """Whether plans of an algorithm that is the same for all differ in whose blocks they name.

    Parameters
    ----------
    plans : mapping
        As recorded, by rank: of the first rank and the last one, at least. What follows them is
        so for all ranks, because anyone's index of a block is a turn, some bits that are
        flipped, or a constant, and the last rank tells these apart.
    """
    p = max(plans) + 1
    first, *others = (_Trace.of(plan) for plan in plans.values())
    if first.shape is None or any(other.shape != first.shape for other in others):
        return False
    spots = np.array([trace.spots for trace in (first, *others)], np.int64).reshape(
        len(plans), -1, 3
    )
    buffer, start, length = spots.transpose(2, 0, 1)
    size = np.array(first.sizes, np.int64)[buffer[0]]
    still = (start == start[0]).all(axis=0)
    whole = still & (length[0] == size)
    moving, partial = ~still, still & ~whole & (length[0] > 0)
    if not _by_blocks(start[:, moving], length[0, moving], size[moving], np.array([*plans]), p):
        return False
    kinship = _Kinship(len(first.sizes))
    step = np.array(first.step)
    for apart in (1, 2):  # a step has up to three views
        near = np.flatnonzero((step[apart:] == step[:-apart]) & (step[apart:] >= 0))
        for one, other in ((near, near + apart), (near + apart, near)):
            both = whole[one] & whole[other]
            kinship.join(buffer[0, one[both]], buffer[0, other[both]])
            partial[one] |= whole[one] & partial[other]
    turned, fixed = (kinship.of(buffer[0, which]) for which in (moving, partial))
    return not turned & fixed  # a block of anyone's, and one that is the same for all


def _by_blocks(
    start: np.ndarray, length: np.ndarray, size: np.ndarray, ranks: np.ndarray, p: int
) -> bool:
    """Whether these views, a row for each rank, lie in blocks at a fixed distance."""
    if not size.size:
        return True
    block = size // p
    if (block * p != size).any() or not block.all():
        return False
    index, offset = start // block, start % block
    if (offset != offset[0]).any() or (offset[0] + length > block).any():
        return False
    turned = (index[0] + ranks[:, None] - ranks[0]) % p == index
    flipped = index[0] ^ ranks[:, None] ^ ranks[0] == index
    return bool(turned.all() or flipped.all())


class _Kinship:
    """Which buffers have one another's blocks, because they are copied as a whole."""

    def __init__(self, count: int):
        self._head = list(range(count))

    def join(self, some: np.ndarray, others: np.ndarray) -> None:
        for one, other in {*zip(some.tolist(), others.tolist())}:
            old, new = self._head[one], self._head[other]
            self._head = [new if head == old else head for head in self._head]

    def of(self, buffers: np.ndarray) -> set[int]:
        """The kins of some buffers."""
        return {self._head[buffer] for buffer in set(buffers.tolist())}


class _Trace(NamedTuple):
    """The memory that a plan uses.

    Attributes
    ----------
    shape : list or None
        All but where the views lie; None if there are lists of views.
    spots : list of (int, int, int)
        Of each view its buffer, in the order in which they come up, its first byte there and
        its length.
    step : list of int
        Which local step has a view; -1 for messages.
    sizes : list of int
        Bytes of each buffer.
    """

    shape: list | None
    spots: list[tuple[int, int, int]]
    step: list[int]
    sizes: list[int]

    @classmethod
    def of(cls, plan: Plan) -> _Trace:
        trace = cls([], [], [], [])
        known: dict[int, tuple[int, int]] = {}
        for number, round_ in zip(plan.numbers, plan.rounds, strict=True):
            for kind, views, step in _accesses(round_):
                if len(views) != 1:
                    return trace._replace(shape=None)
                [view] = views
                trace.shape.append((number, kind, view.size, view.dtype))  # type: ignore
                owner = owner_of(view)
                if id(owner) not in known:
                    known[id(owner)] = len(known), address_of(owner)
                    trace.sizes.append(owner.nbytes)
                buffer, address = known[id(owner)]
                trace.spots.append((buffer, address_of(view) - address, view.nbytes))
                trace.step.append(step)
        return trace


def _accesses(round_: Round) -> Iterator[tuple[Any, Any, int]]:
    """What each view of a round is for, all views of that, and the local step that has them."""
    for name, messages in (("send", round_.sends), ("recv", round_.recvs)):
        for message in messages:
            yield name, message.views, -1
    for step in round_.local:
        for name in step.__slots__:
            if name != "codec":
                buf = getattr(step, name)
                yield (type(step), name), buf if isinstance(buf, list) else (buf,), id(step)
