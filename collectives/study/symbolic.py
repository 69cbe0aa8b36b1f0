"""Prove an algorithm right for one number of ranks, whatever the data.

What an algorithm yields does not depend on values. So it runs here on vectors
whose elements are not numbers but histories: which ranks' contributions an
element holds, to which element of the answer, in which order. A reduction joins
two histories. If in the end every output element holds each contribution once,
in rank order unless the algorithm declares that it does not keep that, then
it is right for this number of ranks with every operator and all data. A test with
numbers shows that a sum came out right; this shows why it must.

A broken schedule is reported with what an element holds and where it was last
written::

    allreduce.mine: rank 1 of 4: block 2 = {0, 1, 1, 3}: contribution 1 twice, 2 missing,
    last touched in round 2 (mine.py:31)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collectives import checks
from collectives.algorithms.language.blocks import partition
from collectives.algorithms.language.codecs import Codec, Exact
from collectives.algorithms.language.memory import Special
from collectives.algorithms.language.registry import GROUP, Algorithm
from collectives.catalogue import check_parameters, check_restrictions, find, mixes
from collectives.engines.driver import locate, views_of
from collectives.engines.simulator import Simulator
from collectives.errors import WrongResult
from collectives.nodes import grouping
from collectives.operators.operator import Operator
from collectives.problems import Buffers, Problem
from collectives.study.histories import (
    UNWRITTEN,
    UNWRITTEN_MEMORY,
    History,
    complaint,
    in_order,
    merged,
    shifted,
)

NEVER = "never written"

# What to do about a fault in which these words stand, the first that fits.
HINTS = {
    "not in rank order": (
        "put the operand of the lower ranks first, as `in_rank_order` does, "
        "or declare commutative=True"
    ),
    NEVER: "this rank needs a recv or a copy there, on every way through",
    UNWRITTEN_MEMORY: "something was read before it was written: "
    "the reduces and copies of a yield run after its messages",
    "twice": "send on what came from others, not a sum that the receiver has parts of",
    "times": "send on what came from others, not a sum that the receiver has parts of",
    "does not belong": "look whose contributions are in what is sent or added here",
    "parts of": "the wrong block: look at the numbers of blocks on both sides",
    "missing": "look who should have sent these, in which round, and whether one is left out",
    "heard": "every rank must hear from every other, directly or through others",
}

# An element is one number: its block times SPAN, and the number of its history. 0 is
# memory that nobody has written.
SPAN = 1 << 24


def prove(
    algorithm: Algorithm | str,
    p: int,
    *,
    root: int = 0,
    segments: int = 8,
    rendezvous: bool = True,
    **parameters: Any,
) -> None:
    """Show that an algorithm is right for p ranks, with any data and operator.

    Parameters
    ----------
    algorithm : Algorithm or str
        Or its full name, `"allreduce.ring"`.
    p : int
        Number of ranks.
    root : int
        Ignored by primitives without a root.
    segments : int
        For algorithms with this parameter: every segment is followed by itself.
    rendezvous : bool
        Sends wait for their recv, so that every possible deadlock shows.
    **parameters
        Further parameters of the algorithm.

    Raises
    ------
    ArgumentError
        p is no number of ranks, root no rank, or there is no such parameter.
    WrongResult
        An element does not hold what it should.
    ScheduleError
        A rule was broken, or the ranks wait for each other.
    RestrictionError
        The algorithm declares that it cannot do this p.

    Examples
    --------
    >>> for p in range(1, 20):
    ...     prove("allreduce.ring", p)
    """
    if isinstance(algorithm, str):
        algorithm, given = find(*algorithm.split(".", 1))
        parameters = {**given, **parameters}
    checks.instance("prove", "algorithm", algorithm, Algorithm)
    p = checks.ranks(str(algorithm), p)
    if "segments" in algorithm.parameters:
        parameters.setdefault("segments", segments)
    check_parameters(algorithm, parameters)
    check_restrictions(algorithm, p)
    groups = grouping(str(algorithm), p, parameters.get(GROUP)) if algorithm.needs_groups else None
    ordered = algorithm.keeps_order is not False and not mixes(algorithm, groups)
    problem = _problem(algorithm, p, root, parameters.get("segments", 1))
    checks.memory(str(algorithm), "the vectors of all ranks", problem.nbytes)
    found = _fault(algorithm, problem, parameters, rendezvous, ordered, "block")
    if found is not None:
        raise WrongResult(f"{algorithm}: {found}", hint=hint_for(found))


def fault(
    algorithm: Algorithm,
    problem: Problem,
    parameters: Mapping[str, Any],
    rendezvous: bool = True,
) -> str | None:
    """What is wrong with the answer of an algorithm to one problem; None if nothing is.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
        Its dtype means nothing here, and of its operator only whether it commutes.
    parameters : mapping
        Of the algorithm.
    rendezvous : bool
        Sends wait for their recv.

    Raises
    ------
    ScheduleError
        A rule was broken, or the ranks wait for each other.
    """
    own = parameters
    if algorithm.needs_groups:
        own = {**own, GROUP: grouping(str(algorithm), problem.p, own.get(GROUP))}
    promised = algorithm.keeps_order is not False and not mixes(algorithm, own.get(GROUP))
    what = "block" if problem.size == problem.p else "element"
    # With an operator that commutes it is not the order that made the answer wrong.
    first = promised and not problem.operator.commutative
    for ordered in sorted({first, promised}):
        if found := _fault(algorithm, problem, own, rendezvous, ordered, what):
            return found
    return None


def hint_for(found: str) -> str:
    """How a fault is usually repaired."""
    for sign, hint in HINTS.items():
        if sign in found:
            return hint
    return "look at that line, with these numbers"


def _fault(
    algorithm: Algorithm, problem: Problem, parameters: Any, rendezvous: bool, ordered: bool, what
) -> str | None:
    for witness in (False, True):  # a second run, only to say where it went wrong
        histories = _Histories()
        buffers = [_inputs(problem, rank, histories) for rank in range(problem.p)]
        run = _Prover(algorithm, problem, histories, buffers, parameters, rendezvous, witness, what)
        run.run()
        found = next(run.faults(ordered), None)
        if found is None:
            return None
    return found


def _problem(algorithm: Algorithm, p: int, root: int, segments: int) -> Problem:
    """One element for every piece that an algorithm may handle by itself."""
    whole = algorithm.primitive in ("bcast", "reduce", "allreduce", "scan", "exscan")
    return Problem(algorithm.primitive, p, p * segments if whole else p, root)


class _Symbols(Special):
    """A vector of elements; its scratch space is marked as unwritten."""

    def scratch(self, size: int, dtype: np.dtype) -> _Symbols:
        return unwritten(size, dtype)

    def codec(self, codec: Codec) -> Codec:
        """Histories can only be encoded as they are: what is proved is the way they take."""
        return Exact()


def unwritten(size: int, dtype: np.typing.DTypeLike = np.int64) -> _Symbols:
    return np.zeros(size, dtype).view(_Symbols)


class _Histories:
    """All histories met so far, by number; the operator that joins them."""

    def __init__(self) -> None:
        self.known: list[History] = [UNWRITTEN]
        self.numbers: dict[History, int] = {UNWRITTEN: 0}
        self.joined = _Joined(self)
        self.in_order: dict[int, History] = {}
        self.operator = Operator("join", self.join, commutative=False)

    def number(self, history: History) -> int:
        if history not in self.numbers:
            assert len(self.known) < SPAN
            self.numbers[history] = len(self.known)
            self.known.append(history)
        return self.numbers[history]

    def elements(self, blocks: Any, firsts: Any, lasts: Any) -> np.ndarray:
        """Elements that hold the contributions first .. last - 1 to a block each."""
        runs = np.broadcast_arrays(firsts, lasts)
        found = [self.number(((0, *run),)) for run in zip(*(x.tolist() for x in runs))]
        return blocks * SPAN + np.array(found, np.int64)

    def of(self, element: int) -> History:
        """What an element holds, with its blocks."""
        block, number = divmod(element, SPAN)
        return shifted(self.known[number], block)

    def join(self, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        """`left op right`, for each element."""
        first, second = left & (SPAN - 1), right & (SPAN - 1)
        start = left - first
        keys = (right - second - start + first) * SPAN + second
        out[...] = start + [self.joined[key] for key in keys.tolist()]

    def alike(self, element: int, wanted: int) -> bool:
        """Whether two elements hold the same contributions, in whatever order."""
        (block, one), (other, two) = divmod(element, SPAN), divmod(wanted, SPAN)
        return block == other and self._sorted(one) == self._sorted(two)

    def _sorted(self, number: int) -> History:
        if number not in self.in_order:
            self.in_order[number] = in_order(self.known[number])
        return self.in_order[number]


class _Joined(dict[int, int]):
    """The number of one history followed by another, which is some blocks on.

    The key is all three: the blocks and the number of the first, times SPAN, and the
    number of the second.
    """

    def __init__(self, histories: _Histories):
        self.histories = histories

    def __missing__(self, key: int) -> int:
        rest, second = divmod(key, SPAN)
        shift, first = divmod(rest, SPAN)
        known = self.histories.known
        self[key] = self.histories.number(merged(known[first], shifted(known[second], shift)))
        return self[key]


def _inputs(problem: Problem, rank: int, histories: _Histories) -> Buffers:
    """The buffers of one rank: each input element holds its own contribution."""
    send_size, recv_size = problem.send_size(rank), problem.recv_size(rank)
    recv = None if recv_size is None else unwritten(recv_size)
    if send_size is None:
        return Buffers(None, recv)
    own = problem.primitive in ("gather", "allgather")
    first = starts_of(problem)[rank] if own else 0
    places = first + np.arange(send_size)
    filled = histories.elements(places, [rank] * send_size, rank + 1)
    send = unwritten(send_size)
    send[...] = filled
    if problem.primitive == "bcast":
        return Buffers(None, send)
    if problem.in_place and problem.primitive == "scatter":
        return Buffers(send, partition(send, problem.lengths)[rank])
    if problem.in_place and recv is not None:
        part = partition(recv, problem.lengths)[rank] if own else recv
        part[...] = filled
        return Buffers(part, recv)
    send.flags.writeable = False
    return Buffers(send, recv)


def starts_of(problem: Problem) -> np.ndarray:
    """Where each rank's block begins in the whole vector."""
    return np.cumsum([0, *problem.lengths])[:-1]


def _wanted(problem: Problem, rank: int, size: int) -> tuple[Any, Any, Any]:
    """The place of each element of the output of `rank`, and whose contributions it needs."""
    p, root, index = problem.p, problem.root, np.arange(size)
    match problem.primitive:
        case "bcast":
            return index, root, root + 1
        case "scatter":
            return starts_of(problem)[rank] + index, root, root + 1
        case "gather" | "allgather":
            owner = np.repeat(np.arange(p), problem.lengths)
            return index, owner, owner + 1
        case "alltoall":
            return _exchanged(problem, rank)
        case "reduce_scatter":
            return starts_of(problem)[rank] + index, 0, p
        case "scan":
            return index, 0, rank + 1
        case "exscan":
            return index, 0, rank
    return index, 0, p


def _exchanged(problem: Problem, rank: int) -> tuple[Any, Any, Any]:
    """The same for alltoall: from each rank its block for this one."""
    before = problem.matrix[:, :rank].sum(axis=1)
    lengths = problem.matrix[:, rank]
    places = [first + np.arange(length) for first, length in zip(before, lengths, strict=True)]
    owner = np.repeat(np.arange(problem.p), lengths)
    return np.concatenate(places), owner, owner + 1


class _Prover(Simulator):
    """The simulator, on histories; it also keeps track of who has heard of whom."""

    def __init__(
        self, algorithm, problem, histories, buffers, parameters, rendezvous, witness, what
    ):
        def program(rank: int):
            return problem.start(algorithm, rank, buffers[rank], parameters)

        together = rendezvous or algorithm.primitive == "barrier"
        super().__init__(
            str(algorithm), problem.p, program, histories.operator, rendezvous=together
        )
        self.problem, self.histories, self.buffers = problem, histories, buffers
        self.witness, self.what = witness, what
        self.touched: list[list[tuple[int, int, str]]] = [[] for _ in range(problem.p)]
        self.heard = [1 << rank for rank in range(problem.p)]
        self.news = [0] * problem.p

    def _match(self, sent, posted) -> None:
        # Under rendezvous the sender is still in the round in which it sent.
        self.news[posted.rank.process.rank] |= self.heard[sent.rank.process.rank]
        super()._match(sent, posted)

    def _end(self, rank) -> None:
        me = rank.process.rank
        self.heard[me] |= self.news[me]
        if self.witness:
            place = f"round {rank.process.number} ({locate(rank.process.line())})"
            views = [view for message in rank.round.recvs for view in message.views]
            for step in rank.round.local:
                views += views_of(step.written)
            for view in views:
                start = view.__array_interface__["data"][0]
                self.touched[me].append((start, start + view.nbytes, place))
        super()._end(rank)

    def faults(self, ordered: bool):
        """Describe each element, or each rank of a barrier, that is wrong."""
        p, primitive = self.problem.p, self.problem.primitive
        for rank, mine in enumerate(self.buffers):
            where = f"rank {rank} of {p}"
            if primitive == "barrier":
                missing = [str(r) for r in range(p) if not self.heard[rank] >> r & 1]
                if missing:
                    yield f"{where} leaves and has not heard of {', '.join(missing)}"
            elif mine.recv is not None and (primitive, rank) != ("exscan", 0):
                yield from self._wrong_elements(where, rank, mine.recv, ordered)

    def _wrong_elements(self, where: str, rank: int, recv: np.ndarray, ordered: bool):
        blocks, firsts, lasts = (
            np.broadcast_to(x, recv.size) for x in _wanted(self.problem, rank, recv.size)
        )
        wanted = self.histories.elements(blocks, firsts, lasts)
        for index in np.flatnonzero(recv != wanted).tolist():
            element = int(recv[index])
            if ordered or not self.histories.alike(element, int(wanted[index])):
                run = int(blocks[index]), int(firsts[index]), int(lasts[index])
                wrong = complaint(self.histories.of(element), *run, self.what)
                touched = self._last_touched(rank, recv, index)
                if touched == NEVER:  # which says more
                    wrong = wrong.replace(f", {UNWRITTEN_MEMORY}", "")
                yield f"{where}: {self.what} {index} = {wrong}, {touched}"

    def _last_touched(self, rank: int, recv: np.ndarray, index: int) -> str:
        at = recv.__array_interface__["data"][0] + index * recv.itemsize
        places = [place for start, stop, place in self.touched[rank] if start <= at < stop]
        return f"last touched in {places[-1]}" if places else NEVER
