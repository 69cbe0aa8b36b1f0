"""Bytes that each rank sends in a training step, counted from the algorithms that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from collectives.catalogue import algorithms_in, find
from collectives.errors import ArgumentError
from collectives.llm.flows import SEND, Flow, Routing, Size, flows, total
from collectives.llm.setups import Setup
from collectives.machine.model import on_nodes
from collectives.study.simulation import simulate

# What frameworks take for long vectors: each sends no more than it must.
ALGORITHMS: Mapping[str, str] = {
    "allreduce": "ring",
    "allgather": "ring",
    "reduce_scatter": "ring",
    "alltoall": "pairwise",
}

_DTYPES = {1: "u1", 2: "f2", 4: "f4", 8: "f8"}


@dataclass(frozen=True)
class Traffic:
    """What one flow sends from a rank.

    Attributes
    ----------
    flow : Flow
    algorithm : str
        Nothing for `send`.
    sent : int
        Bytes that this rank sends in all calls of a step.
    messages : int
    """

    flow: Flow
    algorithm: str
    sent: int
    messages: int


def per_step(
    setup: Setup,
    rank: int = 0,
    algorithms: Mapping[str, str] | None = None,
    routed: Routing | None = None,
    nodes: Sequence[int] | None = None,
) -> list[Traffic]:
    """What a rank sends in one step, flow by flow.

    Parameters
    ----------
    setup : Setup
    rank : int
    algorithms : mapping of str to str, optional
        Which algorithm carries out a primitive; the rest as in `ALGORITHMS`.
    routed : mapping, optional
        As in `flows.flows`.
    nodes : sequence of int, optional
        The number of each rank's node: algorithms with two levels, and `auto`, look at them.

    Examples
    --------
    >>> from collectives.llm.layout import Layout
    >>> from collectives.llm.presets import model
    >>> from collectives.llm.recipes import recipe
    >>> sums = per_step(Setup(model("7B"), recipe("zero"), Layout(dp=8)))
    >>> [(each.flow.primitive, each.sent) for each in sums]
    [('allreduce', 24500000000)]
    """
    return [
        counted(flow, algorithm_of(flow, algorithms), rank, nodes)
        for flow in flows(setup, rank, routed)
    ]


def algorithm_of(flow: Flow, named: Mapping[str, str] | None = None) -> str:
    """Which algorithm carries out a flow; none where it is one message."""
    return {**ALGORITHMS, **(named or {})}.get(flow.primitive, "")


def counted(flow: Flow, algorithm: str, rank: int, nodes: Sequence[int] | None = None) -> Traffic:
    """Count what a flow sends from a rank, by running the algorithm without data."""
    if flow.primitive == SEND:
        sent = sum(total(size) * times for size, times in flow.calls) * flow.itemsize
        return Traffic(flow, "", sent, flow.times)
    at = flow.group.index(rank)
    here = None if nodes is None else tuple(nodes[member] for member in flow.group)
    sent = messages = 0
    for size, times in flow.calls:
        every = run(flow.primitive, algorithm, len(flow.group), size, flow.itemsize, here)
        sent += every[0][at] * times
        messages += every[1][at] * times
    return Traffic(flow, algorithm, sent, messages)


@lru_cache(maxsize=4096)
def run(
    primitive: str,
    algorithm: str,
    p: int,
    size: Size,
    itemsize: int,
    nodes: tuple[int, ...] | None = None,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bytes and messages that every rank of a group sends in one call."""
    dtype = np.dtype(_DTYPES.get(itemsize, f"V{itemsize}"))
    long = {"n": size} if isinstance(size, int) else {"counts": size}
    where = None if nodes is None else on_nodes(nodes)
    done = simulate(primitive, algorithm, p=p, dtype=dtype, topology=where, **long)
    return tuple(done.bytes_sent.tolist()), tuple(done.messages.tolist())


def chosen(words: list[str]) -> dict[str, str]:
    """Algorithms named on a command line: `allreduce=rabenseifner`, or several with commas.

    Raises
    ------
    ArgumentError
        A word is no such pair, or training does not use the primitive.
    UnknownAlgorithm
        There is no such algorithm.
    """
    found: dict[str, str] = {}
    for word in words:
        named = algorithms_in(word)
        if isinstance(named, str) or not set(named) <= set(ALGORITHMS) or "" in named.values():
            raise ArgumentError(
                f"algorithm: <primitive>=<algorithm> with one of {', '.join(ALGORITHMS)} is "
                f"needed, got {word!r}; write allreduce=rabenseifner"
            )
        for primitive, spec in named.items():
            find(primitive, spec)
        found |= named
    return found
