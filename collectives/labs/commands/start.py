"""`start`: write a folder with a lab, to work in."""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path
from typing import Any

from collectives.errors import ArgumentError
from collectives.labs import notebook
from collectives.labs.commands.options import add_lab
from collectives.labs.lab import Lab, lab

NEXT = """\
{folder} has lab {key}: read sheet.en.md or sheet.zh.md, work in {work}, and see how it goes with

    python -m collectives.labs check {folder}"""


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("start", help="write a folder with a lab, to work in")
    add_lab(parser)
    parser.add_argument("folder", type=Path, help="that is not there yet")
    parser.add_argument(
        "--notebook",
        choices=("en", "zh"),
        nargs="?",
        const="en",
        help="also a Jupyter notebook, in English or Chinese",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    chosen = lab(arguments.lab)
    book = arguments.notebook and notebook.make(chosen, arguments.notebook)
    hand_out(chosen, arguments.folder)
    if book:
        path = arguments.folder / f"lab{chosen.key}{notebook.SUFFIX}"
        path.write_text(book, encoding="utf-8")
    print(NEXT.format(folder=shlex.quote(str(arguments.folder)), key=chosen.key, work=chosen.file))
    return 0


def hand_out(chosen: Lab, folder: Path) -> None:
    """Copy what students get: all of a lab's folder but lab.toml.

    Raises
    ------
    ArgumentError
        The folder is there already, or cannot be made.
    """
    hidden = shutil.ignore_patterns("lab.toml", "__pycache__")
    try:
        shutil.copytree(chosen.folder, folder, ignore=hidden)
    except FileExistsError:
        raise ArgumentError(
            f"labs: a folder that is not there yet is needed, got {folder}; choose another"
        ) from None
    except OSError as error:
        raise ArgumentError(
            f"labs: a folder that can be made is needed, got {folder} ({error.strerror}); "
            "choose another"
        ) from None
