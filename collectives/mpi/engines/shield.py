"""Signals whose handlers raise, held back while a call is prepared or polls.

A call that has begun goes to its end, whatever is raised in it, because the other ranks wait
for its messages. The quickest calls need nothing for that but to go on where they were (see
`collectives.mpi.engines.calls`). Where much of a call is Python, what a handler raises could
strike anywhere. There handlers still run at once, and what the first one raises waits until
the shield is lowered. What a second one raises does not wait: somebody insists, and the call is
given up.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # quicker: without enums
import signal
from collections.abc import Callable
from functools import wraps
from threading import get_ident, main_thread
from types import FrameType
from typing import Any, TypeVar

_NUMBERS = sorted({int(each) for each in signal.valid_signals()} - {signal.SIGKILL, signal.SIGSTOP})

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Shield:
    """Raised and lowered by the main thread, which alone runs handlers; it may be nested.

    Attributes
    ----------
    first : BaseException or None
        What is held back.
    insistent : BaseException or None
        What the second handler raised.
    """

    def __init__(self) -> None:
        self.insistent: BaseException | None = None
        self.first: BaseException | None = None
        self._depth = 0
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Shield:
        if get_ident() == main_thread().ident:
            self._depth += 1
            if self._depth == 1:
                for number in _NUMBERS:
                    handler = _signal.getsignal(number)
                    if callable(handler):
                        self._handlers[number] = handler
                        _signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if get_ident() != main_thread().ident:
            return
        self._depth -= 1
        if self._depth:
            return
        while self._handlers:
            number, handler = self._handlers.popitem()
            if _signal.getsignal(number) == self._handle:  # else the program has set another
                _signal.signal(number, handler)
        first, self.first, self.insistent = self.first, None, None
        if first is not None:
            raise first

    def _handle(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers.get(number)
        if handler is None:
            return
        try:
            handler(number, frame)
        except BaseException as error:
            if self.first is None:
                self.first = error
            else:
                self.insistent = error
                raise


SHIELD = Shield()


def shielded(function: _Function) -> _Function:
    """The same function, in which what handlers raise is held back until its end."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with SHIELD:
            return function(*arguments, **options)

    return call  # type: ignore[return-value]
