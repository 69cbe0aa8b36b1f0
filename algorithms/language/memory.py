"""Scratch space, and the phantom buffers that make a cost-only run free.

A phantom is a view of one element that pretends to be many: it has a size and
a dtype, it can be sliced, and a gigabyte of it takes a few bytes. An algorithm
cannot tell the difference as long as all its temporary space comes from
`scratch`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def scratch(
    like: np.ndarray, size: int | None = None, dtype: np.typing.DTypeLike | None = None
) -> np.ndarray:
    """Temporary space for `size` elements, by default as many as `like` has.

    Parameters
    ----------
    like : numpy.ndarray
        If it is a phantom or another `Special`, so is the result.
    size : int, optional
        Number of elements.
    dtype : numpy dtype, optional
        That of `like` by default.
    """
    size = like.size if size is None else size
    dtype = like.dtype if dtype is None else np.dtype(dtype)
    if isinstance(like, Special):
        return like.scratch(size, dtype)
    return np.empty(size, dtype)


class Special(np.ndarray):
    """A vector that makes temporary space of its own kind.

    Attributes
    ----------
    blocks : type or None
        What it is cut into in place of `Blocks`, called alike.
    """

    blocks: Any = None

    def scratch(self, size: int, dtype: np.dtype) -> np.ndarray:
        raise NotImplementedError

    def codec(self, codec: Any) -> Any:
        """What encodes such vectors in place of `codec`: by default itself."""
        return codec


class Phantom(Special):
    """A read-only vector of many elements in the memory of one."""

    def scratch(self, size: int, dtype: np.dtype) -> Phantom:
        return phantom(size, dtype)


def phantom(size: int, dtype: np.dtype) -> Phantom:
    """A phantom of `size` elements."""
    return Phantom((size,), dtype, bytes(dtype.itemsize), strides=(0,))
