"""Two levels: any ranks may form a node, and few bytes leave it."""

import numpy as np
import pytest
from counted import (
    ALPHA,
    BETA,
    GAMMA,
    check,
    costs_hold,
    critical_path,
    find,
    nobody_leaves_early,
)

from collectives.algorithms import REGISTRY
from collectives.algorithms.chapters.multi_leader import around, rails
from collectives.algorithms.language.levels import by_number, members, neighbourhoods
from collectives.algorithms.language.registry import ROOTED
from collectives.algorithms.language.steps import elements, send
from collectives.errors import ArgumentError, RestrictionError
from collectives.machine import machine
from collectives.nodes import grouping, in_order
from collectives.operators.operator import MATPROD
from collectives.problems import BLOCKWISE, Problem
from collectives.study.simulation import simulate
from collectives.study.symbolic import prove
from collectives.study.verify import verify

HIERARCHICAL = [
    f"{primitive}.hierarchical"
    for primitive in (
        *("bcast", "reduce", "allreduce", "allgather"),
        *("gather", "scatter", "reduce_scatter"),
    )
]


def test_hierarchical_critical_path():
    """Three nodes of four ranks, then one node, then nodes of one rank."""
    for full_name, wanted in (
        ("barrier.hierarchical", [6, 8, 4]),
        ("bcast.hierarchical", [4, 4, 4]),
        ("reduce.hierarchical", [4, 4, 4]),
        ("allreduce.hierarchical", [7, 8, 5]),
        ("allgather.hierarchical", [6, 8, 11]),
        ("gather.hierarchical", [4, 4, 4]),
        ("scatter.hierarchical", [4, 4, 4]),
        ("reduce_scatter.hierarchical", [6, 8, 11]),
        ("scan.hierarchical", [6, 4, 5]),
        ("exscan.hierarchical", [7, 5, 5]),
    ):
        assert [critical_path(full_name, 12, group=group) for group in (4, 99, 1)] == wanted


SOME = [*range(1, 14), 16, 17, 23, 33]


@pytest.mark.parametrize("group", [1, 2, 3, 5, 50])
def test_hierarchical_with_other_groups(group):
    costs_hold("barrier.hierarchical", range(1, 34), [ALPHA], group=group)
    for full_name in HIERARCHICAL:
        costs_hold(full_name, SOME, [ALPHA], group=group)
        for p in (1, 2, 4, 7, 12, 15):
            for root in {0, p // 2, p - 1}:
                check(full_name, p, p + 3, root, group=group)
    for p in (1, 2, 7, 12):
        assert nobody_leaves_early("barrier.hierarchical", p, group=group)
    check("reduce.hierarchical", 140, 5, 101, group=group)


def test_the_vector_enters_every_node_once():
    for root in (0, 6, 9):
        crossings = []
        for rank in range(10):
            buf = np.zeros(4)
            groups = grouping("bcast.hierarchical", 10, 4)
            for steps in find("bcast.hierarchical").generator(rank, 10, buf, root, groups):
                messages = steps if isinstance(steps, (list, tuple)) else [steps]
                sends = [step for step in messages if isinstance(step, send)]
                crossings += [step.dest // 4 for step in sends if step.dest // 4 != rank // 4]
        assert sorted(crossings) == sorted({0, 1, 2} - {root // 4})


def scattered(p, nodes, seed):
    """A group for each rank, in no order; some may be empty."""
    return tuple(np.random.default_rng(seed).integers(0, nodes, p).tolist())


TWO_LEVELS = [
    algorithm
    for names in REGISTRY.values()
    for algorithm in names.values()
    if algorithm.needs_groups
]


@pytest.mark.parametrize("algorithm", TWO_LEVELS, ids=str)
def test_any_ranks_may_form_a_node(algorithm):
    for p in (1, 2, 3, 5, 8, 13):
        for nodes in (1, 2, 3, p):
            group = scattered(p, nodes, p + nodes)
            for root in {0, p // 2, p - 1} if algorithm.primitive in ROOTED else {0}:
                prove(algorithm, p, root=root, group=group, segments=2)


@pytest.mark.parametrize("algorithm", TWO_LEVELS, ids=str)
def test_nodes_may_have_any_numbers(algorithm):
    """In rank order, though the numbers of the nodes are not."""
    for group in ((7, 7, 7, -1, 4, 4), (2, 1, 0), (5,)):
        assert in_order(group)
        prove(algorithm, len(group), root=len(group) - 1, group=group)


@pytest.mark.parametrize(
    "full_name",
    [str(algorithm) for algorithm in TWO_LEVELS if algorithm.primitive in BLOCKWISE],
)
def test_two_levels_with_uneven_blocks(full_name):
    algorithm = find(full_name)
    random = np.random.default_rng(3)
    for p in (1, 2, 5, 9):
        shape = (p, p) if algorithm.primitive == "alltoall" else p
        counts = random.integers(0, 4, shape)
        problem = Problem(algorithm.primitive, p, counts=counts)
        for group in (2, scattered(p, 3, p)):
            for rendezvous in (False, True):
                verify(algorithm, problem, rendezvous=rendezvous, parameters={"group": group})


@pytest.mark.share(4)
@pytest.mark.parametrize("leaders", [1, 2, 3, 50])
def test_number_of_leaders(leaders):
    for group in (1, 2, 3, 4, 8):
        costs_hold("allgather.multi_leader", SOME, [ALPHA], leaders=leaders, group=group)
        for primitive in ("allgather", "allreduce"):
            for p in (1, 4, 7, 12):
                prove(f"{primitive}.multi_leader", p, leaders=leaders, group=group)


def test_leaders_share_the_network():
    """With as many leaders as ranks on a node each sends one block to the next node."""
    run = simulate("allgather", "multi_leader", p=16, n=1600, group=4, leaders=4)
    assert (run.bytes_sent == 3 * 100 + 3 * 400).all()
    assert simulate("allgather", "hierarchical", p=16, n=1600, group=4).bytes_sent.max() > 3600


def test_rank_order_needs_neighbours():
    """An operator that does not commute needs nodes of neighbouring ranks."""
    given = {"p": 4, "n": 4, "operator": MATPROD}
    for primitive in ("reduce", "allreduce"):
        simulate(primitive, "hierarchical", group=(1, 1, 0, 0), **given)
        with pytest.raises(
            RestrictionError,
            match=rf"{primitive}\.hierarchical: needs a commutative operator, or groups of "
            r"neighbouring ranks, got one that is not and groups \(0, 1, 0, 1\); use naive or ",
        ):
            simulate(primitive, "hierarchical", group=(0, 1, 0, 1), **given)
        simulate(primitive, "hierarchical", group=(0, 1, 0, 1), p=4, n=4)


@pytest.mark.parametrize("group", [(), (0,), (0, 1, 2), ("a", "b"), (0, 1.5)])
def test_a_group_for_every_rank(group):
    with pytest.raises(
        ArgumentError, match=r"bcast\.hierarchical: group must be a number of ranks "
    ):
        simulate("bcast", "hierarchical", p=2, n=2, group=group)


def test_grouping():
    assert grouping("", 5) == (0, 0, 0, 0, 1)
    assert grouping("", 5, 2) == (0, 0, 1, 1, 2) and grouping("", 3, [4, 0, 4]) == (4, 0, 4)
    assert in_order((3, 3, 1)) and not in_order((3, 1, 3)) and in_order(())


# Nodes of one size, where the cost lines are exact


@pytest.mark.parametrize(
    "full_name",
    [
        *("gather.hierarchical", "scatter.hierarchical", "reduce_scatter.hierarchical"),
        *("scan.hierarchical", "exscan.hierarchical"),
        *("allreduce.multi_leader", "allreduce.split_rail", "alltoall.two_step"),
        *("allgather.split_rail", "reduce_scatter.split_rail"),
        "bcast.hierarchical_pipelined",
    ],
)
def test_cost_lines_are_exact_for_nodes_of_one_size(full_name):
    given = {"segments": 3} if "segments" in find(full_name).parameters else {}
    clocks = (ALPHA, BETA, GAMMA) if find(full_name).keeps_order is not None else (ALPHA, BETA)
    for nodes, size in ((1, 1), (1, 5), (2, 4), (4, 1), (4, 3), (8, 2)):
        costs_hold(full_name, [nodes * size], clocks, group=size, **given)


# What leaves a node


def sent_between(full_name, p, n, groups, root=0, **given):
    """Elements that each node sends to others and that each rank does."""
    problem = Problem(full_name.partition(".")[0], p, n, root)
    by_node, by_rank = dict.fromkeys(groups, 0), [0] * p
    for rank in range(p):
        chosen = {"group": groups, **given}
        for steps in problem.start(find(full_name), rank, problem.buffers(rank), chosen):
            for step in steps if isinstance(steps, (list, tuple)) else [steps]:
                if isinstance(step, send) and groups[step.dest] != groups[rank]:
                    by_node[groups[rank]] += elements(step.buf)
                    by_rank[rank] += elements(step.buf)
    return list(by_node.values()), by_rank


UNEVEN = [
    (0, 0, 0, 0, 1, 1, 1, 1),
    (0, 1, 1, 0, 1, 2, 2, 2, 2),
    (3, 3, 3, 3, 5),
    (0, 1, 2, 1, 0, 1),
]


@pytest.mark.parametrize("groups", UNEVEN, ids=str)
def test_split_rail_sends_the_fewest_bytes_from_any_nodes(groups):
    p, nodes = len(groups), len(set(groups))
    for name in ("split_rail", "split_rail_pipelined"):
        given = {"segments": 5} if "pipelined" in name else {}
        by_node, by_rank = sent_between(f"allreduce.{name}", p, 3600, groups, **given)
        assert by_node == [2 * (nodes - 1) * 3600 / nodes] * nodes
        for rank in range(p):  # an equal share of what its node sends
            assert by_rank[rank] * groups.count(groups[rank]) == by_node[0]


def test_rails_are_cut_wherever_a_share_begins():
    groups = (0, 0, 0, 1, 1, 2)
    assert rails(groups, 12) == [
        (0, 4, [0, 3, 5]),
        (4, 6, [1, 3, 5]),
        (6, 8, [1, 4, 5]),
        (8, 12, [2, 4, 5]),
    ]
    assert rails(groups, 1) == [(0, 1, [0, 3, 5])] and rails((0, 0), 0) == []


@pytest.mark.parametrize("groups", UNEVEN, ids=str)
def test_every_byte_leaves_its_node_once(groups):
    """In an all-to-all, and in a gather and a scatter those that have to."""
    p, sizes = len(groups), {number: groups.count(number) for number in groups}
    by_node, by_rank = sent_between("alltoall.two_step", p, p, groups)
    assert by_node == [size * (p - size) for size in sizes.values()]
    assert max(by_rank) <= p * max(sizes.values()) / min(sizes.values())
    root = p - 1
    assert sum(sent_between("gather.hierarchical", p, p, groups, root)[0]) <= 2 * (p - 1)
    for name in ("synthesised", "split_rail"):
        for primitive in ("allgather", "reduce_scatter"):
            by_node, _ = sent_between(f"{primitive}.{name}", p, p, groups)
            assert sum(by_node) == sum(p - size for size in sizes.values())


def test_a_pipeline_enters_every_node_once():
    for groups in UNEVEN:
        for root in (0, len(groups) - 1):
            by_node, _ = sent_between(
                "bcast.hierarchical_pipelined", len(groups), 60, groups, root, segments=4
            )
            assert sorted(by_node) == [0, *[60] * (len(by_node) - 1)]
        by_node, _ = sent_between(
            "allreduce.hierarchical_pipelined", len(groups), 60, groups, segments=4
        )
        assert max(by_node) == 60 * min(2, len(by_node) - 1)


@pytest.mark.parametrize("segments", [1, 2, 7])
def test_pipelines_with_other_nodes(segments):
    for full_name in (
        *("bcast.hierarchical_pipelined", "allreduce.hierarchical_pipelined"),
        "allreduce.split_rail_pipelined",
    ):
        for p in (1, 2, 6, 11):
            for group in (1, 2, 3, 50, scattered(p, 3, p)):
                given = {"segments": segments, "group": group}
                prove(full_name, p, root=p // 2, rendezvous=True, **given)
                prove(full_name, p, root=p - 1, rendezvous=False, **given)
    check("bcast.hierarchical_pipelined", 47, 30, 3, segments=segments, group=5)
    check("allreduce.hierarchical_pipelined", 47, 30, segments=segments, group=5)


def test_scans_take_runs_of_neighbours():
    """A scan needs rank order: scattered ranks of a node do not work together."""
    assert neighbourhoods((0, 0, 1, 0, 0, 0)) == [[0, 1], [2], [3, 4, 5]]
    for primitive in ("scan", "exscan"):
        for groups in ((0, 1, 0, 1, 1), (0, 0, 1, 0, 0, 0), (1,) * 6):
            simulate(primitive, "hierarchical", p=len(groups), n=3, group=groups, operator=MATPROD)


# On machines whose ranks share NICs

CLUSTER = machine("nodes:4x4,nic=25G,latency=10us")
VECTOR = 100_000_000


def milliseconds(name, p=16, topology=CLUSTER):
    return simulate("allreduce", name, p=p, n=VECTOR, topology=topology).time * 1e3


def test_levels_that_overlap_come_near_the_bound_of_the_nics():
    """Each node sends 1.5 n: 48 ms; one leader sends 2 n while the others wait."""
    bound = 1.5 * VECTOR / 3.125e9 * 1e3
    assert bound < milliseconds("split_rail_pipelined:segments=8") < 1.2 * bound
    assert bound < milliseconds("split_rail") < 1.6 * bound
    assert milliseconds("multi_leader") < 0.8 * milliseconds("hierarchical")
    assert milliseconds("halving_doubling") > 4 * bound
    spread = "nodes:4x4,nic=25G,latency=10us,placement=cyclic"
    assert milliseconds("split_rail", topology=spread) < 1.6 * bound
    assert milliseconds("ring", topology=spread) > 3 * bound
    for primitive in ("allgather", "reduce_scatter"):
        run = simulate(primitive, "split_rail", p=16, n=VECTOR, topology=spread)
        assert bound / 2 < run.time * 1e3 < 0.8 * bound


def test_short_blocks_go_between_nodes_together():
    """An all-to-all in two steps: 3 messages between nodes in place of 12."""
    direct, two_steps = (
        simulate("alltoall", name, p=16, n=16_000, topology=CLUSTER).time
        for name in ("naive", "two_step")
    )
    assert two_steps < 0.5 * direct


def test_a_node_is_known_by_its_ranks():
    """The lists of one layout may be made anew at different times, after many other layouts."""
    groups = grouping("alltoall.two_step", 6, 2)
    members(groups)
    by_number.cache_clear()
    node, others, _, _ = around(2, groups)
    assert (node, others) == ([2, 3], [[0, 1], [4, 5]])


def test_64_ranks_on_8_nodes():
    """1.75 n through each NIC take 56 ms; far partners first push 14 n through it."""
    nodes = "nodes:8x8,nic=25G,latency=10us"
    assert 56 < milliseconds("split_rail", 64, nodes) < 80.5
    assert 56 < milliseconds("split_rail_pipelined:segments=4", 64, nodes) < 70
    assert milliseconds("halving_doubling", 64, nodes) > 448
    assert milliseconds("hierarchical", 64, nodes) > 2 * milliseconds("split_rail", 64, nodes)


def test_a_pipelined_broadcast_passes_each_nic_once():
    bound = VECTOR / 3.125e9
    times = {
        name: simulate("bcast", name, p=16, n=VECTOR, topology=CLUSTER).time
        for name in ("hierarchical_pipelined", "hierarchical", "tree")
    }
    assert bound < times["hierarchical_pipelined"] < 1.2 * bound
    assert times["hierarchical"] > 2 * bound
