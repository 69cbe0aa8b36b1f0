"""How long a step takes on a machine, for `traffic` and `layouts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.markup import escape

from collectives.console import console
from collectives.llm.commands.shown import new_table, show
from collectives.llm.flows import Flow
from collectives.llm.layout import AXES
from collectives.llm.network import fastest, seconds
from collectives.llm.setups import Setup
from collectives.llm.shapes import Bare
from collectives.llm.step import COMPUTING, Step, Term, step
from collectives.llm.traffic import Traffic, algorithm_of
from collectives.llm.words import share
from collectives.machine.clock import GAMMA
from collectives.machine.model import Machine
from collectives.machine.spec import machine
from collectives.machine.words import in_lines
from collectives.units import seconds as in_words

# Seconds a byte that a device adds: it reads two and writes one, at 3 TB/s.
DEVICE_GAMMA = 1e-12
WIDTH = 98  # of what is printed


@dataclass(frozen=True)
class Timing:
    """A layout on a machine.

    Attributes
    ----------
    setup : Setup
        Of a bare number of parameters only the calls have a time.
    ground : Machine
    rate : float
        Operations a second of a rank.
    named : mapping of str to str
        Algorithms that are not the usual ones.

    Raises
    ------
    ArgumentError
        The machine has fewer places.
    """

    setup: Setup
    ground: Machine
    rate: float
    named: Mapping[str, str]

    def __post_init__(self) -> None:
        self.ground.at(self.ranks)

    @property
    def ranks(self) -> int:
        """Of the layout."""
        return self.setup.layout.ranks

    @property
    def nodes(self) -> tuple[int, ...] | None:
        """The number of each rank's node; None on a machine without nodes."""
        return None if self.ground.network is None else self.ground.groups(self.ranks)

    def prices(self, flow: Flow) -> list[tuple[float, int]]:
        """Seconds of each kind of call of a flow, and how many there are."""
        return seconds(flow, algorithm_of(flow, self.named), self.ground, self.ranks)

    def step(self) -> Step:
        """A step."""
        return step(self.setup, self.rate, self.prices)

    def show(self, found: list[Traffic], explain: bool) -> None:
        """Print what the flows take, and the step."""
        new = new_table("call", "algorithm", "takes", "fastest", "takes ", right="takes,takes ")
        for one in found:
            took = sum(each * times for each, times in self.prices(one.flow))
            name = f"{one.flow.strategy}: {one.flow.what}"
            best = ("", "")
            if one.algorithm:
                fast, least = fastest(one.flow, self.ground, self.ranks)
                best = (fast, in_words(least))
            new.add_row(name, one.algorithm, in_words(took), *best)
        show(in_lines(self.ground, self.ranks, "On ", WIDTH), new)
        if isinstance(self.setup.model, Bare):
            print("The rest of a step needs the shape of the model.")
            return
        _show_step(self.step(), explain)
        self._show_placements()

    def _show_placements(self) -> None:
        """The same step with other ranks next to each other."""
        used = [axis for axis in AXES if getattr(self.setup.layout, axis) > 1]
        if len(used) < 2 or self.ground.network is None:
            return
        new = new_table("neighbours along", "step", right="step")
        found = []
        for axis in used:
            order = (axis, *(other for other in AXES if other != axis))
            timing = replace(self, setup=self.setup.with_layout(order=order))
            found.append((timing.step().seconds, axis))
        for took, axis in sorted(found):
            new.add_row(axis, in_words(took))
        show("Which ranks should be on one node?", new)

    def for_programs(self) -> dict[str, Any] | None:
        """The step, for programs."""
        return None if isinstance(self.setup.model, Bare) else to_json(self.step())


def given_ground(words: str) -> Machine:
    """The machine of the command line; its ranks add as a device does, if it says nothing else."""
    ground = machine(words)
    if ground.clock.gamma == GAMMA:
        return replace(ground, clock=replace(ground.clock, gamma=DEVICE_GAMMA))
    return ground


def to_json(made: Step) -> dict[str, Any]:
    """A step for programs."""
    return {
        "seconds": made.seconds,
        "tokens": made.tokens,
        "tokens_per_second": made.tokens / made.seconds,
        "waiting": made.waiting,
        "used": made.used,
        "stage": made.stage,
        "terms": [vars(term) for term in made.terms],
    }


def _show_step(made: Step, explain: bool) -> None:
    """The terms of a step: summed up by strategy, or each with how it comes about."""
    columns = ("takes", "adds", "of the step")
    new = new_table("", *columns, right=",".join(columns))
    for name, terms in _grouped(made, explain).items():
        took, exposed = (sum(getattr(term, which) for term in terms) for which in ADDED)
        new.add_row(name, in_words(took), in_words(exposed), share(exposed, made.seconds))
    new.add_row("step", "", in_words(made.seconds), "", style="bold")
    where = f", for stage {made.stage}, the slowest" if made.layout.pp > 1 else ""
    show(f"How long a step takes{where}", new)
    if explain:
        print()
        for term in made.terms:
            console().print(escape(f"{term.what}: {term.how}"))
    hidden = sum(term.seconds - term.exposed for term in made.terms)
    talking = sum(term.seconds for term in made.terms if term.what not in COMPUTING)
    print(
        f"\n{made.tokens:,} tokens in {in_words(made.seconds)}: "
        f"{made.tokens / made.seconds:,.0f} tokens a second.\n"
        f"A rank does not compute for {100 * made.waiting:.1f} % of the step. Of "
        f"{in_words(talking)} of talking and\nwaiting, {in_words(hidden)} are hidden behind "
        f"computation.\nWhat the model needs is done at {100 * made.used:.1f} % of "
        f"{made.rate / 1e12:g} Tflop/s."
    )


ADDED = ("seconds", "exposed")


def _grouped(made: Step, explain: bool) -> dict[str, list[Term]]:
    """The terms by name, or by strategy."""
    found: dict[str, list[Term]] = {}
    for term in made.terms:
        name = term.what if explain else term.what.partition(":")[0]
        found.setdefault(name, []).append(term)
    return found
