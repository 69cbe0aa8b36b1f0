"""How the commands print."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """The terminal; nothing is cut off when the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


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
