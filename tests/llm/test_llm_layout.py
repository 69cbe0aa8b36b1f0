"""Who has what of a model."""

from itertools import product

import pytest

from collectives.errors import ArgumentError
from collectives.llm.layout import AXES, Layout, fitted
from collectives.llm.pipeline import bubble, in_flight, layers_of
from collectives.llm.presets import model
from collectives.llm.shapes import Shape
from collectives.llm.units import block, units_of
from collectives.llm.work import Work

TINY = Shape(
    *("tiny", 4, 24, 6, 36, 53),
    positions=17, gated=False, biases=True, norm_biases=True,
)  # fmt: skip
MOE = Shape("moe", 4, 24, 6, 36, 53, kv_heads=3, experts=6, top_k=2)

LAYOUTS = [
    *(Layout(dp=dp, zero=zero) for dp, zero in product((1, 3, 5), (0, 3))),
    *(Layout(tp=3, sp=sp, vocab_cut=cut) for sp, cut in product((False, True), repeat=2)),
    *(Layout(pp=2), Layout(pp=2, schedule="interleaved", chunks=2), Layout(pp=4, tp=3, dp=2)),
    *(Layout(cp=2, dp=2, tp=3), Layout(dp=2, tp=3, order=("dp", "tp", "cp", "ep", "pp"))),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_places(layout):
    for rank in range(layout.ranks):
        place = layout.place(rank)
        assert layout.rank(place) == rank
        for axes in (["dp"], ["tp"], ["cp", "ep", "dp"], ["pp"], list(AXES)):
            group = layout.group(rank, axes)
            assert group[layout.position(rank, axes)] == rank
            assert all(layout.group(other, axes) == group for other in group)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("tied", [False, True])
def test_all_ranks_together_have_the_model_once(layout, tied):
    """Blocks of ZeRO, slices of tp and stages of pp put together are the whole model."""
    shape = Shape(**{**{k: getattr(TINY, k) for k in KEYS}, "tied": tied})
    held = 0
    for rank in range(layout.ranks):
        at = layout.place(rank)["tp"]
        for unit in units_of(shape, layout, rank):
            assert unit.count == sum(tensor.count for tensor in unit.tensors)
            held += block(unit, layout, rank)
            copied = unit.whole if at else 0  # what every slice has, counted once
            held -= copied // layout.copies + (
                layout.position(rank, unit.copies) < copied % layout.copies
            )
    twice = 53 * 24 if tied and layout.pp > 1 else 0
    assert held == shape.parameters + twice


KEYS = (
    *("name", "layers", "hidden", "heads", "ffn", "vocab", "positions"),
    *("gated", "biases", "norm_biases"),
)


@pytest.mark.parametrize("ep", [1, 2, 3, 6])
def test_experts_are_shared_out(ep):
    layout = Layout(ep=ep, dp=2)
    routed = [
        sum(unit.count for unit in units_of(MOE, layout, rank) if unit.routed)
        for rank in range(layout.ranks)
    ]
    assert routed == [4 * 6 // ep * 3 * 24 * 36] * layout.ranks
    dense = [
        sum(block(unit, layout, rank) for unit in units_of(MOE, layout, rank) if not unit.routed)
        for rank in range(layout.ranks)
    ]
    assert sum(dense) == MOE.parameters - sum(routed) // 2


@pytest.mark.parametrize("pp, chunks", [(1, 1), (2, 1), (4, 1), (2, 2), (2, 4), (4, 2)])
def test_stages_have_each_layer_once(pp, chunks):
    schedule = "interleaved" if chunks > 1 else "1f1b"
    layout = Layout(pp=pp, schedule=schedule, chunks=chunks)
    found = [layer for stage in range(pp) for layer in layers_of(8, layout, stage)]
    assert sorted(found) == list(range(8))


@pytest.mark.parametrize("stage", range(4))
def test_micro_batches_in_flight(stage):
    assert in_flight(Layout(pp=4, schedule="gpipe"), stage, 8) == 8
    assert in_flight(Layout(pp=4), stage, 8) == 4 - stage
    assert in_flight(Layout(pp=4), stage, 2) == min(2, 4 - stage)


def test_interleaved_as_megatron_says():
    """The first stage holds 1 + (p-1)/(p m) times what 1f1b does, for m chunks."""
    for pp, chunks in ((2, 2), (4, 2), (4, 8)):
        layout = Layout(pp=pp, schedule="interleaved", chunks=chunks)
        assert in_flight(layout, 0, 64) == pytest.approx(pp * (1 + (pp - 1) / (pp * chunks)))
        assert bubble(layout, 8) == (pp - 1) / 8 / chunks


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"tp": 5}, "tp must divide the 32 heads, got 5; tp 1, 2, 4, 8, 16 or 32 would fit"),
        ({"pp": 5}, "pp must divide the 32 layers, got 5; pp 1, 2, 4, 8, 16 or 32 would fit"),
        (
            {"pp": 4, "schedule": "interleaved", "chunks": 3},
            "chunks must divide the 8 layers of a stage, got 3; chunks 1, 2, 4 or 8 would fit",
        ),
        ({"ep": 2}, "ep needs a model with experts, got none"),
    ],
)
def test_a_model_that_cannot_be_cut_like_that(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        Layout(**wrong).check(model("llama2-7b"))


@pytest.mark.parametrize(
    "name, wrong, message",
    [
        ("llama2-70b", {"tp": 16}, "divide the 8 heads of keys .*; tp 1, 2, 4 or 8 would fit"),
        ("mixtral-8x7b", {"ep": 3}, "divide the 8 experts, got 3; ep 1, 2, 4 or 8 would fit"),
        ("gpt2-124m", {"tp": 8}, "divide the 12 heads, got 8; tp 1, 2, 3, 4, 6 or 12 would fit"),
    ],
)
def test_others(name, wrong, message):
    with pytest.raises(ArgumentError, match=message):
        Layout(**wrong).check(model(name))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"dp": 0}, "dp must be an integer from 1 on, got 0"),
        ({"zero": 4}, "zero must be a stage from 0 to 3, got 4"),
        ({"schedule": "zigzag"}, "schedule must be one of gpipe, 1f1b, interleaved"),
        ({"chunks": 2}, "chunks are for an interleaved pipeline"),
        ({"pp": 2, "schedule": "interleaved"}, "at least 2 chunks"),
        ({"sp": True}, "sp shares tokens among the ranks of tp, got tp 1"),
        ({"order": ("tp", "dp")}, "order must be tp, cp, ep, dp, pp in any order"),
    ],
)
def test_no_such_layout(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        Layout(**wrong)


def test_layouts_that_do_not_multiply():
    assert fitted(Layout(tp=4), 16, dp_given=False).dp == 4
    with pytest.raises(ArgumentError, match=r"to the 16 ranks, got tp 4 x dp 3 = 12; dp 4 would"):
        fitted(Layout(tp=4, dp=3), 16, dp_given=True)
    with pytest.raises(ArgumentError, match="to the 10 ranks, got tp 4 = 4; 8 or 12 ranks fit"):
        fitted(Layout(tp=4), 10, dp_given=False)


@pytest.mark.parametrize(
    "layout, work, message",
    [
        (Layout(cp=3), Work(100), "cp must divide the 100 tokens .*; --sequence 99 would fit"),
        (
            Layout(pp=4, schedule="interleaved", chunks=2),
            Work(micro_batches=6),
            "multiples of its 4 stages, got 6; --micro-batches 8 would fit",
        ),
    ],
)
def test_work_that_does_not_fit(layout, work, message):
    with pytest.raises(ArgumentError, match=message):
        layout.check_work(work)
