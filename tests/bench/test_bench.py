"""The benchmark as its users meet it: under mpirun, with right and wrong algorithms."""

import json
import re
from pathlib import Path

import pytest
from launch import mpirun

from collectives.study.recorded import Run

HERE = Path(__file__).parent
FOUR = ("naive", "ring", "recursive_doubling", "tree")

FAULTY = '''
from collectives.algorithms import allreduce
from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("allreduce", commutative=True)
def mine(rank, p, sendbuf, recvbuf):
    """Leaves one element of rank 2 as it was."""
    yield from allreduce.ring(rank, p, sendbuf, recvbuf)
    if rank == 2:
        yield copy(sendbuf[17:18], recvbuf[17:18])


@algorithm("allreduce")
def disorderly(rank, p, sendbuf, recvbuf):
    """Right for a sum."""
    yield from allreduce.ring(rank, p, sendbuf, recvbuf)


@algorithm("allreduce")
def stuck(rank, p, sendbuf, recvbuf):
    """Everybody waits for the rank to the right."""
    yield copy(sendbuf, recvbuf)
    yield recv(recvbuf, (rank + 1) % p)
    yield send(recvbuf, (rank - 1) % p)


@algorithm("allreduce")
def bug(rank, p, sendbuf, recvbuf):
    """Fails by itself."""
    yield copy(sendbuf, recvbuf)
    raise IndexError("no such block")


@algorithm("allreduce", power_of_two=True, commutative=True)
def picky(rank, p, sendbuf, recvbuf):
    """Has a restriction."""
    yield from allreduce.ring(rank, p, sendbuf, recvbuf)


@algorithm("barrier")
def open_door(rank, p):
    """Holds nobody back."""
    yield []
'''

FAILS_ON_RANK_1 = """
from mpi4py import MPI

if MPI.COMM_WORLD.rank == 1:
    raise LookupError("only here")

from collectives.algorithms.language import algorithm


@algorithm("barrier")
def none(rank, p):
    yield []
"""


def bench(ranks, *arguments, module="collectives.bench", limit=60):
    """Run the benchmark under mpirun."""
    return mpirun(ranks, "-m", module, *arguments, limit=limit, COLUMNS="200")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run with nothing wrong, and its JSON file."""
    path = tmp_path_factory.mktemp("bench") / "run.json"
    run = bench(4, "allreduce", "barrier", "--sizes", "8,1K", "--budget", "2", "--json", path)
    run.json = path.read_text() if path.exists() else ""
    return run


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A run with all kinds of faulty algorithms, on three ranks."""
    path = tmp_path_factory.mktemp("bench") / "faulty.py"
    path.write_text(FAULTY)
    arguments = ["--load", path, "--sizes", "8,1K,32K", "--budget", "2", "allreduce", "barrier"]
    return bench(3, *arguments)


def rows(out, primitive):
    """The table of a primitive: the words of each row by algorithm, without (other names)."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{primitive} "))
    body = []
    for line in lines[start + 1 :]:
        if not line:
            break
        body.append(re.sub(r" \(\w+\)", "", line).split())
    return {words[0]: words[1:] for words in body}


def test_every_algorithm_and_the_builtin_have_a_row(good):
    assert good.status == 0, good.err
    for primitive, times in (("allreduce", 4), ("barrier", 2)):
        table = rows(good.out, primitive)
        assert set(table) >= {"mpi", *FOUR}
        for words in table.values():
            assert all(float(word.lstrip("*~")) > 0 for word in words[:times])
        assert table["mpi"][times:] == ["-", "-", "-"]
    assert rows(good.out, "allreduce")["ring"][4:] == ["6", "24", "1.5", "KiB"]
    assert re.search(r"^(\d+) cells: \1 right, 0 wrong, 0 n/a;", good.out, re.MULTILINE)


def test_output_is_plain_where_nobody_looks(good):
    assert "\x1b" not in good.out + good.err
    assert "…" not in good.out
    assert not good.err


def test_json_holds_every_cell_and_repetition(good):
    document = json.loads(good.json)
    assert document["schema"] == 1
    assert document["run"]["seed"] == 0
    assert document["system"]["hosts"] and document["system"]["cores"] >= 1
    found = {(row["primitive"], row["algorithm"], row["size_bytes"]) for row in document["results"]}
    wanted = {("allreduce", name, size) for name in ("mpi", *FOUR) for size in (8, 1024)}
    wanted |= {("barrier", name, 0) for name in ("mpi", *FOUR)}
    assert found >= wanted
    for row in document["results"]:
        assert row["status"] == "ok" and row["wrong"] is None
        assert row["reps"] == len(row["samples_us"]) > 0
        assert row["min_us"] <= row["median_us"] <= row["max_us"]
    assert document["summary"]["exit"] == 0


def test_calls_can_be_recorded(tmp_path):
    what = "barrier", "--algorithm", "ring", "--budget", "1", "--trace", tmp_path
    assert bench(2, *what).status == 0
    run = Run(tmp_path)
    assert len(run.calls) > 3 and {call.title for call in run.calls} == {"barrier.ring"}


def test_wrong_result_is_named_as_by_check(bad):
    assert bad.status == 1
    said = "WRONG allreduce.mine 1 KiB, 32 KiB: rank 2 of 3: element 17 = {2}: 0 missing, 1 missing"
    assert f"{said}, last touched in round " in bad.out
    mine = rows(bad.out, "allreduce")["mine"]
    assert mine[2:4] == ["WRONG", "WRONG"] and float(mine[0]) > 0  # one element is no index 17


def test_rank_order_is_held_as_by_check(bad):
    said = "WRONG allreduce.disorderly 8 B, 1 KiB, 32 KiB: rank 0 of 3: element 2 = 1 op 2 op 0: "
    assert f"{said}not in rank order, last touched in round 3 (" in bad.out
    assert "or declare commutative=True" in bad.out


def test_deadlock_is_reported_instead_of_run(bad):
    line = next(x for x in bad.out.splitlines() if x.startswith("WRONG allreduce.stuck"))
    assert "8 B, 1 KiB, 32 KiB: deadlock: rank 0 waits in recv from 1" in line
    assert "faulty.py:24" in line


def test_failing_algorithm_is_reported_with_its_line(bad):
    said = "WRONG allreduce.bug 8 B, 1 KiB, 32 KiB: rank 0 of 3: an algorithm must come to its end"
    assert (
        f"{said}, got IndexError: no such block (" in bad.out
        and "faulty.py:32, round 2); " in bad.out
    )


def test_barrier_that_holds_nobody_back_is_wrong(bad):
    assert "WRONG barrier.open_door: rank 0 of 3 leaves and has not heard of 1, 2; " in bad.out


def test_restriction_is_given_as_the_reason(bad):
    assert rows(bad.out, "allreduce")["picky"][:3] == ["n/a"] * 3
    said = "n/a allreduce.picky 8 B, 1 KiB, 32 KiB: needs a power-of-two number of ranks, got 3"
    assert said in bad.out


def test_the_rest_is_timed_all_the_same(bad):
    table = rows(bad.out, "allreduce")
    for name in ("mpi", *FOUR):
        assert float(table[name][0]) > 0
    assert re.search(r"^\d+ cells: \d+ right, 12 wrong, 3 n/a;", bad.out, re.MULTILINE)


def test_file_that_fails_on_one_rank_ends_all(tmp_path):
    path = tmp_path / "fails.py"
    path.write_text(FAILS_ON_RANK_1)
    run = bench(3, "barrier", "--load", path, limit=30)
    assert run.status == 2
    assert re.search(r"fails\.py:5: a file .* needed, got LookupError: only here; look", run.err)
    assert run.err.count("LookupError: only here") == 1
    assert not run.out.strip()


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["alreduce"], "a primitive is needed, got 'alreduce'"),
        (["--algorithm", "rign"], "no primitive has an algorithm 'rign'"),
    ],
)
def test_wrong_usage_is_told_once(arguments, complaint):
    run = bench(2, *arguments, limit=30)
    assert run.status == 2
    assert run.err.count("usage:") == run.err.count(complaint) == 1
    assert not run.out.strip()


def test_help_is_printed_once():
    run = bench(2, "--help", limit=30)
    assert run.status == 0
    assert run.out.count("usage:") == 1


def test_budget_that_is_too_small_is_admitted():
    run = bench(3, "scan", "bcast", "--sizes", "0,24", "--budget", "0.1", limit=30)
    assert run.status == 0, run.err
    assert re.search(r"too small: \d+ cells have fewer than 6 repetitions", run.out)


@pytest.mark.slow
def test_lossy_algorithms_are_right_within_their_limit(tmp_path):
    path = tmp_path / "run.json"
    names = "compressed_ring,compressed_halving,sparse_oneshot:ratio=1"
    sizes = ["--sizes", "0,8,1K", "--budget", "2", "--json", path]
    run = bench(3, "allreduce", "-a", names, *sizes)
    assert run.status == 0, run.out + run.err
    assert re.search(r"^12 cells: 3 right, 9 right within their limit, 0 wrong", run.out, re.M)
    shown = re.findall(
        r"^lossy allreduce\.(\S+): relative error .* (\S+) \(1 KiB\)$", run.out, re.M
    )
    errors = {name: float(error) for name, error in shown}
    assert 0 < errors["compressed_halving"] < 0.02 and 0 < errors["compressed_ring"] < 0.02
    assert errors["sparse_oneshot:ratio=1"] == 0
    told = json.loads(path.read_text())["results"]
    assert {row["status"] for row in told} == {"ok", "lossy"}


@pytest.mark.slow
def test_forms_beside_the_built_in():
    options = ("--sizes", "8,64K", "--seconds", "0.05")
    run = bench(2, "barrier", "exscan", *options, module="collectives.bench.forms", limit=30)
    assert run.status == 0, run.err
    assert "built-in" in run.out and "persistent" in run.out
    rows = re.findall(
        r"^(barrier|exscan|geometric mean|worst at)\b.*?((?: +[\d.]+x)+)$", run.out, re.M
    )
    assert [name for name, _ in rows] == [
        *("barrier", "exscan", "exscan"),
        *("geometric mean", "geometric mean", "worst at"),
    ]
    ratios = [[float(cell[:-1]) for cell in cells.split()] for _, cells in rows]
    assert all(len(row) == 5 and min(row) > 0 for row in ratios)
    short, long = ratios[1], ratios[2]
    assert ratios[5] == [max(column) for column in zip(ratios[0], short)]
    assert ratios[4] == long
    options = ("--sizes", "8", "--seconds", "0.05", "--against", "same")
    same = bench(3, "allgather", *options, module="collectives.bench.forms", limit=30)
    assert same.status == 0 and same.out.count("x") > 5, same.err
    wrong = bench(1, "rings", module="collectives.bench.forms", limit=30)
    assert wrong.status != 0 and "a primitive is needed, got rings" in wrong.err


def test_overhead_puts_both_figures_side_by_side():
    run = bench(2, "0.1", module="collectives.bench.overhead", limit=30)
    assert run.status == 0, run.err
    assert "library  persistent  by hand" in run.out
    assert (
        len([line for line in run.out.splitlines() if line.split()[1:2] in (["B"], ["KiB"])]) == 6
    )


@pytest.mark.slow
def test_the_price_of_reproducible_sums():
    run = bench(2, "0.1", module="collectives.bench.reproducible", limit=60)
    assert run.status == 0, run.err
    lines = [line.split() for line in run.out.splitlines()]
    ratios = [(line[4], line[7]) for line in lines if line[1:2] in (["B"], ["KiB"], ["MiB"])]
    assert len(ratios) == 5 and all(float(ratio) > 0 for pair in ratios for ratio in pair)
