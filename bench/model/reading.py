"""Where the predictions fail: what the runs say, and how that may be read.

Numbers come from the runs. What nobody has tested is marked as a reading.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from collectives.units import format_bytes

from .compare import LONG, SHORT, Cell, bound, machine_of, median_error, ours
from .runs import MADE, Record

Found = Sequence[tuple[Record, list[Cell]]]

NEAR = 1.1  # a ratio from 1 / NEAR to this is called right
EXTREMES = 3  # algorithms at either end
WIDTH = 96  # of the text of the page
READING = "Reading, not tested:"


def direction(ratio: float) -> str:
    """Whether predictions are too short or too long, by the median of their ratios."""
    if math.isnan(ratio):
        return "-"
    if ratio < 1 / NEAR:
        return f"{ratio:.2f}, too fast"
    return f"{ratio:.2f}, too slow" if ratio > NEAR else f"{ratio:.2f}"


def ratio(some: Iterable[Cell]) -> float:
    """The median of predicted to measured; nan of none."""
    ratios = [cell.ratio for cell in some]
    return float(np.median(ratios)) if ratios else math.nan


def by_length(found: Found) -> list[list[str]]:
    """For each configuration, the direction for short, middle and long vectors."""
    return [
        [
            record.configuration.words,
            direction(ratio(cell for cell in some if cell.n <= SHORT)),
            direction(ratio(cell for cell in some if SHORT < cell.n < LONG)),
            direction(ratio(cell for cell in some if cell.n >= LONG)),
        ]
        for record, some in found
    ]


def extremes(some: Sequence[Cell]) -> tuple[list[str], list[str]]:
    """Of long vectors, the algorithms with the lowest and with the highest ratios."""
    ours: dict[str, list[Cell]] = {}
    for cell in some:
        if cell.n >= LONG:
            ours.setdefault(f"{cell.primitive}.{cell.algorithm}", []).append(cell)
    ratios = {name: ratio(cells) for name, cells in ours.items()}
    names = [f"{name} {ratios[name]:.2f}" for name in sorted(ratios, key=lambda x: ratios[x])]
    half = min(EXTREMES, len(names) // 2)
    return names[:half], names[len(names) - half :][::-1]


def readings(found: Found) -> str:
    """A list of what the runs say about each cause that was thought of."""
    boxes = [(record, some) for record, some in found if record.hosts > 1]
    nodes = [(record, some) for record, some in found if record.hosts == 1]
    points = [
        *_noise(found),
        *_bucket(boxes),
        *_cores(found),
        *_empty(found),
        *_kernel(boxes),
        *_node(nodes),
    ]
    return "".join(f"{_item(point)}\n" for point in points)


def _item(point: str) -> str:
    """One item of a list in Markdown."""
    return textwrap.fill(point, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _each(values: Iterable[tuple[Record, str]]) -> str:
    return "; ".join(f"{record.configuration.words}: {text}" for record, text in values)


def _bucket(boxes: Found) -> list[str]:
    """Vectors about as long as the burst, beside longer ones."""
    if not boxes:
        return []
    values = []
    for record, some in boxes:
        about = [cell for cell in some if record.burst / 4 <= cell.n <= 4 * record.burst]
        longer = [cell for cell in some if cell.n >= LONG]
        burst = format_bytes(machine_of(record.machine).burst)
        values.append((record, f"{burst}, {ratio(about):.2f} and {ratio(longer):.2f}"))
    return [
        "**The bucket.** After a pause a link passes its burst at once. Before each call all ranks "
        "sleep until it has been saved up, and the burst is one of the parameters. What was "
        "measured of it, and the median of predicted / measured for vectors from a quarter of the "
        f"burst to four times it and from {format_bytes(LONG)} on: {_each(values)}."
    ]


def _noise(found: Found) -> list[str]:
    """How far two measurements of the same differ: this is tested."""
    values = []
    for record, _ in found:
        short, long = twice(record, 0, SHORT), twice(record, LONG, math.inf)
        if short and long:
            both = (f"{100 * np.median(x):.0f} %" for x in (short, long))
            values.append((record, " and ".join(both)))
    if not values:
        return []
    return [
        "**Noise.** What `auto` takes by the table made there was measured under its own name, too, "
        "in the same turns. The two times are of the same messages; they differ by (median, to "
        f"{format_bytes(SHORT)} and from {format_bytes(LONG)} on) {_each(values)}. No prediction "
        "can be nearer than about that, and the best of many algorithms is in part luck."
    ]


def twice(record: Record, least: float, most: float) -> list[float]:
    """How far two times of one algorithm are apart, as a part of the shorter one, by lengths."""
    pairs = [
        (record.times[primitive][MADE][n], record.times[primitive][name][n])
        for primitive, row in record.chosen.items()
        for n, name in row.items()
        if least <= int(n) <= most
        and n in record.times[primitive].get(MADE, {})
        and n in record.times[primitive].get(name, {})
    ]
    return [max(pair) / min(pair) - 1 for pair in pairs]


def _cores(found: Found) -> list[str]:
    """The algorithms at either end, where ranks share cores."""
    values = []
    for record, some in found:
        low, high = extremes(some)
        if record.crowded and low:
            values.append((record, f"{', '.join(low)}, and {', '.join(high)}"))
    if not values:
        return []
    return [
        "**Ranks that share cores.** A rank that a message has reached still waits for its turn on "
        "a core. The parameters hold the mean of that, not who waits when. Medians for long "
        f"vectors, the lowest and the highest: {_each(values)}. "
        f"{READING} the more ranks have something to do at one moment, the lower."
    ]


def _empty(found: Found) -> list[str]:
    """Whether short vectors are predicted better with the empty call added: this is tested."""
    values = []
    for record, some in found:
        short = [cell for cell in some if cell.n <= SHORT]
        more = [replace(cell, predicted=cell.predicted + 1e-6 * record.empty) for cell in short]
        before, after = median_error(short), median_error(more)
        if short:
            values.append((record, f"{100 * before:.0f} % and {100 * after:.0f} %"))
    return [
        "**What a barrier leaves behind.** A call begins when the first rank leaves the barrier "
        "before it, so an empty call takes the time in the first table, and no prediction has it. "
        f"Median error to {format_bytes(SHORT)} as it is, and if that time is added to all "
        f"predictions: {_each(values)}."
    ]


def _kernel(boxes: Found) -> list[str]:
    """How far the best is from the bound."""
    values = []
    for record, _ in boxes:
        best = [
            min(row[str(n)] for row in rows) / 1e6 / bound(record, primitive, n)
            for primitive, times in record.times.items()
            if primitive not in ("scan", "exscan")
            for rows in [[times[name] for name in ours(times)]]
            for n in map(int, rows[0])
            if n >= LONG
        ]
        if best:
            together = record.payload["together"] / record.payload["one_way"]
            mean = np.exp(np.mean(np.log(best)))
            values.append((record, f"{mean:.2f}, and {100 * together:.0f} %"))
    if not values:
        return []
    return [
        "**The kernel.** TCP takes the cores, too, the same that add and copy. The best algorithm "
        "as a multiple of the bound (geometric mean, without scan and exscan), and what is left of "
        f"a socket's rate when all hosts send at once: {_each(values)}. "
        f"{READING} what that does not explain is the time of ranks that wait for a core."
    ]


def _node(nodes: Found) -> list[str]:
    """Shared memory."""
    if not nodes:
        return []
    values = []
    for record, some in nodes:
        short, long = (
            [c for c in some if c.n <= SHORT],
            [c for c in some if c.n >= LONG],
        )
        values.append((record, f"{ratio(short):.2f} and {ratio(long):.2f}"))
    return [
        "**One node.** Median of predicted / measured for short and for long vectors: "
        f"{_each(values)}. {READING} short calls are Python's for a large part, which "
        "differs from algorithm to algorithm; long ones depend on the caches, and the model has "
        "one rate for all lengths."
    ]
