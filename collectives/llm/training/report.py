"""What was measured, beside what the calculators of `collectives.llm` say: equal, to the byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from collectives.algorithms.language.blocks import even_counts
from collectives.llm import layout as layouts
from collectives.llm.flows import SEND, Routing
from collectives.llm.memory import model_state
from collectives.llm.recipes import Line, Recipe
from collectives.llm.shapes import Shape
from collectives.llm.traffic import counted, per_step
from collectives.llm.training.ledger import KINDS
from collectives.llm.training.trainer import COMPRESSED, Job, Trainer
from collectives.llm.work import Work
from collectives.mpi.reproducible import PARTS
from collectives.operators import accumulator

ROW = PARTS + 2 * accumulator.SIZE  # integers that reproducible_sum adds up in place of a number
PRIMITIVES = ("allreduce", "reduce_scatter", "allgather", "alltoall")


@dataclass(frozen=True)
class Pair:
    """A number of bytes that was measured, and what it was to be."""

    what: str
    measured: int
    calculated: int


@dataclass(frozen=True)
class Report:
    """What one rank held at most and sent in all steps.

    Attributes
    ----------
    held, sent : list of Pair
        By kind, and by primitive.
    most : int
        The most bytes at one time; not all kinds have their peaks together.
    aside : int
        Bytes that the library sent for itself, such as to compare first calls.
    """

    held: list[Pair]
    sent: list[Pair]
    most: int
    aside: int

    @property
    def wrong(self) -> list[Pair]:
        """Where the two differ."""
        return [pair for pair in self.held + self.sent if pair.measured != pair.calculated]


def report(trainer: Trainer, steps: int) -> Report:
    """This rank's, after some steps since the books were begun; all ranks have to ask."""
    ledger, rank = trainer.ledger, trainer.world.rank
    sent: Counter[str] = Counter({SEND: sum(ledger.sent.values())})
    aside = 0
    for usage in trainer.grid.counts():
        if usage.within:
            aside += usage.bytes_sent
        else:
            sent[usage.primitive] += usage.bytes_sent
    peak = ledger.peak.copy()
    held = expected_held(trainer.job, rank)
    names = {primitive: trainer.world.algorithm_for(primitive) for primitive in PRIMITIVES}
    to_send = expected_sent(trainer.job, rank, steps, names, _routed(trainer))
    return Report(
        [Pair(kind, peak[kind], held[kind]) for kind in KINDS],
        [Pair(name, sent[name], to_send[name]) for name in sorted(sent | to_send)],
        ledger.most,
        aside,
    )


def expected_held(job: Job, rank: int) -> dict[str, int]:
    """Bytes by kind that a rank is to hold at most."""
    computed = job.recipe.computed.itemsize
    found = model_state(shape(job), lines(job), layout(job), rank, compute=computed)
    return {kind: int(nbytes) for kind, nbytes in found.items()}


def expected_sent(
    job: Job, rank: int, steps: int, algorithms: dict[str, str], routed: Sequence[Routing]
) -> Counter[str]:
    """Bytes by primitive that a rank is to send in some steps.

    Where the micro-batches of a rank are not equally long, what depends on them is counted for
    each; the rest once.
    """
    found: Counter[str] = Counter()
    whole = layout(job)
    place = whole.place(rank)
    feeds = whole.batches
    lengths = even_counts(job.batch, feeds * job.micro_batches)
    first = (place["dp"] * whole.ep + place["ep"]) * job.micro_batches
    mine = lengths[first : first + job.micro_batches]
    work = Work(
        job.size.sequence,
        max(mine),
        job.micro_batches,
        clip=bool(job.clip),
        loss=True,
        bucket=job.bucket,
        activation_bytes=job.recipe.computed.itemsize,
    )
    for each in per_step(shape(job), lines(job), whole, work, rank, _named(job, algorithms)):
        if each.flow.strategy == "clip" and job.recipe.reproducible:
            each = counted(replace(each.flow, calls=((ROW, 1),)), each.algorithm, rank)
        if each.flow.strategy not in ("tp", "sp", "pp", "cp", "ep"):
            found[each.flow.primitive] += each.sent * steps
    for number, length in enumerate(mine):
        alone = replace(work, micro_batch=length, micro_batches=1)
        for step in range(steps):
            rows = {
                (layer, 0): table
                for (layer, micro), table in (routed[step].items() if routed else ())
                if micro == number
            }
            for each in per_step(
                shape(job), lines(job), whole, alone, rank, algorithms, rows or None
            ):
                if each.flow.strategy in ("tp", "sp", "pp", "cp", "ep"):
                    found[each.flow.primitive] += each.sent
    return found


def _named(job: Job, algorithms: dict[str, str]) -> dict[str, str]:
    return {**algorithms, "allreduce": COMPRESSED[job.compress]} if job.compress else algorithms


def _routed(trainer: Trainer) -> list[Routing]:
    """Rows from each rank of ep to each, by step, layer and micro-batch."""
    if trainer.job.layout.sizes["ep"] == 1:
        return []
    every = trainer.grid.comm["ep"].allgather(trainer.ledger.routed)
    tables = list(zip(*every))  # in the order of calls, a row for each rank
    layers, micros = trainer.job.size.layers, trainer.job.micro_batches
    return [
        {
            (layer, micro): tables[start + micro * layers + layer]
            for micro in range(micros)
            for layer in range(layers)
        }
        for start in range(0, len(tables), layers * micros)
    ]


def shape(job: Job) -> Shape:
    """The model as the calculators know it."""
    size = job.size
    return Shape(
        "train",
        size.layers,
        size.hidden,
        size.heads,
        size.ffn,
        size.vocab,
        positions=size.sequence,
        gated=False,
        biases=True,
        norm_biases=True,
        experts=size.experts,
        top_k=size.top_k if size.experts else 0,
    )


def lines(job: Job) -> Recipe:
    """The recipe as the calculators know it."""
    kept = job.recipe
    found = [
        Line("weights", "weights", kept.stored.itemsize, 3),
        Line("gradients", "gradients", kept.summed.itemsize, 2),
        Line("moments", "moments", 2 * kept.computed.itemsize, 1),
    ]
    if kept.master:
        found.append(Line("master weights", "master", kept.computed.itemsize, 1))
    return Recipe(kept.name, kept.name, "", tuple(found))


def layout(job: Job) -> layouts.Layout:
    """The layout as the calculators know it."""
    sizes = job.layout.sizes
    return layouts.Layout(
        dp=sizes["dp"],
        tp=sizes["tp"],
        pp=sizes["pp"],
        ep=sizes["ep"],
        cp=sizes["cp"],
        zero=("ddp", "zero1", "zero2", "zero3").index(job.layout.state),
        sp=job.layout.pieces and sizes["tp"] > 1,
        schedule=job.schedule,
        vocab_cut=False,
        regather=False,
    )
