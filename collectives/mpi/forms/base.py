"""What the nonblocking and persistent forms have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collectives.mpi.data.operators import Op, owned
from collectives.mpi.plans.channel import Channel
from collectives.mpi.plans.dispatch import spec_of
from collectives.mpi.plans.recording import Invocation
from collectives.mpi.plans.store import Ready

Counts = Sequence[int] | None


class Forms:
    """What they need of a communicator."""

    _algorithms: Mapping[str, str]
    _ready: Ready

    def _channel(self) -> Channel:
        raise NotImplementedError

    def _invocation(
        self,
        primitive: str,
        algorithm: str | None,
        parameters: dict[str, Any],
        buffers: tuple,
        root: int | None = None,
        op: Op | None = None,
        counts: Any = None,
        form: str = "",
    ) -> Invocation:
        """A call; where counts are exchanged first, with copies of what its owner may free."""
        spec = spec_of(self, primitive, algorithm)
        if form:
            *buffers, op = owned(*buffers, op)  # type: ignore[assignment]
        return Invocation(primitive, spec, tuple(buffers), root, op, parameters, counts, form=form)
