"""A plan bound to the buffers of calls: what is carried out, wherever the buffers lie.

What is staged is copied in before the first round and out after the last. What an
algorithm works on in place is moved: the messages and local steps of the plan are made
for other addresses. With neither there is nothing to do but to run the rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language.registry import Algorithm
from collectives.engines.driver import views_of
from collectives.engines.optimise import optimise
from collectives.engines.packing import Call, Work
from collectives.engines.plan import Plan
from collectives.engines.records import Sketch
from collectives.mpi.data.staging import Copied, Interval, Placement
from collectives.mpi.engines.calls import TAG, compile_stages, finish
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.relocation import NotMovable, Relocatable
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.engines.stages import Stage, local, stages_of
from collectives.mpi.engines.tally import Meter
from collectives.operators.operator import Operator

CALL_BYTES = 1024  # what one call of a plan takes with its message and views

Addresses = tuple  # an int or None for each buffer of a call

_COPY = Work(tuple)  # stands for what is copied in, in an error


class Turn:
    """Who may use a plan and those made from it, which share its memory: one call at a time.

    User code may run in a call, and make another like it: then that one finds the turn taken.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = False


class CallPlan:
    """A plan for the calls of one shape, for one call at a time.

    Parameters
    ----------
    asked : Algorithm
        What was asked for: `auto` records another one.
    description : str
        The call, in words that are the same on all ranks.
    plan : Plan
        As the page says. It keeps the scratch memory.
    operator : Operator
    given : sequence of numpy.ndarray
        The buffers with which it was recorded, or the memory in which they are staged.
    placement : Placement
        Where these buffers are.
    lane : Lane
        Where it is carried out.
    meter : Meter
        Counts its runs.
    facts : dict
        What a `collectives.engines.records.Sketch` says of the call.

    Attributes
    ----------
    plan : Plan
    stages : list of Stage
        Its rounds, for the buffers with which it was recorded.
    addresses : tuple
        Of the buffers with which it was recorded.
    nbytes : int
        The memory that it keeps, roughly.
    wait : callable
        What waits for its operation in a nonblocking call.
    improved : bool
        Whether it has been optimised.
    allows : callable
        Whether buffers at some addresses do not overlap.
    turn : Turn
    sketch : Sketch or None
        If it has run and was recorded.
    timed : tuple or None
        Then, too: addresses, and the stages for them with what notes their moments.
    """

    def __init__(
        self,
        asked: Algorithm,
        description: str,
        plan: Plan,
        operator: Operator,
        given: Sequence[np.ndarray],
        placement: Placement,
        lane: Lane,
        meter: Meter,
        facts: dict[str, Any],
    ):
        self.lane = lane
        self.meter, self.tick = meter, meter.tick
        self.facts = facts
        self._operator = operator
        self._placement = placement
        self._given = given
        self.improved = False
        self._compiled: list[Call] | None = None
        self.asked = asked
        self.description = description
        self._take_over(plan)
        if placement.placed:  # while the memory is there to which its addresses belong
            self.improve()
        self.addresses = tuple([placement.addresses.get(position) for position in (0, 1)])
        self.allows = placement.allows
        self.placed = placement.placed
        self.staged = placement.staged
        self.loads = [(each.position, each.staging.load) for each in placement.staged if each.loads]
        self.stores = [
            (each.position, each.staging.store) for each in placement.staged if each.stores
        ]
        own = sum(each.staging.view.nbytes for each in placement.staged)
        packed = sum(stage.packed_bytes for stage in self.stages)
        calls = sum(stage.size for stage in self.stages)
        self.nbytes = own + self.plan.scratch_bytes(given) + packed + CALL_BYTES * calls
        self.wait: Callable[[Operation], None] = PROGRESS.wait
        self.turn = Turn()
        self._ready: list[Call] = []
        self._setup: Setup | None = None

    def improve(self) -> None:
        """Optimise the plan, unless that has happened: worth while if it is used again."""
        if not self.improved:
            self.improved = True
            self._take_over(optimise(self.plan, self._given, self._operator))

    def _take_over(self, plan: Plan) -> None:
        self.plan = plan
        self.sketch: Sketch | None = None
        self.timed: tuple[Addresses, list[Stage], list[Stage], Any] | None = None
        self.stages = stages_of(plan, self._operator)
        self._compiled = None
        _restrict(plan, self._placement)

    def can_be_at(self, addresses: Addresses) -> bool:
        """Whether it can be moved to buffers at these addresses, or is there."""
        return self._relocatable is not None or self._is_at(addresses)

    def run(self, addresses: Addresses) -> None:
        """Carry out a call.

        The second time at the same place, or if no place matters, it sets up persistent
        requests, which are quicker to start than new ones.
        """
        self.tick()
        if self._ready and not self.placed:
            calls = self._ready
        else:
            with SHIELD:
                calls = self._calls(addresses)
        rest, call = iter(calls), None
        try:
            for position, load in self.loads:
                load(addresses[position])
            for call in rest:
                call()
            for position, store in self.stores:
                store(addresses[position])
        except BaseException as error:
            finish(rest, call or _COPY, error)

    def stages_at(self, addresses: Addresses) -> list[Stage]:
        """The rounds for buffers at these addresses, without what is copied in and out."""
        if self._is_at(addresses):
            return self.stages
        assert self._relocatable is not None, "it fits"
        return self._relocatable.at(addresses)

    def direct(self, addresses: Addresses) -> list[Stage]:
        """All that a call does, on the user's memory as far as that is possible.

        What is copied for want of a fixed place is not copied here. But an input that an
        algorithm overwrites, as some broadcasts do at the root, is left alone.
        """
        places = dict(self.placed)
        staged = []
        for each in self.staged:
            staging = each.staging
            if isinstance(staging, Copied) and (each.stores or not staging.written):
                places[each.position] = staging.place()
            else:
                staged.append(each)
        try:
            stages = Relocatable(self.stages, places).at(addresses)
        except NotMovable:
            return self.whole(addresses)
        before: list[Call] = [
            Work(x.staging.load, addresses[x.position]) for x in staged if x.loads
        ]
        after: list[Call] = [
            Work(x.staging.store, addresses[x.position]) for x in staged if x.stores
        ]
        return [*local(before), *stages, *local(after)]

    def whole(self, addresses: Addresses) -> list[Stage]:
        """All that a call does, with what copies in and out as stages of their own."""
        before: list[Call] = [Work(load, addresses[place]) for place, load in self.loads]
        after: list[Call] = [Work(store, addresses[place]) for place, store in self.stores]
        return [*local(before), *self.stages_at(addresses), *local(after)]

    def rounds(self, addresses: Addresses) -> list[Stage]:
        """The same with what copies in as a part of the first round, and out of the last."""
        self.tick()
        stages = self.whole(addresses)
        if self.loads and len(stages) > 1:
            first, second, *rest = stages
            stages = [replace(second, before=[*first.after, *second.before]), *rest]
        if self.stores and len(stages) > 1:
            *rest, one, last = stages
            stages = [*rest, replace(one, after=[*one.after, *last.after])]
        return stages

    def free(self) -> None:
        """Give the persistent requests back to MPI."""
        if self._setup is not None:
            self._setup.free()
            self._setup = None

    def _is_at(self, addresses: Addresses) -> bool:
        """Whether it was recorded with buffers at these addresses."""
        return all(addresses[position] == x.address for position, x in self.placed.items())

    @cached_property
    def _relocatable(self) -> Relocatable | None:
        try:
            return Relocatable(self.stages, self.placed)
        except NotMovable:
            return None

    def _calls(self, addresses: Addresses) -> list[Call]:
        stages = self.stages_at(addresses)
        if stages is not self.stages:
            return compile_stages(stages, self.lane)
        if self._compiled is None:
            self._compiled = compile_stages(stages, self.lane)
            return self._compiled
        if self._setup is None:
            self._setup = Setup(stages, self.lane, TAG)
            self._ready = self._setup.calls()
        return self._ready


def _restrict(plan: Plan, placement: Placement) -> None:
    """Copy in just what a plan reads before it writes there, and out just what it writes."""
    copied = [each for each in placement.staged if isinstance(each.staging, Copied)]
    if not copied:
        return
    traces = [_Trace(each.staging.view) for each in copied]
    for round_ in plan.rounds:
        for message in round_.sends:
            _note(traces, message.views, written=False)
        for message in round_.recvs:
            _note(traces, message.views, written=True)
        for step in round_.local:
            _note(traces, step.read, written=False)
            _note(traces, views_of(step.written), written=True)
    for each, trace in zip(copied, traces):
        assert isinstance(each.staging, Copied)
        reads = _intervals(trace.read) if each.loads else []
        writes = _intervals(trace.written) if each.stores else []
        each.staging.restrict(reads, writes)
        each.staging.written = bool(trace.written.any())


class _Trace:
    """Which bytes of a vector have been written, and which were read before that."""

    def __init__(self, view: np.ndarray):
        self.start = MPI.Get_address(view)
        self.written = np.zeros(view.nbytes, bool)
        self.read = np.zeros(view.nbytes, bool)


def _note(traces: Sequence[_Trace], views: Sequence[np.ndarray], written: bool) -> None:
    for view in views:
        first = MPI.Get_address(view) if view.size else -1
        for trace in traces:
            at = first - trace.start
            if 0 <= at < trace.written.size:
                part = slice(at, at + view.nbytes)
                if written:
                    trace.written[part] = True
                else:
                    trace.read[part] |= ~trace.written[part]


def _intervals(marked: np.ndarray) -> list[Interval]:
    """The runs of marked bytes: mostly all of them, or none."""
    if marked.all():
        return [(0, marked.size)]
    if not marked.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
