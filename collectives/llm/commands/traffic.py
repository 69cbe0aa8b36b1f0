"""`traffic`: which primitive, how often, how many bytes a rank sends in a step, and how long."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from collectives import checks
from collectives.commands.reading import whole
from collectives.console import print_json
from collectives.llm.commands.options import (
    add_algorithms,
    add_json,
    add_layout,
    add_machine,
    add_model,
    add_work,
    given_algorithms,
    given_setup,
)
from collectives.llm.commands.shown import new_table, show
from collectives.llm.commands.timing import Timing, given_ground
from collectives.llm.flows import SEND
from collectives.llm.shapes import Bare
from collectives.llm.traffic import Traffic, per_step
from collectives.llm.words import UNITS, counted, gb, gib, size

COLUMNS = ("primitive", "ranks", "calls", "bytes each", "sent")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("traffic", help="which primitives a step calls, and what is sent")
    add_model(parser)
    add_layout(parser)
    add_work(parser)
    add_algorithms(parser)
    parser.add_argument("--rank", type=whole, default=0, metavar="R", help="whose (%(default)s)")
    add_machine(parser, None)
    parser.add_argument(
        "--explain", action="store_true", help="every term of the step's time, with --topology"
    )
    parser.add_argument("--clip", action="store_true", help="clip gradients by their global norm")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    setup = given_setup(arguments)
    layout, work, recipe = setup.layout, setup.work, setup.recipe
    rank = checks.rank("layout", "rank", arguments.rank, layout.ranks)
    named = given_algorithms(arguments)
    timing = None
    if arguments.topology is not None:
        timing = Timing(setup, given_ground(arguments.topology), arguments.rate, named)
    found = per_step(setup, rank, named, nodes=timing.nodes if timing else None)
    if arguments.json:
        print_json(_for_programs(found, timing))
        return 0
    print(f"{setup.model.name}, {layout.name}: what rank {rank} of {layout.ranks} sends in a step")
    if not isinstance(setup.model, Bare):
        weight, gradient = (recipe.travelling(kind) for kind in ("weights", "gradients"))
        print(
            f"{counted(work.micro_batches, 'micro-batch', 'es')} of {work.micro_batch} x "
            f"{work.sequence} tokens; weights of {weight} bytes, gradients of {gradient}"
        )
    _print_flows(found)
    total = sum(one.sent for one in found)
    print(f"\nAll together: {gb(total)} GB ({gib(total)} GiB). {UNITS}")
    if timing is not None:
        timing.show(found, arguments.explain)
    return 0


def _print_flows(found: list[Traffic]) -> None:
    if not found:
        print("\nNothing: there is no other rank.")
    for strategy, group in groupby(found, key=lambda one: one.flow.strategy):
        new = new_table("what", *COLUMNS, right="ranks,calls,bytes each,sent")
        each = list(group)
        for one in each:
            flow = one.flow
            name = f"{flow.primitive}.{one.algorithm}" if one.algorithm else flow.primitive
            ranks = "1 to 1" if flow.primitive == SEND else str(len(flow.group))
            new.add_row(flow.what, name, ranks, f"{flow.times:,}", _sizes(one), size(one.sent, 4))
        show(f"{strategy}: {size(sum(one.sent for one in each), 4)}", new)


def _sizes(one: Traffic) -> str:
    """The length of the vectors."""
    sizes = [length * one.flow.itemsize for length in one.flow.lengths]
    low, high = min(sizes), max(sizes)
    return size(low) if low == high else f"{size(low)} to {size(high)}"


def _for_programs(found: list[Traffic], timing: Timing | None) -> dict[str, Any]:
    flows = [
        {
            "strategy": one.flow.strategy,
            "what": one.flow.what,
            "primitive": one.flow.primitive,
            "algorithm": one.algorithm,
            "group": one.flow.group,
            "phase": one.flow.phase,
            "calls": one.flow.times,
            "bytes": [length * one.flow.itemsize for length in one.flow.lengths],
            "sent": one.sent,
            "messages": one.messages,
        }
        for one in found
    ]
    total = sum(one.sent for one in found)
    return {"flows": flows, "sent": total, "step": timing and timing.for_programs()}
