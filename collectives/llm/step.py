"""How long a training step takes, term by term: what computes, what waits, what is hidden.

A model of a step, not a simulation of it: every term is one line, and all are printed by
`--explain`. What can overlap does so as the strategy's best-known implementation has it: gradients
of data parallelism with backward, the gathers of ZeRO-3 with the layer before, the ring of context
parallelism with the scores. Tensor and expert parallelism wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectives.llm import flops
from collectives.llm.flows import SEND, Flow, flows
from collectives.llm.layout import Layout
from collectives.llm.pipeline import bubble
from collectives.llm.setups import Setup
from collectives.units import seconds as in_words

# Seconds of each kind of call of a flow, and how many there are.
Pricing = Callable[[Flow], list[tuple[float, int]]]


@dataclass(frozen=True)
class Term:
    """One line of a step.

    Attributes
    ----------
    what : str
    seconds : float
        That it takes.
    exposed : float
        Those of them in which nothing else happens, which make the step longer.
    how : str
        Where the numbers come from.
    """

    what: str
    seconds: float
    exposed: float
    how: str


@dataclass(frozen=True)
class Step:
    """A step of the slowest stage.

    Attributes
    ----------
    layout : Layout
    stage : int
    terms : tuple of Term
    tokens : int
        Of all ranks.
    operations : float
        That the model needs for them, on each rank.
    rate : float
        Operations a second that a rank can do.
    """

    layout: Layout
    stage: int
    terms: tuple[Term, ...]
    tokens: int
    operations: float
    rate: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(term.exposed for term in self.terms)

    @property
    def waiting(self) -> float:
        """The share in which a rank does not compute."""
        computing = sum(term.exposed for term in self.terms if term.what in COMPUTING)
        return 1 - computing / self.seconds

    @property
    def used(self) -> float:
        """The share of its rate with which a rank does what the model needs."""
        return self.operations / self.rate / self.seconds


COMPUTING = ("forward", "backward")


def step(setup: Setup, rate: float, pricing: Pricing) -> Step:
    """A step, as its slowest stage sees it.

    Parameters
    ----------
    setup : Setup
        Its model has a shape.
    rate : float
        Floating-point operations a second that a rank really does.
    pricing : callable
        Seconds of each call of a flow.
    """
    stages = setup.layout.pp
    several = sorted({0, stages // 2, stages - 1})
    return max(
        (_stage(setup, rate, pricing, stage) for stage in several), key=lambda each: each.seconds
    )


def _stage(setup: Setup, rate: float, pricing: Pricing, stage: int) -> Step:
    """A step as the first rank of a stage sees it."""
    layout, often = setup.layout, setup.work.micro_batches
    ahead, back = flops.forward(setup, stage), flops.backward(setup, stage)
    cover = _Cover(
        {
            "forward": sum(ahead.values()) / rate * often,
            "backward": sum(back.values()) / rate * often,
            "last backward": sum(back.values()) / rate,
            "scores of forward": ahead["scores"] / rate * often,
            "scores of backward": back["scores"] / rate * often,
        },
        often,
        layout.pp,
    )
    times = {name: cover.left[name] for name in COMPUTING}
    terms = [
        Term(name, times[name], times[name], _operations(parts, often, rate))
        for name, parts in (("forward", ahead), ("backward", back))
    ]
    inner: list[Term] = []
    outer: list[Term] = []
    for flow in flows(setup, layout.first_of(stage)):
        term = cover.term(flow, pricing(flow))
        (inner if flow.strategy in ("tp", "sp", "ep", "cp") else outer).append(term)
    terms += inner
    if layout.pp > 1:
        share = bubble(layout, often)
        busy = sum(term.exposed for term in terms)
        how = f"(pp - 1) / (micro-batches x chunks) = {share:.3g} of the lines above"
        terms.append(Term("pipeline bubble", share * busy, share * busy, how))
    terms += outer
    tokens = setup.work.tokens * layout.batches
    operations = flops.needed(setup) * often * layout.batches / layout.ranks
    return Step(layout, stage, tuple(terms), tokens, operations, rate)


class _Cover:
    """Computation behind which messages hide, each second of it once.

    Parameters
    ----------
    left : dict of str to float
        Seconds in which a stage computes, of the whole step or a part of it.
    often : int
        Micro-batches.
    stages : int
        Of the pipeline.
    """

    def __init__(self, left: dict[str, float], often: int, stages: int):
        self.left, self.often, self.stages = left, often, stages

    def term(self, flow: Flow, prices: list[tuple[float, int]]) -> Term:
        """A flow's time, and what of it nothing hides."""
        took = sum(seconds * number for seconds, number in prices)
        longest = max(seconds for seconds, _ in prices)
        behind, open_end, words = self._place(flow, longest)
        if behind is None:
            exposed = min(open_end, took)
        else:
            exposed = max(took - self.left[behind], min(open_end, took))
            self.left[behind] -= took - exposed
        return Term(f"{flow.strategy}: {flow.what}", took, exposed, f"{_calls(prices)}; {words}")

    def _place(self, flow: Flow, longest: float) -> tuple[str | None, float, str]:
        """Behind what it hides, how long its open end is at least, and both in words."""
        if flow.strategy == "cp":
            behind = f"scores of {flow.phase}"
            return behind, 0.0, f"behind the {behind}"
        if flow.strategy == "pp" and flow.primitive == SEND:
            # In between, a stage has other micro-batches to compute.
            words = f"open only while the pipeline fills and empties: {self.stages - 1} of them"
            return None, (self.stages - 1) * longest, words
        if flow.phase == "update" or flow.strategy in ("tp", "sp", "ep", "pp"):
            return None, float("inf"), "waited for"
        if flow.strategy in ("dp", "zero1"):
            return "last backward", longest, "behind the last backward, but for the last call"
        return flow.phase, longest * self.often, f"behind {flow.phase}, but for one call each time"


def _calls(prices: list[tuple[float, int]]) -> str:
    words = [f"{number:,} x {in_words(seconds)}" for seconds, number in prices[:2]]
    return " + ".join(words) + (" + others" if len(prices) > 2 else "")


def _operations(parts: Mapping[str, float], often: int, rate: float) -> str:
    words = " + ".join(f"{value / 1e12:.3g} ({part})" for part, value in parts.items() if value)
    return f"{often} x ({words}) Tflop at {rate / 1e12:.3g} Tflop/s"
