"""What a rank sends in a training step: which primitive, among which ranks, how often, how much.

Nothing is computed here about messages: a `Flow` is a call as training makes it. How many bytes
a rank sends in it is counted in `traffic` from the algorithm that runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from collectives.algorithms.language.blocks import even_counts
from collectives.llm.layout import AXES
from collectives.llm.pipeline import layers_of
from collectives.llm.setups import Setup
from collectives.llm.shapes import Shape
from collectives.llm.units import Unit, units_of

# One message to another rank, for which no algorithm is needed.
SEND = "send"

# Elements of the whole vector, or those of each block where they are not even: of ranks in a
# row, or, for alltoall, of every rank for every rank.
Size = int | tuple[int, ...] | tuple[tuple[int, ...], ...]


def total(size: Size) -> int:
    """Elements of the whole vector; for alltoall with uneven blocks, of the longest one."""
    if isinstance(size, int):
        return size
    return max(map(total, size)) if isinstance(size[0], tuple) else sum(size)


# What an expert's ranks send each other: rows from each to each, for a layer and micro-batch.
Routing = Mapping[tuple[int, int], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Flow:
    """The calls of one kind that a rank makes in a step.

    Attributes
    ----------
    strategy : str
        Why: `dp`, `zero1`, `tp`, ...
    what : str
    primitive : str
        One of ours, or `send`.
    group : tuple of int
        The ranks that take part; of `send` this rank and the one that it sends to.
    calls : tuple of (Size, int)
        How long the vector is, and how often.
    itemsize : int
        Bytes of an element.
    phase : str
        `forward`, `backward` or `update`: what computes meanwhile.
    """

    strategy: str
    what: str
    primitive: str
    group: tuple[int, ...]
    calls: tuple[tuple[Size, int], ...]
    itemsize: int
    phase: str

    @property
    def times(self) -> int:
        """How many calls there are."""
        return sum(times for _, times in self.calls)

    @property
    def lengths(self) -> list[int]:
        """Elements of the whole vector in each kind of call."""
        return [total(size) for size, _ in self.calls]


def flows(setup: Setup, rank: int, routed: Routing | None = None) -> list[Flow]:
    """All calls of a rank in one step.

    Parameters
    ----------
    setup : Setup
    rank : int
    routed : mapping, optional
        For each layer and micro-batch the rows that the ranks of ep send each other; without
        it, tokens go to all experts evenly.
    """
    step = _Step(setup, rank, routed)
    kinds: list[Callable[[], Iterable[Flow]]] = [step.copies]
    if isinstance(setup.model, Shape):
        kinds += [step.slices, step.stages, step.experts, step.pieces]
    found = [flow for kind in [*kinds, step.rest] for flow in kind()]
    return [flow for flow in found if len(flow.group) > 1 and flow.times]


class _Step:
    """One step of one rank."""

    def __init__(self, setup: Setup, rank: int, routed: Routing | None):
        self.setup, self.layout, self.work = setup, setup.layout, setup.work
        self.rank, self.routed = rank, routed
        self.weight, self.gradient = map(setup.recipe.travelling, ("weights", "gradients"))
        self.activation = setup.activation
        # How often forward is computed.
        self.forwards = 2 if self.work.recompute == "full" else 1
        self.place = self.layout.place(rank)
        self.units = units_of(setup.model, self.layout, rank)
        self.first = self.place["pp"] == 0
        self.last = self.place["pp"] == self.layout.pp - 1

    @property
    def shape(self) -> Shape:
        return self.setup.shape

    def copies(self) -> Iterator[Flow]:
        """Gradients summed over all copies of a parameter; under ZeRO also the weights."""
        for routed in (False, True):
            units = [unit for unit in self.units if unit.routed == routed]
            if units:
                yield from self._copies(units, "of experts" if routed else "")

    def _copies(self, units: list[Unit], which: str) -> Iterator[Flow]:
        group = self.layout.group(self.rank, units[0].copies)
        zero, often = self.layout.zero, self.work.micro_batches
        strategy = f"zero{zero}" if zero else "dp"
        sizes = [unit.count for unit in units]

        def flow(what: str, primitive: str, sizes: list[int], times: int, phase: str) -> Flow:
            itemsize = self.weight if primitive == "allgather" else self.gradient
            what = f"{what} {which}".strip()
            return Flow(strategy, what, primitive, group, _calls(sizes, times), itemsize, phase)

        if zero == 0:
            buckets = bucketed(sizes, self.work.bucket // self.gradient)
            yield flow("gradients", "allreduce", buckets, 1, "backward")
            return
        if zero == 3:
            yield flow("weights for forward", "allgather", sizes, often, "forward")
            yield flow("weights for backward", "allgather", sizes, often, "backward")
        sums = often if zero > 1 else 1
        yield flow("gradients", "reduce_scatter", sizes, sums, "backward")
        if zero < 3:
            yield flow("new weights", "allgather", sizes, 1, "update")

    def slices(self) -> Iterator[Flow]:
        """Tensor parallelism: activations summed behind every second matrix."""
        if self.layout.sp:
            yield from self._shared_slices()
            return
        n, often = self._activations(), self.work.micro_batches
        layers = len(self._layers())

        def flow(what: str, times: int, phase: str) -> Flow:
            return self._tp(what, "allreduce", _calls([n], times * often), phase)

        yield flow("sums of attention and network", 2 * layers * self.forwards, "forward")
        yield flow("sums of their gradients", 2 * layers, "backward")
        if self.layout.vocab_cut:
            yield flow("sum of the embedding", int(self.first), "forward")
            yield flow("gradient of the head's input", int(self.last), "backward")
            yield self._softmax()

    def _shared_slices(self) -> Iterator[Flow]:
        """The same with sequence parallelism: each sum is cut, and gathered where it is needed.

        Where tp does not cut the vocabulary, embedding and head have all tokens on every rank.
        """
        share = self._shares()
        often, layers, cut = self.work.micro_batches, len(self._layers()), self.layout.vocab_cut
        first, last = int(self.first), int(self.last)

        def flow(what: str, primitive: str, times: int, phase: str) -> Flow:
            return self._tp(what, primitive, _calls([share], times * often), phase)

        inner = 2 * layers
        yield flow("inputs gathered", "allgather", inner * self.forwards + last, "forward")
        yield flow("sums cut", "reduce_scatter", inner * self.forwards + first * cut, "forward")
        yield flow("gradients gathered", "allgather", inner + first, "backward")
        yield flow("sums of gradients cut", "reduce_scatter", inner + last * cut, "backward")
        if self.layout.regather:
            yield flow("inputs gathered again", "allgather", inner + last * cut, "backward")
        if cut:
            yield self._softmax()
        small = [u.whole for u in self.units if 0 <= u.layer < self.shape.layers and not u.routed]
        if cut and last:
            small.append(self.units[-1].whole)
        calls, group = _calls(small, often), self._group("tp")
        what = "gradients of norms and biases"
        yield Flow("sp", what, "allreduce", group, calls, self.gradient, "backward")

    def _softmax(self) -> Flow:
        """The largest logit, the sum of exponentials and the target's logit of every token."""
        rows = self._tokens() * self.work.micro_batch
        calls = _calls([rows], 3 * self.work.micro_batches * self.last)
        flow = self._tp("softmax of the cut logits", "allreduce", calls, "forward")
        return replace(flow, itemsize=max(4, self.activation))  # 32 bits at least

    def stages(self) -> Iterator[Flow]:
        """Pipeline parallelism: activations to the next stage, gradients to the one before."""
        layout, often = self.layout, self.work.micro_batches
        n = self._shares()[self.place["tp"]] if layout.sp else self._activations()
        forward = layout.chunks - self.last  # the last chunk's output stays
        backward = layout.chunks - self.first
        for what, step, times, phase in (
            ("activations to the next stage", 1, forward, "forward"),
            ("gradients to the stage before", -1, backward, "backward"),
        ):
            other = self.layout.rank({**self.place, "pp": (self.place["pp"] + step) % layout.pp})
            group = tuple(dict.fromkeys((self.rank, other)))
            calls = _calls([n], times * often)
            yield Flow("pp", what, SEND, group, calls, self.activation, phase)
        if self.shape.tied and layout.pp > 1 and (self.first or self.last):
            ends = {layout.rank({**self.place, "pp": stage}) for stage in (0, layout.pp - 1)}
            matrix = self.units[0 if self.first else -1].tensors[0 if self.first else -1].count
            yield Flow(
                *("pp", "gradient of the tied embedding", "allreduce", tuple(sorted(ends))),
                *(_calls([matrix], 1), self.gradient, "backward"),
            )

    def experts(self) -> Iterator[Flow]:
        """Expert parallelism: tokens to the ranks of their experts, and back."""
        layers = [layer for layer in self._layers() if self.shape.has_experts(layer)]
        group = self._group("ep")
        if len(group) == 1:
            return
        there: Counter[Size] = Counter()
        for layer in layers:
            for micro in range(self.work.micro_batches):
                there[self._routing(layer, micro)] += 1
        back = Counter({_turned(size): times for size, times in there.items()})
        for what, sizes, times, phase in (
            ("tokens to experts", there, self.forwards, "forward"),
            ("tokens back from experts", back, self.forwards, "forward"),
            ("gradients to experts", there, 1, "backward"),
            ("gradients back from experts", back, 1, "backward"),
        ):
            calls = tuple((size, number * times) for size, number in sizes.items())
            yield Flow("ep", what, "alltoall", group, calls, self.activation, phase)
        counts = _calls([self.shape.experts], len(layers) * self.work.micro_batches * self.forwards)
        yield Flow("ep", "how many tokens come", "alltoall", group, counts, 8, "forward")

    def _routing(self, layer: int, micro: int) -> Size:
        width = self.shape.hidden
        if self.routed is not None:
            rows = self.routed[layer, micro]
            return tuple(tuple(width * int(count) for count in row) for row in rows)
        tokens = self._tokens()
        if self.layout.sp:
            tokens = even_counts(tokens, self.layout.tp)[self.place["tp"]]
        return tokens * self.work.micro_batch * self.shape.top_k * width

    def pieces(self) -> Iterator[Flow]:
        """Context parallelism: keys and values go round the ring of those who share sequences."""
        group = self._group("cp")
        size = len(group)
        at = group.index(self.rank)
        ring = tuple(dict.fromkeys((self.rank, group[(at + 1) % size])))
        tokens = self._tokens() * self.work.micro_batch
        n = 2 * tokens * self.shape.kv_size // self.layout.tp
        often = len(self._layers()) * self.work.micro_batches
        for what, hops, phase in (
            ("keys and values round the ring", (size - 1) * self.forwards, "forward"),
            ("keys and values once more", size - 1, "backward"),
            ("their gradients round the ring", size, "backward"),
        ):
            yield Flow("cp", what, SEND, ring, _calls([n], hops * often), self.activation, phase)

    def rest(self) -> Iterator[Flow]:
        """What every rank says to every other once a step."""
        everyone = tuple(range(self.layout.ranks))
        if self.work.clip:
            calls = _calls([1], 1)
            yield Flow("clip", "square of the norm", "allreduce", everyone, calls, 8, "update")
        if self.work.loss:
            model = self.setup.model
            balance = isinstance(model, Shape) and model.experts > 0  # one number for all layers
            calls = _calls([(self.work.micro_batches + balance + 1) * len(everyone)], 1)
            what = "loss, and whether to stop"
            yield Flow("loss", what, "allgather", everyone, calls, 8, "update")

    def _tp(
        self, what: str, primitive: str, calls: tuple[tuple[Size, int], ...], phase: str
    ) -> Flow:
        strategy = "sp" if self.layout.sp else "tp"
        group = self._group("tp")
        return Flow(strategy, what, primitive, group, calls, self.activation, phase)

    def _group(self, axis: str) -> tuple[int, ...]:
        assert axis in AXES
        return self.layout.group(self.rank, (axis,))

    def _layers(self) -> tuple[int, ...]:
        return layers_of(self.shape.layers, self.layout, self.place["pp"])

    def _activations(self) -> int:
        """Elements of a micro-batch's activations between layers, on one rank of cp."""
        return self._tokens() * self.work.micro_batch * self.shape.hidden

    def _shares(self) -> tuple[int, ...]:
        """The same as sequence parallelism shares them: tokens of each sequence."""
        row = self.work.micro_batch * self.shape.hidden
        return tuple(row * count for count in even_counts(self._tokens(), self.layout.tp))

    def _tokens(self) -> int:
        """Of a sequence, on one rank of cp."""
        return self.work.sequence // self.layout.cp


def bucketed(sizes: Sequence[int], least: float) -> list[int]:
    """Neighbouring units together, from the last on, until they have so many parameters.

    Examples
    --------
    >>> bucketed([5, 1, 1, 4], 5)
    [5, 6]
    """
    found, open_one = [], 0
    for size in reversed(sizes):
        open_one += size
        if open_one >= least:
            found.append(open_one)
            open_one = 0
    return [*found, open_one] if open_one else found


def _calls(sizes: Iterable[Size], times: int) -> tuple[tuple[Size, int], ...]:
    """Calls of these lengths, each so often."""
    found = Counter(sizes)
    return tuple((size, number * int(times)) for size, number in found.items() if times and size)


def _turned(size: Size) -> Size:
    """What goes back where that came."""
    return size if isinstance(size, int) else tuple(zip(*size))
