"""Lab 1: send, receive and the hidden deadlock, the reference solution."""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, send


@algorithm("allgather")
def in_turn(rank, p, sendbuf, recvbuf):
    """Ranks with an even number send first."""
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        steps = [send(recvbuf[(rank - k) % p], right), recv(recvbuf[(rank - k - 1) % p], left)]
        if rank % 2:
            steps.reverse()
        yield from steps


@algorithm("allgather")
def paired(rank, p, sendbuf, recvbuf):
    """Both at once."""
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        yield send(recvbuf[(rank - k) % p], right), recv(recvbuf[(rank - k - 1) % p], left)


@algorithm("allgather")
def at_once(rank, p, sendbuf, recvbuf):
    """Everything starts in one yield."""
    others = [other for other in range(p) if other != rank]
    sends = [send(sendbuf, other) for other in others]
    recvs = [recv(recvbuf[other], other) for other in others]
    yield [*sends, *recvs, copy(sendbuf, recvbuf[rank])]
