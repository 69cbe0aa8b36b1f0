"""Program 11: a scatter in which some blocks take the long way. Take p = 4, root 0, n = 6."""

from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("scatter")
def z11(rank, p, sendbuf, recvbuf, root):
    if rank == root:
        yield copy(sendbuf[root], recvbuf)
        for other in range(1, p):
            yield send(sendbuf[0] if other == 2 else sendbuf[other], other)
    else:
        yield recv(recvbuf, root)
