"""The quick ways to a simulated run: the same result, without a simulated message for each one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import ROOTED, Algorithm
from collectives.engines.anyone import Alike, Anyone, any_phantom
from collectives.engines.simulator import Clock, Run
from collectives.engines.law import flat
from collectives.engines.lockstep import Lockstep
from collectives.engines.symmetric import run_once
from collectives.problems import BLOCKWISE, Buffers, Problem


def one_for_all(
    algorithm: Algorithm, problem: Problem, clock: Clock, parameters: Mapping[str, Any], eager=float("inf")
) -> Run | None:
    """A run in which one rank stands for all; None if they are not all the same."""
    if problem.p == 1 or problem.primitive in ROOTED or algorithm.needs_groups:
        return None
    if not _alike(problem):
        return None
    p, sizes = problem.p, (problem.send_size(0), problem.recv_size(0))
    buffers = Buffers(*[None if s is None else any_phantom(s, problem.dtype) for s in sizes])
    arguments = problem.arguments(algorithm, 0, buffers)
    if algorithm.needs_counts:
        arguments[-1] = Alike(p, problem.n // p)
    generator = algorithm.generator(Anyone(p), p, *arguments, **parameters)
    share = run_once(str(algorithm), p, generator, flat(clock, eager))
    return None if share is None else Run(*[np.full(p, value) for value in vars(share).values()])


def _alike(problem: Problem) -> bool:
    """Whether all ranks have buffers of one size, and of one layout if these have blocks."""
    blocks = problem.counts is None and problem.n % problem.p == 0
    return blocks or problem.primitive not in BLOCKWISE


def side_by_side(
    algorithm: Algorithm, problem: Problem, clock: Clock, parameters: Mapping[str, Any], eager=float("inf")
) -> Run | None:
    def program(rank: int):
        return problem.start(algorithm, rank, problem.phantoms(rank), parameters)

    return Lockstep(str(algorithm), problem.p, program, flat(clock, eager)).run()
