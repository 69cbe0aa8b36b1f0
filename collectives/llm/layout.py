"""Layouts: how the ranks share the work.

Every rank has a place on six axes. Along `dp` and `ep` each rank has sequences of its own, along
`cp` a piece of each sequence, along `tp` a slice of every matrix, along `pp` some of the layers.
`ep` ranks differ in which experts they hold, too. Parameters are copied over dp, ep and cp,
experts over dp and cp only; it is over these ranks that gradients are summed and that ZeRO cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import gcd, prod

from collectives import checks
from collectives.errors import ArgumentError
from collectives.llm.numbers import divisors, nearest
from collectives.llm.shapes import Bare, Shape
from collectives.llm.work import Work

# The first are next to each other: what talks most should be on one node.
AXES = ("tp", "cp", "ep", "dp", "pp")

SCHEDULES = ("gpipe", "1f1b", "interleaved")

# The axes over which parameters, and experts, are copied.
COPIES, EXPERT_COPIES = ("cp", "ep", "dp"), ("cp", "dp")


@dataclass(frozen=True)
class Layout:
    """How many ranks there are along each axis.

    Attributes
    ----------
    dp, tp, pp, ep, cp : int
    zero : int
        The stage of ZeRO: 0 cuts nothing, 1 master weights and moments, 2 gradients, too,
        3 weights, too.
    sp : bool
        Sequence parallelism: between the matrices, tp ranks share the tokens.
    schedule : str
        One of `SCHEDULES`.
    chunks : int
        Pieces of the model on each stage of an interleaved pipeline.
    vocab_cut : bool
        Whether tp cuts the matrices of embedding and head, too.
    regather : bool
        Whether sp keeps only its share of a matrix's input, and gathers it again in backward.
    order : tuple of str
        The axes, those of neighbouring ranks first.

    Raises
    ------
    ArgumentError
        A value is out of its range.
    """

    dp: int = 1
    zero: int = 0
    tp: int = 1
    sp: bool = False
    pp: int = 1
    schedule: str = "1f1b"
    chunks: int = 1
    ep: int = 1
    cp: int = 1
    vocab_cut: bool = True
    regather: bool = True
    order: tuple[str, ...] = AXES

    def __post_init__(self) -> None:
        for axis in (*AXES, "chunks"):
            checks.integer("layout", axis, getattr(self, axis), 1)
        if self.zero not in range(4) or isinstance(self.zero, bool):
            raise ArgumentError(f"layout: zero must be a stage from 0 to 3, got {self.zero!r}")
        if self.schedule not in SCHEDULES:
            raise ArgumentError(
                f"layout: schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}"
            )
        if self.chunks > 1 and self.schedule != "interleaved":
            raise ArgumentError(
                f"layout: chunks are for an interleaved pipeline, got {self.chunks} with "
                f"{self.schedule}; add --schedule interleaved"
            )
        if self.schedule == "interleaved" and self.chunks < 2 <= self.pp:
            raise ArgumentError(
                "layout: an interleaved pipeline needs at least 2 chunks, got 1; add --chunks 2"
            )
        if self.sp and self.tp == 1:
            raise ArgumentError(
                "layout: sp shares tokens among the ranks of tp, got tp 1; add --tp, or leave "
                "--sp out"
            )
        if sorted(self.order) != sorted(AXES):
            raise ArgumentError(
                f"layout: order must be {', '.join(AXES)} in any order, got "
                f"{', '.join(map(str, self.order))}"
            )

    @cached_property
    def ranks(self) -> int:
        """How many there are."""
        return prod(getattr(self, axis) for axis in AXES)

    @property
    def copies(self) -> int:
        """Ranks over which the parameters are copied."""
        return prod(getattr(self, axis) for axis in COPIES)

    @property
    def expert_copies(self) -> int:
        """Ranks over which the routed experts are copied."""
        return prod(getattr(self, axis) for axis in EXPERT_COPIES)

    @property
    def batches(self) -> int:
        """Ranks with sequences of their own."""
        return self.dp * self.ep

    @property
    def name(self) -> str:
        """In a few words: `dp 8 zero3`."""
        words = [f"{axis} {getattr(self, axis)}" for axis in AXES if getattr(self, axis) > 1]
        words += [f"zero{self.zero}"] if self.zero else []
        words += ["sp"] if self.sp else []
        if self.pp > 1:
            words.append(self.schedule + (f" {self.chunks}" if self.chunks > 1 else ""))
        return " ".join(words) or "one rank"

    def place(self, rank: int) -> dict[str, int]:
        """Where a rank is on each axis.

        Examples
        --------
        >>> Layout(dp=2, tp=4).place(6)
        {'tp': 2, 'cp': 0, 'ep': 0, 'dp': 1, 'pp': 0}
        """
        found = {}
        for axis in self.order:
            rank, found[axis] = divmod(rank, getattr(self, axis))
        return found

    def rank(self, place: dict[str, int]) -> int:
        """The rank at a place."""
        rank = 0
        for axis in reversed(self.order):
            rank = rank * getattr(self, axis) + place[axis]
        return rank

    def first_of(self, stage: int, at: int = 0) -> int:
        """The first rank of a stage, a place of pp; or of those at another place of tp."""
        return self.rank({**dict.fromkeys(self.order, 0), "pp": stage, "tp": at})

    def position(self, rank: int, axes: Sequence[str]) -> int:
        """Which one of its group a rank is."""
        place, found, size = self.place(rank), 0, 1
        for axis in self.order:
            if axis in axes:
                found += place[axis] * size
                size *= getattr(self, axis)
        return found

    def group(self, rank: int, axes: Sequence[str]) -> tuple[int, ...]:
        """The ranks that differ from this one along some axes only, in order.

        Examples
        --------
        >>> Layout(dp=2, tp=4).group(6, ["dp"])
        (2, 6)
        """
        place = self.place(rank)
        others = product(*[range(getattr(self, axis)) for axis in axes])
        return tuple(
            sorted(self.rank({**place, **dict(zip(axes, each, strict=True))}) for each in others)
        )

    def check(self, shape: Shape | Bare) -> None:
        """Raise ArgumentError unless the model can be cut like that."""
        if isinstance(shape, Bare):
            return
        name = shape.name
        shared = gcd(shape.heads, shape.kv_heads, shape.ffn)
        if shape.experts:
            shared = gcd(shared, shape.expert_ffn)
        for title, what, total, room in (
            ("heads", "tp", shape.heads, shared),
            ("heads of keys and values", "tp", shape.kv_heads, shared),
            ("columns of the feed-forward network (ffn)", "tp", shape.ffn, shared),
            ("columns of an expert", "tp", shape.expert_ffn if shape.experts else 0, shared),
            ("layers", "pp", shape.layers, shape.layers),
            ("layers of a stage", "chunks", shape.layers // self.pp, shape.layers // self.pp),
        ):
            by = getattr(self, what)
            if total % by:
                raise ArgumentError(
                    f"{name}: {what} must divide the {total} {title}, got {by}; "
                    f"{what} {_divisors(room)} would fit"
                )
        if self.ep > 1 and not shape.experts:
            raise ArgumentError(f"{name}: ep needs a model with experts, got none; use --dp")
        if self.ep > 1 and shape.experts % self.ep:
            raise ArgumentError(
                f"{name}: ep must divide the {shape.experts} experts, got {self.ep}; "
                f"ep {_divisors(shape.experts)} would fit"
            )

    def check_work(self, work: Work) -> None:
        """Raise ArgumentError unless the tokens can be shared like that."""
        if work.sequence % self.cp:
            raise ArgumentError(
                f"layout: cp must divide the {work.sequence} tokens of a sequence, got {self.cp}; "
                f"--sequence {nearest(work.sequence, self.cp)} would fit"
            )
        if self.schedule == "interleaved" and work.micro_batches % self.pp:
            near = nearest(work.micro_batches, self.pp)
            raise ArgumentError(
                "layout: an interleaved pipeline needs micro-batches in multiples of its "
                f"{self.pp} stages, got {work.micro_batches}; --micro-batches {near} would fit"
            )


def fitted(layout: Layout, ranks: int | None, dp_given: bool) -> Layout:
    """The layout for so many ranks; where nobody said what dp is, it is what is left.

    Raises
    ------
    ArgumentError
        The axes do not multiply to the ranks.
    """
    if ranks is None or layout.ranks == ranks:
        return layout
    others = layout.ranks // layout.dp
    if not dp_given and ranks % others == 0:
        return replace(layout, dp=ranks // others)
    sizes = [f"{axis} {getattr(layout, axis)}" for axis in AXES if getattr(layout, axis) > 1]
    advice = (
        f"dp {ranks // others} would fit"
        if ranks % others == 0
        else f"{others * (ranks // others) or others} or {others * (ranks // others + 1)} ranks fit"
    )
    raise ArgumentError(
        f"layout: the axes must multiply to the {ranks} ranks, got {' x '.join(sizes) or 'dp 1'} "
        f"= {layout.ranks}; {advice}"
    )


def _divisors(number: int) -> str:
    found = list(map(str, divisors(number)))
    return ", ".join(found[:-1]) + (" or " if found[:-1] else "") + found[-1]
