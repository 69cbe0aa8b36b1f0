"""Program 4: a reduction to rank 0 along a chain. Take p = 4, root 0."""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("reduce", commutative=True)
def z04(rank, p, sendbuf, recvbuf, root):
    total, coming = scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, total)
    if rank < p - 1:
        yield recv(coming, rank + 1), reduce(coming, total)
        if rank == 1:
            yield reduce(sendbuf, total)
    if rank > 0:
        yield send(total, rank - 1)
    if rank == root:
        yield copy(total, recvbuf)
