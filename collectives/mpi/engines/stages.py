"""A plan's rounds with everything looked up in advance.

A stage is a round whose messages are spelled as mpi4py takes them and whose
local work is a list of calls. Engines differ in how they start the messages and
in who waits for them; the rest of a round is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from mpi4py import MPI

from collectives.engines.driver import Round
from collectives.engines.packing import Call, pack
from collectives.engines.plan import Plan
from collectives.mpi.data.datatypes import as_bytes
from collectives.operators.operator import Operator

Message = tuple[tuple, int]


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
    number : int
        Of that yield on the algorithm's page, from 1 on; 0 if it is none of the page's.
    """

    before: list[Call] = field(default_factory=list)
    sends: list[Message] = field(default_factory=list)
    recvs: list[Message] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    round: Round | None = None
    packed_bytes: int = 0
    line: tuple[str, int] | None = None
    number: int = 0

    @property
    def size(self) -> int:
        """How many messages and calls it has."""
        return len(self.before) + len(self.sends) + len(self.recvs) + len(self.after)


def local(calls: list[Call]) -> list[Stage]:
    """A stage without messages, if there are calls to make."""
    return [Stage(after=calls)] if calls else []


def nbytes(message: Message) -> int:
    """How long a message is."""
    (_, count, datatype), _ = message
    return count * datatype.Get_size()


def stages_of(plan: Plan, operator: Operator) -> list[Stage]:
    """The stages of a plan, in order."""
    rounds = zip(plan.rounds, plan.lines, plan.numbers, strict=True)
    return [_stage(round_, operator, line, number) for round_, line, number in rounds]


def _stage(round_: Round, operator: Operator, line: tuple[str, int], number: int) -> Stage:
    packed = pack(round_, operator)
    sends, recvs = (
        [(_spelled(memory), peer) for memory, peer in messages]
        for messages in (packed.sends, packed.recvs)
    )
    return Stage(packed.before, sends, recvs, packed.after, round_, packed.nbytes, line, number)


def _spelled(memory: np.ndarray | None) -> tuple:
    """A message as mpi4py takes it, with nothing left to look up.

    Both sides agree on the layout, so the data travel as bytes. mpi4py's own
    buffer object is read faster than an array; the plan keeps the memory alive.
    """
    return (None, 0, MPI.BYTE) if memory is None else as_bytes(memory)
