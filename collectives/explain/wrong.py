"""Where an algorithm went wrong, in words, and how that is usually repaired."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.engines.trace import Failure, Trace, Wait
from collectives.explain.source import line_at
from collectives.explain.words import Words, ranks_in_words

# How many wrong parts are listed.
FEW = 8

# A cycle that takes a longer line is not drawn as one.
LONG = 80

REPAIRS = """\
Three usual repairs:
- order the sends: let some ranks recv first, for example those with an odd number;
- pair them in one yield: `yield send(mine, right), recv(theirs, left)` starts both at
  once, as MPI_Sendrecv does;
- do not wait for a send before the recv is posted: MPI_Isend, then MPI_Recv, then MPI_Wait."""


def told(trace: Trace, words: Words, eager: Trace | None) -> Iterator[str]:
    """What went wrong.

    Parameters
    ----------
    trace : Trace
        With a failure.
    words : Words
    eager : Trace or None
        The same with messages that leave at once, if sends waited.
    """
    failure = trace.failure
    assert failure is not None
    if failure.kind == "deadlock":
        yield from _deadlock(trace, failure, eager)
    elif failure.kind == "wrong":
        yield from _wrong(trace, failure, words)
    else:
        yield failure.message
        yield from _line(trace, failure)


def heading(failure: Failure) -> str:
    """What kind of thing went wrong."""
    return {
        "deadlock": "Here it stops: ranks wait, and nobody will wake them",
        "schedule": "Here it stops: a rule is broken",
        "error": "Here it stops: the page raises an error",
        "wrong": "It runs to its end, and the answer is wrong",
    }[failure.kind]


def _deadlock(trace: Trace, failure: Failure, eager: Trace | None) -> Iterator[str]:
    cycle = [wait for wait in failure.waits if wait.in_cycle]
    yield from _drawn(trace, [wait.rank for wait in cycle], cycle[-1].peer)
    yield ""
    for wait in cycle:
        yield from _waits(trace, wait)
    for wait in failure.waits[len(cycle) :]:
        step = f"{wait.kind} {wait.peer} (line {wait.place.line})"
        yield f"rank {wait.rank} waits behind them, in {step}"
    if any(wait.kind == "send to" for wait in cycle):
        yield ""
        yield from _lesson(trace, eager)


def _drawn(trace: Trace, cycle: list[int], last: int) -> Iterator[str]:
    """The cycle of ranks that wait; an arrow points to whom a rank waits for."""
    text = "    " + " --> ".join(str(rank) for rank in cycle)
    if trace.ranks[last].finished is not None:
        yield f"{text} --> {last}, which has finished"
    elif len(text) > LONG:
        yield f"{text} --> {last} again"
    else:
        start = 4
        yield text
        yield " " * start + "^" + " " * (len(text) - start - 2) + "|"
        yield " " * start + "+" + "-" * (len(text) - start - 2) + "+"


def _waits(trace: Trace, wait: Wait) -> Iterator[str]:
    place = wait.place
    yield f"rank {wait.rank} waits in {wait.kind} {wait.peer}, in its round {wait.round}"
    yield f"    {place.file}:{place.line}  {line_at(trace, place)}"


def _lesson(trace: Trace, eager: Trace | None) -> Iterator[str]:
    """Why it ended on the laptop, and what to do."""
    longest = max(message.nbytes for message in trace.messages)
    if eager is not None and eager.failure is None:
        yield (
            "The same program comes to its end if messages leave at once, whether or not anybody "
            "asks for them yet. MPI sends short messages so, up to some kilobytes; here "
            f"--eager {longest}, the length of the longest message, is enough. That is why such a "
            "program works on a laptop with little data, and stands still with much."
        )
    elif eager is not None:
        yield "It does not end either if messages leave at once."
    yield ""
    yield REPAIRS


def warned(trace: Trace) -> Iterator[str]:
    """A run that ended, and would not have with longer messages."""
    longest = max(message.nbytes for message in trace.messages)
    yield (
        f"No message has more than {longest} bytes, so all left at once, whether or not anybody "
        "asked for them yet. With longer messages, or --rendezvous, the same program stands still: "
        "ranks wait for each other."
    )


def _wrong(trace: Trace, failure: Failure, words: Words) -> Iterator[str]:
    for fault in failure.faults[:FEW]:
        name = words.parts([fault.part])
        wanted = words.value(fault.wanted, fault.part)
        got = "nothing" if fault.got is None else words.value(fault.got, fault.part)
        when = f", last written in its round {fault.round}" if fault.round else ""
        yield f"rank {fault.rank}: {name} should hold {wanted}, holds {got}{when}"
        yield f"    {fault.what}"
    rest = len(failure.faults) - FEW
    if rest > 0:
        ranks = sorted({fault.rank for fault in failure.faults})
        yield f"and {rest} more, on ranks {ranks_in_words(ranks)}"
    yield from _line(trace, failure)


def _line(trace: Trace, failure: Failure) -> Iterator[str]:
    """Where it shows first."""
    if failure.rank is None or failure.round is None:
        return
    place = trace.ranks[failure.rank].rounds[failure.round - 1].places[0]
    yield f"It shows first on rank {failure.rank}, in its round {failure.round}:"
    yield f"    {place.file}:{place.line}  {line_at(trace, place)}"


def marked(trace: Trace) -> set[int]:
    """The beats in which it goes wrong."""
    failure = trace.failure
    if failure is None:
        return set()
    found = {
        trace.ranks[wait.rank].rounds[wait.round - 1].until
        for wait in failure.waits
        if wait.in_cycle
    }
    if failure.rank is not None and failure.round is not None:
        found.add(trace.ranks[failure.rank].rounds[failure.round - 1].until)
    return found
