"""The simulator held against runs: what is compared, and the page."""

import json
import math

import pytest
from launch import ROOT

from collectives.bench.model import __main__ as program
from collectives.bench.model import compare, page, runs
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
    for name in runs.leading(primitive, nodes=True):
        assert compare.price(primitive, name, 8, 2**20, own) > 0.999 * limit


def test_a_record_is_read_as_it_was_written(tmp_path):
    written = record(ideal("gather", ["naive", "tree"]))
    path = tmp_path / f"{written.configuration.name}.json"
    written.write(path)
    assert runs.read(path) == written and runs.records(tmp_path) == [written]
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
    commands = {one.name: program.command(one, given) for one in runs.CONFIGURATIONS}
    box = commands["box-8x2"]
    assert box[box.index("--hosts") + 1] == "8" and box[box.index("--ranks") + 1] == "16"
    assert "collectives.bench.box" not in commands["node-2"]


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
