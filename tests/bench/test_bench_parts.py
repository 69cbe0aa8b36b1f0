"""The parts of the benchmark that need no MPI."""

import io
import json
import math
import re

import numpy as np
import pytest
from rich.console import Console

from collectives.bench import cli, output, report
from collectives.bench.cells import Cell, cells, groups
from collectives.bench.check import Wrong, first_wrong, refill, relative_error
from collectives.bench.preflight import explained, outlook
from collectives.bench.results import results
from collectives.bench.schedule import ENOUGH, MAXIMUM, Schedule
from collectives.bench.statistics import Summary, marks, outside_interval, summarise
from collectives.choice import ENVIRONMENT, written
from collectives.machine.model import on_nodes
from collectives.study.simulation import count
from collectives.study.tables import CLUSTER, DECLARED
from collectives.units import format_bytes

ON_TWO, ON_ONE = on_nodes([0, 0, 2, 2]), on_nodes([0, 0, 0, 0])


@pytest.mark.parametrize(
    "text, size",
    [("0", 0), ("8", 8), ("1K", 1024), ("32k", 2**15), ("1M", 2**20), ("2GiB", 2**31), ("8B", 8)],
)
def test_sizes_are_powers_of_1024(text, size):
    assert cli.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-8", "1.5K", "K", "8X", "4", "1000 000"])
def test_other_sizes_are_refused(text):
    with pytest.raises(cli.Usage):
        cli.parse_size(text)


@pytest.mark.parametrize(
    "text, names",
    [
        ("ring", ["ring"]),
        ("ring,tree", ["ring", "tree"]),
        ("a:k=1,m=2,b", ["a:k=1,m=2", "b"]),
        ("a,b:k=1", ["a", "b:k=1"]),
    ],
)
def test_names_are_split_outside_of_parameters(text, names):
    assert cli.split_names(text) == names


@pytest.mark.parametrize(
    "arguments",
    [
        ["--budget", "0"],
        ["--budget", "nan"],
        ["--size", "8"],
        ["--algorithm", "ring:segmnts=2", "allreduce"],
        ["--load", "nowhere.py"],
    ],
)
def test_wrong_options_are_refused(arguments):
    with pytest.raises(cli.Usage):
        cli.parse(arguments)


def test_defaults():
    options = cli.parse([])
    assert len(options.primitives) == 11
    assert options.sizes == [8, 2**10, 2**15, 2**20]
    assert options.algorithms == []


def test_builtin_comes_first_and_a_barrier_has_one_row():
    some = cells(["barrier", "bcast"], ["ring", "mpi"], [8, 1024])
    assert [str(cell) for cell in some] == [
        "barrier.mpi",
        "barrier.ring",
        "bcast.mpi 8 B",
        "bcast.ring 8 B",
        "bcast.mpi 1 KiB",
        "bcast.ring 1 KiB",
    ]
    assert groups(some) == [[0, 1], [2, 3], [4, 5]]


def test_a_size_is_what_one_rank_contributes():
    assert Cell("allreduce", "ring", 1024).problem(4).size == 128
    assert Cell("alltoall", "ring", 1024).problem(4).size == 4 * 128


def test_bytes_as_people_write_them():
    written = [format_bytes(size) for size in (0, 8, 1000, 1536, 2**20, 10.25 * 2**20)]
    assert written == ["0 B", "8 B", "1000 B", "1.5 KiB", "1 MiB", "10.2 MiB"]


@pytest.mark.parametrize("n, k", [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (20, 6), (100, 40)])
def test_interval_is_that_of_the_sign_test(n, k):
    """The numbers are those of the usual tables for the median."""
    assert outside_interval(n) == k


def test_interval_covers_the_median_as_often_as_promised():
    draw = np.random.default_rng(1)
    samples = draw.exponential(size=(2000, 15))
    covered = [s.low <= math.log(2) <= s.high for s in map(summarise, samples)]
    assert np.mean(covered) >= 0.95


def test_summary():
    summary = summarise(np.array([3.0, 1, 2, 9, 4, 5, 6, 8, 7]))
    assert (summary.reps, summary.minimum, summary.median, summary.maximum) == (9, 1, 5, 9)
    assert (summary.low, summary.high) == (2, 8)


def around(median, width):
    return Summary(10, 0, median, 0, 0, median - width, median + width)


def test_only_what_the_samples_separate_is_best():
    assert marks({"a": around(10, 1), "b": around(20, 1)}) == {"a": "*"}


def test_what_overlaps_the_best_ties_with_it():
    three = {"a": around(10, 4), "b": around(13, 2), "c": around(30, 5)}
    assert marks(three) == {"a": "~", "b": "~"}


def test_nothing_is_marked_where_there_is_nothing_to_tell():
    assert marks({"a": around(10, 1)}) == {}
    assert marks({"a": around(10, math.inf), "b": around(20, 1)}) == {}


class Clock:
    """A clock that stands still until it is told."""

    now = 0.0

    def __call__(self):
        return self.now


def play(schedule, clock, times, cost=1.0):
    """Run a schedule to its end; the cells of each pass."""
    passes = []
    while order := schedule.next_pass():
        passes.append(order)
        clock.now += cost * len(order)
        schedule.record(order, np.array([times(i) for i in order]), np.full(len(order), cost))
        assert len(passes) < 10_000
    return passes


def test_passes_run_every_cell_once_and_end_in_time():
    clock = Clock()
    schedule = Schedule([[0, 1], [2, 3]], 41.0, seed=3, clock=clock)
    draw = np.random.default_rng(0)
    passes = play(schedule, clock, lambda i: draw.exponential())
    assert all(sorted(order) == [0, 1, 2, 3] for order in passes)
    assert clock.now <= 41 and len(passes) == 10
    assert [len(samples) for samples in schedule.taken().values()] == [9] * 4


def test_cells_to_compare_run_one_after_the_other():
    clock = Clock()
    schedule = Schedule([[0, 1, 2], [3, 4, 5]], 200.0, seed=1, clock=clock)
    draw = np.random.default_rng(0)
    for order in play(schedule, clock, lambda i: draw.exponential()):
        assert {frozenset(order[:3]), frozenset(order[3:])} <= {
            frozenset({0, 1, 2}),
            frozenset({3, 4, 5}),
        }


def test_the_last_pass_holds_what_still_fits():
    clock = Clock()
    schedule = Schedule([[0, 1], [2, 3], [4, 5]], 11.0, seed=1, clock=clock)
    passes = play(schedule, clock, lambda i: 1.0)
    assert [len(order) for order in passes] == [6, 4]


def test_without_time_the_warm_up_counts():
    clock = Clock()
    schedule = Schedule([[0, 1]], 0.5, seed=0, clock=clock)
    play(schedule, clock, lambda i: i + 1.0)
    assert schedule.taken() == {0: [1e6], 1: [2e6]}


def test_a_precise_cell_ends_early_and_a_noisy_one_goes_on():
    clock = Clock()
    schedule = Schedule([[0, 1]], math.inf, seed=0, clock=clock)
    draw = np.random.default_rng(0)
    play(schedule, clock, lambda i: draw.pareto(0.5) if i else 1.0, cost=0.0)
    assert [len(samples) for samples in schedule.taken().values()] == [ENOUGH, MAXIMUM]


def test_order_depends_on_the_seed_alone():
    def order(seed):
        return Schedule([[0, 1, 2], [3, 4], [5, 6, 7]], 9.0, seed, Clock()).next_pass()

    assert order(1) == order(1) != order(2)


def test_first_wrong_element():
    problem = Cell("gather", "ring", 64).problem(4)
    buffers = problem.buffers(0)
    assert first_wrong(problem, 0, buffers).index == 0  # nothing there but the sentinel
    buffers.recv[...] = problem.expected(0)
    assert first_wrong(problem, 0, buffers) is None
    buffers.recv[17] += 1
    wrong = first_wrong(problem, 0, buffers)
    assert str(wrong).startswith("rank 0, index 17: must be ")


def test_refill_takes_back_an_answer():
    problem = Cell("bcast", "ring", 64).problem(2)
    for rank in range(2):
        buffers = problem.buffers(rank)
        buffers.recv[...] = 1
        refill(problem, rank, buffers)
        assert (first_wrong(problem, rank, buffers) is None) == (rank == problem.root)


def test_outlook_counts():
    counts = outlook(Cell("allreduce", "ring", 2**20), 4).counts
    assert (counts.critical_path, counts.messages, counts.bytes_sent_max) == (6, 24, 1.5 * 2**20)
    assert outlook(Cell("allreduce", "mpi", 8), 4).counts is None


def test_outlook_knows_the_nodes(tmp_path, monkeypatch):
    """Of `auto`, whose rows differ by nodes, and of algorithms with two levels."""
    rows = {"allgather": {(1, 4): [(0, "ring")], (2, 2): [(0, "recursive_doubling")]}}
    path = tmp_path / "mine.json"
    path.write_text(written(DECLARED, CLUSTER, 2**30, rows, {}))
    monkeypatch.setenv(ENVIRONMENT, str(path))
    auto = Cell("allgather", "auto", 2**20)
    paths = [outlook(auto, 4, machine).counts.critical_path for machine in (None, ON_TWO, ON_ONE)]
    assert paths == [3, 2, 3]
    two_levels = Cell("allgather", "hierarchical", 64)
    for machine in (ON_TWO, ON_ONE):
        wanted = count("allgather", "hierarchical", p=4, n=256, topology=machine).critical_path
        assert outlook(two_levels, 4, machine).counts.critical_path == wanted
    assert explained(auto, 4, ON_TWO) == "" == explained(two_levels, 4, ON_ONE)


def test_a_lossy_answer_has_a_limit():
    cell = Cell("allreduce", "compressed_ring", 64)
    problem, limit = cell.problem(4), cell.limit(4)
    assert 0 < limit < 4 * 4 * 300_100 / 127
    for exact in ("ring", "auto", "mpi"):
        assert Cell("allreduce", exact, 64).limit(4) is None
    buffers = problem.buffers(0)
    buffers.recv[...] = problem.expected(0)
    buffers.recv[3] += 0.9 * limit
    assert str(first_wrong(problem, 0, buffers)).startswith("rank 0, index 3: must be 6000")
    assert first_wrong(problem, 0, buffers, limit) is None
    assert relative_error(problem, 0, buffers) == pytest.approx(
        0.9 * limit / np.linalg.norm(problem.expected(0))
    )
    for wrong in (1.1 * limit, np.nan):
        buffers.recv[3] = problem.expected(0)[3] + wrong
        told = str(first_wrong(problem, 0, buffers, limit))
        assert re.match(r"rank 0, index 3: must be within .* of 6000\d\d.0, got ", told)
    empty = Cell("allreduce", "compressed_ring", 0).problem(4)
    assert relative_error(empty, 0, empty.buffers(0)) == 0


def test_lossy_cells_tell_their_error():
    found = run_of(algorithms=["compressed_ring"], errors={1: 0.0, 3: 0.00123})
    assert [result.status for result in found][:4] == ["ok", "lossy", "ok", "lossy"]
    assert report.notes(found) == [
        "lossy allreduce.compressed_ring: relative error 0.0e+00 (8 B), 1.2e-03 (1 KiB)"
    ]
    assert " 2 right within their limit, 0 wrong" in report.footer(found, 1.0)[0]
    assert output.row(found[3], 4)["relative_error"] == 0.00123
    assert output.row(found[0], 4)["relative_error"] is None


def run_of(algorithms=("naive", "ring"), sizes=(8, 1024, 2**15, 2**20), wrong=None, errors=None):
    """Results of a run that never was."""
    some = cells(["allreduce", "barrier"], list(algorithms), list(sizes))
    draw = np.random.default_rng(0)
    samples = {i: (draw.exponential(size=20) * 10_000).tolist() for i in range(len(some))}
    return results(some, [outlook(cell, 4) for cell in some], samples, wrong or {}, errors or {})


def drawn(found, width):
    """The tables as text."""
    out = Console(file=io.StringIO(), width=width, force_terminal=False, highlight=False)
    for primitive in ("allreduce", "barrier"):
        mine = [result for result in found if result.cell.primitive == primitive]
        for table in report.tables(primitive, mine, out):
            out.print(table)
    return out.file.getvalue()


@pytest.mark.parametrize(
    "width, page, limit, tables",
    [(80, 100, 80, 2), (120, 80, 120, 1), (report.PLAIN, 80, 80, 2), (report.PLAIN, 100, 100, 1)],
)
def test_tables_fit_and_nothing_is_cut_off(width, page, limit, tables, monkeypatch):
    """Into the terminal; where nobody looks, onto a page."""
    monkeypatch.setattr(report, "PAGE", page)
    text = drawn(run_of(), width)
    assert text.count("allreduce") == tables
    assert max(map(len, text.splitlines())) <= limit
    assert "…" not in text
    for word in ("8 B", "1 KiB", "32 KiB", "1 MiB", "median", "messages", "mpi", "naive", "ring"):
        assert word in text


@pytest.mark.parametrize("width, between", [(100, " "), (63, r" .*\n  ")])
def test_two_names_take_two_lines_where_one_is_too_long(width, between):
    text = drawn(run_of(["recursive_doubling"], [8]), width)
    assert re.search(rf"^recursive_doubling{between}\(dissemination\) ", text, re.M)


def test_many_sizes_make_many_tables():
    text = drawn(run_of(sizes=[8 * 2**k for k in range(20)]), 100)
    assert max(map(len, text.splitlines())) <= 100
    assert "4 MiB" in text


def test_wrong_cells_have_no_times():
    found = run_of(wrong={2: Wrong("must be 12.0, got 11.0", 2, 17)})
    assert found[2].cell == Cell("allreduce", "ring", 8)
    assert found[2].summary is None and found[2].status == "wrong"
    assert report.notes(found) == [
        "WRONG allreduce.ring 8 B: rank 2, index 17: must be 12.0, got 11.0"
    ]
    assert "1 wrong" in report.footer(found, 1.0)[0]


def test_footer_counts_the_clear_winners():
    assert "fastest beyond doubt in 0 of 5 comparisons" in report.footer(run_of(), 1.0)[1]


def test_sizes_with_one_reason_share_a_line():
    wrong = {i: Wrong("it is not right") for i in (2, 5)}
    assert report.notes(run_of(wrong=wrong)) == ["WRONG allreduce.ring 8 B, 1 KiB: it is not right"]


def test_json_file_is_replaced_whole(tmp_path):
    path = tmp_path / "run.json"
    output.write(str(path), {"reps": 3})
    output.write(str(path), {"reps": 4})
    assert json.loads(path.read_text()) == {"reps": 4}
    with pytest.raises(ValueError):
        output.write(str(path), {"reps": math.nan})
    assert json.loads(path.read_text()) == {"reps": 4}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_rows_are_plain_json():
    for result in run_of(wrong={1: Wrong("no")}):
        row = json.loads(json.dumps(output.row(result, 4), allow_nan=False))
        assert row["ranks"] == 4 and row["status"] == result.status
