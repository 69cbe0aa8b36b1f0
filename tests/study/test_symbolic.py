"""Symbolic proofs: right algorithms pass for every p, wrong ones are explained."""

import inspect
import re

import pytest

from collectives.algorithms import REGISTRY, algorithm
from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.ranks import distances, neighbours
from collectives.algorithms.language.steps import NOTHING, copy, recv, reduce, send
from collectives.catalogue import check_restrictions, find
from collectives.errors import ArgumentError, Deadlock, RestrictionError, WrongResult
from collectives.study.symbolic import prove

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]

every = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)


def attempt(algorithm, p, **options):
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return
    prove(algorithm, p, **options)


@pytest.mark.share(4)
@every
def test_all_small_p(algorithm):
    for p in range(1, 14):
        attempt(algorithm, p, root=p // 3, segments=3)


@pytest.mark.share(5)
@every
def test_some_larger_p(algorithm):
    for p in (16, 17, 24, 31):
        attempt(algorithm, p, root=p - 1, segments=5)


@every
def test_eager_messages(algorithm):
    for p in (2, 6, 7):
        attempt(algorithm, p, root=1, rendezvous=False)


@pytest.mark.parametrize("p", [33, 65, 66, 67, 129])
@pytest.mark.parametrize("primitive", ["bcast", "reduce"])
def test_circulant_schedules_where_published_ones_break(primitive, p):
    """They break for these p, and only from eight segments on."""
    prove(f"{primitive}.circulant", p, root=p // 2, segments=8)
    prove(f"{primitive}.circulant", p, root=p - 1, segments=13)


# Wrong algorithms


@pytest.fixture
def wrong(registry):
    """Register a generator under the name "wrong" and prove it."""

    def run(primitive, generator, p=4, commutative=True, **options):
        algorithm(primitive, name="wrong", commutative=commutative)(generator)
        prove(f"{primitive}.wrong", p, **options)

    return run


def place(generator, mark="# here"):
    """A pattern for the file and the line of the generator that has this mark."""
    lines, first = inspect.getsourcelines(generator)
    [offset] = [i for i, line in enumerate(lines) if line.rstrip().endswith(mark)]
    return rf"\S*test_symbolic\.py:{first + offset}\b"


def test_contribution_twice(wrong):
    """Recursive doubling without its fold counts some ranks twice."""

    def dissemination(rank, p, sendbuf, recvbuf):
        arriving = scratch(recvbuf)
        yield copy(sendbuf, recvbuf)
        for distance in distances(p):
            messages = send(recvbuf, (rank + distance) % p), recv(arriving, (rank - distance) % p)
            yield *messages, reduce(arriving, recvbuf)  # here

    wrong("allreduce", dissemination, p=4)
    message = (
        r"rank 0 of 3: block 0 = \{0, 0, 1, 2\}: contribution 0 twice, last touched in round 3"
    )
    with pytest.raises(WrongResult, match=rf"allreduce\.wrong: {message} \({place(dissemination)}"):
        wrong("allreduce", dissemination, p=3)


def test_contribution_missing(wrong):
    def short(rank, p, sendbuf, recvbuf):
        left, right = neighbours(rank, p)
        yield copy(sendbuf, recvbuf)
        arriving = scratch(recvbuf)
        yield send(sendbuf, right), recv(arriving, left), reduce(arriving, recvbuf)

    with pytest.raises(WrongResult, match=re.escape("rank 0 of 3: block 0 = {0, 2}: 1 missing, ")):
        wrong("allreduce", short, p=3)


def test_rank_order(wrong):
    """Fine if it declares that the operator commutes, and only then."""

    def backwards(rank, p, sendbuf, recvbuf):
        other = scratch(sendbuf)
        messages = send(sendbuf, 1 - rank), recv(other, 1 - rank)
        yield *messages, copy(sendbuf, recvbuf), reduce(recvbuf, other, out=recvbuf)

    wrong("allreduce", backwards, p=2, commutative=True)
    with pytest.raises(WrongResult, match="rank 1 of 2: block 0 = 1 op 0: not in rank order"):
        wrong("allreduce", backwards, p=2, commutative=False)


def test_moved_blocks_have_one_owner(wrong):
    def swapped(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf[rank])
        yield send(sendbuf, 1 - rank), recv(recvbuf[1 - rank], 1 - rank)
        yield copy(recvbuf[0], recvbuf[1])  # here

    message = r"block 1 = \{\}: 1 missing, parts of block 0, last touched in round 3"
    with pytest.raises(WrongResult, match=rf"{message} \({place(swapped)}"):
        wrong("allgather", swapped, p=2)


def test_parts_of_another_block(wrong):
    def mixed(rank, p, sendbuf, recvbuf):
        yield reduce(sendbuf[0], sendbuf[p - 1], out=recvbuf)

    with pytest.raises(WrongResult, match=r"block 0 = \{0\}: 1 missing, parts of block 1"):
        wrong("reduce_scatter", mixed, p=2)


def test_unwritten_memory(wrong):
    def lazy(rank, p, buf, root):
        if rank == 1:
            yield recv(buf, root)
        elif rank == root:
            yield send(buf, 1)

    message = "rank 2 of 3: block 0 = {}: 0 missing, never written"
    with pytest.raises(WrongResult, match=re.escape(message)):
        wrong("bcast", lazy, p=3)


def test_unwritten_operand(wrong):
    def early(rank, p, sendbuf, recvbuf):
        yield reduce(sendbuf, scratch(sendbuf), out=recvbuf)

    with pytest.raises(WrongResult, match=r"block 0 = \{0\}: unwritten memory, last touched in"):
        wrong("allreduce", early, p=1)


def test_scan_of_too_much(wrong):
    def total(rank, p, sendbuf, recvbuf):
        yield from REGISTRY["allreduce"]["recursive_doubling"].generator(rank, p, sendbuf, recvbuf)

    with pytest.raises(WrongResult, match=r"rank 0 of 2: block 0 = \{0, 1\}: 1 does not belong"):
        wrong("scan", total, p=2)


def test_barrier_that_opens_early(wrong):
    def hasty(rank, p):
        yield send(NOTHING, (rank + 1) % p), recv(NOTHING, (rank - 1) % p)

    with pytest.raises(WrongResult, match=r"rank 0 of 4 leaves and has not heard of 1, 2$"):
        wrong("barrier", hasty)


def test_deadlock(wrong):
    def stuck(rank, p, buf, root):
        yield recv(buf, (rank + 1) % p)

    with pytest.raises(Deadlock):
        wrong("bcast", stuck)


def test_input_must_not_change(wrong):
    def greedy(rank, p, sendbuf, recvbuf):
        yield copy(recvbuf, sendbuf)

    with pytest.raises(RuntimeError, match="writable"):
        wrong("scan", greedy)


def test_what_cannot_be_proved(registry):
    with pytest.raises(ArgumentError, match="no parameter 'colour'"):
        prove("allreduce.ring", 4, colour=1)

    def even(rank, p, sendbuf, recvbuf):
        yield copy(sendbuf, recvbuf)

    algorithm("scan", name="even", power_of_two=True)(even)
    with pytest.raises(RestrictionError):
        prove("scan.even", 3)


def test_parameters_and_names():
    prove("alltoall.k_bruck", 30, k=4)
    prove("allgather.k_bruck:k=5", 30)
    prove(find("bcast", "ring")[0], 5, segments=2)
