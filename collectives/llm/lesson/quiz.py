"""The quiz: a chapter's questions, which the reader answers before the command that tells."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from collectives.errors import ArgumentError
from collectives.llm.lesson.questions import Chapter, Question, Runner
from collectives.llm.presets import packaged

SECONDS = 300  # after which a command is given up
WIDE = "200"  # columns, so that no row of a table is broken

Read = Callable[[str], str]  # a prompt to a line; EOFError where there is none


def words(language: str) -> dict[str, str]:
    """What the quiz says in a language."""
    return packaged("lesson/words.toml")[language]


def printed(command: str) -> str:
    """What a command of ours prints, in a process of its own.

    Raises
    ------
    ArgumentError
        It fails.
    """
    _, *arguments = shlex.split(command)
    environment = os.environ | {"COLUMNS": WIDE}
    # Without stdin, because the answers stand there.
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise ArgumentError(f"quiz: {command} must work, got {done.stderr.strip()}; try it alone")
    return done.stdout


def quiz(
    chapter: Chapter, language: str, read: Read, patient: bool, run: Runner = printed
) -> tuple[int, int]:
    """Ask the questions of a chapter.

    Parameters
    ----------
    chapter : Chapter
    language : str
    read : callable
        Shows a prompt and returns a line; raises EOFError where there are no more.
    patient : bool
        Whether to ask again after what is no answer at all.
    run : callable
        Runs a command.

    Returns
    -------
    right, of : int
        How many answers were right, and of how many questions.
    """
    say = words(language)
    of, right = len(chapter.questions), 0
    print(say["chapter"].format(number=chapter.number, title=chapter.title[language]))
    # The answers are computed while the reader thinks.
    with ThreadPoolExecutor(1) as pool:
        answers = [pool.submit(question.answered, run) for question in chapter.questions]
        for number, (question, answer) in enumerate(zip(chapter.questions, answers)):
            _ask(question, number, of, language, say)
            try:
                given = _given(question, read, patient, say)
            except EOFError:
                pool.shutdown(wait=False, cancel_futures=True)
                print("\n" + say["missing"].format(left=of - number, of=of))
                break
            right += _judged(question, given, answer.result(), language, say)
    print("\n" + say["end"].format(right=right, of=of))
    return right, of


def _ask(question: Question, number: int, of: int, language: str, say: dict[str, str]) -> None:
    print("\n" + say["question"].format(number=number + 1, of=of))
    print(question.ask[language])
    for letter, choice in zip("abcdefgh", question.choices):
        print(f"  {letter}) {choice.name[language]}")


def _given(question: Question, read: Read, patient: bool, say: dict[str, str]) -> Any:
    """The reader's answer; None if it is empty or cannot be understood."""
    unit = f" ({question.unit})" if question.unit else ""
    prompt = say["choice"] if question.choices else say["number"].format(unit=unit)
    line = read(prompt)
    while (given := question.reads(line)) is None and line.strip() and patient:
        line = read(say["again"] + prompt)
    return given


def _judged(
    question: Question, given: Any, answer: str | float, language: str, say: dict[str, str]
) -> bool:
    """Say whether it is right, why, and what tells it."""
    right = given is not None and question.right(given, answer)
    verdict = "right" if right else "nothing" if given is None else "wrong"
    print(say[verdict].format(answer=_shown(question, answer, language)))
    print(question.because[language])
    print(say["see"])
    for command in dict.fromkeys(question.commands):
        print(f"  {command}")
    return right


def _shown(question: Question, answer: str | float, language: str) -> str:
    if isinstance(answer, str):
        names = {choice.found: choice.name[language] for choice in question.choices}
        return names[answer]
    return f"{answer:,.4g} {question.unit}".rstrip()
