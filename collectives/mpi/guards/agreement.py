"""Let all ranks raise the same error when one rank's call is wrong.

Alone, a rank whose call is wrong would raise and leave the others waiting for it.
So before the first call of an algorithm on a communicator the ranks compare their
calls, at the cost of one small allreduce of our own; checked mode does so before
every call. What differs is sent only if something does.
"""

from __future__ import annotations

import hashlib
import pickle
import traceback
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np

from collectives.algorithms.language.blocks import partition
from collectives.algorithms.language.registry import Algorithm
from collectives.catalogue import find
from collectives.engines.driver import Process
from collectives.engines.plan import Plan, record
from collectives.errors import ArgumentError, CallMismatch, CollectiveError
from collectives.mpi.engines.calls import compile_stages, run
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.stages import Stage, stages_of
from collectives.mpi.engines.tally import Meter, Tally
from collectives.mpi.guards.report import ranks_in_words
from collectives.operators.operator import MIN


class Agreement:
    """What the ranks of a communicator compare one call at a time with."""

    def __init__(self, lane: Lane, tally: Tally):
        self.tally = tally
        self.rank, self.p = lane.rank, lane.p
        self.mine = np.empty(3, np.int64)
        self.least = np.empty(3, np.int64)
        self.comparison, self.meter = self._plan("allreduce", self.mine, self.least)

    def stages(self, description: str, problem: Exception | None) -> Iterator[Stage]:
        """Raise on all ranks if one has a problem, or if their calls differ.

        Parameters
        ----------
        description : str
            What this rank is about to do; all ranks must say the same.
        problem : Exception or None
            What is wrong with this rank's call.

        Yields
        ------
        Stage
            To be carried out before the next one is asked for.

        Raises
        ------
        Exception
            The problem of this rank if it has one, else that of the lowest rank that has.
        CallMismatch
            Says which ranks called what.
        """
        digest = hashlib.sha256(description.encode()).digest()
        fingerprint = int.from_bytes(digest[:7], "big")
        self.mine[:] = self.p if problem is None else self.rank, fingerprint, -fingerprint
        self.meter.tick()
        yield from self.comparison
        culprit, smallest, largest = self.least.tolist()
        if culprit == self.p and smallest == -largest:
            return
        everybodys = yield from self._exchange((description, _told(problem, self.rank)))
        if culprit < self.p:
            raise everybodys[culprit][1] if problem is None else problem
        raise CallMismatch(_difference([description for description, _ in everybodys]))

    def _exchange(self, mine: object) -> Generator[Stage, None, list]:
        """Everybody's object."""
        text = np.frombuffer(pickle.dumps(mine), np.uint8)
        lengths = np.empty(self.p, np.int64)
        yield from self._once("allgather", np.array([text.size]), partition(lengths, [1] * self.p))
        counts = lengths.tolist()
        texts = partition(np.empty(sum(counts), np.uint8), counts)
        yield from self._once("allgather", text, texts)
        return [pickle.loads(texts[rank].tobytes()) for rank in range(self.p)]

    def _once(self, primitive: str, *arguments: object) -> list[Stage]:
        stages, meter = self._plan(primitive, *arguments)
        meter.tick()
        return stages

    def _plan(self, primitive: str, *arguments: object) -> tuple[list[Stage], Meter]:
        algorithm, plan = _recorded(self, primitive, *arguments)
        return _stages(plan), self.tally.meter(plan, algorithm.name, "comparison of calls")


def gather(lane: Lane, mine: Sequence[int]) -> np.ndarray:
    """Everybody's numbers, a row of each rank. Collective."""
    everyone = np.empty((lane.p, len(mine)), np.int64)
    blocks = partition(everyone.reshape(-1), [len(mine)] * lane.p)
    _, plan = _recorded(lane, "allgather", np.array(mine, np.int64), blocks)
    run(compile_stages(_stages(plan), lane))
    return everyone


def _recorded(who: Agreement | Lane, primitive: str, *arguments: object) -> tuple[Algorithm, Plan]:
    """What it takes to carry out a primitive once."""
    algorithm, _ = find(primitive, "recursive_doubling")
    generator = algorithm.generator(who.rank, who.p, *arguments)
    return algorithm, record(Process(str(algorithm), who.rank, who.p, generator))


def _stages(plan: Plan) -> list[Stage]:
    """Its rounds, which are not the user's."""
    return [replace(stage, number=0) for stage in stages_of(plan, MIN)]


def _told(problem: Exception | None, rank: int) -> CollectiveError | None:
    """What the others are told of a problem: of an error that is not ours, its words."""
    if problem is None or isinstance(problem, CollectiveError):
        return problem
    words = "".join(traceback.format_exception_only(problem)).strip()
    return ArgumentError(f"all ranks need arguments that can be read, got on rank {rank}: {words}")


def _difference(descriptions: list[str]) -> str:
    """Who called what, the smallest party first."""
    parties: dict[str, list[int]] = defaultdict(list)
    for rank, description in enumerate(descriptions):
        parties[description].append(rank)
    ordered = sorted(parties.items(), key=lambda party: len(party[1]))
    called = [f"{ranks_in_words(ranks)} called {description}" for description, ranks in ordered]
    return f"all ranks must call the same collective, got: {'; '.join(called)}"
