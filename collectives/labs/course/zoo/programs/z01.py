"""Program 1: an allgather on a ring. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, send


@algorithm("allgather")
def z01(rank, p, sendbuf, recvbuf):
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        yield send(recvbuf[(rank - k) % p], right)
        yield recv(recvbuf[(rank - k - 1) % p], left)
