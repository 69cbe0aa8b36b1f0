"""Lab 7: collectives for tensor parallelism. sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("allreduce", commutative=True)
def my_allreduce(rank, p, sendbuf, recvbuf):
    """Right, and slow: rank 0 hears everybody and tells everybody. Make it a tree."""
    yield copy(sendbuf, recvbuf)
    if rank == 0:
        arriving = scratch(recvbuf)
        for other in range(1, p):
            yield recv(arriving, other), reduce(arriving, recvbuf)
        for other in range(1, p):
            yield send(recvbuf, other)
    else:
        yield send(recvbuf, 0)
        yield recv(recvbuf, 0)


@algorithm("alltoall")
def my_alltoall(rank, p, sendbuf, recvbuf):
    """Each block to its rank."""
    yield copy(sendbuf[rank], recvbuf[rank])


@algorithm("allgather")
def collect_output(rank, p, sendbuf, recvbuf):
    """The columns of everybody."""
    yield copy(sendbuf, recvbuf[rank])


@algorithm("reduce_scatter", commutative=True)
def split_gradient(rank, p, sendbuf, recvbuf):
    """The sum of everybody's gradients for one's own columns."""
    yield copy(sendbuf[rank], recvbuf)
