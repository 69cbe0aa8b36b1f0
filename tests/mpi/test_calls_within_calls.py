"""User code that runs within a call makes another one on the same communicator, like it or not."""

import gc

import numpy as np
import pytest
from common import COMM, EVERYWHERE, RANK, P, check
from mpi4py import MPI

import collectives

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(P > 4 and not EVERYWHERE, reason="runs on up to 4 ranks"),
]

LONG = "z" * 3000  # too long for an envelope


@pytest.fixture(scope="module")
def comm():
    made = collectives.Comm(COMM.Dup())
    yield made
    made.Free()


def inner(comm):
    """Calls of all forms, of the shapes that the outer ones have."""
    mine, got = np.array([10.0 * RANK, 1]), np.full(2, -1.0)
    comm.Allreduce(mine, got)
    check(got, [5.0 * P * (P - 1), P])
    assert comm.allgather(f"in {RANK}") == [f"in {rank}" for rank in range(P)]
    assert comm.bcast(LONG if RANK == P - 1 else None, root=P - 1) == LONG
    got[:] = -1
    comm.Iallreduce(mine, got).Wait()
    check(got, [5.0 * P * (P - 1), P])


class Nosy:
    """Makes calls when it is pickled, and when it is unpickled."""

    def __init__(self, comm, name, when):
        self.name, self.when = name, when
        self.comm = comm

    def __reduce__(self):
        if "pickled" in self.when:
            inner(Nosy.comm)
        return _open, (self.name, self.when)


def _open(name, when):
    if "opened" in when:
        inner(Nosy.comm)
    return name


@pytest.mark.parametrize("when", ["pickled", "opened", "pickled, opened"])
@pytest.mark.parametrize("length", [1, 3000])
def test_pickling(comm, when, length):
    """Every rank does it as often, in the same order."""
    Nosy.comm = comm
    for _ in range(3):
        names = [f"{rank}" * length for rank in range(P)]
        mine = Nosy(comm, names[RANK], when)
        assert comm.allgather(mine) == names
        everybodys = [Nosy(comm, f"{RANK}>{rank}" * length, when) for rank in range(P)]
        assert comm.alltoall(everybodys) == [f"{rank}>{RANK}" * length for rank in range(P)]


@pytest.mark.skipif(P not in (2, 4), reason="runs where all ranks call the operator as often")
@pytest.mark.parametrize("kind", ["MPI.Op", "Operator"])
@pytest.mark.parametrize("n", [2, 20_000])
def test_an_operator(comm, kind, n):
    """In a call of its own shape, with its own operator and buffers elsewhere, and others."""
    depth = [0]
    elsewhere = np.full(n, 2.0 + RANK), np.full(n, -1.0)

    def within():
        if depth[0]:
            return
        depth[0] = 1
        inner(comm)
        for _ in range(2):
            elsewhere[1][:] = -1
            comm.Allreduce(*elsewhere, op, algorithm="recursive_doubling")
            check(elsewhere[1], np.full(n, 2.0 * P + P * (P - 1) / 2))
        depth[0] = 0

    def add(left, right, datatype):
        within()
        np.frombuffer(right)[...] += np.frombuffer(left)

    def kernel(left, right, out):
        within()
        np.add(left, right, out=out)

    ours = collectives.Operator("nosy", kernel)
    op = MPI.Op.Create(add, commute=True) if kind == "MPI.Op" else ours
    mine, got = np.arange(n) + 100.0 * RANK, np.zeros(n)
    right = P * np.arange(n) + 50.0 * P * (P - 1)
    for _ in range(4):
        got[:] = -1
        comm.Allreduce(mine, got, op, algorithm="recursive_doubling")
        check(got, right)
    got[:] = -1
    comm.Iallreduce(mine, got, op, algorithm="recursive_doubling").Wait()
    check(got, right)
    request = comm.Allreduce_init(mine, got, op, algorithm="recursive_doubling")
    for _ in range(2):
        got[:] = -1
        request.Start()
        request.Wait()
        check(got, right)
    request.Free()
    if kind == "MPI.Op":
        op.Free()


def test_an_operator_in_a_process_alone():
    """The same plan is in use in a finalizer that runs while a kernel does."""
    comm = collectives.Comm(MPI.COMM_SELF)
    inside = []

    class Last:
        def __del__(self):
            got = np.zeros(3)
            for _ in range(3):
                comm.Allreduce(np.ones(3), got)
                comm.Bcast(got)
            inside.append(got.sum())

    class Circle:
        def __init__(self):
            self.it, self.last = self, Last()

    mine, got = np.arange(3.0), np.zeros(3)
    for _ in range(5):
        Circle()
        comm.Allreduce(mine, got)
        check(got, mine)
        assert comm.allgather([RANK, gc.collect() and LONG]) == [[RANK, LONG]]
    assert inside == [3.0] * 5


def test_attribute_callbacks(comm):
    """Of the program's own keyvals, when its communicator is copied and freed."""
    seen = []

    def copied(old, keyval, value):
        inner(comm)
        seen.append("copied")
        return value

    def deleted(old, keyval, value):
        inner(comm)
        seen.append("deleted")

    keyval = MPI.Comm.Create_keyval(copied, deleted)
    plain = COMM.Dup()
    plain.Set_attr(keyval, 7)
    other = plain.Dup()
    other.Free()
    plain.Free()
    MPI.Comm.Free_keyval(keyval)
    assert seen[0] == "copied" and "deleted" in seen
    inner(comm)


class Exported:
    """Memory by DLPack, whose export makes calls."""

    def __init__(self, comm, array):
        self.comm, self.array = comm, array
        self.dtype = array.dtype

    def __dlpack__(self, **options):
        inner(self.comm)
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_export(comm):
    for n in (2, 20_000):
        mine, got = np.arange(n) + 100.0 * RANK, np.zeros(n)
        for _ in range(3):
            got[:] = -1
            comm.Allreduce(Exported(comm, mine), Exported(comm, got))
            check(got, P * np.arange(n) + 50.0 * P * (P - 1))
