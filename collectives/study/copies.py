"""What a rank really copies: read from its plan, when that has been optimised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import Algorithm
from collectives.algorithms.language.steps import copy
from collectives.engines.driver import Message, Process, Round
from collectives.engines.optimise import optimise
from collectives.engines.packing import merge
from collectives.engines.plan import record
from collectives.engines.simulator import Copies
from collectives.problems import Buffers, Problem


def copies_of(algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]) -> Copies:
    """The bytes that each rank copies or packs in each round, before and after its messages.

    The plan is made for memory that nobody writes: a gigabyte of it takes none.
    """

    @cache
    def copied(rank: int) -> dict[int, tuple[int, int]]:
        sizes = problem.send_size(rank), problem.recv_size(rank)
        if problem.primitive == "bcast":
            sizes = None, problem.size
        made = [None if size is None else np.empty(size, problem.dtype) for size in sizes]
        steps = problem.start(algorithm, rank, Buffers(*made), parameters)
        page = record(Process(str(algorithm), rank, problem.p, steps))
        plan = optimise(page, [each for each in made if each is not None], problem.operator)
        rounds = zip(plan.numbers, plan.rounds, strict=True)
        return {number: (_packed(round_.sends), _after(round_)) for number, round_ in rounds}

    return copied


def _packed(messages: list[Message]) -> int:
    """Bytes of messages that do not lie in one piece."""
    return sum(message.nbytes for message in messages if len(merge(message.views)) > 1)


def _after(round_: Round) -> int:
    """Bytes that are unpacked, and those of local copies."""
    copied = [view.nbytes for step in round_.local if isinstance(step, copy) for view in step.read]
    return _packed(round_.recvs) + sum(copied)
