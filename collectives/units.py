"""Bytes as people write them, 8, 32K, 1M, 2 GiB, and seconds, 12.5 us."""

from __future__ import annotations

import re

MOST = 2**62  # bytes
_UNITS = ("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_bytes(text: str) -> int:
    """`32K` is 32 * 1024; `K`, `KB` and `KiB` are the same.

    Raises
    ------
    ValueError
        It is no such number, or more than any computer has.
    """
    match = re.fullmatch(r"(\d{1,19})\s*([KMGT]?)I?B?", text.strip().upper())
    size = int(match[1]) << (10 * _POWER[match[2]]) if match else MOST + 1
    if size > MOST:
        raise ValueError(f"a size such as 8, 32K or 1M, up to 4 EiB, is needed, got {text!r}")
    return size


def format_bytes(nbytes: float) -> str:
    """The same the other way round, rounded: `1.5 MiB`."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while nbytes >= 1024 and len(units) > 1:
        nbytes /= 1024
        units.pop(0)
    return f"{round(nbytes, 2 if nbytes < 10 else 1):g} {units[0]}"


def seconds(time: float) -> str:
    """Three digits and a unit: 12.5 us."""
    unit, size = next(((u, s) for u, s in _UNITS if time >= s), _UNITS[-1])
    return f"{time / size:.3g} {unit}"
