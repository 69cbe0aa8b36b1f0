"""Tensors, and the groups of them that lie in one vector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Views = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Tensor:
    """A named array of parameters: how it begins, and how much of it this rank holds.

    Attributes
    ----------
    name : str
    whole : tuple of int
        Its shape in the model.
    mean, std : float
        Of the normal distribution from which its first values are drawn.
    part : tuple of slice
        What this rank holds of it; all of it if empty.
    counted : bool
        Whether this rank answers for its part. Where several ranks hold the same part, one
        does: so norms count no gradient twice, and a checkpoint has everything once.
    """

    name: str
    whole: tuple[int, ...]
    mean: float = 0.0
    std: float = 0.0
    part: tuple[slice, ...] = ()
    counted: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the part."""
        ranges = [range(n)[piece] for n, piece in zip(self.whole, self.part)]
        return (*map(len, ranges), *self.whole[len(ranges) :])

    @property
    def size(self) -> int:
        """How many numbers the part has."""
        return math.prod(self.shape)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """First values of the whole tensor, float64."""
        return self.mean + self.std * rng.standard_normal(self.whole)


class Group:
    """Parameters of a layer that lie in one vector and are treated alike.

    Parameters
    ----------
    name : str
    tensors : sequence of Tensor
    experts : bool
        Whether they are those of experts, whose gradients are summed over fewer ranks.
    """

    def __init__(self, name: str, tensors: Sequence[Tensor], experts: bool = False):
        self.name = name
        self.tensors = tuple(tensors)
        self.experts = experts
        ends = np.cumsum([0, *(tensor.size for tensor in self.tensors)]).tolist()
        self.size: int = ends[-1]
        self.ranges = [slice(*pair) for pair in pairwise(ends)]

    def views(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The tensors in a vector of `size` elements, by name; nothing is copied."""
        return {
            tensor.name: vector[place].reshape(tensor.shape)
            for tensor, place in zip(self.tensors, self.ranges)
        }

    def __repr__(self) -> str:
        return f"{self.name} ({self.size} parameters)"
