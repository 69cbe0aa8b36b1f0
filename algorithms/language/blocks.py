"""A vector seen as p blocks, one per rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np

from .memory import Special, scratch


class Blocks(Sequence):
    """The blocks of a vector: `blocks[i]`, a view, belongs to rank i.

    Parameters
    ----------
    buf : numpy.ndarray
        The whole vector, one-dimensional.
    starts, stops : sequence of int
        Block i is `buf[starts[i]:stops[i]]`. Blocks may have any order and
        gaps between them.
    adjacent : bool
        Whether each block begins where the one before it ends.
    origin : int
        What `starts` and `stops` call the first element of `buf`.

    Views are made on demand, so p ranks with p blocks each stay affordable.
    """

    __slots__ = ("adjacent", "buf", "origin", "starts", "stops")

    def __init__(
        self,
        buf: np.ndarray,
        starts: Sequence[int],
        stops: Sequence[int],
        adjacent: bool = False,
        origin: int = 0,
    ):
        self.buf = buf
        self.starts = starts
        self.stops = stops
        self.adjacent = adjacent
        self.origin = origin

    def __len__(self) -> int:
        return len(self.stops)

    def __getitem__(self, index):
        if type(index) is slice:
            first, last, _ = index.indices(len(self))
            return self.range(first, max(last - first, 0))
        return self.buf[self.starts[index] - self.origin : self.stops[index] - self.origin]

    def __iter__(self) -> Iterator[np.ndarray]:
        buf, origin = self.buf, self.origin
        return (buf[a - origin : b - origin] for a, b in zip(self.starts, self.stops))

    def size(self, index: int) -> int:
        """Number of elements in block `index`."""
        return self.stops[index] - self.starts[index]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements in each block."""
        if isinstance(self.starts, range):
            return even_counts(self.starts.step * len(self), len(self))
        return tuple([stop - start for start, stop in zip(self.starts, self.stops)])

    def grouped(self, spans: Sequence[slice]) -> Blocks:
        """The same vector with other blocks, in any order: each is a span of these, not empty."""
        starts = [self.starts[span.start] for span in spans]
        stops = [self.stops[span.stop - 1] for span in spans]
        adjacent = self.adjacent and all(a.stop == b.start for a, b in pairwise(spans))
        return Blocks(self.buf, starts, stops, adjacent, self.origin)

    def chosen(self, ranks: Sequence[int]) -> Blocks:
        """The same vector, but only the blocks of these ranks, which are in ascending order."""
        starts, stops = ([ends[rank] for rank in ranks] for ends in (self.starts, self.stops))
        near = ranks[-1] - ranks[0] == len(ranks) - 1
        return Blocks(self.buf, starts, stops, self.adjacent and near, self.origin)

    def range(self, first: int, count: int) -> list[np.ndarray]:
        """`count` blocks from `first` on, wrapping round after the last.

        Returns
        -------
        list of numpy.ndarray
            What one message carries: neighbouring blocks joined into one view.
        """
        p = len(self)
        first %= p
        if not self.adjacent:
            return [self[i % p] for i in range(first, first + count)]
        wrapped = first + count - p
        if wrapped <= 0:
            return [self._join(first, count)]
        return [self._join(first, p - first), self._join(0, wrapped)]

    def _join(self, first: int, count: int) -> np.ndarray:
        if count == 0:
            return self.buf[:0]
        start, stop = self.starts[first], self.stops[first + count - 1]
        return self.buf[start - self.origin : stop - self.origin]


class Bundles(list):
    """Blocks put together, each in a list of views: what one message of a leader carries.

    A slice is one list, of the views of several bundles.
    """

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return [view for bundle in found for view in bundle] if type(index) is slice else found


def partition(buf: np.ndarray, counts: Sequence[int]) -> Blocks:
    """Cut `buf` into neighbouring blocks of `counts[i]` elements."""
    return _cut(buf, *_bounds(tuple(counts)))


def split(buf: np.ndarray, p: int) -> Blocks:
    """Cut `buf` into p blocks whose lengths differ by at most one element."""
    return _cut(buf, *_even_bounds(buf.size, p))


def _cut(buf: np.ndarray, starts: Sequence[int], stops: Sequence[int]) -> Blocks:
    """Neighbouring blocks, of the kind that special vectors are cut into."""
    kind = (isinstance(buf, Special) and buf.blocks) or Blocks
    return kind(buf, starts, stops, adjacent=True)


def stage(like: np.ndarray, counts: Sequence[int], first: int, last: int) -> Blocks:
    """Scratch for the blocks of ranks `first` .. `last - 1`, indexed by rank."""
    starts, stops = _bounds(tuple(counts))
    space = scratch(like, stops[last - 1] - starts[first])
    return Blocks(space, starts, stops, adjacent=True, origin=starts[first])


@lru_cache(maxsize=64)
def even_counts(n: int, p: int) -> tuple[int, ...]:
    """Lengths of p blocks of `n` elements; the first n % p are one longer."""
    return (n // p + 1,) * (n % p) + (n // p,) * (p - n % p)


@lru_cache(maxsize=64)
def _even_bounds(n: int, p: int) -> tuple[Sequence[int], Sequence[int]]:
    """Where each of p blocks starts and stops; in little memory if all are equal."""
    size, longer = divmod(n, p)
    if size and not longer:
        return range(0, n, size), range(size, n + size, size)
    return _bounds(even_counts(n, p))


@lru_cache(maxsize=64)
def _bounds(counts: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where each block starts and stops."""
    bounds = tuple(accumulate(counts, initial=0))
    return bounds[:-1], bounds[1:]
