"""What the processes of a run over MPI write down: one file each, read when the run is over.

A file has one JSON object a line: a header, communicators (crews) with the offsets of their
clocks, plans (sketches), calls, and `end`, without which the file is only a part. A call is its
moments alone: the seconds that its plan's sketch says the meaning of, in the order of `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT, VERSION = "collectives.record", 1
PREFIX, SUFFIX = "rank-", ".jsonl"


@dataclass(frozen=True)
class Offset:
    """How far this process's clock is ahead of that of rank 0.

    Attributes
    ----------
    at : float
        Seconds on this process's clock at which that was measured.
    seconds, uncertainty : float
        Half the time of the quickest of several messages there and back is the uncertainty.
    """

    at: float
    seconds: float
    uncertainty: float


@dataclass(frozen=True)
class Crew:
    """A communicator.

    Attributes
    ----------
    name : int
        The same on all its ranks, and of no other one, in no other run.
    rank : int
        This process there.
    world : tuple of int
        What each of its ranks is in MPI.COMM_WORLD.
    offsets : tuple of Offset
        At the begin, and if it could be measured, at the end.
    """

    name: int
    rank: int
    world: tuple[int, ...]
    offsets: tuple[Offset, ...]


@dataclass(frozen=True)
class Stage:
    """A round of a plan.

    Attributes
    ----------
    number : int
        Of the yield on the page; 0 if it is none of the page's.
    file, line : str, int
        Of the yield.
    sends, recvs : tuple of (int, int)
        The other rank, and bytes.
    steps : tuple of str
        `reduce`, `copy`, `encode`, `decode`; `unpack` of a message of several pieces; `move`
        where data go between the user's buffers and the library's own memory.
    """

    number: int
    file: str
    line: int
    sends: tuple[tuple[int, int], ...]
    recvs: tuple[tuple[int, int], ...]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Sketch:
    """A plan of one rank, and the call for which it was made.

    Attributes
    ----------
    primitive, algorithm : str
        What ran.
    parameters : mapping
        Of the algorithm.
    asked, within : str
        As in `collectives.mpi.engines.tally.Usage`.
    root : int or None
    n, itemsize : int
        Elements of the whole vector and bytes of each, as far as this rank knows.
    dtype : str
    counts : tuple of int
        Elements of each block, as far as this rank knows; in alltoall of those that it sends.
    operator : str or None
    commutative : bool
    groups : tuple of int
        The group of each rank, if the algorithm has asked for them.
    stages : tuple of Stage
    """

    primitive: str
    algorithm: str
    parameters: Mapping[str, Any]
    asked: str
    within: str
    root: int | None
    n: int
    itemsize: int
    dtype: str
    counts: tuple[int, ...]
    operator: str | None
    commutative: bool
    groups: tuple[int, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Call:
    """A call on one rank.

    Attributes
    ----------
    crew, sketch : int
        Their places in the file, from 0 on.
    key : str
        The same on all ranks of the crew.
    form : str
        `blocking`, `nonblocking` or `persistent`.
    failed : bool
        Whether this rank's own work has failed in the middle.
    times : tuple of float or None
        Seconds on this process's clock.
    """

    crew: int
    sketch: int
    key: str
    form: str
    failed: bool
    times: tuple[float | None, ...]


class Layout(NamedTuple):
    """Where the moments of a stage stand among those of a call.

    Its begin, when its messages were posted, and when all of them had ended; then, for each of
    its messages, what is received first, when it was posted; again for each, when it was seen
    to have ended; then the end of each step. The call's own begin and end come before all.
    """

    first: int
    messages: int
    steps: int

    @property
    def size(self) -> int:
        return 3 + 2 * self.messages + self.steps

    @property
    def posted(self) -> int:
        return self.first + 3

    @property
    def seen(self) -> int:
        return self.posted + self.messages

    @property
    def after(self) -> int:
        return self.seen + self.messages


BEGIN, END, FIRST = 0, 1, 2


def layouts(sizes: Sequence[tuple[int, int]]) -> list[Layout]:
    """Where the stages of a call stand, of which these are the numbers of messages and steps."""
    found, first = [], FIRST
    for messages, steps in sizes:
        found.append(Layout(first, messages, steps))
        first += found[-1].size
    return found


def length(sizes: Sequence[tuple[int, int]]) -> int:
    """How many moments such a call has."""
    return FIRST + sum(Layout(0, *each).size for each in sizes)


@dataclass(frozen=True)
class Row:
    """The moments of one stage: seconds.

    Attributes
    ----------
    start, done, end : float
        Its begin, when all its messages had ended, and its end.
    recvs, sends : tuple of (float, float)
        Of each message, when it was posted and when it was seen to have ended.
    steps : tuple of (float, float)
        The begin and end of each.
    """

    start: float
    done: float
    end: float
    recvs: tuple[tuple[float, float], ...]
    sends: tuple[tuple[float, float], ...]
    steps: tuple[tuple[float, float], ...]


def rows(sketch: Sketch, times: Sequence[float]) -> Iterator[tuple[Stage, Row]]:
    """The stages of a call with their moments; what nobody has seen lies at the latest moment."""
    sizes = [(len(stage.recvs) + len(stage.sends), len(stage.steps)) for stage in sketch.stages]
    now = times[BEGIN]
    for stage, layout in zip(sketch.stages, layouts(sizes), strict=True):
        start, posting, done = (
            now := _known(time, now) for time in times[layout.first : layout.first + 3]
        )
        posted = [_known(time, posting) for time in times[layout.posted : layout.seen]]
        seen = [_known(time, done) for time in times[layout.seen : layout.after]]
        messages = list(zip(posted, seen, strict=True))
        steps = []
        for time in times[layout.after : layout.first + layout.size]:
            steps.append((now, now := _known(time, now)))
        split = len(stage.recvs)
        recvs, sends = tuple(messages[:split]), tuple(messages[split:])
        yield stage, Row(start, done, now, recvs, sends, tuple(steps))


def _known(time: float, otherwise: float) -> float:
    return otherwise if math.isnan(time) else time
