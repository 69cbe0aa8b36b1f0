"""The pass over recorded plans: the same results with less work, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.codecs import Exact
from collectives.algorithms.language.memory import Special, phantom, scratch
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.algorithms.language.steps import copy, decode, encode, recv, reduce, send
from collectives.catalogue import check_restrictions
from collectives.engines.driver import Process, misplaced, same_memory, views_of
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
SOME = [1, 2, 3, 4, 5, 6, 9]
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


@pytest.mark.share(12)
@pytest.mark.parametrize("ranks", shares)
@every
def test_results_are_right(algorithm, ranks):
    """By the driver's rules, with inputs untouched and scratch memory full of junk."""
    for p in ranks:
        for problem in problems(algorithm, p, (0, 1, p, 3 * p + 1)):
            for operator in (problem.operator, replace(problem.operator, into_right=True)):
                verify(optimised(algorithm, operator), problem, rendezvous=True)


@pytest.mark.share(4)
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


@pytest.mark.share(9)
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


@pytest.mark.share(5)
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


# One rank's plan, written by hand: what each condition of the pass forbids or allows.


def plan_of(*rounds):
    """The plan of rank 0 of 4."""

    def generator():
        yield from rounds

    return record(Process("a page", 0, 4, generator()))


def numbers(size, dtype=np.int64):
    return np.arange(1, size + 1).astype(dtype)


def is_at(view, there):
    return same_memory(view, there) and view.size == there.size


def copies_in(plan):
    return [step for round_ in plan.rounds for step in round_.local if isinstance(step, copy)]


def reads(step, *wanted):
    return [is_at(view, there) for view, there in zip(step.read, wanted, strict=True)]


def test_a_copy_is_read_at_its_source_and_left_out():
    user, space = numbers(8), scratch(numbers(8))
    new = optimise(plan_of(copy(user, space), send(space[2:5], 1)), [user], SUM)
    assert not new.rounds[0].local
    assert is_at(new.rounds[1].sends[0].views[0], user[2:5])
    assert not any(np.may_share_memory(view, space) for view in views(new))  # it is freed


def test_a_copy_of_a_copy_is_read_at_the_first_source():
    user, one, other = numbers(8), np.empty(8, int), np.empty(8, int)
    plan = plan_of(copy(user, one), copy(one[2:], other[:6]), send(other[1:3], 1))
    new = optimise(plan, [user], SUM)
    assert is_at(new.rounds[2].sends[0].views[0], user[3:5])
    assert not any(round_.local for round_ in new.rounds)


@pytest.mark.parametrize("written", ["source", "target"])
def test_what_has_been_written_since_is_no_copy_any_more(written):
    user, space = numbers(8), np.empty(8, int)
    there = (user if written == "source" else space)[3:5]
    plan = plan_of(
        copy(user, space), recv(there, 1), send(space[:4], 1), send(space[5:], 1), send(space, 1)
    )
    sends = [round_.sends[0].views[0] for round_ in optimise(plan, [user], SUM).rounds[2:]]
    assert is_at(sends[0], space[:4]) and is_at(sends[1], user[5:]) and is_at(sends[2], space)


def test_a_copy_is_cut_to_what_is_needed():
    user, space = numbers(8), np.empty(8, int)
    plan = plan_of(copy(user, space), recv(space[3:5], 1), send(space, 1))
    [step] = copies_in(optimise(plan, [user], SUM))
    assert [is_at(*pair) for pair in zip(step.src, (user[:3], user[5:]), strict=True)] == [True] * 2
    assert [is_at(*pair) for pair in zip(step.dst, (space[:3], space[5:]), strict=True)]


def test_all_that_was_given_counts_in_the_end():
    """An array that is unpacked afterwards, too; scratch does not."""
    user, staged, space = numbers(4), np.empty(4, int), np.empty(4, int)
    plan = plan_of(copy(user, staged), copy(user, space))
    new = optimise(plan, [user, staged], SUM)
    assert [len(round_.local) for round_ in new.rounds] == [1, 0]


def test_a_message_does_not_land_where_another_leaves():
    """The target of a copy is sent while something arrives in the copy's source."""
    user, space, other = numbers(4), np.empty(4, int), np.empty(4, int)
    plan = plan_of(
        recv(other, 2), copy(other, space), (send(space, 1), recv(other, 2)), send(other, 1)
    )
    new = optimise(plan, [user], SUM)
    [sent], [landed] = new.rounds[2].sends, new.rounds[2].recvs
    assert not np.may_share_memory(sent.views[0], landed.views[0])


def test_copies_of_lists():
    """Each piece by itself; only a message that stays in as many pieces reads the sources."""
    user, space = numbers(8), np.empty(8, int)
    plan = plan_of(
        copy([user[4:], user[:4]], space),
        send(space[:4], 1),
        send(space[2:6], 1),
        send([space[:2], space[6:]], 1),
        send([space[:4], space[4:]], 1),
    )
    new = optimise(plan, [user], SUM)
    sends = [round_.sends[0].views for round_ in new.rounds[1:]]
    assert is_at(sends[0][0], user[4:])
    assert is_at(sends[1][0], space[2:6])  # lies in two pieces
    assert is_at(sends[2][0], user[4:6]) and is_at(sends[2][1], user[2:4])
    assert is_at(sends[3][0], space[:4]) and is_at(sends[3][1], space[4:])  # one piece here
    [step] = copies_in(new)
    assert len(step.src) == 2


def test_a_copy_of_lists_never_reads_what_it_writes():
    user, one, other = numbers(4), np.empty(4, int), np.empty(4, int)
    plan = plan_of(copy(user, one), copy([one, other], [other.copy(), user]), send(one, 1))
    before = [user.copy(), other.copy()]
    perform(optimise(plan, [user, other], SUM))
    assert user.tolist() == before[1].tolist() and other.tolist() == before[1].tolist()


def perform(plan, kernel=np.add):
    """The local steps of a plan."""
    for round_ in plan.rounds:
        for step in round_.local:
            if isinstance(step, copy):
                data = np.concatenate(step.read)
                for view in views_of(step.dst):
                    view[...], data = data[: view.size], data[view.size :]
            elif isinstance(step, reduce):
                kernel(step.inbuf, step.inoutbuf, step.out)
            elif isinstance(step, encode):
                step.codec.encode(step.src, step.packet)
            else:
                step.codec.decode(step.packet, step.dst)


def test_emptied_rounds_keep_their_number_and_line():
    user, space = numbers(4), np.empty(4, int)
    plan = plan_of(send(user, 1), copy(user, space), send(space, 1))
    new = optimise(plan, [user], SUM)
    assert new.lines == plan.lines and new.title == plan.title
    assert [len(r.sends) + len(r.recvs) + len(r.local) for r in new.rounds] == [1, 0, 1]


def test_the_plan_that_was_recorded_stays_as_it_was():
    problem = Problem("allreduce", 5, 16)
    mine = problem.buffers(1)
    algorithm = REGISTRY["allreduce"]["circulant"]
    plan = record(Process("a page", 1, 5, problem.start(algorithm, 1, mine, {})))
    before = [*views(plan)]
    optimise(plan, [mine.send, mine.recv], SUM)
    assert all(map(is_at, views(plan), before))


def landing_plan(out, mine, arriving, *more):
    return plan_of((recv(arriving, 1), reduce(arriving, mine, out=out), *more))


def test_a_message_lands_where_the_sum_will_lie():
    mine, out, arriving = numbers(4), np.empty(4, int), np.empty(4, int)
    for operator, lands in ((SUM, True), (INTO_RIGHT, False), (FOREIGN, False)):
        [round_] = optimise(landing_plan(out, mine, arriving), [mine, out], operator).rounds
        assert is_at(round_.recvs[0].views[0], out if lands else arriving)
        assert all(reads(round_.local[0], out if lands else arriving, mine))


def test_the_right_operand_lands_for_every_operator():
    mine, out, arriving = numbers(4), np.empty(4, int), np.empty(4, int)
    plan = plan_of((recv(arriving, 1), reduce(mine, arriving, out=out)))
    for operator in (SUM, INTO_RIGHT, FOREIGN):
        [round_] = optimise(plan, [mine, out], operator).rounds
        assert is_at(round_.recvs[0].views[0], out) and all(reads(round_.local[0], mine, out))


def test_where_a_message_must_not_land():
    mine, out, arriving, other = (numbers(4) for _ in range(4))
    bytes_ = np.empty(32, np.uint8)
    add = reduce(arriving, mine, out=out)
    for steps, given in (
        ([recv(arriving, 1), reduce(arriving, mine, out=mine)], [mine]),  # the input's place
        ([recv(arriving, 1), send(out[1:2], 2), add], [mine, out]),  # is sent meanwhile
        ([recv(arriving, 1), recv(out[3:], 2), add], [mine, out]),  # another lands
        ([recv(arriving, 1), copy(out, other), add], [mine, out, other]),  # is read before
        ([recv(arriving, 1), reduce(mine, other, out=out), add], [mine, out]),  # or written
        ([recv(arriving, 1), add, copy(arriving, other)], [mine, out, other]),  # needed later
        ([recv(arriving, 1), add], [mine, out, arriving]),  # needed in the end
        ([recv([arriving[:2], arriving[2:]], 1), add], [mine, out]),  # in pieces
        ([recv(bytes_, 1), reduce(bytes_.view(int), mine, out=out)], [mine, out]),  # as bytes
    ):
        [round_] = optimise(plan_of(tuple(steps)), given, SUM).rounds
        sums = [step.out for step in round_.local if isinstance(step, reduce)]
        assert not any(np.may_share_memory(out, round_.recvs[0].views[0]) for out in sums)


def test_single_elements_are_added_out_of_place():
    """numpy needs three times as long in place; the sum is copied where it is needed."""
    total, arriving = numbers(1), np.empty(1, int)
    plan = plan_of(*[(recv(arriving, 1), reduce(arriving, total)) for _ in range(3)])
    new = optimise(plan, [total], SUM)
    adds = [step for round_ in new.rounds for step in round_.local if isinstance(step, reduce)]
    copies = [step for round_ in new.rounds for step in round_.local if isinstance(step, copy)]
    assert len(adds) == 3 and len(copies) <= 1
    assert not any(np.may_share_memory(step.out, x) for step in adds for x in step.read)
    for operator in (INTO_RIGHT, FOREIGN):  # nothing is gained for these
        rounds = optimise(plan, [total], operator).rounds
        local = [step for round_ in rounds for step in round_.local]
        assert len(local) == 3 and all(is_at(step.out, step.inoutbuf) for step in local)


def test_a_users_function_never_sees_what_was_copied():
    user, space, arriving = numbers(4), np.empty(4, int), np.empty(4, int)
    plan = plan_of(copy(user, space), (recv(arriving, 1), reduce(arriving, space)), send(space, 1))
    for operator, sees in ((SUM, True), (INTO_RIGHT, True), (FOREIGN, False)):
        new = optimise(plan, [user], operator)
        [step] = new.rounds[1].local
        assert any(is_at(view, user) for view in step.read) == sees


def test_operands_keep_their_order_and_their_distance():
    """Both operands would be the same memory at their sources."""
    user, one, other, out = numbers(4), np.empty(4, int), np.empty(4, int), np.empty(4, int)
    plan = plan_of(copy(user, one), copy(user, other), reduce(one, other, out=out))
    new = optimise(plan, [user, out], SUM)
    [step] = new.rounds[2].local
    assert misplaced(step) is None and all(reads(step, user, other))
    perform(new)
    assert out.tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize(
    "cut",
    [
        lambda space: space.view(np.uint8)[8:16],
        lambda space: space.view(np.uint8)[4:12].view(np.int64),
        lambda space: space.view(np.float64)[1:2],
    ],
    ids=["bytes", "between", "another type"],
)
def test_views_of_other_elements_are_read_where_they_are(cut):
    user, space = numbers(4), np.empty(4, int)
    view = cut(space)
    new = optimise(plan_of(copy(user, space), send(view, 1)), [user], SUM)
    assert is_at(new.rounds[1].sends[0].views[0], view)
    perform(new)
    assert view.tobytes() == cut(user.copy()).tobytes()


def test_elements_without_bytes_and_empty_views():
    nothing, space = np.empty(3, "V0"), np.empty(3, "V0")
    user, empty = numbers(4), np.empty(0, int)
    plan = plan_of(copy(nothing, space), send(space, 1), (recv(empty, 1), reduce(empty, user[:0])))
    new = optimise(plan, [nothing, user], SUM)
    assert new.rounds[1].sends[0].views[0] is space
    assert [shape(round_) for round_ in new.rounds] == [shape(round_) for round_ in plan.rounds]


def test_encode_reads_the_source_and_a_packet_is_no_copy():
    user, space, out = numbers(4), np.empty(4, int), np.empty(4, int)
    packet = np.empty(32, np.uint8)
    plan = plan_of(
        copy(user, space),
        encode(space, packet, Exact()),
        send(packet, 1),
        decode(packet, space, Exact()),
        copy(space, out),
        send(space, 1),
    )
    new = optimise(plan, [user, out], SUM)
    assert all(reads(new.rounds[1].local[0], user))
    assert is_at(new.rounds[2].sends[0].views[0], packet)
    perform(new)
    assert out.tolist() == user.tolist()


def test_neighbours_of_the_user_are_two_buffers():
    """What is known of one says nothing of the other, and no message joins them."""
    whole, space = numbers(8), np.empty(8, int)
    one, other = whole[:4], whole[4:]
    plan = plan_of(copy([one, other], space), send(space, 1))
    new = optimise(plan, [one, other], SUM)
    assert is_at(new.rounds[1].sends[0].views[0], space)
    assert len(new.rounds[0].local) == 1


def test_overlapping_buffers_are_one():
    whole = numbers(8)
    plan = plan_of(copy(whole[:2], whole[2:4]), recv(whole[:2], 1), send(whole[2:4], 1))
    new = optimise(plan, [whole[2:4], whole], SUM)
    assert len(new.rounds[0].local) == 1 and is_at(new.rounds[2].sends[0].views[0], whole[2:4])


def test_phantoms_and_foreign_memory_stay_as_they_are():
    size = phantom(2**40, np.dtype(int))
    steps = copy(size, scratch(size)), send(scratch(size), 1)
    plan = record(Process("a page", 0, 2, iter_of(steps), phantom=True))
    assert optimise(plan, [size], SUM) is plan
    whole, theirs = numbers(8), np.frombuffer(bytearray(32), np.int64)
    for strange in (whole[4:], whole[2:6], theirs):
        plan = plan_of(recv(strange, 1), copy(strange, np.empty(4, int)))
        assert optimise(plan, [whole[:4]], SUM) is plan


def iter_of(steps):
    yield from steps


def test_what_is_copied_in_the_end_is_made_there():
    user, space, arriving, out = numbers(4), np.empty(4, int), np.empty(4, int), np.empty(4, int)
    plan = plan_of(
        (recv(arriving, 1), reduce(arriving, user, out=space)), send(space, 2), copy(space, out)
    )
    new = optimise(plan, [user, out], SUM)
    assert is_at(new.rounds[0].local[0].out, out) and is_at(new.rounds[1].sends[0].views[0], out)
    assert not new.rounds[2].local
    assert not any(np.may_share_memory(view, space) for view in views(new))


def test_where_it_is_not_made_there():
    user, space, out, other = numbers(4), np.empty(4, int), numbers(4), np.empty(4, int)
    make = recv(space, 1)
    for between, given in (
        (send(out, 2), [user, out]),  # somebody reads what is there
        (recv(out[3:], 2), [user, out]),  # or writes
        (send(space[:2], 2), [user, out]),  # reads a part of it
        (send([space, user], 2), [user, out]),  # in a list
        (copy(user, other), [user, out, space]),  # it is needed where it was
    ):
        new = optimise(plan_of(make, between, copy(space, out)), given, SUM)
        assert is_at(new.rounds[0].recvs[0].views[0], space)
        assert len(new.rounds[2].local) == 1
    new = optimise(plan_of(recv(space[:2], 1), recv(space[2:], 1), copy(space, out)), [out], SUM)
    assert len(new.rounds[2].local) == 1  # made in two goes


def test_a_copy_waits_until_messages_are_on_their_way():
    """For as long as nothing of it is written, and nobody looks at what it writes."""
    user, out = numbers(4), np.empty(4, int)
    messages = (send(user, 1), recv(np.empty(4, int), 1))
    for conflict, place in (
        (send(user, 2), 3),
        (recv(user, 2), 1),
        (send(out.view(np.uint8), 2), 1),  # as bytes: not read from the source
        ((recv(np.empty(4, int), 2), reduce(out, user, out=user)), 1),
    ):
        plan = plan_of(copy(user, out), messages, conflict, send(user[:1], 3))
        new = optimise(plan, [user, out], FOREIGN)
        [step] = copies_in(new)
        assert [step in round_.local for round_ in new.rounds].index(True) == place
    new = optimise(plan_of(copy(user, out), (recv(user, 1), send(user[:0], 2))), [user, out], SUM)
    assert len(new.rounds[0].local) == 1
    new = optimise(plan_of(copy(user, out)), [user, out], SUM)
    assert len(new.rounds[0].local) == 1


def test_nothing_is_written_that_the_page_does_not_write():
    """Not the output of rank 0 in an exclusive scan, not another's block, not the input."""
    for algorithm in ALGORITHMS:
        for problem in problems(algorithm, 5, [15]):
            for rank in range(5):
                mine = problem.buffers(rank)
                given = [buf for buf in (mine.send, mine.recv) if buf is not None]
                start = problem.start(algorithm, rank, mine, {})
                plan = record(Process(str(algorithm), rank, 5, start))
                new = optimise(plan, given, problem.operator)
                for buf in given:
                    assert written(new, buf) <= written(plan, buf), f"{algorithm}, {rank=}"


def written(plan, buf):
    """The bytes of a buffer that a plan writes."""
    origin, found = address(buf), set()
    for round_ in plan.rounds:
        each = [view for message in round_.recvs for view in message.views]
        each += [view for step in round_.local for view in views_of(step.written)]
        for view in each:
            start = address(view) - origin
            found |= {*range(max(start, 0), min(start + view.nbytes, buf.nbytes))}
    return found


def address(view):
    return view.__array_interface__["data"][0]


# Pages that copy their input and leave nothing of that to be done, if the buffers differ.
NOTHING_COPIED = [
    *("allreduce.ring", "allreduce.recursive_doubling", "allreduce.tree"),
    *("allreduce.rabenseifner", "allreduce.ring_segmented", "allreduce.torus"),
    *("allreduce.binary_blocks", "allreduce.elimination", "allreduce.dual_root"),
    *("allreduce.halving_doubling",),
    *("allreduce.swing", "allreduce.double_tree", "allreduce.hierarchical"),
    *("allreduce.compressed_ring", "allreduce.compressed_halving"),
    *("reduce.naive", "reduce.ring", "reduce.tree", "reduce.knomial", "reduce.binary"),
    *("reduce.rabenseifner", "reduce.circulant", "reduce.double_tree"),
    *("reduce_scatter.naive", "reduce_scatter.ring", "reduce_scatter.pairwise"),
    *("reduce_scatter.pat", "exscan.naive", "exscan.ring", "exscan.tree"),
    *("exscan.123_doubling", "exscan.two_phase", "exscan.pipelined_tree"),
]


def optimised_plans(full_name, p, in_place=False):
    """The plans of all ranks for blocks of 12 elements."""
    algorithm = REGISTRY[full_name.split(".")[0]][full_name.split(".")[1]]
    problem = Problem(algorithm.primitive, p, 12 * p, p // 3, np.dtype(float), in_place=in_place)
    for rank in range(p):
        mine = problem.buffers(rank)
        plan = record(Process(full_name, rank, p, problem.start(algorithm, rank, mine, {})))
        yield optimise(plan, [x for x in (mine.send, mine.recv) if x is not None], SUM)


def copied(plans):
    """Elements copied."""
    return sum(view.size for plan in plans for step in copies_in(plan) for view in step.read)


@pytest.mark.parametrize("full_name", NOTHING_COPIED)
def test_nothing_is_copied(full_name):
    for p in (2, 3, 4, 5, 7, 8, 13):
        assert copied(optimised_plans(full_name, p)) == 0, f"{p=}"


# Elements that have to be copied, by blocks of all ranks together.
COPIED = {
    "allgather.naive": lambda p: p,  # each rank's own block, for it is part of the answer
    "allgather.ring": lambda p: p,
    "allgather.recursive_doubling": lambda p: p,
    "allgather.bruck": lambda p: p,
    "alltoall.naive": lambda p: p,
    "alltoall.pairwise": lambda p: p,
    "scan.recursive_doubling": lambda p: p,  # rank 0 has its vector already, elsewhere
    "scan.ring": lambda p: p,
    "scan.tree": lambda p: p,
    "gather.naive": lambda p: 1,
    "gather.ring": lambda p: 1,
    "scatter.naive": lambda p: 1,
    "scatter.ring": lambda p: 1,
    "bcast.tree": lambda p: 0,
    "bcast.ring": lambda p: 0,
}


@pytest.mark.parametrize("full_name", COPIED)
def test_only_what_is_needed_is_copied(full_name):
    for p in (2, 3, 4, 5, 7, 8, 13):
        assert copied(optimised_plans(full_name, p)) == COPIED[full_name](p) * 12, f"{p=}"


def test_a_ring_needs_two_places_for_each_sum():
    """As a page would that lets the blocks arrive where their sums will lie."""
    for p in (2, 3, 4, 7):
        for plan in optimised_plans("allreduce.ring", p):
            adds = [x for round_ in plan.rounds for x in round_.local]
            assert len(adds) == p - 1
            for step in adds:
                places = {address(view) for view in (*step.read, step.out)}
                assert len(places) == 2 and is_at(step.out, step.inbuf)


@st.composite
def programs(draw):
    """Rounds of a few ranks: messages that match, then local steps; by buffer, start and length."""
    p, sizes = draw(st.integers(2, 3)), (6, 6, 6, 4)

    def view(size):
        buffer = draw(st.integers(0, len(sizes) - 1))
        start = draw(st.integers(0, max(sizes[buffer] - size, 0)))
        return buffer, start, min(size, sizes[buffer])

    rounds = []
    for _ in range(draw(st.integers(1, 6))):
        steps = [[] for _ in range(p)]
        for source in range(p):
            if draw(st.booleans()):
                size, dest = draw(st.integers(0, 4)), (source + draw(st.integers(1, p - 1))) % p
                steps[source].append(("send", view(size), dest))
                steps[dest].append(("recv", view(size), source))
        for rank in range(p):
            for _ in range(draw(st.integers(0, 3))):
                size = draw(st.integers(1, 4))
                kind = draw(st.sampled_from(["copy", "copy", "copy", "reduce"]))
                count = 2 if kind == "copy" else 3
                steps[rank].append((kind, *[view(size) for _ in range(count)]))
        rounds.append(steps)
    return p, sizes, rounds


def generate(rounds, rank, buffers):
    """The rounds of one rank, without the steps that break a rule."""

    def at(place):
        buffer, start, size = place
        return buffers[rank][buffer][start : start + size]

    for steps in rounds:
        kept = []
        for kind, *places in steps[rank]:
            if kind == "send":
                kept.append(send(at(places[0]), places[1]))
            elif kind == "recv":
                kept.append(recv(at(places[0]), places[1]))
            elif kind == "copy":
                src, dst = map(at, places)
                if not np.may_share_memory(src, dst):
                    kept.append(copy(src, dst))
            elif misplaced(step := reduce(*map(at, places))) is None:
                kept.append(step)
        yield kept


def is_valid(rounds, rank, buffers):
    """Whether no message of a round lands where another one leaves or lands."""
    for steps in generate(rounds, rank, buffers):
        landing = [step.buf for step in steps if isinstance(step, recv)]
        leaving = [step.buf for step in steps if isinstance(step, send)]
        pairs = [(a, b) for a in landing for b in leaving]
        pairs += [(a, b) for i, a in enumerate(landing) for b in landing[i + 1 :]]
        if any(np.may_share_memory(a, b) for a, b in pairs):
            return False
    return True


@examples(programs(), st.sampled_from([SUM, INTO_RIGHT, FOREIGN]))
@settings(max_examples=150, deadline=None)
def test_random_plans_leave_the_same(program, operator):
    """In the two buffers that are given; the two others are scratch."""
    p, sizes, rounds = program
    # An operator that does not commute shows when operands change places.
    operator = replace(operator, kernel=lambda a, b, out: np.subtract(2 * a, b, out=out))

    def run_with(change):
        buffers = [
            [np.arange(size) + 100 * number + 10_000 * rank for number, size in enumerate(sizes)]
            for rank in range(p)
        ]
        plans = []
        for rank in range(p):
            plan = record(Process("a page", rank, p, generate(rounds, rank, buffers)))
            plans.append(change(plan, buffers[rank][:2]))
        Simulator("a page", p, lambda rank: steps_of(plans[rank]), operator).run()
        return [[buf.tolist() for buf in mine[:2]] for mine in buffers]

    fresh = [[np.empty(size, int) for size in sizes] for _ in range(p)]
    if all(is_valid(rounds, rank, fresh) for rank in range(p)):
        plain = run_with(lambda plan, given: plan)
        assert run_with(lambda plan, given: optimise(plan, given, operator)) == plain
