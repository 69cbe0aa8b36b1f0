"""What a lab asks: its folder in `course/`, of which `lab.toml` says what is graded.

    number = 3
    kind = "generators"          # or "zoo", "training"
    minutes = 80
    title = "..."
    reading = ["python -m collectives explain allreduce ring -p 4"]

    [[tasks]]
    function = "ring"            # of mine.py
    primitive = "allreduce"
    points = [2, 3, 8, 5, 4, 3]  # of the six rungs; 0: the task has no such rung
    without = ["binomial_tree"]  # words of the language that would be the answer

A formula is arithmetic in p, n (bytes), alpha, beta and gamma, as in a `Cost:` line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from collectives.algorithms.language.registry import ROOTED
from collectives.errors import ArgumentError
from collectives.labs.handover import DTYPE, Case
from collectives.problems import CAN_BE_IN_PLACE
from collectives.study.cost import evaluated

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What is handed in: generators, or the answers of the zoo.
MINE, ANSWERS = "mine.py", "answers.toml"

COURSE = Path(__file__).parent / "course"
SOLUTIONS = Path(__file__).parent / "solutions"

# Every p up to 9, powers of two and their neighbours beyond.
RANKS = (*range(1, 10), 12, 16, 17)


@dataclass(frozen=True)
class Way:
    """What rung 4 holds the rounds against; an empty formula asks for nothing.

    Attributes
    ----------
    ranks : tuple of int
    share : int
        Elements for each rank, in addition to `rest` elements in all.
    rest : int
    messages, nbytes : str
        The most on the critical path.
    rounds : str
        The most rounds with messages that a rank may have.
    at_once : int
        The most messages of one round of a rank in each direction; 0 for any.
    blocking : bool
        A round has one message, as with MPI_Send and MPI_Recv.
    permutation : bool
        In a round nobody receives from two ranks.
    no_empty : bool
        There are no messages without bytes.
    why : str
        Why it cannot be less, or what is asked.
    """

    ranks: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 16)
    share: int = 24
    rest: int = 0
    messages: str = ""
    nbytes: str = ""
    rounds: str = ""
    at_once: int = 0
    blocking: bool = False
    permutation: bool = False
    no_empty: bool = False
    why: str = ""


@dataclass(frozen=True)
class Time:
    """What rung 5 holds the simulated time against.

    Attributes
    ----------
    points : tuple of (int, int)
        Ranks and bytes of the vector.
    alpha, beta, gamma : float
    seconds : str
        The time that is asked for; empty for any.
    within : float
        The factor that is allowed.
    predict : str
        The student's function `(p, n, alpha, beta, gamma) -> seconds`; empty for none.
    """

    points: tuple[tuple[int, int], ...]
    alpha: float = 1e-6
    beta: float = 8e-10
    gamma: float = 1e-10
    seconds: str = ""
    within: float = 1.1
    predict: str = ""


@dataclass(frozen=True)
class Task:
    """One function of a lab.

    Attributes
    ----------
    function, primitive : str
    points : tuple of float
        Of the six rungs.
    about : str
    ranks : tuple of int
    power_of_two : bool
        It may declare that it needs a power of two.
    commutative : bool
        It may declare that its operator must commute.
    uneven : bool
        Also with blocks of different lengths (alltoall).
    without : tuple of str
    path, time : optional
    more : mapping of str to str
        The second hint, by the name of the rung.
    """

    function: str
    primitive: str
    points: tuple[float, ...]
    about: str = ""
    ranks: tuple[int, ...] = RANKS
    power_of_two: bool = False
    commutative: bool = True
    uneven: bool = False
    without: tuple[str, ...] = ()
    path: Way | None = None
    time: Time | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def cases(self) -> list[Case]:
        """All cases of rungs 1 to 3, the smallest first."""
        found = []
        for p in self.ranks:
            roots = range(p) if self.primitive in ROOTED else range(1)
            lengths = sorted({0, 1, p - 1, p, p + 1, 1000})
            for n in [0] if self.primitive == "barrier" else lengths:
                for root in roots:
                    found.append(Case(self.primitive, p, n, root))
                    if self.primitive in CAN_BE_IN_PLACE:
                        found.append(Case(self.primitive, p, n, root, in_place=True))
            if self.uneven:
                found.append(Case(self.primitive, p, 0, counts=uneven(p)))
        return found

    def recorded(self) -> list[Case]:
        """All cases whose rounds are handed over, each once."""
        return list(dict.fromkeys([*self.cases(), *self.path_cases(), *self.time_cases()]))

    def path_cases(self) -> list[Case]:
        """Those of rung 4."""
        if self.path is None:
            return []
        ranks = [p for p in self.path.ranks if p in self.ranks]
        cases = [self._case(p, self.path.share * p + self.path.rest) for p in ranks]
        if self.uneven:
            cases += [Case(self.primitive, p, 0, counts=uneven(p)) for p in ranks]
        return cases

    def time_cases(self) -> list[Case]:
        """Those of rung 5."""
        points = () if self.time is None else self.time.points
        return [self._case(p, nbytes // DTYPE.itemsize) for p, nbytes in points]

    def mpi_cases(self) -> list[Case]:
        """Those of rung 6: few, on up to four ranks."""
        return [
            case
            for case in self.cases()
            if case.p in (1, 2, 3, 4) and not case.in_place and case.n in (0, case.p + 1, 1000)
        ]

    def _case(self, p: int, n: int) -> Case:
        return Case(self.primitive, p, 0 if self.primitive == "barrier" else n)


@dataclass(frozen=True)
class Lab:
    """A lab.

    Attributes
    ----------
    key : str
        `3`, or `zoo`.
    kind : str
        `generators`, `zoo` or `training`.
    title : mapping of str to str
        By language.
    minutes : int
    reading : tuple of str
        Commands.
    tasks : tuple of Task
    folder : Path
    settings : mapping
        All of lab.toml.
    """

    key: str
    kind: str
    title: Mapping[str, str]
    minutes: int
    reading: tuple[str, ...]
    tasks: tuple[Task, ...]
    folder: Path
    settings: Mapping[str, Any]

    @property
    def of(self) -> float:
        """The most points that there are."""
        settings = self.settings
        asked = sum(answer["points"] for answer in settings.get("answers", ()))
        trained = sum(sum(each["points"]) for each in settings.get("training", ()))
        tasks = sum(sum(task.points) for task in self.tasks)
        return tasks + asked + trained + settings.get("points", 0)

    @property
    def file(self) -> str:
        """The name of the file that is handed in."""
        return ANSWERS if self.kind == "zoo" else MINE

    @property
    def solution(self) -> Path:
        """The reference solution, which `start` does not hand out."""
        return SOLUTIONS / self.folder.name


def labs() -> list[str]:
    """The keys of all labs."""
    found = [path.parent.name.removeprefix("lab") for path in COURSE.glob("*/lab.toml")]
    return sorted(found, key=lambda key: (not key.isdigit(), key.zfill(3)))


@lru_cache
def lab(key: str) -> Lab:
    """A lab by its key.

    Raises
    ------
    ArgumentError
        There is none.
    """
    key = str(key).removeprefix("lab")
    if key not in labs():
        raise ArgumentError(f"labs: a lab is needed, got {key!r}; choose from {', '.join(labs())}")
    folder = COURSE / (f"lab{key}" if key.isdigit() else key)
    settings = tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))
    return Lab(
        key,
        settings.get("kind", "generators"),
        settings["title"],
        settings["minutes"],
        tuple(settings.get("reading", ())),
        tuple(_task(each) for each in settings.get("tasks", ())),
        folder,
        settings,
    )


def _task(plain: Mapping[str, Any]) -> Task:
    values = _frozen(plain)
    for name, kind in (("path", Way), ("time", Time)):
        if name in values:
            values[name] = kind(**values[name])
    return Task(**values)


def _frozen(value: Any) -> Any:
    """The same with tuples for lists."""
    if isinstance(value, Mapping):
        return {name: _frozen(each) for name, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def uneven(p: int) -> tuple[tuple[int, ...], ...]:
    """Counts of alltoall as a mixture of experts makes them: some many, some none."""
    return tuple(
        tuple((3 * i + 5 * j + i * j) % 7 * (i != (j + 2) % p) for j in range(p)) for i in range(p)
    )


def value(formula: str, p: int, nbytes: float, **more: float) -> float:
    """What a formula gives."""
    names = {"p": p, "n": nbytes, "alpha": 0.0, "beta": 0.0, "gamma": 0.0, **more}
    return evaluated(formula, names)
