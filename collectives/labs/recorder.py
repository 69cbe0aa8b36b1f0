"""Record the rounds of one rank: which elements of which buffers its steps name.

It runs in the student's process, and keeps the steps only: nothing is sent or computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from collectives.algorithms.language.steps import copy, reduce
from collectives.engines.driver import Message, Process, Round, views_of
from collectives.engines.scene import loop_names
from collectives.errors import ScheduleError
from collectives.labs.handover import DTYPE, SCRATCH

# Rounds of a rank that no task of a lab needs.
MOST = 5_000


class Recorder:
    """Names the places of views.

    Parameters
    ----------
    given : sequence of numpy.ndarray or None
        The buffers of the call, by their numbers.
    """

    def __init__(self, given: Sequence[np.ndarray | None]):
        spans = [(number, buf) for number, buf in enumerate(given) if buf is not None and buf.size]
        # Of two that share memory, the larger one names the elements.
        spans.sort(key=lambda each: -each[1].size)
        self.given = [(number, _address(buf), buf.nbytes) for number, buf in spans]
        self.owners: dict[int, tuple[int, np.ndarray]] = {}
        self.scratch: list[int] = []

    def places(self, process: Process, buf: Any) -> list[list[int]]:
        """Where the views of a step lie; empty ones lie nowhere."""
        found = []
        for view in views_of(buf):
            if not view.size:
                continue
            if view.dtype != DTYPE:
                process.fail(
                    f"the steps of a lab move elements of {DTYPE}",
                    f"{view.dtype}",
                    "take scratch(like) of one of the buffers, and no other view of it",
                )
            found.append(self._place(process, view))
        return found

    def _place(self, process: Process, view: np.ndarray) -> list[int]:
        start, size = _address(view), DTYPE.itemsize
        for number, first, nbytes in self.given:
            if first <= start and start + view.nbytes <= first + nbytes:
                at = (start - first) // size
                return [number, at, at + view.size]
        owner = view
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if not owner.flags.owndata or owner.dtype != DTYPE:
            process.fail(
                "temporary space must come from scratch()",
                "memory of another kind",
                "write scratch(like) or scratch(like, size)",
            )
        if id(owner) not in self.owners:
            self.owners[id(owner)] = SCRATCH + len(self.scratch), owner  # which keeps its id
            self.scratch.append(owner.size)
        at = (start - _address(owner)) // size
        return [self.owners[id(owner)][0], at, at + view.size]

    def round(self, process: Process, round_: Round, file: str) -> list:
        """One round as plain data."""

        def messages(some: list[Message]) -> list:
            return [[m.peer, self.places(process, list(m.views))] for m in some]

        line, variables = _scene(process, file)
        local = [self._local(process, step) for step in round_.local]
        return [line, variables, messages(round_.sends), messages(round_.recvs), local]

    def _local(self, process: Process, step: Any) -> list:
        if isinstance(step, reduce):
            operands = (step.inbuf, step.inoutbuf, step.out)
            return ["reduce", *[self.places(process, view) for view in operands]]
        if isinstance(step, copy):
            return ["copy", self.places(process, step.src), self.places(process, step.dst)]
        process.fail(
            "a lab has the steps send, recv, reduce and copy", repr(step), "do without codecs"
        )
        return []


def record(
    process: Process, given: Sequence[np.ndarray | None], file: str, room: int
) -> tuple[list, list]:
    """The scratch space and the rounds of one rank, as in `handover.Rounds`.

    Parameters
    ----------
    process : Process
    given : sequence of numpy.ndarray or None
        The buffers of the call.
    file : str
        The student's.
    room : int
        Elements of scratch space that are allowed.

    Raises
    ------
    ScheduleError
        A rule is broken, or there is no end.
    """
    recorder, rounds = Recorder(given), []
    while (round_ := process.advance()) is not None:
        rounds.append(recorder.round(process, round_, file))
        if sum(recorder.scratch) > room:
            hint = "use the same scratch space in every round"
            process.fail(
                "scratch space of a few vectors", f"{sum(recorder.scratch)} elements", hint
            )
        if len(rounds) > MOST:
            hint = "look for a loop that goes on for ever"
            raise ScheduleError(
                f"{process.title}: rank {process.rank} of {process.p}: must end within {MOST} "
                f"rounds, got no end ({process.scene()}); {hint}",
                hint,
            )
    return recorder.scratch, rounds


def _scene(process: Process, file: str) -> tuple[int, dict[str, int]]:
    """The line of the student's file that yields, and what its loops count."""
    mine = [frame for frame in process.frames() if frame.f_code.co_filename == file]
    if not mine:
        return process.line()[1], {}
    frame = mine[-1]
    names = loop_names(file, frame.f_lineno)
    values = {name: frame.f_locals.get(name) for name in names if not name.startswith("_")}
    integers = {
        name: value for name, value in values.items() if isinstance(value, (int, np.integer))
    }
    return frame.f_lineno, {name: int(value) for name, value in integers.items()}


def _address(view: np.ndarray) -> int:
    return view.__array_interface__["data"][0]
