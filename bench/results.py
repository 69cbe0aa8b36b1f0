"""One result per cell: what the report and the JSON file are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .cells import Cell
from .check import Wrong
from .preflight import Outlook
from .schedule import MINIMUM
from .statistics import Summary, marks, summarise


@dataclass(frozen=True)
class Result:
    """What became of a cell.

    Attributes
    ----------
    cell : Cell
    outlook : Outlook
    samples : numpy.ndarray
        Microseconds of each repetition on the slowest rank.
    summary : Summary or None
        None if it was not timed.
    wrong : Wrong or None
    mark : str
        `*` fastest, `~` not to be told from the fastest.
    error : float or None
        Of a lossy algorithm, relative to the right answer.
    """

    cell: Cell
    outlook: Outlook
    samples: np.ndarray
    summary: Summary | None = None
    wrong: Wrong | None = None
    mark: str = ""
    error: float | None = None

    @property
    def status(self) -> str:
        if self.wrong:
            return "wrong"
        if self.outlook.not_applicable:
            return "n/a"
        if self.summary is None:
            return "not run"
        return "ok" if self.error is None else "lossy"

    @property
    def too_few(self) -> bool:
        """Whether the run ended before the least number of repetitions."""
        return (
            self.status in ("ok", "lossy")
            and self.summary is not None
            and (self.summary.reps < MINIMUM)
        )


def results(
    cells: Sequence[Cell],
    outlooks: Sequence[Outlook],
    samples: Mapping[int, Sequence[float]],
    wrong: Mapping[int, Wrong],
    errors: Mapping[int, float],
) -> list[Result]:
    """Put together what is known of each cell."""
    summaries: dict[tuple[str, int], dict[str, Summary]] = {}
    for i, cell in enumerate(cells):
        if samples.get(i) and i not in wrong:
            ours = summaries.setdefault(cell.group, {})
            ours[cell.algorithm] = summarise(np.array(samples[i]))
    marked = {group: marks(ours) for group, ours in summaries.items()}
    return [
        Result(
            cell,
            outlook,
            np.array(samples.get(i, [])),
            summaries.get(cell.group, {}).get(cell.algorithm),
            wrong.get(i) or (Wrong(outlook.broken) if outlook.broken else None),
            marked.get(cell.group, {}).get(cell.algorithm, ""),
            errors.get(i),
        )
        for i, (cell, outlook) in enumerate(zip(cells, outlooks))
    ]
