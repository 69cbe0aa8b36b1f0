"""The words that algorithms are written in: blocks, ranks, segments, memory, operators."""

import numpy as np
import pytest

from collectives.algorithms.language.blocks import Blocks, even_counts, partition, split, stage
from collectives.algorithms.language.memory import Phantom, phantom, scratch
from collectives.algorithms.language.pipeline import default_segments
from collectives.algorithms.language.ranks import (
    Branch,
    binomial_tree,
    bit_reversed,
    ceil_lg,
    distances,
    floor_lg,
    fold,
    in_order_tree,
    knomial_tree,
    neighbours,
)
from collectives.algorithms.language.steps import copy, elements, in_rank_order, recv, reduce, send
from collectives.catalogue import find
from collectives.machine.clock import Clock
from collectives.operators.binned import RECORD
from collectives.operators.operator import MATPROD, MATRIX, OPERATORS, REPRODUCIBLE_SUM
from collectives.problems import BLOCKWISE, Problem, numbers, sentinel
from collectives.study.cost import predicted_time

# Blocks


def test_split_is_even():
    for n in (0, 1, 7, 8, 9, 100):
        for p in (1, 2, 3, 8):
            counts = [block.size for block in split(np.arange(n), p)]
            assert tuple(counts) == even_counts(n, p)
            assert sum(counts) == n and max(counts) - min(counts) <= 1
            assert counts == sorted(counts, reverse=True)


def test_partition_makes_views_end_to_end():
    buf = np.arange(10)
    blocks = partition(buf, [3, 0, 5, 2])
    assert [block.tolist() for block in blocks] == [[0, 1, 2], [], [3, 4, 5, 6, 7], [8, 9]]
    assert all(np.shares_memory(block, buf) for block in blocks if block.size)
    assert len(blocks) == 4 and [blocks.size(i) for i in range(4)] == [3, 0, 5, 2]
    with pytest.raises(IndexError):
        blocks[4]


def test_range_joins_neighbours_and_wraps_round():
    blocks = partition(np.arange(10), [3, 0, 5, 2])

    def seen(first, count):
        return [view.tolist() for view in blocks.range(first, count)]

    assert seen(0, 4) == [list(range(10))]
    assert seen(1, 2) == [[3, 4, 5, 6, 7]]
    assert seen(3, 2) == [[8, 9], [0, 1, 2]]
    assert seen(-1, 1) == [[8, 9]]
    assert seen(6, 4) == [[3, 4, 5, 6, 7, 8, 9], [0, 1, 2]]
    assert sum(map(len, seen(2, 0))) == 0


def test_slice_is_a_range():
    blocks = partition(np.arange(10), [3, 0, 5, 2])
    assert [view.tolist() for view in blocks[1:3]] == [[3, 4, 5, 6, 7]]
    assert [view.tolist() for view in blocks[:]] == [list(range(10))]
    assert elements(blocks[2:1]) == elements(blocks[4:9]) == 0


def test_blocks_in_any_order_with_gaps():
    """As in Gatherv with displacements: nothing can be joined."""
    blocks = Blocks(np.arange(20), [12, 0, 5], [15, 2, 5])
    assert [block.tolist() for block in blocks] == [[12, 13, 14], [0, 1], []]
    assert [view.tolist() for view in blocks.range(2, 3)] == [[], [12, 13, 14], [0, 1]]
    assert [view.tolist() for view in blocks[0:2]] == [[12, 13, 14], [0, 1]]


def test_sizes_are_those_of_the_blocks():
    for n, p in ((0, 3), (2, 3), (12, 3), (13, 5), (7, 1)):
        blocks = split(np.arange(n), p)
        assert blocks.sizes == even_counts(n, p) == tuple(map(blocks.size, range(p)))
        assert [element for block in blocks for element in block] == list(range(n))
    assert Blocks(np.arange(20), [12, 0, 5], [15, 2, 5]).sizes == (3, 2, 0)


def test_stage_is_indexed_by_rank():
    staged = stage(np.zeros(1, np.float32), [3, 1, 0, 4, 2], 1, 4)
    assert staged.buf.size == 5 and staged.buf.dtype == np.float32
    staged.buf[:] = range(5)
    assert staged[1].tolist() == [0]
    assert staged[2].tolist() == []
    assert staged[3].tolist() == [1, 2, 3, 4]
    assert [view.tolist() for view in staged[1:4]] == [[0, 1, 2, 3, 4]]


# Ranks


def test_logarithms():
    for p in range(1, 1100):
        assert 2 ** floor_lg(p) <= p < 2 ** (floor_lg(p) + 1)
        assert p <= 2 ** ceil_lg(p) and (p == 1 or 2 ** (ceil_lg(p) - 1) < p)
        assert distances(p) == [2**k for k in range(ceil_lg(p))]


def test_neighbours():
    assert neighbours(0, 5) == (4, 1)
    assert neighbours(4, 5) == (3, 0)
    assert neighbours(0, 1) == (0, 0)


@pytest.mark.parametrize("p", [*range(1, 34), 47, 64, 70])
def test_binomial_tree_is_a_tree(p):
    """For every root: children and parents agree, subtrees are runs of ranks."""
    for root in range(p):
        tree = [binomial_tree(rank, p, root) for rank in range(p)]
        assert tree[root].parent is None and tree[root].mine == Branch(root, 0, p)
        for rank, (_, children, mine) in enumerate(tree):
            assert mine.root == rank and mine.first <= rank < mine.last
            covered = {rank}
            for child in children:
                assert tree[child.root].parent == rank
                assert tree[child.root].mine == child
                assert covered.isdisjoint(range(child.first, child.last))
                covered.update(range(child.first, child.last))
            assert covered == set(range(mine.first, mine.last))
        assert sum(len(place.children) for place in tree) == p - 1
        assert steps_to_reach_all(tree, root) == ceil_lg(p)


def steps_to_reach_all(tree, root):
    """Messages on the critical path of a broadcast: a rank serves its children in order."""

    def last(rank):
        return max((k + last(c.root) for k, c in enumerate(tree[rank].children, 1)), default=0)

    return last(root)


@pytest.mark.parametrize("p", [1, 2, 3, 5, 8, 13, 16, 31, 32, 70])
def test_binomial_tree_at_root_0_is_the_textbooks(p):
    """The parent is the rank with the lowest set bit cleared."""
    for rank in range(p):
        parent, children, _ = binomial_tree(rank, p)
        assert parent == (rank & (rank - 1) if rank else None)
        lowest = rank & -rank or 1 << ceil_lg(p)
        offsets = [1 << k for k in reversed(range(ceil_lg(p))) if 1 << k < lowest]
        assert [child.root for child in children] == [
            rank + offset for offset in offsets if rank + offset < p
        ]


@pytest.mark.parametrize("radix", [2, 3, 4, 5, 40])
@pytest.mark.parametrize("p", [*range(1, 20), 27, 33, 64])
def test_knomial_tree_is_a_tree(p, radix):
    """For every root: children and parents agree, what arrives adjoins what is there."""
    for root in range(p):
        tree = [knomial_tree(rank, p, root, radix) for rank in range(p)]
        assert tree[root].parent is None and tree[root].mine == Branch(root, 0, p)
        for rank, (_, children, mine) in enumerate(tree):
            first, last = rank, rank + 1
            for child in reversed(children):
                assert tree[child.root].parent == rank
                assert tree[child.root].mine == child
                assert child.last == first or child.first == last
                first, last = min(first, child.first), max(last, child.last)
            assert (mine.root, mine.first, mine.last) == (rank, first, last)
        assert sum(len(place.children) for place in tree) == p - 1


def test_knomial_tree_at_root_0_is_the_textbooks():
    """The parent is the rank with the lowest digit, in base k, cleared."""
    assert [child.root for child in knomial_tree(0, 9, 0, 3).children] == [6, 3, 2, 1]
    for rank in range(1, 64):
        digit = next(4**i for i in range(3) if rank // 4**i % 4)
        assert knomial_tree(rank, 64, 0, 4).parent == rank - rank // digit % 4 * digit


def test_knomial_tree_needs_k_of_two():
    with pytest.raises(ValueError, match="k must be at least 2, got 1"):
        knomial_tree(0, 4, 0, 1)


@pytest.mark.parametrize("p", [*range(1, 34), 64, 70])
def test_in_order_tree_is_a_tree(p):
    """For every root: left subtrees below, right ones above, both about as large."""
    for root in range(p):
        tree = [in_order_tree(rank, p, root) for rank in range(p)]
        assert tree[root].parent is None and tree[root].mine == Branch(root, 0, p)
        for rank, (_, children, mine) in enumerate(tree):
            runs = [range(child.first, child.last) for child in children]
            assert sorted([rank, *(r for run in runs for r in run)]) == list(range(*mine[1:]))
            assert len(children) == (mine.first < rank) + (rank < mine.last - 1)
            assert rank == root or 0 <= 2 * rank - mine.first - mine.last + 1 <= 1
            for child in children:
                assert tree[child.root].parent == rank and tree[child.root].mine == child
        assert sum(len(place.children) for place in tree) == p - 1


@pytest.mark.parametrize("p", range(1, 40))
def test_fold(p):
    """Players are a power of two of the ranks, in order; each stands for a run."""
    for keep in (None, *range(p)):
        team = fold(p, keep)
        assert team.size == 1 << floor_lg(p) and team.size + team.extra == p
        players = [team.rank(q) for q in range(team.size)]
        assert players == sorted(set(players)) and all(0 <= r < p for r in players)
        assert keep is None or keep in players
        for rank in range(p):
            number, mate = team.player(rank), team.mate(rank)
            assert (number is None) == (rank not in players)
            assert number is None or team.rank(number) == rank
            if mate is None:
                assert rank >= 2 * team.extra
            else:
                assert team.mate(mate) == rank and abs(mate - rank) == 1
                assert (number is None) != (team.player(mate) is None)
        for group in distances(team.size) + [team.size]:
            runs = [team.span(q, group) for q in range(0, team.size, group)]
            assert [r for run in runs for r in range(run.start, run.stop)] == list(range(p))
            for q in range(team.size):
                span = team.span(q, group)
                assert span == team.span(q - q % group, group)
                assert span.start <= team.rank(q) < span.stop


def test_fold_leaves_out_even_ranks():
    assert [fold(6).player(rank) for rank in range(6)] == [None, 0, None, 1, 2, 3]
    assert [fold(6, keep=2).player(rank) for rank in range(6)] == [None, 0, 1, None, 2, 3]
    assert [fold(8).player(rank) for rank in range(8)] == list(range(8))


@pytest.mark.parametrize("bits", range(8))
def test_bit_reversed(bits):
    size = 1 << bits
    assert bit_reversed(size) == [int(f"{i:0{bits}b}"[::-1], 2) if bits else 0 for i in range(size)]


# Segments


def test_default_segments():
    assert default_segments(0, 1 << 30) == 1
    assert default_segments(1, 1 << 30) == 1
    assert default_segments(7, 0) == 1
    assert default_segments(7, 1) == 1
    assert default_segments(5, 1 << 20) == 23  # sqrt(4 * 128)
    assert default_segments(10, 1 << 20, rate=2) == 23  # sqrt(8 / 2 * 128)


@pytest.mark.parametrize("rate", [1, 2, 4])
@pytest.mark.parametrize("hops", [2, 3, 7, 31])
@pytest.mark.parametrize("nbytes", [100, 10_000, 1_000_000])
def test_default_segments_are_nearly_the_best(hops, nbytes, rate):
    def time(segments):
        return (hops + rate * (segments - 1)) * (8192 + nbytes / segments)

    assert time(default_segments(hops, nbytes, rate=rate)) <= 1.2 * min(map(time, range(1, 200)))


# Memory


def test_phantom_takes_no_memory():
    big = phantom(1 << 40, np.dtype(np.float64))
    assert big.size == 1 << 40 and big.nbytes == 1 << 43 and big.dtype == np.float64
    assert type(big) is type(big[5:]) is type(big[:0]) is Phantom
    assert big[10:30].size == 20
    assert [block.size for block in split(big, 3)] == [*even_counts(1 << 40, 3)]
    assert not big.flags.writeable


def test_scratch_is_like_its_model():
    real = scratch(np.zeros(4, np.int16))
    assert (real.size, real.dtype, type(real)) == (4, np.int16, np.ndarray)
    assert scratch(real, 9).size == 9 and scratch(real, 0).size == 0
    pretend = scratch(phantom(4, np.dtype(np.int16)), 1 << 40)
    assert (pretend.size, pretend.dtype, type(pretend)) == (1 << 40, np.int16, Phantom)


# Steps


def test_steps_say_what_they_are():
    buf = np.zeros(5)
    assert repr(send(buf, 3)) == "send of 5 elements to 3"
    assert repr(recv([buf, buf[:2]], 1)) == "recv of 7 elements from 1"
    assert repr(reduce(buf, buf)) == "reduce of 5 elements"
    assert repr(copy([], buf[:0])) == "copy of 0 elements"


def test_reduce_in_rank_order():
    mine, theirs, out = np.zeros(1), np.ones(1), np.ones(1)
    step = in_rank_order(3, mine, 1, theirs)
    assert step.inbuf is theirs and step.inoutbuf is mine and step.out is mine
    step = in_rank_order(3, mine, 5, theirs)
    assert step.inbuf is mine and step.inoutbuf is theirs and step.out is mine
    assert in_rank_order(3, mine, 5, theirs, out).out is out
    assert reduce(mine, theirs).out is theirs


# Operators


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_operators_are_associative_and_take_out(operator):
    dtype = {MATPROD: MATRIX, REPRODUCIBLE_SUM: RECORD}.get(operator, np.dtype(np.int64))
    a, b, c = (numbers(rank, 20, dtype) for rank in range(3))

    def apply(left, right):
        out = np.empty_like(left)
        operator.kernel(left, right, out)
        return out

    assert apply(apply(a, b), c).tobytes() == apply(a, apply(b, c)).tobytes()
    assert (apply(a, b).tobytes() == apply(b, a).tobytes()) == operator.commutative
    for position in range(2):
        operands = [a.copy(), b.copy()]
        operator.kernel(*operands, operands[position])
        assert operands[position].tobytes() == apply(a, b).tobytes()
        assert operands[1 - position].tobytes() == (b, a)[position].tobytes()


# Problems


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.complex128, MATRIX], ids=str)
def test_no_result_contains_the_sentinel(dtype):
    dtype = np.dtype(dtype)
    filler = sentinel(1, dtype).tobytes()
    for rank in range(3):
        data = numbers(rank, 100, dtype)
        assert all(data[i : i + 1].tobytes() != filler for i in range(100))


def test_numbers_differ_between_elements_and_ranks():
    everything = np.concatenate([numbers(rank, 1000, np.dtype(np.int64)) for rank in range(50)])
    assert len(set(everything.tolist())) == everything.size


def test_sums_of_floats_are_exact():
    problem = Problem("allreduce", 64, 1000, dtype=np.dtype(np.float64))
    inputs = [problem.input(rank) for rank in range(64)]
    assert (sum(inputs) == sum(reversed(inputs))).all()
    assert (sum(inputs) == problem.expected(0)).all()


@pytest.mark.parametrize("primitive", sorted(BLOCKWISE))
def test_expected_of_blockwise_primitives(primitive):
    """Straight from the definitions, on three ranks with uneven blocks."""
    counts = np.array([[1, 2, 0], [3, 0, 1], [0, 2, 2]]) if primitive == "alltoall" else (2, 0, 3)
    problem = Problem(primitive, 3, root=1, counts=counts)
    inputs = [problem.input(rank) for rank in range(3)]
    starts = [0, 2, 2, 5]
    for rank in range(3):
        block = slice(starts[rank], starts[rank + 1])
        match primitive:
            case "scatter":
                wanted = inputs[1][block]
            case "gather":
                wanted = np.concatenate(inputs) if rank == 1 else None
            case "allgather":
                wanted = np.concatenate(inputs)
            case "reduce_scatter":
                wanted = sum(inputs)[block]
            case "alltoall":
                rows = [np.split(inputs[r], np.cumsum(counts[r])[:-1]) for r in range(3)]
                wanted = np.concatenate([rows[r][rank] for r in range(3)])
        got = problem.expected(rank)
        assert (got is None) == (wanted is None)
        assert got is None or got.tolist() == wanted.tolist()


def test_expected_of_reductions():
    inputs = [Problem("scan", 4, 5).input(rank) for rank in range(4)]
    for rank in range(4):
        assert (Problem("scan", 4, 5).expected(rank) == sum(inputs[: rank + 1])).all()
        assert (Problem("allreduce", 4, 5).expected(rank) == sum(inputs)).all()
        below = Problem("exscan", 4, 5).expected(rank)
        assert below is None if rank == 0 else (below == sum(inputs[:rank])).all()
        total = Problem("reduce", 4, 5, 2).expected(rank)
        assert (total == sum(inputs)).all() if rank == 2 else total is None


# Cost lines


def test_predicted_time_is_arithmetic():
    clock = Clock(alpha=1000, beta=10, gamma=1)
    ring, _ = find("allreduce", "ring")
    assert predicted_time(ring, 4, 400, clock) == 6 * (1000 + 100 * 10) + 3 * 100 * 1
    chain, _ = find("bcast", "ring")
    assert predicted_time(chain, 4, 400, clock, segments=5) == 7 * (1000 + 80 * 10)
