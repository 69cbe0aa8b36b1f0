"""Say which algorithm is chosen, why, and what the others would cost."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from rich.table import Table

from collectives import checks
from collectives.algorithms.language.registry import REGISTRY
from collectives.catalogue import algorithms_for, check_restrictions, find, titled
from collectives.choice import Choices, Ranges, choices
from collectives.console import table
from collectives.machine.clock import Clock
from collectives.study.bounds import BANDWIDTH, COMPUTATION, LATENCY, TERMS, bounds, bounds_of
from collectives.study.cost import Path, critical_path, predicted_time
from collectives.study.pricing import COUNTED, TIE, cheapest, evenly, price, prices
from collectives.units import format_bytes, seconds

WIDTH = 99  # of lines of words

_LEAST = {
    LATENCY: "the fewest messages possible",
    BANDWIDTH: "the fewest bytes possible",
    COMPUTATION: "the least work possible",
}
_FACTORS = {LATENCY: "messages", BANDWIDTH: "bytes", COMPUTATION: "work"}


def why(
    primitive: str,
    p: int,
    n: int,
    clock: Clock | None = None,
    commutative: bool = True,
    also: Sequence[str] = (),
) -> tuple[str, Table]:
    """The choice in words, and the prices of all candidates.

    Parameters
    ----------
    primitive : str
    p : int
        Number of ranks.
    n : int
        Bytes of the whole vector.
    clock : Clock, optional
        Choose for this clock, and not by the table that `auto` uses.
    commutative : bool
        Whether the operator commutes.
    also : sequence of str
        Algorithms to be priced beside the candidates, with parameters if they have some.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive, or no such algorithm.
    ArgumentError
        p, n or the clock is out of its range.
    RestrictionError
        An algorithm of `also` cannot do this.
    """
    algorithms_for(primitive)  # raises if there is no such primitive
    p, n = checks.ranks(primitive, p), checks.integer(primitive, "the number of bytes n", n)
    checks.countable(primitive, p * n)
    if clock is not None:
        checks.instance(primitive, "clock", clock, Clock)
    for name in also:
        check_restrictions(find(primitive, name)[0], p, commutative)
    if clock is None:
        inforce = choices()
        pick, clock = inforce.spec(primitive, p, n, commutative), inforce.clock
        source = _row(inforce, primitive, p, commutative)
    else:
        pick = cheapest(primitive, p, n, clock, commutative)
        source = "the least price for the clock given"
    case = _Case(primitive, p, evenly(primitive, p, n), clock, commutative, pick, tuple(also))
    length = "" if primitive == "barrier" else f", n = {format_bytes(n)}"
    lines = [f"{primitive}, p = {p}{length}: {pick}", "", f"by      {source}", *case.words()]
    return "\n".join(lines), case.table()


def table_of(primitive: str, found: Choices, ranks: Sequence[int]) -> Table:
    """What a table of choices says of a primitive, for the p that it has or for those given."""
    new = table(primitive, "p", "by bytes of the whole vector", "operator that does not commute")
    for p in [checks.ranks("table", p) for p in ranks] or found.any_order.get(primitive, {}):
        listed, ranges = found.row(primitive, p)
        any_order = _in_words(ranges)
        in_order = _in_words(found.row(primitive, p, commutative=False)[1])
        number = str(p) if listed == p else f"{p} (as {listed})"
        new.add_row(number, any_order, "" if in_order == any_order else in_order)
    return new


@dataclass(frozen=True)
class _Case:
    """One choice: an algorithm for a primitive, p and n, under a clock."""

    primitive: str
    p: int
    n: int
    clock: Clock
    commutative: bool
    pick: str
    also: tuple[str, ...] = ()

    @cached_property
    def prices(self) -> dict[str, float]:
        return prices(self.primitive, self.p, self.n, self.clock, self.commutative)

    @cached_property
    def priced(self) -> dict[str, float]:
        """The prices of all rows: the candidates and what else was asked for."""
        size = self.p, self.n, self.clock
        others = {name: price(self.primitive, name, *size) for name in self.also}
        return dict(sorted({**self.prices, **others}.items(), key=lambda item: item[1]))

    @cached_property
    def terms(self) -> list[str]:
        return list(bounds_of(self.primitive))

    def words(self) -> Iterator[str]:
        clock = [seconds(value) for value in (self.clock.alpha, self.clock.beta, self.clock.gamma)]
        yield "clock   alpha {} a message, beta {} a byte, gamma {} a byte reduced".format(*clock)
        yield f"because {self._weight()}"
        yield from (f"because {reason}" for reason in self._rivals())
        for name in self.also:
            if name not in self.prices:
                yield f"beside  {name}, no candidate, takes {self.ratio(name):.2f} times as long"
        yield ""
        if self.p <= COUNTED:
            yield "Prices are times of simulated runs: the critical path through messages and work."
        else:
            yield f"Prices are those of the cost lines, as always for more than {COUNTED} ranks."
        yield "Messages, bytes and work are each those of the critical path of their own term."
        rest = [name for name in REGISTRY[self.primitive] if name not in self.priced]
        if rest:
            yield from textwrap.wrap(f"Not considered: {', '.join(rest)}.", WIDTH)

    def _weight(self) -> str:
        """Which term weighs most, and how near the pick is to the least there can be."""
        path, times = self.path(self.pick), self.times(self.pick)
        heaviest = max(times, key=times.__getitem__)
        share = times[heaviest] / max(sum(times.values()), 1e-30)
        least = bounds(self.primitive, self.p, self.n)[heaviest]
        ratio = path[heaviest] / max(least, 1)
        near = _LEAST[heaviest]
        if 1 < ratio < 1.01:
            near = f"{100 * (ratio - 1):.1g}% above {near}"
        elif ratio > 1:
            near = f"{ratio:.3g} times {near}"
        formula = bounds_of(self.primitive)[heaviest].formula
        return f"the {heaviest} term is {share:.0%} of its time: {near}, {formula}"

    def _rivals(self) -> Iterator[str]:
        """Who is next, and what is to be said if somebody is cheaper."""
        mine = self.prices[self.pick]
        best, least = next(iter(self.prices.items()))
        if least < mine <= TIE * least:
            yield f"{best} is less than {TIE - 1:.0%} cheaper, which counts as a tie"
        elif least < mine:
            yield f"its row in the table serves more than this n; {best} is cheaper here"
        dearer = [x for x in self.prices if self.prices[x] >= mine and x != self.pick]
        if dearer:
            yield f"{dearer[0]}, the next, takes {self.ratio(dearer[0]):.2f} times as long"

    def table(self) -> Table:
        """A row for each candidate: what it costs, and how that comes about."""
        columns = [column for term in self.terms for column in (_FACTORS[term], term)]
        new = table("", "", "time", "ratio", *columns, numbers=True)
        for name, cost in self.priced.items():
            path, times = self.path(name), self.times(name)
            cells = [x for t in self.terms for x in (_amount(t, path[t]), seconds(times[t]))]
            style = "bold" if name == self.pick else ""
            title = titled(self.primitive, name)
            new.add_row(title, seconds(cost), f"{self.ratio(name):.2f}", *cells, style=style)
        return new

    def ratio(self, name: str) -> float:
        """How many times as long as the pick it takes; one rank alone takes no time."""
        mine = self.prices[self.pick]
        return self.priced[name] / mine if mine else 1.0

    def path(self, name: str) -> dict[str, int]:
        """The critical path of each term."""
        path = _path(self.primitive, name, self.p, self.n)
        return dict(zip(TERMS, (path.messages, path.nbytes, path.work)))

    def times(self, name: str) -> dict[str, float]:
        """Seconds that the critical path of each term takes."""
        factors = self.clock.alpha, self.clock.beta, self.clock.gamma
        path = self.path(name)
        return {term: path[term] * factor for term, factor in zip(TERMS, factors)}


@cache
def _path(primitive: str, name: str, p: int, n: int) -> Path:
    """The critical path of each term: counted, or by the cost line."""
    if p <= COUNTED:
        return critical_path(primitive, name, p, n)
    algorithm, given = find(primitive, name)
    clocks = Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1)
    return Path(*[round(predicted_time(algorithm, p, n, clock, **given)) for clock in clocks])


def _amount(term: str, value: int) -> str:
    return str(value) if term == LATENCY else format_bytes(value)


def _row(found: Choices, primitive: str, p: int, commutative: bool) -> str:
    listed, ranges = found.row(primitive, p, commutative)
    other = "" if listed == p else f" (p = {p} has none)"
    return f"table {found.title}, row p = {listed}{other}: {_in_words(ranges)}"


def _in_words(ranges: Ranges) -> str:
    return ", ".join(f"{name} from {format_bytes(a)}" if a else name for a, name in ranges)
