"""`traffic`: which primitive, how often, how many bytes a rank sends in a step, and how long."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from collectives.llm import layout as layouts
from collectives.llm import recipes
from collectives.llm.commands.options import (
    add_json,
    add_layout,
    add_model,
    add_work,
    given_layout,
    given_model,
    given_work,
    print_json,
    whole,
)
from collectives.llm.commands.shown import new_table, show
from collectives.llm.flows import SEND
from collectives.llm.shapes import Bare
from collectives.llm.traffic import Traffic, chosen, per_step
from collectives.llm.words import UNITS, gb, gib, size

COLUMNS = ("primitive", "ranks", "calls", "bytes each", "GB sent")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("traffic", help="which primitives a step calls, and what is sent")
    add_model(parser)
    add_layout(parser)
    add_work(parser)
    parser.add_argument(
        "--algorithm",
        action="append",
        default=[],
        metavar="PRIMITIVE=ALGORITHM",
        help="as allreduce=rabenseifner; may be repeated",
    )
    parser.add_argument("--rank", type=whole, default=0, metavar="R", help="whose (%(default)s)")
    parser.add_argument("--clip", action="store_true", help="clip gradients by their global norm")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    shape = given_model(arguments)
    layout = given_layout(arguments, shape)
    work = given_work(arguments, shape, layout)
    recipe = recipes.recipe(arguments.recipe or "zero")
    rank = layouts.rank_of(layout, arguments.rank)
    found = per_step(shape, recipe, layout, work, rank, chosen(arguments.algorithm))
    if arguments.json:
        print_json(_for_programs(found))
        return 0
    print(f"{shape.name}, {layout.name}: what rank {rank} of {layout.ranks} sends in a step")
    if not isinstance(shape, Bare):
        print(
            f"{work.micro_batches} micro-batches of {work.micro_batch} x {work.sequence} tokens; "
            f"weights of {recipe.travelling('weights')} bytes, gradients of "
            f"{recipe.travelling('gradients')}"
        )
    _print_flows(found)
    total = sum(one.sent for one in found)
    print(f"\nAll together: {gb(total)} GB ({gib(total)} GiB). {UNITS}")
    return 0


def _print_flows(found: list[Traffic]) -> None:
    if not found:
        print("\nNothing: there is no other rank.")
    for strategy, group in groupby(found, key=lambda one: one.flow.strategy):
        new = new_table("what", *COLUMNS, right="ranks,calls,bytes each,GB sent")
        each = list(group)
        for one in each:
            flow = one.flow
            name = f"{flow.primitive}.{one.algorithm}" if one.algorithm else flow.primitive
            ranks = "1 to 1" if flow.primitive == SEND else str(len(flow.group))
            new.add_row(flow.what, name, ranks, f"{flow.times:,}", _sizes(one), gb(one.sent))
        show(f"{strategy}: {gb(sum(one.sent for one in each))} GB", new)


def _sizes(one: Traffic) -> str:
    """The length of the vectors."""
    sizes = [length * one.flow.itemsize for length in one.flow.lengths]
    low, high = min(sizes), max(sizes)
    return size(low) if low == high else f"{size(low)} to {size(high)}"


def _for_programs(found: list[Traffic]) -> list[dict[str, Any]]:
    return [
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
