"""Whether ranks yield the same steps whatever the values are.

A call like one before it replays the steps on other data. `strict` sees a read of a buffer
at its very line, but not one by way of `np.asarray`, which looks at the memory itself. So
the algorithm is run with other numbers, too, and what was yielded is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from collectives.algorithms.language.registry import Algorithm
from collectives.engines.driver import Round, views_of
from collectives.engines.scene import scene
from collectives.engines.simulator import Simulator
from collectives.errors import Deadlock, ScheduleError
from collectives.problems import Buffers, Problem

NEEDED = "what is yielded must depend on ranks and lengths, never on values"
HINT = "the same steps are replayed with other data: decide by rank, p, root and sizes"


def check_oblivious(algorithm: Algorithm, problem: Problem, parameters: Mapping[str, Any]) -> None:
    """Raise ScheduleError if other values make an algorithm yield other steps.

    Parameters
    ----------
    algorithm : Algorithm
        One that ends on this problem.
    problem : Problem
    parameters : mapping
        Of the algorithm, its groups included.
    """
    usual = _Listener(algorithm, problem, parameters, None)
    usual.run()
    for value in (0, -1):
        other = _Listener(algorithm, problem, parameters, value)
        try:
            other.run()
        except (ScheduleError, Deadlock):
            _compare(usual, other)  # which says why
            raise
        _compare(usual, other)


class _Listener(Simulator):
    """The simulator, which also keeps what each rank has yielded."""

    def __init__(self, algorithm: Algorithm, problem: Problem, parameters: Any, value: int | None):
        buffers = [_filled(problem.buffers(rank), value) for rank in range(problem.p)]
        self.heard: list[list[tuple]] = [[] for _ in range(problem.p)]
        self.places: list[list[tuple[str, int]]] = [[] for _ in range(problem.p)]
        self.memory = [_Memory(mine) for mine in buffers]

        def program(rank: int) -> Iterator:
            return problem.start(algorithm, rank, buffers[rank], parameters)

        super().__init__(str(algorithm), problem.p, program, problem.operator)

    def _start(self, rank: Any, round_: Round) -> None:
        process = rank.process
        self.heard[process.rank].append(self.memory[process.rank].outline(round_))
        self.places[process.rank].append(process.line())
        super()._start(rank, round_)


class _Memory:
    """The arrays of a rank, numbered as they come up."""

    def __init__(self, buffers: Buffers):
        self.arrays: list[np.ndarray] = []
        for buf in (buffers.send, buffers.recv):
            if buf is not None:
                self._number(buf)

    def _number(self, view: np.ndarray) -> tuple[int, int]:
        """Of the array that a view is cut from, and at which byte of it the view begins."""
        whole = view
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        known = [number for number, array in enumerate(self.arrays) if array is whole]
        if not known:
            self.arrays.append(whole)
            known = [len(self.arrays) - 1]
        return known[0], _address(view) - _address(whole)

    def _views(self, views: Iterable[np.ndarray]) -> tuple:
        return tuple([(*self._number(view), view.size) for view in views if view.size])

    def outline(self, round_: Round) -> tuple:
        """A round without its data: kinds, peers and places."""
        return (
            [("send", m.peer, self._views(m.views)) for m in round_.sends],
            [("recv", m.peer, self._views(m.views)) for m in round_.recvs],
            [
                (type(s).__name__, self._views(s.read), self._views(views_of(s.written)))
                for s in round_.local
            ],
        )


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _filled(buffers: Buffers, value: int | None) -> Buffers:
    """The same buffers in memory of their own; all numbers of the input are one value."""
    if buffers.send is None:
        if buffers.recv is not None and value is not None:  # bcast
            buffers.recv[...] = value
        return buffers
    send = buffers.send.copy()
    if value is not None:
        send[...] = value
    send.flags.writeable = buffers.send.flags.writeable
    return Buffers(send, buffers.recv)


def _compare(usual: _Listener, other: _Listener) -> None:
    """Raise ScheduleError at the first round in which two runs differ."""
    for rank, (one, two) in enumerate(zip(usual.heard, other.heard, strict=True)):
        for number, (mine, others) in enumerate(zip(one, two, strict=False)):
            if mine != others:
                _fail(usual, rank, number)
    if all(one.finished for one in other.ranks):
        for rank, (one, two) in enumerate(zip(usual.heard, other.heard, strict=True)):
            if len(one) != len(two):
                longer = usual if len(one) > len(two) else other
                _fail(longer, rank, min(len(one), len(two)))


def _fail(run: _Listener, rank: int, number: int) -> None:
    where = scene(run.places[rank][number], number + 1, None)
    raise ScheduleError(
        f"{run.title}: rank {rank} of {run.p}: {NEEDED}, got other steps with other numbers "
        f"({where}); {HINT}",
        hint=HINT,
    )
