"""What the student's process hands over: which rounds it was asked for, and what they were.

All of it is plain data, one JSON text a line, and each line begins with a word that only the
two sides know. Elements of buffers are named by where they lie: `[number, start, stop]`, number 0
being `sendbuf` (`buf` in bcast), 1 `recvbuf`, and the others scratch space in the order in which
the rank used it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import ROOTED
from collectives.problems import Problem

# The first number of scratch space.
SCRATCH = 2

# Elements are integers of so many bytes while rounds are recorded.
DTYPE = np.dtype(np.int64)


@dataclass(frozen=True)
class Case:
    """A problem for which rounds are asked.

    Attributes
    ----------
    primitive : str
    p, n, root : int
        Ranks, elements of the whole vector, and the root.
    in_place : bool
        Input and output lie in one memory.
    counts : tuple of tuple of int, or None
        Of alltoall: elements from each rank to each other, in place of n.
    """

    primitive: str
    p: int
    n: int
    root: int = 0
    in_place: bool = False
    counts: tuple[tuple[int, ...], ...] | None = None

    @property
    def problem(self) -> Problem:
        """The same for the engines."""
        return self.typed(DTYPE)

    def typed(self, dtype: np.dtype) -> Problem:
        """The same with elements of another kind."""
        counts = None if self.counts is None else np.array(self.counts)
        return Problem(
            self.primitive, self.p, self.n, self.root, dtype, counts=counts, in_place=self.in_place
        )

    def __str__(self) -> str:
        words = [f"p = {self.p}"]
        if self.counts is not None:
            words.append("blocks of different lengths")
        elif self.primitive != "barrier":
            words.append(f"n = {self.n} element{'s' * (self.n != 1)}")
        words += [f"root {self.root}"] if self.primitive in ROOTED else []
        words += ["input and output in one memory (MPI.IN_PLACE)"] if self.in_place else []
        return ", ".join(words)

    @property
    def room(self) -> int:
        """Elements of scratch space that a rank may use: as many as some vectors have."""
        longest = max([self.n, *[sum(row) for row in self.counts or ()]])
        return (self.p + 8) * (longest + self.p)

    def plain(self) -> list:
        """As plain data."""
        return [self.primitive, self.p, self.n, self.root, self.in_place, self.counts]

    @classmethod
    def restored(cls, plain: Sequence[Any]) -> Case:
        """From plain data."""
        primitive, p, n, root, in_place, counts = plain
        fixed = None if counts is None else tuple(map(tuple, counts))
        return cls(primitive, p, n, root, in_place, fixed)


@dataclass(frozen=True)
class Rounds:
    """The rounds of one rank.

    Attributes
    ----------
    scratch : list of int
        Elements of each piece of scratch space.
    rounds : list of list
        Of each yield its line, the variables of its loops, the sends and the recvs, each
        `[peer, places]`, and the local steps: `["reduce", one, other, out]` or
        `["copy", from, to]`. `places` is a list of `[number, start, stop]`.
    """

    scratch: list[int]
    rounds: list[list]


@dataclass
class Handed:
    """What was handed over for one task.

    Attributes
    ----------
    name : str
        Of the function.
    first : int
        The line on which it begins, or its decorator.
    declared : mapping
        The restrictions that it declares.
    rounds : dict
        Of each case that of each rank.
    failed : dict or None
        The rule that was broken while rounds were recorded, or on buffers that let nobody
        see their elements: `message`, `hint`, and `case`, the number of the case.
    """

    name: str
    first: int = 0
    declared: Mapping[str, Any] = field(default_factory=dict)
    rounds: dict[Case, list[Rounds]] = field(default_factory=dict)
    failed: Mapping[str, Any] | None = None
