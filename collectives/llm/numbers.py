"""Numbers that would do, for messages that say so."""

from __future__ import annotations


def divisors(number: int) -> list[int]:
    """All divisors of a number, the smallest first."""
    return [each for each in range(1, number + 1) if number % each == 0]


def nearest(value: int, unit: int) -> int:
    """The multiple of a unit, from one on, that is nearest to a value."""
    return max(1, round(value / unit)) * unit
