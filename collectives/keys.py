"""The key of a call: everything that its plan depends on.

A plan is found again by the primitive, the algorithm, how often algorithms have been
registered, and of each buffer the address, length, dtype and layout. So a plan can not
be stale: memory that another array has taken over is the same memory, and a key holds
none of it alive. Operators and datatypes that the user made have handles that may come
back with another meaning, so calls with them have no key; nor have calls with memory
that is not a numpy array's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms import registry
from collectives.mpi_operators import PREDEFINED
from collectives.operators import REPRODUCIBLE_SUM

Shape = tuple
Key = tuple[Shape, tuple[int, ...]]

_Array = np.ndarray
_address = MPI.Get_address

# These objects live as long as mpi4py and we do, so that their identity stands for them.
_PREDEFINED = {id(op): name for name, op in PREDEFINED.items()}
_PREDEFINED[id(REPRODUCIBLE_SUM)] = REPRODUCIBLE_SUM.name
_DATATYPES = {
    id(datatype): (MPI.Datatype, datatype.handle)
    for datatype in vars(MPI).values()
    if isinstance(datatype, MPI.Datatype) and datatype and datatype.is_predefined
}


class _NotKept(Exception):
    """A call whose plan must not be kept."""


# What making a key and looking it up may raise: then the call has none.
NOT_KEPT = (_NotKept, AttributeError, KeyError, TypeError, ValueError, BufferError)


def key_of(
    primitive: str,
    algorithm: str | None,
    buffers: Sequence[Any],
    root: int | None,
    op: Any,
    parameters: dict[str, Any] | None,
    counts: tuple[int, ...] | bytes | None,
) -> Key:
    """The key of a call; raises one of `NOT_KEPT` if its plan must not be kept.

    It is the shape of the call and the addresses of its arrays: calls of one shape differ
    in nothing but where their memory lies. The root has to be an int, or None.
    """
    if root is not None and type(root) is not int:
        raise _NotKept
    name = op if op is None else _PREDEFINED[id(op)]
    given = tuple([(key, type(x), x) for key, x in parameters.items()]) if parameters else None
    addresses: list[int] = []
    facts = [_fact(buf, addresses) for buf in buffers]
    shape = (primitive, algorithm, root, name, registry.revision, counts, given, *facts)
    return shape, tuple(addresses)


def arrays_of(buffers: Sequence[Any]) -> list[np.ndarray]:
    """The arrays whose addresses are in the key, in the same order."""
    data = [buf[0] if isinstance(buf, (list, tuple)) and buf else buf for buf in buffers]
    return [each for each in data if isinstance(each, _Array)]


def _fact(buf: Any, addresses: list[int]) -> Any:
    """What a plan depends on in one buffer: of data where it is, not what it is."""
    if isinstance(buf, _Array):
        addresses.append(_address(buf))
        return buf.size, buf.dtype, buf.flags.num
    if buf is None or isinstance(buf, MPI.InPlaceType):
        return type(buf)
    if isinstance(buf, (list, tuple)) and buf and isinstance(buf[0], (_Array, type(None))):
        return _fact(buf[0], addresses), *map(_content, buf[1:])
    raise _NotKept


def _content(value: Any) -> Any:
    """Counts, displacements, datatypes and the like: what they say."""
    named = _DATATYPES.get(id(value))
    if named is not None:
        return named
    if value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value), *map(_content, value)
    if isinstance(value, _Array) and value.dtype.kind in "iu":
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, MPI.Datatype) and value.is_predefined:
        return MPI.Datatype, value.handle
    raise _NotKept
