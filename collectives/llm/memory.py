"""Bytes that training holds on each rank."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from collectives.llm.activations import activations
from collectives.llm.layout import Layout
from collectives.llm.recipes import Line
from collectives.llm.setups import Setup
from collectives.llm.shapes import Bare, Shape
from collectives.llm.units import block, units_of

TRAVELLING = ("weights", "gradients")
STATE = ("weights", "gradients", "master", "moments")


@dataclass(frozen=True)
class Memory:
    """What one rank holds at its worst.

    Attributes
    ----------
    rank : int
    lines : dict of str to float
        Bytes by line of the recipe.
    passing : dict of str to float
        Bytes of what is there for a while: layers gathered, gradients on their way.
    activations : dict of str to float
    host : float
        Bytes in the memory of the host.
    """

    rank: int
    lines: dict[str, float]
    passing: dict[str, float]
    activations: dict[str, float]
    host: float

    @property
    def state(self) -> float:
        """Bytes of the recipe's lines."""
        return sum(self.lines.values())

    @property
    def total(self) -> float:
        """All bytes on the device."""
        return self.state + sum(self.passing.values()) + sum(self.activations.values())


def model_state(setup: Setup, rank: int, compute: int = 0) -> dict[str, float]:
    """Bytes of model state on a rank, by kind: what lies there, and the peak of what passes.

    Parameters
    ----------
    setup : Setup
    rank : int
    compute : int
        Bytes of the numbers that a layer computes with, if that is known: where weights or
        gradients have another size, the layer at work has them in this one, too.

    Returns
    -------
    dict
        Bytes of `weights`, `gradients`, `master`, `moments`, and as `passing` has them.

    Examples
    --------
    >>> from collectives.llm.presets import model
    >>> from collectives.llm.recipes import recipe
    >>> model_state(Setup(model("7B"), recipe("zero"), Layout(dp=8, zero=1)), 0)["moments"]
    7000000000
    """
    found: dict[str, float] = dict.fromkeys(STATE, 0)
    held = _Held(setup, rank)
    for line in setup.recipe.lines:
        found[line.kind] += held.bytes_of(line)
    return {**found, **passing(setup, rank, compute)}


def passing(setup: Setup, rank: int, compute: int = 0) -> dict[str, float]:
    """Bytes of what is there only for a while, at its peak.

    `gathered` are whole weights under ZeRO-3, of the layer that computes and those ahead of it;
    `buckets` a layer's whole gradients under ZeRO-2 and 3, until they are summed and cut;
    `cast` a layer's weights and gradients in the size in which it computes.
    """
    found: dict[str, float] = {"gathered": 0, "buckets": 0, "cast": 0}
    if isinstance(setup.model, Bare):
        return found
    recipe, layout = setup.recipe, setup.layout
    units = units_of(setup.model, layout, rank)
    layers = [
        sum(unit.count for unit in group)
        for _, group in groupby(units, key=lambda unit: unit.layer)
    ]
    if layout.zero == 3:
        windows = [sum(layers[at : at + 1 + setup.prefetch]) for at in range(len(layers))]
        found["gathered"] = max(windows) * recipe.travelling("weights")
    if layout.zero >= 2:
        found["buckets"] = max(layers) * recipe.travelling("gradients")
    others = [kind for kind in TRAVELLING if compute not in (0, recipe.travelling(kind))]
    found["cast"] = len(others) * compute * max(layers)
    return found


def memory(setup: Setup, rank: int) -> Memory:
    """All that a rank holds at its worst.

    Of a model of which only the number of parameters is known, there are no activations and no
    gathered layers.
    """
    lines: dict[str, float] = {}
    host = 0.0
    counts = _Held(setup, rank)
    for line in setup.recipe.lines:
        held = counts.bytes_of(line)
        away = setup.offload and line.kind in ("master", "moments")
        host += held if away else 0
        lines[line.name] = 0 if away else held
    kept: dict[str, float] = {}
    if isinstance(setup.model, Shape):
        kept = activations(setup, setup.layout.place(rank)["pp"])
    return Memory(rank, lines, passing(setup, rank), kept, host)


def typical_ranks(layout: Layout) -> list[int]:
    """One rank for each that may differ from others: the first of each stage and slice.

    The first ones along dp, ep and cp have the longest blocks.
    """
    slices = sorted({0, layout.tp - 1})  # only the vocabulary is cut unevenly: first slices longer
    return [layout.first_of(stage, at) for stage in range(layout.pp) for at in slices]


def worst(setup: Setup) -> Memory:
    """The rank that holds most; of equals the first."""
    every = [memory(setup, rank) for rank in typical_ranks(setup.layout)]
    return max(every, key=lambda each: each.total)


class _Held:
    """Parameters on a rank, uncut and as ZeRO cuts them."""

    def __init__(self, setup: Setup, rank: int):
        layout = setup.layout
        units = units_of(setup.model, layout, rank)
        self.zero = layout.zero
        self.whole = sum(unit.count for unit in units)
        self.cut = sum(block(unit, layout, rank) for unit in units) if layout.zero else self.whole

    def bytes_of(self, line: Line) -> float:
        """Bytes of a line of a recipe."""
        return line.bytes * (self.cut if self.zero >= line.zero else self.whole)
