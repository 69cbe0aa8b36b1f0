"""What the commands take: a model, a recipe, a layout, the work of a step."""

from __future__ import annotations

import argparse
import re

from collectives.catalogue import load
from collectives.commands.reading import number, whole
from collectives.errors import ArgumentError
from collectives.llm import presets, recipes
from collectives.llm.layout import SCHEDULES, Layout, fitted
from collectives.llm.recipes import Recipe
from collectives.llm.setups import Setup
from collectives.llm.shapes import KEYS, Bare, Shape, shape_of
from collectives.llm.traffic import chosen
from collectives.llm.work import RECOMPUTE, Work

# The numbers of a shape that a command line may give.
SHAPE = {
    "layers": "blocks",
    "hidden": "width",
    "heads": "heads of attention",
    "kv_heads": "heads of keys and values (as many)",
    "ffn": "width within the feed-forward network",
    "vocab": "tokens",
    "experts": "routed experts of a layer (0)",
    "top_k": "experts that a token visits",
}


def add_model(command: argparse.ArgumentParser) -> None:
    """A model and a recipe."""
    command.add_argument(
        "model",
        nargs="?",
        help=f"7B, which is a number of parameters; one of {', '.join(presets.names())}; "
        "a TOML file; or none, with the numbers below",
    )
    group = command.add_argument_group("the shape of the model, instead of a name or changed")
    for name, what in SHAPE.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=whole, metavar="N", help=what)
    command.add_argument(
        "--recipe",
        metavar="NAME",
        help=f"bytes for each parameter: {', '.join(recipes.names())} or a TOML file (zero)",
    )


def add_layout(command: argparse.ArgumentParser) -> None:
    """How the ranks share the work."""
    group = command.add_argument_group("layout")
    group.add_argument("--ranks", type=number, metavar="N", help="of all; dp is what is left")
    for axis, what in (
        ("dp", "ranks with sequences of their own"),
        ("tp", "ranks with a slice of each matrix"),
        ("pp", "ranks with some of the layers"),
        ("ep", "ranks with some of the experts, and sequences of their own"),
        ("cp", "ranks with a piece of each sequence"),
    ):
        group.add_argument(f"--{axis}", type=number, metavar="N", help=what)
    group.add_argument(
        "--zero", type=whole, default=0, metavar="STAGE", help="of ZeRO: 0, 1, 2 or 3 (0)"
    )
    group.add_argument("--sp", action="store_true", help="the ranks of tp share the tokens, too")
    group.add_argument(
        "--schedule", metavar="NAME", help=f"of the pipeline: {', '.join(SCHEDULES)} (1f1b)"
    )
    group.add_argument(
        "--chunks", type=number, metavar="N", help="pieces on each stage, interleaved (2)"
    )


def add_work(command: argparse.ArgumentParser) -> None:
    """What a rank does in a step."""
    group = command.add_argument_group("work of a step")
    group.add_argument("--sequence", type=number, metavar="N", help="tokens (as the model has)")
    group.add_argument(
        "--micro-batch", type=number, default=1, metavar="N", help="sequences together (1)"
    )
    group.add_argument(
        "--micro-batches", type=number, default=None, metavar="N",
        help="of each rank of dp and ep in a step (1; with pp twice the stages)",
    )  # fmt: skip
    group.add_argument(
        "--recompute", choices=RECOMPUTE, default="none", help="what backward computes again"
    )
    group.add_argument("--flash", action="store_true", help="attention without s x s scores")


def add_algorithms(command: argparse.ArgumentParser) -> None:
    """Which algorithms carry out the primitives."""
    command.add_argument(
        "--algorithm",
        action="append",
        default=[],
        metavar="PRIMITIVE=NAME",
        help="as allreduce=rabenseifner,alltoall=bruck; may be repeated",
    )
    command.add_argument(
        "--load", action="append", default=[], metavar="FILE", help="a file with algorithms"
    )


def given_algorithms(arguments: argparse.Namespace) -> dict[str, str]:
    """The algorithms that the command line names."""
    for path in arguments.load:
        load(path)
    return chosen(arguments.algorithm)


def add_machine(command: argparse.ArgumentParser, topology: str | None) -> None:
    """What the ranks run on."""
    group = command.add_argument_group("machine")
    group.add_argument(
        "--topology",
        default=topology,
        metavar="SPEC",
        help="nodes:8x8,nic=25G,latency=10us and the like, a preset, or a TOML file"
        + (f" ({topology})" if topology else ""),
    )
    group.add_argument(
        "--rate",
        type=rate,
        default="400T",
        metavar="FLOPS",
        help="floating-point operations a second that a device really does (%(default)s)",
    )


def add_json(command: argparse.ArgumentParser) -> None:
    """Output for programs."""
    command.add_argument("--json", action="store_true", help="print it for programs")


def given_model(arguments: argparse.Namespace) -> Shape | Bare:
    """The model, with what the command line says of its shape.

    Raises
    ------
    ArgumentError
        There is none, or too little of it.
    """
    given = {name: getattr(arguments, name) for name in SHAPE}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.model is None:
        if not given:
            raise ArgumentError(
                f"model: 7B, one of {', '.join(presets.names())}, a TOML file, or --layers and "
                "the like are needed, got nothing; name one"
            )
        return shape_of("model", given)
    found = presets.model(arguments.model)
    if not given:
        return found
    found = presets.with_shape(found, f"--{next(iter(given)).replace('_', '-')}")
    table = {key: value for key, value in vars(found).items() if key in KEYS}
    for key, of in (("kv_heads", "heads"), ("expert_ffn", "ffn"), ("head_size", "hidden")):
        if of in given and key not in given:
            table.pop(key)
    return shape_of("model", {**table, "name": f"{found.name}, changed", "published": 0, **given})


def given_setup(arguments: argparse.Namespace) -> Setup:
    """All that the command line says of a training."""
    model = given_model(arguments)
    layout = given_layout(arguments, model)
    work = given_work(arguments, model, layout)
    return Setup(model, given_recipe(arguments), layout, work)


def given_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe, by default that of ZeRO."""
    return recipes.recipe(arguments.recipe or "zero")


def given_layout(arguments: argparse.Namespace, shape: Shape | Bare) -> Layout:
    """The layout, which fits the model.

    Raises
    ------
    ArgumentError
        It does not.
    """
    for name in ("schedule", "chunks"):
        if getattr(arguments, name) is not None and (arguments.pp or 1) == 1:
            raise ArgumentError(
                f"layout: --{name} is for a pipeline, got {getattr(arguments, name)} with pp 1; "
                f"add --pp 2, or leave --{name} out"
            )
    chunks = arguments.chunks or (2 if arguments.schedule == "interleaved" else 1)
    layout = Layout(
        dp=arguments.dp or 1,
        tp=arguments.tp or 1,
        pp=arguments.pp or 1,
        ep=arguments.ep or 1,
        cp=arguments.cp or 1,
        zero=arguments.zero,
        sp=arguments.sp,
        schedule=arguments.schedule or "1f1b",
        chunks=chunks,
    )
    layout = fitted(layout, arguments.ranks, arguments.dp is not None)
    if isinstance(shape, Bare):
        for axis in ("tp", "pp", "ep", "cp"):
            if getattr(layout, axis) > 1:
                presets.with_shape(shape, f"--{axis}")
    layout.check(shape)
    return layout


def given_work(arguments: argparse.Namespace, shape: Shape | Bare, layout: Layout) -> Work:
    """The work of a step, which fits the layout."""
    if isinstance(shape, Bare):
        for name in ("sequence", "flash"):
            if getattr(arguments, name):
                presets.with_shape(shape, f"--{name}")
        sequence = 1
    else:
        sequence = arguments.sequence or shape.sequence
    usual = 2 * layout.pp if layout.pp > 1 else 1
    work = Work(
        sequence,
        arguments.micro_batch,
        arguments.micro_batches or usual,
        arguments.recompute,
        arguments.flash,
    )
    layout.check_work(work)
    return work


def rate(text: str) -> float:
    """Operations a second, as 400T, which argparse reads."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([GTP])", text.strip().upper())
    if found is None or float(found[1]) == 0:
        raise argparse.ArgumentTypeError(
            f"operations a second such as 400T, 1.2P or 500G are needed, got {text!r}"
        )
    return float(found[1]) * 10 ** {"G": 9, "T": 12, "P": 15}[found[2]]
