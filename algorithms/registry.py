"""`@algorithm(...)` beside a generator is all it takes to add an algorithm.

The registry is the list of what there is. Tests, simulator, bench and the
command line read it, so a registered algorithm is found by all of them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .steps import Step

Generator = Callable[..., Iterator[Step | tuple[Step, ...] | list[Step]]]

# What an algorithm of each primitive is given after (rank, p):
#   buf               the vector; bcast sends the root's to everyone
#   sendbuf, recvbuf  this rank's input, which must not change, and its output
#   root              the special rank
# Where a primitive deals in blocks, the longer side is a `Blocks` of p blocks:
# sendbuf in scatter (at the root), reduce_scatter and alltoall, recvbuf in
# gather (at the root), allgather and alltoall. Buffers that mean nothing on a
# rank (scatter's sendbuf and the recvbuf of gather and reduce, except at the
# root) are None.
ARGUMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "barrier": (),
        "bcast": ("buf", "root"),
        "scatter": ("sendbuf", "recvbuf", "root"),
        "gather": ("sendbuf", "recvbuf", "root"),
        "allgather": ("sendbuf", "recvbuf"),
        "reduce": ("sendbuf", "recvbuf", "root"),
        "allreduce": ("sendbuf", "recvbuf"),
        "reduce_scatter": ("sendbuf", "recvbuf"),
        "alltoall": ("sendbuf", "recvbuf"),
        "scan": ("sendbuf", "recvbuf"),
        "exscan": ("sendbuf", "recvbuf"),
    }
)

PRIMITIVES: tuple[str, ...] = tuple(ARGUMENTS)
REDUCTIONS: frozenset[str] = frozenset({"reduce", "allreduce", "reduce_scatter", "scan", "exscan"})
ROOTED: frozenset[str] = frozenset(p for p, names in ARGUMENTS.items() if "root" in names)

# An algorithm that forwards blocks of other ranks may ask for their lengths:
# `counts[i]` elements for rank i, and in alltoall `counts[i][j]` from i to j.
WITH_COUNTS: frozenset[str] = frozenset({"scatter", "gather", "alltoall"})


# No algorithm is called so: it asks for the one that fits p and the length.
AUTO = "auto"


@dataclass(frozen=True)
class Algorithm:
    """A registered algorithm and what it declares of itself.

    Attributes
    ----------
    primitive, name : str
        Together its full name, `allreduce.ring`.
    generator : callable
        The algorithm.
    commutative : bool
        It needs an operator that commutes.
    power_of_two : bool
        It needs a power-of-two number of ranks.
    minimum_p : int
        It needs at least so many ranks.
    needs_counts : bool
        It wants to know the block lengths of all ranks.
    parameters : mapping
        Its keyword parameters and their defaults.
    summary, cost, restrictions, reference : str
        From the docstring. `cost` is a formula in p, n (bytes), alpha, beta
        and gamma.
    """

    primitive: str
    name: str
    generator: Generator
    commutative: bool = False
    power_of_two: bool = False
    minimum_p: int = 1
    needs_counts: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    cost: str = ""
    restrictions: str = ""
    reference: str = ""

    def __str__(self) -> str:
        return f"{self.primitive}.{self.name}"


REGISTRY: dict[str, dict[str, Algorithm]] = {primitive: {} for primitive in PRIMITIVES}


def algorithm(
    primitive: str,
    *,
    name: str | None = None,
    commutative: bool = False,
    power_of_two: bool = False,
    minimum_p: int = 1,
) -> Callable[[Generator], Generator]:
    """Register the decorated generator as an algorithm of `primitive`.

    Parameters
    ----------
    primitive : str
        One of `PRIMITIVES`.
    name : str, optional
        The algorithm's name; the function's name by default.
    commutative, power_of_two, minimum_p
        Restrictions. They are checked before the first step, so the generator
        need not test them.

    Raises
    ------
    ValueError
        The primitive is unknown or the name is taken.
    TypeError
        The generator does not take the primitive's arguments.

    Examples
    --------
    >>> @algorithm("barrier", name="example")          # doctest: +SKIP
    ... def example(rank, p):
    ...     yield send(NOTHING, (rank + 1) % p), recv(NOTHING, (rank - 1) % p)
    """
    if primitive not in REGISTRY:
        raise ValueError(f"a primitive is needed, got {primitive!r}; choose from {PRIMITIVES}")

    def register(generator: Generator) -> Generator:
        title = generator.__name__ if name is None else name
        if title == AUTO:
            raise ValueError(f"{primitive}.{title} stands for a choice; choose another name")
        taken = REGISTRY[primitive].get(title)
        if taken is not None and not _same_source(taken.generator, generator):
            raise ValueError(f"{primitive}.{title} exists already; choose another name")
        needs_counts, parameters = _signature(f"{primitive}.{title}", primitive, generator)
        REGISTRY[primitive][title] = Algorithm(
            primitive,
            title,
            generator,
            commutative,
            power_of_two,
            minimum_p,
            needs_counts,
            MappingProxyType(parameters),
            **_docstring(generator),
        )
        return generator

    return register


def _same_source(one: Generator, other: Generator) -> bool:
    """Whether two functions are one, loaded twice (a user's file, reloaded)."""
    return (one.__code__.co_filename, one.__qualname__) == (
        other.__code__.co_filename,
        other.__qualname__,
    )


def _signature(title: str, primitive: str, generator: Generator) -> tuple[bool, dict[str, Any]]:
    """Check the arguments; return whether it wants counts, and its parameters."""
    if not inspect.isgeneratorfunction(generator):
        raise TypeError(f"{title}: an algorithm must be a generator, got {generator!r}")
    parameters = inspect.signature(generator).parameters.values()
    positional = [x.name for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD]
    wanted = ["rank", "p", *ARGUMENTS[primitive]]
    optional = ["counts"] if primitive in WITH_COUNTS else []
    if positional not in (wanted, wanted + optional):
        hint = f" (and {optional[0]} if it needs them)" if optional else ""
        raise TypeError(f"{title}: needs the arguments {wanted}{hint}, got {positional}")
    tunable = {x.name: x.default for x in parameters if x.kind is x.KEYWORD_ONLY}
    for key, default in tunable.items():
        if default is inspect.Parameter.empty:
            raise TypeError(f"{title}: parameter {key} needs a default")
    return positional != wanted, tunable


def _docstring(generator: Generator) -> dict[str, str]:
    """The one-line summary and the Cost, Restrictions and Reference lines."""
    text = inspect.getdoc(generator) or ""
    found = dict(re.findall(r"^(Cost|Restrictions|Reference): (.+(?:\n {2,}\S.*)*)", text, re.M))
    lines = {key.lower(): " ".join(value.split()) for key, value in found.items()}
    return {"summary": text.split("\n", 1)[0], **lines}
