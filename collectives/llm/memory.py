"""Bytes that training holds on each rank."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from collectives.llm.activations import activations
from collectives.llm.layout import Layout
from collectives.llm.recipes import Line, Recipe
from collectives.llm.shapes import Bare, Shape
from collectives.llm.units import block, units_of
from collectives.llm.work import Work

TRAVELLING = ("weights", "gradients")
STATE = ("weights", "gradients", "master", "moments")


@dataclass(frozen=True)
class Options:
    """What else decides about memory.

    Attributes
    ----------
    prefetch : int
        Layers that ZeRO-3 gathers ahead of the one that computes.
    offload : bool
        Master weights and moments are in the host's memory.
    """

    prefetch: int = 1
    offload: bool = False


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


def model_state(
    shape: Shape | Bare,
    recipe: Recipe,
    layout: Layout,
    rank: int,
    prefetch: int = 1,
    compute: int = 0,
) -> dict[str, float]:
    """Bytes of model state on a rank, by kind: what lies there, and the peak of what passes.

    Parameters
    ----------
    shape : Shape or Bare
    recipe : Recipe
    layout : Layout
    rank : int
    prefetch : int
        Layers that ZeRO-3 gathers ahead.
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
    >>> model_state(model("7B"), recipe("zero"), Layout(dp=8, zero=1), 0)["moments"]
    7000000000
    """
    found: dict[str, float] = dict.fromkeys(STATE, 0)
    held = _Held(shape, layout, rank)
    for line in recipe.lines:
        found[line.kind] += held.bytes_of(line)
    return {**found, **passing(shape, recipe, layout, rank, prefetch, compute)}


def passing(
    shape: Shape | Bare,
    recipe: Recipe,
    layout: Layout,
    rank: int,
    prefetch: int = 1,
    compute: int = 0,
) -> dict[str, float]:
    """Bytes of what is there only for a while, at its peak.

    `gathered` are whole weights under ZeRO-3, of the layer that computes and those ahead of it;
    `buckets` a layer's whole gradients under ZeRO-2 and 3, until they are summed and cut;
    `cast` a layer's weights and gradients in the size in which it computes.
    """
    found: dict[str, float] = {"gathered": 0, "buckets": 0, "cast": 0}
    if isinstance(shape, Bare):
        return found
    layers = [
        sum(unit.count for unit in group)
        for _, group in groupby(units_of(shape, layout, rank), key=lambda unit: unit.layer)
    ]
    if layout.zero == 3:
        windows = [sum(layers[at : at + 1 + prefetch]) for at in range(len(layers))]
        found["gathered"] = max(windows) * recipe.travelling("weights")
    if layout.zero >= 2:
        found["buckets"] = max(layers) * recipe.travelling("gradients")
    others = [kind for kind in TRAVELLING if compute not in (0, recipe.travelling(kind))]
    found["cast"] = len(others) * compute * max(layers)
    return found


def memory(
    shape: Shape | Bare,
    recipe: Recipe,
    layout: Layout,
    work: Work,
    rank: int,
    options: Options | None = None,
) -> Memory:
    """All that a rank holds at its worst.

    Of a model of which only the number of parameters is known, there are no activations and no
    gathered layers.
    """
    options = options or Options()
    lines: dict[str, float] = {}
    host = 0.0
    counts = _Held(shape, layout, rank)
    for line in recipe.lines:
        held = counts.bytes_of(line)
        away = options.offload and line.kind in ("master", "moments")
        host += held if away else 0
        lines[line.name] = 0 if away else held
    there = passing(shape, recipe, layout, rank, options.prefetch)
    kept: dict[str, float] = {}
    if isinstance(shape, Shape):
        stage = layout.place(rank)["pp"]
        kept = activations(
            shape, layout, work, work.activation(recipe.travelling("weights")), stage
        )
    return Memory(rank, lines, there, kept, host)


def typical_ranks(layout: Layout) -> list[int]:
    """One rank for each that may differ from others: the first of each stage and slice.

    The first ones along dp, ep and cp have the longest blocks.
    """
    first = dict.fromkeys(layout.order, 0)
    slices = {0, layout.tp - 1}  # only the vocabulary is cut unevenly, its first slices longer
    return [
        layout.rank({**first, "pp": stage, "tp": at})
        for stage in range(layout.pp)
        for at in sorted(slices)
    ]


def worst(
    shape: Shape | Bare,
    recipe: Recipe,
    layout: Layout,
    work: Work,
    options: Options | None = None,
) -> Memory:
    """The rank that holds most; of equals the first."""
    every = [memory(shape, recipe, layout, work, rank, options) for rank in typical_ranks(layout)]
    return max(every, key=lambda each: each.total)


class _Held:
    """Parameters on a rank, uncut and as ZeRO cuts them."""

    def __init__(self, shape: Shape | Bare, layout: Layout, rank: int):
        units = units_of(shape, layout, rank)
        self.zero = layout.zero
        self.whole = sum(unit.count for unit in units)
        self.cut = sum(block(unit, layout, rank) for unit in units) if layout.zero else self.whole

    def bytes_of(self, line: Line) -> float:
        """Bytes of a line of a recipe."""
        return line.bytes * (self.cut if self.zero >= line.zero else self.whole)
