"""The blocking engine: a plan over an mpi4py communicator.

Each round becomes a few calls with all their arguments made in advance, so that
a replay has nothing left to decide. A round with one message each way is a
Sendrecv, one with a single message a Send or a Recv; otherwise all its messages
are posted at once and waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import methodcaller
from traceback import walk_tb
from typing import NoReturn

from mpi4py import MPI

from collectives.engines.packing import Call, Work
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.engines.stages import Stage

# All messages of a communicator's lane are ours and arrive in order, so one tag is enough
# for the collectives.
TAG = 0


def compile_stages(stages: list[Stage], lane: Lane, tag: int = TAG) -> list[Call]:
    """The calls that carry out stages, in order."""
    calls: list[Call] = []
    for stage in stages:
        calls += stage.before + _transfers(stage.sends, stage.recvs, lane, tag) + stage.after
    return calls


class GivenUp(BaseException):
    """Not even the rest of a call could be carried out; its cause says why."""


def run(calls: list[Call]) -> None:
    """Carry out the calls of a plan, to the end even if one raises."""
    rest, call = iter(calls), None
    try:
        for call in rest:
            call()
    except BaseException as error:
        finish(rest, call, error)


def finish(rest: Iterator[Call], call: Call | None, error: BaseException) -> NoReturn:
    """Carry out what remains of a call after an error in the middle, and raise it."""
    go_on(rest, call, error)
    raise error


def go_on(rest: Iterator[Call], call: Call | None, error: BaseException) -> bool:
    """Carry out what remains of a call after an error in the middle.

    The other ranks wait for the messages, so these go on. Where this rank's own work has
    failed, the rest of it is left out: its result is lost, and the user's operator is not
    called again. What a signal's handler raises between two calls spoils nothing.

    Parameters
    ----------
    rest : iterator of calls
        Those that have not begun.
    call : callable or None
        The last that has: it has raised, or a signal's handler after it.
    error : BaseException

    Returns
    -------
    bool
        Whether the result is lost.

    Raises
    ------
    GivenUp
        A message could not be sent or received, or there was a second signal. Messages of
        this communicator cannot be told apart any more.
    MPI.Exception
        A message was the error: it has come, and was too long.
    """
    lost = isinstance(call, Work)
    if error is SHIELD.insistent:
        raise GivenUp from error
    if isinstance(error, (MPI.Exception, MemoryError)) and not lost:
        raise error
    again = isinstance(call, Exchange) and call.left_by(error)
    while True:
        try:
            if again:
                again = False
                call()  # type: ignore[misc]
            for call in rest:
                if not (lost and isinstance(call, Work)):
                    call()
            return lost
        except BaseException as another:
            if lost or not isinstance(call, Work):
                raise GivenUp from another
            lost = True


def _transfers(sends: list, recvs: list, lane: Lane, tag: int) -> list[Call]:
    comm = lane.comm
    sends = [(buf, *lane.to(dest, tag)) for buf, dest in sends]
    recvs = [(buf, *lane.of(source, tag)) for buf, source in recvs]
    if len(sends) == len(recvs) == 1:
        return [partial(comm.Sendrecv, *sends[0], *recvs[0])]
    if len(sends) == 1 and not recvs:
        return [partial(comm.Send, *sends[0])]
    if len(recvs) == 1 and not sends:
        return [partial(comm.Recv, *recvs[0])]
    return [Exchange(comm, sends, recvs)] if sends or recvs else []


class Exchange:
    """Any number of messages, all in flight together.

    A signal's handler may raise at any line. Then another call does what has not been done:
    all messages are posted by one call into C, so that either all have been or none.
    """

    def __init__(self, comm: MPI.Intracomm, sends: list, recvs: list):
        self._posts: list[Callable] = [partial(comm.Irecv, *message) for message in recvs]
        self._posts += [partial(comm.Isend, *message) for message in sends]
        self._rest: Iterator[Callable] = iter(self._posts)
        self._requests: list[MPI.Request] = []

    def __call__(self) -> None:
        self._requests.extend(map(_CALL, self._rest))
        MPI.Request.Waitall(self._requests)
        self._rest, self._requests = iter(self._posts), []

    def left_by(self, error: BaseException) -> bool:
        """Whether an error has been raised in it, and not after it."""
        frames = (frame for frame, _ in walk_tb(error.__traceback__))
        return any(frame.f_locals.get("self") is self for frame in frames)


_CALL = methodcaller("__call__")
