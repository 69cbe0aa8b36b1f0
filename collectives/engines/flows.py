"""Flows: messages that share links, so that each goes slower while others are under way.

A message passes the port out of its rank as ever, one after the other. What follows alpha, its
bytes, is a flow: it is as fast as its port and its fair share of every link on its route allow.
The shares change whenever a flow starts or ends, so the end of a message is known only when
it has come. Events are taken in the order of their times; those of one time together.

The port in of the destination counts as in `ports`: a message cannot have come in before those
ahead of it could have at full speed, nor before its flow has ended.

A link with a burst is a token bucket: what it did not pass it saves up, as much as its burst, and
as long as something is saved it is no limit.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import numpy as np

from collectives.engines.fairness import SAME, fair_rates
from collectives.engines.ports import Ports
from collectives.engines.postings import Rank, Sent
from collectives.machine.chance import Chance
from collectives.machine.model import Machine
from collectives.machine.placed import Link, Placed

# How many times its rate a link passes while something is saved up, and the part of its burst
# that must be there: a bucket does not open for each drop.
OPEN, DROP = 1e3, 1 / 64


class Flows(Ports):
    """When messages pass ports and shared links.

    Parameters
    ----------
    machine : Machine
    placed : Placed
    chance : Chance or None
    done : callable
        `done(rank)` is called when the last message of its round has ended.
    """

    def __init__(
        self,
        machine: Machine,
        placed: Placed,
        chance: Chance | None,
        done: Callable[[Rank], None],
    ):
        super().__init__(machine, placed, chance)
        self.route = placed.route
        self.done = done
        self.events: list[tuple[float, int, Sent]] = []  # begins of flows, and ends of others
        self.number = 0
        self.going: dict[int, deque[Sent]] = defaultdict(deque)  # what is to pass each port out
        self.flows = Active(placed.links)

    @property
    def pending(self) -> bool:  # type: ignore[override]
        """Whether anything is under way."""
        return bool(self.events or self.flows.sent or self.flows.new)

    def when(self) -> float:
        """The time of the next event."""
        event = self.events[0][0] if self.events else math.inf
        return min(event, self.flows.ends())

    def step(self) -> None:
        """Let all happen that happens at the time of the next event."""
        now = self.when()
        for sent in self.flows.until(now):
            self._passed(sent, now)
        while self.events and self.events[0][0] <= now:
            sent = heapq.heappop(self.events)[2]
            route = self._links(sent)
            if route and sent.message.nbytes:
                self.flows.add(sent, route, sent.cost - self._first(sent), now)
            else:
                self._passed(sent, now)

    def _links(self, sent: Sent) -> tuple[int, ...]:
        return self.route(sent.rank.process.rank, sent.message.peer)

    # Messages in the order of their ports.

    def leave(self, sent: Sent) -> None:
        rank = sent.rank
        rank.waits += 1
        rank.busy += self.way(sent).overhead
        self._queue(sent, rank.busy)

    def meet(self, sent: Sent, target: Rank) -> bool:
        sent.target = target
        self._queue(sent, self._met(sent, target))
        return False

    def arrive(self, sent: Sent, target: Rank) -> bool:
        sent.target = target
        return sent.passed is not None and super().arrive(sent, target)

    def _queue(self, sent: Sent, earliest: float) -> None:
        """A message waits for the port out."""
        sent.earliest = earliest
        going = self.going[sent.rank.process.rank]
        going.append(sent)
        if len(going) == 1:
            self._leave(sent)

    def _leave(self, sent: Sent) -> None:
        """A message is the next one at the port out."""
        sent.start = start = max(sent.earliest, sent.rank.port_out)
        sent.cost = self.cost(sent, self.way(sent))
        shares = sent.message.nbytes and self._links(sent)
        for link in shares or ():
            self.loads[link] += sent.message.nbytes
        self.number += 1
        event = start + (self._first(sent) if shares else sent.cost)
        heapq.heappush(self.events, (event, self.number, sent))

    def _first(self, sent: Sent) -> float:
        """Seconds of a message before its first byte."""
        way = self.way(sent)
        if self.chance is None:
            return way.first
        alone = way.first + way.byte * sent.message.nbytes
        return way.first * sent.cost / alone if alone else 0.0

    def _passed(self, sent: Sent, now: float) -> None:
        """A message has passed the port out, and the links."""
        rank = sent.rank
        sent.passed = now
        rank.port_out = now + self.way(sent).gap
        rank.ends = max(rank.ends, now)
        going = self.going[rank.process.rank]
        going.popleft()
        if going:
            self._leave(going[0])
        if sent.target is not None:
            super().arrive(sent, sent.target)
            self._ended(sent.target)
        self._ended(rank)

    def _ended(self, rank: Rank) -> None:
        rank.waits -= 1
        if not rank.waits and not rank.posting:
            self.done(rank)


class Active:
    """The flows that are under way, with their rates and what is left of them."""

    def __init__(self, links: Sequence[Link]):
        # The last one fills routes up.
        self.limits = np.array([*[link.rate for link in links], np.inf])
        self.bursts = np.array([*[float(link.burst) for link in links], 0.0])
        self.saved = self.bursts.copy()
        self.bucket = bool(self.bursts.any())  # whether any of them is one
        self.sent: list[Sent] = []
        self.routes = np.empty((0, 1), int)
        self.most = self.left = self.rates = np.empty(0)
        self.new: list[tuple[Sent, tuple[int, ...], float]] = []
        self.now, self.next = 0.0, math.inf  # when `left` was true, and when a flow ends
        self.changed = False

    def add(self, sent: Sent, route: tuple[int, ...], alone: float, now: float) -> None:
        """A flow begins, which takes `alone` seconds by itself."""
        self._go(now)
        self.new.append((sent, route, sent.message.nbytes / alone if alone > 0 else math.inf))
        self.changed = True

    def ends(self) -> float:
        """When the next flow ends, if none begins before."""
        if self.changed:
            self._share()
        return self.next

    def until(self, now: float) -> list[Sent]:
        """The flows that end until now."""
        if now < self.ends():
            return []
        self._go(now)
        # What is left would take a moment that is lost in rounding.
        kept = self.left > self.rates * (now * (SAME - 1))
        ended = [self.sent[number] for number in np.flatnonzero(~kept)]
        self.sent = [self.sent[number] for number in np.flatnonzero(kept)]
        self.routes, self.most, self.left = self.routes[kept], self.most[kept], self.left[kept]
        self.rates = self.rates[kept]
        self.changed = True
        return ended

    def _go(self, now: float) -> None:
        """Let the flows go on to a time."""
        if now > self.now:
            seconds = now - self.now
            self.left -= self.rates * seconds
            if self.bucket:
                self.saved = np.clip(self.saved - self._drains() * seconds, 0.0, self.bursts)
            self.now = now

    def _share(self) -> None:
        """The rates of all flows anew."""
        if self.new:
            self._take_new()
        open_ = self.bucket & (self.saved > DROP * self.bursts)
        limits = np.where(open_, OPEN * self.limits, self.limits) if self.bucket else self.limits
        self.rates = fair_rates(self.routes, self.most, limits)
        self.next = math.inf
        if self.sent:
            self.next = self.now + float((self.left / self.rates).min())
        if self.bucket:
            drains = self._drains()
            empty = open_ & (drains > 0)
            after = self.saved[empty] / drains[empty]
            self.next = min(self.next, self.now + float(after.min(initial=math.inf)))
        self.changed = False

    def _drains(self) -> np.ndarray:
        """Bytes a second by which what each link has saved gets less."""
        flows = np.repeat(self.rates, self.routes.shape[1])
        used = np.bincount(self.routes.ravel(), flows, len(self.limits))
        return used - self.limits

    def _take_new(self) -> None:
        sent, routes, most = zip(*self.new)
        width = max(self.routes.shape[1], *map(len, routes))
        last = len(self.limits) - 1
        rows = [[*route, *[last] * (width - len(route))] for route in routes]
        fill = np.full((len(self.routes), width - self.routes.shape[1]), last)
        self.routes = np.vstack([np.hstack([self.routes, fill]), np.array(rows)])
        self.most = np.append(self.most, most)
        self.left = np.append(self.left, [float(each.message.nbytes) for each in sent])
        self.sent += sent
        self.new.clear()
