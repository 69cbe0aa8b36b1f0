"""`quiz`: questions on a chapter of the lesson, to be answered before the command that tells."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from collectives.commands.reading import number
from collectives.llm.lesson import questions
from collectives.llm.lesson.quiz import quiz, words


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "quiz", help="three questions on a chapter of the lesson, docs/llm", allow_abbrev=False
    )
    parser.add_argument(
        "chapter", nargs="?", type=number, metavar="N", help="its number; without it, a list"
    )
    parser.add_argument(
        "--lang", choices=questions.LANGUAGES, default="en", help="language (%(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status: 0 if all answers are right."""
    if arguments.chapter is None:
        print(words(arguments.lang)["chapters"])
        for chapter in questions.chapters():
            print(f"{chapter.number:4}  {chapter.title[arguments.lang]}")
        return 0
    chapter = questions.chapter(arguments.chapter)
    right, of = quiz(chapter, arguments.lang, _read, sys.stdin.isatty())
    return 0 if right == of else 1


def _read(prompt: str) -> str:
    """A line of the terminal; or of a file or pipe, which is shown, as nobody has typed it."""
    if sys.stdin.isatty():
        return input(prompt)
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    print(line.rstrip("\n"))
    return line
