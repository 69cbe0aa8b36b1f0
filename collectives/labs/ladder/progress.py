"""Rung 2: it ends, whether or not a send waits for its recv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from collectives.errors import FAILURES, Deadlock, Timeout
from collectives.labs.feedback import Feedback, of_deadlock
from collectives.labs.handover import Case
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.labs.ladder.patterns import Pattern
from collectives.labs.replay import played
from collectives.study.slips import slip

SILENT = "draw for p = 2 who needs what from whom, then write that"

# Elements of the long vectors.
LONG = 1000


def climb(attempt: Attempt) -> Step:
    """Run it with messages that all wait, and with messages that all leave at once."""
    if silent := _silent(attempt):
        return failed(silent)
    cases = 0
    for case in _cases(attempt):
        cases += 1
        if wrong := _at(attempt, case, rendezvous=True):
            return wrong
        if wrong := _at(attempt, case, rendezvous=False):
            return wrong
    return Step(True, f"no deadlock in {cases} cases, at eager limit 0 and infinity")


def _silent(attempt: Attempt) -> Feedback | None:
    """Two ranks of which nobody says anything have solved nothing."""
    for case in attempt.task.cases():
        ranks = attempt.handed.rounds[case]
        if case.p == 2 and case.n >= 2 and not Pattern.of(ranks).sent:
            return Feedback(
                "nobody sends anything",
                f"{attempt.file}:{attempt.handed.first}; smallest case: {case}",
                "at least one message between two ranks",
                slip(played(attempt.handed, case, attempt.file)) or SILENT,
            )
    return None


def _cases(attempt: Attempt) -> Iterator[Case]:
    """Short and long vectors for each p and root."""
    for case in attempt.task.cases():
        if case.counts is not None or (not case.in_place and case.n in (0, case.p + 1, LONG)):
            yield case


def _telling(attempt: Attempt, first: Case) -> Case:
    """A case in which the same shows better: three ranks, and a vector of some bytes."""
    for case in _cases(attempt):
        if case.p == max(3, first.p) and case.root == 0 and case.n == LONG:
            try:
                attempt.simulator(case, rendezvous=True).run()
            except Deadlock:
                return case
            except FAILURES:
                return first
    return first


def _at(attempt: Attempt, case: Case, rendezvous: bool) -> Step | None:
    simulator = attempt.simulator(case, rendezvous=rendezvous)
    try:
        simulator.run()
    except Deadlock:
        return _stuck(attempt, case, rendezvous)
    except Timeout:
        raise
    except FAILURES:  # the next rung says better what is wrong with it
        return None
    return None


def _stuck(attempt: Attempt, case: Case, rendezvous: bool) -> Step:
    ends = rendezvous and _ends(attempt, case)
    attempt.rendezvous = attempt.rendezvous and not ends
    shown = _telling(attempt, case) if rendezvous else case
    simulator = attempt.simulator(shown, rendezvous=rendezvous)
    try:
        simulator.run()
    except Deadlock as error:
        said = of_deadlock(simulator, error, shown, ends)
        if hint := slip(played(attempt.handed, case, attempt.file)):
            said = replace(said, hint=hint)
        return failed(said, goes_on=ends)
    raise AssertionError(shown)


def _ends(attempt: Attempt, case: Case) -> bool:
    try:
        attempt.simulator(case, rendezvous=False).run()
    except FAILURES:
        return False
    return True
