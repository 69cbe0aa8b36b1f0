"""What forward keeps of a micro-batch until backward has used it.

Each item is a tensor that the backward of some operation reads, as Korthikanti et al. 2023
(arXiv:2205.05198) count them for Megatron-LM. For a model with two matrices of 4 h, as many heads
of keys as of queries, dropout and 2 bytes, a layer has s b h (34 + 5 a s / h) bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectives.llm.pipeline import in_flight, layers_of
from collectives.llm.setups import Setup
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


def layer_items(setup: Setup, layer: int) -> tuple[Item, ...]:
    """All that one layer keeps if nothing is computed again."""
    shape, layout, nbytes, tokens = setup.shape, setup.layout, setup.activation, _tokens(setup)
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
        *_scores(setup),
        Item("input of the output matrix", query),
        Item("mask of dropout behind attention", mask),
        Item("input of norm 2", wide),
        *_network(setup, layer, wide),
        Item("mask of dropout behind the network", mask),
    ]
    return tuple(item for item in found if item.nbytes)


def _tokens(setup: Setup) -> float:
    """Of a micro-batch, on a rank."""
    return setup.work.sequence * setup.work.micro_batch / setup.layout.cp


def _scores(setup: Setup) -> list[Item]:
    """s x s for each head, or what attention without them keeps instead."""
    shape, nbytes = setup.shape, setup.activation
    rows = shape.heads * _tokens(setup) / setup.layout.tp
    if setup.work.flash:
        return [Item("sums of the softmax, 32-bit", 4 * rows)]
    cells = rows * setup.work.sequence
    found = [Item("softmax", nbytes * cells, True)]
    if shape.dropout:
        found += [
            Item("mask of dropout on the softmax", cells, True),
            Item("softmax behind dropout", nbytes * cells, True),
        ]
    return found


def _network(setup: Setup, layer: int, wide: float) -> list[Item]:
    """The feed-forward network, or the experts with the tokens that come to them."""
    shape, layout, nbytes, tokens = setup.shape, setup.layout, setup.activation, _tokens(setup)
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


def activations(setup: Setup, stage: int) -> dict[str, float]:
    """Bytes that a rank of a stage, a place of pp, keeps at its worst, by where they are."""
    shape, layout, work = setup.shape, setup.layout, setup.work
    flying = in_flight(layout, stage, work.micro_batches)
    layers = layers_of(shape.layers, layout, stage)
    mine = [  # all layers with experts are alike, and all without
        (layer_items(setup, group[0]), len(group))
        for kind in (False, True)
        if (group := [layer for layer in layers if shape.has_experts(layer) == kind])
    ]
    found = {"layers": flying * sum(times * kept(items, work) for items, times in mine)}
    again = max(sum(item.nbytes for item in items) - kept(items, work) for items, _ in mine)
    if work.recompute != "none":
        found["layer computed again"] = again
    tokens = _tokens(setup)
    row = tokens * shape.hidden / (layout.tp if layout.sp else 1)
    if stage == 0 and shape.dropout:
        found["mask of dropout behind the embedding"] = flying * row
    if stage == layout.pp - 1:
        last = work.micro_batches if layout.schedule == "gpipe" and layout.pp > 1 else 1
        ends = 2 * setup.activation * row
        columns = shape.vocab / (layout.tp if layout.vocab_cut else 1)
        found["inputs of final norm and head"] = last * ends
        found["logits, 32-bit"] = last * 4 * tokens * columns
    return found
