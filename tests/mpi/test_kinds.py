"""Communicators made from ours: what they are, and what they keep."""

import copy
import pickle

import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks
from mpi4py import MPI

import collectives
from collectives.errors import ArgumentError

pytestmark = [pytest.mark.mpi, at_few_ranks]

RING = {"allreduce": "ring"}


@pytest.fixture(scope="module")
def comm():
    return collectives.Comm(COMM, algorithm=RING)


def check(made, kind, plain):
    """What is made is ours, keeps the defaults, and mpi4py's class, and works."""
    assert type(made) is kind
    assert isinstance(made, plain)
    if isinstance(made, MPI.Intercomm):
        return
    assert isinstance(made, collectives.Comm)
    assert made.algorithm_for("allreduce") == "ring"
    total = np.zeros(2, int)
    made.Allreduce(np.array([made.rank, 1]), total)
    assert [*total] == [made.size * (made.size - 1) // 2, made.size]


def grid(comm):
    dims = MPI.Compute_dims(P, 2)
    return comm.Create_cart(dims, [True, False])


def ring_of(comm):
    index = [2 * (rank + 1) for rank in range(P)]
    edges = [peer % P for rank in range(P) for peer in (rank - 1, rank + 1)]
    return comm.Create_graph(index, edges)


def adjacent(comm):
    return comm.Create_dist_graph_adjacent([(RANK - 1) % P], [(RANK + 1) % P])


def distributed(comm):
    return comm.Create_dist_graph([RANK], [1], [(RANK + 1) % P])


KINDS = {
    grid: (collectives.Cartcomm, MPI.Cartcomm),
    ring_of: (collectives.Graphcomm, MPI.Graphcomm),
    adjacent: (collectives.Distgraphcomm, MPI.Distgraphcomm),
    distributed: (collectives.Distgraphcomm, MPI.Distgraphcomm),
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_topologies(comm, make):
    """Ours with mpi4py's topology: so are their duplicates, but not what is split off."""
    ours, plain = make(comm), make(COMM)
    kind, mpi4pys = KINDS[make]
    assert type(plain) is mpi4pys
    check(ours, kind, mpi4pys)
    assert ours.topology == plain.topology
    assert ours.inoutedges == plain.inoutedges
    got, wanted = np.full(4, -1), np.full(4, -1)
    mine = np.array([RANK])
    ours.Neighbor_allgather(mine, got[: ours.indegree])
    plain.Neighbor_allgather(mine, wanted[: plain.indegree])
    assert np.array_equal(got, wanted)
    for child in (ours.Dup(), ours.Clone()):
        check(child, kind, mpi4pys)
        assert child.inoutedges == plain.inoutedges
        child.Free()
    split = ours.Split(RANK % 2)
    check(split, collectives.Comm, MPI.Intracomm)
    duplicate, request = ours.Idup()
    request.Wait()
    check(duplicate, kind, mpi4pys)
    wrapped = collectives.Comm(plain, algorithm=RING)
    check(wrapped, kind, mpi4pys)
    for each in (split, duplicate, wrapped, ours):
        each.Free()


def test_parts_of_a_grid(comm):
    cart, plain = grid(comm), grid(COMM)
    for remain in ([True, False], [False, True], [False, False]):
        row, wanted = cart.Sub(remain), plain.Sub(remain)
        check(row, collectives.Cartcomm, MPI.Cartcomm)
        assert (row.dims, row.periods, row.coords) == (wanted.dims, wanted.periods, wanted.coords)
        row.Free()
        wanted.Free()
    cart.Free()
    plain.Free()


def test_ranks_outside_a_grid(comm):
    cart = comm.Create_cart([max(P - 1, 1)])
    assert isinstance(cart, MPI.Cartcomm)
    assert (cart == MPI.COMM_NULL) == (P > 1 and RANK == P - 1)
    if cart:
        check(cart, collectives.Cartcomm, MPI.Cartcomm)
        cart.Free()


def test_no_topology_where_there_is_none(comm):
    with pytest.raises(ArgumentError, match="must have the topology of a Cartcomm"):
        collectives.Cartcomm(comm)
    assert collectives.Cartcomm() == MPI.COMM_NULL


def test_intercommunicators(comm):
    if P == 1:
        pytest.skip("needs two groups")
    half = comm.Split(RANK % 2, RANK)
    inter = half.Create_intercomm(0, comm, 1 - RANK % 2)
    merged = inter.Merge(RANK % 2)
    check(inter, collectives.Intercomm, MPI.Intercomm)
    check(merged, collectives.Comm, MPI.Intracomm)
    assert inter.allgather(RANK) == [rank for rank in range(P) if rank % 2 != RANK % 2]
    twice = inter.Dup()
    check(twice, collectives.Intercomm, MPI.Intercomm)
    again = twice.Merge()
    check(again, collectives.Comm, MPI.Intracomm)
    for each in (again, twice, merged, inter, half):
        each.Free()


def test_of_a_group(comm):
    if MPI.Get_version() < (4, 0):
        pytest.skip("needs MPI 4")
    group = COMM.group.Incl([*range(P)][::-1])
    made = collectives.Comm.Create_from_group(group, "test_of_a_group")
    assert type(made) is collectives.Comm and made.rank == P - 1 - RANK
    assert made.allgather(RANK) == [*range(P)][::-1]
    made.Free()
    group.Free()


def test_classes_of_the_program(comm):
    class Mine(collectives.Comm):
        pass

    mine = Mine(COMM, RING)
    cart = mine.Create_cart([P])
    for made, kind in (
        (mine.Split(0), Mine),
        (mine.Dup(), Mine),
        (cart, collectives.Cartcomm),
    ):
        check(made, kind, MPI.Intracomm)
        made.Free()


@pytest.mark.parametrize("constant", [MPI.COMM_WORLD, MPI.COMM_SELF], ids=["world", "self"])
def test_constants_are_not_freed(constant):
    comm = collectives.Comm(constant)
    comm.free()
    assert comm == constant
    with pytest.raises(MPI.Exception) as caught:
        comm.Free()
    assert caught.value.Get_error_class() == MPI.ERR_COMM
    assert comm.allreduce(1) == constant.size
    other = comm.Dup()
    other.free()
    other.free()
    assert other == MPI.COMM_NULL
    made = collectives.Comm()
    made.free()


@pytest.mark.parametrize("name", ["COMM_WORLD", "COMM_SELF"])
def test_pickled(monkeypatch, name):
    """Ours and mpi4py's, whichever of them stands for the constant."""
    plain = getattr(MPI, name)
    comm = collectives.Comm(plain, algorithm=RING)
    child = comm.Dup()
    for standing in (plain, comm):
        monkeypatch.setattr(MPI, name, standing)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(plain, protocol))
            assert again is plain
            again = pickle.loads(pickle.dumps([comm], protocol))[0]
            check(again, collectives.Comm, MPI.Intracomm)
            assert again == plain and (again is comm) == (standing is comm)
        assert copy.copy(comm) == copy.deepcopy(comm) == plain
        for other in (child, MPI.Intracomm(child)):
            with pytest.raises(ValueError, match="cannot serialize"):
                pickle.dumps(other)
    child.Free()
