"""A plan's rounds with everything looked up in advance.

A stage is a round whose messages are spelled as mpi4py takes them and whose
local work is a list of calls. Engines differ in how they start the messages and
in who waits for them; the rest of a round is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import setitem
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.steps import Local, copy, decode, encode
from collectives.buffers import array_at
from collectives.datatypes import as_bytes
from collectives.engines import driver
from collectives.engines.driver import Round, views_of
from collectives.engines.plan import Plan
from collectives.operators import Operator

Call = Callable[[], Any]
Message = tuple[Any, int]

SHORT = 2**12  # bytes of a copy


@dataclass  # not frozen, because relocation makes many
class Stage:
    """One round.

    Attributes
    ----------
    before : list of calls
        Pack what does not lie in one piece.
    sends, recvs : list of (buffer, rank)
        The messages, all in flight together.
    after : list of calls
        Unpack, then the local steps.
    round : Round or None
        What it was made of. The messages give addresses; this keeps the memory.
    packed_bytes : int
        Memory for messages that do not lie in one piece.
    line : (str, int) or None
        File and line of the yield that it was made of.
    """

    before: list[Call] = field(default_factory=list)
    sends: list[Message] = field(default_factory=list)
    recvs: list[Message] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    round: Round | None = None
    packed_bytes: int = 0
    line: tuple[str, int] | None = None

    @property
    def size(self) -> int:
        """How many messages and calls it has."""
        return len(self.before) + len(self.sends) + len(self.recvs) + len(self.after)


def local(calls: list[Call]) -> list[Stage]:
    """A stage without messages, if there are calls to make."""
    return [Stage(after=calls)] if calls else []


def stages_of(plan: Plan, operator: Operator) -> list[Stage]:
    """The stages of a plan, in order."""
    rounds = zip(plan.rounds, plan.lines, strict=True)
    return [_stage(round_, operator, line) for round_, line in rounds]


def _stage(round_: Round, operator: Operator, line: tuple[str, int]) -> Stage:
    before: list[Call] = []
    after: list[Call] = []
    packed: list[np.ndarray] = []  # kept alive by the calls that use it
    sends = [(_pack(message, before, packed), message.peer) for message in round_.sends]
    recvs = [(_unpack(message, after, packed), message.peer) for message in round_.recvs]
    for step in round_.local:
        after += _local_calls(step, operator)
    nbytes = sum(memory.nbytes for memory in packed)
    return Stage(before, sends, recvs, after, round_, nbytes, line)


def _local_calls(step: Local, operator: Operator) -> list[Call]:
    if isinstance(step, copy):
        return _copies(list(views_of(step.src)), list(views_of(step.dst)))
    if isinstance(step, encode):
        return [partial(step.codec.encode, step.src, step.packet)]
    if isinstance(step, decode):
        return [partial(step.codec.decode, step.packet, step.dst)]
    out = step.out
    if out.size == 1 and any(np.may_share_memory(out, x) for x in (step.inbuf, step.inoutbuf)):
        # For a single element in place numpy's ufuncs take three times as long as elsewhere.
        result = np.empty_like(out)
        reducing = partial(operator.kernel, step.inbuf, step.inoutbuf, result)
        return [reducing, partial(setitem, out, ..., result)]
    return [partial(operator.kernel, step.inbuf, step.inoutbuf, out)]


def _pack(message: driver.Message, before: list[Call], packed: list[np.ndarray]) -> tuple:
    views = merge(message.views)
    if len(views) <= 1:
        return _spec(views)
    packed.append(np.empty(sum(v.size for v in views), views[0].dtype))
    before.append(partial(np.concatenate, views, 0, packed[-1]))
    return _spec(packed[-1:])


def _unpack(message: driver.Message, after: list[Call], packed: list[np.ndarray]) -> tuple:
    views = merge(message.views)
    if len(views) <= 1:
        return _spec(views)
    packed.append(np.empty(sum(v.size for v in views), views[0].dtype))
    after += _copies(packed[-1:], views)
    return _spec(packed[-1:])


def _spec(views: list[np.ndarray]) -> tuple:
    """A message as mpi4py takes it, with nothing left to look up.

    Both sides agree on the layout, so the data travel as bytes. mpi4py's own
    buffer object is read faster than an array; the plan keeps the memory alive.
    """
    return as_bytes(views[0]) if views else (None, 0, MPI.BYTE)


def _copies(src: list[np.ndarray], dst: list[np.ndarray]) -> list[Call]:
    """Copy `src`, end to end, into `dst`, piece by piece where both are whole."""
    calls: list[Call] = []
    sources, targets = [v for v in src if v.size], [v for v in dst if v.size]
    while sources:
        size = min(sources[0].size, targets[0].size)
        calls.append(_copy(sources[0][:size], targets[0][:size]))
        for queue in (sources, targets):
            queue[0] = queue[0][size:]
            if not queue[0].size:
                queue.pop(0)
    return calls


def _copy(source: np.ndarray, target: np.ndarray) -> Call:
    """A copy of one piece.

    Python's own view of memory is quicker than numpy's at a few bytes. Of many, numpy lets
    other threads run meanwhile.
    """
    if source.nbytes > SHORT:
        return partial(setitem, target, ..., source)
    here, there = source.view(np.uint8).data, target.view(np.uint8).data
    return partial(setitem, there, slice(None), here)


def merge(views: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Join views that are neighbours in memory; drop empty ones."""
    filled = [view for view in views if view.size]
    if len(filled) <= 1:
        return filled
    spans = [[MPI.Get_address(filled[0]), filled[0].nbytes]]
    for view in filled[1:]:
        address = MPI.Get_address(view)
        if address == spans[-1][0] + spans[-1][1]:
            spans[-1][1] += view.nbytes
        else:
            spans.append([address, view.nbytes])
    if len(spans) == len(filled):
        return filled
    # The memory belongs to the views that are joined; the plan keeps those.
    return [array_at(address, nbytes, filled[0].dtype) for address, nbytes in spans]
