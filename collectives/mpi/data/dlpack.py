"""What an exported tensor says of its elements, read from the capsule itself.

numpy reads only the types that it has; the capsule names them all, by a code and a number of
bits. Source: the header of DLPack 1.1, https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from collectives.operators.dtypes import dtype_called


class _Tensor(ctypes.Structure):
    """The beginning of DLTensor, with which DLManagedTensor begins."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    )


class _Versioned(ctypes.Structure):
    """The beginning of DLManagedTensorVersioned."""

    _fields_ = (
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


# Codes with elements of several sizes, and those of one.
_FAMILIES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex"}
_ALONE = {
    6: "bool",
    7: "float8_e3m4",
    8: "float8_e4m3",
    9: "float8_e4m3b11fnuz",
    10: "float8_e4m3fn",
    11: "float8_e4m3fnuz",
    12: "float8_e5m2",
    13: "float8_e5m2fnuz",
    14: "float8_e8m0fnu",
}

_C = ctypes.pythonapi
_C.PyCapsule_IsValid.argtypes = _C.PyCapsule_GetPointer.argtypes = ctypes.py_object, ctypes.c_char_p
_C.PyCapsule_GetPointer.restype = ctypes.c_void_p


def dtype_in(capsule: Any) -> np.dtype:
    """The dtype of an exported tensor's elements.

    One that neither numpy nor ml_dtypes has is no number: it can be moved, and not reduced.
    """
    tensor = _tensor(capsule)
    name = f"{_FAMILIES[tensor.code]}{tensor.bits}" if tensor.code in _FAMILIES else None
    name = name or _ALONE.get(tensor.code)
    dtype = dtype_called(name) if name else None
    bits = tensor.bits * tensor.lanes
    if dtype is None or 8 * dtype.itemsize != bits:
        return np.dtype((np.void, bits // 8 if bits % 8 == 0 and bits else 1))
    return dtype


def _tensor(capsule: Any) -> _Tensor:
    for name, kind in ((b"dltensor", _Tensor), (b"dltensor_versioned", _Versioned)):
        if _C.PyCapsule_IsValid(capsule, name):
            found = kind.from_address(_C.PyCapsule_GetPointer(capsule, name))
            return found if isinstance(found, _Tensor) else found.tensor
    raise BufferError("its __dlpack__ returns no tensor")
