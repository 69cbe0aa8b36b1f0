"""What no algorithm can beat on a machine with nodes."""

import numpy as np
import pytest

from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.errors import RestrictionError
from collectives.machine import Clock, LogGP, Machine, machine
from collectives.study.bounds import BANDWIDTH, bounds
from collectives.study.cuts import crossing, least, parts_of
from collectives.study.pricing import price
from collectives.study.simulation import simulate

MACHINES = (
    "nodes:4x4,nic=10G,latency=10us",
    "nodes:3x2,nic=1G,latency=1us,overhead=2us,placement=cyclic",
    "nodes:2x4,nics=2,nic=10G,latency=5us,placement=random:3",
    "torus:3x3,nic=10G,latency=1us,link=2G",
    "fattree:2x3x1,nic=10G,latency=1us",
    "dragonfly:3x1x2,nic=10G,latency=1us,link=1G",
)


@pytest.mark.parametrize("primitive", [name for name in PRIMITIVES if name != "barrier"])
@pytest.mark.parametrize("p", [2, 3, 8, 13])
def test_parts_of_one_rank_give_the_bounds_of_the_flat_model(primitive, p):
    n = 120 * p
    out, into, total = crossing(primitive, range(p), n)
    busiest = max(*out.values(), *into.values(), total / p)
    assert busiest == pytest.approx(bounds(primitive, p, n)[BANDWIDTH], abs=1)


@pytest.mark.parametrize(
    "primitive, times",
    [
        ("allreduce", 1.75),
        ("bcast", 1.0),
        ("allgather", 0.875),
        ("reduce_scatter", 0.875),
        ("scatter", 0.875),
        ("alltoall", 7.0),
        ("scan", 1.0),
    ],
)
def test_what_must_pass_a_nic_of_eight_nodes(primitive, times):
    """64 ranks on 8 nodes, 25 Gbit/s."""
    n, rate = 100 * 2**20, 25e9 / 8
    found = least(primitive, 64, n, machine("nodes:8x8,nic=25G,latency=10us"))
    assert found.seconds == pytest.approx(times * n / rate)
    assert found.because.endswith("through the NIC of a node, at 25 Gbit/s")


def test_short_vectors_are_bound_by_latency():
    assert least("allreduce", 64, 8, machine("nodes:8x8,nic=25G,latency=10us")).seconds == (
        pytest.approx(10e-6)  # 8 ranks of a node reach 8 other nodes in one message
    )
    assert least("bcast", 9, 8, Machine(Clock(1, 0, 0))).seconds == 4
    assert least("barrier", 1, 0, Machine()).seconds == 0


def test_bisection_of_a_torus():
    """Halves of 8 x 4 are joined by 8 links each way, so that half of the blocks must pass 8."""
    on = machine("torus:8x4,nic=80G,latency=1us,link=1G")
    found = least("alltoall", 32, 32 * 2**20, on)
    assert found.because.startswith("256 MiB through the 8 links between halves")


def test_every_rank_is_in_one_part():
    for line in MACHINES:
        on = machine(line)
        for parts in parts_of(on, on.p):
            assert len(parts.of) == on.p and len(set(parts.of)) == len(parts.rates)


FEW = [
    pytest.param(line, marks=() if line.startswith("nodes:3x2") else pytest.mark.slow)
    for line in MACHINES
]


@pytest.mark.parametrize("line", FEW)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_no_algorithm_is_below_the_bound(primitive, line):
    on = machine(line)
    for p, n in ((on.p, 16 * on.p), (on.p, 2**13 * on.p), (on.p - 1, 2**10 * (on.p - 1))):
        n = 0 if primitive == "barrier" else n
        limit = least(primitive, p, n, on).seconds
        for one in REGISTRY[primitive].values():
            if one.lossy:
                continue
            try:
                time = simulate(primitive, one.name, p=p, n=n, topology=on).time
            except RestrictionError:
                continue
            assert time >= limit * (1 - 1e-9), (str(one), p, n)


@pytest.mark.parametrize("clock", [Clock(1e-6, 1e-9, 1e-10), LogGP(5e-6, 1e-6, 1e-7, 1e-9, 0)])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_no_algorithm_is_below_the_bound_of_a_flat_machine(primitive, clock):
    on = Machine(clock)
    for p in (1, 2, 5):
        for n in (8 * p, 800 * p):
            limit = least(primitive, p, n, on).seconds
            for one in REGISTRY[primitive].values():
                if one.lossy or p < one.minimum_p or (one.power_of_two and p & (p - 1)):
                    continue
                assert price(primitive, one.name, p, n, on) >= limit * (1 - 1e-9), (str(one), p)


def test_within_one_node_the_way_between_nodes_does_not_count():
    on = machine("nodes:1x4,nic=inf,near_rate=1 GB/s")
    assert least("bcast", 4, 10**9, on).seconds == pytest.approx(1)


def test_what_must_cross_is_what_does():
    """The ring's bytes through the NIC of 4 nodes are near the bound, and not below."""
    on = machine("nodes:4x4,nic=10G,latency=10us")
    run = simulate("allreduce", "ring", p=16, n=2**20, topology=on)
    through = np.array([load.nbytes for load in run.links])
    out, _, total = crossing("allreduce", on.groups(16), 2**20)
    assert through.max() >= max(total / 4, *out.values())
