"""Who invents such algorithms? Here nobody: a search finds one, for the network that there is.

All other algorithms of this library are ideas of people, who then proved them. Each is good
for some network: a ring, a hypercube, nodes of equal size. What if the network is none of
these, or the ranks are not where the idea wants them? One can ask a program for a schedule: who
sends which block to whom, and when. The best one is out of reach, there are too many; but
a greedy search finds good ones quickly.

Time is cut into beats. In a beat a link can carry so many blocks, a NIC of a node so many, and a
rank can send and take what its ports have time for. Every such chance is a link from now to the
next beat, and the whole a network that is spread out in time. The search goes through it beat by
beat, and wherever there is time left on a whole way it sends a block that is lacking at the other
end. The next beat knows what this one has brought, until all have everything. `search.py` has the
search, and what it prefers. For two nodes of two ranks, with one NIC each and memory three times
as fast, it finds::

    beat   between the nodes                in the nodes
    1      block 1 from 1 to 3, 3 from 3 to 1
    2      block 0 from 0 to 2, 2 from 2 to 0
    3                                       2 from 0 to 1, 0 from 0 to 1, 3 from 1 to 0,
                                            1 from 1 to 0, 0 from 2 to 3, 2 from 2 to 3,
                                            3 from 3 to 2, 1 from 3 to 2

Luck decides how good it is, so it is tried several times and the shortest schedule wins. The
random numbers come from `seed` alone, and the number of tries from p, never from a clock: all
ranks find the same schedule, each by itself, and keep it.

**A plan needs a clock, and ranks have none.** A rank that has nothing to do in a beat would begin
the next one early. Its message would share a NIC with one that by the plan has it alone, and
both come late, and whoever waits for them: on 8 nodes of 8 ranks the same allgather takes 60 %
longer. So who has used a link says so to the rank that uses it next, in an empty message.

One search serves three primitives. Backwards in time, with sums for copies, an allgather is a
reduce-scatter: where a rank got a block once and passed it on, it adds up what comes and hands it
over once. An allreduce is first the one, then the other. Sums take time, too, so backwards is
searched anew: the beats leave room for them.

Is it worth it? Where all nodes are alike and ranks are in order, people do better, by little: an
allreduce of 100 MB on 8 nodes of 8 ranks takes an eighth longer than `split_rail_pipelined`, and
a tenth less than a ring. But a search asks for no order. On a torus of 4 x 4 nodes with
shuffled ranks the best of all other allgathers takes 1.6 times as long, on a fat tree of 4 x 4
shuffled nodes with one upper switch twice as long, and on nodes of 8, 8, 2 and 3 ranks that are
dealt out like cards 1.5 times. On a ring of four nodes of four ranks it uses both links of each
node: the best of all other allreduces takes a tenth longer.
"""

from ..language import NOTHING, algorithm, copy, partition, recv, reduce, scratch, send, split
from .search import schedule


@algorithm("allgather", name="synthesised")
def allgather(rank, p, sendbuf, recvbuf, links, *, pieces=1, seed=0):
    """A schedule that a greedy search has found for the network: nobody's idea.

    Beat by beat each rank sends blocks to others that lack them, as many as its port and the
    links on the way have time for. A block goes into a node once, but to whatever rank, and all
    ranks of a node work all the time. Blocks between the same two ranks in a beat make one
    message, and empty ones pass the use of a link on. If ranks share nothing, the blocks take about
    as long as in a ring. All factors are upper bounds, for nodes with a NIC each.

    `topology` describes the network, in words or by a file; by default it is that of the simulated
    machine, or else one NIC for each node, and `group` says which ranks form a node. Each block
    is cut into `pieces`, which fill the links better and take more messages, and `seed` starts
    the random numbers.

    Cost: (p-1)*((5/4 + 5/2*(p > group))*pieces*alpha + (5/4 + 3/2*(p > group))*n/p*beta)
    Restrictions: none
    Reference: after Won et al. 2024
    """
    yield copy(sendbuf, recvbuf[rank])
    chunks = cut(recvbuf, p, pieces)
    yield from spread(schedule(links, pieces, seed)[rank], chunks)


@algorithm("reduce_scatter", name="synthesised", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf, links, *, pieces=1, seed=0):
    """The schedule that a search found for an allgather, backwards in time.

    A rank that got a block in some beat and sent it on to others in later ones now gets
    their sums for this block, and adds them to its own before it hands on the sum in that beat.
    All factors are upper bounds, for nodes with a NIC each.

    For `topology`, `group`, `pieces` and `seed` see the allgather.

    Cost: (p-1)*((5/4 + 5/2*(p > group))*pieces*alpha
        + (5/4 + 3/2*(p > group))*n/p*beta + (5/4 + (p > group))*n/p*gamma)
    Restrictions: commutative op; sums are added up in the order in which they come
    Reference: after Won et al. 2024
    """
    counts = [sendbuf.size(i) for i in range(p)]
    total = partition(scratch(recvbuf, sum(counts)), counts)
    chunks = cut(total, p, pieces)
    yield copy(sendbuf[0:p], total.buf)
    yield from add_up(schedule(links, pieces, seed, backwards=True)[rank], chunks)
    yield copy(total[rank], recvbuf)


@algorithm("allreduce", name="synthesised", commutative=True)
def allreduce(rank, p, sendbuf, recvbuf, links, *, pieces=1, seed=0):
    """The schedule that a search found for an allgather, backwards, then forwards.

    Backwards it leaves each rank with the sum of one block of the vector, forwards it tells
    everybody. All factors are upper bounds, for nodes with a NIC each.

    For `topology`, `group`, `pieces` and `seed` see the allgather.

    Cost: (p-1)*((5/2 + 5*(p > group))*pieces*alpha
        + (5/2 + 3*(p > group))*n/p*beta + (5/4 + (p > group))*n/p*gamma)
    Restrictions: commutative op; sums are added up in the order in which they come
    Reference: after Won et al. 2024
    """
    chunks = cut(split(recvbuf, p), p, pieces)
    yield copy(sendbuf, recvbuf)
    yield from add_up(schedule(links, pieces, seed, backwards=True)[rank], chunks)
    yield from spread(schedule(links, pieces, seed)[rank], chunks)


def cut(blocks, p, pieces):
    """The chunks: `pieces` of each block."""
    return [chunk for i in range(p) for chunk in split(blocks[i], pieces)]


def spread(rounds, chunk):
    """Chunks go where the schedule says."""
    for gives, takes, tells, waits in rounds:
        sends = [send([chunk[i] for i in numbers], dest) for dest, numbers in gives.items()]
        recvs = [recv([chunk[i] for i in numbers], source) for source, numbers in takes.items()]
        yield sends + recvs
        yield turns(tells, waits)


def add_up(rounds, total):
    """The same with sums: a rank adds what it takes to its own, once it has passed its turn on."""
    most = max((sum(map(len, round_.takes.values())) for round_ in rounds), default=0)
    longest = max(total, key=len)
    space = [scratch(longest) for _ in range(most)]
    for gives, takes, tells, waits in rounds:
        free, sums = iter(space), []
        steps = [send([total[i] for i in numbers], dest) for dest, numbers in gives.items()]
        for source, numbers in takes.items():
            shares = [next(free)[: total[i].size] for i in numbers]
            steps.append(recv(shares, source))
            sums += [reduce(share, total[i]) for share, i in zip(shares, numbers)]
        yield steps if tells else steps + sums
        yield turns(tells, waits) + (sums if tells else [])


def turns(tells, waits):
    """Who has used a link tells it to the one that uses it next: an empty message."""
    return [send(NOTHING, rank) for rank in tells] + [recv(NOTHING, rank) for rank in waits]
