"""A small network to train by hand: two layers in numpy, Adam, and a shelf that is weighed.

Arrays lie on the shelf under a kind and a layer. Each kind has the bytes an element that it has
in training with 16-bit weights, whatever numpy uses for it here. What is taken off the shelf is
spoilt, so that nobody goes on using it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Bytes an element.
BYTES = {
    "weights": 2,
    "shard": 2,
    "gradients": 2,
    "gradient_shard": 2,
    "master": 4,
    "first": 4,
    "second": 4,
}

INPUTS, HIDDEN, OUTPUTS = 7, 9, 5
SHAPES = ((INPUTS, HIDDEN), (HIDDEN, OUTPUTS))
ROWS = 12
STEPS = 3
RATE, DECAY, DECAY2, TINY = 0.05, 0.9, 0.999, 1e-8


@dataclass
class Network:
    """What one rank has of it.

    Attributes
    ----------
    rank, p : int
    steps : int
        Steps of training.
    file : str
        The student's, whose lines are noted.
    events : list
        All that was put on the shelf and taken off: what, kind, layer, elements and line.
    """

    rank: int
    p: int
    file: str = ""
    steps: int = STEPS
    events: list[list] = field(default_factory=list)
    shelf: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)
    seen: dict[int, np.ndarray] = field(default_factory=dict)
    slope: np.ndarray | None = None

    @property
    def layers(self) -> range:
        """The numbers of the layers."""
        return range(len(SHAPES))

    def size(self, layer: int) -> int:
        """Parameters of a layer."""
        rows, columns = SHAPES[layer]
        return rows * columns

    def initial(self, layer: int) -> np.ndarray:
        """The weights at the start, the same on all ranks."""
        return np.random.default_rng(layer).normal(0, 0.5, self.size(layer))

    def keep(self, kind: str, layer: int, elements: int) -> np.ndarray:
        """Put an array of zeros on the shelf."""
        if kind not in BYTES:
            raise ValueError(f"a kind is needed, got {kind!r}; choose from {', '.join(BYTES)}")
        if (kind, layer) in self.shelf:
            raise ValueError(f"{kind} of layer {layer} are on the shelf already; drop them first")
        self._note("keep", kind, layer, elements)
        self.shelf[kind, layer] = np.zeros(elements)
        return self.shelf[kind, layer]

    def drop(self, kind: str, layer: int) -> None:
        """Take an array off the shelf; it is spoilt."""
        array = self[kind, layer]
        self._note("drop", kind, layer, array.size)
        array[...] = np.nan
        del self.shelf[kind, layer]

    def __getitem__(self, key: tuple[str, int]) -> np.ndarray:
        if key not in self.shelf:
            kind, layer = key
            raise LookupError(f"{kind} of layer {layer} are not on the shelf; keep them first")
        return self.shelf[key]

    def forward(self, layer: int, step: int) -> None:
        """One layer forward, on this rank's rows; needs its whole `weights`."""
        if layer == 0:
            self.seen = {0: rows_of(self.rank, self.p, step)[0]}
        out = self.seen[layer] @ self._whole(layer)
        last = layer == len(SHAPES) - 1
        self.seen[layer + 1] = out if last else np.tanh(out)
        if last:
            self.slope = (out - rows_of(self.rank, self.p, step)[1]) / ROWS

    def backward(self, layer: int) -> None:
        """One layer backward: fills its whole `gradients`, and needs its whole `weights`.

        The sum over all ranks is the gradient of the whole batch.
        """
        assert self.slope is not None
        gradients = self["gradients", layer]
        if gradients.size != self.size(layer):
            raise ValueError(f"gradients of layer {layer} must have {self.size(layer)} elements")
        gradients[...] = (self.seen[layer].T @ self.slope).ravel()
        self.slope = (self.slope @ self._whole(layer).T) * (1 - self.seen[layer] ** 2)

    def adam(self, layer: int, step: int, gradient: str = "gradient_shard") -> None:
        """Update `master`, `first` and `second`, all as long as the gradient of that kind."""
        slope, master = self[gradient, layer], self["master", layer]
        first, second = self["first", layer], self["second", layer]
        first[...] = DECAY * first + (1 - DECAY) * slope
        second[...] = DECAY2 * second + (1 - DECAY2) * slope**2
        mean, square = first / (1 - DECAY ** (step + 1)), second / (1 - DECAY2 ** (step + 1))
        master[...] = master - RATE * mean / (np.sqrt(square) + TINY)

    def _whole(self, layer: int) -> np.ndarray:
        weights = self["weights", layer]
        if weights.size != self.size(layer):
            raise ValueError(f"weights of layer {layer} must have {self.size(layer)} elements")
        return weights.reshape(SHAPES[layer])

    def _note(self, what: str, kind: str, layer: int, elements: int) -> None:
        frame: Any = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        line = frame.f_lineno if frame is not None else 0
        self.events.append([what, kind, layer, int(elements), line])


def rows_of(rank: int, p: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the batch that belong to a rank, and what they should give."""
    random = np.random.default_rng(100 + step)
    inputs = random.normal(0, 1, (ROWS, INPUTS))
    wanted = random.normal(0, 1, (ROWS, OUTPUTS))
    return inputs[rank::p], wanted[rank::p]


def trained() -> list[np.ndarray]:
    """The weights after all steps on one rank."""
    net = Network(0, 1)
    for layer in net.layers:
        net.keep("weights", layer, net.size(layer))[...] = net.initial(layer)
        net.keep("master", layer, net.size(layer))[...] = net.initial(layer)
        for kind in ("first", "second", "gradients"):
            net.keep(kind, layer, net.size(layer))
    for step in range(net.steps):
        for layer in net.layers:
            net.forward(layer, step)
        for layer in reversed(net.layers):
            net.backward(layer)
        for layer in net.layers:
            net.adam(layer, step, "gradients")
            net["weights", layer][...] = net["master", layer]
    return [net["weights", layer] for layer in net.layers]
