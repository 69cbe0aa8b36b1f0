"""The lines of a page, as a trace has them."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from functools import lru_cache

from collectives.engines.trace import Place, Source, Trace


def body(source: Source) -> Iterator[tuple[int, str]]:
    """Numbers and lines of a function, without its decorators, docstring and indentation."""
    text = textwrap.dedent(source.text)
    lines = text.splitlines()
    for number in range(_head(text), len(lines)):
        if number not in _told(text):
            yield source.first + number, lines[number]


def line_at(trace: Trace, place: Place) -> str:
    """The text of a line; empty if it is not to be had."""
    for source in trace.sources:
        lines = source.text.splitlines()
        here = place.line - source.first
        if source.file == place.file and 0 <= here < len(lines):
            return lines[here].strip()
    return ""


def loop_variables(trace: Trace, place: Place) -> list[str]:
    """The variables of the loops around a line, the outermost first."""
    for source in trace.sources:
        if source.file == place.file and source.function == place.function:
            return list(_loops(textwrap.dedent(source.text), place.line - source.first + 1))
    return []


@lru_cache(maxsize=256)
def _loops(text: str, line: int) -> tuple[str, ...]:
    loops = [
        node
        for node in ast.walk(_parsed(text))
        if isinstance(node, ast.For) and node.lineno <= line <= (node.end_lineno or line)
    ]
    targets = [ast.walk(loop.target) for loop in sorted(loops, key=lambda loop: loop.lineno)]
    return tuple(node.id for each in targets for node in each if isinstance(node, ast.Name))


@lru_cache(maxsize=64)
def _parsed(text: str) -> ast.AST:
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.Module([], [])


def explanation(trace: Trace) -> list[str]:
    """The paragraphs of the docstring, without the lines on cost and the like."""
    text, _, _ = trace.text.partition("\nCost:")
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


@lru_cache(maxsize=64)
def _told(text: str) -> range:
    """The lines of the docstring, counted from 0."""
    try:
        first = _parsed(text).body[0].body[0]  # type: ignore[attr-defined]
    except (IndexError, AttributeError):
        return range(0)
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return range(first.lineno - 1, first.end_lineno or first.lineno)
    return range(0)


def _head(text: str) -> int:
    """The line of `def`, counted from 0."""
    lines = text.splitlines()
    return next((i for i, line in enumerate(lines) if line.startswith("def ")), 0)
