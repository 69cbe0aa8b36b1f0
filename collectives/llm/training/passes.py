"""Forward and backward through layers, with weights from wherever they are.

The state is asked for the weights of a layer when they are needed, and told when they are not
needed any more, so that it may keep them elsewhere; it is told which layer comes next, so that
it may fetch ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from collectives.llm.training.model.layers import Layer
from collectives.llm.training.state import State

Batch = tuple[np.ndarray, np.ndarray]  # tokens, and those that come next


def forward(layers: Sequence[Layer], state: State, x: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """The output of the last layer, and what each one has saved."""
    saved = []
    for layer, ahead in _with_next(layers):
        x, kept = layer.forward(state.weights(layer, ahead), x)
        state.release(layer)
        saved.append(kept)
    return x, saved


def backward(layers: Sequence[Layer], state: State, saved: list[Any], dy: Any, last: bool) -> Any:
    """The gradient by the first layer's input; what was saved is used up.

    `last` says that no further micro-batch of this step comes.
    """
    for layer, ahead in _with_next(layers[::-1]):
        dy = layer.backward(state.weights(layer, ahead), saved.pop(), dy, state.gradients(layer))
        state.release(layer)
        state.arrived(layer, last)
    return dy


def one_by_one(
    layers: Sequence[Layer], state: State, batches: Sequence[Batch], tokens: int, scale: float
) -> list[float]:
    """A step's micro-batches on a rank that has all layers; returns their losses."""
    losses = []
    head: Any = layers[-1]
    for tokens_in, targets in batches:
        logits, saved = forward(layers, state, tokens_in)
        loss, dlogits = head.loss(logits, targets, tokens)
        losses.append(loss)
        backward(layers, state, saved, dlogits * scale, last=len(losses) == len(batches))
    return losses


def _with_next(layers: Sequence[Layer]) -> Iterable[tuple[Layer, Layer | None]]:
    return zip(layers, [*layers[1:], None])
