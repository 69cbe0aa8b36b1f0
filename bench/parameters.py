"""Measure the parameters of the machine's model, near and far apart.

::

    mpirun -n 4 python -m collectives.bench.parameters [SECONDS] [--write cluster.toml]

Which ranks share a node is asked of MPI. What a message costs comes from the library's own
rounds. In the ring allgather every rank sends a block to the right and receives one from
the left, p-1 times, which takes (p-1) (alpha + m beta) for blocks of m bytes. It is measured
within nodes and, with one rank of each, between them; beta is the slope at the long end, and
alpha what short blocks take beyond it. Within a node a rank that does both copies each block
twice, and all copies share the memory: the rate of a message alone is measured one way, from
the first rank of a node to the second, and `memory` is what passes in the ring of all its
ranks. Then all ranks of a node send to another node at
once: what passes together is the rate of its NIC. In the naive scatter and gather one rank
takes turns with all others, which shows how long a message keeps it busy (overhead). A
message up to the eager limit leaves although its receiver is late. A long message after a
pause may take less time than its bytes need at the rate: so many pass at once, the burst of a
NIC that is a token bucket, and a rank's rate is then that of messages within it. gamma and
delta are the slopes of numpy's addition of float64 and of packing a message from pieces.

All times are minima: what is left when nothing disturbs. The file is what `--topology` and
`simulate(..., topology=...)` read.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from mpi4py import MPI
from rich.text import Text

from collectives import files
from collectives.console import table
from collectives.units import format_bytes

from .program import Parser, Usage, options, start
from .program import seconds as positive
from .report import console, header, microseconds
from .rounds import SIZES, Bucket, Layout, Way, bucket, line, one_way, round_times, way
from .statistics import fitted
from .stop import Stop
from .system import System, system

SECONDS = 4.0
PIECES = 16  # of a message that is packed
ALONE = 200  # repetitions of what needs no other rank

REFUSED = """\
No line with --alpha, --beta and --gamma for pasting: {ranks} ranks share {cores} cores, so these
are times of waiting for a core. Start at most {cores} ranks, or use more cores."""


@dataclass(frozen=True)
class Measured:
    """The parameters of a machine.

    Attributes
    ----------
    nodes, ranks : int
        How many nodes, and ranks on each (on the fullest).
    near, far : Way or None
        What messages cost within a node and between nodes, if there are such.
    alone : sequence of float or None
        Seconds of a message within a node that goes one way, for each of `SIZES`.
    together : sequence of float or None
        Seconds of a round for each of `SIZES` while all ranks of each node send to another.
    additions, packings : sequence of float
        Seconds of each, for each of `SIZES`.
    bucket : Bucket or None
        What passes between nodes at once after a pause.
    """

    nodes: int
    ranks: int
    near: Way | None
    far: Way | None
    alone: Sequence[float] | None
    together: Sequence[float] | None
    additions: Sequence[float]
    packings: Sequence[float]
    bucket: Bucket | None = None

    @property
    def main(self) -> Way:
        """What messages cost between nodes, or within the only one."""
        found = self.far or self.near
        assert found is not None, "there are two ranks"
        return found

    @property
    def nic(self) -> float:
        """Bytes a second that leave a node at most, with all its ranks together."""
        if self.together is None:
            return 1 / self.main.beta
        return self.ranks / line(self.together)[1]

    @property
    def near_rate(self) -> float:
        """Bytes a second of a message within a node that no other one disturbs."""
        assert self.near and self.alone, "there are two ranks on a node"
        return max(1 / line(self.alone)[1], 1 / self.near.beta)

    @property
    def memory(self) -> float:
        """Bytes a second of all messages within a node while its ranks send and receive."""
        assert self.near, "there are two ranks on a node"
        return self.ranks / self.near.beta

    @property
    def gamma(self) -> float:
        """Seconds a byte reduced."""
        return fitted(SIZES, self.additions)[1]

    @property
    def delta(self) -> float:
        """Seconds a byte packed."""
        return fitted(SIZES, self.packings)[1]


def addition(nbytes: int) -> Callable[[], object]:
    """A reduction of `nbytes`, as the library does it."""
    mine = np.arange(nbytes // 8, dtype=np.float64)
    total = np.ones_like(mine)
    return lambda: np.add(mine, total, out=total)


def packing(nbytes: int) -> Callable[[], object]:
    """Packing a message of `nbytes` from pieces that do not touch, as the library does it."""
    size = -(-nbytes // (8 * PIECES))
    pieces = np.arange(2.0 * PIECES * size).reshape(PIECES, -1)[:, :size]
    return partial(np.concatenate, list(pieces), 0, np.empty(PIECES * size))


def alone(comm: MPI.Intracomm, calls: Sequence[Callable[[], object]]) -> list[float]:
    """Least seconds of each call that sends nothing, on the slowest rank; collective."""
    best = [min(timeit.repeat(call, number=1, repeat=ALONE)) for call in calls]
    slowest = np.empty(len(best))
    comm.Allreduce(np.array(best), slowest, MPI.MAX)
    return slowest.tolist()


def measured(comm: MPI.Intracomm, layout: Layout, seconds: float) -> Measured:
    """Measure all; collective, the same on all ranks."""
    near = far = one = together = None
    if layout.ranks > 1:
        near = way(comm, layout.near, layout.full, seconds / 4)
        first = layout.full and layout.near.rank < 2
        one = round_times(comm, layout.pair, first, seconds / 4, one_way)
    if layout.nodes > 1:
        far = way(comm, layout.far, layout.near.rank == 0, seconds / 4)
    if near and far and layout.even:
        together = round_times(comm, layout.far, True, seconds / 4)
    passing = bucket(comm, layout, 1 / far.beta, seconds / 4) if far else None
    additions, packings = (
        alone(comm, [work(size) for size in SIZES]) for work in (addition, packing)
    )
    return Measured(
        layout.nodes, layout.ranks, near, far, one, together, additions, packings, passing
    )


def toml(found: Measured, where: System) -> str:
    """The machine's description, as `collectives.machine` reads it."""
    lines = [f'about = "measured by collectives.bench.parameters; {_where(where)}"']
    lines += [f'topology = "nodes:{found.nodes}x{found.ranks}"']
    if found.far:
        saves = found.bucket and found.bucket.burst
        rate = found.bucket.rate if found.bucket and saves else 1 / found.far.beta
        lines += [*_keys("", found.far, rate), f'nic = "{_rate(found.nic)}"']
        lines += [f"burst = {saves}"] if saves else []
    else:
        lines += ['nic = "inf"']  # nobody uses it
    if found.near:
        memory = _rate(found.memory)
        lines += [*_keys("near_", found.near, found.near_rate), f'memory = "{memory}"']
    lines += [
        f"eager = {found.main.eager}",
        f'gamma = "{1e9 * found.gamma:.3g} ns/B"',
        f'delta = "{1e9 * found.delta:.3g} ns/B"',
    ]
    return "\n".join(lines) + "\n"


def _rate(rate: float) -> str:
    return f"{1e-6 * rate:.4g} MB/s"


def _keys(prefix: str, one: Way, rate: float) -> list[str]:
    """A message takes overhead, latency, its bytes at the rate, and overhead again."""
    return [
        f'{prefix}latency = "{1e6 * (one.alpha - 2 * one.overhead):.4g} us"',
        f'{prefix}overhead = "{1e6 * one.overhead:.4g} us"',
        f'{prefix}rate = "{_rate(rate)}"',
    ]


def _where(where: System) -> str:
    """Of which machine, and what must be known of the numbers."""
    hosts = len(set(where.hosts))
    told = f"{len(where.hosts)} ranks on {hosts} host{'s' * (hosts > 1)}, {where.mpi}"
    if where.oversubscribed:
        told += f"; {where.sharing} ranks shared {where.cores} cores, latencies are too long"
    return told


def show(found: Measured, where: System) -> None:
    """Print what was measured, and what to paste if it may be."""
    columns: list[tuple[str, Sequence[float]]] = []
    for name, one in (("near", found.near), ("far", found.far)):
        if one is not None:
            by_line = [one.time(size) for size in SIZES]
            columns += [(f"{name}\nround", one.rounds), ("\nfitted", by_line)]
    if found.alone:
        columns.append(("near\none way", found.alone))
    if found.together:
        columns.append(("all of a node\nat once", found.together))
    columns += [("\naddition", found.additions), ("\npacking", found.packings)]
    new = table("", "block", *[title for title, _ in columns], numbers=True)
    for place, size in enumerate(SIZES):
        times = [microseconds(1e6 * column[place]) for _, column in columns]
        new.add_row(format_bytes(size), *times)
    out = console()
    out.print(Text(f"{header(where)}\n\nmicroseconds"), soft_wrap=True)
    out.print(new)
    print()
    if where.oversubscribed:
        print(REFUSED.format(ranks=where.sharing, cores=where.cores))
        return
    clock = found.main
    print(toml(found, where))
    print(f"--alpha {clock.alpha:.2g} --beta {clock.beta:.2g} --gamma {found.gamma:.2g}")


def main(comm: MPI.Intracomm, seconds: float, path: str | None) -> None:
    """Measure; rank 0 prints, and writes."""
    where = system(comm)
    layout = Layout(comm)
    found = measured(comm, layout, seconds)
    layout.free()
    if comm.rank > 0:
        return
    show(found, where)
    if path is not None:
        files.write(path, toml(found, where), "--write")


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.parameters")
    add = parser.add_argument
    add(
        "seconds",
        nargs="?",
        type=positive,
        default=SECONDS,
        metavar="SECONDS",
        help="for all of it (%(default)s)",
    )
    add("--write", metavar="FILE", help="write the machine's description, in TOML")

    def checked(given: argparse.Namespace) -> argparse.Namespace:
        if comm.size == 1:
            raise Usage("a round needs two ranks, got 1; use mpirun -n 2")
        if comm.rank == 0 and given.write is not None:
            files.check_target(given.write, "--write")
        return given

    given = options(comm, parser, arguments, checked)
    main(comm, given.seconds, given.write)
    return 0


if __name__ == "__main__":
    start(program)
