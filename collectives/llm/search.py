"""Layouts of so many ranks that a model can have."""

from __future__ import annotations

from collections.abc import Iterator

from collectives.llm.layout import Layout
from collectives.llm.numbers import divisors
from collectives.llm.shapes import Bare, Shape
from collectives.llm.work import Work

# Ranks on one node, which tensor parallelism does not leave: it talks in every layer.
PER_NODE = 8

# Context parallelism leaves no rank fewer tokens than this.
LEAST_TOKENS = 2048


def layouts(
    shape: Shape | Bare, ranks: int, work: Work, per_node: int = PER_NODE
) -> Iterator[Layout]:
    """All layouts of so many ranks that make sense, those that talk least first.

    Tensor parallelism stays on a node and has sequence parallelism with it; ZeRO-2 and 3, which
    gather and sum in every micro-batch, come without a pipeline.

    Parameters
    ----------
    shape : Shape or Bare
        Of a bare number of parameters, only data parallelism.
    ranks : int
    work : Work
    per_node : int
    """
    if isinstance(shape, Bare):
        for zero in _stages(ranks, 1):
            yield Layout(dp=ranks, zero=zero)
        return
    for cp in divisors(ranks):
        if cp > 1 and (work.sequence % cp or work.sequence < cp * LEAST_TOKENS):
            continue
        for ep in divisors(ranks // cp) if shape.experts else [1]:
            if shape.experts and shape.experts % ep:
                continue
            yield from _grid(shape, ranks // cp // ep, cp, ep, per_node)


def _grid(shape: Shape, ranks: int, cp: int, ep: int, per_node: int) -> Iterator[Layout]:
    """What dp, tp and pp make of the remaining ranks."""
    for pp in divisors(ranks):
        if shape.layers % pp:
            continue
        for tp in divisors(ranks // pp):
            widths = (shape.heads, shape.kv_heads, shape.ffn, shape.expert_ffn)
            if tp > per_node or any(width % tp for width in widths):
                continue
            dp = ranks // tp // pp
            for zero in _stages(dp * cp * ep, pp):
                for schedule, chunks in _schedules(shape, pp):
                    yield Layout(
                        dp=dp, zero=zero, tp=tp, sp=tp > 1, pp=pp, schedule=schedule,
                        chunks=chunks, ep=ep, cp=cp,
                    )  # fmt: skip


def _schedules(shape: Shape, pp: int) -> list[tuple[str, int]]:
    found = [("1f1b", 1)]
    if pp > 1:
        found += [("interleaved", chunks) for chunks in (2, 4) if shape.layers % (pp * chunks) == 0]
    return found


def _stages(copies: int, pp: int) -> range:
    if copies == 1:
        return range(1)
    return range(4) if pp == 1 else range(2)
