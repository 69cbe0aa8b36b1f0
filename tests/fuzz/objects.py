"""Random calls of the object forms."""

import operator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from calls import able
from mpi4py import MPI

MOVES = ["bcast", "scatter", "gather", "allgather", "alltoall"]
REDUCTIONS = ["reduce", "allreduce", "scan", "exscan"]
ROOTED = {"bcast", "scatter", "gather", "reduce"}
OPERATORS = {
    "concatenation": operator.add,  # of strings: the order of the operands shows
    "addition": operator.add,
    "MPI.SUM": MPI.SUM,
    "MPI.MAX": MPI.MAX,
    "MPI.MINLOC": MPI.MINLOC,
}


@dataclass(frozen=True)
class ObjectCall:
    """What all ranks know of a call of an object form."""

    form: str
    root: int
    operator: str | None
    algorithm: str | None

    def __str__(self) -> str:
        words = [f"root {self.root}"] if self.form in ROOTED else []
        words += [word for word in (self.operator, self.algorithm) if word]
        return f"{self.form} of objects ({', '.join(words)})"

    @property
    def primitive(self) -> str:
        return self.form


def draw(rng: Random, p: int) -> ObjectCall:
    form = rng.choice(["barrier", *MOVES, *REDUCTIONS])
    op = rng.choice(list(OPERATORS)) if form in REDUCTIONS else None
    algorithm = None if op else rng.choice([None, *able(form, p, None)])
    return ObjectCall(form, rng.randrange(p), op, algorithm)


@dataclass
class ObjectPart:
    """One rank's part in a call."""

    call: ObjectCall
    rank: int
    p: int
    expected: Any = None
    got: Any = None
    request: None = None
    same_everywhere = False

    def renew(self, seed: list[int]) -> None:
        rng = Random(str(seed))
        call, here = self.call, self.rank == self.call.root
        self.arguments: list[Any] = []
        if call.operator:
            self.arguments = [_number(rng, call.operator), OPERATORS[call.operator]]
        elif call.form in ("alltoall", "scatter"):
            self.arguments = [[_thing(rng) for _ in range(self.p)]]
        elif call.form != "barrier":
            self.arguments = [_thing(rng)]
        if call.form in ("bcast", "scatter") and not here and rng.random() < 0.7:
            self.arguments = [None]
        if call.form in ROOTED:
            self.arguments.append(call.root)

    def expect(self, twin: MPI.Intracomm) -> None:
        self.expected = getattr(twin, self.call.form)(*self.arguments)

    def begin(self, comm: MPI.Intracomm) -> None:
        options = {} if self.call.operator else {"algorithm": self.call.algorithm}
        self.got = getattr(comm, self.call.form)(*self.arguments, **options)

    def wrong(self) -> str | None:
        if equal(self.got, self.expected):
            return None
        return f"result expected {self.expected!r:.60}, got {self.got!r:.60}"

    def free_datatypes(self) -> None:
        pass

    def free(self) -> None:
        pass


def _thing(rng: Random) -> Any:
    """Something that can be pickled, of any length."""
    n = rng.choice([0, 1, 5, 200])
    return rng.choice(
        [
            None,
            rng.randint(-9, 9),
            "x" * n + str(rng.random()),
            {"key": rng.random(), "list": [rng.random() for _ in range(n)]},
            rng.randbytes(n),
            np.arange(n) + rng.randint(0, 99),
        ]
    )


def _number(rng: Random, operator: str) -> Any:
    if operator == "concatenation":
        return f"<{rng.randint(0, 99)}>" * rng.randint(0, 3)
    number = rng.randint(-99, 99)
    return (number // 50, rng.randint(0, 9)) if operator == "MPI.MINLOC" else number


def equal(one: Any, other: Any) -> bool:
    """Whether two objects are the same in type and contents."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other
