"""`auto` without MPI: the table, the prices it was made from, and what `why` says."""

import json
from itertools import pairwise

import numpy as np
import pytest

from collectives.__main__ import main
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.algorithms.language.registry import AUTO, REDUCTIONS, algorithm
from collectives.bench.statistics import fitted
from collectives.catalogue import find
from collectives.choice import DECLARED, ENVIRONMENT, choices, decide, parse, read, written
from collectives.errors import ArgumentError, UnknownAlgorithm
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.operators.operator import MATPROD, MATRIX
from collectives.problems import Problem
from collectives.study.cost import predicted_time
from collectives.study.prediction import predict
from collectives.study.pricing import DECLARED_CLOCK, evenly
from collectives.study.simulation import count, simulate
from collectives.study.tables import (
    CANDIDATES,
    CLUSTER,
    ON_NODES,
    RANKS,
    TIE,
    candidates,
    cheapest,
    on,
    prices,
    ranges,
    table_text,
)
from collectives.study.tables import DECLARED as ONE_NODE
from collectives.study.verify import verify
from collectives.units import seconds

COMMUTES = [(name, True) for name in PRIMITIVES] + [(name, False) for name in sorted(REDUCTIONS)]


def declared():
    return read(str(DECLARED))


@pytest.fixture
def use(tmp_path, monkeypatch):
    """Put a table in force."""

    def put(text):
        path = tmp_path / "mine.json"
        path.write_text(text)
        monkeypatch.setenv(ENVIRONMENT, str(path))
        return path

    read.cache_clear()
    yield put
    read.cache_clear()


# The declared table


@pytest.mark.parametrize("primitive, commutative", COMMUTES)
def test_declared_table_is_up_to_date(primitive, commutative):
    """Those rows that are made quickly; `-m slow` makes them all."""
    assert declared().node == ONE_NODE and declared().cluster == CLUSTER
    for p in (2, 3):
        wanted = ranges(primitive, p, ONE_NODE, commutative)
        assert declared().row(primitive, p, commutative) == ((1, p), wanted), "run make choice"
    wanted = ranges(primitive, 4, on(CLUSTER, 2, 2), commutative)
    assert declared().row(primitive, 4, commutative, 2) == ((2, 2), wanted), "run make choice"


@pytest.mark.slow
def test_declared_table_is_up_to_date_in_all_rows():
    assert DECLARED.read_text(encoding="utf-8") == table_text(ONE_NODE, cluster=CLUSTER)


SHORT, LONG = 2**13, 10**8
CELLS = [("allreduce", 8, 8, LONG), ("bcast", 4, 2, LONG), ("scan", 2, 4, SHORT)] + [
    (primitive, nodes, ranks, n)
    for primitive in PRIMITIVES
    for nodes, ranks in ((2, 8), (8, 1), (8, 4), (8, 8))
    for n in (SHORT, 2**18, 2**22, LONG)
    if primitive != "barrier" or n == SHORT
]


@pytest.mark.share(40)
@pytest.mark.parametrize("primitive, nodes, ranks, n", CELLS)
def test_auto_on_nodes_is_near_the_best_of_all(primitive, nodes, ranks, n):
    """Of all that there are, not of the candidates only; but of none that a search has to find."""
    p, machine = nodes * ranks, on(CLUSTER, nodes, ranks)
    pick = declared().spec(primitive, p, n, nodes=nodes)
    names = [name for name in REGISTRY[primitive] if name != "synthesised"]
    ranking = predict(primitive, p, n, machine, names, shares=False)
    times = {one.algorithm: one.seconds for one in ranking.predictions if not one.lossy}
    best = min(time for time in times.values() if time is not None)
    assert times[pick] <= 1.2 * best


@pytest.mark.parametrize("primitive, commutative", COMMUTES)
def test_candidates_can_do_whatever_is_asked(primitive, commutative):
    names = candidates(primitive, commutative, nodes=True)
    known = {*CANDIDATES[primitive], *ON_NODES.get(primitive, ())}
    assert names and set(names) <= known <= set(REGISTRY[primitive])
    assert set(candidates(primitive, commutative)) <= set(names)
    for name in names:
        one = REGISTRY[primitive][name]
        assert one.minimum_p == 1 and not one.power_of_two
        assert commutative or not one.commutative
    listed = {name for p in RANKS for _, name in declared().row(primitive, p, commutative)[1]}
    assert listed <= set(names)


@pytest.mark.parametrize(
    "p, row",
    [(1, 2), (2, 2), (16, 16), (17, 15), (20, 15), (31, 24), (100, 96), (2000, 768), (4096, 1024)],
)
def test_p_without_a_row(p, row):
    """The next smaller p of its kind, powers of two or not."""
    assert declared().row("allreduce", p)[0] == (1, row)


def test_ranges_begin_where_they_say():
    text = written(
        ONE_NODE,
        None,
        99,
        {"bcast": {(1, 2): [(0, "tree"), (100, "ring"), (200, "naive")]}},
        {},
    )
    found = parse("mine", text)
    picks = [found.spec("bcast", 7, nbytes) for nbytes in (0, 99, 100, 199, 200, 10**12)]
    assert picks == ["tree", "tree", "ring", "ring", "naive", "naive"]


def test_operators_that_do_not_commute_have_rows_of_their_own():
    any_order, in_order = {"scan": {(1, 2): [(0, "ring")]}}, {"scan": {(1, 2): [(0, "tree")]}}
    found = parse("mine", written(ONE_NODE, None, 99, any_order, in_order))
    assert found.spec("scan", 2, 8) == "ring"
    assert found.spec("scan", 2, 8, commutative=False) == "tree"


def test_same_table_has_the_same_name():
    text = written(ONE_NODE, None, 99, {"bcast": {(1, 2): [(0, "tree")]}}, {})
    other = json.dumps(json.loads(text), indent=7)
    assert text != other and parse("mine", text).name == parse("mine", other).name
    assert parse("mine", text.replace("tree", "ring")).name != parse("mine", text).name


# What `auto` does


@pytest.mark.parametrize("primitive, commutative", COMMUTES)
def test_auto_is_right(primitive, commutative):
    """Lengths on both sides of where the table changes its mind."""
    auto, _ = find(primitive, AUTO)
    for p in (1, 2, 3, 5, 8):
        stops = [a for a, _ in declared().row(primitive, p, commutative)[1] if a <= 2**17]
        sizes = {0, 1, p + 1, *[a // 8 + shift for a in stops for shift in (-1, 0) if a]}
        for n in sizes:
            for root in {0, p - 1}:
                if commutative:
                    verify(auto, Problem(primitive, p, n, root))
                elif n < 1000:
                    verify(auto, Problem(primitive, p, n, root, np.dtype(MATRIX), MATPROD))


@pytest.mark.parametrize("p", [4, 12])
def test_auto_costs_what_its_algorithm_costs(p):
    for n in (8, 2**13, 2**17, 2**20):
        name = choices().spec("allreduce", p, n)
        assert count("allreduce", "auto", p=p, n=n) == count("allreduce", name, p=p, n=n)
    assert simulate("scan", "auto", p=p, n=2**18, dtype=np.float64).time == (
        simulate("scan", choices().spec("scan", p, 2**21), p=p, n=2**18, dtype=np.float64).time
    )


def test_a_named_algorithm_stays():
    ring, given = find("bcast", "ring:segments=3")
    assert decide(ring, given, 4, 10**9) == (ring, {"segments": 3})


def test_auto_takes_no_parameters():
    with pytest.raises(ArgumentError, match=r"bcast\.auto: no parameter 'segments'; choose"):
        find("bcast", "auto:segments=3")


def test_auto_is_no_algorithm_of_its_own():
    assert all(AUTO not in algorithms for algorithms in REGISTRY.values())
    auto, _ = find("barrier", AUTO)
    with pytest.raises(ValueError, match=r"barrier\.auto stands for a choice"):
        algorithm("barrier", name=AUTO)(auto.generator)
    with pytest.raises(ArgumentError, match=r"barrier\.auto: needs a length to choose"):
        auto.generator(0, 2)


# Tables of the user


def test_write_and_use_a_table(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.json"
    command = ["table", "bcast", "scan", "-p", "4", "-p", "6", "--alpha", "1", "--beta", "1e-9"]
    assert main([*command, "--write", str(path)]) == 0
    assert capsys.readouterr().out == f"{ENVIRONMENT}={path}\n"
    monkeypatch.setenv(ENVIRONMENT, str(path))
    assert choices().node.clock == Clock(1, 1e-9, DECLARED_CLOCK.gamma)
    assert choices().row("bcast", 4) == ((1, 4), [(0, "tree")])  # when messages are so dear
    with pytest.raises(ArgumentError, match=r"gather\.auto: needs rows for gather in the table"):
        simulate("gather", "auto", p=4, n=8)
    assert main(["table", "scan"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["4", "6"]
    assert main(["why", "gather"]) == 2
    assert "make one for all primitives" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"node": {"alfa": 1}, "cluster": null, "longest": 9, "any_order": {}, "in_order": {}}',
        written(ONE_NODE, None, 99, {"bcast": {(1, 2): []}}, {}),
        written(ONE_NODE, None, 99, {"bcast": {(1, 2): [(8, "tree")]}}, {}),
        written(
            ONE_NODE,
            None,
            99,
            {"bcast": {(1, 2): [(0, "tree"), (9, "ring"), (8, "tree")]}},
            {},
        ),
    ],
)
def test_what_is_no_table(use, text):
    path = use(text)
    with pytest.raises(ArgumentError, match="COLLECTIVES_TABLE needs a table of choices, got") as e:
        simulate("bcast", "auto", p=4, n=8)
    assert str(path) in str(e.value) and "table --write FILE" in str(e.value)


def test_a_table_that_is_not_there(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "nowhere.json")
    with pytest.raises(ArgumentError, match=r"got nowhere\.json"):
        count("bcast", "auto", p=4, n=8)


def test_a_table_may_name_parameters(use):
    use(written(ONE_NODE, None, 99, {"bcast": {(1, 2): [(0, "ring:segments=3")]}}, {}))
    assert count("bcast", "auto", p=4, n=99).critical_path == 5


def test_a_table_may_name_what_there_is_not(use):
    use(written(ONE_NODE, None, 99, {"bcast": {(1, 2): [(0, "rign")]}}, {}))
    with pytest.raises(UnknownAlgorithm, match="got 'rign'; choose from ring"):
        count("bcast", "auto", p=4, n=99)


# Prices


def test_price_is_the_time_of_the_run():
    n = evenly("allreduce", 5, 1000)
    found = prices("allreduce", 5, 1000, ONE_NODE)
    assert list(found.values()) == sorted(found.values())
    for name, price in found.items():
        assert price == simulate("allreduce", name, p=5, n=n, clock=DECLARED_CLOCK).time


def test_cheapest_is_the_first_of_equals():
    """Recursive doubling and the ring are the same for two ranks, and nobody is better."""
    found = prices("allgather", 2, 2**20, ONE_NODE)
    assert found["ring"] == found["recursive_doubling"] == min(found.values())
    assert cheapest("allgather", 2, 2**20, ONE_NODE) == candidates("allgather")[0]


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_ranges_are_of_the_cheapest(primitive):
    for p in (4, 7):
        found = ranges(primitive, p, ONE_NODE)
        assert found[0][0] == 0 and all(a < b for (a, _), (b, _) in pairwise(found))
        for start, name in found:
            price = prices(primitive, p, start or 8, ONE_NODE)
            assert price[name] <= TIE * min(price.values())


def test_ranges_follow_the_clock():
    """When messages are free only bytes count, and the other way round."""
    assert ranges("allreduce", 8, Machine(Clock(0, 1, 1)))[-1][1] == "ring"
    assert ranges("allreduce", 8, Machine(Clock(1, 0, 0))) == [(0, "recursive_doubling")]


@pytest.mark.parametrize(
    "name", ["bcast.ring", "bcast.circulant", "bcast.double_tree", "reduce.circulant", "scan.ring"]
)
def test_cost_line_chooses_segments_like_the_algorithm(name):
    primitive, _, algorithm = name.partition(".")
    one, _ = find(primitive, algorithm)
    for p in (3, 8, 13):
        for n in (8, 10**5, 10**7):
            line = predicted_time(one, p, n, DECLARED_CLOCK)
            run = simulate(primitive, algorithm, p=p, n=n, clock=DECLARED_CLOCK).time
            assert line == pytest.approx(run, rel=0.15)


def test_fitted_finds_the_line():
    sizes = [8, 64, 512, 4096, 2**20]
    start, slope = fitted(sizes, [3e-6 + 2e-10 * size for size in sizes])
    assert (start, slope) == (pytest.approx(3e-6), pytest.approx(2e-10))


# The commands


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_why(capsys):
    assert main(["why", "allreduce", "-n", "1M", "-p", "12"]) == 0
    said = lines(capsys)
    pick = choices().spec("allreduce", 12, 2**20)
    assert said[0] == f"allreduce, p = 12, n = 1 MiB: {pick}"
    assert "table choice.json, row p = 12: recursive_doubling, circulant from" in said[2]
    assert any(line.startswith("because the bandwidth term is 80% of its time") for line in said)
    assert any(line.startswith("bound   ") for line in said)
    rows = [
        line.split()[0]
        for line in said
        if line.split() and line.split()[0] in CANDIDATES["allreduce"]
    ]
    assert rows == list(prices("allreduce", 12, 2**20, ONE_NODE))
    assert any(line.startswith("Not considered (predict ranks all): naive") for line in said)


def test_why_with_a_clock(capsys):
    command = ["why", "allreduce", "-n", "1M", "-p", "12"]
    assert main([*command, "--alpha", "1", "--beta", "0", "--gamma", "0"]) == 0
    said = lines(capsys)
    assert said[0].endswith(": recursive_doubling")
    assert said[2] == "by      the least price for the machine given"
    assert said[3].startswith("machine 12 ranks, 1 s a message and no limit")
    assert any(line.startswith("because the latency term is 100% of its time") for line in said)


def test_why_for_more_ranks_than_are_counted(capsys):
    assert main(["why", "scan", "-n", "8", "-p", "1000", "--in-order"]) == 0
    said = lines(capsys)
    assert "row p = 768 (p = 1000 has none)" in said[2]
    assert any("those of cost lines" in line for line in said)


@pytest.mark.parametrize("arguments", [["-p", "1"], ["-n", "0"], ["-p", "3", "-n", "1"]])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_why_for_little(primitive, arguments, capsys):
    assert main(["why", primitive, *arguments]) == 0
    assert lines(capsys)[0].startswith(f"{primitive}, p = ")


def test_why_of_no_primitive(capsys):
    assert main(["why", "brodcast"]) == 2
    assert "choose from bcast" in capsys.readouterr().err


def test_table_shows_what_is_in_force(capsys):
    assert main(["table", "allreduce", "-p", "12", "-p", "100"]) == 0
    said = lines(capsys)
    assert said[2].startswith("12 ") and "circulant from 32 KiB" in said[2]
    assert said[3].startswith("100 (as 96) ")


@pytest.mark.parametrize("p", ["0", "-1", "x"])
def test_p_must_be_a_number_of_ranks(p, capsys):
    with pytest.raises(SystemExit):
        main(["why", "bcast", "-p", p])
    assert "argument -p" in capsys.readouterr().err


@pytest.mark.parametrize(
    "time, text",
    [(0, "0 ns"), (2e-10, "0.2 ns"), (1.25e-5, "12.5 us"), (0.5, "500 ms"), (3, "3 s")],
)
def test_seconds(time, text):
    assert seconds(time) == text
