"""Find an algorithm by name, and say what there is when the name is wrong."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from collectives.algorithms import PRIMITIVES, REGISTRY, Algorithm
from collectives.algorithms.registry import AUTO, WITH_COUNTS
from collectives.errors import ArgumentError, RestrictionError, UnknownAlgorithm

# The default of each primitive: an algorithm for every p, root and operator,
# with the fewest rounds there are or nearly so, because most calls are short.
DEFAULTS: Mapping[str, str] = {
    "barrier": "recursive_doubling",
    "bcast": "tree",
    "scatter": "tree",
    "gather": "tree",
    "allgather": "recursive_doubling",
    "reduce": "tree",
    "allreduce": "recursive_doubling",
    "reduce_scatter": "recursive_doubling",
    "alltoall": "naive",
    "scan": "recursive_doubling",
    "exscan": "recursive_doubling",
}


# The four that every primitive has.
TEXTBOOK: tuple[str, ...] = ("naive", "ring", "recursive_doubling", "tree")

_LOADED = "collectives_user_"  # what the modules of `load` are called


def is_loaded(algorithm: Algorithm) -> bool:
    """Whether an algorithm comes from a file that the user loaded."""
    return algorithm.generator.__module__.startswith(_LOADED)


def algorithms_for(primitive: str) -> tuple[str, ...]:
    """Names of the algorithms there are for a primitive, in reading order.

    Parameters
    ----------
    primitive : str
        One of `collectives.PRIMITIVES`.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive.

    Examples
    --------
    >>> algorithms_for("allreduce")[:4]
    ('naive', 'ring', 'recursive_doubling', 'tree')
    """
    if primitive not in REGISTRY:
        choices = ", ".join(_nearest_first(primitive, PRIMITIVES))
        raise UnknownAlgorithm(f"a primitive is needed, got {primitive!r}; choose from {choices}")
    return tuple(REGISTRY[primitive])


def find(primitive: str, spec: str | None = None) -> tuple[Algorithm, dict[str, Any]]:
    """Look up an algorithm and its parameters.

    Parameters
    ----------
    primitive : str
    spec : str, optional
        A name, or a name with parameters such as `"ring:segments=8"`. The
        primitive's default by default.

    Returns
    -------
    Algorithm, dict
        The algorithm, and the parameters given in `spec`. For `"auto"` something
        that stands for an algorithm, until `choice.decide` says for which.

    Raises
    ------
    UnknownAlgorithm
        Names the algorithms there are, nearest first.
    ArgumentError
        The algorithm has no such parameter.
    """
    names = algorithms_for(primitive)
    name, _, text = str(DEFAULTS[primitive] if spec is None else spec).partition(":")
    if name not in names and name != AUTO:
        choices = ", ".join(_nearest_first(name, (*names, AUTO)))
        raise UnknownAlgorithm(
            f"{primitive}: the name of an algorithm is needed, got {name!r}; choose from {choices}"
        )
    algorithm = _UNDECIDED[primitive] if name == AUTO else REGISTRY[primitive][name]
    parameters = dict(_parameter(algorithm, item) for item in text.split(",") if item)
    check_parameters(algorithm, parameters)
    return algorithm, parameters


def check_parameters(algorithm: Algorithm, parameters: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless the algorithm has these parameters.

    An integer parameter, or one whose default None means "choose", is a number
    of something and must be positive.
    """
    for key, value in parameters.items():
        if key not in algorithm.parameters:
            known = ", ".join(algorithm.parameters) or "none"
            raise ArgumentError(f"{algorithm}: no parameter {key!r}; choose from {known}")
        if value is None and algorithm.parameters[key] is None:
            continue
        if isinstance(algorithm.parameters[key], (int, type(None))) and not (
            isinstance(value, int) and value > 0
        ):
            raise ArgumentError(f"{algorithm}: {key} must be a positive integer, got {value!r}")


def check_restrictions(algorithm: Algorithm, p: int, commutative: bool = True) -> None:
    """Raise RestrictionError if the algorithm declares that it cannot do this."""
    for needed, got, fails in (
        ("a commutative operator", "one that is not", algorithm.commutative and not commutative),
        ("a power-of-two number of ranks", p, algorithm.power_of_two and p & (p - 1)),
        (f"at least {algorithm.minimum_p} ranks", p, p < algorithm.minimum_p),
    ):
        if fails:
            others = [
                name
                for name, other in REGISTRY[algorithm.primitive].items()
                if _can_do(other, p, commutative)
            ]
            raise RestrictionError(
                f"{algorithm}: needs {needed}, got {got}; use {' or '.join(others) or 'another p'}"
            )


def load(path: str | Path) -> None:
    """Run a Python file whose `@algorithm` decorators add to the catalogue.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"a Python file with algorithms is needed, got {path}")
    name = _LOADED + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _undecided(primitive: str, *arguments: Any, **parameters: Any) -> Any:
    raise ArgumentError(
        f"{primitive}.{AUTO}: needs a length to choose an algorithm, got none; name an algorithm"
    )


# They stand for the algorithm that a table chooses when the length is known: see `choice`.
_UNDECIDED: Mapping[str, Algorithm] = {
    primitive: Algorithm(
        primitive, AUTO, partial(_undecided, primitive), needs_counts=primitive in WITH_COUNTS
    )
    for primitive in PRIMITIVES
}


def _can_do(algorithm: Algorithm, p: int, commutative: bool) -> bool:
    return (
        (commutative or not algorithm.commutative)
        and not (algorithm.power_of_two and p & (p - 1))
        and p >= algorithm.minimum_p
    )


def _parameter(algorithm: Algorithm, item: str) -> tuple[str, Any]:
    key, equals, value = item.partition("=")
    if not equals:
        raise ArgumentError(f"{algorithm}: a parameter reads key=value, got {item!r}")
    try:
        return key, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return key, value


def _nearest_first(word: str, choices: tuple[str, ...]) -> list[str]:
    def distance(choice: str) -> float:
        return -difflib.SequenceMatcher(None, str(word), choice).ratio()

    return sorted(choices, key=distance)
