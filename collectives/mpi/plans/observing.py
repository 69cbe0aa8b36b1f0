"""Calls of one communicator that are recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from mpi4py import MPI

from collectives.engines import records
from collectives.engines.records import Crew, Offset, Sketch
from collectives.errors import Timeout
from collectives.mpi.engines.clocks import Clocks
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import arrived
from collectives.mpi.engines.progress import PATIENCE, offer_core
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.stages import Stage
from collectives.mpi.engines.stopwatch import Log, TimedSetup, TimedStage, sketched, timed
from collectives.mpi.plans.book import Book, Entry
from collectives.mpi.plans.callplan import Addresses, CallPlan
from collectives.mpi.plans.traffic import CLOCK_TAG, Flight

LAST_WAIT = 5.0  # seconds for other ranks to come at the end, whose clocks are compared


class TimedFlight(Flight):
    """An operation that notes when its messages are posted, and when each is seen to have ended.

    Attributes
    ----------
    parts : int
        Plans that it has carried out: a call may take several.
    """

    __slots__ = ("open", "parts")

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.parts = 0
        self.open: list[int] = []  # messages of the stage that have not ended

    def _post(self, stage: Stage) -> list[MPI.Request]:
        self.open = list(range(len(stage.recvs) + len(stage.sends)))
        if not isinstance(stage, TimedStage):
            return super()._post(stage)
        assert stage.log is not None and stage.layout is not None
        note, slot = stage.log.note, stage.layout.posted
        requests: list[MPI.Request] = []
        for buf, source in stage.recvs:
            note(slot + len(requests))
            requests.append(self.lane.comm.Irecv(buf, *self.lane.of(source, self.tag)))
        for buf, dest in stage.sends:
            note(slot + len(requests))
            requests.append(self.lane.comm.Isend(buf, *self.lane.to(dest, self.tag)))
        return requests

    def _completed(self, completed: Callable[[list[MPI.Request]], bool]) -> bool:
        stage = self.stage
        if not isinstance(stage, TimedStage):
            return super()._completed(completed)

        def look(requests: list[MPI.Request]) -> bool:
            idle = 0
            while not self._looked(stage, requests):
                if completed is arrived:
                    return False
                if (idle := idle + 1) > PATIENCE:
                    offer_core()
            requests.clear()
            return True

        return super()._completed(look)

    def _looked(self, stage: TimedStage, requests: list[MPI.Request]) -> bool:
        """Note which messages have ended; whether all have."""
        assert stage.log is not None and stage.layout is not None
        for place in [*self.open]:
            if requests[place].Test():
                stage.log.note(stage.layout.seen + place)
                self.open.remove(place)
        return not self.open


class Observer:
    """Records the calls of one communicator.

    Parameters
    ----------
    book : Book
        Of this process.
    comm : MPI.Intracomm
    lane : Lane
    timeout : float or None
        Seconds to wait for other ranks.

    Raises
    ------
    Timeout
    """

    def __init__(self, book: Book, comm: MPI.Intracomm, lane: Lane, timeout: float | None):
        self.book, self.lane = book, lane
        self.world = _world(comm)
        self.offsets: list[Offset] = []
        self.clocks = Clocks(lane, CLOCK_TAG)
        self._compare(timeout or math.inf)
        if not self.offsets:
            raise Timeout(
                f"trace: the clocks of all {lane.p} ranks are compared first, and some have not "
                f"answered within {timeout:g} s"
            )
        self._used = False
        self.crew = book.add_crew(self._crew)

    def _crew(self) -> Crew:
        return Crew(self.lane.name, self.lane.rank, self.world, tuple(self.offsets))

    def _compare(self, seconds: float) -> None:
        offset = self.clocks.compare(seconds)
        if offset is not None:
            self.offsets.append(offset)

    def leave(self) -> None:
        """Compare the clocks again; the last call has ended. Collective."""
        if self._used and not self.lane.spoilt and len(self.offsets) == 1:
            self._compare(LAST_WAIT)

    def stages(
        self, plan: CallPlan, addresses: Addresses, form: str, flight: TimedFlight
    ) -> Iterator[Stage]:
        """The stages of a call that a flight carries out; it is recorded when they have ended."""
        plan.tick()
        part, flight.parts = flight.parts, flight.parts + 1
        if plan.timed is None or plan.timed[0] != addresses:
            whole = plan.whole(addresses)
            plan.timed = addresses, whole, *timed(whole)
        _, whole, stages, log = plan.timed
        log.restart()
        yield from stages
        key = f"{flight.number}.{part}"
        self._add(plan, whole, log, key, form, flight.lost)

    def setup(self, plan: CallPlan, lane: Lane, tag: int) -> tuple[Setup, Callable[[], object]]:
        """The stages of a persistent call, set up, and what is called at the start of each run."""
        whole = plan.whole(plan.addresses) or [Stage()]
        stages, log = timed(whole)
        starts = 0

        def start() -> None:
            nonlocal starts
            starts += 1
            plan.tick()
            log.restart()

        def end() -> None:
            key = f"{lane.name}.{tag}.{starts}"
            self._add(plan, whole, log, key, "persistent", False)

        stages[-1].after.append(end)
        return TimedSetup(stages, lane, tag), start

    def _add(
        self, plan: CallPlan, stages: list[Stage], log: Log, key: str, form: str, failed: bool
    ) -> None:
        self._used = True
        log.note(records.END)
        if plan.sketch is None:
            plan.sketch = Sketch(**plan.facts, stages=sketched(stages))
        self.book.add(Entry(self.crew, plan.sketch, key, form, failed, log.times))


def _world(comm: MPI.Intracomm) -> tuple[int, ...]:
    """What each rank of a communicator is in the world."""
    mine, all_ = comm.Get_group(), MPI.COMM_WORLD.Get_group()
    try:
        return tuple(MPI.Group.Translate_ranks(mine, None, all_))
    finally:
        mine.Free()
        all_.Free()
