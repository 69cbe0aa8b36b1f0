"""What a lossy algorithm loses: a limit that it keeps to, and what it lost in a run.

Both depend on how often a contribution is encoded on its way into the sum. That is
counted here, by running the algorithm on vectors whose elements count it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from collectives import checks
from collectives.algorithms.language.codecs import Codec, Exact
from collectives.algorithms.language.memory import Special
from collectives.algorithms.language.registry import CHOICES, REGISTRY, Algorithm
from collectives.catalogue import algorithms_for, check_parameters, check_restrictions, find
from collectives.console import table
from collectives.engines.simulator import Run, Simulator
from collectives.errors import ArgumentError
from collectives.operators.operator import SUM, Operator
from collectives.problems import Buffers, Problem
from collectives.units import format_bytes

# An element that holds the contributions of so many ranks. How often they were encoded,
# all together and the one that was encoded most often, and the `Codec.step`s of one, added up.
COUNTERS = np.dtype(
    [("ranks", np.int64), ("encodings", np.int64), ("most", np.int64), ("steps", np.float64)]
)


@dataclass(frozen=True)
class Encodings:
    """How often a contribution is encoded on its way into the sum.

    Attributes
    ----------
    most : int
        The contribution that is encoded most often.
    mean : float
        All contributions, on average.
    steps : float
        The sum of the codec's steps for one contribution: how far off it can be in the
        end, by the largest magnitude in its vector.
    """

    most: int
    mean: float
    steps: float


@dataclass(frozen=True)
class Loss:
    """What an algorithm lost in one run. Errors are relative to the root mean square of the sum.

    Attributes
    ----------
    error : float
        Root mean square of the errors of all elements.
    largest : float
        The largest error of an element.
    bias : float
        The mean of all errors, with their signs.
    kept : float
        How much of the exact sum is in the result (its projection): 1 if nothing is
        lost on average.
    encodings : Encodings
    bytes_sent_max : int
        Bytes sent by the busiest rank.
    """

    error: float
    largest: float
    bias: float
    kept: float
    encodings: Encodings
    bytes_sent_max: int


def encodings(
    algorithm: Algorithm, p: int, parameters: Mapping[str, Any] | None = None
) -> Encodings:
    """Count how often an allreduce encodes a contribution.

    Parameters
    ----------
    algorithm : Algorithm
    p : int
        Number of ranks.
    parameters : mapping, optional
        Keyword parameters of the algorithm.

    Examples
    --------
    >>> encodings(find("allreduce", "compressed_ring:codec=exact")[0], p=8).most
    8
    """
    own = np.array([(1, 0, 0, 0)] * p, COUNTERS).view(_Counters)
    [total, *_], _ = _run(algorithm, [own] * p, parameters or {}, _JOIN)
    mean = float(total["encodings"].mean()) / p
    return Encodings(int(total["most"].max()), mean, float(total["steps"].max()))


class _Counters(Special):
    """Vectors of `COUNTERS`."""

    def scratch(self, size: int, dtype: np.dtype) -> _Counters:
        return np.zeros(size, dtype).view(_Counters)

    def codec(self, codec: Codec) -> Codec:
        return _Counting(codec.step)


class _Counting(Exact):
    """Loses nothing, and counts in place of a codec with this step."""

    def __init__(self, step: float):
        self.step = step

    def encode(self, src: np.ndarray, packet: np.ndarray) -> None:
        counted = src.copy()
        counted["encodings"] += src["ranks"]
        counted["most"] += 1
        counted["steps"] += self.step
        super().encode(counted, packet)


def _join(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    for name in ("ranks", "encodings"):
        np.add(left[name], right[name], out=out[name])
    for name in ("most", "steps"):
        np.maximum(left[name], right[name], out=out[name])


_JOIN = Operator("join", _join)


def error_limit(
    algorithm: Algorithm, inputs: Sequence[np.ndarray], parameters: Mapping[str, Any] | None = None
) -> float:
    """How far from the exact sum any element of an allreduce can be.

    Each time a vector is encoded, an element changes by at most `Codec.step` times the
    largest magnitude in the vector, which itself never grows. The largest magnitude of a
    partial sum is at most the sum of those of its contributions. So each contribution
    adds to the error, once for each time that it is encoded::

        step * most encodings * sum over the ranks of their largest magnitude

    and on top of it what the additions round off. For `topk` that says little: what is
    dropped is no larger than what is kept.

    Parameters
    ----------
    algorithm : Algorithm
    inputs : sequence of numpy.ndarray
        What each rank contributes.
    parameters : mapping, optional
        Keyword parameters of the algorithm.
    """
    p = len(inputs)
    counted = encodings(algorithm, p, parameters)
    total = sum(float(np.abs(data).max(initial=0)) for data in inputs)
    precision = np.finfo(inputs[0].dtype)
    rounding = float(precision.eps) * total + float(precision.smallest_subnormal)
    return counted.steps * total + (p + 2 * counted.most) * rounding


def loss(
    primitive: str,
    algorithm: str,
    *,
    p: int,
    n: int,
    dtype: Any = np.float32,
    seed: int = 0,
    **parameters: Any,
) -> Loss:
    """Run an algorithm in the simulator on random numbers and measure its error.

    Parameters
    ----------
    primitive, algorithm : str
        As in `collectives.find`.
    p : int
        Number of ranks.
    n : int
        Elements of the vector; normally distributed, of mean 0 and variance 1.
    dtype : numpy dtype
        A floating-point one.
    seed : int
        Of the numbers; that of what the algorithm draws is a part of its name,
        `"compressed_ring:seed=1"`.
    **parameters
        Of the algorithm.

    Raises
    ------
    ArgumentError
        The primitive is not allreduce, there are no elements or they are no floats.

    Examples
    --------
    >>> loss("allreduce", "compressed_oneshot:codec=exact", p=4, n=100).encodings.most
    1
    """
    if primitive != "allreduce":
        raise ArgumentError(f"loss: the primitive must be allreduce, got {primitive!r}")
    chosen, given = find(primitive, algorithm)
    title = str(chosen)
    p, n = checks.ranks(title, p), checks.integer(title, "the number of elements n", n, 1)
    seed, dtype = checks.integer(title, "seed", seed), checks.dtype(title, dtype)
    if dtype.kind != "f":
        raise ArgumentError(f"{title}: dtype must be one of floating-point numbers, got {dtype}")
    checks.memory(title, "the vectors of all ranks", 2 * p * n * dtype.itemsize)
    given.update(parameters)
    check_parameters(chosen, given)
    check_restrictions(chosen, p)
    random = np.random.default_rng(seed)
    inputs = [random.standard_normal(n).astype(dtype) for _ in range(p)]
    outputs, run = _run(chosen, inputs, given, SUM)
    exact = np.sum(inputs, axis=0, dtype=np.float64)
    errors = outputs[0] - exact
    unit = float(np.sqrt(np.mean(exact**2)))
    return Loss(
        error=float(np.sqrt(np.mean(errors**2))) / unit,
        largest=float(np.abs(errors).max()) / unit,
        bias=float(errors.mean()) / unit,
        kept=1 + float(np.dot(errors, exact) / np.dot(exact, exact)),
        encodings=encodings(chosen, p, given),
        bytes_sent_max=int(run.bytes_sent.max()),
    )


def loss_table(primitive: str, p: int, nbytes: int, seed: int = 0) -> Table:
    """What every lossy algorithm of a primitive loses with every codec, and what it saves.

    Beside them is the ring, which is exact: its error is that of float32 itself, and no
    exact allreduce sends fewer bytes.
    """
    n = max(1, nbytes // np.dtype(np.float32).itemsize)
    title = f"{primitive}, p = {p}, n = {format_bytes(4 * n)} of float32, seed {seed}"
    columns = "error", "largest", "bias", "kept", "encoded, mean", "most", "bytes, busiest rank"
    new = table(title, "algorithm", *columns, "of ring's", numbers=True)
    exact = loss(primitive, "ring", p=p, n=n, seed=seed)
    for spec in ("ring", *_lossy(primitive)):
        lost = loss(primitive, spec, p=p, n=n, seed=seed)
        new.add_row(spec, *_cells(lost), _share(lost.bytes_sent_max, exact.bytes_sent_max))
    return new


def _lossy(primitive: str) -> Iterator[str]:
    """Every lossy algorithm of a primitive, with every codec that loses something."""
    for name in algorithms_for(primitive):
        algorithm = REGISTRY[primitive][name]
        if algorithm.lossy and "codec" in algorithm.parameters:
            yield from (f"{name}:codec={codec}" for codec in CHOICES["codec"] if codec != "exact")
        elif algorithm.lossy:
            yield name


def _cells(lost: Loss) -> list[str]:
    errors = [f"{value:.1e}" for value in (lost.error, lost.largest, lost.bias)]
    often = [f"{lost.encodings.mean:.3g}", str(lost.encodings.most)]
    return [*errors, f"{lost.kept:.4f}", *often, format_bytes(lost.bytes_sent_max)]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _run(
    algorithm: Algorithm,
    inputs: Sequence[np.ndarray],
    parameters: Mapping[str, Any],
    operator: Operator,
) -> tuple[list[np.ndarray], Run]:
    """Run an allreduce on these vectors, one for each rank; the results of all ranks."""
    size, dtype = inputs[0].size, inputs[0].dtype
    problem = Problem(algorithm.primitive, len(inputs), size, dtype=dtype)
    outputs = [np.zeros_like(data) for data in inputs]

    def program(rank: int) -> Iterator:
        return problem.start(algorithm, rank, Buffers(inputs[rank], outputs[rank]), parameters)

    return outputs, Simulator(str(algorithm), len(inputs), program, operator).run()
