"""Does it fit, which layout would, and what to give up first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from collectives.llm.layout import Layout
from collectives.llm.memory import Memory, worst
from collectives.llm.search import layouts
from collectives.llm.setups import Setup
from collectives.llm.shapes import Shape

# Memory of usual devices: consumer cards, A100, A100 and H100, H200, MI300X and B200.
SIZES = (24, 40, 80, 141, 192)

# The number of ranks that are tried, one after the other.
RANKS = tuple(2**power for power in range(11))

Change = Callable[[Setup], Setup | None]


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
    change: Change


def _zero(stage: int) -> Change:
    def change(setup: Setup) -> Setup | None:
        possible = setup.layout.zero < stage and setup.layout.copies > 1
        return setup.with_layout(zero=stage) if possible else None

    return change


def _of_layers(able: Callable[[Setup], bool], change: Callable[[Setup], Setup]) -> Change:
    """A change that needs a model with layers, and that something can be had by it."""
    return lambda setup: change(setup) if isinstance(setup.model, Shape) and able(setup) else None


# The cheapest first.
MEASURES = (
    Measure(
        "attention without s x s scores (--flash)",
        "nothing: it is faster, too",
        _of_layers(lambda s: not s.work.flash, lambda s: s.with_work(flash=True)),
    ),
    Measure(
        "sequence parallelism (--sp)",
        "nothing: allgather and reduce_scatter send what allreduce did",
        _of_layers(lambda s: s.layout.tp > 1 and not s.layout.sp, lambda s: s.with_layout(sp=True)),
    ),
    Measure("master weights and moments cut (--zero 1)", "nothing: as many bytes", _zero(1)),
    Measure(
        "one sequence at a time (--micro-batch 1)",
        "smaller products, which devices carry out less well",
        _of_layers(lambda s: s.work.micro_batch > 1, lambda s: s.with_work(micro_batch=1)),
    ),
    Measure("gradients cut (--zero 2)", "a reduce_scatter in every micro-batch", _zero(2)),
    Measure("weights cut (--zero 3)", "half as many bytes again, in every micro-batch", _zero(3)),
    Measure(
        "each layer computed again (--recompute full)",
        "a third more computation",
        _of_layers(lambda s: s.work.recompute != "full", lambda s: s.with_work(recompute="full")),
    ),
    Measure(
        "master weights and moments in the host (--offload)",
        "the way to the host and back in every step",
        lambda s: None if s.offload else replace(s, offload=True),
    ),
)


def given_up(setup: Setup, nbytes: float) -> list[tuple[Measure, Memory]]:
    """What to give up, one after the other, until the worst rank has so many bytes or fewer.

    Measures that save nothing are left out. If all of them do not help, all are returned.
    """
    found: list[tuple[Measure, Memory]] = []
    least = worst(setup).total
    for measure in MEASURES:
        if least <= nbytes:
            break
        changed = measure.change(setup)
        if changed is not None and (held := worst(changed)).total < least:
            setup, least = changed, held.total
            found.append((measure, held))
    return found


def smallest(
    setup: Setup, sizes: Sequence[float], ranks: Sequence[int] = RANKS
) -> dict[float, tuple[Layout, Memory]]:
    """For each number of bytes the layout of the fewest ranks whose worst one has no more.

    Whatever layout `setup` has. Of several with as many ranks it is the one that changes training
    least: little context, expert, pipeline and tensor parallelism, in this order, then the lowest
    stage of ZeRO. A pipeline has as many micro-batches as stages at least. What nothing fits in
    is left out.
    """
    model, work = setup.model, setup.work
    found: dict[float, tuple[Layout, Memory]] = {}
    for number in ranks:
        least = 0 if setup.offload else setup.recipe.bytes * model.parameters / number
        open_ones = [size for size in sizes if size not in found and size >= least]
        for layout in layouts(model, number, work) if open_ones else ():
            filled = replace(work, micro_batches=max(work.micro_batches, layout.pp))
            held = worst(replace(setup, layout=layout, work=filled))
            found.update({size: (layout, held) for size in open_ones if held.total <= size})
            open_ones = [size for size in open_ones if size not in found]
            if not open_ones:
                break
    return found
