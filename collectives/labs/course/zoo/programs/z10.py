"""Program 10: an allreduce on a ring of whole vectors. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, reduce, scratch, send


@algorithm("allreduce", commutative=True)
def z10(rank, p, sendbuf, recvbuf):
    left, right = neighbours(rank, p)
    passing = scratch(sendbuf)
    yield copy(sendbuf, passing), copy(sendbuf, recvbuf)
    for _ in range(p - 1):
        yield send(passing, right), recv(passing, left), reduce(passing, recvbuf)
