"""The command `train`, from its arguments to what it prints."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import Any

from mpi4py import MPI

from collectives import files
from collectives.catalogue import algorithms_in
from collectives.console import INTERRUPTED, print_json
from collectives.errors import ArgumentError, CollectiveError
from collectives.llm.numbers import nearest
from collectives.llm.training import checkpoint, curve, screen
from collectives.llm.training.grid import named, parse
from collectives.llm.training.model.adam import Adam
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.text import Text, read
from collectives.llm.training.once import on_rank_0
from collectives.llm.training.parallel.ddp import DDP
from collectives.llm.training.recipe import recipe
from collectives.llm.training.report import report, uncompressed
from collectives.llm.training.sample import sample
from collectives.llm.training.trainer import Job, Step, Trainer
from collectives.mpi import program
from collectives.mpi.comm import Comm

KEPT = "interrupted"  # where a run that is stopped leaves its checkpoint
ONE = 1.0  # seconds in which signals count as one: MPICH's mpirun passes Ctrl-C on once more
APART = 4  # in every so many-th step of ddp, nothing overlaps: for comparison


def run(arguments: argparse.Namespace) -> int:
    """Train; returns the exit status. What is wrong is said once, by rank 0."""
    try:
        return _run(arguments)
    except CollectiveError as error:
        if MPI.COMM_WORLD.rank == 0:
            print(error, file=sys.stderr, flush=True)
        return 2
    except BaseException as error:  # perhaps of this rank only: the others would wait
        traceback.print_exc()
        program.end_all_with(error)
        raise


def _run(arguments: argparse.Namespace) -> int:
    chosen = algorithms_in(arguments.algorithm) if arguments.algorithm else None
    world = Comm(MPI.COMM_WORLD, algorithm=chosen)
    text = on_rank_0(world, lambda: read(arguments.text, arguments.sequence))
    job = _job(arguments, world.size, text)
    job.check()
    on_rank_0(world, lambda: _check_files(arguments))
    trainer = Trainer(world, job, text)
    if arguments.restore:
        checkpoint.restore(trainer, arguments.restore)
    else:
        checkpoint.begin(trainer)
    if world.rank == 0 and not arguments.json:
        tensors = [t for layer in trainer.every for group in layer.groups for t in group.tensors]
        screen.show_beginning(job, sum(math.prod(t.whole) for t in tensors), world.size)
    return _trained(trainer, arguments)


def _trained(trainer: Trainer, arguments: argparse.Namespace) -> int:
    """All steps, and what is to be said and kept after them."""
    quiet = arguments.json or trainer.world.rank > 0
    trainer.ledger.begin()
    trainer.grid.counts(reset=True)
    steps, waits = _steps(trainer, arguments.steps, quiet)
    reports = trainer.world.allgather(report(trainer, len(steps)))
    target = arguments.save or (KEPT if trainer.stopping else None)
    if target:
        checkpoint.save(trainer, target)
    words = "" if trainer.stopping else sample(trainer, arguments.sample)
    trainer.free()
    if trainer.world.rank == 0:
        _say(arguments, trainer, steps, waits, reports, words)
        if trainer.stopping and not arguments.json:
            print(f"\nstopped after step {trainer.number}; go on with --restore {target}")
    return INTERRUPTED if trainer.stopping else 0


Waits = dict[bool, list[tuple[float, float]]]


def _steps(trainer: Trainer, last: int, quiet: bool) -> tuple[list[Step], Waits]:
    """Train up to a step; with what was waited for, by whether ddp overlapped."""
    job, state = trainer.job, trainer.state
    steps: list[Step] = []
    waits: Waits = {True: [], False: []}
    with stopping(trainer), screen.Way(last, job.tokens, quiet) as way:
        while trainer.number < last and not trainer.stopping:
            if isinstance(state, DDP):
                state.overlap, state.waited = (trainer.number + 1) % APART > 0, 0.0
            steps.append(trainer.step())
            if isinstance(state, DDP) and trainer.grid.comm["data"].size > 1:
                waits[state.overlap].append((steps[-1].seconds, state.waited))
            way.show(steps[-1])
    return steps, waits


@contextmanager
def stopping(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C, on any rank, ends training after the step; once more, later, it ends it at once.

    So does SIGTERM: it is what Open MPI's mpirun makes of Ctrl-C, and how clusters take nodes back.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in signals}
    since: list[float] = []

    def stop(number: int, frame: Any) -> None:
        trainer.stopping = True
        since.append(monotonic())
        if since[-1] - since[0] > ONE:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _say(
    arguments: argparse.Namespace,
    trainer: Trainer,
    steps: list[Step],
    waits: Waits,
    reports: list[Any],
    words: str,
) -> None:
    """Print, and draw, what has come of it."""
    job = trainer.job
    if arguments.plot:
        form = curve.check(arguments.plot)
        numbers, losses = [x.number for x in steps], [x.loss for x in steps]
        files.write(arguments.plot, curve.drawn(numbers, losses, named(job.layout), form), "--plot")
    if arguments.json:
        found = {"steps": list(map(asdict, steps)), "ranks": list(map(asdict, reports))}
        print_json(found)
        return
    screen.show_end(steps, job.tokens)
    if waits[True][1:] and waits[False]:
        screen.show_overlap(waits[True][1:], waits[False])
    if job.compress and len(reports) > 1 and steps:
        plain = uncompressed(trainer, len(steps))
        screen.show_compression(job.compress, reports[0], plain)
    screen.show_reports(reports, len(steps))
    if words:
        print(f"\nWhat it writes:\n{words}")


def _job(arguments: argparse.Namespace, ranks: int, text: Text) -> Job:
    """What the command line asks for."""
    layout = parse(arguments.parallel, ranks, arguments.schedule)
    hidden, heads = arguments.hidden, arguments.heads
    if hidden % heads:
        raise ArgumentError(
            f"train: --hidden must be a multiple of the {heads} heads, got {hidden}; "
            f"--hidden {nearest(hidden, heads)} would fit"
        )
    for name, given in (("top-k", arguments.top_k), ("balance", arguments.balance)):
        if given is not None and not arguments.experts:
            raise ArgumentError(
                f"train: --{name} is for experts, got {given} without; add --experts 4, or leave "
                f"--{name} out"
            )
    top_k = 2 if arguments.top_k is None else arguments.top_k
    if arguments.experts and top_k > arguments.experts:
        raise ArgumentError(
            f"train: --top-k must be from 1 to the {arguments.experts} experts, got "
            f"{top_k}; --top-k {arguments.experts} would fit"
        )
    size = Size(
        arguments.layers,
        hidden,
        heads,
        arguments.sequence,
        len(text.alphabet),
        arguments.ffn or 4 * hidden,
        arguments.experts,
        top_k,
    )
    return Job(
        size,
        layout,
        arguments.batch,
        arguments.micro_batches or (2 * layout.pp if layout.pp > 1 else 1),
        arguments.seed,
        recipe(arguments.precision, arguments.reproducible),
        Adam(arguments.rate),
        arguments.clip,
        arguments.bucket,
        arguments.compress,
        Job.balance if arguments.balance is None else arguments.balance,
    )


def _check_files(arguments: argparse.Namespace) -> None:
    if arguments.plot:
        curve.check(arguments.plot)
        files.check_target(arguments.plot, "train: --plot")
    if arguments.save:
        checkpoint.check_target(arguments.save)
