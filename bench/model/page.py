"""The page: what was measured, and how far the simulator is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill

import numpy as np

from collectives.units import format_bytes, seconds

from .beside import beside
from .compare import (
    FACTOR,
    LONG,
    SHORT,
    Cell,
    cells,
    crossovers,
    median_error,
    right,
    winners,
)
from .reading import Found, by_length, ratio, readings
from .runs import CONFIGURATIONS, SIZES, Record
from .tables import table

HEAD = """\
# The model held against reality

Can predictions be trusted? Here they stand beside what was measured, whatever that says.
`make model` measures all of it and writes this page.

- *Predicted* is the price that `predict` and `simulate(..., topology=FILE)` give. The file has
  the parameters of the place, which `python -m collectives.bench.parameters` has measured there
  just before.
- *Measured* is the least time of single calls, from the first rank's start to the last one's
  end. Short vectors are sent until there are 20 calls or the time is over, the longest ones
  once or twice.
- A *size* is that of the whole vector, of float64, as in `-n`.
- [model/](model/) keeps each run: its times, its parameters, and the table of choices that was
  made from them. What was not reached within the time limit is left out.

*The box* is `python -m collectives.bench.box`: hosts are network namespaces on one machine, and
a token bucket holds each link to its rate, both ways. So the network is real, but slow, and all
ranks share the cores of that machine; one that waits sleeps. *A plain socket* is what TCP
reaches between two hosts without MPI (`python -m collectives.bench.sockets`), and *all hosts at
once* is what is left of that when every host sends to the next one. An *empty call* does
nothing: it takes as long as ranks leave a barrier one after the other.
"""

FAILS = """\
## Where it fails, and why

The median of predicted / measured, by configuration and length. Below 1, algorithms take longer
than was predicted: the prediction was too fast.

"""


def page(records: Sequence[Record]) -> str:
    """All of it, in Markdown."""
    found = [(record, cells(record)) for record in records]
    parts = [HEAD, _in_short(found), _conditions(records), _missing(records)]
    parts += [_summary(found), _by_primitive(found)]
    parts += [_crossovers(found), beside(records), _fails(found), _worst(found)]
    parts += [_all(record, some) for record, some in found]
    return "\n".join(parts)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _size(nbytes: float) -> str:
    return "never" if math.isnan(nbytes) else format_bytes(nbytes)


def _conditions(records: Sequence[Record]) -> str:
    """Where and when each run was made."""
    rows = []
    for one in records:
        over = f"{one.mpi}{f' over {one.over}' if one.over else ''}"
        network = ["-"] * 3
        if one.hosts > 1:
            both = [_reached(one.payload[name]) for name in ("one_way", "together")]
            network = [f"{one.rate / 1e6:g} Mbit/s, burst {format_bytes(one.burst)}", *both]
        cores = f"{one.cores}{' (shared)' if one.crowded else ''}"
        load = "-" if one.load is None else f"{one.load:g}"
        rest = [f"{one.empty:{'.0f' if one.empty >= 10 else '.1f'}} us", cores, load, one.date]
        rows.append([one.configuration.words, over, *network, *rest])
    sockets = ["a plain socket", "all hosts at once"]
    return table(["", "MPI", "link", *sockets, "empty call", "cores", "load", "date"], rows)


def _reached(rate: float) -> str:
    return f"{rate / 1e6:.2f} MB/s" if rate > 0 else "-"


def _missing(records: Sequence[Record]) -> str:
    """What the runs had no time for."""
    rows = []
    for one in records:
        for primitive, times in one.times.items():
            reached = set.intersection(*map(set, times.values())) if times else set()
            absent = [format_bytes(n) for n in SIZES if str(n) not in reached]
            if absent:
                rows.append([one.configuration.words, primitive, ", ".join(absent)])
    absent = [one.words for one in CONFIGURATIONS if one not in [r.configuration for r in records]]
    words = f"No run of: {'; '.join(absent)}.\n" if absent else ""
    if not rows:
        return words
    return f"{words}\nNot reached:\n\n" + table(["", "", "vectors of"], rows)


def _fails(found: Found) -> str:
    titles = ["", f"to {format_bytes(SHORT)}", "between", f"from {format_bytes(LONG)}"]
    return f"{FAILS}{table(titles, by_length(found))}\n{readings(found)}"


def _measures(some: list[Cell]) -> list[str]:
    """What the tables say of some cells."""
    pairs = winners(some)
    exact = sum(fastest.algorithm == chosen.algorithm for fastest, chosen in pairs)
    lost = [chosen.measured / fastest.measured for fastest, chosen in pairs]
    mean = f"{np.exp(np.mean(np.log(lost))):.2f}" if lost else "-"
    return [
        _percent(median_error(some)),
        _percent(median_error(cell for cell in some if cell.n <= SHORT)),
        _percent(median_error(cell for cell in some if cell.n >= LONG)),
        f"{exact} of {len(pairs)}",
        f"{sum(map(right, pairs))} of {len(pairs)}",
        mean,
    ]


TITLES = [
    "median error",
    f"to {format_bytes(SHORT)}",
    f"from {format_bytes(LONG)}",
    "winner right",
    "or within 10 %",
    "time lost",
]


def _in_short(found: Found) -> str:
    """The answer, before all tables."""
    every = [cell for _, some in found for cell in some]
    long = [cell for cell in every if cell.n >= LONG]
    pairs = [pair for _, some in found for pair in winners(some)]
    lost = np.array([chosen.measured / fastest.measured for fastest, chosen in pairs])
    if not long:
        return ""
    text = (
        f"*In short*: half of all predictions are within {_percent(median_error(every))} of what "
        f"was measured, and of long vectors within {_percent(median_error(long))}; these take "
        f"{1 / ratio(long):.2f} times as long as predicted (median). An order is easier to predict "
        "than a time: the algorithm that is predicted to be the fastest takes "
        f"{np.exp(np.mean(np.log(lost))):.2f} times as long as the one that was (geometric mean)."
    )
    return fill(text, 96) + "\n"


def _summary(found: Found) -> str:
    rows = [[record.configuration.words, *_measures(some)] for record, some in found]
    words = (
        "## Summary\n\nA cell is an algorithm with a length, and its error is relative to what was "
        "measured. For each\nprimitive and length somebody may ask which algorithm to take: the "
        "winner is right if the one that\nis predicted to be the fastest was, and *time lost* is "
        "how many times as long as the fastest it\ntook, in the geometric mean.\n\n"
    )
    return words + table(["", *TITLES], rows)


def _by_primitive(found: Found) -> str:
    """The same by primitive, over all configurations."""
    rows = []
    for primitive in found[0][0].times if found else ():
        groups = [[cell for cell in some if cell.primitive == primitive] for _, some in found]
        every = [cell for group in groups for cell in group]
        pairs = [pair for group in groups for pair in winners(group)]
        signed = ratio(cell for cell in every if cell.n >= LONG)
        exact = sum(fastest.algorithm == chosen.algorithm for fastest, chosen in pairs)
        rows.append(
            [
                primitive,
                *_measures(every)[:3],
                "-" if math.isnan(signed) else f"{signed:.2f}",
                f"{exact} of {len(pairs)}",
                f"{sum(map(right, pairs))} of {len(pairs)}",
            ]
        )
    titles = ["", *TITLES[:3], "predicted / measured there", *TITLES[3:5]]
    return "## By primitive\n\nAll configurations together.\n\n" + table(titles, rows)


def _crossovers(found: Found) -> str:
    rows, good, number = [], 0, 0
    for record, some in found:
        for one in crossovers(some):
            good, number = good + one.found, number + 1
            pair = f"{one.short} to {one.long}"
            sizes = _size(one.measured), _size(one.predicted), "yes" if one.found else "no"
            rows.append([record.configuration.words, one.primitive, pair, *sizes])
    words = (
        f"## Crossovers\n\nFrom which length on the fastest for the longest vectors beats the "
        f"fastest for the shortest ones,\nwhere each wins its end by more than 10 %: "
        f"{good} of {number} are predicted within a factor of {FACTOR:g}.\n\n"
    )
    return words + table(["", "", "from ... to", "measured", "predicted", "right"], rows)


def _worst(found: Found) -> str:
    every = [(record, cell) for record, some in found for cell in some if cell.n >= LONG]
    every.sort(key=lambda pair: -abs(math.log(pair[1].ratio)))
    rows = [
        [
            record.configuration.words,
            f"{cell.primitive}.{cell.algorithm}",
            format_bytes(cell.n),
            seconds(cell.predicted),
            seconds(cell.measured),
            f"{cell.ratio:.2f}",
        ]
        for record, cell in every[:12]
    ]
    titles = ["", "", "size", "predicted", "measured", "ratio"]
    return f"The worst from {format_bytes(LONG)} on:\n\n" + table(titles, rows)


def _cell(cell: Cell | None) -> str:
    return f"{1e3 * cell.measured:.3g} x{cell.ratio:.2f}" if cell else "-"


def _all(record: Record, some: Sequence[Cell]) -> str:
    """Every cell: milliseconds that were measured, and predicted as a multiple of them."""
    sizes = sorted({cell.n for cell in some})
    by_name: dict[str, dict[int, Cell]] = {}
    for cell in some:
        by_name.setdefault(f"{cell.primitive}.{cell.algorithm}", {})[cell.n] = cell
    rows = [[name, *[_cell(row.get(n)) for n in sizes]] for name, row in by_name.items()]
    words = (
        f"## All cells: {record.configuration.words}\n\n"
        "Milliseconds measured, and predicted as a multiple of them.\n\n"
    )
    return words + table(["", *map(format_bytes, sizes)], rows)
