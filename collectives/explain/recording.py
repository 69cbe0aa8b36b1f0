"""Recording without running: the rounds of one rank, and the memory that they name.

A view is kept as three numbers: its memory, the first byte in it, and its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from collectives.algorithms.language.codecs import Codec, Exact
from collectives.algorithms.language.memory import Special
from collectives.engines.driver import Round, views_of

# A round: sends, recvs, local steps. A message is its peer and then views, three numbers
# each; a local step is the first letter of its kind, the views it reads and those it writes.
Compact = list[Any]


class Untouched(Special):
    """Memory that nobody touches; what is encoded is as long as before."""

    def scratch(self, size: int, dtype: np.dtype) -> Untouched:
        return untouched(size, dtype)

    def codec(self, codec: Codec) -> Codec:
        return Exact()


def untouched(size: int, dtype: np.typing.DTypeLike) -> Untouched:
    return np.empty(size, dtype).view(Untouched)


class Memories:
    """The memories of one rank by number: those given first, then scratch as it is met."""

    def __init__(self, given: Sequence[np.ndarray]):
        self._known: dict[int, tuple[int, int, np.ndarray]] = {}  # the array keeps its id its own
        for array in given:
            self._find(array)

    def round(self, round_: Round) -> Compact:
        """Sends, recvs and local steps of a round, in bytes."""
        sends = [[message.peer, *self._views(message.views)] for message in round_.sends]
        recvs = [[message.peer, *self._views(message.views)] for message in round_.recvs]
        steps = [
            [type(step).__name__[0], self._views(step.read), self._views(views_of(step.written))]
            for step in round_.local
        ]
        return [sends, recvs, steps]

    def _views(self, views: Sequence[np.ndarray]) -> list[int]:
        numbers: list[int] = []
        for view in views:
            if view.nbytes:
                number, start, _ = self._find(view)
                numbers += number, _address(view) - start, view.nbytes
        return numbers

    def _find(self, view: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Number and address of the memory in which a view lies."""
        owner = view
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        found = self._known.get(id(owner))
        if found is None:
            found = self._known[id(owner)] = len(self._known), _address(owner), owner
        return found


def news(round_: Round) -> Compact:
    """A round of a barrier, whose messages carry what a rank has heard: memory 0."""
    recvs = [[message.peer, k, 0, 1] for k, message in enumerate(round_.recvs, 1)]
    heard = [number for k in range(len(recvs) + 1) for number in (k, 0, 1)]
    steps = [["m", heard, [0, 0, 1]]] if recvs else []
    return [[[message.peer, 0, 0, 1] for message in round_.sends], recvs, steps]


def stack(generator: Any) -> Iterator[tuple[str, int]]:
    """Where an algorithm and those that it yields from stand, itself first."""
    while hasattr(generator, "gi_frame") and generator.gi_frame is not None:
        yield generator.gi_code.co_filename, generator.gi_frame.f_lineno
        generator = generator.gi_yieldfrom


def _address(view: np.ndarray) -> int:
    return view.__array_interface__["data"][0]
