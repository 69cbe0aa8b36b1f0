"""What the simulator keeps of each rank and of each message, and how data goes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from collectives.engines.driver import Message, Process, Round, Spot, line_of
from collectives.engines.scene import scene
from collectives.machine.clock import Way


class Rank:
    """The state of one simulated rank.

    `port_out` and `port_in` are when its ports are free, `busy` until when its CPU starts
    messages, `taken` until when it takes them, `ends` when its round ends as far as one knows.
    """

    __slots__ = (
        "arrivals",
        "busy",
        "bytes_received",
        "bytes_reduced",
        "bytes_sent",
        "ends",
        "finished",
        "messages",
        "now",
        "number",
        "port_in",
        "port_out",
        "posting",
        "process",
        "reductions",
        "round",
        "taken",
        "waits",
    )

    def __init__(self, process: Process):
        self.process = process
        self.number = process.rank
        self.finished = self.posting = False
        self.now = self.ends = self.busy = self.taken = self.port_in = self.port_out = 0.0
        self.arrivals: list[Posting] = []
        self.waits = 0  # messages of the round of which the end is not known yet
        self.messages = self.bytes_sent = self.bytes_received = 0
        self.reductions = self.bytes_reduced = 0
        self.round = Round([], [], [])

    def tally(self) -> tuple[float, int, int, int, int, int]:
        """When it ended, and what it did, in the order of `Run`."""
        sent = self.messages, self.bytes_sent
        return (self.now, *sent, self.bytes_received, self.reductions, self.bytes_reduced)


class Posting(Message):
    """A message that a rank sends, or a recv that waits for one.

    Of what is sent, `number` of its rank's yields, at `spot`: it starts to pass the port out at
    `start`, and has passed at `passed`; `arrived` is when the port in has let it in, and `taken`
    when the CPU has. `cost` is how long it keeps a port busy by itself, and `target` the rank whose
    recv it has met. There are millions of postings, so an attribute is there once it is known.
    """

    __slots__ = (
        "arrived",
        "behind",
        "cost",
        "earliest",
        "last",
        "number",
        "passed",
        "rank",
        "spot",
        "start",
        "taken",
        "target",
        "way",
    )

    rank: Rank
    behind: Posting | None
    last: Posting | None
    spot: Spot | None
    number: int
    way: Way
    cost: float
    target: Rank | None
    earliest: float
    start: float
    passed: Any  # a float, or None: not yet
    arrived: float
    taken: float

    @property
    def scene(self) -> str:
        """Where it was sent; empty if it met its recv at once."""
        return scene(line_of(self.spot), self.number, None) if self.spot else ""


class Poster(Process):
    """A rank's run whose messages are postings."""

    __slots__ = ()

    letter = Posting


def put(queues: dict[int, Posting], channel: int, entry: Posting) -> None:
    """Add an entry to a queue.

    Nearly all queues have one entry, so a queue is a chain and no list: its first entry knows
    the last one, and each the one behind it.
    """
    entry.behind = entry.last = None
    first = queues.setdefault(channel, entry)
    if first is not entry:
        last = first.last or first
        last.behind = first.last = entry


def take(queues: dict[int, Posting], channel: int) -> Posting:
    """The oldest entry of a queue; an empty queue is forgotten."""
    entry = queues.pop(channel)
    if entry.behind is not None:
        queues[channel] = behind = entry.behind
        behind.last = None if entry.last is behind else entry.last
    return entry


def queued(queues: dict[int, Posting]) -> Iterator[Posting]:
    """All entries of all queues."""
    for first in queues.values():
        entry: Posting | None = first
        while entry is not None:
            yield entry
            entry = entry.behind


def transfer(src: tuple[np.ndarray, ...], dst: tuple[np.ndarray, ...]) -> None:
    """Lay the elements of `src`, end to end, into the views of `dst`."""
    if len(src) == len(dst) == 1:
        if dst[0].size:  # an empty view may be read-only
            dst[0][...] = src[0]
        return
    packed = np.concatenate(src)
    position = 0
    for view in dst:
        if view.size:
            view[...] = packed[position : position + view.size]
            position += view.size
