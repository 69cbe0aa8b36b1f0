"""The simulator held against runs: what is compared, and the page."""

import json
import math
import re
import sys

import pytest
from launch import ROOT, mpirun

from collectives.bench.model import __main__ as program
from collectives.bench.model import compare, page, reading, runs
from collectives.bench.model.budget import Budget
from collectives.choice import written
from collectives.errors import ArgumentError

MACHINE = """\
topology = "nodes:4x2"
latency = "90 us"
overhead = "10 us"
rate = "24 MB/s"
nic = "24 MB/s"
near_latency = "20 us"
near_rate = "2 GB/s"
eager = 65536
"""


def record(times, **changes):
    """A run as if it had been measured."""
    told = {
        "hosts": 4,
        "ranks": 2,
        "date": "2001-02-03",
        "mpi": "MPICH 0",
        "over": "UCX",
        "cores": 2,
        "load": 0.5,
        "rate": 200_000_000,
        "burst": 32768,
        "empty": 100.0,
        "payload": {"one_way": 2.4e7, "both_ways": 2.3e7, "half_trip": 1e-5, "together": 2.2e7},
        "machine": MACHINE,
        "times": times,
    }
    return runs.Record(**{**told, **changes})


def ideal(primitive, names, sizes=runs.SIZES, factor=lambda name, n: 1.0):
    """Times that the model itself gives, in microseconds, but for a factor."""
    own = compare.machine_of(MACHINE)
    rows = {
        name: {
            str(n): 1e6 * factor(name, n) * compare.price(primitive, name, 8, n, own) for n in sizes
        }
        for name in names
    }
    return {primitive: {"mpi": rows[names[0]], "auto": rows[names[-1]], **rows}}


def test_a_machine_like_the_model_is_predicted():
    some = compare.cells(record(ideal("bcast", ["tree", "ring"])))
    assert len(some) == 2 * len(runs.SIZES) and {cell.algorithm for cell in some} == {
        "tree",
        "ring",
    }
    assert compare.median_error(some) == pytest.approx(0, abs=1e-9)
    assert all(map(compare.right, compare.winners(some)))
    [crossing] = compare.crossovers(some)
    assert crossing.found and crossing.measured == pytest.approx(crossing.predicted)
    assert (crossing.short, crossing.long) == ("tree", "ring")


def test_errors_and_wrong_winners_are_seen():
    slow = record(
        ideal("bcast", ["tree", "ring"], factor=lambda name, n: {"tree": 1, "ring": 9}[name])
    )
    some = compare.cells(slow)
    rings = [cell for cell in some if cell.algorithm == "ring"]
    assert compare.median_error(rings) == pytest.approx(8 / 9)
    pairs = {fastest.n: (fastest, chosen) for fastest, chosen in compare.winners(some)}
    fastest, chosen = pairs[2**22]
    assert (fastest.algorithm, chosen.algorithm) == ("tree", "ring")
    assert not compare.right((fastest, chosen)) and compare.right(pairs[2**10])


def test_a_crossover_that_is_missed():
    here = dict(primitive="bcast", short="tree", long="ring")
    assert compare.Crossover(**here, measured=1000, predicted=1900).found
    assert not compare.Crossover(**here, measured=1000, predicted=2100).found
    assert not compare.Crossover(**here, measured=1000, predicted=math.nan).found
    assert compare.Crossover(**here, measured=math.nan, predicted=math.nan).found


@pytest.mark.parametrize(
    "primitive, share",
    [("bcast", 1), ("allgather", 3 / 4), ("allreduce", 3 / 2), ("alltoall", 3 / 2)],
)
def test_the_bound_is_what_passes_a_link(primitive, share):
    limit = compare.bound(record({}), primitive, 2**20)
    assert limit == pytest.approx((share * 2**20 - 32768) / 2.4e7)


def test_what_is_faster_than_the_bound_is_named():
    limit = 1e6 * compare.bound(record({}), "bcast", 2**20)
    times = {"bcast": {"mpi": {str(2**20): 0.9 * limit}, "ring": {str(2**20): 0.98 * limit}}}
    [found] = compare.too_fast(record(times))
    assert (found.algorithm, found.n) == ("mpi", 2**20) and found.ratio == pytest.approx(0.9)


@pytest.mark.parametrize("primitive", ["bcast", "allgather", "allreduce", "alltoall", "scan"])
def test_nothing_is_predicted_below_the_bound(primitive):
    own = compare.machine_of(MACHINE)
    limit = compare.bound(record({}), primitive, 2**20)
    for name in runs.leading(primitive, 4, 2):
        assert compare.price(primitive, name, 8, 2**20, own) > 0.999 * limit


def test_a_record_is_read_as_it_was_written(tmp_path):
    made = record(ideal("gather", ["naive", "tree"]), table="{}\n")
    path = tmp_path / f"{made.configuration.name}.json"
    made.write(path)
    assert runs.read(path) == made and runs.records(tmp_path) == [made]
    path.write_text(json.dumps({"hosts": 3}))
    with pytest.raises(ArgumentError, match="must be a record of a run"):
        runs.read(path)


def test_the_page_says_what_was_found():
    text = page.page([record(ideal("bcast", ["tree", "ring"]))])
    assert "| 4 hosts, 2 ranks each | 0 % | 0 % | 0 % | 7 of 7 | 7 of 7 | 1.00 |" in text
    assert "1 of 1 are predicted within a factor of 2" in text
    assert "burst 32 KiB | 24.00 MB/s | 22.00 MB/s | 100 us | 2 (shared) | 0.5 | 2001-02-03" in text
    assert "bcast.ring" in text


def test_every_configuration_has_a_command():
    given = program.parser().parse_args(["run"])
    commands = {one.name: program.command(one, given, 60) for one in runs.CONFIGURATIONS}
    box = commands["box-8x2"]
    assert box[box.index("--hosts") + 1] == "8" and box[box.index("--ranks") + 1] == "16"
    assert "collectives.bench.box" not in commands["node-2"]


class Time:
    """A clock that tests put on."""

    now = 0.0

    def __call__(self):
        return self.now


def spend(limit, primitives, sizes, cost):
    """Measure under a budget calls that take as long as `cost` says; repetitions of each group."""
    groups = [(primitive, n) for n in sizes for primitive in primitives]
    clock = Time()
    budget, found = Budget(limit, {group: 1.2 * cost(group[1]) for group in groups}, clock), {}
    for primitive, n in groups:
        if not budget.begin():
            continue
        begin, repetitions = clock.now, 0
        while budget.more(repetitions, clock.now - begin):
            clock.now += cost(n)
            repetitions += 1
        budget.end(primitive)
        found[primitive, n] = repetitions
    return clock.now, found


def test_quick_calls_are_repeated_until_it_is_enough():
    took, found = spend(100, ["bcast", "scan"], runs.SIZES, lambda n: 1e-3)
    assert len(found) == 2 * len(runs.SIZES) and min(found.values()) >= 290
    assert took < 10


@pytest.mark.parametrize("rate", [1e8, 1e7, 2e6, 1.2e6, 1e6, 1e5])
def test_a_limit_is_kept_and_long_vectors_are_left_out_first(rate):
    """All is reached if there is time for each once, and then short vectors have some passes."""
    took, found = spend(60, runs.PRIMITIVES_WITH_DATA, runs.SIZES, lambda n: 1e-3 + n / rate)
    assert took <= 61
    reached = [n for _, n in found]
    assert reached == sorted(reached) and min(found.values()) >= 1
    assert {n for _, n in found} >= {2**10, 2**12, 2**14}
    assert (len(found) == 10 * len(runs.SIZES)) == (rate > 1e6)
    if rate > 1.2e6:
        assert min(times for (_, n), times in found.items() if n < 2**16) >= 5


def test_crossovers_within_a_tie_do_not_count():
    """The winner at an end must be better there than what wins at the other end, beyond a tie."""

    def crossing(at_start, at_end):
        times = {"one": (1.0, at_end), "two": (at_start, 1.0)}
        cells = [
            compare.Cell("bcast", name, n, time, time)
            for name, both in times.items()
            for n, time in zip((1024, 4096), both)
        ]
        return compare.crossovers(cells)

    assert len(crossing(1.2, 1.2)) == 1
    assert not crossing(1.05, 1.2) and not crossing(1.2, 1.05)


def test_what_was_not_reached_is_said_and_left_out():
    times = ideal("bcast", ["tree", "ring"]) | ideal("scan", ["tree", "ring"], runs.SIZES[:2])
    text = page.page([record(times)])
    row = "| 4 hosts, 2 ranks each | scan | 16 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB |"
    assert row in text and "| 4 hosts, 2 ranks each | bcast | 1" not in text
    assert re.search(r"^\| scan.tree \| [^-|]+ \| [^-|]+ \| - \| - \|", text, re.M)
    assert "No run of: 4 hosts, 1 rank each; 8 hosts" in text


def test_what_the_page_says_of_causes_comes_from_the_runs():
    found = record(ideal("bcast", ["tree", "ring"], factor=lambda name, n: 2 if n >= 2**18 else 1))
    text = reading.readings([(found, compare.cells(found))])
    bucket, empty = (text.split(f"### {name}")[1] for name in ("The bucket", "What a barrier"))
    assert "| 4 hosts, 2 ranks each | 0 B | 1.00 | 0.50, too fast |" in bucket
    assert "| 4 hosts, 2 ranks each | 0 % | " in empty and "One node" not in text
    assert " ".join(text.split()).count(reading.READING) == 2
    [row] = reading.by_length([(found, compare.cells(found))])
    assert row[1:] == ["1.00", "1.00", "0.50, too fast"]


def test_two_times_of_one_algorithm_show_the_noise():
    """What `auto` took by the table made there was measured by its name, too."""
    names = ["tree", "ring"]
    times = ideal("bcast", names)
    times["bcast"][runs.MADE] = {n: 1.2 * time for n, time in times["bcast"]["ring"].items()}
    own = compare.machine_of(MACHINE)
    table = written(own, own, 2**22, {"bcast": {(4, 2): [(0, "ring")]}}, {})
    found = record(times, table=table)
    assert reading.twice(found, 0, math.inf) == pytest.approx([0.2] * len(runs.SIZES))
    text = page.page([found])
    assert "| 4 hosts, 2 ranks each | 20 % | 20 % |" in text.split("### Noise")[1]
    assert "| 4 hosts, 2 ranks each | made there | " in text


def test_a_run_that_does_not_end_is_ended(tmp_path):
    assert not program.measure([sys.executable, "-c", "import time; time.sleep(60)"], 0.5)
    assert program.measure([sys.executable, "-c", ""], 20)
    assert not program.measure([sys.executable, "-c", "raise SystemExit(3)"], 20)


def test_a_small_run_is_written_and_read(tmp_path):
    path = tmp_path / "node-2.json"
    small = ["20", "--sizes", "1K,64K", "--only", "scan"]
    run = mpirun(2, "-m", "collectives.bench.model.measured", str(path), *small)
    assert run.status == 0, run.err
    found = runs.read(path)
    assert list(found.times) == ["scan"] and "1024" in found.times["scan"]["tree"]
    assert "1024" in found.times["scan"][runs.MADE] and len(reading.twice(found, 0, 2**16)) == 2
    assert "2 ranks on one node" in page.page([found])


def test_names_that_nobody_knows_are_refused(capsys, tmp_path):
    assert program.main(["run", "box-9x9", "--folder", str(tmp_path)]) == 2
    assert "needs names of box-4x1" in capsys.readouterr().err
    assert program.main(["page", "--folder", str(tmp_path)]) == 2
    assert "needs runs" in capsys.readouterr().err


def test_the_stored_runs_can_be_read():
    stored = runs.records(ROOT / runs.FOLDER)
    text = (ROOT / runs.FOLDER).with_suffix(".md").read_text(encoding="utf-8")
    assert stored
    for one in stored:
        assert one.configuration.words in text
        assert set(one.times) == set(runs.PRIMITIVES_WITH_DATA)
        assert compare.machine_of(one.machine).groups(one.configuration.p)


@pytest.mark.slow
def test_the_page_is_up_to_date():
    text = (ROOT / runs.FOLDER).with_suffix(".md").read_text(encoding="utf-8")
    assert text == page.page(runs.records(ROOT / runs.FOLDER))
