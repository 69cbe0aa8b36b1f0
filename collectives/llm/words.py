"""Numbers as tables have them. GB is 10^9 bytes, GiB 2^30."""

from __future__ import annotations

GB, GIB = 10**9, 2**30

UNITS = "GB is 10^9 bytes, GiB is 2^30."


def gb(nbytes: float) -> str:
    """Bytes as GB without the unit: `14.00`, or more digits of less than that."""
    return _digits(nbytes / GB)


def gib(nbytes: float) -> str:
    """Bytes as GiB without the unit."""
    return _digits(nbytes / GIB)


def share(part: float, total: float) -> str:
    """A part of a total: `12.5 %`."""
    return f"{100 * part / total:.1f} %" if total else "-"


def parameters(count: int) -> str:
    """A number of parameters: `6,738,415,616`."""
    return f"{count:,}"


def each(nbytes: float) -> str:
    """Bytes of a parameter."""
    return f"{nbytes:g}"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if value < 0.001:
        return f"{value:.1e}"
    return f"{value:.3f}" if value < 1 else f"{value:,.2f}"


def size(nbytes: float, digits: int = 3) -> str:
    """Bytes with a unit in powers of 1000: `405 MB`."""
    for unit, name in ((10**12, "TB"), (GB, "GB"), (10**6, "MB"), (1000, "kB")):
        if nbytes >= unit:
            return f"{nbytes / unit:.{digits}g} {name}"
    return f"{nbytes:g} B"


def counted(number: float, what: str, more: str = "s") -> str:
    """So many of something: `1 micro-batch`, `4 micro-batches`."""
    return f"{number:g} {what}{'' if number == 1 else more}"
