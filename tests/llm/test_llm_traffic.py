"""Bytes that ranks send, counted from algorithms, held against the known formulas."""

from collections import Counter

import numpy as np
import pytest

from collectives.algorithms.language.blocks import even_counts
from collectives.errors import ArgumentError, UnknownAlgorithm
from collectives.llm.flows import bucketed
from collectives.llm.layout import Layout
from collectives.llm.presets import model
from collectives.llm.recipes import recipe
from collectives.llm.setups import Setup
from collectives.llm.shapes import Shape
from collectives.llm.traffic import chosen, per_step
from collectives.llm.work import Work

TINY = Shape(
    *("tiny", 4, 24, 6, 36, 53),
    positions=16, gated=False, biases=True, norm_biases=True,
)  # fmt: skip
MOE = Shape(
    *("moe", 4, 24, 6, 36, 53),
    positions=16, gated=False, biases=True, norm_biases=True, experts=6, top_k=2,
)  # fmt: skip
FP32, ZERO = recipe("fp32"), recipe("zero")
WORK = Work(16, 2, 3, loss=True, clip=True)


def sent(shape, layout, work=WORK, rank=0, bytes_of=FP32, **options):
    """Bytes sent, by strategy."""
    found = Counter()
    for one in per_step(Setup(shape, bytes_of, layout, work), rank, **options):
        found[one.flow.strategy] += one.sent
    return found


def calls(shape, layout, work=WORK, rank=0, **options):
    """Calls of each primitive, by strategy."""
    found = Counter()
    for one in per_step(Setup(shape, FP32, layout, work), rank, **options):
        found[one.flow.strategy, one.flow.primitive] += one.flow.times
    return found


@pytest.mark.parametrize("zero, expected", [(0, 24.5), (1, 24.5), (2, 24.5), (3, 36.75)])
def test_seven_billion_on_eight(zero, expected):
    layout = Layout(dp=8, zero=zero)
    name = f"zero{zero}" if zero else "dp"
    for rank in range(8):
        assert sent(model("7B"), layout, Work(), rank, ZERO) == {name: expected * 1e9}


def test_ten_billion_as_others_count_it():
    """Without the factor (N - 1) / N: 40 GB, and 60 GB with ZeRO-3."""
    for zero, whole in ((0, 40), (3, 60)):
        found = sent(model("10B"), Layout(dp=4, zero=zero), Work(), 0, ZERO)
        assert sum(found.values()) == whole * 3 / 4 * 1e9


UNITS = [53 * 24 + 16 * 24, *[4 * (24 * 24 + 24) + 4 * 24 + 2 * 24 * 36 + 36 + 24] * 4]
UNITS.append(2 * 24 + 53 * 24)


@pytest.mark.parametrize("p", [2, 3, 5])
def test_zero_with_uneven_blocks(p):
    """Ring: every rank sends all blocks but one, in an order that is known."""
    for rank in range(p):
        blocks = [even_counts(unit, p) for unit in UNITS]
        gathers = sum(sum(each) - each[(rank + 1) % p] for each in blocks)
        sums = sum(sum(each) - each[rank] for each in blocks)
        found = {zero: sent(TINY, Layout(dp=p, zero=zero), rank=rank) for zero in (1, 2, 3)}
        assert found[1]["zero1"] == 4 * (gathers + sums)
        assert found[2]["zero2"] == 4 * (gathers + 3 * sums)
        assert found[3]["zero3"] == 4 * 3 * (2 * gathers + sums)


def test_calls_of_data_parallelism():
    assert calls(TINY, Layout(dp=2))["dp", "allreduce"] == 1
    assert calls(TINY, Layout(dp=2), Work(16, bucket=4))["dp", "allreduce"] == 6
    two = calls(TINY, Layout(dp=2, zero=2))
    assert (two["zero2", "reduce_scatter"], two["zero2", "allgather"]) == (18, 6)
    three = calls(TINY, Layout(dp=2, zero=3))
    assert (three["zero3", "reduce_scatter"], three["zero3", "allgather"]) == (18, 36)


@pytest.mark.parametrize("t", [2, 3])
def test_tensor_parallelism(t):
    """2 allreduce forward and 2 backward for each layer: 8 (t - 1) / t b s h."""
    layout = Layout(tp=t, vocab_cut=False)
    message = 2 * 16 * 24 * 4
    assert sent(TINY, layout)["tp"] == 3 * 4 * 8 * (t - 1) * message // t
    assert calls(TINY, layout)["tp", "allreduce"] == 3 * 4 * 4
    again = sent(TINY, layout, Work(16, 2, 3, recompute="full"))["tp"]
    assert again == 3 * 4 * 12 * (t - 1) * message // t
    cut = calls(TINY, Layout(tp=t))["tp", "allreduce"]
    assert cut == 3 * (4 * 4 + 1 + 1 + 3)


def test_sequence_parallelism_sends_as_much():
    plain, shared = Layout(tp=2, vocab_cut=False), Layout(tp=2, sp=True, vocab_cut=False)
    shared_once = Layout(tp=2, sp=True, vocab_cut=False, regather=False)
    message, small = 2 * 16 * 24 * 4 // 2, 4 * 6 * 24 * 4
    difference = sent(TINY, shared_once)["sp"] - sent(TINY, plain)["tp"]
    assert difference == 3 * (2 * message + small)  # ends, and the norms' gradients
    assert sent(TINY, shared)["sp"] - sent(TINY, shared_once)["sp"] == 3 * 8 * message


def test_sequence_and_context_parallelism_together():
    """15 tokens in 3 pieces of 5, of which two ranks have 3 and 2."""
    work, layout = Work(15, 1, 1), Layout(tp=2, cp=3, sp=True, vocab_cut=False, regather=False)
    small = 2 * 4 * 6 * 24 * 4 // 2
    for rank, mine in ((0, 3), (1, 2)):
        gathers, sums = 17 * mine, 16 * (5 - mine)
        assert sent(TINY, layout, work, rank)["sp"] == (gathers + sums + 1 * mine) * 24 * 4 + small


@pytest.mark.parametrize("pp", [2, 4])
def test_pipeline(pp):
    message = 2 * 16 * 24 * 4
    for rank in range(pp):
        neighbours = 2 - (rank == 0) - (rank == pp - 1)
        assert sent(TINY, Layout(pp=pp), rank=rank)["pp"] == 3 * neighbours * message
    chunks = Layout(pp=2, schedule="interleaved", chunks=2)
    work = Work(16, 2, 4)
    assert [sent(TINY, chunks, work, rank)["pp"] for rank in (0, 1)] == [12 * message] * 2


def test_tied_embedding_is_summed_between_the_ends():
    tied = Shape(*("tied", 4, 24, 6, 36, 53), tied=True)
    found = [calls(tied, Layout(pp=4), rank=rank)["pp", "allreduce"] for rank in range(4)]
    assert found == [1, 0, 0, 1]


def test_context_parallelism():
    """c - 1 hops forward, c - 1 and c backward, of keys and values."""
    message = 2 * 2 * 4 * 24 * 4
    assert sent(TINY, Layout(cp=4))["cp"] == 3 * 4 * (3 + 3 + 4) * message
    grouped = Shape("gqa", 4, 24, 6, 36, 53, kv_heads=3)
    assert sent(grouped, Layout(cp=4))["cp"] == 3 * 4 * (3 + 3 + 4) * message // 2


@pytest.mark.parametrize("ep", [2, 3, 6])
def test_experts(ep):
    """4 exchanges of k b s h, of which a share of (e - 1) / e leaves the rank."""
    rows = 2 * 16 * 2
    expected = 4 * 3 * 4 * (rows * 24 * 4) * (ep - 1) // ep
    assert sent(MOE, Layout(ep=ep))["ep"] - expected == pytest.approx(0, abs=4 * 3 * 4 * 8 * 6)
    assert calls(MOE, Layout(ep=ep))["ep", "alltoall"] == 5 * 3 * 4


def test_experts_with_a_routing_of_ones_own():
    matrix = np.array([[3, 5], [7, 11]])
    routed = {(layer, micro): matrix for layer in range(4) for micro in range(3)}
    counts = 3 * 4 * 8 * 3  # eight bytes for each of 6 experts, half of them elsewhere
    for rank, rows in ((0, 5 + 7), (1, 7 + 5)):
        found = sent(MOE, Layout(ep=2), rank=rank, routed=routed)["ep"]
        assert found == 2 * 3 * 4 * rows * 24 * 4 + counts


def test_gradients_of_experts_have_fewer_copies():
    found = per_step(Setup(MOE, FP32, Layout(ep=3, dp=2), Work(16)))
    groups = {one.flow.what: one.flow.group for one in found if one.flow.strategy == "dp"}
    assert groups == {"gradients": (0, 1, 2, 3, 4, 5), "gradients of experts": (0, 3)}


def test_what_all_ranks_say():
    found = calls(TINY, Layout(dp=2, pp=2))
    assert found["clip", "allreduce"] == found["loss", "allgather"] == 1
    # A number for each of 3 micro-batches, whether to stop, and of experts how even they are.
    assert sent(TINY, Layout(dp=2))["loss"] == 8 * 4 and sent(MOE, Layout(dp=2))["loss"] == 8 * 5
    assert not per_step(Setup(TINY, FP32, Layout(), WORK))


def test_by_another_algorithm():
    named = {"allreduce": "recursive_doubling"}
    bare = model("7B")
    found = per_step(Setup(bare, ZERO, Layout(dp=8)), algorithms=named)[0]
    assert found.sent == 3 * 14e9 and found.messages == 3


def test_two_levels_on_the_nodes_that_there_are():
    named = {"allreduce": "hierarchical"}
    layout, nodes = Layout(dp=4), [5, 2, 2, 5]
    found = [
        per_step(Setup(model("7B"), ZERO, layout), rank, named, nodes=nodes)[0].sent
        for rank in range(4)
    ]
    assert found == [28e9, 28e9, 14e9, 14e9]  # leaders: to each other, and to their rank


def test_buckets():
    assert bucketed([], 3) == []
    assert bucketed([1, 2, 3, 4], 100) == [10]
    assert bucketed([1, 2, 3, 4], 0) == [4, 3, 2, 1]


@pytest.mark.parametrize("word", ["allreduce", "bcast=ring", "=ring", "allreduce="])
def test_wrong_choices(word):
    with pytest.raises(ArgumentError, match=r"<primitive>=<algorithm> .* write allreduce="):
        chosen([word])


def test_several_choices():
    wanted = {"allreduce": "ring", "alltoall": "bruck", "allgather": "bruck"}
    assert chosen(["allreduce=ring,alltoall=bruck", "allgather=bruck"]) == wanted


def test_no_such_algorithm():
    with pytest.raises(UnknownAlgorithm):
        chosen(["allreduce=zigzag"])
