"""Errors that travel: what one rank raises in user code, on the ranks that wait for it.

Its type's name and its text always arrive. The error itself does only if its pickle gives
it back, which that of many does not: its constructor may want more, or it may hold what
cannot be pickled. What ends a program, such as SystemExit, ends it on its own rank alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mpi4py import MPI

from collectives.errors import CollectiveError, RemoteError
from collectives.mpi.plans.supervisor import Supervisor

MOST = 10_000  # characters of a text


def in_words(error: BaseException) -> str:
    """The name of an error's type and its text."""
    try:
        text = str(error)
    except Exception as another:
        text = f"its text cannot be had: {type(another).__name__}"
    return f"{type(error).__name__}: {text}"[:MOST] if text else type(error).__name__


class Told(NamedTuple):
    """An error as other ranks are told of it.

    Attributes
    ----------
    words : str
    pickled : bytes or None
        The error, if it comes back from its pickle.
    """

    words: str
    pickled: bytes | None

    @classmethod
    def of(cls, error: BaseException) -> Told:
        return cls(in_words(error), _pickled(error))

    def raised(self, call: str, rank: int) -> BaseException:
        """The same on a rank that is told."""
        remote = RemoteError(f"{call}: rank {rank} raised {self.words}")
        try:
            error = MPI.pickle.loads(self.pickled) if self.pickled else remote
        except Exception:  # what it needs is not there on this rank
            return remote
        if error is not remote:
            error.__cause__ = remote
        return error


def complete(supervisor: Supervisor, call: str, rank: int, work: Callable[[], Any]) -> Any:
    """What user code makes of a call's data on this rank, after the last message.

    Nobody waits for it. But in checked mode all ranks raise if one does.
    """
    if not supervisor.settings.check:
        return work()
    result = problem = shared = None
    try:
        result = work()
    except BaseException as error:
        problem, shared = error, RemoteError(f"{call}: rank {rank} raised {in_words(error)}")
    try:
        supervisor.conclude(call, shared)
    except CollectiveError:
        if problem is None:
            raise
    if problem is not None:
        raise problem
    return result


def _pickled(error: BaseException) -> bytes | None:
    if not isinstance(error, Exception):
        return None
    try:
        pickled = MPI.pickle.dumps(error)
        back = MPI.pickle.loads(pickled)
    except Exception:
        return None
    same = type(back) is type(error) and in_words(back) == in_words(error)
    return pickled if same else None
