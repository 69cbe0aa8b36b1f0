"""What tests of algorithms hold them against: their proofs, their cost lines, who hears of whom."""

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.algorithms.language.steps import recv, send
from collectives.machine.clock import Clock
from collectives.operators.operator import MATPROD, MATRIX, SUM
from collectives.problems import Buffers, Problem
from collectives.study.cost import predicted_time
from collectives.study.simulation import simulate
from collectives.study.verify import verify

NO_BUFFERS = Buffers(None, None)
ALPHA, BETA, GAMMA = Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1)


def find(full_name):
    primitive, name = full_name.split(".")
    return REGISTRY[primitive][name]


def critical_path(full_name, p, n=0, **given):
    return simulate(*full_name.split("."), p=p, n=n, clock=ALPHA, **given).time


def check(full_name, p, n, root=0, **given):
    """Verify, with an operator that does not commute where the algorithm can."""
    algorithm = find(full_name)
    primitive = algorithm.primitive
    ordered = primitive in REDUCTIONS and not algorithm.commutative
    data = (np.dtype(MATRIX), MATPROD) if ordered else (np.dtype(np.int64), SUM)
    verify(algorithm, Problem(primitive, p, n, root, *data), rendezvous=True, parameters=given)


def costs_hold(full_name, ranks, clocks=(ALPHA, BETA), **given):
    """The cost line with other parameters than the default ones."""
    algorithm = find(full_name)
    for p in ranks:
        for clock in clocks:
            counted = simulate(*full_name.split("."), p=p, n=240 * p, clock=clock, **given).time
            line = predicted_time(algorithm, p, 240 * p, clock, **given)
            assert counted == pytest.approx(line), f"{p=}, {given}"


def nobody_leaves_early(full_name, p, **given):
    """Whether every rank has heard of all, by recorded messages alone."""
    rank_rounds = []
    for rank in range(p):
        rounds_of = [*Problem("barrier", p).start(find(full_name), rank, NO_BUFFERS, given)]
        rank_rounds.append([list(r) if isinstance(r, (list, tuple)) else [r] for r in rounds_of])
    heard = [{rank} for rank in range(p)]
    mail, turn, posted = {}, [0] * p, [False] * p
    while any(turn[rank] < len(rank_rounds[rank]) for rank in range(p)):
        before = list(turn), list(posted)
        for rank in range(p):
            if turn[rank] == len(rank_rounds[rank]):
                continue
            steps = rank_rounds[rank][turn[rank]]
            if not posted[rank]:
                for step in steps:
                    if isinstance(step, send):
                        mail.setdefault((rank, step.dest), []).append(set(heard[rank]))
                posted[rank] = True
            sources = [step.source for step in steps if isinstance(step, recv)]
            if all(mail.get((source, rank)) for source in sources):
                for source in sources:
                    heard[rank] |= mail[source, rank].pop(0)
                turn[rank] += 1
                posted[rank] = False
        assert before != (turn, posted), "deadlock"
    return all(len(ranks) == p for ranks in heard)
