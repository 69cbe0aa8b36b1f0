"""Let all ranks raise the same error when one rank's call is wrong.

Without this, a call that is wrong on one rank only raises there while the others
wait. With COLLECTIVES_CHECK=1 in the environment, the ranks compare their calls
before each collective, at the cost of one small allreduce of our own.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from collectives.errors import CallMismatch, CollectiveError

ENVIRONMENT = "COLLECTIVES_CHECK"


def wanted() -> bool:
    """Whether the environment asks for checked calls."""
    return os.environ.get(ENVIRONMENT, "") not in ("", "0")


def agree(
    comm: MPI.Intracomm,
    smallest: Callable[[np.ndarray, np.ndarray], None],
    description: str,
    problem: CollectiveError | None,
) -> None:
    """Raise on all ranks if one has a problem, or if their calls differ.

    Parameters
    ----------
    comm : MPI.Intracomm
    smallest : callable
        `smallest(mine, all)`: an allreduce with MPI.MIN over all ranks.
    description : str
        What this rank is about to do; all ranks must say the same.
    problem : CollectiveError or None
        What is wrong with this rank's call.

    Raises
    ------
    CollectiveError
        The problem of the lowest rank that has one.
    CallMismatch
        Says which ranks called what.
    """
    p, rank = comm.Get_size(), comm.Get_rank()
    fingerprint = int.from_bytes(hashlib.sha256(description.encode()).digest()[:7], "big")
    mine = np.array([p if problem is None else rank, fingerprint, -fingerprint], np.int64)
    least = np.empty_like(mine)
    smallest(mine, least)
    if least[0] < p:
        raise comm.bcast(problem, int(least[0]))
    if least[1] != -least[2]:
        raise CallMismatch(_difference(comm.allgather(description)))


def _difference(descriptions: list[str]) -> str:
    """Who called what, the smallest party first."""
    parties: dict[str, list[int]] = defaultdict(list)
    for rank, description in enumerate(descriptions):
        parties[description].append(rank)
    ordered = sorted(parties.items(), key=lambda party: len(party[1]))
    called = [
        f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))} called {description}"
        for description, ranks in ordered
    ]
    return f"all ranks must call the same collective, got: {'; '.join(called)}"
