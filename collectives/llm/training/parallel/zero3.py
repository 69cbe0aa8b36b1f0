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

from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.parallel.zero2 import ZeRO2
from collectives.llm.training.state import State


class ZeRO3(ZeRO2):
    """A shard of weights, gradients and moments."""

    def kept(self, group: Group) -> int:
        return self.shards[group][self.comm[group].rank]

    def hold(self) -> None:
        super().hold()
        self.gathered: dict[Group, np.ndarray] = {}
        self.requests: dict[Group, MPI.Request] = {}

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
                whole = self.ledger.new("gathered", group.size, self.recipe.stored)
                self.requests[group] = self.comm[group].Iallgatherv(
                    self.stored[group], [whole, self.shards[group]]
                )
                self.gathered[group] = whole

    def release(self, layer: Layer) -> None:
        for group in layer.groups:
            del self.gathered[group]

    update = State.update  # without an allgather: the next forward asks for the new weights
