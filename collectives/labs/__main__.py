"""`python -m collectives.labs`: hand labs out, check them while one works, and grade them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from collectives.console import to_the_end
from collectives.errors import CollectiveError
from collectives.parsers import AnyOrder

COMMANDS = ("list", "start", "check", "grade", "batch", "gradescope", "hint", "solution")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    try:
        return arguments.run(arguments)
    except CollectiveError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m collectives.labs", allow_abbrev=False, description=__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=AnyOrder)
    for name in COMMANDS:
        command = import_module(f"collectives.labs.commands.{name}")
        command.add(commands)
        commands.choices[name].set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(to_the_end(main))
