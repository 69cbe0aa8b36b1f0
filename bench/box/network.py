"""What a box is made of: hosts, links and a switch, as commands for ip and tc.

A link is a pair of virtual Ethernet cards, one at the host and one at the switch, which is
a bridge. What leaves either passes a token bucket (tbf), so a host sends at `rate` and
receives at `rate`, at the same time, as over a cable. The bucket holds `burst` bytes: so
much may pass at once after a pause. The network never cuts a packet: the cards hand over
at most half a bucket at a time.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from collectives.errors import ArgumentError
from collectives.units import parse_bytes

SWITCH = "switch"  # the name of the bridge, and of the one place that is no host
CARD = "e0"  # a host's card
NETWORK = ipaddress.ip_network("10.0.0.0/16")  # nobody outside the box sees it
MOST_HOSTS = 250
FRAME = 1500  # bytes of a packet
QUEUE = "400ms"  # what waits longer at a link is lost: more than TCP ever lets wait

_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Network:
    """A star of hosts around a switch.

    Attributes
    ----------
    hosts : int
    rate : int
        Of a link, in each direction, in bits a second.
    burst : int
        What a link passes at once after a pause, in bytes.

    Raises
    ------
    ArgumentError
        One of them is out of its range.
    """

    hosts: int
    rate: int
    burst: int

    def __post_init__(self) -> None:
        if not 2 <= self.hosts <= MOST_HOSTS:
            raise ArgumentError(f"box: hosts must be 2 to {MOST_HOSTS}, got {self.hosts}")
        if self.burst < 2 * FRAME:
            raise ArgumentError(f"box: burst must be {2 * FRAME} bytes or more, got {self.burst}")

    def address(self, host: int) -> str:
        """Of a host; of the switch itself with `hosts`."""
        return str(NETWORK[host + 1])

    def name(self, host: int) -> str:
        """What a host calls itself."""
        return f"host{host}"

    def switch(self) -> list[str]:
        """Commands that make the switch."""
        return [
            "ip link set lo up",
            f"ip link add {SWITCH} type bridge",
            f"ip address add {self.address(self.hosts)}/{NETWORK.prefixlen} dev {SWITCH}",
            f"ip link set {SWITCH} up",
        ]

    def cable(self, host: int, pid: int) -> list[str]:
        """Commands at the switch that connect the host that a process lives in."""
        port = f"port{host}"
        return [
            f"ip link add {port} type veth peer name {CARD} netns {pid}",
            *self._limited(port),
            f"ip link set {port} master {SWITCH} up",
        ]

    def card(self, host: int) -> list[str]:
        """Commands at the host that bring its card up."""
        return [
            "ip link set lo up",
            f"ip address add {self.address(host)}/{NETWORK.prefixlen} dev {CARD}",
            *self._limited(CARD),
            f"ip link set {CARD} up",
        ]

    def _limited(self, card: str) -> list[str]:
        whole = max(FRAME, min(self.burst // 2, 2**16))
        return [
            f"ip link set {card} gso_max_size {whole}",
            f"tc qdisc add dev {card} root tbf rate {self.rate}bit burst {self.burst} "
            f"latency {QUEUE}",
        ]


def placed(ranks: int, hosts: int) -> list[int]:
    """How many ranks each host has: neighbours together, as evenly as can be.

    Examples
    --------
    >>> placed(10, 4)
    [3, 3, 2, 2]
    """
    if ranks < hosts:
        raise ArgumentError(f"box: ranks must be as many as the hosts, {hosts}, got {ranks}")
    return [ranks // hosts + (host < ranks % hosts) for host in range(hosts)]


def parse_rate(text: str) -> int:
    """Bits a second: `200mbit`, `1gbit`.

    Raises
    ------
    ArgumentError
        It is none, or nothing would ever arrive.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)bit", text.strip().lower())
    rate = round(float(match[1]) * _SCALE[match[2]]) if match else 0
    if not 10**5 <= rate <= 10**11:
        raise ArgumentError(
            f"box: rate must be such as 200mbit or 1gbit, from 100kbit to 100gbit, got {text!r}"
        )
    return rate


def parse_burst(text: str) -> int:
    """Bytes, as everywhere: `16K`."""
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise ArgumentError(f"box: burst: {error}") from None
