"""How a configuration keeps its time limit: what is measured how often, and what not at all.

Lengths go up, and for each the primitives take turns. A group is one primitive with one length;
what a pass over it, every call once, will take is estimated beforehand. A group has that for one
pass, and an equal part of what nobody needs for that, or a small part of all. So long vectors,
which take nearly all the time and vary least, are called once or twice, and short ones often. A
group for which the time does not suffice is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

SECONDS = 0.3  # of calls after which a group has enough,
ENOUGH = 20  # if it has so many repetitions
PART = 1 / 150  # of all the time that every group may take in any case
GROWTH = 4  # times as long a pass takes, at most, with vectors of the next length


class Budget:
    """The time for all groups.

    Parameters
    ----------
    limit : float
        Seconds from now on.
    groups : mapping
        Seconds that a pass is expected to take, for each primitive and bytes, in the order in
        which they are measured.
    clock : callable, optional
        Seconds, for tests.
    """

    def __init__(
        self,
        limit: float,
        groups: Mapping[tuple[str, int], float],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock, self._end, self._least = clock, clock() + limit, PART * limit
        self._ahead = list(groups.items())
        self._pass: dict[str, float] = {}  # seconds of a pass over the last group
        self._begin = self._share = self._each = 0.0

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._clock()

    def begin(self) -> bool:
        """Whether there is time for a pass over the next group."""
        self._begin = self._clock()
        (primitive, _), need = self._ahead[0]
        spare = self.left - sum(seconds for _, seconds in self._ahead)
        self._share = max(need + max(spare, 0.0) / len(self._ahead), self._least)
        self._each = 0.0
        self._ahead.pop(0)
        if primitive in self._pass:
            need = min(need, GROWTH * self._pass[primitive])
        return self.left > need

    def more(self, repetitions: int, spent: float) -> bool:
        """Whether to call once more after so many repetitions, which took so many seconds."""
        if repetitions == 0:
            return True
        self._each, used = spent / repetitions, self._clock() - self._begin
        if used + self._each > self._share or self._each > self.left:
            return False
        return spent < SECONDS or repetitions < ENOUGH

    def end(self, primitive: str) -> None:
        """Keep how long the calls of the group took, each once."""
        self._pass[primitive] = self._each
