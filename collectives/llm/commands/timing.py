"""How long a step takes on a machine, for `traffic` and `layouts`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.markup import escape

from collectives.console import console
from collectives.llm.commands.shown import new_table, show
from collectives.llm.flows import Flow
from collectives.llm.layout import AXES, Layout
from collectives.llm.network import fastest, seconds
from collectives.llm.recipes import Recipe
from collectives.llm.shapes import Bare, Shape
from collectives.llm.step import COMPUTING, Step, Term, algorithm_of, step
from collectives.llm.traffic import Traffic
from collectives.llm.words import share
from collectives.llm.work import Work
from collectives.machine.clock import GAMMA
from collectives.machine.model import Machine
from collectives.machine.spec import machine
from collectives.machine.words import in_lines
from collectives.units import seconds as in_words

# Seconds a byte that a device adds: it reads two and writes one, at 3 TB/s.
DEVICE_GAMMA = 1e-12
WIDTH = 98  # of what is printed


class Timing:
    """A layout on a machine.

    Parameters
    ----------
    shape : Shape or Bare
        Of a bare number of parameters only the calls have a time.
    recipe : Recipe
    layout : Layout
    work : Work
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

    def __init__(
        self,
        shape: Shape | Bare,
        recipe: Recipe,
        layout: Layout,
        work: Work,
        ground: Machine,
        rate: float,
        named: Mapping[str, str],
    ):
        ground.at(layout.ranks)
        self.shape, self.recipe, self.layout, self.work = shape, recipe, layout, work
        self.ground, self.rate, self.named = ground, rate, named

    @property
    def nodes(self) -> tuple[int, ...] | None:
        """The number of each rank's node; None on a machine without nodes."""
        return None if self.ground.network is None else self.ground.groups(self.layout.ranks)

    def prices(self, flow: Flow) -> list[tuple[float, int]]:
        """Seconds of each kind of call of a flow, and how many there are."""
        return seconds(flow, algorithm_of(flow, self.named), self.ground, self.layout.ranks)

    def step(self) -> Step:
        """A step."""
        assert isinstance(self.shape, Shape)
        return step(self.shape, self.recipe, self.layout, self.work, self.rate, self.prices)

    def show(self, found: list[Traffic], explain: bool) -> None:
        """Print what the flows take, and the step."""
        new = new_table("call", "algorithm", "takes", "fastest", "takes ", right="takes,takes ")
        for one in found:
            took = sum(each * times for each, times in self.prices(one.flow))
            name = f"{one.flow.strategy}: {one.flow.what}"
            best = ("", "")
            if one.algorithm:
                fast, least = fastest(one.flow, self.ground, self.layout.ranks)
                best = (fast, in_words(least))
            new.add_row(name, one.algorithm, in_words(took), *best)
        show(in_lines(self.ground, self.layout.ranks, "On ", WIDTH), new)
        if isinstance(self.shape, Bare):
            print("The rest of a step needs the shape of the model.")
            return
        made = self.step()
        _show_step(made, explain)
        self._show_placements()

    def _show_placements(self) -> None:
        """The same step with other ranks next to each other."""
        used = [axis for axis in AXES if getattr(self.layout, axis) > 1]
        if len(used) < 2 or self.ground.network is None:
            return
        new = new_table("neighbours along", "step", right="step")
        found = []
        for axis in used:
            order = (axis, *(other for other in AXES if other != axis))
            other = replace(self.layout, order=order)
            timing = Timing(
                self.shape, self.recipe, other, self.work, self.ground, self.rate, self.named
            )
            found.append((timing.step().seconds, axis))
        for took, axis in sorted(found):
            new.add_row(axis, in_words(took))
        show("Which ranks should be on one node?", new)

    def for_programs(self) -> dict[str, Any] | None:
        """The step, for programs."""
        return to_json(self.step()) if isinstance(self.shape, Shape) else None


def given_timing(
    arguments: argparse.Namespace,
    shape: Shape | Bare,
    recipe: Recipe,
    layout: Layout,
    work: Work,
    named: Mapping[str, str],
) -> Timing | None:
    """What the command line says of the machine; nothing if it names none."""
    if arguments.topology is None:
        return None
    ground = given_ground(arguments.topology)
    return Timing(shape, recipe, layout, work, ground, arguments.rate, named)


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
