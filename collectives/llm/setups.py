"""What the calculators start from: a model, how it is kept, who shares the work, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from collectives.llm.layout import Layout
from collectives.llm.recipes import Recipe
from collectives.llm.shapes import Bare, Shape
from collectives.llm.work import Work


@dataclass(frozen=True)
class Setup:
    """What is trained, and how.

    Attributes
    ----------
    model : Shape or Bare
        Of a bare number of parameters there are no layers, and so no activations and nothing to
        compute; only data parallelism is known.
    recipe : Recipe
        Weights and gradients travel as its first lines have them.
    layout : Layout
    work : Work
    prefetch : int
        Layers that ZeRO-3 gathers ahead of the one that computes.
    offload : bool
        Master weights and moments are in the host's memory.
    """

    model: Shape | Bare
    recipe: Recipe
    layout: Layout = field(default_factory=Layout)
    work: Work = field(default_factory=Work)
    prefetch: int = 1
    offload: bool = False

    @property
    def shape(self) -> Shape:
        """The model, for what nobody asks of a bare number."""
        assert isinstance(self.model, Shape)
        return self.model

    @property
    def activation(self) -> int:
        """Bytes of an activation."""
        return self.work.activation_bytes or self.recipe.travelling("weights")

    def with_layout(self, **changes: Any) -> Setup:
        """The same with another layout."""
        return replace(self, layout=replace(self.layout, **changes))

    def with_work(self, **changes: Any) -> Setup:
        """The same with other work."""
        return replace(self, work=replace(self.work, **changes))
