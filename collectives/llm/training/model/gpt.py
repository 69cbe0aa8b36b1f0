"""A whole GPT on one rank."""

from __future__ import annotations

from collectives.llm.training.model.layers import (
    MLP,
    Attention,
    Block,
    Embedding,
    Head,
    Layer,
    Size,
)
from collectives.llm.training.model.moe import Experts


def whole(size: Size) -> list[Layer]:
    """All layers, each whole, on one rank."""
    found: list[Layer] = [Embedding(size)]
    for number in range(size.layers):
        name, attention = f"block {number}", Attention(size)
        if size.experts:
            experts = Experts(size, f"{name}, experts")
            found.append(Block(name, attention, experts, experts.group))
        else:
            found.append(Block(name, attention, MLP(size)))
    return [*found, Head(size)]
