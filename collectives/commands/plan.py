"""`plan`: what one rank does, round by round, as its page says and as it runs over MPI."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from collectives import checks
from collectives.algorithms import Algorithm
from collectives.algorithms.language.registry import AUTO
from collectives.algorithms.language.steps import Local, copy, decode, encode
from collectives.catalogue import find
from collectives.commands.options import add_nodes, ranks, size
from collectives.engines.driver import Process, Round, locate, views_of
from collectives.engines.endless import Guard, check_ends
from collectives.engines.optimise import optimise
from collectives.engines.places import Places
from collectives.engines.plan import Plan, record
from collectives.errors import ArgumentError
from collectives.operators.operator import SUM
from collectives.problems import CAN_BE_IN_PLACE, Buffers, Problem
from collectives.study.verify import settle
from collectives.units import format_bytes

DTYPE = np.dtype(np.float64)
RANKS = 4  # by default
LENGTH = 4  # elements of a block, by default: few enough to count

LEGEND = """\
Unmarked lines are in both. - is only on the page, + only in the plan that runs over MPI.
x[a:b] is elements a to b-1 of buffer x, and x alone all of it."""


ON_ONE_NODE = "What auto takes where all ranks are on one node; --topology says where they are."


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("plan", help="what one rank does, on the page and over MPI")
    parser.add_argument("primitive")
    parser.add_argument("algorithm", nargs="?", help="the primitive's default without one")
    parser.add_argument("-p", type=ranks, help=f"number of ranks ({RANKS}, or the topology's)")
    parser.add_argument("--rank", type=int, default=0, help="whose plan (%(default)s)")
    parser.add_argument(
        "-n",
        type=size,
        help=f"bytes of the whole vector ({LENGTH} elements of {DTYPE} a rank)",
    )
    parser.add_argument("--root", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--in-place", action="store_true", help="the input lies in the output")
    add_nodes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    problem, rank = _problem(arguments), arguments.rank
    asked, given = find(arguments.primitive, arguments.algorithm)
    algorithm, parameters = settle(asked, problem, given, arguments.topology)
    checks.memory(str(algorithm), "the vectors of a rank", 2 * problem.n * DTYPE.itemsize)
    mine = problem.buffers(rank)
    with Guard():
        check_ends(_process(algorithm, problem, rank, mine, parameters))
    page = record(_process(algorithm, problem, rank, mine, parameters))
    theirs = [buf for buf in (mine.send, mine.recv) if buf is not None]
    plan = optimise(page, theirs, SUM)
    print(f"{algorithm}: rank {rank}, {problem}")
    if asked.name == AUTO and arguments.topology is None:
        print(ON_ONE_NODE)
    print(f"\n{LEGEND}")
    names = Names(problem.primitive, mine)
    for number, line, before, after in zip(page.numbers, page.lines, page.rounds, plan.rounds):
        print(f"\n{number}  {locate(line)}")
        print(*_compared(before, after, names), sep="\n")
    print(f"\n{_summary(page, theirs)} on the page, {_summary(plan, theirs)} over MPI")
    return 0


def _process(
    algorithm: Algorithm, problem: Problem, rank: int, mine: Buffers, parameters: Mapping[str, Any]
) -> Process:
    steps = problem.start(algorithm, rank, mine, parameters)
    return Process(str(algorithm), rank, problem.p, steps)


def _problem(arguments: argparse.Namespace) -> Problem:
    machine, primitive = arguments.topology, arguments.primitive
    p = arguments.p or (machine and machine.p) or RANKS
    find(primitive)  # raises if there is none
    for name in ("rank", "root"):
        checks.rank("plan", name, getattr(arguments, name), p)
    if arguments.in_place and primitive not in CAN_BE_IN_PLACE:
        choices = ", ".join(sorted(CAN_BE_IN_PLACE))
        raise ArgumentError(f"plan: --in-place needs one of {choices}, got {primitive}")
    n = LENGTH * p if arguments.n is None else -(-arguments.n // DTYPE.itemsize)
    return Problem(primitive, p, n, arguments.root, DTYPE, in_place=arguments.in_place)


class Names:
    """What the views of a plan are called.

    Parameters
    ----------
    primitive : str
    mine : Buffers
        Those of the rank. Where the input lies in the output, both are `buffer`.
    """

    def __init__(self, primitive: str, mine: Buffers):
        buffers = {"sendbuf": mine.send, "recvbuf": mine.recv}
        given = {name: buf for name, buf in buffers.items() if buf is not None}
        self._places = Places([*given.values()])
        self._sizes = {place.buffer: place.stop for place in self._places.given}
        self._names: dict[int, str] = {}
        for name, buf in given.items():
            if place := self._places.of(buf):
                known = "buffer" if place.buffer in self._names else name
                self._names[place.buffer] = "buf" if primitive == "bcast" else known
        self._scratches = 0

    def of(self, view: np.ndarray) -> str:
        """The name of a view: its buffer, and which elements of it."""
        place = self._places.of(view)
        if place is None:
            return "nothing"
        if place.buffer not in self._names:
            self._scratches += 1
            self._names[place.buffer] = f"scratch {self._scratches}"
            self._sizes[place.buffer] = (view if view.base is None else view.base).nbytes
        name, item = self._names[place.buffer], view.itemsize
        if (place.start, place.stop) == (0, self._sizes[place.buffer]):
            return name
        return f"{name}[{place.start // item}:{place.stop // item}]"

    def all(self, views: Iterable[np.ndarray]) -> str:
        return ", ".join(self.of(view) for view in views if view.nbytes) or "nothing"


def _compared(before: Round, after: Round, names: Names) -> Iterator[str]:
    """The steps of a round, those of the page and those of the plan."""
    for verb, towards in (("send", "to"), ("recv", "from")):
        messages = [getattr(round_, f"{verb}s") for round_ in (before, after)]
        for pair in zip(*messages, strict=True):
            one, other = (f"{verb:7} {names.all(m.views)} {towards} {m.peer}" for m in pair)
            yield from [f"      {one}"] if one == other else [f"    - {one}", f"    + {other}"]
    page, plan = ([_told(step, names) for step in round_.local] for round_ in (before, after))
    for _, i, k, j, m in SequenceMatcher(None, page, plan, autojunk=False).get_opcodes():
        if page[i:k] == plan[j:m]:
            yield from (f"      {line}" for line in page[i:k])
        else:
            yield from (f"    - {line}" for line in page[i:k])
            yield from (f"    + {line}" for line in plan[j:m])


def _told(step: Local, names: Names) -> str:
    """A local step in words."""
    read, written = (names.all(views) for views in (step.read, views_of(step.written)))
    if isinstance(step, copy):
        return f"copy    {read} -> {written}"
    if isinstance(step, (encode, decode)):
        return f"{type(step).__name__:7} {read} -> {written}"
    left, right = map(names.of, step.read)
    return f"reduce  {left} op {right} -> {written}"


def _summary(plan: Plan, given: Sequence[np.ndarray]) -> str:
    """How much is copied, and how much memory it takes."""
    local = [step for round_ in plan.rounds for step in round_.local]
    copied = sum(x.nbytes for step in local if isinstance(step, copy) for x in step.read)
    space = format_bytes(plan.scratch_bytes(given))
    return f"{format_bytes(copied)} copied and {space} of scratch"
