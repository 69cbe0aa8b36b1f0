"""Program 8: a broadcast with a root anywhere. Take p = 4, root 1."""

from collectives.algorithms.language import algorithm, recv, send


@algorithm("bcast")
def z08(rank, p, buf, root):
    if rank == 0:
        for other in range(1, p):
            yield send(buf, other)
    else:
        yield recv(buf, 0)
