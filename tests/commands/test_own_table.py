"""A table for one's own machine: from a measured file to what auto takes there."""

import json

import pytest

from collectives.__main__ import main
from collectives.catalogue import find
from collectives.choice import ENVIRONMENT, choices, decide
from collectives.study.tables import SMALLEST

# As `collectives.bench.parameters --write` writes it.
MEASURED = """\
about = "measured by collectives.bench.parameters"
topology = "nodes:2x2"
latency = "60 us"
overhead = "70 us"
rate = "24 MB/s"
nic = "24 MB/s"
burst = "32K"
near_latency = "0 us"
near_overhead = "3 us"
near_rate = "9000 MB/s"
memory = "15000 MB/s"
eager = 16384
gamma = "0.03 ns/B"
delta = "0.03 ns/B"
"""


def said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_from_a_measured_file_to_auto(tmp_path, monkeypatch, capsys):
    cluster, mine = tmp_path / "cluster.toml", tmp_path / "mine.json"
    cluster.write_text(MEASURED)
    words = "table", "allreduce", "bcast", "--topology", str(cluster), "--longest", "1M"
    assert said(capsys, *words, "--write", str(mine)) == f"{ENVIRONMENT}={mine}\n"
    monkeypatch.setenv(ENVIRONMENT, str(mine))
    assert set(choices().any_order["allreduce"]) == {(1, 2), (2, 1), (2, 2)}
    pick = choices().spec("allreduce", 4, 2**20, nodes=2)
    table = said(capsys, "table", "allreduce")
    assert "Made for vectors of at most 1 MiB" in table and f"\n2 x 2  {table_row(4)}" in table
    assert f"\n2 x 2  {table_row(4)}" in said(capsys, "table", "allreduce", "-p", "4")
    why = said(capsys, "why", "allreduce", "-p", "4", "-n", "1M")
    assert why.startswith(f"allreduce, p = 4, n = 1 MiB: {pick}\n")
    assert f"table mine.json, row p = 2 x 2: {table_row(4)}" in why and "o 70 us" in why
    chosen, _ = decide(*find("allreduce", "auto"), 4, 2**20, nodes=2)
    assert chosen.name == pick.partition(":")[0]
    plan = "plan", "allreduce", "auto", "-n", "1M"
    assert f"allreduce.{chosen.name}: " in said(capsys, *plan, "--topology", str(cluster))
    assert "all ranks are on one node" in said(capsys, *plan, "-p", "2")
    assert main(["why", "allreduce", "-p", "5"]) == 2
    assert "must be at most 4, the places of nodes:2x2, got 5" in capsys.readouterr().err


def table_row(p):
    """What the table says, in words."""
    _, ranges = choices().row("allreduce", p, nodes=2)
    first, *others = ranges
    return ", ".join([first[1], *(f"{name} from {a >> 10} KiB" for a, name in others)])


def test_estimates_are_said(tmp_path, monkeypatch, capsys):
    words = "table", "bcast", "-p", "8", "--topology", "nodes:4x2,nic=25G,latency=10us"
    line = "Some prices are estimates"
    assert line in said(capsys, *words) and line in said(capsys, "table", "bcast")
    assert line not in said(capsys, *words, "--longest", "64K")
    assert "estimated" in json.loads(said(capsys, *words, "--write", "-"))


@pytest.mark.parametrize("longest", ["0", "7"])
def test_a_table_for_nothing_is_refused(longest, capsys):
    assert main(["table", "bcast", "-p", "2", "--alpha", "1", "--longest", longest]) == 2
    assert f"from {SMALLEST} on, got {longest}" in capsys.readouterr().err
    assert main(["table", "bcast", "--longest", "4M"]) == 2
    assert "got neither a machine nor --write" in capsys.readouterr().err
