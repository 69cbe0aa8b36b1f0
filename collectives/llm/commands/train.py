"""`train`: a small GPT for real, on our primitives, by any kind of parallelism."""

from __future__ import annotations

import argparse
import os
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from collectives.commands.reading import number, positive, share

HELP = "train a small GPT for real: mpirun -n 4 python -m collectives.llm train --parallel zero3"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("train", help=HELP, allow_abbrev=False)
    parser.add_argument(
        "--parallel",
        default="ddp",
        metavar="NAME[=RANKS],...",
        help="ddp, zero1, zero2, zero3, tp, sp, pp, ep, cp, or two of them: zero3=2,tp=2 (ddp)",
    )
    _add_model(parser.add_argument_group("the model"))
    _add_work(parser.add_argument_group("the work"))
    _add_messages(parser.add_argument_group("what is sent"))
    _add_files(parser.add_argument_group("files"))


def once() -> AbstractContextManager[None]:
    """All ranks of an MPI program read the command line: let one answer."""
    from collectives.llm.training.once import once

    return once()


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    for name in THREADS:  # a rank is a process for one core; numpy reads this when it is imported
        os.environ.setdefault(name, "1")
    from collectives.llm.training import program

    return program.run(arguments)


def _add_model(group: Any) -> None:
    for name, default, what in (
        ("layers", 4, "blocks"),
        ("hidden", 64, "width of a token's vector"),
        ("heads", 4, "heads of attention"),
        ("ffn", 0, "width of the MLP; 0 is 4 times hidden"),
        ("sequence", 64, "tokens of a sequence"),
        ("experts", 0, "experts in place of each MLP; 0 is none"),
    ):
        _number(group, name, default, what, least=0 if default == 0 else 1)
    group.add_argument(
        "--top-k",
        type=partial(number, least=1),
        metavar="N",
        help="experts of a token (2)",
    )


def _add_work(group: Any) -> None:
    for name, default, what in (
        ("steps", 300, "steps, those before a checkpoint included"),
        ("batch", 16, "sequences of a step, on all ranks together"),
        ("micro-batches", 0, "parts of a rank's sequences; 0 is 1, or with pp twice the stages"),
        ("seed", 0, "of weights and batches"),
        ("sample", 200, "characters that are written by the model in the end"),
    ):
        _number(group, name, default, what, least=1 if name in ("steps", "batch") else 0)
    group.add_argument(
        "--rate", type=positive, default=3e-3, metavar="X", help="learning rate (%(default)s)"
    )
    group.add_argument(
        "--clip", type=positive, default=0.0, metavar="X", help="the largest norm of gradients"
    )
    group.add_argument(
        "--balance",
        type=share,
        metavar="X",
        help="weight of the loss that spreads tokens evenly over experts (0.01)",
    )
    group.add_argument(
        "--precision", default="fp32", metavar="NAME", help="fp32, bf16, fp16 or fp64 (fp32)"
    )
    group.add_argument("--schedule", choices=("gpipe", "1f1b"), help="of pp (1f1b)")


def _add_messages(group: Any) -> None:
    group.add_argument(
        "--algorithm", metavar="NAME", help="what calls take: ring, or allreduce=ring,bcast=tree"
    )
    _number(group, "bucket", 2**18, "bytes of gradients from which on ddp sends them", least=1)
    group.add_argument(
        "--compress", choices=("int8", "topk"), default="", help="the gradients of ddp"
    )
    group.add_argument(
        "--reproducible",
        action="store_true",
        help="sums of gradients with the same bits on any number of ranks",
    )


def _add_files(group: Any) -> None:
    for name, kind, what in (
        ("text", "FILE", "what to learn, in UTF-8, in place of documents of this library"),
        ("save", "FOLDER", "write a checkpoint in the end, a file for each rank"),
        ("restore", "FOLDER", "go on where a checkpoint was written"),
        ("plot", "FILE", "draw the loss: .svg, .pdf or .png"),
    ):
        group.add_argument(f"--{name}", metavar=kind, help=what)
    group.add_argument("--json", action="store_true", help="print it for programs")


def _number(group: Any, name: str, default: int, what: str, least: int) -> None:
    group.add_argument(
        f"--{name}",
        type=partial(number, least=least),
        default=default,
        metavar="N",
        help=f"{what} (%(default)s)",
    )
