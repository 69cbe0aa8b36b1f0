"""Two checkouts of the library against each other, form by form.

::

    python -m collectives.bench.compare OLD NEW [-n 2] [--repetitions 3] [-- forms arguments]

Runs `python -m collectives.bench.forms` under mpirun in both, in turn, so that a machine
that is slower for a while is slower for both. A cell is one primitive, length and form. Its
time is the minimum over the repetitions; its ratio is that of the new minimum to the old
one, below 1 where the new checkout is quicker. Times on a shared machine vary, so that a
cell is only named as slower if it was so in every repetition.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from collectives.commands.options import ranks
from collectives.commands.reading import number
from collectives.console import to_the_end

SLOWER = 1.1  # a ratio from which a cell is named
LIMIT = 1800  # seconds for one run

# A row of the table of `forms`: what was called, MPI's own time, and our ratios to it.
ROW = re.compile(r"^(\w+(?: +[\d.]+ \w*B)?) +([\d.]+) us((?: +[\d.]+x)+)$")
HEAD = re.compile(r"^ +built-in((?: +\w+)+)$")

# A row and a column of that table.
Cell = tuple[str, str]


def read(output: str) -> dict[Cell, float]:
    """The microseconds of each cell of a table that `forms` has printed."""
    times: dict[Cell, float] = {}
    columns: list[str] = []
    for line in output.splitlines():
        if head := HEAD.match(line.rstrip()):
            columns = head[1].split()
        elif row := ROW.match(line.rstrip()):
            name = " ".join(row[1].split())
            ratios = [float(text.rstrip("x")) for text in row[3].split()]
            for column, ratio in zip(columns, ratios, strict=True):
                times[name, column] = float(row[2]) * ratio
    if not times:
        raise ValueError("a table of collectives.bench.forms is needed, got none")
    return times


def report(old: Sequence[Mapping[Cell, float]], new: Sequence[Mapping[Cell, float]]) -> list[str]:
    """What comes of the repetitions of both, which are pairs: one run after the other."""
    # A ratio that was printed as 0.00 says nothing of the time.
    cells = [cell for cell in old[0] if all(run.get(cell, 0) > 0 for run in (*old, *new))]
    if not cells:
        raise ValueError("both checkouts must print cells of the same names, got none")
    before, after = (np.array([[run[cell] for cell in cells] for run in x]) for x in (old, new))
    ratios = after.min(axis=0) / before.min(axis=0)
    lines = [f"{len(cells)} cells, {len(old)} repetitions, new time / old time"]
    for column in dict.fromkeys(column for _, column in cells):
        lines.append(f"{column:12} {_mean(ratios[[c == column for _, c in cells]]):6.3f}")
    lines.append(f"{'all':12} {_mean(ratios):6.3f}  geometric mean")
    slower = (after > SLOWER * before).all(axis=0)
    for place in np.flatnonzero(slower):
        row, column = cells[place]
        times = f"{before[:, place].min():.2f} us, now {after[:, place].min():.2f} us"
        lines.append(f"slower: {row}, {column}: {ratios[place]:.2f} ({times})")
    if not slower.any():
        lines.append(f"no cell is slower by {SLOWER - 1:.0%} in every repetition")
    return lines


def _mean(ratios: np.ndarray) -> float:
    return float(np.exp(np.log(ratios).mean()))


def measure(checkout: Path, ranks: int, arguments: Sequence[str]) -> dict[Cell, float]:
    """Run the forms in a checkout, which hides the package that is installed."""
    command = ["mpirun", "-n", str(ranks), sys.executable, "-m", "collectives.bench.forms"]
    run = subprocess.run(
        [*command, *arguments],
        cwd=checkout,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=LIMIT,
    )
    if run.returncode:
        raise RuntimeError(f"{checkout}: the run failed\n{run.stdout}{run.stderr}")
    return read(run.stdout)


def main(argv: Sequence[str]) -> int:
    """Measure both and print the report, of what there is when stopped; the exit status."""
    at = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser("python -m collectives.bench.compare")
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkout")
    parser.add_argument("new", type=Path, metavar="NEW", help="another one")
    parser.add_argument("-n", type=ranks, default=2, help="number of ranks (%(default)s)")
    parser.add_argument("--repetitions", type=number, default=3, help="runs of each (%(default)s)")
    given = parser.parse_args(argv[:at])
    for checkout in (given.old, given.new):
        if not (checkout / "bench" / "forms.py").is_file():
            parser.error(f"a checkout with bench/forms.py is needed, got {checkout}")
    old, new = [], []
    status = 0
    signals: list[int] = []

    def stop(which: int, _: object) -> NoReturn:
        signals.append(which)
        raise KeyboardInterrupt

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, stop)
    try:
        for _ in range(given.repetitions):
            old.append(measure(given.old.resolve(), given.n, argv[at + 1 :]))
            new.append(measure(given.new.resolve(), given.n, argv[at + 1 :]))
    except KeyboardInterrupt:
        status = 128 + signals[0]
    except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        status = 1
    if new:
        print(*report(old[: len(new)], new), sep="\n")
    if signals:
        print(f"stopped after {len(new)} repetitions of both", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(to_the_end(lambda: main(sys.argv[1:])))
