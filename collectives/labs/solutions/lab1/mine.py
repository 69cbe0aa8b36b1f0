"""Lab 1: send, receive and the hidden deadlock, the reference solution.

What the sheet asks. Task 1, p = 5: ranks 4 and 0 are neighbours, and both send first. Rank 1
takes the message of 0, which then takes that of 4: a longer wait there, no deadlock. Task 2: p -
1 rounds with messages; `count` says 4 messages in a row where `in_turn` has 7. Task 3: in the
order in which they stand in the yield; if all began with rank 0, its port would be the only one
at work. At the end: `paired`. It sends no more bytes than `at_once`, only neighbours talk, and
one message is under way from each rank, not p - 1.
"""

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
