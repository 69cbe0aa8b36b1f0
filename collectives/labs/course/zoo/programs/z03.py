"""Program 3: an allgather on a ring. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, send


@algorithm("allgather")
def z03(rank, p, sendbuf, recvbuf):
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        mine = recvbuf[rank] if k == 2 else recvbuf[(rank - k) % p]
        yield send(mine, right), recv(recvbuf[(rank - k - 1) % p], left)
