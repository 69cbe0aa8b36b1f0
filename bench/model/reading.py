"""Where the predictions fail: what the runs say, and how that may be read.

Numbers come from the runs. What nobody has tested is marked as a reading.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from collectives.choice import parse
from collectives.study.pricing import evenly
from collectives.units import format_bytes

from .compare import LONG, SHORT, Cell, bound, machine_of, median_error, ours
from .runs import MADE, Record
from .tables import table

Found = Sequence[tuple[Record, list[Cell]]]

NEAR = 1.1  # a ratio from 1 / NEAR to this is called right
EXTREMES = 2  # algorithms at either end
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


@dataclass(frozen=True)
class Cause:
    """Something that predictions do not see, and what the runs say of it.

    Attributes
    ----------
    name, text : str
    titles : sequence of str
        Of the numbers.
    rows : sequence of (Record, sequence of str)
        The numbers of each run that has any.
    """

    name: str
    text: str
    titles: Sequence[str]
    rows: Sequence[tuple[Record, Sequence[str]]]

    def markdown(self) -> str:
        """A section of the page."""
        rows = [[record.configuration.words, *cells] for record, cells in self.rows]
        return f"### {self.name}\n\n{textwrap.fill(self.text, WIDTH)}\n\n" + table(
            ["", *self.titles], rows
        )


def readings(found: Found) -> str:
    """What the runs say about each cause that was thought of."""
    boxes = [(record, some) for record, some in found if record.hosts > 1]
    nodes = [(record, some) for record, some in found if record.hosts == 1]
    causes = [_noise(found), _bucket(boxes), _cores(found), _empty(found), _kernel(boxes)]
    causes.append(_node(nodes))
    return "\n".join(cause.markdown() for cause in causes if cause.rows)


TO, FROM = f"to {format_bytes(SHORT)}", f"from {format_bytes(LONG)}"


def _percent(values: Iterable[float]) -> str:
    return f"{100 * float(np.median([*values])):.0f} %"


def _noise(found: Found) -> Cause:
    """How far two measurements of the same differ: this is tested."""
    rows = []
    for record, _ in found:
        short, long = twice(record, 0, SHORT), twice(record, LONG, math.inf)
        if short and long:
            rows.append((record, [_percent(short), _percent(long)]))
    text = (
        "What `auto` takes by the table made there was measured under its own name, too, in the "
        "same turns: two times of the same messages. So far are they apart, by the median. No "
        "prediction can be nearer than about that, and the best of many is in part luck."
    )
    return Cause("Noise", text, [TO, FROM], rows)


def twice(record: Record, least: float, most: float) -> list[float]:
    """How far two times of one algorithm are apart, as a part of the shorter one, by lengths."""
    if not record.table:
        return []
    made, p = parse("made there", record.table), record.configuration.p
    pairs = []
    for primitive, times in record.times.items():
        for n, time in times.get(MADE, {}).items():
            if least <= int(n) <= most:
                nbytes = evenly(primitive, p, int(n))
                name = made.spec(primitive, p, nbytes, nodes=record.hosts)
                pairs += [(time, times[name][n])] if name in times else []
    return [max(pair) / min(pair) - 1 for pair in pairs]


def _bucket(boxes: Found) -> Cause:
    """Vectors about as long as the burst, beside longer ones."""
    rows = []
    for record, some in boxes:
        about = [cell for cell in some if record.burst / 4 <= cell.n <= 4 * record.burst]
        burst = format_bytes(machine_of(record.machine).burst)
        numbers = [direction(ratio(about)), direction(ratio(c for c in some if c.n >= LONG))]
        rows.append((record, [burst, *numbers]))
    text = (
        "After a pause a link passes its burst at once. Before each call all ranks sleep until it "
        "has been saved up, and how much it is was measured with the other parameters. The median "
        "of predicted / measured for vectors from a quarter of the burst to four times it, and "
        "for long ones:"
    )
    return Cause("The bucket", text, ["burst measured", "about the burst", FROM], rows)


def _cores(found: Found) -> Cause:
    """The algorithms at either end, where ranks share cores."""
    rows = []
    for record, some in found:
        low, high = extremes(some)
        if record.crowded and low:
            rows.append((record, [", ".join(low), ", ".join(high)]))
    text = (
        "A rank that a message has reached still waits for its turn on a core. The parameters hold "
        "the mean of that, not who waits when. The algorithms whose long vectors are predicted "
        f"lowest and highest, with the median of predicted / measured. {READING} the more ranks "
        "have something to do at one moment, the lower."
    )
    return Cause("Ranks that share cores", text, ["lowest", "highest"], rows)


def _empty(found: Found) -> Cause:
    """Whether short vectors are predicted better with the empty call added: this is tested."""
    rows = []
    for record, some in found:
        short = [cell for cell in some if cell.n <= SHORT]
        more = [replace(cell, predicted=cell.predicted + 1e-6 * record.empty) for cell in short]
        if short:
            both = (f"{100 * median_error(x):.0f} %" for x in (short, more))
            rows.append((record, [*both]))
    text = (
        "A call begins when the first rank leaves the barrier before it, so an empty call takes "
        "the time in the first table, and no prediction has it. The median error "
        f"{TO} as it is, and if that time is added to all predictions:"
    )
    return Cause("What a barrier leaves behind", text, ["as it is", "added"], rows)


def _kernel(boxes: Found) -> Cause:
    """How far the best is from the bound."""
    rows = []
    for record, _ in boxes:
        best = [
            min(times[name][n] for name in ours(times)) / 1e6 / bound(record, primitive, int(n))
            for primitive, times in record.times.items()
            if primitive not in ("scan", "exscan")
            for n in times[ours(times)[0]]
            if int(n) >= LONG
        ]
        if best:
            together = record.payload["together"] / record.payload["one_way"]
            mean = np.exp(np.mean(np.log(best)))
            rows.append((record, [f"{mean:.2f}", f"{100 * together:.0f} %"]))
    text = (
        "TCP takes the cores, too, the same that add and copy. How many times as long as the bound "
        "the best algorithm takes (geometric mean of long vectors, without scan and exscan), and "
        f"what is left of a socket's rate when all hosts send at once. {READING} what the second "
        "number does not explain of the first is the time of ranks that wait for a core."
    )
    return Cause("The kernel", text, ["best / bound", "rate left"], rows)


def _node(nodes: Found) -> Cause:
    """Shared memory."""
    rows = [
        (
            record,
            [
                direction(ratio(c for c in some if c.n <= SHORT)),
                direction(ratio(c for c in some if c.n >= LONG)),
            ],
        )
        for record, some in nodes
    ]
    text = (
        "The median of predicted / measured in shared memory. "
        f"{READING} short calls are Python's for a large part, which differs from algorithm to "
        "algorithm; long ones depend on the caches, and the model has one rate for all lengths."
    )
    return Cause("One node", text, [TO, FROM], rows)
