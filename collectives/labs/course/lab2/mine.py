"""Lab 2: broadcast. Complete `tree` and `chain`; sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, neighbours, recv, send, split

ALPHA, BETA = 1e-6, 8e-10  # seconds a message, and a byte, of the machine of this lab


@algorithm("bcast")
def linear(rank, p, buf, root):
    """Given: the root sends to all others, one after the other."""
    if rank == root:
        for other in range(p):
            if other != root:
                yield send(buf, other)
    else:
        yield recv(buf, root)


@algorithm("bcast")
def tree(rank, p, buf, root):
    """Whoever has the vector sends it on: ceil(lg p) rounds."""
    yield []


@algorithm("bcast")
def chain(rank, p, buf, root):
    """Rank after rank, segment after segment."""
    before, after = neighbours(rank, p)
    segments = 1
    for segment in split(buf, segments):
        if rank != root:
            yield recv(segment, before)
        if after != root:
            yield send(segment, after)


def predict_tree(p, n, alpha, beta, gamma):
    """Seconds that your `tree` takes for n bytes on p ranks. Predict before you measure."""
    return 0.0


def predict_chain(p, n, alpha, beta, gamma):
    """Seconds that your `chain` takes, with the segments that it chooses."""
    return 0.0
