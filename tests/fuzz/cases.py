"""A case: some calls in flight together, ended in some way, several times over."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from random import Random
from time import monotonic, sleep
from typing import Any

import calls
import numpy as np
import objects
from calls import BLOCKING, MANNERS, NONBLOCKING, PERSISTENT, Call, Part
from memory import Slabs
from mpi4py import MPI
from objects import ObjectCall, ObjectPart

import collectives

Request = MPI.Request
COMMS = 3  # communicators of a group


@dataclass
class Group:
    """The ranks that run a case, as one of them sees them.

    Attributes
    ----------
    ranks : list of int
        Their ranks in the world, in the order of the group.
    rank : int
        This one's in the group.
    comms : list of Comm
        What our collectives run on.
    twin, control : MPI.Intracomm
        For MPI's own collectives, and for what the ranks tell each other.
    slabs : Slabs
    """

    ranks: list[int]
    rank: int
    comms: list[collectives.Comm]
    twin: MPI.Intracomm
    control: MPI.Intracomm
    slabs: Slabs

    @property
    def p(self) -> int:
        return len(self.ranks)


def make_group(comm: MPI.Intracomm, ranks: list[int]) -> Group:
    """The group that this rank of `comm` belongs to; all its groups are made together."""
    color, key = min(ranks), ranks.index(comm.rank)
    ours = collectives.Comm(comm).Split(color, key)
    comms = [ours, ours.Dup(), ours.Create_cart([len(ranks)], periods=[True])]
    twin = MPI.Intracomm(comm).Split(color, key)
    return Group(ranks, ours.rank, comms, twin, twin.Dup(), Slabs())


def free_group(group: Group) -> None:
    for comm in (*group.comms, group.twin, group.control):
        comm.Free()


@dataclass(frozen=True)
class Case:
    """What all ranks know of a case.

    Attributes
    ----------
    seed : list of int
        What its data are made from.
    calls : list
        In the order in which they are started, with the number of the communicator.
    turns : int
        How often, with new data each time.
    moves : bool
        Whether also in new memory each time, but for what is persistent.
    """

    seed: list[int]
    calls: list[tuple[Call | ObjectCall, int]]
    turns: int
    moves: bool

    def __str__(self) -> str:
        moves = " in new memory" if self.moves else ""
        return f"{' + '.join(str(call) for call, _ in self.calls)}, {self.turns} times{moves}"


def draw(seed: int, number: int, p: int, gaps: bool, only: str | None) -> Case:
    """The case of a number."""
    rng = Random(f"{seed}/{number}/{p}")
    drawn = [
        (_draw_call(rng, p, gaps, only), rng.randrange(COMMS))
        for _ in range(rng.choice([1, 1, 1, 2, 3, 5]))
    ]
    if rng.random() < 0.4:  # calls of one shape, which share what is kept
        drawn += [(_alike(rng, call), comm) for call, comm in drawn]
    return Case([seed, number], drawn, rng.randint(1, 3), rng.random() < 0.5)


def _draw_call(rng: Random, p: int, gaps: bool, only: str | None) -> Call | ObjectCall:
    if only is None and rng.random() < 0.12:
        return objects.draw(rng, p)
    return calls.draw(rng, p, gaps, only)


def _alike(rng: Random, call: Call | ObjectCall) -> Call | ObjectCall:
    """The same call in some manner."""
    return replace(call, manner=rng.choice(MANNERS)) if isinstance(call, Call) else call


def run(case: Case, group: Group, again: int = 0) -> str | None:
    """Run a case; return what is wrong on this rank.

    Before the first turn everything is carried out `again` times, unchecked, with
    whatever is in the buffers.
    """
    rng = Random(f"{case.seed}/rank {group.rank}")
    with _parts(case, group, rng) as parts:
        for part, _ in parts if again else []:
            part.renew([*case.seed, group.rank])
        for _ in range(again):
            _carry_out(parts, rng, group, False)
        strict = rng.random() < 0.5
        for turn in range(case.turns):
            if turn and case.moves:
                _move(parts, group)
            for at, (part, _) in enumerate(parts):
                part.renew([*case.seed, turn, at, group.rank])
                part.expect(group.twin)
            entered = monotonic()
            with _strict() if strict else nullcontext():
                left = _carry_out(parts, rng, group, turn == case.turns - 1)
            problem = _first_problem(case, group, parts, entered, left)
            if problem is not None:
                return f"turn {turn}: {problem}"
    return None


Parts = list[tuple[Part | ObjectPart, collectives.Comm]]


@contextmanager
def _parts(case: Case, group: Group, rng: Random) -> Iterator[Parts]:
    """This rank's parts; the persistent ones are set up."""
    parts: Parts = []
    try:
        for call, comm in case.calls:
            part = (
                Part(call, group.rank, group.slabs, rng.random())
                if isinstance(call, Call)
                else ObjectPart(call, group.rank, group.p)
            )
            parts.append((part, group.comms[comm]))
            if _manner(part) == PERSISTENT:
                part.request = part.begin(group.comms[comm])
        yield parts
    finally:
        for part, _ in parts:
            if _manner(part) == PERSISTENT and part.request is not None:
                part.request.Free()
            part.free()
        group.slabs.give_all()


def _move(parts: Parts, group: Group) -> None:
    """The same parts, spelled the same, in other memory; persistent ones stay where they are."""
    for at, (part, comm) in enumerate(parts):
        if isinstance(part, Part) and _manner(part) != PERSISTENT:
            parts[at] = Part(part.call, group.rank, group.slabs, part.seed), comm
            part.free()


def _manner(part: Part | ObjectPart) -> str:
    return part.call.manner if isinstance(part, Part) else BLOCKING


def _carry_out(parts: Parts, rng: Random, group: Group, last: bool) -> float:
    """Start everything, end everything; return when the first of them had ended."""
    persistent = [part.request for part, _ in parts if _manner(part) == PERSISTENT]
    rng.shuffle(persistent)  # the ranks need not agree
    _start(persistent, rng)
    pending, ended = list(persistent), []
    for part, comm in parts:
        if _manner(part) == NONBLOCKING:
            pending.append(part.begin(comm))
        elif _manner(part) == BLOCKING:
            part.begin(comm)
            ended.append(monotonic())
        if last and rng.random() < 0.3:
            part.free_datatypes()
    with _plain_traffic(group, pending, rng):
        rng.shuffle(pending)
        if pending:
            ENDINGS[rng.choice(list(ENDINGS))](pending)
            ended.append(monotonic())
    return min(ended)


@contextmanager
def _strict() -> Iterator[None]:
    """A program that takes numpy's warnings, and all others, for errors."""
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _start(requests: list, rng: Random) -> None:
    if rng.random() < 0.3:
        MPI.Prequest.Startall(requests)
        return
    for request in requests:
        request.Start()


@contextmanager
def _plain_traffic(group: Group, pending: list, rng: Random) -> Iterator[None]:
    """At times MPI's own requests among ours: a message round a ring, and a barrier."""
    sent, got = np.array([group.rank]), np.array([-1])
    left, right = (group.rank - 1) % group.p, (group.rank + 1) % group.p
    started = [group.twin.Irecv(got, left), group.twin.Isend(sent, right), group.twin.Ibarrier()]
    mixed = rng.random() < 0.5
    if mixed:
        pending += started
    yield
    Request.Waitall(started)
    assert got[0] == left


def _waitany(requests: list) -> None:
    for _ in requests:
        Request.Waitany(requests)


def _until(done: Callable[[list], int]) -> Callable[[list], None]:
    """Call it until it has told of every request."""

    def drain(requests: list) -> None:
        left = len(requests)
        while left > 0:
            left -= done(requests)
            sleep(0)

    return drain


ENDINGS: dict[str, Callable[[list], Any]] = {
    "Wait": lambda requests: [request.Wait() for request in requests],
    "Test": lambda requests: [_until(lambda one: int(one[0].Test()))([x]) for x in requests],
    "Waitall": Request.Waitall,
    "Waitany": _waitany,
    "Waitsome": _until(lambda requests: len(Request.Waitsome(requests) or requests)),
    "Testall": _until(lambda requests: len(requests) * Request.Testall(requests)),
    "Testany": _until(lambda requests: int(Request.Testany(requests)[0] != MPI.UNDEFINED)),
    "Testsome": _until(lambda requests: len(Request.Testsome(requests) or [])),
}


def _first_problem(
    case: Case, group: Group, parts: Parts, entered: float, left: float
) -> str | None:
    problems = [
        f"{part.call}: {problem}" for part, _ in parts if (problem := part.wrong()) is not None
    ]
    for part, _ in parts:  # all ranks come here, whatever is wrong on one of them
        if part.same_everywhere and len(set(group.control.allgather(part.digest()))) > 1:
            problems.append(f"{part.call}: other bits than on other ranks")
    if any(part.call.form == "barrier" for part, _ in parts) and len(parts) == 1:
        latest = group.control.allreduce(entered, MPI.MAX)
        if left < latest:
            problems.append(f"{parts[0][0].call}: left {latest - left:.6f} s before all had come")
    return problems[0] if problems else None
