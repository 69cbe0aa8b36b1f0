"""From the buffers of a call to the arguments of an algorithm, checked.

One function per primitive reads its buffers, checks them against each other,
and returns what the algorithm is called with. Nothing is sent or written here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.blocks import Blocks, partition
from collectives.algorithms.steps import copy
from collectives.buffers import Vector, read
from collectives.errors import ArgumentError, BufferMismatch


@dataclass
class Arguments:
    """What an algorithm is called with after rank and p.

    Attributes
    ----------
    values : list
        The arguments, without the root and the counts.
    like : Vector or None
        A buffer whose dtype and datatype stand for all; None in a barrier.
    counts : sequence of int, or 2-d array for alltoall
        The block lengths of all ranks.
    prelude : list of copy
        Copies to make before the algorithm starts, each time it runs.
    """

    values: list
    like: Vector | None = None
    counts: Any = ()
    prelude: list[copy] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """Reads and compares the buffers of one call on one rank.

    Attributes
    ----------
    title : str
        Full name of the algorithm, for messages.
    rank, p : int
    root : int or None
    counts : tuple of int, bytes or None
        None where blocks are equal. In a v-variant the lengths of all blocks
        as far as the caller knows them: one per rank; in alltoall the bytes of
        a p x p matrix of int64; or empty, if the buffers say enough.
    """

    title: str
    rank: int
    p: int
    root: int | None = None
    counts: tuple[int, ...] | bytes | None = None

    @property
    def vary(self) -> int | None:
        """How many counts a buffer with one per rank may give; None if it may not."""
        return None if self.counts is None else self.p

    @property
    def at_root(self) -> bool:
        return self.rank == self.root

    def input(self, name: str, buf: Any, p: int | None = None, blocks: int = 1) -> Vector:
        return read(self.title, name, buf, p, blocks)

    def output(self, name: str, buf: Any, p: int | None = None, blocks: int = 1) -> Vector:
        vector = read(self.title, name, buf, p, blocks)
        if not vector.writable:
            raise self.mismatch(name, "writable memory", "a read-only buffer")
        return vector

    def mismatch(self, name: str, needed: str, got: Any, todo: str = "") -> BufferMismatch:
        todo = f"; {todo}" if todo else ""
        return BufferMismatch(
            f"{self.title}: rank {self.rank} of {self.p}: {name} needs {needed}, got {got}{todo}"
        )

    def length(self, name: str, vector: Vector, needed: int, why: str) -> None:
        if vector.view.size != needed:
            raise self.mismatch(name, f"{needed} elements ({why})", vector.view.size)

    def separate(self, sendbuf: Vector, recvbuf: Vector) -> None:
        """Two buffers of one call: the same dtype, and no common memory."""
        if sendbuf.view.dtype != recvbuf.view.dtype:
            raise self.mismatch(
                "sendbuf", f"recvbuf's dtype {recvbuf.view.dtype}", sendbuf.view.dtype
            )
        if np.may_share_memory(sendbuf.view, recvbuf.view):
            raise self.mismatch(
                "recvbuf", "memory of its own", "a buffer that overlaps sendbuf", "use MPI.IN_PLACE"
            )

    def lengths(self, otherwise: int) -> tuple[int, ...]:
        """The block lengths of all ranks, by default p times the same."""
        return tuple(self.counts or (otherwise,) * self.p)

    def even(self, name: str, vector: Vector) -> tuple[int, ...]:
        """Counts of a vector that is cut into p equal blocks."""
        if vector.view.size % self.p:
            raise self.mismatch(name, f"a multiple of {self.p} elements", vector.view.size)
        return (vector.view.size // self.p,) * self.p

    def counts_of(self, name: str, vector: Vector) -> tuple[int, ...]:
        """Counts of a vector with one count per rank; equal ones without."""
        return self.even(name, vector) if vector.counts is None else tuple(vector.counts)

    def targets(self, name: str, blocks: Blocks) -> None:
        """Blocks that are written must not overlap each other."""
        spans = sorted((a, b) for a, b in zip(blocks.starts, blocks.stops, strict=True) if a < b)
        if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
            raise self.mismatch(name, "blocks that do not overlap", f"{spans}")


def _in_place(buf: Any) -> bool:
    return isinstance(buf, MPI.InPlaceType)


def barrier(call: Reader) -> Arguments:
    return Arguments([])


def bcast(call: Reader, buf: Any) -> Arguments:
    if not call.at_root:
        vector = call.output("buf", buf)
        return Arguments([vector.view], vector)
    vector = call.input("buf", buf)
    if vector.writable:
        return Arguments([vector.view], vector)
    # Some algorithms send the root its own blocks back: give them a copy.
    double = np.empty_like(vector.view)
    return Arguments([double], vector, prelude=[copy(vector.view, double)])


def scatter(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    if not call.at_root:
        mine = call.output("recvbuf", recvbuf)
        counts = call.lengths(mine.view.size)
        call.length("recvbuf", mine, counts[call.rank], "the root's count for this rank")
        return Arguments([None, mine.view], mine, counts)
    whole = call.input("sendbuf", sendbuf, call.vary, call.p)
    counts = call.counts_of("sendbuf", whole)
    blocks = whole.blocks(counts)
    if _in_place(recvbuf):
        return Arguments([blocks, blocks[call.rank]], whole, counts)
    mine = call.output("recvbuf", recvbuf)
    call.separate(whole, mine)
    call.length("recvbuf", mine, counts[call.rank], "its block of sendbuf")
    return Arguments([blocks, mine.view], mine, counts)


def gather(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    if call.at_root:
        return allgather(call, sendbuf, recvbuf)
    mine = call.input("sendbuf", sendbuf)
    counts = call.lengths(mine.view.size)
    call.length("sendbuf", mine, counts[call.rank], "the root's count for this rank")
    return Arguments([mine.view, None], mine, counts)


def allgather(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    """Where all blocks arrive, with this rank's own block from sendbuf."""
    whole = call.output("recvbuf", recvbuf, call.vary, call.p)
    counts = call.counts_of("recvbuf", whole)
    blocks = whole.blocks(counts)
    call.targets("recvbuf", blocks)
    if _in_place(sendbuf):
        return Arguments([blocks[call.rank], blocks], whole, counts)
    mine = call.input("sendbuf", sendbuf)
    call.separate(mine, whole)
    call.length("sendbuf", mine, counts[call.rank], "its block of recvbuf")
    return Arguments([mine.view, blocks], whole, counts)


def elementwise(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    """allreduce, scan and exscan: a vector in, a vector out."""
    result = call.output("recvbuf", recvbuf)
    if _in_place(sendbuf):
        return Arguments([result.view, result.view], result)
    mine = call.input("sendbuf", sendbuf)
    call.separate(mine, result)
    call.length("sendbuf", mine, result.view.size, "as many as recvbuf")
    return Arguments([mine.view, result.view], result)


def reduce(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    if call.at_root:
        return elementwise(call, sendbuf, recvbuf)
    mine = call.input("sendbuf", sendbuf)
    return Arguments([mine.view, None], mine)


def reduce_scatter(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    blocks = call.p if call.counts is None else 1
    if _in_place(sendbuf):
        result = call.output("recvbuf", recvbuf, None, blocks)
        counts = call.lengths(0) if call.counts else call.even("recvbuf", result)
        call.length("recvbuf", result, sum(counts), "the whole vector, in place")
        twin = np.empty_like(result.view)
        mine = result.view[: counts[call.rank]]
        prelude = [copy(result.view, twin)]
        return Arguments([partition(twin, counts), mine], result, counts, prelude)
    result = call.output("recvbuf", recvbuf)
    whole = call.input("sendbuf", sendbuf, None, blocks)
    call.separate(whole, result)
    counts = call.lengths(result.view.size)
    call.length("recvbuf", result, counts[call.rank], "its block of sendbuf")
    call.length("sendbuf", whole, sum(counts), "the blocks of all ranks")
    return Arguments([partition(whole.view, counts), result.view], result, counts)


def alltoall(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    result = call.output("recvbuf", recvbuf, call.vary, call.p)
    coming = call.counts_of("recvbuf", result)
    incoming = result.blocks(coming)
    call.targets("recvbuf", incoming)
    prelude = []
    if _in_place(sendbuf):
        twin = np.empty_like(result.view)
        prelude.append(copy(result.view, twin))
        mine = Vector(twin, result.datatype, result.counts, result.displs)
    else:
        mine = call.input("sendbuf", sendbuf, call.vary, call.p)
        call.separate(mine, result)
    going = call.counts_of("sendbuf", mine)
    matrix = np.array(going, np.int64)
    if call.counts is None:
        call.length("sendbuf", mine, result.view.size, "as many as recvbuf")
        matrix = np.broadcast_to(matrix, (call.p, call.p))
    elif call.counts:
        matrix = np.frombuffer(bytes(call.counts), np.int64).reshape(call.p, call.p)
        sent = matrix[:, call.rank].tolist()
        if sent != list(coming):
            raise call.mismatch("recvbuf", f"the counts that the ranks send, {sent}", list(coming))
    if going[call.rank] != coming[call.rank]:
        needed = f"{going[call.rank]} elements from the rank itself, as sendbuf has"
        raise call.mismatch("recvbuf", needed, coming[call.rank])
    return Arguments([mine.blocks(going), incoming], result, matrix, prelude)


READERS: dict[str, Callable[..., Arguments]] = {
    "barrier": barrier,
    "bcast": bcast,
    "scatter": scatter,
    "gather": gather,
    "allgather": allgather,
    "reduce": reduce,
    "allreduce": elementwise,
    "reduce_scatter": reduce_scatter,
    "alltoall": alltoall,
    "scan": elementwise,
    "exscan": elementwise,
}


def check_root(title: str, root: Any, p: int) -> int:
    """Raise ArgumentError unless `root` is one of p ranks."""
    if isinstance(root, (int, np.integer)) and 0 <= root < p:
        return int(root)
    raise ArgumentError(f"{title}: root must be a rank from 0 to {p - 1}, got {root!r}")
