"""What all programs of the bench share: options, and one end for all ranks."""

from __future__ import annotations

import argparse
import math
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from mpi4py import MPI

from collectives.algorithms.language.pages import docstring
from collectives.catalogue import algorithms_for
from collectives.console import NOBODY_READS, drop_output, prepare_streams
from collectives.errors import CollectiveError
from collectives.units import parse_bytes

from .stop import Stop, abort

T = TypeVar("T")
Program = Callable[[MPI.Intracomm, Sequence[str], Stop], int]


class Usage(Exception):
    """The command line is wrong, or asks for nothing but help."""

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


class _End(Exception):
    """All ranks end, with this exit status."""

    def __init__(self, status: int):
        super().__init__()
        self.status = status


class Parser(argparse.ArgumentParser):
    """Raises Usage where argparse would print and exit, which one rank alone must not do."""

    def __init__(self, prog: str, **options):
        options.setdefault("description", docstring(sys.modules["__main__"]))
        raw = argparse.RawDescriptionHelpFormatter
        super().__init__(f"python -m {prog}", allow_abbrev=False, formatter_class=raw, **options)

    def error(self, message: str) -> NoReturn:
        raise Usage(message)

    def print_help(self, file=None) -> NoReturn:
        raise Usage(self.format_help(), status=0)


def options(
    comm: MPI.Intracomm,
    parser: Parser,
    arguments: Sequence[str],
    check: Callable[[argparse.Namespace], T],
) -> T:
    """The options that all ranks agree on; collective.

    Where any rank has a complaint, or help is asked for, rank 0 prints it and all exit.
    `check` makes the options of what argparse has read, or raises Usage.
    """
    found, complaint = None, None
    try:
        found = check(parser.parse_args(arguments))
    except Usage as usage:
        complaint = str(usage), usage.status
    except CollectiveError as error:
        complaint = str(error), 2
    complaints = [one for one in comm.allgather(complaint) if one is not None]
    if not complaints:
        assert found is not None
        return found
    text, status = complaints[0]
    if comm.rank == 0 and status:
        print(f"{parser.format_usage()}error: {text}", file=sys.stderr)
    elif comm.rank == 0:
        print(text, end="")
    raise _End(status)


def seconds(text: str) -> float:
    """A time that argparse reads."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a positive number of seconds is needed, got {text}")
    return value


def number(text: str) -> int:
    """How many, which argparse reads."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on is needed, got {text}")
    return value


def add_seconds(parser: Parser, default: float, what: str) -> None:
    """The only argument of some programs: how long to measure."""
    parser.add_argument(
        "seconds",
        nargs="?",
        type=seconds,
        default=default,
        metavar="SECONDS",
        help=f"{what} (%(default)s)",
    )


def known_primitives(given: argparse.Namespace) -> argparse.Namespace:
    """The options, if all `primitives` among them are."""
    for name in given.primitives:
        algorithms_for(name)  # raises if there is no such primitive
    return given


def sizes(text: str) -> list[int]:
    """Sizes such as 8,1K that argparse reads."""
    try:
        return [parse_bytes(size) for size in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def start(program: Program) -> NoReturn:
    """Run a program on all ranks to the end; an exception on any rank ends the whole job.

    It ends without a word if nobody reads its output any more.
    """
    prepare_streams()
    comm = MPI.COMM_WORLD
    try:
        status = _status(comm, program)
        sys.stdout.flush()
        sys.stderr.flush()
        comm.Barrier()  # so that no rank's exit ends the job before all is printed
    except BrokenPipeError:
        drop_output()
        abort(comm, NOBODY_READS)
    except BaseException:
        # If several ranks fail alike, one traceback is enough: the first ends the job.
        time.sleep(min(0.2 * comm.rank, 2))
        text = f"collectives.bench: rank {comm.rank} of {comm.size} failed\n"
        sys.stderr.write(text + traceback.format_exc())
        sys.stderr.flush()
        abort(comm, 1)
    sys.exit(status)


def _status(comm: MPI.Intracomm, program: Program) -> int:
    try:
        return program(comm, sys.argv[1:], Stop(comm))
    except _End as end:
        return end.status
