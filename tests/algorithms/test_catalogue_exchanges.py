"""The literature's exchange algorithms: counts, optimality and parameters.

The numbers here are written down from the papers or counted by loops of their
own, not taken from the cost lines. That the answers are right is shown by
test_grid and test_symbolic.
"""

import random

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.chapters.binary_blocks import blocks, pieces
from collectives.algorithms.chapters.bine import arrivals, partner
from collectives.algorithms.chapters.circulant import schedule
from collectives.algorithms.chapters.elimination import groups
from collectives.algorithms.chapters.pat import walk
from collectives.algorithms.language.ranks import digits, distances, powers, ratios, rows, skips
from collectives.machine.clock import Clock
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study.simulation import count, simulate
from collectives.study.symbolic import prove
from collectives.study.verify import verify

RANKS = range(1, 34)


def up(p):
    return (p - 1).bit_length()


def down(p):
    return p.bit_length() - 1


def odd(p):
    """1 for a p that is not a power of two."""
    return int(p & (p - 1) != 0)


def single(p):
    """1 for an odd p that has somebody to pair up with."""
    return int(p > 1) * (p % 2)


def jumps(p, radix):
    """Messages of one rank that jumps 1, 2, ... times 1, radix, radix**2, ... below p."""
    return sum(p > i * radix**e for e in range(up(p)) for i in range(1, radix))


def neighbourly(p):
    """Neighbor exchange: the lone rank of an odd p costs one more message from 7 on."""
    return 0 if p == 1 else (p + 1) // 2 + (p % 2 and p >= 7)


def square(p):
    """Messages along one row and one column of the most nearly square grid."""
    height = next(r for r in range(int(p**0.5), 0, -1) if p % r == 0)
    return height - 1 + p // height - 1


# Messages on the critical path.
CRITICAL_PATH = {
    "allgather.bruck": up,
    "allgather.circulant": up,
    "allgather.sparbit": up,
    "allgather.k_bruck": lambda p: jumps(p, 3),
    "allgather.neighbor_exchange": neighbourly,
    "allgather.bine": lambda p: up(p - single(p)) + 2 * single(p),
    "reduce_scatter.circulant": up,
    "reduce_scatter.recursive_halving": lambda p: down(p) + 2 * odd(p),
    "reduce_scatter.pairwise": lambda p: p - 1,
    "reduce_scatter.bine": lambda p: up(p - single(p)) + 2 * single(p),
    "allreduce.circulant": lambda p: 2 * up(p),
    "allreduce.rabenseifner": lambda p: 2 * down(p) + 3 * odd(p),
    "allreduce.halving_doubling": lambda p: 2 * down(p) + 2 * odd(p),
    "allreduce.elimination": lambda p: 2 * down(p) + 2 * odd(p),
    "allreduce.gather_all": up,
    "allreduce.torus": lambda p: 2 * square(p),
    "allreduce.swing": lambda p: 2 * up(p - single(p)) + 2 * single(p),
    "reduce.rabenseifner": lambda p: 2 * down(p) + 2 * odd(p),
    "alltoall.circulant": up,
    "alltoall.pairwise": lambda p: p - 1,
    "alltoall.k_bruck": lambda p: jumps(p, 3),
    "bcast.bine": up,
    "allgather.torus": square,
    "alltoall.hypercube": lambda p: down(p) + 2 * odd(p),
    "alltoall.padded_bruck": up,
    "alltoall.pairwise_xor": lambda p: 2 ** up(p) - 1,
    "exscan.two_phase": up,
}

# Blocks (p-ths of the vector) that the busiest rank sends, for every p.
BLOCKS = {
    "allgather.bruck": lambda p: p - 1,
    "allgather.circulant": lambda p: p - 1,
    "allgather.sparbit": lambda p: p - 1,
    "allgather.k_bruck": lambda p: p - 1,
    "allgather.pat": lambda p: p - 1,
    "reduce_scatter.circulant": lambda p: p - 1,
    "reduce_scatter.pairwise": lambda p: p - 1,
    "reduce_scatter.pat": lambda p: p - 1,
    "allreduce.circulant": lambda p: 2 * (p - 1),
    "allreduce.torus": lambda p: 2 * (p - 1),
    "allreduce.ring_segmented": lambda p: 2 * (p - 1),
    "allreduce.gather_all": lambda p: (p - 1) * p,
    "alltoall.pairwise": lambda p: p - 1,
    "alltoall.pairwise_xor": lambda p: p - 1,
    "allgather.torus": lambda p: p - 1,
}


@pytest.mark.share(4)
@pytest.mark.parametrize("full_name", CRITICAL_PATH)
def test_critical_path(full_name):
    for p in RANKS:
        assert count(*full_name.split("."), p=p, n=p).critical_path == CRITICAL_PATH[full_name](
            p
        ), f"{p=}"


@pytest.mark.parametrize("full_name", BLOCKS)
def test_blocks_of_the_busiest_rank(full_name):
    for p in RANKS:
        counted = count(*full_name.split("."), p=p, n=24 * p)
        assert counted.bytes_sent_max == 24 * BLOCKS[full_name](p), f"{p=}"


@pytest.mark.parametrize(
    ("full_name", "paths"),
    [
        ("allreduce.circulant", {2: 2, 3: 4, 5: 6, 8: 6, 9: 8, 16: 8, 17: 10, 33: 12}),
        ("allreduce.rabenseifner", {2: 2, 3: 5, 5: 7, 8: 6, 9: 9, 16: 8, 17: 11, 33: 13}),
        ("allreduce.recursive_multiplying", {2: 1, 3: 2, 4: 3, 5: 5, 8: 4, 15: 7, 16: 6, 17: 8}),
        ("allreduce.torus", {2: 2, 4: 4, 7: 12, 12: 10, 16: 12, 17: 32, 25: 16}),
        ("allreduce.swing", {2: 2, 4: 4, 5: 6, 6: 6, 8: 6, 12: 8, 16: 8}),
        ("allgather.neighbor_exchange", {2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 5, 8: 4, 16: 8}),
        ("allgather.k_bruck", {2: 1, 3: 2, 4: 3, 8: 4, 9: 4, 10: 5, 27: 6, 28: 7}),
        ("allgather.pat", {2: 1, 8: 3, 16: 4, 17: 6, 32: 6, 33: 10}),
        ("reduce.rabenseifner", {2: 2, 3: 4, 4: 4, 5: 6, 8: 6, 9: 8, 33: 12}),
    ],
)
def test_critical_path_by_hand(full_name, paths):
    for p, wanted in paths.items():
        assert count(*full_name.split("."), p=p, n=p).critical_path == wanted, f"{p=}"


# Circulant graphs meet every lower bound, for every p


@pytest.mark.parametrize("p", [*RANKS, 47, 64, 65, 100, 127, 129])
def test_circulant_meets_all_bounds_at_once(p):
    n = 24 * p
    for primitive, times in {"reduce_scatter": 1, "allgather": 1, "allreduce": 2}.items():
        counted = count(primitive, "circulant", p=p, n=n)
        assert counted.critical_path == times * up(p)
        assert counted.bytes_sent == p * counted.bytes_sent_max == times * p * 24 * (p - 1)
        assert counted.bytes_reduced_max == (0 if primitive == "allgather" else 24 * (p - 1))


@pytest.mark.parametrize("clock", [Clock(0, 1, 0), Clock(0, 0, 1), Clock(5, 1, 0.5)], ids=str)
def test_circulant_has_no_hidden_waiting(clock):
    """The critical path is as long as the work of one rank."""
    for p in RANKS:
        time = simulate("allreduce", "circulant", p=p, n=24 * p, clock=clock).time
        work = 24 * (p - 1) * (2 * clock.beta + clock.gamma) + 2 * up(p) * clock.alpha
        assert time == pytest.approx(work)


@pytest.mark.parametrize("segments", [1, 2, 3, 8, 13])
def test_circulant_pipeline_is_optimal(segments):
    """No broadcast of s segments has a critical path of less than s - 1 + ceil(lg p) messages."""
    for p in (2, 3, 5, 8, 17, 33, 65, 66):
        for primitive in ("bcast", "reduce"):
            given = {"n": 6 * segments, "segments": segments, "root": p // 3}
            counted = count(primitive, "circulant", p=p, **given)
            assert counted.critical_path == segments - 1 + up(p)
            assert counted.messages == (p - 1) * segments


def hears_what_is_there(p, hops):
    """In each cycle a rank hears q different segments, all of which its neighbours have."""
    stride, q = skips(p)[:-1], up(p)
    [base] = [entry for entry in schedule(hops, p) if entry >= 0]
    assert sorted(entry % q for entry in schedule(hops, p)) == list(range(q))
    assert sum(stride[k] for k in greedy(hops, stride)) == hops and greedy(hops, stride)[-1] == base
    for k, entry in enumerate(schedule(hops, p)):
        sender = (hops - stride[k]) % p
        if sender:
            there = schedule(sender, p)
            assert entry in [*there[:k], max(there) - q]


def greedy(hops, stride):
    """The strides that lead to a rank, each the largest that fits, by their numbers."""
    taken = []
    for k in reversed(range(len(stride))):
        if stride[k] <= hops:
            hops -= stride[k]
            taken.append(k)
    return taken


MORE = [pytest.param(p, marks=pytest.mark.slow) for p in range(141, 1101)]


@pytest.mark.parametrize("p", [*range(2, 141), 255, 256, 257, 1000, *MORE])
def test_circulant_schedule(p):
    for hops in range(1, p):
        hears_what_is_there(p, hops)


def test_circulant_schedule_for_many_ranks():
    """Of a million ranks, one finds its row as quickly, without the others'."""
    draw = random.Random(1)
    sizes = [draw.randrange(2, 1 << draw.randrange(8, 31)) for _ in range(500)]
    for p in [*sizes, *[(1 << k) + d for k in range(8, 31) for d in (-1, 0, 1)]]:
        hears_what_is_there(p, draw.randrange(1, p))


def test_circulant_alltoall_moves_less_than_bruck():
    for p, sent in {9: (12, 13), 17: (30, 33), 33: (73, 81), 32: (80, 80)}.items():
        for name, wanted in zip(("circulant", "recursive_doubling"), sent, strict=True):
            assert count("alltoall", name, p=p, n=p).bytes_sent_max == wanted


# Distances, trees and grids


def test_skips():
    assert [skips(p) for p in (1, 2, 5, 8)] == [[1], [1, 2], [1, 2, 3, 5], [1, 2, 4, 8]]
    for p in range(1, 300):
        assert len(skips(p)) == up(p) + 1
        assert all(a < b <= 2 * a for a, b in zip(skips(p), skips(p)[1:], strict=False))


def test_distances_to_a_radix():
    assert distances(28, 3) == [1, 3, 9, 27] and distances(27, 3) == [1, 3, 9]
    assert distances(1, 5) == [] and distances(40) == [1, 2, 4, 8, 16, 32]
    with pytest.raises(ValueError, match="radix must be at least 2, got 1"):
        distances(4, 1)


def test_digits():
    assert digits(15, 4) == [(4, 1), (3, 4)] and digits(16, 4) == [(4, 1), (4, 4)]
    assert digits(3, 4) == [(3, 1)] and digits(5, 4) == [(4, 1)] and digits(1, 4) == []
    for p in range(1, 300):
        for radix in (2, 3, 4, 10):
            size = int(np.prod([count for count, _ in digits(p, radix)]))
            assert size <= p < 2 * size


def test_rows():
    assert [rows(p) for p in (1, 2, 4, 7, 12, 24, 36, 97)] == [1, 1, 2, 1, 3, 4, 6, 1]


def test_bine_partners_are_pairs_and_reach_everybody():
    assert [partner(0, k, 64) for k in range(6)] == [1, 63, 3, 59, 11, 43]
    for size in range(2, 140, 2):
        for k in range(up(size)):
            assert all(partner(partner(q, k, size), k, size) == q for q in range(size))
        assert max(arrivals(size)) == up(size) - 1 and sorted(arrivals(size))[0] == -1


@pytest.mark.parametrize(("p", "bine", "binary"), [(16, 10, 15), (1024, 682, 1023)])
def test_bine_saves_a_third_of_the_distance(p, bine, binary):
    hops = [min(partner(0, k, p), p - partner(0, k, p)) for k in range(up(p))]
    assert sum(hops) == bine and sum(distances(p)) == binary


@pytest.mark.parametrize("primitive", ["allgather", "reduce_scatter"])
def test_bine_is_optimal_for_every_even_p(primitive):
    for p in (*range(2, 35, 2), 48, 62, 64):
        counted = count(primitive, "bine", p=p, n=24 * p)
        assert counted.critical_path == up(p)
        assert counted.bytes_sent == p * counted.bytes_sent_max == p * 24 * (p - 1)
        time = simulate(primitive, "bine", p=p, n=24 * p, clock=Clock(0, 1, 0)).time
        assert time == 24 * (p - 1)


def test_pat_walks_one_branch_or_all():
    assert walk(8, 2) == [(4, [0]), (2, [0, 4]), (1, [2, 6]), (1, [0, 4])]
    assert walk(8, 1) == [(4, [0]), (2, [4]), (1, [6]), (1, [4]), (2, [0]), (1, [2]), (1, [0])]
    assert walk(8, 8) == walk(8, 100) == [(4, [0]), (2, [0, 4]), (1, [0, 2, 4, 6])]
    for p in range(1, 70):
        for aggregation in (1, 2, 3, 4, 8, 64, 100):
            reached = [u + d for d, offsets in walk(p, aggregation) for u in offsets]
            assert sorted(reached) == list(range(1, p))
            assert all(len(offsets) <= aggregation for _, offsets in walk(p, aggregation))


def test_pat_trades_messages_for_memory():
    paths = [
        count("reduce_scatter", "pat", p=32, n=32, aggregation=a).critical_path for a in (1, 4, 16)
    ]
    assert paths == [31, 9, 5]


def test_torus_of_a_prime_is_a_ring():
    for p in (2, 7, 13):
        ring, torus = (count("allreduce", name, p=p, n=24 * p) for name in ("ring", "torus"))
        assert ring == torus
    assert count("allreduce", "torus", p=100, n=100).critical_path == 36
    assert count("allreduce", "ring", p=100, n=100).critical_path == 198


@pytest.mark.parametrize("p", [3, 5, 6, 7, 9, 13, 17, 24, 31])
def test_elimination_halves_the_price_of_a_fold(p):
    """Of what a p that is not a power of two costs more than the power below it."""
    n, players = 96 * p, 1 << down(p)
    for clock, folded in ((Clock(0, 1, 0), 2), (Clock(0, 0, 1), 1)):
        base = (folded * (players - 1) / players) * n
        halving = simulate("allreduce", "halving_doubling", p=p, n=n, clock=clock).time
        grouped = simulate("allreduce", "elimination", p=p, n=n, clock=clock).time
        assert grouped - base == pytest.approx((halving - base) / 2)


def test_elimination_groups():
    assert groups(1) == [(0, 0, 0, 0)] and groups(2) == [(0, 0, 1, 1)]
    assert groups(3) == [(0, 0, 1, 2)] and groups(7) == [(0, 1, 2, 3), (4, 4, 5, 6)]
    for p in range(2, 100):
        assert 2 * len(groups(p)) == 1 << down(p)
        assert [g.low for g in groups(p)[1:]] == [g.high + 1 for g in groups(p)[:-1]]


# Parameters

RADIX = ["allgather.k_bruck", "alltoall.k_bruck", "allreduce.recursive_multiplying"]


@pytest.mark.parametrize("full_name", RADIX)
def test_radix_p_is_direct(full_name):
    for p in (2, 5, 8):
        assert count(*full_name.split("."), p=p, n=p, k=p).critical_path == p - 1


@pytest.mark.parametrize(
    ("full_name", "binary"),
    list(zip(RADIX, ("bruck", "recursive_doubling", "recursive_doubling"), strict=True)),
)
def test_radix_2_is_the_textbooks(full_name, binary):
    primitive, name = full_name.split(".")
    for p in RANKS:
        assert count(primitive, name, p=p, n=24 * p, k=2) == count(primitive, binary, p=p, n=24 * p)


@pytest.mark.parametrize("full_name", RADIX)
@pytest.mark.parametrize("radix", [2, 4, 5, 8])
def test_every_radix(full_name, radix):
    for p in (1, 2, 3, 6, 9, 15, 26):
        prove(full_name, p, k=radix)


@pytest.mark.parametrize("full_name", ["allgather.pat", "reduce_scatter.pat"])
def test_every_aggregation(full_name):
    for p in (1, 2, 5, 8, 13, 24):
        for aggregation in (1, 2, 3, 4, 32):
            prove(full_name, p, aggregation=aggregation)


@pytest.mark.parametrize(
    "full_name",
    [
        "reduce_scatter.pairwise",
        "allreduce.recursive_multiplying",
        "allreduce.elimination",
        "allreduce.gather_all",
    ],
)
def test_rank_order_is_kept(full_name):
    """With a product of matrices, which does not commute."""
    primitive, name = full_name.split(".")
    for p in (2, 3, 7, 8, 18):
        problem = Problem(primitive, p, 2 * p + 1, 0, MATRIX, MATPROD)
        verify(REGISTRY[primitive][name], problem, rendezvous=True)


def test_any_number_of_ranks():
    for full_name in {*CRITICAL_PATH, *BLOCKS}:
        primitive, name = full_name.split(".")
        chosen = REGISTRY[primitive][name]
        assert not chosen.power_of_two and chosen.minimum_p == 1


# Names that took their time


def test_hypercube_hands_over_half_in_each_dimension():
    for p in (2, 8, 32):
        run = simulate("alltoall", "hypercube", p=p, n=64 * p)
        assert (run.bytes_sent == 64 * p // 2 * up(p)).all()
        assert (run.messages == up(p)).all()


def test_padded_bruck_sends_blocks_as_long_as_the_longest():
    """Half of p blocks in each round, whatever is in them."""
    counts = np.zeros((8, 8), int)
    counts[3, 5] = 11
    run = simulate("alltoall", "padded_bruck", p=8, counts=counts)
    assert (run.bytes_sent == 3 * 4 * 11).all()
    exact = simulate("alltoall", "bruck", p=8, counts=counts)
    assert exact.bytes_sent.sum() == 11 and (exact.messages == 3).all()


def test_two_phase_exscan_uses():
    """The shortest path; beyond that, one reduction for each inclusive message but the first."""
    for p in range(2, 70):
        q = up(p)
        inclusive = next(k for k in range(1, q + 1) if 2**q - 2 ** (q - k) >= p - 1)
        counted = count("exscan", "two_phase", p=p, n=p)
        assert counted.critical_path == q
        assert counted.reductions_max <= q - 1 + inclusive - 1
    assert count("exscan", "two_phase", p=4, n=4).critical_path == 2
    prove("exscan.two_phase", 140)


def test_binary_blocks():
    assert [list(run) for run in blocks(13)] == [[*range(8)], [8, 9, 10, 11], [12]]
    assert powers(1) == [1] and powers(12) == [8, 4] and ratios(13) == 6 and ratios(64) == 0
    for p in (4, 16):  # a power of two is one block
        counted = count("allreduce", "binary_blocks", p=p, n=p * p)
        assert counted.critical_path == 2 * up(p) and counted.bytes_sent_max == 2 * (p - 1) * p
    for p in range(1, 40):  # every piece is worked on by one rank of each block
        runs = blocks(p)
        for block in runs:
            taken = [
                k for rank in block for k in range(len(runs[0]))[pieces(block, rank, len(runs[0]))]
            ]
            assert sorted(taken) == [*range(len(runs[0]))]
    prove("allreduce.binary_blocks", 107)
