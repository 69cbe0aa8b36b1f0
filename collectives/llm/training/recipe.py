"""In which types weights, gradients and moments are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collectives.errors import ArgumentError
from collectives.operators import binned
from collectives.operators.dtypes import dtype_called

NAMES = {"fp32": "float32", "fp64": "float64", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Recipe:
    """The types of what a rank keeps.

    Attributes
    ----------
    name : str
    stored : numpy.dtype
        Of weights, and of gradients unless they are records.
    computed : numpy.dtype
        In which layers are computed, and the optimizer.
    reproducible : bool
        Whether gradients are records, whose sums have the same bits in any order:
        32 bytes each in place of 4.
    """

    name: str
    stored: np.dtype
    computed: np.dtype
    reproducible: bool = False

    @property
    def summed(self) -> np.dtype:
        """The type of gradients."""
        return binned.RECORD if self.reproducible else self.stored

    @property
    def master(self) -> bool:
        """Whether there is a copy of the weights in the type that is computed in."""
        return self.stored != self.computed

    @property
    def scale(self) -> float:
        """By which the loss is multiplied, so that small gradients of float16 do not become 0."""
        return 2.0**10 if self.stored == np.float16 and not self.reproducible else 1.0


def recipe(name: str = "fp32", reproducible: bool = False) -> Recipe:
    """The recipe of this name.

    Raises
    ------
    ArgumentError
        There is none, or its type comes with a package that is not installed.
    """
    if name not in NAMES:
        raise ArgumentError(
            f"train: --precision needs one of {', '.join(NAMES)}, got {name!r}; choose one of them"
        )
    stored = dtype_called(NAMES[name])
    if stored is None:
        raise ArgumentError(
            f"train: --precision {name} needs the package ml_dtypes, got none; "
            "install it, or take --precision fp16"
        )
    computed = stored if stored.itemsize >= 4 else np.dtype(np.float32)
    return Recipe(name, stored, computed, reproducible)


def add(values: np.ndarray, total: np.ndarray) -> None:
    """`total += values`, whatever the types: records are joined, 16 bits are rounded to."""
    if binned.is_record(total.dtype):
        records = values
        if not binned.is_record(values.dtype):
            records = np.empty(values.shape, binned.RECORD)
            binned.encode(values, records)
        binned.join(total, records, total)
    elif total.itemsize < 4:
        total[:] = total.astype(np.float32) + values.astype(np.float32)
    else:
        total += values


def clear(total: np.ndarray) -> None:
    """Make it a sum of nothing."""
    total.view(np.uint8)[:] = 0


def read(total: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The numbers of a sum in a type; the array itself if it has that type."""
    if binned.is_record(total.dtype):
        return binned.rounded(total, dtype)
    return total.astype(dtype, copy=False)
