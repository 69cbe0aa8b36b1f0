"""The messages of many communicators on few of ours: never crossed, and nothing to be seen."""

import threading

import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, at_few_ranks
from mpi4py import MPI

import collectives
from collectives import Comm
from collectives.mpi.engines import lanes
from collectives.mpi.plans.channel import channel_of

pytestmark = [pytest.mark.mpi, at_few_ranks]


@pytest.fixture
def apart():
    """Every rank has given away other tags before, so that none agree from now on."""
    own = [Comm(MPI.COMM_SELF.Dup()) for _ in range(3 * RANK + 1)]
    yield
    for comm in own:
        comm.Free()


def lane_of(comm):
    return channel_of(comm).lane


def started(comm, seed):
    """A sum in flight, and what it must come to."""
    mine = np.arange(40) * (comm.rank + 1) + seed
    total = np.full(40, -1)
    request = comm.Iallreduce(mine, total)
    wanted = np.arange(40) * comm.size * (comm.size + 1) // 2 + seed * comm.size
    return request, total, wanted


def works(comm, seed=0):
    total = np.zeros(1, int)
    comm.Allreduce(np.array([comm.rank + seed]), total)
    assert total[0] == comm.size * (comm.size - 1) // 2 + seed * comm.size
    assert comm.allgather(("rank", comm.rank)) == [("rank", r) for r in range(comm.size)]


def pairs(comm):
    """By its first rank, a communicator of each pair of neighbours that has this rank."""
    found = {}
    for first in range(P if P > 2 else P - 1):
        pair = {first, (first + 1) % P}
        found[first] = comm.Split(0 if RANK in pair else MPI.UNDEFINED, RANK * (-1) ** first)
    return {first: each for first, each in found.items() if each}


def test_the_tags_of_the_ranks_differ(apart):
    comm = Comm(COMM).Dup()
    tags = lane_of(comm).tags
    assert len(set(tags)) == P
    works(comm)
    comm.Free()


def test_in_flight_together(apart):
    """Communicators that overlap, each with other tags on each rank, in any order."""
    world = Comm(COMM)
    comms = [world.Dup(), world.Split(RANK % 2, -RANK), world.Create_cart([P])]
    numbered = {**pairs(world), **{P + n: comm for n, comm in enumerate(comms)}}
    mine = [lane_of(comm).tags[comm.rank] for comm in numbered.values()]
    assert len(set(mine)) == len(mine)
    for _ in range(2):
        flights = [started(comm, 100 * n + k) for k in range(3) for n, comm in numbered.items()]
        for number, comm in numbered.items():
            works(comm, number)
        for request, total, wanted in flights[:: 1 if RANK % 2 else -1]:
            request.Wait()
            assert np.array_equal(total, wanted)
    for comm in numbered.values():
        comm.Free()


def test_reversed_and_part(apart):
    """Ranks of the carrier and of the communicator differ, from every root."""
    world = Comm(COMM)
    part = world.Split(0 if RANK or P == 1 else MPI.UNDEFINED, -RANK)
    for comm in filter(None, [world.Split(0, -RANK), part]):
        for root in range(comm.size):
            got = np.full(3, -1)
            comm.Scatter(np.arange(3 * comm.size) if comm.rank == root else None, got, root)
            assert np.array_equal(got, 3 * comm.rank + np.arange(3))
            whole = np.full(3 * comm.size, -1)
            comm.Gather(got, whole, root)
            wanted = np.arange(3 * comm.size) if comm.rank == root else np.full(3 * comm.size, -1)
            assert np.array_equal(whole, wanted)
        request = comm.Bcast_init(got, comm.size - 1)
        request.Start()
        request.Wait()
        request.Free()
        assert got[0] == 3 * (comm.size - 1)
        assert channel_of(comm).recorder.nodes == (0,) * comm.size
        comm.Free()


def test_one_carrier_for_all():
    world = Comm(COMM)
    made = [world.Dup(), Comm(COMM.Dup()), Comm(MPI.COMM_SELF), *pairs(world).values()]
    made += [Comm(COMM.Split(RANK % 2)), made[0].Split(RANK % 2)]
    assert {lane_of(comm).carrier for comm in made} == {lane_of(world).carrier}
    for comm in made:
        comm.free()


def test_threads_make_communicators():
    """Each of its own, all at once; each rank has another order of events."""
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("needs MPI.THREAD_MULTIPLE")
    bases = [COMM.Dup() for _ in range(3)]
    failed = []

    def work(number):
        try:
            comm = Comm(bases[number])
            for step in range(8):
                child = comm.Split((RANK + step) % 2, RANK)
                other = comm.Dup()
                works(child, 10 * number + step)
                works(other, 100 * number + step)
                child.Free()
                works(other, 7 * number)
                other.Free()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for comm in bases:
        comm.Free()


def test_no_lane_left(monkeypatch, apart):
    """A rank whose tags are used up: communicators then have carriers of their own."""
    world = Comm(COMM)
    carrier, before = lane_of(world).carrier, len(lanes._CARRIERS)
    monkeypatch.setattr(lanes, "_lanes", lambda: 2)
    monkeypatch.setattr(carrier, "_returned", type(carrier._returned)())
    made = [world.Dup() for _ in range(5)]
    assert carrier not in {lane_of(comm).carrier for comm in made}
    assert len({lane_of(comm).carrier for comm in made}) > 1
    for comm in made:
        works(comm)
    for comm in made:
        comm.Free()
    monkeypatch.undo()
    assert len(lanes._CARRIERS) == before


def test_tags_come_again(monkeypatch, apart):
    """Communicators that come and go have the same tags in turn, others on each rank."""
    world = Comm(COMM)
    carrier = lane_of(world).carrier
    most = carrier._next + 2
    monkeypatch.setattr(lanes, "_lanes", lambda: most)
    monkeypatch.setattr(carrier, "_returned", type(carrier._returned)())
    seen = []
    for number in range(12):
        comm = world.Dup()
        assert lane_of(comm).carrier is carrier
        seen.append(lane_of(comm).tags[RANK])
        works(comm, number)
        comm.Free()
    assert seen == seen[:2] * 6


def test_a_part_of_the_world_alone():
    """Without a carrier of the world: one of the part, shared by what is made of it, then gone."""
    kept, lanes._CARRIERS[:] = lanes._CARRIERS[:], []
    try:
        half = Comm(COMM.Split(RANK % 2))
        parts = [half.Dup(), half.Split(0, -half.rank), Comm(MPI.COMM_SELF.Dup())]
        carrier = lane_of(half).carrier
        assert {lane_of(comm).carrier for comm in parts} == {carrier}
        half.Free()
        for comm in parts:
            works(comm)
            comm.Free()
        assert (carrier.comm == MPI.COMM_NULL) == (P > 1)
    finally:
        lanes._CARRIERS[:] = kept


def test_only_the_ranks_of_the_group_come():
    """A communicator that has no channel yet does not wait for the rest to make one."""
    base = COMM.Dup()
    comm = MPI.Intracomm.__new__(Comm, base)  # as one is that has been unpickled
    few = COMM.group.Incl([*range(max(P - 1, 1))])
    if few.rank != MPI.UNDEFINED:
        child = comm.Create_group(few)
        works(child)
        child.Free()
    few.Free()
    base.Free()


def test_messages_of_a_failed_call_meet_nobody():
    """One rank refuses a call for which another has sent already; all free and go on."""
    comm = Comm(COMM).Dup()
    comm.Bcast(np.arange(3.0), 0, algorithm="naive")
    lane, fixed = lane_of(comm), np.zeros(3)
    fixed.flags.writeable = False
    if RANK == P - 1 and P > 1:
        with pytest.raises(collectives.BufferMismatch):
            comm.Bcast(fixed, 0, algorithm="naive")
    elif P > 1:
        comm.Bcast(np.arange(3.0), 0, algorithm="naive")
    assert lane.spoilt == (RANK == P - 1 and P > 1)
    comm.Free()
    COMM.Barrier()
    assert (lane.tags[lane.rank] // lanes.tags_of_a_lane() in lane.carrier._returned) != lane.spoilt


MAKERS = {
    "Dup": lambda comm: comm.Dup(),
    "Clone": lambda comm: comm.Clone(),
    "Idup": lambda comm: comm.Idup(),
    "Split": lambda comm: comm.Split(0),
    "Create_cart": lambda comm: comm.Create_cart([P]),
    "Create": lambda comm: comm.Create(comm.group),
    "nothing": lambda comm: comm,
}


@pytest.mark.parametrize("name", MAKERS)
def test_attributes_are_copied_as_by_mpi4py(name):
    """Also where a plain communicator is given to ours, and where requests are made."""
    assert attribute_calls(MAKERS[name], Comm) == attribute_calls(MAKERS[name], MPI.Intracomm)


def attribute_calls(make, wrap):
    """What MPI calls for an attribute of a communicator of which another one is made."""
    calls = []
    keyval = MPI.Comm.Create_keyval(
        lambda comm, key, value: calls.append("copy") or value,
        lambda comm, key, value: calls.append("delete"),
    )
    base = COMM.Dup()
    base.Set_attr(keyval, "value")
    comm = wrap(base)
    made = make(comm)
    if isinstance(made, tuple):
        made[1].Wait()
        made = made[0]
    if isinstance(made, Comm):
        works(made)
        made.Iallreduce(np.ones(1), np.zeros(1)).Wait()
    collectives.barrier(made)
    if made is not comm:
        made.Free()
    comm.Free()
    MPI.Comm.Free_keyval(keyval)
    return calls


@pytest.mark.skipif(P > 1 and not EVERYWHERE, reason="takes long on more than one rank")
def test_as_many_communicators_as_mpi4py():
    """MPICH has 2048."""
    comm = Comm(COMM)
    alive = [comm.Split(0, RANK) for _ in range(1900)]
    for each in alive[::100]:
        works(each)
    for each in alive:
        each.Free()
