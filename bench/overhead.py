"""What the library costs: the same allreduce, in the library and by hand.

    mpirun -n 2 python -m collectives.bench.overhead

Recursive doubling through the library, blocking and persistent, and as a loop with
mpi4py and numpy, and the built-in for comparison. The loop comes in three versions:
with the steps of the library's algorithm, which tells what the engine costs; the plain
one, which starts with a copy; and that with its messages set up beforehand. They take
turns, so that the same disturbs them all, and the minimum of each is compared: what is
left when nothing disturbs.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TextIO

import numpy as np
from mpi4py import MPI
from rich.table import Table
from rich.text import Text

import collectives
from collectives.errors import WrongResult
from collectives.units import format_bytes

from .program import Parser, Usage, add_seconds, options, start
from .report import console, header, microseconds
from .stop import Stop, say
from .system import System, system
from .terminal import past_launcher

NAMES = ("library", "persistent", "by hand", "plain", "set up", "built-in")
SIZES = [8, 64, 512, 4096, 2**15, 2**18, 2**20]
ENOUGH, MAXIMUM = 200, 20_000  # repetitions
BATCH = 5
SECONDS = 2.0

LEGEND = """\
Allreduce by recursive doubling, float64, sum: minimum of the repetitions, in microseconds
until the slowest rank is done. The aim is library / plain at most 1.5 at 8 B and 1.05 at 1 MiB.

library     collectives.allreduce
persistent  Start and Wait of collectives.Comm(comm).Allreduce_init
by hand     the messages and additions of `library` in a loop with mpi4py and numpy
plain       such a loop that begins by copying the input to the output
set up      the plain loop with Send_init and Recv_init beforehand, Startall and Waitall
built-in    comm.Allreduce"""
RECORDED = """
recorded    collectives.allreduce on a communicator whose calls are recorded"""


def by_hand(
    comm: MPI.Intracomm, sendbuf: np.ndarray, recvbuf: np.ndarray, arriving: np.ndarray
) -> None:
    """Recursive doubling for 2, 4, 8, ... ranks; the input is sent from where it lies."""
    result, rank, distance = sendbuf, comm.rank, 1
    while distance < comm.size:
        partner = rank ^ distance
        comm.Sendrecv(result, partner, 0, arriving, partner, 0)
        np.add(result, arriving, out=recvbuf)
        result = recvbuf
        distance *= 2


def plain(
    comm: MPI.Intracomm, sendbuf: np.ndarray, recvbuf: np.ndarray, arriving: np.ndarray
) -> None:
    """The same as most people would write it."""
    np.copyto(recvbuf, sendbuf)
    rank, distance = comm.rank, 1
    while distance < comm.size:
        partner = rank ^ distance
        comm.Sendrecv(recvbuf, partner, 0, arriving, partner, 0)
        np.add(recvbuf, arriving, out=recvbuf)
        distance *= 2


def set_up(
    comm: MPI.Intracomm, sendbuf: np.ndarray, recvbuf: np.ndarray, arriving: np.ndarray
) -> tuple[Callable[[], object], list[MPI.Prequest]]:
    """The plain loop with its messages set up once, and their requests."""
    rank, distance, rounds = comm.rank, 1, []
    while distance < comm.size:
        partner = rank ^ distance
        rounds.append([comm.Recv_init(arriving, partner), comm.Send_init(recvbuf, partner)])
        distance *= 2

    def call() -> None:
        np.copyto(recvbuf, sendbuf)
        for requests in rounds:
            MPI.Prequest.Startall(requests)
            MPI.Prequest.Waitall(requests)
            np.add(recvbuf, arriving, out=recvbuf)

    return call, [request for requests in rounds for request in requests]


def ways(
    comm: MPI.Intracomm, size: int, recording: MPI.Intracomm | None = None
) -> tuple[list[Callable[[], object]], list[MPI.Prequest]]:
    """The calls to compare, each checked once, and the requests that they use."""
    elements = size // 8
    sendbuf = np.arange(elements, dtype=np.float64) + comm.rank
    recvbuf = np.empty(elements)
    # The library has space of its own, so each loop gets its own, too.
    spaces = [np.empty(elements) for _ in range(3)]
    algorithm = "recursive_doubling"
    ours = collectives.Comm(comm).Allreduce_init(sendbuf, recvbuf, algorithm=algorithm)
    ready, requests = set_up(comm, sendbuf, recvbuf, spaces[2])
    calls: list[Callable[[], object]] = [
        partial(collectives.allreduce, comm, sendbuf, recvbuf, algorithm=algorithm),
        partial(start_and_wait, ours),
        partial(by_hand, comm, sendbuf, recvbuf, spaces[0]),
        partial(plain, comm, sendbuf, recvbuf, spaces[1]),
        ready,
        partial(comm.Allreduce, sendbuf, recvbuf),
    ]
    if recording is not None:
        again = partial(collectives.allreduce, recording, sendbuf, recvbuf, algorithm=algorithm)
        calls.append(again)
    wanted = comm.size * np.arange(elements) + comm.size * (comm.size - 1) / 2
    for name, call in zip((*NAMES, "recorded"), calls):
        recvbuf[...] = -1
        call()
        if not np.array_equal(recvbuf, wanted):
            raise WrongResult(f"allreduce {name}: wrong result on rank {comm.rank}")
    return calls, [ours, *requests]


def start_and_wait(request: MPI.Prequest) -> None:
    request.Start()
    request.Wait()


def compare(
    comm: MPI.Intracomm,
    calls: Sequence[Callable[[], object]],
    seconds: float,
    repeated: bool = False,
) -> np.ndarray:
    """Microseconds of every repetition of each call on the slowest rank, shape (reps, calls).

    Each is timed alone, after a barrier; if `repeated`, after the same call, not another one.
    """
    clock, barrier = time.perf_counter, comm.Barrier
    rows: list[list[float]] = []
    shuffle = random.Random(0)  # the same on all ranks; each call follows each
    begin = clock()
    gc.collect()
    gc.disable()
    while comm.bcast(_goes_on(len(rows), clock() - begin, seconds)):
        for _ in range(BATCH):
            row = [0.0] * len(calls)
            for which in shuffle.sample(range(len(calls)), len(calls)):
                if repeated:
                    calls[which]()
                barrier()
                start = clock()
                calls[which]()
                row[which] = clock() - start
            rows.append(row)
    gc.enable()
    local = np.array(rows) * 1e6
    slowest = np.empty_like(local)
    comm.Allreduce(local, slowest, MPI.MAX)
    return slowest


def _goes_on(reps: int, passed: float, seconds: float) -> bool:
    """Whether there is time: for a few in any case, and three times as long for enough."""
    if reps < BATCH:
        return True
    return reps < MAXIMUM and passed < (seconds if reps >= ENOUGH else 3 * seconds)


def main(comm: MPI.Intracomm, seconds: float, stop: Stop, trace: str | None = None) -> None:
    """Measure all sizes; rank 0 prints."""
    where = system(comm)
    recording = None if trace is None else collectives.Comm(comm.Dup(), trace=trace)
    names = NAMES if recording is None else (*NAMES, "recorded")
    legend = LEGEND if recording is None else LEGEND + RECORDED
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    ratios = [f"library\n/ {name}" for name in names[2:]]
    for title in ("size", *names, *ratios, "reps"):
        table.add_column(title, justify="right")
    past = past_launcher()
    stop.leave = lambda why: show(where, legend, table, why, past)
    for size in SIZES:
        calls, requests = ways(comm, size, recording)
        times = compare(comm, calls, seconds)
        for request in requests:
            request.Free()
        library, persistent, *others = times.min(axis=0)
        table.add_row(
            format_bytes(size),
            *[microseconds(value) for value in (library, persistent, *others)],
            *[f"{library / other:.2f}" for other in others],
            str(len(times)),
        )
    if comm.rank == 0:
        stop.end()
        show(where, legend, table)


def show(
    where: System, legend: str, table: Table, stopped: str = "", past: TextIO | None = None
) -> None:
    """Print where it was measured, what the columns mean, and the table as far as it goes."""
    out = console(past)
    out.print(Text(f"{header(where)}\n\n{legend}\n"), soft_wrap=True)
    out.print(table)
    out.file.flush()
    if stopped:
        say(stopped)


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.overhead")
    add_seconds(parser, SECONDS, "for each size")
    parser.add_argument("--trace", metavar="DIR", help="record calls there, and time that, too")
    given = options(comm, parser, arguments, lambda given: by_doubling(comm.size, given))
    main(comm, given.seconds, stop, given.trace)
    return 0


def by_doubling(ranks: int, given: argparse.Namespace) -> argparse.Namespace:
    """The options, if the loop by hand can run."""
    if ranks == 1 or ranks & (ranks - 1):
        raise Usage(f"the loop by hand needs 2, 4, 8, ... ranks, got {ranks}; use mpirun -n 2")
    return given


if __name__ == "__main__":
    start(program)
