"""The shape of a language model, and the parameters that follow from it.

A model is an embedding, equal blocks of attention and feed-forward network, and a head. From the
few numbers of a `Shape` follows every array of parameters, a `Tensor`, and so all counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from math import prod
from typing import Any

from collectives import checks
from collectives.errors import ArgumentError
from collectives.llm.numbers import divisors, nearest

# What parameters are counted under, in the order in which tables have them.
PARTS = (
    "embedding",
    "positions",
    "attention",
    "feed-forward",
    "router",
    "experts",
    "norms",
    "head",
)


MOST_LAYERS = 10_000  # every layer is looked at


@dataclass(frozen=True)
class Tensor:
    """One array of parameters.

    Attributes
    ----------
    name : str
    part : str
        One of `PARTS`.
    size : tuple of int
    cut : int or None
        The axis that tensor parallelism cuts; None where every rank holds all of it.
    """

    name: str
    part: str
    size: tuple[int, ...]
    cut: int | None = None

    @property
    def count(self) -> int:
        """Parameters in it."""
        return prod(self.size)


@dataclass(frozen=True)
class Bare:
    """A model of which only the number of parameters is known, such as `7B`."""

    name: str
    parameters: int


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer.

    Attributes
    ----------
    name : str
    layers, hidden, heads, ffn, vocab : int
        Blocks, width, attention heads, width within the feed-forward network, tokens.
    kv_heads : int
        Heads of keys and values; fewer than `heads` in grouped-query attention. 0: as many.
    head_size : int
        Width of a head; 0: hidden / heads.
    positions : int
        Learned positions; 0: none (rotary ones have no parameters).
    gated : bool
        Three matrices in the feed-forward network (SwiGLU), or two.
    biases, norm_biases : bool
        Of the matrices, and of the norms (layer norm has them, RMS norm has not).
    tied : bool
        The head uses the embedding's matrix.
    dropout : bool
        Whether training drops elements: their masks are kept for backward.
    experts, top_k, shared : int
        Routed experts of a layer, how many of them a token visits, and experts for all tokens.
    expert_ffn : int
        Width within an expert; 0: `ffn`.
    dense_layers : int
        So many layers at the beginning have a plain feed-forward network all the same.
    sequence : int
        Tokens of a sequence where the user names no other number.
    published : int
        Parameters that its makers name, for comparison; 0: unknown.
    source : str
    """

    name: str
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocab: int
    kv_heads: int = 0
    head_size: int = 0
    positions: int = 0
    gated: bool = True
    biases: bool = False
    norm_biases: bool = False
    tied: bool = False
    dropout: bool = False
    experts: int = 0
    top_k: int = 0
    shared: int = 0
    expert_ffn: int = 0
    dense_layers: int = 0
    sequence: int = 2048
    published: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if checks.is_integer(self.layers) and self.layers > MOST_LAYERS:
            raise ArgumentError(
                f"{self.name}: layers must be at most {MOST_LAYERS:,}, got {self.layers:,}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                least = 1 if field.default is MISSING or field.name == "sequence" else 0
                checks.integer(self.name, field.name, value, least)
            elif not isinstance(value, bool if field.type == "bool" else str):
                what = "true or false" if field.type == "bool" else "a text"
                raise ArgumentError(f"{self.name}: {field.name} must be {what}, got {value!r}")
        for name, value in (
            ("kv_heads", self.kv_heads or self.heads),
            ("expert_ffn", self.expert_ffn or self.ffn),
        ):
            object.__setattr__(self, name, value)
        self._check()
        if not self.head_size:
            object.__setattr__(self, "head_size", self.hidden // self.heads)

    def _check(self) -> None:
        if not self.head_size and self.hidden % self.heads:
            raise ArgumentError(
                f"{self.name}: hidden must be a multiple of the {self.heads} heads, got "
                f"{self.hidden}; {nearest(self.hidden, self.heads)} would fit, or give head_size"
            )
        if self.heads % self.kv_heads:
            fit = divisors(self.heads)
            raise ArgumentError(
                f"{self.name}: kv_heads must divide the {self.heads} heads, got {self.kv_heads}; "
                f"{', '.join(map(str, fit))} would fit"
            )
        if self.experts and not 1 <= self.top_k <= self.experts:
            raise ArgumentError(
                f"{self.name}: top_k must be from 1 to the {self.experts} experts, got {self.top_k}"
            )
        if not self.experts and (self.top_k or self.shared or self.dense_layers):
            raise ArgumentError(
                f"{self.name}: top_k, shared and dense_layers are for models with experts, "
                "got experts 0; leave them out or say how many experts"
            )

    @property
    def query_size(self) -> int:
        """Width of the queries of all heads."""
        return self.heads * self.head_size

    @property
    def kv_size(self) -> int:
        """Width of the keys of all heads; that of the values is the same."""
        return self.kv_heads * self.head_size

    def has_experts(self, layer: int) -> bool:
        """Whether the feed-forward network of a layer is made of experts."""
        return self.experts > 0 and layer >= self.dense_layers

    @cached_property
    def embedding(self) -> tuple[Tensor, ...]:
        """What stands before the first block."""
        tokens = Tensor("tokens", "embedding", (self.vocab, self.hidden), 0)
        learned = Tensor("positions", "positions", (self.positions, self.hidden))
        return (tokens, learned) if self.positions else (tokens,)

    @cached_property
    def head(self) -> tuple[Tensor, ...]:
        """What stands behind the last block."""
        matrix = Tensor("head", "head", (self.vocab, self.hidden), 0)
        return (*self._norm("final norm"), *(() if self.tied else (matrix,)))

    def block(self, layer: int) -> tuple[Tensor, ...]:
        """All of a block but its routed experts."""
        attention = (
            *self._norm("norm 1"),
            *self._matrix("query", "attention", self.hidden, self.query_size, 1),
            *self._matrix("key", "attention", self.hidden, self.kv_size, 1),
            *self._matrix("value", "attention", self.hidden, self.kv_size, 1),
            *self._matrix("output", "attention", self.query_size, self.hidden, 0),
            *self._norm("norm 2"),
        )
        if not self.has_experts(layer):
            return attention + tuple(self._network("", "feed-forward", self.ffn))
        router = Tensor("router", "router", (self.hidden, self.experts))
        common = [
            tensor
            for number in range(self.shared)
            for tensor in self._network(f"shared {number} ", "experts", self.expert_ffn)
        ]
        return (*attention, router, *common)

    @cached_property
    def expert(self) -> tuple[Tensor, ...]:
        """One routed expert."""
        return tuple(self._network("expert ", "experts", self.expert_ffn))

    def _norm(self, name: str) -> Iterator[Tensor]:
        yield Tensor(name, "norms", (self.hidden,))
        if self.norm_biases:
            yield Tensor(f"{name} bias", "norms", (self.hidden,))

    def _matrix(self, name: str, part: str, rows: int, columns: int, cut: int) -> Iterator[Tensor]:
        yield Tensor(name, part, (rows, columns), cut)
        if self.biases:  # that of a matrix cut by rows is added once, after the sum
            yield Tensor(f"{name} bias", part, (columns,), 0 if cut == 1 else None)

    def _network(self, prefix: str, part: str, width: int) -> Iterator[Tensor]:
        if self.gated:
            yield from self._matrix(f"{prefix}gate", part, self.hidden, width, 1)
        yield from self._matrix(f"{prefix}up", part, self.hidden, width, 1)
        yield from self._matrix(f"{prefix}down", part, width, self.hidden, 0)

    @cached_property
    def parts(self) -> dict[str, int]:
        """Parameters of each of `PARTS` that there are."""
        found = dict.fromkeys(PARTS, 0)
        for tensor, times in self._tensors():
            found[tensor.part] += tensor.count * times
        return {part: count for part, count in found.items() if count}

    @cached_property
    def parameters(self) -> int:
        """All parameters."""
        return sum(self.parts.values())

    @cached_property
    def active(self) -> int:
        """Parameters that one token meets: of the routed experts only `top_k`."""
        routed = sum(self.has_experts(layer) for layer in range(self.layers))
        unused = routed * (self.experts - self.top_k)
        return self.parameters - unused * sum(tensor.count for tensor in self.expert)

    def _tensors(self) -> Iterator[tuple[Tensor, int]]:
        """Every tensor, and how often there is one like it."""
        for tensor in (*self.embedding, *self.head):
            yield tensor, 1
        routed = sum(self.has_experts(layer) for layer in range(self.layers))
        for layer, times in ((0, self.layers - routed), (self.layers - 1, routed)):
            for tensor in self.block(layer) if times else ():
                yield tensor, times
        for tensor in self.expert if routed else ():
            yield tensor, routed * self.experts


# What a table of a TOML file may say.
KEYS = tuple(field.name for field in fields(Shape))


def shape_of(title: str, table: Mapping[str, Any]) -> Shape:
    """A shape from a table of a TOML file, or from what a command line says.

    Raises
    ------
    ArgumentError
        A key is unknown or missing, or its value is out of its range.
    """
    checks.keys(title, table, KEYS)
    needed = [field.name for field in fields(Shape) if field.default is MISSING]
    missing = [key for key in needed if key not in table and key != "name"]
    if missing:
        raise ArgumentError(
            f"{title}: a shape needs {', '.join(needed[1:])}, got no {missing[0]}; add it"
        )
    return Shape(**{"name": title, **table})
