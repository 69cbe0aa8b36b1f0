"""A plan: the recorded rounds of one rank, ready to be replayed.

What an algorithm yields depends on ranks and lengths, never on values, so its
rounds can be recorded once, before anything is sent, and run as often as the
same buffers come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
    numbers : list of int
        Which yield of the page that is, from 1 on; one in which this rank has nothing to do
        makes no round.
    """

    title: str
    rounds: list[Round]
    lines: list[tuple[str, int]]
    numbers: list[int]

    def scratch_bytes(self, given: Sequence[np.ndarray] = ()) -> int:
        """Memory that the plan keeps alive: what came from `scratch`, not what was given."""
        others = {id(_owner(view)) for view in given}
        owners = {id(owner): owner for owner in map(_owner, self._views())}
        return sum(x.nbytes for key, x in owners.items() if _owns_memory(x) and key not in others)

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
    rounds, lines, numbers = [], [], []
    while (round_ := process.advance()) is not None:
        if round_.sends or round_.recvs or round_.local:
            rounds.append(round_)
            lines.append(process.line())
            numbers.append(process.number)
    return Plan(process.title, rounds, lines, numbers)


def _owner(view: np.ndarray) -> Any:
    return view if view.base is None else view.base


def _owns_memory(owner: object) -> bool:
    return isinstance(owner, np.ndarray) and owner.flags.owndata
