"""Clocks: what a message costs the two ranks, and what a reduction costs, where no link is shared.

Hockney's has three parameters and LogGP's five. Both are read by the simulator as one `Way`::

    sender's CPU    | overhead |
    port out                   | first | byte by byte | gap |
    wire                       | latency, for every byte ...   |
    port in                              | first | byte by byte | gap |
    receiver's CPU                                              | overhead |

Hockney's alpha is `first`: it keeps both ports busy. LogGP's L is `latency`, during which the
ports are free for the next message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from collectives import checks

# Seconds a byte reduced: numpy's addition of float64 on one core, out of the cache.
GAMMA = 6e-11


class Way(NamedTuple):
    """What a message costs, as the simulator reads it; all in seconds, `byte` a byte."""

    overhead: float
    first: float
    byte: float
    gap: float
    latency: float
    handshake: float  # before a message that waits for its recv


@dataclass(frozen=True)
class Clock:
    """Hockney's parameters.

    Attributes
    ----------
    alpha : float
        Seconds to start a message.
    beta : float
        Seconds for each byte of a message.
    gamma : float
        Seconds a byte reduced.

    Raises
    ------
    ArgumentError
        One of them is no number from 0 on.
    """

    alpha: float = 1e-6
    beta: float = 1e-9
    gamma: float = 1e-10

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.seconds("Clock", name, value)

    @property
    def way(self) -> Way:
        """The same, as the simulator reads it."""
        return Way(0.0, self.alpha, self.beta, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LogGP:
    """The parameters of Alexandrov, Ionescu, Schauser and Scheiman 1995.

    A single message of m bytes takes o + m G + L + o. The CPU is busy for o at either end,
    and the port for m G + g. (The paper counts m - 1 bytes: the first one takes no G.) A
    message that waits for its recv is asked for first: o + L there, and o + L back.

    Attributes
    ----------
    L : float
        Seconds that a byte is under way.
    o : float
        Seconds that sending a message, or taking it, keeps the CPU busy.
    g : float
        Seconds between the last byte of a message and the first one of the next.
    G : float
        Seconds for each byte of a message.
    gamma : float
        Seconds a byte reduced.

    Raises
    ------
    ArgumentError
        One of them is no number from 0 on.
    """

    L: float = 1e-6
    o: float = 1e-6
    g: float = 1e-6
    G: float = 1e-9
    gamma: float = 1e-10

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.seconds("LogGP", name, value)

    @property
    def way(self) -> Way:
        """The same, as the simulator reads it."""
        return Way(self.o, 0.0, self.G, self.g, self.L, 2 * (self.o + self.L))

    @property
    def alpha(self) -> float:
        """Hockney's alpha that says the same of a single message."""
        return self.L + 2 * self.o

    @property
    def beta(self) -> float:
        """Hockney's beta, which is G."""
        return self.G
