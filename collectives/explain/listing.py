"""The text of the functions in which an algorithm yields."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from collectives import algorithms
from collectives.algorithms.language.registry import Algorithm

ALGORITHMS = Path(algorithms.__file__).parent


class Listing:
    """The functions that take part in an algorithm, its own first.

    Attributes
    ----------
    code : list of dict
        Of each the `file`, the name of the `function`, and its `lines`, pairs of number and
        text, without the docstring.
    docstring : str
    """

    def __init__(self, algorithm: Algorithm):
        self.code: list[dict[str, Any]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self.docstring = inspect.getdoc(algorithm.generator) or ""
        first = algorithm.generator.__code__
        self.place(first.co_filename, first.co_firstlineno)

    def place(self, file: str, line: int) -> tuple[int, int]:
        """The number of the function in which a line stands, and the line."""
        node = _around(file, line)
        key = file, node.lineno if node else line
        if key not in self._numbers:
            self._numbers[key] = len(self.code)
            name, lines = (node.name, _lines(file, node)) if node else ("", [[line, ""]])
            self.code.append({"file": _shown(file), "function": name, "lines": lines})
        return self._numbers[key], line


def _shown(file: str) -> str:
    """A path as the reader knows it: from `algorithms` on, or the name of his own file."""
    if Path(file).is_relative_to(ALGORITHMS):
        return (Path("algorithms") / Path(file).relative_to(ALGORITHMS)).as_posix()
    return Path(file).name


@cache
def _read(file: str) -> tuple[list[str], list[tuple[range, ast.FunctionDef]]]:
    """The lines of a file, and its functions with theirs, decorators included; inner ones last."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        nodes = [x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.FunctionDef)]
    except (OSError, ValueError, SyntaxError):
        return [], []
    nodes.sort(key=lambda node: node.lineno)
    return text.splitlines(), [(_span(node), node) for node in nodes]


def _span(node: ast.FunctionDef) -> range:
    first = min([node.lineno, *[decorator.lineno for decorator in node.decorator_list]])
    return range(first, (node.end_lineno or node.lineno) + 1)


def _around(file: str, line: int) -> ast.FunctionDef | None:
    """The innermost function around a line."""
    found = [node for span, node in _read(file)[1] if line in span]
    return found[-1] if found else None


def _lines(file: str, node: ast.FunctionDef) -> list[list[Any]]:
    """A function's lines without its docstring."""
    skipped = range(0)
    if ast.get_docstring(node, clean=False) is not None:
        skipped = range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    text = _read(file)[0]
    numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return [[number, text[number - 1]] for number in numbers if number not in skipped]
