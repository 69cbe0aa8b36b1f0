"""How the commands print tables."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from collectives.console import console, table


def new_table(*columns: str, right: str = "") -> Table:
    """A table; `right` names the columns that are flush right, with commas between."""
    new = table("", *columns)
    flush = set(right.split(","))
    for column, name in zip(new.columns, columns, strict=True):
        if name.replace("\n", " ") in flush:
            column.justify = "right"
    return new


def show(heading: str, new: Table) -> None:
    """Print a heading and a table behind an empty line."""
    print()
    console().print(f"[bold]{escape(heading)}[/bold]", soft_wrap=True)
    console().print(new)
