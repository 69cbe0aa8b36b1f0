"""The quick ways to a simulated run have the results of the simulator."""

import itertools
from functools import lru_cache

import numpy as np
import pytest

from collectives import Clock, Deadlock, Endless, LogGP, ScheduleError, simulate
from collectives.algorithms import REGISTRY
from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send, split
from collectives.algorithms.language.registry import ROOTED, remove
from collectives.engines import lockstep
from collectives.engines.batches import layers, pairs
from collectives.engines.law import law_of
from collectives.engines.simulator import Run
from collectives.errors import PageError, RestrictionError
from collectives.machine import Machine, machine
from collectives.problems import Problem
from collectives.study.fast import one_by_one, one_for_all, remembering, side_by_side
from collectives.study.verify import settle

EVERY = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
every = pytest.mark.parametrize("chosen", EVERY, ids=str)

CLOCK = Machine(Clock(alpha=3e-6, beta=2e-9, gamma=1e-9))
LOGGP = Machine(LogGP(L=5e-6, o=2e-6, g=3e-6, G=2e-9, gamma=1e-9))
MACHINES = [
    (CLOCK, False),
    (CLOCK, True),
    (LOGGP, False),
    (LOGGP, True),
    (Machine(LOGGP.clock, eager=100), False),
    (Machine(CLOCK.clock, delta=4e-9), False),
    (Machine(LOGGP.clock, delta=4e-9), True),
    (machine("nodes:x3,latency=10us,nic=inf,rate=10G,near_latency=1us,near_rate=80G"), False),
]

# The same seen from every rank, whatever p is: found, and written down here for readers.
ALIKE = {
    "barrier.recursive_doubling",
    "barrier.k_dissemination",
    "allgather.naive",
    "allgather.ring",
    "allgather.bruck",
    "allgather.sparbit",
    "allgather.k_bruck",
    "allgather.circulant",
    "allgather.pat",
    "allreduce.ring",
    "allreduce.ring_segmented",
    "allreduce.circulant",
    "allreduce.gather_all",
    "allreduce.compressed_ring",
    "allreduce.compressed_halving",
    "allreduce.compressed_oneshot",
    "reduce_scatter.ring",
    "reduce_scatter.circulant",
    "reduce_scatter.pat",
    "alltoall.naive",
    "alltoall.recursive_doubling",
    "alltoall.k_bruck",
    "alltoall.padded_bruck",
    "alltoall.hybrid",
    "alltoall.circulant",
    "alltoall.pairwise",
    "alltoall.scattered",
}
# The same if p is a power of two.
ALIKE_FOR_POWERS = ALIKE | {
    "barrier.recursive_exchange",
    "allreduce.recursive_doubling",
    "alltoall.pairwise_xor",
}


@pytest.fixture(autouse=True)
def whole_runs(monkeypatch):
    """Few ranks at a time are no reason to give up."""
    monkeypatch.setattr(lockstep, "FEW", 0)


def problem_of(chosen, p, n, **options):
    dtype = np.dtype(np.float32 if chosen.lossy else np.uint8)
    return Problem(chosen.primitive, p, n, dtype=dtype, **options)


def runs_of(chosen, problem, on, rendezvous=False, **given):
    """What the three ways to simulate say; None where one leaves it to the others."""
    chosen, given = settle(chosen, problem, given, on)
    law = law_of(on, problem.p, rendezvous)
    return (
        one_for_all(chosen, problem, law, given),
        side_by_side(chosen, problem, law, given),
        one_by_one(chosen, problem, on, given, rendezvous),
    )


def assert_same(run, exact):
    assert isinstance(run, Run)
    for name in ("messages", "bytes_sent", "bytes_received", "reductions", "bytes_reduced"):
        assert (getattr(run, name) == getattr(exact, name)).all(), name
    np.testing.assert_allclose(run.finished, exact.finished, rtol=1e-12)


def hold(chosen, ranks, lengths, machines=MACHINES):
    for p, n, (on, rendezvous) in itertools.product(ranks, lengths, machines):
        problem = problem_of(chosen, p, n(p), root=p - 1 if chosen.primitive in ROOTED else 0)
        try:
            alike, beside, exact = runs_of(chosen, problem, on, rendezvous)
        except RestrictionError:
            continue
        power = p & (p - 1) == 0
        known = ALIKE_FOR_POWERS if power else ALIKE
        even = n(p) % p == 0 and law_of(on, p, False).groups is None
        if p > 1 and even and not (rendezvous or on.eager or on.delta):
            assert (alike is not None) == (str(chosen) in known), p
        if not rendezvous and on.eager is None:
            assert beside is not None, p
        for found in (alike, beside):
            if found is not None:
                assert_same(found, exact)


def test_messages_and_recvs_of_a_channel_meet_in_order():
    for _ in range(20):
        draw = np.random.default_rng(_)
        sent, posted = draw.integers(0, 4, 9), draw.integers(0, 4, 7)
        these, those = pairs(sent, posted)
        assert (sent[these] == posted[those]).all()
        for channel in range(4):
            mine = sent[these] == channel
            for found, there in ((these, sent), (those, posted)):
                first = np.flatnonzero(there == channel)[: mine.sum()]
                assert found[mine].tolist() == first.tolist()
            assert mine.sum() == min((sent == channel).sum(), (posted == channel).sum())


def test_layers_have_each_rank_once():
    ranks = np.array([4, 4, 6, 9, 9, 9])
    assert [layer.tolist() for layer in layers(ranks)] == [[0, 2, 3], [1, 4], [5]]
    assert not [*layers(ranks[:0])]


@pytest.mark.share(4)
@every
def test_all_ways_agree(chosen):
    """Each machine with one number of ranks and one length: even blocks or uneven ones."""
    for number, case in enumerate(MACHINES):
        p, n = ((8, 384), (5, 240), (8, 201), (5, 129))[number % 4]
        hold(chosen, [p], [lambda _, n=n: n], [case])
    hold(chosen, (1, 2), [lambda p: 48 * p], MACHINES[:1])


@pytest.mark.slow
@every
def test_all_ways_agree_for_more(chosen):
    lengths = (lambda p: 0, lambda p: 8, lambda p: 48 * p, lambda p: 24 * p + 9)
    hold(chosen, range(1, 36), lengths)


def swap(rank, p, sendbuf, recvbuf, partner):
    """A round in which partners swap their vectors."""
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    yield send(recvbuf, partner), recv(arriving, partner), reduce(arriving, recvbuf)


def opposite(rank, p, sendbuf, recvbuf):
    yield from swap(rank, p, sendbuf, recvbuf, (rank + p // 2) % p)


def flipped(rank, p, sendbuf, recvbuf):
    yield from swap(rank, p, sendbuf, recvbuf, p // 2 ^ rank)


def opposite_by_another_name(rank, p, sendbuf, recvbuf):
    arriving = scratch(recvbuf)
    yield send(sendbuf, (rank + p // 2) % p), recv(arriving, rank ^ p // 2)


def own_block(rank, p, sendbuf, recvbuf):
    block = split(recvbuf, p)
    yield send(block[rank], (rank + 1) % p), recv(block[rank - 1], (rank - 1) % p)


def window(rank, p, sendbuf, recvbuf):
    block = split(recvbuf, p)
    yield send(block.range(rank, 3), (rank + 1) % p), recv(scratch(sendbuf, 9), (rank - 1) % p)


def later(rank, p, sendbuf, recvbuf):
    """Messages to two ranks, taken in the other order and two rounds later."""
    yield send(sendbuf, (rank + 1) % p), send(sendbuf[:5], (rank + 3) % p)
    yield copy(sendbuf, recvbuf)
    arriving = scratch(sendbuf, 5)
    yield recv(arriving, (rank - 3) % p)
    yield recv(recvbuf, (rank - 1) % p), reduce(arriving, recvbuf[:5])


OF_ALL = [opposite, flipped, opposite_by_another_name, own_block, window, later]


def compares(rank, p, sendbuf, recvbuf):
    if rank < p - 1:
        yield send(sendbuf, rank + 1)
    if rank > 0:
        yield recv(recvbuf, rank - 1)


def divides(rank, p, sendbuf, recvbuf):
    yield from swap(rank, p, sendbuf, recvbuf, rank + 1 - rank % 2 * 2)


def looks_up(rank, p, sendbuf, recvbuf):
    to_the_right = [*range(1, p), 0]
    yield send(sendbuf, to_the_right[rank]), recv(recvbuf, to_the_right.index(rank))


@lru_cache
def right_of(rank, p):
    return (rank + 1) % p


def remembers(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, right_of(rank, p)), recv(recvbuf, (rank - 1) % p)


def takes_part(rank, p, sendbuf, recvbuf):
    yield send(sendbuf[:rank], (rank + 1) % p), recv(recvbuf[: (rank - 1) % p], (rank - 1) % p)


def counts_views(rank, p, sendbuf, recvbuf):
    views = split(recvbuf, p).range(rank, 3)
    yield [copy(view, scratch(view)) for view in views]
    yield [reduce(scratch(view), view) for view in views]


def decides_by_name(rank, p, sendbuf, recvbuf):
    yield send(sendbuf[: len(f"{rank}")], (rank + 1) % p)
    yield recv(recvbuf[: len(f"{(rank - 1) % p}")], (rank - 1) % p)


def looks_away(rank, p, sendbuf, recvbuf):
    """What it catches is its own business, and must not make ranks alike."""
    try:
        first = rank == 0
    except Exception:
        first = False
    yield [] if first else send(sendbuf, 0)
    yield [recv(recvbuf, other) for other in range(1, p)] if first else []


def in_a_grid(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, (rank + 1) % p), recv(recvbuf, (rank - 1) % p)
    yield [] if rank & 2 else reduce(scratch(recvbuf), recvbuf)


OF_SOME = [
    *(compares, divides, looks_up, remembers, takes_part, counts_views),
    *(decides_by_name, looks_away, in_a_grid),
]


@pytest.fixture
def registered(request):
    """A page of the test's own."""
    algorithm("allreduce", name="own")(request.param)
    made = REGISTRY["allreduce"]["own"]
    yield made
    remove(made)


pages = pytest.mark.parametrize


@pages("registered", OF_ALL, indirect=True, ids=lambda page: page.__name__)
def test_an_algorithm_of_ones_own_is_found_to_be_the_same_for_all(registered):
    for on, rendezvous in MACHINES[: 2 if registered.generator is not later else 1]:
        alike, beside, exact = runs_of(registered, problem_of(registered, 8, 24), on, rendezvous)
        assert_same(alike, exact)
        assert_same(beside, exact)


@pages("registered", OF_SOME, indirect=True, ids=lambda page: page.__name__)
def test_what_asks_for_more_is_not_the_same_for_all(registered):
    alike, beside, exact = runs_of(registered, problem_of(registered, 8, 24), CLOCK)
    assert alike is None
    assert_same(beside, exact)


def no_partner(rank, p, sendbuf, recvbuf):
    yield recv(recvbuf, (rank - 1) % p)
    yield send(sendbuf, (rank + 1) % p)


def left_over(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, (rank + 1) % p)


def too_short(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, (rank + 1) % p), recv(recvbuf[:-1], (rank - 1) % p)


def outside(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, rank + 1), recv(recvbuf, (rank - 1) % p)


def oneself(rank, p, sendbuf, recvbuf):
    yield send(sendbuf, (rank + p) % p), recv(recvbuf, rank)


def beyond(rank, p, sendbuf, recvbuf):
    block = split(recvbuf, p)
    yield send(block[rank + 1], (rank + 1) % p), recv(block[rank], (rank - 1) % p)


def no_scratch(rank, p, sendbuf, recvbuf):
    yield send(np.zeros(3, np.uint8), (rank + 1) % p), recv(recvbuf[:3], (rank - 1) % p)


def no_end(rank, p, sendbuf, recvbuf):
    while True:
        yield send(sendbuf, (rank + 1) % p), recv(recvbuf, (rank - 1) % p)


WRONG = [
    (no_partner, Deadlock, "rank 0 waits in recv from 39"),
    (left_over, ScheduleError, "every message needs a recv"),
    (too_short, ScheduleError, "needs 79 bytes"),
    (outside, ScheduleError, "a peer must be a rank from 0 to 39"),
    (oneself, ScheduleError, "needs another rank"),
    (beyond, PageError, "IndexError"),
    (no_scratch, ScheduleError, r"scratch\(\)"),
    (no_end, Endless, "must end within"),
]


@pages(
    "registered, error, text",
    WRONG,
    indirect=["registered"],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_wrong_is_told_by_the_simulator(registered, error, text):
    with pytest.raises(error, match=text):
        simulate("allreduce", "own", p=40, n=80)


def test_a_million_ranks():
    """One rank for all, in no time and little memory."""
    p, clock = 2**20, Clock(alpha=1, beta=0, gamma=0)
    assert simulate("allreduce", "recursive_doubling", p=p, n=2**30, clock=clock).time == 20
    assert simulate("barrier", p=p, clock=clock).time == 20
    ring = simulate("allreduce", "ring", p=2**12, n=2**32, clock=clock)
    assert ring.time == 2 * (2**12 - 1)
    assert ring.bytes_sent.sum() == 2 * (2**12 - 1) * 2**32


@pytest.mark.parametrize("text", ["nodes:x4,nic=1G", "flat,noise=0.2", "flat,late=1ms"])
def test_more_than_ports_is_for_the_simulator(text):
    """What only the simulator knows makes a difference."""
    on, options = machine(text), {"p": 32, "n": 32 * 1024}
    assert law_of(on, 32, False) is None
    plain = simulate("allgather", "bruck", clock=on.clock, **options)
    assert simulate("allgather", "bruck", topology=on, **options).time > plain.time


@pytest.mark.slow
def test_a_ring_of_a_million_ranks():
    p = 2**20
    run = simulate("allreduce", "ring", p=p, n=2**30, clock=Clock(alpha=1, beta=0, gamma=0))
    assert run.time == 2 * (p - 1)


def test_thousands_of_ranks_side_by_side():
    p, clock = 2**13 - 1, Clock(alpha=1, beta=0, gamma=0)
    assert simulate("bcast", "tree", p=p, n=8, clock=clock).time == 13


@pytest.mark.parametrize("chosen", ["reduce.tree", "allreduce.double_tree", "scan.tree"])
def test_a_run_that_is_remembered_is_the_same_under_other_laws(chosen, monkeypatch):
    algorithm, problem = REGISTRY[(names := chosen.split("."))[0]][names[1]], Problem(names[0], 26)
    laws = [
        law_of(machine(text), 26, False) for text in ("flat", "flat,latency=1us", "flat,gap=1us")
    ]
    plain = [side_by_side(algorithm, problem, law, {}) for law in laws]
    with remembering():
        first = side_by_side(algorithm, problem, laws[0], {})
        monkeypatch.setattr(Problem, "start", None)  # nobody runs it again
        again = [side_by_side(algorithm, problem, law, {}) for law in laws]
    for one, other in zip([plain[0], *plain], [first, *again], strict=True):
        for name, column in vars(one).items():
            assert np.array_equal(column, getattr(other, name))


def test_what_is_remembered_is_of_one_call_alone():
    law = law_of(machine("flat"), 26, False)
    tree, ring = REGISTRY["reduce"]["tree"], REGISTRY["reduce"]["ring"]
    with remembering():
        for algorithm, n, eager in ((tree, 99, 9), (tree, 52, 9), (ring, 52, 9), (ring, 52, 0)):
            problem, other = Problem("reduce", 26, n), law._replace(eager=eager)
            run = side_by_side(algorithm, problem, other, {})
            alone = one_by_one(algorithm, problem, machine(f"flat,eager={eager}B"), {})
            assert run is None or np.array_equal(run.finished, alone.finished)
