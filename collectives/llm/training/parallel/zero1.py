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

from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.recipe import clear
from collectives.llm.training.state import State


class ZeRO1(State):
    """Whole weights and gradients, and a shard of the moments."""

    def hold(self) -> None:
        super().hold()
        self.whole = {
            group: self.ledger.new("gradients", group.size, self.recipe.summed)
            for group in self.groups
        }

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        return self._gradients_in(layer, self.whole)

    def arrived(self, layer: Layer, last: bool) -> None:
        self._take_in(layer, self.whole)

    def finish(self) -> None:
        for group in self.groups[::-1]:
            whole = self.whole[group]
            mine = self.summed[group] = self.shard_of_sum(group, whole)
            clear(whole[mine.size :])

    def shard_of_sum(self, group: Group, whole: np.ndarray) -> np.ndarray:
        """This rank's shard of the sum over the ranks; in place, so it comes to the front."""
        comm, lengths = self.comm[group], self.shards[group]
        comm.Reduce_scatter(MPI.IN_PLACE, whole, lengths, op=self.setting.op)
        return whole[: lengths[comm.rank]]

    def update(self, number: int, factor: float) -> None:
        super().update(number, factor)
        for group in self.groups:
            self.comm[group].Allgatherv(MPI.IN_PLACE, [self.stored[group], self.shards[group]])
