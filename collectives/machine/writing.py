"""Machines as text, as `spec` reads it: a TOML file of keys with values and their units."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields

from collectives.units import parse_rate, parse_seconds

from .clock import Clock, LogGP
from .model import Machine
from .networks import Star

_TIMES = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_RATES = {"Gbit/s": 8e-9, "Mbit/s": 8e-6, "GB/s": 1e-9, "B/s": 1.0}


def dumps(machine: Machine, about: str = "") -> str:
    """A machine as a TOML file, which `collectives.machine.machine` reads.

    Parameters
    ----------
    machine : Machine
    about : str
        What it is and where it was measured, for readers.

    Examples
    --------
    >>> from collectives.machine import machine
    >>> print(dumps(machine("nodes:8x8,nic=25G,latency=10us,near_latency=1us,near_rate=8 GB/s")))
    topology = "nodes:8x8"
    latency = "10 us"
    rate = "25 Gbit/s"
    gamma = "0.06 ns/B"
    near_latency = "1 us"
    near_rate = "8 GB/s"
    nic = "25 Gbit/s"
    <BLANKLINE>
    """
    keys: dict[str, object] = {"about": about} if about else {}
    keys |= keys_of(machine)
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())


def keys_of(machine: Machine) -> dict[str, object]:
    """The keys of a machine's description with their values, as `spec.from_keys` reads them."""
    lines: list[tuple[str, object]] = [("topology", machine.topology), *_clock(machine.clock, "")]
    lines.append(("gamma", f"{time(machine.clock.gamma)}/B"))
    if machine.network is not None:
        lines += _clock(machine.near or machine.clock, "near_")
        lines += _links(machine)
    plain = {field.name: field.default for field in fields(Machine)}
    for name, text in (("delta", lambda t: f"{time(t)}/B"), ("eager", _bytes), ("late", time)):
        if getattr(machine, name) != plain[name]:
            lines.append((name, text(getattr(machine, name))))
    for name in ("noise", "seed"):
        if getattr(machine, name) != plain[name]:
            lines.append((name, getattr(machine, name)))
    return dict(lines)


def _clock(clock: Clock | LogGP, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(clock, LogGP):
        yield f"{prefix}latency", time(clock.L)
        yield f"{prefix}rate", _inverse(clock.G)
        yield f"{prefix}overhead", time(clock.o)
        yield f"{prefix}gap", time(clock.g)
    else:
        yield f"{prefix}latency", time(clock.alpha)
        yield f"{prefix}rate", _inverse(clock.beta)


def _links(machine: Machine) -> Iterator[tuple[str, object]]:
    if not isinstance(machine.network, Star):
        yield "ranks", machine.ranks
        yield "link", rate(machine.link)
    yield "nic", rate(machine.nic)
    if machine.nics > 1:
        yield "nics", machine.nics
    if machine.burst:
        yield "burst", _bytes(machine.burst)
    if machine.memory < math.inf:
        yield "memory", rate(machine.memory)
    if machine.placement != "block":
        yield "placement", machine.placement


def _bytes(number: int | None) -> str:
    return f"{number}B"


def time(seconds: float) -> str:
    """A time with its unit, so that it is read as the same number: 12.5 us."""
    return _shortest(seconds, _TIMES, parse_seconds, seconds)


def rate(per_second: float) -> str:
    """A rate with its unit, so that it is read as the same number: 25 Gbit/s."""
    return _shortest(per_second, _RATES, parse_rate, per_second)


def _inverse(byte: float) -> str:
    """The rate of so many seconds a byte; of rates that come to the same the shortest."""
    if byte == 0:
        return "inf"
    return _shortest(1 / byte, _RATES, lambda text: 1 / parse_rate(text), byte)


def _shortest(
    value: float, units: dict[str, float], read: Callable[[str], float], wanted: float
) -> str:
    """The shortest text that is read as the number wanted, or as nearly so as there is."""
    if value == math.inf:
        return "inf"
    scaled = [(value * scale, unit) for unit, scale in units.items()]
    texts = [f"{number:.{digits}g} {unit}" for digits in range(1, 18) for number, unit in scaled]
    return min(texts, key=lambda text: (abs(read(text) - wanted), "e" in text, len(text)))
