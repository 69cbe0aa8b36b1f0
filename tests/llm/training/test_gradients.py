"""Gradients written by hand, held against finite differences in float64."""

import numpy as np
import pytest

from collectives.llm.training.model import functions
from collectives.llm.training.model.gpt import whole
from collectives.llm.training.model.layers import MLP, Attention, Block, Embedding, Head, Size
from collectives.llm.training.model.moe import Balance, Experts
from collectives.llm.training.model.parameters import Group

SIZE = Size(layers=2, hidden=8, heads=2, sequence=5, vocab=7, ffn=12)
MIXED = Size(layers=1, hidden=8, heads=2, sequence=6, vocab=7, ffn=12, experts=3, capacity=0.9)
STEP = 1e-5
# Central differences are off by STEP**2 times third derivatives, and by what float64 rounds
# off of the function, divided by STEP: 1e-16 / 1e-5.
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def difference(function, x, direction):
    """How fast a function of an array changes in a direction."""
    return (function(x + STEP * direction) - function(x - STEP * direction)) / (2 * STEP)


def draws(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(
    "forward, backward",
    [
        (functions.gelu, lambda x, y, dy: functions.gelu_backward(x, dy)),
        (lambda x: functions.softmax(x.copy()), lambda x, y, dy: functions.softmax_backward(y, dy)),
    ],
    ids=["gelu", "softmax"],
)
def test_functions(forward, backward):
    x, dy, direction = draws(0, 3, 5), draws(1, 3, 5), draws(2, 3, 5)
    dx = backward(x, forward(x), dy)
    numeric = difference(lambda x: (forward(x) * dy).sum(), x, direction)
    np.testing.assert_allclose((dx * direction).sum(), numeric, **CLOSE)


def test_cross_entropy():
    logits, targets = draws(0, 2, 3, 7), np.random.default_rng(1).integers(0, 7, (2, 3))
    loss, dlogits = functions.cross_entropy(logits, targets, 10)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    by_hand = -np.log(np.take_along_axis(shares, targets[..., None], -1)).sum() / 10
    np.testing.assert_allclose(loss, by_hand, rtol=1e-14)
    direction = draws(2, 2, 3, 7)
    numeric = difference(lambda x: functions.cross_entropy(x, targets, 10)[0], logits, direction)
    np.testing.assert_allclose((dlogits * direction).sum(), numeric, **CLOSE)


def weights_of(layer, seed):
    """Weights that are nothing special: gains and biases, too."""
    tensors = [tensor for group in layer.groups for tensor in group.tensors]
    return {t.name: draws([seed, i], *t.shape) * 0.4 + t.mean for i, t in enumerate(tensors)}


class Alone:
    """A branch as a layer."""

    def __init__(self, branch, *more):
        self.branch, self.groups = branch, [Group("alone", branch.tensors), *more]
        self.forward, self.backward = branch.forward, branch.backward


def layers():
    experts = Experts(MIXED, "experts")
    yield "attention", SIZE, Alone(Attention(SIZE))
    yield "mlp", SIZE, Alone(MLP(SIZE))
    yield "block", SIZE, Block("block", Attention(SIZE), MLP(SIZE))
    yield "head", SIZE, Head(SIZE)
    yield "experts", MIXED, Alone(experts, experts.group)
    mixed = Block("block", Attention(MIXED), experts, experts.group)
    yield "block of experts", MIXED, mixed


EVERY = list(layers())


@pytest.mark.parametrize("name, size, layer", EVERY, ids=[name for name, *_ in EVERY])
def test_layers(name, size, layer):
    """By the input, and by each tensor of parameters: its own direction, so none can hide."""
    w = weights_of(layer, 3)
    x = draws(4, 2, size.sequence, size.hidden)
    y, saved = layer.forward(w, x)
    dy = draws(5, *y.shape)
    g = {name: np.full(value.shape, 7.0) for name, value in w.items()}  # what is there stays
    dx = layer.backward(w, saved, dy, g)

    def loss(w, x):
        return (layer.forward(w, x)[0] * dy).sum()

    direction = draws(6, *x.shape)
    numeric = difference(lambda x: loss(w, x), x, direction)
    np.testing.assert_allclose((dx * direction).sum(), numeric, **CLOSE)
    for number, (key, value) in enumerate(w.items()):
        direction = draws([8, number], *value.shape)
        numeric = difference(lambda v, key=key: loss({**w, key: v}, x), value, direction)
        analytic = ((g[key] - 7) * direction).sum()
        np.testing.assert_allclose(analytic, numeric, err_msg=key, **CLOSE)


def test_balance_of_experts():
    """By the input and the router: what is added to the loss of the text."""
    weight = 0.3
    experts = Experts(MIXED, "experts", balance=Balance(weight))
    layer = Alone(experts, experts.group)
    w, x = weights_of(layer, 3), draws(4, 2, MIXED.sequence, MIXED.hidden)

    def loss(w, x):
        experts.balance.total = 0.0
        layer.forward(w, x)
        return weight * MIXED.sequence * experts.balance.total

    y, saved = layer.forward(w, x)
    g = {name: np.zeros_like(value) for name, value in w.items()}
    dx = layer.backward(w, saved, np.zeros_like(y), g)
    assert not g["up"].any() and g["router"].any()
    for value, gradient, moved in (
        (x, dx, lambda x: loss(w, x)),
        (w["router"], g["router"], lambda router: loss({**w, "router": router}, x)),
    ):
        direction = draws(6, *value.shape)
        numeric = difference(moved, value, direction)
        np.testing.assert_allclose((gradient * direction).sum(), numeric, **CLOSE)


def test_embedding():
    layer = Embedding(SIZE, first=1)
    w = weights_of(layer, 0)
    tokens = np.array([[1, 2, 1], [0, 1, 6]])
    y, saved = layer.forward(w, tokens)
    np.testing.assert_array_equal(y[0, 2], w["token"][1] + w["position"][3])
    dy = draws(1, *y.shape)
    g = {name: np.zeros_like(value) for name, value in w.items()}
    layer.backward(w, saved, dy, g)
    expected = np.zeros_like(g["token"])
    np.add.at(expected, tokens, dy)
    np.testing.assert_allclose(g["token"], expected)
    np.testing.assert_allclose(g["position"][1:4], dy.sum(axis=0))
    assert not g["position"][[0, 4]].any()


@pytest.mark.parametrize("size", [SIZE, MIXED], ids=["dense", "experts"])
def test_whole_model(size):
    """All parameters at once, from tokens to the loss."""
    model = whole(size)
    every = [weights_of(layer, seed) for seed, layer in enumerate(model)]
    rng = np.random.default_rng(9)
    tokens = rng.integers(0, size.vocab, (2, size.sequence + 1))

    def loss(every):
        x, kept = tokens[:, :-1], []
        for layer, w in zip(model, every):
            x, saved = layer.forward(w, x)
            kept.append(saved)
        return functions.cross_entropy(x, tokens[:, 1:], x.shape[0] * x.shape[1]), kept

    (_, dy), kept = loss(every)
    total = 0.0
    moved = [[], []]
    for number, (layer, w, saved) in reversed([*enumerate(zip(model, every, kept))]):
        g = {key: np.zeros_like(value) for key, value in w.items()}
        dy = layer.backward(w, saved, dy, g)
        directions = {key: draws([number, i], *v.shape) for i, (key, v) in enumerate(w.items())}
        total += sum((g[key] * directions[key]).sum() for key in w)
        for side, sign in zip(moved, (1, -1)):
            side.insert(0, {key: v + sign * STEP * directions[key] for key, v in w.items()})
    numeric = (loss(moved[0])[0][0] - loss(moved[1])[0][0]) / (2 * STEP)
    np.testing.assert_allclose(total, numeric, rtol=1e-5, atol=1e-8)
