"""Algorithms are oblivious: what they yield depends on ranks and lengths only.

Here all rounds of all ranks are recorded before anything is sent, as an engine
that replays plans does it, and run afterwards by a few lines that share nothing
with the simulator.
"""

from collections import defaultdict, deque

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.steps import copy, decode, elements, encode, recv, send
from collectives.compression import error_limit
from collectives.engines.driver import Process, Round
from collectives.engines.plan import Plan
from collectives.engines.relocation import Relocatable, overlapping, spans_of
from collectives.operators import MATPROD, MATRIX, SUM
from collectives.problems import CAN_BE_IN_PLACE, Buffers, Problem
from collectives.verify import check

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
RANKS = [1, 2, 3, 4, 5, 7, 8, 12]
every = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)


def segmentations(algorithm):
    return [{"segments": 3}, {}] if "segments" in algorithm.parameters else [{}]


def possible(algorithm, p):
    return p >= algorithm.minimum_p and (p & (p - 1) == 0 or not algorithm.power_of_two)


def numbers_for(algorithm):
    """The type of the data; a lossy algorithm needs floats."""
    return np.dtype(np.float64 if algorithm.lossy else np.int64)


def writable(buffers):
    """The same with an input that may change."""
    return Buffers(None if buffers.send is None else buffers.send.copy(), buffers.recv)


def record(algorithm, problem, buffers, given):
    """All rounds of all ranks; nothing is sent, reduced or copied meanwhile."""
    plans = []
    for rank, mine in enumerate(buffers):
        arguments = problem.arguments(algorithm, rank, mine)
        steps = algorithm.generator(rank, problem.p, *arguments, **given)
        process = Process(str(algorithm), rank, problem.p, steps)
        plans.append([*iter(process.advance, None)])
    return plans


def replay(plans, kernel=None):
    """Run recorded rounds; return, per rank, the ranks that it has heard of."""
    p = len(plans)
    channels = defaultdict(deque)
    heard = [{rank} for rank in range(p)]
    turn, sent = [0] * p, [False] * p
    waiting = deque(range(p))
    idle = 0
    while waiting:
        rank = waiting.popleft()
        if turn[rank] == len(plans[rank]):
            continue
        now = plans[rank][turn[rank]]
        if not sent[rank]:
            for message in now.sends:
                data = [view.copy() for view in message.views]
                channels[rank, message.peer].append((data, frozenset(heard[rank])))
            sent[rank] = True
        waiting.append(rank)
        needed = defaultdict(int)
        for message in now.recvs:
            needed[message.peer] += 1
        if any(len(channels[peer, rank]) < number for peer, number in needed.items()):
            idle += 1
            assert idle <= p, "the recorded rounds wait for each other"
            continue
        idle = 0
        for message in now.recvs:
            data, news = channels[message.peer, rank].popleft()
            lay(data, message.views)
            heard[rank] |= news
        for step in now.local:
            if type(step) is copy:
                lay(listed(step.src), listed(step.dst))
            elif type(step) is encode:
                step.codec.encode(step.src, step.packet)
            elif type(step) is decode:
                step.codec.decode(step.packet, step.dst)
            else:
                kernel(step.inbuf, step.inoutbuf, step.out)
        turn[rank] += 1
        sent[rank] = False
    assert not any(channels.values()), "messages are left over"
    return heard


def listed(buf):
    return buf if isinstance(buf, list) else [buf]


def lay(data, views):
    flat = np.concatenate(data)
    for view in views:
        if view.size:
            view[...] = flat[: view.size]
            flat = flat[view.size :]
    assert flat.size == 0


def outline(algorithm, problem, buffers, given):
    """What all ranks yield: kinds, peers and lengths."""
    return [
        [
            [describe(step) for step in (steps if isinstance(steps, (tuple, list)) else [steps])]
            for steps in algorithm.generator(
                rank, problem.p, *problem.arguments(algorithm, rank, mine), **given
            )
        ]
        for rank, mine in enumerate(buffers)
    ]


def describe(step):
    kind = type(step)
    if kind is send or kind is recv:
        return kind.__name__, step.dest if kind is send else step.source, elements(step.buf)
    if kind is copy:
        return "copy", elements(step.src), elements(step.dst)
    if kind is encode or kind is decode:
        return kind.__name__, step.packet.size, step.written.size
    return "reduce", step.inbuf.size, step.inoutbuf.size, step.out.size


@every
def test_phantoms_see_the_same_steps(algorithm):
    for p in RANKS:
        for n in (0, 1, p + 1, 30):
            for root in {0, p // 2}:
                for given in segmentations(algorithm):
                    problem = Problem(algorithm.primitive, p, n, root, numbers_for(algorithm))
                    real = [problem.buffers(rank) for rank in range(p)]
                    phantoms = [problem.phantoms(rank) for rank in range(p)]
                    assert outline(algorithm, problem, real, given) == outline(
                        algorithm, problem, phantoms, given
                    )


@every
def test_values_make_no_difference(algorithm):
    problem = Problem(algorithm.primitive, 6, 13, 2, numbers_for(algorithm))
    plans = []
    for value in (None, 0, -1):
        buffers = [writable(problem.buffers(rank)) for rank in range(6)]
        for mine in buffers:
            for buf in (mine.send, mine.recv):
                if buf is not None and value is not None:
                    buf[:] = value
        plans.append(outline(algorithm, problem, buffers, {}))
    assert plans[0] == plans[1] == plans[2]


@pytest.mark.parametrize("in_place", [False, True], ids=["", "in-place"])
@every
def test_recorded_rounds_give_the_right_result(algorithm, in_place):
    """What an algorithm did to its buffers between two yields would be lost here."""
    primitive = algorithm.primitive
    if in_place and primitive not in CAN_BE_IN_PLACE:
        return
    ordered = algorithm.keeps_order and not algorithm.lossy
    operator, dtype = (MATPROD, MATRIX) if ordered else (SUM, numbers_for(algorithm))
    for p in filter(lambda p: possible(algorithm, p), RANKS):
        for n in (0, p - 1, 30):
            for given in segmentations(algorithm):
                problem = Problem(primitive, p, n, p // 3, dtype, operator, in_place=in_place)
                buffers = [problem.buffers(rank) for rank in range(p)]
                plans = record(algorithm, problem, buffers, given)
                for rank, mine in enumerate(buffers):  # nothing has happened yet
                    untouched = problem.buffers(rank)
                    for buf, before in ((mine.send, untouched.send), (mine.recv, untouched.recv)):
                        assert buf is None or buf.tobytes() == before.tobytes()
                replay(plans, operator.kernel)
                limit = error_limit(algorithm, problem.inputs) if algorithm.lossy else 0
                for rank, mine in enumerate(buffers):
                    check(str(algorithm), problem, rank, mine, limit)


@every
def test_recorded_rounds_can_be_replayed(algorithm):
    """A second run with other data gives another right result.

    Two results of a lossy algorithm may be off by the limit each.
    """
    p, n = 6, 20
    if not possible(algorithm, p) or algorithm.primitive == "barrier":
        return
    problem = Problem(algorithm.primitive, p, n, 4, numbers_for(algorithm))
    buffers = [writable(problem.buffers(rank)) for rank in range(p)]
    plans = record(algorithm, problem, buffers, {})
    replay(plans, np.add)
    once = [None if mine.recv is None else mine.recv.copy() for mine in buffers]
    for mine in buffers:
        data = mine.recv if algorithm.primitive == "bcast" else mine.send
        if data is not None:
            data *= 3
    replay(plans, np.add)
    for rank, mine in enumerate(buffers):
        if mine.recv is not None and (algorithm.primitive, rank) != ("exscan", 0):
            limit = 2 * 3 * error_limit(algorithm, problem.inputs) if algorithm.lossy else 0
            assert (abs(mine.recv - 3 * once[rank]) <= limit).all()


def relocated(rounds, old, new):
    """One rank's rounds on other buffers."""
    was, is_now = ([x for x in (mine.send, mine.recv) if x is not None] for mine in (old, new))
    plan = Plan("", rounds, [("", 0)] * len(rounds))
    return Relocatable(plan, spans_of(was)).at(is_now).rounds


@every
def test_recorded_rounds_on_other_memory(algorithm):
    """They give the right result there, and leave the memory alone that they were made for."""
    for p in filter(lambda p: possible(algorithm, p), RANKS):
        for n in (0, p - 1, 30):
            for given in segmentations(algorithm):
                problem = Problem(algorithm.primitive, p, n, p // 3, numbers_for(algorithm))
                old = [writable(problem.buffers(rank)) for rank in range(p)]
                plans = record(algorithm, problem, old, given)
                left = [buf for mine in old for buf in (mine.send, mine.recv) if buf is not None]
                for buf in left:
                    buf[...] = -7
                new = [problem.buffers(rank) for rank in range(p)]
                replay([*map(relocated, plans, old, new)], np.add)
                limit = error_limit(algorithm, problem.inputs) if algorithm.lossy else 0
                for rank, mine in enumerate(new):
                    check(str(algorithm), problem, rank, mine, limit)
                assert all((buf == -7).all() for buf in left)


def test_relocation_across_dtypes():
    """Views may have another dtype than their buffer, and lie between its elements."""
    old, new = np.arange(6), np.arange(6) * 10
    halves = old.view(np.int32)
    there = np.zeros(4, np.int32)
    rounds = [Round([], [], [copy(halves[2:6], there), copy([old[5:], old[:1]], old[2:4])])]
    [moved] = Relocatable(Plan("", rounds, [("", 0)]), spans_of([old])).at([new]).rounds
    first, second = moved.local
    assert first.dst is there
    assert first.src.tolist() == [10, 0, 20, 0]
    assert [view.tolist() for view in second.src] == [[50], [0]]
    second.dst[...] = -1
    assert new.tolist() == [0, 10, -1, -1, 40, 50]
    between, there = (x.view(np.uint8)[3:11].view(np.int64) for x in (old, new))
    rounds = [Round([], [], [copy(between, np.zeros(1, np.int64))])]
    [moved] = Relocatable(Plan("", rounds, [("", 0)]), spans_of([old])).at([new]).rounds
    assert moved.local[0].src.tobytes() == there.tobytes() != between.tobytes()


def test_overlapping():
    whole = np.zeros(10)
    for arrays, expected in (
        ((whole[:5], whole[5:]), False),
        ((whole[5:], whole[:5]), False),
        ((whole[:6], whole[5:]), True),
        ((whole, whole[3:3]), False),
        ((whole[2:3], np.zeros(3), whole), True),
        ((whole,), False),
        ((), False),
    ):
        assert overlapping(spans_of(arrays)) == expected


@pytest.mark.parametrize("algorithm", REGISTRY["barrier"].values(), ids=str)
def test_nobody_leaves_a_barrier_before_all_have_come(algorithm):
    """Every rank has heard, directly or through others, from every rank."""
    for p in filter(lambda p: possible(algorithm, p), (*range(1, 34), 64)):
        problem = Problem("barrier", p)
        plans = record(algorithm, problem, [problem.buffers(rank) for rank in range(p)], {})
        assert replay(plans) == [set(range(p))] * p


@pytest.mark.parametrize("algorithm", REGISTRY["bcast"].values(), ids=str)
def test_everyone_hears_a_broadcast(algorithm):
    """The same reasoning, held against a primitive whose answer is known."""
    problem = Problem("bcast", 9, 20, 5)
    plans = record(algorithm, problem, [problem.buffers(rank) for rank in range(9)], {})
    assert all(5 in heard for heard in replay(plans))
