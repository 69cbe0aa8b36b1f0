"""Does it fit, which layout would, and what to give up first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collectives.llm.layout import Layout
from collectives.llm.memory import Memory, Options, worst
from collectives.llm.recipes import Recipe
from collectives.llm.search import layouts
from collectives.llm.shapes import Bare, Shape
from collectives.llm.work import Work

GB = 10**9

# Memory of usual devices: consumer cards, A100, A100 and H100, H200, MI300X and B200.
SIZES = (24, 40, 80, 141, 192)

# The number of ranks that are tried, one after the other.
RANKS = tuple(2**power for power in range(11))


@dataclass(frozen=True)
class Setup:
    """Everything that decides about memory but the model and the recipe."""

    layout: Layout
    work: Work
    options: Options


@dataclass(frozen=True)
class Measure:
    """Something to give up for memory.

    Attributes
    ----------
    what : str
    cost : str
    change : callable
        The setup with it, or None where there is nothing to be had.
    """

    what: str
    cost: str
    change: Callable[[Setup, bool], Setup | None]


def _layout(setup: Setup, **changes: Any) -> Setup:
    return replace(setup, layout=replace(setup.layout, **changes))


def _work(setup: Setup, **changes: Any) -> Setup:
    return replace(setup, work=replace(setup.work, **changes))


def _zero(stage: int) -> Callable[[Setup, bool], Setup | None]:
    def change(setup: Setup, shaped: bool) -> Setup | None:
        possible = setup.layout.zero < stage and setup.layout.copies > 1
        return _layout(setup, zero=stage) if possible else None

    return change


# The cheapest first.
MEASURES = (
    Measure(
        "attention without s x s scores (--flash)",
        "nothing: it is faster, too",
        lambda s, shaped: _work(s, flash=True) if shaped and not s.work.flash else None,
    ),
    Measure(
        "sequence parallelism (--sp)",
        "nothing: allgather and reduce_scatter send what allreduce did",
        lambda s, shaped: (
            _layout(s, sp=True) if shaped and s.layout.tp > 1 and not s.layout.sp else None
        ),
    ),
    Measure("master weights and moments cut (--zero 1)", "nothing: as many bytes", _zero(1)),
    Measure(
        "one sequence at a time (--micro-batch 1)",
        "smaller products, which devices carry out less well",
        lambda s, shaped: _work(s, micro_batch=1) if shaped and s.work.micro_batch > 1 else None,
    ),
    Measure("gradients cut (--zero 2)", "a reduce_scatter in every micro-batch", _zero(2)),
    Measure("weights cut (--zero 3)", "half as many bytes again, in every micro-batch", _zero(3)),
    Measure(
        "each layer computed again (--recompute full)",
        "a third more computation",
        lambda s, shaped: (
            _work(s, recompute="full") if shaped and s.work.recompute != "full" else None
        ),
    ),
    Measure(
        "master weights and moments in the host (--offload)",
        "the way to the host and back in every step",
        lambda s, shaped: (
            replace(s, options=replace(s.options, offload=True)) if not s.options.offload else None
        ),
    ),
)


def given_up(
    shape: Shape | Bare, recipe: Recipe, setup: Setup, nbytes: float
) -> list[tuple[Measure, Memory]]:
    """What to give up, one after the other, until the worst rank has so many bytes or fewer.

    Measures that save nothing are left out. If all of them do not help, all are returned.
    """
    found: list[tuple[Measure, Memory]] = []
    least = worst(shape, recipe, setup.layout, setup.work, setup.options).total
    for measure in MEASURES:
        if least <= nbytes:
            break
        changed = measure.change(setup, isinstance(shape, Shape))
        if changed is None:
            continue
        held = worst(shape, recipe, changed.layout, changed.work, changed.options)
        if held.total < least:
            setup, least = changed, held.total
            found.append((measure, held))
    return found


def smallest(
    shape: Shape | Bare,
    recipe: Recipe,
    work: Work,
    options: Options,
    sizes: Sequence[float],
    ranks: Sequence[int] = RANKS,
) -> dict[float, tuple[Layout, Memory]]:
    """For each number of bytes the layout of the fewest ranks whose worst one has no more.

    Of several with as many ranks it is the one that changes training least: little context,
    expert, pipeline and tensor parallelism, in this order, then the lowest stage of ZeRO. A
    pipeline has as many micro-batches as stages at least. What nothing fits in is left out.
    """
    found: dict[float, tuple[Layout, Memory]] = {}
    for number in ranks:
        least = 0 if options.offload else recipe.bytes * shape.parameters / number
        open_ones = [size for size in sizes if size not in found and size >= least]
        for layout in layouts(shape, number, work) if open_ones else ():
            filled = replace(work, micro_batches=max(work.micro_batches, layout.pp))
            held = worst(shape, recipe, layout, filled, options)
            found.update({size: (layout, held) for size in open_ones if held.total <= size})
            open_ones = [size for size in open_ones if size not in found]
            if not open_ones:
                break
    return found
