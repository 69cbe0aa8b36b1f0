"""From what a tracer has noted to a trace."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import collectives.engines.trace as plain
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED, Algorithm
from collectives.problems import BLOCKWISE, Problem
from collectives.study.critical import critical_messages
from collectives.study.faults import failure_of
from collectives.study.parts import Hand, Parts, Values, cuts_of
from collectives.study.tracer import MessageNote, RoundNote, StepNote, Tracer, short_name


class Assembly:
    """A trace, in the making.

    Parameters
    ----------
    tracer : Tracer
        Which has run.
    algorithm : Algorithm
    ordered : bool
        It promises to combine contributions in rank order.
    error : Exception or None
        What ended the run.
    """

    def __init__(
        self, tracer: Tracer, algorithm: Algorithm, ordered: bool, error: Exception | None
    ):
        self.tracer, self.algorithm = tracer, algorithm
        self.ordered, self.error = ordered, error
        problem = tracer.problem
        self.values = Values(tracer.ledger, problem.primitive in (*REDUCTIONS, "barrier"))
        self.parts = Parts(
            self._cuts(),
            tracer.layout.bounds,
            problem.dtype.itemsize,
            problem.primitive == "barrier",
        )
        self.messages = sorted(tracer.messages, key=_leaving)
        self.numbers = {note: number for number, note in enumerate(self.messages)}

    def _cuts(self) -> Iterator[int]:
        tracer = self.tracer
        for message in tracer.messages:
            yield from cuts_of(message.pieces)
        for pieces in tracer.begin:
            yield from cuts_of(pieces)
        for mine in tracer.rounds:
            for note in mine:
                yield from cuts_of(note.lost)
                yield from cuts_of(note.gained)

    def trace(self, setting: plain.Setting, cost: plain.Cost) -> plain.Trace:
        """All of it, with what is known from elsewhere."""
        tracer = self.tracer
        ranks = tuple(map(self._rank, range(tracer.p)))  # before values: they are numbered here
        messages = tuple(map(self._message, self.messages))
        failure = failure_of(tracer, self.ordered, self.error, self.parts, self.values)
        critical = critical_messages(tracer.rounds, tracer.messages)
        return plain.Trace(
            origin=plain.SIMULATED,
            setting=setting,
            summary=self.algorithm.summary,
            text=inspect.getdoc(self.algorithm.generator) or "",
            sources=tuple(self._sources()),
            parts=self.parts.all,
            values=self.values.runs,
            spoiled=self.values.spoiled,
            ranks=ranks,
            messages=messages,
            critical=tuple(self.numbers[note] for note in critical),
            cost=cost,
            failure=failure,
        )

    def _rank(self, rank: int) -> plain.Rank:
        tracer = self.tracer
        store, hand = tracer.stores[rank], Hand(self.parts, self.values)
        begin = hand.change([], tracer.begin[rank])
        rounds = tuple(self._round(note, hand) for note in tracer.rounds[rank])
        simulated = tracer.ranks[rank]
        return plain.Rank(
            tuple(plain.Memory(vessel.name, vessel.nbytes) for vessel in store.vessels),
            begin,
            rounds,
            simulated.now if simulated.finished else None,
        )

    def _round(self, note: RoundNote, hand: Hand) -> plain.Round:
        store = self.tracer.stores[note.rank]
        drops = tuple(
            memory
            for memory, last in store.touched.items()
            if last == note.number and memory >= store.given and note.end is not None
        )
        dropped = [piece for memory in drops for piece in store.vessels[memory].contents()]
        return plain.Round(
            note.number,
            note.beat,
            note.until,
            tuple(note.places),
            note.variables,
            note.start,
            note.end,
            tuple(self.numbers[message] for message in note.sends),
            tuple(self.numbers[message] for message in note.recvs),
            tuple(map(self._step, note.steps)),
            drops,
            hand.change([*note.lost, *dropped], note.gained),
        )

    def _step(self, note: StepNote) -> plain.Step:
        return plain.Step(
            note.kind,
            tuple(map(_ranges, note.reads)),
            _ranges(note.writes),
            self.parts.held(note.pieces, self.values),
            sum(stop - start for _, start, stop in note.writes),
            note.start,
            note.end,
        )

    def _message(self, note: MessageNote) -> plain.Message:
        target = note.target
        had = None
        if target is not None and note.arrived is not None:
            had = max(note.arrived, target.start)
        return plain.Message(
            note.source.rank,
            note.message.peer,
            note.message.nbytes,
            note.beat,
            note.source.number,
            target.number if target is not None else None,
            _ranges(note.reads),
            _ranges(note.writes),
            self.parts.held(note.pieces, self.values),
            note.left,
            note.arrived,
            had,
        )

    def _sources(self) -> Iterator[plain.Source]:
        """The functions that yielded, the algorithm first."""
        own = self.algorithm.generator.__code__
        for code in dict.fromkeys([own, *self.tracer.functions.values()]):
            try:
                lines, first = inspect.getsourcelines(code)
            except (OSError, TypeError):
                lines, first = [], code.co_firstlineno
            yield plain.Source(short_name(code.co_filename), code.co_name, first, "".join(lines))


def setting_of(
    tracer: Tracer, algorithm: Algorithm, parameters: Mapping[str, Any]
) -> plain.Setting:
    """What a tracer runs, and how."""
    problem = tracer.problem
    clock = tracer.machine.clock
    near = tracer.machine.near or clock
    groups = () if tracer.placed is None else tracer.placed.groups
    eager = tracer.eager
    return plain.Setting(
        problem.primitive,
        algorithm.name,
        {key: value for key, value in parameters.items() if key in algorithm.parameters},
        problem.p,
        problem.size,
        problem.dtype.itemsize,
        problem.root if problem.primitive in ROOTED else None,
        _counts(problem),
        problem.operator.name if problem.primitive in REDUCTIONS else None,
        problem.operator.commutative,
        clock.alpha,
        clock.beta,
        clock.gamma,
        groups,
        (near.alpha, near.beta) if groups else (),
        int(eager) if eager < float("inf") else None,
        tuple(tracer.late.get(rank, 0.0) for rank in range(problem.p)),
    )


def _counts(problem: Problem) -> tuple[tuple[int, ...], ...]:
    if problem.primitive == "alltoall":
        return tuple(map(tuple, problem.matrix.tolist()))
    return (tuple(map(int, problem.lengths)),) if problem.primitive in BLOCKWISE else ()


def _ranges(ranges: Iterable[tuple]) -> tuple[plain.Range, ...]:
    return tuple(plain.Range(vessel.number, start, stop) for vessel, start, stop in ranges)


def _leaving(note: MessageNote) -> tuple:
    never = note.left is None
    return never, note.left or 0.0, note.source.rank, note.source.number
