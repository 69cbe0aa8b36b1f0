"""Lab 1: send, receive and the hidden deadlock. sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, send


@algorithm("allgather")
def in_turn(rank, p, sendbuf, recvbuf):
    """Everybody sends first: it runs on a laptop with short vectors. Repair the order."""
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        yield send(recvbuf[(rank - k) % p], right)
        yield recv(recvbuf[(rank - k - 1) % p], left)


@algorithm("allgather")
def paired(rank, p, sendbuf, recvbuf):
    """The same ring, with a send and a recv in one yield."""
    yield copy(sendbuf, recvbuf[rank])


@algorithm("allgather")
def at_once(rank, p, sendbuf, recvbuf):
    """No ring: everything starts in one yield."""
    yield copy(sendbuf, recvbuf[rank])
