"""The quick ways to a simulated run have the results of the simulator."""

import itertools

import numpy as np
import pytest

from collectives import Clock, Deadlock, LogGP, ScheduleError, simulate
from collectives.algorithms import REGISTRY
from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send, split
from collectives.algorithms.language.registry import ROOTED, remove
from collectives.catalogue import find
from collectives.engines import lockstep
from collectives.engines.law import law_of
from collectives.engines.simulator import Run
from collectives.errors import PageError, RestrictionError
from collectives.machine import Machine, machine
from collectives.problems import Problem
from collectives.study.fast import one_by_one, one_for_all, run, side_by_side
from collectives.study.verify import settle

EVERY = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
every = pytest.mark.parametrize("algorithm", EVERY, ids=str)

CLOCK = Machine(Clock(alpha=3e-6, beta=2e-9, gamma=1e-9))
LOGGP = Machine(LogGP(L=5e-6, o=2e-6, g=3e-6, G=2e-9, gamma=1e-9))
MACHINES = [
    (CLOCK, False),
    (CLOCK, True),
    (LOGGP, False),
    (LOGGP, True),
    (Machine(LOGGP.clock, eager=100), False),
    (machine("nodes:x3,latency=10us,rate=10G,near_latency=1us,near_rate=80G"), False),
]

# The same seen from every rank, whatever p is: found, and written down here for readers.
ALIKE = {
    "barrier.recursive_doubling",
    "barrier.k_dissemination",
    "allgather.naive",
    "allgather.ring",
    "allgather.bruck",
    "allgather.sparbit",
    "allgather.k_bruck",
    "allgather.circulant",
    "allgather.pat",
    "allreduce.ring",
    "allreduce.ring_segmented",
    "allreduce.circulant",
    "allreduce.gather_all",
    "allreduce.compressed_ring",
    "allreduce.compressed_oneshot",
    "reduce_scatter.ring",
    "reduce_scatter.circulant",
    "reduce_scatter.pat",
    "alltoall.naive",
    "alltoall.recursive_doubling",
    "alltoall.k_bruck",
    "alltoall.padded_bruck",
    "alltoall.hybrid",
    "alltoall.circulant",
    "alltoall.pairwise",
    "alltoall.scattered",
}
# The same if p is a power of two.
ALIKE_FOR_POWERS = ALIKE | {
    "barrier.recursive_exchange",
    "allreduce.recursive_doubling",
    "alltoall.pairwise_xor",
}


@pytest.fixture(autouse=True)
def whole_runs(monkeypatch):
    """Few ranks at a time are no reason to give up."""
    monkeypatch.setattr(lockstep, "FEW", 0)


def problem_of(chosen, p, n, **options):
    dtype = np.dtype(np.float32 if chosen.lossy else np.uint8)
    return Problem(chosen.primitive, p, n, dtype=dtype, **options)


def runs_of(chosen, problem, on, rendezvous=False, **given):
    """What the three ways to simulate say; None where one leaves it to the others."""
    chosen, given = settle(chosen, problem, given, on)
    law = law_of(on, problem.p, rendezvous)
    return (
        one_for_all(chosen, problem, law, given),
        side_by_side(chosen, problem, law, given),
        one_by_one(chosen, problem, on, given, rendezvous),
    )


def assert_same(run, exact):
    assert isinstance(run, Run)
    for name in ("messages", "bytes_sent", "bytes_received", "reductions", "bytes_reduced"):
        assert (getattr(run, name) == getattr(exact, name)).all(), name
    np.testing.assert_allclose(run.finished, exact.finished, rtol=1e-12)


def hold(chosen, ranks, lengths, machines=MACHINES):
    for p, n, (on, rendezvous) in itertools.product(ranks, lengths, machines):
        problem = problem_of(chosen, p, n(p), root=p - 1 if chosen.primitive in ROOTED else 0)
        try:
            alike, beside, exact = runs_of(chosen, problem, on, rendezvous)
        except RestrictionError:
            continue
        power = p & (p - 1) == 0
        known = ALIKE_FOR_POWERS if power else ALIKE
        even = n(p) % p == 0 and law_of(on, p, False).groups is None
        if p > 1 and even and not rendezvous and on.eager is None:
            assert (alike is not None) == (str(chosen) in known), p
        if not rendezvous and on.eager is None:
            assert beside is not None, p
        for found in (alike, beside):
            if found is not None:
                assert_same(found, exact)


@every
def test_all_ways_agree(algorithm):
    """Each machine with one number of ranks and one length: even blocks or uneven ones."""
    for number, case in enumerate(MACHINES):
        p, n = ((8, 384), (5, 240), (8, 201), (5, 129))[number % 4]
        hold(algorithm, [p], [lambda _, n=n: n], [case])
    hold(algorithm, (1, 2), [lambda p: 48 * p], MACHINES[:1])


@pytest.mark.slow
@every
def test_all_ways_agree_for_more(algorithm):
    hold(algorithm, range(1, 36), (lambda p: 0, lambda p: 8, lambda p: 48 * p, lambda p: 24 * p + 9))
