"""Find an algorithm by name, and say what there is when the name is wrong."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import linecache
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from collectives.algorithms import PRIMITIVES, REGISTRY, Algorithm
from collectives.algorithms.language import registry
from collectives.algorithms.language.codecs import CODECS
from collectives.algorithms.language.registry import (
    AUTO,
    CHOICES,
    GROUP,
    LEAST,
    PREFIXES,
    REDUCTIONS,
    TOPOLOGY,
    WITH_COUNTS,
    named,
)
from collectives.engines.hints import hint_for
from collectives.engines.scene import locate
from collectives.errors import FAILURES, ArgumentError, RestrictionError, UnknownAlgorithm
from collectives.machine.linked import machine_for
from collectives.nodes import in_order
from collectives.operators.dtypes import is_builtin
from collectives.operators.operator import SUM, Operator

# The default of each primitive: an algorithm for every p, root and operator, with the
# shortest critical path there is or nearly so, because most calls are short. Of some a
# table says which it is: more messages pay for long vectors, and not for short ones.
DEFAULTS: Mapping[str, str] = {
    "barrier": "recursive_doubling",
    "bcast": "tree",
    "scatter": AUTO,
    "gather": AUTO,
    "allgather": "recursive_doubling",
    "reduce": "tree",
    "allreduce": AUTO,
    "reduce_scatter": AUTO,
    "alltoall": "naive",
    "scan": "recursive_doubling",
    "exscan": "123_doubling",
}


# The four that every primitive has.
TEXTBOOK: tuple[str, ...] = ("naive", "ring", "recursive_doubling", "tree")

# How many algorithms an error proposes.
FEW = 4

_COMMA = re.compile(r",(?![^(]*\))")  # not within parentheses: "group=(0,0,1,1)"
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
    if not isinstance(primitive, str) or primitive not in REGISTRY:
        choices = ", ".join(_nearest_first(primitive, PRIMITIVES))
        raise UnknownAlgorithm(f"a primitive is needed, got {primitive!r}; choose from {choices}")
    return tuple(REGISTRY[primitive])


def find(primitive: str, spec: str | None = None) -> tuple[Algorithm, dict[str, Any]]:
    """Look up an algorithm and its parameters.

    Parameters
    ----------
    primitive : str
    spec : str, optional
        A name, or a name with parameters such as `"ring:segments=8"`; also one of
        an algorithm's other names, `Algorithm.also`. The primitive's default by
        default.

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
    name, text = _halves(primitive, str(DEFAULTS[primitive] if spec is None else spec))
    found = (_UNDECIDED[primitive], "") if name == AUTO else named(primitive, name)
    if found is None:
        every = [one for known in names for one in REGISTRY[primitive][known].names]
        nearest = ", ".join(_nearest_first(name, (*every, AUTO))[:FEW])
        raise UnknownAlgorithm(
            f"{primitive}: the name of an algorithm is needed, got {name!r}; choose from {nearest} "
            f"... (python -m collectives list {primitive} shows all)"
        )
    algorithm, implied = found
    items = [*_COMMA.split(implied), *_COMMA.split(text)]
    parameters = dict(_parameter(algorithm, item) for item in items if item)
    check_parameters(algorithm, parameters)
    return algorithm, parameters


def _halves(primitive: str, spec: str) -> tuple[str, str]:
    """The name and the parameters in `name:key=value`; a name may be `file:name`."""
    first, _, rest = spec.partition(":")
    second, _, further = rest.partition(":")
    if f"{first}:{second}" in REGISTRY[primitive]:
        return f"{first}:{second}", further
    return first, rest


def algorithms_in(text: str) -> str | dict[str, str]:
    """What a command line says: `ring` for all primitives, or `allreduce=ring,bcast=tree`.

    Both may have parameters with commas between.
    """
    chosen: dict[str, str] = {}
    last = ""
    for piece in text.split(","):
        primitive, equals, spec = piece.partition("=")
        if equals and primitive in PRIMITIVES:
            chosen[primitive], last = spec, primitive
        elif last:
            chosen[last] += f",{piece}"
        else:
            return text
    return chosen


def defaults_for(algorithm: str | Mapping[str, str]) -> dict[str, str]:
    """An algorithm for every primitive.

    Parameters
    ----------
    algorithm : str or mapping
        One name for all primitives, or one for each. What it leaves out, and a primitive
        that has no algorithm of the one name, keeps its default.

    Raises
    ------
    UnknownAlgorithm
        No primitive has this algorithm, or there is no such primitive.
    ArgumentError
        The algorithm has no such parameter.
    """
    if isinstance(algorithm, Mapping):
        for primitive, spec in algorithm.items():
            find(primitive, spec)
        return {**DEFAULTS, **algorithm}
    chosen = dict(DEFAULTS)
    problem: ArgumentError | None = None
    for primitive in PRIMITIVES:
        try:
            find(primitive, algorithm)
            chosen[primitive] = algorithm
        except UnknownAlgorithm:
            pass
        except ArgumentError as error:  # the name is right, a parameter is not
            problem = error
    if algorithm in chosen.values():
        return chosen
    if problem is not None:
        raise problem
    names = dict.fromkeys(name for primitive in PRIMITIVES for name in algorithms_for(primitive))
    raise UnknownAlgorithm(
        f"Comm: the name of an algorithm is needed, got {algorithm!r}; "
        f"choose from {', '.join(names)}"
    )


def titled(primitive: str, spec: str) -> str:
    """A name of an algorithm as tables show it: with the literature's where that is another.

    Examples
    --------
    >>> titled("alltoall", "recursive_doubling"), titled("alltoall", "pairwise")
    ('recursive_doubling (bruck)', 'pairwise')
    """
    algorithm, _ = find(primitive, spec)
    known_as = algorithm.known_as if spec.partition(":")[0] == algorithm.name else ""
    return f"{spec} ({known_as})" if known_as else spec


def check_parameters(algorithm: Algorithm, parameters: Mapping[str, Any]) -> None:
    """Raise ArgumentError unless the algorithm has these parameters, with sound values.

    An integer parameter, or one whose default None means "choose", is a number
    of something: a positive integer, or from `registry.LEAST` on. One that is a name
    is one of `registry.CHOICES`.
    """
    for key, value in parameters.items():
        if key not in algorithm.parameters:
            known = ", ".join(algorithm.parameters) or "none"
            raise ArgumentError(f"{algorithm}: no parameter {key!r}; choose from {known}")
        if key in CHOICES and value not in CHOICES[key]:
            names = ", ".join(CHOICES[key])
            raise ArgumentError(f"{algorithm}: {key} must be one of {names}, got {value!r}")
        if key == TOPOLOGY:
            _check_topology(algorithm, value)
            continue
        default, least = algorithm.parameters[key], LEAST.get(key, 1)
        if not isinstance(default, (int, type(None))) or (value is None and default is None):
            continue
        if key == GROUP and isinstance(value, (tuple, list)):
            continue  # a group for each rank: `nodes.grouping` looks at it
        if type(value) is not int or value < least:
            needed = "a positive integer" if least == 1 else f"an integer from {least} on"
            raise ArgumentError(f"{algorithm}: {key} must be {needed}, got {value!r}")
    _check_codec(algorithm, parameters)


def _check_topology(algorithm: Algorithm, value: Any) -> None:
    """Raise ArgumentError unless this describes a machine."""
    if value is None:
        return
    if not isinstance(value, str):
        raise ArgumentError(
            f"{algorithm}: topology must be a line, a preset's name or the path of a file, got "
            f"{value!r}; write it as nodes:8x8,nic=25G"
        )
    try:
        machine_for(value)
    except ArgumentError as error:
        raise ArgumentError(f"{algorithm}: topology: {error}") from None


def _check_codec(algorithm: Algorithm, parameters: Mapping[str, Any]) -> None:
    """Raise ArgumentError if a parameter would mean nothing to the codec that is chosen."""
    if "codec" not in algorithm.parameters:
        return
    name = parameters.get("codec", algorithm.parameters["codec"])
    foreign = {key for codec in CODECS.values() for key in codec.OPTIONS}
    foreign -= set(CODECS[name].OPTIONS)
    for key in parameters:
        if key in foreign:
            known = ", ".join(CODECS[name].OPTIONS) or "none"
            raise ArgumentError(
                f"{algorithm}: codec {name} has no parameter {key!r}; choose from {known}"
            )


def check_restrictions(
    algorithm: Algorithm, p: int, commutative: bool = True, groups: Sequence[int] | None = None
) -> None:
    """Raise RestrictionError if the algorithm declares that it cannot do this.

    Parameters
    ----------
    algorithm : Algorithm
    p : int
        Number of ranks.
    commutative : bool
        Whether the operator commutes.
    groups : sequence of int, optional
        The group of each rank, for an algorithm that asks for it.
    """
    not_in_order = not commutative and (algorithm.commutative or mixes(algorithm, groups))
    for needed, got, fails in (
        ("a commutative operator", "one that is not", algorithm.commutative and not commutative),
        (
            "a commutative operator, or groups of neighbouring ranks",
            f"one that is not and groups {groups}",
            not commutative and mixes(algorithm, groups),
        ),
        ("a power-of-two number of ranks", p, algorithm.power_of_two and p & (p - 1)),
        (f"at least {algorithm.minimum_p} ranks", p, p < algorithm.minimum_p),
    ):
        if fails:
            others = " or ".join(_others(algorithm, p, commutative)[:FEW]) or "another p"
            raise RestrictionError(
                f"{algorithm}: needs {needed}, got {got}; use {others}",
                mpi_class="ERR_OP" if not_in_order else None,
            )


def check_lossy(algorithm: Algorithm, p: int, operator: Operator, dtype: np.dtype) -> None:
    """Raise RestrictionError if a lossy algorithm is to do what it cannot: sum floats.

    Parameters
    ----------
    algorithm : Algorithm
    p : int
        Number of ranks.
    operator : Operator
    dtype : numpy.dtype
        That of the vectors.
    """
    if not algorithm.lossy or (operator is SUM and dtype.kind == "f" and is_builtin(dtype)):
        return
    others = " or ".join(_others(algorithm, p, operator.commutative)[:FEW])
    raise RestrictionError(
        f"{algorithm}: needs a sum of floating-point numbers, because it is lossy, got "
        f"{operator.name} of {dtype}; use {others}",
        mpi_class="ERR_OP" if operator is not SUM else "ERR_TYPE",
    )


def mixes(algorithm: Algorithm, groups: Sequence[int] | None) -> bool:
    """Whether operands meet out of rank order because groups are not runs of ranks."""
    sums = algorithm.primitive in REDUCTIONS - PREFIXES
    return sums and groups is not None and not in_order(groups)


def load(path: str | Path) -> None:
    """Run a Python file whose `@algorithm` decorators add to the catalogue.

    If two files have algorithms of one name, both are called `file:name`.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ArgumentError
        It cannot be run, it registers nothing, or what it registers is no algorithm: says
        which line failed, and what to do.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"a Python file with algorithms is needed, got {path}")
    before = _take_loaded()
    try:
        _execute(path)
        new = _take_loaded()
    finally:
        for algorithm in before:
            registry.put(algorithm)
    if not new:
        raise ArgumentError(
            f"{shown(path)}: a file with an algorithm is needed, got none; "
            'write `@algorithm("bcast")`, or another primitive, above its function'
        )
    for algorithm in new:
        _join(algorithm)


def _execute(path: Path) -> None:
    name = _LOADED + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    linecache.checkcache(str(path))
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:
        _take_loaded()
        frame, line = _last_line(error, path)
        text = str(error)
        if not isinstance(error, registry.Unfit):
            said = error.msg if isinstance(error, SyntaxError) else error
            text = f"a file that can be run is needed, got {type(error).__name__}: {said}"
            text += f"; {hint_for(error, frame)}"
        raise ArgumentError(f"{shown(path)}:{line}: {text}") from error


def shown(path: Path) -> str:
    """A path as it is shown: relative to the current folder if it lies below."""
    return locate((str(path), 0)).rpartition(":")[0]


def _last_line(error: BaseException, path: Path) -> tuple[FrameType | None, int]:
    """The last line of a file that an error came through, and its frame."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return None, error.lineno or 1
    found: tuple[FrameType | None, int] = None, 1
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    return found


def _take_loaded() -> list[Algorithm]:
    """The algorithms of loaded files, which leave the registry."""
    taken = [one for names in REGISTRY.values() for one in names.values() if is_loaded(one)]
    for algorithm in taken:
        registry.remove(algorithm)
    return taken


def _join(new: Algorithm) -> None:
    """Put an algorithm of a file beside those of others; of two names alike, both get longer."""
    old = named(new.primitive, new.name)
    if old is not None and _file(old[0]) != _file(new):
        registry.remove(old[0])
        registry.put(_longer(old[0]))
    own = {one.name for one in REGISTRY[new.primitive].values() if _bare(one) == new.name}
    registry.put(_longer(new) if own - {new.name} else new)


def _longer(algorithm: Algorithm) -> Algorithm:
    """An algorithm of a file, called `file:name`."""
    return replace(algorithm, name=f"{_file(algorithm).stem}:{_bare(algorithm)}", also=())


def _bare(algorithm: Algorithm) -> str:
    return algorithm.name.rpartition(":")[2]


def _file(algorithm: Algorithm) -> Path:
    return Path(algorithm.generator.__code__.co_filename)


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


def _others(algorithm: Algorithm, p: int, commutative: bool) -> list[str]:
    """What to use instead of an algorithm."""
    return [
        name
        for name, other in REGISTRY[algorithm.primitive].items()
        if other is not algorithm and _can_do(other, p, commutative)
    ]


def _can_do(algorithm: Algorithm, p: int, commutative: bool) -> bool:
    return (
        not algorithm.lossy
        and (commutative or not algorithm.commutative)
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


def _nearest_first(word: str, choices: Sequence[str]) -> list[str]:
    def distance(choice: str) -> float:
        return -difflib.SequenceMatcher(None, str(word), choice).ratio()

    return sorted(choices, key=distance)
