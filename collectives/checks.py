"""Look at the arguments of functions that run without MPI: ranks, numbers, times, memory.

Each raises ArgumentError in one sentence, and returns the argument as what it stands for.
`title` is what the message begins with, the function or the algorithm.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

from collectives.errors import ArgumentError

# Times in seconds, so that no sum of them overflows.
LONGEST = 1e100

MOST_TIMES = 1000

# Bytes of all vectors together, so that no count overflows.
MOST_BYTES = 2**62


def is_integer(value: Any) -> bool:
    """Whether a value is an integer, of Python's or numpy's, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def integer(title: str, name: str, value: Any, least: int = 0) -> int:
    """An integer from `least` on."""
    if is_integer(value) and operator.index(value) >= least:
        return operator.index(value)
    raise ArgumentError(f"{title}: {name} must be an integer from {least} on, got {value!r}")


def keys(title: str, table: Iterable[str], known: Collection[str]) -> None:
    """Raise unless all keys of a table are known."""
    for key in table:
        if key not in known:
            raise ArgumentError(
                f"{title}: a key must be one of {', '.join(known)}, got {key!r}; correct it"
            )


def ranks(title: str, p: Any) -> int:
    """A number of ranks."""
    return integer(title, "the number of ranks p", p, 1)


def rank(title: str, name: str, value: Any, p: int) -> int:
    """One of p ranks, such as a root."""
    if is_integer(value) and 0 <= operator.index(value) < p:
        return operator.index(value)
    raise ArgumentError(f"{title}: {name} must be a rank from 0 to {p - 1}, got {value!r}")


def instance(title: str, name: str, value: Any, kind: type) -> None:
    """Raise unless a value is of this class."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{title}: {name} must be of the class {kind.__name__}, got {value!r}")


def dtype(title: str, value: Any) -> np.dtype:
    """A type of elements that lie in a buffer."""
    try:
        found = np.dtype(value)
    except TypeError:
        found = np.dtype(object)
    if found.hasobject or found.itemsize == 0 or found.subdtype:
        raise ArgumentError(
            f"{title}: dtype must be a numpy dtype of elements of one size, got {value!r}"
        )
    return found


def lengths(title: str, counts: Any, shape: tuple[int, ...]) -> Any:
    """The lengths of blocks: a tuple of integers, or an array of two dimensions."""
    try:
        found = np.array(counts)
    except ValueError:  # of rows of different lengths
        found = np.array(None)
    if found.shape != shape or found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        text = " times ".join(map(str, shape))
        raise ArgumentError(f"{title}: counts must be {text} integers from 0 on, got {counts!r}")
    countable(title, sum(map(int, found.flat)))
    return tuple(found.tolist()) if len(shape) == 1 else found.astype(np.int64)


def seconds(title: str, name: str, value: Any) -> float:
    """A time."""
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if 0 <= float(value) <= LONGEST:
                return float(value)
    raise ArgumentError(
        f"{title}: {name} must be a number of seconds from 0 to {LONGEST:g}, got {value!r}"
    )


def share(title: str, name: str, value: Any) -> float:
    """A share of something, which may be several times all of it."""
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if 0 <= float(value) < MOST_TIMES:
                return float(value)
    raise ArgumentError(f"{title}: {name} must be a share from 0 on, as 0.05, got {value!r}")


def rate(title: str, name: str, value: Any) -> float:
    """Bytes a second, which may be infinite."""
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if float(value) == math.inf or 1 / LONGEST <= float(value) <= LONGEST:
                return float(value)
    raise ArgumentError(
        f"{title}: {name} must be a number of bytes a second above 0, got {value!r}"
    )


def countable(title: str, nbytes: int) -> None:
    """Raise unless so many bytes, those of all vectors together, can be counted."""
    if nbytes > MOST_BYTES:
        raise ArgumentError(
            f"{title}: all vectors together must have at most 4 EiB, got {nbytes} bytes; "
            "take fewer elements or ranks"
        )


def memory(title: str, what: str, nbytes: float) -> None:
    """Raise unless this machine has so much memory, which `what` needs."""
    there = _memory()
    if nbytes > there:
        raise ArgumentError(
            f"{title}: {what} must fit in the memory of this machine, {there / 2**30:.3g} GiB, "
            f"got {nbytes / 2**30:.3g} GiB; take less"
        )


def _memory() -> float:
    """Bytes of memory that this process may use; unlimited where nobody says."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf
