"""Who invents such algorithms? Here nobody: a search finds one, for the nodes that there are.

All other algorithms of this library are ideas of people, who then proved them. Each is good
for some network: a ring, a hypercube, nodes of equal size. What if the network is none of
these? One can ask a program for a schedule: who sends which block to whom, and when. The
best one is out of reach, there are too many; but a greedy search finds good ones quickly.

Time is cut into beats. In a beat a node can send one block to another node and get one, for
its ranks share one way out, and a rank can send `speed` blocks to others of its node and get as
many, for memory is faster. Every such chance is a link from now to the next beat, and the whole
a network of links that is spread out in time. The search goes through it beat by beat: it takes
the links that are free in a random order and gives each the first useful block that it
meets, one that the receiver has not got. A node is sent no block twice; its ranks tell each
other. The next beat knows what this one has brought, until all have everything. For two nodes
of two ranks and `speed` 1 it finds::

    beat   between the nodes                      in the nodes
    1      block 1 from 1 to 2, 2 from 2 to 0     0 from 0 to 1, 1 from 1 to 0,
                                                  2 from 2 to 3, 3 from 3 to 2
    2      block 0 from 0 to 3, 3 from 3 to 1     2 from 0 to 1, 1 from 2 to 3
    3                                             3 from 1 to 0, 0 from 3 to 2

Luck decides how good it is, so it is tried several times and the shortest schedule wins. The
random numbers come from `seed` alone, and the number of tries from p, never from a clock: all
ranks find the same schedule, each by itself, and keep it.

Where all nodes are alike, people do better: a ring in rank order or `split_rail` is faster. Where
they are not, 8, 8, 2 and 3 ranks dealt out over four nodes with a NIC each, this allgather leaves
all others behind, and the nearest takes a quarter longer. Who has such a network has work for
a search.

One search serves three primitives. Backwards in time, with sums for copies, an allgather is a
reduce-scatter: where a rank got a block once and passed it on, it adds up what comes and hands it
over once. An allreduce is first the one, then the other.
"""

from functools import lru_cache
from itertools import chain
from random import Random

from ..language import algorithm, copy, members, partition, recv, reduce, scratch, send, split

# So many times is searched, less often where that would take more than so many messages.
TRIES, MESSAGES = 8, 40_000


@algorithm("allgather", name="synthesised")
def allgather(rank, p, sendbuf, recvbuf, groups, *, speed=2, seed=0):
    """A schedule that a greedy search has found for the nodes: nobody's idea.

    In each beat every node sends one block to another node, and each rank up to `speed` blocks
    to others of its node; see the chapter for how they are chosen. Blocks between the same two
    ranks in a beat make one message. A block enters each node once, as in `hierarchical`, but
    by whatever rank, and all ranks of a node work all the time. If all ranks are on one node,
    or each on its own, the blocks take about as long as in a ring. All factors are upper
    bounds.

    `group` says which ranks form a node, `speed` is the number of blocks that a rank can send
    in its node while the node sends one to another, and `seed` starts the random numbers.

    Cost: (3/2 + 5/4*(p > group))*(p-1)*(alpha + n/p*beta)
    Restrictions: none
    Reference: after Won et al. 2024
    """
    yield copy(sendbuf, recvbuf[rank])
    yield from spread(schedule(groups, speed, seed)[rank], recvbuf)


@algorithm("reduce_scatter", name="synthesised", commutative=True)
def reduce_scatter(rank, p, sendbuf, recvbuf, groups, *, speed=2, seed=0):
    """The schedule that a search found for an allgather, backwards in time.

    A rank that got a block in some beat and sent it on to others in later ones now gets
    their sums for this block, and adds them to its own before it hands on the sum in that beat.
    All factors are upper bounds.

    `group` says which ranks form a node; for `speed` and `seed` see the allgather.

    Cost: (3/2 + 5/4*(p > group))*(p-1)*(alpha + n/p*beta + n/p*gamma)
    Restrictions: commutative op; sums are added up in the order in which they come
    Reference: after Won et al. 2024
    """
    counts = [sendbuf.size(i) for i in range(p)]
    total = partition(scratch(recvbuf, sum(counts)), counts)
    yield copy(sendbuf[0:p], total.buf)
    yield from add_up(schedule(groups, speed, seed)[rank], total)
    yield copy(total[rank], recvbuf)


@algorithm("allreduce", name="synthesised", commutative=True)
def allreduce(rank, p, sendbuf, recvbuf, groups, *, speed=2, seed=0):
    """The schedule that a search found for an allgather, backwards, then forwards.

    Backwards it leaves each rank with the sum of one block of the vector, forwards it tells
    everybody. All factors are upper bounds.

    `group` says which ranks form a node; for `speed` and `seed` see the allgather.

    Cost: (3/2 + 5/4*(p > group))*(p-1)*(2*alpha + 2*n/p*beta + n/p*gamma)
    Restrictions: commutative op; sums are added up in the order in which they come
    Reference: after Won et al. 2024
    """
    rounds, block = schedule(groups, speed, seed)[rank], split(recvbuf, p)
    yield copy(sendbuf, recvbuf)
    yield from add_up(rounds, block)
    yield from spread(rounds, block)


def spread(rounds, block):
    """Blocks go where the schedule says."""
    for gives, takes in rounds:
        sends = [send([block[i] for i in numbers], dest) for dest, numbers in gives.items()]
        recvs = [recv([block[i] for i in numbers], source) for source, numbers in takes.items()]
        yield sends + recvs


def add_up(rounds, total):
    """The same backwards: a rank takes sums from those it gave to, and adds them to its own."""
    most = max((sum(map(len, gives.values())) for gives, _ in rounds), default=0)
    longest = max(total.size(i) for i in range(len(total)))
    space = [scratch(total.buf, longest) for _ in range(most)]
    for gives, takes in reversed(rounds):
        steps = [send([total[i] for i in numbers], source) for source, numbers in takes.items()]
        free = iter(space)
        for dest, numbers in gives.items():
            shares = [next(free)[: total.size(i)] for i in numbers]
            steps.append(recv(shares, dest))
            steps += [reduce(share, total[i]) for share, i in zip(shares, numbers)]
        yield steps


@lru_cache(maxsize=8)
def schedule(groups, speed, seed):
    """The rounds of every rank in an allgather: what it gives to whom, and takes from whom."""
    rounds = [[] for _ in groups]
    for beat in shortest(groups, speed, seed):
        gives, takes = {}, {}
        for source, dest, block in beat:
            gives.setdefault(source, {}).setdefault(dest, []).append(block)
            takes.setdefault(dest, {}).setdefault(source, []).append(block)
        for rank in gives.keys() | takes.keys():
            rounds[rank].append((gives.get(rank, {}), takes.get(rank, {})))
    return rounds


def shortest(groups, speed, seed):
    """The shortest of several schedules: a list of beats, each of (source, dest, block)."""
    tries = max(1, min(TRIES, MESSAGES // len(groups) ** 2))
    found = [[*Search(members(groups), speed, seed * TRIES + i).beats()] for i in range(tries)]
    return min(found, key=len)


class Search:
    """One greedy search. Sets of blocks are integers: bit b stands for block b."""

    def __init__(self, nodes, speed, seed):
        self.nodes, self.speed, self.chance = nodes, speed, Random(seed).random
        ranks = range(sum(map(len, nodes)))
        self.all = (1 << len(ranks)) - 1
        self.held = [1 << rank for rank in ranks]  # by each rank before this beat
        self.coming = [0] * len(ranks)  # to each rank in this beat
        self.inside = [sum(1 << rank for rank in node) for node in nodes]  # or on the way

    def beats(self):
        """Match what is free in a beat, until every rank has all blocks."""
        while any(held != self.all for held in self.held):
            self.coming = [0] * len(self.held)
            between = [*self.between_nodes()]
            yield between + [found for node in self.nodes for found in self.within(node)]
            self.held = [held | coming for held, coming in zip(self.held, self.coming)]

    def between_nodes(self):
        """One block into each node, from another that sends nothing yet."""
        free, before = [*range(len(self.nodes))], [*self.inside]
        for to in self.turned(range(len(self.nodes))):
            for origin in self.turned(free):
                useful = before[origin] & ~self.inside[to]
                if useful:
                    free.remove(origin)
                    block = self.one_of(useful)
                    holders = [rank for rank in self.nodes[origin] if self.held[rank] >> block & 1]
                    dest = min(self.nodes[to], key=lambda rank: self.known(rank).bit_count())
                    self.inside[to] |= 1 << block
                    yield self.match(next(self.turned(holders)), dest, block)
                    break

    def within(self, node):
        """Up to `speed` blocks from each rank of a node and to each."""
        sent = dict.fromkeys(node, 0)
        for _ in range(self.speed):
            for dest in self.turned(node):
                for source in self.turned(node):
                    useful = self.held[source] & ~self.known(dest)
                    if useful and sent[source] < self.speed:
                        sent[source] += 1
                        yield self.match(source, dest, self.one_of(useful))
                        break

    def known(self, rank):
        """What a rank has when this beat is over."""
        return self.held[rank] | self.coming[rank]

    def match(self, source, dest, block):
        """Use a link."""
        self.coming[dest] |= 1 << block
        return source, dest, block

    def one_of(self, blocks):
        """A block of a set: the first from a random number on, or from 0 if there is none."""
        start = int(self.chance() * len(self.held))
        rest = blocks >> start << start or blocks
        return (rest & -rest).bit_length() - 1

    def turned(self, items):
        """The items in their order, from a random one on."""
        start = int(self.chance() * len(items))
        return chain(items[start:], items[:start])
