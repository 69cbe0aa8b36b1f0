"""Random calls of buffer collectives: what all ranks know of one, and one rank's part in it."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import numpy as np
import shapes
from elements import (
    BYTES,
    OPEN_MPI,
    REPRODUCIBLE,
    WITH_GAPS,
    Element,
    commutes,
    elements,
    fill,
    make_operator,
    operators,
)
from memory import BOTTOM, KINDS, Memory, Slabs
from mpi4py import MPI
from shapes import Shape, Side, Sides, Sizes
from typed import Typed, typed_sides

from collectives.algorithms.language.registry import REDUCTIONS, REGISTRY, ROOTED, TOPOLOGY
from collectives.catalogue import check_restrictions
from collectives.errors import RestrictionError
from collectives.operators.operator import REPRODUCIBLE_SUM

BLOCKING, NONBLOCKING, PERSISTENT = "", "I", "_init"
MANNERS = [BLOCKING, BLOCKING, NONBLOCKING, NONBLOCKING, PERSISTENT]


class Form(NamedTuple):
    """A buffer form: its primitive, its shapes, and who may say MPI.IN_PLACE."""

    primitive: str
    shape: Shape
    in_place: str = "nobody"


FORMS = {
    "barrier": Form("barrier", shapes.barrier),
    "bcast": Form("bcast", shapes.bcast),
    "scatter": Form("scatter", shapes.scatter, "root"),
    "scatterv": Form("scatter", shapes.scatterv, "root"),
    "gather": Form("gather", shapes.gather, "root"),
    "gatherv": Form("gather", shapes.gatherv, "root"),
    "allgather": Form("allgather", shapes.allgather, "all"),
    "allgatherv": Form("allgather", shapes.allgatherv, "all"),
    "alltoall": Form("alltoall", shapes.alltoall, "all"),
    "alltoallv": Form("alltoall", shapes.alltoallv, "all"),
    "alltoallw": Form("alltoall", typed_sides, "all"),
    "reduce": Form("reduce", shapes.reduce, "root"),
    "allreduce": Form("allreduce", shapes.elementwise, "all"),
    "reduce_scatter": Form("reduce_scatter", shapes.reduce_scatter, "all"),
    "reduce_scatter_block": Form("reduce_scatter", shapes.reduce_scatter_block, "all"),
    "scan": Form("scan", shapes.elementwise, "all"),
    "exscan": Form("exscan", shapes.elementwise, "all"),
}


@dataclass(frozen=True)
class Call:
    """What all ranks know of a call."""

    form: str
    manner: str
    element: Element
    sides: Sides
    root: int
    in_place: bool
    operator: str | None
    exact: bool
    algorithm: str | None
    parameters: dict[str, int]
    recvcounts: list[int]  # of a reduce_scatter
    counted: bool  # whether reduce_scatter is given them
    reused: bool  # whether its memory has been another's before

    @property
    def primitive(self) -> str:
        return FORMS[self.form].primitive

    @property
    def method(self) -> str:
        name = self.form if self.manner == NONBLOCKING else self.form.capitalize()
        return {BLOCKING: name, NONBLOCKING: f"I{name}", PERSISTENT: f"{name}_init"}[self.manner]

    def __str__(self) -> str:
        words = [self.element.name] if self.form not in ("barrier", "alltoallw") else []
        words += [self.operator] if self.operator else []
        words += [] if self.exact else ["rounded"]
        words += [f"root {self.root}"] if self.primitive in ROOTED else []
        words += ["in place"] if self.in_place else []
        words += [self.algorithm or "default algorithm"]
        words += [f"{name}={value}" for name, value in self.parameters.items()]
        return f"{self.method} ({', '.join(words)})"

    def in_place_on(self, rank: int) -> bool:
        return self.in_place and (FORMS[self.form].in_place == "all" or rank == self.root)


# MPICH 5.0's own, with an operator that does not commute, takes the size of an element for
# its extent: what it gives is wrong, and it writes beyond its memory.
BROKEN_REDUCE_SCATTER = not OPEN_MPI

# Its own Gather of a thousand structures of different types says "invalid datatype".
BROKEN_GATHER = not OPEN_MPI


def draw(rng: Random, p: int, gaps: bool, only: str | None) -> Call:
    """A random call; `only` names the algorithm, as in ``"allreduce.ring"``, or the primitive."""
    primitive, _, name = (only or "").partition(".")
    form = rng.choice([f for f in FORMS if not only or FORMS[f].primitive == primitive])
    primitive = FORMS[form].primitive
    element = BYTES if form == "alltoallw" else rng.choice(elements(gaps))
    if BROKEN_GATHER and form == "gather" and len(element.dtype.names or ()) > 1:
        element = BYTES
    operator = rng.choice(operators(element)) if primitive in REDUCTIONS else None
    if BROKEN_REDUCE_SCATTER and primitive == "reduce_scatter" and element in WITH_GAPS:
        operator = "sum of bytes"
    in_place = FORMS[form].in_place != "nobody" and rng.random() < 0.25
    root = rng.randrange(p)
    sizes = Sizes(rng, p, element.dtype.itemsize)
    sides = FORMS[form].shape(sizes, root, in_place)
    algorithm, parameters = _algorithm(rng, primitive, p, operator, name)
    return Call(
        form,
        rng.choice(MANNERS),
        element,
        sides,
        root,
        in_place,
        operator,
        operator not in ("SUM", "PROD") or element.kind == "integer" or rng.random() < 0.7,
        algorithm,
        parameters,
        sizes.recvcounts,
        in_place or rng.random() < 0.5,
        rng.random() < 0.7,
    )


def able(primitive: str, p: int, operator: str | None) -> list[str]:
    """The algorithms that can do this, byte for byte: none that is lossy."""

    def can(name: str) -> bool:
        try:
            commutative = operator is None or commutes(operator)
            check_restrictions(REGISTRY[primitive][name], p, commutative)
        except RestrictionError:
            return False
        return True

    return [name for name, one in REGISTRY[primitive].items() if not one.lossy and can(name)]


def _algorithm(
    rng: Random, primitive: str, p: int, operator: str | None, name: str
) -> tuple[str | None, dict[str, Any]]:
    """An algorithm that can do it, with some of its parameters; the default one at times."""
    names = able(primitive, p, operator)
    name = name if name in names else rng.choice(names)
    if rng.random() < 0.05:
        return None, {}
    few: dict[str, list] = {"k": [2, 3, 9], TOPOLOGY: [f"ring:{p},nic=25G", "nodes:x3,nic=25G"]}
    parameters = {
        key: rng.choice([1, 2, 3, rng.randint(4, 10)] if key not in few else few[key])
        for key in REGISTRY[primitive][name].parameters
        if rng.random() < 0.5
    }
    if parameters and rng.random() < 0.3:
        given = ",".join(f"{key}=({value})" for key, value in parameters.items())
        return f"{name}:{given}", {}
    return name, parameters


@dataclass
class Part:
    """One rank's part in a call: its memory, and the arguments for both sides.

    Parameters
    ----------
    call : Call
    rank : int
        In the communicator.
    slabs : Slabs
    seed : float
        From which is drawn what may differ between ranks: how the arguments are spelled.
    """

    call: Call
    rank: int
    slabs: Slabs
    seed: float
    memories: dict[str, Memory] = field(default_factory=dict)
    datatypes: list[MPI.Datatype] = field(default_factory=list)
    request: Any = None

    def __post_init__(self) -> None:
        call = self.call
        self.rng = Random(self.seed)
        self.datatype = call.element.make()
        self.datatypes += [self.datatype] if call.element.derived else []
        self.operator = make_operator(call.operator, call.element) if call.operator else None
        arguments = [self._buffer(at, side) for at, side in enumerate(call.sides[self.rank])]
        self.ours, self.theirs = ([pair[i] for pair in arguments] for i in (0, 1))
        self.more: list[Any] = []
        if call.form == "barrier":
            self.ours, self.theirs = [], []
        elif call.form == "bcast":
            self.ours, self.theirs = self.ours[1:], self.theirs[1:]
        elif call.form == "reduce_scatter":
            self.more.append(call.recvcounts if call.counted else None)
        self.more += [self.operator] if self.operator is not None else []
        self.more += [call.root] if call.primitive in ROOTED else []

    def _buffer(self, at: int, side: Side | Typed | None) -> tuple[Any, Any]:
        """An argument for ours and for theirs."""
        call, name = self.call, ("sendbuf", "recvbuf")[at]
        replaced = "recvbuf" if call.primitive == "scatter" else "sendbuf"
        if call.in_place_on(self.rank) and name == replaced:
            return MPI.IN_PLACE, MPI.IN_PLACE
        if side is None:
            return (None, None) if self.rng.random() < 0.7 else (np.zeros(1), np.zeros(1))
        size = side.length * call.element.dtype.itemsize
        kind = self._kind(size)
        slabs = self.slabs if call.reused else None
        memory = self.memories[name] = Memory(size, slabs, kind)
        if isinstance(side, Typed):
            types = side.make()
            self.datatypes += [each for each in types if not each.is_predefined]
            spelling = [side.counts, side.displs, types]
            ours, theirs = ([memory.inside(x), *spelling] for x in (memory.ours, memory.theirs))
        else:
            style = self.rng.random()
            ours, theirs = (
                spell(memory.inside(raw), side, call.element, self.datatype, style)
                for raw in (memory.ours, memory.theirs)
            )
        if kind == BOTTOM:
            return self._from_bottom(side, memory.body()), theirs
        return memory.given(ours, self.datatype), theirs

    def _kind(self, size: int) -> str | None:
        """What kind of memory a buffer has; None for an array of numpy."""
        chance = self.rng.random()
        if chance < 0.1 and self.operator is None:  # MPI's own operators take no absolute types
            return BOTTOM
        other = size and not self.call.element.derived and chance < 0.4
        return self.rng.choice([*KINDS]) if other else None

    def _from_bottom(self, side: Side | Typed, body: np.ndarray) -> list:
        """A buffer as MPI.BOTTOM and datatypes that hold the address."""
        typed, address = isinstance(side, Typed), MPI.Get_address(body)
        types = side.make() if typed else [self.datatype]
        if not (typed or side.vector):  # one displacement would have to lie within the memory
            address += side.displs[0] * self.datatype.extent
        absolute = [each.Create_hindexed_block(1, [address]).Commit() for each in types]
        self.datatypes += absolute
        if typed:
            self.datatypes += [each for each in types if not each.is_predefined]
            return [MPI.BOTTOM, side.counts, side.displs, absolute]
        if side.vector:
            return _spell_blocks(MPI.BOTTOM, side, absolute[0], self.rng.random())
        return [MPI.BOTTOM, side.counts[0], absolute[0]]

    def renew(self, seed: list[int]) -> None:
        """New values in all buffers, outputs and gaps included."""
        for at, memory in enumerate(self.memories.values()):
            fill(memory.body(), self.call.element, self.call.operator, self.call.exact, [*seed, at])
            memory.copy()

    def expect(self, twin: MPI.Intracomm) -> None:
        """Let MPI's own collective make the answer."""
        arguments = [*self.theirs, *self.more]
        if self.call.form == "alltoallw" and OPEN_MPI and twin.size == 1:
            # Its blocking one takes displacements for elements on one process; its
            # nonblocking one, in place, hangs if only some ranks have anything to send.
            twin.Ialltoallw(*arguments).Wait()
        elif not (self.call.form == "exscan" and self.rank == 0):
            getattr(twin, self.call.form.capitalize())(*arguments)
        else:  # MPI leaves open what rank 0 gets; we leave it alone
            scratch = np.empty_like(self.memories["recvbuf"].theirs)
            scratch[:] = self.memories["recvbuf"].theirs
            twin.Exscan(*arguments)
            self.memories["recvbuf"].theirs[:] = scratch

    def begin(self, comm: MPI.Intracomm) -> Any:
        """Call ours; what it returns."""
        call = self.call
        arguments = [*self.ours, *self.more]
        if call.operator == REPRODUCIBLE:
            arguments = [REPRODUCIBLE_SUM if x is self.operator else x for x in arguments]
        return getattr(comm, call.method)(*arguments, algorithm=call.algorithm, **call.parameters)

    def wrong(self) -> str | None:
        """Where our buffers are not what they should be."""
        for name, memory in self.memories.items():
            found = self._difference(name, memory)
            if found:
                return found
        return None

    @property
    def same_everywhere(self) -> bool:
        """Whether all ranks must have the same bits although MPI's own may have others."""
        return self.call.form == "allreduce" and not self.call.exact

    def digest(self) -> bytes:
        """The bytes of the result."""
        side = self.call.sides[self.rank][1]
        rows = self.memories["recvbuf"].body().reshape(-1, self.call.element.dtype.itemsize)
        rows = rows[side.displs[0] : side.displs[0] + side.counts[0]]
        return rows[:, self.call.element.significant()].tobytes()

    def _difference(self, name: str, memory: Memory) -> str | None:
        got, expected = memory.ours, memory.theirs
        if np.array_equal(got, expected):
            return None
        same = got == expected
        got_inside, expected_inside = memory.inside(got), memory.inside(expected)
        memory.inside(same)[:] |= self._alike(name, got_inside, expected_inside)
        if same.all():
            return None
        at = int(np.argmin(same))
        if not memory.margin <= at < got.size - memory.margin:
            return f"{name} byte {at - memory.margin} expected {expected[at]}, got {got[at]}"
        return f"{name} {self._describe(at - memory.margin, got_inside, expected_inside)}"

    def _alike(self, name: str, got: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Which bytes are right although they may differ."""
        call = self.call
        alike = np.zeros(got.size, bool)
        element = call.element
        rows = alike.reshape(-1, element.dtype.itemsize)
        if element.kind == "pair" or element.dtype.char in "gG":
            rows[:, ~element.significant()] = True  # padding
        if call.in_place and call.primitive == "reduce_scatter":
            side = call.sides[self.rank][1]
            mine = side.displs[0] + call.recvcounts[self.rank]
            rows[mine : side.displs[0] + sum(side.counts)] = True  # left open
        if element.kind in ("float", "complex"):
            one, other = got.view(element.dtype), expected.view(element.dtype)
            with np.errstate(all="ignore"):
                close = one == other  # of zeros the sign may differ
                if not call.exact and name == "recvbuf":
                    close |= np.isclose(one, other, rtol=64 * np.finfo(element.dtype).eps, atol=0)
            rows[close] = True
        return alike

    def _describe(self, at: int, got: np.ndarray, expected: np.ndarray) -> str:
        size = self.call.element.dtype.itemsize
        index = at // size
        one, other = (x.view(self.call.element.dtype)[index].tolist() for x in (expected, got))
        return f"element {index} expected {one}, got {other}"

    def free_datatypes(self) -> None:
        """Free what was made; MPI lets one do so while the call is in flight."""
        for datatype in self.datatypes:
            datatype.Free()
        self.datatypes.clear()

    def free(self) -> None:
        self.free_datatypes()
        if self.operator is not None and not self.operator.is_predefined:
            self.operator.Free()


def spell(
    body: np.ndarray, side: Side, element: Element, datatype: MPI.Datatype, style: float
) -> Any:
    """A buffer in one of the spellings of mpi4py; `style`, from 0 to 1, says in which."""
    data = body if element.derived or style < 0.2 else body.view(element.dtype)
    if side.vector:
        return _spell_blocks(data, side, datatype, style)
    [start], count = side.displs, side.counts[0]
    full = start == 0 and count * len(side.counts) == side.length
    plain = not element.derived and not element.name.startswith("MPI.")
    if full and plain and 0.2 <= style < 0.5:
        return data
    if full and style < 0.7:
        return (data, datatype)
    if start == 0 and style < 0.85:
        return [data, count, datatype]
    return [data, (count, start), datatype] if style < 0.9 else [data, count, start, datatype]


def _spell_blocks(data: np.ndarray, side: Side, datatype: MPI.Datatype, style: float) -> list:
    if side.displs is None:
        return [data, side.counts if style < 0.5 else (tuple(side.counts), None), datatype]
    if style < 0.5:
        return [data, side.counts, side.displs, datatype]
    counts, displs = np.array(side.counts, "i"), np.array(side.displs, "i")
    return [data, (counts, displs), datatype]
