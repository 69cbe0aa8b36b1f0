"""How the ranks are laid out: a grid, with an axis for each kind of parallelism."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mpi4py import MPI

from collectives.errors import ArgumentError
from collectives.llm.layout import AXES, COPIES, EXPERT_COPIES, Layout
from collectives.llm.numbers import divisors, nearest
from collectives.llm.training.model.layers import Size
from collectives.mpi.data.nodes import leader

STATES = ("ddp", "zero1", "zero2", "zero3")  # by the stage of ZeRO
_AXIS = {**dict.fromkeys(STATES, "dp"), "sp": "tp", "tp": "tp", "pp": "pp", "ep": "ep", "cp": "cp"}
# What has been thought through, and is tested.
TOGETHER = ({"dp", "tp"}, {"dp", "pp"}, {"dp", "ep"}, {"dp", "cp"}, {"tp", "pp"})


def named(layout: Layout) -> str:
    """A layout as `--parallel` has it: `zero3=2,tp=2`."""
    names = {"dp": STATES[layout.zero], "tp": "sp" if layout.sp else "tp"}
    sizes = {axis: getattr(layout, axis) for axis in reversed(AXES)}
    words = [f"{names.get(axis, axis)}={n}" for axis, n in sizes.items() if n > 1]
    return ",".join(words) or "one rank"


def parse(text: str, ranks: int, schedule: str | None = None) -> Layout:
    """What `--parallel` says: `zero3`, or `zero3=2,tp=2`; one may be without its number.

    Parameters
    ----------
    text : str
    ranks : int
    schedule : str, optional
        Of a pipeline; by default 1f1b.

    Raises
    ------
    ArgumentError
        A name is unknown, two do not go together, the numbers do not multiply to the ranks, or
        there is a schedule without a pipeline.
    """
    given: dict[str, int | None] = {}
    for word in text.split(","):
        name, equals, number = word.strip().partition("=")
        if name not in _AXIS:
            raise ArgumentError(
                f"train: --parallel needs names of {', '.join(_AXIS)}, got {name!r}; "
                "write zero3, or ddp=2,tp=2"
            )
        if equals and not (number.isdigit() and int(number)):
            raise ArgumentError(
                f"train: --parallel needs a number of ranks from 1 on, got {word.strip()!r}; "
                f"write {name}=2"
            )
        if _AXIS[name] in [_AXIS[other] for other in given]:
            raise ArgumentError(
                f"train: --parallel needs one kind of {_AXIS[name]}, got {text!r}; "
                f"take one of {', '.join(x for x in _AXIS if _AXIS[x] == _AXIS[name])}"
            )
        given[name] = int(number) if equals else None
    sizes = {_AXIS[name]: number for name, number in given.items()}
    if len(sizes) > 1 and set(sizes) not in TOGETHER:
        raise ArgumentError(
            f"train: --parallel has no {' x '.join(sizes)}; "
            f"there are {', '.join(' x '.join(sorted(pair)) for pair in TOGETHER)}"
        )
    if schedule is not None and "pp" not in sizes:
        raise ArgumentError(
            f"train: --schedule is for a pipeline, got --parallel {text}; add pp, or leave "
            "--schedule out"
        )
    fitted = _fitted(text, sizes, ranks)
    return Layout(
        **fitted,
        zero=next((stage for stage, name in enumerate(STATES) if name in given), 0),
        sp="sp" in given and fitted["tp"] > 1,
        schedule=schedule or "1f1b",
        regather=False,
    )


def _fitted(text: str, sizes: dict[str, int | None], ranks: int) -> dict[str, Any]:
    """With numbers that multiply to the ranks."""
    known = math.prod(number for number in sizes.values() if number)
    missing = [axis for axis, number in sizes.items() if number is None]
    if len(missing) > 1:
        raise ArgumentError(
            f"train: --parallel needs numbers for all names but one, got {text!r}; "
            f"write {missing[0]}={max(divisors(ranks)[:-1], default=1)} or the like"
        )
    if missing and ranks % known == 0:
        sizes = {**sizes, missing[0]: ranks // known}
    elif missing or known != ranks:
        fit = ", ".join(map(str, divisors(ranks)))
        raise ArgumentError(
            f"train: --parallel needs numbers that multiply to the {ranks} ranks, got {text!r} "
            f"= {known}; numbers that divide {ranks} are {fit}, or take mpirun -n {known}"
        )
    return {axis: sizes.get(axis) or 1 for axis in AXES}


def check(layout: Layout, size: Size, batch: int, micro_batches: int) -> None:
    """Raise ArgumentError unless the model and the batch can be cut like that."""
    for what, total, axis in (
        ("heads", size.heads, "tp"),
        ("ffn", size.ffn, "tp"),
        ("layers", size.layers, "pp"),
        ("experts", size.experts, "ep"),
        ("sequence", size.sequence, "cp"),
    ):
        n = getattr(layout, axis)
        if total % n:
            fits = ", ".join(map(str, divisors(total)))
            raise ArgumentError(
                f"train: --{what} must be a multiple of the {n} ranks of {axis}, got "
                f"{total}; --{what} {nearest(total, n)} would fit, or {axis} of {fits}"
            )
    if layout.ep > 1 and not size.experts:
        raise ArgumentError(
            f"train: ep needs a model with experts, got none; add --experts {layout.ep}"
        )
    for axis in ("tp", "cp"):
        if size.experts and getattr(layout, axis) > 1:
            raise ArgumentError(
                f"train: {axis} needs MLPs, got --experts {size.experts}; leave them out, or take "
                "ddp=2,ep=2"
            )
    if layout.sp and size.sequence < layout.tp:
        raise ArgumentError(
            f"train: sp needs a token for each of its {layout.tp} ranks, got --sequence "
            f"{size.sequence}; --sequence {layout.tp} would fit"
        )
    if size.vocab < layout.tp:
        raise ArgumentError(
            f"train: tp needs a character for each of its {layout.tp} ranks, got a text of "
            f"{size.vocab} different ones; take another text, or fewer ranks"
        )
    least = layout.batches * micro_batches
    if batch < least:
        raise ArgumentError(
            f"train: --batch must have a sequence for each of {layout.batches} ranks and "
            f"{micro_batches} micro-batches, got {batch}; --batch {least} would fit"
        )


class Grid:
    """This rank's place, and the communicators along the axes.

    Parameters
    ----------
    world : collectives.Comm
    layout : Layout

    Attributes
    ----------
    place : dict of str to int
        By axis.
    comm : dict
        By axis, the ranks that differ from this one in nothing else; `data` are those that have
        the same parameters and other tokens, `experts` those that have the same experts.
    nodes : list of int
        Of each rank of the world, the first rank of its node.
    """

    def __init__(self, world: Any, layout: Layout):
        self.world, self.layout = world, layout
        self.nodes = world.allgather(leader(MPI.Intracomm(world)))
        self.place = layout.place(world.rank)
        self.comm = {axis: self._along([axis]) for axis in ("pp", "ep", "cp", "tp")}
        self.comm["data"] = self._along(COPIES)
        self.comm["experts"] = self._along(EXPERT_COPIES)

    def _along(self, axes: Sequence[str]) -> Any:
        """The ranks whose places differ along these axes only, in order."""
        rank = self.world.rank
        return self.world.Split(self.layout.group(rank, axes)[0], rank)

    def counts(self, reset: bool = False) -> list[Any]:
        """What ran on all these communicators, on this rank."""
        every = [self.world, *self.comm.values()]
        return [usage for comm in every for usage in comm.counts(reset)]

    def free(self) -> None:
        """Free the communicators."""
        for comm in self.comm.values():
            comm.Free()
