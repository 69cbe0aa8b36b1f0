"""How much of the library a call passes through: files and functions, the first time and later.

::

    mpirun -n 2 python -m collectives.bench.depth [--list]

An Allreduce of 8 bytes on a new communicator. What it takes to read an algorithm's page,
and to optimise its plan, is left out: that is a matter of the page. `--list` names all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from mpi4py import MPI

import collectives
from collectives import algorithms, engines

from .program import Parser, options, start
from .stop import Stop

# The pass over plans, file by file.
OPTIMISER = "optimise", "places", "propagation", "shortcuts", "clearing"
LEFT_OUT = (
    str(Path(algorithms.__file__).parent),
    *(str(Path(engines.__file__).parent / f"{name}.py") for name in OPTIMISER),
)
OURS = str(Path(collectives.__file__).parent)
CALLS = ("first", "second", "third", "fourth")


def passed(call: Callable[[], Any]) -> list[CodeType]:
    """The functions of ours that a call passes through, in the order of their first use."""
    found: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _counts(frame.f_code):
            found[frame.f_code] = None

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return [*found]


def _counts(code: CodeType) -> bool:
    """Whether a function is ours, and no part of another: no comprehension."""
    return (
        code.co_filename.startswith(OURS)
        and not code.co_filename.startswith(LEFT_OUT)
        and (not code.co_name.startswith("<") or code.co_name == "<lambda>")
    )


def main(show: bool) -> None:
    """Count; rank 0 prints."""
    comm = collectives.Comm(MPI.COMM_WORLD.Dup())
    mine, total = np.array([1.0 + comm.rank]), np.empty(1)
    for which in CALLS:
        functions = passed(lambda: comm.Allreduce(mine, total))
        if comm.rank == 0:
            files = {code.co_filename for code in functions}
            print(f"{which:8}{len(functions):4} functions in {len(files)} files")
            for code in functions if show else ():
                print(f"    {Path(code.co_filename).relative_to(OURS)}: {code.co_qualname}")


def program(comm: MPI.Intracomm, arguments: Sequence[str], stop: Stop) -> int:
    """Read the options, and do what they say."""
    parser = Parser("collectives.bench.depth")
    parser.add_argument("--list", action="store_true", help="name the functions")
    main(options(comm, parser, arguments, lambda given: given).list)
    return 0


if __name__ == "__main__":
    start(program)
