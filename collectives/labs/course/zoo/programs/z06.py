"""Program 6: a scan, in which the order of the operands counts. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("scan")
def z06(rank, p, sendbuf, recvbuf):
    before = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    if rank > 0:
        yield recv(before, rank - 1)
        if rank == 2:
            yield reduce(recvbuf, before, recvbuf)
        else:
            yield reduce(before, recvbuf)
    if rank < p - 1:
        yield send(recvbuf, rank + 1)
