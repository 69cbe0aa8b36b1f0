"""The tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from collectives.catalogue import titled
from collectives.console import Screen
from collectives.units import format_bytes

from .cells import BUILTIN
from .results import Result
from .schedule import MINIMUM
from .terminal import terminal, width

if TYPE_CHECKING:
    from .system import System

PLAIN = 10_000  # columns where nobody looks: nothing is cut off
PAGE = int(os.environ.get("COLUMNS", 100))  # of a table there, if it can be cut in parts

LEGEND = """\
mpi           the MPI's own collective; the others are this library's algorithms
min, median   microseconds until the slowest rank is done, over the repetitions
*  ~          fastest; not to be told from the fastest (95 % intervals of the medians overlap)
size          what one rank contributes: the vector, or one block in scatter, gather,
              allgather, reduce_scatter and alltoall; float64, sum, root 0
critical path messages on the longest chain in which each waits for the one before
messages      sent by all ranks together
sent          bytes that the busiest rank sends (the three counts: at the largest size)
(name)        what the literature calls the algorithm"""

CROWDED = """\
Warning: {ranks} ranks share {cores} cores, so a rank often waits for its turn on a core, which
takes far longer than a message. The medians show that wait more than the algorithm. Trust
the minimum more, and use at most {cores} ranks, or more cores, to compare algorithms."""


STOPPED = """\
Stopped {why}: these are the repetitions until then; answers have been checked before the
first of them, not after the last."""

BUSY = """\
Warning: other programs were running here (load {load:g} on {cores} cores); all times suffer."""


def console(instead: TextIO | None = None) -> Console:
    """Standard output, or another file: as wide as the terminal, or plain and never cut off."""
    screen = terminal(1)
    columns = width(screen) if screen else PLAIN
    return Screen(
        file=instead or sys.stdout,
        width=columns,
        force_terminal=screen is not None,
        highlight=False,
    )


def header(system: System) -> str:
    """Where the numbers come from."""
    ranks, hosts = len(system.hosts), len(set(system.hosts))
    load = "" if system.load is None else f", load {system.load:g}"
    lines = [
        f"collectives.bench {system.collectives}: {ranks} rank{'s' * (ranks > 1)} on {hosts} "
        f"host{'s' * (hosts > 1)}, {system.cores} core{'s' * (system.cores > 1)}{load}",
        f"{system.mpi}, mpi4py {system.mpi4py}, numpy {system.numpy}, Python {system.python}",
    ]
    if system.oversubscribed:
        lines += ["", CROWDED.format(ranks=system.sharing, cores=system.cores)]
    if system.load is not None and system.load > system.cores:
        lines += ["", BUSY.format(load=system.load, cores=system.cores)]
    return "\n".join(lines)


def show(
    results: Sequence[Result], system: System, elapsed: float, out: Console, stopped: str = ""
) -> None:
    """Print everything, in one piece; `stopped` is why the run was stopped, if it was."""
    with out.capture() as captured:
        _print(results, system, elapsed, out, stopped)
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    out.file.flush()


def _print(
    results: Sequence[Result], system: System, elapsed: float, out: Console, stopped: str
) -> None:
    def say(text: str) -> None:
        out.print(Text(text), soft_wrap=True)

    say(f"{header(system)}\n\n{LEGEND}")
    for primitive in dict.fromkeys(result.cell.primitive for result in results):
        mine = [result for result in results if result.cell.primitive == primitive]
        for table in tables(primitive, mine, out):
            out.print()
            out.print(table)
        for line in notes(mine):
            say(line)
    out.print()
    say("\n".join(footer(results, elapsed)))
    if stopped:
        say(STOPPED.format(why=stopped))


def tables(primitive: str, results: Sequence[Result], out: Console) -> list[Table]:
    """One table if it fits, long names on two lines if need be, else one for some sizes each."""
    sizes = list(dict.fromkeys(result.cell.size for result in results))
    columns = PAGE if out.width == PLAIN else out.width
    for many in range(len(sizes), 0, -1):
        parts = [sizes[i : i + many] for i in range(0, len(sizes), many)]
        for gap in " ", "\n  ":
            drawn = [_table(primitive, results, part, gap) for part in parts]
            if all(_width(table, out) <= columns for table in drawn):
                return drawn
    return drawn


def _width(table: Table, out: Console) -> int:
    """Columns that the table wants, whatever there are."""
    return Measurement.get(out, out.options.update(max_width=PLAIN), table).maximum


def _table(primitive: str, results: Sequence[Result], sizes: Sequence[int], gap: str) -> Table:
    """The table of some sizes; `gap` goes between the two names of an algorithm."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(f"\n{primitive}", no_wrap=True)
    for size in sizes:
        title = format_bytes(size) if primitive != "barrier" else ""
        table.add_column("\n min", justify="right", no_wrap=True)
        table.add_column(f"{title}\nmedian", justify="right", no_wrap=True)
    for title in (" critical\n path", "\n messages", "\n sent"):
        table.add_column(title, justify="right", no_wrap=True)
    found = {(result.cell.algorithm, result.cell.size): result for result in results}
    for algorithm in dict.fromkeys(result.cell.algorithm for result in results):
        row = [found[algorithm, size] for size in sizes]
        name = algorithm if algorithm == BUILTIN else titled(primitive, algorithm)
        name = name.replace(" ", gap)
        cells = [cell for one in row for cell in times(one)] + [Text(x) for x in counts(row[-1])]
        apart = [" " * (place % 2 == 0 or place > 2 * len(sizes)) for place in range(len(cells))]
        table.add_row(name, *[Text(gap) + cell for gap, cell in zip(apart, cells)])
    return table


def times(result: Result) -> tuple[Text, Text]:
    """The two entries of a cell: minimum, and median with its mark."""
    if result.summary is None:
        style, text = {"wrong": ("bold red", "WRONG"), "n/a": ("dim", "n/a")}.get(
            result.status, ("dim", "-")
        )
        return Text(""), Text(text, style)
    style = "bold green" if result.mark == "*" else ""
    median = Text(f"{result.mark}{microseconds(result.summary.median)}", style)
    return Text(microseconds(result.summary.minimum)), median


def counts(result: Result) -> list[str]:
    """The critical path, messages and bytes of the busiest rank."""
    found = result.outlook.counts
    if found is None:
        return ["-", "-", "-"]
    return [str(found.critical_path), str(found.messages), format_bytes(found.bytes_sent_max)]


def notes(results: Sequence[Result]) -> list[str]:
    """What is wrong, why something did not run, and what is lossy; each once, with its sizes."""
    sizes: dict[tuple[str, str, str], list[str]] = {}
    errors: dict[str, list[str]] = {}
    for one in results:
        reason = (
            one.outlook.wrong or str(one.wrong)
            if one.wrong
            else one.outlook.not_applicable or one.outlook.late
        )
        if reason:
            verdict = "WRONG" if one.wrong else one.status
            sizes.setdefault((verdict, one.cell.name, reason), []).append(one.cell.readable_size)
        elif one.error is not None:
            error = f"{one.error:.1e} ({one.cell.readable_size})"
            errors.setdefault(one.cell.name, []).append(error)
    return [
        f"{verdict} {' '.join([name, ', '.join(some)]).rstrip()}: {reason}"
        for (verdict, name, reason), some in sizes.items()
    ] + [f"lossy {name}: relative error {', '.join(some)}" for name, some in errors.items()]


def footer(results: Sequence[Result], elapsed: float) -> list[str]:
    """What the run comes to."""
    status = [result.status for result in results]
    reps = [result.summary.reps for result in results if result.summary]
    span = f"repetitions of each: {_span(reps)}; " if reps else ""
    missing = f", {status.count('not run')} not run" if "not run" in status else ""
    lossy = f"{status.count('lossy')} right within their limit, " if "lossy" in status else ""
    lines = [
        f"{len(results)} cells: {status.count('ok')} right, {lossy}{status.count('wrong')} wrong, "
        f"{status.count('n/a')} n/a{missing}; {span}{elapsed:.1f} s"
    ]
    marked = {result.cell.group: result.mark for result in results if result.mark}
    if marked:
        clear = list(marked.values()).count("*")
        lines.append(f"fastest beyond doubt in {clear} of {len(marked)} comparisons, the rest tie")
    few = [result.summary.reps if result.summary else 0 for result in results if result.too_few]
    if few:
        lines.append(
            f"The budget was too small: {len(few)} cells have fewer than {MINIMUM} repetitions "
            f"({_span(few)}),\ntoo few to tell which is fastest; raise --budget or give fewer "
            "--sizes or primitives"
        )
    return lines


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low} to {high}" if low < high else f"{low}"


def microseconds(value: float) -> str:
    """Three digits that mean something."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"
