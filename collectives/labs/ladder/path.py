"""Rung 4: as few messages and bytes, one after the other, as the task asks.

Counted on the critical path of ranks with one port out and one port in, and not by yields: a
tree that yields all its sends at once is no tree, and a hypercube of p - 1 messages is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from collectives.labs.feedback import Feedback
from collectives.labs.handover import DTYPE, Case
from collectives.labs.lab import Way, value
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.labs.ladder.patterns import Pattern
from collectives.machine import Clock

# With fewer ranks it is hard to see a pattern.
TELLING = 4

MESSAGES, BYTES = Clock(1, 0, 0), Clock(0, 1, 0)


def climb(attempt: Attempt) -> Step:
    """Count, for several p."""
    way = attempt.task.path
    assert way is not None
    last, found = "", []
    for case in attempt.task.path_cases():
        pattern = Pattern.of(attempt.handed.rounds[case])
        messages = round(attempt.simulator(case, MESSAGES).run().time)
        nbytes = round(attempt.simulator(case, BYTES).run().time)
        found += [(case.p, wrong) for wrong in _wrong(way, case, pattern, messages, nbytes)]
        last = f"{_counted(case, pattern, messages)} at p = {case.p}"
    if found:
        return failed(next((x for p, x in found if p >= TELLING), found[0][1]), goes_on=True)
    return Step(True, last)


def _wrong(
    way: Way, case: Case, pattern: Pattern, messages: int, nbytes: int
) -> Iterator[Feedback]:
    p, n = case.p, case.problem.size * DTYPE.itemsize
    where = str(case)
    yield from _shape(way, pattern, where)
    if way.messages and messages > (most := value(way.messages, p, n)) + 1e-6:
        why = pattern.why_messages(p)
        what = f"Right, but {messages} messages one after the other; {most:g} are enough: {why}"
        yield _told(what, pattern, where, f"{way.messages} messages on the critical path", way)
    if way.rounds and pattern.most_rounds > (most := value(way.rounds, p, n)) + 1e-6:
        what = f"Right, but a rank has {pattern.most_rounds} rounds with messages, not {most:g}"
        yield _told(what, pattern, where, f"{way.rounds} rounds", way)
    if way.nbytes and case.counts is None and nbytes > (bound := value(way.nbytes, p, n)) + 1e-6:
        sent = pattern.most_sent * DTYPE.itemsize
        whose = "each rank sent" if pattern.all_alike else "the busiest path carries"
        got = (sent if pattern.all_alike and sent >= nbytes else nbytes) / n
        why = pattern.why_bytes(case.problem.size)
        what = f"Right, but {whose} {got:.2f} n; the bound is {bound / n:.2f} n: {why}"
        yield _told(what, pattern, where, f"{way.nbytes} bytes, n being those of the vector", way)


def _shape(way: Way, pattern: Pattern, where: str) -> Iterator[Feedback]:
    """What a round may look like."""
    if way.permutation and (crowd := pattern.crowd()):
        number, line, dest, sources = crowd
        yield Feedback(
            f"Round {number}: {pattern.few(sources)} all send to {dest}.",
            f"{where}, line {line}",
            "in each round nobody receives from two ranks",
            "let the peer depend on the rank and on the round: (rank + r) % p",
        )
    for asked, most, expected, hint in (
        (
            way.blocking,
            0,
            "one message a yield, as with MPI_Send and MPI_Recv",
            "write one yield for the send and one for the recv",
        ),
        (
            way.at_once > 0,
            way.at_once,
            f"at most {way.at_once} messages a round in each direction",
            "one yield is one round: its sends leave one after the other through one port",
        ),
    ):
        if asked and (together := pattern.together(most)):
            rank, number, many, line = together
            what = f"Right, but rank {rank} starts {many} messages in round {number}"
            yield Feedback(what, f"{where}, line {line}", expected, hint)
    if way.no_empty and (empty := pattern.empty()):
        rank, number, line, peer = empty
        yield Feedback(
            f"Right, but rank {rank} sends 0 bytes to rank {peer} in round {number}",
            f"{where}, line {line}",
            "no message where there is nothing to send",
            "both sides know the length of the block: leave send and recv out where it is 0",
        )


def _told(what: str, pattern: Pattern, where: str, expected: str, way: Way) -> Feedback:
    hint = way.why or "look at the rounds: python -m collectives explain shows those of others"
    line = pattern.busiest_line()
    return Feedback(what, f"{where}, {line}" if line else where, expected, hint)


def _counted(case: Case, pattern: Pattern, messages: int) -> str:
    n = case.problem.size
    sent = f", {pattern.most_sent / n:.2f} n sent by the busiest rank" if n else ""
    return f"{messages} messages one after the other{sent}"
