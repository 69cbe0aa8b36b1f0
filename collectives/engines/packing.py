"""The local work of a round: packing messages, unpacking them, copying, reducing.

A message may carry several views. Neighbours in memory are joined; what then still does
not lie in one piece is packed into one before it leaves, and unpacked when it has come.
All work becomes calls with nothing left to look up, which an engine makes in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial, wraps
from operator import setitem
from typing import Any

import numpy as np

from collectives.algorithms.language.steps import Local, copy, decode, encode
from collectives.engines.driver import Round, views_of
from collectives.operators.operator import Operator

Call = Callable[[], Any]


class Work(partial):
    """A call that works on this rank's data alone: no other rank waits for it."""

    __slots__ = ()


# MPI has no floating-point errors, so those of numpy that the caller asks for are not asked
# for here. numpy 2 keeps what is asked for in the context, which is quick to change.
_CALM = Context()
if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
    _CALM.run(np.seterr, all="ignore")


def quiet(kernel: Callable, *operands: Any) -> Work:
    """Work of ours on numbers: it neither raises nor warns, whatever the caller asks of numpy."""
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        return Work(_CALM.copy().run, kernel, *operands)
    return Work(calm(kernel), *operands)


def calm(kernel: Callable) -> Callable:
    """The same kernel, which neither raises nor warns; a context would hide the user's own."""

    @wraps(kernel)
    def call(*operands: Any) -> None:
        with np.errstate(all="ignore"):
            kernel(*operands)

    return call


SHORT = 2**12  # bytes of a copy


@dataclass
class Packed:
    """A round whose messages lie in one piece each.

    Attributes
    ----------
    before : list of calls
        Pack what does not lie in one piece.
    sends, recvs : list of (array or None, rank)
        The messages; None for an empty one.
    after : list of calls
        Unpack, then the local steps.
    nbytes : int
        Memory for what had to be packed.
    """

    before: list[Call] = field(default_factory=list)
    sends: list[tuple[np.ndarray | None, int]] = field(default_factory=list)
    recvs: list[tuple[np.ndarray | None, int]] = field(default_factory=list)
    after: list[Call] = field(default_factory=list)
    nbytes: int = 0


def pack(round_: Round, operator: Operator) -> Packed:
    """A round with its messages in one piece each, and its local work as calls."""
    packed = Packed()
    for message in round_.sends:
        views = merge(message.views)
        memory = _one_piece(views, packed)
        if len(views) > 1:
            packed.before.append(Work(np.concatenate, views, 0, memory))
        packed.sends.append((memory, message.peer))
    for message in round_.recvs:
        views = merge(message.views)
        memory = _one_piece(views, packed)
        if len(views) > 1:
            packed.after += copies([memory], views)
        packed.recvs.append((memory, message.peer))
    for step in round_.local:
        packed.after += local_calls(step, operator)
    return packed


def _one_piece(views: list[np.ndarray], packed: Packed) -> Any:
    """The memory of a message: its view, new memory for several, None without any."""
    if len(views) <= 1:
        return views[0] if views else None
    memory = np.empty(sum(view.size for view in views), views[0].dtype)
    packed.nbytes += memory.nbytes
    return memory


def local_calls(step: Local, operator: Operator) -> list[Call]:
    """What carries out a local step."""
    if isinstance(step, copy):
        return copies(views_of(step.src), views_of(step.dst))
    if isinstance(step, encode):
        return [quiet(step.codec.encode, step.src, step.packet)]
    if isinstance(step, decode):
        return [quiet(step.codec.decode, step.packet, step.dst)]
    work = Work if operator.foreign else quiet
    return [work(operator.kernel, step.inbuf, step.inoutbuf, step.out)]


def copies(src: Sequence[np.ndarray], dst: Sequence[np.ndarray]) -> list[Call]:
    """Copy `src`, end to end, into `dst`, piece by piece where both are whole."""
    return [_copy(source, target) for source, target in pieces(src, dst)]


def pieces(
    src: Sequence[np.ndarray], dst: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What of `src`, end to end, goes where in `dst`: pieces that are whole in both."""
    if len(src) == len(dst) == 1:
        if src[0].size:
            yield src[0], dst[0]
        return
    sources, targets = (deque(view for view in views if view.size) for views in (src, dst))
    while sources:
        size = min(sources[0].size, targets[0].size)
        yield sources[0][:size], targets[0][:size]
        for queue in (sources, targets):
            rest = queue.popleft()[size:]
            if rest.size:
                queue.appendleft(rest)


def _copy(source: np.ndarray, target: np.ndarray) -> Call:
    """A copy of one piece.

    Python's own view of memory is quicker than numpy's at a few bytes. Of many, numpy lets
    other threads run meanwhile.
    """
    if source.nbytes > SHORT:
        return Work(setitem, target, ..., source)
    here, there = source.view(np.uint8).data, target.view(np.uint8).data
    return Work(setitem, there, slice(None), here)


def merge(views: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Join views that are neighbours in memory; drop empty ones."""
    filled = [view for view in views if view.size]
    if len(filled) <= 1:
        return filled
    spans = [[address_of(filled[0]), filled[0].nbytes]]
    for view in filled[1:]:
        address = address_of(view)
        if address == spans[-1][0] + spans[-1][1]:
            spans[-1][1] += view.nbytes
        else:
            spans.append([address, view.nbytes])
    if len(spans) == len(filled):
        return filled
    # The memory belongs to the views that are joined; the plan keeps those.
    return [array_at(address, nbytes, filled[0].dtype) for address, nbytes in spans]


def address_of(view: np.ndarray) -> int:
    """Where a view begins in memory."""
    return view.__array_interface__["data"][0]


class _Memory:
    """Memory that somebody else keeps alive, as numpy wants it described."""

    def __init__(self, address: int, nbytes: int, readonly: bool):
        self.__array_interface__ = {
            "data": (address, readonly),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }


def array_at(address: int, nbytes: int, dtype: np.dtype, readonly: bool = False) -> np.ndarray:
    """An array over memory that somebody else keeps alive."""
    if not nbytes:
        return np.empty(0, dtype)
    return np.asarray(_Memory(address, nbytes, readonly)).view(dtype)
