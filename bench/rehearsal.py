"""What each rank is about to do with its own buffers, before anything is sent.

Other ranks would wait for one that stops at a rule which its algorithm breaks, and for a
message that nobody sends. So every rank runs its algorithms once without doing what they
say, and tells the others what it expects of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mpi4py import MPI

from collectives.catalogue import find
from collectives.engines.driver import Message, Process
from collectives.engines.endless import Guard, check_ends, many
from collectives.errors import FAILURES
from collectives.machine.model import Machine
from collectives.problems import Buffers
from collectives.study.verify import settle

from .cells import BUILTIN, Cell
from .preflight import Outlook, reason

# The bytes of the messages to, or from, each rank, in their order.
Sizes = dict[int, list[int]]


def rehearsed(
    comm: MPI.Intracomm,
    cells: Sequence[Cell],
    ahead: Sequence[Outlook],
    machine: Machine,
    buffers: Mapping[tuple[str, int], Buffers],
) -> list[Outlook]:
    """What is known after all ranks have compared what they are about to do; collective."""
    broken: dict[int, str] = {}
    leaving: list[dict[int, list[int]]] = [{} for _ in range(comm.size)]
    expected: dict[int, Sizes] = {}
    for i, cell in enumerate(cells):
        if cell.algorithm == BUILTIN or not ahead[i].runs:
            continue
        try:
            sends, expected[i] = messages(cell, comm.rank, comm.size, machine, buffers[cell.group])
        except FAILURES as error:
            broken[i] = reason(error, cell)
            continue
        for peer, sizes in sends.items():
            leaving[peer][i] = sizes
    for peer, arriving in enumerate(comm.alltoall(leaving)):
        for i, recvs in expected.items():
            needed, got = recvs.get(peer, []), arriving.get(i, [])
            if needed != got:
                broken.setdefault(i, _mismatch(comm.rank, peer, needed, got))
    told = comm.allgather(broken)
    every = {i: text for one in reversed(told) for i, text in one.items()}
    return [replace(one, broken=every.get(i, one.broken)) for i, one in enumerate(ahead)]


def messages(cell: Cell, rank: int, p: int, machine: Machine, mine: Buffers) -> tuple[Sizes, Sizes]:
    """The messages that a rank sends and receives in a call, on the nodes of a machine."""
    problem = cell.problem(p)
    asked, given = find(cell.primitive, cell.algorithm)
    algorithm, parameters = settle(asked, problem, given, machine)

    def process() -> Process:
        steps = problem.start(algorithm, rank, mine, parameters)
        return Process(str(algorithm), rank, p, steps)

    sends: Sizes = defaultdict(list)
    recvs: Sizes = defaultdict(list)
    running = process()
    with Guard():
        while (round_ := running.advance()) is not None:
            if running.rounds == many(p):
                check_ends(process())
            _note(round_.sends, sends)
            _note(round_.recvs, recvs)
    return sends, recvs


def _note(some: Sequence[Message], sizes: Sizes) -> None:
    for message in some:
        sizes[message.peer].append(message.nbytes)


def _mismatch(rank: int, peer: int, needed: Sequence[int], got: Sequence[int]) -> str:
    return (
        f"rank {rank}: needs {len(needed)} messages of {sum(needed)} bytes from rank {peer}, got "
        f"{len(got)} of {sum(got)}; what is yielded must not depend on values"
    )
