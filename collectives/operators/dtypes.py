"""Which dtypes are numbers, and what is quick with short ones.

Beside numpy's own types there are those that a package adds: ml_dtypes has bfloat16, the
float8s, int4 and more, each with loops for numpy's ufuncs. A letter says nothing of them (that
of int4 is "a", that of float8_e4m3fnuz "G"); what they can be cast to does.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from collectives.operators.operator import Operator

NO_NUMBER = "V"
ADDED = 256  # the first number of types that packages add

# A kind, and the type that holds every number of that kind.
_WIDEST = {"u": np.uint64, "i": np.int64, "f": np.float64, "c": np.complex128}

# Elements from which torch's kernels are worth the views that they need, and its names for them.
LONG = 2**12
_TORCHS = {"sum": "add", "prod": "multiply"}


def is_builtin(dtype: np.dtype) -> bool:
    """Whether it is a type of numpy's own, not one that a package adds or with fields.

    `isbuiltin` would be 0 for those that ctypes describes.
    """
    return dtype.num < ADDED and dtype.kind != NO_NUMBER


@cache
def kind_of(dtype: np.dtype) -> str:
    """The kind of a dtype, in numpy's letters: "V" for what is no number, date or duration."""
    if is_builtin(dtype) or dtype.kind in "mM":
        return dtype.kind
    if dtype.fields or dtype.subdtype or dtype.isbuiltin == 0:
        return NO_NUMBER
    return next((kind for kind, wide in _WIDEST.items() if np.can_cast(dtype, wide)), NO_NUMBER)


def dtype_called(name: str) -> np.dtype | None:
    """The dtype of this name, numpy's or one of ml_dtypes; None if there is none.

    Importing ml_dtypes tells numpy its names.
    """
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError, TypeError):
        return None


def quickened(operator: Operator, dtype: np.dtype) -> Operator:
    """The operator with a kernel of torch's for long vectors, if the program uses torch.

    numpy's own float16 is some sixty times as slow as torch's, and the bfloat16 of ml_dtypes
    seven times. Both round each sum and product once, to nearest, so that the bits are the same.
    """
    name = _TORCHS.get(operator.name)
    if name is None or dtype.name not in ("float16", "bfloat16"):
        return operator
    ufunc: Any = operator.kernel
    if not isinstance(ufunc, np.ufunc):
        return operator

    def kernel(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        torch = _torch() if out.size >= LONG else None
        if torch is None:
            ufunc(left, right, out)
            return
        one, other, result = (_tensor(torch, view, dtype) for view in (left, right, out))
        getattr(torch, name)(one, other, out=result)

    return replace(operator, kernel=kernel)


def _torch() -> Any:
    """torch, if the program has imported it."""
    torch = sys.modules.get("torch")
    loading = getattr(getattr(torch, "__spec__", None), "_initializing", False)
    return None if loading else torch


def _tensor(torch: Any, view: np.ndarray, dtype: np.dtype) -> Any:
    """A tensor over the same memory; torch would warn of memory that is read-only."""
    address, nbytes = view.__array_interface__["data"][0], view.nbytes
    memory: Any = (ctypes.c_char * nbytes).from_address(address)
    words = torch.from_numpy(np.frombuffer(memory, np.int16))
    return words.view(getattr(torch, dtype.name))
