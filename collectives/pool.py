"""The stages of nonblocking calls that have ended, for the next call like them.

A blocking call can always replay its plan. A nonblocking one may still be in
flight when the next with the same buffers starts, and two must not share scratch
memory; so each takes stages out of the pool, and puts them back at its end.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from collectives.engines.stages import Stage

MAX_CALLS = 64
MAX_BYTES = 16 * 2**20


class Pool:
    """Stages by the key of their call; the oldest ones make room."""

    def __init__(self) -> None:
        self._idle: dict[tuple, list[tuple[Any, list[Stage]]]] = {}
        self._calls = self._nbytes = 0
        self._lock = Lock()  # what is put back may come from the thread that advances

    def take(self, key: tuple) -> tuple[Any, list[Stage]] | None:
        """The entry and the stages of a call with this key, if there are any."""
        with self._lock:
            return self._pop(key) if key in self._idle else None

    def give(self, key: tuple, entry: Any, stages: list[Stage]) -> None:
        """Put back what nobody uses now."""
        if entry.nbytes > MAX_BYTES:
            return
        with self._lock:
            self._idle.setdefault(key, []).append((entry, stages))
            self._calls += 1
            self._nbytes += entry.nbytes
            while self._calls > MAX_CALLS or self._nbytes > MAX_BYTES:
                self._pop(next(iter(self._idle)))

    def _pop(self, key: tuple) -> tuple[Any, list[Stage]]:
        alike = self._idle[key]
        entry, stages = alike.pop()
        if not alike:
            del self._idle[key]
        self._calls -= 1
        self._nbytes -= entry.nbytes
        return entry, stages
