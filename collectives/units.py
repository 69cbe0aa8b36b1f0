"""Numbers as people write them: bytes, 8, 32K, 1M, 2 GiB; seconds, 12.5 us; rates, 25 Gbit/s.

Bytes count in powers of 1024, as memory does; rates are decimal, as networks are.
"""

from __future__ import annotations

import math
import re

MOST = 2**62  # bytes
LONGEST = 1e100  # seconds that a clock counts
_UNITS = ("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"


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


def times_as_long(ratio: float) -> str:
    """A ratio of times in words: `1.25 times as long`, or `as long` if it comes to 1.00."""
    return "as long" if f"{ratio:.2f}" == "1.00" else f"{ratio:.2f} times as long"


def parse_seconds(text: str) -> float:
    """`12.5 us`, `12.5us` and `1.25e-5 s` are 1.25e-5.

    Raises
    ------
    ValueError
        It is no time, or has no unit.
    """
    match = re.fullmatch(rf"{_NUMBER}\s*(s|ms|us|ns)", text.strip())
    # Divided, so that 10 us are the number that 10e-6 is.
    time = float(match[1]) / round(1 / dict(_UNITS)[match[2]]) if match else math.inf
    if time > LONGEST:
        raise ValueError(f"a time such as 10us, 0.5 ms or 2e-6 s is needed, got {text!r}")
    return time


def parse_rate(text: str) -> float:
    """Bytes a second: `25G` and `25 Gbit/s` are 3.125e9, `3 GB/s` is 3e9; `inf` is no limit.

    Raises
    ------
    ValueError
        It is no rate above 0, or has no unit.
    """
    if text.strip() == "inf":
        return math.inf
    match = re.fullmatch(rf"{_NUMBER}\s*([KkMGT]?)(bit/s|B/s|)", text.strip())
    if not match or not (match[2] or match[3]) or not 0 < float(match[1]) < 1e30:
        raise ValueError(f"a rate such as 25G, 25 Gbit/s or 3 GB/s is needed, got {text!r}")
    power = _POWER[match[2].upper()]
    return float(match[1]) * 1000**power / (1 if match[3] == "B/s" else 8)


def rate(per_second: float) -> str:
    """A rate as networks have it: 25 Gbit/s."""
    bits, units = per_second * 8, ["bit/s", "Kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]
    while bits >= 1000 and len(units) > 1:
        bits /= 1000
        units.pop(0)
    return f"{bits:.4g} {units[0]}"
