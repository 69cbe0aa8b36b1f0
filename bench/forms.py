"""Our blocking, nonblocking and persistent forms against the built-in blocking one.

::

    mpirun -n 4 python -m collectives.bench.forms [SECONDS PER ROW]

Every cell is a ratio of minima over interleaved repetitions in one run: below 1 ours
is quicker. `blocking` and the columns after it are calls repeated with the same
buffers, `first` is a blocking call whose plan has to be made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np
from mpi4py import MPI

from collectives.channel import channel_of
from collectives.comm import Comm

SIZES = (8, 1024, 65536, 2**20, 2**24)
PRIMITIVES = (
    *("barrier", "bcast", "scatter", "gather", "allgather", "reduce", "allreduce"),
    *("reduce_scatter_block", "alltoall", "scan", "exscan"),
)
COLUMNS = ("first", "blocking", "nonblocking", "persistent")
LEAST = 5  # times that every call of a row is measured


def arguments(primitive: str, nbytes: int, p: int) -> tuple:
    """Buffers of a call whose largest buffer has `nbytes` on each rank, or one element per rank."""
    block = np.ones(max(1, nbytes // 8 // p))
    whole, other = np.ones(max(1, nbytes // 8)), np.empty(max(1, nbytes // 8))
    blocks, more = np.ones(block.size * p), np.empty(block.size * p)
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
    """The built-in call, then ours in the order of COLUMNS."""
    given = arguments(primitive, nbytes, comm.size)
    name = primitive.capitalize()
    builtin = getattr(MPI.COMM_WORLD, name)
    blocking, nonblocking = getattr(comm, name), getattr(comm, f"I{primitive}")
    request = getattr(comm, f"{name}_init")(*given)

    def first() -> None:
        channel_of(comm).forget()
        blocking(*given)

    def persistent() -> None:
        request.Start()
        request.Wait()

    return [
        lambda: builtin(*given),
        first,
        lambda: blocking(*given),
        lambda: nonblocking(*given).Wait(),
        persistent,
    ]


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


def main() -> None:
    comm = Comm(MPI.COMM_WORLD)
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    show = print if comm.rank == 0 else lambda *_, **__: None
    show(f"{'':32}{'built-in':>10}", *(f"{column:>12}" for column in COLUMNS))
    ratios = []
    for primitive in PRIMITIVES:
        for nbytes in SIZES if primitive != "barrier" else SIZES[:1]:
            builtin, *ours = minima(comm, variants(comm, primitive, nbytes), nbytes, budget)
            ratios.append(np.array(ours) / builtin)
            cells = " ".join(f"{ratio:11.2f}x" for ratio in ratios[-1])
            show(f"{primitive:22}{nbytes:8} B {builtin * 1e6:7.1f} us {cells}", flush=True)
    means = np.exp(np.log(ratios).mean(axis=0))
    show(f"{'geometric mean':42}", " ".join(f"{mean:11.2f}x" for mean in means))


if __name__ == "__main__":
    main()
