"""Rung 3: every element holds each contribution once, in its place, whatever the data."""

from __future__ import annotations

from dataclasses import replace

from collectives.errors import FAILURES, Deadlock, ScheduleError, WrongResult, in_words
from collectives.labs.feedback import of_deadlock, of_fault, of_message
from collectives.labs.handover import Case
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.labs.replay import played
from collectives.study import examine
from collectives.study.symbolic import fault


def climb(attempt: Attempt) -> Step:
    """Prove it for each case."""
    cases = attempt.task.cases()
    for case in cases:
        attempt.check_time()
        if wrong := _wrong(attempt, case):
            even = replace(case, n=case.p, in_place=False)
            telling = even in attempt.handed.rounds and _wrong(attempt, even)
            return failed(telling or wrong)
    return Step(True, f"right in {len(cases)} cases, p up to {max(case.p for case in cases)}")


def _wrong(attempt: Attempt, case: Case):
    algorithm, problem = played(attempt.handed, case, attempt.file), case.problem
    tried = examine.Case(problem, {}, rendezvous=attempt.rendezvous)
    try:
        found = fault(algorithm, problem, {}, attempt.rendezvous)
        if found is None:
            return None
        error: BaseException = WrongResult(f"{algorithm}: {found}")
    except Deadlock as stuck:
        simulator = attempt.simulator(case)
        try:
            simulator.run()
        except Deadlock as same:
            return of_deadlock(simulator, same, case, ends_eager=False)
        error = stuck
    except FAILURES as other:
        error = other
    said = examine.finding(algorithm, tried, error)
    if isinstance(error, ScheduleError):
        return of_message(said.message, said.hint, case)
    if isinstance(error, WrongResult):
        return of_fault(f"{algorithm}: {found}", said.hint, case)
    return of_message(in_words(error), said.hint, case)
