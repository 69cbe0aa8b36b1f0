"""Calls with memory, datatypes and operators of all kinds, ours against the built-in ones.

All are of 1 KiB, blocking and repeated. What is no numpy array, a datatype or an operator that
the program made, and a datatype for each block should cost little more than an array does.
"""

from __future__ import annotations

import array
import mmap
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from collectives.errors import WrongResult
from collectives.mpi.comm import Comm

from .overhead import compare

NBYTES = 1024
DOUBLES = NBYTES // 8


class Kind(NamedTuple):
    """One kind of call: the name of a method, its arguments, and the memory that it fills."""

    title: str
    method: str
    arguments: tuple
    result: Any


def makers() -> dict[str, Callable[[int], Any]]:
    """What makes memory of so many bytes, by kind."""
    found: dict[str, Callable[[int], Any]] = {
        "numpy array": lambda n: np.zeros(n, np.uint8),
        "bytearray": bytearray,
        "memoryview": lambda n: memoryview(bytearray(n)),
        "array.array": lambda n: array.array("B", bytes(n)),
        "mmap": lambda n: mmap.mmap(-1, n),
        "MPI.Alloc_mem": MPI.Alloc_mem,
    }
    with suppress(ImportError):
        torch = import_module("torch")

        found["torch tensor"] = lambda n: torch.zeros(n, dtype=torch.uint8)
    return found


def kinds(rank: int, p: int) -> Iterator[Kind]:
    """All kinds of calls, with different data on each rank."""
    for name, make in makers().items():
        send, recv = make(NBYTES), make(NBYTES * p)
        view(send)[:] = (np.arange(NBYTES) * 7 + rank) % 251
        yield Kind(f"allgather, {name}", "Allgather", (send, recv), recv)
    data, other = np.arange(DOUBLES * p) + 1000.0 * rank, np.zeros(DOUBLES * p)
    mine = data[:DOUBLES]
    typed = [mine, DOUBLES, MPI.DOUBLE], [other, DOUBLES, MPI.DOUBLE]
    yield Kind("allgather, [data, count, datatype]", "Allgather", typed, other)
    vector = MPI.DOUBLE.Create_vector(DOUBLES // 2, 1, 2).Commit()
    derived = [mine, 1, vector], [other, DOUBLES // 2, MPI.DOUBLE]
    yield Kind("allgather, derived datatype", "Allgather", derived, other)
    add = MPI.Op.Create(_add, commute=True)
    total = np.zeros(DOUBLES)
    yield Kind("allreduce, the program's operator", "Allreduce", (mine, total, add), total)
    counts = [DOUBLES] * p
    yield Kind("allgatherv, counts", "Allgatherv", (mine, [other, counts]), other)
    share = DOUBLES // p
    layout = [share] * p, [8 * share * rank for rank in range(p)]
    sides = [[buf, layout, [MPI.DOUBLE] * p] for buf in (data, other)]
    yield Kind("alltoallw", "Alltoallw", tuple(sides), other)
    add.Free()
    vector.Free()


def _add(left: Any, right: Any, _: MPI.Datatype) -> None:
    total = np.frombuffer(right)
    total += np.frombuffer(left)


def view(memory: Any) -> np.ndarray:
    """The bytes of memory of any kind."""
    if hasattr(memory, "numpy"):
        memory = memory.numpy()
    return np.asarray(memoryview(memory)).view(np.uint8)


def check(kind: Kind, calls: list[Callable[[], object]]) -> None:
    """Raise WrongResult unless ours leaves the same as the built-in."""
    right: np.ndarray | None = None
    for call in calls:
        view(kind.result)[:] = 0xA5
        call()
        if right is not None and not np.array_equal(view(kind.result), right):
            raise WrongResult(f"{kind.title}: another result than the built-in's")
        right = view(kind.result).copy()


def measure(comm: Comm, seconds: float) -> dict[str, float]:
    """Ours over the built-in for each kind; rank 0 prints."""
    ratios = {}
    for kind in kinds(comm.rank, comm.size):
        both = MPI.COMM_WORLD, comm
        calls = [partial(getattr(each, kind.method), *kind.arguments) for each in both]
        check(kind, [*calls, calls[1], calls[1]])
        builtin, ours = compare(comm, calls, seconds, repeated=True).min(axis=0)
        ratios[kind.title] = ours / builtin
        if comm.rank == 0:
            print(f"{kind.title:38} {builtin:8.2f} us  {ours / builtin:10.2f}x", flush=True)
    return ratios
