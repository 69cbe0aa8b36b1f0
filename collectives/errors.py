"""What can go wrong, and who is to blame.

::

    CollectiveError
      ArgumentError    (ValueError)    the call is wrong: root, parameter, operator
      RestrictionError (ValueError)    the algorithm cannot do this: operator, p
      UnknownAlgorithm (LookupError)   no such name; lists the names there are
      BufferMismatch   (ValueError)    length, dtype, overlap
        MemoryMismatch   (BufferError)   memory that cannot be written or is in pieces
        SpellingMismatch (TypeError)     no buffer at all, or counts that are no integers
        UnknownDatatype  (KeyError)      no type of MPI's
      CallMismatch     (ValueError)    ranks call different things
      ScheduleError    (RuntimeError)  the algorithm is wrong: it broke a rule
        Deadlock                       its ranks wait for each other
        PageError                      it raised an error of Python's
        Endless                        it neither ends nor yields again, or yields for ever
      WrongResult      (RuntimeError)  the algorithm ran and its answer is wrong
      RemoteError      (RuntimeError)  another rank raised in user code; says what
      Timeout          (TimeoutError)  a call did not end within its limit; says who is where
      Interrupted      (RuntimeError)  a rank left a call, or failed in the middle of it

A message reads ``<primitive>.<algorithm>: <what is needed>, got <value>; <what
to do>``. The first five are raised before anything is sent: no buffer has
changed.

Over MPI each is an `MPI.Exception`, too, so that code which was written for mpi4py
goes on to work: `Get_error_class` gives MPI.ERR_ROOT, ERR_OP, ERR_COUNT,
ERR_TRUNCATE, ERR_TYPE, ERR_BUFFER, ERR_COMM, ERR_ARG and the like, and
`Get_error_string` the message. Where mpi4py raises an error of Python's, the
`BufferMismatch` is one of these as well: TypeError, KeyError, BufferError or
ValueError.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import ClassVar

# What an algorithm may raise: our errors where it breaks a rule, and those of its own.
FAILURES = (Exception, SystemExit)


# Where our own files are; in a checkout the last two lie beside the first.
_HERE = Path(__file__).parent
_HOMES = (_HERE, _HERE.parent / "algorithms", _HERE.parent / "bench")
_OURS = (*(f"{home}{os.sep}" for home in _HOMES), "<frozen")


class CollectiveError(Exception):
    """Base of all errors raised by this library.

    Parameters
    ----------
    message : str
    mpi_class : str, optional
        The error class that MPI has for this, such as ``"ERR_ROOT"``; each of
        our classes has one of its own for when there is none that says more.
    """

    mpi_class = "ERR_OTHER"

    # What `collectives.mpi.data.errors` makes of each class: nothing without MPI.
    variants: ClassVar[dict[type, type]] = {}

    def __new__(cls, *args, **options):
        return super().__new__(cls.variants.get(cls, cls), *args)

    def __init__(self, message: str, mpi_class: str | None = None):
        Exception.__init__(self, message)
        if mpi_class is not None:
            self.mpi_class = mpi_class

    def __str__(self) -> str:
        return self.args[0]  # a KeyError would show its repr


def in_words(error: BaseException) -> str:
    """Our errors as they read; one that the user's code raised with its type and last line."""
    if isinstance(error, CollectiveError):
        return str(error)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):  # it has the line in its text
        return text
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)] or frames
    return f"{text} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else text


class ArgumentError(CollectiveError, ValueError):
    """An argument that is not a buffer is out of its range."""

    mpi_class = "ERR_ARG"


class RestrictionError(CollectiveError, ValueError):
    """The algorithm declares that it cannot do this."""

    mpi_class = "ERR_UNSUPPORTED_OPERATION"


class UnknownAlgorithm(CollectiveError, LookupError):
    """There is no algorithm of that name."""

    mpi_class = "ERR_ARG"


class BufferMismatch(CollectiveError, ValueError):
    """A buffer has the wrong length, dtype or memory layout."""

    mpi_class = "ERR_BUFFER"


class MemoryMismatch(BufferMismatch, BufferError):
    """Memory that is read-only, in several pieces, or out of the CPU's reach."""


class SpellingMismatch(BufferMismatch, TypeError):
    """What should be a buffer, or its counts, is something else."""


class UnknownDatatype(BufferMismatch, KeyError):
    """MPI has no such datatype."""

    mpi_class = "ERR_TYPE"


class CallMismatch(CollectiveError, ValueError):
    """The ranks of a communicator called different things."""


class ScheduleError(CollectiveError, RuntimeError):
    """The algorithm broke a rule: its steps do not fit together.

    Attributes
    ----------
    hint : str
        The end of the message: what to do.
    """

    mpi_class = "ERR_INTERN"

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.hint = hint


class PageError(ScheduleError):
    """The algorithm raised an error of Python's, which is this one's cause."""


class Deadlock(ScheduleError):
    """Ranks wait for each other, or for a rank that has finished.

    Attributes
    ----------
    chain : list of (int, str, str)
        Rank, the step it waits in, and the file and line of its yield. Each
        waits for the next; the last waits for the first, or for a rank that
        has finished.
    """

    def __init__(self, message: str, chain: list[tuple[int, str, str]], hint: str = ""):
        super().__init__(message, hint)
        self.chain = chain

    def __reduce__(self):
        return type(self), (str(self), self.chain, self.hint)


class Endless(ScheduleError):
    """An algorithm has no end: it yields for ever, or does not come to its next yield."""


class Timeout(CollectiveError, TimeoutError):
    """A collective did not end within the time limit of its communicator.

    The communicator cannot be used for collectives any more. Also a simulated run that did
    not end in time.
    """


class Interrupted(CollectiveError, RuntimeError):
    """A rank failed in the middle of a call, or left it and takes part in no further one."""


class WrongResult(CollectiveError, RuntimeError):
    """The algorithm ran to its end, and a buffer does not hold the answer.

    Attributes
    ----------
    hint : str
        What to do; no part of the message.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.hint = hint


class RemoteError(CollectiveError, RuntimeError):
    """What another rank raised in the user's code within a call: its type's name and its text."""
