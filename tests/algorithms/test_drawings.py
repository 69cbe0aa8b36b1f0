"""Drawings and tables in docstrings show what runs, and numbers there are counted."""

import re

import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.alltoall import beyond
from collectives.algorithms.chapters import barriers, bine, circulant, knomial, pat, torus
from collectives.algorithms.language.ranks import distances, fold
from collectives.algorithms.language.steps import elements, recv, send
from collectives.catalogue import find
from collectives.problems import Problem
from collectives.study.simulation import count, simulate

FEW = [*range(2, 35), 64, 100]


def up(p):
    return (p - 1).bit_length()


def table(text, first):
    """The indented lines of a docstring from the one that starts with `first` on."""
    lines = text[text.index(first) :].splitlines()
    end = next(i for i, line in enumerate(lines) if not line.strip())
    indent = len(text[: text.index(first)].rpartition("\n")[2])
    return [lines[0], *[line[indent:] for line in lines[1:end]]]


def rounds(full_name, p, n=None, **given):
    """Per rank, per round that has any: its messages as (to or from, rank, elements)."""
    found, _ = find(*full_name.split("."))
    problem, ranks = Problem(found.primitive, p, p if n is None else n), []
    for rank in range(p):
        mine = []
        for steps in problem.start(found, rank, problem.buffers(rank), given):
            steps = steps if isinstance(steps, (list, tuple)) else [steps]
            sends = [("to", s.dest, elements(s.buf)) for s in steps if isinstance(s, send)]
            recvs = [("from", s.source, elements(s.buf)) for s in steps if isinstance(s, recv)]
            mine.append(sends + recvs)
        ranks.append([messages for messages in mine if messages])
    return ranks


def doc(full_name):
    primitive, name = full_name.split(".")
    return REGISTRY[primitive][name].generator.__doc__


def test_bine_tree():
    head, *lines, hops = table(bine.__doc__, "round   Bine tree")
    where = head.index("binomial")
    for name, text in (
        ("bine", [line[:where] for line in lines]),
        ("tree", [line[where:] for line in lines]),
    ):
        drawn = {}
        for number, line in enumerate(text):
            for edge in re.findall(r"(\d)>(\d)", line):
                drawn[tuple(map(int, edge))] = number
        sent = {
            (rank, to)
            for rank, mine in enumerate(rounds(f"bcast.{name}", 8))
            for messages in mine
            for way, to, _ in messages
            if way == "to"
        }
        assert set(drawn) == sent and len(sent) == 7
        far = sum(min((b - a) % 8, (a - b) % 8) for a, b in sent)
        assert str(far) == re.findall(r"= (\d+)", hops)[name == "tree"]


def test_bine_tree_is_drawn_round_by_round():
    lines = table(bine.__doc__, "round   Bine tree")[1:-1]
    for number, line in enumerate(lines):
        for _, child in re.findall(r"(\d)>(\d)", line[: line.index("0", 30)]):
            assert bine.arrivals(8)[int(child)] == number


def test_sparbit_table():
    text = doc("allgather.sparbit")
    _, _, *lines = table(text, "distance   sends on")
    held = {0}
    mine = rounds("allgather.sparbit", 6)[0]
    for line, messages in zip(lines, mine, strict=True):
        distance, *_ = map(int, line.split()[:1])
        leaving, coming = (
            list(map(int, found.split())) for found in re.findall(r"((?:\d )+) *(?:to|from)", line)
        )
        leaving = leaving[1:] if leaving[0] == distance and len(leaving) > 1 else leaving
        assert ("to", distance, len(leaving)) in messages
        assert ("from", (0 - distance) % 6, len(coming)) in messages
        assert set(leaving) <= held
        held |= set(coming)
    assert held == set(range(6))


def test_circulant_broadcast_table():
    lines = table(circulant.__doc__, "round                    1  2")
    skips = lines[1].split()[-6:]
    for rank, line in enumerate(lines[2:], 1):
        found = list(circulant._rounds(rank, 5, 0, 4))
        assert ["." if k is None else str(k) for _, _, k, _ in found] == line.split()[-6:]
        assert [str((rank - source) % 5) for *_, source in found] == skips


def test_circulant_schedule_table():
    for line in table(circulant.schedule.__doc__, "hops   skip 1")[1:]:
        hops, *entries = map(int, line.split())
        assert entries == [
            *circulant.schedule(hops, 5),
            *[e + 3 for e in circulant.schedule(hops, 5)],
        ]


def test_neighbor_exchange_table():
    lines = table(doc("allgather.neighbor_exchange"), "round   who swaps")[1:]
    every = rounds("allgather.neighbor_exchange", 6)
    for number, line in enumerate(lines):
        pairs = [(int(a), int(b)) for a, b in re.findall(r"(\d)-(\d)", line)]
        blocks = len(line.split("   ")[-1].split())
        for a, b in [*pairs, *[(b, a) for a, b in pairs]]:
            assert every[a][number] == [("to", b, blocks), ("from", b, blocks)]
    paths = {p: count("allgather", "neighbor_exchange", p=p, n=p).critical_path for p in (5, 7, 9)}
    assert paths == {5: 3, 7: 4 + 1, 9: 5 + 1}


def test_pat_picture():
    head, *lines = table(pat.__doc__, "message   1")
    starts = [head.index(number) for number in "1234"]
    drawn = [
        [
            tuple(map(int, edge))
            for line in lines
            for edge in re.findall(r"(\d)->(\d)", line[at : at + 6])
        ]
        for at in starts
    ]
    walked = [[(u, u + d) for u in offsets] for d, offsets in pat.walk(8, 2)]
    assert drawn == walked
    leaving = [offsets[0] + d for d, offsets in reversed(pat.walk(8, 2))]
    assert leaving == [1, 3, 2, 4]  # as `reduce_scatter.pat` says


def test_mcs_trees():
    for arity, children in (
        (4, {0: [1, 2, 3, 4], 1: [5, 6]}),
        (2, {0: [1, 2], 1: [3, 4], 2: [5, 6]}),
    ):
        for rank in range(7):
            assert list(barriers.heap(rank, 7, arity)[1]) == children.get(rank, [])


# Numbers


@pytest.mark.parametrize(
    ("full_name", "least"), [("barrier.k_dissemination", 3), ("bcast.knomial", 3)]
)
def test_a_larger_radix_never_takes_fewer_messages(full_name, least):
    """With one port; and as few for the small p that the docstrings mean."""
    equal = {}
    for k in (3, 4, 8):
        counted = {p: count(*full_name.split("."), p=p, n=8, k=k).critical_path for p in FEW}
        assert all(messages >= up(p) for p, messages in counted.items())
        equal[k] = [p for p, messages in counted.items() if messages == up(p)]
    assert equal == {3: [2, 3, 5, 6, 9, 17, 18], 4: [2, 3], 8: [2, 3]}
    assert "never" in (knomial.__doc__ if "knomial" in full_name else doc(full_name))


def test_knomial_numbers():
    paths = [count("bcast", "knomial", p=p, n=8, k=3).critical_path for p in (9, 27)]
    assert paths == [4, 6] and [up(p) for p in (9, 27)] == [4, 5]


def test_torus_numbers():
    for p in (16, 64, 144):
        root = round(p**0.5)
        assert count("allgather", "torus", p=p, n=p).critical_path == 2 * root - 2
        assert count("allreduce", "torus", p=p, n=p).critical_path == 4 * root - 4
    assert "2 sqrt(p) rounds instead of p" in " ".join(torus.__doc__.split())


def test_rounds_of_the_hypercube_all_to_all():
    """Less than 4/3 of the vector where two ranks play as one, but hardly."""
    most = {}
    for p in [*range(2, 34), 49, 97, 100]:
        team = fold(p)
        most[p] = max(
            len(beyond(team, p, player, player ^ distance, distance)) / p
            for distance in distances(team.size)
            for player in range(team.size)
        )
    assert all(part < 4 / 3 for part in most.values()) and most[97] > 1.31
    assert {most[p] for p in (2, 4, 8, 16, 32)} == {1 / 2}


def test_operator_uses_of_123_doubling():
    """q - 1 on the last rank, as the paper says; one more for a rank in the middle."""
    for p in FEW[3:]:
        run = simulate("exscan", "123_doubling", p=p, n=p)
        q = count("exscan", "123_doubling", p=p, n=p).critical_path
        assert run.reductions[-1] == q - 1 and run.reductions.max() <= q
    assert all(
        simulate("exscan", "123_doubling", p=p, n=p).reductions.max()
        == count("exscan", "123_doubling", p=p, n=p).critical_path
        for p in (12, 16, 17, 31, 64)
    )
