"""What the simulator says of a cell before anything runs.

An algorithm whose ranks would wait for each other must not get near MPI, where
it would hang the job. So each one is simulated first, with sends that wait for
their recv: what ends there ends under any MPI. The same runs give the counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from collectives.algorithms.language.registry import REDUCTIONS
from collectives.catalogue import check_restrictions, find, is_loaded
from collectives.engines.endless import until
from collectives.errors import (
    FAILURES,
    Endless,
    RestrictionError,
    Timeout,
    WrongResult,
    in_words,
)
from collectives.machine.model import Machine
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study.examine import Case, finding
from collectives.study.simulation import Counts, count, simulate
from collectives.study.symbolic import fault, hint_for
from collectives.study.verify import settle, verify

from .cells import BUILTIN, Cell

if TYPE_CHECKING:
    from mpi4py import MPI

# Up to this size the simulator moves real data, so that it sees overlaps too.
WITH_DATA = 4096

# So many numbers of all ranks are followed one by one where an answer is wrong.
FOLLOWED = 2**23

LATE = "the time for simulations was over; raise --budget"


@dataclass(frozen=True)
class Outlook:
    """What is known of a cell.

    Attributes
    ----------
    counts : Counts or None
        None for the built-in, whose messages nobody sees.
    not_applicable : str
        Why the algorithm cannot do this, by its own declaration.
    broken : str
        Why it must not run over MPI.
    late : str
        Why nobody knows whether it may.
    endless : bool
        Whether it is broken because it does not end.
    wrong : str
        Why its answer is wrong, if it is in the simulator.
    """

    counts: Counts | None = None
    not_applicable: str = ""
    broken: str = ""
    late: str = ""
    endless: bool = False
    wrong: str = ""

    @property
    def runs(self) -> bool:
        return not (self.not_applicable or self.broken or self.late)


def outlooks(
    comm: MPI.Intracomm, cells: Sequence[Cell], machine: Machine, seconds: float
) -> list[Outlook]:
    """Simulate all cells, for so many seconds; each rank does its share, and all of a name."""
    names = list(dict.fromkeys(cell.name for cell in cells))
    ours = {name for name in names[comm.rank :: comm.size]}
    mine: dict[int, Outlook] = {}
    endless: dict[str, Outlook] = {}  # what took all that time need not do so for each size
    with until(time.monotonic() + seconds):
        for i, cell in enumerate(cells):
            if cell.name in ours:
                mine[i] = endless.get(cell.name) or outlook(cell, comm.size, machine)
                if mine[i].endless:
                    endless[cell.name] = mine[i]
    found = {i: one for share in comm.allgather(mine) for i, one in share.items()}
    return [found[i] for i in range(len(cells))]


def outlook(cell: Cell, p: int, machine: Machine | None = None) -> Outlook:
    """Simulate one cell on p ranks, on the nodes of a machine or on one node."""
    if cell.algorithm == BUILTIN:
        return Outlook()
    algorithm, parameters = find(cell.primitive, cell.algorithm)
    problem = cell.problem(p)
    size: dict[str, Any] = {"p": p, "n": problem.size, "dtype": problem.dtype}
    size["topology"] = machine
    wrong = ""
    try:
        check_restrictions(algorithm, p)
        if disorder := _disorder(algorithm, p, parameters):
            return Outlook(broken=disorder)
        if cell.size <= WITH_DATA:
            wrong = _verify(algorithm, problem, parameters, cell, machine)
        else:
            simulate(cell.primitive, cell.algorithm, rendezvous=True, **size)
        return Outlook(count(cell.primitive, cell.algorithm, **size), wrong=wrong)
    except RestrictionError as error:
        return Outlook(not_applicable=reason(error, cell))
    except Timeout:
        return Outlook(late=LATE)
    except FAILURES as error:
        return Outlook(broken=reason(error, cell), endless=isinstance(error, Endless))


def _verify(algorithm, problem, parameters, cell: Cell, machine: Machine | None) -> str:
    """Why the answer is wrong; it ends, so it may run over MPI, where it is checked again."""
    try:
        verify(algorithm, problem, rendezvous=True, machine=machine, parameters=parameters)
    except WrongResult as error:
        found = finding(algorithm, Case(problem, parameters), error)
        return f"{_bare(found.message, cell)}; {found.hint}"
    return ""


def _disorder(algorithm, p: int, parameters: dict[str, Any]) -> str:
    """Why a reduction of the user's is wrong that keeps no rank order, and does not say so.

    The bench adds, which is right in any order. Those of the catalogue have been proved.
    """
    ordered = algorithm.primitive in REDUCTIONS and algorithm.keeps_order
    if not ordered or not is_loaded(algorithm):
        return ""
    problem = Problem(algorithm.primitive, p, p + 1, dtype=np.dtype(MATRIX), operator=MATPROD)
    found = fault(algorithm, problem, parameters) or ""
    return f"{found}; {hint_for(found)}" if "not in rank order" in found else ""


def explained(cell: Cell, p: int, machine: Machine | None = None) -> str:
    """Why an answer is wrong, in the words of `prove`; empty if a run of symbols is right.

    Parameters
    ----------
    cell : Cell
        One whose answer over MPI was wrong.
    p : int
        Number of ranks.
    machine : Machine, optional
        Its nodes are those of the ranks; without it all are on one.
    """
    problem = cell.problem(p)
    if cell.algorithm == BUILTIN or problem.size * p > FOLLOWED:
        return ""
    asked, given = find(cell.primitive, cell.algorithm)
    algorithm, parameters = settle(asked, problem, given, machine)
    try:
        found = fault(algorithm, problem, parameters)
    except FAILURES:  # not seen before, so it comes with the values
        return ""
    return f"{found}; {hint_for(found)}" if found else ""


def reason(error: BaseException, cell: Cell) -> str:
    """The message without the algorithm's name, which the report puts in front."""
    return _bare(in_words(error), cell)


def _bare(text: str, cell: Cell) -> str:
    return text.removeprefix(f"{find(cell.primitive, cell.algorithm)[0]}: ")
