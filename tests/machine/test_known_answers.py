"""Times that are known beforehand: from links and bytes alone, without the simulator."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from collectives import Clock, LogGP, Machine, find, simulate, trace
from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import GROUP, TOPOLOGY
from collectives.catalogue import check_restrictions
from collectives.engines.driver import Process
from collectives.errors import RestrictionError
from collectives.machine import machine
from collectives.problems import Problem

TREE = "nic=10G,latency=1us,gamma=0s"  # 1.25 GB/s and 1 us from end to end
NODES = "nodes:8x8,nic=25G,latency=10us,gamma=0s"
ALL = [(primitive, name) for primitive, names in REGISTRY.items() for name in names]


@pytest.mark.parametrize(
    "name, n, upper, expected",
    [
        ("recursive_doubling", 8e6, 8, 38.4e-3),
        ("recursive_doubling", 8e6, 2, 96.0e-3),
        ("ring", 64e6, 8, 100.9e-3),
        ("ring", 64e6, 2, 100.9e-3),
    ],
)
def test_fat_tree_of_64_hosts(name, n, upper, expected):
    run = simulate("allreduce", name, p=64, n=int(n), topology=f"fattree:8x8x{upper},{TREE}")
    assert round(run.time, 4) == expected


@pytest.mark.parametrize("upper", [8, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_shuffled_ring_waits_for_its_fullest_link(seed, upper):
    """126 steps of 1 MB, 100.8 ms, times the most flows of a lap that pass one link."""
    shuffled = machine(f"fattree:8x8x{upper},{TREE},placement=random:{seed}")
    placed = shuffled.at(64)
    lap = [*pairwise(range(64)), (63, 0)]
    flows = Counter(link for pair in lap for link in placed.route(*pair))
    run = simulate("allreduce", "ring", p=64, n=64 * 10**6, topology=shuffled)
    assert max(flows.values()) > 2
    assert run.time >= max(flows.values()) * 100.8e-3 * (1 - 1e-9)


@pytest.mark.parametrize(
    "name, least",
    [
        ("ring", 63e-3),  # 1.97 n through a NIC
        ("recursive_doubling", 768e-3),  # 24 n
        ("binary_blocks", 56e-3),  # 1.75 n
        ("rabenseifner", 56e-3),
        ("elimination", 56e-3),
    ],
)
def test_eight_nodes_of_eight_ranks(name, least):
    run = simulate("allreduce", name, p=64, n=10**8, topology=NODES)
    assert least * (1 - 1e-9) <= run.time < 1.35 * least
    assert run.bottleneck.name.startswith("NIC of node")
    assert run.bottleneck.busy >= least * (1 - 1e-9)


def test_far_partners_first():
    """Halving and doubling from the far end: every rank's first half crosses the NIC, 14 n."""
    dealt = f"{NODES},placement=cyclic"  # near partners are far now
    run = simulate("allreduce", "rabenseifner", p=64, n=10**8, topology=dealt)
    assert run.time >= 448e-3 * (1 - 1e-9)


@pytest.mark.parametrize("primitive, name", ALL, ids=str)
@pytest.mark.parametrize("p", [12, pytest.param(16, marks=pytest.mark.slow)])
def test_no_algorithm_is_below_the_bytes_of_its_busiest_nic(primitive, name, p):
    """The bytes are counted from what the pages yield, without any clock."""
    algorithm, _ = find(primitive, name)
    nodes = tuple(rank // 4 for rank in range(p))
    try:
        check_restrictions(algorithm, p, True, nodes)
    except RestrictionError:
        pytest.skip("not for so many ranks")
    described = "nodes:x4,nic=1 GB/s,latency=1us,near_latency=0s,near_rate=inf,gamma=0s"
    run = simulate(primitive, name, p=p, n=48000, topology=described)
    busiest = busiest_nic(algorithm, primitive, nodes, described)
    assert run.time >= busiest * 1e-9 * (1 - 1e-9)
    if busiest:
        assert run.bottleneck.nbytes == busiest


def busiest_nic(algorithm, primitive, nodes, described):
    """The most bytes that leave a node, or come in."""
    p, dtype = len(nodes), np.dtype(np.float32 if algorithm.lossy else np.uint8)
    problem = Problem(primitive, p, 48000 // dtype.itemsize, dtype=dtype)
    given = {GROUP: nodes} if algorithm.needs_groups else {}
    given |= {TOPOLOGY: described} if algorithm.needs_links else {}
    passed = Counter()
    for rank in range(p):
        page = problem.start(algorithm, rank, problem.phantoms(rank), given)
        process = Process(str(algorithm), rank, p, page, phantom=True)
        while (round_ := process.advance()) is not None:
            for message in round_.sends:
                if nodes[rank] != nodes[message.peer]:
                    passed["out", nodes[rank]] += message.nbytes
                    passed["in", nodes[message.peer]] += message.nbytes
    return max(passed.values(), default=0)


@pytest.mark.slow
def test_a_thousand_hosts_on_a_shuffled_fat_tree():
    """All the time that the fullest link needs, and not much more, and in seconds."""
    shuffled = f"fattree:32x32x8,{TREE},placement=random:1"
    run = simulate("allreduce", "recursive_doubling", p=1024, n=8 * 10**6, topology=shuffled)
    assert run.bottleneck.busy < run.time < 1.5 * run.bottleneck.busy


# Closed formulas.


@pytest.mark.parametrize("p", [2, 5, 8, 64])
@pytest.mark.parametrize("rendezvous", [False, True])
def test_ring_and_tree(p, rendezvous):
    clock = Clock(3e-6, 7e-10, 0)
    options = {"p": p, "n": p * 10**5, "clock": clock, "rendezvous": rendezvous}
    ring = simulate("allreduce", "ring", **options).time
    assert ring == pytest.approx(2 * (p - 1) * (3e-6 + 1e5 * 7e-10), rel=1e-12)
    tree = simulate("bcast", "tree", **options).time
    assert tree == pytest.approx((p - 1).bit_length() * (3e-6 + p * 1e5 * 7e-10), rel=1e-12)


def test_a_message_under_loggp():
    """o + m G + L + o; a message that waits for its recv is asked for, 2 (o + L), first."""
    clock = LogGP(L=5e-6, o=1e-6, g=3e-6, G=1e-9, gamma=0)
    options = {"p": 2, "n": 1000, "clock": clock}
    alone = 1e-6 + 1e-6 + 5e-6 + 1e-6
    assert simulate("bcast", "naive", **options).time == pytest.approx(alone, rel=1e-12)
    asked = simulate("bcast", "naive", **options, rendezvous=True).time
    assert asked == pytest.approx(alone + 2 * (1e-6 + 5e-6), rel=1e-12)


@pytest.mark.parametrize("gap, overhead", [(3e-6, 1e-6), (1e-6, 4e-6)])
def test_messages_in_a_row_under_loggp(gap, overhead):
    """The root's messages begin g + m G apart, or o apart if that is longer."""
    clock = LogGP(L=5e-6, o=overhead, g=gap, G=1e-9, gamma=0)
    apart = max(gap + 1e-6, overhead)
    run = simulate("scatter", "naive", p=8, n=8000, clock=clock)
    last = overhead + 6 * apart + 1e-6 + 5e-6 + overhead
    assert run.time == pytest.approx(last, rel=1e-12)


def test_the_port_is_free_while_bytes_fly():
    """Under Hockney's clock alpha keeps the port busy, L does not."""
    hockney = simulate("scatter", "naive", p=9, n=9, clock=Clock(10e-6, 0, 0)).time
    loggp = simulate("scatter", "naive", p=9, n=9, clock=LogGP(10e-6, 0, 0, 0, 0)).time
    assert (hockney, loggp) == pytest.approx((80e-6, 10e-6))


# What a machine says beside its clocks.


def test_eager_limit():
    """A message that is too long waits until its recv has been posted."""
    late = {1: 1e-3}
    for eager, left in ((100, 0.0), (99, 1e-3)):
        flat = Machine(Clock(1e-6, 1e-9, 0), eager=eager)
        made = trace("bcast", "naive", p=2, n=100, topology=flat, late=late)
        assert made.messages[0].left == left


def test_a_memory_is_shared():
    """Four ranks of a node send at once: each takes a quarter of what the memory gives."""
    described = "nodes:x8,nic=1 GB/s,near_rate=8 GB/s,near_latency=0s,gamma=0s"
    options = {"p": 8, "n": 8 * 10**6}
    free = simulate("allgather", "ring", topology=described, **options).time
    shared = simulate("allgather", "ring", topology=f"{described},memory=16 GB/s", **options).time
    assert (free, shared) == pytest.approx((7 * 1e6 / 8e9, 7 * 8e6 / 16e9))


def test_nics_share_the_ranks():
    """Two NICs carry twice as much, if the algorithm uses all ranks; a leader has but one."""
    one, two = (f"{NODES},near_latency=0s,near_rate=inf{more}" for more in ("", ",nics=2"))
    for name, ratio in (("recursive_doubling", 2), ("hierarchical", 1)):
        slow, fast = (
            simulate("allreduce", name, p=64, n=10**8, topology=each).time for each in (one, two)
        )
        assert slow / fast == pytest.approx(ratio, rel=0.01)


def test_chance_comes_from_a_seed():
    options = {"p": 16, "n": 10**6}
    quiet = simulate("allreduce", "ring", topology="flat", **options).time
    runs = [
        simulate("allreduce", "ring", topology=f"flat,{more}", **options)
        for more in ("noise=0.1", "noise=0.1", "noise=0.1,seed=1", "late=1ms", "late=1ms,seed=1")
    ]
    assert np.array_equal(runs[0].finished, runs[1].finished)
    assert len({run.time for run in runs}) == 4
    assert quiet < runs[0].time < 2 * quiet
    assert quiet + 1e-3 < runs[3].time < quiet + 1e-2


@pytest.mark.parametrize("name", ["ring", "recursive_doubling", "tree"])
def test_noise_and_links(name):
    """With noise and without, a run ends, and noise only makes it longer."""
    options = {"p": 16, "n": 10**6}
    quiet, noisy = (
        simulate("allreduce", name, topology=f"nodes:4x4,nic=10G,{noise}", **options).time
        for noise in ("noise=0", "noise=0.2")
    )
    assert quiet < noisy < 2 * quiet


@pytest.mark.parametrize(
    "primitive, name, most", [("allreduce", "ring", 0), ("alltoall", "recursive_doubling", 5)]
)
def test_copies_that_really_happen_cost_time(primitive, name, most):
    """An optimised ring copies nothing; Bruck packs and unpacks half of all in each of 3 rounds."""
    options = {"p": 8, "n": 8 * 10**6}
    free = simulate(primitive, name, topology="flat", **options).time
    paid = simulate(primitive, name, topology="flat,delta=0.1ns", **options).time
    assert paid - free <= most * 0.1e-9 * 8 * 10**6 + 1e-12
    assert (paid > free * (1 + 1e-9)) == bool(most)
