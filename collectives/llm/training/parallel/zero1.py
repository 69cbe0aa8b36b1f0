"""ZeRO-1: each rank keeps the moments of its shard of the weights only.

Adam's moments are twice as large as the weights, and with 16-bit weights there is a master
copy as well; nobody needs them but who updates. So each rank updates a shard. It needs the
summed gradients of that shard, which is a reduce-scatter, and all need the new weights, which is
an allgather: together they are what a ring's allreduce does anyway, so nothing more is sent.

    sent per rank and step: (N-1)/N of the gradients + (N-1)/N of the weights
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from collectives.llm.training.ledger import shard, shards
from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.recipe import clear
from collectives.llm.training.state import Setting, State


class ZeRO1(State):
    """Whole weights and gradients, and a shard of the moments."""

    def __init__(self, layers: list[Layer], setting: Setting):
        super().__init__(layers, setting)
        self.whole = {}
        for group in self.groups:
            self.stored[group] = self.ledger.new("weights", group.size, self.recipe.stored)
            self.whole[group] = self.ledger.new("gradients", group.size, self.recipe.summed)

    def part(self, group: Group) -> slice:
        return shard(group.size, self.comm[group].size, self.comm[group].rank)

    def weights(self, layer: Layer, ahead: Layer | None) -> dict[str, np.ndarray]:
        return self._weights_in(layer, self.stored)

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        return self._gradients_in(layer, self.whole)

    def arrived(self, layer: Layer, last: bool) -> None:
        self._take_in(layer, self.whole)

    def finish(self) -> None:
        for group in self.groups[::-1]:
            comm, whole = self.comm[group], self.whole[group]
            lengths = shards(group.size, comm.size)
            comm.Reduce_scatter(MPI.IN_PLACE, whole, lengths, op=self.setting.op)
            self.summed[group] = whole[: lengths[comm.rank]]  # in place: it comes to the front

    def update(self, number: int, factor: float) -> None:
        for group in self.groups:
            self._adam(group, number, factor)
            clear(self.whole[group])
            comm, weights = self.comm[group], self.stored[group]
            comm.Allgatherv(MPI.IN_PLACE, [weights, shards(group.size, comm.size)])
