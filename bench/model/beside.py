"""Beside the bound: the MPI's own, `auto`, and the best algorithm, in boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collectives.algorithms.language.registry import AUTO
from collectives.bench.cells import BUILTIN
from collectives.units import format_bytes, seconds

from .compare import LONG, WRONG, bound, ours, too_fast
from .runs import MADE, SIZES, Record
from .tables import table

LIMITED = """\
## Beside the bound

The bound is the bytes that must pass a host's link less the burst, at the rate that a plain
socket reaches there. Times are multiples of it: of the MPI's own collective; of `auto` with the
declared table, which is for clusters with 25 Gbit/s Ethernet; of `auto` with a table made from
the parameters that were measured there, as somebody with such a network would make it; and of
the best algorithm here. With 8 hosts that table comes from
`python -m collectives table -p 8 --topology docs/model/box-8x1.toml --write mine.json`, and
COLLECTIVES_TABLE=mine.json in the environment puts it in force. Less than {least} would mean
that the measurement is wrong: {wrong} of {number} times are.
"""


def beside(records: Sequence[Record]) -> str:
    """The section of the page."""
    boxes = [record for record in records if record.hosts > 1]
    wrong = [(record.configuration.words, one) for record in boxes for one in too_fast(record)]
    rows = [row for record in boxes for found in record.times.values() for row in found.values()]
    parts = [LIMITED.format(least=WRONG, wrong=len(wrong), number=sum(map(len, rows)))]
    if wrong:
        cells = [
            [words, f"{one.primitive}.{one.algorithm}", format_bytes(one.n), f"{one.ratio:.2f}"]
            for words, one in wrong
        ]
        parts.append(table(["", "", "size", "of the bound"], cells))
    parts += [_gains(boxes)]
    parts += [f"{one.configuration.words}:\n\n{_multiples(one)}" for one in boxes]
    return "\n".join(parts)


def _multiples(record: Record) -> str:
    """The table of one box."""
    rows = []
    for primitive, times in record.times.items():
        for n in (n for n in SIZES if n >= LONG):
            if not _reached_all(times, n):
                continue
            best = _best(times, n)
            limit = bound(record, primitive, n)
            some = [
                f"{times[name][str(n)] / 1e6 / limit:.2f}" if name in times else "-"
                for name in (BUILTIN, AUTO, MADE, best)
            ]
            rows.append([primitive, format_bytes(n), seconds(limit), *some, best])
    return table(["", "size", "bound", "built-in", AUTO, MADE, "best", "which"], rows)


def _gains(boxes: Sequence[Record]) -> str:
    """How `auto` does beside the others, without scan and exscan."""
    rows = []
    for record in boxes:
        for name in (AUTO, MADE):
            if name in next(iter(record.times.values()), {}):
                rows.append([record.configuration.words, name, *_gain(record, name)])
    titles = ["", "table", "built-in / auto", "slower than built-in", "auto / best", "best / bound"]
    words = "Geometric means from 256 KiB on, without scan and exscan:\n\n"
    return words + table(titles, [[a, _table_of(b), *c] for a, b, *c in rows])


def _table_of(name: str) -> str:
    return "made there" if name == MADE else "declared"


def _gain(record: Record, name: str) -> list[str]:
    rows = [
        (
            times[BUILTIN][str(n)],
            times[name][str(n)],
            times[_best(times, n)][str(n)],
            1e6 * bound(record, primitive, n),
        )
        for primitive, times in record.times.items()
        for n in (n for n in SIZES if n >= LONG)
        if primitive not in ("scan", "exscan") and _reached_all(times, n)
    ]
    if not rows:
        return ["-"] * 4
    builtin, auto, best, limit = np.array(rows).T
    means = [np.exp(np.mean(np.log(x))) for x in (builtin / auto, auto / best, best / limit)]
    gain, lost, far = (f"{mean:.2f}" for mean in means)
    return [gain, f"{np.sum(auto > builtin)} of {len(rows)}", lost, far]


def _best(times: dict, n: int) -> str:
    return min(ours(times), key=lambda name: times[name][str(n)])


def _reached_all(times: dict, n: int) -> bool:
    return all(str(n) in row for row in times.values())
