"""The books: bytes of model state where they are allocated, of messages where they are sent."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import numpy as np

from collectives.algorithms.language.blocks import even_counts

KINDS = ("weights", "gradients", "moments", "master", "gathered", "buckets", "cast")


class Ledger:
    """What one rank holds and has held at most.

    An array is in the books from `new` until Python frees it: what a strategy forgets to
    let go of shows.

    Attributes
    ----------
    now, peak : Counter
        Bytes by kind.
    most : int
        The most bytes of all kinds together.
    sent : Counter
        Bytes of point-to-point messages, by what they are for.
    routed : list
        Rows that this rank sent to each rank's experts, for each layer and micro-batch.
    """

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.most = 0
        self.sent: Counter[str] = Counter()
        self.routed: list[list[int]] = []

    def new(self, kind: str, shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of zeros, booked under a kind."""
        array = np.zeros(shape, dtype)
        weakref.finalize(array, self._free, kind, array.nbytes).atexit = False
        self.now[kind] += array.nbytes
        self._look()
        return array

    def send(self, what: str, *arrays: np.ndarray) -> None:
        """Book messages: arrays that are sent as they are."""
        self.sent[what] += sum(array.nbytes for array in arrays)

    def begin(self) -> None:
        """What was before does not count: the peaks are those from here on, and nothing is sent."""
        self.peak.clear()
        self.sent.clear()
        self.routed.clear()
        self.most = 0
        self._look()

    def _look(self) -> None:
        for kind, nbytes in self.now.items():
            self.peak[kind] = max(self.peak[kind], nbytes)
        self.most = max(self.most, sum(self.now.values()))

    def _free(self, kind: str, nbytes: int) -> None:
        self.now[kind] -= nbytes


def shards(size: int, p: int) -> list[int]:
    """The lengths of the p shards of a vector; the first ones have one element more."""
    return list(even_counts(size, p))


def shard(size: int, p: int, rank: int) -> slice:
    """Where a rank's shard lies."""
    lengths = shards(size, p)
    return slice(sum(lengths[:rank]), sum(lengths[: rank + 1]))
