"""Predictions for many numbers of ranks and many lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from collectives.machine.model import Machine
from collectives.study.prediction import Prediction, Ranking, bound_of, forms_of, ranked
from collectives.study.pricing import effort
from collectives.study.workers import calls


def powers(first: int, last: int) -> list[int]:
    """From one number to another one, each twice the one before, and the last."""
    found = [first]
    while 2 * found[-1] <= last:
        found.append(2 * found[-1])
    return found if found[-1] == last else [*found, last]


def sweep(
    primitive: str,
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    machine: Machine,
    *,
    shares: bool = False,
    tune: bool = False,
    processes: int = 1,
    files: Sequence[str] = (),
    step: Callable[[str], None] = lambda name: None,
) -> list[Ranking]:
    """The ranking for each number of ranks and each length.

    Parameters
    ----------
    primitive : str
    names : sequence of str
        Algorithms, perhaps with parameters.
    sizes : sequence of (int, int)
        Ranks, and bytes of the whole vector.
    machine : Machine
    shares, tune : bool
        As in `prediction.forms_of`.
    processes : int
        That work side by side, where it takes long; 0 is as many as there are cores.
    files : sequence of str
        Paths of algorithms that have been loaded, and that other processes have to load.
    step : callable, optional
        Called with the name of each algorithm that has been priced.

    Raises
    ------
    UnknownAlgorithm, ArgumentError
        As in `prediction.predict`.
    """
    bounds = [(p, *bound_of(primitive, p, n, machine)) for p, n in sizes]
    jobs = [
        (primitive, name, p, n, machine, bound, shares, tune)
        for p, bound, n in bounds
        for name in names
    ]
    found: list[list[Prediction]] = [[]] * len(jobs)
    for number, forms in calls(forms_of, jobs, _work, processes, files):
        found[number] = forms
        step(jobs[number][1])
    rankings = []
    for at, (p, bound, n) in enumerate(bounds):
        forms = chain.from_iterable(found[at * len(names) : (at + 1) * len(names)])
        rankings.append(Ranking(primitive, p, n, machine, bound, ranked([*forms])))
    return rankings


def _work(primitive: str, name: str, p: int, n: int, *_) -> float:
    return effort(primitive, name, p, n)


def winner(ranking: Ranking) -> Prediction | None:
    """The fastest exact algorithm of a ranking; None if there is none."""
    exact = [one for one in ranking.predictions if one.seconds is not None and not one.lossy]
    return exact[0] if exact else None
