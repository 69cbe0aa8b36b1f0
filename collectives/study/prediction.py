"""Predict what every algorithm of a primitive takes on a machine, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from collectives import checks
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.catalogue import algorithms_for, find
from collectives.engines.simulator import Load
from collectives.errors import FAILURES, in_words
from collectives.machine.clock import Clock, LogGP
from collectives.machine.model import Machine
from collectives.study.bounds import BANDWIDTH, COMPUTATION, LATENCY
from collectives.study.cost import predicted_time
from collectives.study.cuts import Least, least
from collectives.study.pricing import LINE, Price, evenly, priced

WAITING = "waiting"
SHARES = (LATENCY, BANDWIDTH, COMPUTATION, WAITING)

# A link that is busy for less of the time is not what an algorithm waits for.
BUSY = 0.5

# By this share clocks are changed to see what a term weighs. The time is linear nearby.
LITTLE = 2.0**-20


@dataclass(frozen=True)
class Prediction:
    """What an algorithm takes.

    Attributes
    ----------
    algorithm : str
        With its parameters, if it has some that are not its defaults.
    lossy : bool
    seconds : float or None
        None if there is a reason for that.
    how : str
        ``simulated``, ``estimated`` or ``cost line``: see `pricing`.
    shares : dict of str to float
        Of the time: latency, bandwidth, computation, and waiting for links that are shared.
        They add up to 1.
    bottleneck : str
        What was busy most of the time, and for which part of it.
    ratio : float or None
        Times the bound, which is not for lossy algorithms.
    reason : str
        Why there is no time.
    """

    algorithm: str
    lossy: bool
    seconds: float | None = None
    how: str = ""
    shares: dict[str, float] | None = None
    bottleneck: str = ""
    ratio: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ranking:
    """All algorithms of a primitive, the fastest first, those without a time last.

    Attributes
    ----------
    primitive : str
    p, n : int
        Ranks, and bytes of the whole vector.
    machine : Machine
    bound : Least
        What no exact algorithm can beat.
    predictions : list of Prediction
    """

    primitive: str
    p: int
    n: int
    machine: Machine
    bound: Least
    predictions: list[Prediction]


def predict(
    primitive: str,
    p: int,
    n: int,
    machine: Machine,
    names: Sequence[str] = (),
    shares: bool = True,
) -> Ranking:
    """Rank the algorithms of a primitive by what they take on a machine.

    Parameters
    ----------
    primitive : str
    p : int
        Number of ranks.
    n : int
        Bytes of the whole vector; a few more where blocks would not be equal.
    machine : Machine
    names : sequence of str, optional
        These only, perhaps with parameters; all by default.
    shares : bool
        Whether to find where the time goes, too, which takes three times as long.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive or algorithm.
    ArgumentError
        p or n is out of its range, or the machine has no place for so many ranks.

    Examples
    --------
    >>> from collectives.machine import machine
    >>> found = predict("bcast", 16, 8, machine("nodes:4x4,nic=25G"), shares=False)
    >>> found.predictions[0].algorithm
    'hierarchical'
    """
    bound, given = bound_of(primitive, p, n, machine)
    found = [
        predicted(primitive, name, p, given, machine, bound, shares)
        for name in names or algorithms_for(primitive)
    ]
    return Ranking(primitive, p, given, machine, bound, ranked(found))


def bound_of(primitive: str, p: int, n: int, machine: Machine) -> tuple[Least, int]:
    """What no algorithm can beat, for the length that is priced, and that length."""
    algorithms_for(primitive)  # raises if there is no such primitive
    p, n = checks.ranks(primitive, p), checks.integer(primitive, "the number of bytes n", n)
    checks.countable(primitive, p * n)
    checks.instance(primitive, "machine", machine, Machine)
    machine.at(p)
    n = evenly(primitive, p, n)
    return least(primitive, p, n, machine), n


def ranked(found: Sequence[Prediction]) -> list[Prediction]:
    """The fastest first, those without a time last."""
    return sorted(found, key=lambda one: (one.seconds is None, one.seconds or 0.0))


def predicted(
    primitive: str,
    name: str,
    p: int,
    n: int,
    machine: Machine,
    bound: Least,
    shares: bool = True,
) -> Prediction:
    """What one algorithm takes, or why that is not to be had."""
    algorithm, _ = find(primitive, name)
    title, lossy = str(name), algorithm.lossy
    try:
        price = priced(primitive, name, p, n, machine)
        parts = shares_of(primitive, name, p, n, machine, price) if shares else None
    except FAILURES as error:
        reason = in_words(error).removeprefix(f"{algorithm}: ")
        return Prediction(title, lossy, reason=reason)
    ratio = None if lossy or not bound.seconds else price.seconds / bound.seconds
    bottleneck = bottleneck_of(price, parts) if parts else ""
    return Prediction(title, lossy, price.seconds, price.how, parts, bottleneck, ratio)


# Where the time goes.


def shares_of(
    primitive: str, name: str, p: int, n: int, machine: Machine, price: Price
) -> dict[str, float]:
    """The share of each term in the time, and of waiting for links that are shared.

    Time is a sum along the critical path, so a term weighs as much as the time grows when it
    costs a little more. What it takes longer than on links without a limit is waiting.
    """
    if not price.seconds:
        return dict.fromkeys(SHARES, 0.0)
    if price.how == LINE:
        return _by_the_line(primitive, name, p, n, machine, price.seconds)
    plain = machine.unshared()
    alone = priced(primitive, name, p, n, plain).seconds if machine.shares else price.seconds

    def weight(term: str) -> float:
        longer = priced(primitive, name, p, n, slower(plain, term)).seconds
        return max(longer - alone, 0.0) / LITTLE

    found = {LATENCY: weight(LATENCY), BANDWIDTH: 0.0}
    works = machine.delta or (primitive in REDUCTIONS and machine.clock.gamma)
    found[COMPUTATION] = weight(COMPUTATION) if n and works else 0.0
    if n and machine.late:
        found[BANDWIDTH] = weight(BANDWIDTH)
    elif n:  # the rest
        found[BANDWIDTH] = max(alone - sum(found.values()), 0.0)
    found = {term: round(time / price.seconds, 6) for term, time in found.items()}
    scale = max(1.0, sum(found.values()))
    found = {term: share / scale for term, share in found.items()}
    return {**found, WAITING: max(1.0 - sum(found.values()), 0.0)}


def _by_the_line(
    primitive: str, name: str, p: int, n: int, machine: Machine, seconds: float
) -> dict[str, float]:
    algorithm, given = find(primitive, name)
    clock: Any = machine.clock
    units = {
        LATENCY: Clock(clock.alpha, 0, 0),
        BANDWIDTH: Clock(0, clock.beta, 0),
        COMPUTATION: Clock(0, 0, clock.gamma),
    }
    found = {
        term: predicted_time(algorithm, p, n, unit, **given) / seconds
        for term, unit in units.items()
    }
    found[COMPUTATION] = max(1.0 - found[LATENCY] - found[BANDWIDTH], 0.0)  # and copies
    return {**found, WAITING: 0.0}


_OF_TERM = {
    LATENCY: ("alpha", "L", "o", "g"),
    BANDWIDTH: ("beta", "G"),
    COMPUTATION: ("gamma",),
}


def slower(machine: Machine, term: str) -> Machine:
    """The machine on which one term costs a little more."""

    def changed(clock: Clock | LogGP | None) -> Any:
        if clock is None:
            return None
        names = [f.name for f in fields(clock) if f.name in _OF_TERM[term]]
        return replace(clock, **{name: getattr(clock, name) * (1 + LITTLE) for name in names})

    delta = machine.delta * (1 + LITTLE if term == COMPUTATION else 1)
    return replace(machine, clock=changed(machine.clock), near=changed(machine.near), delta=delta)


_WORDS = {
    LATENCY: "start of messages",
    BANDWIDTH: "ports of ranks",
    COMPUTATION: "reductions and copies",
    WAITING: "shared links",
}


def bottleneck_of(price: Price, shares: dict[str, float]) -> str:
    """The link that is busy most of the time, or what takes most of it."""
    load: Load | None = price.bottleneck
    if load is not None and price.seconds and load.busy >= BUSY * price.seconds:
        return f"{load.name}, {load.busy / price.seconds:.0%}"
    term = max(shares, key=shares.__getitem__)
    return f"{_WORDS[term]}, {shares[term]:.0%}"


def cells(rankings: Sequence[Ranking]) -> Iterator[dict[str, Any]]:
    """Every prediction as plain data, for JSON and CSV."""
    for ranking in rankings:
        size = {"primitive": ranking.primitive, "p": ranking.p, "n": ranking.n}
        for one in ranking.predictions:
            values = {f.name: getattr(one, f.name) for f in fields(one) if f.name != "shares"}
            parts = {f"{term}_share": (one.shares or {}).get(term) for term in SHARES}
            yield {**size, "bound": ranking.bound.seconds, **values, **parts}
