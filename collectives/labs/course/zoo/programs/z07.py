"""Program 7: an all-to-all. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("alltoall")
def z07(rank, p, sendbuf, recvbuf):
    yield copy(sendbuf[rank], recvbuf[rank])
    for r in range(1, p):
        to = (rank + r) % p
        source = (rank + r) % p if r == 3 else (rank - r) % p
        yield send(sendbuf[to], to), recv(recvbuf[source], source)
