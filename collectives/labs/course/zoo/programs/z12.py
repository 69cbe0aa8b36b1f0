"""Program 12: an allreduce by way of rank 0. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, recv, scratch, send


@algorithm("allreduce", commutative=True)
def z12(rank, p, sendbuf, recvbuf):
    coming = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if rank == 0:
        for other in range(1, p):
            yield recv(coming, other)
            recvbuf += coming
        for other in range(1, p):
            yield send(recvbuf, other)
    else:
        yield send(recvbuf, 0)
        yield recv(recvbuf, 0)
