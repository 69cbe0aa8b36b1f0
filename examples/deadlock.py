"""An allgather that works on a laptop and stands still with long vectors.

Everybody sends to the right before anybody asks for what comes from the left. Short
messages leave at once, so it ends; a long one waits for its recv, and nobody comes to his::

    python -m collectives explain --load examples/deadlock.py --rendezvous
    python -m collectives explain --load examples/deadlock.py --eager 4K
"""

from collectives.algorithms.language import algorithm, copy, neighbours, recv, send


@algorithm("allgather")
def send_first(rank, p, sendbuf, recvbuf):
    """Blocks go round the ring; every rank sends before it receives.

    In each of p-1 rounds a rank passes the block that came last to the right, and then
    takes one from the left. If sends wait for their recv, all ranks wait in the first.

    Cost: (p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: folklore, among the first mistakes that everybody makes
    """
    left, right = neighbours(rank, p)
    yield copy(sendbuf, recvbuf[rank])
    for k in range(p - 1):
        yield send(recvbuf[(rank - k) % p], right)
        yield recv(recvbuf[(rank - k - 1) % p], left)
