"""`explain --from`: what a recorded run did."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from collectives.commands.options import given_clock
from collectives.commands.pictures import write_pictures
from collectives.engines.trace import Trace
from collectives.errors import ArgumentError
from collectives.explain.measured import compared, listed
from collectives.explain.terminal import Page, View, check_ranks, show
from collectives.files import write
from collectives.study.chrome import chrome
from collectives.study.measured import Measured, measured
from collectives.study.pricing import DECLARED_CLOCK
from collectives.study.recorded import Recorded, Run


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--from",
        dest="directory",
        metavar="DIR",
        type=Path,
        help="a run over MPI that COLLECTIVES_TRACE=DIR has recorded",
    )
    parser.add_argument("--call", type=int, metavar="N", help="one of its calls")
    parser.add_argument(
        "--predicted", action="store_true", help="that call as the simulator predicts it"
    )
    parser.add_argument("--chrome", metavar="FILE", help="write it for Perfetto, all or one call")


def run(arguments: argparse.Namespace, view: View, drawn: bool) -> int:
    """List the calls of a run, or show one of them; returns the exit status."""
    if arguments.primitive is not None:
        raise ArgumentError(
            f"explain: --from needs a call by its number, got {arguments.primitive!r}; "
            "leave it out and give --call N"
        )
    if arguments.html is not None:
        raise ArgumentError(
            "explain: --html makes a page that runs an algorithm itself, got --from, too; leave it "
            "out, or take --svg or --chrome for what was recorded"
        )
    found = Run(arguments.directory)
    call = None if arguments.call is None else _call(found, arguments.call)
    if call is None and (drawn or arguments.json is not None or arguments.predicted):
        what = "a picture" if drawn else "--json" if arguments.json is not None else "--predicted"
        raise ArgumentError(f"explain: {what} needs one call of a run, got all; give --call N")
    if arguments.chrome is not None:
        _write("--chrome", arguments.chrome, chrome(found.calls if call is None else [call]))
    if call is not None and arguments.json is not None:
        _write("--json", arguments.json, _one(call, arguments).to_json())
    if call is not None and drawn:
        check_ranks(call.title, call.p)
        write_pictures(arguments, _one(call, arguments))
    if not drawn and arguments.chrome is None and arguments.json is None:
        show(
            listed(found, view.width) if call is None else _lines(call, arguments, view), view.width
        )
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Raise ArgumentError if options of a recorded run are given without one."""
    for name in ("call", "chrome", "predicted"):
        if getattr(arguments, name) not in (None, False):
            raise ArgumentError(
                f"explain: --{name} needs a recorded run, got none; name its directory: --from DIR"
            )


def _call(found: Run, number: int) -> Recorded:
    if not 1 <= number <= len(found.calls):
        raise ArgumentError(
            f"explain: --call must be from 1 to {len(found.calls)}, got {number}; "
            "without it all are listed"
        )
    return found.calls[number - 1]


def _measured(call: Recorded, arguments: argparse.Namespace) -> Measured:
    return measured(call, given_clock(arguments) or DECLARED_CLOCK)


def _one(call: Recorded, arguments: argparse.Namespace) -> Trace:
    """The trace that is asked for."""
    two = _measured(call, arguments)
    return two.predicted if arguments.predicted else two.measured


def _lines(call: Recorded, arguments: argparse.Namespace, view: View) -> Iterator[Text]:
    check_ranks(call.title, call.p)
    two = _measured(call, arguments)
    yield from Page(two.predicted if arguments.predicted else two.measured, view).lines()
    if view.rank is None and view.beat is None:
        yield from compared(two, call.uncertainty, view.width)


def _write(title: str, path: str, content: Any) -> None:
    write(path, json.dumps(content) + "\n", title)
