"""Labs as notebooks: they write the file, and ask the same grader."""

import json

import pytest

from collectives.errors import ArgumentError
from collectives.labs import grader, notebook
from collectives.labs.__main__ import main
from collectives.labs.commands.options import lab_of
from collectives.labs.lab import lab, labs

nbformat = pytest.importorskip("nbformat", reason="notebooks are an extra")


def start(key, folder, *more):
    assert main(["start", key, str(folder), "--notebook", *more]) == 0
    return folder / f"lab{key}.ipynb"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("key", labs())
def test_a_notebook_hands_in_what_start_hands_out(key, language, tmp_path):
    path = start(key, tmp_path / "lab", language)
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    texts = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    sheet = (lab(key).folder / f"sheet.{language}.md").read_text()
    assert [x for x in sheet.splitlines() if x.startswith("#")] == [
        x for x in texts.splitlines() if x.startswith("#")
    ]
    name = "answers.toml" if key == "zoo" else "mine.py"
    given = (lab(key).folder / name).read_text()
    assert grader.read(path, name) == (name, given)
    assert lab_of(path, None).key == key
    again = notebook.make(lab(key), language)
    assert again == path.read_text()


def run(key, folder, only=()):
    """The code cells after they have run, with the solution in the one that writes the file."""
    client = pytest.importorskip("nbclient", reason="notebooks are an extra")
    pytest.importorskip("ipykernel", reason="notebooks are an extra")
    path = start(key, folder)
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if cell.source.startswith(notebook.WRITES):
            first = cell.source.split("\n")[0]
            cell.source = f"{first}\n{(lab(key).solution / first.split()[1]).read_text()}"
    book.cells = [cell for cell in book.cells if cell.cell_type == "code"]
    if only:
        book.cells = [cell for cell in book.cells if cell.source.startswith(only)]
    resources = {"metadata": {"path": str(path.parent)}}
    client.NotebookClient(book, timeout=300, resources=resources).execute()
    return [
        (cell.source, "".join(out.get("text", "") for out in cell.outputs)) for cell in book.cells
    ]


def test_a_notebook_asks_the_grader(tmp_path):
    """Without the reading, and one check only."""
    only = ("import sys", notebook.WRITES, "!{python} -m collectives.labs grade .")
    *_, (_, printed) = run("zoo", tmp_path / "lab", only)
    assert "48 of 48 points" in printed


@pytest.mark.slow
@pytest.mark.parametrize("key", labs())
def test_all_of_a_notebook_runs(key, tmp_path):
    cells = run(key, tmp_path / "lab")
    grades = [printed for source, printed in cells if "collectives.labs" in source]
    assert len(grades) == 3 and f"{lab(key).of:g} of {lab(key).of:g} points" in grades[-1]
    reading = [printed for source, printed in cells if "collectives " in source]
    assert len(reading) == len(lab(key).reading) and all(reading)
    assert "Error" not in "".join(printed for _, printed in cells)


def test_what_is_no_notebook(tmp_path):
    path = tmp_path / "lab3.ipynb"
    for text in ("", "[]", "{}", '{"cells": [1]}', '{"cells": [{"cell_type": "code"}]}'):
        path.write_text(text)
        with pytest.raises(ArgumentError, match=r"a notebook is needed, got lab3.ipynb"):
            grader.read(path)
    cell = {"cell_type": "code", "source": ["print(1)\n"]}
    path.write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ArgumentError, match="a notebook with a cell"):
        grader.read(path)


def test_the_last_cell_that_writes_counts(tmp_path):
    sources = ["%%writefile mine.py\nx = 1", ["%%writefile mine.py\n", "x = 2\n"], "x = 3"]
    cells = [{"cell_type": "code", "source": source} for source in sources]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert grader.read(tmp_path / "a.ipynb") == ("mine.py", "x = 2\n")
