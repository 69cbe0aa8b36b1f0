"""What forward keeps of a micro-batch until backward has used it.

Each item is a tensor that the backward of some operation reads, as Korthikanti et al. 2023
(arXiv:2205.05198) count them for Megatron-LM. For a model with two matrices of 4 h, as many heads
of keys as of queries, dropout and 2 bytes, a layer has s b h (34 + 5 a s / h) bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectives.llm.layout import Layout
from collectives.llm.pipeline import in_flight, layers_of
from collectives.llm.shapes import Shape
from collectives.llm.work import Work


@dataclass(frozen=True)
class Item:
    """One kept tensor.

    Attributes
    ----------
    name : str
    nbytes : float
        On one rank, for one micro-batch.
    scores : bool
        Whether it is s x s for each head: what selective recomputation drops.
    """

    name: str
    nbytes: float
    scores: bool = False


def layer_items(
    shape: Shape, layout: Layout, work: Work, nbytes: int, layer: int
) -> tuple[Item, ...]:
    """All that one layer keeps if nothing is computed again.

    Parameters
    ----------
    shape : Shape
    layout : Layout
    work : Work
    nbytes : int
        Bytes of an activation.
    layer : int
    """
    tokens = work.sequence * work.micro_batch / layout.cp
    t, shared = layout.tp, layout.tp if layout.sp else 1
    wide = nbytes * tokens * shape.hidden / shared  # whole on every rank, unless sp shares it
    mask = tokens * shape.hidden / shared if shape.dropout else 0
    query, kv = (nbytes * tokens * size / t for size in (shape.query_size, shape.kv_size))
    found = [
        Item("input of norm 1", wide),
        Item("input of query, key, value", wide),
        Item("queries", query),
        Item("keys", kv),
        Item("values", kv),
        *_scores(shape, layout, work, nbytes),
        Item("input of the output matrix", query),
        Item("mask of dropout behind attention", mask),
        Item("input of norm 2", wide),
        *_network(shape, layout, nbytes, layer, tokens, wide),
        Item("mask of dropout behind the network", mask),
    ]
    return tuple(item for item in found if item.nbytes)


def _scores(shape: Shape, layout: Layout, work: Work, nbytes: int) -> list[Item]:
    """s x s for each head, or what attention without them keeps instead."""
    rows = shape.heads * work.sequence * work.micro_batch / layout.cp / layout.tp
    if work.flash:
        return [Item("sums of the softmax, 32-bit", 4 * rows)]
    cells = rows * work.sequence
    found = [Item("softmax", nbytes * cells, True)]
    if shape.dropout:
        found += [
            Item("mask of dropout on the softmax", cells, True),
            Item("softmax behind dropout", nbytes * cells, True),
        ]
    return found


def _network(
    shape: Shape, layout: Layout, nbytes: int, layer: int, tokens: float, wide: float
) -> list[Item]:
    """The feed-forward network, or the experts with the tokens that come to them."""
    inner = 3 if shape.gated else 2  # gate, up and their product; or before and after GELU
    if not shape.has_experts(layer):
        width = nbytes * tokens * shape.ffn / layout.tp
        return [
            Item("input of the feed-forward network", wide),
            Item("within the feed-forward network", inner * width),
        ]
    visits = shape.top_k + shape.shared  # routing is taken to be balanced
    width = nbytes * tokens * shape.expert_ffn / layout.tp
    return [
        Item("input of the router and the shared experts", wide),
        Item("router, 32-bit", 4 * tokens * shape.experts / (layout.tp if layout.sp else 1)),
        Item("tokens sent to experts", shape.top_k * wide),
        Item("within the experts", visits * inner * width),
        Item("tokens back from experts", shape.top_k * wide),
    ]


def kept(items: tuple[Item, ...], work: Work) -> float:
    """Bytes that remain of a layer, with what is computed again left out."""
    if work.recompute == "full":
        return items[0].nbytes
    return sum(item.nbytes for item in items if not (item.scores and work.recompute == "selective"))


def activations(
    shape: Shape, layout: Layout, work: Work, nbytes: int, stage: int
) -> dict[str, float]:
    """Bytes that a rank of a stage keeps at its worst, by where they are.

    Parameters
    ----------
    shape : Shape
    layout : Layout
    work : Work
    nbytes : int
        Bytes of an activation.
    stage : int
        The place of pp.
    """
    flying = in_flight(layout, stage, work.micro_batches)
    layers = layers_of(shape.layers, layout, stage)
    mine = [  # all layers with experts are alike, and all without
        (layer_items(shape, layout, work, nbytes, group[0]), len(group))
        for kind in (False, True)
        if (group := [layer for layer in layers if shape.has_experts(layer) == kind])
    ]
    found = {"layers": flying * sum(times * kept(items, work) for items, times in mine)}
    again = max(sum(item.nbytes for item in items) - kept(items, work) for items, _ in mine)
    if work.recompute != "none":
        found["layer computed again"] = again
    tokens = work.sequence * work.micro_batch / layout.cp
    shared = layout.tp if layout.sp else 1
    if stage == 0 and shape.dropout:
        found["mask of dropout behind the embedding"] = flying * tokens * shape.hidden / shared
    if stage == layout.pp - 1:
        last = work.micro_batches if layout.schedule == "gpipe" and layout.pp > 1 else 1
        ends = 2 * nbytes * tokens * shape.hidden / shared
        columns = shape.vocab / (layout.tp if layout.vocab_cut else 1)
        found["inputs of final norm and head"] = last * ends
        found["logits, 32-bit"] = last * 4 * tokens * columns
    return found
