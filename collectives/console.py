"""How the commands print, and how they end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

# What a shell says of a program that was ended by SIGINT or SIGPIPE.
INTERRUPTED, NOBODY_READS = 130, 141


class Screen(Console):
    """Leaves it to `to_the_end`, and the like, what comes of it if nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """The terminal; nothing is cut off when the output goes to a file."""
    screen = sys.stdout is not None and sys.stdout.isatty()
    return Screen(width=None if screen else 200, highlight=False, emoji=False)


def table(heading: str, *columns: str, numbers: bool = False) -> Table:
    """A table without lines; with `numbers`, all columns but the first are flush right.

    Titles of columns may have several lines, and share the last one.
    """
    depth = max(column.count("\n") for column in columns)
    new = Table(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        right = numbers and place > 0
        title = "\n" * (depth - column.count("\n")) + column
        new.add_column(title, overflow="fold", justify="right" if right else "left")
    return new


def print_json(content: Any) -> None:
    """Print plain data for programs."""
    print(json.dumps(content, indent=1))


_STRICT: dict[str, str] = {}  # what Python would do with such a letter, for each stream


def prepare_streams() -> None:
    """Print a question mark for a letter that the output's encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before Python began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - stays open
        elif isinstance(stream, io.TextIOWrapper):
            _STRICT[name] = stream.errors or "strict"
            stream.reconfigure(errors="replace")


def restore_streams() -> None:
    """Leave the streams to a program that is not ours, as Python made them."""
    for name, errors in _STRICT.items():
        getattr(sys, name).reconfigure(errors=errors)
    _STRICT.clear()


def drop_output() -> None:
    """Let what is still to be printed go nowhere, because it cannot be printed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def to_the_end(command: Callable[[], int]) -> int:
    """Run a command, print all of its output, and return its exit status.

    It ends without a word if nobody reads its output any more (`| head`) or the user
    stops it, and with one sentence if the output cannot be written.
    """
    try:
        prepare_streams()
        status = command()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return NOBODY_READS
    except OSError as error:
        if error.filename is not None:  # of another file
            raise
        with contextlib.suppress(OSError):
            print(f"the output cannot be written: {error.strerror or error}", file=sys.stderr)
        drop_output()
        return 1
