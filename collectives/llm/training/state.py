"""What a rank holds of the model: weights, gradients and moments, and what is common to all ways.

The four ways to share them among the ranks of data parallelism are a file each in `parallel/`:

    rank holds     weights   gradients   moments, master
    ddp            all       all         all
    zero1          all       all         its shard
    zero2          all       its shard   its shard
    zero3          its shard its shard   its shard
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collectives.llm.training.ledger import Ledger, shard, shards
from collectives.llm.training.model.adam import Adam
from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group, Tensor
from collectives.llm.training.recipe import Recipe, add, clear, read

BLOCK = 2**14  # elements that are updated at once: what is made of them stays in the cache
Arrays = dict[Group, np.ndarray]


@dataclass
class Setting:
    """What a state is told.

    Attributes
    ----------
    recipe : Recipe
    adam : Adam
    ledger : Ledger
    comm_of : callable
        The communicator over whose ranks a group's gradients are summed.
    op : operator
        By which they are: a sum, or REPRODUCIBLE_SUM.
    bucket : int
        Bytes from which on a bucket of gradients is sent.
    options : mapping
        For the allreduce of gradients: the name of an algorithm.
    """

    recipe: Recipe
    adam: Adam
    ledger: Ledger
    comm_of: Callable[[Group], Any]
    op: Any
    bucket: int = 2**18
    options: Mapping[str, Any] = field(default_factory=dict)


class State:
    """What a rank holds of some layers.

    Parameters
    ----------
    layers : sequence of Layer
    setting : Setting
    """

    def __init__(self, layers: Sequence[Layer], setting: Setting):
        self.setting, self.recipe, self.ledger = setting, setting.recipe, setting.ledger
        self.groups = [group for layer in layers for group in layer.groups]
        self.comm = {group: setting.comm_of(group) for group in self.groups}
        self.shards = {group: shards(group.size, self.comm[group].size) for group in self.groups}
        self.owned = {group: self.part(group) for group in self.groups}
        self.stored: Arrays = {}  # weights
        self.summed: Arrays = {}  # gradients of the part that is owned
        self.moments: Arrays = {}
        self.master: Arrays = {}
        self._cast: Arrays = {}  # gradients of a layer that is computed in another type
        for group in self.groups:
            length = len(range(group.size)[self.owned[group]])
            self.moments[group] = self.ledger.new("moments", (2, length), self.recipe.computed)
            if self.recipe.master:
                self.master[group] = self.ledger.new("master", length, self.recipe.computed)
        self.hold()

    def part(self, group: Group) -> slice:
        """Which part of a group's vector this rank updates: its shard."""
        comm = self.comm[group]
        return shard(group.size, comm.size, comm.rank)

    def kept(self, group: Group) -> int:
        """How many of a group's weights are here from step to step."""
        return group.size

    def hold(self) -> None:
        """Make room for what is here from step to step."""
        for group in self.groups:
            self.stored[group] = self.ledger.new("weights", self.kept(group), self.recipe.stored)

    def weights(self, layer: Layer, ahead: Layer | None) -> dict[str, np.ndarray]:
        """The weights of a layer, to compute with; `ahead` comes next."""
        return self._weights_in(layer, self.stored)

    def release(self, layer: Layer) -> None:
        """The weights are not needed for now."""

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        """Where a backward adds its gradients."""
        raise NotImplementedError

    def arrived(self, layer: Layer, last: bool) -> None:
        """A backward has added its gradients; it was the last one of the step or not."""
        raise NotImplementedError

    def finish(self) -> None:
        """All backwards are done: `summed` is to hold the gradients of all ranks."""

    def update(self, number: int, factor: float) -> None:
        """Step `number`: weights follow their gradients, which are multiplied by a factor."""
        for group in self.groups:
            self._adam(group, number, factor)
            clear(self.summed[group])

    # What all ways have in common.

    def mine(self, group: Group) -> np.ndarray:
        """The stored weights that this rank updates."""
        return self.stored[group][self.owned[group]]

    def load(self, group: Group, weights: np.ndarray, moments: np.ndarray | None = None) -> None:
        """Begin with these, given whole."""
        here = self.owned[group]
        whole = self.stored[group].size == group.size
        self.stored[group][:] = weights if whole else weights[here]
        if self.recipe.master:
            self.master[group][:] = weights[here]
        if moments is not None:
            self.moments[group][:] = moments[:, here]

    def values(self, group: Group) -> np.ndarray:
        """Weights and both moments of the part that is owned, in the type computed in."""
        weights = self.master[group] if self.recipe.master else self.mine(group)
        return np.stack([weights, *self.moments[group]])

    def answers(self, group: Group) -> Iterator[tuple[Tensor, slice, slice]]:
        """What this rank answers for: tensors, where in them, and where in the part it owns.

        What several ranks have is left to the first of them.
        """
        mine = self.owned[group]
        if mine == slice(0, group.size) and self.comm[group].rank:
            return
        for tensor, place in zip(group.tensors, group.ranges):
            start, stop = max(place.start, mine.start), min(place.stop, mine.stop)
            if tensor.counted and start < stop:
                yield (
                    tensor,
                    slice(start - place.start, stop - place.start),
                    slice(start - mine.start, stop - mine.start),
                )

    def squares(self) -> Iterator[np.ndarray]:
        """The squares of all gradients that this rank answers for, in float64, piece by piece."""
        for group in self.groups:
            for _, _, here in self.answers(group):
                for block in _blocks(here.start, here.stop):
                    numbers = read(self.summed[group][block], self.recipe.computed)
                    yield np.square(numbers, dtype=np.float64)

    def _adam(self, group: Group, number: int, factor: float) -> None:
        """Update the part of a group that is owned."""
        weights = self.master[group] if self.recipe.master else self.mine(group)
        for here in _blocks(0, weights.size):
            gradients = read(self.summed[group][here], self.recipe.computed)
            moments = self.moments[group][:, here]
            self.setting.adam.step(weights[here], gradients, moments, number, factor)
            if self.recipe.master:
                self.mine(group)[here] = weights[here]

    def _weights_in(self, layer: Layer, whole: Arrays) -> dict[str, np.ndarray]:
        """The tensors of a layer in its whole vectors; copies if they are stored in 16 bits."""
        views: dict[str, np.ndarray] = {}
        for group in layer.groups:
            vector = whole[group]
            if self.recipe.master:
                vector = self.ledger.new("cast", group.size, self.recipe.computed)
                vector[:] = whole[group]
            views.update(group.views(vector))
        return views

    def _gradients_in(self, layer: Layer, whole: Arrays) -> dict[str, np.ndarray]:
        """Where to add gradients: in the whole vectors, or in copies to be added by `_take_in`."""
        views: dict[str, np.ndarray] = {}
        for group in layer.groups:
            vector = whole[group]
            if self.recipe.summed != self.recipe.computed:
                vector = self.ledger.new("cast", group.size, self.recipe.computed)
                self._cast[group] = vector
            views.update(group.views(vector))
        return views

    def _take_in(self, layer: Layer, whole: Arrays) -> None:
        """Add what was computed in another type."""
        for group in layer.groups:
            if group in self._cast:
                add(self._cast.pop(group), whole[group])


def _blocks(start: int, stop: int) -> Iterator[slice]:
    return (slice(at, min(at + BLOCK, stop)) for at in range(start, stop, BLOCK))
