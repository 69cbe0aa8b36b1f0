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

from collectives.algorithms.language import registry
from collectives.mpi.data.operators import PREDEFINED
from collectives.operators.operator import REPRODUCIBLE_SUM

Shape = tuple
Key = tuple[Shape, tuple[int, ...]]

_Array = np.ndarray
_address = MPI.Get_address

# These objects live as long as mpi4py and we do, so that their identity stands for them.
_PREDEFINED = {id(op): name for name, op in PREDEFINED.items()}
_PREDEFINED[id(REPRODUCIBLE_SUM)] = REPRODUCIBLE_SUM.name
DATATYPES = {
    id(datatype): (MPI.Datatype, datatype.handle)
    for datatype in vars(MPI).values()
    if isinstance(datatype, MPI.Datatype) and datatype and datatype.is_predefined
}
PLACEHOLDERS = {id(None), id(MPI.IN_PLACE)}


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
    facts: list[Any] = []
    for buf in buffers:
        data = buf
        if type(buf) is not _Array and isinstance(buf, (list, tuple)) and buf:
            data, *layout = buf
            for value in layout:
                facts.append(DATATYPES.get(id(value)) or _content(value))
            facts.append(len(layout))
        if type(data) is _Array or isinstance(data, _Array):
            addresses.append(_address(data))
            facts += data.size, data.dtype, data.flags.num
        elif id(data) in PLACEHOLDERS:
            facts.append(type(data))
        else:
            raise _NotKept
    return (
        (primitive, algorithm, root, name, registry.revision, counts, given, *facts),
        tuple(addresses),
    )


def arrays_of(buffers: Sequence[Any]) -> list[np.ndarray]:
    """The arrays whose addresses are in the key, in the same order."""
    data = [buf[0] if isinstance(buf, (list, tuple)) and buf else buf for buf in buffers]
    return [each for each in data if isinstance(each, _Array)]


def _content(value: Any) -> Any:
    """Counts, displacements, datatypes and the like: what they say."""
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
