"""Simulate and count any algorithm, for any number of ranks, without MPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from collectives import checks
from collectives.catalogue import check_parameters, find
from collectives.engines.simulator import Run
from collectives.errors import ArgumentError
from collectives.machine.clock import Clock, LogGP
from collectives.machine.model import Machine
from collectives.machine.spec import machine as made
from collectives.operators.operator import SUM, Operator
from collectives.problems import Problem
from collectives.study.fast import run

# A clock that counts messages.
UNIT = Clock(alpha=1, beta=0, gamma=0)

# What a number of bytes means where only floating-point numbers will do.
BYTES_OF_FLOATS = np.dtype(np.float32)


@dataclass(frozen=True)
class Counts:
    """What an algorithm did, counted from the rounds that ran.

    Attributes
    ----------
    critical_path : int
        Messages on the longest chain in which each waits for the one before: the factor
        of alpha.
    messages : int
        Messages sent by all ranks together.
    bytes_sent_max : int
        Bytes sent by the busiest rank.
    bytes_sent : int
        Bytes sent by all ranks together.
    bytes_busiest : int
        Bytes through the busiest port: the most that a rank sent, or received.
    reductions_max : int
        Times that the busiest rank applied the operator.
    reductions : int
        Times that all ranks together applied the operator.
    bytes_reduced_max : int
        Bytes of results that the busiest rank's operator made.
    """

    critical_path: int
    messages: int
    bytes_sent_max: int
    bytes_sent: int
    bytes_busiest: int
    reductions_max: int
    reductions: int
    bytes_reduced_max: int


def simulate(
    primitive: str,
    algorithm: str | None = None,
    *,
    p: int,
    n: int = 0,
    dtype: Any = None,
    root: int = 0,
    counts: Any = None,
    operator: Operator = SUM,
    clock: Clock | None = None,
    topology: Any = None,
    rendezvous: bool = False,
    **parameters: Any,
) -> Run:
    """Run an algorithm on phantom buffers, under the clock of the simulator.

    No data is touched, so a gigabyte costs no more than a byte.

    Parameters
    ----------
    primitive, algorithm : str
        As in `collectives.find`.
    p : int
        Number of ranks.
    n : int
        Elements of the whole vector (of all blocks of a rank together); without
        a dtype, bytes.
    dtype : numpy dtype, optional
        Without one an element is a byte; of a lossy algorithm a float32, and `n` is
        rounded up.
    root : int
    counts : sequence of int, or 2-d array for alltoall, optional
        Uneven block lengths, instead of `n`.
    operator : Operator
        Only its name, whether it commutes and what it makes of the dtype matter here.
    clock : Clock or LogGP, optional
        Of ranks that are equally far from each other, and share nothing.
    topology : Machine, str or path, optional
        Any other machine: a `Machine`, or what `collectives.machine` makes one of, as
        ``"nodes:8x8,nic=25G,latency=10us"``. It has clocks of its own.
    rendezvous : bool
        Sends wait for their recv.
    **parameters
        Of the algorithm.

    Returns
    -------
    Run

    Raises
    ------
    ArgumentError
        One of these is out of its range.
    RestrictionError
        The algorithm declares that it cannot do this.
    ScheduleError
        The algorithm broke a rule, or does not end.

    Examples
    --------
    >>> simulate("bcast", "tree", p=1000, n=8, clock=Clock(alpha=1, beta=0)).time
    10.0
    """
    chosen, given = find(primitive, algorithm)
    title = str(chosen)
    checks.integer(title, "the number of elements n", n)
    checks.instance(title, "operator", operator, Operator)
    machine = given_machine(title, clock, topology)
    given.update(parameters)
    check_parameters(chosen, given)
    if dtype is None:
        dtype = BYTES_OF_FLOATS if chosen.lossy else np.uint8
        n = -(-n // np.dtype(dtype).itemsize)
    dtype = travelling(title, operator, checks.dtype(title, dtype))
    problem = Problem(primitive, p, n, root, dtype, operator, counts)
    return run(chosen, problem, machine, given, rendezvous)


def given_machine(title: str, clock: Any, topology: Any) -> Machine:
    """The machine that the caller means by a clock, or by a topology."""
    if topology is None:
        if clock is not None and not isinstance(clock, LogGP):
            checks.instance(title, "clock", clock, Clock)
        return Machine(clock or Clock())
    if clock is not None:
        raise ArgumentError(
            f"{title}: one of clock and topology is needed, got both; a topology has its own "
            "clock, as in nodes:8x8,nic=25G,latency=10us"
        )
    try:
        return made(topology)
    except ArgumentError as error:
        raise ArgumentError(f"{title}: {error}") from None


def travelling(title: str, operator: Operator, dtype: np.dtype) -> np.dtype:
    """The elements that are sent, where the user has those of a dtype."""
    if operator.widening is None or operator.widening.is_wide(dtype):
        return dtype
    wide = operator.widening.dtype_of(dtype)
    if wide is None:
        raise ArgumentError(
            f"{title}: operator must be defined for the dtype, got {operator.name} for {dtype}; "
            "choose another dtype"
        )
    return wide


def count(primitive: str, algorithm: str | None = None, **options: Any) -> Counts:
    """Count the messages, bytes and reductions of an algorithm.

    Takes what `simulate` takes, except the clock; of a topology only its nodes matter.

    Examples
    --------
    >>> count("allreduce", "ring", p=4, n=1000).critical_path
    6
    """
    title = str(find(primitive, algorithm)[0])
    machine = given_machine(title, None, options.pop("topology", None)).under(UNIT)
    return counted(simulate(primitive, algorithm, topology=machine, **options))


def counted(run: Run) -> Counts:
    """The counts of a run whose clock has alpha = 1, beta = 0 and gamma = 0."""
    return Counts(
        critical_path=round(run.time),
        messages=sum(run.messages.tolist()),
        bytes_sent_max=int(run.bytes_sent.max()),
        bytes_sent=sum(run.bytes_sent.tolist()),
        bytes_busiest=int(max(run.bytes_sent.max(), run.bytes_received.max())),
        reductions_max=int(run.reductions.max()),
        reductions=sum(run.reductions.tolist()),
        bytes_reduced_max=int(run.bytes_reduced.max()),
    )
