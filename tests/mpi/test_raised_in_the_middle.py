"""What is raised in the middle of a call waits until the call has ended: messages never cross."""

import signal
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, algorithms, at_few_ranks, check
from mpi4py import MPI

import collectives
from collectives.errors import Interrupted, Timeout

pytestmark = [
    pytest.mark.mpi,
    at_few_ranks,
    pytest.mark.skipif(P == 1, reason="needs ranks that wait for each other"),
]

LATE = 0.05  # seconds


class Alarm(Exception):
    """What the handler of a signal raises."""


@pytest.fixture
def comm():
    made = collectives.Comm(COMM.Dup())
    yield made
    made.Free()


def usable(comm):
    """The next calls are right, in all forms."""
    mine, got = np.array([RANK + 1.0, -RANK]), np.zeros(2)
    right = [P * (P + 1) / 2, -P * (P - 1) / 2]
    for _ in range(3):
        comm.Allreduce(mine, got)
        check(got, right)
    got[:] = 0
    comm.Iallreduce(mine, got).Wait()
    check(got, right)
    assert comm.allgather(RANK) == [*range(P)]


def blocking(comm, mine, got, op, **how):
    comm.Allreduce(mine, got, op, **how)


def nonblocking(comm, mine, got, op, **how):
    comm.Iallreduce(mine, got, op, **how).Wait()


def persistent(comm, mine, got, op, **how):
    request = comm.Allreduce_init(mine, got, op, **how)
    try:
        request.Start()
        request.Wait()
    finally:
        request.Free()


FORMS = [blocking, nonblocking, persistent]


# Floating-point errors


@contextmanager
def strict():
    """A caller who wants errors for everything."""
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", ["f2", "f4", "f8", "c16"])
def test_error_state_of_the_caller(comm, form, code):
    """Sums and products that overflow, or make a NaN, are MPI's: infinity and NaN."""
    dtype = np.dtype(code)
    largest = np.finfo(dtype).max
    mine, got = np.array([largest, np.inf if RANK == 0 else -np.inf, 1], dtype), np.zeros(3, dtype)
    with strict():
        for op in (MPI.SUM, MPI.PROD, MPI.SUM):
            for _ in range(3):
                form(comm, mine, got, op)
    assert np.isinf(got.real[0]) and np.isnan(got.real[1]) and got[2] == P
    usable(comm)


def test_error_state_elsewhere(comm):
    """Nor does it reach what surrounds a call: encoding, decoding, accumulating."""
    mine, got = np.full(5, 3e38, np.float32), np.zeros(5, np.float32)
    mine[1] = np.nan
    with strict():
        comm.Allreduce(mine, got, collectives.REPRODUCIBLE_SUM)
        assert np.isinf(got[0]) and np.isnan(got[1])
        total = collectives.reproducible_sum(comm, np.array([1e-320, 1e308, np.inf]))
        assert total == np.inf
        assert comm.allreduce(1e308, collectives.REPRODUCIBLE_SUM) == np.inf
        for name in ("compressed_ring", "compressed_oneshot:codec=topk"):
            comm.Allreduce(
                np.full(300, 3e38, np.float32), np.zeros(300, np.float32), algorithm=name
            )
        hypot = collectives.Operator("hypot", lambda a, b, out: np.hypot(a, b, out=out))
        for _ in range(3):
            comm.Allreduce(mine[2:], got[2:], hypot)
        assert np.isinf(got[2]) or P == 1
    usable(comm)


# Operators of the user


def failing(kind, rank):
    """An operator that raises on one rank, and how often it has been called there."""
    calls = []

    def add(left, right, datatype):
        one, other = np.frombuffer(left), np.frombuffer(right)
        calls.append(one.size)
        if rank == RANK:
            raise ZeroDivisionError("of the user's")
        other += one

    def kernel(left, right, out):
        calls.append(left.size)
        if rank == RANK:
            raise ZeroDivisionError("of the user's")
        np.add(left, right, out=out)

    if kind == "MPI.Op":
        return MPI.Op.Create(add, commute=True), calls
    return collectives.Operator("failing", kernel), calls


@pytest.mark.parametrize("kind", ["MPI.Op", "Operator"])
@pytest.mark.parametrize("form", FORMS)
def test_an_operator_that_raises(comm, form, kind):
    """Its rank raises at the end, and calls it no more; all ranks go on."""
    op, calls = failing(kind, P - 1)
    for name in algorithms("allreduce")[: None if EVERYWHERE else 4]:
        for n in (3, 3, 3, 5000):
            mine, got = np.full(n, RANK + 1.0), np.zeros(n)
            called = len(calls)
            try:
                form(comm, mine, got, op, algorithm=name)
                raised = False
            except ZeroDivisionError:
                raised = True
            assert raised == (RANK == P - 1 and len(calls) > called), (name, n)
            assert len(calls) <= called + 1 or RANK < P - 1
    if kind == "MPI.Op":
        op.Free()
    usable(comm)


@pytest.mark.parametrize("timeout", [None, 30])
@pytest.mark.parametrize("form", [blocking, nonblocking])
def test_checked_mode_tells_the_others(form, timeout):
    comm = collectives.Comm(COMM.Dup(), check=True, timeout=timeout)
    mine, got = np.full(4, RANK + 1.0), np.zeros(4)
    op, _ = failing("MPI.Op", 1)
    for _ in range(3):
        error = ZeroDivisionError if RANK == 1 else Interrupted
        text = (
            "of the user's" if RANK == 1 else r"rank 1 raised ZeroDivisionError: of the user's in"
        )
        with pytest.raises(error, match=text):
            form(comm, mine, got, op, algorithm="recursive_doubling")
    op.Free()
    usable(comm)
    comm.Free()


# Signals


@contextmanager
def alarmed(rank, *times):
    """The handler of a signal raises on one rank at these times; the others are late."""

    pauses = [*np.diff(times)]

    def handler(number, frame):
        if pauses:
            signal.setitimer(signal.ITIMER_REAL, pauses.pop())
        raise Alarm

    COMM.Barrier()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        if rank == RANK:
            signal.setitimer(signal.ITIMER_REAL, times[0])
            yield
            time.sleep(LATE)  # at the latest here
        else:
            time.sleep(2 * LATE)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def several(comm, mine, got, op, **how):
    """Two in flight: then the rank that waits polls."""
    other = np.zeros_like(got)
    requests = [comm.Iallreduce(mine, got, op, **how), comm.Iallreduce(mine, other, op, **how)]
    try:
        requests[1].Wait()
    finally:
        requests[0].Wait()


def objects(comm, mine, got, op, **how):
    got[...] = sum(comm.allgather(mine))


def counted(comm, mine, got, op, **how):
    """A call that tells counts first."""
    comm.Reduce_scatter(np.tile(mine, P), got, op=op)


CHECKED, LIMITED = {"check": True}, {"timeout": 30}
HANDLED = [(form, {}) for form in (*FORMS, several, objects, counted)]
HANDLED += [(blocking, CHECKED), (persistent, CHECKED), (blocking, LIMITED), (several, LIMITED)]
REST = [(form, how) for form, _ in HANDLED[:6] for how in (CHECKED, LIMITED)]


@pytest.mark.share(2)
@pytest.mark.parametrize("form, options", HANDLED + REST * EVERYWHERE)
def test_a_handler_that_raises(form, options):
    """In a first call, and in those that are found: the rank raises, with the right result."""
    comm = collectives.Comm(COMM.Dup(), **options)
    mine, got = np.array([RANK, 1.0]), np.zeros(2)
    told = 0
    for _ in range(3):
        got[:] = -1
        try:
            with alarmed(0, LATE / 2):
                form(comm, mine, got, MPI.SUM)
        except Alarm:
            told += 1
            assert RANK == 0
        except Interrupted:
            told += 1
            assert options.get("check") and RANK > 0
        if not options and not (form is objects and RANK == 0):  # what it returns is lost
            check(got, [P * (P - 1) / 2, P])
    if RANK == 0 or not options.get("check"):
        assert told == (3 if RANK == 0 else 0)
    elif form in (blocking, persistent):
        assert told == 3
    usable(comm)
    comm.Free()


def test_a_second_signal_gives_up():
    """The rank leaves at once; where time is limited, the others learn why."""
    comm = collectives.Comm(COMM.Dup(), timeout=20)
    usable(comm)
    mine, got = np.array([RANK, 1.0]), np.zeros(2)
    start = time.perf_counter()
    error = Alarm if RANK == 0 else Timeout
    text = None if RANK == 0 else "a call that rank 0 left after Alarm"
    with pytest.raises(error, match=text), alarmed(0, LATE / 3, 2 * LATE / 3):
        if RANK:
            time.sleep(10 * LATE)
        comm.Allreduce(mine, got)
    assert time.perf_counter() - start < 10
    for call in (comm.Allreduce, comm.Iallreduce, comm.Allreduce_init):
        with pytest.raises(Interrupted if RANK == 0 else Timeout, match="left after Alarm"):
            call(mine, got)
    COMM.Barrier()
    comm.Free()
