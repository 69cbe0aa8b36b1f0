"""Rung 2: it ends, whether or not a send waits for its recv."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.errors import FAILURES, Deadlock, ScheduleError, in_words
from collectives.labs.feedback import of_deadlock, of_message
from collectives.labs.handover import Case
from collectives.labs.ladder.attempt import Attempt, Step, failed


def climb(attempt: Attempt) -> Step:
    """Run it with messages that all wait, and with messages that all leave at once."""
    cases = 0
    for case in _cases(attempt):
        cases += 1
        if wrong := _at(attempt, case, rendezvous=True):
            return wrong
        if wrong := _at(attempt, case, rendezvous=False):
            return wrong
    return Step(True, f"no deadlock in {cases} cases, at eager limit 0 and infinity")


def _cases(attempt: Attempt) -> Iterator[Case]:
    """One short and one long vector for each p and root."""
    for case in attempt.task.cases():
        if case.counts is not None or (not case.in_place and case.n in (0, 1, case.p + 1)):
            yield case


def _at(attempt: Attempt, case: Case, rendezvous: bool) -> Step | None:
    simulator = attempt.simulator(case, rendezvous=rendezvous)
    try:
        simulator.run()
    except Deadlock as error:
        ends = rendezvous and _ends(attempt, case)
        attempt.rendezvous = attempt.rendezvous and not ends
        return failed(of_deadlock(simulator, error, case, ends), goes_on=ends)
    except ScheduleError as error:
        return failed(of_message(str(error), error.hint, case))
    except FAILURES as error:
        return failed(of_message(in_words(error), "", case))
    return None


def _ends(attempt: Attempt, case: Case) -> bool:
    try:
        attempt.simulator(case, rendezvous=False).run()
    except FAILURES:
        return False
    return True
