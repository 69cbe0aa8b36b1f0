"""Rung 5: the simulated time, and what the student predicted."""

from __future__ import annotations

from typing import Any

from collectives.labs.feedback import Feedback
from collectives.labs.lab import Task, Time, value
from collectives.labs.ladder.attempt import Attempt, Step, failed
from collectives.machine import Clock
from collectives.units import format_bytes
from collectives.units import seconds as shown

# How far a prediction may be off: rounding of blocks, and no more.
NEAR = 0.05


def climb(attempt: Attempt) -> Step:
    """Simulate, and compare."""
    time = attempt.task.time
    assert time is not None
    clock = Clock(time.alpha, time.beta, time.gamma)
    simulated = [attempt.simulator(case, clock).run().time for case in attempt.task.time_cases()]
    attempt.seconds = simulated[0]
    said = []
    for (p, n), seconds in zip(time.points, simulated, strict=True):
        if wrong := _slow(time, p, n, seconds):
            return failed(wrong, goes_on=True)
        said.append(f"{shown(seconds)} at p = {p}, n = {format_bytes(n)}")
    if time.predict and (wrong := _unforeseen(attempt, time, simulated)):
        return failed(wrong, goes_on=True)
    foreseen = ", as you predicted" if time.predict else ""
    return Step(True, f"simulated {', '.join(said)}{foreseen}")


def calls(task: Task) -> list[dict[str, Any]]:
    """What the student's process is asked for."""
    time = task.time
    if time is None or not time.predict:
        return []
    points = [[p, n, time.alpha, time.beta, time.gamma] for p, n in time.points]
    return [{"function": time.predict, "arguments": points}]


def _slow(time: Time, p: int, n: int, seconds: float) -> Feedback | None:
    if not time.seconds:
        return None
    clock = {name: getattr(time, name) for name in ("alpha", "beta", "gamma")}
    asked = value(time.seconds, p, n, **clock)
    if seconds <= asked * time.within:
        return None
    return Feedback(
        f"Right, but slow: {shown(seconds)} at p = {p} and n = {format_bytes(n)}; "
        f"{shown(asked)} is possible",
        f"alpha = {time.alpha:g} s, beta = {time.beta:g} s/B, gamma = {time.gamma:g} s/B",
        f"at most {time.within:g} x {time.seconds}",
        "count the messages and the bytes on the longest path, and see which term is too large",
    )


def _unforeseen(attempt: Attempt, time: Time, simulated: list[float]) -> Feedback | None:
    answer = attempt.values.get(time.predict, {"problem": "absent"})
    asked = f"{time.predict}(p, n, alpha, beta, gamma) in seconds, within 5 %"
    hint = "count alpha and beta on the longest path, round by round, for p = 4 on paper"
    if "problem" in answer:
        absent = answer["problem"] == "absent"
        what = f"there is no {time.predict}" if absent else str(answer.get("message"))[:300]
        return Feedback(what, attempt.file, asked, str(answer.get("hint") or hint)[:300])
    for (p, n), got, seconds in zip(time.points, answer["values"], simulated, strict=True):
        if not isinstance(got, (int, float)):
            return Feedback(f"{time.predict} gives no number", attempt.file, asked, hint)
        if not abs(got - seconds) <= NEAR * seconds:
            return Feedback(
                f"you predicted {shown(got)} at p = {p}, n = {format_bytes(n)}; the simulator "
                f"takes {shown(seconds)}",
                attempt.file,
                asked,
                hint,
            )
    return None
