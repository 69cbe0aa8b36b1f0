"""ZeRO-2: each rank keeps the gradients of its shard only, too.

In ZeRO-1 a rank adds up whole gradients and then uses a shard of them. Here the gradients of a
layer are reduce-scattered as soon as the backward has left it; what is not of this rank's
shard is gone before the next layer's come. The price: with several micro-batches there is a
reduce-scatter for each of them.

    sent per rank and step: micro-batches * (N-1)/N of the gradients + (N-1)/N of the weights
"""

from __future__ import annotations

import numpy as np

from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.parallel.zero1 import ZeRO1
from collectives.llm.training.recipe import add
from collectives.llm.training.state import State


class ZeRO2(ZeRO1):
    """Whole weights, and a shard of the gradients and moments."""

    def hold(self) -> None:
        State.hold(self)
        self.arriving: dict[Group, np.ndarray] = {}
        for group in self.groups:
            length = self.shards[group][self.comm[group].rank]
            self.summed[group] = self.ledger.new("gradients", length, self.recipe.summed)

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        for group in layer.groups:
            self.arriving[group] = self.ledger.new("buckets", group.size, self.recipe.summed)
        return self._gradients_in(layer, self.arriving)

    def arrived(self, layer: Layer, last: bool) -> None:
        self._take_in(layer, self.arriving)
        for group in layer.groups:
            whole = self.arriving.pop(group)
            add(self.shard_of_sum(group, whole), self.summed[group])

    def finish(self) -> None:
        """They have been summed, layer by layer."""
