"""What a picture shows, in words, for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collectives.engines.trace import Trace
from collectives.explain import wrong
from collectives.explain.moments import Moment, in_lock_step, moments
from collectives.explain.summary import ends, path
from collectives.explain.words import Words
from collectives.units import format_bytes

# More messages than these at a time are counted, and not told one by one.
FEW = 16


def description(trace: Trace, words: Words, kinds: Sequence[str]) -> str:
    """Some sentences: what is drawn, then what happens, beat by beat."""
    return "\n".join([*_drawn(kinds), *_facts(trace), *_beats(trace, words), *_failure(trace)])


def _drawn(kinds: Sequence[str]) -> Iterator[str]:
    for kind in kinds:
        yield {
            "spacetime": "Space-time diagram: ranks across, time down, a line for each message.",
            "grid": "Grids of what each rank holds, one for each moment.",
            "graph": "Graphs of who talks to whom, one for each phase.",
            "traffic": "A square of the bytes that each rank sends to each.",
        }[kind]


def _facts(trace: Trace) -> Iterator[str]:
    if trace.summary:
        yield trace.summary
    total = sum(message.nbytes for message in trace.messages)
    count = len(trace.messages)
    yield f"{trace.setting.p} ranks, {count} messages, {format_bytes(total)} in all."
    if trace.failure is None:
        yield f"Time: {ends(trace)}."
        yield f"Critical path: {path(trace)}."


def _beats(trace: Trace, words: Words) -> Iterator[str]:
    unit = "Round" if in_lock_step(trace) else "Beat"
    for moment in moments(trace):
        yield f"{unit} {moment.beat}: {'; '.join(_moves(moment, words)) or 'nothing moves'}."


def _moves(moment: Moment, words: Words) -> Iterator[str]:
    told = [
        words.message(message) + (" (waits)" if message.taken is None else "")
        for message in moment.messages
    ]
    if len(told) <= FEW:
        yield from told
    else:
        yield f"{len(told)} messages, the first {told[0]}, the last {told[-1]}"
    for kind, ranks in moment.steps:
        yield f"{kind} on {len(ranks)} rank{'s' * (len(ranks) > 1)}"


def _failure(trace: Trace) -> Iterator[str]:
    if trace.failure is not None:
        yield f"{wrong.heading(trace.failure)}: {trace.failure.message}"
