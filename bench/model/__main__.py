"""Hold the simulator against measurements.

::

    python -m collectives.bench.model run [NAME ...]   # measure; in the box, which needs root
    python -m collectives.bench.model page             # write docs/model.md from what is there

`run` takes about ten minutes for all: box-4x1, box-4x2, box-8x1, box-8x2 (hosts and ranks on
each) and node-2. Other programs on the machine spoil it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from collectives.algorithms.language.pages import docstring
from collectives.console import to_the_end
from collectives.errors import ArgumentError

from .page import page
from .runs import CONFIGURATIONS, FOLDER, Configuration, records

RATE = "200mbit"


def parser() -> argparse.ArgumentParser:
    """The commands there are."""
    new = argparse.ArgumentParser(
        "python -m collectives.bench.model",
        description=docstring(sys.modules[__name__]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = new.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure", allow_abbrev=False)
    names = [one.name for one in CONFIGURATIONS]
    run.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; default all")
    run.add_argument("--rate", default=RATE, help="of a link of the box (%(default)s)")
    run.add_argument("--seconds", default="0.3", help="for each primitive and length (%(default)s)")
    commands.add_parser("page", help="write the page", allow_abbrev=False)
    for one in commands.choices.values():
        one.add_argument("--folder", type=Path, default=FOLDER, help="of the runs (%(default)s)")
    return new


def command(one: Configuration, given: argparse.Namespace) -> list[str]:
    """What measures a configuration."""
    path = given.folder / f"{one.name}.json"
    program = ["-m", "collectives.bench.model.measured", str(path), given.seconds]
    if one.hosts == 1:
        mpirun = Path(sys.executable).with_name("mpirun")
        return [str(mpirun), "-n", str(one.p), sys.executable, *program]
    shape = ["--hosts", str(one.hosts), "--ranks", str(one.p), "--rate", given.rate]
    return [sys.executable, "-m", "collectives.bench.box", *shape, "--", "python", *program]


def run(given: argparse.Namespace) -> int:
    """Measure what is asked for; returns the exit status."""
    known = {one.name: one for one in CONFIGURATIONS}
    for name in given.names:
        if name not in known:
            raise ArgumentError(f"model: run needs names of {', '.join(known)}, got {name!r}")
    given.folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # kills what runs
    for name in given.names or known:
        print(name, flush=True)
        status = subprocess.run(command(known[name], given)).returncode
        if status:
            return status
    return 0


def write(folder: Path) -> int:
    """Write the page beside the folder of the runs."""
    found = records(folder)
    if not found:
        raise ArgumentError(f"model: page needs runs in {folder}, got none; use `run`")
    folder.with_suffix(".md").write_text(page(found), encoding="utf-8")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    given = parser().parse_args(arguments)
    try:
        return run(given) if given.command == "run" else write(given.folder)
    except ArgumentError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(to_the_end(lambda: main(sys.argv[1:])))
