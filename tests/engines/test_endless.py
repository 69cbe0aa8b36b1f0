"""Loops without an end: named with their line, within a limit."""

import time

import pytest

from collectives import count
from collectives.__main__ import main
from collectives.bench.cells import Cell
from collectives.bench.preflight import outlook
from collectives.catalogue import find, load
from collectives.engines import endless
from collectives.errors import Endless, Timeout
from collectives.study.examine import examine
from collectives.study.symbolic import prove

LOOPS = '''
from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("bcast")
def silent(rank, p, buf, root):
    """Never yields."""
    distance = 2
    while distance != p + p % 2 + 1:  # which is odd
        distance = (distance + 2) % 1024
    yield copy(buf, buf)


@algorithm("bcast")
def idle(rank, p, buf, root):
    """Yields nothing for ever."""
    while True:
        yield []


@algorithm("bcast")
def late(rank, p, buf, root):
    """Is right, and then yields for ever on one rank."""
    if p > 1 and rank == root:
        yield send(buf, (rank + 1) % p)
    while p > 1 and rank == root:
        yield from passing(buf)
    if rank == (root + 1) % p and p > 1:
        yield recv(buf, root)


def passing(buf):
    yield copy(buf, buf)
'''

LINES = {"silent": "(9|10)", "idle": "18", "late": "33"}
each = pytest.mark.parametrize("name", LINES)


@pytest.fixture(autouse=True)
def loops(tmp_path, monkeypatch, registry):
    monkeypatch.setattr(endless, "RESUME", 0.5)
    monkeypatch.setattr(endless, "MOST", 20_000)
    path = tmp_path / "loops.py"
    path.write_text(LOOPS)
    load(path)
    return path


@each
def test_simulate_and_prove(name):
    where = rf"bcast.{name}: rank \d of 2: .*loops\.py:{LINES[name]}[,)]"
    with pytest.raises(Endless, match=where):
        count("bcast", name, p=2, n=8)
    with pytest.raises(Endless, match=where):
        prove(f"bcast.{name}", 2)


def test_check_does_not_wait_as_long(monkeypatch):
    monkeypatch.setattr(endless, "RESUME", 100.0)
    monkeypatch.setattr(endless, "SOON", 0.3)
    found = examine(find("bcast", "silent")[0], 2, {}).finding
    assert isinstance(found.error, Endless)


@each
@pytest.mark.parametrize("command", ["check", "prove", "count", "plan"])
def test_the_commands(name, command, loops, capsys):
    what = {"count": ["bcast", "-p", "3"], "plan": ["bcast", name]}
    given = what.get(command, [f"bcast.{name}", "-p", "3"])
    assert main([command, *given, "--load", str(loops)]) == (2 if command == "plan" else 1)
    shown = "".join(capsys.readouterr())
    assert f"bcast.{name}: rank 0 of" in shown and "loops.py:" in shown


@each
def test_the_bench(name):
    found = outlook(Cell("bcast", name, 8), 2)
    assert found.endless and "loops.py:" in found.broken and not found.runs


def test_a_run_that_takes_too_long():
    begun = time.monotonic()
    with endless.until(begun + 0.3), pytest.raises(Timeout, match=r"allreduce\.ring.* in time"):
        count("allreduce", "ring", p=600, n=10**6)
    assert time.monotonic() - begun < 20
    assert count("allreduce", "ring", p=3, n=8).messages == 12


def test_many_rounds_are_no_fault():
    assert count("bcast", "ring:segments=5000", p=3, n=5000).messages == 2 * 5000


def test_threads_of_their_own():
    """An exception in one does not reach another."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        stuck = pool.submit(count, "bcast", "silent", p=2, n=8)
        right = [pool.submit(count, "bcast", "tree", p=40, n=8) for _ in range(20)]
        assert {one.result(60).messages for one in right} == {39}
        with pytest.raises(Endless, match="silent"):
            stuck.result(60)
