"""Numbers and small functions that a lab asks for beside its generators.

The student's process is asked for what they give; what is right is computed here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collectives.labs.feedback import Feedback
from collectives.labs.lab import Lab, value
from collectives.labs.sandbox import Report
from collectives.labs.verdict import FAILED, PASSED, Graded, Rung
from collectives.machine import machine
from collectives.study.simulation import simulate
from collectives.units import seconds

# Of the fat tree in `placement`: leaf switches, and hosts at each; two wires lead up from one.
LEAVES, EACH = 4, 8
TREE = f"fattree:{LEAVES}x{EACH}x2,latency=1us,rate=10G,link=10G"
SEEDS = (1, 2)


def calls(lab: Lab) -> list[dict[str, Any]]:
    """What the student's process is asked for, in the order of the answers."""
    return [{"function": each["name"], "arguments": _arguments(each)} for each in _asked(lab)]


def graded(lab: Lab, file: str, report: Report, refused: Feedback | None) -> Graded | None:
    """Grade all answers of a lab; None if it asks for none.

    Parameters
    ----------
    lab : Lab
    file : str
        The student's.
    report : Report
        Of the process that was asked for `calls`.
    refused : Feedback or None
        What it tried that a lab does not allow: then nothing counts.
    """
    asked = _asked(lab)
    if not asked:
        return None
    given = {line["call"]: line for line in report.of("value")}
    rungs = []
    for number, each in enumerate(asked):
        wrong = refused or _wrong(each, file, given.get(number, {"problem": "absent"}))
        points = 0 if wrong else each["points"]
        outcome = FAILED if wrong else PASSED
        said = wrong.what if wrong else f"{each['about']}: right"
        rungs.append(Rung(each["name"], outcome, points, each["points"], said, wrong))
    return Graded("answers", tuple(rungs))


def _asked(lab: Lab) -> Sequence[Mapping[str, Any]]:
    return lab.settings.get("answers", ())


def _arguments(answer: Mapping[str, Any]) -> list[list[Any]]:
    if answer.get("kind") == "placement":
        return [[leaves(seed)] for seed in SEEDS]
    return answer.get("arguments", [[]])


def _wrong(answer: Mapping[str, Any], file: str, given: Mapping[str, Any]) -> Feedback | None:
    if "problem" in given:
        what = f"there is no {answer['name']}"
        if given["problem"] == "raised":
            what = str(given.get("message"))[:300]
        return Feedback(what, file, answer["about"], str(given.get("hint") or answer["hint"]))
    check: Callable = _placement if answer.get("kind") == "placement" else _number
    for arguments, got in zip(_arguments(answer), given["values"], strict=True):
        if what := check(answer, arguments, got):
            return Feedback(what, f"{file}, {answer['name']}", answer["about"], answer["hint"])
    return None


def _number(answer: Mapping[str, Any], arguments: Sequence[float], got: Any) -> str:
    """What is wrong with a number; empty if it is near enough."""
    if not isinstance(got, (int, float)):
        return f"{answer['name']} gives no number"
    names = dict(zip(answer.get("names", ()), arguments, strict=True))
    right = value(answer["value"], int(names.pop("p", 1)), 0, **names)
    within = answer["within"]
    if right / within <= got <= right * within:
        return ""
    at = f" for {', '.join(map(str, arguments))}" if arguments else ""
    way = "low" if got < right else "high"
    return f"{answer['name']}{at} is {got:g}, which is too {way}: off by more than x {within:g}"


def places(seed: int) -> list[int]:
    """The host of each rank, as a batch system might have placed them."""
    found = [*range(LEAVES * EACH)]
    random.Random(seed).shuffle(found)
    return found


def leaves(seed: int) -> list[int]:
    """The leaf switch of each rank."""
    return [place // EACH for place in places(seed)]


def crossings(leaf: Sequence[int], order: Sequence[int]) -> int:
    """The messages of one round of a ring that leave their leaf switch."""
    neighbours = zip(order, [*order[1:], order[0]], strict=True)
    return sum(leaf[one] != leaf[other] for one, other in neighbours)


def ring_time(hosts: Sequence[int]) -> float:
    """Seconds of a ring allreduce whose ranks are on these hosts, of a mebibyte a rank."""
    topology = machine(f"{TREE},placement={list(hosts)}")
    p = len(hosts)
    return simulate("allreduce", "ring", p=p, n=p << 20, topology=topology).time


def _placement(answer: Mapping[str, Any], arguments: Sequence[Any], got: Any) -> str:
    leaf, place = arguments[0], next(places(s) for s in SEEDS if leaves(s) == arguments[0])
    if not isinstance(got, list) or sorted(map(str, got)) != sorted(map(str, range(len(leaf)))):
        return f"{answer['name']} must give each rank from 0 to {len(leaf) - 1} once"
    cross = crossings(leaf, got)
    if cross <= LEAVES:
        return ""
    yours, best = ring_time([place[rank] for rank in got]), ring_time(range(len(leaf)))
    return (
        f"placement: a ring of {len(leaf)} ranks on a 4:1 fat tree takes {seconds(yours)} so, "
        f"{seconds(best)} in order: {cross} of {len(leaf)} messages of a round leave their leaf "
        f"switch, {LEAVES} are enough"
    )
