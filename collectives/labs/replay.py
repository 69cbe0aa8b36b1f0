"""Recorded rounds as an algorithm: whatever runs, proves or draws algorithms runs these, too.

Nothing of the student's is called. The engines get steps on their own buffers, and check them
again by all their rules, and errors name the lines of the student's file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np

from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.memory import Phantom, scratch
from collectives.algorithms.language.registry import ARGUMENTS, Algorithm
from collectives.algorithms.language.steps import NOTHING, copy, recv, reduce, send
from collectives.labs.handover import SCRATCH, Case, Handed, Rounds


class NotHandedOver(Exception):
    """Nobody has asked the student's process for the rounds of this problem."""


def played(handed: Handed, case: Case, file: str) -> Algorithm:
    """What was handed over for a task, as the algorithm that runs in one case.

    Parameters
    ----------
    handed : Handed
    case : Case
        Which of the cases it is where several have buffers of the same lengths.
    file : str
        The student's, as errors name it.
    """
    restrictions: Mapping[str, Any] = handed.declared
    generator: Any = _Played(handed, case, file)
    return Algorithm(case.primitive, handed.name, generator, **restrictions)


class _Played:
    """Called as a generator function is."""

    def __init__(self, handed: Handed, case: Case, file: str):
        self.handed, self.case, self.file = handed, case, file
        self.__name__, self.__doc__ = handed.name, ""
        self.__code__ = SimpleNamespace(
            co_filename=file, co_firstlineno=handed.first, co_flags=0, co_name=handed.name
        )

    def __call__(self, rank: int, p: int, *arguments: Any) -> Replay:
        names = ARGUMENTS[self.case.primitive]
        given = dict(zip(names, arguments, strict=True))
        root = given.pop("root", 0)
        buffers = [each.buf if isinstance(each, Blocks) else each for each in given.values()]
        return Replay(self.file, self._rounds(rank, p, root, buffers), buffers)

    def _rounds(self, rank: int, p: int, root: int, buffers: Sequence[Any]) -> Rounds:
        """Those of its own case; for other problems, those of one with such buffers."""
        sizes = [None if buf is None else buf.size for buf in buffers]
        together = _together(buffers)

        def fits(case: Case) -> bool:
            alike = together is None or case.in_place == together
            return (case.p, case.root) == (p, root) and alike and _sizes(case, rank) == sizes

        if self.case in self.handed.rounds and fits(self.case):
            return self.handed.rounds[self.case][rank]
        fitting = [case for case in self.handed.rounds if fits(case)]
        if not fitting:
            raise NotHandedOver
        return self.handed.rounds[fitting[-1]][rank]


def _sizes(case: Case, rank: int) -> list[int | None]:
    problem = case.problem
    both = [problem.send_size(rank), problem.recv_size(rank)]
    if case.primitive == "bcast":
        return both[1:]
    return [] if case.primitive == "barrier" else both


def _together(buffers: Sequence[Any]) -> bool | None:
    """Whether input and output lie in one memory; None if that is not to be seen."""
    if len(buffers) < 2 or any(buf is None or isinstance(buf, Phantom) for buf in buffers):
        return None
    return bool(np.may_share_memory(*buffers)) if all(buf.size for buf in buffers) else None


def _instructions() -> Iterator[tuple[int, int, int]]:
    """Each line is one instruction, of its number: begin, end, line."""
    return ((line, line + 1, line) for line in count())


class Replay:
    """The rounds of one rank; to the driver it is what a generator function returns."""

    gi_yieldfrom = None

    def __init__(self, file: str, recorded: Rounds, given: Sequence[np.ndarray | None]):
        self.gi_code = SimpleNamespace(co_filename=file, co_lines=_instructions)
        self.gi_frame: Any = SimpleNamespace(f_code=self.gi_code, f_lineno=0, f_locals={})
        self._rounds = iter(recorded.rounds)
        self._buffers: dict[int, np.ndarray] = {
            number: buf for number, buf in enumerate(given) if buf is not None
        }
        like = next(iter(self._buffers.values()), NOTHING)
        self._nothing = like[:0]
        for number, size in enumerate(recorded.scratch, SCRATCH):
            self._buffers[number] = scratch(like, size)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> list:
        for line, variables, sends, recvs, local in self._rounds:
            self.gi_frame.f_lineno = self.gi_frame.f_lasti = line
            self.gi_frame.f_locals = variables
            return [
                *[send(self._views(places), peer) for peer, places in sends],
                *[recv(self._views(places), peer) for peer, places in recvs],
                *[self._step(*step) for step in local],
            ]
        self.gi_frame = None
        raise StopIteration

    def _views(self, places: list[list[int]]) -> Any:
        views = [self._buffers[number][start:stop] for number, start, stop in places]
        return views if len(views) > 1 else views[0] if views else self._nothing

    def _step(self, kind: str, *operands: list[list[int]]) -> Any:
        views = [self._views(places) for places in operands]
        return reduce(*views) if kind == "reduce" else copy(*views)
