"""A famous name means the famous algorithm: who sends what to whom, written down once more."""

import pytest

from collectives.algorithms.language.steps import elements, recv, send
from collectives.catalogue import find
from collectives.problems import Problem
from collectives.study.simulation import simulate
from collectives.study.symbolic import prove


def messages(primitive, name, p, n, root=0):
    """Per rank its messages in order: (to or from, rank, elements)."""
    found, given = find(primitive, name)
    problem, lists = Problem(primitive, p, n, root), []
    for rank in range(p):
        rounds = problem.start(found, rank, problem.buffers(rank), given)
        steps = [s for r in rounds for s in (r if isinstance(r, (list, tuple)) else [r])]
        lists.append(
            [
                ("to", s.dest, elements(s.buf))
                if isinstance(s, send)
                else ("from", s.source, elements(s.buf))
                for s in steps
                if isinstance(s, (send, recv))
            ]
        )
    return lists


def swap(peer, n):
    return [("to", peer, n), ("from", peer, n)]


# Rabenseifner


def players(p):
    """The ranks that play: of each of the first pairs the odd one, and all ranks after."""
    size = 1 << p.bit_length() - 1
    return [*range(1, 2 * (p - size), 2), *range(2 * (p - size), p)]


def halving(rank, p, n, nearest_first):
    """Partners and lengths of the halving."""
    team = players(p)
    number, bits = team.index(rank), len(team).bit_length() - 1
    order = range(bits) if nearest_first else reversed(range(bits))
    return [(team[number ^ 1 << bit], n >> k + 1) for k, bit in enumerate(order)]


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23])
def test_rabenseifner_meets_the_nearest_first_and_swaps_halves(p):
    n = 96
    found = messages("allreduce", "rabenseifner", p, n)
    for rank in range(p):
        before, after, mate = [], [], rank ^ 1
        if rank < 2 * (p - len(players(p))):
            before = swap(mate, n // 2)
            before.append(("from" if rank % 2 else "to", mate, n // 2))
            after = [("to" if rank % 2 else "from", mate, n)]
        there = halving(rank, p, n, True) if rank in players(p) else []
        both_ways = [*there, *reversed(there)]
        wanted = [message for peer, length in both_ways for message in swap(peer, length)]
        assert found[rank] == before + wanted + after
    if p == 8:
        assert [peer for way, peer, _ in found[0] if way == "to"] == [1, 2, 4, 4, 2, 1]


@pytest.mark.parametrize("p", [2, 4, 8, 16])
def test_halving_doubling_meets_the_farthest_first(p):
    for rank, found in enumerate(messages("allreduce", "halving_doubling", p, 96)):
        there = halving(rank, p, 96, False)
        both_ways = [*there, *reversed(there)]
        assert found == [message for peer, length in both_ways for message in swap(peer, length)]


@pytest.mark.parametrize("p", [3, 8, 13])
def test_rabenseifners_reduce_gathers_the_way_that_it_halved(p):
    """The root takes from its partners, the farthest first; all others send once."""
    for root in range(p):
        found = messages("reduce", "rabenseifner", p, 96, root)
        size = 1 << p.bit_length() - 1
        lengths = [96 // size << k for k in range(size.bit_length() - 1)]
        assert [length for _, _, length in found[root][-len(lengths) :]] == lengths
        assert all(way == "from" for way, _, _ in found[root][-len(lengths) :])
        for rank in {*range(p)} - {root}:
            assert found[rank][-1][0] == "to"


def test_rabenseifner_needs_no_operator_that_commutes():
    for p in (*range(1, 34), 100):
        prove("allreduce.rabenseifner", p)
    for p in range(1, 10):
        for root in range(p):
            prove("reduce.rabenseifner", p, root=root)


def test_a_fold_of_halves_is_half_the_work():
    """Three halves of the vector at most, where whole vectors made it nearly two."""
    for p in range(3, 34):
        run = simulate("allreduce", "rabenseifner", p=p, n=96 * p)
        assert run.bytes_reduced.max() <= 3 / 2 * 96 * p
