"""What lies between the ranks, for algorithms that are made for one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Links:
    """The links of a network, and which of them each message passes.

    A rank sends one message at a time and takes one at a time. Those of several ranks share
    the links that they pass.

    Parameters
    ----------
    p : int
        Number of ranks.
    rates : sequence of float
        Bytes a second of each link. Links without a limit are not among them.
    route : callable
        `route(source, dest)` has the numbers of the links between two ranks, a tuple.
    byte : callable
        `byte(source, dest)` is how many seconds a byte takes if no other message is under way:
        by the ports of the two ranks, or the slowest link between them.
    work : float
        Seconds that a rank takes to reduce a byte.

    Two of them are equal if they are the same: schedules are kept by it.
    """

    def __init__(
        self,
        p: int,
        rates: Sequence[float],
        route: Callable[[int, int], tuple[int, ...]],
        byte: Callable[[int, int], float],
        work: float = 0.0,
    ):
        self.p = p
        self.rates = rates
        self.route = route
        self.byte = byte
        self.work = work
        self._turned: Links | None = None

    def turned(self) -> Links:
        """The same network, seen by those who receive: `route(a, b)` is the way from b to a."""
        if self._turned is None:
            there, back = self.route, self.byte
            self._turned = Links(
                self.p, self.rates, lambda a, b: there(b, a), lambda a, b: back(b, a), self.work
            )
        return self._turned
