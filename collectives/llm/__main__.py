"""`python -m collectives.llm`: what training a large language model needs, from its shape."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from collectives.console import to_the_end
from collectives.errors import CollectiveError
from collectives.parsers import AnyOrder

COMMANDS = ("memory", "traffic", "layouts", "train", "quiz")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    first = words[0] if words else None
    # Only the one that is asked for is imported: training sets its threads before numpy comes.
    names = [first] if first in COMMANDS else COMMANDS
    with _command(names[0]).once() if first == "train" else nullcontext():
        arguments = _parser(names).parse_args(words)
    try:
        return arguments.run(arguments)
    except (CollectiveError, FileNotFoundError) as error:
        if getattr(arguments, "traceback", False):
            traceback.print_exception(error.__cause__ or error)
        print(error, file=sys.stderr)
        return 2


def _command(name: str) -> Any:
    """The module of a command."""
    return import_module(f"collectives.llm.commands.{name}")


def _parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m collectives.llm", allow_abbrev=False, description=__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=AnyOrder)
    for name in names:
        command = _command(name)
        command.add(commands)
        commands.choices[name].set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(to_the_end(main))
