"""A lab as a Jupyter notebook: the sheet, a cell that writes the file, and the same grader.

The notebook is a way to edit `mine.py`, and no more: what is graded is that file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collectives.errors import ArgumentError
from collectives.labs.lab import ANSWERS, MINE, Lab

SUFFIX = ".ipynb"

# The first line of the cell with the file.
WRITES = "%%writefile"

BEGIN = "import sys\n\npython = sys.executable"


def make(lab: Lab, language: str = "en") -> str:
    """The text of the notebook.

    Parameters
    ----------
    lab : Lab
    language : str
        `en` or `zh`: of the sheet.

    Raises
    ------
    ArgumentError
        There is no nbformat.
    """
    try:
        from nbformat import v4, writes
    except ImportError:
        raise ArgumentError(
            "labs: nbformat is needed to write a notebook, got none; "
            "pip install 'mpi-collectives[notebooks]'"
        ) from None
    sheet = (lab.folder / f"sheet.{language}.md").read_text(encoding="utf-8")
    title, goals, reading, *others = sheet.split("\n## ")
    given = (lab.folder / lab.file).read_text(encoding="utf-8")
    cells = [
        v4.new_markdown_cell(title),
        v4.new_code_cell(BEGIN),
        v4.new_markdown_cell(f"## {goals}"),
        v4.new_markdown_cell(f"## {reading.splitlines()[0]}"),
        *(v4.new_code_cell(_shell(command)) for command in lab.reading),
        *(v4.new_markdown_cell(f"## {section}") for section in others),
        v4.new_code_cell(f"{WRITES} {lab.file}\n{given.rstrip()}"),
        v4.new_code_cell("!{python} -m collectives.labs check ."),
        v4.new_code_cell("!{python} -m collectives.labs check . --hint 2"),
        v4.new_code_cell("!{python} -m collectives.labs grade ."),
    ]
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"  # the same each time it is written
        cell["source"] = cell["source"].strip()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return writes(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})) + "\n"


def _shell(command: str) -> str:
    return f"!{{python}} {command.removeprefix('python ')}"


def handed_in(path: Path) -> str:
    """The file that a notebook writes: what stands below the last `%%writefile`.

    Raises
    ------
    ArgumentError
        It is no notebook, or writes no file of a lab.
    """
    try:
        cells: list[Any] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        codes = [_source(cell) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, LookupError, TypeError) as error:
        raise ArgumentError(f"labs: a notebook is needed, got {path.name} ({error})") from None
    for code in reversed(codes):
        first, _, rest = code.partition("\n")
        if first.strip() in (f"{WRITES} {MINE}", f"{WRITES} {ANSWERS}"):
            return f"{rest.rstrip()}\n"
    raise ArgumentError(
        f"labs: a notebook with a cell `{WRITES} mine.py` is needed, got {path.name} without; "
        "hand in mine.py itself"
    )


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return "".join(source) if isinstance(source, list) else str(source)
