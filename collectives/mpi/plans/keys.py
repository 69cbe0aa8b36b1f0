"""The key of a call: everything that its plan depends on.

It has two parts. The shape is what a call is but for where its buffers lie: the primitive,
the algorithm, how often algorithms have been registered, and of each buffer the length,
element type and layout. The addresses are where the buffers lie. Calls of one shape share
their plans.

A key holds no memory alive. MPI's own operators and datatypes live as long as we do; those
that the user made are known by a token of the Python object, which no other object ever
gets, for a handle may come back with another meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language import registry
from collectives.mpi.data.memory import BOTTOM, Refused, around, foreign, hold, is_bare
from collectives.mpi.data.operators import PREDEFINED
from collectives.mpi.data.tokens import Token, token_of
from collectives.operators.operator import REPRODUCIBLE_SUM

Shape = tuple
Addresses = tuple  # an int or None for each buffer
Key = tuple[Shape, Addresses]

_Array = np.ndarray
_Buffer = MPI.buffer
_address = MPI.Get_address

# These objects live as long as mpi4py and we do, so that their identity stands for them. Pairs
# with padding are not among them: how far they may reach depends on more than their buffer.
# (They are named here because MPI must not be asked before it is initialised.)
_PADDED = {"SHORT_INT", "LONG_INT", "DOUBLE_INT", "LONG_DOUBLE_INT"}
_FOREVER: dict[int, Any] = {
    id(datatype): id(datatype)
    for name, datatype in vars(MPI).items()
    if isinstance(datatype, MPI.Datatype) and datatype and name not in _PADDED
}
_FOREVER |= {id(op): name for name, op in PREDEFINED.items()}
_FOREVER[id(REPRODUCIBLE_SUM)] = REPRODUCIBLE_SUM.name

# The operators among them, and that of a call without one.
LASTING = {*map(id, PREDEFINED.values()), id(REPRODUCIBLE_SUM), id(None)}


_INTEGERS = {int}


class _NotKept(Exception):
    """A call whose plan must not be kept."""


# What making a key and looking it up may raise: then the call has none. Whatever is wrong with
# the arguments, the code of their own classes included, is told when they are read.
NOT_KEPT = Exception


def tokens_in(shape: Any) -> Iterator[Token]:
    """The tokens in the shape of a call."""
    for each in shape:
        if isinstance(each, Token):
            yield each
        elif isinstance(each, tuple):
            yield from tokens_in(each)


def key_of(
    primitive: Any,
    algorithm: str | None,
    buffers: Sequence[Any],
    root: int | None,
    op: Any,
    parameters: dict[str, Any] | None,
    counts: Any,
    held: list,
) -> Key:
    """The key of a call; raises `NOT_KEPT` if its plan must not be kept.

    The root has to be an int, or None. The key begins with the primitive, together
    with the call on whose behalf it is used if there is one, and the algorithm.
    What holds the memory of the buffers is added to `held`.
    """
    if root is not None and type(root) is not int:
        raise _NotKept
    given = tuple([(key, type(x), x) for key, x in parameters.items()]) if parameters else None
    name = _FOREVER.get(id(op)) or token_of(op) if op is not None else None
    if counts is not None and type(counts) is not bytes:
        counts = _content(counts)
    facts = [primitive, algorithm, root, name, registry.revision, counts, given]
    addresses: list[int | None] = []
    for buf in buffers:
        data = buf
        typed = False
        if type(buf) is not _Array and isinstance(buf, (list, tuple)) and buf:
            data = buf[0]
            for value in buf[1:]:
                fact = value if type(value) is int else _FOREVER.get(id(value)) or _content(value)
                facts.append(fact)
                typed = typed or type(fact) is Token
            facts.append(len(buf))
        if type(data) is _Array:
            addresses.append(_address(data))
            facts += data.size, data.dtype, data.flags.num
            if data is not buf:
                held.append(data)  # whatever becomes of the list
            if typed:
                facts.append(around(data))
        elif data is None or data is MPI.IN_PLACE:
            addresses.append(None)
            facts.append(id(data))
        elif data is MPI.BOTTOM:
            addresses.append(BOTTOM.address)
            facts.append(id(data))
        else:
            address, *memory = _other_memory(data, held)
            addresses.append(address)
            facts += memory
    return tuple(facts), tuple(addresses)


def _other_memory(data: Any, held: list) -> tuple:
    """Where memory is that is not a numpy array's, and what it holds."""
    if isinstance(data, _Array):
        held.append(data)
        return _address(data), data.size, data.dtype, data.flags.num, around(data)
    kind: Any = type(data)
    try:
        view = memoryview(data)
    except TypeError:
        exported = foreign(data)
        held.append(exported)
        if isinstance(exported, Refused):
            raise _NotKept from exported.error
        return exported.address, *exported.facts
    if kind is memoryview:
        held.append(hold(data, view))
    else:
        held.append(view)
        if kind is _Buffer and is_bare(data):
            kind = "bare"
    if not view.c_contiguous:
        raise _NotKept
    return _address(view), kind, view.nbytes, view.format, view.readonly


def _content(value: Any) -> Any:
    """Counts, displacements, datatypes and the like: what they say."""
    if value is None or type(value) is int or isinstance(value, (int, str)):
        return value
    if isinstance(value, (list, tuple)):
        if set(map(type, value)) == _INTEGERS:  # most are counts
            return type(value), *value
        return type(value), *[_FOREVER.get(id(each)) or _content(each) for each in value]
    if isinstance(value, MPI.Datatype):
        return token_of(value)
    if isinstance(value, _Array) and value.dtype.kind in "iu":
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, np.integer):
        return int(value)
    raise _NotKept
