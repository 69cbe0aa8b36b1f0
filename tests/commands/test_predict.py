"""`predict`, and the other commands with a topology: what they print, and what they refuse."""

import csv
import json
import os
import re
from pathlib import Path

import pytest

from collectives import simulate
from collectives.__main__ import main
from collectives.algorithms import REGISTRY
from collectives.choice import parse
from collectives.errors import CollectiveError
from collectives.study.tables import TIE
from collectives.units import seconds

NODES = "nodes:4x4,nic=25G,latency=10us"


def said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_all_are_shown(capsys):
    text = said(capsys, "predict", "allreduce", "-n", "1M", "--topology", NODES)
    lines = text.splitlines()
    assert lines[0] == "allreduce, p = 16, n = 1 MiB"
    assert lines[1].startswith("machine  nodes:4x4, 16 ranks on 4 nodes, at most 4 on each")
    assert "bound    503 us: 1.5 MiB through the NIC of a node, at 25 Gbit/s" in lines
    shown = [line.split()[0] for line in lines if line]
    assert set(REGISTRY["allreduce"]) <= set(shown)
    assert "NIC of node 0, out, 66%" in text and "lossy: results are near" in text
    assert all(len(line.rstrip()) <= 100 for line in lines)


def test_a_flat_machine(capsys):
    text = said(capsys, "predict", "bcast.tree", "-p", "8", "--alpha", "1e-6")
    assert "ports of ranks, " in text and text.splitlines()[1].startswith("machine  8 ")


def test_loaded_algorithms_are_among_them(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from collectives.algorithms.language import *\n\n\n"
        '@algorithm("barrier")\ndef mine(rank, p):\n    """A ring of signals."""\n'
        "    yield send(NOTHING, (rank + 1) % p), recv(NOTHING, (rank - 1) % p)\n"
    )
    try:
        text = said(capsys, "predict", "barrier", "--topology", NODES, "--load", str(path))
    finally:
        REGISTRY["barrier"].pop("mine", None)
    assert any(line.startswith("mine ") for line in text.splitlines())


@pytest.mark.parametrize(
    "words, other",
    [
        ("predict allreduce ring tree -n 8K", "predict allreduce -n 8K ring tree"),
        ("predict bcast.ring tree -p 4 -n 8", "predict -p 4 bcast.ring -n 8 tree"),
        ("why allreduce generalised -p 4 --in-order", "why -p 4 allreduce --in-order generalised"),
        ("count bcast.tree scan -p 4", "count bcast.tree -p 4 scan"),
        ("list bcast scan --bounds -p 4", "list bcast --bounds -p 4 scan"),
        ("table bcast scan -p 4", "table bcast -p 4 scan"),
        ("plan bcast tree -p 3 --rank 1", "plan bcast -p 3 tree --rank 1"),
        ("prove bcast.tree bcast.ring --also 3", "prove bcast.tree --also 3 -- bcast.ring"),
        ("explain bcast tree -p 3", "explain bcast -p 3 tree"),
    ],
)
def test_words_and_options_in_any_order(words, other, capsys):
    assert said(capsys, *words.split()) == said(capsys, *other.split())


def test_unknown_options_among_words_are_refused(capsys):
    for words in ("predict allreduce --what 8 ring", "count bcast --what"):
        with pytest.raises(SystemExit):
            main(words.split())
        assert "unrecognized arguments: --" in capsys.readouterr().err


def test_tuned(capsys):
    words = "predict", "bcast.ring", "-n", "4M", "--topology", "nodes:8x1,nic=25G,latency=100us"
    assert "ring:segments=" in said(capsys, *words, "--tune")
    assert "ring:segments=" not in said(capsys, *words)


def test_a_sweep_and_its_files(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    files = {form: tmp_path / f"sweep.{form}" for form in ("json", "csv", "svg")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    sweep = "--ranks", "4:8", "--sizes", "64:4M", "--topology", "nodes:x4,nic=25G,latency=10us"
    text = said(capsys, "predict", "scan", "ring", "tree", *sweep, *options)
    rows = [line.split()[:4] for line in text.splitlines() if line.split()[:1] in (["4"], ["8"])]
    assert len(rows) == 2 * 17 and rows[0] == ["4", "64", "B", "ring"]
    cells = json.loads(files["json"].read_text())
    assert len(cells) == 2 * 17 * 2 and {cell["how"] for cell in cells} == {"simulated"}
    with files["csv"].open() as file:
        again = list(csv.DictReader(file))
    assert [float(row["seconds"]) for row in again] == [cell["seconds"] for cell in cells]
    svg = files["svg"].read_text()
    assert "p = 8, n = 4 MiB: ring" in svg and "scan: the fastest algorithm" in svg


def test_no_command_contradicts_another(capsys, tmp_path):
    path = tmp_path / "all.json"
    words = "allgather", "-n", "1M", "--topology", NODES
    said(capsys, "predict", *words, "--json", str(path))
    cells = {cell["algorithm"]: cell for cell in json.loads(path.read_text())}
    why = said(capsys, "why", *words).splitlines()
    pick = why[0].rpartition(": ")[2]
    assert cells[pick]["seconds"] < TIE * min(cell["seconds"] for cell in cells.values())
    assert f"{1e6 * cells[pick]['seconds']:.3g} us" in "\n".join(why)
    table = "table", "allgather", "-p", "16", "--topology", NODES
    assert "Made for vectors of at most 4 GiB" in said(capsys, *table)
    made = parse("made", said(capsys, *table, "--write", "-"))
    assert made.spec("allgather", 16, 2**20, nodes=4) == pick
    listed = said(capsys, "list", "allgather", "--bounds", "-n", "1M", "--topology", NODES)
    row = next(line.split() for line in listed.splitlines() if line.startswith(pick))
    assert f"{cells[pick]['ratio']:.2f}" in row


@pytest.mark.parametrize(
    "primitive, topology, p",
    [
        ("bcast", "nodes:3x4,nic=10G,latency=5us,placement=cyclic", 11),
        ("barrier", "nodes:4x2,nic=25G,latency=10us", 8),
        ("scan", "fattree:3x2x1,nic=10G,latency=2us,placement=random:1", 6),
        ("reduce_scatter", "nodes:2x4,nic=10G,nics=2,overhead=1us,gap=1us,eager=4K", 7),
        ("alltoall", "torus:2x3,nic=10G,delta=0.1ns", 6),
    ],
)
def test_no_command_contradicts_another_elsewhere(primitive, topology, p, capsys):
    """Nor what `simulate` says: times, bounds, how far each is from it, why there is no time."""
    words = primitive, "-p", str(p), "-n", "48K", "--topology", topology
    cells = json.loads(said(capsys, "predict", *words, "--json", "-"))
    why = said(capsys, "why", *words)
    listed = said(capsys, "list", primitive, "--bounds", *words[1:]).splitlines()
    assert f"bound   {seconds(cells[0]['bound'])}: " in why
    assert any(line.startswith(f"bound: {seconds(cells[0]['bound'])}, ") for line in listed)
    for cell in cells:
        row = next((line.split() for line in listed if line.split()[:1] == [cell["algorithm"]]), [])
        if cell["seconds"] is None:
            with pytest.raises(CollectiveError) as caught:
                simulate(primitive, cell["algorithm"], p=p, n=cell["n"], topology=topology)
            assert cell["reason"] in str(caught.value)
            continue
        run = simulate(primitive, cell["algorithm"], p=p, n=cell["n"], topology=topology)
        assert cell["seconds"] == pytest.approx(run.time, rel=1e-9)
        if cell["ratio"] is not None:
            assert f"{cell['ratio']:.2f}" in row
    assert any(f" {seconds(cell['seconds'])}" in why for cell in cells if cell["seconds"])


def test_count_takes_nodes(capsys):
    text = said(capsys, "count", "bcast.hierarchical", "-n", "8", "--topology", NODES)
    assert "bcast, p = 16, n = 8 B" in text and " 15 " in text


@pytest.mark.parametrize(
    "words, error",
    [
        (["bcast", "-p", "17", "--topology", NODES], "p must be at most 16"),
        (["bcast", "--topology", NODES, "--alpha", "1"], "got both"),
        (["brodcast"], "choose from bcast"),
        (["bcast.rign"], "choose from ring"),
        (["bcast", "--ranks", "2:4", "--tune"], "a sweep takes defaults, got --tune"),
        (["bcast", "--ranks", "2:4", "-p", "3"], "one of -p and --ranks is needed, got both"),
        (["bcast", "--ranks", "2:32", "--topology", NODES], "p must be at most 16"),
        (["bcast", "--svg", "a.svg"], "a picture shows a sweep"),
        (["bcast", "--json", "/nowhere/a.json"], "--json"),
    ],
)
def test_what_is_refused(words, error, capsys):
    assert main(["predict", *words]) == 2
    text = capsys.readouterr().err
    assert error in text and text.count("\n") == 1


@pytest.mark.parametrize(
    "words, error",
    [
        (["--ranks", "8:4"], "A:B with 0 < A <= B is needed, got '8:4'"),
        (["--ranks", "x"], "a number of ranks from 1 on is needed, got 'x'"),
        (["--sizes", "0:4"], "A:B with 0 < A <= B is needed, got '0:4'"),
        (["--sizes", "1X"], "a size such as 8, 32K or 1M"),
        (["--topology", "nodes:4x4,nic=0"], "nic must be a rate above 0"),
        (["--topology", "nodes:4x4,nick=1G"], "key must be one of topology, latency"),
        (["-n", "-3"], "a size such as"),
    ],
)
def test_what_is_no_option(words, error, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "bcast", *words])
    assert error in capsys.readouterr().err


def test_the_page_has_the_fields_of_json(capsys):
    assert main(["predict", "allreduce", "ring", "--topology", NODES, "--json", "-"]) == 0
    [cell] = json.loads(capsys.readouterr().out)
    page = (Path(__file__).parents[2] / "docs" / "predict.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(cell)
    assert {name for name, unit in rows if unit == "seconds"} == {"bound", "seconds"}
    assert sum(cell[name] for name, unit in rows if "share" in unit) == pytest.approx(1)
    assert cell["ratio"] == pytest.approx(cell["seconds"] / cell["bound"])


def test_a_dash_is_stdout(capsysbinary):
    """Then nothing else is printed there."""
    for words, first in (
        (("predict", "bcast", "tree", "-p", "4", "--json", "-"), b'[\n {"primitive": "bcast"'),
        (("predict", "bcast", "tree", "-p", "4", "--csv", "-"), b"primitive,p,n,bound,"),
        (("explain", "bcast", "tree", "-p", "3", "--json", "-"), b'{"format"'),
        (("explain", "bcast", "tree", "-p", "3", "--html", "-"), b"<!doctype html>"),
        (("explain", "bcast", "tree", "-p", "3", "--svg", "-"), b"<?xml"),
        (("table", "bcast", "-p", "4", "--write", "-"), b"{"),
    ):
        assert main(list(words)) == 0
        out = capsysbinary.readouterr().out
        assert out.startswith(first) and not os.path.exists("-")
        if first.startswith((b"{", b"[")):
            json.loads(out)


def test_a_sweep_names_all_its_ranks(capsys):
    sweep = "--ranks", "4:16", "--sizes", "8:8", "--topology", "nodes:x4,nic=25G"
    first = said(capsys, "predict", "bcast", "tree", *sweep).partition("\n")[0]
    assert "nodes:x4, 4 to 16 ranks on 1 to 4 nodes, at most 4 on each" in first


def test_nothing_is_busy_where_nothing_is_done(capsys):
    text = said(capsys, "predict", "bcast", "tree", "-p", "1", "--topology", "nodes:x4,nic=25G")
    assert "0%" not in text and "0 ns" in text
