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
from collectives.mpi.data.memory import BOTTOM, Foreign, Refused, around, export, is_bare
from collectives.mpi.data.operators import PREDEFINED
from collectives.mpi.data.tokens import Token, token_of
from collectives.operators.operator import REPRODUCIBLE_SUM

Shape = tuple
Addresses = tuple  # an int or None for each buffer
Key = tuple[Shape, Addresses]

_Array = np.ndarray
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
    held: dict[int, Any],
) -> Key:
    """The key of a call; raises `NOT_KEPT` if its plan must not be kept.

    The root has to be an int, or None. The key begins with the primitive, together
    with the call on whose behalf it is used if there is one, and the algorithm.
    What holds the memory of the buffers is added to `held`, by their position.
    """
    if root is not None and type(root) is not int:
        raise _NotKept
    given = tuple([(key, type(x), x) for key, x in parameters.items()]) if parameters else None
    name = _FOREVER.get(id(op)) or token_of(op) if op is not None else None
    if counts is not None and type(counts) is not bytes:
        counts = _content(counts)
    facts = [primitive, algorithm, root, name, registry.revision, counts, given]
    addresses: list[int | None] = []
    for place, buf in enumerate(buffers):
        data = buf
        typed = False
        if type(buf) is not _Array and isinstance(buf, (list, tuple)) and buf:
            data = buf[0]
            for value in buf[1:]:
                fact = value if type(value) is int else _FOREVER.get(id(value)) or _content(value)
                facts.append(fact)
                typed = typed or type(fact) is Token
            facts.append(len(buf))
            held[place] = data  # whatever becomes of the list
        if type(data) is _Array:
            addresses.append(_address(data))
            facts += data.size, data.dtype, data.flags.num
            if typed:
                facts.append(around(data))
        elif data is MPI.BOTTOM:
            addresses.append(BOTTOM.address)
            facts.append(id(data))
        elif data is None or data is MPI.IN_PLACE:
            addresses.append(None)
            facts.append(id(data))
        elif isinstance(data, _Array):
            addresses.append(_address(data))
            facts += data.size, data.dtype, data.flags.num, around(data)
        else:
            exported = held[place] = export(data)
            address, *memory = _exported_facts(data, exported)
            addresses.append(address)
            facts += memory
    return tuple(facts), tuple(addresses)


def _exported_facts(data: Any, exported: Any) -> tuple:
    """Where the memory of an object is that is no array, and what it holds."""
    if type(exported) is Foreign:
        return exported.address, exported.facts
    if type(exported) is Refused:
        raise _NotKept
    view = data if type(data) is memoryview else exported
    if not view.c_contiguous:
        raise _NotKept
    kind = type(data)
    bare = kind is MPI.buffer and is_bare(data)
    return _address(view), kind, bare, view.nbytes, view.format, view.readonly


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
