"""Our blocking, nonblocking and persistent forms against the built-in blocking one.

::

    mpirun -n 4 python -m collectives.bench.forms [PRIMITIVE ...] [--sizes 8,1K] [--seconds 1]

Every cell is a ratio of minima over interleaved repetitions in one run: below 1 ours
is quicker. A repetition is one call, after the same call and a barrier, until the slowest
rank is done.

`first` is a blocking call that is the first of its kind, `moved` one with other buffers
than all before it, though of the same lengths. `cached` is a blocking call repeated with
the same buffers, as are `nonblocking` and `persistent`. All are compared with MPI's own
blocking form, or, with `--against same`, the last two with its own of the same kind.

In the end come the geometric means of the ratios, of all rows and of the long ones, and
the worst of the shortest rows. Without a PRIMITIVE memory, datatypes and operators of all
kinds follow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from mpi4py import MPI
from rich.text import Text

from collectives.checks import memory
from collectives.errors import WrongResult
from collectives.mpi.comm import Comm
from collectives.mpi.plans.channel import channel_of
from collectives.units import format_bytes

from .kinds import measure as every_kind
from .overhead import compare, start_and_wait
from .program import Parser, Usage, options, seconds, sizes, start
from .report import console, header
from .stop import Stop
from .system import system

SIZES = "8,1K,64K,1M,16M"
LONG = 2**16  # bytes
PRIMITIVES = (
    *("barrier", "bcast", "scatter", "gather", "allgather", "reduce", "allreduce"),
    *("reduce_scatter_block", "alltoall", "scan", "exscan"),
)
COLUMNS = ("first", "moved", "cached", "nonblocking", "persistent")

Call = Callable[[], object]


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


def row(
    comm: Comm, forgetful: Comm, primitive: str, nbytes: int, same: bool, seconds: float
) -> tuple[float, np.ndarray]:
    """Microseconds of MPI's blocking form, and ours over MPI's in the order of COLUMNS.

    `forgetful` is for the calls that drop plans.
    """
    given, name = arguments(primitive, nbytes, comm.size), primitive.capitalize()
    others = tuple([buf.copy() for buf in given])
    channel, forgetting = channel_of(forgetful), getattr(forgetful, name)
    first = partial(after, channel.forget, partial(forgetting, *given))
    moved = partial(after, channel.store.forget_addresses, partial(forgetting, *others))
    builtin = partial(getattr(MPI.COMM_WORLD, name), *given)
    calls: list[Call] = [builtin, first, moved, partial(getattr(comm, name), *given)]
    requests: list[MPI.Prequest] = []
    for each in (comm, MPI.COMM_WORLD) if same else (comm,):
        requests.append(getattr(each, f"{name}_init")(*given))
        calls.append(partial(to_the_end, getattr(each, f"I{primitive}"), given))
        calls.append(partial(start_and_wait, requests[-1]))
    check(f"{primitive} of {nbytes} B", given, others, calls)
    times = compare(comm, calls, seconds, repeated=True).min(axis=0)
    for request in requests:
        request.Free()
    return times[0], times[1:6] / times[[0, 0, 0, 6, 7] if same else 0]


def to_the_end(start: Callable[..., MPI.Request], given: tuple) -> None:
    start(*given).Wait()


def after(before: Call, call: Call) -> None:
    before()
    call()


def check(name: str, given: tuple, others: tuple, calls: Sequence[Call]) -> None:
    """Raise WrongResult unless all calls leave in their buffers what the first of them does."""
    before = [buf.copy() for buf in given]
    right: list[np.ndarray] = []
    for which, call in zip(("built-in", *COLUMNS, *(f"built-in {x}" for x in COLUMNS[3:])), calls):
        buffers = others if which == "moved" else given
        for buf, content in zip(buffers, before):
            buf[...] = content
        call()
        right = right or [buf.copy() for buf in buffers]
        if not all(map(np.array_equal, buffers, right)):
            raise WrongResult(f"{name}, {which}: another result than the built-in's")


def measure(
    comm: Comm, primitives: Sequence[str], sizes: Sequence[int], same: bool, seconds: float
) -> dict[tuple[str, int], np.ndarray]:
    """The ratios of each primitive and size, in the order of COLUMNS; rank 0 prints them."""
    show = print if comm.rank == 0 else lambda *_, **__: None
    show(f"{'':30}{'built-in':>12}  {'  '.join(f'{column:>11}' for column in COLUMNS)}")
    ratios, forgetful = {}, comm.Dup()
    for primitive in primitives:
        for nbytes in sizes if primitive != "barrier" else sizes[:1]:
            builtin, found = row(comm, forgetful, primitive, nbytes, same, seconds)
            ratios[primitive, nbytes] = found
            size = format_bytes(nbytes) if primitive != "barrier" else ""
            show(f"{primitive:22}{size:>8} {builtin:8.2f} us {cells(found)}", flush=True)
    forgetful.Free()
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


def main(
    primitives: Sequence[str], sizes: Sequence[int], same: bool, seconds: float, kinds: bool
) -> None:
    """Measure all; rank 0 prints."""
    comm = Comm(MPI.COMM_WORLD)
    where = system(comm)
    if comm.rank == 0:
        console().print(Text(f"{header(where)}\n"), soft_wrap=True)
    ratios = measure(comm, primitives, sizes, same, seconds)
    if comm.rank == 0:
        print(*summary(ratios), sep="\n", flush=True)
    if kinds:
        if comm.rank == 0:
            print(f"\n{'1 KiB, cached':38} {'built-in':>11}  {'ours':>11}")
        every_kind(comm, seconds)


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.forms")
    parser.add_argument("primitives", nargs="*", metavar="PRIMITIVE", help=", ".join(PRIMITIVES))
    parser.add_argument(
        "--sizes", type=sizes, default=SIZES, help="bytes of the largest buffer (%(default)s)"
    )
    parser.add_argument("--seconds", type=seconds, default=1.0, help="for each row (%(default)s)")
    parser.add_argument(
        "--against",
        choices=("blocking", "same"),
        default="blocking",
        help="MPI's own form that nonblocking and persistent ones are compared with (%(default)s)",
    )
    given = options(comm, parser, arguments, possible)
    kinds, same = not given.primitives, given.against == "same"
    main(given.primitives or PRIMITIVES, given.sizes, same, given.seconds, kinds)
    return 0


def possible(given: argparse.Namespace) -> argparse.Namespace:
    """The options, if all of them can be."""
    unknown = sorted(set(given.primitives) - set(PRIMITIVES))
    if unknown:
        raise Usage(f"a primitive is needed, got {', '.join(unknown)}")
    memory("forms", "the buffers of a rank", 4 * max(given.sizes))
    if given.against == "same":
        try:  # versions do not tell
            MPI.COMM_SELF.Barrier_init().Free()
        except NotImplementedError:
            raise Usage("--against same needs an MPI with persistent collectives") from None
    return given


if __name__ == "__main__":
    start(program)
