"""A trace beat by beat: which rounds are under way, at which lines, and what moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from collectives.engines.trace import Message, Place, Round, Trace
from collectives.explain.source import loop_variables


@dataclass(frozen=True)
class Line:
    """A line at which some ranks stand, with the variables of loops that they have in common."""

    place: Place
    ranks: tuple[int, ...]
    variables: dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """One beat of a trace.

    Attributes
    ----------
    beat : int
    lines : tuple of Line
        Of the rounds that begin in it.
    messages : tuple of Message
        Those that move in it, or should: nobody takes them.
    steps : tuple of (str, tuple of int)
        Kinds of local steps that end in it, with the ranks.
    waiting : tuple of int
        Ranks whose round has begun before, and lasts.
    """

    beat: int
    lines: tuple[Line, ...]
    messages: tuple[Message, ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    waiting: tuple[int, ...]

    @property
    def shape(self) -> tuple:
        """Moments with one shape do the same, with other blocks."""
        lines = tuple((line.place.file, line.place.line, line.ranks) for line in self.lines)
        return lines, tuple((m.source, m.dest) for m in self.messages), self.steps


def moments(trace: Trace) -> list[Moment]:
    """All of them, in order."""
    begins: dict[int, list[tuple[int, Round]]] = defaultdict(list)
    lasts: dict[int, list[tuple[int, Round]]] = defaultdict(list)
    for number, rank in enumerate(trace.ranks):
        for round_ in rank.rounds:
            begins[round_.beat].append((number, round_))
            for beat in range(round_.beat + 1, round_.until + 1):
                lasts[beat].append((number, round_))
    moving: dict[int, list[Message]] = defaultdict(list)
    for message in sorted(trace.messages, key=lambda message: message.source):
        moving[message.beat].append(message)
    return [
        Moment(
            beat,
            tuple(_lines(trace, begins[beat])),
            tuple(moving[beat]),
            tuple(_steps(beat, begins[beat] + lasts[beat])),
            tuple(sorted(number for number, _ in lasts[beat])),
        )
        for beat in range(1, trace.beats + 1)
    ]


def in_lock_step(trace: Trace) -> bool:
    """Whether a beat is a round, on all ranks."""
    return all(r.number == r.beat == r.until for rank in trace.ranks for r in rank.rounds)


def alike(found: list[Moment]) -> Iterator[list[Moment]]:
    """Moments that follow each other and have one shape, together."""
    group: list[Moment] = []
    for moment in found:
        if group and moment.shape != group[0].shape:
            yield group
            group = []
        group.append(moment)
    if group:
        yield group


def _lines(trace: Trace, rounds: list[tuple[int, Round]]) -> Iterator[Line]:
    groups: dict[Place, list[tuple[int, Round]]] = defaultdict(list)
    for number, round_ in rounds:
        groups[round_.places[0]].append((number, round_))
    for place, mine in sorted(groups.items(), key=lambda item: item[1][0][0]):
        common = dict(mine[0][1].variables)
        for _, round_ in mine[1:]:
            common = {k: v for k, v in common.items() if round_.variables.get(k) == v}
        loops = [name for name in loop_variables(trace, place) if name in common]
        variables = {name: common[name] for name in loops}
        yield Line(place, tuple(number for number, _ in mine), variables)


def _steps(beat: int, rounds: list[tuple[int, Round]]) -> Iterator[tuple[str, tuple[int, ...]]]:
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, round_ in sorted(rounds, key=lambda each: each[0]):
        for kind in dict.fromkeys(step.kind for step in round_.steps):
            if round_.until == beat:
                kinds[kind].append(number)
    yield from ((kind, tuple(ranks)) for kind, ranks in kinds.items())
