"""Algorithms that show by contrast what others are good for: counts, ends of a line, hops.

The numbers are written down from the literature or counted by loops of their own.
"""

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.chapters import bine, radix, scans, torus
from collectives.algorithms.language.ranks import rows
from collectives.algorithms.language.steps import elements, send
from collectives.catalogue import find
from collectives.machine.clock import Clock
from collectives.problems import Problem
from collectives.study.simulation import count, simulate
from collectives.study.symbolic import prove

RANKS = (*range(1, 14), 16, 17, 24, 31, 33)


def up(p):
    return (p - 1).bit_length()


def down(p):
    return p.bit_length() - 1


def odd(p):
    return int(p & (p - 1) != 0)


def square(p):
    return rows(p) - 1 + p // rows(p) - 1


def sent(full_name, p, n, **given):
    """All messages: (source, dest, elements), those of a rank in order."""
    found, _ = find(*full_name.split("."))
    problem, messages = Problem(found.primitive, p, n), []
    for rank in range(p):
        for steps in problem.start(found, rank, problem.buffers(rank), given):
            steps = steps if isinstance(steps, (list, tuple)) else [steps]
            messages += [(rank, s.dest, elements(s.buf)) for s in steps if isinstance(s, send)]
    return messages


# Messages on the critical path, for every p.
CRITICAL_PATH = {
    "reduce.bine": up,
    "scatter.bine": up,
    "gather.bine": up,
    "allgather.bidirectional_torus": lambda p: 4 * square(p),
    "allreduce.two_shot": lambda p: 2 * (p - 1),
    "allreduce.swing_latency": lambda p: down(p) + 2 * odd(p),
    "allreduce.bidirectional_torus": lambda p: 8 * square(p),
    "reduce_scatter.recursive_exchange": lambda p: down(p) + 2 * odd(p),
    "reduce_scatter.torus": square,
    "reduce_scatter.bidirectional_torus": lambda p: 4 * square(p),
    "alltoall.2d_mesh": square,
    "alltoall.scattered": lambda p: p - 1,
    "alltoall.bine": lambda p: up(p - p % 2 * (p > 1)) + 2 * (p % 2) * (p > 1),
    "alltoall.hybrid": up,
    "scan.recursive_exchange": up,
    "exscan.recursive_exchange": up,
    "exscan.popcount": up,
}


@pytest.mark.share(2)
@pytest.mark.parametrize("full_name", CRITICAL_PATH)
def test_critical_path(full_name):
    for p in RANKS:
        counted = count(*full_name.split("."), p=p, n=4 * p)
        assert counted.critical_path == CRITICAL_PATH[full_name](p), f"{p=}"


@pytest.mark.parametrize(
    ("full_name", "paths"),
    [
        ("bcast.sag_knomial", {2: 2, 4: 6, 5: 7, 8: 8, 16: 12, 17: 13}),
        ("reduce.srg_knomial", {2: 2, 4: 6, 5: 7, 8: 8, 16: 12, 17: 13}),
        ("allreduce.sra_knomial", {2: 2, 4: 6, 5: 8, 8: 8, 16: 12, 17: 14}),
        ("allgather.recursive_multiplying", {2: 1, 4: 3, 5: 5, 8: 4, 16: 6, 17: 8}),
        ("allreduce.generalised", {2: 2, 4: 4, 5: 7, 8: 5, 16: 6, 17: 9}),
    ],
)
def test_critical_path_by_hand(full_name, paths):
    for p, wanted in paths.items():
        assert count(*full_name.split("."), p=p, n=p).critical_path == wanted, f"{p=}"


# Scans


@pytest.mark.parametrize("primitive", ["scan", "exscan"])
def test_the_scan_of_the_libraries_uses_the_operator_twice_a_round(primitive):
    """The last rank of a power of two has a partner below it in each round."""
    for q in range(1, 8):
        twice = count(primitive, "recursive_exchange", p=2**q, n=1)
        assert twice.reductions_max == 2 * q - (primitive == "exscan")
        assert twice.critical_path == q
    once = count("scan", "recursive_doubling", p=64, n=1)
    assert once.critical_path == 6 and once.reductions_max == 6


def test_popcount_uses_the_operator_once_more_for_each_digit():
    for p in range(2, 70):
        most = up(p) - 1 + (p - 1).bit_count() - 1
        run = simulate("exscan", "popcount", p=p, n=p)
        assert run.reductions[-1] == up(p) - 1
        assert run.reductions.max() <= most
        time = simulate("exscan", "popcount", p=p, n=p, clock=Clock(0, 0, 1)).time
        assert up(p) - 1 <= time / p <= most
        assert most < 2 * up(p) - 1


def test_popcount_windows_are_those_of_the_table():
    lines = [line.split() for line in scans.popcount.__doc__.splitlines()]
    table = {line[0]: line[1:5] for line in lines if line and line[0] in ("digit", "w", "up")}
    assert "".join(table["digit"]) == f"{12 - 1:b}"
    width = 0
    for digit, w, distance in zip(*table.values(), strict=True):
        assert int(distance) == width + int(digit)
        width += int(distance)
        assert int(w) == width
    far = [dest - source for source, dest, _ in sent("exscan.popcount", 12, 4) if source == 1]
    assert far == [int(distance) for distance in table["up"]]


@pytest.mark.parametrize("primitive", ["scan", "exscan"])
def test_two_trees_send_a_scan_with_fewer_bytes_than_one(primitive):
    for p in (13, 17, 33):
        one, two = (
            count(primitive, name, p=p, n=960, segments=24)
            for name in ("pipelined_tree", "double_tree")
        )
        assert two.bytes_busiest == 2 * 960 and one.bytes_busiest == 3 * 960


# Windows and direct messages


def test_a_window_of_one_is_pairwise_and_of_all_is_naive():
    for p in (1, 2, 5, 8, 13):
        assert sent("alltoall.scattered", p, 3 * p, window=1) == sent("alltoall.pairwise", p, 3 * p)
        assert sent("alltoall.scattered", p, 3 * p) == sent("alltoall.naive", p, 3 * p)
    for window in (1, 2, 3, 7):
        prove("alltoall.scattered", 8, window=window)


def test_two_shot_forwards_nothing():
    for p in (2, 5, 8):
        messages = sent("allreduce.two_shot", p, p)
        assert len(messages) == 2 * p * (p - 1) and {size for _, _, size in messages} == {1}


# A radix: the ends of the line


def test_radix_2_and_radix_p():
    for p in (2, 4, 8, 16, 32):
        for primitive, name, halving in (
            ("allreduce", "sra_knomial", "rabenseifner"),
            ("reduce", "srg_knomial", "rabenseifner"),
            ("allgather", "recursive_multiplying", "recursive_doubling"),
        ):
            assert count(primitive, name, p=p, n=24 * p, k=2) == count(
                primitive, halving, p=p, n=24 * p
            )
    for p in (2, 5, 7):
        assert count("allreduce", "sra_knomial", p=p, n=24 * p, k=p) == count(
            "allreduce", "two_shot", p=p, n=24 * p
        )


@pytest.mark.parametrize(
    "full_name",
    ["allreduce.sra_knomial", "reduce.srg_knomial", "bcast.sag_knomial"]
    + ["allgather.recursive_multiplying"],
)
@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_every_radix(full_name, k):
    for p in (1, 2, 3, 6, 9, 15, 26):
        for root in {0, p - 1}:
            prove(full_name, p, k=k, root=root)


def test_partners_to_a_radix_are_those_of_the_drawing():
    text = radix.__doc__
    assert "rank 4 meets::" in text and "share out     3 5" in text and "then    1 7" in text
    met = [dest for source, dest, _ in sent("allreduce.sra_knomial", 9, 9, k=3) if source == 4]
    assert [{*met[i : i + 2]} for i in range(0, 8, 2)] == [{3, 5}, {1, 7}, {1, 7}, {3, 5}]


def test_generalised_walks_from_recursive_doubling_to_rabenseifner():
    for p in (2, 4, 8, 16, 32):
        n, q = 24 * p, down(p)
        ends = {0: "recursive_doubling", q: "rabenseifner", q + 3: "rabenseifner"}
        for halvings, name in ends.items():
            counted = count("allreduce", "generalised", p=p, n=n, halvings=halvings)
            assert counted == count("allreduce", name, p=p, n=n)
        walk = [count("allreduce", "generalised", p=p, n=n, halvings=h) for h in range(q + 1)]
        assert [one.critical_path for one in walk] == [q + h for h in range(q + 1)]
        sizes = [one.bytes_sent_max for one in walk]
        assert sizes == sorted(sizes, reverse=True)
    for halvings in (0, 1, 2, 3, 9):
        for p in (1, 2, 3, 7, 8, 12, 19):
            prove("allreduce.generalised", p, halvings=halvings)


def test_whole_vectors_are_why_halving_was_invented():
    """n (lg p - (p-1)/p) instead of n (p-1)/p."""
    for q in range(1, 7):
        p = 2**q
        counted = count("reduce_scatter", "recursive_exchange", p=p, n=24 * p)
        assert counted.bytes_sent_max == 24 * (p * q - (p - 1))


# Grids


@pytest.mark.parametrize("p", [4, 9, 12, 16, 13])
def test_a_grid_talks_along_rows_and_columns(p):
    wide = p // rows(p)
    for name in ("allgather.torus", "reduce_scatter.torus", "alltoall.2d_mesh"):
        for source, dest, _ in sent(name, p, 2 * p):
            assert source // wide == dest // wide or source % wide == dest % wide
    assert len(sent("alltoall.2d_mesh", p, p)) == p * square(p)


@pytest.mark.parametrize("full_name", ["allgather", "reduce_scatter", "allreduce"])
def test_all_four_links_of_a_square_carry_as_much(full_name):
    """Three or more in a row: left and right are two."""
    for side in (3, 4, 5):
        p, load = side * side, {}
        for source, dest, size in sent(f"{full_name}.bidirectional_torus", p, 8 * p):
            load[source, dest] = load.get((source, dest), 0) + size
        both = 2 if full_name == "allreduce" else 1
        assert len(load) == 4 * p and {*load.values()} == {8 * (p - 1) * both // 4}
        one_way = {(source, dest) for source, dest, _ in sent(f"{full_name}.torus", p, 8 * p)}
        assert len(one_way) == 2 * p


def test_a_grid_is_drawn_as_it_is_laid_out():
    drawn = [line.split()[:4] for line in torus.__doc__.splitlines() if line[:4] == "    "]
    (row, columns), _, (column, _), _ = torus.ways(5, 12)
    assert drawn == [[str(r) for r in range(first, first + 4)] for first in (0, 4, 8)]
    assert [*row] == [4, 5, 6, 7] and [*column] == [1, 5, 9] and len(columns) == 4


# Bine


def test_bine_sends_each_block_down_a_tree():
    for p in RANKS:
        for primitive in ("scatter", "gather", "reduce"):
            assert len(sent(f"{primitive}.bine", p, p)) == p - 1
        for root in {0, p // 2, p - 1}:
            places = [bine.bine_tree(rank, p, root) for rank in range(p)]
            assert [parent for parent, _, _ in places].count(None) == 1
            assert places[root][2].ranks == [*range(p)]
            for rank, (_, children, mine) in enumerate(places):
                below = [r for child in children for r in child.ranks]
                assert sorted([rank, *below]) == mine.ranks
    for size in (2, 4, 8, 16, 64):  # runs, on the ring
        for player, members in enumerate(bine.subtrees(size)):
            run = {*range(len(members))}
            assert any({(q - first) % size for q in members} == run for first in members), player


@pytest.mark.parametrize("p", [8, 16, 32])
def test_bine_moves_blocks_a_shorter_way(p):
    """Blocks times hops on a ring."""

    def load(name, primitive):
        hops = [min((d - s) % p, (s - d) % p) * n for s, d, n in sent(f"{primitive}.{name}", p, p)]
        return sum(hops)

    assert load("bine", "scatter") < load("tree", "scatter")
    assert load("bine", "gather") < load("tree", "gather")
    assert load("bine", "alltoall") < load("hypercube", "alltoall")
    assert (simulate("alltoall", "bine", p=p, n=2 * p).bytes_sent == p * up(p)).all()


@pytest.mark.parametrize("size", [2, 4, 8, 16, 64, 256])
def test_swing_joins_whole_groups_only_with_the_longest_jump_first(size):
    """Else players who know one sum meet others who know different ones."""
    for shortest_first in (False, True):
        known, whole = [{q} for q in range(size)], True
        for k in range(up(size)) if shortest_first else reversed(range(up(size))):
            known = [known[q] | known[bine.partner(q, k, size)] for q in range(size)]
            whole = whole and all(
                known[other] == known[q] for q in range(size) for other in known[q]
            )
        assert known[0] == {*range(size)}
        assert whole == (not shortest_first or size < 8)


# Some blocks long, some short


def test_hybrid_sends_long_blocks_straight():
    p = 8
    counts = np.ones((p, p), int)
    counts[1, 6], counts[3, 2], counts[5, 5] = 600, 700, 900
    run = simulate("alltoall", "hybrid", p=p, counts=counts)
    bruck = simulate("alltoall", "bruck", p=p, counts=np.where(counts > 1, 0, 1))
    assert (run.messages - bruck.messages == [0, 1, 0, 1, 0, 0, 0, 0]).all()
    assert run.bytes_sent.sum() == bruck.bytes_sent.sum() + 600 + 700
    for short in (1, 8, 64, 10**6):
        for p in (1, 2, 3, 5, 8, 13):
            prove("alltoall.hybrid", p, short=short)


def test_hybrid_sends_nothing_where_there_is_nothing():
    counts = np.zeros((6, 6), int)
    counts[4, 1] = 3
    run = simulate("alltoall", "hybrid", p=6, counts=counts)
    assert run.messages.sum() == 2  # three to the right: a jump of one, then of two
    assert simulate("alltoall", "hybrid", p=6, counts=counts, short=2).messages.sum() == 1


def test_hybrid_at_its_ends():
    for p in (3, 8, 13):
        direct, jumping = (count("alltoall", name, p=p, n=24 * p) for name in ("naive", "bruck"))
        assert count("alltoall", "hybrid", p=p, n=24 * p, short=23) == direct
        assert count("alltoall", "hybrid", p=p, n=24 * p, short=24) == jumping


def test_any_number_of_ranks():
    for full_name in CRITICAL_PATH:
        primitive, name = full_name.split(".")
        chosen = REGISTRY[primitive][name]
        assert not chosen.power_of_two and chosen.minimum_p == 1
