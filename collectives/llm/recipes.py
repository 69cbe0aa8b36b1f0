"""Recipes: what training holds for each parameter, as data, line by line.

The same total may be split differently, and it is the split that decides what ZeRO can cut: of
the 16 bytes of `article` stage 1 cuts 8, of the 16 bytes of `zero` it cuts 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectives import checks
from collectives.errors import ArgumentError
from collectives.llm.presets import packaged, read

# From which stage of ZeRO on a kind is cut into one block for each rank.
STAGE = {"weights": 3, "gradients": 2, "master": 1, "moments": 1}
KINDS = tuple(STAGE)

_LINE = ("name", "kind", "bytes", "zero")
_RECIPE = ("title", "source", "lines")


@dataclass(frozen=True)
class Line:
    """One line of a recipe.

    Attributes
    ----------
    name : str
    kind : str
        One of `KINDS`.
    bytes : float
        For each parameter.
    zero : int
        The stage of ZeRO from which on each rank holds only its block.
    """

    name: str
    kind: str
    bytes: float
    zero: int


@dataclass(frozen=True)
class Recipe:
    """Which copies of the weights, gradients and moments training holds.

    Attributes
    ----------
    name, title, source : str
    lines : tuple of Line
    """

    name: str
    title: str
    source: str
    lines: tuple[Line, ...]

    @property
    def bytes(self) -> float:
        """All bytes of a parameter."""
        return sum(line.bytes for line in self.lines)

    def of_kind(self, *kinds: str) -> float:
        """Bytes of a parameter in lines of these kinds."""
        return sum(line.bytes for line in self.lines if line.kind in kinds)

    def cut(self, stage: int) -> float:
        """Bytes of a parameter that a stage of ZeRO cuts."""
        return sum(line.bytes for line in self.lines if line.zero <= stage)

    def travelling(self, kind: str) -> int:
        """Bytes of a weight or gradient between ranks: those of the first line of its kind."""
        return int(next(line.bytes for line in self.lines if line.kind == kind))


def names() -> tuple[str, ...]:
    """The recipes of the library."""
    return tuple(packaged("recipes.toml"))


def recipe(word: str) -> Recipe:
    """A recipe by name, or from the user's TOML file.

    Raises
    ------
    ArgumentError
        There is none of that name, or the file says something that no recipe has.

    Examples
    --------
    >>> recipe("zero").bytes, recipe("zero").cut(1), recipe("article").cut(1)
    (16, 12, 8)
    """
    tables = packaged("recipes.toml")
    if word in tables:
        return _parsed(word, tables[word])
    if word.endswith(".toml"):
        return _parsed(Path(word).stem, read("recipe", word))
    raise ArgumentError(
        f"recipe: one of {', '.join(tables)} or a TOML file is needed, got {word!r}"
    )


def _parsed(name: str, table: Mapping[str, Any]) -> Recipe:
    checks.keys(f"recipe {name}", table, _RECIPE)
    lines = table.get("lines")
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise ArgumentError(
            f"recipe {name}: lines must be a list of tables [[lines]], got {lines!r}; "
            f"each with {', '.join(_LINE[:3])}"
        )
    found = tuple(_line(f"recipe {name}, line {at}", line) for at, line in enumerate(lines, 1))
    for kind in ("weights", "gradients"):
        first = next((line.bytes for line in found if line.kind == kind), None)
        if first not in (1, 2, 4, 8):
            raise ArgumentError(
                f"recipe {name}: the first line of {kind} travels between ranks and must have 1, "
                f"2, 4 or 8 bytes, got {'no such line' if first is None else first}"
            )
    return Recipe(name, str(table.get("title", name)), str(table.get("source", "")), found)


def _line(title: str, table: Mapping[str, Any]) -> Line:
    checks.keys(title, table, _LINE)
    for key in _LINE[:3]:
        if key not in table:
            raise ArgumentError(f"{title}: {', '.join(_LINE[:3])} are needed, got no {key}; add it")
    kind, nbytes = table["kind"], table["bytes"]
    if kind not in KINDS:
        raise ArgumentError(f"{title}: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if isinstance(nbytes, bool) or not isinstance(nbytes, (int, float)) or not 0 < nbytes <= 64:
        raise ArgumentError(f"{title}: bytes must be a number above 0 and up to 64, got {nbytes!r}")
    stage = table.get("zero", STAGE[kind])
    if stage not in (1, 2, 3) or isinstance(stage, bool):
        raise ArgumentError(f"{title}: zero must be the stage 1, 2 or 3, got {stage!r}")
    return Line(str(table["name"]), kind, nbytes, stage)
