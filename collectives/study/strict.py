"""Phantom buffers that see every work on data that is no step.

What an algorithm yields must not depend on values, and all its work on data must be steps:
a call like one before it replays the steps, and nothing else. These buffers raise at the
very line that reads or changes an element; what they cannot see, `oblivious` finds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collectives.algorithms.language.memory import Phantom
from collectives.engines.driver import RuleBroken
from collectives.problems import Buffers, Problem
from collectives.study.oblivious import HINT, NEEDED

# What may be asked of a buffer without looking at its elements.
_HARMLESS = frozenset({"may_share_memory", "shares_memory", "size", "shape", "ndim", "result_type"})


class Strict(Phantom):
    """A phantom whose elements can neither be read nor written, except by steps."""

    def scratch(self, size: int, dtype: np.dtype) -> Strict:
        return strict(size, dtype)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice) and index is not Ellipsis:
            if isinstance(index, (int, np.integer)):
                range(self.size)[index]  # raises IndexError as it should
            _read(f"a read of element {index!r}")
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        _work("an assignment to elements")

    def __array_ufunc__(self, ufunc: Any, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(view, Strict) for view in kwargs.get("out") or ()):
            _work(f"numpy.{ufunc.__name__}")
        _read(f"numpy.{ufunc.__name__} of elements")

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function.__name__ in _HARMLESS:
            return super().__array_function__(function, types, args, options)
        _work(f"numpy.{function.__name__}")
        return None

    def __iter__(self) -> Any:
        _read("a loop over its elements")

    def copy(self, *_: Any) -> Any:
        _work(".copy() of a buffer")

    def fill(self, _: Any) -> None:
        _work(".fill() of a buffer")

    def astype(self, *_: Any, **__: Any) -> Any:
        _work(".astype() of a buffer")

    def _whole(self, *_: Any, **__: Any) -> Any:
        _read("a read of its elements")

    item = tolist = tobytes = __bool__ = __int__ = __float__ = __index__ = __contains__ = _whole


def strict(size: int, dtype: np.dtype) -> Strict:
    """A strict phantom of `size` elements."""
    return Strict((size,), dtype, bytes(dtype.itemsize), strides=(0,))


def strict_buffers(problem: Problem, rank: int) -> Buffers:
    """The buffers of a rank, all of them strict."""
    mine = problem.phantoms(rank)
    return Buffers(
        *[
            None if buf is None else strict(buf.size, problem.dtype)
            for buf in (mine.send, mine.recv)
        ]
    )


def _work(what: str) -> None:
    raise RuleBroken(
        "all work on data must be steps",
        f"{what} between two yields",
        "a call like this one replays the steps only: yield copy(...) or reduce(...), "
        "and take temporary space from scratch(...)",
    )


def _read(what: str) -> None:
    raise RuleBroken(NEEDED, what, HINT)
