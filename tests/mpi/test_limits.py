"""A call that does not end: every rank is told who is where, and nobody hangs."""

import re
import time

import numpy as np
import pytest
from common import FEW, RANK, P
from mpi4py import MPI

import collectives
from collectives import ArgumentError, CallMismatch, Comm, Timeout
from collectives.mpi.plans.traffic import Flight

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(not FEW or P < 3, reason="runs on 3 and 4 ranks"),
]

WORLD = MPI.COMM_WORLD
ABSENT = 1
LIMIT = 0.4
SOME = ("allreduce", "nonblocking", "persistent", "objects")


@pytest.fixture
def comm():
    """A limited communicator; it is not freed, because its calls do not end."""
    comm = Comm(WORLD.Dup(), check=False)
    comm.Barrier()
    return Comm(comm, timeout=LIMIT)


def calls(comm):
    """For every primitive a call that has to wait for the absent rank somewhere."""
    mine, all_, out = np.arange(2) + RANK, np.empty(2 * P, int), np.empty(2, int)
    root = ABSENT
    return {
        "barrier": lambda: comm.Barrier(),
        "bcast": lambda: comm.Bcast(mine, root),
        "scatter": lambda: comm.Scatter(all_, out, root),
        "gather": lambda: comm.Gather(mine, all_, 0),
        "allgather": lambda: comm.Allgather(mine, all_),
        "reduce": lambda: comm.Reduce(mine, out, root=0),
        "allreduce": lambda: comm.Allreduce(mine, out),
        "reduce_scatter": lambda: comm.Reduce_scatter_block(all_ * 0, out),
        "alltoall": lambda: comm.Alltoall(all_ * 0, all_),
        "scan": lambda: comm.Scan(mine, out),
        "exscan": lambda: comm.Exscan(mine, out),
        "nonblocking": lambda: comm.Iallreduce(mine, out).Wait(),
        "persistent": lambda: started(comm.Allreduce_init(mine, out)),
        "objects": lambda: comm.allgather({"rank": RANK}),
    }


OBJECTS = {
    "bcast": lambda comm, mine: comm.bcast(mine, ABSENT),
    "alltoall": lambda comm, mine: comm.alltoall([mine] * P),
    "allreduce": lambda comm, mine: comm.allreduce(mine),
}


def started(request):
    if RANK != ABSENT:
        request.Start()
        request.Wait()


@pytest.mark.share(3)
@pytest.mark.parametrize("primitive", calls(None) if P == 3 else SOME)
def test_one_rank_skips_a_call(comm, primitive):
    call = calls(comm)[primitive]
    text = ""
    if RANK != ABSENT or primitive == "persistent":
        try:
            call()
        except Timeout as error:
            text = str(error)
    WORLD.Barrier()  # in which the absent rank has answered
    texts = [each for each in WORLD.allgather(text) if each]
    assert texts and len(set(texts)) == 1, texts
    assert re.search(rf"no end within {LIMIT} s: rank {ABSENT} never came", texts[0])
    assert re.search(
        rf"\n  rank {ABSENT} is in no collective but at .*test_limits.py:\d+", texts[0]
    )
    where = r"in (round \d+|the comparison of calls)"
    assert re.search(rf"waits {where} for (recv from|send to) \d .*\.py:\d+", texts[0])
    with pytest.raises(Timeout, match="needs a communicator on which no call was given up"):
        time.sleep(0.05)  # for the thread of a rank that was not waiting
        comm.Barrier()


@pytest.mark.parametrize("primitive", OBJECTS)
def test_object_calls_are_named_as_the_user_knows_them(comm, primitive):
    """Not by the exchange of lengths or the gather within."""
    text = ""
    if RANK != ABSENT:
        with pytest.raises(Timeout) as caught:
            OBJECTS[primitive](comm, [RANK] * 100)
        text = str(caught.value)
    WORLD.Barrier()
    [text] = {each for each in WORLD.allgather(text) if each}
    assert text.startswith(f"{primitive} (object), call 1: no end within")
    assert "int64" not in text and "uint8" not in text


@pytest.mark.parametrize("in_place, checked", [(False, True), (True, False)])
def test_the_round_is_the_algorithms_own(in_place, checked):
    """Whatever comes before it: a comparison of calls, or a copy that arguments need."""
    comm = Comm(WORLD.Dup(), algorithm="ring", check=False)
    mine, out = np.arange(6) + RANK, np.empty(6, int)
    sendbuf = MPI.IN_PLACE if in_place else mine
    comm.Allreduce(sendbuf, out)
    comm = Comm(comm, timeout=LIMIT, check=checked)
    page, _ = collectives.find("allreduce", "ring")
    last = len(list(page.generator(RANK, P, mine, np.empty(6, int))))
    post = Flight._post

    def stop(flight, stage):
        if stage.number == last and RANK == ABSENT:
            time.sleep(3 * LIMIT)
        return post(flight, stage)

    Flight._post = stop
    try:
        with pytest.raises(Timeout) as caught:
            comm.Allreduce(sendbuf, out)
            comm.Barrier()
    finally:
        Flight._post = post
    WORLD.Barrier()
    if RANK != ABSENT:
        assert f"waits in round {last} for recv from" in str(caught.value)


def test_requests_that_were_set_up_before_the_limit():
    comm = Comm(WORLD.Dup(), check=False)
    request = comm.Barrier_init()
    Comm(comm, timeout=LIMIT)
    if RANK != ABSENT:
        request.Start()
        with pytest.raises(Timeout, match=f"no end within {LIMIT} s: rank {ABSENT} never came"):
            request.Wait()
    WORLD.Barrier()


def test_different_calls(comm):
    """Gather to a rank that the others want something from: all wait."""
    mine, everyone = np.array([RANK]), np.empty(P, int)
    comm.Gather(mine, everyone, ABSENT)
    comm.Bcast(mine, ABSENT)
    WORLD.Barrier()
    with pytest.raises(Timeout) as caught:
        if RANK == ABSENT:
            comm.Gather(mine, everyone, ABSENT)
        else:
            comm.Bcast(mine, ABSENT)
    texts = WORLD.allgather(str(caught.value))
    assert len(set(texts)) == 1, texts
    assert re.search(
        rf"bcast.*call 3: no end .*: rank {ABSENT} called gather.*, call 3\n", texts[0]
    )


def test_a_slow_rank_is_waited_for():
    comm = Comm(WORLD.Dup(), timeout=30)
    total = np.empty(1, int)
    for _ in range(3):
        if RANK == ABSENT:
            time.sleep(0.05)
        comm.Allreduce(np.array([RANK + 1]), total)
        request = comm.Iallreduce(np.array([RANK + 1]), out := np.empty(1, int))
        request.Wait()
        assert total[0] == out[0] == P * (P + 1) // 2
    child = comm.Split(RANK % 2)
    assert child.allreduce(1) == len(range(RANK % 2, P, 2))
    child.Free()
    comm.Free()


@pytest.mark.parametrize("before", [0, 1])
def test_the_environment_sets_it(monkeypatch, before):
    """Also for the first call, in which a communicator gets its private duplicate."""
    monkeypatch.setenv("COLLECTIVES_TIMEOUT", "1")
    comm = WORLD.Dup()
    for _ in range(before):
        collectives.barrier(comm)
    if RANK != ABSENT:
        with pytest.raises(Timeout, match=r"some of its \d ranks|rank 1" + " never came"):
            collectives.barrier(comm)
    WORLD.Barrier()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_what_is_no_time(monkeypatch, text):
    monkeypatch.setenv("COLLECTIVES_TIMEOUT", text)
    comm = WORLD.Dup()
    with pytest.raises(ArgumentError, match="COLLECTIVES_TIMEOUT must be seconds above 0, got"):
        collectives.barrier(comm)
    comm.Free()
    with pytest.raises(ArgumentError, match="timeout must be seconds above 0, got -1"):
        Comm(WORLD, timeout=-1)


def test_ranks_that_want_different_limits():
    comm = WORLD.Dup()
    with pytest.raises(CallMismatch) as caught:
        Comm(comm, timeout=30 if RANK == ABSENT else None)
    assert f"rank {ABSENT} called Comm with check=False, timeout=30.0" in str(caught.value)
    assert len(set(WORLD.allgather(str(caught.value)))) == 1
