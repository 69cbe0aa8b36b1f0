"""Random collectives on `collectives.Comm` and on MPI's own communicator, compared byte by byte.

    mpirun -n 4 python tests/fuzz --cases 1000 --seed 0

A case is a few calls in flight together: any forms, types, lengths, layouts, roots,
operators and algorithms. It follows from the seed, its number and the number of
ranks. Cases come in batches; for each the ranks are shuffled and cut into groups,
which work side by side on communicators of their own.

The first case that goes wrong is printed with the command that repeats it, and
all ranks stop. That is the case alone if it goes wrong alone, on communicators that
are new, and else the batch up to it. The barrier is checked by the clock, so all
ranks have to be on one machine.
"""

import argparse
import sys
import time
import traceback
from itertools import pairwise
from random import Random
from typing import NamedTuple

import cases
from cases import Group, free_group, make_group
from elements import GAPS
from mpi4py import MPI
from tally import Tally
from watchdog import Watchdog

import collectives

WORLD = MPI.COMM_WORLD
BATCH = 64
ENOUGH = 3000  # cases after which everything must have been used


class Options(NamedTuple):
    cases: int
    seed: int
    case: int | None
    first: int
    only: str | None
    load: list[str]
    gaps: bool
    limit: float

    def command(self, first: int, last: int) -> str:
        """What repeats the cases of these numbers."""
        words = ["mpirun -n", str(WORLD.size), "python tests/fuzz", f"--seed {self.seed}"]
        several = f"--first {first} --cases {last - first + 1}"
        words += [f"--case {last}" if first == last else several]
        words += [f"--load {path}" for path in self.load]
        words += [f"--only {self.only}"] if self.only else []
        words += ["--gaps"] if self.gaps and not GAPS else []
        return " ".join(words)


def read_options() -> Options:
    parser = argparse.ArgumentParser(prog="tests/fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", help="a primitive or an algorithm, such as allreduce.ring")
    parser.add_argument("--load", action="append", default=[], help="a file with algorithms")
    parser.add_argument("--gaps", action="store_true", default=GAPS, help="gaps in datatypes, too")
    parser.add_argument("--limit", type=float, default=60, help="seconds for a case (default: 60)")
    given = vars(parser.parse_args())
    if given["case"] is not None:
        given.update(first=given["case"], cases=1)
    return Options(**given)


def groups_of(seed: int, batch: int) -> list[list[int]]:
    """The ranks of the world, shuffled and cut into groups; often one group of all."""
    rng, ranks = Random(f"{seed}/batch {batch}"), list(range(WORLD.size))
    rng.shuffle(ranks)
    cuts = [] if rng.random() < 0.3 else rng.choices(range(WORLD.size + 1), k=rng.randint(1, 3))
    bounds = sorted({0, *cuts, WORLD.size})
    return [ranks[a:b] for a, b in pairwise(bounds)]


class Fuzz:
    """The run, as one rank sees it."""

    def __init__(self, options: Options):
        self.options = options
        self.watchdog = Watchdog(options.limit)
        self.tally = Tally()

    def run(self) -> bool:
        """Run all cases; return whether all were right."""
        first, end = self.options.first, self.options.first + self.options.cases
        starts = [first, *range(first - first % BATCH + BATCH, end, BATCH), end]
        for start, stop in pairwise(starts):
            if not self.batch(start // BATCH, range(start, stop)):
                return False
        return True

    def batch(self, batch: int, numbers: range) -> bool:
        """Run some cases of one batch; return whether all were right, on all ranks."""
        groups = groups_of(self.options.seed, batch)
        mine = next(i for i, ranks in enumerate(groups) if WORLD.rank in ranks)
        group = make_group(WORLD, groups[mine])
        fine = True
        for number in numbers:
            if fine and number % len(groups) == mine:
                fine = self.case(number, group, numbers.start)
        command = self.options.command(numbers.start, numbers[-1])
        self.watchdog.enter("the end of a batch", command, limits=BATCH)  # others may be at it
        fine = WORLD.allreduce(fine, MPI.LAND)
        if fine:  # after a failure something may be in flight for ever
            free_group(group)
        self.watchdog.rest()
        return fine

    def case(self, number: int, group: Group, start: int) -> bool:
        """Run a case; return whether it was right on all ranks of the group."""
        options = self.options
        case = cases.draw(options.seed, number, group.p, options.gaps, options.only)
        if group.rank == 0:
            self.tally.add(case, group.p)
        self.watchdog.enter(f"case {number}: {case}", options.command(start, number))
        problem = attempt(case, group)
        if problem is not None:
            self.watchdog.note(problem)  # the others may wait for this rank in vain
        problems = group.control.allgather(problem)
        if not any(problems):
            return True
        first = number if self.fails_alone(case, group) else start
        if group.rank == 0:
            report(case, number, group, problems, options.command(first, number))
        return False

    def fails_alone(self, case: cases.Case, group: Group) -> bool:
        """Whether it is wrong again on new communicators and in new memory."""
        again = make_group(group.control, list(range(group.p)))
        return any(group.control.allgather(attempt(case, again)))


def attempt(case: cases.Case, group: Group) -> str | None:
    """Run a case; return what is wrong, an exception included."""
    try:
        return cases.run(case, group)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"


def report(case, number: int, group: Group, problems: list[str | None], command: str) -> None:
    lines = [f"FAILED: {command}", f"  case {number}: {case}"]
    lines += [f"  on ranks {group.ranks} of {WORLD.size}, in the order of the communicator"]
    lines += [f"  rank {rank}: {problem}" for rank, problem in enumerate(problems) if problem]
    print("\n".join(lines), flush=True)


def main() -> int:
    options = read_options()
    for path in options.load:
        collectives.load(path)
    began, fuzz = time.monotonic(), Fuzz(options)
    fine = fuzz.run()
    tally = fuzz.tally.merged(WORLD)
    if WORLD.rank == 0 and fine:
        library = MPI.Get_library_version().split("\n")[0].split(",")[0]
        print(
            f"{options.cases} cases, {tally.of('calls')['all']} calls, none wrong: {tally}; "
            f"seed {options.seed}, {' '.join(library.split())}, {time.monotonic() - began:.0f} s"
        )
    missing = tally.missing(WORLD.size, options.gaps)
    if fine and options.cases >= ENOUGH and not options.only and missing:
        if WORLD.rank == 0:
            print(f"never used: {', '.join(missing)}")
        fine = False
    return not fine


if __name__ == "__main__":
    sys.exit(main())
