"""The machine: how fast ranks compute, and what lies between them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from collectives import checks
from collectives.errors import ArgumentError

from .clock import Clock, LogGP
from .networks import Network, Star
from .placed import BLOCK, CYCLIC, RANDOM, Placed

TITLE = "machine"
CLOCK = Clock()

# Places of ranks, and links of a network, that there is memory for.
MOST = 2**20


@dataclass(frozen=True)
class Machine:
    """What the simulator runs on.

    Every rank has one port out and one port in, whose speed `clock` says (`near` for messages
    within a node). Beyond the ports, messages between nodes pass links, which they share
    max-min fairly while they are under way.

    Attributes
    ----------
    clock : Clock or LogGP
        Of messages between nodes; its gamma is that of reductions.
    near : Clock or LogGP, optional
        Of messages within a node; as far as others without one. Its gamma is not used.
    network : Network, optional
        Nodes and the links between them. Without one there are no nodes.
    ranks : int
        On each node.
    nic : float
        Bytes a second of each NIC, in either direction. Unlimited by default.
    nics : int
        On each node. Neighbouring ranks of a node share one: its first ranks the first.
    burst : int
        Bytes that a NIC passes at once after a pause, as a token bucket does: it saves them up
        again at its rate. Nothing by default.
    link : float
        Bytes a second of each link of the network.
    memory : float
        Bytes a second that all messages within a node share.
    placement : str or sequence of int
        ``block``, ranks fill node after node; ``cyclic``, they are dealt out like cards;
        ``random:SEED``; or a place for each rank: place s is on node s // ranks.
    delta : float
        Seconds a byte copied or packed, where a plan does so. Nothing by default.
    eager : int, optional
        Bytes up to which a message leaves at once; longer ones wait for their recv. Without
        it all leave at once.
    noise : float
        Every message and every reduction takes longer by a random share of its time,
        exponentially distributed with this mean.
    late : float
        Every rank begins late, by a random time with this mean in seconds.
    seed : int
        Of noise and late ranks.
    asked : Machine, optional
        The one that this is a part of, or a simpler view: what is made for the network is made
        for that one.

    Raises
    ------
    ArgumentError
        One of them is out of its range.

    Examples
    --------
    >>> from collectives.machine import machine
    >>> machine("nodes:8x8,nic=25G,latency=10us").groups(10)
    (0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    """

    clock: Clock | LogGP = CLOCK
    near: Clock | LogGP | None = None
    network: Network | None = None
    ranks: int = 1
    nic: float = math.inf
    nics: int = 1
    burst: int = 0
    link: float = math.inf
    memory: float = math.inf
    placement: str | Sequence[int] = BLOCK
    delta: float = 0.0
    eager: int | None = None
    noise: float = 0.0
    late: float = 0.0
    seed: int = 0
    asked: Machine | None = None

    def __post_init__(self) -> None:
        for name in ("clock", "near"):
            value = getattr(self, name)
            if not isinstance(value, (Clock, LogGP)) and (name == "clock" or value is not None):
                raise ArgumentError(f"{TITLE}: {name} must be a Clock or a LogGP, got {value!r}")
        if self.network is not None:
            checks.instance(TITLE, "network", self.network, Network)
        for name in ("ranks", "nics"):
            checks.integer(TITLE, name, getattr(self, name), 1)
        if self.nics > self.ranks:
            raise ArgumentError(
                f"{TITLE}: nics must be at most the {self.ranks} ranks of a node, got {self.nics}; "
                "give one NIC the rate of all"
            )
        for name in ("nic", "link", "memory"):
            checks.rate(TITLE, name, getattr(self, name))
        for name in ("delta", "late"):
            checks.seconds(TITLE, name, getattr(self, name))
        checks.share(TITLE, "noise", self.noise)
        if self.eager is not None:
            checks.integer(TITLE, "eager", self.eager)
        checks.integer(TITLE, "burst", self.burst)
        checks.integer(TITLE, "seed", self.seed)
        object.__setattr__(self, "placement", _placement(self.placement))
        if self.network is None:
            self._check_flat()
        elif (size := max((self.network.nodes or 1) * self.ranks, self.network.most)) > MOST:
            raise ArgumentError(
                f"{TITLE}: topology must have at most {MOST} places and links, got "
                f"{self.topology}, which has {size:.3g}; take a smaller one"
            )

    def _check_flat(self) -> None:
        """Raise unless there is only what ranks without nodes may have."""
        plain = {field.name: field.default for field in fields(self)}
        for name in ("near", "ranks", "nic", "nics", "burst", "link", "memory", "placement"):
            if getattr(self, name) != plain[name]:
                raise ArgumentError(
                    f"{TITLE}: {name} is for nodes, got no network; leave it out, or give "
                    "network=Star((8,)) for 8 nodes"
                )

    @property
    def topology(self) -> str:
        """The network and the ranks on each node, as `machine()` reads them: nodes:8x8."""
        if self.network is None:
            return "flat"
        if isinstance(self.network, Star):
            return f"nodes:{''.join(map(str, self.network.shape))}x{self.ranks}"
        return str(self.network)

    @property
    def p(self) -> int | None:
        """How many ranks there is place for; None if for any number."""
        nodes = None if self.network is None else self.network.nodes
        return None if nodes is None else nodes * self.ranks

    @property
    def shares(self) -> bool:
        """Whether there is anything that messages share, beside the ports of their ranks."""
        limits = self.nic, self.link, self.memory
        return self.network is not None and min(limits) < math.inf

    def at(self, p: int) -> Placed | None:
        """The machine with p ranks on it; None if it has no nodes.

        Raises
        ------
        ArgumentError
            It has fewer places.
        """
        if self.p is not None and p > self.p:
            raise ArgumentError(
                f"{TITLE}: the number of ranks p must be at most {self.p}, the places of "
                f"{self.topology}, got {p}; take a larger network or fewer ranks"
            )
        return None if self.network is None else Placed(self, self.network, p)

    def groups(self, p: int) -> tuple[int, ...]:
        """The number of each rank's node; without nodes every rank has its own."""
        placed = self.at(p)
        return tuple(range(p)) if placed is None else placed.groups

    def many(self, p: int) -> int:
        """On how many nodes p ranks are; without any network all are on one."""
        return 1 if self.network is None else len(set(self.groups(p)))

    def way(self, near: bool = False) -> Any:
        """What messages cost, within a node or between nodes."""
        return (self.near or self.clock).way if near else self.clock.way

    def unshared(self) -> Machine:
        """The same machine with links that have no limit: what its clocks alone say."""
        return self.seen_as(nic=math.inf, burst=0, link=math.inf, memory=math.inf)

    def seen_as(self, **changes: Any) -> Machine:
        """The same machine, looked at in another way."""
        return replace(self, asked=self.asked or self, **changes)

    def under(self, clock: Clock) -> Machine:
        """The same nodes, where every message counts as this clock says and nothing is shared."""
        plain = {f.name: f.default for f in fields(self) if f.name != "asked"}
        kept = {name: getattr(self, name) for name in ("network", "ranks", "placement")}
        return self.seen_as(**{**plain, **kept, "clock": clock})


def on_nodes(nodes: Sequence[int]) -> Machine:
    """A machine with rank r on node `nodes[r]`, whose messages share nothing.

    Parameters
    ----------
    nodes : sequence of int
        Any numbers, the same for ranks of one node.

    Examples
    --------
    >>> on_nodes([7, 3, 7]).groups(3)
    (0, 1, 0)
    """
    number = {node: i for i, node in enumerate(dict.fromkeys(nodes))}
    ranks = max(Counter(nodes).values())
    taken: Counter[int] = Counter()
    places = []
    for node in nodes:
        places.append(number[node] * ranks + taken[node])
        taken[node] += 1
    return Machine(network=Star((len(number),)), ranks=ranks, placement=places)


def _placement(value: Any) -> str | tuple[int, ...]:
    """What says where ranks are."""
    if isinstance(value, str):
        if value in (BLOCK, CYCLIC) or re.fullmatch(rf"{RANDOM}:\d{{1,18}}", value):
            return value
    elif isinstance(value, Sequence) and value and all(map(checks.is_integer, value)):
        places = tuple(map(int, value))
        if min(places) >= 0:
            return places
    raise ArgumentError(
        f"{TITLE}: placement must be block, cyclic, random:SEED or a place for each rank, "
        f"got {value!r}"
    )
