"""How the grids and messages of a trace are to be read."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.engines.trace import Trace
from collectives.explain.words import SHORT, Words


def legend(trace: Trace, words: Words, in_beats: bool) -> str:
    """A few sentences, as many as this trace needs."""
    return " ".join([*_layout(trace), *_cells(trace, words), *_changes(trace), *_beats(in_beats)])


def _cells(trace: Trace, words: Words) -> Iterator[str]:
    if trace.setting.primitive == "barrier":
        yield "A cell has the ranks of whose coming a rank knows, in brackets if it knows of all."
        return
    if words.data:
        yield f"Rank r contributes {words.unit}(r+1) + i as part i."
        yield "A cell has the sum that is held." if words.merges else "A cell has what is held."
    elif words.merges:
        yield "A cell has the ranks whose contributions are in the sum that is held, in their order"
        yield "(3-1: from 3 on, round after the last rank, up to 1); brackets: nobody is missing."
    else:
        yield "A cell has the ranks whose block lies there."
    if words.merges and any(len(words.value(value)) > SHORT for value in range(len(trace.values))):
        yield "Where that is too long, order is left out: 0-14/2 is every second from 0 to 14,"
        yield "5 of 16 so many of all ranks."
    held = [cell for rank in trace.ranks for r in rank.rounds for cell in r.changes]
    if words.merges and any(len(cell.values) > 1 for cell in held):
        yield "a|b are two sums, each by itself."


def _layout(trace: Trace) -> Iterator[str]:
    parts = trace.parts
    if len(parts) < 2:
        yield "Columns are ranks."
    elif all(part.name == str(part.block) for part in parts):
        whose = ", each for one rank" if trace.setting.primitive == "alltoall" else ""
        yield f"Rows are ranks, columns are blocks{whose}."
    else:
        yield "Rows are ranks, columns are pieces of the vector as it is cut here:"
        yield f"{parts[0].name} has"
        yield f"elements {parts[0].start} to {parts[0].stop - 1}, and so on."


def _changes(trace: Trace) -> Iterator[str]:
    yield "A star marks what is new, a dot what is not there."
    if any(round_.drops for rank in trace.ranks for round_ in rank.rounds):
        yield "What lies in scratch memory counts until it is used for the last time."


def _beats(in_beats: bool) -> Iterator[str]:
    if in_beats:
        yield "Not all ranks yield equally often, so all this is told in beats: in each, every rank"
        yield "that does not wait for a message goes through one of its rounds."
