"""`python -m collectives`: list, count, write, check and choose algorithms; run a program."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from collectives.algorithms.language.pages import docstring
from collectives.catalogue import load
from collectives.console import to_the_end
from collectives.errors import CollectiveError
from collectives.parsers import AnyOrder

COMMANDS = (
    *("list", "count", "explain", "gallery", "new", "check", "prove", "plan", "error", "why"),
    *("table", "run", "predict"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    first = words[0] if words else None
    # The others need not be imported if it is clear which one it is.
    arguments = _parser([first] if first in COMMANDS else COMMANDS).parse_args(words)
    try:
        for path in arguments.load:
            load(path)
        return arguments.run(arguments)
    except (CollectiveError, FileNotFoundError) as error:
        if getattr(arguments, "traceback", False):
            traceback.print_exception(error.__cause__ or error)
        print(error, file=sys.stderr)
        return 2


def _parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m collectives",
        allow_abbrev=False,
        description=docstring(sys.modules[__name__]),
    )
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=AnyOrder)
    for name in names:
        command = import_module(f"collectives.commands.{name}")
        command.add(commands)
        added = commands.choices[name]
        added.add_argument(
            "--load", action="append", default=[], metavar="FILE", help="a file with algorithms"
        )
        added.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(to_the_end(main))
