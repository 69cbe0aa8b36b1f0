"""The comparison of two checkouts: what it reads and what it makes of it. Runs no MPI."""

import pytest

from collectives.bench.compare import main, read, report

TABLE = """\
collectives.bench 0.1.0: 2 ranks on 1 host, 2 cores, load 0.34

                                  built-in        first        moved       cached
allreduce                  8 B     3.50 us       10.00x        2.00x        1.08x
allreduce               64 KiB    52.00 us        2.50x        0.75x        0.25x
barrier                            4.00 us       12.25x        3.00x        0.50x
geometric mean                                   10.12x        2.31x        0.57x
worst at 8 B                                     35.18x        5.45x        1.08x
"""


def test_the_table_of_forms_in_microseconds():
    times = read(TABLE)
    assert len(times) == 9
    assert times["allreduce 8 B", "first"] == pytest.approx(35)
    assert times["allreduce 64 KiB", "cached"] == pytest.approx(13)
    assert times["barrier", "moved"] == pytest.approx(12)


def test_a_run_without_a_table():
    with pytest.raises(ValueError, match="got none"):
        read("mpirun was killed\n")


def runs(*times):
    return [{("a", "first"): x, ("a", "cached"): y, ("b", "cached"): z} for x, y, z in times]


def test_the_minima_are_compared():
    lines = report(runs((10, 4, 9), (12, 5, 9)), runs((20, 1, 9), (5, 8, 9)))
    assert lines[0] == "3 cells, 2 repetitions, new time / old time"
    assert [line.split() for line in lines[1:4]] == [
        ["first", "0.500"],
        ["cached", "0.500"],  # of 1/4 and 1
        ["all", "0.500", "geometric", "mean"],
    ]
    assert lines[4:] == ["no cell is slower by 10% in every repetition"]


def test_only_what_is_always_slower_is_named():
    lines = report(runs((10, 10, 10), (10, 10, 10)), runs((12, 20, 10.9), (12.5, 10, 12)))
    assert lines[4:] == ["slower: a, first: 1.20 (10.00 us, now 12.00 us)"]


def test_only_cells_of_both_are_compared():
    [old], [new] = runs((1, 2, 3)), runs((2, 4, 3))
    del new["b", "cached"]
    assert report([old], [new])[0].startswith("2 cells")
    new["a", "first"] = 0.0  # too short for the two digits of the table
    assert report([old], [new])[0].startswith("1 cells")
    with pytest.raises(ValueError, match="the same names"):
        report([old], [{("c", "first"): 1.0}])


def test_what_is_no_checkout(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(tmp_path)])
    assert "a checkout with bench/forms.py is needed" in capsys.readouterr().err
