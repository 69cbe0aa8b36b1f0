"""Where an algorithm stands: file and line, which round, and the values of its loop variables."""

from __future__ import annotations

import ast
import linecache
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import FrameType
from typing import Any

import numpy as np

# So many variables are shown at most, the innermost loop's last.
MOST_SHOWN = 4

_LOOPS = (ast.For, ast.While)


def locate(line: tuple[str, int]) -> str:
    """`file:line`, the file relative to the current folder if it lies below."""
    path, number = line
    relative = os.path.relpath(path)
    return f"{path if relative.startswith(os.pardir) else relative}:{number}"


def scene(place: tuple[str, int], round_: int, frame: FrameType | None) -> str:
    """For example `mine.py:31, round 2, k = 1`.

    Parameters
    ----------
    place : (str, int)
        File and line.
    round_ : int
        The yield of this rank, from 1 on.
    frame : frame or None
        Whose variables are shown, those of the loops around its line.
    """
    shown = [] if frame is None else loop_variables(place, frame.f_locals)
    return ", ".join([locate(place), f"round {round_}", *shown])


def loop_variables(place: tuple[str, int], values: Mapping[str, Any]) -> list[str]:
    """`k = 1` for each number that a loop around a line of a file counts."""
    names = dict.fromkeys(loop_names(*place))
    found = [(name, values.get(name)) for name in names if not name.startswith("_")]
    numbers = [f"{name} = {value}" for name, value in found if isinstance(value, (int, np.integer))]
    return numbers[-MOST_SHOWN:]


def loop_names(path: str, line: int) -> tuple[str, ...]:
    """The variables of the loops around a line, the outermost loop first."""
    return _loop_names(parsed(path), line)


@lru_cache(maxsize=256)
def _loop_names(tree: ast.Module, line: int) -> tuple[str, ...]:
    inner = _function_at(tree, line)
    loops = [node for node in ast.walk(inner) if isinstance(node, _LOOPS) and _around(node, line)]
    loops.sort(key=lambda node: node.lineno)
    return tuple(name for loop in loops for name in _counted(loop))


def _counted(loop: ast.For | ast.While) -> Iterator[str]:
    part = loop.target if isinstance(loop, ast.For) else loop.test
    yield from (node.id for node in ast.walk(part) if isinstance(node, ast.Name))


def function_at(place: tuple[str, int]) -> ast.AST:
    """The innermost function around a line of a file; the file's module if there is none."""
    return _function_at(parsed(place[0]), place[1])


def _function_at(tree: ast.AST, line: int) -> ast.AST:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    around = [node for node in found if _around(node, line)]
    return max(around, key=lambda node: node.lineno, default=tree)


def _around(node: Any, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def parsed(path: str) -> ast.Module:
    """The syntax tree of a file; an empty one if its text is not to be had."""
    return _tree("".join(linecache.getlines(path)))


@lru_cache(maxsize=16)
def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])
