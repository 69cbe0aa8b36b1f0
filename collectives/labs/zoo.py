"""Grade the bug zoo: for each broken program the rank, the round and the cause.

Nothing of a student's is run: the answers are a TOML file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectives.labs.feedback import Feedback
from collectives.labs.lab import ANSWERS, Lab, tomllib
from collectives.labs.verdict import FAILED, PASSED, Graded, Rung, Verdict

# Points of the three parts of an answer.
POINTS = {"rank": 1, "round": 1, "cause": 2}

HINTS = {
    "rank": "run `check --load` on it with -p 4: which rank does it name?",
    "round": "a round is a yield of that rank, the copies in the beginning included",
    "cause": "read what `check` says to do about it, then choose from the list",
}


def grade(lab: Lab, text: str, seconds: float = 0.0) -> Verdict:
    """Grade the text of answers.toml."""
    try:
        given: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        given = {}
        unread = f"{ANSWERS} cannot be read: {error}"
    else:
        unread = ""
    tasks = [_program(name, truth, given.get(name), unread) for name, truth in _truth(lab)]
    return Verdict(lab.key, lab.title["en"], tuple(tasks), seconds=seconds)


def _truth(lab: Lab) -> list[tuple[str, Mapping[str, Any]]]:
    return list(lab.settings["truth"].items())


def causes(lab: Lab) -> list[str]:
    """What a cause may be called."""
    return [truth["cause"] for _, truth in _truth(lab)]


def _program(name: str, truth: Mapping[str, Any], given: Any, unread: str) -> Graded:
    answer = given if isinstance(given, dict) else {}
    near = [place for place in truth["at"] if place[0] == answer.get("rank")]
    right = {
        "rank": bool(near),
        "round": answer.get("round") in [place[1] for place in near or truth["at"]],
        "cause": answer.get("cause") == truth["cause"],
    }
    return Graded(name, tuple(_part(name, part, right[part], answer, unread) for part in POINTS))


def _part(name: str, part: str, right: bool, answer: Mapping[str, Any], unread: str) -> Rung:
    of = POINTS[part]
    if right:
        return Rung(part, PASSED, of, of, f"{answer[part]}")
    got = answer.get(part)
    if got in (None, -1, "") and not unread:
        return Rung(part, FAILED, 0, of, "no answer yet")
    what = unread or f"{part} is not {got!r}"
    said = Feedback(what, f"{ANSWERS}, [{name}]", f"the {part} of the mistake", HINTS[part])
    return Rung(part, FAILED, 0, of, what, said)
