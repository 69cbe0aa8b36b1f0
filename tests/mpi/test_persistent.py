"""Persistent forms: set up once, started often, with new data each time."""

import forms
import numpy as np
import pytest
from common import COMM, RANK, P, algorithms, at_few_ranks
from mpi4py import MPI

import collectives
from collectives.engines.packing import Work
from collectives.mpi.plans import traffic
from collectives.mpi.plans.channel import channel_of

pytestmark = [pytest.mark.mpi, at_few_ranks]


@pytest.fixture
def comm():
    comm = collectives.Comm(COMM).Dup()
    yield comm
    assert not channel_of(comm).traffic.place.alive
    comm.Free()


def set_up(comm, form, root=forms.TOP, **options):
    call = forms.make(form, 0, root)
    return getattr(comm, f"{form.capitalize()}_init")(*call.arguments, **options), call


def renew(call, form, seed, root=forms.TOP):
    """New values in the buffers of a call; return it with what it must give now."""
    fresh = forms.make(form, seed, root)
    for old, new in zip(forms.inputs(call), forms.inputs(fresh)):
        old[...] = new
    for old, new in zip(call.outputs, fresh.outputs):
        old[...] = new
    return call._replace(expected=fresh.expected)


@pytest.mark.parametrize("form", forms.FORMS)
def test_start_again_with_new_data(comm, form):
    for root in range(P) if form in forms.ROOTED else [0]:
        request, call = set_up(comm, form, root)
        assert isinstance(request, MPI.Prequest)
        for seed in range(4):
            call = renew(call, form, seed, root)
            request.Start()
            request.Wait()
            forms.check(call, form, root, seed)
        request.Free()
        assert request == MPI.REQUEST_NULL


@pytest.mark.parametrize("form", sorted(set(forms.FORMS) - {"alltoallw"}))
def test_every_algorithm(comm, form):
    every = [set_up(comm, form, algorithm=name) for name in algorithms(form)]
    for seed in range(2):
        every = [(request, renew(call, form, seed)) for request, call in every]
        for request, _ in every:
            request.Start()
        for request, call in reversed(every):
            request.Wait()
            forms.check(call, form)
    for request, _ in every:
        request.Free()


def test_started_in_another_order_on_each_rank(comm):
    every = [(form, *set_up(comm, form)) for form in forms.FORMS]
    for seed in range(3):
        calls = [renew(call, form, seed) for form, _, call in every]
        order = np.random.default_rng(RANK + seed).permutation(len(every))
        for number in order:
            every[number][1].Start()
        for number in order[::-1]:
            every[number][1].Wait()
        for call in calls:
            forms.check(call)
    for _, request, _ in every:
        request.Free()


@pytest.mark.parametrize("finish", [MPI.Request.Waitall, MPI.Request.waitall])
def test_startall_with_plain_requests(comm, finish):
    """MPI starts and completes the list, without our methods."""
    every = [(form, *set_up(comm, form)) for form in forms.FORMS]
    got, sent = np.zeros(1, int), np.zeros(1, int)
    plain = [COMM.Recv_init(got, (RANK - 1) % P, 4), COMM.Send_init(sent, (RANK + 1) % P, 4)]
    requests = [plain[0], *[request for _, request, _ in every], plain[1]]
    for seed in range(3):
        calls = [renew(call, form, seed) for form, _, call in every]
        sent[0] = RANK + seed
        MPI.Prequest.Startall(requests)
        finish(requests)
        assert got[0] == (RANK - 1) % P + seed
        for call in calls:
            forms.check(call, seed)
    for request in requests:
        request.Free()


def test_polled(comm):
    request, call = set_up(comm, "allreduce")
    for seed in range(3):
        call = renew(call, "allreduce", seed)
        MPI.Prequest.Startall([request])
        while not request.Test():
            pass
        forms.check(call, seed)
    assert request.Test() and request.Wait()  # inactive
    request.Free()


def test_started_by_mpi_while_every_rank_polls_for_another_one(comm):
    """Whoever polls all the time must not keep the thread from seeing what MPI has started."""
    pairs = [set_up(comm, form) for form in ("allreduce", "allgather")]
    for _ in range(5):
        comm.Ibarrier().Wait()  # that there is somebody who polls is known by now
        MPI.Prequest.Startall([request for request, _ in pairs])
        for request, _ in pairs[:: 1 if RANK % 2 else -1]:
            while not request.Test():
                pass
        for request, call in pairs:
            forms.check(call)
            request.Start()
            request.Wait()
    for request, _ in pairs:
        request.Free()


def test_among_other_calls(comm):
    """Blocking and nonblocking calls while a persistent one is active."""
    request, call = set_up(comm, "allgather")
    request.Start()
    other = forms.make("allreduce", 5)
    nonblocking = comm.Iallreduce(*other.arguments)
    blocking = forms.make("scan", 6)
    comm.Scan(*blocking.arguments)
    request.Wait()
    nonblocking.Wait()
    for each in (call, other, blocking):
        forms.check(each)
    request.Free()


def test_free_without_start(comm):
    request, call = set_up(comm, "allreduce")
    request.Free()
    assert np.array_equal(call.outputs[0], forms.empty(9))
    request.free()


def test_free_while_active(comm):
    request, call = set_up(comm, "allreduce")
    request.Start()
    request.Free()
    forms.check(call)


def test_outlives_its_communicator():
    comm = collectives.Comm(COMM).Dup()
    request, call = set_up(comm, "allreduce")
    comm.Free()
    request.Start()
    request.Wait()
    forms.check(call)
    request.Free()


def test_user_types(comm):
    pair = MPI.INT64_T.Create_contiguous(2).Commit()
    result = np.zeros(4, np.int64)
    request = comm.Bcast_init([forms.numbers(0, 4, 0) if RANK == 0 else result, 2, pair])
    pair.Free()
    request.Start()
    request.Wait()
    if RANK:
        assert np.array_equal(result, forms.numbers(0, 4, 0))
    request.Free()


def test_tags_run_out(monkeypatch):
    """Three tags: further requests get another lane, and that is given back."""
    monkeypatch.setattr(traffic, "PERSISTENT_TAGS", 3)
    comm = collectives.Comm(COMM).Dup()
    every = [(form, *set_up(comm, form)) for form in forms.FORMS]
    assert channel_of(comm).traffic.place.lane is not channel_of(comm).lane
    for seed in range(2):
        calls = [renew(call, form, seed) for form, _, call in every]
        for _, request, _ in every:
            request.Start()
        for _, request, _ in reversed(every):
            request.Wait()
        for call in calls:
            forms.check(call)
    for _, request, _ in every:
        request.Free()
    for _ in range(500):
        comm.Barrier_init().Free()
    comm.Free()


def test_an_error_that_only_mpi_has_waited_for_is_raised_at_the_next_start(comm):
    request = comm.Barrier_init(algorithm="naive")

    def fail():
        raise ValueError("on the way")

    opening = request._replay.opening
    request._replay.opening = [Work(fail), *opening]
    request.Start()
    MPI.Request.Waitall([request])
    request._replay.opening = opening
    with pytest.raises(ValueError, match="on the way"):
        request.Start()
    request.Start()
    request.Wait()
    request.Free()


@pytest.mark.parametrize("finish", ["Wait", "Test", "test"])
def test_after_an_error_it_can_be_started_again(comm, finish):
    request, call = set_up(comm, "allreduce")
    plan = request._replay.opening

    def fail():
        raise ValueError("on the way")

    for turn in range(3):
        request._replay.opening = [Work(fail), *plan]
        request.Start()
        with pytest.raises(ValueError, match="on the way"):
            while True:  # until the rest of its messages has come
                getattr(request, finish)()
        request._replay.opening = plan
        call = renew(call, "allreduce", turn)
        request.Start()
        request.Wait()
        forms.check(call, "allreduce", turn)
    request.Free()


def test_started_again_as_soon_as_it_has_ended(comm):
    """Whoever ended it, the thread or its own Wait, and whoever starts it."""
    calls = [set_up(comm, form) for form in ("allreduce", "allgather", "scan")]
    requests = [request for request, _ in calls]
    for turn in range(300):
        if turn % 3 == 0:
            MPI.Prequest.Startall(requests)
        else:
            for request in requests:
                request.Start()
        if turn % 2 == 0:
            MPI.Request.Waitall(requests)
        else:
            for request in reversed(requests):
                request.Wait()
    for request, call in calls:
        forms.check(call)
        request.Free()
