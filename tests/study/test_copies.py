"""What ranks copy is what the optimised plans of all of them say, or is said to be an estimate."""

import numpy as np
import pytest

from collectives import simulate
from collectives.algorithms import REGISTRY
from collectives.algorithms.language import copy, recv, reduce, scratch, send, split
from collectives.engines.driver import Process
from collectives.engines.law import law_of
from collectives.engines.plan import record
from collectives.engines.turning import is_turned
from collectives.errors import RestrictionError
from collectives.machine import machine
from collectives.machine.spec import presets
from collectives.problems import Problem
from collectives.study import copies
from collectives.study.copies import Copied, copies_of
from collectives.study.fast import one_for_all
from collectives.study.prediction import COMPUTATION, LITTLE, predict, slower
from collectives.study.pricing import ESTIMATED, LINE, SIMULATED, priced
from collectives.study.verify import settle

SLOW = machine("flat,latency=1us,rate=1GB/s,delta=4ns/B")
EVERY = [algorithm for names in REGISTRY.values() for algorithm in names.values()]


def problem_of(chosen, p, n):
    return Problem(chosen.primitive, p, n, dtype=np.dtype(np.float32 if chosen.lossy else np.uint8))


def shares(chosen, p, n, same=False):
    chosen, given = settle(chosen, problem_of(chosen, p, n), {}, SLOW)
    return copies_of(chosen, problem_of(chosen, p, n), given, same)


def is_same_for_all(chosen, p, n):
    """Whether one rank stands for all under a clock without copies."""
    problem = problem_of(chosen, p, n)
    chosen, given = settle(chosen, problem, {}, SLOW)
    law = law_of(SLOW, p, False)._replace(delta=0.0)
    return one_for_all(chosen, problem, law, given) is not None


@pytest.mark.share(4)
@pytest.mark.parametrize("chosen", EVERY, ids=str)
def test_one_plan_stands_for_all_only_where_all_copy_the_same(chosen):
    for p, n in ((2, 48), (3, 8), (5, 240), (8, 384), (8, 8), (12, 576)):
        try:
            if not is_same_for_all(chosen, p, n):
                continue
        except RestrictionError:
            continue
        one, every = shares(chosen, p, n, True), shares(chosen, p, n)
        assert one.exact and every.exact and len(every.shares) == p
        assert [one(rank) for rank in range(p)] == [every(rank) for rank in range(p)]


def ring(rank, p, sendbuf, recvbuf):
    block, arriving = split(recvbuf, p), scratch(split(recvbuf, p)[0])
    yield copy(sendbuf, recvbuf)
    for k in range(p - 1):
        mine = block[(rank - k - 1) % p]
        yield (
            send(block[(rank - k) % p], (rank + 1) % p),
            recv(arriving, (rank - 1) % p),
            reduce(arriving, mine),
        )


def first_block(rank, p, sendbuf, recvbuf):
    """Whatever the rank is, the first block is one of those that move."""
    block = split(recvbuf, p)
    yield send(block[rank], (rank + 1) % p), recv(block[rank - 1], (rank - 1) % p)
    yield copy(block[0], scratch(block[0]))


def by_way_of_scratch(rank, p, sendbuf, recvbuf):
    """The same block, in a copy of the whole."""
    block, other = split(recvbuf, p), scratch(recvbuf)
    yield send(block[rank], (rank + 1) % p), recv(block[rank - 1], (rank - 1) % p)
    yield copy(recvbuf, other)
    yield send(split(other, p)[0], (rank + 1) % p), recv(scratch(block[0]), (rank - 1) % p)


def turned_and_flipped(rank, p, sendbuf, recvbuf):
    block = split(recvbuf, p)
    yield copy(block[(rank + 3) % p], scratch(block[0]))
    yield copy(block[rank ^ 3], scratch(block[0]))


def two_blocks(rank, p, sendbuf, recvbuf):
    """Where the ring closes they are no neighbours."""
    block = split(recvbuf, p)
    yield copy(block.range(rank, 2), scratch(recvbuf, 2 * block[0].size))


@pytest.mark.parametrize(
    "page, turned",
    [
        (ring, True),
        (first_block, False),
        (by_way_of_scratch, False),
        (turned_and_flipped, False),
        (two_blocks, False),
    ],
)
def test_what_is_turned_and_what_is_not(page, turned):
    p, plans, kept = 8, {}, []
    for rank in (0, 4, 7):
        buffers = np.zeros(64, np.uint8), np.zeros(64, np.uint8)
        kept.append(buffers)
        plans[rank] = record(Process("own", rank, p, page(rank, p, *buffers)))
    assert is_turned(plans) == turned


def test_copies_of_thousands_of_ranks_are_known_from_one_plan():
    """Ring: nothing in allreduce; its own block in allgather, once."""
    p, n = 1024, 1024 * 1024
    free, paid = (f"flat,latency=1us,rate=1GB/s,delta={d}ns/B" for d in (0, 4))
    for primitive, copied in (("allreduce", 0), ("allgather", n // p)):
        before, after = (simulate(primitive, "ring", p=p, n=n, topology=x) for x in (free, paid))
        assert after.exact
        assert after.time - before.time == pytest.approx(4e-9 * copied, rel=1e-6, abs=1e-15)


def test_a_few_ranks_that_stand_for_all_are_an_estimate(monkeypatch):
    whole = priced("alltoall", "recursive_doubling", 24, 2400, SLOW)
    assert whole.how == SIMULATED
    monkeypatch.setattr(copies, "EFFORT", 100)
    monkeypatch.setattr(copies, "_known", copies.OrderedDict())
    # another length: prices are kept
    few = priced("alltoall", "recursive_doubling", 24, 2208, SLOW)
    assert few.how == ESTIMATED and not few.run.exact
    assert few.seconds == pytest.approx(whole.seconds, rel=0.1)
    assert not simulate("alltoall", "recursive_doubling", p=24, n=2400, topology=SLOW).exact


def test_a_plan_that_is_too_long_is_not_looked_up(monkeypatch):
    monkeypatch.setattr(copies, "LONG", 10)
    monkeypatch.setattr(copies, "_known", copies.OrderedDict())
    found = copies_of(REGISTRY["bcast"]["ring"], Problem("bcast", 4, 2**20), {"segments": 64})
    assert not found.exact and not found(2)


def test_the_others_copy_as_the_nearest():
    found = Copied({0: {1: (5, 0)}, 9: {1: (0, 2), 3: (1, 1)}}, False)
    assert found(3) == {1: (5, 0)} and found(6) == {1: (0, 2), 3: (1, 1)}
    assert found.most == {1: (5, 2), 3: (1, 1)} and found.largest == 5 and not found.alike


def test_copies_add_to_cost_lines():
    """Too many messages to be simulated: the line, and what the root copies."""
    p, n = 6000, 6000 * 8
    free, paid = (
        priced("gather", "naive", p, n, machine(f"flat,latency=1us,rate=1GB/s,delta={d}ns/B"))
        for d in (0, 4)
    )
    assert free.how == paid.how == LINE
    assert paid.seconds - free.seconds == pytest.approx(4e-9 * n / p)


def test_copies_are_work():
    on = machine("flat,latency=1us,rate=10GB/s,delta=1ns/B")
    assert slower(on, COMPUTATION).delta == on.delta * (1 + LITTLE)
    [bruck] = predict("alltoall", 8, 2**20, on, ["recursive_doubling"]).predictions
    assert bruck.shares[COMPUTATION] > 0.5
    assert sum(bruck.shares.values()) == pytest.approx(1)
    assert bruck.bottleneck.startswith("reductions and copies")


def test_presets_have_a_rate_of_copies_and_specs_have_none():
    assert all(machine(name).delta > 0 for name in presets())
    assert machine("ethernet-25g,topology=nodes:8x4").delta > 0
    for spec in ("flat", "nodes:8x8,nic=25G,latency=10us", "ethernet-25g,delta=0ns"):
        assert not machine(spec).delta
