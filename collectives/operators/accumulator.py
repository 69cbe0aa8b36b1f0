"""Long accumulators: the exact sum of any number of floats, correctly rounded.

The records of `collectives.operators.binned` keep three bins of a sum. An accumulator keeps all 54,
from the smallest float64 to the largest, so it drops nothing: it is a fixed-point number
of 2160 bits, written in digits of 40. It depends on the floats alone, and adding
accumulators is adding integers, which any reduction over ranks can do with MPI.SUM.

Carries are moved up now and then, so that there is room for 2**48 floats on 2**22 ranks;
with nothing to drop they do not change the number. At the end Python's own integers make one
number of the digits, and its division rounds it once, to nearest, ties to even.
"""

from __future__ import annotations

import math

import numpy as np

from collectives.operators import binned
from collectives.operators.binned import (
    BINS,
    MINUS_INFINITY,
    MINUS_ZERO,
    NAN,
    ORIGIN,
    PLUS_INFINITY,
    WIDTH,
)

KINDS = 5
SIZE = BINS + KINDS  # the digits, from the lowest, and how many floats there were of each kind


def accumulated(numbers: np.ndarray) -> np.ndarray:
    """The accumulator of an array.

    Parameters
    ----------
    numbers : numpy.ndarray of float16, float32 or float64
        One-dimensional.

    Returns
    -------
    numpy.ndarray of int64
        `SIZE` numbers. Add those of two arrays for the accumulator of both.
    """
    whole = np.zeros(SIZE, np.int64)
    digits, counts = whole[:BINS], whole[BINS:]
    for part in binned.blocks(numbers.size):
        top, kind, chunks = binned.split(numbers[part])
        for below, chunk in enumerate(chunks):
            np.add.at(digits, top - below, chunk)
        counts += np.bincount(kind, minlength=KINDS)
        carries = digits[:-1] >> WIDTH
        digits[:-1] -= carries << WIDTH
        digits[1:] += carries
    return whole


def rounded(accumulator: np.ndarray) -> float:
    """The float64 that is nearest to an accumulator; an infinity if it is larger than all.

    Parameters
    ----------
    accumulator : numpy.ndarray of int64
    """
    digits, counts = accumulator[:BINS].tolist(), accumulator[BINS:].tolist()
    if counts[NAN] or (counts[PLUS_INFINITY] and counts[MINUS_INFINITY]):
        return math.nan
    if counts[PLUS_INFINITY] or counts[MINUS_INFINITY]:
        return math.inf if counts[PLUS_INFINITY] else -math.inf
    if counts[MINUS_ZERO] == sum(counts) > 0:
        return -0.0
    number = sum(digit << WIDTH * place for place, digit in enumerate(digits))
    try:
        return number / (1 << ORIGIN)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
