"""Training: a step, and what is needed for one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from mpi4py import MPI

from collectives.algorithms.language.blocks import even_counts
from collectives.errors import ArgumentError, WrongResult
from collectives.llm.layout import Layout
from collectives.llm.training.build import STATES, build, stage
from collectives.llm.training.grid import Grid, check
from collectives.llm.training.ledger import Ledger, shard
from collectives.llm.training.model.adam import Adam
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.moe import Balance
from collectives.llm.training.model.text import Text
from collectives.llm.training.parallel.pp import Pipeline
from collectives.llm.training.passes import Batch, one_by_one
from collectives.llm.training.recipe import Recipe, recipe
from collectives.llm.training.state import Setting, State
from collectives.mpi.reproducible import reproducible_sum
from collectives.operators.operator import REPRODUCIBLE_SUM

# How gradients are compressed: algorithms of allreduce.
COMPRESSED = {"int8": "compressed_halving:codec=int8", "topk": "compressed_oneshot:codec=topk"}


@dataclass(frozen=True)
class Job:
    """What is trained, and how.

    Attributes
    ----------
    size : Size
    layout : Layout
    batch : int
        Sequences of a step, on all ranks together.
    micro_batches : int
        Into how many a rank cuts its part of them.
    seed : int
    recipe : Recipe
    adam : Adam
    clip : float
        The norm to which gradients are cut; 0 leaves them.
    bucket : int
        Bytes of gradients from which on ddp sends them.
    compress : str
        How gradients are compressed; not at all if empty.
    balance : float
        The weight of the loss that spreads tokens evenly over experts.
    """

    size: Size
    layout: Layout
    batch: int = 16
    micro_batches: int = 1
    seed: int = 0
    recipe: Recipe = field(default_factory=recipe)
    adam: Adam = field(default_factory=Adam)
    clip: float = 0.0
    bucket: int = 2**18
    compress: str = ""
    balance: float = 0.01

    @property
    def tokens(self) -> int:
        """Of a step, on all ranks together."""
        return self.batch * self.size.sequence

    def check(self) -> None:
        """Raise ArgumentError if it cannot be done."""
        check(self.layout, self.size, self.batch, self.micro_batches)
        if self.compress and self.layout.zero:
            raise ArgumentError(
                "train: --compress is for the allreduce of ddp, got "
                f"zero{self.layout.zero}; leave one of them out"
            )
        if self.compress and (self.recipe.reproducible or self.recipe.name in ("bf16", "fp16")):
            raise ArgumentError(
                "train: --compress needs gradients of 32 or 64 bits, got "
                f"{'records' if self.recipe.reproducible else self.recipe.name}; leave one out"
            )

    def shares(self, rank: int) -> list[slice]:
        """Which sequences of a step are in each micro-batch of a rank."""
        parts = self.layout.batches * self.micro_batches
        first = self.layout.position(rank, ("ep", "dp")) * self.micro_batches
        return [shard(self.batch, parts, first + i) for i in range(self.micro_batches)]


@dataclass(frozen=True)
class Step:
    """What a step has come to.

    Attributes
    ----------
    number : int
    loss : float
        The mean over all tokens, in nats, before the update; without the balance of experts.
    balance : float
        How unevenly experts were chosen, the mean over sequences and layers: 1 is evenly; 0
        where there are none.
    norm : float
        Of the gradients, if they are clipped; else 0.
    seconds : float
    """

    number: int
    loss: float
    balance: float
    norm: float
    seconds: float


class Trainer:
    """A rank's part in the training of a model.

    Parameters
    ----------
    world : collectives.Comm
    job : Job
    text : Text

    Attributes
    ----------
    number : int
        Steps done.
    stopping : bool
        Set on any rank, it is set on all after the next step.
    """

    def __init__(self, world: Any, job: Job, text: Text):
        job.check()
        self.world, self.job, self.text = world, job, text
        self.ledger = Ledger()
        self.grid = Grid(world, job.layout)
        self.balance = Balance(job.balance * job.recipe.scale / job.tokens)
        self.every = build(job.size, self.grid, self.ledger, self.balance)
        self.layers = stage(self.every, self.grid)
        self.state: State = STATES[job.layout.zero](self.layers, self._setting())
        self.run = one_by_one if job.layout.pp == 1 else self._pipeline().run
        self.number, self.stopping = 0, False

    def _setting(self) -> Setting:
        job, comm = self.job, self.grid.comm
        return Setting(
            job.recipe,
            job.adam,
            self.ledger,
            comm_of=lambda group: comm["experts" if group.experts else "data"],
            op=REPRODUCIBLE_SUM if job.recipe.reproducible else MPI.SUM,
            bucket=job.bucket,
            options={"algorithm": COMPRESSED[job.compress]} if job.compress else {},
        )

    def _pipeline(self) -> Pipeline:
        job, place = self.job, self.grid.place
        length = job.size.sequence
        if job.layout.sp:
            length = even_counts(length, job.layout.tp)[place["tp"]]
        shape = length, job.size.hidden
        comm = self.grid.comm["pp"]
        return Pipeline(comm, job.layout.schedule, shape, job.recipe.computed, self.ledger)

    def step(self) -> Step:
        """Train on the next batch.

        Raises
        ------
        WrongResult
            On all ranks, if the loss of one is no number.
        """
        start = perf_counter()
        self.number += 1
        job, state = self.job, self.state
        self.balance.total = 0.0
        with np.errstate(all="ignore"):  # what is no number is looked for in `_told`
            losses = self.run(self.layers, state, self._batches(), job.tokens, job.recipe.scale)
        state.finish()
        loss, balance = self._told(losses)
        factor, norm = 1 / job.recipe.scale, 0.0
        if job.clip:
            norm = self._norm() * factor
            factor *= min(1.0, job.clip / max(norm, 1e-12))
        state.update(self.number, factor)
        return Step(self.number, loss, balance, norm, perf_counter() - start)

    def _batches(self) -> list[Batch]:
        """This rank's micro-batches: of its sequences, and of its pieces of them."""
        job, place = self.job, self.grid.place
        every = self.text.batch(self.number, job.seed, job.batch, job.size.sequence)
        piece = job.size.sequence // job.layout.cp
        first = place["cp"] * piece
        some = [every[share, first : first + piece + 1] for share in job.shares(self.world.rank)]
        return [(tokens[:, :-1], tokens[:, 1:]) for tokens in some]

    def _told(self, losses: list[float]) -> tuple[float, float]:
        """The loss of all ranks, and how even experts are: one allgather, with who wants to stop.

        The sum is rounded once, so that it does not depend on who computed what.
        """
        place, size = self.grid.place, self.job.size
        counts = place["tp"] == 0 and place["pp"] == self.job.layout.pp - 1
        # Another rank may have the same; but what is no number stays none.
        mine = np.array([*losses, *[self.balance.total] * (size.experts > 0), self.stopping])
        mine[: len(losses)] *= counts
        every = np.empty((self.world.size, mine.size))
        self.world.Allgather(mine, every)
        self.stopping = bool(every[:, -1].any())
        wrong = np.flatnonzero(~np.isfinite(every[:, :-1]).all(axis=1))
        if wrong.size:
            ranks = ", ".join(map(str, wrong))
            raise WrongResult(
                f"train: the loss must be a number, got {every[wrong[0], :-1].sum()} in step "
                f"{self.number} on rank {ranks}; take a smaller --rate, or --clip 1"
            )
        parts = np.split(every[:, :-1], [len(losses)], axis=1)
        loss, balance = (math.fsum(part.ravel()) for part in parts)
        return loss, balance / (self.job.batch * size.layers)

    def _norm(self) -> float:
        """The norm of all gradients: one more allreduce, of one number."""
        if self.job.recipe.reproducible:  # the same bits, however the squares are spread
            squares = np.concatenate([np.empty(0), *self.state.squares()])
            return math.sqrt(float(reproducible_sum(self.world, squares).real))
        total = np.array([sum(some.sum() for some in self.state.squares())], np.float64)
        self.world.Allreduce(MPI.IN_PLACE, total)
        return math.sqrt(total[0])

    def free(self) -> None:
        """Free the communicators."""
        self.grid.free()
