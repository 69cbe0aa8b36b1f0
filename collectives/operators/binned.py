"""Binned summation: floats whose sum has the same bits in any order and grouping.

`a + (b + c)` and `(a + b) + c` differ, because floats round after each addition. So
nothing is rounded here until the end. The powers of two are cut into bins of 40, by a
grid that is the same for all data::

            bin 28          bin 27          bin 26          bin 25
    ...|- 2^49 .. 2^10 -|- 2^9 .. 2^-30 -|- 2^-31 .. 2^-70 -|- 2^-71 .. 2^-110 -|...

The 53 bits of a float64 lie in at most three neighbouring bins. What lies in a bin is an
integer below 2^40, its chunk, in units of the bin's lowest power. A record holds the sums
of the chunks in three bins, as int64, and which bin is the highest of them: the top, the
highest bin that any of its floats reaches. Two records are joined by integer additions;
if their tops differ, the lower one is first written in the bins of the higher one, and
what lies below these is dropped.

The sum depends on the floats alone: each chunk depends on its float alone, the top is a
maximum, and a chunk that counts in the end was in the bins of every record on the way,
whose top cannot have been higher. What is dropped of one float is less than 2^-80 times
the largest float in magnitude, so the result is

    the exact sum, off by less than n * 2^-80 * max|x|, correctly rounded once.

An ordinary sum is off by up to about n * 2^-53 * sum|x|. An intermediate sum cannot
overflow. Infinities and NaNs are taken down beside the sums, and give what they give in
IEEE 754; so is whether all floats were -0.0, the only floats whose sum is -0.0.

An int64 has room for the chunks of `ROOM` floats. A sum over ranks has one float per
rank, unless a rank joins records of its own first.

This is an integer variant of the idea of Demmel and Nguyen; see docs/reproducible.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

WIDTH = 40  # powers of two in a bin
ROOM = 2**23 - 1  # floats that a record can take

# A record: a head, which is top << 8 | flags, and the sums of three bins, from the highest
# down; all int64. It is opaque to numpy, which copies it the faster for it. A complex
# number has two, of its real and of its imaginary part.
RECORD = np.dtype((np.void, 32))
PAIR = np.dtype((np.void, 64))

_RECORDS = {
    np.dtype(np.float16): RECORD,
    np.dtype(np.float32): RECORD,
    np.dtype(np.float64): RECORD,
    np.dtype(np.complex64): PAIR,
    np.dtype(np.complex128): PAIR,
}

# Kinds of floats. In a head, flag 1 << kind says that there has been one.
FINITE, MINUS_ZERO, PLUS_INFINITY, MINUS_INFINITY, NAN = range(5)
_FLAGS = 8  # bits for them
_SPECIAL = 1 << PLUS_INFINITY | 1 << MINUS_INFINITY | 1 << NAN

# The lowest power of bin `b` is 2**(40 * b - ORIGIN). So bin 27 goes from 2**-30 to
# 2**10: numbers of a usual size share one, and joining records of one top is quickest.
ORIGIN = 1110
BINS = 54  # bin 53 has the largest float64

_DIGIT = (1 << WIDTH) - 1
_MANTISSA = 52  # bits of a float64 that are stored
_SHIFT = ORIGIN - 1023  # from an exponent as it is stored to a power counted from bin 0
_BLOCK = 4096  # floats that are worked on at once: what is made of them stays in the cache


def record_of(dtype: np.dtype) -> np.dtype | None:
    """The dtype of the records of such numbers; None if there are none."""
    return _RECORDS.get(dtype)


def is_record(dtype: np.dtype) -> bool:
    """Whether it is the dtype of records."""
    return dtype in (RECORD, PAIR)


def encode(values: np.ndarray, records: np.ndarray) -> None:
    """Write the record of each number.

    Parameters
    ----------
    values, records : numpy.ndarray
        One-dimensional; records of the dtype that `record_of` says.
    """
    numbers, rows = floats(values), _rows(records)
    for part in blocks(numbers.size):
        top, kind, chunks = split(numbers[part])
        rows[part, 0] = top << _FLAGS | 1 << kind
        for column, chunk in enumerate(chunks, 1):
            rows[part, column] = chunk


def join(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Add records; `out` may be either operand.

    Parameters
    ----------
    left, right, out : numpy.ndarray
        Records, one-dimensional.
    """
    one, other, result = _rows(left), _rows(right), _rows(out)
    for part in blocks(len(result)):
        _join(one[part], other[part], result[part])


def decode(records: np.ndarray, values: np.ndarray) -> None:
    """Write the number that each record stands for, correctly rounded.

    Parameters
    ----------
    records, values : numpy.ndarray
        One-dimensional.
    """
    rows, numbers = _rows(records), floats(values)
    narrow = numbers.dtype != np.float64
    with np.errstate(over="ignore"):  # to infinity, as it should
        for part in blocks(numbers.size):
            numbers[part] = _numbers(rows[part], narrow)


def summed(values: Any) -> np.ndarray:
    """The records of the sums of an array over its first axis.

    `REPRODUCIBLE_SUM` takes records as well as floats, so ranks that have several summands
    each add up their own first, and get the bits of a sum over all summands.

    Parameters
    ----------
    values : array_like of float16, float32, float64, complex64 or complex128
        At most `ROOM` rows, those of all ranks together.

    Returns
    -------
    numpy.ndarray of records
        One-dimensional.
    """
    rows = np.asarray(values)
    dtype = record_of(rows.dtype)
    if dtype is None or not rows.ndim:
        raise TypeError(f"needs an array of floats of up to 64 bits, got {rows.dtype}; convert it")
    if len(rows) > ROOM:
        raise ValueError(f"needs at most {ROOM} floats in a sum, got {len(rows)}")
    n = math.prod(rows.shape[1:])
    sums = np.zeros(n, dtype)
    step = max(_BLOCK // max(n, 1), 1)
    for start in range(0, len(rows), step):
        some = np.ravel(rows[start : start + step])
        records = np.empty(some.size, dtype)
        encode(some, records)
        while records.size > n:  # the last half of the rows onto the first
            half = records.size // n // 2 * n
            join(records[:half], records[-half:], records[:half])
            records = records[:-half]
        join(sums, records, sums)
    return sums


def rounded(records: np.ndarray, dtype: Any) -> np.ndarray:
    """What records stand for, as numbers of a dtype, correctly rounded.

    Parameters
    ----------
    records : numpy.ndarray
        As `summed` gives them for numbers of this dtype or, of the same kind, another one.
    dtype : numpy dtype
    """
    values = np.empty(records.shape, dtype)
    if record_of(values.dtype) != records.dtype:
        raise TypeError(f"needs records of {values.dtype}, got those of another kind")
    decode(records, values)
    return values


def floats(values: np.ndarray) -> np.ndarray:
    """The same numbers, as real and imaginary parts in turn if they are complex."""
    return values.view(values.real.dtype)


def blocks(n: int) -> Iterator[slice]:
    """The slices that n floats are worked on in."""
    return (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))


def split(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Cut floats into chunks.

    Parameters
    ----------
    numbers : numpy.ndarray of float16, float32 or float64

    Returns
    -------
    top : numpy.ndarray of int64
        The bin of the highest bit of each, from 2 on.
    kind : numpy.ndarray of int64
        FINITE for each, or another one of the kinds.
    chunks : list of three numpy.ndarray of int64
        The chunks in bins `top`, `top - 1` and `top - 2`; 0 for infinities and NaNs.
    """
    with np.errstate(invalid="ignore"):  # signalling NaNs
        bits = numbers.astype(np.float64, copy=False).view(np.int64)
    exponent = bits >> _MANTISSA & 0x7FF
    kind = (bits == np.iinfo(np.int64).min).astype(np.int64)  # MINUS_ZERO or FINITE
    special = exponent == 0x7FF
    if special.any():
        number = numbers[special]
        kind[special] = np.where(
            np.isnan(number), NAN, np.where(number > 0, PLUS_INFINITY, MINUS_INFINITY)
        )
        bits, exponent = np.where(special, 0, (bits, exponent))
    mantissa = bits & (1 << _MANTISSA) - 1
    mantissa |= np.minimum(exponent, 1) << _MANTISSA  # the bit that is not stored
    top, offset = np.divmod(np.maximum(exponent, 1) + _SHIFT, WIDTH)
    below = _MANTISSA - offset  # bits of the mantissa that are below its top bin
    high = mantissa >> below
    rest = mantissa - (high << below) << offset  # 52 bits: 40 of one bin, 12 of the next
    mid, low = rest >> 12, (rest & 0xFFF) << 28
    sign = bits >> 63  # -1 or 0
    return top, kind, [(chunk ^ sign) - sign for chunk in (high, mid, low)]


def _rows(records: np.ndarray) -> np.ndarray:
    """Records as rows of four int64."""
    if not is_record(records.dtype):
        raise TypeError(f"needs records, got {records.dtype}; encode makes them")
    return records.view(np.int64).reshape(-1, 4)


def _join(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    one, other = left[:, 0], right[:, 0]
    head = one | other  # right where the tops are equal
    differ = np.flatnonzero(one ^ other >= 1 << _FLAGS)
    if differ.size:
        higher = (one > other)[differ, None]
        upper = np.where(higher, left[differ], right[differ])
        lower = np.where(higher, right[differ], left[differ])
        sums = _lifted(upper, lower)
        head[differ] = upper[:, 0] | head[differ] & (1 << _FLAGS) - 1
    np.add(left, right, out=out)  # heads, too: so it is one addition of contiguous memory
    out[:, 0] = head
    if differ.size:
        out[differ, 1:] = sums


def _lifted(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """The sums of two records in the bins of the one whose top is higher."""
    by = (upper[:, 0] >> _FLAGS) - (lower[:, 0] >> _FLAGS)
    sums = upper[:, 1:].copy()
    sums[:, 1] += (by == 1) * lower[:, 1]
    sums[:, 2] += (by == 1) * lower[:, 2] + (by == 2) * lower[:, 1]
    return sums


def _numbers(rows: np.ndarray, narrow: bool) -> np.ndarray:
    """The float64 that is nearest to each sum; for a `narrow` type one that rounds to the same."""
    top, flags = rows[:, 0] >> _FLAGS, rows[:, 0] & (1 << _FLAGS) - 1
    leading, exponent = _leading(top, *rows[:, 1:].T)
    if narrow:  # 53 bits, which are a float64 as they are
        leading, exponent = leading >> 10 | (leading & 1023 != 0), exponent + 10
    numbers = np.ldexp(leading.astype(np.float64), exponent)
    numbers[flags == 1 << MINUS_ZERO] = -0.0
    return _with_specials(numbers, flags) if (flags & _SPECIAL).any() else numbers


def _leading(
    top: np.ndarray, high: np.ndarray, mid: np.ndarray, low: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The leading 61 bits or more of sums, as integers with their sign, and the exponents.

    Of all that is below, only matters whether it is 0: if not, the last bit is 1, which no
    rounding further up takes for 0 or for a tie.
    """
    # Carry, so that both lower digits are from 0 to 2**40 - 1; the highest has the sign.
    mid = mid + (low >> WIDTH)
    high, mid, low = high + (mid >> WIDTH), mid & _DIGIT, low & _DIGIT
    for _ in range(2):  # start at a digit that says more than the sign
        only_sign = high == high >> 63
        if not only_sign.any():
            break
        high = np.where(only_sign, (high << WIDTH) + mid, high)
        mid, low = np.where(only_sign, (low, 0 * low), (mid, low))
        top = top - only_sign
    tail = mid << 23 | low >> 17  # 63 bits
    length = np.frexp(high.astype(np.float64))[1]
    up = np.maximum(62 - length, 0).astype(np.int64)
    down = 63 - up
    leading = high << up | tail >> down
    leading |= (tail >> down << down != tail) | (low & (1 << 17) - 1 != 0)
    return leading, top * WIDTH - ORIGIN - up


def _with_specials(numbers: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """What infinities and NaNs make of the sums of the other numbers."""
    plus, minus, nan = (flags >> kind & 1 == 1 for kind in (PLUS_INFINITY, MINUS_INFINITY, NAN))
    numbers = np.where(plus, np.inf, np.where(minus, -np.inf, numbers))
    return np.where(nan | plus & minus, np.nan, numbers)
