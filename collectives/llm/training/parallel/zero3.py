"""ZeRO-3, or fully sharded data parallelism: each rank keeps a shard of everything.

No rank has a whole layer, except while it computes one. Before a layer's forward its weights are
allgathered, and dropped after it; before its backward they are gathered once more, and its
gradients are reduce-scattered. While a layer is computed the next one's weights are
already on their way: so two layers are whole at a time, of however many there are.

    sent per rank and micro-batch: 2 (N-1)/N of the weights + (N-1)/N of the gradients
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from collectives.llm.training.ledger import shard, shards
from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.recipe import add, clear
from collectives.llm.training.state import Setting, State


class ZeRO3(State):
    """A shard of weights, gradients and moments."""

    def __init__(self, layers: list[Layer], setting: Setting):
        super().__init__(layers, setting)
        self.gathered: dict[Group, np.ndarray] = {}
        self.requests: dict[Group, MPI.Request] = {}
        self.arriving: dict[Group, np.ndarray] = {}
        for group in self.groups:
            length = shards(group.size, self.comm[group].size)[self.comm[group].rank]
            self.stored[group] = self.ledger.new("weights", length, self.recipe.stored)
            self.summed[group] = self.ledger.new("gradients", length, self.recipe.summed)

    def part(self, group: Group) -> slice:
        return shard(group.size, self.comm[group].size, self.comm[group].rank)

    def mine(self, group: Group) -> np.ndarray:
        return self.stored[group]

    def weights(self, layer: Layer, ahead: Layer | None) -> dict[str, np.ndarray]:
        self._ask(layer)
        if ahead is not None:
            self._ask(ahead)
        for group in layer.groups:
            self.requests.pop(group).Wait()
        return self._weights_in(layer, self.gathered)

    def _ask(self, layer: Layer) -> None:
        """Start to gather the weights of a layer, unless they are on their way."""
        for group in layer.groups:
            if group not in self.gathered:
                comm = self.comm[group]
                whole = self.ledger.new("gathered", group.size, self.recipe.stored)
                lengths = shards(group.size, comm.size)
                self.requests[group] = comm.Iallgatherv(self.stored[group], [whole, lengths])
                self.gathered[group] = whole

    def release(self, layer: Layer) -> None:
        for group in layer.groups:
            del self.gathered[group]

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
