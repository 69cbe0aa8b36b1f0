"""The work of a training step on one rank: how many tokens, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

from collectives import checks
from collectives.errors import ArgumentError

RECOMPUTE = ("none", "selective", "full")


@dataclass(frozen=True)
class Work:
    """What a rank of the data-parallel axis does in a step.

    Attributes
    ----------
    sequence : int
        Tokens of a sequence.
    micro_batch : int
        Sequences that go through the model together.
    micro_batches : int
        How many such come before the weights change.
    recompute : str
        `none`: all that forward computes is kept for backward; `selective`: but for the
        attention scores, s x s for each head; `full`: only each layer's input.
    flash : bool
        Attention that never holds s x s scores, and computes them again in backward.
    clip : bool
        Whether the gradients are clipped by their global norm, which takes one more allreduce.
    loss : bool
        Whether all ranks tell each other the loss of each micro-batch, how evenly experts are
        chosen, and whether to stop.
    bucket : int
        Plain data parallelism sums the gradients of several layers in one call, from the last
        layer on, as soon as they have so many bytes.
    activation_bytes : int
        Of an activation; 0: as many as a weight has.

    Raises
    ------
    ArgumentError
        A value is out of its range.
    """

    sequence: int = 2048
    micro_batch: int = 1
    micro_batches: int = 1
    recompute: str = "none"
    flash: bool = False
    clip: bool = False
    loss: bool = False
    bucket: int = 25_000_000
    activation_bytes: int = 0

    def __post_init__(self) -> None:
        for name in ("sequence", "micro_batch", "micro_batches", "bucket"):
            checks.integer("work", name, getattr(self, name), 1)
        if self.recompute not in RECOMPUTE:
            raise ArgumentError(
                f"work: recompute must be one of {', '.join(RECOMPUTE)}, got {self.recompute!r}"
            )

    @property
    def tokens(self) -> int:
        """Tokens of all its micro-batches."""
        return self.sequence * self.micro_batch * self.micro_batches
