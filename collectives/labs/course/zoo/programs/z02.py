"""Program 2: a broadcast along a chain. Take p = 4, root 0."""

from collectives.algorithms.language import algorithm, recv, send


@algorithm("bcast")
def z02(rank, p, buf, root):
    place = (rank - root) % p
    if place > 0:
        yield recv(buf, (rank - 1) % p)
    if place < p - 2:
        yield send(buf, (rank + 1) % p)
