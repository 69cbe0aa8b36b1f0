"""What can go wrong, and who is to blame.

::

    CollectiveError
      ArgumentError    (ValueError)    the call is wrong: root, parameter, operator
      RestrictionError (ValueError)    the algorithm cannot do this: operator, p
      UnknownAlgorithm (LookupError)   no such name; lists the names there are
      BufferMismatch   (ValueError)    length, dtype, memory layout, overlap
      CallMismatch     (ValueError)    ranks call different things
      ScheduleError    (RuntimeError)  the algorithm is wrong: it broke a rule
        Deadlock                       its ranks wait for each other
      WrongResult      (RuntimeError)  the algorithm ran and its answer is wrong
      Timeout          (TimeoutError)  a call did not end within its limit; says who is where

A message reads ``<primitive>.<algorithm>: <what is needed>, got <value>; <what
to do>``. The first five are raised before anything is sent: no buffer has
changed.
"""

from __future__ import annotations


class CollectiveError(Exception):
    """Base of all errors raised by this library."""


class ArgumentError(CollectiveError, ValueError):
    """An argument that is not a buffer is out of its range."""


class RestrictionError(CollectiveError, ValueError):
    """The algorithm declares that it cannot do this."""


class UnknownAlgorithm(CollectiveError, LookupError):
    """There is no algorithm of that name."""


class BufferMismatch(CollectiveError, ValueError):
    """A buffer has the wrong length, dtype or memory layout."""


class CallMismatch(CollectiveError, ValueError):
    """The ranks of a communicator called different things."""


class ScheduleError(CollectiveError, RuntimeError):
    """The algorithm broke a rule: its steps do not fit together."""


class Deadlock(ScheduleError):
    """Ranks wait for each other, or for a rank that has finished.

    Attributes
    ----------
    chain : list of (int, str, str)
        Rank, the step it waits in, and the file and line of its yield. Each
        waits for the next; the last waits for the first, or for a rank that
        has finished.
    """

    def __init__(self, message: str, chain: list[tuple[int, str, str]]):
        super().__init__(message)
        self.chain = chain

    def __reduce__(self):
        return type(self), (str(self), self.chain)


class Timeout(CollectiveError, TimeoutError):
    """A collective did not end within the time limit of its communicator.

    The communicator cannot be used for collectives any more.
    """


class WrongResult(CollectiveError, RuntimeError):
    """The algorithm ran to its end, and a buffer does not hold the answer."""
