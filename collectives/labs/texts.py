"""The text of the student's file: what it imports, and where."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator

from collectives.labs.limits import may_import

# Python's errors about a text that is no program, or too deep a one.
UNREAD = (SyntaxError, ValueError, RecursionError, MemoryError)


def remember(file: str, text: str) -> None:
    """Let errors show lines of this text, whatever is on the disk under that name."""
    lines = text.splitlines(keepends=True)
    linecache.cache[file] = (len(text), None, lines, file)


def imports_of(text: str) -> list[str]:
    """The modules that a text imports and that it may import."""
    return [name for name, _ in _imported(text) if may_import(name)]


def unwelcome(text: str) -> tuple[str, int] | None:
    """The first module that a text imports and that it may not, and its line."""
    for name, line in _imported(text):
        if not may_import(name):
            return name, line
    return None


def _imported(text: str) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(text)
    except UNREAD:
        return
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in sorted(found, key=lambda each: each.lineno):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif node.level:
            yield "." * node.level + (node.module or ""), node.lineno
        else:
            yield from _from(node)


def _from(node: ast.ImportFrom) -> Iterator[tuple[str, int]]:
    """`from collectives.algorithms import bcast` imports a page, or the language."""
    module = node.module or ""
    if module in ("collectives", "collectives.algorithms"):
        yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
    else:
        yield module, node.lineno
