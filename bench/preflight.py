"""What the simulator says of a cell before anything runs.

An algorithm whose ranks would wait for each other must not get near MPI, where
it would hang the job. So each one is simulated first, with sends that wait for
their recv: what ends there ends under any MPI. The same runs give the counts.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collectives.catalogue import check_restrictions, find
from collectives.errors import CollectiveError, RestrictionError, WrongResult
from collectives.study.simulation import Counts, count, simulate
from collectives.study.verify import verify

from .cells import BUILTIN, Cell

if TYPE_CHECKING:
    from mpi4py import MPI

# Up to this size the simulator moves real data, so that it sees overlaps too.
WITH_DATA = 4096


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
    """

    counts: Counts | None = None
    not_applicable: str = ""
    broken: str = ""

    @property
    def runs(self) -> bool:
        return not self.not_applicable and not self.broken


def outlooks(comm: MPI.Intracomm, cells: Sequence[Cell]) -> list[Outlook]:
    """Simulate all cells; each rank does its share."""
    mine = {i: outlook(cells[i], comm.size) for i in range(comm.rank, len(cells), comm.size)}
    found = {i: one for share in comm.allgather(mine) for i, one in share.items()}
    return [found[i] for i in range(len(cells))]


def outlook(cell: Cell, p: int) -> Outlook:
    """Simulate one cell on p ranks."""
    if cell.algorithm == BUILTIN:
        return Outlook()
    algorithm, parameters = find(cell.primitive, cell.algorithm)
    problem = cell.problem(p)
    size: dict[str, Any] = {"p": p, "n": problem.size, "dtype": problem.dtype}
    try:
        check_restrictions(algorithm, p)
        if cell.size <= WITH_DATA:
            _verify(algorithm, problem, parameters)
        else:
            simulate(cell.primitive, cell.algorithm, rendezvous=True, **size)
        return Outlook(count(cell.primitive, cell.algorithm, **size))
    except RestrictionError as error:
        return Outlook(not_applicable=_reason(error, cell))
    except CollectiveError as error:
        return Outlook(broken=_reason(error, cell))
    except Exception as error:  # the algorithm's own
        return Outlook(broken=_where(error))


def _verify(algorithm, problem, parameters) -> None:
    with suppress(WrongResult):  # it ends, so it may run over MPI, where it is checked again
        verify(algorithm, problem, rendezvous=True, parameters=parameters)


def _reason(error: Exception, cell: Cell) -> str:
    """The message without the algorithm's name, which the report puts in front."""
    name = cell.algorithm.partition(":")[0]
    return str(error).removeprefix(f"{cell.primitive}.{name}: ")


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
