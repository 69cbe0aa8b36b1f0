"""Codecs: a vector becomes a packet of fewer bytes, and a packet a vector again.

A codec may lose something; how much, and what a packet looks like:

    int8    one byte an element: how many 127ths of the largest magnitude in its
            bucket of, say, 256 elements. Rounded up or down at random, so that
            the mean over many draws is the element itself (unbiased)
    topk    the few elements of the largest magnitude, each with its index; the
            others become 0, which is not unbiased
    exact   the elements themselves: nothing is lost, nothing is saved

A packet's length follows from the vector's length and type, never from its values,
so that a plan can be replayed. It is a vector of bytes, and an algorithm that only
carries it need not know what is in it.

What is not a number is never hidden. With `int8`, NaN or infinity makes its whole
bucket NaN; with `topk` infinity counts as larger than any number, NaN as larger still.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from .blocks import Blocks, partition
from .memory import Special, scratch

LEVELS = 127  # of each sign, in the eight bits of an int8

# What sets our draws apart from those of a user who seeds with the same numbers: draws
# that the data follow from, too, would not be right on average.
DRAWS = int.from_bytes(b"codec", "big")


class Codec(ABC):
    """Encodes vectors into packets of a known length, and decodes them.

    Attributes
    ----------
    OPTIONS : tuple of str
        Names of the parameters that it is made with.
    step : float
        How far an encoded element can be from what it was: so many times the largest
        magnitude of the vector, or less. Nothing becomes larger than that magnitude.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ()
    step: float = 0.0

    @abstractmethod
    def nbytes(self, size: int, dtype: np.dtype) -> int:
        """Bytes in the packet of `size` elements."""

    @abstractmethod
    def encode(self, src: np.ndarray, packet: np.ndarray) -> None:
        """Write the packet of `src` into `packet`, a vector of bytes."""

    @abstractmethod
    def decode(self, packet: np.ndarray, dst: np.ndarray) -> None:
        """Write the vector that `packet` stands for into all of `dst`."""

    def suited_to(self, like: np.ndarray) -> Codec:
        """Itself for numbers; symbols, counters and their kin bring a codec of their own."""
        return like.codec(self) if isinstance(like, Special) else self

    def packets(self, like: np.ndarray, sizes: Iterable[int]) -> Blocks:
        """Scratch for a packet of each of these numbers of elements, side by side."""
        lengths = [self.nbytes(size, like.dtype) for size in sizes]
        return partition(scratch(like, sum(lengths), np.uint8), lengths)


class Exact(Codec):
    """The bytes of the elements, unchanged."""

    def nbytes(self, size: int, dtype: np.dtype) -> int:
        return size * dtype.itemsize

    def encode(self, src: np.ndarray, packet: np.ndarray) -> None:
        packet[...] = src.view(np.uint8)

    def decode(self, packet: np.ndarray, dst: np.ndarray) -> None:
        dst.view(np.uint8)[...] = packet


class Int8(Codec):
    """Stochastic rounding to 127 levels of each sign, bucket by bucket.

    A packet is the largest magnitude of each bucket, in the type of the vector, and
    then the level of each element. The largest element is kept as it is, and so are
    zeros; any other is off by less than a level.

    Parameters
    ----------
    bucket : int
        Elements that share one largest magnitude.
    seed, rank : int
        What the random draws follow from. No two ranks draw alike.
    """

    OPTIONS = "bucket", "seed"
    step = 1 / LEVELS

    def __init__(self, bucket: int = 256, seed: int = 0, rank: int = 0):
        self.bucket = bucket
        self.seeds = seed, rank, DRAWS

    @cached_property
    def random(self) -> np.random.Generator:
        """The draws of this rank."""
        return np.random.default_rng(self.seeds)

    def nbytes(self, size: int, dtype: np.dtype) -> int:
        return self._buckets(size) * dtype.itemsize + size

    def encode(self, src: np.ndarray, packet: np.ndarray) -> None:
        peaks, levels = self._parts(packet, src)
        peaks[...] = np.maximum.reduceat(np.abs(src), np.arange(0, src.size, self.bucket))
        peaks[~np.isfinite(peaks)] = np.nan
        scale = self._spread(peaks, src)
        exact = np.zeros_like(scale)
        np.divide(src, scale, out=exact, where=scale > 0)  # neither zeros nor NaN
        exact *= LEVELS
        below = np.floor(exact)
        # Up with a probability that is the distance from below: right on average.
        up = self.random.random(src.size, np.float32) < exact - below
        np.add(below, up, out=levels, casting="unsafe")

    def decode(self, packet: np.ndarray, dst: np.ndarray) -> None:
        peaks, levels = self._parts(packet, dst)
        scale = self._spread(peaks, dst)
        # The level first: the product with a large or a tiny peak might not be a number.
        np.multiply(levels / scale.dtype.type(LEVELS), scale, out=dst, casting="same_kind")

    def _buckets(self, size: int) -> int:
        return -(-size // self.bucket)

    def _parts(self, packet: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The peaks and the levels of a packet."""
        end = self._buckets(vector.size) * vector.itemsize
        return packet[:end].view(vector.dtype), packet[end:].view(np.int8)

    def _spread(self, peaks: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """The peak of its bucket for each element; half precision is too coarse to compute in."""
        peaks = peaks.astype(np.result_type(vector.dtype, np.float32))
        return np.repeat(peaks, min(self.bucket, vector.size))[: vector.size]


class TopK(Codec):
    """The elements of the largest magnitude, as indices and values; the rest is dropped.

    Parameters
    ----------
    ratio : int
        One of so many elements is kept, and at least one.
    """

    OPTIONS = ("ratio",)

    def __init__(self, ratio: int = 16):
        self.ratio = ratio
        # What is dropped is no larger than what is kept: nothing better can be said.
        self.step = 0.0 if ratio == 1 else 1.0

    def kept(self, size: int) -> int:
        """How many of `size` elements are kept."""
        return -(-size // self.ratio)

    def nbytes(self, size: int, dtype: np.dtype) -> int:
        return self.kept(size) * (self._index(size).itemsize + dtype.itemsize)

    def encode(self, src: np.ndarray, packet: np.ndarray) -> None:
        indices, values = self._parts(packet, src)
        if src.size:
            dropped = src.size - self.kept(src.size)
            indices[...] = np.argpartition(np.abs(src), dropped)[dropped:]
            values[...] = src[indices]

    def decode(self, packet: np.ndarray, dst: np.ndarray) -> None:
        indices, values = self._parts(packet, dst)
        dst[...] = 0
        dst[indices] = values

    def _index(self, size: int) -> np.dtype:
        return np.dtype(np.uint32 if size <= 2**32 else np.uint64)

    def _parts(self, packet: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The indices and the values of a packet."""
        index = self._index(vector.size)
        end = self.kept(vector.size) * index.itemsize
        return packet[:end].view(index), packet[end:].view(vector.dtype)


CODECS: Mapping[str, type[Codec]] = MappingProxyType({"int8": Int8, "topk": TopK, "exact": Exact})


def codec_for(like: np.ndarray, name: str, rank: int, **options: Any) -> Codec:
    """The codec of this name, for vectors like `like` on one rank.

    Parameters
    ----------
    like : numpy.ndarray
        What will be encoded: see `Codec.suited_to`.
    name : str
        One of `CODECS`.
    rank : int
        Each rank draws random numbers of its own.
    **options
        Parameters of all codecs; each takes its own.
    """
    wanted = CODECS[name].OPTIONS
    given = {key: value for key, value in options.items() if key in wanted}
    if "seed" in wanted:
        given["rank"] = rank
    return CODECS[name](**given).suited_to(like)
