"""`Comm`, a drop-in for `MPI.Intracomm` that runs our algorithms.

::

    comm = collectives.Comm(MPI.COMM_WORLD)
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm="ring")
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm={"bcast": "tree", "allreduce": "ring"})
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm="auto")
    comm = collectives.Comm(MPI.COMM_WORLD, check=True, timeout=60)

Collectives take mpi4py's arguments, and as keywords the name of an algorithm and
its parameters. Everything else is mpi4py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpi4py import MPI

from collectives.catalogue import DEFAULTS, algorithms_for, defaults_for
from collectives.errors import ArgumentError
from collectives.mpi.engines.tally import Usage
from collectives.mpi.forms.blocking import Blocking
from collectives.mpi.forms.nonblocking import Nonblocking
from collectives.mpi.forms.objects import Objects
from collectives.mpi.forms.persistent import Persistent
from collectives.mpi.guards.settings import Settings, check_time
from collectives.mpi.plans.channel import (
    Channel,
    channel_of,
    configure,
    settings_of,
    usage_of,
)
from collectives.mpi.plans.store import Ready

Choice = str | Mapping[str, str] | None


class Comm(Blocking, Nonblocking, Persistent, Objects, MPI.Intracomm):
    """An intracommunicator whose collectives are ours.

    It shares the handle of the communicator that it is made of, so messages from
    one to the other meet. Making it is collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    algorithm : str or mapping, optional
        What to use where a call does not say: one name for all primitives, or
        one for each primitive, with or without parameters. A primitive that has
        no algorithm of the one name keeps its default, which `algorithm_for`
        tells.
    check : bool, optional
        Compare every call of all ranks before it starts, and raise CallMismatch
        on all of them if they differ. By default as COLLECTIVES_CHECK=1 says.
    timeout : float, optional
        Seconds after which a call that has not ended raises Timeout on all ranks
        and says where each of them is. By default COLLECTIVES_TIMEOUT, or no limit.

    `check` and `timeout` belong to the communicator: they hold for all that share
    its handle.

    Raises
    ------
    UnknownAlgorithm
        No primitive has this algorithm, or there is no such primitive.
    ArgumentError
        `comm` is not an intracommunicator, there is no such parameter, or
        `timeout` is not a time.
    CallMismatch
        The ranks give different values of `check` or `timeout`.
    """

    _algorithms: Mapping[str, str] = DEFAULTS
    _settings: Settings | None = None  # until the communicator has a channel
    _ready: Ready = {}  # noqa: RUF012 - stays empty: each gets its own when it has a channel

    def __new__(
        cls,
        comm: MPI.Intracomm | None = None,
        algorithm: Choice = None,
        check: bool | None = None,
        timeout: float | None = None,
    ) -> Comm:
        if comm is not None and not isinstance(comm, MPI.Intracomm):
            raise ArgumentError(
                f"comm must be an intracommunicator, got {comm!r}", mpi_class="ERR_COMM"
            )
        check_time("timeout", timeout)
        self = super().__new__(cls, comm)
        if algorithm is not None:
            self._algorithms = defaults_for(algorithm)
        elif isinstance(comm, Comm):
            self._algorithms = comm._algorithms
        if self:
            configure(self, check, timeout)
        return self

    def algorithm_for(self, primitive: str) -> str:
        """The algorithm that a call takes which does not name one."""
        algorithms_for(primitive)  # raises if there is no such primitive
        return self._algorithms[primitive]

    def counts(self, reset: bool = False) -> list[Usage]:
        """What ran on this communicator, on this rank: calls, messages and bytes sent.

        Other ranks' are not asked for, so that any rank may call it at any time.

        Parameters
        ----------
        reset : bool, optional
            Count from 0 again.

        Returns
        -------
        list of Usage
            One for each primitive, algorithm, and what was asked for: "auto", where a table
            took the algorithm. What the library did on behalf of a call, such as telling
            lengths, has the call in `within`.
        """
        return usage_of(self, reset)

    def _channel(self) -> Channel:
        if not self:
            self.Get_size()  # raises mpi4py's own error
        return channel_of(self)

    def _like(self, comm: MPI.Comm) -> Any:
        """A new communicator of mpi4py's, as one of ours with the same defaults."""
        if not comm or not isinstance(comm, MPI.Intracomm):
            return comm
        return type(self)(comm, self._algorithms, self._wanted.check, self._wanted.timeout)

    @property
    def _wanted(self) -> Settings:
        """What holds for this communicator, and is passed on to those made from it."""
        return settings_of(self)

    def Dup(self, info: MPI.Info | None = None) -> Comm:
        """A duplicate with the same defaults."""
        return self._like(super().Dup(info))

    def Dup_with_info(self, info: MPI.Info) -> Comm:
        """A duplicate with hints and the same defaults."""
        return self._like(super().Dup_with_info(info))

    def Clone(self) -> Comm:
        """A duplicate with the same defaults."""
        return self._like(super().Clone())

    def Idup(self, info: MPI.Info | None = None) -> tuple[Comm, MPI.Request]:
        """A duplicate with the same defaults, to be used when the request has ended."""
        duplicate, request = super().Idup(info)
        duplicate._algorithms, duplicate._settings = self._algorithms, self._wanted
        return duplicate, request

    def Idup_with_info(self, info: MPI.Info) -> tuple[Comm, MPI.Request]:
        """`Idup` with hints."""
        duplicate, request = super().Idup_with_info(info)
        duplicate._algorithms, duplicate._settings = self._algorithms, self._wanted
        return duplicate, request

    def Split(self, color: int = 0, key: int = 0) -> Comm:
        """A communicator for each color, with the same defaults."""
        return self._like(super().Split(color, key))

    def Split_type(self, split_type: int, key: int = 0, info: MPI.Info = MPI.INFO_NULL) -> Comm:
        """A communicator for each set of ranks that share something, with the same defaults."""
        return self._like(super().Split_type(split_type, key, info))

    def Create(self, group: MPI.Group) -> Comm:
        """A communicator for the ranks of a group, with the same defaults."""
        return self._like(super().Create(group))

    def Create_group(self, group: MPI.Group, tag: int = 0) -> Comm:
        """`Create`, which only the ranks of the group call."""
        return self._like(super().Create_group(group, tag))

    def Free(self) -> None:
        """Free the communicator and our private duplicate; what is in flight ends first."""
        self._settle()
        super().Free()

    def Disconnect(self) -> None:
        """`Free` that waits for all communication."""
        self._settle()
        super().Disconnect()

    def _settle(self) -> None:
        if self:
            channel_of(self).finish()
