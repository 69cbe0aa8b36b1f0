"""From a call to a plan that is ready to run: everything is checked, nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.registry import (
    AUTO,
    GROUP,
    REDUCTIONS,
    ROOTED,
    TOPOLOGY,
    Algorithm,
)
from collectives.catalogue import check_lossy, check_parameters, check_restrictions, find
from collectives.choice import choices, decide
from collectives.engines.driver import Process
from collectives.engines.plan import Plan, record
from collectives.mpi.data.arguments import READERS, Arguments, Reader, check_root
from collectives.mpi.data.operators import Op, operator_of
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.tally import Tally
from collectives.mpi.plans.callplan import CallPlan
from collectives.nodes import grouping, layout
from collectives.operators.dtypes import quickened
from collectives.operators.operator import SUM, Operator
from collectives.problems import BLOCKWISE

# Bytes up to which buffers are staged, if all are: copying costs less than moving the plan.
SHORT = 2**15


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
        Described at `arguments.Reader`; what the caller gives in a form that tells counts.
    within : str
        What the call is a part of, if it is not the user's own.
    form : str
        How the ranks tell each other counts first (see `counts`), if they do.
    title : str
        What the user called, if it is something else.
    reader : str
        The function in `arguments` that reads the buffers, if it is not the primitive's.
    """

    primitive: str
    algorithm: str | None
    buffers: Sequence[Any]
    root: int | None = None
    op: Op | None = None
    parameters: dict[str, Any] | None = None
    counts: tuple[int, ...] | bytes | None = None
    within: str = ""
    form: str = ""
    title: str = ""
    reader: str = ""

    @property
    def behalf(self) -> str:
        """The call on whose behalf it is made, if it is not the user's own."""
        return self.title or self.within


class Attempt(NamedTuple):
    """What became of a call on this rank: a plan that can be carried out, or a problem.

    Attributes
    ----------
    name : str
        The call, in words.
    algorithm : Algorithm or None
        What was asked for: a rank knows it, too, that has a problem.
    plan : CallPlan or None
    problem : Exception or None
        One of ours, or what the code of its arguments has raised.
    """

    name: str
    algorithm: Algorithm | None = None
    plan: CallPlan | None = None
    problem: Exception | None = None

    @classmethod
    def of(cls, plan: CallPlan) -> Attempt:
        return cls(plan.description, plan.asked, plan)

    def result(self) -> CallPlan:
        """The plan; raises the problem if there is one."""
        if self.plan is None:
            assert self.problem is not None
            raise self.problem
        return self.plan


@dataclass(frozen=True)
class Recorder:
    """Records the calls of one rank.

    Attributes
    ----------
    lane : Lane
    rank, p : int
    nodes : tuple of int
        The number of each rank's node.
    tally : Tally
        Counts what runs.
    """

    lane: Lane
    rank: int
    p: int
    nodes: tuple[int, ...]
    tally: Tally

    def attempt(self, call: Invocation, stage: int = SHORT) -> Attempt:
        """Check everything on this rank alone, and make a plan; nothing is sent.

        Buffers of up to `stage` bytes are staged.
        """
        try:
            algorithm, given = self.choose(call.primitive, call.algorithm, call.parameters)
        except Exception as error:
            return Attempt(call.primitive, None, None, error)
        try:
            plan = self._record(algorithm, given, call, stage)
        except Exception as error:
            return Attempt(str(algorithm), algorithm, None, error)
        return Attempt.of(plan)

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
        self, algorithm: Algorithm, parameters: Mapping[str, Any], call: Invocation, stage: int
    ) -> CallPlan:
        """Check the root and the buffers, and record the algorithm's rounds."""
        root = None
        if algorithm.primitive in ROOTED:
            root = check_root(str(algorithm), call.root, self.p)
        reader, read, operator = self._read(algorithm, call, root, stage)
        nbytes, commutative = _whole_bytes(algorithm, read), operator.commutative
        chosen, given = decide(
            algorithm, parameters, self.p, nbytes, commutative, len(set(self.nodes))
        )
        plan = self._plan(chosen, given, read, root, operator)
        description = _description(chosen, given, read, root, operator, call.counts)
        if algorithm.name == AUTO and not choices().declared:
            description += f" chosen by {choices().name}"
        arrays, placement = _given(read), reader.placement
        if read.like is not None:
            operator = quickened(operator, read.like.element.unit)
        meter = self.tally.meter(plan, algorithm.name, call.behalf)
        facts = self._facts(chosen, given, algorithm, read, root, operator, call)
        bound = algorithm, description, plan, operator, arrays, placement, self.lane, meter
        return CallPlan(*bound, facts)

    def _facts(
        self,
        chosen: Algorithm,
        given: Mapping[str, Any],
        asked: Algorithm,
        read: Arguments,
        root: int | None,
        operator: Operator,
        call: Invocation,
    ) -> dict[str, Any]:
        """What a `records.Sketch` says of a call."""
        groups, own = self._groups(chosen, given)
        view = np.empty(0, np.uint8) if read.like is None else read.like.view
        counts = np.asarray(read.counts if chosen.primitive in BLOCKWISE else ())
        if counts.ndim == 2:  # of an alltoall
            counts = counts[self.rank]
        reduces = chosen.primitive in REDUCTIONS
        return {
            "primitive": chosen.primitive,
            "algorithm": chosen.name,
            "parameters": own,
            "asked": asked.name,
            "within": call.behalf,
            "root": root,
            "n": sum(counts.tolist()) if chosen.primitive in BLOCKWISE else view.size,
            "itemsize": view.itemsize,
            "dtype": str(view.dtype),
            "counts": tuple(counts.tolist()),
            "operator": operator.name if reduces else None,
            "commutative": operator.commutative or not reduces,
            "groups": tuple(groups or ()),
        }

    def _read(
        self, algorithm: Algorithm, call: Invocation, root: int | None, stage: int
    ) -> tuple[Reader, Arguments, Operator]:
        """The checked buffers of a call, and the operator that fits them."""
        title, reduces, op = str(algorithm), algorithm.primitive in REDUCTIONS, call.op
        widens = op if reduces and isinstance(op, Operator) and op.widening else None
        reader = Reader(title, self.rank, self.p, root, call.counts, reduces, widens, stage)
        read = READERS[call.reader or algorithm.primitive](reader, *call.buffers)
        if stage and reader.placement.mixed:  # copying one would not save moving the other
            return self._read(algorithm, call, root, 0)
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
            values.append(layout(algorithm, self.p, parameters, self.nodes))
            own = {name: value for name, value in own.items() if name != TOPOLOGY}
        generator = algorithm.generator(self.rank, self.p, *values, **own)
        first = 0 if read.prelude else 1
        steps = _after(read, generator) if read.prelude else generator
        return record(Process(title, self.rank, self.p, steps, first=first))

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
    yield read.prelude
    yield from generator


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
