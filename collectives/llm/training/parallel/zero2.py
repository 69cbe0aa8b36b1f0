"""ZeRO-2: each rank keeps the gradients of its shard only, too.

In ZeRO-1 a rank adds up whole gradients and then uses a shard of them. Here the gradients of a
layer are reduce-scattered as soon as the backward has left it; what is not of this rank's
shard is gone before the next layer's come. The price: with several micro-batches there is a
reduce-scatter for each of them.

    sent per rank and step: micro-batches * (N-1)/N of the gradients + (N-1)/N of the weights
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from collectives.llm.training.ledger import shard, shards
from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.recipe import add, clear
from collectives.llm.training.state import Setting, State


class ZeRO2(State):
    """Whole weights, and a shard of the gradients and moments."""

    def __init__(self, layers: list[Layer], setting: Setting):
        super().__init__(layers, setting)
        self.arriving: dict[Group, np.ndarray] = {}
        for group in self.groups:
            length = shards(group.size, self.comm[group].size)[self.comm[group].rank]
            self.stored[group] = self.ledger.new("weights", group.size, self.recipe.stored)
            self.summed[group] = self.ledger.new("gradients", length, self.recipe.summed)

    def part(self, group: Group) -> slice:
        return shard(group.size, self.comm[group].size, self.comm[group].rank)

    def weights(self, layer: Layer, ahead: Layer | None) -> dict[str, np.ndarray]:
        return self._weights_in(layer, self.stored)

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        for group in layer.groups:
            self.arriving[group] = self.ledger.new("buckets", group.size, self.recipe.summed)
        return self._gradients_in(layer, self.arriving)

    def arrived(self, layer: Layer, last: bool) -> None:
        self._take_in(layer, self.arriving)
        for group in layer.groups:
            comm, whole = self.comm[group], self.arriving.pop(group)
            lengths = shards(group.size, comm.size)
            comm.Reduce_scatter(MPI.IN_PLACE, whole, lengths, op=self.setting.op)
            add(whole[: lengths[comm.rank]], self.summed[group])

    def update(self, number: int, factor: float) -> None:
        for group in self.groups:
            self._adam(group, number, factor)
            clear(self.summed[group])
            comm, weights = self.comm[group], self.stored[group]
            comm.Allgatherv(MPI.IN_PLACE, [weights, shards(group.size, comm.size)])
