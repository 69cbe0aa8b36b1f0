"""The pass over recorded plans: the same results with less work, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.memory import Special
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.algorithms.language.steps import copy, recv, send
from collectives.catalogue import check_restrictions
from collectives.engines.driver import Process, views_of
from collectives.engines.optimise import optimise
from collectives.engines.plan import record
from collectives.engines.simulator import Simulator
from collectives.errors import RestrictionError
from collectives.operators.operator import MATPROD, MATRIX, SUM, Operator
from collectives.problems import CAN_BE_IN_PLACE, Buffers, Problem
from collectives.study.symbolic import prove
from collectives.study.verify import verify

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
RANKS = range(1, 34)
SOME = [1, 2, 3, 4, 5, 7, 8, 13]
every = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
shares = [pytest.param(SOME, id="some"), pytest.param(RANKS, id="all", marks=pytest.mark.slow)]

# Operators that work as MPI_Reduce_local does, and as a user's function.
INTO_RIGHT = Operator("into right", np.add, into_right=True)
FOREIGN = Operator("foreign", np.add, into_right=True, foreign=True)


def steps_of(plan):
    """What a page would yield that did what the plan says."""
    for round_ in plan.rounds:
        sends = [send([*message.views], message.peer) for message in round_.sends]
        recvs = [recv([*message.views], message.peer) for message in round_.recvs]
        yield [*sends, *recvs, *round_.local]


def buffers_of(arguments):
    """The arrays among an algorithm's arguments."""
    arrays = [x.buf if isinstance(x, Blocks) else x for x in arguments]
    return [x for x in arrays if isinstance(x, np.ndarray) and x.dtype != object]


def views(plan):
    for round_ in plan.rounds:
        for message in round_.sends + round_.recvs:
            yield from message.views
        for step in round_.local:
            yield from [*step.read, *views_of(step.written)]


def poison(plan, given):
    """Fill the scratch memory of a plan, so that nothing comes of what is left in it."""
    for view in views(plan):
        owner = view if view.base is None else view.base
        made = isinstance(owner, np.ndarray) and owner.flags.owndata and owner.flags.writeable
        theirs = any(np.may_share_memory(view, buf) for buf in given)
        if made and view.size and not theirs and not isinstance(view, Special):
            owner.view(np.uint8)[...] = 0xC3


def optimised(algorithm, operator=SUM):
    """An algorithm whose plans go through the pass."""

    def generator(rank, p, *arguments, **parameters):
        given = [buf for buf in buffers_of(arguments[:2]) if buf is not None]
        steps = algorithm.generator(rank, p, *arguments, **parameters)
        plan = record(Process(str(algorithm), rank, p, steps))
        new = optimise(plan, given, operator)
        assert new.lines == plan.lines and len(new.rounds) == len(plan.rounds)
        for before, after in zip(plan.rounds, new.rounds):
            assert shape(before) == shape(after)
        poison(new, given)
        yield from steps_of(new)

    return replace(algorithm, generator=generator)


def shape(round_):
    """What the pass leaves as it is: messages and reductions."""
    sends, recvs = ([(m.peer, m.nbytes) for m in each] for each in (round_.sends, round_.recvs))
    adds = [(type(x), x.written.size) for x in round_.local if not isinstance(x, copy)]
    return sends, recvs, adds


def problems(algorithm, p, sizes):
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return
    ordered = algorithm.keeps_order and not algorithm.lossy
    numbers = np.dtype(np.float64 if algorithm.lossy else np.int64)
    operator, dtype = (MATPROD, MATRIX) if ordered else (SUM, numbers)
    for n in sizes:
        for in_place in {False, algorithm.primitive in CAN_BE_IN_PLACE}:
            yield Problem(algorithm.primitive, p, n, p // 3, dtype, operator, in_place=in_place)


@pytest.mark.parametrize("ranks", shares)
@every
def test_results_are_right(algorithm, ranks):
    """By the driver's rules, with inputs untouched and scratch memory full of junk."""
    for p in ranks:
        for problem in problems(algorithm, p, (0, 1, p, 3 * p + 1)):
            for operator in (problem.operator, replace(problem.operator, into_right=True)):
                verify(optimised(algorithm, operator), problem, rendezvous=True)


@pytest.mark.parametrize("primitive", sorted(REDUCTIONS))
def test_results_are_right_with_a_function_of_the_users(primitive):
    """It writes to its left operand, which must never be the input where the page has a copy."""

    def kernel(left, right, out):
        np.add(left, right, out=out)
        if not np.may_share_memory(left, out) and left.flags.writeable:
            left[...] = -1

    for algorithm in REGISTRY[primitive].values():
        if algorithm.lossy:
            continue
        for p in SOME:
            problem = Problem(primitive, p, 3 * p + 1, p // 2)
            plain = [problem.buffers(rank) for rank in range(p)]
            kept = [None if mine.send is None else mine.send.copy() for mine in plain]
            writable = [Buffers(data, mine.recv) for data, mine in zip(kept, plain)]
            once = run(algorithm, problem, writable, kernel)
            fresh = [
                Buffers(mine.send.copy(), problem.buffers(r).recv) for r, mine in enumerate(plain)
            ]
            foreign = optimised(
                algorithm, Operator("foreign", kernel, into_right=True, foreign=True)
            )
            assert run(foreign, problem, fresh, kernel) == once, f"{algorithm}, {p=}"


def run(algorithm, problem, buffers, kernel):
    """What is in all buffers after a run."""

    def program(rank):
        return problem.start(algorithm, rank, buffers[rank], {})

    operator = Operator("any", kernel)
    Simulator(str(algorithm), problem.p, program, operator, rendezvous=True).run()
    return [
        [None if buf is None else buf.tolist() for buf in (mine.send, mine.recv)]
        for mine in buffers
    ]


@pytest.mark.parametrize("ranks", shares)
@every
def test_proofs_hold(algorithm, ranks):
    for p in ranks:
        if not list(problems(algorithm, p, [0])):
            continue
        for root in {0, p - 1}:
            prove(optimised(algorithm), p, root=root, segments=3)


def with_gaps(algorithm, operator=SUM):
    """An algorithm whose blocks lie in any order; the gaps between them stay as they are."""

    def generator(rank, p, *arguments, **parameters):
        spread = {}
        for number, blocks in enumerate(arguments):
            if isinstance(blocks, Blocks):
                spread[number] = scattered(blocks)
        own = [spread.get(i, x) for i, x in enumerate(arguments)]
        if len(spread) == 1:  # in place
            [(number, blocks)] = spread.items()
            other = 1 - number
            if np.may_share_memory(arguments[number].buf, arguments[other]):
                own[other] = blocks[rank]
        before = {number: blocks.buf.copy() for number, blocks in spread.items()}
        yield from optimised(algorithm, operator).generator(rank, p, *own, **parameters)
        for number, blocks in spread.items():
            inside = np.zeros(blocks.buf.size, bool)
            for i in range(len(blocks)):
                inside[blocks.starts[i] : blocks.stops[i]] = True
                if arguments[number].buf.flags.writeable:
                    arguments[number][i][...] = blocks[i]
            assert (blocks.buf == before[number])[~inside].all()

    return replace(algorithm, generator=generator)


def scattered(blocks):
    """The same blocks elsewhere: the last first, with two elements between them."""
    p = len(blocks)
    starts, at = [0] * p, 2
    for i in reversed(range(p)):
        starts[i], at = at, at + blocks.size(i) + 2
    stops = [start + blocks.size(i) for i, start in enumerate(starts)]
    buf = np.full(at, -99, blocks.buf.dtype)
    for i in range(p):
        buf[starts[i] : stops[i]] = blocks[i]
    return Blocks(buf, starts, stops)


@pytest.mark.parametrize("ranks", shares)
@pytest.mark.parametrize(
    "algorithm",
    [x for x in ALGORITHMS if x.primitive in ("scatter", "gather", "allgather", "alltoall")],
    ids=str,
)
def test_uneven_blocks_with_gaps(algorithm, ranks):
    primitive = algorithm.primitive
    for p in ranks:
        counts = [(5 * i + 2) % 4 for i in range(p)]
        if primitive == "alltoall":
            counts = np.array([[(3 * i + j) % 4 for j in range(p)] for i in range(p)])
        for in_place in {False, primitive in CAN_BE_IN_PLACE}:
            problem = Problem(primitive, p, root=p // 2, counts=counts, in_place=in_place)
            verify(with_gaps(algorithm), problem, rendezvous=True)
