"""Run under mpirun by test_strategies.py: trains by every strategy, and compares with one process.

Each case is `layout@ranks options`; its ranks are the first ones of the world. Prints a line for
each case that is right; the first that is not ends the run.
"""

import math
import sys
from functools import cache

import numpy as np
from mpi4py import MPI

import collectives
from collectives.llm.training import checkpoint
from collectives.llm.training.grid import parse
from collectives.llm.training.model.functions import cross_entropy
from collectives.llm.training.model.gpt import whole
from collectives.llm.training.model.layers import Size
from collectives.llm.training.model.text import read
from collectives.llm.training.recipe import recipe
from collectives.llm.training.report import report
from collectives.llm.training.trainer import Job, Trainer

STEPS = 3
TEXT = read(None, 64)
LETTERS = len(TEXT.alphabet)
SIZES = {  # layers, hidden, heads, sequence, vocab, ffn, experts
    "dense": Size(2, 24, 12, 12, LETTERS, 48),
    "deep": Size(12, 8, 2, 12, LETTERS, 16),
    "fives": Size(5, 20, 5, 20, LETTERS, 40),
    "eights": Size(8, 16, 8, 16, LETTERS, 32),
    "experts": Size(2, 16, 2, 12, LETTERS, 24, 30),
    "few": Size(2, 16, 2, 12, LETTERS, 24, 8),
}
DENSE = SIZES["dense"]
DTYPES = {"fp64": np.float64, "fp32": np.float32}


def trained(world, layout, *, size="dense", prec="fp64", m=1, batch=8, steps=STEPS, algorithm=None,
            repro=0, clip=0.0, sched=None, compress="", balance=0.01, path=None,
            mute=False):  # fmt: skip
    """The losses of some steps, having compared measured and calculated bytes."""
    comm = collectives.Comm(world, algorithm=algorithm)
    job = Job(
        SIZES[size],
        parse(layout, comm.size, sched),
        batch=int(batch),
        micro_batches=int(m),
        recipe=recipe(prec, bool(repro)),
        clip=float(clip),
        bucket=5000,
        compress=compress,
        balance=float(balance),
    )
    trainer = Trainer(comm, job, TEXT)
    if mute:
        trainer.world = Mute(comm)
    if path:
        checkpoint.restore(trainer, path)
    else:
        checkpoint.begin(trainer)
    trainer.world = comm
    trainer.ledger.begin()
    trainer.grid.counts(reset=True)
    done = [trainer.step() for _ in range(steps)]
    trainer.loads, losses = [step.balance for step in done], [step.loss for step in done]
    found = report(trainer, steps)
    assert not found.wrong, (comm.rank, found.wrong)
    everybodys = comm.allgather(losses)
    assert everybodys.count(losses) == comm.size, "the ranks do not agree on the loss"
    return trainer, losses


class Mute:
    """A communicator that forgets to broadcast."""

    def __init__(self, comm):
        self.comm = comm

    def Bcast(self, *arguments, **options):
        pass

    def __getattr__(self, name):
        return getattr(self.comm, name)


@cache
def alone(**options):
    """One process that has everything."""
    trainer, losses = trained(MPI.COMM_SELF, "ddp", **options)
    trainer.free()
    return losses


def tolerance(size, prec, losses):
    """How far two runs may be apart that add up the same numbers in another order.

    A number that is the sum of n products is off by at most n * u of the sum of magnitudes. On the
    way from tokens to the loss and back sums of hidden, ffn, sequence and vocab numbers follow
    each other: `chain` roundings in all. What is off after a step is at most what the step's
    own roundings come to and what the weights bring along; that is as much again for each step.
    """
    size = SIZES[size]
    block = 3 * size.hidden + size.ffn + size.sequence + size.heads
    chain = 2 * (size.layers * block + size.hidden + size.vocab)
    u = np.finfo(DTYPES[prec]).eps / 2
    return [chain * u * loss * (1 + number) for number, loss in enumerate(losses)]


def compare(losses, expected, size, prec):
    limits = tolerance(size, prec, expected)
    apart = [abs(a - b) for a, b in zip(losses, expected)]
    assert len(losses) == len(expected)
    assert all(a <= limit for a, limit in zip(apart, limits)), (apart, limits)


def strategy(world, layout, **options):
    """Losses as one process has them, bytes as the calculators say."""
    one = {k: v for k, v in options.items() if k not in ("sched", "algorithm", "m")}
    trainer, losses = trained(world, layout, **options)
    trainer.free()
    compare(losses, alone(**one), options.get("size", "dense"), options.get("prec", "fp64"))


def balanced(world, layout, **options):
    """The load of experts is one process's, too; and without its loss training goes another way."""
    one, options = {"size": options["size"]}, {"balance": 1, **options}
    strategy(world, layout, **options)
    loads = []
    for where, balance in (((world, layout), 1), ((MPI.COMM_SELF, "ddp"), 1), ((world, layout), 0)):
        trainer, _ = trained(*where, **{**one, "balance": balance})
        trainer.free()
        loads.append(trainer.loads)
    ours, one_process, without = loads
    np.testing.assert_allclose(ours, one_process, rtol=1e-12)
    assert ours[0] == without[0] > 1 and ours[1:] != without[1:] and ours[-1] < without[-1]


def close(world, layout, **options):
    """Weights and gradients of 16 bits: near to one process, and to float32."""
    trainer, losses = trained(world, layout, **options)
    trainer.free()
    # The gradients of one process are summed in another order, and rounded to 8 or 11 bits.
    u = {"bf16": 2.0**-9, "fp16": 2.0**-12}[options["prec"]]
    for same in (alone(**options), alone(prec="fp32")):
        assert all(abs(a - b) <= u * a for a, b in zip(losses, same)), (losses, same)


def same_bits(world, layout, m=1, **options):
    """With reproducible sums: as a loop over micro-batches that is written out here has them."""
    trainer, losses = trained(world, layout, prec="fp32", repro=1, m=m, **options)
    parts = world.size * int(m)
    expected, weights = by_hand(parts, float(options.get("clip", 0)))
    assert losses == expected, (losses, expected)
    for name, values in checkpoint.collected(trainer):
        np.testing.assert_array_equal(values[0], weights[name], err_msg=name)
    trainer.free()


@cache
def by_hand(parts, clip):
    """One process: a micro-batch after the other, and their gradients added exactly."""
    layers = whole(DENSE)
    job = Job(DENSE, parse("ddp", 1), batch=8)
    rng, weights, moments = np.random.default_rng([0, 0]), {}, {}
    for layer in layers:
        for group in layer.groups:
            for tensor in group.tensors:
                key = f"{group.name}/{tensor.name}"
                weights[key] = tensor.draw(rng).astype(np.float32)
                moments[key] = np.zeros((2, weights[key].size), np.float32)
    losses = []
    for number in range(1, STEPS + 1):
        every = TEXT.batch(number, 0, job.batch, DENSE.sequence)
        found, summands = [], {key: [] for key in weights}
        for some in np.array_split(every, parts):
            x, kept = some[:, :-1], []
            for layer in layers:
                x, saved = layer.forward(of(layer, weights), x)
                kept.append(saved)
            loss, dy = cross_entropy(x, some[:, 1:], job.batch * DENSE.sequence)
            found.append(loss)
            for layer in reversed(layers):
                gradients = {key: np.zeros_like(v) for key, v in of(layer, weights).items()}
                dy = layer.backward(of(layer, weights), kept.pop(), dy, gradients)
                for key, gradient in gradients.items():
                    summands[f"{layer.name}/{key}"].append(gradient.ravel())
        losses.append(math.fsum(found))
        sums = {key: exact(parts) for key, parts in summands.items()}
        factor = 1.0
        if clip:
            squares = np.concatenate([np.square(x, dtype=np.float64) for x in sums.values()])
            factor = min(1.0, clip / math.sqrt(math.fsum(squares)))
        for key, gradient in sums.items():
            job.adam.step(weights[key].reshape(-1), gradient, moments[key], number, factor)
    return losses, weights


def of(layer, weights):
    return {t.name: weights[f"{layer.name}/{t.name}"] for g in layer.groups for t in g.tensors}


def exact(summands):
    """As reproducible_sum says it of each element: the correctly rounded sum, to float32."""
    found = np.array([math.fsum(column) for column in np.transpose(summands)])
    some = range(0, found.size, max(found.size // 20, 1))
    for i in some:
        ours = collectives.reproducible_sum(MPI.COMM_SELF, [x[i] for x in summands])
        assert ours == found[i]
    return found.astype(np.float32)


def checkpoints(world, layout, saved="", back="", ranks=2, **options):
    """Saved under one strategy, restored under another on fewer ranks: the losses go on alike."""
    trainer, first = trained(world, layout, steps=2, **options)
    checkpoint.save(trainer, saved)
    rest = [trainer.step().loss for _ in range(2)]
    trainer.free()
    few = world.Split(0 if world.rank < int(ranks) else MPI.UNDEFINED)
    if few:
        options.pop("m", 0)
        other, losses = trained(few, back, steps=2, path=saved, **options)
        size, prec = options.get("size", "dense"), options.get("prec", "fp64")
        compare(first + losses, first + rest, size, prec)
        other.free()
        few.Free()
    world.Barrier()


def broadcast(world, layout, **options):
    """A broadcast that is missing shows in the first loss."""
    job_size = options.get("size", "dense")
    trainer, losses = trained(world, layout, mute=True, **options)
    trainer.free()
    try:
        compare(losses, alone(**options), job_size, "fp64")
    except AssertionError:
        return
    raise AssertionError("nothing shows that weights were not broadcast")


def lossy(world, layout, **options):
    """Compressed gradients: fewer bytes, and a loss that still goes down."""
    options = {"prec": "fp32", "steps": 12, **options}
    trainer, losses = trained(world, layout, **options)
    sent = sum(x.bytes_sent for x in trainer.grid.counts() if x.primitive == "allreduce")
    trainer.free()
    options.pop("compress")
    trainer, exact = trained(world, layout, algorithm={"allreduce": "ring"}, **options)
    whole = sum(x.bytes_sent for x in trainer.grid.counts() if x.primitive == "allreduce")
    trainer.free()
    assert losses[0] == exact[0] and losses[1:] != exact[1:]
    assert sent < 0.6 * whole and losses[-1] < losses[0] - 0.1, (sent, whole, losses)


def not_a_number(world, layout, **options):
    """The loss of one rank is none: all ranks say the same, and whose it was."""
    comm = collectives.Comm(world)
    trainer = Trainer(comm, Job(DENSE, parse(layout, comm.size), batch=8), TEXT)
    checkpoint.begin(trainer)
    trainer.step()
    if comm.rank == 1:
        inner = trainer.layers[1].forward
        trainer.layers[1].forward = lambda w, x: inner(w, x * np.float32(np.nan))
    try:
        trainer.step()
    except collectives.errors.WrongResult as error:
        assert "the loss must be a number, got nan in step 2 on rank 1;" in str(error), error
    else:
        raise AssertionError("nobody noticed")
    trainer.free()


KINDS = {
    f.__name__: f
    for f in (strategy, balanced, close, same_bits, checkpoints, broadcast, lossy, not_a_number)
}  # fmt: skip


def main():
    for case in sys.argv[1:]:
        name, *words = case.split()
        layout, _, ranks = name.partition("@")
        options = dict(word.split(":", 1) for word in words)
        kind = KINDS[options.pop("kind", "strategy")]
        world = MPI.COMM_WORLD
        comm = world.Split(0 if world.rank < int(ranks) else MPI.UNDEFINED)
        if comm:
            kind(comm, layout, **options)
            comm.Free()
        world.Barrier()
        if world.rank == 0:
            print(f"right: {case}", flush=True)


if __name__ == "__main__":
    main()
