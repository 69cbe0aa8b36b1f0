"""What ranks really copy: read from their plans, when these have been optimised.

The plans of all ranks are made where that takes seconds. Of an algorithm that is the same seen
from every rank two or three may be enough, and it is known that they are (`engines/turning.py`).
Else a few ranks stand for all, and what follows is an estimate.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import Algorithm
from collectives.algorithms.language.steps import copy, reduce
from collectives.engines.driver import Message, Process, Round
from collectives.engines.optimise import optimise_at
from collectives.engines.packing import merge
from collectives.engines.places import Places, UnknownMemory
from collectives.engines.plan import Plan, views_in
from collectives.engines.turning import is_turned
from collectives.problems import Buffers, Problem

# Bytes that a rank copies before and after the messages of a round, by the round's number.
Share = Mapping[int, tuple[int, int]]

# Views in the plans of all ranks together, up to which all these plans are made.
EFFORT = 50_000
# Views in a plan: what longer ones copy is not looked up.
LONG = 10_000
# The same where one plan is enough.
MANY = 100_000
# Calls of which the copies are kept: a price is asked for several times.
KEPT = 64


class Copied:
    """What every rank copies.

    Parameters
    ----------
    shares : mapping
        Of some ranks; the others copy what the nearest of these copies.
    exact : bool
        Whether that is certain.
    """

    def __init__(self, shares: Mapping[int, Share], exact: bool):
        self.shares, self.exact = shares, exact

    def __call__(self, rank: int) -> Share:
        if rank not in self.shares:
            rank = min(self.shares, key=lambda other: abs(other - rank))
        return self.shares[rank]

    @property
    def most(self) -> Share:
        """The most that any rank copies in each round."""
        most: dict[int, tuple[int, int]] = {}
        for share in self.shares.values():
            for number, copied in share.items():
                most[number] = tuple(map(max, copied, most.get(number, (0, 0))))  # type: ignore
        return most

    @property
    def alike(self) -> bool:
        """Whether all ranks copy the same."""
        first, *others = self.shares.values()
        return all(other == first for other in others)

    @property
    def largest(self) -> int:
        """Bytes that the rank copies that copies most."""
        return max(sum(map(sum, share.values())) for share in self.shares.values())


NOTHING: Share = {}
_known: OrderedDict[Any, tuple[Algorithm, Copied]] = OrderedDict()


def copies_of(
    algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any], same: bool = False
) -> Copied:
    """The bytes that each rank copies or packs in each round, before and after its messages.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    parameters : mapping
        As `settle` has returned them, and the algorithm.
    same : bool
        Whether the algorithm is the same seen from every rank.
    """
    values = [getattr(problem, field.name) for field in fields(problem)]
    key = id(algorithm), *values, *sorted(parameters.items()), same
    try:
        found = _known.get(key)
    except TypeError:  # lengths of blocks have no hash
        return _copied(_Pages(algorithm, problem, parameters))
    if found is None:
        copied = _one_for_all(_Pages(algorithm, problem, parameters)) if same else None
        if copied is None and same:
            return copies_of(algorithm, problem, parameters)
        if copied is None:
            copied = _copied(_Pages(algorithm, problem, parameters))
        # The algorithm is kept, so that its id stays its own.
        found = _known[key] = algorithm, copied
    _known.move_to_end(key)
    while len(_known) > KEPT:
        _known.popitem(last=False)
    return found[1]


def _one_for_all(pages: _Pages) -> Copied | None:
    """What one rank copies, if that is what all do."""
    try:
        share = pages.one_share()
    except _TooLong:
        return None
    return None if share is None else Copied({0: share}, True)


def _copied(pages: _Pages) -> Copied:
    """What all ranks copy, or a few that stand for all."""
    p = pages.problem.p
    try:
        few = pages.shares(_few(pages.problem))
        usual = sorted(pages.views)[len(few) // 2]
        if usual * p <= EFFORT:
            return Copied({**few, **pages.shares(set(range(p)) - set(few))}, True)
    except _TooLong:
        return Copied({0: NOTHING}, False)
    return Copied(few, len(few) == p)


def _few(problem: Problem) -> list[int]:
    """The ranks that are most likely to differ."""
    p, root = problem.p, problem.root
    return sorted({rank % p for rank in (0, 1, p // 2, -2, -1, root - 1, root, root + 1)})


class _TooLong(Exception):
    """Raised where a plan is not looked up."""


class _Pages:
    """The plans of an algorithm's ranks.

    They are made for memory that nobody writes: a gigabyte of it takes none.
    """

    def __init__(self, algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]):
        self.algorithm, self.problem, self.parameters = algorithm, problem, parameters
        self.views: list[int] = []  # of the plans that have been made

    def one_share(self) -> Share | None:
        """What all ranks of an algorithm that is the same for all copy; None if that may differ."""
        p = self.problem.p
        pages = {rank: self._page(rank, MANY) for rank in sorted({0, p // 2, p - 1})}
        if not is_turned({rank: page for rank, (page, _) in pages.items()}):
            return None
        plan, places = self._plan(*pages[0])
        return None if places is None or places.parted else _share(plan)

    def shares(self, ranks: Iterable[int]) -> dict[int, Share]:
        """What some ranks copy."""
        return {rank: _share(self._plan(*self._page(rank, LONG))[0]) for rank in ranks}

    def _page(self, rank: int, most: int) -> tuple[Plan, list[np.ndarray]]:
        """The rounds as the page has them, and the buffers of the call."""
        problem = self.problem
        sizes = problem.send_size(rank), problem.recv_size(rank)
        if problem.primitive == "bcast":
            sizes = None, problem.size
        made = [None if size is None else np.empty(size, problem.dtype) for size in sizes]
        steps = problem.start(self.algorithm, rank, Buffers(*made), self.parameters)
        page = self._record(_Page(str(self.algorithm), rank, problem.p, steps), most)
        return page, [each for each in made if each is not None]

    def _record(self, process: _Page, most: int) -> Plan:
        rounds, numbers, views = [], [], 0
        while (round_ := process.advance()) is not None:
            if not (round_.sends or round_.recvs or round_.local):
                continue
            rounds.append(round_)
            numbers.append(process.number)
            views += sum(1 for _ in views_in(round_.sends + round_.recvs)) + len(round_.local)
            if views > most:
                raise _TooLong
        self.views.append(views)
        return Plan(process.title, rounds, [], numbers)

    def _plan(self, page: Plan, given: list[np.ndarray]) -> tuple[Plan, Places | None]:
        """The optimised plan, and its memory if that is known."""
        if not any(map(_may_copy, page.rounds)):
            return page, Places(given)
        try:
            places = Places(given)
            return optimise_at(page, places, self.problem.operator), places
        except UnknownMemory:
            return page, None


class _Page(Process):
    """A rank whose messages the simulator has checked, or will check."""

    __slots__ = ()

    def _check_writable(self, views: Any, verb: str) -> None:
        pass

    def _check_overlap(self, sends: Any, recvs: Any) -> None:
        pass


def _may_copy(round_: Round) -> bool:
    """Whether there is a copy on the page, or a sum of which the pass makes one."""
    return any(
        isinstance(step, copy) or (isinstance(step, reduce) and step.out.size == 1)
        for step in round_.local
    )


def _share(plan: Plan) -> Share:
    copied: dict[int, tuple[int, int]] = {}
    for number, round_ in zip(plan.numbers, plan.rounds, strict=True):
        before, after = _packed(round_.sends), _after(round_)
        if before or after:
            copied[number] = before, after
    return copied


def _packed(messages: list[Message]) -> int:
    """Bytes of messages that do not lie in one piece."""
    return sum(
        message.nbytes
        for message in messages
        if len(message.views) > 1 and len(merge(message.views)) > 1
    )


def _after(round_: Round) -> int:
    """Bytes that are unpacked, and those of local copies."""
    copied = [view.nbytes for step in round_.local if isinstance(step, copy) for view in step.read]
    return _packed(round_.recvs) + sum(copied)
