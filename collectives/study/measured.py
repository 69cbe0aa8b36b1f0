"""A recorded call as a trace: what the page does, at the times at which it happened.

Who holds what after which round follows from the page, so the simulator is asked for that, and
its times are replaced. What it predicts for the same begins of the ranks stands beside.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from collectives.algorithms.language.registry import GROUP, TOPOLOGY
from collectives.catalogue import find
from collectives.engines.records import Row, Sketch, Stage
from collectives.engines.trace import MEASURED, Message, Rank, Round, Step, Trace
from collectives.errors import ArgumentError, UnknownAlgorithm
from collectives.machine.clock import Clock
from collectives.operators.operator import OPERATORS, Operator
from collectives.study.recorded import Passage, Recorded
from collectives.study.tracing import trace


class Measured(NamedTuple):
    """A call as it was predicted, for ranks that begin when they did, and as it was."""

    predicted: Trace
    measured: Trace


def measured(call: Recorded, clock: Clock | None = None) -> Measured:
    """A recorded call as two traces.

    Parameters
    ----------
    call : Recorded
    clock : Clock, optional
        Of the prediction.

    Raises
    ------
    ArgumentError
        The call failed, or its page is not what it was.
    UnknownAlgorithm
        Its page has not been loaded.
    """
    if call.failed:
        raise ArgumentError(
            f"{call.title}: a call that came to its end is needed, got one whose own work failed "
            "on a rank; choose another"
        )
    late = {rank: begin - call.begin for rank, begin in enumerate(call.begins)}
    predicted = _predicted(call, clock, late)
    return Measured(predicted, _Retiming(call, predicted).trace())


def _predicted(call: Recorded, clock: Clock | None, late: dict[int, float]) -> Trace:
    sketch = call.sketches[0]
    algorithm = _found(sketch)
    whole = call.sketches[sketch.root or 0]
    options: dict[str, Any] = dict(sketch.parameters)
    name = sketch.algorithm
    if algorithm.needs_groups:
        options[GROUP] = sketch.groups
    if topology := options.pop(TOPOLOGY, None):  # of the algorithm; `trace` has one of its own
        name = f"{name}:{TOPOLOGY}=({topology})"
    if sketch.operator is not None:
        known = OPERATORS.get(sketch.operator)
        plain = known is not None and known.widening is None  # the elements that travelled are wide
        options["operator"] = known if plain else _named(sketch.operator, sketch.commutative)
    if sketch.primitive == "alltoall":
        options["counts"] = [each.counts for each in call.sketches]
    elif whole.counts:
        options["counts"] = whole.counts
    lossy = algorithm.lossy and sketch.dtype
    dtype = np.dtype(lossy or f"V{whole.itemsize}")
    root = sketch.root or 0
    facts: dict[str, Any] = {
        "p": call.p,
        "n": whole.n,
        "dtype": dtype,
        "root": root,
        "clock": clock,
        "late": late,
    }
    return trace(sketch.primitive, name, **facts, **options)


def _named(name: str, commutative: bool) -> Operator:
    """An operator of the user's: nothing is computed, so its kernel is not needed."""
    return Operator(name, None, commutative)


def _found(sketch: Sketch) -> Any:
    try:
        return find(sketch.primitive, sketch.algorithm)[0]
    except UnknownAlgorithm as error:
        raise UnknownAlgorithm(f"{error}; if it is in a file of yours, add --load FILE") from None


class _Retiming:
    """The trace of a call, with its times replaced."""

    def __init__(self, call: Recorded, predicted: Trace):
        self.call, self.predicted = call, predicted
        self.rows = [{stage.number: (stage, row) for stage, row in mine} for mine in call.rows]
        pairs = self._pairs()
        self.messages = [self._message(*each) for each in pairs]
        order = sorted(range(len(self.messages)), key=lambda i: (self.messages[i].left, i))
        self.numbers = {old: new for new, old in enumerate(order)}
        self.order = order
        self.out = [pairs[number][1].out - call.begin for number in order]

    def trace(self) -> Trace:
        """All of it."""
        ranks = tuple(map(self._rank, range(self.call.p)))
        messages = tuple(self.messages[number] for number in self.order)
        cost = replace(self.predicted.cost, messages=None, nbytes=None, work=None)
        found = replace(
            self.predicted, origin=MEASURED, ranks=ranks, messages=messages, cost=cost, critical=()
        )
        return replace(found, critical=critical(found, self.out))

    def _pairs(self) -> list[tuple[Message, Passage]]:
        """The messages of the page, each with what was noted of it."""
        passages: dict[tuple[int, int], deque] = defaultdict(deque)
        for each in self.call.messages:
            sent = self.call.rows[each.source][each.sent[0]][0].number
            taken = self.call.rows[each.dest][each.taken[0]][0].number
            facts = sent, taken, each.nbytes
            passages[each.source, each.dest].append((facts, each))
        pairs: list[Any] = [None] * len(self.predicted.messages)
        for rank in self.predicted.ranks:
            for round_ in rank.rounds:
                for number in round_.sends:
                    message = self.predicted.messages[number]
                    waiting = passages[message.source, message.dest]
                    wanted = message.sent, message.taken, message.nbytes
                    found, passage = waiting.popleft() if waiting else (None, None)
                    if found != wanted:
                        raise self._changed()
                    pairs[number] = message, passage
        if any(passages.values()):
            raise self._changed()
        return pairs

    def _changed(self) -> ArgumentError:
        return ArgumentError(
            f"{self.call.title}: needs the page that ran, got one that sends other messages; "
            "record the run again"
        )

    def _message(self, message: Message, passage: Passage) -> Message:
        left = passage.left - self.call.begin
        seen = max(passage.seen - self.call.begin, left)  # the clocks agree only so far
        return replace(message, left=left, arrived=seen, had=seen)

    def _rank(self, rank: int) -> Rank:
        now, rounds = self.call.begins[rank] - self.call.begin, []
        for round_ in self.predicted.ranks[rank].rounds:
            rounds.append(self._round(round_, self.rows[rank].get(round_.number), now))
            now = rounds[-1].end or now
        ended = self.call.ends[rank] - self.call.begin
        return replace(self.predicted.ranks[rank], rounds=tuple(rounds), finished=ended)

    def _round(self, round_: Round, found: tuple[Stage, Row] | None, now: float) -> Round:
        sends, recvs = (
            tuple(self.numbers[number] for number in numbers)
            for numbers in (round_.sends, round_.recvs)
        )
        if found is None:  # the rank has nothing to do in it
            steps = tuple(replace(step, start=now, end=now) for step in round_.steps)
            return replace(round_, start=now, end=now, steps=steps)
        stage, row = found
        begin = self.call.begin
        steps = _steps(round_.steps, stage.steps, row, begin)
        start, end = row.start - begin, row.end - begin
        return replace(round_, start=start, end=end, sends=sends, recvs=recvs, steps=steps)


def _steps(steps: Sequence[Step], kinds: Sequence[str], row: Row, begin: float) -> tuple[Step, ...]:
    """The page's steps at the times of those that ran; what was not needed takes no time."""
    ran = deque(zip(kinds, row.steps, strict=True))
    left = deque(step.kind for step in steps)
    now, found = row.done - begin, []
    for step in steps:
        left.popleft()
        while ran and ran[0][0] not in (step.kind, *left):
            ran.popleft()  # it unpacks
        if ran and ran[0][0] == step.kind:
            _, (start, end) = ran.popleft()
            found.append(replace(step, start=start - begin, end=end - begin))
            now = end - begin
        else:
            found.append(replace(step, start=now, end=now))
    return tuple(found)


def critical(found: Trace, out: Sequence[float]) -> tuple[int, ...]:
    """The messages for which the last rank waited, one after the other.

    From the end backwards: a round waits for the message that ends last. What comes in waits for
    its sender, if this sent it after the round had begun; what goes out, for its receiver.

    Parameters
    ----------
    found : Trace
    out : sequence of float
        When the sender of each message saw that its send had ended.
    """
    rank = max(range(len(found.ranks)), key=lambda each: found.ranks[each].finished or 0.0)
    number, chain = len(found.ranks[rank].rounds), []
    while number > 0:
        round_ = found.ranks[rank].rounds[number - 1]
        number -= 1
        ends = [(found.messages[each].arrived or 0.0, True, each) for each in round_.recvs]
        ends += [(out[each], False, each) for each in round_.sends]
        end, comes, last = max(ends, default=(0.0, False, 0))
        if end <= round_.start:
            continue
        message = found.messages[last]
        chain.append(last)
        assert message.left is not None and message.taken is not None
        if comes:
            other, before, began = message.source, message.sent - 1, message.left
        else:
            other, before = message.dest, message.taken - 1
            began = found.ranks[other].rounds[before].start
        if began >= round_.start:
            rank, number = other, before
    return tuple(chain[::-1])
