"""The lower bounds against the rounds that really ran, and the page that shows both."""

import re
from pathlib import Path

import pytest

from collectives.__main__ import main
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.algorithms.language.registry import algorithm as registry_algorithm
from collectives.catalogue import check_restrictions
from collectives.errors import RestrictionError, UnknownAlgorithm
from collectives.study.bounds import (
    BANDWIDTH,
    COMPUTATION,
    LATENCY,
    TERMS,
    TOGETHER,
    bounds,
    bounds_of,
)
from collectives.study.optimality import COMMAND, counted, markdown, met
from collectives.study.simulation import count

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"


def possible(algorithm, p):
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return False
    return True


def hold(algorithm, p, n, root=0, **given):
    values = counted(count(algorithm.primitive, algorithm.name, p=p, n=n, root=root, **given))
    for term, least in bounds(algorithm.primitive, p, n).items():
        if algorithm.lossy and term == BANDWIDTH:
            continue  # the bound is for exact algorithms
        assert values[term] >= least, f"{term}, {p=}, {n=}, {root=}, {given}"


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_no_algorithm_beats_a_bound(algorithm):
    for p in filter(lambda p: possible(algorithm, p), [1, 2, 3, 4, 5, 7, 8]):
        for n in (1, p - 1, 20 * p + 1):
            hold(algorithm, p, n)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_no_algorithm_beats_a_bound_for_many_ranks(algorithm):
    for p in filter(lambda p: possible(algorithm, p), [*range(1, 34), 47, 64, 65]):
        for n in (0, 1, 2, p - 1, p, p + 1, 3 * p + 2, 100, 960 * p):
            hold(algorithm, p, n)


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a.primitive in ROOTED], ids=str)
def test_no_root_beats_a_bound(algorithm):
    for p in (2, 5, 6):
        for n in (1, 10 * p):
            for root in range(p):
                hold(algorithm, p, n, root)


@pytest.mark.parametrize(
    "algorithm", [a for a in ALGORITHMS if "segments" in a.parameters], ids=str
)
def test_no_pipeline_beats_a_bound(algorithm):
    for p in (2, 3, 5, 8, 12):
        for segments in (1, 2, 5, 24):
            hold(algorithm, p, 24 * p, segments=segments)


def optimal(name, p, n, **given):
    primitive, _, algorithm = name.partition(".")
    values = counted(count(primitive, algorithm, p=p, n=n, **given))
    return set(met(values, bounds(primitive, p, n)))


EVERY, POWERS = (2, 3, 5, 8, 12, 13, 16), (2, 4, 8, 16)


@pytest.mark.parametrize(
    "name, terms, ranks",
    [
        ("barrier.recursive_doubling", {LATENCY}, EVERY),
        ("bcast.tree", {LATENCY}, EVERY),
        ("bcast.ring", {BANDWIDTH}, EVERY),
        ("scatter.tree", {LATENCY, BANDWIDTH}, EVERY),
        ("gather.tree", {LATENCY, BANDWIDTH}, EVERY),
        ("allgather.ring", {BANDWIDTH}, EVERY),
        ("allgather.bruck", {LATENCY, BANDWIDTH}, EVERY),
        ("allgather.circulant", {LATENCY, BANDWIDTH}, EVERY),
        ("allgather.recursive_doubling", {LATENCY, BANDWIDTH}, POWERS),
        ("reduce.tree", {LATENCY}, EVERY),
        ("reduce.rabenseifner", {COMPUTATION}, POWERS),
        ("allreduce.ring", {BANDWIDTH, COMPUTATION}, EVERY),
        ("allreduce.circulant", {BANDWIDTH, COMPUTATION}, EVERY),
        ("allreduce.rabenseifner", {BANDWIDTH, COMPUTATION}, POWERS),
        ("allreduce.halving_doubling", {BANDWIDTH, COMPUTATION}, POWERS),
        ("allreduce.recursive_doubling", {LATENCY}, POWERS),
        ("reduce_scatter.ring", {BANDWIDTH, COMPUTATION}, EVERY),
        ("reduce_scatter.recursive_halving", {LATENCY, BANDWIDTH, COMPUTATION}, POWERS),
        ("reduce_scatter.circulant", {LATENCY, BANDWIDTH, COMPUTATION}, EVERY),
        ("alltoall.recursive_doubling", {LATENCY}, EVERY),
        ("alltoall.pairwise", {BANDWIDTH}, EVERY),
        ("scan.recursive_doubling", {LATENCY}, EVERY),
        ("scan.ring", {BANDWIDTH}, EVERY),
        ("exscan.two_phase", {LATENCY}, EVERY),
        ("exscan.popcount", {LATENCY}, EVERY),
        ("exscan.recursive_exchange", {LATENCY}, EVERY),
        ("allreduce.two_shot", {BANDWIDTH, COMPUTATION}, EVERY),
        ("exscan.123_doubling", {LATENCY}, (2, 3, 4, 5, 7, 12, 13)),
    ],
)
def test_textbook_facts(name, terms, ranks):
    for p in ranks:
        assert terms <= optimal(name, p, 96 * p), p


@pytest.mark.parametrize(
    "name, term",
    [
        ("allreduce.ring", LATENCY),
        ("allreduce.recursive_doubling", BANDWIDTH),
        ("allreduce.tree", COMPUTATION),
        ("bcast.tree", BANDWIDTH),
        ("alltoall.pairwise", LATENCY),
        ("alltoall.recursive_doubling", BANDWIDTH),
        ("scan.recursive_doubling", COMPUTATION),
    ],
)
def test_what_is_not_optimal(name, term):
    for p in (5, 8, 12):
        assert term not in optimal(name, p, 96 * p)


@pytest.mark.parametrize("segments", [1, 2, 3, 7])
def test_circulant_broadcast_has_the_shortest_critical_path_for_its_segments(segments):
    for p in (2, 3, 5, 8, 12, 17):
        counted = count("bcast", "circulant", p=p, n=84, segments=segments)
        assert counted.critical_path == segments - 1 + bounds("bcast", p, 84)[LATENCY]


def test_bounds_are_met():
    """None is idle talk: some algorithm meets it. Of the computation of scans that is not known."""
    for primitive in PRIMITIVES:
        names = [f"{primitive}.{name}" for name in REGISTRY[primitive]]
        reached = set().union(*[optimal(name, p, 96 * p) for name in names for p in (8, 12)])
        missing = {COMPUTATION} if primitive in ("scan", "exscan") else set()
        assert reached == set(bounds_of(primitive)) - missing


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_bounds_are_explained(primitive):
    terms = bounds_of(primitive)
    assert list(terms) == [
        term
        for term in TERMS
        if term == LATENCY
        or (term == BANDWIDTH and primitive != "barrier")
        or (term == COMPUTATION and primitive in REDUCTIONS)
    ]
    for term, bound in terms.items():
        assert bound.term == term and bound.formula and len(bound.argument.split()) > 8
        assert bound.reference
    assert TOGETHER[primitive]


def test_one_rank_needs_nothing():
    for primitive in PRIMITIVES:
        assert set(bounds(primitive, 1, 100).values()) == {0}


def test_bounds_of_no_primitive():
    with pytest.raises(UnknownAlgorithm, match="a primitive is needed, got 'brodcast'"):
        bounds("brodcast", 4, 4)


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == markdown(), f"write it anew: {COMMAND}"


def test_123_doubling_takes_one_message_more_now_and_then():
    """As `TOGETHER` says, and `two_phase` never."""
    for p in [*range(2, 34), 48, 49, 50, 64, 97, 98]:
        power = 1 << (p - 1).bit_length()
        least = bounds("exscan", p, p)[LATENCY]
        for name, more in (("123_doubling", 4 * (p - 1) > 3 * power), ("two_phase", False)):
            assert count("exscan", name, p=p, n=p).critical_path == least + more


def marks():
    """What the page says is optimal: (primitive, algorithm, term, for which p)."""
    primitive = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        primitive = line.removeprefix("## ") if line.startswith("## ") else primitive
        row = re.fullmatch(r"\| `(\w+)`.*\| ([^|]+) \|", line)
        for mark in row[2].split(", ") if row else ():
            term, _, kind = mark.removesuffix(")").partition(" (")
            if term in TERMS:
                yield primitive, row[1], term, kind


MANY = [2, 3, 6, 16, 33, 48, 64, 96, 128]


@pytest.mark.parametrize("p", [7, 24, *[pytest.param(p, marks=pytest.mark.slow) for p in MANY]])
def test_what_the_page_calls_optimal_is_so_for_other_ranks(p):
    """The page counts a few p. What it marks for all of a kind must hold for the others."""
    kinds = {"": True, "even p": p % 2 == 0, "powers of two": p & (p - 1) == 0}
    found = list(marks())
    assert len(found) > 60
    for primitive, name, term, kind in found:
        n = -(-960 // p) * p if term == LATENCY else 20480 * p
        if kinds[kind]:
            assert term in optimal(f"{primitive}.{name}", p, n), f"{primitive}.{name}: {term}"


@pytest.mark.parametrize("primitive", ["allgather", "reduce_scatter"])
def test_pat_takes_more_messages_than_the_fewest_beyond_16_ranks(primitive):
    for p, messages in ((8, 3), (16, 4), (32, 6), (64, 10)):
        assert count(primitive, "pat", p=p, n=p).critical_path == messages
        assert (LATENCY in optimal(f"{primitive}.pat", p, p)) == (p <= 16)
    [terms] = {
        ", ".join(term for where, name, term, _ in marks() if (where, name) == (primitive, "pat"))
    }
    assert LATENCY not in terms


def test_list_with_bounds(capsys):
    assert main(["list", "--bounds", "allreduce", "barrier", "-p", "12", "-n", "1M"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [ring] = [x.split() for x in lines if x.startswith("ring ") and "MiB" in x]
    assert ring == "ring 22 1.83 MiB 1.83 MiB 938.7 KiB 938.7 KiB 11 bandwidth, computation".split()
    least = [x.split() for x in lines if x.startswith("(lower bound)")]
    assert least[0][2:] == "4 1.83 MiB 1.83 MiB 938.7 KiB 938.7 KiB".split()
    assert least[1] == ["(lower", "bound)", "4"]


def test_fewer_bytes_than_the_bound_are_lossy_and_not_optimal(capsys):
    """Fewer than nothing exact can beat: that is what the loss is for."""
    sent = count("allreduce", "compressed_ring", p=8, n=2**20).bytes_busiest
    assert sent < bounds("allreduce", 8, 2**20)[BANDWIDTH] / 3
    assert main(["list", "--bounds", "allreduce", "-p", "8"]) == 0
    rows = [x.split() for x in capsys.readouterr().out.splitlines()]
    told = {row[0]: row[-1] for row in rows if row and row[0].startswith("compressed")}
    assert len(told) == 3 and set(told.values()) == {"lossy"}
    page = [line for line in PAGE.read_text().splitlines() if line.startswith("| `compressed")]
    assert sum(line.endswith("| lossy |") and "**" not in line for line in page) == 3


def test_list_says_what_an_algorithm_cannot_do(capsys, registry):
    @registry_algorithm("barrier", name="pairs", power_of_two=True)
    def pairs(rank, p):
        """Nothing for powers of two."""
        yield from ()

    assert main(["list", "--bounds", "barrier", "-p", "3"]) == 0
    assert "n/a: barrier.pairs: needs a power-of-two number of ranks, got 3" in (
        capsys.readouterr().out
    )
