"""What each rank of rung 6 runs: recorded rounds over MPI, beside the built-in.

The data differ from rank to rank and from element to element; outputs are full of a sentinel
before the call; integers and floating-point numbers are compared exactly.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language import registry
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.labs.handover import Case, Handed, Rounds
from collectives.labs.ladder.mpirun import MARK
from collectives.labs.replay import played
from collectives.mpi import api
from collectives.problems import Problem

# What takes blocks of different lengths: our name for it, and mpi4py's.
V_FORMS = {
    "scatter": ("scatterv", "Scatterv"),
    "gather": ("gatherv", "Gatherv"),
    "allgather": ("allgatherv", "Allgatherv"),
    "alltoall": ("alltoallv", "Alltoallv"),
}


def main(path: str) -> None:
    """Run everything in a file; rank 0 prints one line."""
    world = MPI.COMM_WORLD
    answers = []
    for number, plain in enumerate(json.loads(Path(path).read_text(encoding="utf-8"))):
        handed = Handed(plain["name"], declared=plain["declared"])
        for case, ranks in plain["cases"]:
            rounds = [Rounds(mine["scratch"], mine["rounds"]) for mine in ranks]
            handed.rounds[Case.restored(case)] = rounds
        answers.append(_answer(world, handed, plain["file"], number))
    if world.rank == 0:
        print(MARK + json.dumps(answers), flush=True)


def _answer(world: MPI.Intracomm, handed: Handed, file: str, number: int) -> dict[str, Any]:
    calls = 0
    for p in sorted({case.p for case in handed.rounds}):
        comm = world.Split(world.rank >= p, world.rank)
        try:
            for case in [case for case in handed.rounds if case.p == p]:
                for dtype in (np.int64, np.float64):
                    wrong = None
                    if world.rank < p:
                        wrong = _one(comm, handed, case, file, number, np.dtype(dtype))
                    calls += 1
                    found = [each for each in world.allgather(wrong) if each]
                    if found:
                        return {"wrong": found[0], "case": str(case), "calls": calls}
        finally:
            comm.Free()
    return {"wrong": None, "case": "", "calls": calls}


def _one(
    comm: MPI.Comm, handed: Handed, case: Case, file: str, number: int, dtype: np.dtype
) -> str | None:
    """One call of ours and one of MPI's; what differs, in words."""
    problem = case.typed(dtype)
    name = f"{handed.name}_{number}"
    ours, theirs = problem.buffers(comm.rank), problem.buffers(comm.rank)
    algorithm = played(handed, case, file)
    registry.put(replace(algorithm, name=name))
    try:
        _call(comm, problem, ours, name)
    finally:
        registry.remove(registry.REGISTRY[case.primitive][name])
    _call(comm, problem, theirs, None)
    if ours.recv is None or (case.primitive == "exscan" and comm.rank == 0):
        return None
    assert theirs.recv is not None
    wrong = np.flatnonzero(ours.recv != theirs.recv)
    if not wrong.size:
        return None
    at = int(wrong[0])
    return (
        f"rank {comm.rank}, element {at}, {dtype}: {ours.recv[at]}, where the built-in has "
        f"{theirs.recv[at]}"
    )


def _call(comm: MPI.Comm, problem: Problem, buffers: Any, algorithm: str | None) -> None:
    """Ours, with an algorithm, or the built-in without one."""
    primitive = problem.primitive
    ours, builtin = V_FORMS.get(primitive, (primitive, primitive.capitalize()))
    arguments = _arguments(comm, problem, buffers)
    options: dict[str, Any] = {"root": problem.root} if primitive in ROOTED else {}
    options |= {"op": MPI.SUM} if primitive in REDUCTIONS else {}
    if algorithm is None:
        getattr(comm, builtin)(*arguments, **options)
    else:
        getattr(api, ours)(comm, *arguments, algorithm=algorithm, **options)


def _arguments(comm: MPI.Comm, problem: Problem, buffers: Any) -> list[Any]:
    send, recv, counts = buffers.send, buffers.recv, list(problem.lengths)
    match problem.primitive:
        case "barrier":
            return []
        case "bcast":
            return [recv]
        case "scatter":
            return [None if send is None else [send, counts], recv]
        case "gather":
            return [send, None if recv is None else [recv, counts]]
        case "allgather":
            return [send, [recv, counts]]
        case "reduce_scatter":
            return [send, recv, counts]
        case "alltoall":
            row, column = problem.matrix[comm.rank], problem.matrix[:, comm.rank]
            return [[send, row.tolist()], [recv, column.tolist()]]
    return [send, recv]


if __name__ == "__main__":
    main(sys.argv[1])
