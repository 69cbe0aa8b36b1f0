"""The call behind a cell, with nothing left to do but make it.

Every call is made again and again with the same buffers, so the library replays
the plan that it recorded the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mpi4py import MPI

import collectives
from collectives.problems import REDUCTIONS, ROOTED, Buffers

from .builtin import builtin
from .cells import BUILTIN, Cell


def call(comm: MPI.Intracomm, buffers: Buffers, cell: Cell) -> Callable[[], object]:
    """What the row of the cell's algorithm times."""
    if cell.algorithm == BUILTIN:
        return builtin(comm, cell.primitive, buffers)
    even = {"reduce_scatter": "reduce_scatter_block"}
    function = getattr(collectives, even.get(cell.primitive, cell.primitive))
    options: dict[str, Any] = {"algorithm": cell.algorithm}
    if cell.primitive in ROOTED:
        options["root"] = 0
    if cell.primitive in REDUCTIONS:
        options["op"] = MPI.SUM
    return partial(function, comm, *arguments(cell.primitive, buffers), **options)


def arguments(primitive: str, buffers: Buffers) -> list:
    """The buffers, in the order in which mpi4py takes them."""
    if primitive == "barrier":
        return []
    if primitive == "bcast":
        return [buffers.recv]
    return [buffers.send, buffers.recv]
