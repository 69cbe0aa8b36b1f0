"""`new`: write a file with a first algorithm, to be changed into a better one."""

from __future__ import annotations

import argparse
import shlex
from keyword import iskeyword
from pathlib import Path
from typing import Any

from collectives.algorithms import language
from collectives.algorithms.language.registry import AUTO, named
from collectives.catalogue import algorithms_for
from collectives.commands.skeletons import source
from collectives.errors import ArgumentError

NEXT = """\
{file} has {primitive}.{name}, simple and right. Change it, then

    python -m collectives check --load {file}
    mpirun -n 4 python -m collectives.bench {primitive} --load {file}"""


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("new", help="write a file with a first algorithm of your own")
    parser.add_argument("primitive")
    parser.add_argument("file", type=Path, help="such as mine.py, in which the algorithm is `mine`")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    primitive, path = arguments.primitive, arguments.file
    algorithms_for(primitive)  # raises if there is no such primitive
    _check(primitive, path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(source(primitive, path.stem))
    except FileExistsError:
        raise _needed(primitive, "a file that is not there yet", path) from None
    except FileNotFoundError:
        raise _needed(primitive, "a folder that is there", path.parent) from None
    print(NEXT.format(file=shlex.quote(str(path)), primitive=primitive, name=path.stem))
    return 0


def _check(primitive: str, path: Path) -> None:
    """Raise ArgumentError unless the file's name gives the algorithm a name."""
    name = path.stem
    if path.suffix != ".py":
        raise _needed(primitive, "the name of a Python file", path)
    if not name.isidentifier() or iskeyword(name):
        raise _needed(primitive, "a file name that can name a Python function", path)
    if name == AUTO or named(primitive, name) is not None:
        raise _needed(primitive, "a name that no algorithm has", name)
    if name in language.__all__:
        raise _needed(primitive, "a name that is no word of the algorithms' language", name)


def _needed(primitive: str, what: str, got: object) -> ArgumentError:
    return ArgumentError(f"{primitive}: {what} is needed, got {got}; choose another, as mine.py")
