"""`layouts`: all layouts of so many devices, the fastest first."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from collectives.commands.reading import number
from collectives.console import print_json
from collectives.errors import ArgumentError
from collectives.llm import presets
from collectives.llm.commands.options import (
    add_algorithms,
    add_json,
    add_machine,
    add_model,
    given_algorithms,
    given_model,
    given_recipe,
)
from collectives.llm.commands.shown import new_table, show
from collectives.llm.commands.timing import Timing, given_ground, to_json
from collectives.llm.layout import Layout
from collectives.llm.memory import Memory, worst
from collectives.llm.search import layouts
from collectives.llm.setups import Setup
from collectives.llm.step import Step
from collectives.llm.words import GB, gb
from collectives.llm.work import Work
from collectives.machine.model import Machine
from collectives.units import seconds as in_words

# The machine, where nobody names one.
GROUND = "nvlink-infiniband"

# Tokens of a step, where nobody says: about what published models were trained with.
TOKENS = 4 * 2**20

NOTE = """
Left out: {large} layouts that do not fit, {uneven} whose ranks cannot share {batch:,} sequences
evenly. GB (10^9 bytes) are those of the worst rank.
waits: the share of the step in which a rank does not compute.
used: what the model needs, as a share of {rate:g} Tflop/s; small products are taken
to be as fast as large ones.
Every term of a step: python -m collectives.llm traffic ... --topology ... --explain"""


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("layouts", help="layouts of so many devices, the fastest first")
    add_model(parser)
    parser.add_argument("--gpus", type=number, default=64, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--gpu", type=number, default=80, metavar="GB", help="memory of each (%(default)s)"
    )
    parser.add_argument("--sequence", type=number, metavar="N", help="tokens (as the model has)")
    parser.add_argument(
        "--batch", type=number, metavar="N", help="sequences of a step, of all (about 4M tokens)"
    )
    parser.add_argument(
        "--micro-batch", type=number, default=1, metavar="N", help="sequences together (1)"
    )
    parser.add_argument("--top", type=number, default=10, metavar="N", help="rows (%(default)s)")
    add_algorithms(parser)
    add_machine(parser, GROUND)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    shape = presets.with_shape(given_model(arguments), "layouts")
    sequence = arguments.sequence or shape.sequence
    batch = arguments.batch or max(arguments.gpus, TOKENS // sequence)
    ground = given_ground(arguments.topology)
    ground.at(arguments.gpus)
    every = [*layouts(shape, arguments.gpus, Work(sequence), ground.ranks)]
    recipe, together = given_recipe(arguments), arguments.micro_batch
    even = [
        Setup(shape, recipe, layout, work)
        for layout in every
        if (work := _work(layout, sequence, batch, together)) is not None
    ]
    fits = [both for one in even if (both := _fitting(one, arguments.gpu * GB)) is not None]
    large, uneven = len(even) - len(fits), len(every) - len(even)
    if not fits:
        raise ArgumentError(
            f"layouts: {shape.name} must fit in {arguments.gpu} GB, got none that does among "
            f"{large} layouts of {arguments.gpus} devices; take more of them or --gpu"
        )
    found = _timed(fits, ground, arguments)
    if arguments.json:
        print_json([_for_programs(*one) for one in found])
        return 0
    print(
        f"{shape.name} on {arguments.gpus} devices of {arguments.gpu} GB, {batch:,} sequences of "
        f"{sequence:,} ({batch * sequence:,} tokens) a step"
    )
    _show(found[: arguments.top], len(found))
    print(NOTE.format(large=large, uneven=uneven, batch=batch, rate=arguments.rate / 1e12))
    return 0


def _timed(
    fits: list[tuple[Setup, Memory]], ground: Machine, arguments: argparse.Namespace
) -> list[tuple[Step, Work, Memory]]:
    """The steps of setups on a machine, the fastest first."""
    named = given_algorithms(arguments)
    found = [
        (Timing(setup, ground, arguments.rate, named).step(), setup.work, held)
        for setup, held in fits
    ]
    return sorted(found, key=lambda one: one[0].seconds)


def _work(layout: Layout, sequence: int, batch: int, micro_batch: int) -> Work | None:
    """The work of a rank, if it can be shared evenly."""
    number_of, rest = divmod(batch, layout.batches * micro_batch)
    if rest or not number_of or (layout.chunks > 1 and number_of % layout.pp):
        return None
    return Work(sequence, micro_batch, number_of, flash=True)


def _fitting(setup: Setup, nbytes: float) -> tuple[Setup, Memory] | None:
    """With as little computed again as fits."""
    for recompute in ("none", "full"):
        changed = setup.with_work(recompute=recompute)
        held = worst(changed)
        if held.total <= nbytes:
            return changed, held
    return None


def _show(found: list[tuple[Step, Work, Memory]], total: int) -> None:
    axes = [axis for axis in ("dp", "ep", "cp", "tp", "pp") if _used(axis, found)]
    axes += ["chunks"] if _used("chunks", found) else []
    columns = (*axes[1:], "zero", "recompute", "GB", "step", "tokens/s", "waits", "used")
    new = new_table(axes[0], *columns, right=",".join([*axes, *columns]))
    for made, work, held in found:
        new.add_row(
            *[str(getattr(made.layout, axis)) for axis in (*axes, "zero")],
            work.recompute,
            gb(held.total),
            in_words(made.seconds),
            f"{made.tokens / made.seconds:,.0f}",
            f"{100 * made.waiting:.0f} %",
            f"{100 * made.used:.0f} %",
        )
    show(f"{total} layouts fit; the fastest {len(found)}", new)


def _used(axis: str, found: list[tuple[Step, Work, Memory]]) -> bool:
    return axis == "dp" or any(getattr(made.layout, axis) > 1 for made, _, _ in found)


def _for_programs(made: Step, work: Work, held: Memory) -> dict[str, Any]:
    return {
        "layout": asdict(made.layout),
        "work": vars(work),
        "bytes": held.total,
        "step": to_json(made),
    }
