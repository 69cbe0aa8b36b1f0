"""Algorithms are oblivious: what they yield depends on ranks and lengths only.

Here all rounds of all ranks are recorded before anything is sent, as an engine
that replays plans does it, and run afterwards by a few lines that share nothing
with the simulator.
"""

from collections import defaultdict, deque
from functools import partial

import numpy as np
import pytest
from mpi4py import MPI

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.steps import copy, decode, elements, encode, recv, reduce, send
from collectives.engines.driver import Message, Process, Round
from collectives.engines.plan import Plan
from collectives.mpi.data.staging import Place, Placement
from collectives.mpi.engines.calls import run
from collectives.mpi.engines.relocation import NotMovable, Relocatable
from collectives.mpi.engines.stages import Stage, stages_of
from collectives.operators.operator import MATPROD, MATRIX, SUM
from collectives.problems import CAN_BE_IN_PLACE, Buffers, Problem
from collectives.study.compression import error_limit
from collectives.study.verify import check

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


@pytest.mark.share(6)
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


@pytest.mark.share(8)
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


def staged(rounds, operator):
    return stages_of(Plan("", rounds, [("", 0)] * len(rounds), [*range(len(rounds))]), operator)


def relocated(stages, old, new):
    """One rank's stages on other buffers."""
    was, is_now = ([x for x in (mine.send, mine.recv) if x is not None] for mine in (old, new))
    return moved(stages, was, is_now)


def moved(stages, was, is_now):
    """Stages made for some arrays, for others."""
    return Relocatable(stages, places(was)).at([MPI.Get_address(array) for array in is_now])


def places(arrays):
    """Where arrays are, as the drop-in says it."""
    return {
        position: Place(MPI.Get_address(array), 0, array.nbytes, not array.flags.writeable)
        for position, array in enumerate(arrays)
    }


def perform(plans):
    """Run the stages of all ranks, their messages as bytes."""
    channels = defaultdict(deque)
    left = [deque(stages) for stages in plans]
    sent = [False] * len(plans)
    while any(left):
        before = sum(map(len, left))
        for rank, stages in enumerate(left):
            if stages and not sent[rank]:
                run(stages[0].before)
                for (memory, *_), peer in stages[0].sends:
                    channels[rank, peer].append(b"" if memory is None else bytes(memory))
                sent[rank] = True
        for rank, stages in enumerate(left):
            if stages and all(channels[peer, rank] for _, peer in stages[0].recvs):
                for (memory, *_), peer in stages[0].recvs:
                    data = channels[peer, rank].popleft()
                    if memory is not None:
                        memory[:] = data
                run(stages.popleft().after)
                sent[rank] = False
        assert sum(map(len, left)) < before, "the stages wait for each other"
    assert not any(channels.values()), "messages are left over"


@pytest.mark.share(8)
@every
def test_stages_on_other_memory(algorithm):
    """They give the right result there, and leave the memory alone that they were made for."""
    for p in filter(lambda p: possible(algorithm, p), RANKS):
        for n in (0, p - 1, 30, 10_000):
            for given in segmentations(algorithm):
                problem = Problem(algorithm.primitive, p, n, p // 3, numbers_for(algorithm))
                old = [writable(problem.buffers(rank)) for rank in range(p)]
                plans = [staged(rounds, SUM) for rounds in record(algorithm, problem, old, given)]
                left = [buf for mine in old for buf in (mine.send, mine.recv) if buf is not None]
                for buf in left:
                    buf[...] = -7
                new = [problem.buffers(rank) for rank in range(p)]
                perform([*map(relocated, plans, old, new)])
                limit = error_limit(algorithm, problem.inputs) if algorithm.lossy else 0
                for rank, mine in enumerate(new):
                    check(str(algorithm), problem, rank, mine, limit)
                assert all((buf == -7).all() for buf in left)


def test_what_cannot_be_moved():
    """Views between the elements of a buffer, joined neighbours, calls of anything else."""
    whole, there = np.arange(16), np.zeros(2, int)
    buffers = [whole[4:8]]
    between = whole.view(np.uint8)[35:51].view(np.int64)
    above, below = (whole[6:8], whole[8:10]), (whole[2:4], whole[4:6])
    rounds = [
        Round([], [], [reduce(between, there)]),
        Round([Message(above, 1)], [], []),
        Round([], [Message(below, 1)], []),
    ]
    calls = [whole.sort, lambda: whole.sort(), partial(whole.fill, 3), partial(print, {0: whole})]
    stages = [*staged(rounds, SUM), *[Stage(before=[call]) for call in calls]]
    stages += [Stage(after=[partial(print, there, end="")])]
    assert len(stages) == 8
    for stage in stages:
        with pytest.raises(NotMovable):
            Relocatable([stage], places(buffers))
    for round_ in (Round([Message(above[:1], 1)], [Message(below[1:], 1)], []), Round([], [], [])):
        assert Relocatable(staged([round_], SUM), places(buffers))


def test_views_of_other_dtypes_are_moved():
    old, new = np.arange(6), np.arange(6) * 10
    there = np.zeros(4, np.int32)
    step = copy(old.view(np.int32)[2:6], there)
    [stage] = moved(staged([Round([], [], [step])], SUM), [old], [new])
    run(stage.after)
    assert there.tolist() == [10, 0, 20, 0]


def test_buffers_that_are_apart():
    """As the parts of the buffers of a call must be, wherever they lie."""
    whole = np.zeros(10)
    for one, other, apart in (
        (whole[:5], whole[5:], True),
        (whole[5:], whole[:5], True),
        (whole[:6], whole[5:], False),
        (whole, whole[3:4], False),
        (whole[2:3], whole, False),
        (whole, np.zeros(3), True),
    ):
        placement = Placement(apart=((0, 0, one.nbytes), (1, 0, other.nbytes)))
        assert placement.allows([MPI.Get_address(one), MPI.Get_address(other)]) == apart


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
