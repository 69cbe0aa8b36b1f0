"""Predictions: everything is ranked, shares add up, estimates are near, and nothing contradicts."""

import numpy as np
import pytest

from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language import algorithm, send
from collectives.catalogue import find
from collectives.engines.symmetric import Beat
from collectives.errors import ArgumentError, RestrictionError, UnknownAlgorithm
from collectives.machine import Clock, Machine, machine
from collectives.problems import Problem
from collectives.study import fast, pricing
from collectives.study.bounds import COMPUTATION
from collectives.study.prediction import SHARES, WAITING, cells, predict
from collectives.study.pricing import ESTIMATED, LINE, SIMULATED, evenly, price, priced, simplified
from collectives.study.simulation import simulate
from collectives.study.sweeping import powers, sweep, winner
from collectives.study.tables import TIE, prices, ranges
from collectives.study.tuning import tuned
from collectives.study.why import why

NODES = machine("nodes:4x4,nic=25G,latency=10us")


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_all_are_ranked_or_have_a_reason(primitive):
    ranking = predict(primitive, 6, 6000, machine("nodes:3x2,nic=25G,latency=10us"))
    assert {one.algorithm for one in ranking.predictions} == set(REGISTRY[primitive])
    times = [one.seconds for one in ranking.predictions if one.seconds is not None]
    assert times == sorted(times)
    for one in ranking.predictions:
        if one.seconds is None:
            assert one.reason
            continue
        run = simulate(primitive, one.algorithm, p=6, n=ranking.n, topology=ranking.machine)
        assert one.seconds == pytest.approx(run.time) and one.how == SIMULATED
        assert tuple(one.shares) == SHARES and sum(one.shares.values()) == pytest.approx(1)
        assert one.bottleneck and one.lossy == REGISTRY[primitive][one.algorithm].lossy
        assert one.lossy or one.ratio >= 1 - 1e-9


def test_shares_of_a_ring_are_those_of_its_formula():
    p, n, clock = 8, 8000, Clock(1e-5, 1e-9, 1e-10)
    (one,) = predict("allreduce", p, n, Machine(clock), ["ring"]).predictions
    parts = 14 * clock.alpha, 14 * n / p * clock.beta, 7 * n / p * clock.gamma, 0
    expected = np.array(parts) / sum(parts)
    assert list(one.shares.values()) == pytest.approx(expected, abs=1e-5)


def test_waiting_is_what_shared_links_add():
    """4 ranks of a node send at once, so three quarters of the time they wait."""
    on = machine("nodes:2x4,nic=1G,latency=0s,near_latency=0s,near_rate=inf,gamma=0s/B")
    (one,) = predict("allreduce", 8, 2**20, on, ["recursive_doubling"]).predictions
    assert one.shares[WAITING] == pytest.approx(0.75)
    assert one.bottleneck == "NIC of node 0, out, 100%"


def test_bottleneck_of_short_messages_is_latency():
    (one,) = predict("allreduce", 16, 8, NODES, ["recursive_doubling"]).predictions
    assert one.bottleneck.startswith("start of messages, ")


def test_one_rank_and_nothing_to_do():
    for primitive in PRIMITIVES:
        for p, n in ((1, 800), (4, 0)):
            for one in predict(primitive, p, n, NODES).predictions:
                assert one.reason or one.seconds >= 0


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_estimates_are_near(primitive):
    """Those of pipelines, whose beats overlap, less so."""
    p, n = 16, 2**20
    for one in REGISTRY[primitive].values():
        problem = pricing.phantom_problem(one, p, evenly(primitive, p, n))
        found = fast.estimate(one, problem, NODES, {})
        if found is None:
            continue
        exact = fast.run(one, problem, NODES, {})
        assert 0.6 * exact.time < found.time < 1.4 * exact.time, one
        assert [x.nbytes for x in found.links] == [x.nbytes for x in exact.links], one
        busy = max((load.busy for load in found.links), default=0)
        assert found.time >= busy * (1 - 1e-9)


def test_estimates_of_the_ring_and_its_like_are_right():
    for name in ("allreduce.ring", "allgather.ring", "allreduce.rabenseifner", "alltoall.pairwise"):
        one, given = find(*name.split("."))
        problem = Problem(one.primitive, 16, 16 * 4096, dtype=np.dtype(np.uint8))
        found, exact = (way(one, problem, NODES, given).time for way in (fast.estimate, fast.run))
        assert found == pytest.approx(exact, rel=0.01), name


def test_peers_of_a_beat():
    ranks, beat = np.arange(4), Beat((), 0, 0)
    assert beat.peers(ranks, 3).tolist() == [3, 0, 1, 2]
    assert beat.peers(ranks, -2).tolist() == [2, 3, 0, 1]


def test_a_thousand_ranks_on_nodes_are_estimated():
    found = priced("allreduce", "ring", 1024, 2**30, machine("nodes:x8,nic=25G,latency=10us"))
    assert found.how == ESTIMATED
    assert found.seconds >= 2 * 127 / 128 * 2**30 / 3.125e9


def test_of_many_ranks_on_a_flat_machine_the_cost_line_or_one_for_all():
    flat = Machine(Clock(1e-6, 1e-9, 0))
    assert priced("allreduce", "ring", 4096, 2**20, flat).how == SIMULATED
    assert priced("bcast", "scatter_ring_allgather", 4096, 2**20, flat).how == LINE
    (one,) = predict("bcast", 4096, 2**20, flat, ["scatter_ring_allgather"]).predictions
    assert sum(one.shares.values()) == pytest.approx(1)


def test_too_many_messages_are_a_reason():
    on = machine("nodes:x8,nic=25G")
    (one,) = predict("bcast", 4096, 2**20, on, ["scatter_ring_allgather"]).predictions
    assert one.seconds is None and "million; take fewer ranks" in one.reason


def test_nics_that_nobody_shares_are_as_good_as_none():
    on = machine("nodes:16x1,nic=10G,rate=25G,latency=3us")
    assert not simplified(on, 16).shares and simplified(NODES, 16) == NODES
    for name in ("ring", "rabenseifner", "tree"):
        exact = simulate("allreduce", name, p=16, n=2**20, topology=on).time
        assert price("allreduce", name, 16, 2**20, on) == pytest.approx(exact)


def test_one_price_for_all():
    found = {
        one.algorithm: one.seconds for one in predict("allreduce", 16, 2**20, NODES).predictions
    }
    for name, cost in prices("allreduce", 16, 2**20, NODES).items():
        assert cost == found[name]
    text, _ = why("allreduce", 16, 2**20, NODES)
    picked = text.splitlines()[0].rpartition(": ")[2]
    assert found[picked] <= TIE * min(
        cost for name, cost in found.items() if name in prices("allreduce", 16, 2**20, NODES)
    )
    row = ranges("allreduce", 16, NODES, largest=2**20)
    assert found[row[-1][1]] <= TIE * found[picked]


def test_tuning_finds_fewer_segments():
    names = tuned("bcast", "ring", 8, 2**22, machine("nodes:8x1,nic=25G,latency=100us"))
    assert names[0] == "ring" and names[1].startswith("ring:segments=")
    assert tuned("bcast", "tree", 8, 2**20, NODES) == ["tree"]
    assert tuned("bcast", "ring:segments=3", 8, 2**20, NODES) == ["ring:segments=3"]


def test_sweep():
    assert powers(16, 100) == [16, 32, 64, 100] and powers(5, 5) == [5]
    on = machine("nodes:x4,nic=25G,latency=10us")
    steps = []
    sizes = [(4, 64), (4, 2**22), (8, 64), (8, 2**22)]
    found = sweep("allgather", ["ring", "tree"], sizes, on, step=steps.append)
    assert [(one.p, one.n) for one in found] == sizes
    assert len(steps) == 8 and winner(found[-1]).algorithm == "ring"
    assert len(list(cells(found))) == 8


def test_what_is_wrong_with_a_users_algorithm_is_a_reason(request):
    @algorithm("barrier", name="broken_for_prediction")
    def broken_for_prediction(rank, p):
        """Send, and let nobody receive."""
        yield send(np.empty(0, np.uint8), (rank + 1) % p)

    one = REGISTRY["barrier"]["broken_for_prediction"]
    request.addfinalizer(lambda: REGISTRY["barrier"].pop(one.name))
    last = predict("barrier", 4, 0, NODES).predictions[-1]
    assert last.algorithm == one.name and "every message needs a recv" in last.reason


@pytest.mark.parametrize(
    "case, error, text",
    [
        (("brodcast", 4, 8, NODES), UnknownAlgorithm, "choose from bcast"),
        (("bcast", 0, 8, NODES), ArgumentError, "ranks"),
        (("bcast", 17, 8, NODES), ArgumentError, "p must be at most 16"),
        (("bcast", 4, -1, NODES), ArgumentError, "bytes"),
        (("bcast", 4, 8, Clock()), ArgumentError, "machine"),
        (("bcast", 4, 8, NODES, ["rign"]), UnknownAlgorithm, "ring"),
    ],
)
def test_bad_input(case, error, text):
    with pytest.raises(error, match=text):
        predict(*case)


def test_what_an_algorithm_cannot_do_is_a_reason(request):
    @algorithm("barrier", name="for_many", minimum_p=9)
    def for_many(rank, p):
        """Nothing at all."""
        yield ()

    request.addfinalizer(lambda: REGISTRY["barrier"].pop("for_many"))
    last = predict("barrier", 4, 0, NODES).predictions[-1]
    assert last.algorithm == "for_many"
    assert last.reason.startswith("needs at least 9 ranks, got 4")
    with pytest.raises(RestrictionError, match="at least 9 ranks"):
        price("barrier", "for_many", 4, 0, NODES)


@pytest.mark.parametrize("primitive, name", [("allgather", "bruck"), ("allreduce", "tree")])
def test_copies_are_work(primitive, name):
    """They wait for no link."""
    (one,) = predict(primitive, 8, 2**20, machine("flat,delta=1ns"), [name]).predictions
    assert one.shares[WAITING] == pytest.approx(0, abs=1e-4)
    free = predict(primitive, 8, 2**20, machine("flat"), [name]).predictions[0]
    reduced = free.shares[COMPUTATION] * free.seconds
    work = one.shares[COMPUTATION] * one.seconds
    assert work - reduced == pytest.approx(one.seconds - free.seconds, rel=1e-3, abs=1e-9)
