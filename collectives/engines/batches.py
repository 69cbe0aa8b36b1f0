"""Many messages at once, as columns of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Messages(NamedTuple):
    """Messages, or recvs that wait for some: whose, how long, and when they pass the port out."""

    source: np.ndarray
    dest: np.ndarray
    code: np.ndarray  # bytes, shifted left by 8, and the number of a type of elements
    start: np.ndarray
    cost: np.ndarray
    passed: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray, dest: np.ndarray, code: np.ndarray) -> Messages:
        """New ones."""
        return cls(source, dest, code, *np.zeros((3, source.size)))

    @property
    def size(self) -> int:
        """How many there are."""
        return self.source.size

    @property
    def nbytes(self) -> np.ndarray:
        """Their lengths."""
        return self.code >> 8

    def channel(self, p: int) -> np.ndarray:
        """A number for each pair of source and destination."""
        return self.source * p + self.dest

    def take(self, which: np.ndarray) -> Messages:
        """Some of them, by number or by a mask."""
        return Messages(*[column[which] for column in self])

    def without(self, which: np.ndarray) -> Messages:
        """All but some."""
        if which.size == self.size:
            return NONE
        kept = np.ones(self.size, bool)
        kept[which] = False
        return self.take(kept)

    def and_then(self, later: Messages) -> Messages:
        """These, and others after them."""
        if not self.size:
            return later
        return Messages(*map(np.concatenate, zip(self, later))) if later.size else self


NONE = Messages.of(*np.zeros((3, 0), np.int64))


def pairs(sent: np.ndarray, posted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match messages and recvs of one channel each, in order: the numbers of those that meet.

    Parameters
    ----------
    sent, posted : numpy.ndarray
        The channel of every message, and of every recv; the oldest come first.

    Examples
    --------
    >>> [found.tolist() for found in pairs(np.array([7, 3, 7]), np.array([7, 7, 5]))]
    [[0, 2], [0, 1]]
    """
    these, those = np.argsort(sent, kind="stable"), np.argsort(posted, kind="stable")
    sent, posted = sent[these], posted[those]
    if np.array_equal(sent, posted):
        return these, those
    nth = np.arange(sent.size) - np.searchsorted(sent, sent)
    at = np.searchsorted(posted, sent) + nth
    meet = at < np.searchsorted(posted, sent, "right")
    return these[meet], those[at[meet]]


def layers(ranks: np.ndarray) -> Iterator[np.ndarray]:
    """The first entry of each rank, then the second ones, and so on; entries of a rank adjoin.

    Examples
    --------
    >>> [layer.tolist() for layer in layers(np.array([4, 4, 6, 9, 9, 9]))]
    [[0, 2, 3], [1, 4], [5]]
    """
    if not ranks.size:
        return
    first = np.flatnonzero(np.append(True, ranks[1:] != ranks[:-1]))
    if first.size == ranks.size:
        yield first
        return
    length = np.diff(np.append(first, ranks.size))
    for k in range(length.max()):
        yield first[length > k] + k
