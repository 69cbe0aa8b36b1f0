"""What several commands take."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from collectives.commands.reading import positive
from collectives.errors import ArgumentError
from collectives.labs import grader
from collectives.labs.lab import ANSWERS, MINE, Lab, lab


def add_lab(parser: argparse.ArgumentParser) -> None:
    """Which lab."""
    parser.add_argument("lab", help="3, or zoo: see `list`")


def add_seconds(parser: argparse.ArgumentParser) -> None:
    """How long the student's process may take."""
    parser.add_argument(
        "--seconds", type=positive, default=30.0, help="for each task (%(default)s)"
    )


def add_folder(parser: argparse.ArgumentParser) -> None:
    """A folder that `start` has made, and its lab."""
    parser.add_argument("folder", type=Path, help="that `start` has made, or a file in it")
    parser.add_argument("--lab", help="which lab it is, if its first line does not say so")
    add_seconds(parser)


def lab_of(folder: Path, key: str | None) -> Lab:
    """The lab of a folder: `Lab 3` stands in the first line of its file.

    Raises
    ------
    ArgumentError
        It does not say so, or there is no such folder.
    """
    if key:
        return lab(key)
    files = [folder / name for name in (MINE, ANSWERS)] if folder.is_dir() else [folder]
    for file in files:
        if file.is_file():
            text = grader.read(file)[1][:200]
            if found := re.search(r"\blab (\w+)", text, re.I):
                return lab(found[1].lower())
    raise ArgumentError(
        f"labs: a folder with {MINE} or {ANSWERS} is needed, got {folder}; make one with "
        "`start 3 FOLDER`, or say which lab it is with --lab"
    )
