"""Lab 3: ring allreduce. Complete the three functions; sheet.en.md says what is asked."""

from collectives.algorithms.language import (
    algorithm,
    copy,
    neighbours,
    recv,
    reduce,
    scratch,
    send,
)


@algorithm("reduce_scatter", commutative=True)
def halves_sum(rank, p, sendbuf, recvbuf):
    """The first half. `sendbuf` has p blocks: `sendbuf[i]` belongs to rank i."""
    # Here a rank takes its own contribution, and hears nothing of the others.
    yield copy(sendbuf[rank], recvbuf)


@algorithm("allgather")
def halves_spread(rank, p, sendbuf, recvbuf):
    """The second half. `recvbuf` has p blocks; mine goes to `recvbuf[rank]`."""
    yield copy(sendbuf, recvbuf[rank])


@algorithm("allreduce", commutative=True)
def ring(rank, p, sendbuf, recvbuf):
    """Right, and too slow: the whole vector goes round. Make it one of blocks."""
    left, right = neighbours(rank, p)
    passing, arriving = scratch(sendbuf), scratch(sendbuf)
    yield copy(sendbuf, passing), copy(sendbuf, recvbuf)
    for _ in range(p - 1):
        yield send(passing, right), recv(arriving, left), reduce(arriving, recvbuf)
        passing, arriving = arriving, passing


def predict_ring(p, n, alpha, beta, gamma):
    """Seconds that your `ring` takes for n bytes on p ranks. Predict before you measure."""
    return 0.0
