"""What an algorithm takes for vectors of any length, from few prices.

Where messages only grow with the length n, time grows along straight lines that meet where another
term begins to count. So an algorithm is priced for a few lengths; where one of them lies on the
line between its neighbours, so do those between. That is not so for pipelines, where more segments
may take other ways. And it is known to be at least so much before it is priced: it grows with n,
but no faster than n, no link passes its bytes faster than at its full rate, and no clock is better
than the best there is.
"""

from __future__ import annotations

import math
from bisect import bisect

from collectives.catalogue import find
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.study.cost import predicted_time
from collectives.study.pricing import PIPELINED, SIMULATED, TooLong, evenly, priced
from collectives.study.steady import SEGMENTS

# Times that differ by less are on a line.
STRAIGHT = 0.005


class Curve:
    """The time of an algorithm by the length of the vector.

    Parameters
    ----------
    primitive, name : str
    p : int
        Number of ranks.
    machine : Machine
    """

    def __init__(self, primitive: str, name: str, p: int, machine: Machine):
        self.primitive, self.name, self.p, self.machine = primitive, name, p, machine
        self.lengths: list[int] = []
        self.times: dict[int, float] = {}
        self.estimated = False  # some price is not that of a simulated run
        self.busy = 0.0  # seconds a byte, of the busiest link
        self.line = _line(primitive, name, machine)
        self.pipeline = SEGMENTS in find(primitive, name)[0].parameters

    def at(self, n: int) -> float:
        """Seconds for n bytes; infinite if that takes too long to tell."""
        n = evenly(self.primitive, self.p, n)
        if n not in self.times:
            place = bisect(self.lengths, n)
            for first in (place - 2, place - 1):
                if self._straight(first):
                    return self._between(self.lengths[first], self.lengths[first + 2], n)
            self.lengths.insert(place, n)
            self.times[n] = self._priced(n)
        return self.times[n]

    def at_least(self, n: int) -> float:
        """Seconds below which it surely is not for n bytes."""
        n = evenly(self.primitive, self.p, n)
        if n in self.times:
            return self.times[n]
        if self.machine.burst:  # short vectors pass at once: time may grow faster than n
            shorter = self.lengths[: bisect(self.lengths, n)]
            return max(
                (self.times[one] for one in shorter if self.times[one] < math.inf), default=0.0
            )
        found = [self.busy * n]
        if self.line is not None:
            algorithm, given = find(self.primitive, self.name)
            # A cost line may be an upper bound, of no more than this.
            found.append(predicted_time(algorithm, self.p, n, self.line, **given) / 2)
        place = bisect(self.lengths, n)
        for other in self.lengths[max(place - 1, 0) : place + 1]:
            if self.times[other] < math.inf:
                found.append(self.times[other] * min(1.0, n / other))
        return max(found)

    def _priced(self, n: int) -> float:
        try:
            price = priced(self.primitive, self.name, self.p, n, self.machine, PIPELINED)
        except TooLong:
            return math.inf
        self.estimated |= price.how != SIMULATED
        if n and price.bottleneck is not None and not self.pipeline:
            self.busy = max(self.busy, price.bottleneck.busy / n)
        return price.seconds

    def _straight(self, first: int) -> bool:
        """Whether three neighbouring lengths are on a line."""
        if self.pipeline or not 0 <= first <= len(self.lengths) - 3:
            return False
        low, middle, high = self.lengths[first : first + 3]
        time = self.times[middle]
        return abs(self._between(low, high, middle) - time) <= STRAIGHT * time < math.inf

    def _between(self, low: int, high: int, n: int) -> float:
        start, end = self.times[low], self.times[high]
        return start + (end - start) * (n - low) / (high - low)


def _line(primitive: str, name: str, machine: Machine) -> Clock | None:
    """The clock under which the cost line is surely not above twice the time."""
    algorithm, _ = find(primitive, name)
    clocks = [clock for clock in (machine.clock, machine.near) if clock is not None]
    if algorithm.needs_groups or not all(isinstance(clock, Clock) for clock in clocks):
        return None
    alpha = min(clock.alpha for clock in clocks)
    beta = min(clock.beta for clock in clocks)
    return Clock(alpha, beta, machine.clock.gamma)
