"""From a call to a plan that is ready to run: everything is checked, nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.registry import (
    AUTO,
    GROUP,
    REDUCTIONS,
    ROOTED,
    Algorithm,
)
from collectives.catalogue import check_lossy, check_parameters, check_restrictions, find
from collectives.choice import choices, decide
from collectives.engines.driver import Process
from collectives.engines.optimise import optimise
from collectives.engines.packing import Call
from collectives.engines.plan import Plan, record
from collectives.errors import CollectiveError
from collectives.mpi.data.arguments import READERS, Arguments, Reader, check_root
from collectives.mpi.data.operators import Op, operator_of
from collectives.mpi.engines.calls import TAG
from collectives.mpi.engines.relocation import (
    NotMovable,
    Relocatable,
    Span,
    overlapping,
    spans_at,
    spans_of,
)
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.stages import Stage, local, stages_of
from collectives.nodes import grouping
from collectives.operators.operator import SUM, Operator
from collectives.problems import BLOCKWISE

CALL_BYTES = 1024  # what one call of a plan takes with its message and views


@dataclass
class Entry:
    """A plan that is ready to run.

    Attributes
    ----------
    asked, algorithm : Algorithm
        What was asked for, and what was recorded: another one for `auto`.
    description : str
        The call, in words that are the same on all ranks.
    plan : Plan
        Keeps the scratch memory; its views of buffers are those that it was recorded with.
    operator : Operator
    stages : list of Stage
    nbytes : int
        The memory that the entry keeps, roughly.
    movable : bool
        Whether all that the call does with its buffers is in the plan.
    setup : Setup or None
        Persistent requests for its messages, once it is used again.
    shortcuts : list of (dict, tuple)
        Where its calls are found: they go when it goes.
    """

    asked: Algorithm
    algorithm: Algorithm
    description: str
    plan: Plan
    operator: Operator
    stages: list[Stage]
    nbytes: int
    movable: bool
    setup: Setup | None = None
    shortcuts: list[tuple[dict, tuple]] = field(default_factory=list)

    def set_up(self, comm: MPI.Intracomm) -> list[Call]:
        """What a replay calls, with persistent requests: quicker to start than new ones."""
        if self.setup is None:
            self.setup = Setup(self.stages, comm, TAG)
        return self.setup.calls()

    def free(self) -> None:
        """Give the persistent requests back to MPI."""
        if self.setup is not None:
            self.setup.free()
            self.setup = None


class Pattern:
    """The plan of one call, for all calls of its shape.

    Parameters
    ----------
    entry : Entry
        It is `movable`.
    spans : list of Span
        The memory of the buffers for which it was made, which do not overlap.
    """

    def __init__(self, entry: Entry, spans: list[Span]):
        self.entry = entry
        self.spans = spans

    @classmethod
    def of(cls, entry: Entry, arrays: Sequence[np.ndarray]) -> Pattern | None:
        """The pattern of what was recorded for a call with these arrays, if it can be one."""
        spans = spans_of(arrays)
        return cls(entry, spans) if entry.movable and not overlapping(spans) else None

    @cached_property
    def _relocatable(self) -> Relocatable | None:
        try:
            return Relocatable(self.entry.stages, self.spans)
        except NotMovable:
            return None

    def stages_at(self, addresses: Sequence[int]) -> list[Stage] | None:
        """The stages for buffers elsewhere; None if they cannot be there.

        They are as long and as writable as those for which it was made.
        """
        spans = spans_at(addresses, self.spans)
        if self._relocatable is None or overlapping(spans):
            return None
        return self._relocatable.at(spans)

    def at(self, addresses: Sequence[int]) -> Entry | None:
        """The entry for buffers elsewhere, with the same scratch memory; None as above."""
        stages = self.stages_at(addresses)
        if stages is None:
            return None
        old = self.entry
        asked, algorithm, words = old.asked, old.algorithm, old.description
        return Entry(asked, algorithm, words, old.plan, old.operator, stages, old.nbytes, True)


class Invocation(NamedTuple):
    """One call of a primitive on one rank.

    Attributes
    ----------
    primitive : str
    algorithm : str or None
        A name, with or without parameters.
    buffers : sequence
        What the primitive's function in `arguments` takes.
    root : int or None
    op : MPI.Op, REPRODUCIBLE_SUM or None
    parameters : dict
    counts : tuple of int, bytes or None
        Described at `arguments.Reader`.
    within : str
        What the call is a part of, if it is not the user's own.
    """

    primitive: str
    algorithm: str | None
    buffers: Sequence[Any]
    root: int | None = None
    op: Op | None = None
    parameters: dict[str, Any] | None = None
    counts: tuple[int, ...] | bytes | None = None
    within: str = ""


class Attempt(NamedTuple):
    """What became of a call on this rank: an entry that can run, or a problem."""

    name: str
    algorithm: Algorithm | None = None
    entry: Entry | None = None
    problem: CollectiveError | None = None

    @classmethod
    def of(cls, entry: Entry) -> Attempt:
        # What was asked for is what a rank knows, too, that has a problem.
        return cls(entry.description, entry.asked, entry)

    def result(self) -> Entry:
        """The entry; raises the problem if there is one."""
        if self.entry is None:
            assert self.problem is not None
            raise self.problem
        return self.entry


@dataclass(frozen=True)
class Recorder:
    """Records the calls of one rank.

    Attributes
    ----------
    rank, p : int
    nodes : tuple of int
        The number of each rank's node.
    """

    rank: int
    p: int
    nodes: tuple[int, ...]

    def attempt(self, call: Invocation) -> Attempt:
        """Check everything on this rank alone, and make a plan; nothing is sent."""
        try:
            algorithm, given = self.choose(call.primitive, call.algorithm, call.parameters)
        except CollectiveError as error:
            return Attempt(call.primitive, None, None, error)
        try:
            entry = self._record(algorithm, given, call)
        except CollectiveError as error:
            return Attempt(str(algorithm), algorithm, None, error)
        return Attempt.of(entry)

    def choose(
        self, primitive: str, spec: str | None, parameters: Mapping[str, Any] | None
    ) -> tuple[Algorithm, dict[str, Any]]:
        """Look up an algorithm and its parameters; check all that is not in the buffers."""
        algorithm, given = find(primitive, spec)
        given.update({name: _plain(value) for name, value in (parameters or {}).items()})
        check_parameters(algorithm, given)
        check_restrictions(algorithm, self.p)
        return algorithm, given

    def _record(
        self, algorithm: Algorithm, parameters: Mapping[str, Any], call: Invocation
    ) -> Entry:
        """Check the root and the buffers, and record the algorithm's rounds."""
        root = None
        if algorithm.primitive in ROOTED:
            root = check_root(str(algorithm), call.root, self.p)
        reader, read, operator = self._read(algorithm, call, root)
        nbytes, commutative = _whole_bytes(algorithm, read), operator.commutative
        chosen, given = decide(algorithm, parameters, self.p, nbytes, commutative)
        plan = self._plan(chosen, given, read, root, operator)
        plan = optimise(plan, _given(read), operator)
        description = _description(chosen, given, read, root, operator, call.counts)
        if algorithm.name == AUTO and not choices().declared:
            description += f" chosen by {choices().name}"
        stages = [*local(reader.before), *stages_of(plan, operator), *local(reader.after)]
        calls = sum(stage.size for stage in stages)
        packed_bytes = sum(stage.packed_bytes for stage in stages)
        nbytes = plan.scratch_bytes + packed_bytes + CALL_BYTES * calls
        movable = not reader.before and not reader.after
        return Entry(algorithm, chosen, description, plan, operator, stages, nbytes, movable)

    def _read(
        self, algorithm: Algorithm, call: Invocation, root: int | None
    ) -> tuple[Reader, Arguments, Operator]:
        """The checked buffers of a call, and the operator that fits them."""
        title, reduces, op = str(algorithm), algorithm.primitive in REDUCTIONS, call.op
        widens = op if reduces and isinstance(op, Operator) and op.widening else None
        reader = Reader(title, self.rank, self.p, root, call.counts, reduces, widens)
        read = READERS[algorithm.primitive](reader, *call.buffers)
        if not reduces:
            return reader, read, SUM
        assert read.like is not None
        return reader, read, operator_of(title, op, read.like.element)

    def _plan(
        self,
        algorithm: Algorithm,
        parameters: Mapping[str, Any],
        read: Arguments,
        root: int | None,
        operator: Operator,
    ) -> Plan:
        """The rounds of an algorithm that its restrictions allow."""
        title = str(algorithm)
        groups, own = self._groups(algorithm, parameters)
        check_restrictions(algorithm, self.p, operator.commutative, groups)
        if algorithm.lossy:
            assert read.like is not None
            check_lossy(algorithm, self.p, operator, read.like.element.unit)
        values = list(read.values)
        if algorithm.primitive in ROOTED:
            values.append(root)
        if algorithm.needs_counts:
            values.append(read.counts)
        if algorithm.needs_groups:
            values.append(groups)
        generator = algorithm.generator(self.rank, self.p, *values, **own)
        return record(Process(title, self.rank, self.p, _after(read, generator)))

    def _groups(
        self, algorithm: Algorithm, parameters: Mapping[str, Any]
    ) -> tuple[tuple[int, ...] | None, Mapping[str, Any]]:
        """The groups of an algorithm that asks for them, and its other parameters."""
        if not algorithm.needs_groups:
            return None, parameters
        others = {name: value for name, value in parameters.items() if name != GROUP}
        group = parameters.get(GROUP)
        if group is not None:
            return grouping(str(algorithm), self.p, group), others
        return self.nodes, others


def _whole_bytes(algorithm: Algorithm, read: Arguments) -> int:
    """Bytes of the whole vector, the same on all ranks; those of a rank's share in alltoall."""
    if read.like is None:
        return 0
    elements = read.like.view.size
    if algorithm.primitive == "alltoall":
        elements = int(np.sum(read.counts)) // len(read.counts)
    elif algorithm.primitive in BLOCKWISE:
        elements = sum(read.counts)
    return elements * read.like.view.itemsize


def _description(
    algorithm: Algorithm,
    parameters: Mapping[str, Any],
    read: Arguments,
    root: int | None,
    operator: Operator,
    counts: tuple[int, ...] | bytes | None,
) -> str:
    """A call in words, as far as all ranks must say the same."""
    if read.like is None:
        return str(algorithm)
    given = [f"{name} {value}" for name, value in parameters.items()]
    given += [] if root is None else [f"root {root}"]
    given += [operator.name] if algorithm.primitive in REDUCTIONS else []
    if algorithm.primitive not in BLOCKWISE:
        given.append(f"{read.like.view.size} elements")
    elif algorithm.tree is not None and counts is not None:
        given.append("blocks of as many elements as the root has told")
    elif algorithm.primitive != "alltoall":
        given.append(f"blocks of {', '.join(map(str, read.counts))} elements")
    given.append(f"{read.like.element.unit}")
    return f"{algorithm} ({', '.join(given)})"


def _given(read: Arguments) -> list[np.ndarray]:
    """The buffers of a call, but for those that its prelude fills: these are scratch."""
    arrays = [value.buf if isinstance(value, Blocks) else value for value in read.values]
    filled = [step.dst for step in read.prelude]
    given = [array for array in arrays if array is not None and all(array is not x for x in filled)]
    return given + [view for step in read.prelude for view in step.read]


def _after(read: Arguments, generator: Iterator) -> Iterator:
    """The algorithm, after the copies that its arguments need."""
    if read.prelude:
        yield read.prelude
    yield from generator


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
