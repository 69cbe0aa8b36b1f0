"""Slips of the pen in the text of an algorithm: steps that are made and not yielded."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from collectives.algorithms.language.registry import Algorithm, Generator
from collectives.engines.scene import locate, parsed

_STEPS = frozenset({"send", "recv", "reduce", "copy", "encode", "decode"})


def slip(algorithm: Algorithm) -> str:
    """What to do about the first slip in an algorithm; empty if there is none."""
    return [*_slips(inspect.unwrap(algorithm.generator)), ""][0]


def _slips(generator: Generator) -> Iterator[str]:
    code = generator.__code__
    page = _page(code.co_filename, code.co_firstlineno)
    if page is None:
        return
    for node in ast.walk(page):
        line = getattr(node, "lineno", 0)
        place = locate((code.co_filename, line))
        if isinstance(node, ast.Return) and node.value is not None:
            if not isinstance(node.value, ast.Constant):
                text = ast.unparse(node.value)
                yield f"what `return` gives is lost ({place}): write `yield {text}`"
        elif isinstance(node, ast.Expr):
            yield from _lost(node.value, place, generator)


def _lost(value: ast.expr, place: str, generator: Generator) -> Iterator[str]:
    """A value that stands alone on its line."""
    text = ast.unparse(value)
    if isinstance(value, ast.Call):
        called = value.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if isinstance(called, ast.Name) and name in _STEPS:
            yield f"a step happens only if it is yielded ({place}): write `yield {text}`"
        elif _runs(_meant(called, generator)):
            short = ast.unparse(called)
            yield f"{short}(...) does nothing by itself ({place}): write `yield from {short}(...)`"
    elif isinstance(value, (ast.Name, ast.Tuple, ast.List)):
        yield f"this line does nothing ({place}): write `yield {text}`"


def _runs(function: object) -> bool:
    """Whether a call of it makes a generator, which then has to be run."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_GENERATOR)


def _meant(called: ast.expr, generator: Generator) -> object:
    """The function that a name stands for, as far as the module of the algorithm knows."""
    if isinstance(called, ast.Attribute):
        return getattr(_meant(called.value, generator), called.attr, None)
    return getattr(generator, "__globals__", {}).get(getattr(called, "id", ""))


def _page(path: str, first: int) -> ast.FunctionDef | None:
    """The function whose first line, or that of its decorator, this is."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            lines = [node.lineno, *(each.lineno for each in node.decorator_list)]
            if first in lines:
                return node
    return None
