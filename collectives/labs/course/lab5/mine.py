"""Lab 5: all-to-all, placement and contention. sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("alltoall")
def pairwise(rank, p, sendbuf, recvbuf):
    """Right, and crowded: in round k everybody sends to rank k. Make each round a permutation."""
    yield copy(sendbuf[rank], recvbuf[rank])
    for k in range(p):
        if k == rank:
            yield [recv(recvbuf[other], other) for other in range(p) if other != rank]
        else:
            yield send(sendbuf[k], k)


@algorithm("alltoall")
def bruck(rank, p, sendbuf, recvbuf):
    """ceil(lg p) rounds."""
    yield copy(sendbuf[rank], recvbuf[rank])


@algorithm("alltoall")
def dispatch(rank, p, sendbuf, recvbuf):
    """Blocks of any lengths, many of them empty."""
    yield copy(sendbuf[rank], recvbuf[rank])


def predict_pairwise(p, n, alpha, beta, gamma):
    """Seconds that your `pairwise` takes for n bytes on p ranks. Predict before you measure."""
    return 0.0


def predict_bruck(p, n, alpha, beta, gamma):
    """Seconds that your `bruck` takes, p being a power of two."""
    return 0.0


def ring_order(leaf):
    """The ranks in the order of the ring; `leaf[r]` is the number of the switch of rank r."""
    return list(range(len(leaf)))
