"""One instance of a primitive: every rank's buffers, and the answer.

Tests, `verify`, the simulator and the bench all take their data from here. No
two ranks and no two elements hold the same number, outputs start out filled
with a sentinel, and sums of floats are exact in any order, so that a wrong
block, order or count cannot go unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from collectives import checks
from collectives.algorithms.language.blocks import Blocks, even_counts, partition, split
from collectives.algorithms.language.memory import phantom
from collectives.algorithms.language.registry import (
    GROUP,
    LINKS,
    REDUCTIONS,
    ROOTED,
    TOPOLOGY,
    Algorithm,
)
from collectives.nodes import layout
from collectives.operators import binned
from collectives.operators.operator import SUM, Operator

# What the simulator keeps for a rank, at least.
RANK_BYTES = 2048

SENTINEL = 0xA5  # each byte of an output that nobody has written

BLOCKWISE = frozenset({"scatter", "gather", "allgather", "reduce_scatter", "alltoall"})
CAN_BE_IN_PLACE = frozenset(
    {"scatter", "gather", "allgather", "reduce", "allreduce", "scan", "exscan"}
)


@dataclass(frozen=True)
class Buffers:
    """One rank's flat buffers; None where the rank has no such buffer.

    In bcast, whose one buffer is both, it is `recv`.
    """

    send: np.ndarray | None
    recv: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Problem:
    """One instance of a primitive.

    Parameters
    ----------
    primitive : str
    p : int
        Number of ranks.
    n : int
        Elements of the whole vector; in a blockwise primitive the sum over all
        blocks of one rank.
    root : int
        Ignored by primitives without a root.
    dtype : numpy.dtype
    operator : Operator
        Ignored by primitives that do not reduce.
    counts : sequence of int, or 2-d array for alltoall, optional
        Block lengths; as even as `n` allows by default. They replace `n`.
    in_place : bool
        The input lies in the output buffer, as under MPI.IN_PLACE.

    Raises
    ------
    ArgumentError
        An argument is out of its range.
    """

    primitive: str
    p: int
    n: int = 0
    root: int = 0
    dtype: np.dtype = np.dtype(np.int64)  # noqa: RUF009 - immutable
    operator: Operator = SUM
    counts: Sequence[int] | np.ndarray | None = None
    in_place: bool = False

    def __post_init__(self) -> None:
        title = str(self.primitive)
        object.__setattr__(self, "p", checks.ranks(title, self.p))
        checks.memory(title, f"the state of {self.p} ranks", self.p * RANK_BYTES)
        object.__setattr__(self, "n", checks.integer(title, "the number of elements n", self.n))
        if self.primitive in ROOTED:
            object.__setattr__(self, "root", checks.rank(title, "root", self.root, self.p))
        object.__setattr__(self, "dtype", checks.dtype(title, self.dtype))
        checks.instance(title, "operator", self.operator, Operator)
        if self.counts is not None:
            shape = (self.p, self.p) if self.primitive == "alltoall" else (self.p,)
            counts = checks.lengths(title, self.counts, shape)
            object.__setattr__(self, "counts", counts)
        checks.countable(title, self.p * self.size * self.dtype.itemsize)

    def __str__(self) -> str:
        root = f", root {self.root}" if self.primitive in ROOTED else ""
        operator = f", {self.operator.name}" if self.primitive in REDUCTIONS else ""
        in_place = ", in place" if self.in_place else ""
        return f"p = {self.p}, n = {self.size} {self.dtype}{root}{operator}{in_place}"

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Elements in each rank's block (scatter, gather, allgather, reduce_scatter)."""
        return even_counts(self.n, self.p) if self.counts is None else tuple(self.counts)

    @cached_property
    def matrix(self) -> np.ndarray:
        """Elements that go from each rank to each other in alltoall, shape (p, p)."""
        if self.counts is None:
            row = np.array(even_counts(self.n, self.p), np.int64)
            return np.broadcast_to(row, (self.p, self.p))
        return np.asarray(self.counts, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers of all ranks."""
        sizes = [(self.send_size(rank) or 0, self.recv_size(rank) or 0) for rank in range(self.p)]
        return sum(map(sum, sizes)) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Elements of the whole vector."""
        if self.counts is None:
            return 0 if self.primitive == "barrier" else self.n
        return int(np.sum(self.counts)) // (self.p if self.primitive == "alltoall" else 1)

    def send_size(self, rank: int) -> int | None:
        """Elements of the input on `rank`; None if it has none."""
        match self.primitive:
            case "barrier":
                return None
            case "bcast" | "scatter":
                return self.size if rank == self.root else None
            case "gather" | "allgather":
                return self.lengths[rank]
            case "alltoall":
                return int(self.matrix[rank].sum())
        return self.size

    def recv_size(self, rank: int) -> int | None:
        """Elements of the output on `rank`; None if it has none."""
        match self.primitive:
            case "barrier":
                return None
            case "gather" | "reduce":
                return self.size if rank == self.root else None
            case "scatter" | "reduce_scatter":
                return self.lengths[rank]
            case "alltoall":
                return int(self.matrix[:, rank].sum())
        return self.size

    def input(self, rank: int) -> np.ndarray | None:
        """What `rank` contributes; no two elements of all ranks are equal."""
        size = self.send_size(rank)
        return None if size is None else numbers(rank, size, self.dtype)

    @property
    def inputs(self) -> list[np.ndarray]:
        """What all ranks contribute, those that contribute something."""
        inputs = [self.input(rank) for rank in range(self.p)]
        return [data for data in inputs if data is not None]

    @cached_property
    def _prefixes(self) -> list[np.ndarray]:
        """The reduction over ranks 0 .. r, for every r."""
        sums = [numbers(0, self.size, self.dtype)]
        for rank in range(1, self.p):
            total = np.empty_like(sums[-1])
            self.operator.kernel(sums[-1], numbers(rank, self.size, self.dtype), total)
            sums.append(total)
        return sums

    def expected(self, rank: int) -> np.ndarray | None:
        """The right output on `rank`; None where there is none or it is undefined."""
        ranks = range(self.p)
        match self.primitive:
            case "barrier":
                return None
            case "bcast":
                return numbers(self.root, self.size, self.dtype)
            case "scatter":
                return partition(numbers(self.root, self.size, self.dtype), self.lengths)[rank]
            case "gather" | "reduce" if rank != self.root:
                return None
            case "gather" | "allgather":
                return np.concatenate([numbers(r, self.lengths[r], self.dtype) for r in ranks])
            case "alltoall":
                rows = [numbers(r, int(self.matrix[r].sum()), self.dtype) for r in ranks]
                return np.concatenate([partition(rows[r], self.matrix[r])[rank] for r in ranks])
            case "reduce_scatter":
                return partition(self._prefixes[-1], self.lengths)[rank]
            case "scan":
                return self._prefixes[rank]
            case "exscan":
                return self._prefixes[rank - 1] if rank > 0 else None
        return self._prefixes[-1]

    def buffers(self, rank: int) -> Buffers:
        """Fresh buffers: the input filled in, the output full of the sentinel."""
        data, size = self.input(rank), self.recv_size(rank)
        recv = None if size is None else sentinel(size, self.dtype)
        if self.primitive == "bcast":
            return Buffers(None, recv if data is None else data.copy())
        if not self.in_place or data is None or (recv is None and self.primitive != "scatter"):
            return Buffers(data, recv)
        if self.primitive == "scatter":
            data = data.copy()
            return Buffers(data, partition(data, self.lengths)[rank])
        assert recv is not None
        part = recv
        if self.primitive in ("gather", "allgather"):
            part = partition(recv, self.lengths)[rank]
        part[...] = data
        return Buffers(part, recv)

    def phantoms(self, rank: int) -> Buffers:
        """Buffers of the same sizes that take no memory, for cost-only runs."""
        sizes = [self.send_size(rank), self.recv_size(rank)]
        if self.primitive == "bcast":
            sizes[0] = None
        return Buffers(*[None if size is None else phantom(size, self.dtype) for size in sizes])

    def start(
        self, algorithm: Algorithm, rank: int, buffers: Buffers, parameters: Mapping[str, Any]
    ) -> Iterator:
        """The rounds of `algorithm` on `rank`."""
        arguments = self.arguments(algorithm, rank, buffers, parameters)
        given = dict(parameters)
        if algorithm.needs_groups:
            given = {key: x for key, x in given.items() if key not in (GROUP, TOPOLOGY, LINKS)}
        return algorithm.generator(rank, self.p, *arguments, **given)

    def arguments(
        self,
        algorithm: Algorithm,
        rank: int,
        buffers: Buffers,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> list:
        """What `algorithm` is called with on `rank`, after rank and p."""
        arguments = self._buffers(rank, buffers)
        if self.primitive in ROOTED:
            arguments.append(self.root)
        if algorithm.needs_counts:
            arguments.append(self.matrix if self.primitive == "alltoall" else self.lengths)
        if algorithm.needs_groups:
            arguments.append(layout(algorithm, self.p, parameters))
        return arguments

    def _buffers(self, rank: int, buffers: Buffers) -> list:
        send: Any = buffers.send
        recv: Any = buffers.recv
        match self.primitive:
            case "barrier":
                return []
            case "bcast":
                return [recv]
            case "scatter":
                send = None if send is None else self._cut(send)
            case "gather":
                recv = None if recv is None else self._cut(recv)
            case "allgather":
                recv = self._cut(recv)
            case "reduce_scatter":
                send = self._cut(send)
            case "alltoall" if self.counts is None:
                send, recv = self._cut(send), self._cut(recv)
            case "alltoall":
                send = partition(send, self.matrix[rank].tolist())
                recv = partition(recv, self.matrix[:, rank].tolist())
        return [send, recv]

    def _cut(self, buf: np.ndarray) -> Blocks:
        """A block for each rank; without p numbers of its own for each rank."""
        return split(buf, self.p) if self.counts is None else partition(buf, self.lengths)


@lru_cache(maxsize=4096)
def numbers(rank: int, size: int, dtype: np.dtype) -> np.ndarray:
    """`size` different numbers that no other rank has, read-only.

    Small enough that their sums are exact in float64 for 10 000 ranks; in small
    integer types they wrap round, and logical ones alternate.
    """
    seeds = np.arange(size, dtype=np.int64) + rank * 100_003 + 1
    if dtype == binned.RECORD:  # of floats of all sizes and both signs
        values = np.empty(size, dtype)
        scaled = np.ldexp(seeds * (1.0 - seeds % 3), seeds * 37 % 400 - 200)
        binned.encode(scaled, values)
    elif dtype.fields is not None:  # matrices that do not commute
        values = np.zeros(size, dtype)
        entries = np.stack([seeds % 5 + 1, seeds % 3, seeds % 7, seeds % 11 + 1], axis=-1)
        values["m"] = entries.reshape(size, 2, 2)
    elif dtype.kind == "c":
        values = (seeds - 1j * (seeds % 1009)).astype(dtype)
    elif dtype.kind == "b":
        values = (seeds // 3 + rank) % 2 == 0
    else:
        values = seeds.astype(dtype)
    values.flags.writeable = False
    return values


def sentinel(size: int, dtype: np.dtype) -> np.ndarray:
    """A buffer full of a value that no result contains."""
    return np.frombuffer(bytearray(bytes([SENTINEL]) * (size * dtype.itemsize)), dtype)
