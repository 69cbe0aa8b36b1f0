"""A machine in a line, as people write it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap

from collectives.units import format_bytes, rate, seconds

from .clock import Clock, LogGP
from .model import Machine
from .writing import keys_of


def in_lines(machine: Machine, p: int, label: str, width: int = 99, least: int = 0) -> str:
    """What a machine is with p ranks on it, in lines under a label; as in `in_words`."""
    text = in_words(machine, p, least)
    return "\n".join(wrap(text, width, initial_indent=label, subsequent_indent=" " * len(label)))


def in_words(machine: Machine, p: int, least: int = 0) -> str:
    """What a machine is with p ranks on it, or with any number from `least` to p."""
    least = least or p
    rest = [f"{seconds(machine.clock.gamma)} a byte reduced", *_besides(machine)]
    if machine.network is None:
        return ", ".join([_so_many(least, p, "rank"), _clock(machine.clock), *rest])
    groups = machine.groups(p)
    nodes, fewer = len(set(groups)), len(set(machine.groups(least)))
    most = max(map(groups.count, set(groups)))
    where = f"{_so_many(least, p, 'rank')} on {_so_many(fewer, nodes, 'node')}"
    parts = [f"{machine.topology}, {where}, at most {most} on each"]
    parts.append(f"{_clock(machine.clock)} between nodes")
    if machine.near is not None and most > 1:
        parts.append(f"{_clock(machine.near)} within")
    if machine.nic < math.inf:
        nics = f"{machine.nics} NICs" if machine.nics > 1 else "a NIC"
        parts.append(f"{nics} of {rate(machine.nic)} a node")
    if machine.link < math.inf:
        parts.append(f"links of {rate(machine.link)}")
    return ", ".join([*parts, *rest])


def is_slower_inside(machine: Machine) -> bool:
    """Whether a message within a node is slower than its NIC."""
    near = machine.near
    return near is not None and machine.ranks > 1 and near.beta > 1 / machine.nic > 0


def _so_many(least: int, most: int, what: str) -> str:
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"{number} {what}{'' if most == 1 else 's'}"


def _besides(machine: Machine) -> Iterator[str]:
    """What few machines have."""
    keys = keys_of(machine)
    if machine.delta:
        yield f"{seconds(machine.delta)} a byte copied"
    if machine.eager is not None:
        yield f"eager up to {format_bytes(machine.eager)}"
    for name in ("memory", "placement", "noise", "late", "seed"):
        if name in keys:
            listed = isinstance(keys[name], tuple)
            yield f"{name} {'as listed' if listed else keys[name]}"


def _clock(clock: Clock | LogGP) -> str:
    byte = "no limit" if not clock.beta else rate(1 / clock.beta)
    if isinstance(clock, LogGP):
        return f"L {seconds(clock.L)}, o {seconds(clock.o)}, g {seconds(clock.g)}, {byte}"
    return f"{seconds(clock.alpha)} a message and {byte}"
