"""Lab 7: collectives for tensor parallelism, the reference solution.

What the sheet asks: a call of the built-in fails on rung 1, for the file may not import it;
powers of two only on rung 3; sends that wait for each other on rung 2, and on rung 6 where
messages are long.
"""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("allreduce", commutative=True)
def my_allreduce(rank, p, sendbuf, recvbuf):
    """Up a binomial tree to rank 0, and down again."""
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    distances = [1 << k for k in range((p - 1).bit_length())]
    for distance in distances:
        if rank % (2 * distance) == distance:
            yield send(recvbuf, rank - distance)
            break
        if rank + distance < p:
            yield recv(arriving, rank + distance), reduce(recvbuf, arriving, recvbuf)
    for distance in reversed(distances):
        if rank % (2 * distance) == distance:
            yield recv(recvbuf, rank - distance)
        elif rank % (2 * distance) == 0 and rank + distance < p:
            yield send(recvbuf, rank + distance)


@algorithm("alltoall")
def my_alltoall(rank, p, sendbuf, recvbuf):
    """In round r to rank + r, from rank - r."""
    yield copy(sendbuf[rank], recvbuf[rank])
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        yield send(sendbuf[to], to), recv(recvbuf[source], source)


@algorithm("allgather")
def collect_output(rank, p, sendbuf, recvbuf):
    """Everybody's block straight to everybody."""
    yield copy(sendbuf, recvbuf[rank])
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        yield send(sendbuf, to), recv(recvbuf[source], source)


@algorithm("reduce_scatter", commutative=True)
def split_gradient(rank, p, sendbuf, recvbuf):
    """Everybody's block straight to its owner, who adds."""
    arriving = scratch(recvbuf)
    yield copy(sendbuf[rank], recvbuf)
    for r in range(1, p):
        to, source = (rank + r) % p, (rank - r) % p
        yield send(sendbuf[to], to), recv(arriving, source), reduce(arriving, recvbuf)
