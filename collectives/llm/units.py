"""What one rank holds of a model: units that are cut, sent and gathered as one vector each.

Units are the embedding, each block, the routed experts of each block, and the head, in the order
of forward. tp, pp and ep decide what is in a unit; then ZeRO cuts it into blocks of which the
first ones are one parameter longer, as the primitives of this library cut vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from collectives.algorithms.language.blocks import even_counts
from collectives.llm.layout import COPIES, EXPERT_COPIES, Layout
from collectives.llm.pipeline import layers_of
from collectives.llm.shapes import Bare, Shape, Tensor


@dataclass(frozen=True)
class Unit:
    """One vector of parameters on one rank.

    Attributes
    ----------
    name : str
    layer : int
        Which block it belongs to; -1 for the embedding, the number of layers for the head.
    count : int
        Parameters, before ZeRO cuts them.
    whole : int
        Those of them in tensors that tp does not cut.
    routed : bool
        Whether these are routed experts, of which there are fewer copies.
    tensors : tuple of Tensor
        With the sizes that they have on this rank; of experts, those of one.
    """

    name: str
    layer: int
    count: int
    whole: int = 0
    routed: bool = False
    tensors: tuple[Tensor, ...] = ()

    @property
    def copies(self) -> tuple[str, ...]:
        """The axes over which it is copied."""
        return EXPERT_COPIES if self.routed else COPIES


def local(tensor: Tensor, tp: int, vocab_cut: bool, at: int) -> Tensor:
    """A tensor as tensor parallelism cuts it, on the rank at a place of tp."""
    vocabulary = tensor.name in ("tokens", "head")
    if tensor.cut is None or tp == 1 or (vocabulary and not vocab_cut):
        return tensor
    size = list(tensor.size)
    size[tensor.cut] = even_counts(size[tensor.cut], tp)[at]
    return Tensor(tensor.name, tensor.part, tuple(size), tensor.cut)


@lru_cache(maxsize=4096)
def units(shape: Shape | Bare, layout: Layout, stage: int, at: int) -> tuple[Unit, ...]:
    """The units of the ranks at one place of pp and one of tp.

    Parameters
    ----------
    shape : Shape or Bare
        Of a bare number of parameters there is one unit.
    layout : Layout
    stage, at : int
        The places of pp and of tp.
    """
    if isinstance(shape, Bare):
        return (Unit("model", 0, shape.parameters, shape.parameters),)
    found = [_unit("embedding", -1, shape.embedding, layout, at)] if stage == 0 else []
    alike: dict[bool, Unit] = {}  # blocks with experts, and without
    expert = _unit("expert", 0, shape.expert, layout, at)
    here = shape.experts // layout.ep
    for layer in layers_of(shape.layers, layout, stage):
        kind = shape.has_experts(layer)
        if kind not in alike:
            alike[kind] = _unit("block", layer, shape.block(layer), layout, at)
        one = alike[kind]
        found.append(Unit(f"block {layer}", layer, one.count, one.whole, False, one.tensors))
        if kind:
            count, whole = expert.count * here, expert.whole * here
            found.append(Unit(f"experts {layer}", layer, count, whole, True, expert.tensors))
    if stage == layout.pp - 1:
        copied = shape.embedding[:1] if shape.tied and layout.pp > 1 else ()
        found.append(_unit("head", shape.layers, (*shape.head, *copied), layout, at))
    return tuple(found)


def units_of(shape: Shape | Bare, layout: Layout, rank: int) -> tuple[Unit, ...]:
    """The units of one rank."""
    place = layout.place(rank)
    return units(shape, layout, place["pp"], place["tp"])


def block(unit: Unit, layout: Layout, rank: int) -> int:
    """Parameters in the block of a unit that ZeRO leaves to a rank."""
    copies = layout.expert_copies if unit.routed else layout.copies
    return unit.count // copies + (layout.position(rank, unit.copies) < unit.count % copies)


@lru_cache(maxsize=4096)
def _cut(
    tensors: tuple[Tensor, ...], tp: int, vocab_cut: bool, at: int
) -> tuple[int, int, tuple[Tensor, ...]]:
    """Parameters of a slice, those of them that all slices have, and the tensors."""
    mine = tuple(local(tensor, tp, vocab_cut, at) for tensor in tensors)
    whole = sum(each.count for each, all_of_it in zip(mine, tensors) if each is all_of_it)
    return sum(each.count for each in mine), whole, mine


def _unit(name: str, layer: int, tensors: tuple[Tensor, ...], layout: Layout, at: int) -> Unit:
    count, whole, mine = _cut(tensors, layout.tp, layout.vocab_cut, at)
    return Unit(name, layer, count, whole, False, mine)
