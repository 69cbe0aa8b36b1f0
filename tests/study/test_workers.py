"""Calls by several processes: the same results, and nobody is left behind."""

import os
from multiprocessing import active_children

import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import remove
from collectives.catalogue import load
from collectives.errors import ArgumentError
from collectives.machine import machine
from collectives.study import workers
from collectives.study.sweeping import sweep
from collectives.study.workers import calls

MINE = """
from collectives.algorithms.language import algorithm, recv, send


@algorithm("barrier")
def mine_in_a_process(rank, p):
    \"\"\"Send to the next, and hear from the one before.

    Cost: alpha
    \"\"\"
    yield send(b"", (rank + 1) % p), recv(b"", (rank - 1) % p)
"""


def test_the_least_is_done_first_and_short_work_is_done_here():
    before = set(active_children())
    assert list(calls(abs, [(-3,), (-1,), (-2,)], abs)) == [(1, 1), (2, 2), (0, 3)]
    assert set(active_children()) == before


def test_processes_give_the_same(monkeypatch, tmp_path, request):
    """Also of algorithms that were loaded from a file."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    load(str(path))
    request.addfinalizer(lambda: remove(REGISTRY["barrier"]["mine_in_a_process"]))
    names, on = ["tree", "mine_in_a_process", "ring"], machine("nodes:3x2,nic=1G,latency=9us")
    sizes = [(4, 0), (6, 0)]
    alone = sweep("barrier", names, sizes, on)
    monkeypatch.setattr(workers, "PATIENCE", -1)
    steps = []
    found = sweep("barrier", names, sizes, on, processes=2, files=[str(path)], step=steps.append)
    assert found == alone and sorted(steps) == sorted(2 * names)
    assert not any(process.is_alive() for process in active_children())


def test_what_a_process_raises_is_raised_here(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", -1)
    with pytest.raises(ArgumentError, match="must not end before it has done it"):
        list(calls(os._exit, [(3,), (3,)], abs, 2))
