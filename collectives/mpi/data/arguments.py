"""From the buffers of a call to the arguments of an algorithm, checked.

One function per primitive reads its buffers, checks them against each other,
and returns what the algorithm is called with. Nothing is sent or written here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from collectives.algorithms.language.blocks import Blocks, partition
from collectives.algorithms.language.steps import copy
from collectives.engines.packing import address_of
from collectives.errors import ArgumentError, BufferMismatch
from collectives.mpi.data.blocks import read_blocks
from collectives.mpi.data.buffers import Vector, datatype_of, is_in_place, read
from collectives.mpi.data.staging import Chained, Place, Placement, Staged, Staging, Widened
from collectives.operators.operator import Operator


@dataclass
class Arguments:
    """What an algorithm is called with after rank and p.

    Attributes
    ----------
    values : list
        The arguments, without the root and the counts.
    like : Vector or None
        A buffer whose units and datatype stand for all; None in a barrier.
    counts : sequence of int, or 2-d array for alltoall
        The block lengths of all ranks, in units.
    prelude : list of copy
        Copies to make before the algorithm starts, each time it runs.
    """

    values: list
    like: Vector | None = None
    counts: Any = ()
    prelude: list[copy] = field(default_factory=list)


# Where the buffers stand in a call.
POSITIONS = {"buf": 0, "sendbuf": 0, "recvbuf": 1}


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
        None where blocks are equal. In a v-variant the lengths of all blocks, in
        units, as far as the caller knows them: one per rank; in alltoall the bytes
        of a p x p matrix of int64; or empty, if the buffers say enough.
    reduces : bool
        Whether whole elements are the units, because an operator works on them.
    widens : Operator or None
        The operator, if it works on wider elements than the buffers have.
    stage : int
        Up to so many bytes a buffer is staged, even if it has no gaps.
    placement : Placement
        Where the buffers are that have been read.
    """

    title: str
    rank: int
    p: int
    root: int | None = None
    counts: tuple[int, ...] | bytes | None = None
    reduces: bool = False
    widens: Operator | None = None
    stage: int = 0
    placement: Placement = field(default_factory=Placement)

    @property
    def at_root(self) -> bool:
        return self.rank == self.root

    def input(self, name: str, buf: Any, blocked: bool = False) -> Vector:
        """A buffer that is read; `blocked` says that it has one block per rank."""
        vector = self._read(name, buf, blocked, writes=False)
        self.found(name, vector, loads=True, stores=False)
        return vector

    def output(
        self,
        name: str,
        buf: Any,
        blocked: bool = False,
        reads: bool = False,
        writes: bool = True,
    ) -> Vector:
        """A buffer that is written; `reads` says that what is in it counts, too.

        Without `writes` it could be written, but this time it is not.
        """
        vector = self._read(name, buf, blocked, writes=True)
        self.found(name, vector, loads=reads, stores=writes)
        return vector

    def found(self, name: str, vector: Vector, loads: bool, stores: bool) -> None:
        """Note where a buffer is.

        From a GPU all is fetched, so that what is not written is brought back as it was.
        """
        position = POSITIONS[name]
        loads = loads or vector.memory.gpu is not None
        self.placement.addresses[position] = vector.memory.address
        if vector.staging is not None:
            self.placement.staged.append(Staged(position, vector.staging, loads, stores))
        elif vector.view.size:
            memory = vector.memory
            place = Place(memory.address, *vector.span, memory.readonly)
            self.placement.placed[position] = place

    def _read(self, name: str, buf: Any, blocked: bool, writes: bool) -> Vector:
        title = f"{self.title}: rank {self.rank} of {self.p}"
        blocks, vary = (self.p, self.counts is not None) if blocked else (1, False)
        stage = self.stage if self.widens is None else 0
        given: dict[str, Any] = {"vary": vary, "writes": writes, "whole": self.reduces}
        vector = read(title, name, buf, blocks, stage=stage, **given)
        return vector if self.widens is None else widened(self.title, vector, self.widens)

    def mismatch(
        self, name: str, needed: str, got: Any, todo: str = "", mpi_class: str | None = None
    ) -> BufferMismatch:
        todo = f"; {todo}" if todo else ""
        return BufferMismatch(
            f"{self.title}: rank {self.rank} of {self.p}: {name} needs {needed}, got {got}{todo}",
            mpi_class,
        )

    def length(self, name: str, vector: Vector, needed: int, why: str) -> None:
        if vector.view.size != needed:
            mpi_class = "ERR_TRUNCATE" if name == "recvbuf" else "ERR_COUNT"
            got = vector.view.size
            raise self.mismatch(name, f"{needed} elements ({why})", got, mpi_class=mpi_class)

    def separate(self, sendbuf: Vector, recvbuf: Vector) -> None:
        """Two buffers of one call: the same type, and no common memory."""
        units = sendbuf.element.unit, recvbuf.element.unit
        if units[0] != units[1]:
            needed = f"recvbuf's dtype {units[1]}"
            raise self.mismatch("sendbuf", needed, units[0], mpi_class="ERR_TYPE")
        types = sendbuf.element.datatype, recvbuf.element.datatype
        if self.reduces and types[0] != types[1] and not all(t.is_predefined for t in types):
            raise self.mismatch("sendbuf", "recvbuf's datatype", "another", mpi_class="ERR_TYPE")
        self._apart(sendbuf, recvbuf)

    def _apart(self, sendbuf: Vector, recvbuf: Vector) -> None:
        """Neither overlaps the other, here or wherever the plan will be used.

        What has gaps may: it is read before and written after all else.
        """
        parts = [vector.span for vector in (sendbuf, recvbuf)]
        if any(low == high for low, high in parts):
            return
        (first, last), (start, end) = (
            (low + vector.memory.address, high + vector.memory.address)
            for vector, (low, high) in zip((sendbuf, recvbuf), parts)
        )
        if first < end and start < last:
            raise self.mismatch(
                "recvbuf", "memory of its own", "a buffer that overlaps sendbuf", "use MPI.IN_PLACE"
            )
        self.placement.apart = (0, *parts[0]), (1, *parts[1])

    def lengths(self, otherwise: int) -> tuple[int, ...]:
        """The block lengths of all ranks, by default p times the same."""
        return tuple(self.counts or (otherwise,) * self.p)

    def counts_of(self, vector: Vector) -> tuple[int, ...]:
        """Counts of a vector with one block per rank; equal ones unless it has others."""
        if vector.counts is None:
            return (vector.view.size // self.p,) * self.p
        return tuple(vector.counts)

    def targets(self, name: str, blocks: Blocks) -> None:
        """Blocks that are written must not overlap each other."""
        spans = sorted((a, b) for a, b in zip(blocks.starts, blocks.stops, strict=True) if a < b)
        if any(stop > start for (_, stop), (start, _) in pairwise(spans)):
            raise self.mismatch(name, "blocks that do not overlap", f"{spans}")


def widened(title: str, vector: Vector, operator: Operator) -> Vector:
    """A vector of the wider elements that an operator works on, for a vector of numbers.

    Raises
    ------
    ArgumentError
        The operator is not defined for such numbers.
    """
    element, widening = vector.element, operator.widening
    assert widening is not None
    # Of a derived datatype, what its bytes mean is not known.
    plain = element.datatype.is_predefined or element.datatype == datatype_of(element.unit)
    if plain and widening.is_wide(element.unit):
        return vector
    dtype = widening.dtype_of(element.unit) if plain else None
    if dtype is None:
        got, todo = str(element.unit) if plain else "a derived datatype", "convert the data"
        if plain and element.unit.kind in "iu":
            todo = "use MPI.SUM, which is exact for integers"
        raise ArgumentError(
            f"{title}: op must be defined for the datatype, got {operator.name} for {got}; {todo}",
            mpi_class="ERR_OP",
        )
    if vector.staging is None:
        staging: Staging = Widened(vector.view, vector.memory.address, dtype, widening)
    else:
        wider = Widened(vector.view, address_of(vector.view), dtype, widening)
        staging = Chained(vector.staging, wider)
    return replace(vector, view=staging.view, span=(0, 0), staging=staging)


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
    whole = call.input("sendbuf", sendbuf, blocked=True)
    counts = call.counts_of(whole)
    blocks = whole.blocks(counts)
    if is_in_place(recvbuf):
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
    whole = call.output("recvbuf", recvbuf, blocked=True, reads=is_in_place(sendbuf))
    counts = call.counts_of(whole)
    blocks = whole.blocks(counts)
    call.targets("recvbuf", blocks)
    if is_in_place(sendbuf):
        return Arguments([blocks[call.rank], blocks], whole, counts)
    mine = call.input("sendbuf", sendbuf)
    call.separate(mine, whole)
    call.length("sendbuf", mine, counts[call.rank], "its block of recvbuf")
    return Arguments([mine.view, blocks], whole, counts)


def elementwise(call: Reader, sendbuf: Any, recvbuf: Any, writes: bool = True) -> Arguments:
    """A vector in, a vector out, which is not touched unless the algorithm `writes` it."""
    result = call.output("recvbuf", recvbuf, reads=is_in_place(sendbuf), writes=writes)
    if is_in_place(sendbuf):
        return Arguments([result.view, result.view], result)
    mine = call.input("sendbuf", sendbuf)
    call.separate(mine, result)
    call.length("sendbuf", mine, result.view.size, "as many as recvbuf")
    return Arguments([mine.view, result.view], result)


def exscan(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    """Nothing comes before rank 0: its recvbuf stays as it is."""
    return elementwise(call, sendbuf, recvbuf, writes=call.rank > 0)


def reduce(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    if call.at_root:
        return elementwise(call, sendbuf, recvbuf)
    mine = call.input("sendbuf", sendbuf)
    return Arguments([mine.view, None], mine)


def reduce_scatter(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    equal = call.counts is None
    in_place = is_in_place(sendbuf)
    result = call.output("recvbuf", recvbuf, blocked=equal and in_place, reads=in_place)
    if in_place:
        counts = call.counts_of(result) if equal else call.lengths(0)
        call.length("recvbuf", result, sum(counts), "the whole vector, in place")
        twin = np.empty_like(result.view)
        mine = result.view[: counts[call.rank]]
        prelude = [copy(result.view, twin)]
        return Arguments([partition(twin, counts), mine], result, counts, prelude)
    whole = call.input("sendbuf", sendbuf, blocked=equal)
    call.separate(whole, result)
    counts = call.lengths(result.view.size)
    call.length("recvbuf", result, counts[call.rank], "its block of sendbuf")
    call.length("sendbuf", whole, sum(counts), "the blocks of all ranks")
    return Arguments([partition(whole.view, counts), result.view], result, counts)


def alltoall(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    result = call.output("recvbuf", recvbuf, blocked=True, reads=is_in_place(sendbuf))
    if is_in_place(sendbuf):
        mine = replace(result, view=np.empty_like(result.view))
        return exchanged(call, mine, result, [copy(result.view, mine.view)])
    mine = call.input("sendbuf", sendbuf, blocked=True)
    call.separate(mine, result)
    return exchanged(call, mine, result, [])


def exchanged(call: Reader, mine: Vector, result: Vector, prelude: list[copy]) -> Arguments:
    """The blocks of both buffers of an all-to-all, which fit."""
    coming, going = call.counts_of(result), call.counts_of(mine)
    incoming = result.blocks(coming)
    call.targets("recvbuf", incoming)
    matrix = np.array(going, np.int64)
    if call.counts is None:
        call.length("sendbuf", mine, result.view.size, "as many as recvbuf")
        matrix = np.broadcast_to(matrix, (call.p, call.p))
    elif call.counts:
        matrix = np.frombuffer(bytes(call.counts), np.int64).reshape(call.p, call.p)
        sent = matrix[:, call.rank].tolist()
        if sent != list(coming):
            needed = f"the counts that the ranks send, {sent}"
            raise call.mismatch("recvbuf", needed, list(coming), mpi_class="ERR_TRUNCATE")
    if going[call.rank] != coming[call.rank]:
        needed = f"{going[call.rank]} elements from the rank itself, as sendbuf has"
        raise call.mismatch("recvbuf", needed, coming[call.rank], mpi_class="ERR_TRUNCATE")
    return Arguments([mine.blocks(going), incoming], result, matrix, prelude)


def alltoallw(call: Reader, sendbuf: Any, recvbuf: Any) -> Arguments:
    """Blocks of different datatypes, as an alltoall of packed bytes."""
    result = read_blocks(call.title, "recvbuf", recvbuf, call.p, writes=True)
    call.found("recvbuf", result, loads=is_in_place(sendbuf), stores=True)
    if is_in_place(sendbuf):
        mine = replace(result, view=np.empty_like(result.view))
        return exchanged(call, mine, result, [copy(result.view, mine.view)])
    mine = read_blocks(call.title, "sendbuf", sendbuf, call.p, writes=False)
    call.found("sendbuf", mine, loads=True, stores=False)
    return exchanged(call, mine, result, [])


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
    "alltoallw": alltoallw,
    "scan": elementwise,
    "exscan": exscan,
}


def check_root(title: str, root: Any, p: int) -> int:
    """Raise ArgumentError unless `root` is one of p ranks."""
    if isinstance(root, (int, np.integer)) and 0 <= root < p:
        return int(root)
    raise ArgumentError(
        f"{title}: root must be a rank from 0 to {p - 1}, got {root!r}", mpi_class="ERR_ROOT"
    )
