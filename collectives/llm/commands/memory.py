"""`memory`: what training holds on each rank, line by line, and whether it fits."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from rich.table import Table

from collectives.commands.reading import number
from collectives.console import print_json
from collectives.llm import presets, recipes
from collectives.llm.activations import layer_items
from collectives.llm.commands.options import (
    add_json,
    add_layout,
    add_model,
    add_work,
    given_setup,
)
from collectives.llm.commands.shown import new_table, show
from collectives.llm.fits import SIZES, given_up, smallest
from collectives.llm.layout import Layout
from collectives.llm.memory import Memory, memory, typical_ranks, worst
from collectives.llm.pipeline import in_flight, layers_of
from collectives.llm.recipes import Recipe
from collectives.llm.setups import Setup
from collectives.llm.shapes import Bare, Shape
from collectives.llm.words import GB, UNITS, counted, each, gb, gib, parameters, share

# What `passing` means, where a table has room.
PASSING = {
    "gathered": "gathered: weights of two layers",
    "buckets": "a layer's gradients, uncut",
    "cast": "a layer in the size it computes in",
}

# Ranks of ZeRO in the comparison of two recipes.
EXAMPLE = 8


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("memory", help="what training holds on each rank")
    add_model(parser)
    add_layout(parser)
    add_work(parser)
    parser.add_argument(
        "--offload", action="store_true", help="master weights and moments are in the host"
    )
    parser.add_argument(
        "--gpu", type=number, default=80, metavar="GB", help="memory of a device (%(default)s)"
    )
    parser.add_argument("--explain", action="store_true", help="every kept tensor of a layer")
    parser.add_argument("--plot", metavar="FILE", help="bars for ranks and layouts: svg, pdf, png")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    setup = replace(given_setup(arguments), offload=arguments.offload)
    shape = setup.model
    if arguments.plot is not None:
        from collectives.llm.plot import write_memory

        write_memory(arguments.plot, setup)
        return 0
    if arguments.json:
        print_json(_for_programs(setup, arguments.gpu))
        return 0
    _print_model(shape)
    if setup.layout.ranks == 1 and arguments.recipe is None and isinstance(shape, Bare):
        _print_two_recipes(shape)
    else:
        _print_worst(setup, arguments.explain)
    _print_fits(setup, arguments.gpu)
    if isinstance(shape, Bare):
        print(
            f"\nA number alone says nothing of activations and layers: name a model for those, "
            f"one of\n{', '.join(presets.names())}."
        )
    print(f"\n{UNITS}\nNot counted: what kernels and the system take, and memory in fragments.")
    return 0


def _print_model(shape: Shape | Bare) -> None:
    heading = f"{shape.name}: {parameters(shape.parameters)} parameters"
    if isinstance(shape, Bare):
        print(heading)
        return
    new = new_table("part", "parameters", "share", right="parameters,share")
    for part, count in shape.parts.items():
        new.add_row(part, parameters(count), share(count, shape.parameters))
    show(heading, new)
    if shape.active < shape.parameters:
        print(
            f"A token meets {parameters(shape.active)} of them: it goes to {shape.top_k} of the "
            f"{shape.experts} routed experts of a layer."
        )


def _print_two_recipes(shape: Bare) -> None:
    """The article's list and that of ZeRO: the same total, split differently."""
    article, zero = recipes.recipe("article"), recipes.recipe("zero")
    for each_recipe in (article, zero):
        _print_lines(each_recipe, shape.parameters)
    held = [
        gb(worst(Setup(shape, one, Layout(dp=EXAMPLE, zero=1))).total) for one in (article, zero)
    ]
    print(
        f"\nBoth hold {each(zero.bytes)} bytes for each parameter, but split them differently.\n"
        f"ZeRO-1 cuts what belongs to the optimizer: {each(article.cut(1))} bytes of `article`, "
        f"{each(zero.cut(1))} of `zero`.\n"
        f"So on {EXAMPLE} ranks each holds {held[0]} GB or {held[1]} GB.\n"
        f"Other recipes: {', '.join(n for n in recipes.names() if n not in ('article', 'zero'))}."
    )


def _print_lines(chosen: Recipe, count: int) -> None:
    new = new_table("line", "bytes each", "GB", "GiB", "cut by", right="bytes each,GB,GiB")
    for line in chosen.lines:
        held = line.bytes * count
        new.add_row(line.name, each(line.bytes), gb(held), gib(held), f"ZeRO-{line.zero}")
    held = chosen.bytes * count
    new.add_row("sum", each(chosen.bytes), gb(held), gib(held), style="bold")
    show(f"recipe {chosen.name}: {chosen.title}", new)


def _print_worst(setup: Setup, explain: bool) -> None:
    """What the worst rank holds."""
    shape, layout, work = setup.model, setup.layout, setup.work
    held = worst(setup)
    title = f"recipe {setup.recipe.name}, {layout.name}"
    if isinstance(shape, Shape):
        title += f", {work.micro_batch} x {work.sequence} tokens"
    show(title, _held_by_line(setup, held))
    if held.host:
        print(f"In the host's memory, for each rank: {gb(held.host)} GB ({gib(held.host)} GiB).")
    if layout.ranks > 1:
        print(_whose(setup, held))
    if layout.pp > 1 and isinstance(shape, Shape):
        _print_stages(setup)
    if isinstance(shape, Bare) and layout.zero > 1:
        print("Not counted: the layer at work, whole; that needs the shape of the model.")
    if explain and isinstance(shape, Shape):
        _print_items(setup)


def _held_by_line(setup: Setup, held: Memory) -> Table:
    """What a rank holds, beside the same of the whole model."""
    shape, chosen = setup.model, setup.recipe
    mine = [f"rank {held.rank}\n{unit}" for unit in ("GB", "GiB")]
    columns = ("bytes\neach", "model\nGB", *mine)
    right = ",".join(columns).replace("\n", " ")
    new = new_table("", *columns, right=right)
    for line in chosen.lines:
        here = held.lines[line.name]
        whole = gb(line.bytes * shape.parameters)
        new.add_row(line.name, each(line.bytes), whole, gb(here), gib(here))
    for name, nbytes in held.passing.items():
        if nbytes:
            new.add_row(PASSING[name], "", "", gb(nbytes), gib(nbytes))
    for name, nbytes in held.activations.items():
        where = _layers(setup, held.rank) if name == "layers" else name
        new.add_row(f"activations: {where}", "", "", gb(nbytes), gib(nbytes))
    whole = gb(chosen.bytes * shape.parameters)
    new.add_row("sum", each(chosen.bytes), whole, gb(held.total), gib(held.total), style="bold")
    return new


def _layers(setup: Setup, rank: int) -> str:
    """Which layers keep something, and of how many micro-batches."""
    layout, stage = setup.layout, setup.layout.place(rank)["pp"]
    layers = counted(len(layers_of(setup.shape.layers, layout, stage)), "layer")
    flying = in_flight(layout, stage, setup.work.micro_batches)
    return layers if layout.pp == 1 else f"{layers} x {counted(flying, 'micro-batch', 'es')}"


def _print_stages(setup: Setup) -> None:
    """What the first rank of each stage holds."""
    columns = ("layers", "in flight", "parameters", "activations", "sum")
    new = new_table("stage", *columns, right=",".join(("stage", *columns)))
    layout = setup.layout
    for stage in range(layout.pp):
        held = memory(setup, layout.first_of(stage))
        kept = sum(held.activations.values())
        new.add_row(
            str(stage),
            str(len(layers_of(setup.shape.layers, layout, stage))),
            f"{in_flight(layout, stage, setup.work.micro_batches):g}",
            *(gb(nbytes) for nbytes in (held.total - kept, kept, held.total)),
        )
    show(f"Stage by stage, in GB, with the micro-batches that {layout.schedule} has in flight", new)


def _whose(setup: Setup, held: Memory) -> str:
    """Which rank is the worst, and how much less the one with the least has."""
    layout = setup.layout
    place = layout.place(held.rank)
    where = [f"{axis} {place[axis]}" for axis in ("pp", "tp") if getattr(layout, axis) > 1]
    words = f"Rank {held.rank} holds most of the {layout.ranks}"
    if where:
        words += f" ({', '.join(where)})"
    last = layout.ranks - 1
    least = memory(setup, last).total
    if least > 0.999 * held.total:
        return f"All {layout.ranks} ranks hold as much, or a few parameters less."
    return f"{words}; rank {last} holds {gb(least)} GB."


def _print_items(setup: Setup) -> None:
    layer = setup.shape.layers - 1
    items = layer_items(setup, layer)
    new = new_table("tensor", "MB", "", right="MB")
    for at, item in enumerate(items):
        again = (setup.work.recompute == "full" and at > 0) or (
            setup.work.recompute == "selective" and item.scores
        )
        new.add_row(item.name, f"{item.nbytes / 1e6:,.1f}", "again" if again else "kept")
    total = sum(item.nbytes for item in items)
    new.add_row("sum", f"{total / 1e6:,.1f}", style="bold")
    show(f"what layer {layer} computes in forward, for one micro-batch", new)


def _print_fits(setup: Setup, gpu: int) -> None:
    held = worst(setup).total
    new = new_table("device", "GiB", "this layout", "the fewest ranks that fit", right="device,GiB")
    for size, found in _fewest(setup, gpu).items():
        room = size * GB - held
        word = f"yes, {gb(room)} GB free" if room >= 0 else f"no, {gb(-room)} GB short"
        fewest = "none up to 1024 ranks"
        if found:
            fewest = f"{found[0].ranks}: {found[0].name}, {gb(found[1].total)} GB"
        new.add_row(f"{size} GB", gib(size * GB), word, fewest)
    show("Does it fit?", new)
    if held > gpu * GB:
        _print_given_up(setup, gpu)


def _print_given_up(setup: Setup, gpu: int) -> None:
    steps = given_up(setup, gpu * GB)
    new = new_table("what", "GB then", "what it costs", right="GB then")
    for measure, then in steps:
        new.add_row(measure.what, gb(then.total), measure.cost)
    if not steps or steps[-1][1].total > gpu * GB:
        new.add_row("more ranks: see above", "", "more devices, and more to send")
    show(f"What to give up to fit in {gpu} GB, the cheapest first", new)


def _for_programs(setup: Setup, gpu: int) -> dict[str, Any]:
    shape, chosen, layout = setup.model, setup.recipe, setup.layout
    held = [memory(setup, rank) for rank in typical_ranks(layout)]
    most = max(held, key=lambda one: one.total)
    return {
        "model": shape.name,
        "parameters": shape.parameters,
        "parts": shape.parts if isinstance(shape, Shape) else {},
        "recipe": {
            "name": chosen.name,
            "lines": [vars(line) for line in chosen.lines],
            "bytes": chosen.bytes,
        },
        "layout": asdict(layout),
        "ranks": [{**vars(one), "total": one.total} for one in held],
        "worst": most.rank,
        "fits": [
            {
                "gb": size,
                "fits": most.total <= size * GB,
                "fewest": found
                and {
                    "ranks": found[0].ranks,
                    "layout": asdict(found[0]),
                    "total": found[1].total,
                },
            }
            for size, found in _fewest(setup, gpu).items()
        ],
    }


def _fewest(setup: Setup, gpu: int) -> dict[int, tuple[Layout, Memory] | None]:
    """For each size of a device in GB the layout of the fewest ranks that fit."""
    sizes = sorted({*SIZES, gpu})
    found = smallest(setup, [size * GB for size in sizes])
    return {size: found.get(size * GB) for size in sizes}
