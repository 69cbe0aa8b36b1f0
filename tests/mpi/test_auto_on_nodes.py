"""`auto` on several nodes takes the rows that a table has for them, alike on all ranks."""

from pathlib import Path

import numpy as np
import pytest
from common import COMM, RANK, P

import collectives
from collectives import choice
from collectives.mpi.plans.channel import channel_of
from collectives.study.tables import DECLARED


@pytest.fixture
def table(tmp_path_factory, monkeypatch):
    """Bcast by a ring on one node, by a tree on several; the same on all ranks."""
    rows = {(1, 2): [(0, "ring")], (2, 1): [(0, "tree")], (2, 2): [(0, "hierarchical")]}
    name = str(tmp_path_factory.mktemp("table")) if RANK == 0 else None
    path = Path(COMM.bcast(name, 0)) / "nodes.json"
    if RANK == 0:
        path.write_text(choice.written(DECLARED, DECLARED, 99, {"bcast": rows}, {}))
    COMM.Barrier()
    monkeypatch.setenv(choice.ENVIRONMENT, str(path))
    choice.read.cache_clear()
    yield
    choice.read.cache_clear()


@pytest.mark.parametrize("ranks", [1, 2, P])
def test_auto_asks_for_nodes(table, ranks):
    comm = COMM.Dup()
    channel = channel_of(comm)
    nodes = tuple(rank // ranks for rank in range(P))
    object.__setattr__(channel.recorder, "nodes", nodes)
    data = np.arange(5) + 10 * RANK
    collectives.bcast(comm, data, algorithm="auto")
    assert data.tolist() == [0, 1, 2, 3, 4]
    alone = len(set(nodes)) == 1
    wanted = "ring" if alone else "tree" if ranks == 1 else "hierarchical"
    ran = [one for one in channel.tally.usage() if one.asked == "auto"]
    assert [one.algorithm for one in ran] == [wanted]
    comm.Free()
