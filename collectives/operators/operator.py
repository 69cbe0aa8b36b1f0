"""Reduction operators, independent of MPI.

An operator maps two vectors to one, element by element. It must be associative
and need not commute: the left operand belongs to the lower ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from collectives.operators import binned

# out = left op right, elementwise; `out` may be either operand.
Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray], object]
Kernels = Mapping[Any, Kernel]  # by dtype


@dataclass(frozen=True)
class Widening:
    """A wider element type that an operator computes on, which keeps what the users' own loses.

    Attributes
    ----------
    dtype_of : callable
        The wider type of a numpy dtype; None if it has none.
    is_wide : callable
        Whether a numpy dtype is such a type itself: users may do the rest of the way.
    encode : callable
        `encode(values, wide)`, before the first round.
    decode : callable
        `decode(wide, values)`, after the last round.
    """

    dtype_of: Callable[[np.dtype], np.dtype | None]
    is_wide: Callable[[np.dtype], bool]
    encode: Callable[[np.ndarray, np.ndarray], object]
    decode: Callable[[np.ndarray, np.ndarray], object]


@dataclass(frozen=True)
class Operator:
    """A named reduction.

    Reductions take one as `op`: all ranks the same. Their plans are kept as long as it lives,
    so make it once. ::

        larger = Operator("larger", lambda left, right, out: np.fmax(left, right, out=out))
        comm.Allreduce(mine, largest, op=larger)

    Attributes
    ----------
    name : str
        For messages; all ranks must say the same.
    kernel : callable or mapping
        `kernel(left, right, out)`, on one-dimensional arrays of one length and dtype; the left
        operand belongs to the lower ranks. It leaves its result in `out`, which may be either
        operand, and changes nothing else. A binary numpy ufunc will do. Or a mapping to such
        kernels from what `numpy.dtype` takes.
    commutative : bool
        Whether the operands may be exchanged; more algorithms are open then.
    widening : Widening or None
        Where the kernel's operands are not of the users' type.
    into_right : bool
        Whether the kernel can leave its result only where the right operand lies, and
        copies for any other `out`.
    foreign : bool
        Whether the kernel hands its operands to a function of the user's, which might
        write to them.
    """

    name: str
    kernel: Any  # a Kernel or Kernels
    commutative: bool = True
    widening: Widening | None = None
    into_right: bool = False
    foreign: bool = False

    def kernel_for(self, dtype: np.dtype) -> Kernel:
        """The kernel for elements of a dtype.

        Raises
        ------
        TypeError
            There is none.
        """
        kernel: Any = self.kernel
        if isinstance(kernel, Mapping):
            kernels = {np.dtype(key): value for key, value in kernel.items()}
            if dtype not in kernels:
                raise TypeError(f"its kernels are for {', '.join(map(str, kernels)) or 'nothing'}")
            kernel = kernels[dtype]
        if not callable(kernel):
            raise TypeError(f"its kernel must be a function of left, right and out, not {kernel!r}")
        if isinstance(kernel, np.ufunc):
            one, result = np.zeros((2, 1), dtype)
            with np.errstate(all="ignore"):
                kernel(one, one, out=result)
        return kernel


def _extremum(ufunc: np.ufunc) -> Kernel:
    return lambda left, right, out: ufunc(left, right, out=out)


def _logical(ufunc: np.ufunc) -> Kernel:
    return lambda left, right, out: ufunc(left, right, out=out, casting="unsafe")


def _matrix_product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    out["m"] = left["m"] @ right["m"]


SUM = Operator("sum", np.add)
PROD = Operator("prod", np.multiply)
MAX = Operator("max", _extremum(np.maximum))
MIN = Operator("min", _extremum(np.minimum))
LAND = Operator("land", _logical(np.logical_and))
LOR = Operator("lor", _logical(np.logical_or))
LXOR = Operator("lxor", _logical(np.logical_xor))
BAND = Operator("band", np.bitwise_and)
BOR = Operator("bor", np.bitwise_or)
BXOR = Operator("bxor", np.bitwise_xor)

# The sum of floats that has the same bits in any order: see docs/reproducible.md.
REPRODUCIBLE_SUM = Operator(
    "reproducible_sum",
    binned.join,
    widening=Widening(binned.record_of, binned.is_record, binned.encode, binned.decode),
)

# Two by two integer matrices: the smallest operator that does not commute.
MATRIX = np.dtype([("m", np.int64, (2, 2))])
MATPROD = Operator("matprod", _matrix_product, commutative=False)

OPERATORS: dict[str, Operator] = {
    op.name: op
    for op in (
        *(SUM, PROD, MAX, MIN, LAND, LOR, LXOR, BAND, BOR, BXOR, MATPROD),
        REPRODUCIBLE_SUM,
    )
}
