"""Data parallelism: each rank has the whole model, and its own part of the data.

After the backward every rank has other gradients. An allreduce gives all of them the sum, so
that all update their weights alike, and stay alike. The gradients of the last layers are ready
first: while the backward goes on, they are already on their way, in buckets, because one long
message is quicker than many short ones.

    sent per rank and step: 2 (N-1)/N of the gradients
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.llm.training.model.layers import Layer
from collectives.llm.training.model.parameters import Group
from collectives.llm.training.state import Setting, State


@dataclass
class Bucket:
    """Gradients that are sent together.

    Attributes
    ----------
    groups : list of Group
    comm : MPI.Intracomm
    vector : numpy.ndarray
        All of them, one behind the other.
    missing : set of Group
        Those whose gradients are not complete yet.
    """

    groups: list[Group]
    comm: Any
    vector: np.ndarray
    missing: set[Group]


class DDP(State):
    """Weights, gradients and moments are all here.

    Attributes
    ----------
    overlap : bool
        Whether an allreduce goes on while the backward does.
    waited : float
        Seconds of the last step in which nothing was done but wait for allreduces.
    """

    def __init__(self, layers: list[Layer], setting: Setting):
        super().__init__(layers, setting)
        self.overlap, self.waited = True, 0.0
        self.requests: list[MPI.Request] = []

    def part(self, group: Group) -> slice:
        return slice(0, group.size)

    def hold(self) -> None:
        super().hold()
        self.buckets: dict[Group, Bucket] = {}
        for groups in bucketed(self.groups[::-1], self.comm, self.setting):
            length = sum(group.size for group in groups)
            vector = self.ledger.new("gradients", length, self.recipe.summed)
            bucket = Bucket(groups, self.comm[groups[0]], vector, set(groups))
            for group in groups:
                self.buckets[group] = bucket
                self.summed[group], vector = vector[: group.size], vector[group.size :]

    def gradients(self, layer: Layer) -> dict[str, np.ndarray]:
        return self._gradients_in(layer, self.summed)

    def arrived(self, layer: Layer, last: bool) -> None:
        self._take_in(layer, self.summed)
        for group in layer.groups if last else ():
            bucket = self.buckets[group]
            bucket.missing.remove(group)
            if not bucket.missing:
                self._sum(bucket)

    def _sum(self, bucket: Bucket) -> None:
        """All gradients of a bucket are there: sum them over the ranks."""
        bucket.missing.update(bucket.groups)  # those of the next step
        op, options = self.setting.op, self.setting.options
        if self.overlap:
            request = bucket.comm.Iallreduce(MPI.IN_PLACE, bucket.vector, op=op, **options)
            self.requests.append(request)
        else:
            start = perf_counter()
            bucket.comm.Allreduce(MPI.IN_PLACE, bucket.vector, op=op, **options)
            self.waited += perf_counter() - start

    def finish(self) -> None:
        start = perf_counter()
        MPI.Request.Waitall(self.requests)
        self.requests.clear()
        self.waited += perf_counter() - start


def bucketed(groups: list[Group], comm: dict[Group, Any], setting: Setting) -> list[list[Group]]:
    """Groups in the order in which their gradients come, put together until they are enough."""
    done: list[list[Group]] = []
    begun: dict[Any, list[Group]] = {}  # one for each communicator
    for group in groups:
        bucket = begun.setdefault(id(comm[group]), [])
        bucket.append(group)
        if sum(each.size for each in bucket) * setting.recipe.summed.itemsize >= setting.bucket:
            done.append(begun.pop(id(comm[group])))
    return done + list(begun.values())
