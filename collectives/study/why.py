"""Say which algorithm is chosen, why, and what the others would cost."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.table import Table

from collectives import checks
from collectives.algorithms.language.registry import REGISTRY
from collectives.catalogue import algorithms_for, check_restrictions, find, titled
from collectives.choice import Choices, Ranges, choices
from collectives.console import table
from collectives.machine.model import Machine
from collectives.machine.words import in_lines
from collectives.study.cuts import Least, least
from collectives.study.prediction import SHARES, WAITING, bottleneck_of, shares_of
from collectives.study.pricing import ESTIMATED, LINE, SIMULATED, Price, evenly, priced
from collectives.study.tables import TIE, cheapest, places_of, prices
from collectives.units import format_bytes, seconds, times_as_long

WIDTH = 99  # of lines of words

_HOW = {
    SIMULATED: "times of simulated runs",
    ESTIMATED: "estimates (~): messages sent together share links, or a few ranks stand for all",
    LINE: "those of cost lines (=), as there are too many messages to be simulated",
}
_MARKS = {SIMULATED: "", ESTIMATED: "~", LINE: "="}


def why(
    primitive: str,
    p: int,
    n: int,
    machine: Machine | None = None,
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
    machine : Machine, optional
        Choose for this machine, and not by the table that `auto` uses.
    commutative : bool
        Whether the operator commutes.
    also : sequence of str
        Algorithms to be priced beside the candidates, with parameters if they have some.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive, or no such algorithm.
    ArgumentError
        p or n is out of its range, or the machine has no place for so many ranks.
    RestrictionError
        An algorithm of `also` cannot do this.
    """
    algorithms_for(primitive)  # raises if there is no such primitive
    p, n = checks.ranks(primitive, p), checks.integer(primitive, "the number of bytes n", n)
    checks.countable(primitive, p * n)
    if machine is not None:
        checks.instance(primitive, "machine", machine, Machine)
        machine.at(p)
    for name in also:
        check_restrictions(find(primitive, name)[0], p, commutative)
    if machine is None:
        inforce = choices()
        machine = inforce.node
        machine.at(p)  # raises if the table is for fewer ranks
        nodes = machine.many(p)
        pick = inforce.spec(primitive, p, n, commutative, nodes)
        source = _row(inforce, primitive, p, n, commutative, nodes)
    else:
        pick = cheapest(primitive, p, n, machine, commutative)
        source = "the least price for the machine given"
    case = _Case(primitive, p, evenly(primitive, p, n), machine, commutative, pick, tuple(also))
    length = "" if primitive == "barrier" else f", n = {format_bytes(n)}"
    lines = [f"{primitive}, p = {p}{length}: {pick}", "", f"by      {source}", *case.words()]
    return "\n".join(lines), case.table()


def table_of(primitive: str, found: Choices, ranks: Sequence[int]) -> Table:
    """What a table of choices says of a primitive, for the p that it has or for those given."""
    new = table(
        primitive, "ranks", "by bytes of the whole vector", "operator that does not commute"
    )
    ranks = [checks.ranks("table", p) for p in ranks]
    asked = places_of(found.node, ranks) if ranks else found.any_order.get(primitive, {})
    for nodes, each in asked:
        p = nodes * each
        place, ranges = found.row(primitive, p, True, nodes)
        any_order = _in_words(ranges)
        in_order = _in_words(found.row(primitive, p, False, nodes)[1])
        wanted, listed = (place_in_words(x) for x in ((nodes, each), place))
        number = wanted if listed == wanted else f"{wanted} (as {listed})"
        new.add_row(number, any_order, "" if in_order == any_order else in_order)
    return new


def place_in_words(place: tuple[int, int]) -> str:
    """Ranks of one node, or nodes times ranks."""
    return f"{place[0]} x {place[1]}" if place[0] > 1 else str(place[1])


@dataclass(frozen=True)
class _Case:
    """One choice: an algorithm for a primitive, p and n, on a machine."""

    primitive: str
    p: int
    n: int
    machine: Machine
    commutative: bool
    pick: str
    also: tuple[str, ...] = ()

    @cached_property
    def prices(self) -> dict[str, float]:
        return prices(self.primitive, self.p, self.n, self.machine, self.commutative)

    @cached_property
    def priced(self) -> dict[str, Price]:
        """The prices of all rows: the candidates and what else was asked for."""
        names = dict.fromkeys([*self.prices, self.pick, *self.also])
        size = self.p, self.n, self.machine
        found = {name: priced(self.primitive, name, *size) for name in names}
        return dict(sorted(found.items(), key=lambda item: item[1].seconds))

    @cached_property
    def bound(self) -> Least:
        return least(self.primitive, self.p, self.n, self.machine)

    def words(self) -> Iterator[str]:
        yield in_lines(self.machine, self.p, "machine ")
        yield f"bound   {seconds(self.bound.seconds)}: {self.bound.because}"
        yield from (f"because {reason}" for reason in self._weight())
        yield from (f"because {reason}" for reason in self._rivals())
        for name in self.also:
            if name not in self.prices:
                yield f"beside  {name}, no candidate, takes {times_as_long(self.ratio(name))}"
        yield ""
        kinds = [how for how in _HOW if any(x.how == how for x in self.priced.values())]
        yield f"Prices are {', or '.join(_HOW[how] for how in kinds)}."
        rest = [name for name in REGISTRY[self.primitive] if name not in self.priced]
        if rest:
            text = f"Not considered (predict ranks all): {', '.join(rest)}."
            yield from textwrap.wrap(text, WIDTH)

    def _weight(self) -> Iterator[str]:
        """Which term weighs most, and how near the pick is to the least there can be."""
        shares = self.shares(self.pick)
        heaviest = max(shares, key=shares.__getitem__)
        what = "waiting for shared links" if heaviest == WAITING else f"the {heaviest} term"
        text = f"{what} is {shares[heaviest]:.0%} of its time"
        cost = self.priced[self.pick]
        if self.bound.seconds:
            text += f"; it takes {cost.seconds / self.bound.seconds:.3g} times the bound"
        yield text
        if cost.bottleneck is not None and shares[WAITING] > 0:
            yield f"the busiest is {bottleneck_of(cost, shares)}"

    def _rivals(self) -> Iterator[str]:
        """Who is next, and what is to be said if somebody is cheaper."""
        mine = self.priced[self.pick].seconds
        best, lowest = next(iter(self.prices.items()))
        if lowest < mine <= TIE * lowest:
            yield f"{best} is less than {TIE - 1:.0%} cheaper, which counts as a tie"
        elif lowest < mine:
            yield f"its row in the table serves more than this n; {best} is cheaper here"
        dearer = [x for x in self.prices if self.prices[x] >= mine and x != self.pick]
        if dearer:
            yield f"{dearer[0]}, the next, takes {times_as_long(self.ratio(dearer[0]))}"

    def table(self) -> Table:
        """A row for each candidate: what it costs, and how that comes about."""
        new = table("", "", "time", "ratio", *SHARES, numbers=True)
        for name, cost in self.priced.items():
            cells = [f"{share:.0%}" for share in self.shares(name).values()]
            style = "bold" if name == self.pick else ""
            time = f"{_MARKS[cost.how]}{seconds(cost.seconds)}"
            title = titled(self.primitive, name)
            new.add_row(title, time, f"{self.ratio(name):.2f}", *cells, style=style)
        return new

    def ratio(self, name: str) -> float:
        """How many times as long as the pick it takes; one rank alone takes no time."""
        mine = self.priced[self.pick].seconds
        return self.priced[name].seconds / mine if mine else 1.0

    def shares(self, name: str) -> dict[str, float]:
        """Where its time goes."""
        case = self.primitive, name, self.p, self.n, self.machine
        return shares_of(*case, self.priced[name])


def _row(found: Choices, primitive: str, p: int, n: int, commutative: bool, nodes: int) -> str:
    place, ranges = found.row(primitive, p, commutative, nodes)
    wanted, listed = (place_in_words(x) for x in ((nodes, -(-p // nodes)), place))
    other = "" if wanted == listed else f" (p = {wanted} has none)"
    beyond = ""
    if n > found.longest:
        longest = format_bytes(found.longest)
        beyond = f"; it was made for at most {longest}, and this n is longer"
    return f"table {found.title}, row p = {listed}{other}: {_in_words(ranges)}{beyond}"


def _in_words(ranges: Ranges) -> str:
    return ", ".join(f"{name} from {format_bytes(a)}" if a else name for a, name in ranges)
