"""What is written in docstrings, which `python -OO` drops: then the source is read."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType


def docstring(thing: Callable | ModuleType) -> str:
    """The docstring of a function or a module, without its indentation; empty if it has none.

    Examples
    --------
    >>> docstring(docstring).partition(" ")[0]
    'The'
    """
    text = inspect.getdoc(thing)
    if text is None and sys.flags.optimize > 1:
        text = _in_source(thing)
    return text or ""


def _in_source(thing: Callable | ModuleType) -> str | None:
    try:
        module = _parsed(inspect.getsourcefile(thing) or "")
    except (OSError, TypeError, SyntaxError, ValueError):
        return None  # there is no source, as of what was typed in
    if isinstance(thing, ModuleType):
        return ast.get_docstring(module)
    first = inspect.unwrap(
        thing
    ).__code__.co_firstlineno  # of a function: that of its first decorator
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and first in _beginnings(node):
            return ast.get_docstring(node)
    return None


def _beginnings(node: ast.FunctionDef) -> list[int]:
    return [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]


@cache
def _parsed(path: str) -> ast.Module:
    with open(path, "rb") as file:
        return ast.parse(file.read())
