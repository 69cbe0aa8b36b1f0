"""Program 5: an allreduce by recursive doubling. Take p = 4."""

from collectives.algorithms.language import algorithm, copy, recv, reduce, scratch, send


@algorithm("allreduce", commutative=True, power_of_two=True)
def z05(rank, p, sendbuf, recvbuf):
    coming = scratch(recvbuf)
    yield copy(sendbuf, recvbuf)
    distance = 1
    while distance < p:
        partner = rank ^ distance
        if rank == 2 and distance == 2:
            yield send(recvbuf, partner), recv(coming, partner)
        else:
            yield send(recvbuf, partner), recv(coming, partner), reduce(coming, recvbuf)
        distance *= 2
