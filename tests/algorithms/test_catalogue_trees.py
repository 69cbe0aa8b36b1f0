"""The further trees, barriers and scans: literal counts, other parameters, many ranks.

The generic tests take the algorithms with their default parameters; here are the
parameters, the numbers of the papers, and more ranks and segments.
"""

import numpy as np
import pytest
from counted import (
    ALPHA,
    BETA,
    GAMMA,
    check,
    costs_hold,
    critical_path,
    nobody_leaves_early,
)

from collectives.algorithms import REGISTRY
from collectives.algorithms.chapters import double_tree
from collectives.engines.simulator import Simulator
from collectives.errors import ArgumentError
from collectives.problems import Problem
from collectives.study.simulation import simulate
from collectives.study.verify import check as check_answer

# K-nomial trees

KNOMIAL = ["bcast.knomial", "scatter.knomial", "gather.knomial", "reduce.knomial"]


@pytest.mark.parametrize("full_name", KNOMIAL)
def test_knomial_critical_path(full_name):
    """Between the binomial tree and the linear algorithm."""
    assert [critical_path(full_name, p, k=2) for p in (1, 2, 5, 8, 33)] == [0, 1, 3, 3, 6]
    assert [critical_path(full_name, p, k=3) for p in (1, 2, 3, 4, 9, 10, 27)] == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert [critical_path(full_name, p, k=4) for p in (4, 5, 16, 17, 64)] == [3, 4, 6, 7, 9]
    assert [critical_path(full_name, p, k=99) for p in (1, 2, 9, 99)] == [0, 1, 8, 98]
    clocks = (ALPHA, BETA, GAMMA) if full_name.startswith("reduce") else (ALPHA, BETA)
    for radix in (2, 3, 5, 8):
        costs_hold(full_name, [*range(1, 34), 125], clocks, k=radix)


@pytest.mark.parametrize("radix", [2, 3, 5, 16])
@pytest.mark.parametrize("full_name", KNOMIAL)
def test_knomial_radix(full_name, radix):
    for p in range(1, 18):
        for root in {0, p // 2, p - 1}:
            check(full_name, p, 2 * p + 3, root, k=radix)
    check(full_name, 140, 300, 77, k=radix)


# Pipelined trees

PIPELINED = {
    "bcast.chain": [0, 1, 2, 3, 4, 4, 4, 4, 5, 5],
    "bcast.binary": [0, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5],
    "bcast.split_binary": [0, 2, 3, 3, 4, 4, 5, 5, 5, 5, 6],
    "reduce.binary": [0, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5],
    "reduce.in_order_binary": [0, 1, 2, 3, 3, 4, 4, 5, 5, 5, 5],
}


@pytest.mark.parametrize("full_name", PIPELINED)
def test_pipelined_tree_critical_path(full_name):
    """Of one segment for p = 1, 2, ...; further ones come at a steady rate."""
    wanted = PIPELINED[full_name]
    assert [critical_path(full_name, p, segments=1) for p in range(1, len(wanted) + 1)] == wanted
    rate = 4 if full_name == "bcast.chain" else 2
    for p in (7, 16, 33):
        one, ten = (critical_path(full_name, p, 100, segments=s) for s in (1, 10))
        assert ten == one + 9 * rate


@pytest.mark.parametrize("full_name", PIPELINED)
def test_pipelined_trees_with_many_ranks(full_name):
    for p, root in ((47, 20), (64, 0), (140, 139)):
        check(full_name, p, 100, root, segments=9)


@pytest.mark.parametrize("chains", [1, 2, 3, 50])
def test_number_of_chains(chains):
    costs_hold("bcast.chain", range(1, 34), chains=chains, segments=3)
    assert critical_path("bcast.chain", 9, chains=1, segments=4) == critical_path(
        "bcast.ring", 9, segments=4
    )
    for p in (1, 2, 5, 8, 13):
        for root in range(p):
            check("bcast.chain", p, 20, root, chains=chains, segments=4)


def test_split_binary_sends_each_half_once():
    """The busiest rank, an interior one, sends two halves down and one across."""
    for p in (3, 8, 21):
        run = simulate("bcast", "split_binary", p=p, n=1000, segments=5)
        assert run.bytes_sent.max() <= 1500
        assert run.bytes_sent.sum() == (p - 1) * 1000


# Two trees


@pytest.mark.parametrize("p", [*range(1, 41), 64, 129, 140])
def test_double_tree(p):
    """Interior in at most one tree, in order, and no two messages at one port at once."""
    one, two = double_tree.parents(p)
    for rank in range(1, p):
        assert not (rank in one and rank in two)
        assert (rank in one) <= (rank % 2 == 0) and (rank in two) <= (rank % 2 == 1)
    links, ticks = double_tree.double_tree(p)
    for tree, parent in enumerate((one, two)):
        below = {rank: {rank} for rank in range(p)}
        for rank in range(1, p):
            upper = rank
            while upper:
                upper = parent[upper]
                below[upper].add(rank)
        for rank, ranks in below.items():
            assert ranks == set(range(min(ranks), max(ranks) + 1))
            children = [link.peer for link in links[rank][1] if link.tree == tree]
            assert sorted(children) == [c for c in range(1, p) if parent[c] == rank]
            assert len(children) <= 2
    for entering, leaving in links:
        for ends in (entering, leaving):
            assert len({link.first % 2 for link in ends}) == len(ends)
        for link in leaving:
            assert all(up.first < link.first for up in entering if up.tree == link.tree)
            assert link.first < ticks


def test_double_tree_of_five_is_as_drawn():
    assert double_tree.parents(5) == ([None, 2, 4, 2, 0], [None, 0, 3, 1, 3])
    links, ticks = double_tree.double_tree(5)
    moves = {f"{rank}>{link.peer}": link.first for rank in range(5) for link in links[rank][1]}
    assert moves == {
        **{"0>4": 1, "4>2": 2, "2>1": 3, "2>3": 4},
        **{"0>1": 0, "1>3": 1, "3>4": 2, "3>2": 3},
    }
    assert ticks == 5


@pytest.mark.parametrize("name", ["bcast", "reduce"])
def test_double_tree_critical_path(name):
    """Each port takes the vector once, in 2 s segments, behind a latency of about 2 lg p."""
    wanted = [0, 2, 4, 4, 5, 6, 6, 6, 7, 8, 8, 8, 7, 8, 8, 8, 9]
    full_name = f"{name}.double_tree"
    assert [critical_path(full_name, p, segments=1) for p in range(1, 18)] == wanted
    assert critical_path(full_name, 17, segments=50) == 9 + 98
    assert critical_path("allreduce.double_tree", 17, segments=50) == 2 * (9 + 98)
    costs_hold(full_name, [*range(1, 34), 140], segments=8)
    for p in (4, 9, 16, 33):
        run = simulate(name, "double_tree", p=p, n=1000, segments=5)
        assert run.bytes_sent.max() == 1000


@pytest.mark.parametrize("name", ["bcast", "reduce", "allreduce"])
def test_double_tree_with_many_ranks(name):
    for p, root in ((47, 20), (64, 0), (139, 1), (140, 139)):
        check(f"{name}.double_tree", p, 100, root, segments=9)
    for segments in (1, 2, 7, 40):
        for p in (2, 3, 6, 9):
            check(f"{name}.double_tree", p, 30, p - 1, segments=segments)


# Two roots


def test_dual_root_critical_path():
    """A chain of swaps up, one between the roots, and down; then three a segment."""
    full_name = "allreduce.dual_root"
    wanted = [0, 1, 3, 3, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 10]
    assert [critical_path(full_name, p, segments=1) for p in range(1, 18)] == wanted
    for p in (6, 17, 62):
        assert (
            critical_path(full_name, p, 90, segments=9)
            == critical_path(full_name, p, segments=1) + 24
        )
    costs_hold(full_name, [*range(1, 34), 62, 64, 140], (ALPHA, BETA, GAMMA), segments=5)
    run = simulate("allreduce", "dual_root", p=62, n=1000, segments=10)
    assert run.bytes_sent.max() == 3000
    assert run.messages.sum() == 10 * 2 * 61


def test_dual_root_with_many_ranks():
    for segments in (1, 2, 5, 40):
        for p in (2, 3, 6, 11):
            check("allreduce.dual_root", p, 30, segments=segments)
    for p in (47, 64, 140):
        check("allreduce.dual_root", p, 60, segments=9)


# Barriers


def test_barrier_critical_path():
    """Hand-made: four reports a parent, and two calls a parent on the way down."""
    ranks = [1, 2, 3, 4, 5, 6, 7, 8, 9, 21, 37]
    reports = [0, 1, 2, 3, 4, 4, 4, 4, 5, 8, 9]
    calls = [0, 1, 2, 2, 3, 3, 4, 4, 4, 6, 8]
    for p, up, down in zip(ranks, reports, calls):
        assert critical_path("barrier.mcs", p) == up + down
    wanted = [0, 1, 3, 2, 4, 4, 4, 3, 5]
    assert [critical_path("barrier.recursive_exchange", p) for p in range(1, 10)] == wanted
    for radix, levels in ((2, [0, 1, 2, 2, 3, 3, 3, 3, 4]), (3, [0, 1, 2, 3, 3, 3, 4, 4, 4])):
        given = {"k": radix}
        assert [
            critical_path("barrier.k_dissemination", p, **given) for p in range(1, 10)
        ] == levels


def test_barrier_messages():
    for p in (1, 2, 5, 16, 33):
        assert simulate("barrier", "mcs", p=p).messages.sum() == 2 * (p - 1)
    assert simulate("barrier", "k_dissemination", p=27).messages.sum() == 27 * 3 * 2
    assert simulate("barrier", "recursive_exchange", p=12).messages.sum() == 8 * 3 + 4 * 2


@pytest.mark.parametrize("radix", [2, 3, 4, 7, 200])
def test_k_dissemination(radix):
    costs_hold("barrier.k_dissemination", [*range(1, 34), 125], [ALPHA], k=radix)
    for p in range(1, 20):
        assert nobody_leaves_early("barrier.k_dissemination", p, k=radix)


@pytest.mark.parametrize("name", ["mcs", "recursive_exchange"])
def test_nobody_leaves_early(name):
    for p in range(1, 40):
        assert nobody_leaves_early(f"barrier.{name}", p)


def test_radix_of_one_is_an_error():
    for full_name in (*KNOMIAL, "barrier.k_dissemination"):
        with pytest.raises(ArgumentError, match=f"{full_name}: k must be an integer from 2 on"):
            critical_path(full_name, 4, k=1)


# Scans


def test_123_doubling():
    """One message more than the shortest path has for p = 5, 8, 9, 14 .. 17, ...; else none."""
    wanted = [0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5]
    assert [critical_path("exscan.123_doubling", p) for p in range(1, 18)] == wanted
    assert [critical_path("exscan.123_doubling", p) for p in (25, 26, 49, 50, 97)] == [
        5,
        6,
        6,
        7,
        7,
    ]
    for p in [*range(2, 34), 99, 140]:
        shifted = critical_path("exscan.recursive_doubling", p)
        assert shifted - 1 <= critical_path("exscan.123_doubling", p) <= shifted
    for p in (27, 64, 140):
        check("exscan.123_doubling", p, 5)


PIPELINED_SCANS = ["scan.pipelined_tree", "exscan.pipelined_tree"]


@pytest.mark.parametrize("full_name", PIPELINED_SCANS)
def test_pipelined_scan_critical_path(full_name):
    """Of a perfect tree: up and down, two messages a level, then three a segment."""
    assert [critical_path(full_name, p, segments=1) for p in (1, 2, 3, 7, 15, 31)] == [
        0,
        1,
        2,
        6,
        10,
        14,
    ]
    for p in (15, 31, 33):
        few, many = (critical_path(full_name, p, 100, segments=s) for s in (10, 20))
        assert many == few + 30
    run = simulate(*full_name.split("."), p=31, n=1000, segments=10)
    assert run.bytes_sent.max() == 3000
    assert run.messages.sum() == 10 * (2 * 30 - 4 - 4)  # none along the two flanks


@pytest.mark.parametrize("full_name", PIPELINED_SCANS)
def test_pipelined_scan_with_many_ranks(full_name):
    for segments in (1, 2, 5, 40):
        for p in (1, 2, 3, 6, 11):
            check(full_name, p, 30, segments=segments)
    for p in (47, 64, 140):
        check(full_name, p, 60, segments=9)


# Block lengths


@pytest.mark.parametrize(
    "algorithm",
    [algorithm for names in REGISTRY.values() for algorithm in names.values() if algorithm.tree],
    ids=str,
)
def test_a_rank_needs_the_lengths_of_its_subtree_only(algorithm):
    """As scatterv and gatherv tell them: the others are 0."""
    random = np.random.default_rng(1)
    for p in (1, 2, 3, 6, 13, 21):
        for root in {0, p // 2, p - 1}:
            counts = random.integers(0, 5, p).tolist()
            problem = Problem(algorithm.primitive, p, root=root, counts=counts)
            buffers = [problem.buffers(rank) for rank in range(p)]

            def program(rank, problem=problem, buffers=buffers):
                *arguments, lengths = problem.arguments(algorithm, rank, buffers[rank])
                _, first, last = algorithm.tree(rank, problem.p, problem.root).mine
                known = [n if first <= i < last else 0 for i, n in enumerate(lengths)]
                return algorithm.generator(rank, problem.p, *arguments, known)

            Simulator(str(algorithm), p, program, rendezvous=True).run()
            for rank in range(p):
                check_answer(str(algorithm), problem, rank, buffers[rank])
