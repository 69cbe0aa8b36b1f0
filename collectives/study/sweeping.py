"""Predictions for many numbers of ranks and many lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from collectives.machine.model import Machine
from collectives.study.prediction import Prediction, Ranking, bound_of, predicted, ranked


def powers(first: int, last: int) -> list[int]:
    """From one number to another one, each twice the one before, and the last."""
    found = [first]
    while 2 * found[-1] <= last:
        found.append(2 * found[-1])
    return found if found[-1] == last else [*found, last]


def sweep(
    primitive: str,
    names: Sequence[str],
    ranks: Sequence[int],
    sizes: Sequence[int],
    machine: Machine,
    step: Callable[[str], None],
) -> Iterator[Ranking]:
    """The ranking for each number of ranks and each length; shares are left out.

    `step` is called before each algorithm, with its name.
    """
    for p in ranks:
        for size in sizes:
            bound, n = bound_of(primitive, p, size, machine)
            found = []
            for name in names:
                step(f"{name} on {p}")
                found.append(predicted(primitive, name, p, n, machine, bound, False))
            yield Ranking(primitive, p, n, machine, bound, ranked(found))


def winner(ranking: Ranking) -> Prediction | None:
    """The fastest exact algorithm of a ranking; None if there is none."""
    exact = [one for one in ranking.predictions if one.seconds is not None and not one.lossy]
    return exact[0] if exact else None
