"""What training is made of, without MPI."""

import gc
from collections import Counter

import numpy as np
import pytest

from collectives.errors import ArgumentError
from collectives.llm.layout import AXES
from collectives.llm.training.grid import STATES, check, named, parse
from collectives.llm.training.ledger import Ledger, shard
from collectives.llm.training.model.adam import Adam
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.moe import Balance, favourites, route
from collectives.llm.training.model.text import Text, read
from collectives.llm.training.parallel.pp import SCHEDULES
from collectives.llm.training.recipe import add, recipe
from collectives.llm.training.recipe import read as numbers
from collectives.operators import binned


def test_our_text_is_as_it_was():
    text = read(None, 64)
    assert 200_000 < text.tokens.size < 320_000 and len(text.alphabet) == 95
    assert text.decode(text.tokens[:4]) == text.decode(text.tokens)[:4]


def test_batches_are_the_same_for_all_and_differ_from_step_to_step():
    text = Text("abcdefghijklmnopqrstuvwxyz" * 10)
    one, two = text.batch(1, 0, 4, 8), text.batch(2, 0, 4, 8)
    assert one.shape == (4, 9) and (one == text.batch(1, 0, 4, 8)).all()
    assert (one != two).any() and (one != text.batch(1, 1, 4, 8)).any()
    assert ((one[:, 1:] - one[:, :-1]) % 26 == 1).all()


def test_any_alphabet():
    text = Text("通信原语 aé" * 100)
    assert text.decode(text.tokens) == "通信原语 aé" * 100


@pytest.mark.parametrize("name, words", [("none.txt", "No such file"), (".", "Is a directory")])
def test_texts_that_are_none(name, words, tmp_path):
    with pytest.raises(ArgumentError, match=words):
        read(str(tmp_path / name), 64)


def test_texts_that_are_too_short_or_no_text(tmp_path):
    (tmp_path / "short").write_text("abc")
    with pytest.raises(ArgumentError, match="more than the 3 characters of a sequence, got 3"):
        read(str(tmp_path / "short"), 3)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArgumentError, match="UTF-8"):
        read(str(tmp_path / "bytes"), 1)


@pytest.mark.parametrize("p", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 5, 21])
def test_shards_cover_a_vector(size, p):
    places = [shard(size, p, rank) for rank in range(p)]
    assert [i for place in places for i in range(size)[place]] == list(range(size))
    assert max(x.stop - x.start for x in places) - min(x.stop - x.start for x in places) <= 1


def test_adam_is_the_papers():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(5)
    ours, moments = weights.copy(), np.zeros((2, 5))
    mean, square = np.zeros(5), np.zeros(5)
    adam = Adam(rate=0.1, warmup=0)
    for number in range(1, 6):
        g = rng.standard_normal(5)
        adam.step(ours, 4 * g, moments, number, factor=0.25)
        mean = adam.beta1 * mean + (1 - adam.beta1) * g
        square = adam.beta2 * square + (1 - adam.beta2) * g * g
        upper = mean / (1 - adam.beta1**number)
        lower = np.sqrt(square / (1 - adam.beta2**number))
        weights -= 0.1 * upper / (lower + adam.epsilon)
        np.testing.assert_allclose(ours, weights, rtol=1e-6)


def test_the_ledger_books_what_python_holds():
    ledger = Ledger()
    kept = ledger.new("weights", 10, np.float32)
    views = kept.reshape(2, 5)[1:]
    ledger.new("gathered", 100, np.float32)  # dropped at once
    assert ledger.now == {"weights": 40, "gathered": 0}
    assert ledger.peak == {"weights": 40, "gathered": 400} and ledger.most == 440
    del kept
    gc.collect()
    assert ledger.now["weights"] == 40  # a view holds it
    del views
    assert ledger.now["weights"] == 0
    ledger.begin()
    assert ledger.most == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stages", [1, 2, 3, 5])
@pytest.mark.parametrize("micro", [1, 2, 3, 7])
def test_schedules_do_everything_once_and_in_order(schedule, stages, micro):
    turns = [list(SCHEDULES[schedule](stage, stages, micro)) for stage in range(stages)]
    for mine in turns:
        assert Counter(mine) == Counter(
            (what, i) for what in ("forward", "backward") for i in range(micro)
        )
        for what in ("forward", "backward"):
            assert [i for name, i in mine if name == what] == list(range(micro))
    # Run them: a forward waits for the stage before, a backward for the one behind.
    done, places = set(), [0] * stages
    while any(place < len(mine) for place, mine in zip(places, turns)):
        before = list(places)
        for stage, mine in enumerate(turns):
            if places[stage] == len(mine):
                continue
            what, i = mine[places[stage]]
            needs = {("forward", i, stage)} if what == "backward" else set()
            if what == "forward" and stage:
                needs.add((what, i, stage - 1))
            if what == "backward" and stage < stages - 1:
                needs.add((what, i, stage + 1))
            if needs <= done:
                done.add((what, i, stage))
                places[stage] += 1
        assert places != before, "they wait for each other"


@pytest.mark.parametrize("stages, micro", [(4, 8), (3, 2), (5, 5)])
def test_1f1b_keeps_fewer_activations(stages, micro):
    def most(schedule, stage):
        kept = peak = 0
        for what, _ in SCHEDULES[schedule](stage, stages, micro):
            kept += 1 if what == "forward" else -1
            peak = max(peak, kept)
        return peak

    for stage in range(stages):
        assert most("gpipe", stage) == micro
        assert most("1f1b", stage) == min(stages - stage, micro)


def test_routing():
    shares = np.array([[[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.7, 0.2, 0.1], [0.2, 0.3, 0.5]]])
    token, expert = route(favourites(shares, 1), 3, capacity=2)
    assert list(zip(token, expert)) == [(0, 0), (1, 0), (3, 2)]  # 2 comes too late
    token, expert = route(favourites(shares, 2), 3, capacity=2)
    assert list(zip(token, expert)) == [(0, 0), (1, 0), (0, 1), (2, 1), (1, 2), (3, 2)]
    both = np.concatenate([shares, shares[:, ::-1]])
    token, expert = route(favourites(both, 1), 3, capacity=2)  # each sequence has its own places
    assert set(zip(token, expert)) == {(0, 0), (1, 0), (3, 2), (4, 2), (5, 0), (6, 0)}


def test_the_balance_of_experts():
    """Of two sequences: all tokens to one of three experts, and each to another."""
    shares = np.array([[[0.8, 0.1, 0.1]] * 3, [[0.8, 0.1, 0.1], [0.1, 0.7, 0.2], [0.3, 0.1, 0.6]]])
    balance = Balance(weight=2.0)
    load = balance.forward(shares, favourites(shares, 1))
    np.testing.assert_allclose(load, [[3, 0, 0], [1, 1, 1]])
    assert balance.total == pytest.approx(3 * 0.8 + 1)
    np.testing.assert_allclose(balance.backward(load)[0, 0], [6, 0, 0])
    even = np.full((1, 6, 3), 1 / 3)
    for top_k in (1, 2, 3):  # of equal shares the first experts are the best, and the loss is 1
        balance.total = 0.0
        balance.forward(even, favourites(even, top_k))
        assert balance.total == pytest.approx(1)


def test_sums_of_gradients():
    values = np.array([0.1, 2.0, -3.0], np.float32)
    for name in ("fp32", "fp64", "fp16"):
        kept = recipe(name)
        total = np.zeros(3, kept.summed)
        add(values, total)
        add(values, total)
        expected = 2 * values.astype(kept.summed).astype(np.float64)
        np.testing.assert_allclose(numbers(total, kept.computed), expected, rtol=1e-3)
    total = np.zeros(3, recipe("fp32", reproducible=True).summed)
    for part in ([1e8] * 3, values, [-1e8] * 3):
        add(np.array(part, np.float32), total)
    assert binned.is_record(total.dtype)
    np.testing.assert_array_equal(numbers(total, np.dtype(np.float32)), values)


@pytest.mark.parametrize(
    "text, ranks, sizes, state",
    [
        ("zero3", 4, {"dp": 4}, "zero3"),
        ("tp", 3, {"tp": 3}, "ddp"),
        ("zero3=2,tp=2", 4, {"dp": 2, "tp": 2}, "zero3"),
        ("ddp,pp=3", 6, {"dp": 2, "pp": 3}, "ddp"),
        ("sp=2,pp", 8, {"tp": 2, "pp": 4}, "ddp"),
        ("ep=2,zero1=3", 6, {"dp": 3, "ep": 2}, "zero1"),
    ],
)
def test_layouts(text, ranks, sizes, state):
    layout = parse(text, ranks)
    assert {axis: n for axis in AXES if (n := getattr(layout, axis)) > 1} == sizes
    assert STATES[layout.zero] == state and layout.sp == ("sp" in text)
    assert parse(named(layout), ranks) == layout


@pytest.mark.parametrize(
    "text, words",
    [
        ("zero4", "got 'zero4'; write zero3"),
        ("ddp=x", "a number of ranks from 1 on, got 'ddp=x'"),
        ("ddp=0", "a number of ranks from 1 on"),
        ("ddp,zero1", "one kind of dp, got 'ddp,zero1'; take one of ddp, zero1, zero2, zero3"),
        ("tp=2,sp=3", "one kind of tp"),
        ("ddp=4,tp=2", "multiply to the 6 ranks, got 'ddp=4,tp=2' = 8; .* or take mpirun -n 8"),
        ("ddp=4,tp", "multiply to the 6 ranks, got 'ddp=4,tp' = 4; numbers that divide 6 are 1, 2"),
        ("ddp,tp", "numbers for all names but one"),
        ("cp,tp", "has no cp x tp; there are dp x tp, dp x pp"),
    ],
)
def test_layouts_that_are_none(text, words):
    with pytest.raises(ArgumentError, match=words):
        parse(text, 6)


@pytest.mark.parametrize(
    "text, options, words",
    [
        ("tp", {"heads": 6}, "--heads must be a multiple of the 4 ranks of tp, got 6; --heads 8"),
        ("tp", {"ffn": 30}, "--ffn must be a multiple"),
        ("pp", {"layers": 6}, "--layers must be a multiple of the 4 ranks of pp, got 6"),
        ("cp", {"sequence": 30}, "--sequence must be a multiple"),
        ("ep", {"experts": 6}, "--experts must be a multiple of the 4 ranks of ep, got 6"),
        ("ep", {}, "ep needs a model with experts, got none; add --experts 4"),
        ("tp", {"experts": 4}, "tp needs MLPs, got --experts 4"),
        ("cp", {"experts": 4}, "cp needs MLPs"),
        ("tp", {"vocab": 3}, "tp needs a character for each of its 4 ranks, got a text of 3 diff"),
        ("sp", {"sequence": 3}, "sp needs a token for each of its 4 ranks, got --sequence 3"),
    ],
)
def test_models_that_cannot_be_cut(text, options, words):
    size = Size(**{"layers": 4, "heads": 4, "sequence": 16, **options})
    with pytest.raises(ArgumentError, match=words):
        check(parse(text, 4), size, batch=8, micro_batches=1)


@pytest.mark.parametrize("state", STATES)
def test_batches_that_are_too_small(state):
    with pytest.raises(ArgumentError, match="4 ranks and 3 micro-batches, got 8; --batch 12 would"):
        check(parse(state, 4), Size(), batch=8, micro_batches=3)


def test_recipes():
    assert not recipe("fp32").master and recipe("fp16").master and recipe("fp16").scale == 1024
    assert recipe("fp64").computed == np.float64 and recipe("bf16").stored.itemsize == 2
    with pytest.raises(ArgumentError, match="one of fp32, fp64, bf16, fp16, got 'fp8'"):
        recipe("fp8")
