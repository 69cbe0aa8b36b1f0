"""Our blocking, nonblocking and persistent forms against the built-in blocking one.

::

    mpirun -n 4 python -m collectives.bench.forms [PRIMITIVE ...] [--sizes 8,1K] [--seconds 1]

Every cell is a ratio of minima over interleaved repetitions in one run: below 1 ours
is quicker. `first` is a blocking call that is the first of its kind, `moved` one with
other buffers than all before it, though of the same lengths. `cached` is a blocking call
repeated with the same buffers, as are `nonblocking` and `persistent`. In the end come
the geometric means of the ratios, of all rows and of the long ones, and the worst of the
shortest rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np
from mpi4py import MPI
from rich.text import Text

from collectives.channel import channel_of
from collectives.comm import Comm
from collectives.errors import WrongResult
from collectives.units import format_bytes, parse_bytes

from .report import console, header
from .system import system

SIZES = "8,1K,64K,1M,16M"
LONG = 2**16  # bytes
PRIMITIVES = (
    *("barrier", "bcast", "scatter", "gather", "allgather", "reduce", "allreduce"),
    *("reduce_scatter_block", "alltoall", "scan", "exscan"),
)
COLUMNS = ("first", "moved", "cached", "nonblocking", "persistent")
LEAST = 5  # times that every call of a row is measured


def arguments(primitive: str, nbytes: int, p: int) -> tuple:
    """Buffers of a call whose largest buffer has `nbytes` on each rank, or one element per rank."""
    size, share = max(1, nbytes // 8), max(1, nbytes // 8 // p)
    # Whole numbers, of which all sums are exact, other ones on each rank.
    numbers = np.arange(share * p + size, dtype=np.float64) + 1000 * MPI.COMM_WORLD.rank
    whole, other, block = numbers[:size].copy(), -numbers[:size], numbers[:share].copy()
    blocks, more = numbers[: share * p].copy(), -numbers[: share * p]
    return {
        "barrier": (),
        "bcast": (whole,),
        "scatter": (blocks, block),
        "gather": (block, blocks),
        "allgather": (block, blocks),
        "alltoall": (blocks, more),
        "reduce_scatter_block": (blocks, block),
    }.get(primitive, (whole, other))


def variants(comm: Comm, primitive: str, nbytes: int) -> list[Callable[[], object]]:
    """The built-in call, then ours in the order of COLUMNS, each checked once."""
    given = arguments(primitive, nbytes, comm.size)
    name = primitive.capitalize()
    builtin = getattr(MPI.COMM_WORLD, name)
    blocking, nonblocking = getattr(comm, name), getattr(comm, f"I{primitive}")
    request = getattr(comm, f"{name}_init")(*given)

    def first() -> None:
        channel_of(comm).forget()
        blocking(*given)

    def moved() -> None:
        channel_of(comm).drop_plans()
        blocking(*given)

    def persistent() -> None:
        request.Start()
        request.Wait()

    calls = [
        lambda: builtin(*given),
        first,
        moved,
        lambda: blocking(*given),
        lambda: nonblocking(*given).Wait(),
        persistent,
    ]
    check(f"{name} of {nbytes} B", given, calls)
    return calls


def check(name: str, buffers: tuple, calls: Sequence[Callable[[], object]]) -> None:
    """Raise WrongResult unless all calls leave in the buffers what the first of them does."""
    before = [buf.copy() for buf in buffers]
    right: list[np.ndarray] = []
    for which, call in zip(("built-in", *COLUMNS), calls):
        for buf, content in zip(buffers, before):
            buf[...] = content
        call()
        right = right or [buf.copy() for buf in buffers]
        if not all(map(np.array_equal, buffers, right)):
            raise WrongResult(f"{name}, {which}: another result than the built-in's")


def minima(comm: Comm, calls: list[Callable[[], object]], nbytes: int, budget: float) -> np.ndarray:
    """The least time of each call on the slowest rank."""
    repetitions = max(2, min(30, 2**20 // max(nbytes, 1)))
    best = np.full(len(calls), np.inf)
    end, more, turns = perf_counter() + budget, True, 0
    while more or turns < LEAST:
        turns += 1
        for number, call in enumerate(calls):
            call()  # so that plans and memory are there
            call()
            MPI.COMM_WORLD.Barrier()
            start = perf_counter()
            for _ in range(repetitions):
                call()
            best[number] = min(best[number], (perf_counter() - start) / repetitions)
        more = MPI.COMM_WORLD.bcast(perf_counter() < end)
    slowest = np.empty_like(best)
    MPI.COMM_WORLD.Allreduce(best, slowest, MPI.MAX)
    return slowest


def measure(
    comm: Comm, primitives: Sequence[str], sizes: Sequence[int], seconds: float
) -> dict[tuple[str, int], np.ndarray]:
    """The ratios of each primitive and size, in the order of COLUMNS; rank 0 prints them."""
    show = print if comm.rank == 0 else lambda *_, **__: None
    show(f"{'':30}{'built-in':>12}", *(f"{column:>11} " for column in COLUMNS))
    ratios = {}
    for primitive in primitives:
        for nbytes in sizes if primitive != "barrier" else sizes[:1]:
            builtin, *ours = minima(comm, variants(comm, primitive, nbytes), nbytes, seconds)
            ratios[primitive, nbytes] = row = np.array(ours) / builtin
            size = format_bytes(nbytes) if primitive != "barrier" else ""
            show(f"{primitive:22}{size:>8} {builtin * 1e6:8.2f} us {cells(row)}", flush=True)
    return ratios


def cells(row: np.ndarray) -> str:
    """Ratios as the columns show them."""
    return " ".join(f"{ratio:11.2f}x" for ratio in row)


def summary(ratios: dict[tuple[str, int], np.ndarray]) -> list[str]:
    """What comes of all rows."""
    shortest = min(nbytes for _, nbytes in ratios)
    long = [row for (_, nbytes), row in ratios.items() if nbytes >= LONG]
    short = [row for (_, nbytes), row in ratios.items() if nbytes == shortest]
    lines = [f"{'geometric mean':42} {cells(_mean(list(ratios.values())))}"]
    if long:
        lines.append(f"{f'geometric mean from {format_bytes(LONG)}':42} {cells(_mean(long))}")
    lines.append(f"{f'worst at {format_bytes(shortest)}':42} {cells(np.max(short, axis=0))}")
    return lines


def _mean(rows: list[np.ndarray]) -> np.ndarray:
    return np.exp(np.log(rows).mean(axis=0))


def main(primitives: Sequence[str], sizes: Sequence[int], seconds: float) -> None:
    """Measure all; rank 0 prints."""
    comm = Comm(MPI.COMM_WORLD)
    where = system(comm)
    if comm.rank == 0:
        console().print(Text(f"{header(where)}\n"), soft_wrap=True)
    ratios = measure(comm, primitives, sizes, seconds)
    if comm.rank == 0:
        print(*summary(ratios), sep="\n", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m collectives.bench.forms")
    parser.add_argument("primitives", nargs="*", metavar="PRIMITIVE", help=", ".join(PRIMITIVES))
    parser.add_argument("--sizes", default=SIZES, help="bytes of the largest buffer (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row (%(default)s)")
    given = parser.parse_args()
    unknown = set(given.primitives) - set(PRIMITIVES)
    if unknown:
        parser.error(f"a primitive is needed, got {', '.join(unknown)}")
    try:
        sizes = [parse_bytes(text) for text in given.sizes.split(",")]
    except ValueError as error:
        parser.error(str(error))
    main(given.primitives or PRIMITIVES, sizes, given.seconds)
