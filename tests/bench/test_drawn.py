"""Tables of choices that are drawn from measured times."""

import re

from launch import mpirun

from collectives.bench.drawn import drawn, ranges
from collectives.choice import ENVIRONMENT, parse, read

SIZES = [8, 512, 32768]


def test_noise_does_not_change_the_choice():
    times = {"tree": [1.0, 1.04, 3.0], "ring": [2.0, 1.0, 1.0]}
    assert ranges(times, SIZES) == [(0, "tree"), (4096, "ring")]
    assert ranges({"tree": [5.0], "ring": [4.0]}, [0]) == [(0, "ring")]


def test_rows_of_other_ranks_stay(tmp_path):
    path = tmp_path / "mine.json"
    bcast = {"tree": [1.0, 2.0, 9.0], "ring": [2.0, 2.0, 3.0]}
    path.write_text(drawn(path, (1, 2), {"bcast": bcast}, {"bcast": SIZES}))
    turned = {"tree": bcast["ring"], "ring": bcast["tree"]}
    path.write_text(drawn(path, (4, 2), {"bcast": turned}, {"bcast": SIZES}))
    found = read(str(path))
    assert [found.spec("bcast", 2, n) for n in SIZES] == ["tree", "tree", "ring"]
    assert [found.spec("bcast", 8, n, nodes=4) for n in SIZES] == ["ring", "ring", "tree"]
    assert found.longest == 32768


def test_operators_that_do_not_commute_have_rows_of_what_keeps_the_order(tmp_path):
    times = {"ring": [1.0], "circulant": [1.5], "tree": [2.0], "recursive_doubling": [3.0]}
    text = drawn(tmp_path / "none.json", (1, 4), {"reduce_scatter": times}, {"reduce_scatter": [8]})
    found = parse("mine", text)
    assert found.spec("reduce_scatter", 4, 8) == "ring"
    assert found.spec("reduce_scatter", 4, 8, commutative=False) == "tree"


def test_the_bench_writes_a_table_that_auto_takes(tmp_path):
    path = tmp_path / "mine.json"
    words = ["scatter", "barrier", "--seconds", "0.01", "--write", str(path)]
    run = mpirun(2, "-m", "collectives.bench.choice", *words)
    assert run.status == 0, run.err
    assert f"{ENVIRONMENT}={path}" in run.out
    found = read(str(path))
    assert set(found.any_order) == {"scatter", "barrier"} and found.longest == 2**22
    assert re.search(r"^auto / fastest +1\.\d", run.out, re.M)


def test_a_file_that_is_no_table_is_not_overwritten(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("{}")
    run = mpirun(2, "-m", "collectives.bench.choice", "scatter", "--write", str(path))
    assert run.status == 2 and "needs a table of choices" in run.err
    assert path.read_text() == "{}"
