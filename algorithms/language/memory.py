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


def landing(recvbuf: np.ndarray, sendbuf: np.ndarray, room: np.ndarray | None = None) -> np.ndarray:
    """Where a vector from another rank may arrive that the input is to be added to.

    It is the output itself, because the sum is made there with less traffic to memory
    than in a third place, unless the input lies there, too. For a single element numpy
    is quicker if all places differ.

    Parameters
    ----------
    recvbuf : numpy.ndarray
        The output.
    sendbuf : numpy.ndarray
        The input.
    room : numpy.ndarray, optional
        Scratch space to take if it is needed, of at least the output's length.

    Returns
    -------
    numpy.ndarray
        `recvbuf`, or scratch space of its length.
    """
    if recvbuf.size != 1 and not np.may_share_memory(recvbuf, sendbuf):
        return recvbuf
    return scratch(recvbuf) if room is None else room[: recvbuf.size]


class Special(np.ndarray):
    """A vector that makes temporary space of its own kind."""

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
