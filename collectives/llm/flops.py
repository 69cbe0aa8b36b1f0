"""Floating-point operations of a micro-batch, from the shape.

A product of an m x k with a k x n matrix has 2 m k n of them; only products are counted. A layer
of a model with two matrices of 4 h has 24 b s h h + 4 b s s h in forward, as Narayanan et al. 2021
(arXiv:2104.04473) count. Backward computes twice that: gradients of weights and of inputs.
"""

from __future__ import annotations

from dataclasses import replace

from collectives.llm.layout import Layout
from collectives.llm.pipeline import layers_of
from collectives.llm.setups import Setup

# Products of backward for each of forward. FlashAttention computes the scores again, too: five
# products for two.
BACKWARD = {"matrices": 2.0, "scores": 2.0, "head": 2.0}
FLASH = 2.5


def forward(setup: Setup, stage: int) -> dict[str, float]:
    """Operations of a rank of a stage for one micro-batch: of matrices, scores and head.

    Scores are those of all pairs of tokens, as the paper has them; `flash` leaves out the half
    that the mask hides. Routing to experts is taken to be balanced.
    """
    shape, layout, work = setup.shape, setup.layout, setup.work
    tokens = work.sequence * work.micro_batch / layout.cp
    layers = layers_of(shape.layers, layout, stage)
    hidden, query = shape.hidden, shape.query_size
    attention = hidden * (2 * query + 2 * shape.kv_size)
    inner = (3 if shape.gated else 2) * hidden
    widths = [
        inner * (shape.top_k + shape.shared) * shape.expert_ffn + hidden * shape.experts
        if shape.has_experts(layer)
        else inner * shape.ffn
        for layer in layers
    ]
    scores = 2 * work.sequence * query * (0.5 if work.flash else 1) * len(layers)
    cut = layout.tp if layout.vocab_cut else 1
    head = hidden * shape.vocab / cut if stage == layout.pp - 1 else 0
    return {
        "matrices": 2 * tokens * (attention * len(layers) + sum(widths)) / layout.tp,
        "scores": 2 * tokens * scores / layout.tp,
        "head": 2 * tokens * head,
    }


def backward(setup: Setup, stage: int) -> dict[str, float]:
    """Operations of backward, with what it computes again."""
    first, work = forward(setup, stage), setup.work
    factors = {**BACKWARD, "scores": FLASH if work.flash else BACKWARD["scores"]}
    found = {part: factors[part] * operations for part, operations in first.items()}
    again = {"none": (), "selective": ("scores",), "full": ("matrices", "scores")}[work.recompute]
    if work.flash and work.recompute == "selective":
        again = ()  # it computes them again anyway
    for part in again:
        found[part] += first[part]
    return found


def needed(setup: Setup) -> float:
    """Operations of the model for a micro-batch that nothing is computed again for, on one rank."""
    return 3 * sum(forward(replace(setup, layout=Layout()), 0).values())
