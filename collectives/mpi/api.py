"""The collectives, over any mpi4py intracommunicator.

Arguments are named and spelled as in mpi4py. Every function takes `algorithm`,
the name of one of `collectives.algorithms_for(primitive)`, with parameters as
keywords or in the name: ``algorithm="ring:segments=8"``. Without one it takes the
communicator's default: what `collectives.Comm` was given, and otherwise
`collectives.DEFAULTS[primitive]`. ``algorithm="auto"`` takes what a table
says for the number of ranks and the length: see `collectives.choice`. With it alltoallv
always exchanges the counts first.

A buffer is an object with memory or a list ``[data, count, datatype]``; all spellings
are in `collectives.mpi.data.buffers`. Where it has one block per rank, the count is that of a
block, and in the v-variants it is ``[data, counts, displacements, datatype]``.
Datatypes may be derived and have gaps, which stay as they are. MPI.IN_PLACE is taken
where MPI allows it. Reductions take MPI's operators, the user's, and
`collectives.REPRODUCIBLE_SUM`, the sum of floats whose bits depend on no order.
A call repeated with the same buffers replays its plan.

All functions raise

ArgumentError
    The root, the operator, the communicator or a parameter is wrong.
BufferMismatch
    A buffer has the wrong length, dtype or layout, is read-only, or overlaps. (Buffers
    with gaps, and those of REPRODUCIBLE_SUM, may overlap: they are read before and
    written after everything else.)
RestrictionError
    The algorithm cannot do this; the message names some that can.
UnknownAlgorithm
    There is no such algorithm; the message names those there are.
CallMismatch
    The ranks called different things.

before the collective sends anything, and then no buffer has changed. The ranks
check the first call of an algorithm on a communicator together, so that all raise
if one of them is wrong (of "auto" the first call of a primitive), and with
COLLECTIVES_CHECK=1 in the environment every call. Otherwise a mistake that only one
rank can see, in a later call, is raised there alone while the others wait, as under
MPI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpi4py import MPI

from collectives.mpi.data.operators import Op
from collectives.mpi.plans.dispatch import call, call_bare, call_one, call_pair


def barrier(comm: MPI.Intracomm, algorithm: str | None = None, **parameters: Any) -> None:
    """Leave when every rank has come.

    Parameters
    ----------
    comm : MPI.Intracomm
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_bare(comm, "barrier", algorithm, parameters)


def bcast(
    comm: MPI.Intracomm, buf: Any, root: int = 0, algorithm: str | None = None, **parameters: Any
) -> None:
    """The root's buffer goes to all ranks.

    Parameters
    ----------
    comm : MPI.Intracomm
    buf : buffer
        n elements; read at the root, written elsewhere.
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_one(comm, "bcast", algorithm, buf, root, parameters)


def scatter(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    root: int = 0,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """The root hands every rank a block of equal length.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        p blocks; significant at the root.
    recvbuf : buffer
        One block; at the root MPI.IN_PLACE leaves the root's block where it is.
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "scatter", algorithm, sendbuf, recvbuf, root, None, parameters)


def scatterv(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    root: int = 0,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """The root hands every rank a block; the blocks may differ in length.

    Only the root knows the counts. It tells each rank first those that the rank
    needs: in a tree of its own subtree, in other algorithms all of them.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        ``[data, counts, displacements, datatype]``; significant at the root.
    recvbuf : buffer
        As many elements as the root's count for this rank, or, at the root,
        MPI.IN_PLACE.
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    call(comm, "scatter", algorithm, buffers, root, None, parameters, form="scatterv")


def gather(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    root: int = 0,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """The root collects a block of equal length from every rank.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        One block; at the root MPI.IN_PLACE says that it is in recvbuf already.
    recvbuf : buffer
        p blocks; significant at the root.
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "gather", algorithm, sendbuf, recvbuf, root, None, parameters)


def gatherv(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    root: int = 0,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """The root collects a block from every rank; the blocks may differ in length.

    Only the root knows the counts. It tells each rank first those that the rank
    needs: in a tree of its own subtree, in other algorithms all of them.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        As many elements as the root's count for this rank, or, at the root,
        MPI.IN_PLACE.
    recvbuf : buffer
        ``[data, counts, displacements, datatype]``; significant at the root.
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    call(comm, "gather", algorithm, buffers, root, None, parameters, form="gatherv")


def allgather(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank collects a block of equal length from every rank.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        One block, or MPI.IN_PLACE if it is in recvbuf already.
    recvbuf : buffer
        p blocks.
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "allgather", algorithm, sendbuf, recvbuf, None, None, parameters)


def allgatherv(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank collects a block from every rank; the blocks may differ in length.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        As many elements as this rank's count, or MPI.IN_PLACE.
    recvbuf : buffer
        ``[data, counts, displacements, datatype]``, the counts equal on all ranks.
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    call(comm, "allgather", algorithm, buffers, parameters=parameters, counts=())


def reduce(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    op: Op = MPI.SUM,
    root: int = 0,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """The root gets the reduction of all vectors, in rank order.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        n elements, or, at the root, MPI.IN_PLACE.
    recvbuf : buffer
        n elements; significant at the root.
    op : MPI.Op or REPRODUCIBLE_SUM
    root : int
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "reduce", algorithm, sendbuf, recvbuf, root, op, parameters)


def allreduce(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    op: Op = MPI.SUM,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank gets the reduction of all vectors.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        n elements, or MPI.IN_PLACE.
    recvbuf : buffer
        n elements.
    op : MPI.Op or REPRODUCIBLE_SUM
    algorithm : str, optional
    **parameters
        Of the algorithm.

    Examples
    --------
    ::

        total = np.empty_like(gradient)
        collectives.allreduce(MPI.COMM_WORLD, gradient, total, algorithm="ring")
    """
    call_pair(comm, "allreduce", algorithm, sendbuf, recvbuf, None, op, parameters)


def reduce_scatter(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    recvcounts: Sequence[int] | None = None,
    op: Op = MPI.SUM,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank gets its block of the reduction of all vectors.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        The blocks of all ranks, one after the other; with MPI.IN_PLACE they are
        in recvbuf, and the result is at its beginning.
    recvbuf : buffer
        This rank's block.
    recvcounts : sequence of int, optional
        Elements in each rank's block; needed with MPI.IN_PLACE. Without it the
        ranks tell each other the length of their recvbuf first.
    op : MPI.Op or REPRODUCIBLE_SUM
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    form = "reduce_scatter"
    call(comm, form, algorithm, buffers, None, op, parameters, recvcounts, form=form)


def reduce_scatter_block(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    op: Op = MPI.SUM,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """`reduce_scatter` with blocks of equal length.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        p blocks, or MPI.IN_PLACE.
    recvbuf : buffer
        One block; with MPI.IN_PLACE p blocks.
    op : MPI.Op or REPRODUCIBLE_SUM
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "reduce_scatter", algorithm, sendbuf, recvbuf, None, op, parameters)


def alltoall(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank sends every rank a different block of equal length.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        p blocks, or MPI.IN_PLACE if they are in recvbuf.
    recvbuf : buffer
        p blocks.
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "alltoall", algorithm, sendbuf, recvbuf, None, None, parameters)


def alltoallv(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Every rank sends every rank a different block; the blocks may differ in length.

    Algorithms that forward blocks need the lengths of all of them; the ranks
    tell each other first.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        ``[data, counts, displacements, datatype]``, or MPI.IN_PLACE.
    recvbuf : buffer
        The same; the counts say what comes from each rank.
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    call(comm, "alltoall", algorithm, buffers, None, None, parameters, form="alltoallv")


def alltoallw(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """`alltoallv` with a datatype for each block, and displacements in bytes.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        ``[data, counts, displacements, datatypes]``, or MPI.IN_PLACE.
    recvbuf : buffer
        The same.
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    buffers = sendbuf, recvbuf
    call(comm, "alltoall", algorithm, buffers, None, None, parameters, form="alltoallw")


def scan(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    op: Op = MPI.SUM,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Rank r gets the reduction over ranks 0 .. r.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        n elements, or MPI.IN_PLACE.
    recvbuf : buffer
        n elements.
    op : MPI.Op or REPRODUCIBLE_SUM
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "scan", algorithm, sendbuf, recvbuf, None, op, parameters)


def exscan(
    comm: MPI.Intracomm,
    sendbuf: Any,
    recvbuf: Any,
    op: Op = MPI.SUM,
    algorithm: str | None = None,
    **parameters: Any,
) -> None:
    """Rank r gets the reduction over ranks 0 .. r-1; rank 0's recvbuf stays as it is.

    Parameters
    ----------
    comm : MPI.Intracomm
    sendbuf : buffer
        n elements, or MPI.IN_PLACE.
    recvbuf : buffer
        n elements.
    op : MPI.Op or REPRODUCIBLE_SUM
    algorithm : str, optional
    **parameters
        Of the algorithm.
    """
    call_pair(comm, "exscan", algorithm, sendbuf, recvbuf, None, op, parameters)
