"""Checked mode: all ranks raise the same error when their calls differ, in every form."""

import numpy as np
import pytest
from common import at_few_ranks
from mpi4py import MPI

from collectives import (
    ArgumentError,
    BufferMismatch,
    CallMismatch,
    CollectiveError,
    Comm,
    UnknownAlgorithm,
)

pytestmark = [pytest.mark.mpi, at_few_ranks]

WORLD = MPI.COMM_WORLD
RANK, P = WORLD.rank, WORLD.size
ODD = P - 1  # the rank that is different
UNTOUCHED = -7

if P == 1:
    pytest.skip("needs ranks that differ", allow_module_level=True)


@pytest.fixture
def comm():
    """A checked communicator on which two calls have been made, of several algorithms."""
    comm = Comm(WORLD.Dup(), check=True)
    comm.Allreduce(np.ones(4), np.empty(4))
    comm.Bcast(np.ones(4))
    yield comm
    comm.Barrier()  # the ranks agree again
    comm.Free()


def refusal(kind, call, out=None):
    """The message, which all ranks must have got; nothing may have been written."""
    with pytest.raises(kind) as caught:
        call()
    told = WORLD.allgather(str(caught.value))
    assert len(set(told)) == 1, told
    assert out is None or (out == UNTOUCHED).all()
    return told[0]


def vectors(n=4, dtype=np.float64):
    return np.arange(n, dtype=dtype) + RANK, np.full(n, UNTOUCHED, dtype)


def others():
    ranks = [rank for rank in range(P) if rank != ODD]
    return f"ranks {', '.join(map(str, ranks))}"


def test_another_primitive(comm):
    send, recv = vectors()
    text = refusal(
        CallMismatch,
        lambda: comm.Bcast(recv) if RANK == ODD else comm.Allreduce(send, recv),
        recv,
    )
    assert text == (
        "all ranks must call the same collective, got: "
        f"rank {ODD} called bcast.tree (root 0, 4 elements, float64), call 3; {others()} called "
        "allreduce.recursive_doubling (sum, 4 elements, float64), call 3"
    )


@pytest.mark.parametrize(
    "change, words",
    [
        ({"op": MPI.MAX}, "max, 4 elements"),
        ({"n": 5}, "sum, 5 elements"),
        ({"dtype": np.int32}, "int32"),
        ({"algorithm": "ring"}, "allreduce.ring"),
    ],
)
@pytest.mark.parametrize("form", ["blocking", "nonblocking", "persistent"])
def test_one_difference(comm, form, change, words):
    given = {"n": 4, "dtype": np.float64, "op": MPI.SUM, "algorithm": "recursive_doubling"}
    given |= change if RANK == ODD else {}
    send, recv = vectors(given["n"], given["dtype"])

    def call():
        name = {"blocking": "Allreduce", "nonblocking": "Iallreduce"}.get(form, "Allreduce_init")
        request = getattr(comm, name)(send, recv, given["op"], algorithm=given["algorithm"])
        if form == "nonblocking":
            request.Wait()

    text = refusal(CallMismatch, call, recv)
    assert f"; {others()} called" in text and words in text.split(";")[0]
    assert text.endswith(", call 3")


def test_another_root(comm):
    text = refusal(CallMismatch, lambda: comm.Reduce(*vectors(), root=int(RANK == ODD)))
    assert f"rank {ODD} called reduce.tree (root 1, sum" in text


def test_blocking_and_nonblocking_do_not_match(comm):
    send, recv = vectors()

    def call():
        if RANK == ODD:
            comm.Iallreduce(send, recv).Wait()
        else:
            comm.Allreduce(send, recv)

    assert f"rank {ODD} called nonblocking: allreduce" in refusal(CallMismatch, call, recv)


def test_counts_are_no_call_of_their_own(comm):
    """A broadcast that looks like the one that tells the counts of a gatherv."""
    message = np.full(P, UNTOUCHED)

    def call():
        if RANK == ODD:
            comm.Bcast(message)
        else:
            whole = [np.empty(P), [1] * P] if RANK == 0 else None
            comm.Gatherv(np.ones(1), whole, algorithm="naive")

    text = refusal(CallMismatch, call, message)
    assert f"rank {ODD} called bcast.tree (root 0, {P} elements, int64), call 3" in text
    assert "called counts of gather.naive: bcast.tree" in text


@pytest.mark.parametrize("form", ["Allreduce", "Iallreduce", "Allreduce_init"])
def test_a_wrong_buffer_on_one_rank(comm, form):
    send, recv = vectors()
    mine = recv[:3] if RANK == ODD else recv

    def call():
        request = getattr(comm, form)(send, mine)
        if form == "Iallreduce":
            request.Wait()

    text = refusal(BufferMismatch, call, recv)
    assert f"rank {ODD} of {P}: sendbuf needs 3 elements" in text


class Fails:
    """Raises whenever it is asked for something."""

    def __index__(self):
        raise OSError("not to be had")

    __iter__ = __len__ = __repr__ = __hash__ = __index__
    __dlpack__ = dtype = property(__index__)


FREED = MPI.DOUBLE.Create_contiguous(2).Commit()
FREED.Free()
DOUBLES = [MPI.DOUBLE] * P
ONES, NOUGHTS = [1] * P, [0] * P
WRONG = {
    "no memory": lambda a: "text",
    "nothing": lambda a: {1, 2},
    "raises": lambda a: Fails(),
    "a list that raises": lambda a: [Fails(), 1],
    "a count that raises": lambda a: [a, Fails(), MPI.DOUBLE],
    "freed": lambda a: [a, 1, FREED],
    "too short": lambda a: [a, P + 1, MPI.DOUBLE],
}
WRONG_BLOCKS = {
    "no types": lambda a: [a, (ONES, NOUGHTS), 5],
    "raises": lambda a: [a, (ONES, Fails()), DOUBLES],
    "half": lambda a: [a, (None, NOUGHTS), DOUBLES],
    "freed": lambda a: [a, (ONES, NOUGHTS), [FREED] * P],
    "negative": lambda a: [a, ([-1] * P, NOUGHTS), DOUBLES],
    "beyond": lambda a: [a, (ONES, [800] * P), DOUBLES],
    "codes": lambda a: [a, ["d"] * P],
}
KINDS = {  # how long the buffers are, and with what buffers are wrong
    "Bcast": ([P], WRONG),
    "Scatter": ([P, 1], WRONG),
    "Scatterv": ([P, 1], WRONG),
    "Gather": ([1, P], WRONG),
    "Gatherv": ([1, P], WRONG),
    "Allgatherv": ([1, P], WRONG),
    "Alltoallv": ([P, P], WRONG),
    "Alltoallw": ([P, P], WRONG_BLOCKS),
    "Allreduce": ([P, P], WRONG),
    "Reduce_scatter": ([P, 1], WRONG),
    "Exscan": ([P, P], WRONG),
}


@pytest.mark.parametrize(
    "form, way",
    [  # each form in one way; the others take longer
        pytest.param(form, way, marks=[pytest.mark.slow] if (at + number) % 3 else [])
        for at, form in enumerate(KINDS)
        for number, way in enumerate(["{}", "I{}", "{}_init"])
    ],
)
def test_arguments_that_cannot_be_read_on_one_rank(comm, form, way):
    """All ranks raise, whatever is wrong and wherever; what the rank's own code raised, it gets."""
    lengths, wrongs = KINDS[form]
    rooted = form in ("Bcast", "Scatter", "Scatterv", "Gather", "Gatherv")
    spell = {"Alltoallw": lambda a: [a, (ONES, [8 * i for i in range(P)]), DOUBLES]}
    for wrong in wrongs.values():
        for at in range(len(lengths)):
            buffers = [np.full(n, float(UNTOUCHED)) for n in lengths]
            given = [spell.get(form, lambda a: a)(a) for a in buffers]
            if RANK == ODD:
                given[at] = wrong(buffers[at])
            with pytest.raises(CollectiveError if RANK != ODD else (CollectiveError, OSError)):
                name = way.format(form.lower() if way == "I{}" else form)
                request = getattr(comm, name)(*given, **({"root": ODD} if rooted else {}))
                if way == "I{}":
                    request.Wait()
            assert all((a == UNTOUCHED).all() for a in buffers)


def test_what_the_code_of_arguments_raises_is_told(comm):
    with pytest.raises(OSError if RANK == ODD else ArgumentError) as caught:
        comm.Bcast([np.zeros(2), Fails() if RANK == ODD else 2])
    if RANK != ODD:
        told = f"arguments that can be read, got on rank {ODD}: OSError: not to be had"
        assert told in str(caught.value)


@pytest.mark.parametrize("form", ["{}", "I{}", "{}_init"])
@pytest.mark.parametrize("v", ["gather", "gatherv", "alltoallv", "reduce_scatter"])
def test_an_unknown_algorithm_on_one_rank(comm, form, v):
    name = "magic" if RANK == ODD else "naive"
    send, recv = vectors(P)
    arguments = {
        "gather": (send[:1], recv),
        "gatherv": (send[:1], [recv, [1] * P] if RANK == 0 else None),
        "alltoallv": ([send, [1] * P], [recv, [1] * P]),
        "reduce_scatter": (send, recv[:1], [1] * P),
    }[v]

    def call():
        request = getattr(comm, form.format(v).capitalize())(*arguments, algorithm=name)
        if form == "I{}":
            request.Wait()

    assert "got 'magic'" in refusal(UnknownAlgorithm, call, recv)


@pytest.mark.parametrize("root", [P, -1, "0"])
def test_a_wrong_root_on_one_rank(comm, root):
    mine = np.full(3, UNTOUCHED)
    text = refusal(ArgumentError, lambda: comm.Bcast(mine, root if RANK == ODD else 0), mine)
    assert f"root must be a rank from 0 to {P - 1}, got {root!r}" in text


@pytest.mark.parametrize("root", [P, None, "0", Fails()])
@pytest.mark.parametrize("form", ["bcast", "gather", "scatter", "reduce"])
def test_a_wrong_root_of_objects_on_one_rank(comm, form, root):
    options = {"root": root if RANK == ODD else 0}
    with pytest.raises(CollectiveError if RANK != ODD else (CollectiveError, OSError)):
        getattr(comm, form)([1] * P, **options)


def test_objects(comm):
    text = refusal(
        CallMismatch, lambda: comm.bcast({}) if RANK == ODD else comm.gather({"rank": RANK})
    )
    assert "bcast (object): bcast.tree" in text and "gather (object): " in text


def test_a_nonblocking_call_waits_for_nobody(comm):
    """Rank 0 starts first and then sends; rank 1 receives first and then starts."""
    token = np.empty(1)
    if RANK == 1:
        comm.Recv(token, 0)
    request = comm.Ibarrier()
    if RANK == 0:
        comm.Send(np.ones(1), 1)
    request.Wait()


def test_right_calls_are_right(comm):
    total = np.empty(4)
    for _ in range(3):
        comm.Allreduce(np.arange(4.0) + RANK, total)
        requests = [comm.Iallreduce(np.arange(4.0) + RANK + k, np.empty(4)) for k in range(5)]
        assert (total == P * np.arange(4) + P * (P - 1) / 2).all()
        assert comm.allreduce(RANK) == P * (P - 1) // 2
        for request in reversed(requests):
            request.Wait()
    child = comm.Split(0)
    assert refusal(CallMismatch, lambda: child.Reduce(*vectors(), root=int(RANK == ODD)))
    child.Free()
