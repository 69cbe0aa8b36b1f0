"""Stages that note when they do what: for a communicator whose calls are recorded, and no other.

Nothing tests whether a call is to be recorded. The stages of one that is have marks between
their calls, so that any engine carries them out.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from time import perf_counter

from collectives.algorithms.language.steps import copy
from collectives.engines import records
from collectives.engines.driver import views_of
from collectives.engines.packing import Call, pieces
from collectives.engines.records import Layout, layouts, length
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.replay import Setup, Transfers
from collectives.mpi.engines.stages import Stage, nbytes

Steps = list[tuple[str, list[Call]]]  # kinds, and what carries them out


class Log:
    """The moments of one run of a plan.

    Attributes
    ----------
    times : array of float
        Seconds; nan where nothing has been noted.
    """

    __slots__ = ("size", "times")

    def __init__(self, size: int):
        self.size = size
        self.restart()

    def restart(self) -> None:
        """Note another run; the moments of the one before stay what they are."""
        self.times = array("d", [nan]) * self.size
        self.note(records.BEGIN)

    def note(self, slot: int) -> None:
        """It is now."""
        self.times[slot] = perf_counter()


class Mark:
    """A call that notes when it is made."""

    __slots__ = ("log", "slot")

    def __init__(self, log: Log, slot: int):
        self.log, self.slot = log, slot

    def __call__(self) -> None:
        self.log.times[self.slot] = perf_counter()


@dataclass
class TimedStage(Stage):
    """A stage whose moments are noted: `layout` says where in the log."""

    log: Log | None = None
    layout: Layout | None = None


def timed(stages: Sequence[Stage]) -> tuple[list[Stage], Log]:
    """Stages with marks, and where they note."""
    steps = [steps_of(stage) for stage in stages]
    sizes = [(len(x.recvs) + len(x.sends), len(mine)) for x, mine in zip(stages, steps)]
    log = Log(length(sizes))
    parts = zip(stages, steps, layouts(sizes), strict=True)
    return [_timed(stage, mine, layout, log) for stage, mine, layout in parts], log


def _timed(stage: Stage, steps: Steps, layout: Layout, log: Log) -> Stage:
    start, posting, done = (Mark(log, layout.first + place) for place in range(3))
    after: list[Call] = [done]
    for place, (_, calls) in enumerate(steps):
        after += [*calls, Mark(log, layout.after + place)]
    return TimedStage(
        [start, *stage.before, posting],
        stage.sends,
        stage.recvs,
        after,
        stage.round,
        stage.packed_bytes,
        stage.line,
        stage.number,
        log,
        layout,
    )


def steps_of(stage: Stage) -> Steps:
    """What a stage does after its messages, step by step."""
    if stage.round is None:
        return [("move", stage.after)] if stage.after else []
    local = [
        (type(step).__name__, _calls(step) if isinstance(step, copy) else 1)
        for step in stage.round.local
    ]
    unpacking = len(stage.after) - sum(calls for _, calls in local)
    first, steps = 0, []
    for kind, calls in [("unpack", unpacking), *local]:
        if calls:
            steps.append((kind, stage.after[first : first + calls]))
            first += calls
    return steps


def _calls(step: copy) -> int:
    return sum(1 for _ in pieces(views_of(step.src), views_of(step.dst)))


def sketched(stages: Sequence[Stage]) -> tuple[records.Stage, ...]:
    """The stages of a plan as a file has them."""
    return tuple(map(_sketched, stages))


def _sketched(stage: Stage) -> records.Stage:
    file, line = stage.line or ("", 0)
    sends, recvs = (
        tuple((message[1], nbytes(message)) for message in messages)
        for messages in (stage.sends, stage.recvs)
    )
    kinds = tuple(kind for kind, _ in steps_of(stage))
    return records.Stage(stage.number, file, line, sends, recvs, kinds)


class TimedTransfers(Transfers):
    """The messages of one stage, set up: each is waited for by itself, and noted."""

    def __init__(self, stage: Stage, lane: Lane, tag: int):
        super().__init__(stage, lane, tag)
        self._stage = stage

    @property
    def waits(self) -> list[Call]:
        stage = self._stage
        assert isinstance(stage, TimedStage) and stage.log is not None and stage.layout is not None
        calls: list[Call] = []
        for place, request in enumerate(self.requests):
            calls += [request.Wait, Mark(stage.log, stage.layout.seen + place)]
        return calls


class TimedSetup(Setup):
    """Stages with marks, set up."""

    transfers_of = TimedTransfers
