"""How much a communicator is supervised: whether it compares calls, and how long it waits."""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

from collectives.errors import ArgumentError

CHECK = "COLLECTIVES_CHECK"
TIMEOUT = "COLLECTIVES_TIMEOUT"
TRACE = "COLLECTIVES_TRACE"

Directory = str | os.PathLike | None


@dataclass(frozen=True)
class Settings:
    """What is asked of one communicator; the same on all its ranks.

    Attributes
    ----------
    check : bool
        Compare every call.
    timeout : float or None
        Seconds that a call may take.
    trace : str
        The directory in which calls are recorded; empty if they are not.
    """

    check: bool = False
    timeout: float | None = None
    trace: str = ""

    @property
    def active(self) -> bool:
        """Whether a call is more than its algorithm."""
        return self.check or self.timeout is not None or bool(self.trace)

    def but(self, check: bool | None, timeout: float | None, trace: Directory = None) -> Settings:
        """The same with another check, timeout or trace, unless they are None."""
        return Settings(
            self.check if check is None else bool(check),
            self.timeout if timeout is None else float(timeout),
            self.trace if trace is None else os.fspath(trace),
        )

    def __str__(self) -> str:
        trace = f", trace={self.trace!r}" if self.trace else ""
        return f"check={self.check}, timeout={self.timeout}{trace}"

    @cached_property
    def digest(self) -> int:
        """A number that is the same on all ranks where this is; of others almost surely not."""
        return int.from_bytes(hashlib.sha256(str(self).encode()).digest()[:7], "big")


def from_environment() -> Settings:
    """What COLLECTIVES_CHECK, COLLECTIVES_TIMEOUT and COLLECTIVES_TRACE ask for.

    Raises
    ------
    ArgumentError
        COLLECTIVES_TIMEOUT is not a time.
    """
    text = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(text) if text else None
    except ValueError:
        raise _no_time(TIMEOUT, text) from None
    check, trace = os.environ.get(CHECK, "") not in ("", "0"), os.environ.get(TRACE, "")
    return Settings(check, check_time(TIMEOUT, seconds), trace)


def check_time(name: str, seconds: Any) -> float | None:
    """Raise ArgumentError unless `seconds` is a time or None."""
    if seconds is None:
        return None
    if isinstance(seconds, Real) and 0 < float(seconds) < math.inf:
        return float(seconds)
    raise _no_time(name, seconds)


def check_directory(name: str, directory: Any) -> Directory:
    """Raise ArgumentError unless `directory` is the name of one, or None."""
    if directory is None or isinstance(directory, (str, os.PathLike)):
        return directory
    raise ArgumentError(f"{name} must be a directory, got {directory!r}; leave it out for none")


def _no_time(name: str, got: Any) -> ArgumentError:
    return ArgumentError(f"{name} must be seconds above 0, got {got!r}; leave it out for no limit")
