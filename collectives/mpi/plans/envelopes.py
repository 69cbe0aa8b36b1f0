"""Envelopes: what the ranks tell each other before objects travel.

In an envelope are the length of a pickle and, if there is room, the pickle itself, so
that short objects need no second collective.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

MOST_WORDS = 16  # of 8 bytes in an envelope
TABLE_BYTES = 2**14  # to which all envelopes of a call are limited, but for their lengths


def words_for(count: int) -> int:
    """The words of each envelope, if a rank gets so many."""
    return max(1, min(MOST_WORDS, TABLE_BYTES // (8 * count)))


class Envelopes:
    """Space for envelopes, in order.

    Parameters
    ----------
    count : int
    words : int
        Of 8 bytes, in each.

    Attributes
    ----------
    table : array of int64, shape (count, words)
    """

    def __init__(self, count: int, words: int):
        self.table = np.zeros((count, words), np.int64)
        self._lengths, self._words = self.table[:, 0], words
        self._bytes = self.table.reshape(-1).view(np.uint8).data
        self._room = 8 * (words - 1)

    def refuse(self, length: int) -> None:
        """Say that there are no pickles to send, and how long the reason is."""
        self._lengths[:] = -length

    def seal(self, pieces: Sequence[bytes]) -> None:
        """Put a pickle into each envelope."""
        for number, piece in enumerate(pieces):
            length = self.table[number, 0] = len(piece)
            if length <= self._room:
                start = 8 * (number * self._words + 1)
                self._bytes[start : start + length] = piece

    def lengths(self) -> list[int]:
        """The length of each pickle; where there is none that of the reason, below 0."""
        return self._lengths.tolist()

    def hold(self, lengths: Sequence[int]) -> bool:
        """Whether all pickles of these lengths are in their envelopes."""
        return max(lengths) <= self._room

    def pickle(self, number: int, length: int) -> memoryview:
        """The pickle in an envelope that holds it."""
        start = 8 * (number * self._words + 1)
        return self._bytes[start : start + length]

    def open(self, number: int, length: int) -> Any:
        """The object in an envelope that holds its pickle."""
        return MPI.pickle.loads(self.pickle(number, length))
