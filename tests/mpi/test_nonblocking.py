"""Nonblocking forms: any number in flight, completed in any order, by anybody."""

import gc
import time

import forms
import numpy as np
import pytest
from common import COMM, RANK, P, algorithms, at_few_ranks
from mpi4py import MPI

import collectives
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.plans import traffic
from collectives.mpi.plans.channel import channel_of

pytestmark = [pytest.mark.mpi, at_few_ranks]

Request = MPI.Request


@pytest.fixture
def comm():
    comm = collectives.Comm(COMM).Dup()
    yield comm
    assert not channel_of(comm).traffic.operations
    comm.Free()


def start(comm, form, seed=0, root=forms.TOP, **options):
    call = forms.make(form, seed, root)
    return getattr(comm, f"I{form}")(*call.arguments, **options), call


def several(comm, rounds=2):
    """Every form, `rounds` times, all in flight together."""
    return [start(comm, form, seed, seed % P) for seed in range(rounds) for form in forms.FORMS]


def check_all(started):
    for number, (_, call) in enumerate(started):
        forms.check(call, number)


@pytest.mark.parametrize("form", forms.FORMS)
def test_wait(comm, form):
    for root in range(P) if form in forms.ROOTED else [0]:
        request, call = start(comm, form, root, root)
        assert isinstance(request, Request)
        assert request.Wait() is True
        forms.check(call, form, root)
        assert request == MPI.REQUEST_NULL and request.Test() and request.Wait()


@pytest.mark.parametrize("form", sorted(set(forms.FORMS) - {"alltoallw"}))
def test_every_algorithm(comm, form):
    started = [start(comm, form, 1, algorithm=name) for name in algorithms(form)]
    for request, _ in started:
        request.wait()
    check_all(started)


def test_reverse(comm):
    started = several(comm)
    for request, _ in reversed(started):
        request.Wait()
    check_all(started)


def test_polled(comm):
    started = several(comm)
    left = [request for request, _ in started]
    while left:
        left = [request for request in left if not request.Test()]
    check_all(started)


def test_lower_case(comm):
    request, call = start(comm, "allreduce")
    while not request.get_status():
        pass
    assert request.test() == (True, None)
    assert request.wait() is None
    forms.check(call)


def mixed(comm, seed):
    """Requests of ours among plain ones, and what checks them."""
    started = several(comm, 1)
    got = np.zeros(1, int)
    plain = [
        COMM.Irecv(got, (RANK - 1) % P, seed),
        COMM.Isend(np.array([RANK + seed]), (RANK + 1) % P, seed),
        COMM.Ibarrier(),
    ]

    def verify():
        check_all(started)
        assert got[0] == (RANK - 1) % P + seed

    return [plain[0], *[request for request, _ in started], *plain[1:]], verify


def drain(function, requests, count=len):
    """Call `function` until everything has completed."""
    done = 0
    while done < len(requests):
        done += count(function(requests) or [])


FUNCTIONS = {
    "Waitall": Request.Waitall,
    "waitall": Request.waitall,
    "Waitany": lambda requests: [Request.Waitany(requests) for _ in requests],
    "Waitsome": lambda requests: drain(Request.Waitsome, requests),
    "waitsome": lambda requests: drain(lambda r: Request.waitsome(r)[0], requests),
    "Testall": lambda requests: drain(lambda r: r if Request.Testall(r) else [], requests),
    "Testany": lambda requests: drain(
        lambda r: [1] if Request.Testany(r)[0] != MPI.UNDEFINED else [], requests
    ),
    "Testsome": lambda requests: drain(Request.Testsome, requests),
    "alone": lambda requests: [Request.Wait(request) for request in requests],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_mixed_with_plain_requests(comm, name):
    for seed in range(3):
        requests, verify = mixed(comm, seed)
        FUNCTIONS[name](requests)
        verify()
        assert all(request == MPI.REQUEST_NULL for request in requests)


def test_overlaps_blocking(comm):
    started = several(comm, 1)
    for form in forms.FORMS:
        call = forms.make(form, 7)
        getattr(comm, form.capitalize())(*call.arguments)
        forms.check(call, form)
    for request, _ in started:
        request.Wait()
    check_all(started)


def test_progress_needs_no_waiting_peer(comm):
    """Only the last rank waits at first; the others are busy with a plain receive."""
    request, call = start(comm, "allreduce", algorithm="ring")
    if RANK == P - 1:
        request.Wait()
        for rank in range(P - 1):
            COMM.Send(np.array([1]), rank, 9)
    else:
        COMM.Recv(np.zeros(1, int), P - 1, 9)
        request.Wait()
    forms.check(call)


def test_does_not_wait_for_late_ranks(comm):
    if RANK == P - 1:
        time.sleep(0.3)
    began = time.perf_counter()
    request, call = start(comm, "allreduce")
    assert time.perf_counter() - began < 0.25
    request.Wait()
    forms.check(call)


def test_barrier_holds(comm):
    """Nobody leaves before the last has come."""
    time.sleep(0.02 * RANK)
    entered = time.time()
    comm.Ibarrier().Wait()
    left = time.time()
    assert left >= COMM.allreduce(entered, MPI.MAX)


def test_what_the_user_drops_and_frees(comm):
    """The datatype is freed and the arrays are dropped while the call is in flight."""
    pair = MPI.INT64_T.Create_contiguous(2).Commit()

    def add(left, right, datatype):
        out = np.frombuffer(right, np.int64)
        out += np.frombuffer(left, np.int64)

    op = MPI.Op.Create(add, commute=False)
    result = np.zeros(6, np.int64)
    requests = [
        comm.Iallreduce([forms.numbers(RANK, 6, 0), 3, pair], [result, 3, pair], op),
        comm.Iallreduce(forms.numbers(RANK, 4000, 1), np.zeros(4000, np.int64)),
    ]
    pair.Free()
    gc.collect()
    _ = [np.full(4000, -1) for _ in range(50)]  # would take over freed memory
    requests[1].Wait()
    requests[0].Wait()
    assert np.array_equal(result, sum(forms.numbers(rank, 6, 0) for rank in range(P)))
    op.Free()


def test_datatype_freed_while_counts_are_told(comm):
    """These forms read their buffers again when the counts have arrived."""
    pair = MPI.INT64_T.Create_contiguous(2).Commit()
    mine, whole = forms.numbers(RANK, 4, 0), np.zeros(4 * P, np.int64)
    sent, got = np.concatenate([mine + dest for dest in range(P)]), np.zeros(4 * P, np.int64)
    out = np.zeros(4, np.int64)
    ones = [2] * P
    requests = [
        comm.Igatherv([mine, 2, pair], [whole, ones, pair]),
        comm.Ialltoallv([sent, ones, pair], [got, ones, pair], algorithm="tree"),
        comm.Iscatterv([sent, ones, pair], [out, 2, pair]),
    ]
    pair.Free()
    for request in requests:
        request.Wait()
    everything = [forms.numbers(rank, 4, 0) for rank in range(P)]
    if RANK == 0:
        assert np.array_equal(whole, np.concatenate(everything))
    assert np.array_equal(got, np.concatenate(everything) + RANK)
    assert np.array_equal(out, everything[0] + RANK)


def test_request_dropped(comm):
    call = forms.make("allreduce")
    comm.Iallreduce(*call.arguments)
    gc.collect()
    comm.Ibarrier().Wait()
    while channel_of(comm).traffic.operations:
        PROGRESS.poll()
    forms.check(call)


def test_freed_request_goes_on(comm):
    request, call = start(comm, "allreduce")
    request.Free()
    assert request == MPI.REQUEST_NULL
    while channel_of(comm).traffic.operations:
        PROGRESS.poll()
    forms.check(call)


def test_cancel_is_refused(comm):
    request, call = start(comm, "allreduce")
    with pytest.raises(MPI.Exception):
        request.Cancel()
    request.Wait()
    forms.check(call)


def test_tags_come_round(monkeypatch):
    """Five tags, all in flight many times over; then more calls than there are tags."""
    monkeypatch.setattr(traffic, "NONBLOCKING_TAGS", 5)
    comm = collectives.Comm(COMM.Dup())
    assert channel_of(comm).traffic.tags == 5
    started = several(comm, 2)
    for request, _ in reversed(started):
        request.Wait()
    check_all(started)
    comm.Free()


@pytest.mark.slow
def test_more_calls_than_tags(comm):
    for seed in range(40_000):
        request, call = start(comm, "allreduce", seed)
        request.Wait()
        forms.check(call, seed)


def test_wrong_calls_raise_at_once(comm):
    with pytest.raises(collectives.BufferMismatch, match="sendbuf needs 4 elements"):
        comm.Iallreduce(np.zeros(3), np.zeros(4))
    with pytest.raises(collectives.ArgumentError, match="root must be a rank"):
        comm.Ibcast(np.zeros(3), P)


def test_two_communicators(comm):
    other = comm.Dup()
    first = several(comm, 1)
    second = several(other, 1)
    for request, _ in reversed(first + second):
        request.Wait()
    check_all(first + second)
    other.Free()


@pytest.mark.skipif(P < 2, reason="needs somebody who tells other counts")
def test_an_error_that_only_mpi_has_waited_for_is_printed(comm, monkeypatch):
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    counts = [2 if rank == (RANK + 1) % P else 1 for rank in range(P)]
    sendbuf, recvbuf = np.zeros(P + 1), np.zeros(P)
    request = comm.Ialltoallv([sendbuf, counts], [recvbuf, [1] * P], algorithm="tree")
    Request.Waitall([request])
    assert not told
    del request
    gc.collect()
    [ignored] = told
    assert isinstance(ignored.exc_value, collectives.BufferMismatch)
    assert "the counts that the ranks send" in str(ignored.exc_value)
