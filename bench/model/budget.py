"""How a configuration keeps its time limit: what is measured how often, and what not at all.

Lengths go up, and for each the primitives take turns. A group, one primitive with one length,
has at least `SECONDS`, and of what is left its share: groups of longer vectors need more, in
proportion. A group for which the time does not suffice is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SECONDS = 0.3  # for each group, while there is time
ENOUGH = 20  # repetitions, where they take longer
GROWTH = 4  # times as long a call takes, at most, with a vector of the next length


class Budget:
    """The time for all groups.

    Parameters
    ----------
    limit : float
        Seconds from now on.
    groups : sequence of (str, int)
        Primitive and bytes of all groups, in the order in which they are measured.
    clock : callable, optional
        Seconds, for tests.
    """

    def __init__(
        self,
        limit: float,
        groups: Sequence[tuple[str, int]],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock, self._end = clock, clock() + limit
        self._ahead = list(groups)
        self._pass: dict[str, float] = {}  # seconds of the last group's calls, each once
        self._begin = self._share = self._each = 0.0

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._clock()

    def begin(self) -> bool:
        """Whether there is time for the next group: every call twice, one of them to prepare it."""
        primitive, n = self._ahead[0]
        weights = sum(size for _, size in self._ahead)
        self._begin, self._share = self._clock(), max(SECONDS, self.left * n / weights)
        self._ahead.pop(0)
        return self.left > 2 * GROWTH * self._pass.get(primitive, 0.0)

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
