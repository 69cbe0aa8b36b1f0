"""What an MPI.Op does to two numpy vectors.

Predefined operators go through numpy where numpy computes the same, which is
faster; everything else goes through `MPI.Op.Reduce_local`.
"""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from collectives import operators
from collectives.buffers import datatype_of
from collectives.errors import ArgumentError
from collectives.operators import Operator

PREDEFINED: dict[str, MPI.Op] = {
    "SUM": MPI.SUM,
    "PROD": MPI.PROD,
    "MAX": MPI.MAX,
    "MIN": MPI.MIN,
    "LAND": MPI.LAND,
    "LOR": MPI.LOR,
    "LXOR": MPI.LXOR,
    "BAND": MPI.BAND,
    "BOR": MPI.BOR,
    "BXOR": MPI.BXOR,
    "MAXLOC": MPI.MAXLOC,
    "MINLOC": MPI.MINLOC,
    "REPLACE": MPI.REPLACE,
    "NO_OP": MPI.NO_OP,
}

# Operator, and the kinds of dtype (integers, floats, complex, bool) for which
# numpy and MPI agree. numpy would also "add" booleans and "compare" complex
# numbers; MPI does not define that, so it is left to MPI to refuse. So is what a
# dtype does not tell, such as that MPI.BYTE is no number.
_NUMPY = {
    MPI.SUM.handle: (operators.SUM, "iufc"),
    MPI.PROD.handle: (operators.PROD, "iufc"),
    MPI.MAX.handle: (operators.MAX, "iuf"),
    MPI.MIN.handle: (operators.MIN, "iuf"),
    MPI.LAND.handle: (operators.LAND, "iub"),
    MPI.LOR.handle: (operators.LOR, "iub"),
    MPI.LXOR.handle: (operators.LXOR, "iub"),
    MPI.BAND.handle: (operators.BAND, "iu"),
    MPI.BOR.handle: (operators.BOR, "iu"),
    MPI.BXOR.handle: (operators.BXOR, "iu"),
}


def operator_of(title: str, op: MPI.Op | None, dtype: np.dtype, datatype: MPI.Datatype) -> Operator:
    """The operator that does what `op` does.

    Raises
    ------
    ArgumentError
        MPI does not define `op` for this datatype.
    """
    if not isinstance(op, MPI.Op) or op == MPI.OP_NULL:
        raise ArgumentError(f"{title}: op must be an MPI.Op such as MPI.SUM, got {op!r}")
    operator, kinds = _NUMPY.get(op.handle, (None, ""))
    fits = operator is not None and dtype.kind in kinds
    if op.is_predefined and not (fits and datatype == datatype_of(dtype)):
        _try(title, op, dtype, datatype)
    if operator is not None and fits:
        return operator
    return Operator(_name(op), _Local(op, datatype), op.Is_commutative())


class _Local:
    """A kernel over MPI_Reduce_local, which leaves its result in the right operand."""

    def __init__(self, op: MPI.Op, datatype: MPI.Datatype):
        self.op = op
        self.datatype = datatype

    def __call__(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        if not out.size:
            return
        result = right.copy() if _same(left, out) else out
        if not _same(right, result):
            result[...] = right
        self.op.Reduce_local([left, left.size, self.datatype], [result, result.size, self.datatype])
        if result is not out:
            out[...] = result


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or MPI.Get_address(one) == MPI.Get_address(other)


def _try(title: str, op: MPI.Op, dtype: np.dtype, datatype: MPI.Datatype) -> None:
    """Apply a predefined operator to one element, to see whether MPI defines it."""
    left, right = np.zeros(1, dtype), np.zeros(1, dtype)
    try:
        op.Reduce_local([left, 1, datatype], [right, 1, datatype])
    except MPI.Exception as error:
        raise ArgumentError(
            f"{title}: op must be defined for the datatype, got {_name(op)} for {dtype}; "
            "choose another operator or convert the data"
        ) from error


def _name(op: MPI.Op) -> str:
    known = (f"MPI.{name}" for name, predefined in PREDEFINED.items() if op == predefined)
    return next(known, "a user's operator")


def own(operator: Operator) -> Operator:
    """The same operator, whose datatype the user may free."""
    kernel = operator.kernel
    if not isinstance(kernel, _Local) or kernel.datatype.is_predefined:
        return operator
    datatype = kernel.datatype.Dup()
    kernel = _Local(kernel.op, datatype)
    weakref.finalize(kernel, datatype.Free).atexit = False
    return replace(operator, kernel=kernel)
