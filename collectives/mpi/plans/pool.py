"""What nonblocking calls were made of that have ended, for the next calls like them.

A blocking call can always replay its plan. A nonblocking one may still be in
flight when the next of its shape starts, and two must not share scratch memory;
so each takes an entry out of the pool, and puts it back at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

from collectives.mpi.plans.keys import Key, Shape, arrays_of
from collectives.mpi.plans.recording import Entry, Pattern

MAX_CALLS = 64
MAX_BYTES = 16 * 2**20


class Idle(NamedTuple):
    """An entry that nobody uses now, for buffers at some addresses, and how to move it.

    Attributes
    ----------
    key : Key
    entry : Entry
    pattern : Pattern or None
    """

    key: Key
    entry: Entry
    pattern: Pattern | None

    @classmethod
    def of(cls, key: Key, entry: Entry, buffers: Sequence[Any]) -> Idle:
        """What was recorded for a call with these buffers."""
        return cls(key, entry, Pattern.of(entry, arrays_of(buffers)))

    def at(self, key: Key) -> Idle | None:
        """The same for a call of the same shape; None if it cannot be moved there."""
        if key[1] == self.key[1]:
            return self
        entry = None if self.pattern is None else self.pattern.at(key[1])
        return None if entry is None else Idle(key, entry, self.pattern)


class Pool:
    """Entries by the shape of their calls; the oldest ones make room."""

    def __init__(self) -> None:
        self._idle: dict[Shape, list[Idle]] = {}
        self._calls = self._nbytes = 0
        self._lock = Lock()  # what is put back may come from the thread that advances

    def take(self, shape: Shape) -> Idle | None:
        """An entry for calls of this shape, if there is any."""
        with self._lock:
            return self._pop(shape) if shape in self._idle else None

    def give(self, idle: Idle) -> None:
        """Put back what nobody uses now."""
        nbytes = idle.entry.nbytes
        if nbytes > MAX_BYTES:
            return
        with self._lock:
            self._idle.setdefault(idle.key[0], []).append(idle)
            self._calls += 1
            self._nbytes += nbytes
            while self._calls > MAX_CALLS or self._nbytes > MAX_BYTES:
                self._pop(next(iter(self._idle)))

    def _pop(self, shape: Shape) -> Idle:
        alike = self._idle[shape]
        idle = alike.pop()
        if not alike:
            del self._idle[shape]
        self._calls -= 1
        self._nbytes -= idle.entry.nbytes
        return idle
