"""Examine an algorithm: run it on many problems, the small ones first, and say what is wrong.

For each number of ranks it is run with data and held against the answer, with sends that
wait for their recv and with sends that do not, for every root, with input and output in one
memory, and on buffers that let nobody see or change their elements. In the end its
docstring is held against what was counted. What fails is the smallest problem that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import GROUP, LEAST, ROOTED, TOPOLOGY, Algorithm
from collectives.catalogue import check_restrictions
from collectives.engines.endless import impatient
from collectives.engines.simulator import Simulator
from collectives.errors import (
    FAILURES,
    CollectiveError,
    Deadlock,
    Endless,
    RestrictionError,
    ScheduleError,
    WrongResult,
    in_words,
)
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import CAN_BE_IN_PLACE, Problem
from collectives.study.oblivious import check_oblivious
from collectives.study.promises import check_cost, check_lines
from collectives.study.slips import slip
from collectives.study.strict import strict_buffers
from collectives.study.symbolic import NEVER, fault, hint_for
from collectives.study.verify import settle, verify

# Up to so many ranks everything is tried with everything.
FEW_RANKS = 4


@dataclass(frozen=True)
class Case:
    """One run of an algorithm.

    Attributes
    ----------
    problem : Problem
    parameters : mapping
        Of the algorithm.
    rendezvous : bool
        Sends wait for their recv.
    strict : bool
        On buffers that let nobody see their elements.
    """

    problem: Problem
    parameters: Mapping[str, Any]
    rendezvous: bool = True
    strict: bool = False

    def __str__(self) -> str:
        problem = self.problem
        words = [f"p = {problem.p}"]
        words += (
            []
            if problem.primitive == "barrier"
            else [f"n = {problem.size} element{'s' * (problem.size != 1)}"]
        )
        words += [f"root {problem.root}"] if problem.primitive in ROOTED else []
        words += [f"{name} = {value}" for name, value in self.parameters.items()]
        words += ["input and output in one memory (MPI.IN_PLACE)"] if problem.in_place else []
        words += [] if self.rendezvous or self.strict else ["sends that do not wait"]
        return ", ".join(words)

    def run(self, algorithm: Algorithm) -> None:
        """Raise what is wrong."""
        if self.strict:
            _run_strictly(algorithm, self.problem, self.parameters)
        else:
            options = {"rendezvous": self.rendezvous, "parameters": self.parameters}
            verify(algorithm, self.problem, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Finding:
    """What is wrong with an algorithm.

    Attributes
    ----------
    message : str
        What is wrong, with the algorithm's name, the rank, the file and the line.
    hint : str
        What to do.
    case : Case or None
        The smallest in which it is; None if it is no matter of one.
    error : BaseException
        What was raised.
    """

    message: str
    hint: str
    case: Case | None
    error: BaseException


@dataclass(frozen=True)
class Examined:
    """How often an algorithm was run, and what is wrong with it, if something is."""

    runs: int
    finding: Finding | None


def examine(algorithm: Algorithm, most: int, parameters: Mapping[str, Any]) -> Examined:
    """Run an algorithm on many problems.

    Parameters
    ----------
    algorithm : Algorithm
    most : int
        The largest number of ranks.
    parameters : mapping
        Of the algorithm; others that it has are tried with several values.
    """
    with impatient():
        return _examine(algorithm, most, parameters)


def _examine(algorithm: Algorithm, most: int, parameters: Mapping[str, Any]) -> Examined:
    runs = 0
    ranks = [p for p in range(1, most + 1) if _possible(algorithm, p)]
    for p in ranks:
        for case in _cases(algorithm, p, parameters):
            runs += 1
            try:
                case.run(algorithm)
            except FAILURES as error:
                return Examined(runs, finding(algorithm, case, error))
    try:
        check_lines(algorithm)
        check_cost(algorithm, ranks, parameters)
    except FAILURES as error:
        text = in_words(error)
        return Examined(runs, Finding(text, getattr(error, "hint", ""), None, error))
    return Examined(runs, None)


def _cases(algorithm: Algorithm, p: int, given: Mapping[str, Any]) -> Iterator[Case]:
    """Short vectors first; of one length, the roots in turn."""
    primitive, few = algorithm.primitive, p <= FEW_RANKS
    dtype = np.dtype(np.float64 if algorithm.lossy else np.int64)
    lengths = [0] if primitive == "barrier" else sorted({0, 1, p - 1, p, p + 1, 100})
    roots = range(p) if primitive in ROOTED else range(1)
    some = {0, p // 2, p - 1}
    ordered = algorithm.keeps_order and not algorithm.lossy
    for n in lengths:
        own = n == p + 1 or primitive == "barrier"
        for root in roots if few or own else sorted(some & {*roots}):
            plain = Case(Problem(primitive, p, n, root, dtype), given)
            yield plain
            if few or (own and root in some):
                yield replace(plain, rendezvous=False)
                yield replace(plain, strict=True)
                if primitive in CAN_BE_IN_PLACE:
                    yield Case(Problem(primitive, p, n, root, dtype, in_place=True), given)
            if own and root in some:
                for other in _variations(algorithm, given) if p <= 2 * FEW_RANKS else []:
                    yield replace(plain, parameters=other)
        if ordered:
            yield Case(Problem(primitive, p, n, p - 1, np.dtype(MATRIX), MATPROD), given)


def _variations(algorithm: Algorithm, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Other values of the parameters that count something."""
    for name, default in algorithm.parameters.items():
        counts = type(default) is int or (default is None and name not in (GROUP, TOPOLOGY))
        if name in given or not counts:
            continue
        least = LEAST.get(name, 1)
        for value in sorted({least, least + 1, (default or 2) + 1} - {default}):
            yield {**given, name: value}


def _run_strictly(algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]) -> None:
    chosen, own = settle(algorithm, problem, parameters, None)
    buffers = [strict_buffers(problem, rank) for rank in range(problem.p)]

    def program(rank: int) -> Iterator:
        return problem.start(chosen, rank, buffers[rank], own)

    Simulator(str(chosen), problem.p, program, problem.operator, phantom=True).run()
    check_oblivious(chosen, problem, own)


def _possible(algorithm: Algorithm, p: int) -> bool:
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return False
    return True


# In words


def finding(algorithm: Algorithm, case: Case, error: BaseException) -> Finding:
    """What is wrong, as well as it can be said.

    Parameters
    ----------
    algorithm : Algorithm
    case : Case
        In which it was raised.
    error : BaseException
    """
    message, hint = told(algorithm, case, error)
    better = _better_hint(algorithm, case, error, message)
    return Finding(message, better or hint, case, error)


def told(algorithm: Algorithm, case: Case, error: BaseException) -> tuple[str, str]:
    """What is wrong, and what to do about it.

    A wrong answer is told by whose contributions an element holds.
    """
    hint = getattr(error, "hint", "")
    if not isinstance(error, WrongResult):
        text = in_words(error)
        text = text if isinstance(error, CollectiveError) else f"{algorithm}: {text}"
        return text.removesuffix(f"; {hint}") if hint else text, hint
    try:
        _run_strictly(algorithm, case.problem, case.parameters)
        wrong = fault(algorithm, case.problem, case.parameters, case.rendezvous)
    except ScheduleError as other:  # numpy work, which is why the answer is wrong
        return told(algorithm, case, other)
    if wrong is None:
        return str(error), hint or "the answer is wrong with these numbers: look for a constant"
    return f"{algorithm}: {wrong}", hint_for(wrong)


def _better_hint(algorithm: Algorithm, case: Case, error: BaseException, message: str) -> str:
    """What to do, if running it otherwise, or its text, says more than the message does."""
    problem = case.problem
    if isinstance(error, Endless):
        return ""
    lost = isinstance(error, (WrongResult, Deadlock)) or "every message needs a recv" in message
    if lost and (text := slip(algorithm)):
        return text
    if problem.in_place and _right(
        algorithm, replace(case, problem=_moved(problem, in_place=False))
    ):
        return (
            "under MPI.IN_PLACE sendbuf is recvbuf, or its block: what you write to recvbuf "
            "changes sendbuf, so send what you need later from scratch(...)"
        )
    if problem.p == 1 and message.endswith(NEVER):
        return "with p = 1 no loop over range(p - 1) runs: let a copy stand outside of it"
    if "not in rank order" in message:
        return ""
    if problem.root and _right(algorithm, replace(case, problem=_moved(problem, root=0))):
        return (
            f"root 0 is right, root {problem.root} is not: take {problem.root} for 0, and count "
            "ranks from it, (rank - root) % p"
        )
    if problem.p == 3 and _only_powers(algorithm, case):
        return (
            "p = 1, 2, 4 and 8 are right: declare power_of_two=True, "
            "or find something to do for the ranks left over"
        )
    if not case.rendezvous and not case.strict:
        return "a sender may go on before its message has been taken: look at the order of messages"
    return ""


def _only_powers(algorithm: Algorithm, case: Case) -> bool:
    def at(p: int) -> bool:
        return _right(algorithm, replace(case, problem=_moved(case.problem, p=p, n=p + 1)))

    return all(map(at, (1, 2, 4, 8))) and not any(map(at, (5, 6, 7)))


def _moved(problem: Problem, **changes: Any) -> Problem:
    """The same problem but for some of it."""
    kept = {name: getattr(problem, name) for name in ("primitive", "p", "n", "root", "dtype")}
    kept |= {"operator": problem.operator, "in_place": problem.in_place, **changes}
    kept["root"] = min(kept["root"], kept["p"] - 1)
    return Problem(**kept)


def _right(algorithm: Algorithm, case: Case) -> bool:
    try:
        case.run(algorithm)
    except FAILURES:
        return False
    return True
