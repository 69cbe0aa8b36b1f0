"""The compact schedule of an algorithm: what the page needs to show it for every p.

An algorithm is recorded, rank by rank, as it is for a plan: nothing is sent. Views are kept
in units: a unit is the largest piece of which all messages and steps consist, so that a
schedule serves for any length of the vector. What is wrong with an algorithm is recorded,
too, with the rounds up to there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from collectives.algorithms.language.codecs import CODECS, codec_for
from collectives.algorithms.language.memory import phantom
from collectives.algorithms.language.registry import Algorithm
from collectives.catalogue import check_restrictions, is_loaded
from collectives.engines.driver import Process
from collectives.errors import CollectiveError, RestrictionError
from collectives.explain.folding import folded
from collectives.explain.recording import Compact, Memories, News, Views, stack, untouched
from collectives.problems import BLOCKWISE, Buffers, Problem
from collectives.study.layout import Laid, Layout
from collectives.study.parts import Parts
from collectives.study.simulation import BYTES_OF_FLOATS
from collectives.study.symbolic import prove

# The numbers of ranks on a page.
RANKS = range(2, 17)

# Pieces of a pipeline, where the algorithm would choose by the length of the vector.
SEGMENTS = 4

# Elements of the vector on which an algorithm is recorded: divided by any p, they can be
# halved six times more. The memory is never touched.
ELEMENTS = math.lcm(*RANKS) * 64


class Recorder:
    """Records an algorithm for several numbers of ranks.

    Parameters
    ----------
    algorithm : Algorithm
    parameters : mapping
        Its parameters; without one `segments` is `SEGMENTS`.
    root : int
    """

    def __init__(self, algorithm: Algorithm, parameters: Mapping[str, Any], root: int = 0):
        self.algorithm, self.root = algorithm, root
        self.parameters = dict(parameters)
        if "segments" in algorithm.parameters:
            self.parameters.setdefault("segments", SEGMENTS)
        self.dtype = BYTES_OF_FLOATS if algorithm.lossy else np.dtype(np.uint8)
        self._places: dict[tuple[tuple[str, int], ...], int] = {}

    @property
    def places(self) -> list[tuple[tuple[str, int], ...]]:
        """File and line of each yield met so far, those of the algorithm's own function first."""
        return list(self._places)

    def run(self, p: int) -> dict[str, Any] | None:
        """The schedule for p ranks; None if the algorithm cannot do this p.

        Returns
        -------
        dict
            `units` of the whole vector, and `parts`, their names. `grain`, the bytes of
            which a unit must be a multiple, and `scale`, the bytes of a message for a byte of
            the vector. For each rank `inputs`, runs of units (memory, first unit of the
            vector, units); `given`, the number of memories that are not scratch; `wanted`,
            runs of units with the ranks whose contributions they need (first unit, units,
            first rank, one after the last). `views` (memory, first unit, units), and the rounds,
            `folded`, which name views by number. `wrong`, a sentence, if something is;
            `unsafe`, one, if it is right only as long as messages leave at once.
        """
        try:
            check_restrictions(self.algorithm, p)
        except RestrictionError:
            return None
        if self.root >= p:
            return None
        problem = Problem(self.algorithm.primitive, p, ELEMENTS, self.root, self.dtype)
        ranks: list[list[Compact]] = [[] for _ in range(p)]
        views, wrong = Views(), None
        for rank, rounds in enumerate(ranks):
            try:
                rounds.extend(self._rounds(problem, rank, views))
            except Exception as error:  # the page may be a user's, and raise anything
                wrong = wrong or _sentence(f"{self.algorithm}: rank {rank} of {p}", error)
        faults = {"wrong": wrong} if wrong else self._faults(p)
        blocks = p if problem.primitive in BLOCKWISE else 1
        unit = views.unit(_bytes(problem) // blocks)
        table, numbers = views.in_order(unit)
        made = {
            "units": _bytes(problem) // unit,
            "parts": _names(problem, unit),
            **_ends(problem, unit),
            **self._lengths(),
            "views": table,
            **folded(ranks, numbers),
        }
        return {**made, **faults}

    def _rounds(self, problem: Problem, rank: int, views: Views) -> Iterator[Compact]:
        """The rounds of one rank."""
        sizes = [problem.send_size(rank), problem.recv_size(rank)]
        if problem.primitive == "bcast":
            sizes[0] = None
        send, recv = (None if size is None else untouched(size, self.dtype) for size in sizes)
        given = [buffer for buffer in (send, recv) if buffer is not None]
        barrier = problem.primitive == "barrier"
        memories = News(views) if barrier else Memories(views, given)
        generator = problem.start(self.algorithm, rank, Buffers(send, recv), self.parameters)
        process = Process(str(self.algorithm), rank, problem.p, generator)
        while (round_ := process.advance()) is not None:
            place = tuple(stack(generator))
            yield [self._places.setdefault(place, len(self._places)), *memories.round(round_)]

    def _faults(self, p: int) -> dict[str, str]:
        """What is wrong with a user's algorithm; the others are tested."""
        if is_loaded(self.algorithm):
            for kind, rendezvous in (("wrong", False), ("unsafe", True)):
                options = {"root": self.root, "rendezvous": rendezvous, **self.parameters}
                try:
                    prove(self.algorithm, p, **options)
                except CollectiveError as error:
                    return {kind: str(error)}
        return {}

    def _lengths(self) -> dict[str, Any]:
        """How long a packet is: of a whole number of buckets, in proportion to the vector."""
        if self.algorithm.primitive == "barrier":
            return {"grain": 1, "scale": 0}
        if not self.algorithm.lossy:
            return {"grain": 1, "scale": 1}
        options = {**self.algorithm.parameters, **self.parameters}
        name = options["codec"]
        chosen = {key: options[key] for key in CODECS[name].OPTIONS}
        size = math.lcm(*[value for key, value in chosen.items() if key != "seed"])
        codec = codec_for(phantom(0, self.dtype), name, 0, **chosen)
        nbytes = size * self.dtype.itemsize
        return {"grain": nbytes, "scale": codec.nbytes(size, self.dtype) / nbytes}


def _sentence(where: str, error: Exception) -> str:
    if isinstance(error, CollectiveError):
        return str(error)
    return f"{where}: {type(error).__name__}: {error}"


def _bytes(problem: Problem) -> int:
    """Bytes of the whole vector; a barrier's news is one unit."""
    return 1 if problem.primitive == "barrier" else problem.n * problem.dtype.itemsize


def _names(problem: Problem, unit: int) -> list[str]:
    """The names of the units, as a trace has them."""
    barrier = problem.primitive == "barrier"
    cuts = range(0, _bytes(problem), unit)
    return [
        part.name
        for part in Parts(cuts, Layout(problem).bounds, problem.dtype.itemsize, barrier).all
    ]


def _ends(problem: Problem, unit: int) -> dict[str, Any]:
    """What the ranks begin with, and what they should end with."""
    ranks = range(problem.p)
    if problem.primitive == "barrier":
        return {
            "inputs": [[[0, 0, 1]] for _ in ranks],
            "given": [1 for _ in ranks],
            "wanted": [[[0, 1, 0, problem.p]] for _ in ranks],
        }
    layout, scale = Layout(problem), unit // problem.dtype.itemsize
    sizes = [(problem.send_size(rank), problem.recv_size(rank)) for rank in ranks]
    bcast = problem.primitive == "bcast"
    inputs = [
        [[0, laid.start // scale, laid.size // scale] for laid in layout.input(rank)]
        if sizes[rank][0] is not None
        else []
        for rank in ranks
    ]
    wanted = [
        _joined(layout.output(rank), scale) if sizes[rank][1] is not None else [] for rank in ranks
    ]
    given = [1 if bcast else sum(size is not None for size in sizes[rank]) for rank in ranks]
    return {"inputs": inputs, "given": given, "wanted": wanted}


def _joined(laid: list[Laid], scale: int) -> list[list[int]]:
    """Runs of units, with the contributions that they need; those of alltoall's block as one."""
    found: dict[tuple[int, int], list[int]] = {}
    for size, start, first, stop in laid:
        ranks = found.setdefault((start // scale, size // scale), [first, stop])
        ranks[1] = stop
    return [[*run, *ranks] for run, ranks in found.items()]
