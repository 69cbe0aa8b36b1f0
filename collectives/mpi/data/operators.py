"""What an MPI.Op does to two numpy vectors.

Predefined operators go through numpy where numpy computes the same, which is
faster, and otherwise through `MPI.Op.Reduce_local`.

Of an operator that was made from a Python function, the function is called. So
it may be freed while a nonblocking or persistent call uses it, and so may the
datatype, of which the operator here has a duplicate. MPI cannot duplicate an
operator, so one that was made elsewhere, in C, has to live until the call ends.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.engines.packing import calm
from collectives.errors import ArgumentError
from collectives.mpi.data.buffers import datatype_of
from collectives.mpi.data.datatypes import LARGEST, Element, Layout, Own
from collectives.mpi.data.tokens import Token, token_of
from collectives.operators import operator as operators
from collectives.operators.dtypes import NO_NUMBER, kind_of
from collectives.operators.operator import Kernel, Operator

# What a call takes as `op`.
Op = MPI.Op | Operator

# Applies an operator to so many elements at two addresses, and leaves the result at the second.
Apply = Callable[[int, int, int], None]

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

# Operator, and the kinds of dtype (integers, floats, complex, bool, durations, dates) for
# which numpy and MPI agree, or would if MPI had them. numpy would also "add" booleans and
# "compare" complex numbers; MPI does not define that, so it is left to MPI to refuse. So is
# what a dtype does not tell, such as that MPI.BYTE is no number.
_NUMPY = {
    MPI.SUM.handle: (operators.SUM, "iufcm"),
    MPI.PROD.handle: (operators.PROD, "iufc"),
    MPI.MAX.handle: (operators.MAX, "iufmM"),
    MPI.MIN.handle: (operators.MIN, "iufmM"),
    MPI.LAND.handle: (operators.LAND, "iub"),
    MPI.LOR.handle: (operators.LOR, "iub"),
    MPI.LXOR.handle: (operators.LXOR, "iub"),
    MPI.BAND.handle: (operators.BAND, "iu"),
    MPI.BOR.handle: (operators.BOR, "iu"),
    MPI.BXOR.handle: (operators.BXOR, "iu"),
}


@dataclass(frozen=True)
class UserOperator:
    """An operator that the user made, with all that is to be known of it once it is freed.

    Attributes
    ----------
    op : MPI.Op
    function : callable or None
        The Python function that it was made from.
    commutative : bool
    token : Token
    """

    op: MPI.Op
    function: Callable | None
    commutative: bool
    token: Token

    @classmethod
    def of(cls, op: MPI.Op) -> UserOperator:
        function: Callable | None = None
        with suppress(ValueError):  # it was not made from one
            function = op.__reduce__()[1][0]  # type: ignore[assignment]
        return cls(op, function, op.Is_commutative(), token_of(op))


def operator_of(title: str, op: Op | UserOperator | None, element: Element) -> Operator:
    """The operator that does what `op` does.

    Raises
    ------
    ArgumentError
        MPI does not define `op` for this datatype, or it is no operator.
    """
    if isinstance(op, Operator):
        return op if op.widening is not None else _fitting(title, op, element.unit)
    [op] = owned(op)
    if isinstance(op, UserOperator):
        kernel = _kernel(op, element)
        dense = isinstance(kernel, _Dense)
        name = "a user's operator"
        return Operator(name, kernel, op.commutative, into_right=dense, foreign=dense)
    if not isinstance(op, MPI.Op) or op == MPI.OP_NULL:
        needed = "op must be an MPI.Op such as MPI.SUM, or an Operator"
        raise ArgumentError(f"{title}: {needed}, got {op!r}", mpi_class="ERR_OP")
    dtype, datatype = element.unit, element.datatype
    operator, kinds = _NUMPY.get(op.handle, (None, ""))
    numpys = datatype == datatype_of(dtype)
    # Fortran's REAL16 has as many bytes as a long double, and is another type.
    fits = kind_of(dtype) in kinds and (numpys or dtype.char not in "gG")
    if not (fits and numpys):
        _try(title, op, element)
    if operator is not None and fits:
        return operator
    kernel = _Dense(_reduce_local(op, datatype, element.extent))
    return Operator(_name(op), kernel, into_right=True)


def owned(*arguments: Any) -> list:
    """The same arguments of a call, whatever their owner frees after that."""
    duplicates: dict[int, Own] = {}  # one of each: whether two are equal counts

    def own(argument: Any) -> Any:
        if type(argument) is np.ndarray:  # most are
            return argument
        with suppress(Exception):  # what is wrong with it is told when it is read
            return duplicate(argument)
        return argument

    def duplicate(argument: Any) -> Any:
        if isinstance(argument, MPI.Op) and not argument.is_predefined:
            return UserOperator.of(argument)
        if isinstance(argument, MPI.Datatype) and argument and not argument.is_predefined:
            key = argument.handle
            duplicates[key] = duplicates.get(key) or Own.of(argument)
            return duplicates[key]
        if isinstance(argument, (list, tuple)) and argument:
            *layout, datatypes = argument  # of Alltoallw one for each block
            if isinstance(datatypes, (list, tuple)):
                return [*layout, [*map(own, datatypes)]]
            if isinstance(datatypes, MPI.Datatype):
                return [*layout, own(datatypes)]
        return argument

    return [own(argument) for argument in arguments]


def _fitting(title: str, op: Operator, dtype: np.dtype) -> Operator:
    """An operator that was given as such, with the kernel for this dtype."""
    try:
        kernel = op.kernel_for(dtype)
    except TypeError as error:
        raise ArgumentError(
            f"{title}: op must be defined for the datatype, got {op.name} for {_called(dtype)}; "
            f"{error}",
            mpi_class="ERR_OP",
        ) from error
    if isinstance(kernel, np.ufunc):
        return replace(op, kernel=kernel)
    return replace(op, kernel=calm(kernel), foreign=True)


def _kernel(op: UserOperator, element: Element) -> Kernel:
    datatype = element.datatype if element.datatype.is_predefined else Own.of(element.datatype)
    if op.function is None:
        apply = _reduce_local(op.op, datatype, element.extent)
    else:
        apply = _call(op.function, datatype, element.extent)
    return _Spread(apply, datatype, element) if element.gaps else _Dense(apply)


class _Dense:
    """A kernel for elements without gaps."""

    def __init__(self, apply: Apply):
        self.apply = apply

    def __call__(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        if not out.size:
            return
        result = right.copy() if _same(left, out) else out
        if not _same(right, result):
            result[...] = right
        self.apply(MPI.Get_address(left), MPI.Get_address(result), left.size)
        if result is not out:
            out[...] = result


class _Spread:
    """A kernel for packed elements: it lays them out as the datatype says."""

    def __init__(self, apply: Apply, datatype: MPI.Datatype, element: Element):
        self.apply = apply
        self.datatype = datatype
        self.element = element

    def __call__(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        if not out.size:
            return
        layout = Layout([out.size], [0], [self.datatype])
        low, high = self.element.reach(out.size)
        if low < out.size * self.element.extent:  # else it is absolute: far from its address
            low = min(low, 0)
        low = low // 16 * 16  # keep the alignment
        high = max(high, low + out.size * self.element.extent)
        memory = [np.zeros(high - low, np.uint8) for _ in range(2)]
        one, other = [MPI.Get_address(each) - low for each in memory]
        layout.unpack(left, _buffer(one, 1))
        layout.unpack(right, _buffer(other, 1))
        self.apply(one, other, out.size)
        layout.pack(_buffer(other, 1), out)


def _call(function: Callable, datatype: MPI.Datatype, extent: int) -> Apply:
    """Apply an operator by its Python function."""

    def apply(left: int, right: int, count: int) -> None:
        function(_buffer(left, count * extent), _buffer(right, count * extent), datatype)

    return apply


def _reduce_local(op: MPI.Op, datatype: MPI.Datatype, extent: int) -> Apply:
    """Apply an operator by MPI."""

    def apply(left: int, right: int, count: int) -> None:
        if op == MPI.OP_NULL:
            raise ArgumentError("op must live until the call ends, got one that was freed")
        for start in range(0, count, LARGEST):
            n, offset = min(count - start, LARGEST), start * extent
            one, other = _buffer(left + offset, n * extent), _buffer(right + offset, n * extent)
            op.Reduce_local([one, n, datatype], [other, n, datatype])

    return apply


def _buffer(address: int, nbytes: int) -> MPI.buffer:
    return MPI.buffer.fromaddress(address, max(nbytes, 0))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or MPI.Get_address(one) == MPI.Get_address(other)


def _try(title: str, op: MPI.Op, element: Element) -> None:
    """Apply a predefined operator to one element, to see whether MPI defines it."""
    datatype, dtype = element.datatype, element.unit
    left, right = np.zeros(1, dtype), np.zeros(1, dtype)
    refused = None
    if datatype.is_predefined:
        try:
            op.Reduce_local([left, 1, datatype], [right, 1, datatype])
            return
        except MPI.Exception as error:
            refused = error
    numpys = datatype == datatype_of(dtype)
    name = _called(dtype) if numpys or datatype.is_predefined else "a derived datatype"
    todo = "choose another operator or convert the data"
    if numpys and _is_unknown(dtype):
        todo = "install ml_dtypes, if it has this type, or convert the data"
    raise ArgumentError(
        f"{title}: op must be defined for the datatype, got {_name(op)} for {name}; {todo}",
        mpi_class="ERR_OP",
    ) from refused


def _is_unknown(dtype: np.dtype) -> bool:
    """Whether it stands for a type of another library that numpy does not know."""
    return dtype.kind == NO_NUMBER and dtype.isbuiltin != 2 and not dtype.fields


def _called(dtype: np.dtype) -> str:
    if _is_unknown(dtype):
        return f"elements of {dtype.itemsize} bytes that numpy does not know"
    return str(dtype)


def _name(op: MPI.Op) -> str:
    known = (f"MPI.{name}" for name, predefined in PREDEFINED.items() if op == predefined)
    return next(known)
