"""Scratch space, and the phantom buffers that make a cost-only run free.

A phantom is a view of one element that pretends to be many: it has a size and
a dtype, it can be sliced, and a gigabyte of it takes a few bytes. An algorithm
cannot tell the difference as long as all its temporary space comes from
`scratch`.
"""

from __future__ import annotations

import numpy as np


def scratch(like: np.ndarray, size: int | None = None) -> np.ndarray:
    """Temporary space for `size` elements, by default as many as `like` has.

    Parameters
    ----------
    like : numpy.ndarray
        Gives the dtype. If it is a phantom or another `Special`, so is the result.
    size : int, optional
        Number of elements.
    """
    size = like.size if size is None else size
    if isinstance(like, Special):
        return like.scratch(size)
    return np.empty(size, like.dtype)


class Special(np.ndarray):
    """A vector that makes temporary space of its own kind."""

    def scratch(self, size: int) -> np.ndarray:
        raise NotImplementedError


class Phantom(Special):
    """A read-only vector of many elements in the memory of one."""

    def scratch(self, size: int) -> Phantom:
        return phantom(size, self.dtype)


def phantom(size: int, dtype: np.dtype) -> Phantom:
    """A phantom of `size` elements."""
    return Phantom((size,), dtype, bytes(dtype.itemsize), strides=(0,))
