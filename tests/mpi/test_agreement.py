"""All ranks raise alike, even if only one of them is wrong."""

import re

import numpy as np
import pytest
from mpi4py import MPI

import collectives
from collectives.errors import BufferMismatch, CallMismatch
from collectives.mpi.plans.channel import channel_of, configure

pytestmark = pytest.mark.mpi


@pytest.fixture
def comm():
    """A communicator on which nothing has been called yet."""
    duplicate = MPI.COMM_WORLD.Dup()
    yield duplicate
    duplicate.Free()


def several(comm):
    if comm.size < 2:
        pytest.skip("needs ranks that differ")


def refusal(kind, function, *arguments, **options):
    """The message, which all ranks must have got."""
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    told = MPI.COMM_WORLD.allgather(str(caught.value))
    assert len(set(told)) == 1, told
    return told[0]


@pytest.mark.parametrize("culprit", [0, -1])
def test_first_call_with_a_wrong_buffer_on_one_rank(comm, culprit):
    culprit %= comm.size
    send, recv = np.full(3, comm.rank + 1.0), np.full(3, -1.0)
    short = np.full(2, -1.0)
    mine = short if comm.rank == culprit else recv
    text = refusal(BufferMismatch, collectives.allreduce, comm, send, mine, algorithm="tree")
    assert f"allreduce.tree: rank {culprit} of {comm.size}: sendbuf needs 2 elements" in text
    assert (recv == -1).all() and (short == -1).all()
    collectives.allreduce(comm, send, recv, algorithm="tree")
    assert (recv == comm.size * (comm.size + 1) / 2).all()


@pytest.mark.parametrize("algorithm", collectives.algorithms_for("gather"))
def test_first_call_with_a_wrong_buffer_at_the_root(comm, algorithm):
    send = np.arange(2) + 10 * comm.rank
    recv = np.full((comm.size, 2), -1)
    recv.flags.writeable = False
    text = refusal(BufferMismatch, collectives.gather, comm, send, recv, algorithm=algorithm)
    assert "recvbuf needs writable memory" in text
    recv.flags.writeable = True
    collectives.gather(comm, send, recv, algorithm=algorithm)
    if comm.rank == 0:
        assert (recv == np.arange(2) + 10 * np.arange(comm.size)[:, None]).all()


def test_later_calls_are_compared_on_demand(comm):
    several(comm)
    send, recv = np.ones(3), np.empty(3)
    collectives.allreduce(comm, send, recv)
    configure(comm, check=True, timeout=None)
    mine = np.empty(2) if comm.rank == 1 else recv
    assert "rank 1 of" in refusal(BufferMismatch, collectives.allreduce, comm, send, mine)
    collectives.allreduce(comm, send, recv)
    assert (recv == comm.size).all()


def test_the_environment_demands_it(monkeypatch):
    monkeypatch.setenv("COLLECTIVES_CHECK", "1")
    comm = MPI.COMM_WORLD.Dup()
    assert channel_of(comm).supervisor.settings.check
    comm.Free()
    monkeypatch.setenv("COLLECTIVES_CHECK", "0")
    comm = MPI.COMM_WORLD.Dup()
    assert not channel_of(comm).supervisor.settings.check
    comm.Free()


def test_different_primitives(comm):
    several(comm)

    def call():
        if comm.rank == 1:
            collectives.bcast(comm, np.zeros(3))
        else:
            collectives.allreduce(comm, np.zeros(3), np.zeros(3))

    text = refusal(CallMismatch, call)
    assert re.match(r"all ranks must call the same collective, got: rank", text)
    assert "rank 1 called bcast.tree (root 0, 3 elements, float64)" in text
    assert "0" in text and "called allreduce.recursive_doubling (sum, 3 elements, float64)" in text


@pytest.mark.parametrize(
    "options, difference",
    [
        ({"algorithm": "ring"}, "allreduce.ring"),
        ({"op": MPI.MAX}, "(max, 3 elements"),
        ({"elements": 4}, "4 elements"),
        ({"dtype": np.float32}, "float32"),
    ],
)
def test_the_same_primitive_with_a_difference(comm, options, difference):
    several(comm)
    given = {"elements": 3, "dtype": np.float64, "algorithm": "tree", "op": MPI.SUM}
    given |= options if comm.rank == comm.size - 1 else {}
    send = np.zeros(given.pop("elements"), given.pop("dtype"))
    recv = np.zeros_like(send)
    text = refusal(CallMismatch, collectives.allreduce, comm, send, recv, **given)
    assert f"rank {comm.size - 1} called" in text and difference in text


def test_different_roots(comm):
    several(comm)
    text = refusal(CallMismatch, collectives.bcast, comm, np.zeros(3), root=min(comm.rank, 1))
    assert "rank 0 called bcast.tree (root 0" in text and "(root 1" in text
