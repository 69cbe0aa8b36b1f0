"""Prove an algorithm right for one number of ranks, whatever the data.

What an algorithm yields does not depend on values. So it runs here on vectors
whose elements are not numbers but histories: which ranks' contributions an
element holds, to which element of the answer, in which order. A reduction joins
two histories. If in the end every output element holds each contribution once,
in rank order unless the algorithm declares that the operator must commute, then
it is right for this number of ranks with every operator and all data. A test with
numbers shows that a sum came out right; this shows why it must.

A broken schedule is reported with what an element holds and where it was last
written::

    allreduce.mine: rank 1 of 4: block 2 = {0, 1, 1, 3}: contribution 1 twice, 2 missing,
    last touched in round 2 (mine.py:31)
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from collectives.algorithms.registry import REDUCTIONS, Algorithm
from collectives.catalogue import check_parameters, check_restrictions, find
from collectives.engines.driver import locate, views_of
from collectives.engines.simulator import Simulator
from collectives.errors import WrongResult
from collectives.operators import Operator
from collectives.problems import Buffers, Problem

# What an element holds: runs (block, first, last), each for the contributions of the
# ranks first .. last - 1 to one block, in the order in which they were joined.
# None is memory that nobody has written.
History = tuple[tuple[int, int, int], ...]
UNWRITTEN: History = ((-1, 0, 0),)


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
    if "segments" in algorithm.parameters:
        parameters.setdefault("segments", segments)
    check_parameters(algorithm, parameters)
    check_restrictions(algorithm, p)
    problem = _problem(algorithm, p, root, parameters.get("segments", 1))
    for witness in (False, True):  # a second run, only to say where it went wrong
        buffers = [_histories(problem, rank) for rank in range(p)]
        run = _Prover(algorithm, problem, buffers, parameters, rendezvous, witness)
        run.run()
        fault = next(run.faults(), None)
        if fault is None:
            return
    raise WrongResult(f"{algorithm}: {fault}")


def _problem(algorithm: Algorithm, p: int, root: int, segments: int) -> Problem:
    """One element for every piece that an algorithm may handle by itself."""
    whole = algorithm.primitive in ("bcast", "reduce", "allreduce", "scan", "exscan")
    return Problem(algorithm.primitive, p, p * segments if whole else p, root, np.dtype(object))


def _histories(problem: Problem, rank: int) -> Buffers:
    """The buffers of one rank: each input element holds its own contribution."""
    send_size, recv_size = problem.send_size(rank), problem.recv_size(rank)
    send = recv = None
    if recv_size is not None:
        recv = np.empty(recv_size, object)
    if send_size is not None:
        send = np.empty(send_size, object)
        own_block = problem.primitive in ("gather", "allgather")
        for i in range(send_size):
            send[i] = ((rank if own_block else i, rank, rank + 1),)
        if problem.primitive == "bcast":
            return Buffers(None, send)
        send.flags.writeable = False
    return Buffers(send, recv)


def _wanted(problem: Problem, rank: int, index: int) -> History | None:
    """What element `index` of the output of `rank` must hold; None for anything."""
    p, root = problem.p, problem.root
    match problem.primitive:
        case "bcast":
            return ((index, root, root + 1),)
        case "scatter":
            return ((rank, root, root + 1),)
        case "gather" | "allgather":
            return ((index, index, index + 1),)
        case "alltoall":
            return ((rank, index, index + 1),)
        case "reduce_scatter":
            return ((rank, 0, p),)
        case "scan":
            return ((index, 0, rank + 1),)
        case "exscan":
            return ((index, 0, rank),) if rank > 0 else None
    return ((index, 0, p),)


def _join(left: History | None, right: History | None) -> History:
    """The history of `left op right`; neighbouring runs become one."""
    left, right = left or UNWRITTEN, right or UNWRITTEN
    (block, first, middle), (other, start, last) = left[-1], right[0]
    if block == other and middle == start:
        return (*left[:-1], (block, first, last), *right[1:])
    return left + right


def _join_all(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    for i in range(out.size):
        out[i] = _join(left[i], right[i])


JOIN = Operator("join", _join_all, commutative=False)


class _Prover(Simulator):
    """The simulator, on histories; it also keeps track of who has heard of whom."""

    def __init__(self, algorithm, problem, buffers, parameters, rendezvous, witness):
        def program(rank: int):
            return problem.start(algorithm, rank, buffers[rank], parameters)

        barrier = algorithm.primitive == "barrier"
        super().__init__(str(algorithm), problem.p, program, JOIN, rendezvous=rendezvous or barrier)
        self.algorithm, self.problem, self.buffers = algorithm, problem, buffers
        self.witness = witness
        self.rounds = [0] * problem.p
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
        self.rounds[me] += 1
        if self.witness:
            place = f"round {self.rounds[me]} ({locate(rank.process.line())})"
            views = [view for message in rank.round.recvs for view in message.views]
            for step in rank.round.local:
                views += views_of(step.dst) if hasattr(step, "dst") else [step.out]
            for view in views:
                start = view.__array_interface__["data"][0]
                self.touched[me].append((start, start + view.nbytes, place))
        super()._end(rank)

    def faults(self):
        """Describe each element, or each rank of a barrier, that is wrong."""
        p, primitive = self.problem.p, self.problem.primitive
        for rank, mine in enumerate(self.buffers):
            where = f"rank {rank} of {p}"
            if primitive == "barrier":
                missing = [str(r) for r in range(p) if not self.heard[rank] >> r & 1]
                if missing:
                    yield f"{where} leaves and has not heard of {', '.join(missing)}"
            elif mine.recv is not None:
                for index, history in enumerate(mine.recv):
                    wanted = _wanted(self.problem, rank, index)
                    if wanted is not None and history != wanted:
                        complaint = self._complaint(history or UNWRITTEN, wanted[0])
                        if complaint:
                            touched = self._last_touched(rank, mine.recv, index)
                            yield f"{where}: block {index} = {complaint}, {touched}"

    def _complaint(self, history: History, wanted: tuple[int, int, int]) -> str:
        """What is wrong with a history, nothing if only its order is, and may be."""
        block, first, last = wanted
        held = [r for b, start, stop in history if b == block for r in range(start, stop)]
        count = Counter(held)
        wrong = [f"contribution {r} {_times(count[r])}" for r in sorted(count) if count[r] > 1]
        wrong += [f"{r} missing" for r in range(first, last) if r not in count]
        wrong += [f"{r} does not belong" for r in sorted(count) if not first <= r < last]
        strangers = sorted({b for b, _, _ in history} - {block})
        wrong += ["unwritten memory" if b < 0 else f"parts of block {b}" for b in strangers]
        if wrong:
            return f"{{{', '.join(map(str, sorted(held)))}}}: {', '.join(wrong)}"
        if self.algorithm.commutative and self.problem.primitive in REDUCTIONS:
            return ""
        return f"{' op '.join(map(str, held))}: not in rank order"

    def _last_touched(self, rank: int, recv: np.ndarray, index: int) -> str:
        at = recv.__array_interface__["data"][0] + index * recv.itemsize
        places = [place for start, stop, place in self.touched[rank] if start <= at < stop]
        return f"last touched in {places[-1]}" if places else "never touched"


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"
