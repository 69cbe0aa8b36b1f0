"""Models by name, by number of parameters, or from the user's TOML file."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from collectives.errors import ArgumentError
from collectives.llm.shapes import Bare, Shape, shape_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_POWER = {"K": 3, "M": 6, "B": 9, "T": 12}


@cache
def packaged(name: str) -> dict[str, Any]:
    """The tables of a TOML file of this room."""
    return tomllib.loads(files("collectives.llm").joinpath(name).read_text(encoding="utf-8"))


def read(title: str, path: str) -> dict[str, Any]:
    """The tables of the user's TOML file."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(
            f"{title}: a TOML file is needed, got {path!r} ({reason}); correct it"
        ) from None


def names() -> tuple[str, ...]:
    """The presets."""
    return tuple(packaged("presets.toml"))


def model(word: str) -> Shape | Bare:
    """A model by a word of the command line.

    Parameters
    ----------
    word : str
        A preset's name, in any case and with or without hyphens; a number of parameters, as
        `7B` or `124M`, powers of 1000; or the path of a TOML file with the keys of a `Shape`.

    Raises
    ------
    ArgumentError
        It is none of these.

    Examples
    --------
    >>> model("7B").parameters
    7000000000
    >>> model("llama2-7b").parameters
    6738415616
    """
    tables = packaged("presets.toml")
    for name, table in tables.items():
        if _plain(word) in (_plain(name), _plain(table["name"])):
            return shape_of(name, table)
    number = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([KMBT])", word.strip().upper())
    if number and (parameters := round(float(number[1]) * 10 ** _POWER[number[2]])):
        return Bare(word, parameters)
    if word.endswith(".toml"):
        return shape_of(Path(word).stem, read("model", word))
    raise ArgumentError(
        f"model: a number of parameters such as 7B, a TOML file or one of {', '.join(tables)} is "
        f"needed, got {word!r}"
    )


def with_shape(found: Shape | Bare, what: str) -> Shape:
    """The shape of a model, which `what` needs.

    Raises
    ------
    ArgumentError
        Only its number of parameters is known.
    """
    if isinstance(found, Shape):
        return found
    raise ArgumentError(
        f"{found.name}: {what} needs the shape of the model, got a number of parameters alone; "
        f"name one of {', '.join(names())}, or give --layers, --hidden, --heads, --ffn, --vocab"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
