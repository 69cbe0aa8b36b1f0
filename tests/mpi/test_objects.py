"""The object forms of Comm."""

import operator

import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks
from mpi4py import MPI
from mpi4py.util import pkl5

import collectives
from collectives.errors import ArgumentError
from collectives.mpi.plans import envelopes
from collectives.mpi.plans.channel import channel_of

FEW_BYTES = 2**15  # near the length up to which buffers are staged

pytestmark = [pytest.mark.mpi, at_few_ranks]


@pytest.fixture(scope="module", params=["default", "ring", "naive"])
def comm(request):
    return collectives.Comm(COMM, None if request.param == "default" else request.param)


def thing(rank, seed=0):
    """An object of a different length on each rank."""
    return {"rank": rank, "list": list(range(rank * 5 + seed)), "text": "x" * (7 * rank)}


def test_moves(comm):
    comm.barrier()
    for root in range(P):
        assert comm.bcast(thing(RANK) if root == RANK else None, root) == thing(root)
        everything = [thing(rank, root) for rank in range(P)]
        assert comm.scatter(everything if root == RANK else None, root) == thing(RANK, root)
        gathered = comm.gather(thing(RANK, root), root)
        assert gathered == (everything if root == RANK else None)
    assert comm.allgather(thing(RANK)) == [thing(rank) for rank in range(P)]
    sent = [thing(RANK, dest) for dest in range(P)]
    assert comm.alltoall(sent) == [thing(source, RANK) for source in range(P)]
    assert comm.alltoall(dest for dest in range(P)) == [RANK] * P


def test_reductions(comm):
    """Concatenation: the order of operands shows."""
    mine, everything = f"<{RANK}>", [f"<{rank}>" for rank in range(P)]
    for root in range(P):
        reduced = comm.reduce(mine, operator.add, root)
        assert reduced == ("".join(everything) if root == RANK else None)
    assert comm.allreduce(mine, operator.add) == "".join(everything)
    assert comm.scan(mine, operator.add) == "".join(everything[: RANK + 1])
    assert comm.exscan(mine, operator.add) == ("".join(everything[:RANK]) or None)
    assert comm.allreduce(RANK + 0.5) == COMM.allreduce(RANK + 0.5)
    assert comm.allreduce((RANK % 2, RANK), MPI.MAXLOC) == COMM.allreduce(
        (RANK % 2, RANK), MPI.MAXLOC
    )


def test_the_algorithm_that_collects(comm):
    collected = "".join(f"<{rank}>" for rank in range(P))
    for name in ("naive", "ring", "knomial:k=3"):
        reduced = comm.reduce(f"<{RANK}>", operator.add, P - 1, algorithm=name)
        assert reduced == (collected if RANK == P - 1 else None)
        assert comm.allreduce(f"<{RANK}>", operator.add, algorithm=name) == collected
    for name in ("naive", "ring", "bruck"):
        assert comm.scan(1, algorithm=name) == RANK + 1
        assert comm.exscan(1, algorithm=name) == (RANK or None)
    with pytest.raises(collectives.UnknownAlgorithm, match="gather"):
        comm.reduce(1, algorithm="rabenseifner")


def test_ibarrier(comm):
    requests = [comm.ibarrier(), comm.ibarrier(algorithm="ring")]
    MPI.Request.Waitall(requests)


def test_large(comm):
    array = np.arange(400_000) + RANK
    assert comm.bcast(array if RANK == 0 else None)[-1] == 399_999
    assert [each[0] for each in comm.allgather(array)] == list(range(P))


@pytest.mark.slow
def test_64_mib():
    """Objects as large as mpi4py.util.pkl5 is made for."""
    comm, n = collectives.Comm(COMM), 8 * 2**20
    array = np.arange(n) * (RANK + 1)
    for root in range(P):
        got = comm.bcast(array if root == RANK else None, root)
        assert np.array_equal(got, np.arange(n) * (root + 1))
    for rank, each in enumerate(comm.allgather({"rank": RANK, "array": array})):
        assert each["rank"] == rank and np.array_equal(each["array"], np.arange(n) * (rank + 1))


def test_pkl5(comm):
    """It shares the handle and takes mpi4py's own collectives; each leaves the other alone."""
    large = pkl5.Intracomm(comm)
    assert not isinstance(large, collectives.Comm)
    array = np.arange(100_000) + RANK
    request = comm.Iallreduce(array, total := np.zeros_like(array))
    assert np.array_equal(large.bcast(array if RANK == 0 else None), np.arange(100_000))
    everything = comm.allgather(array)
    assert all(np.array_equal(*pair) for pair in zip(everything, large.allgather(array)))
    assert large.alltoall([thing(RANK)] * P) == comm.alltoall([thing(RANK)] * P)
    request.Wait()
    assert np.array_equal(total, sum(everything))
    back = collectives.Comm(large)  # ours again, on the same handle
    assert back.allgather(RANK) == list(range(P))


def test_what_is_received_is_a_copy(comm):
    whole = comm.allgather([RANK])
    whole[RANK].append("more")
    assert comm.allgather([RANK])[RANK] == [RANK]


def test_objects_of_the_same_length(comm):
    """Their plans are found again, and what came before stays what it was."""
    values = [np.arange(20) + seed for seed in range(4)]
    got, entries = [], []
    for value in values:
        got.append((comm.bcast(value if RANK == 0 else None), *comm.allgather(value + RANK)))
        entries.append(len(channel_of(comm).store.pools))
    for value, (first, *rest) in zip(values, got):
        assert np.array_equal(first, value)
        assert all(np.array_equal(one, value + rank) for rank, one in enumerate(rest))
    assert len(set(entries)) == 1


@pytest.mark.parametrize("elements", [FEW_BYTES // 4, FEW_BYTES - 300, FEW_BYTES])
def test_from_few_to_many_bytes(comm, elements):
    sent = [bytes((np.arange(elements) * 7 + rank).astype(np.uint8)) for rank in range(P)]
    assert comm.allgather(sent[RANK]) == sent
    assert comm.bcast(sent[RANK], root=P - 1) == sent[-1]


def of_pickled_length(n, fill):
    """An object whose pickle has n bytes."""
    thing = bytes([fill]) * (n - len(MPI.pickle.dumps(b"")))
    assert len(MPI.pickle.dumps(thing)) == n
    return thing


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("all_of_them", [True, False])
def test_at_the_length_where_envelopes_are_full(beyond, all_of_them):
    """One rank's object may be too long for its envelope, or all are; that of one fits exactly."""
    comm = collectives.Comm(COMM.Dup())
    for count in (P, P * P):
        full = 8 * (envelopes.words_for(count) - 1)
        everybodys = [
            of_pickled_length(full + beyond if all_of_them or rank == P // 2 else 30, 65 + rank)
            for rank in range(P)
        ]
        mine = everybodys[RANK]
        for root in range(P):
            gathered = comm.gather(mine, root)
            assert gathered == (everybodys if root == RANK else None)
            assert comm.scatter(everybodys if root == RANK else None, root) == mine
            assert comm.bcast(mine if root == RANK else None, root) == everybodys[root]
        assert comm.allgather(mine) == everybodys
        rows = [[(everybodys[rank], rank, other) for other in range(P)] for rank in range(P)]
        assert comm.alltoall(rows[RANK]) == [row[RANK] for row in rows]
        assert comm.allreduce(mine, operator.add) == b"".join(everybodys)
        assert comm.exscan(mine, operator.add) == (b"".join(everybodys[:RANK]) or None)
    comm.Free()


def test_only_what_nobody_asked_about_goes_in_envelopes():
    comm = collectives.Comm(COMM.Dup())
    assert comm.bcast(RANK, P - 1) == P - 1 and comm.allgather(RANK) == list(range(P))
    assert len(channel_of(comm).store.pools) == 2
    for chosen, options in ((comm, {"algorithm": "ring"}), (collectives.Comm(comm, "ring"), {})):
        before = set(channel_of(comm).store.pools)
        assert chosen.gather(RANK, **options) == (list(range(P)) if RANK == 0 else None)
        assert any("ring" in shape for shape in set(channel_of(comm).store.pools) - before)
        channel_of(comm).forget()
    comm.Free()


def test_all_ranks_raise(comm):
    """What one rank cannot send is an error on all."""
    last = P - 1
    with pytest.raises(ArgumentError, match=rf"gather: needs a picklable object from rank {last}"):
        comm.gather((lambda: 0) if last == RANK else 1)
    with pytest.raises(ArgumentError, match=rf"scatter: needs .* from rank {last}"):
        comm.scatter([1] * (P + 1) if last == RANK else None, last)
    with pytest.raises(ArgumentError, match="root must be a rank from 0 to"):
        comm.bcast(1, P)
    with pytest.raises(TypeError):
        comm.allreduce(None, operator.add) if P > 1 else operator.add(None, None)
    comm.barrier()
