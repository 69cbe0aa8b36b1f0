"""Questions of a chapter: what is asked, and the command that tells the answer.

No answer is written down. A question names one command, or two, and the place in what they print
where the answer stands; so it cannot be other than what the reader sees there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from collectives.errors import ArgumentError
from collectives.llm.presets import packaged

LANGUAGES = "en", "zh"
WITHIN = 0.02  # how far a number may be from the answer, as a share of it

# What units are worth.
UNITS = {
    "": 1.0,
    "%": 1.0,
    **{"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    **{"us": 1e-6, "ms": 1e-3, "s": 1.0},
}

Texts = Mapping[str, str]  # by language
Runner = Callable[[str], str]  # a command to what it prints


@dataclass(frozen=True)
class Choice:
    """One of several answers: what is printed, and its name in each language."""

    found: str
    name: Texts


@dataclass(frozen=True)
class Question:
    """A question, and where its answer is found.

    Attributes
    ----------
    ask : mapping of str to str
        By language.
    commands : sequence of str
        One, or two to be compared.
    finds : sequence of str
        For each command, a regular expression whose first group is what is looked for.
    answer : str
        What is made of it: `found` is the thing itself, `ratio` the second over the first,
        `difference` the first less the second, `larger` which is: first, second or equal.
    unit : str
        Of a number; empty for a count or a ratio.
    choices : sequence of Choice
        None for a number.
    because : mapping of str to str
        The reason, by language.
    within : float
        How far a number may be from the answer, as a share of it.
    """

    ask: Texts
    commands: Sequence[str]
    finds: Sequence[str]
    answer: str
    unit: str
    choices: Sequence[Choice]
    because: Texts
    within: float

    def answered(self, run: Runner) -> str | float:
        """The answer: what is printed of a choice, or a number in this question's unit.

        Raises
        ------
        ArgumentError
            A command does not print what is looked for.
        """
        found = [self._found(run, *pair) for pair in zip(self.commands, self.finds)]
        if self.answer == "found":
            return found[0] if self.choices else amount(found[0], self.unit) / UNITS[self.unit]
        first, second = (amount(text, self.unit) for text in found)
        if self.answer == "larger":
            return "equal" if first == second else "first" if first > second else "second"
        return second / first if self.answer == "ratio" else (first - second) / UNITS[self.unit]

    @staticmethod
    def _found(run: Runner, command: str, pattern: str) -> str:
        printed = run(command)
        found = re.search(pattern, printed, re.M)
        if found is None:
            raise ArgumentError(
                f"quiz: {command} must print {pattern!r}, got\n{printed}\nreport it"
            )
        return found[1]

    def reads(self, text: str) -> str | float | None:
        """A reader's answer, a letter or a number; None where it is neither."""
        text = text.strip()
        if self.choices:
            names = [{choice.found, *choice.name.values()} for choice in self.choices]
            letters = "abcdefgh"[: len(names)]
            for letter, choice, known in zip(letters, self.choices, names):
                if text.lower() in {letter, *map(str.lower, known)}:
                    return choice.found
            return None
        try:
            return amount(text, self.unit) / UNITS[self.unit]
        except ValueError:
            return None

    def right(self, given: str | float, answer: str | float) -> bool:
        """Whether an answer is near enough: two digits of a number are."""
        if isinstance(given, str) or isinstance(answer, str):
            return given == answer
        return abs(given - answer) <= self.within * abs(answer)


@dataclass(frozen=True)
class Chapter:
    """A chapter of the lesson: its title in each language, and its questions."""

    number: int
    title: Texts
    questions: Sequence[Question]


def amount(text: str, unit: str = "") -> float:
    """A number, perhaps with a unit, in units of 1: `134 MB`, `24.5`, `1,024`.

    Raises
    ------
    ValueError
        It is none.
    """
    found = re.fullmatch(r"([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*x?\s*([a-zA-Z%]*)", text.strip())
    if found is None or (found[2] or unit) not in UNITS:
        raise ValueError(f"a number is needed, got {text!r}")
    return float(found[1].replace(",", "")) * UNITS[found[2] or unit]


def chapters() -> list[Chapter]:
    """All chapters, in their order."""
    folder = files("collectives.llm.lesson") / "questions"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")]
    numbers = sorted(int(name.removesuffix(".toml")) for name in names)
    return [_chapter(number, packaged(f"lesson/questions/{number}.toml")) for number in numbers]


def chapter(number: int) -> Chapter:
    """One chapter.

    Raises
    ------
    ArgumentError
        There is none of this number.
    """
    every = {one.number: one for one in chapters()}
    if number not in every:
        raise ArgumentError(
            f"quiz: a chapter from 1 to {len(every)} is needed, got {number}; "
            "`python -m collectives.llm quiz` lists them"
        )
    return every[number]


def _chapter(number: int, table: Mapping[str, Any]) -> Chapter:
    return Chapter(number, table["title"], [_question(each) for each in table["question"]])


def _question(table: dict[str, Any]) -> Question:
    choices = [
        Choice(one["found"], {lang: one.get(lang, one["found"]) for lang in LANGUAGES})
        for one in table.get("choices", [])
    ]
    return Question(
        table["ask"],
        _listed(table["command"]),
        _listed(table["find"]),
        table.get("answer", "found"),
        table.get("unit", ""),
        choices,
        table["because"],
        table.get("within", WITHIN),
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
