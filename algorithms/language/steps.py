"""The six verbs in which every algorithm is written.

A step is one thing that a rank does; an algorithm is a generator that yields
steps, several together when they belong to one round::

    yield send(mine, right), recv(arriving, left), reduce(arriving, mine)

The messages of a round start together and are in flight together. When they
have arrived, the round's other steps, which are local, run in the order written;
then the generator resumes. A step says what happens, never how: an engine
decides whether it runs over MPI, in the simulator, or is only counted.

Nearly all algorithms get by with `send`, `recv`, `reduce` and `copy`. Two more,
`encode` and `decode`, are for those that send fewer bytes than there are.

`buf` is a one-dimensional numpy view, or a list of views, which then travel as
one message. Messages between two ranks arrive in the order they were sent.
"""

from __future__ import annotations

import numpy as np

from .codecs import Codec

Buffer = np.ndarray | list[np.ndarray]

# An empty message: it carries no data, only the fact that it was sent.
NOTHING = np.empty(0, np.uint8)


# The classes are verbs, so they are spelled like verbs.
class send:
    """The contents of `buf` go to rank `dest`."""

    __slots__ = ("buf", "dest")

    def __init__(self, buf: Buffer, dest: int):
        self.buf = buf
        self.dest = dest

    def __repr__(self) -> str:
        return f"send of {elements(self.buf)} elements to {self.dest}"


class recv:
    """The next message from rank `source` lands in `buf`."""

    __slots__ = ("buf", "source")

    def __init__(self, buf: Buffer, source: int):
        self.buf = buf
        self.source = source

    def __repr__(self) -> str:
        return f"recv of {elements(self.buf)} elements from {self.source}"


class reduce:
    """`out` = `inbuf` op `inoutbuf`; without `out`, the result is in `inoutbuf`.

    The engine knows the operator. It need not commute, so `inbuf` belongs to
    the lower ranks and `inoutbuf` to the higher ones. `out` may be one of the
    two operands.
    """

    __slots__ = ("inbuf", "inoutbuf", "out")

    def __init__(self, inbuf: np.ndarray, inoutbuf: np.ndarray, out: np.ndarray | None = None):
        self.inbuf = inbuf
        self.inoutbuf = inoutbuf
        self.out = inoutbuf if out is None else out

    @property
    def read(self) -> list[np.ndarray]:
        """The views that it reads."""
        return [self.inbuf, self.inoutbuf]

    @property
    def written(self) -> np.ndarray:
        """Where it leaves its result."""
        return self.out

    def __repr__(self) -> str:
        return f"reduce of {elements(self.inbuf)} elements"


class copy:
    """A local copy; nothing happens when both are the same memory."""

    __slots__ = ("dst", "src")

    def __init__(self, src: Buffer, dst: Buffer):
        self.src = src
        self.dst = dst

    @property
    def read(self) -> list[np.ndarray]:
        """The views that it reads."""
        return self.src if isinstance(self.src, list) else [self.src]

    @property
    def written(self) -> Buffer:
        """Where it leaves its result."""
        return self.dst

    def __repr__(self) -> str:
        return f"copy of {elements(self.src)} elements"


class encode:
    """The elements of `src`, as `codec` writes them, fill `packet`, a vector of bytes."""

    __slots__ = ("codec", "packet", "src")

    def __init__(self, src: np.ndarray, packet: np.ndarray, codec: Codec):
        self.src = src
        self.packet = packet
        self.codec = codec

    @property
    def read(self) -> list[np.ndarray]:
        """The views that it reads."""
        return [self.src]

    @property
    def written(self) -> np.ndarray:
        """Where it leaves its result."""
        return self.packet

    def __repr__(self) -> str:
        return f"encode of {elements(self.src)} elements"


class decode:
    """The elements that `packet` stands for, as `codec` reads it, fill `dst`."""

    __slots__ = ("codec", "dst", "packet")

    def __init__(self, packet: np.ndarray, dst: np.ndarray, codec: Codec):
        self.packet = packet
        self.dst = dst
        self.codec = codec

    @property
    def read(self) -> list[np.ndarray]:
        """The views that it reads."""
        return [self.packet]

    @property
    def written(self) -> np.ndarray:
        """Where it leaves its result."""
        return self.dst

    def __repr__(self) -> str:
        return f"decode of {elements(self.dst)} elements"


Local = reduce | copy | encode | decode
Step = send | recv | Local


class Symbolic:
    """A rank that stands for every rank: see `collectives/engines/anyone.py`."""

    __slots__ = ()


def in_rank_order(
    rank: int, mine: np.ndarray, partner: int, theirs: np.ndarray, out: np.ndarray | None = None
) -> reduce:
    """Combine `mine` and `theirs`, the lower rank's on the left.

    The result is in `out`, or in `mine` without one. For a rank that stands for all, whose
    vectors hold no data, either order is as good.
    """
    out = mine if out is None else out
    if isinstance(rank, Symbolic) or partner < rank:
        return reduce(theirs, mine, out)
    return reduce(mine, theirs, out)


def elements(buf: Buffer) -> int:
    """Number of elements in a view or a list of views."""
    return sum(view.size for view in buf) if isinstance(buf, list) else buf.size
