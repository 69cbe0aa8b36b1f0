"""Let all ranks raise the same error when one rank's call is wrong.

Alone, a rank whose call is wrong would raise and leave the others waiting for it.
So before the first call of an algorithm on a communicator the ranks compare their
calls, at the cost of one small allreduce of our own. With COLLECTIVES_CHECK=1 in
the environment they do so before every call.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict

import numpy as np
from mpi4py import MPI

from collectives.catalogue import find
from collectives.engines.blocking import compile_stages, run
from collectives.engines.driver import Process
from collectives.engines.plan import record
from collectives.engines.stages import Call, Stage, stages_of
from collectives.errors import CallMismatch, CollectiveError
from collectives.operators import MIN

ENVIRONMENT = "COLLECTIVES_CHECK"
TAG = 1  # apart from the collectives, in case not all ranks compare


def always() -> bool:
    """Whether the environment asks for every call to be compared."""
    return os.environ.get(ENVIRONMENT, "") not in ("", "0")


class Agreement:
    """What the ranks of a communicator compare their calls with."""

    def __init__(self, comm: MPI.Intracomm):
        self.comm = comm
        self.mine = np.empty(3, np.int64)
        self.least = np.empty(3, np.int64)
        self.stages: list[Stage] = []
        self.calls: list[Call] = []

    def reach(self, description: str, problem: CollectiveError | None) -> None:
        """Raise on all ranks if one has a problem, or if their calls differ.

        Parameters
        ----------
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
        rank, p = self.comm.Get_rank(), self.comm.Get_size()
        digest = hashlib.sha256(description.encode()).digest()
        fingerprint = int.from_bytes(digest[:7], "big")
        self.mine[:] = p if problem is None else rank, fingerprint, -fingerprint
        self._take_least()
        culprit, smallest, largest = self.least.tolist()
        if culprit < p:
            told = self.comm.bcast(problem, culprit)
            raise told if problem is None else problem
        if smallest != -largest:
            raise CallMismatch(_difference(self.comm.allgather(description)))

    def _take_least(self) -> None:
        if not self.calls:
            rank, p = self.comm.Get_rank(), self.comm.Get_size()
            allreduce, _ = find("allreduce", "recursive_doubling")
            generator = allreduce.generator(rank, p, self.mine, self.least)
            plan = record(Process(str(allreduce), rank, p, generator))
            self.stages = stages_of(plan, MIN)
            self.calls = compile_stages(self.stages, self.comm, TAG)
        run(self.calls)


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
