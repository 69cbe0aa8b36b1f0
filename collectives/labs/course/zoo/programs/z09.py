"""Program 9: an allgather among neighbours. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("allgather")
def z09(rank, p, sendbuf, recvbuf):
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        mine, theirs = recvbuf[(rank - k) % p], recvbuf[(rank - k - 1) % p]
        yield send(mine, rank + 1), recv(theirs, rank - 1)
