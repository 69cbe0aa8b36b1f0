"""Algorithms with two levels over MPI: which ranks form a node."""

import numpy as np
import pytest
from common import COMM, RANK, P, builtin, check, ours
from mpi4py import MPI

import collectives
from collectives.algorithms import REGISTRY
from collectives.errors import ArgumentError, CallMismatch, RestrictionError
from collectives.mpi.data.nodes import leader
from collectives.mpi.plans.channel import channel_of

TWO_LEVELS = [
    (primitive, algorithm.name)
    for primitive, names in REGISTRY.items()
    for algorithm in names.values()
    if algorithm.needs_groups
]
GROUPS = [None, 1, 2, tuple(rank % 2 for rank in range(P)), tuple(range(P))]


def data(primitive):
    """Arguments for both, with an output to compare."""
    mine = np.arange(3 * P) + 100 * RANK
    sizes = {"gather": 3 * P * P, "allgather": 3 * P * P, "scatter": 3, "reduce_scatter": 3}
    result = np.full(sizes.get(primitive, 3 * P), -1)
    if primitive == "barrier":
        return ()
    if primitive == "bcast":
        return (mine,)
    return mine, result


@pytest.mark.parametrize("group", GROUPS, ids=str)
@pytest.mark.parametrize(("primitive", "name"), TWO_LEVELS)
def test_as_the_builtin(primitive, name, group):
    given = {} if group is None else {"group": group}
    got, wanted = data(primitive), data(primitive)
    ours(primitive, *got, algorithm=name, **given)
    builtin(primitive, *wanted)
    for one, other in zip(got, wanted):
        check(one, other, primitive, name, group)


def test_the_ranks_of_one_machine_share_a_node():
    duplicate = COMM.Dup()
    name = MPI.Get_processor_name()
    if len(set(COMM.allgather(name))) == 1:
        assert leader(COMM) == 0
        collectives.barrier(duplicate, algorithm="hierarchical")
        assert channel_of(duplicate).recorder.nodes == (0,) * P
    duplicate.Free()


def test_nonblocking_and_persistent():
    comm = collectives.Comm(COMM.Dup())
    mine, total = np.arange(5) + RANK, np.empty(5, int)
    comm.Iallreduce(mine, total, algorithm="hierarchical").Wait()
    check(total, np.arange(5) * P + P * (P - 1) // 2)
    request = comm.Allreduce_init(mine, total, algorithm="hierarchical:group=2")
    for _ in range(2):
        total[:] = -1
        request.Start()
        request.Wait()
        check(total, np.arange(5) * P + P * (P - 1) // 2)
    request.Free()
    comm.Free()


@pytest.mark.parametrize("primitive", ["allgather", "reduce_scatter", "allreduce"])
def test_a_schedule_for_a_topology(primitive):
    for topology in (f"ring:{P},nic=25G", f"nodes:{P}x2,nic=25G,placement=random:1"):
        got, wanted = data(primitive), data(primitive)
        ours(primitive, *got, algorithm="synthesised", topology=topology, pieces=2)
        builtin(primitive, *wanted)
        for one, other in zip(got, wanted):
            check(one, other, primitive, topology)


def test_a_topology_that_is_too_small():
    mine, total = np.arange(5) + RANK, np.full(5, -1)
    for topology in (f"nodes:1x{P - 1},nic=25G" if P > 1 else "nodes:1x1", "moebius:3", 8):
        with pytest.raises(ArgumentError, match=r"allreduce.synthesised: topology"):
            ours("allreduce", mine, total, algorithm="synthesised", topology=topology)
    check(total, np.full(5, -1))


@pytest.mark.skipif(P < 3, reason="with fewer ranks all groups are in rank order")
def test_rank_order_needs_neighbours():
    first = MPI.Op.Create(lambda a, b, datatype: None, commute=False)
    got = np.full(2, -1)
    with pytest.raises(RestrictionError, match="or groups of neighbouring ranks"):
        group = tuple(rank % 2 for rank in range(P))
        ours("allreduce", np.arange(2), got, op=first, algorithm="hierarchical", group=group)
    assert (got == -1).all()
    first.Free()


def test_wrong_groups():
    for group in (0, (1,) * (P + 1), ("a",) * P):
        with pytest.raises(ArgumentError, match=r"barrier\.hierarchical: group must be"):
            ours("barrier", algorithm="hierarchical", group=group)


@pytest.mark.skipif(P < 2, reason="needs two ranks that differ")
def test_ranks_that_differ_are_told():
    duplicate = COMM.Dup()
    with pytest.raises(CallMismatch, match=r"called bcast\.hierarchical"):
        if RANK == 0:
            collectives.bcast(duplicate, np.zeros(3), algorithm="hierarchical")
        else:
            collectives.bcast(duplicate, np.zeros(3), algorithm="tree")
    duplicate.Free()
