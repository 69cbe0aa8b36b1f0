"""Pipeline schedules: which layers a stage has, what is in flight, and who waits.

gpipe        forward of all micro-batches, then backward of all
1f1b         one forward, one backward in turn, as soon as the last stage has the first one
interleaved  1f1b with several pieces of the model on each stage
"""

from __future__ import annotations

from collectives.llm.layout import Layout


def layers_of(layers: int, layout: Layout, stage: int) -> tuple[int, ...]:
    """The layers of a stage, from the first to the last.

    Examples
    --------
    >>> layers_of(8, Layout(pp=2), 1)
    (4, 5, 6, 7)
    >>> layers_of(8, Layout(pp=2, schedule="interleaved", chunks=2), 1)
    (2, 3, 6, 7)
    """
    size = layers // (layout.pp * layout.chunks)
    firsts = [(chunk * layout.pp + stage) * size for chunk in range(layout.chunks)]
    return tuple(layer for first in firsts for layer in range(first, first + size))


def in_flight(layout: Layout, stage: int, micro_batches: int) -> float:
    """How many micro-batches a stage keeps for backward at its worst.

    With an interleaved schedule a chunk's share of a micro-batch counts as that fraction:
    2 (pp - stage - 1) + (chunks - 1) pp + 1 chunks are in flight.
    """
    if layout.pp == 1:
        return 1
    if layout.schedule == "gpipe":
        return micro_batches
    if layout.schedule == "1f1b":
        return min(micro_batches, layout.pp - stage)
    warm = 2 * (layout.pp - stage - 1) + (layout.chunks - 1) * layout.pp + 1
    return min(micro_batches * layout.chunks, warm) / layout.chunks


def bubble(layout: Layout, micro_batches: int) -> float:
    """How long a stage waits for others, as a share of the time in which it computes.

    Examples
    --------
    >>> bubble(Layout(pp=4), 8), bubble(Layout(pp=4, schedule="interleaved", chunks=2), 8)
    (0.375, 0.1875)
    """
    return (layout.pp - 1) / (micro_batches * layout.chunks)
