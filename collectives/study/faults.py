"""What is wrong with a run: ranks that wait for each other, a broken rule, a wrong answer."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.engines.trace import Failure, Fault, Wait
from collectives.errors import Deadlock, PageError
from collectives.study.histories import complaint, in_order, shifted
from collectives.study.holdings import Piece, Vessel
from collectives.study.layout import Laid
from collectives.study.parts import Parts, Values
from collectives.study.tracer import Tracer


def failure_of(
    tracer: Tracer, ordered: bool, error: Exception | None, parts: Parts, values: Values
) -> Failure | None:
    """What went wrong, if anything did.

    Parameters
    ----------
    tracer : Tracer
        Which has run.
    ordered : bool
        The algorithm promises to combine the contributions in rank order.
    error : Exception or None
        What ended the run.
    parts, values
        Those of the trace.
    """
    if isinstance(error, Deadlock):
        waits = tuple(_waits(tracer, [rank for rank, _, _ in error.chain]))
        return Failure("deadlock", str(error), waits[0].rank, waits[0].round, waits, ())
    if error is not None:
        mine = tracer.rounds[tracer.at]
        number = mine[-1].number if mine else None
        kind = "error" if isinstance(error, PageError) else "schedule"
        return Failure(kind, str(error), tracer.at, number, (), ())
    faults = tuple(_Judge(tracer, ordered, parts, values).faults())
    if not faults:
        return None
    first, here = faults[0], tracer.twice
    rank, number = (here.rank, here.number) if here else (first.rank, first.round)
    where = f"rank {first.rank} of {tracer.p}: part {parts.all[first.part].name}"
    return Failure("wrong", f"{tracer.title}: {where} = {first.what}", rank, number, (), faults)


def _waits(tracer: Tracer, cycle: list[int]) -> Iterator[Wait]:
    waits = tracer.waits()
    for rank in [*cycle, *sorted(set(waits) - set(cycle))]:
        peer, step = waits[rank]
        note = tracer.rounds[rank][-1]
        kind = step.rpartition(" ")[0]
        yield Wait(rank, note.number, kind, peer, note.places[0], rank in cycle)


class _Judge:
    """Holds what lies in the outputs against what should lie there."""

    def __init__(self, tracer: Tracer, ordered: bool, parts: Parts, values: Values):
        self.tracer, self.ordered, self.parts, self.values = tracer, ordered, parts, values

    def faults(self) -> Iterator[Fault]:
        tracer, problem = self.tracer, self.tracer.problem
        for rank, store in enumerate(tracer.stores):
            if problem.primitive == "barrier":
                everybody = [Laid(1, 0, 0, problem.p)]
                yield from self._compare(rank, store.vessels[0], everybody)
            elif problem.recv_size(rank) is not None:
                yield from self._compare(
                    rank, store.vessels[store.given - 1], tracer.layout.output(rank)
                )

    def _compare(self, rank: int, vessel: Vessel, wanted: list[Laid]) -> Iterator[Fault]:
        item, ledger, at = self.tracer.problem.dtype.itemsize, self.tracer.ledger, 0
        for piece in ledger.laid(wanted, item):
            start = piece.start
            for got in vessel.read(at, at + piece.nbytes):
                if not self._alike(got, start, piece.history):
                    yield self._fault(
                        rank, vessel, at, got, Piece(got.nbytes, start, piece.history)
                    )
                at += got.nbytes
                start += got.nbytes

    def _alike(self, got: Piece, start: int, history: int) -> bool:
        if got.packet is not None or not got.history or got.start != start:
            return False
        if self.ordered:
            return got.history == history
        known = self.tracer.ledger.known
        return in_order(known[got.history]) == in_order(known[history])

    def _fault(self, rank: int, vessel: Vessel, at: int, got: Piece, wanted: Piece) -> Fault:
        ledger, parts = self.tracer.ledger, self.parts
        part = parts.within(wanted.start, wanted.start + 1)[0]
        [(_, first, stop)] = ledger.known[wanted.history]
        held = [
            (parts.within(start, start + 1)[0] if first >= 0 else part, first, last)
            for start, first, last in shifted(ledger.known[got.history], got.start)
        ]
        written = vessel.written.within(at, at + 1)
        return Fault(
            rank,
            part,
            self.values.of(wanted.history),
            self.values.of(got.history) if got.history else None,
            complaint(tuple(held), part, first, stop),
            (written[0][2] or None) if written else None,
        )
