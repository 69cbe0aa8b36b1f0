"""Hold the simulator against measurements.

::

    python -m collectives.bench.model run [NAME ...]   # measure; in the box, which needs root
    python -m collectives.bench.model page             # write docs/model.md from what is there

`run` takes `--limit` seconds for all, of which each has its share, by its ranks:
node-2, box-4x1, box-4x2, box-8x1 and box-8x2 (hosts and ranks on each). What it does not reach
is left out, the longest vectors first. Each is stored when it has ended. Other programs on the
machine spoil it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from collectives.algorithms.language.pages import docstring
from collectives.bench.program import seconds
from collectives.console import to_the_end
from collectives.errors import ArgumentError

from .page import page
from .runs import CONFIGURATIONS, FOLDER, Configuration, records

RATE = "200mbit"
LIMIT = 480.0
AROUND = 6.0  # seconds that a configuration needs to start and to end
END = 10.0  # seconds to end in when it is told to
GRACE = 60.0  # seconds beyond its share after which it is ended


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
    run.add_argument("--limit", type=seconds, default=LIMIT, help="seconds for all (%(default)s)")
    commands.add_parser("page", help="write the page", allow_abbrev=False)
    for one in commands.choices.values():
        one.add_argument("--folder", type=Path, default=FOLDER, help="of the runs (%(default)s)")
    return new


def command(one: Configuration, given: argparse.Namespace, share: float) -> list[str]:
    """What measures a configuration, in its share of the time."""
    path, limit = given.folder / f"{one.name}.json", max(1.0, share - AROUND)
    program = ["-m", "collectives.bench.model.measured", str(path), f"{limit:.0f}"]
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
    names = sorted(given.names or known, key=lambda name: known[name].p)  # quick ones leave time
    end = time.monotonic() + given.limit
    failed = []
    for place, name in enumerate(names):
        ahead = sum(known[one].weight for one in names[place:])
        share = (end - time.monotonic()) * known[name].weight / ahead
        print(f"{name}: {share:.0f} s", flush=True)
        if not measure(command(known[name], given, share), share + GRACE):
            failed.append(name)
    if failed:
        print(f"model: no new runs of {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure(words: list[str], limit: float) -> bool:
    """Run a command, which is told to end after so many seconds; returns whether it did well."""
    running = subprocess.Popen(words)
    try:
        return running.wait(limit) == 0
    except subprocess.TimeoutExpired:
        running.terminate()
        running.wait()
        return False
    except BaseException:  # Ctrl-C has reached it, too
        running.terminate()
        try:
            running.wait(END)
        except subprocess.TimeoutExpired:
            running.kill()
        raise


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
