"""Lab 4: doubling, halving, crossover. sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("allreduce", commutative=True, power_of_two=True)
def doubling(rank, p, sendbuf, recvbuf):
    """Right for powers of two. Make it right for every p, and take power_of_two out."""
    arriving = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    distance = 1
    while distance < p:
        partner = rank ^ distance
        yield send(recvbuf, partner), recv(arriving, partner), reduce(arriving, recvbuf)
        distance *= 2


@algorithm("allreduce", commutative=True)
def halving(rank, p, sendbuf, recvbuf):
    """Reduce-scatter by halving, then allgather by doubling."""
    yield copy(sendbuf, recvbuf)


# Fit these to the table of the sheet: seconds a message, and a byte.
ALPHA = 0.0
BETA = 0.0


def predict_doubling(p, n, alpha, beta, gamma):
    """Seconds that your `doubling` takes for n bytes on p ranks. Predict before you measure."""
    return 0.0


def predict_halving(p, n, alpha, beta, gamma):
    """Seconds that your `halving` takes."""
    return 0.0


def crossover(p, alpha, beta, gamma):
    """The bytes from which on `halving` is faster, p being a power of two."""
    return 0.0
