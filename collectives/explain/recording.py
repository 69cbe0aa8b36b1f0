"""Recording without running: the rounds of one rank, and the memory that they name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from collectives.algorithms.language.codecs import Codec, Exact
from collectives.algorithms.language.memory import Special
from collectives.engines.driver import Round, views_of

# A round: sends, recvs, local steps. A message is its peer and the numbers of its views; a
# local step is the first letter of its kind, the views it reads and those it writes.
Compact = list[Any]


class Untouched(Special):
    """Memory that nobody touches; what is encoded is as long as before."""

    def scratch(self, size: int, dtype: np.dtype) -> Untouched:
        return untouched(size, dtype)

    def codec(self, codec: Codec) -> Codec:
        return Exact()


def untouched(size: int, dtype: np.typing.DTypeLike) -> Untouched:
    return np.empty(size, dtype).view(Untouched)


class Views:
    """The views of an algorithm by number, each once: its memory, first byte and bytes."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int, int], int] = {}

    def number(self, memory: int, start: int, nbytes: int) -> int:
        return self._numbers.setdefault((memory, start, nbytes), len(self._numbers))

    def unit(self, most: int) -> int:
        """The largest piece of which all of them consist, and so many bytes."""
        return math.gcd(most, *{edge for view in self._numbers for edge in view[1:]})

    def in_order(self, unit: int) -> tuple[list[list[int]], list[int]]:
        """All of them, sorted, with units for bytes; and for every number its place there."""
        order = sorted(self._numbers)
        places = {view: place for place, view in enumerate(order)}
        return [[a, b // unit, c // unit] for a, b, c in order], [places[x] for x in self._numbers]


class Memories:
    """The memories of one rank by number: those given first, then scratch as it is met."""

    def __init__(self, views: Views, given: Sequence[np.ndarray]):
        self._number = views.number
        self._known: dict[int, tuple[int, int, np.ndarray]] = {}  # the array keeps its id its own
        for array in given:
            self._find(array)

    def round(self, round_: Round) -> Compact:
        """Sends, recvs and local steps of a round."""
        sends = [[message.peer, *self._views(message.views)] for message in round_.sends]
        recvs = [[message.peer, *self._views(message.views)] for message in round_.recvs]
        steps = [
            [type(step).__name__[0], self._views(step.read), self._views(views_of(step.written))]
            for step in round_.local
        ]
        return [sends, recvs, steps]

    def _views(self, views: Sequence[np.ndarray]) -> list[int]:
        return [self._view(view) for view in views if view.nbytes]

    def _view(self, view: np.ndarray) -> int:
        number, start, _ = self._find(view)
        return self._number(number, _address(view) - start, view.nbytes)

    def _find(self, view: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Number and address of the memory in which a view lies."""
        owner = view
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        found = self._known.get(id(owner))
        if found is None:
            found = self._known[id(owner)] = len(self._known), _address(owner), owner
        return found


class News:
    """The memories of one rank in a barrier: messages carry what a rank has heard, memory 0."""

    def __init__(self, views: Views):
        self._number = views.number

    def round(self, round_: Round) -> Compact:
        """Sends, recvs, and a step that merges what has come with what was known."""
        heard = [self._number(k, 0, 1) for k in range(len(round_.recvs) + 1)]
        sends = [[message.peer, heard[0]] for message in round_.sends]
        recvs = [[message.peer, heard[k]] for k, message in enumerate(round_.recvs, 1)]
        return [sends, recvs, [["m", heard, heard[:1]]] if recvs else []]


def stack(generator: Any) -> Iterator[tuple[str, int]]:
    """Where an algorithm and those that it yields from stand, itself first."""
    while hasattr(generator, "gi_frame") and generator.gi_frame is not None:
        yield generator.gi_code.co_filename, generator.gi_frame.f_lineno
        generator = generator.gi_yieldfrom


def _address(view: np.ndarray) -> int:
    return view.__array_interface__["data"][0]
