"""Every algorithm against mpi4py's built-in, on the same data.

Each case is called twice, the second time with all signs turned: with the same
buffers that is a replayed plan. Outputs, gaps included, are compared as a whole,
and inputs must be as they were.
"""

from functools import cache

import numpy as np
import pytest
from common import ALGORITHMS, COMM, PRIMITIVE, RANK, REGISTRY, P, algorithms, builtin, can, check
from common import ours as run
from mpi4py import MPI

from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.problems import BLOCKWISE, Buffers, Problem, numbers, sentinel

pytestmark = pytest.mark.mpi

DTYPES = [np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.complex128)]
SIZES = [1000, 1, P + 1, 0, P - 1]
FUNCTION = {"reduce_scatter": "reduce_scatter_block"}
NEVER_IN_PLACE = {"barrier", "bcast"}


def problem(primitive, case, size=None, in_place=False):
    """Case i has the i-th size, dtype and root, each list going round."""
    size = SIZES[case % len(SIZES)] if size is None else size
    n = size * P if primitive in BLOCKWISE else size
    root = case % P if primitive in ROOTED else 0
    return Problem(primitive, P, n, root, DTYPES[case % len(DTYPES)], in_place=in_place)


def start(problem):
    """This rank's buffers before the call; in place as MPI has it."""
    if problem.in_place and problem.primitive in ("alltoall", "reduce_scatter"):
        return Buffers(None, problem.input(RANK).copy())
    buffers = problem.buffers(RANK)
    if problem.in_place and problem.primitive == "scatter" and problem.root == RANK:
        return Buffers(buffers.send, None)
    return Buffers(*[None if b is None else b.copy() for b in (buffers.send, buffers.recv)])


def arguments(problem, buffers):
    """The buffers, as both mpi4py's methods and our functions take them."""
    primitive, send, recv = problem.primitive, buffers.send, buffers.recv
    here = primitive not in ROOTED or problem.root == RANK
    if problem.in_place and here:
        send, recv = (send, MPI.IN_PLACE) if primitive == "scatter" else (MPI.IN_PLACE, recv)
    op = [MPI.SUM] if primitive in REDUCTIONS else []
    root = [problem.root] if primitive in ROOTED else []
    return ([] if primitive == "barrier" else [recv] if primitive == "bcast" else [send, recv]) + (
        op + root
    )


@cache
def answer(primitive, case, size, in_place):
    """What the built-in makes of this rank's buffers."""
    this = problem(primitive, case, size, in_place)
    buffers = start(this)
    builtin(FUNCTION.get(primitive, primitive), *arguments(this, buffers))
    if primitive == "exscan" and RANK == 0:
        return start(this)  # MPI leaves it open; we leave it alone
    expected = this.expected(RANK)
    if expected is not None and buffers.recv is not None:
        check(buffers.recv[: expected.size], expected, "the built-in", this)
    return buffers


def compare(primitive, spec, case, size=None, in_place=False):
    this, right = problem(primitive, case, size, in_place), answer(primitive, case, size, in_place)
    before, buffers = start(this), start(this)
    call = arguments(this, buffers)
    for sign in (1, -1):
        for now, then in zip((buffers.send, buffers.recv), (before.send, before.recv)):
            if now is not None:
                now[...] = sign * then
        run(FUNCTION.get(primitive, primitive), *call, algorithm=spec)
        if buffers.send is not None:
            check(buffers.send, sign * before.send, spec, this, "input, sign", sign)
        if buffers.recv is not None:
            size = buffers.recv.size
            if in_place and primitive == "reduce_scatter":
                size //= P  # the rest is left open
            check(buffers.recv[:size], sign * right.recv[:size], spec, this, "sign", sign)


@pytest.mark.parametrize("in_place", [False, True], ids=["", "in_place"])
@pytest.mark.parametrize("primitive, name", ALGORITHMS)
def test_as_the_builtin(primitive, name, in_place):
    if (in_place and primitive in NEVER_IN_PLACE) or not can(primitive, name):
        pytest.skip("nothing to compare")
    rounds = 1 if primitive == "barrier" else max(P, len(SIZES))
    for case in range(rounds):
        compare(primitive, name, case, in_place=in_place)


@pytest.mark.parametrize("primitive, name", ALGORITHMS)
def test_parameters(primitive, name):
    if "segments" not in REGISTRY[primitive][name].parameters or not can(primitive, name):
        pytest.skip("no segments")
    for case, segments in enumerate((1, 3, 64)):
        compare(primitive, f"{name}:segments={segments}", case, 20)


@pytest.mark.parametrize("primitive", [name for name in REGISTRY if name != "barrier"])
def test_large_messages(primitive):
    """Far beyond the size up to which an MPI sends at once."""
    size = 2**17 // (P if primitive in BLOCKWISE else 1) + 1
    for name in algorithms(primitive):
        compare(primitive, name, 1, size)


# The v-variants.


def layout(case):
    """Uneven counts, some zero, in shuffled places with gaps, and the elements in all."""
    counts = [0 if case == 3 else (3 * rank + case) % 5 for rank in range(P)]
    displs, position = [0] * P, 2
    for rank in np.random.default_rng(case).permutation(P).tolist():
        displs[rank] = position
        position += counts[rank] + rank % 3
    return counts, displs, position + 1


def blocks(array, counts, displs):
    return [array[displ : displ + count] for count, displ in zip(counts, displs)]


def vector_call(function, case, in_place):
    """Arguments, the buffers in them, and what has to be in these buffers afterwards."""
    dtype = DTYPES[case % 3]
    root = (case + 1) % P if PRIMITIVE[function] in ROOTED else RANK
    counts, displs, size = layout(case)
    if function == "alltoallv":
        return alltoallv_call(case, in_place, dtype)
    if function == "scatterv":
        whole = numbers(root, size, dtype).copy() if root == RANK else None
        mine = sentinel(counts[RANK], dtype)
        data = numbers(root, size, dtype)
        here = in_place and root == RANK
        call = [None if whole is None else [whole, (counts, displs)]]
        call += [MPI.IN_PLACE if here else mine, root]
        right = [data, blocks(data, counts, displs)[RANK]]
        return call, [whole, None if here else mine], right
    mine = numbers(RANK, counts[RANK], dtype).copy()
    whole = sentinel(size, dtype) if root == RANK else None
    right = None if whole is None else whole.copy()
    if right is not None:
        for rank, block in enumerate(blocks(right, counts, displs)):
            block[...] = numbers(rank, counts[rank], dtype)
        if in_place:
            blocks(whole, counts, displs)[RANK][...] = mine
    here = in_place and root == RANK
    call = [MPI.IN_PLACE if here else mine, None if whole is None else [whole, (counts, displs)]]
    call += [root] if function == "gatherv" else []
    return call, [mine, whole], [mine.copy(), right]


def alltoallv_call(case, in_place, dtype):
    def laid_out(counts, seed):
        displs, position = [0] * P, 1
        for rank in np.random.default_rng(seed).permutation(P).tolist():
            displs[rank] = position
            position += counts[rank] + rank % 2
        return counts, displs, position + 1

    def elements(source, target):
        if case == 3:
            return 0
        return (source * target if in_place else 2 * source + target + case) % 4

    def message(source, target):
        return numbers(source, 4 * P, dtype)[4 * target :][: elements(source, target)]

    sendcounts, senddispls, size = laid_out([elements(RANK, rank) for rank in range(P)], case)
    recvcounts, recvdispls, total = laid_out([elements(rank, RANK) for rank in range(P)], case + 9)
    send, recv = sentinel(size, dtype), sentinel(total, dtype)
    for rank, block in enumerate(blocks(send, sendcounts, senddispls)):
        block[...] = message(RANK, rank)
    if in_place:
        for rank, block in enumerate(blocks(recv, recvcounts, recvdispls)):
            block[...] = message(RANK, rank)
    right = recv.copy()
    for rank, block in enumerate(blocks(right, recvcounts, recvdispls)):
        block[...] = message(rank, RANK)
    sendbuf = MPI.IN_PLACE if in_place else [send, (sendcounts, senddispls)]
    return [sendbuf, [recv, (recvcounts, recvdispls)]], [send, recv], [send.copy(), right]


@pytest.mark.parametrize("in_place", [False, True], ids=["", "in_place"])
@pytest.mark.parametrize("function", ["scatterv", "gatherv", "allgatherv", "alltoallv"])
def test_v_variants(function, in_place):
    for case in range(4):
        call, buffers, right = vector_call(function, case, in_place)
        builtin(function, *call)
        for got, expected in zip(buffers, right):
            if got is not None:
                check(got, expected, "the built-in", function, "case", case)
        for name in algorithms(function):
            call, buffers, right = vector_call(function, case, in_place)
            before = [None if buffer is None else buffer.copy() for buffer in buffers]
            for sign in (1, -1):
                for now, then in zip(buffers, before):
                    if now is not None:
                        now[...] = sign * then
                run(function, *call, algorithm=name)
                for got, expected in zip(buffers, right):
                    if got is not None:
                        check(got, sign * expected, function, name, "case", case, "sign", sign)


@pytest.mark.parametrize("name", algorithms("reduce_scatter"))
def test_reduce_scatter_with_counts(name):
    for case in range(4):
        counts, dtype = layout(case)[0], DTYPES[case % 3]
        send, block = numbers(RANK, sum(counts), dtype), sentinel(counts[RANK], dtype)
        right = block.copy()
        COMM.Reduce_scatter(send, right, counts, MPI.SUM)
        run("reduce_scatter", send, block, counts, MPI.SUM, algorithm=name)
        check(block, right, name, "case", case)
        block[...] = 0
        run("reduce_scatter", send, block, algorithm=name)  # the ranks tell each other
        check(block, right, name, "case", case, "counts of recvbuf")
        whole = send.copy()
        run("reduce_scatter", MPI.IN_PLACE, whole, np.array(counts), algorithm=name)
        check(whole[: counts[RANK]], right, name, "case", case, "in place")


def test_defaults_and_v_variants_without_counts():
    """Without counts the blocks of a v-variant are equal."""
    send, recv = numbers(RANK, 3 * P, DTYPES[0]), sentinel(3 * P, DTYPES[0])
    right = recv.copy()
    COMM.Alltoall(send, right)
    for name in [None, *algorithms("alltoall")]:
        recv[...] = 0
        run("alltoallv", send, recv, algorithm=name)
        check(recv, right, name)
    COMM.Allgather(send[:3], right)
    for function in ("allgather", "allgatherv", "gather", "gatherv"):
        recv[...] = 0
        run(function, send[:3], recv)
        if RANK == 0 or function.startswith("all"):
            check(recv, right, function)
    mine = sentinel(3, DTYPES[0])
    COMM.Scatter(send, right[:3])
    for function in ("scatter", "scatterv"):
        mine[...] = 0
        run(function, send if RANK == 0 else None, mine)
        check(mine, right[:3], function)
