"""A plan: the recorded rounds of one rank, ready to be replayed.

What an algorithm yields depends on ranks and lengths, never on values, so its
rounds can be recorded once, before anything is sent, and run as often as the
same buffers come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from collectives.engines.driver import Message, Process, Round, views_of


@dataclass(frozen=True)
class Plan:
    """The rounds of one rank.

    Attributes
    ----------
    title : str
        Full name of the algorithm.
    rounds : list of Round
    lines : list of (str, int)
        File and line of the yield behind each round.
    """

    title: str
    rounds: list[Round]
    lines: list[tuple[str, int]]

    @property
    def scratch_bytes(self) -> int:
        """Memory that the plan keeps alive: what came from `scratch`."""
        owners = [view if view.base is None else view.base for view in self._views()]
        return sum({id(x): x.nbytes for x in owners if _owns_memory(x)}.values())

    def _views(self) -> Iterator[np.ndarray]:
        for round_ in self.rounds:
            yield from views_in(round_.sends + round_.recvs)
            for step in round_.local:
                for name in set(step.__slots__) - {"codec"}:
                    yield from views_of(getattr(step, name))


def views_in(messages: Iterable[Message]) -> Iterator[np.ndarray]:
    """The views of messages."""
    return (view for message in messages for view in message.views)


def record(process: Process) -> Plan:
    """Run an algorithm to its end without doing what it says."""
    rounds, lines = [], []
    while (round_ := process.advance()) is not None:
        if round_.sends or round_.recvs or round_.local:
            rounds.append(round_)
            lines.append(process.line())
    return Plan(process.title, rounds, lines)


def _owns_memory(owner: object) -> bool:
    return isinstance(owner, np.ndarray) and owner.flags.owndata
