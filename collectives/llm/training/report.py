"""What was measured, beside what the calculators of `collectives.llm` say: equal, to the byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from collectives.llm.flows import SEND, Routing
from collectives.llm.memory import model_state
from collectives.llm.recipes import Line, Recipe
from collectives.llm.setups import Setup
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


@dataclass(frozen=True)
class Calls:
    """What decides how many bytes a call sends, beside its length.

    Attributes
    ----------
    algorithms : mapping of str to str
        By primitive.
    nodes : sequence of int
        The number of each rank's node.
    routed : mapping, optional
        Where tokens went, as in `flows.flows`.
    """

    algorithms: Mapping[str, str]
    nodes: Sequence[int]
    routed: Routing | None = None


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
    calls = Calls(_names(trainer), trainer.grid.nodes, _routed(trainer))
    to_send = expected_sent(trainer.job, rank, steps, calls)
    return Report(
        [Pair(kind, peak[kind], held[kind]) for kind in KINDS],
        [Pair(name, sent[name], to_send[name]) for name in sorted(sent | to_send)],
        ledger.most,
        aside,
    )


def uncompressed(trainer: Trainer, steps: int) -> int:
    """Bytes of allreduce that this rank would have sent without compression."""
    job = replace(trainer.job, compress="")
    calls = Calls(_names(trainer), trainer.grid.nodes)
    return expected_sent(job, trainer.world.rank, steps, calls)["allreduce"]


def _names(trainer: Trainer) -> dict[str, str]:
    return {primitive: trainer.world.algorithm_for(primitive) for primitive in PRIMITIVES}


def expected_held(job: Job, rank: int) -> dict[str, int]:
    """Bytes by kind that a rank is to hold at most."""
    computed = job.recipe.computed.itemsize
    found = model_state(setup(job), rank, compute=computed)
    return {kind: int(nbytes) for kind, nbytes in found.items()}


def expected_sent(job: Job, rank: int, steps: int, calls: Calls) -> Counter[str]:
    """Bytes by primitive that a rank is to send in some steps.

    Micro-batches may differ by a sequence: so what their length decides is counted for each
    length. Where tokens go to experts, it is counted from where they went.
    """
    if steps == 0:
        return Counter()
    mine = [share.stop - share.start for share in job.shares(rank)]
    step = setup(job).with_work(micro_batch=max(mine))
    found: Counter[str] = Counter()

    def count(setup: Setup, strategies: Container[str], times: int = 1) -> None:
        named, nodes = _named(job, calls.algorithms), calls.nodes
        for each in per_step(setup, rank, named, routed, nodes):
            if each.flow.strategy == "clip" and job.recipe.reproducible:
                numbers = replace(each.flow, calls=((ROW, 1),))
                each = counted(numbers, each.algorithm, rank, nodes)
            if each.flow.strategy in strategies:
                found[each.flow.primitive] += each.sent * times

    routed = calls.routed
    count(step.with_work(micro_batches=job.micro_batches * steps), ("ep",))
    routed = None
    count(step, ("dp", "zero1", "zero2", "zero3", "clip", "loss"), steps)
    for length, times in Counter(mine).items():
        alike = step.with_work(micro_batch=length, micro_batches=times)
        count(alike, ("tp", "sp", "pp", "cp"), steps)
    return found


def _named(job: Job, algorithms: Mapping[str, str]) -> Mapping[str, str]:
    return {**algorithms, "allreduce": COMPRESSED[job.compress]} if job.compress else algorithms


def _routed(trainer: Trainer) -> Routing | None:
    """Rows from each rank of ep to each, by layer and micro-batch, of all steps."""
    if trainer.job.layout.ep == 1:
        return None
    every = trainer.grid.comm["ep"].allgather(trainer.ledger.routed)
    layers = trainer.job.size.layers
    tables = enumerate(zip(*every))  # in the order of calls, a row for each rank
    return {(call % layers, call // layers): table for call, table in tables}


def setup(job: Job) -> Setup:
    """The job as the calculators know it."""
    work = Work(
        job.size.sequence,
        micro_batches=job.micro_batches,
        clip=bool(job.clip),
        loss=True,
        bucket=job.bucket,
        activation_bytes=job.recipe.computed.itemsize,
    )
    return Setup(shape(job), lines(job), job.layout, work)


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
