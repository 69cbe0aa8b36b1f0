"""The text of the functions in which an algorithm yields."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from typing import Any

import collectives
from collectives.algorithms.language.registry import Algorithm


class Sources:
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
        if node is None:
            return self._number(file, line, {"function": "?", "lines": [[line, "?"]]}), line
        return self._number(file, node.lineno, {"function": node.name, "lines": _lines(file, node)}), line

    def _number(self, file: str, line: int, function: dict[str, Any]) -> int:
        key = file, line
        if key not in self._numbers:
            self._numbers[key] = len(self.code)
            self.code.append({"file": _shown(file), **function})
        return self._numbers[key]


def _shown(file: str) -> str:
    """A path as the reader knows it: below the package's folder, or the name of his own file."""
    for folder in map(Path, collectives.__path__):
        if Path(file).is_relative_to(folder):
            return Path(file).relative_to(folder).as_posix()
    return Path(file).name


@cache
def _read(file: str) -> tuple[list[str], ast.Module | None]:
    try:
        text = Path(file).read_text(encoding="utf-8")
        return text.splitlines(), ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return [], None


def _around(file: str, line: int) -> ast.FunctionDef | None:
    """The innermost function around a line, its decorators included."""
    found = None
    for node in ast.walk(_read(file)[1] or ast.Module([], [])):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *[x.lineno for x in node.decorator_list]])
            if first <= line <= (node.end_lineno or line):
                found = node if found is None or node.lineno > found.lineno else found
    return found


def _lines(file: str, node: ast.FunctionDef) -> list[list[Any]]:
    """A function's lines without its docstring."""
    first, last = node.lineno, node.end_lineno or node.lineno
    skipped: range = range(0)
    if ast.get_docstring(node):
        skipped = range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    text = _read(file)[0]
    return [[k, text[k - 1]] for k in range(first, last + 1) if k not in skipped]
