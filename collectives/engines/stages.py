"""A plan's rounds with everything looked up in advance.

A stage is a round whose messages are spelled as mpi4py takes them and whose
local work is a list of calls. Engines differ in how they start the messages and
in who waits for them; the rest of a round is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectives.algorithms.steps import copy
from collectives.engines.blocking import Call, _copies, _pack, _reduction, _unpack
from collectives.engines.driver import Round, views_of
from collectives.engines.plan import Plan
from collectives.operators import Operator

Message = tuple[Any, int]


@dataclass(frozen=True)
class Stage:
    """One round.

    Attributes
    ----------
    before : list of calls
        Pack what does not lie in one piece.
    sends, recvs : list of (buffer, rank)
        The messages, all in flight together.
    after : list of calls
        Unpack, then reduce and copy.
    round : Round or None
        What it was made of. The messages give addresses; this keeps the memory.
    """

    before: list[Call] = field(default_factory=list)
    sends: list[Message] = field(default_factory=list)
    recvs: list[Message] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    round: Round | None = None


def stages_of(plan: Plan, operator: Operator) -> list[Stage]:
    """The stages of a plan, in order."""
    stages = []
    packed: list[np.ndarray] = []  # kept alive by the calls that use it
    for round_ in plan.rounds:
        stage = Stage(round=round_)
        stage.sends.extend((_pack(m, stage.before, packed), m.peer) for m in round_.sends)
        stage.recvs.extend((_unpack(m, stage.after, packed), m.peer) for m in round_.recvs)
        for step in round_.local:
            if isinstance(step, copy):
                stage.after.extend(_copies(list(views_of(step.src)), list(views_of(step.dst))))
            else:
                stage.after.append(_reduction(operator, step))
        stages.append(stage)
    return stages
