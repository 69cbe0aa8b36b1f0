"""What really happened, as lines: the calls of a recorded run, and one beside its prediction."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from collectives.engines.trace import Round, Trace
from collectives.explain.moments import in_lock_step
from collectives.explain.source import line_at
from collectives.study.measured import Measured
from collectives.study.recorded import Recorded, Run
from collectives.units import format_bytes, seconds

HEADS = ("call", "began", "took", "ranks", "what")


def listed(run: Run, width: int) -> Iterator[Text]:
    """The calls of a run, as lines of a width."""
    rows = [(str(number), *_row(run, call)) for number, call in enumerate(run.calls, 1)]
    widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
    for row in (HEADS, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[:4], widths, strict=False)]
        yield _line([*cells, row[4]], "bold" if row is HEADS else "", width)
    if run.dropped:
        yield from _wrapped(
            f"{run.dropped} more records of single ranks are left out: there was no room for all, "
            "and a call needs those of all its ranks.",
            width,
        )
    if run.calls:
        uncertain = max(call.uncertainty for call in run.calls)
        text = f"Clocks agree to {seconds(uncertain)}. --call N shows one of the calls."
        yield from _wrapped(text, width)


def _line(cells: Sequence[str], style: str, width: int) -> Text:
    text = "  ".join(cells).rstrip()
    return Text(text if len(text) <= width else text[: width - 3] + "...", style=style)


def _wrapped(text: str, width: int) -> Iterator[Text]:
    yield Text()
    yield from map(Text, textwrap.wrap(text, width))


def _row(run: Run, call: Recorded) -> tuple[str, str, str, str]:
    sketch = call.sketches[0]
    whole = call.sketches[sketch.root or 0]
    what = call.title
    if sketch.asked != sketch.algorithm:
        what += f" ({sketch.asked})"
    if sketch.primitive != "barrier":
        what += f", {format_bytes(whole.n * whole.itemsize)}"
    what += "".join(f", {key} = {value}" for key, value in sketch.parameters.items())
    what += f", root = {sketch.root}" if sketch.root is not None else ""
    what += f", {call.calls[0].form}" if call.calls[0].form != "blocking" else ""
    what += f", for {sketch.within}" if sketch.within else ""
    what += ", failed" if call.failed else ""
    began = seconds(call.begin - run.calls[0].begin)
    return began, seconds(call.seconds), str(call.p), what


def compared(two: Measured, uncertainty: float, width: int) -> Iterator[Text]:
    """When every beat ended, predicted and measured."""
    measured, predicted = two.measured, two.predicted
    unit = "round" if in_lock_step(measured) else "beat"
    heads = (unit, "predicted", "measured", "last", "line")
    rows = [_compared(two, beat) for beat in range(1, measured.beats + 1)]
    late = max(measured.setting.late)
    rows = [("begin", seconds(late), seconds(late), "", ""), *rows]
    rows.append(("end", seconds(predicted.time), seconds(measured.time), _last(measured), ""))
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    yield Text("\nPredicted and measured", style="bold")
    for row in (heads, *rows):
        cells = [cell.rjust(size) for cell, size in zip(row[:4], widths, strict=False)]
        yield _line([*cells, row[4]], "dim" if row is heads else "", width)
    yield from _wrapped(
        f"Times are from the begin of the first rank to the end of the {unit} on the last; "
        f"the last rank begins after {seconds(late)} in the prediction, too. Clocks agree to "
        f"{seconds(uncertainty)}.",
        width,
    )


def _compared(two: Measured, beat: int) -> tuple[str, str, str, str, str]:
    here = [
        (rank, round_)
        for rank, mine in enumerate(two.measured.ranks)
        for round_ in mine.rounds
        if round_.until == beat
    ]
    if not here:
        return str(beat), "", "", "", ""
    last, slowest = max(here, key=lambda each: _end(each[1]))
    before = [two.predicted.ranks[rank].rounds[round_.number - 1] for rank, round_ in here]
    times = max(map(_end, before)), _end(slowest)
    place = slowest.places[0]
    text = f"{place.line}  {line_at(two.measured, place)}"
    return str(beat), seconds(times[0]), seconds(times[1]), str(last), text


def _last(measured: Trace) -> str:
    finished: Sequence[float] = [rank.finished or 0.0 for rank in measured.ranks]
    return str(finished.index(max(finished)))


def _end(round_: Round) -> float:
    return round_.end if round_.end is not None else round_.start
