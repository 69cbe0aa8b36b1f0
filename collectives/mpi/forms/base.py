"""What the blocking, nonblocking and persistent forms have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collectives.mpi.data.buffers import is_in_place
from collectives.mpi.forms.alltoallw import Side, read_side
from collectives.mpi.plans.channel import Channel
from collectives.mpi.plans.dispatch import spec_of

Counts = Sequence[int] | None


class Forms:
    """What the three kinds of forms need of a communicator."""

    _algorithms: Mapping[str, str]

    def _channel(self) -> Channel:
        raise NotImplementedError

    def _function(
        self,
        primitive: str,
        function: Callable[..., None],
        arguments: tuple,
        algorithm: str | None,
        parameters: dict[str, Any],
    ) -> Callable[[Channel], None]:
        """A function of the api with all its arguments but the channel."""
        spec = spec_of(self, primitive, algorithm)
        return lambda channel: function(channel, *arguments, algorithm=spec, **parameters)

    def _sides(self, sendbuf: Any, recvbuf: Any) -> tuple[Side, Side]:
        """The buffers of an Alltoallw; in place, what is in recvbuf is sent."""
        p = self._channel().p
        in_place = is_in_place(sendbuf)
        name, source = ("recvbuf", recvbuf) if in_place else ("sendbuf", sendbuf)
        target = read_side("alltoallw", "recvbuf", recvbuf, p, writes=True)
        return read_side("alltoallw", name, source, p, writes=False), target
