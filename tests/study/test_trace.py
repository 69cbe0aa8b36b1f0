"""Traces: equal to what the simulator says elsewhere, and to real data, for every algorithm."""

import json
from dataclasses import asdict
from importlib import resources
from itertools import pairwise

import jsonschema
import numpy as np
import pytest

from collectives import Clock, Machine, Trace, count, simulate, trace
from collectives.algorithms import REGISTRY, algorithm
from collectives.algorithms.language import copy, recv, reduce, scratch, send
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.catalogue import check_restrictions
from collectives.engines.simulator import Simulator
from collectives.errors import ArgumentError, RestrictionError
from collectives.machine.networks import Star
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study import tracing
from collectives.study.cost import critical_path
from collectives.study.layout import Layout

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]

SLOW = pytest.mark.slow

every = pytest.mark.parametrize("chosen", ALGORITHMS, ids=str)

SCHEMA = json.loads(
    resources.files("collectives.engines").joinpath("trace.schema.json").read_text("utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def attempt(chosen, p, **options):
    """A trace of an algorithm; the test ends where it cannot do this p."""
    try:
        check_restrictions(chosen, p)
    except RestrictionError:
        pytest.skip("cannot do this p")
    return trace(chosen.primitive, chosen.name, p=p, root=p // 3, **options)


@pytest.mark.share(4)
@every
@pytest.mark.parametrize("p", [5, *(pytest.param(p, marks=SLOW) for p in (1, 8, 13))])
def test_is_the_run_that_is_simulated_and_counted(chosen, p):
    made = attempt(chosen, p)
    assert made.failure is None
    setting, cost = made.setting, made.cost
    n = setting.n * setting.itemsize
    options = {"p": p, "n": n, "root": p // 3}
    run = simulate(chosen.primitive, chosen.name, **options)
    assert [rank.finished for rank in made.ranks] == pytest.approx(run.finished.tolist(), rel=1e-12)
    assert cost.counts == asdict(count(chosen.primitive, chosen.name, **options))
    assert len(made.messages) == cost.counts["messages"]
    assert sum(message.nbytes for message in made.messages) == cost.counts["bytes_sent"]
    steps = [step for rank in made.ranks for r in rank.rounds for step in r.steps]
    assert sum(step.kind == "reduce" for step in steps) == cost.counts["reductions"]
    if p // 3 == 0 or chosen.primitive not in ("bcast", "scatter", "gather", "reduce"):
        path = critical_path(chosen.primitive, chosen.name, p, n)
        assert (cost.messages, cost.nbytes, cost.work) == (path.messages, path.nbytes, path.work)


@pytest.mark.share(4)
@every
def test_plain_form_follows_the_schema_and_comes_back(chosen):
    made = attempt(chosen, 3)
    data = json.loads(json.dumps(made.to_json()))
    VALIDATOR.validate(data)
    assert Trace.from_json(data) == made


@every
def test_critical_messages_are_as_many_as_the_critical_path(chosen):
    """Under a clock on which every message takes one second, and nothing else any."""
    made = attempt(chosen, 5, clock=Clock(1, 0, 0))
    assert len(made.critical) == made.cost.messages == made.time
    chain = [made.messages[number] for number in made.critical]
    for one, other in pairwise(chain):
        assert one.left <= other.left or one.arrived <= other.arrived
        assert {one.source, one.dest} & {other.source, other.dest}


@pytest.mark.share(6)
@every
@pytest.mark.parametrize("how", [{"rendezvous": True}, {"eager": 4, "late": {1: 1e-3}}], ids=str)
def test_messages_move_in_time(chosen, how):
    made = attempt(chosen, 6, **how)
    assert made.failure is None
    for message in made.messages:
        sent = made.ranks[message.source].rounds[message.sent - 1]
        taken = made.ranks[message.dest].rounds[message.taken - 1]
        assert sent.start <= message.left <= message.arrived <= message.had <= taken.end
        assert sent.beat <= message.beat <= taken.until
    for rank in made.ranks:
        for before, after in pairwise(rank.rounds):
            assert before.end == after.start and before.until + 1 == after.beat
    if how.get("rendezvous"):
        n = made.setting.n * made.setting.itemsize
        options = {"p": 6, "n": n, "root": 2, "rendezvous": True}
        assert made.time == simulate(chosen.primitive, chosen.name, **options).time


class Recorder(Simulator):
    """Real data: the output of every rank after each of its rounds."""

    def _end(self, rank):
        super()._end(rank)
        me = rank.process.rank
        recv = self.buffers[me].recv
        self.seen[me].append(None if recv is None else recv.copy())


def recorded(chosen, problem):
    """The outputs after each round, where the input of rank r is 1 << r everywhere."""
    buffers = [problem.buffers(rank) for rank in range(problem.p)]
    for rank, mine in enumerate(buffers):
        if mine.recv is not None:
            mine.recv[...] = 0
        if chosen.primitive == "bcast" and rank == problem.root:
            mine.recv[...] = 1 << rank
        if mine.send is not None:
            mine.send.flags.writeable = True
            mine.send[...] = 1 << rank
            mine.send.flags.writeable = False

    def program(rank):
        return problem.start(chosen, rank, buffers[rank], {})

    run = Recorder(str(chosen), problem.p, program)
    run.buffers, run.seen = buffers, [[] for _ in buffers]
    run.run()
    return run.seen


@pytest.fixture(autouse=True)
def fresh_inputs():
    """The inputs of problems are kept and shared: those written here must not stay."""
    from collectives.problems import numbers

    numbers.cache_clear()
    yield
    numbers.cache_clear()


@pytest.mark.share(4)
@every
def test_holdings_are_those_of_real_data(chosen):
    if chosen.lossy or chosen.primitive == "barrier":
        pytest.skip("no numbers to compare")
    p, root = 6, 2
    made = attempt(chosen, p, n=2 * p + 1, dtype=np.int64)
    problem = Problem(chosen.primitive, p, 2 * p + 1, root)
    layout = Layout(problem)
    for rank, rounds in enumerate(recorded(chosen, problem)):
        assert len(rounds) == len(made.ranks[rank].rounds)
        places = [
            place
            for count, start, *_ in layout.output(rank)
            for place in range(start, start + count)
        ]
        for number, output in enumerate(rounds, start=1):
            held = made.held(rank, number)
            for place, value in zip(places, [] if output is None else output.tolist()):
                part = next(i for i, x in enumerate(made.parts) if x.start <= place < x.stop)
                sums = [sum(1 << r for r in made.contributions(v)) for v in held[part]]
                assert value in (0, *sums) or any(value & ~total == 0 for total in sums)
        whole = [
            sum(1 << r for r in range(first, stop)) for _, _, first, stop in layout.output(rank)
        ]
        if problem.recv_size(rank) and whole and chosen.primitive in REDUCTIONS:
            values = [made.contributions(v) for cell in made.held(rank) for v in cell]
            assert whole[0] in [sum(1 << r for r in value) for value in values]


def test_uneven_and_empty_blocks():
    counts = [3, 0, 5, 1]
    for primitive in ("scatter", "gather", "allgather", "reduce_scatter"):
        for name in REGISTRY[primitive]:
            made = trace(primitive, name, p=4, root=2, counts=counts, dtype=np.int64)
            assert made.failure is None and made.setting.counts == (tuple(counts),)
            assert made.parts[-1].stop == 9
    matrix = np.arange(16).reshape(4, 4) % 5
    for name in REGISTRY["alltoall"]:
        made = trace("alltoall", name, p=4, counts=matrix)
        assert made.failure is None
        for rank in range(4):
            got = {made.contributions(v) for c in made.held(rank) for v in c}
            assert got >= {(s,) for s in range(4) if matrix[s, rank]}


def test_operators_that_do_not_commute_keep_their_order():
    made = trace("allreduce", "recursive_doubling", p=5, n=5, dtype=MATRIX, operator=MATPROD)
    assert not made.setting.commutative and made.failure is None
    assert [made.contributions(v) for cell in made.held(3) for v in cell] == [(0, 1, 2, 3, 4)]
    with pytest.raises(RestrictionError):
        trace("allreduce", "ring", p=5, n=5, dtype=MATRIX, operator=MATPROD)


def test_nodes():
    nodes = Machine(near=Clock(1e-7, 0, 0), network=Star(()), ranks=3)
    made = trace("bcast", "hierarchical", p=6, topology=nodes)
    assert made.setting.groups == (0, 0, 0, 1, 1, 1) and made.setting.near == (1e-7, 0)
    run = simulate("bcast", "hierarchical", p=6, n=48, topology=nodes)
    assert made.time == run.time


def test_a_gigabyte_takes_no_memory():
    made = trace("allreduce", "ring", p=4, n=2**30, clock=Clock(0, 1, 0))
    assert made.cost.nbytes == 6 * 2**28 == made.time


def test_rounds_have_lines_and_numbers():
    made = trace("allreduce", "tree", p=4)
    top = made.ranks[0].rounds[0].places
    assert [place.function for place in top] == ["pass_up", "tree", "tree"]
    files = [place.file.removeprefix("algorithms/") for place in top]
    assert files == ["language/exchanges.py", "reduce.py", "allreduce.py"]
    source = next(s for s in made.sources if (s.file, s.function) == (top[0].file, "pass_up"))
    line = source.text.splitlines()[top[0].line - source.first]
    assert "yield" in line
    ring = trace("allreduce", "ring", p=5)
    assert [r.variables.get("k") for r in ring.ranks[2].rounds] == [None, 0, 1, 2, 3, 0, 1, 2, 3]


def test_too_many_messages_are_refused(monkeypatch):
    """They are counted before anything runs."""
    monkeypatch.setattr(tracing, "MOST_MESSAGES", 1000)
    with pytest.raises(
        ArgumentError, match=r"most 1,000 messages and rounds, got 1,001 on rank 0 of"
    ):
        trace("bcast", "ring:segments=2000", p=2, n=2000)
    trace("bcast", "ring:segments=100", p=2, n=2000)


def test_page_that_never_ends_is_refused(monkeypatch, registry):
    def endless(rank, p, sendbuf, recvbuf):
        while True:
            yield copy(sendbuf, recvbuf)

    monkeypatch.setattr(tracing, "MOST_MESSAGES", 1000)
    with pytest.raises(ArgumentError, match=r"allreduce\.endless: a trace needs at most 1,000"):
        wrong("allreduce", endless)


@pytest.mark.parametrize("wrong", [{"p": 0}, {"p": 4, "root": 4}, {"p": 4, "late": {4: 1.0}}])
def test_arguments_out_of_range(wrong):
    with pytest.raises(ArgumentError):
        trace("bcast", "tree", **wrong)


# Wrong algorithms


def wrong(primitive, generator, p=4, **options):
    name = generator.__name__
    algorithm(primitive, name=name, commutative=True)(generator)
    made = trace(primitive, name, p=p, **options)
    VALIDATOR.validate(json.loads(json.dumps(made.to_json())))
    return made


def test_contribution_twice(registry):
    def dissemination(rank, p, sendbuf, recvbuf):
        arriving = scratch(recvbuf)
        yield copy(sendbuf, recvbuf)
        for distance in (1, 2):
            messages = send(recvbuf, (rank + distance) % p), recv(arriving, (rank - distance) % p)
            yield *messages, reduce(arriving, recvbuf)

    failure = wrong("allreduce", dissemination, p=3).failure
    assert (failure.kind, failure.round) == ("wrong", 3)
    assert failure.faults[0].what == "{0, 0, 1, 2}: contribution 0 twice"
    assert len(failure.faults) == 3


def test_contribution_missing_and_unwritten(registry):
    def lazy(rank, p, sendbuf, recvbuf):
        if rank:
            yield copy(sendbuf, recvbuf)

    faults = wrong("allreduce", lazy, p=3).failure.faults
    assert faults[0].what == "{}: 0 missing, 1 missing, 2 missing, unwritten memory"
    assert (faults[0].got, faults[0].round) == (None, None)
    assert (faults[1].what, faults[1].round) == ("{1}: 0 missing, 2 missing", 1)


def test_deadlock(registry):
    def stuck(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf)
        if rank < 3:
            yield send(sendbuf, (rank + 1) % 3)
            yield recv(recvbuf, (rank - 1) % 3)
        else:
            yield recv(recvbuf, 0)

    made = wrong("allreduce", stuck, p=5, rendezvous=True)
    failure = made.failure
    assert failure.kind == "deadlock" and failure.message.startswith("allreduce.stuck: deadlock")
    cycle = [(wait.rank, wait.kind, wait.peer) for wait in failure.waits if wait.in_cycle]
    assert cycle == [(0, "send to", 1), (1, "send to", 2), (2, "send to", 0)]
    others = [(wait.rank, wait.kind, wait.peer) for wait in failure.waits[3:]]
    assert others == [(3, "recv from", 0), (4, "recv from", 0)]
    assert made.ranks[0].finished is None and made.ranks[0].rounds[-1].end is None
    assert wrong("allreduce", stuck, p=5).failure.waits[0].rank == 3  # short messages


def test_broken_rule_and_error_of_the_page(registry):
    def numpy_scratch(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf)
        yield send(np.ones(3), (rank + 1) % p)

    failure = wrong("allreduce", numpy_scratch).failure
    assert failure.kind == "schedule" and "scratch()" in failure.message
    assert (failure.rank, failure.round) == (0, 2)

    def fails(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf)
        yield send(sendbuf, [0][p])

    failure = wrong("allreduce", fails).failure
    assert failure.kind == "error" and "got IndexError: list index" in failure.message

    def fails_at_once(rank, p, sendbuf, recvbuf):
        yield from ()
        raise KeyError("nothing")

    made = wrong("allreduce", fails_at_once)
    assert (made.failure.kind, made.failure.round, made.time) == ("error", None, 0.0)

    def writes_input(rank, p, sendbuf, recvbuf):
        yield copy(recvbuf, sendbuf)

    assert "writable" in wrong("allreduce", writes_input).failure.message


def test_barrier_that_opens_early(registry):
    def hasty(rank, p):
        yield send(np.empty(0), (rank + 1) % p), recv(np.empty(0), (rank - 1) % p)

    failure = wrong("barrier", hasty).failure
    assert failure.faults[0].what == "{0, 3}: 1 missing, 2 missing"
