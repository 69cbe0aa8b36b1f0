"""The object forms of Comm."""

import operator
import re
from contextlib import nullcontext

import numpy as np
import pytest
from common import COMM, RANK, P, at_few_ranks
from mpi4py import MPI
from mpi4py.util import pkl5

import collectives
from collectives.errors import ArgumentError, RemoteError
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
    """What one rank cannot send is an error on all, with its own words."""
    last = P - 1
    needs = rf"gather \(object\): needs a picklable object from rank {last}, got .*pickle"
    with pytest.raises(ArgumentError, match=needs):
        comm.gather((lambda: 0) if last == RANK else 1)
    needs = (
        rf"scatter \(object\): needs {P} picklable objects from rank {last}, got {P + 1} objects;"
    )
    with pytest.raises(ArgumentError, match=needs if P > 1 else "needs a picklable object"):
        comm.scatter([1] * (P + 1) if last == RANK else None, last)
    with pytest.raises(ArgumentError, match="got TypeError: 'int' object is not iterable"):
        comm.alltoall(3 if last == RANK else [0] * P)
    with pytest.raises(ArgumentError, match="root must be a rank from 0 to"):
        comm.bcast(1, P)
    with pytest.raises(TypeError):
        comm.allreduce(None, operator.add) if P > 1 else operator.add(None, None)
    comm.barrier()


class TwoArguments(Exception):
    """It can be pickled, and not be had back."""

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")


class Speechless(Exception):
    """It has a text that cannot be had, and holds what no pickle takes."""

    def __init__(self):
        super().__init__()
        self.release = lambda: None

    def __str__(self):
        raise ValueError


class Mute:
    """An object that cannot be pickled, or that rank 0 cannot have back."""

    def __init__(self, error, back=False):
        self.error, self.back = error, back

    def __reduce__(self):
        if self.back:
            return fail_at_zero, (type(self.error), self.error.args)
        raise self.error


def fail_at_zero(kind, arguments):
    if COMM.rank == 0:
        raise kind(*arguments)
    return "fine"


RAISED = {
    "as it was": (ValueError("negative mass"), ValueError, "negative mass"),
    "not from its pickle": (
        TwoArguments(7, "lost"),
        RemoteError,
        "rank 0 raised TwoArguments: 7: lost",
    ),
    "not to be pickled": (Speechless(), RemoteError, "raised Speechless: its text cannot be had"),
    "exit": (SystemExit(3), RemoteError, "raised SystemExit: 3"),
    "interrupt": (KeyboardInterrupt(), RemoteError, "raised KeyboardInterrupt"),
}


@pytest.mark.skipif(P == 1, reason="needs an operator that is used")
@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("kind", RAISED)
def test_what_an_operator_raises_reaches_all(kind, checked):
    raised, told, text = RAISED[kind]
    comm = collectives.Comm(COMM.Dup(), check=checked)

    def op(one, other):
        raise raised

    with pytest.raises(type(raised) if RANK == 0 else told) as caught:
        comm.allreduce(thing(RANK), op)
    if RANK:
        assert re.search(text, f"{caught.value} {caught.value.__cause__}")
    assert comm.allgather(RANK) == list(range(P))
    # A reduction in which nobody waits for the result: only in checked mode all are told.
    expected = type(raised) if RANK == P - 1 else RemoteError if checked else None
    with pytest.raises(expected) if expected else nullcontext():
        comm.reduce(RANK, op, P - 1)
    assert comm.allreduce(RANK) == P * (P - 1) // 2
    comm.Free()


@pytest.mark.parametrize(
    "error", [TwoArguments(1, "no"), SystemExit("enough"), KeyboardInterrupt()]
)
def test_what_pickling_raises_reaches_all(error):
    comm, last = collectives.Comm(COMM.Dup()), P - 1
    words = type(error).__name__
    mine = Mute(error) if last == RANK else "fine"
    calls = [
        lambda: comm.bcast(mine, last),
        lambda: comm.scatter([mine] * P, last),
        lambda: comm.gather(mine),
        lambda: comm.allgather(mine),
        lambda: comm.alltoall([mine] * P),
        lambda: comm.allreduce(mine),
        lambda: comm.scan(mine),
    ]
    for call in calls:
        ends = last == RANK and not isinstance(error, Exception)
        with pytest.raises(type(error) if ends else ArgumentError) as caught:
            call()
        assert ends or re.search(rf"from rank {last}, got {words}", str(caught.value))
        assert (caught.value.__cause__ is not None) == (last == RANK and not ends)
    assert comm.allgather(RANK) == list(range(P))
    comm.Free()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("no")])
def test_what_rank_0_cannot_unpickle(error):
    comm, last = collectives.Comm(COMM.Dup()), P - 1
    mine = Mute(error, back=True) if last == RANK else "fine"
    alike = isinstance(error, ValueError) or RANK == 0
    with pytest.raises(type(error) if alike else RemoteError, match="no"):
        comm.allreduce(mine, op=max)
    for number, call in enumerate((comm.allgather, comm.gather)):
        with pytest.raises(type(error)) if RANK == 0 else nullcontext():
            assert call(mine) == (["fine"] * P if not number and last != 0 else None)
    assert comm.allgather(RANK) == list(range(P))
    comm.Free()
