"""Schedules that a search has found: right on any network, and as good as the chapter says."""

from collections import Counter

import numpy as np
import pytest

from collectives.algorithms.chapters import search, synthesised
from collectives.catalogue import find
from collectives.errors import ArgumentError
from collectives.machine import machine
from collectives.machine.linked import links_of, some_machine
from collectives.problems import BLOCKWISE, CAN_BE_IN_PLACE, Problem
from collectives.study.prediction import predict
from collectives.study.simulation import simulate
from collectives.study.symbolic import prove
from collectives.study.verify import verify

PRIMITIVES = ("allgather", "reduce_scatter", "allreduce")

# A network for p ranks, of each kind.
NETWORKS = {
    "nodes": "nodes:x3,nic=25G",
    "several NICs": "nodes:x4,nics=2,nic=25G,placement=cyclic",
    "slow memory": "nodes:x4,nic=25G,memory=20G,near_rate=10G",
    "ring": "ring:7,ranks=6,link=10G,nic=25G,placement=random:1",
    "torus": "torus:3x7x2,link=25G,placement=random:2",
    "fat tree": "fattree:5x8x2,nic=25G,link=5G,placement=random:3",
    "dragonfly": "dragonfly:5x2x4,nic=25G,placement=random:4",
}

UNEVEN = (0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 3, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1)


def on(topology, p):
    return links_of(machine(topology), p)


# Right.


@pytest.mark.share(8)
@pytest.mark.parametrize("p", range(1, 41))
def test_found_schedules_are_proved(p):
    networks = list(NETWORKS.values())
    for number, primitive in enumerate(PRIMITIVES):
        prove(f"{primitive}.synthesised", p, seed=p, group=1 + p % 5)
        if p < 20:
            topology = networks[(p + number) % len(networks)]
            prove(f"{primitive}.synthesised", p, topology=topology, pieces=1 + p % 3)


@pytest.mark.share(3)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("rendezvous", [False, True])
def test_blocks_may_be_uneven_or_empty_or_in_place(kind, rendezvous):
    random = np.random.default_rng(5)
    for p in (1, 2, 5, 9):
        given = {"topology": NETWORKS[kind], "pieces": 2, "seed": p}
        for primitive in PRIMITIVES:
            algorithm, _ = find(primitive, "synthesised")
            problems = [
                Problem(primitive, p, 0),
                Problem(primitive, p, p - 1),
            ]
            if primitive in CAN_BE_IN_PLACE:
                problems.append(Problem(primitive, p, 3 * p, in_place=True))
            if primitive in BLOCKWISE:
                problems.append(Problem(primitive, p, counts=random.integers(0, 4, p)))
            for problem in problems:
                verify(algorithm, problem, rendezvous=rendezvous, parameters=given)


def test_the_machine_may_be_another_than_the_schedule_is_for():
    for spec in ("synthesised:topology=(ring:8,nic=25G)", "synthesised:group=2"):
        run = simulate("allgather", spec, p=8, n=800, topology="nodes:2x4,nic=25G")
        assert run.bytes_received.tolist() == [700] * 8


# Searched.


def test_the_chapter_shows_what_the_search_finds():
    found = search.shortest(links_of(some_machine((0, 0, 1, 1)), 4), 1, 0)
    shown = " ".join(synthesised.__doc__.split())
    assert [len(beat) for beat in found] == [2, 2, 8]
    for source, dest, block in [message for beat in found for message in beat]:
        assert f"{block} from {source} to {dest}" in shown


def test_all_ranks_find_the_same_schedule():
    """Each by itself: nothing but the seed matters."""
    first, again = (
        search.schedule(links_of(some_machine((0, 1, 0, 2, 2, 2, 2, 1)), 8), 2, 5, backwards)
        for backwards in (False, False)
        if not links_of.cache_clear() and not search.schedule.cache_clear()
    )
    assert first == again and first is not again
    other = search.schedule(links_of(some_machine((0, 1, 0, 2, 2, 2, 2, 1)), 8), 2, 6)
    assert other != first


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_link_and_no_port_has_too_much_to_do(kind):
    """In a beat, which is as long as a block takes on the slowest way."""
    links = on(NETWORKS[kind], 20)
    pairs = [(a, b) for a in range(20) for b in range(20) if a != b]
    beat = max(links.byte(a, b) for a, b in pairs)
    for messages in search.shortest(links, 1, 0):
        busy = Counter()
        for source, dest, _ in messages:
            busy["out", source] += links.byte(source, dest)
            busy["in", dest] += links.byte(source, dest)
            for link in links.route(source, dest):
                busy[link] += 1 / links.rates[link]
        assert max(busy.values()) <= beat * (1 + 1e-6)


@pytest.mark.parametrize(
    "topology, p, least",
    [
        ("nodes:1x9,nic=25G", 9, 8),  # each rank gets 8 blocks, one a beat
        ("nodes:8x1,nic=25G", 8, 7),
        ("nodes:8x8,nic=25G", 64, 56),  # of other nodes, through a NIC
        ("nodes:4x4,nics=2,nic=25G", 16, 8),  # 12 through two, and of its node by the port
        ("torus:4x4,nic=25G", 16, 15),
        ("ring:16,ranks=1,nic=25G", 16, 15),
        ("fattree:4x4x1,nic=25G,link=5G", 16, 12),  # through one link, five times as slow
    ],
)
def test_found_schedules_are_near_the_shortest(topology, p, least):
    assert least <= len(search.shortest(on(topology, p), 1, 0)) <= 1.1 * least + 3


def test_a_link_is_passed_on():
    """Two ranks that use a NIC one after the other: the first tells the second."""
    links = on("nodes:2x2,nic=25G", 4)
    beats = [[(0, 2, 0)], [(1, 3, 1)], [(3, 1, 3), (1, 0, 1)], [(0, 3, 0)]]
    assert list(search.turns(beats, links)) == [(0, 0, 1), (1, 1, 0)]
    rounds = search.in_rounds(beats, links)
    assert rounds[0][0].tells == [1] and rounds[1][0].waits == [0]
    several = on("nodes:2x2,nics=2,nic=25G", 4)  # only the one at rank 3 changes hands
    assert list(search.turns(beats, several)) == [(1, 1, 0)]


def test_work_is_left_time_for():
    """Backwards, ranks add up: the schedule is another one where that takes long."""
    links = on("nodes:2x4,nic=25G,gamma=1ns", 8)
    assert len(search.shortest(links.turned(), 1, 0, links.work)) > 0
    quick, slow = (
        simulate(
            "reduce_scatter",
            f"synthesised:topology=(nodes:2x4,nic=25G,gamma={gamma})",
            p=8,
            n=10**8,
            topology="nodes:2x4,nic=25G,gamma=1ns",
        ).time
        for gamma in ("1ns", "0s")
    )
    assert quick < slow


# As good as the chapter says.

VECTOR = 100_000_000


def times(primitive, p, topology):
    """The time of the found schedule, and the least of all others that lose nothing."""
    ranked = predict(primitive, p, VECTOR, machine(topology), shares=False).predictions
    exact = [one for one in ranked if one.seconds is not None and not one.lossy]
    found = next(one.seconds for one in exact if one.algorithm == "synthesised")
    return found, min(one.seconds for one in exact if one.algorithm != "synthesised")


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "primitive, topology, ratio",
    [
        ("allgather", "torus:4x4,link=25G,placement=random:1", 1.6),
        ("allgather", "fattree:4x4x1,nic=25G,link=25G,placement=random:1", 2.0),
        ("allgather", "dragonfly:4x2x2,nic=25G,placement=random:1", 1.8),
        ("allreduce", "ring:4,ranks=4,link=25G,nic=50G", 1.1),
        ("allgather", "nodes:4x4,nic=25G", 1.0),
    ],
)
def test_found_schedules_win(primitive, topology, ratio):
    found, others = times(primitive, 16, topology)
    assert others > ratio * found


def test_a_found_schedule_wins_on_nodes_that_nobody_thought_of():
    """8, 8, 2 and 3 ranks, dealt out: as the chapter says."""
    places = [8 * node + UNEVEN[:rank].count(node) for rank, node in enumerate(UNEVEN)]
    placement = [*places, *(place for place in range(32) if place not in places)]
    found, others = times(
        "allgather", 21, f"nodes:4x8,nic=25G,placement=[{','.join(map(str, placement))}]"
    )
    assert others > 1.5 * found


@pytest.mark.slow
def test_eight_nodes_of_eight_ranks():
    """Between the ring and what people have found for such nodes; 56 ms is the bound of a NIC."""
    nodes = "nodes:8x8,nic=25G,latency=10us"
    found, rail, ring = (
        simulate("allreduce", name, p=64, n=VECTOR, topology=nodes).time
        for name in ("synthesised", "split_rail_pipelined", "ring")
    )
    assert 56e-3 < rail < found < 1.15 * rail and found < 0.95 * ring


def test_four_nodes_of_four_ranks():
    nodes = "nodes:4x4,nic=25G,latency=10us"
    found, rail, ring = (
        simulate("allreduce", name, p=16, n=VECTOR, topology=nodes).time
        for name in ("synthesised", "split_rail_pipelined:segments=8", "ring")
    )
    assert found < 1.2 * rail and found < 0.95 * ring


def test_turns_make_the_plan_come_true(monkeypatch):
    """Without them, ranks that are ahead halve the speed of others."""
    topology = "nodes:4x6,nic=25G"
    with_turns = simulate("allgather", "synthesised", p=24, n=VECTOR, topology=topology).time
    search.schedule.cache_clear()
    monkeypatch.setattr(search, "turns", lambda beats, links: {})
    without = simulate("allgather", "synthesised", p=24, n=VECTOR, topology=topology).time
    search.schedule.cache_clear()
    assert without > 1.3 * with_turns


def test_counts_are_of_the_same_schedule():
    """Whatever is asked about a machine, the schedule is for that machine."""
    whole = machine("nodes:2x4,nic=25G,memory=30G")
    views = whole, whole.unshared(), whole.unshared().unshared()
    runs = [simulate("allgather", "synthesised", p=8, n=8000, topology=view) for view in views]
    assert len({tuple(run.messages.tolist()) for run in runs}) == 1


# Refused.


@pytest.mark.parametrize(
    "topology, complaint",
    [
        ("moebius:8", r"allgather.synthesised: topology: machine: begins with a network"),
        ("nodes:2x2,nic=25G", r"topology: machine: the number of ranks p must be at most 4"),
        (7, r"topology must be a line, a preset's name or the path of a file, got 7"),
    ],
)
def test_a_topology_that_is_none(topology, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        prove("allgather.synthesised", 5, topology=topology)
