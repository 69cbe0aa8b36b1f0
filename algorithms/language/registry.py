"""`@algorithm(...)` beside a generator is all it takes to add an algorithm.

The registry is the list of what there is. Tests, simulator, bench and the
command line read it, so a registered algorithm is found by all of them.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .codecs import CODECS
from .pages import docstring
from .ranks import Tree
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
# Their results are sums over the ranks up to one's own: no order but that of the ranks will do.
PREFIXES: frozenset[str] = frozenset({"scan", "exscan"})
ROOTED: frozenset[str] = frozenset(p for p, names in ARGUMENTS.items() if "root" in names)

# An algorithm that forwards blocks of other ranks may ask for their lengths:
# `counts[i]` elements for rank i, and in alltoall `counts[i][j]` from i to j.
WITH_COUNTS: frozenset[str] = frozenset({"scatter", "gather", "alltoall"})

# An algorithm with two levels may ask, after these, for `groups`: a tuple with the
# number of each rank's group. Its caller then has one more parameter, `group`.
# One that is made for a network may ask for its `links` instead, a `Links`: its caller has
# the parameters `group` and `topology`.
GROUP, TOPOLOGY, LINKS = "group", "topology", "links"

# A parameter that is a number counts something, so 1 is the least it can be, but for:
LEAST: Mapping[str, int] = MappingProxyType({"k": 2, "seed": 0, "halvings": 0})

# A parameter that is a name is one of these.
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType({"codec": tuple(CODECS)})


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
    lossy : bool
        An allreduce whose results are near the exact ones only. It sums floating-point
        numbers, and nothing else; nobody gets it without asking for it by name.
    needs_counts : bool
        It wants to know the block lengths of all ranks.
    needs_groups : bool
        It wants to know which ranks form a group, such as those of a node.
    needs_links : bool
        It wants to know more: which links lie between the ranks.
    tree : callable or None
        `tree(rank, p, root, **parameters)` is the tree of a scatter or gather: of
        the block lengths a rank needs only those of its own subtree.
    parameters : mapping
        Its keyword parameters and their defaults.
    also : tuple of str
        Other names of it, some with the parameters that make it so:
        "linear:segments=1".
    known_as : str
        What the literature calls it, where the name of its family says something else.
    summary, cost, restrictions, reference : str
        From the docstring. `cost` is a formula in p, n (bytes), alpha, beta
        and gamma; `reference` names works as `collectives/references.bib` labels them.
    """

    primitive: str
    name: str
    generator: Generator
    commutative: bool = False
    power_of_two: bool = False
    minimum_p: int = 1
    lossy: bool = False
    needs_counts: bool = False
    needs_groups: bool = False
    needs_links: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    tree: Callable[..., Tree] | None = None
    known_as: str = ""
    summary: str = ""
    cost: str = ""
    restrictions: str = ""
    reference: str = ""

    def __str__(self) -> str:
        return f"{self.primitive}.{self.name}"

    @property
    def keeps_order(self) -> bool | None:
        """Whether operands meet in rank order; None where nothing is reduced.

        An algorithm that does needs no operator that commutes. With two levels this
        takes groups of neighbouring ranks.
        """
        return not self.commutative if self.primitive in REDUCTIONS else None

    @property
    def names(self) -> dict[str, str]:
        """All its names, and the parameters that each stands for."""
        others = [self.known_as, *self.also] if self.known_as else self.also
        return {self.name: "", **{name: text for name, _, text in map(_parts, others)}}


def _parts(spec: str) -> tuple[str, str, str]:
    return spec.partition(":")


REGISTRY: dict[str, dict[str, Algorithm]] = {primitive: {} for primitive in PRIMITIVES}

# How often something has been registered: whoever keeps what it made of an algorithm
# makes it anew when this has changed.
revision = 0


def named(primitive: str, name: str) -> tuple[Algorithm, str] | None:
    """The algorithm of this name, and the parameters that the name stands for."""
    if name in REGISTRY[primitive]:
        return REGISTRY[primitive][name], ""
    for algorithm in REGISTRY[primitive].values():
        if name in algorithm.names:
            return algorithm, algorithm.names[name]
    return None


def algorithm(
    primitive: str,
    *,
    name: str | None = None,
    also: str | Sequence[str] = (),
    known_as: str = "",
    tree: Callable[..., Tree] | None = None,
    commutative: bool = False,
    power_of_two: bool = False,
    minimum_p: int = 1,
    lossy: bool = False,
) -> Callable[[Generator], Generator]:
    """Register the decorated generator as an algorithm of `primitive`.

    Parameters
    ----------
    primitive : str
        One of `PRIMITIVES`.
    name : str, optional
        The algorithm's name; the function's name by default.
    also : str or sequence of str, optional
        Other names by which it can be found. One may stand for parameters too:
        "linear:segments=1".
    known_as : str, optional
        What the literature calls it, where the name of its family (`ring`,
        `recursive_doubling`, ...) says something else there, or nothing. It can be found
        by that name, too, and tables show both: `recursive_doubling (bruck)`.
    tree : callable, optional
        The tree of a scatter or gather in which a rank uses the block lengths of its
        own subtree only: `tree(rank, p, root, **parameters)`. A scatter of that name
        tells the ranks these lengths.
    commutative, power_of_two, minimum_p, lossy
        Restrictions. They are checked before the first step, so the generator
        need not test them.

    Raises
    ------
    ValueError
        The primitive is unknown, the name is taken, or what is lossy is no allreduce.
    TypeError
        The generator does not take the primitive's arguments.

    Examples
    --------
    >>> @algorithm("barrier", name="example")          # doctest: +SKIP
    ... def example(rank, p):
    ...     yield send(NOTHING, (rank + 1) % p), recv(NOTHING, (rank - 1) % p)
    """
    if primitive not in REGISTRY:
        raise Unfit(f"a primitive is needed, got {primitive!r}", _primitives(primitive))

    def register(generator: Generator) -> Generator:
        title = generator.__name__ if name is None else name
        _check_title(primitive, title, lossy)
        wanted, parameters = _signature(f"{primitive}.{title}", primitive, generator)
        made = Algorithm(
            primitive,
            title,
            generator,
            commutative,
            power_of_two,
            minimum_p,
            lossy,
            "counts" in wanted,
            "groups" in wanted,
            "links" in wanted,
            MappingProxyType(parameters),
            (also,) if isinstance(also, str) else tuple(also),
            tree,
            known_as,
            **_docstring(generator),
        )
        _enter(made)
        return generator

    return register


def _check_title(primitive: str, title: str, lossy: bool) -> None:
    """Raise ValueError if no algorithm can be called so, or be lossy here."""
    if lossy and primitive != "allreduce":
        raise Unfit(f"{primitive}.{title}: only an allreduce can be lossy", "leave lossy out")
    if title == AUTO:
        raise Unfit(f"{primitive}.{title} stands for a choice", "choose another name")


def _enter(new: Algorithm) -> None:
    """Put an algorithm into the registry; raise ValueError if a name is another's."""
    for name in new.names:
        taken = named(new.primitive, name)
        if taken is not None and not _same_source(taken[0].generator, new.generator):
            raise Unfit(f"{new.primitive}.{name} exists already", "choose another name")
    put(new)


def put(new: Algorithm) -> None:
    """Put an algorithm into the registry, in place of what has its name."""
    global revision
    REGISTRY[new.primitive][new.name] = new
    revision += 1


def remove(old: Algorithm) -> None:
    """Take an algorithm out of the registry."""
    global revision
    del REGISTRY[old.primitive][old.name]
    revision += 1


class Unfit(ValueError):
    """What cannot be registered, and what to do about it."""

    def __init__(self, message: str, hint: str):
        super().__init__(f"{message}; {hint}")


class UnfitFunction(Unfit, TypeError):
    """A function that cannot be an algorithm."""


def _primitives(name: object) -> str:
    near = difflib.get_close_matches(str(name), PRIMITIVES, 1, 0.3)
    rest = [primitive for primitive in PRIMITIVES if primitive not in near]
    return f"choose from {', '.join([*near, *rest])}"


def _same_source(one: Generator, other: Generator) -> bool:
    """Whether two functions are one, loaded twice (a user's file, reloaded)."""
    return (one.__code__.co_filename, one.__qualname__) == (
        other.__code__.co_filename,
        other.__qualname__,
    )


def _signature(
    title: str, primitive: str, generator: Generator
) -> tuple[list[str], dict[str, Any]]:
    """Check the arguments; return which it asks for beyond the usual, and its parameters."""
    if not inspect.isgeneratorfunction(generator):
        raise UnfitFunction(
            f"{title}: an algorithm must be a generator, got a function without a yield",
            "write `yield` where it has `return` or a step alone",
        )
    parameters = inspect.signature(generator).parameters.values()
    positional = [x.name for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD]
    usual = ["rank", "p", *ARGUMENTS[primitive]]
    on_request = [*(["counts"] if primitive in WITH_COUNTS else []), "groups", "links"]
    wanted = [name for name in on_request if name in positional]
    if positional != usual + wanted or {"groups", "links"} <= {*wanted}:
        also = f" (and {', '.join(on_request[:-1])} or links if it needs them)"
        got, needed = ", ".join(positional), ", ".join(usual)
        raise UnfitFunction(
            f"{title}: needs the arguments {needed}{also}, got {got or 'none'}",
            f"write `def {title.partition('.')[2]}({needed})`; "
            "parameters of its own come after a star, `*, segments=8`",
        )
    tunable = {x.name: x.default for x in parameters if x.kind is x.KEYWORD_ONLY}
    for key, default in tunable.items():
        if default is inspect.Parameter.empty:
            raise UnfitFunction(f"{title}: parameter {key} needs a default", f"write `{key}=1`")
    if "links" in wanted:  # they are more than groups
        wanted, tunable = [*wanted, "groups"], {TOPOLOGY: None, **tunable}
    if "groups" in wanted:
        tunable = {GROUP: None, **tunable}
    return wanted, tunable


def _docstring(generator: Generator) -> dict[str, str]:
    """The one-line summary and the Cost, Restrictions and Reference lines."""
    text = docstring(generator)
    found = dict(re.findall(r"^(Cost|Restrictions|Reference): (.+(?:\n {2,}\S.*)*)", text, re.M))
    lines = {key.lower(): " ".join(value.split()) for key, value in found.items()}
    return {"summary": text.split("\n", 1)[0], **lines}
