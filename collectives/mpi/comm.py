"""`Comm`, a drop-in for `MPI.Intracomm` that runs our algorithms.

::

    comm = collectives.Comm(MPI.COMM_WORLD)
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm="ring")
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm={"bcast": "tree", "allreduce": "ring"})
    comm = collectives.Comm(MPI.COMM_WORLD, algorithm="auto")
    comm = collectives.Comm(MPI.COMM_WORLD, check=True, timeout=60)
    comm = collectives.Comm(MPI.COMM_WORLD, trace="recorded")

Collectives take mpi4py's arguments, and as keywords the name of an algorithm and
its parameters. Everything else is mpi4py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from mpi4py import MPI

from collectives.catalogue import DEFAULTS, algorithms_for, defaults_for
from collectives.errors import ArgumentError
from collectives.mpi.data.constants import constant, name_of
from collectives.mpi.engines.lanes import Carrier
from collectives.mpi.engines.tally import Usage
from collectives.mpi.forms.blocking import Blocking
from collectives.mpi.forms.nonblocking import Nonblocking
from collectives.mpi.forms.objects import Objects
from collectives.mpi.forms.persistent import Persistent
from collectives.mpi.guards.settings import (
    Directory,
    Settings,
    check_directory,
    check_time,
    from_environment,
)
from collectives.mpi.plans.channel import (
    Channel,
    channel_of,
    configure,
    known_carrier,
    open_channel,
    settings_of,
    usage_of,
)
from collectives.mpi.plans.store import Ready

Choice = str | Mapping[str, str] | None


def _ours(make: Callable) -> Callable:
    """A method of mpi4py's that makes a communicator: ours is made of it, with our defaults."""

    @wraps(make)
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return self._like(make(self, *arguments, **named))

    return method


def _later(make: Callable) -> Callable:
    """The same of one that is there when a request has ended: ours from its first call on."""

    @wraps(make)
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        duplicate, request = make(self, *arguments, **named)
        duplicate._algorithms, duplicate._settings = self._algorithms, self._wanted
        return duplicate, request

    return method


class Comm(Blocking, Nonblocking, Persistent, Objects, MPI.Intracomm):
    """An intracommunicator whose collectives are ours.

    It shares the handle of the communicator that it is made of, so messages from
    one to the other meet. Making it is collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        Of one with a topology, what is made is a `Cartcomm`, `Graphcomm` or `Distgraphcomm`.
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
    trace : str or path, optional
        A directory in which every rank records its calls, for `python -m collectives explain
        --from`; "" stops it. By default COLLECTIVES_TRACE, or none.

    `check`, `timeout` and `trace` belong to the communicator: they hold for all that share
    its handle.

    Raises
    ------
    UnknownAlgorithm
        No primitive has this algorithm, or there is no such primitive.
    ArgumentError
        `comm` is not an intracommunicator, there is no such parameter,
        `timeout` is not a time, or a rank cannot write in the directory `trace`.
    CallMismatch
        The ranks give different values of `check`, `timeout` or `trace`.
    """

    _topology: int | None = None  # of its class; any if it has none
    _algorithms: Mapping[str, str] = DEFAULTS
    _settings: Settings | None = None  # until the communicator has a channel
    _ready: Ready = {}  # noqa: RUF012 - stays empty: each gets its own when it has a channel

    def __new__(
        cls,
        comm: MPI.Intracomm | None = None,
        algorithm: Choice = None,
        check: bool | None = None,
        timeout: float | None = None,
        trace: Directory = None,
    ) -> Comm:
        if comm is not None and not isinstance(comm, MPI.Intracomm):
            raise ArgumentError(
                f"comm must be an intracommunicator, got {comm!r}", mpi_class="ERR_COMM"
            )
        check_time("timeout", timeout)
        check_directory("trace", trace)
        kind = _kind(comm, cls) if comm and cls is Comm else cls
        self = MPI.Intracomm.__new__(kind, comm)
        if self and kind._topology not in (None, self.Get_topology()):
            raise ArgumentError(
                f"comm must have the topology of a {cls.__name__}, got {comm!r}",
                mpi_class="ERR_TOPOLOGY",
            )
        if algorithm is not None:
            self._algorithms = defaults_for(algorithm)
        elif isinstance(comm, Comm):
            self._algorithms = comm._algorithms
        if self:
            configure(self, check, timeout, trace)
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
        return _adopted(comm, type(self), self._algorithms, self._wanted, known_carrier(self))

    @property
    def _wanted(self) -> Settings:
        """What holds for this communicator, and is passed on to those made from it."""
        return settings_of(self)

    Dup = _ours(MPI.Comm.Dup)
    Dup_with_info = _ours(MPI.Comm.Dup_with_info)
    Clone = _ours(MPI.Comm.Clone)
    Split = _ours(MPI.Comm.Split)
    Split_type = _ours(MPI.Comm.Split_type)
    Create = _ours(MPI.Comm.Create)
    Create_group = _ours(MPI.Intracomm.Create_group)
    Create_cart = _ours(MPI.Intracomm.Create_cart)
    Create_graph = _ours(MPI.Intracomm.Create_graph)
    Create_dist_graph = _ours(MPI.Intracomm.Create_dist_graph)
    Create_dist_graph_adjacent = _ours(MPI.Intracomm.Create_dist_graph_adjacent)
    Create_intercomm = _ours(MPI.Intracomm.Create_intercomm)
    Idup = _later(MPI.Comm.Idup)
    Idup_with_info = _later(MPI.Comm.Idup_with_info)

    @classmethod
    def Create_from_group(cls, *arguments: Any, **named: Any) -> Comm:
        """A communicator for the ranks of a group, with the defaults of the library."""
        comm = MPI.Intracomm.Create_from_group(*arguments, **named)
        return _kind(comm, cls)(comm)

    def Free(self) -> None:
        """Free the communicator and what we keep for it; what is in flight ends first."""
        self._settle()
        super().Free()

    def Disconnect(self) -> None:
        """`Free` that waits for all communication."""
        self._settle()
        super().Disconnect()

    def free(self) -> None:
        """`Free` unless there is nothing to free, or it is a constant of MPI's."""
        if self and name_of(self) is None:
            self.Free()

    def _settle(self) -> None:
        if self:
            channel_of(self).finish()

    def __reduce__(self) -> str | tuple:
        name = name_of(self)
        if name is None:
            return super().__reduce__()  # raises mpi4py's own error
        algorithms = None if self._algorithms is DEFAULTS else self._algorithms
        return _restored, (type(self), name, algorithms)


class Cartcomm(Comm, MPI.Cartcomm):
    """A `Comm` whose ranks form a grid. The collectives of neighbours are mpi4py's."""

    _topology = MPI.CART

    Sub = _ours(MPI.Cartcomm.Sub)


class Graphcomm(Comm, MPI.Graphcomm):
    """A `Comm` whose ranks form a graph."""

    _topology = MPI.GRAPH


class Distgraphcomm(Comm, MPI.Distgraphcomm):
    """A `Comm` whose ranks form a graph of which each knows its own part."""

    _topology = MPI.DIST_GRAPH


class Intercomm(MPI.Intercomm):
    """An intercommunicator between two groups of ranks of ours.

    Its collectives are mpi4py's, those of what it is merged into ours.
    """

    _class: type[Comm] = Comm
    _algorithms: Mapping[str, str] = DEFAULTS
    _wanted: Settings | None = None

    def _like(self, comm: MPI.Comm) -> Any:
        wanted = self._wanted or from_environment()
        return _adopted(comm, self._class, self._algorithms, wanted)

    Dup = _ours(MPI.Comm.Dup)
    Dup_with_info = _ours(MPI.Comm.Dup_with_info)
    Clone = _ours(MPI.Comm.Clone)
    Split = _ours(MPI.Comm.Split)
    Create = _ours(MPI.Comm.Create)
    Merge = _ours(MPI.Intercomm.Merge)


_KINDS = {kind._topology: kind for kind in (Cartcomm, Graphcomm, Distgraphcomm)}


def _kind(comm: MPI.Comm, wanted: type[Comm]) -> type[Comm]:
    """The class for a communicator: that for its topology, or the one wanted if that is of it."""
    kind = _KINDS.get(comm.Get_topology(), Comm)
    return wanted if issubclass(wanted, kind) and wanted._topology == kind._topology else kind


def _adopted(
    comm: Any,
    wanted: type[Comm],
    algorithms: Mapping[str, str],
    settings: Settings,
    carrier: Carrier | None = None,
) -> Any:
    """A new communicator of mpi4py's as one of ours, with defaults."""
    if not comm:
        return comm
    if isinstance(comm, MPI.Intercomm):
        inter = Intercomm(comm)
        inter._class, inter._algorithms, inter._wanted = wanted, algorithms, settings
        return inter
    made = MPI.Intracomm.__new__(_kind(comm, wanted), comm)
    made._algorithms = algorithms
    open_channel(made, settings, carrier)
    return made


def _restored(cls: type[Comm], name: str, algorithms: Mapping[str, str] | None) -> Comm:
    """What has been pickled; without a word to other ranks.

    What stands in `mpi4py.MPI` is the same object again, as mpi4py's own constants are.
    """
    there = getattr(MPI, name)
    if type(there) is cls and there._algorithms == (algorithms or DEFAULTS):
        return there
    comm = MPI.Intracomm.__new__(cls, constant(name))
    if algorithms is not None:
        comm._algorithms = algorithms
    return comm
