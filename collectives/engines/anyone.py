"""Any rank: a number that stands for all ranks at once, and what it indexes.

An algorithm that is given `Anyone` for its rank does what all ranks do, as long as that is
the same for all. Then its peers are ranks at a fixed distance, `(rank + d) % p`, or
with some bits flipped, `rank ^ d`, and blocks may be anybody's as long as they are equally
long. Whatever would differ from rank to rank, such as `rank < d`, `rank & d`, `rank // 2`
or `ranks[rank]`, raises `Unlike`: nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as whole
from typing import Any, NoReturn

import numpy as np

from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.memory import Phantom
from collectives.algorithms.language.steps import Symbolic


class Unlike(BaseException):
    """Raised where ranks differ; no page that looks after its own errors may hide it."""


def differs(*_: Any, **__: Any) -> NoReturn:
    """What must not be asked of anyone."""
    raise Unlike


class Anyone(Symbolic):
    """(rank + turn) % p + more or, if there are bits to `flip`, (rank ^ flip) + more.

    It knows +, -, ^ and % p, and comparisons that come out alike for all ranks.
    """

    __slots__ = ("flip", "more", "p", "turn")

    def __init__(self, p: int, turn: int = 0, flip: int = 0, more: int = 0):
        self.p = p
        self.turn = turn
        self.flip = flip
        self.more = more

    def __add__(self, other: Any) -> Anyone:
        return Anyone(self.p, self.turn, self.flip, self.more + _number(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Anyone:
        return Anyone(self.p, self.turn, self.flip, self.more - _number(other))

    def __mod__(self, other: Any) -> Anyone:
        if other is not self.p and _number(other) != self.p:
            raise Unlike
        if not self.flip:
            return Anyone(self.p, (self.turn + self.more) % self.p)
        if self.more % self.p == 0:
            return Anyone(self.p, 0, self.flip)
        if 2 * self.flip == self.p:  # to flip the first bit is to go half way round
            return Anyone(self.p, (self.flip + self.more) % self.p)
        raise Unlike

    def __xor__(self, other: Any) -> Anyone:
        p, bits = self.p, _number(other)
        flip = self.turn if 2 * self.turn == p else self.flip
        if self.more or (self.turn and not flip) or p & (p - 1) or not 0 <= flip ^ bits < p:
            raise Unlike
        return Anyone(p, 0, flip ^ bits)

    __rxor__ = __xor__

    def _below(self, other: Any, by: int = 0) -> bool:
        """Whether it is less than other + by, on every rank or on none."""
        if isinstance(other, Anyone):
            if self.key != other.key:
                raise Unlike
            return self.more < other.more + by
        limit = _number(other) + by - self.more
        if 0 < limit < self.p:
            raise Unlike
        return limit > 0

    def __lt__(self, other: Any) -> bool:
        return self._below(other)

    def __le__(self, other: Any) -> bool:
        return self._below(other, 1)

    def __gt__(self, other: Any) -> bool:
        return not self._below(other, 1)

    def __ge__(self, other: Any) -> bool:
        return not self._below(other)

    def __eq__(self, other: Any) -> bool:
        if other is None:
            return False
        if isinstance(other, Anyone) and self.more == other.more:
            return self.key == other.key  # two steps that differ never lead to one rank
        return not self._below(other) and self._below(other, 1)

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    @property
    def key(self) -> int:
        """What tells one peer from another: steps to the right, or bits to flip, negative."""
        return self.turn or (self.flip if 2 * self.flip == self.p else -self.flip)

    @property
    def peer(self) -> int:
        """The key of a peer.

        Raises
        ------
        Unlike
            It may be no rank, or oneself.
        """
        if self.more:
            raise Unlike
        return self.key or differs()


def _number(value: Any) -> int:
    """A number that all ranks share."""
    return value if type(value) is int else whole(value)


# Whatever else an integer can do.
_SHOWN = {"__hash__", "__str__", "__repr__", "__format__"}
for _name in (set(dir(int)) - set(dir(object)) - set(vars(Anyone))) | _SHOWN:
    setattr(Anyone, _name, differs)


def _within(index: Anyone, length: int) -> bool:
    """Whether it is an index of a sequence of this length on every rank."""
    return -length <= index.more <= length - index.p


class AnyBlocks(Blocks):
    """Blocks that anyone may index, if all are equally long."""

    __slots__ = ("anyones", "size_of_all")

    def __init__(
        self,
        buf: np.ndarray,
        starts: Sequence[int],
        stops: Sequence[int],
        adjacent: bool = False,
        origin: int = 0,
    ):
        super().__init__(buf, starts, stops, adjacent, origin)
        first = stops[0] - starts[0]
        alike = isinstance(starts, range) or all(b - a == first for a, b in zip(starts, stops))
        self.size_of_all = first if alike else -1
        self.anyones = buf[: max(self.size_of_all, 0)]

    def __getitem__(self, index: Any) -> Any:
        if type(index) is Anyone:
            self.size(index)
            return self.anyones
        return super().__getitem__(index)

    def size(self, index: Any) -> int:
        """Number of elements in block `index`, whose it may be."""
        if type(index) is not Anyone:
            return super().size(index)
        if self.size_of_all < 0 or not _within(index, len(self)):
            raise Unlike
        return self.size_of_all

    def range(self, first: Any, count: int) -> list[np.ndarray]:
        """`count` blocks from `first` on, wrapping round after the last."""
        if type(first) is not Anyone:
            return super().range(first, count)
        if self.size_of_all < 0 or not 0 <= count <= len(self) or first.p != len(self):
            raise Unlike
        return Joined(self.buf[: count * self.size_of_all])


class Joined(list):
    """Blocks that make one view, or two where the ring closes: their bytes are alike, no more.

    A message or a copy may have them. How many views there are differs from rank to rank.
    """

    def __init__(self, whole: np.ndarray):
        super().__init__()
        self.whole = whole


for _name in (set(dir(list)) - set(dir(object))) | _SHOWN | {"__eq__", "__radd__"}:
    setattr(Joined, _name, differs)


class AnyPhantom(Phantom):
    """A phantom that belongs to anyone: it is cut into blocks that anyone may index."""

    blocks = AnyBlocks

    def scratch(self, size: int, dtype: np.dtype) -> AnyPhantom:
        return any_phantom(size, dtype)


def any_phantom(size: int, dtype: np.dtype) -> AnyPhantom:
    """Anyone's phantom of `size` elements."""
    return AnyPhantom((size,), dtype, bytes(dtype.itemsize), strides=(0,))


class Alike:
    """The lengths of p * p blocks, all the same: `counts[i][j]`, whoever i and j are."""

    def __init__(self, p: int, size: int):
        self.p = p
        self.size = size

    def __getitem__(self, source: Any) -> _Row:
        self._check(source)
        return _Row(self.p, self.size)

    def _check(self, place: Any) -> None:
        if type(place) is Anyone and _within(place, self.p):
            return
        if not -self.p <= whole(place) < self.p:
            raise IndexError(place)

    def max(self) -> int:
        """The longest block."""
        return self.size


class _Row(Alike):
    def __getitem__(self, dest: Any) -> Any:
        self._check(dest)
        return self.size
