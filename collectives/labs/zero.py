"""Grade a training that was written by hand: its weights, its bytes, its memory.

All three are computed from what the student's process handed over: the weights at the end, a
list of messages, and a list of what was put on the shelf.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collectives.algorithms.language.blocks import even_counts
from collectives.labs.feedback import Feedback, of_message
from collectives.labs.lab import Lab
from collectives.labs.network import BYTES, STEPS, Network, trained
from collectives.labs.sandbox import Report
from collectives.labs.verdict import FAILED, NOT_REACHED, PASSED, Graded, Rung
from collectives.study.cost import evaluated

RANKS = (1, 2, 3, 4)

# Of each training, one after the other.
RUNGS = ("contract", "result", "traffic", "memory")

# Sums in another order differ in the last bits, and Adam divides by small numbers.
TOLERANCE = 1e-6

_NET = Network(0, 1)
SIZES = [_NET.size(layer) for layer in _NET.layers]
ALL, LARGEST = sum(SIZES), max(SIZES)


@dataclass(frozen=True)
class Stage:
    """What a stage of ZeRO promises.

    Attributes
    ----------
    sharded : bool
        Its weights are sharded at the end.
    traffic : int
        How many times (N-1)/N of the weights' bytes a rank sends a step, at most.
    memory : str
        The most bytes a rank, in words.
    """

    sharded: bool
    traffic: int
    memory: str

    def most(self, p: int) -> int:
        """The most bytes on the shelf of a rank."""
        shards = [math.ceil(size / p) for size in SIZES]
        names = {"P": ALL, "S": sum(shards), "L": LARGEST, "s": max(shards)}
        return int(evaluated(self.memory, names))


# P parameters, S those of a rank's shards, L and s those of the largest layer and shard.
STAGES = {
    "zero1": Stage(False, 2, "4 * P + 12 * S + 2 * S"),
    "zero2": Stage(False, 2, "2 * P + 14 * S + 2 * L"),
    "zero3": Stage(True, 3, "16 * S + 4 * L"),
}


def calls(lab: Lab) -> list[dict[str, Any]]:
    """What the student's process is asked for."""
    return [
        {"function": each["function"], "ranks": list(RANKS)}
        for each in lab.settings.get("training", ())
    ]


def graded(
    lab: Lab, file: str, report: Report, refused: Feedback | None, ended: Feedback | None
) -> list[Graded]:
    """Grade all trainings of a lab.

    Parameters
    ----------
    lab : Lab
    file : str
        The student's.
    report : Report
        Of the process that was asked for `calls`.
    refused, ended : Feedback or None
        What speaks against the whole process, if something does.
    """
    found = []
    for number, task in enumerate(lab.settings.get("training", ())):
        runs = {line["p"]: line for line in report.of("trained") if line["call"] == number}
        failed = [line for line in report.of("untrained") if line["call"] == number]
        wrong = refused
        if not wrong and failed:
            wrong = _broke(failed[0])
        if not wrong and len(runs) < len(RANKS):
            what, hint = f"there is no {task['function']}", "keep the names as they were handed out"
            wrong = ended or Feedback(what, file, "a generator function (rank, p, net)", hint)
        found.append(_task(task, file, runs, wrong))
    return found


def _broke(line: Mapping[str, Any]) -> Feedback:
    """A training that raised an error, or broke a rule."""
    said = of_message(str(line["message"])[:600], str(line["hint"])[:300])
    where = said.where or f"p = {line['p']}"
    return replace(said, where=where, expected=said.expected or "a training that ends")


def _task(
    task: Mapping[str, Any], file: str, runs: Mapping[int, Mapping], wrong: Feedback | None
) -> Graded:
    stage, more = STAGES[task["function"]], task.get("more", {})
    steps = [
        lambda: (wrong, f"runs on {', '.join(map(str, RANKS))} ranks"),
        lambda: (_weights(stage, runs), "the weights of a run on one rank"),
        lambda: _traffic(stage, file, runs),
        lambda: _memory(stage, file, runs),
    ]
    rungs: list[Rung] = []
    reached = True
    for name, step, of in zip(RUNGS, steps, task["points"], strict=True):
        if not reached:
            rungs.append(Rung(name, NOT_REACHED, 0, of))
            continue
        said, right = step()
        if said is None:
            rungs.append(Rung(name, PASSED, of, of, right))
        else:
            said = said.otherwise(more.get(name, ""))
            rungs.append(Rung(name, FAILED, 0, of, said.what, said))
            reached = name in ("traffic", "memory")
    return Graded(task["function"], tuple(rungs))


def _weights(stage: Stage, runs: Mapping[int, Mapping]) -> Feedback | None:
    wanted = trained()
    for p, run in sorted(runs.items()):
        for rank, mine in enumerate(run["ranks"]):
            for layer, right in enumerate(wanted):
                if wrong := _differs(stage, p, rank, layer, mine["held"], right):
                    return wrong
    return None


def _differs(
    stage: Stage, p: int, rank: int, layer: int, held: Mapping, right: np.ndarray
) -> Feedback | None:
    kind = "shard" if stage.sharded else "weights"
    where = f"p = {p}, rank {rank}, layer {layer}"
    expected = "the weights of a run on one rank, but for the order of the sums"
    got = held.get(f"{kind} {layer}")
    if got is None:
        hint = f"leave the {kind} of each layer on the shelf: they are what is compared"
        return Feedback(f"there are no {kind} on the shelf at the end", where, expected, hint)
    if stage.sharded:
        counts = even_counts(right.size, p)
        start = sum(counts[:rank])
        right = right[start : start + counts[rank]]
    values = np.asarray(got, float)
    if values.shape != right.shape:
        return Feedback(
            f"{kind} has {values.size} elements instead of {right.size}",
            where,
            expected,
            "cut as split() does: the first blocks are longer by one where p does not divide",
        )
    wrong = np.flatnonzero(~(np.abs(values - right) <= TOLERANCE * (1 + np.abs(right))))
    if not wrong.size:
        return None
    at = int(wrong[0])
    what = f"{wrong.size} of {right.size} weights differ: {kind}[{at}] is {values[at]:.6g}"
    if np.isnan(values[at]):
        what = f"{kind}[{at}] is spoilt: it was made of something that had been dropped"
    hint = "are the gradients summed over all ranks, once, before Adam uses them?"
    return Feedback(what, where, f"{expected}, {right[at]:.6g}", hint)


def _traffic(stage: Stage, file: str, runs: Mapping[int, Mapping]) -> tuple[Feedback | None, str]:
    for p, run in sorted(runs.items()):
        if p == 1:
            continue
        lines: dict[int, float] = defaultdict(float)
        for _, _, elements, line in run["sent"]:
            lines[line] += elements / ((p - 1) * ALL * STEPS)
        times = sum(lines.values())
        if times <= stage.traffic + 1e-9:
            continue
        each = ", ".join(f"{share:.2f} by line {line}" for line, share in sorted(lines.items()))
        what = (
            f"traffic {times:.2f} x (N-1)/N of the weights' bytes a step, "
            f"expected {stage.traffic:.2f}: {each}"
        )
        hint = "which line sends more often than the sheet counts?"
        return Feedback(what, f"p = {p}, {file}", f"at most {stage.traffic:.2f}", hint), ""
    return None, f"{stage.traffic} x (N-1)/N of the weights' bytes a step, or less"


def _memory(stage: Stage, file: str, runs: Mapping[int, Mapping]) -> tuple[Feedback | None, str]:
    for p, run in sorted(runs.items()):
        for rank, mine in enumerate(run["ranks"]):
            peak, held, line = _peak(mine["events"])
            most = stage.most(p)
            if peak > most:
                heap = ", ".join(f"{kind} {bytes_} B" for kind, bytes_ in held)
                what = (
                    f"peak of {peak} B on the shelf, {peak / ALL:.1f} bytes a parameter; "
                    f"{most} B are enough: {heap}"
                )
                return Feedback(
                    what,
                    f"p = {p}, rank {rank}, {file}:{line}",
                    f"at most {stage.memory}",
                    "what of this lies there whole, or longer than it is needed?",
                ), ""
    return None, f"at most {stage.memory} bytes"


def _peak(events: Sequence[Sequence]) -> tuple[int, list[tuple[str, int]], int]:
    """The most bytes that lay on the shelf at once, what they were, and the line."""
    held: dict[str, int] = defaultdict(int)
    best: tuple[int, list[tuple[str, int]], int] = 0, [], 0
    for what, kind, _, elements, line in events:
        held[kind] += BYTES[kind] * elements * (1 if what == "keep" else -1)
        if (total := sum(held.values())) > best[0]:
            best = total, [(name, count) for name, count in held.items() if count], line
    return best
