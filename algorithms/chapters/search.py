"""A greedy search for a schedule, on a network that is spread out in time.

Time is cut into beats, each as long as a chunk takes on the slowest way. In a beat a port, or a
link, passes as many chunks as there is time for. The search goes through time beat by beat and
gives the ranks, one after the other, a chunk that they lack, as long as there is a way to
them that has time left. What a beat has brought can be passed on in the next one.

Four rules make the difference between a good schedule and any:

- Slow ways first, for theirs is the time that runs out. And no chunk by a slow way to a rank if
  one of those that reach it by quicker ways has it: let the neighbours tell each other.
- Of equally slow ways the shortest first, which takes time of the fewest links.
- First served are those among whom the fewest chunks are, and of them the rank with most time.
- It gets the rarest chunk that can come to it: what many have, there are many to ask for.
"""

from collections import defaultdict
from functools import lru_cache
from random import Random
from typing import NamedTuple

# So many times is searched, less often where that would take more than so many messages.
TRIES, MESSAGES = 6, 16_000

# What is left of a beat after sums that should leave nothing, in beats.
ROUNDING = 1e-9


class Round(NamedTuple):
    """What a rank does in a beat: chunks by whom they go to and come from, and turns."""

    gives: dict
    takes: dict
    tells: list  # ranks that hear that a link is theirs, when what this one gives has left
    waits: list  # ranks that this one hears it from


@lru_cache(maxsize=16)
def schedule(links, pieces, seed, backwards=False):
    """The rounds of every rank in an allgather, or those of a reduce-scatter: the same backwards.

    Chunk `i` is a piece of the block of rank `i // pieces`.
    """
    if not backwards:
        return in_rounds(shortest(links, pieces, seed), links)
    found = shortest(links.turned(), pieces, seed, links.work)
    turned = [[(dest, source, chunk) for source, dest, chunk in beat] for beat in found[::-1]]
    return in_rounds(turned, links)


def shortest(links, pieces, seed, work=0.0):
    """The shortest of several schedules: a list of beats, each of (source, dest, chunk).

    With work, who gives a chunk has work with it: backwards it will add it up. That is done
    in beats that leave time for it, or in spare time of ranks.
    """
    ways, found = Ways(links), []
    lengths = sorted({ways.slowest, ways.slowest + work})
    tries = max(len(lengths), min(TRIES, MESSAGES // (links.p**2 * pieces)))
    for number in range(tries):
        length = lengths[number % len(lengths)]
        beats = [*Search(ways, pieces, length, work, seed * TRIES + number).beats()]
        found.append((len(beats) * length, number, beats))
    return min(found)[2]


def in_rounds(beats, links):
    """The beats as each rank sees them; it does not see those in which it has nothing to do."""
    rounds = [defaultdict(lambda: Round({}, {}, [], [])) for _ in range(links.p)]
    for number, beat in enumerate(beats):
        for source, dest, chunk in beat:
            rounds[source][number].gives.setdefault(dest, []).append(chunk)
            rounds[dest][number].takes.setdefault(source, []).append(chunk)
    for number, now, then in turns(beats, links):
        if then not in rounds[now][number].gives:
            rounds[now][number].tells.append(then)
            rounds[then][number].waits.append(now)
    return [[mine[number] for number in sorted(mine)] for mine in rounds]


def turns(beats, links):
    """Who uses a link in a beat, and who after it: (beat, rank now, rank then), each once.

    Ranks have no common clock. One that has nothing to do in a beat is ahead, and
    what it sends would take from the message before it half of a link that the plan
    gives to each alone. It does so where one takes more than half of what a link can carry.
    """
    found, last = {}, {}
    for number, beat in enumerate(beats):
        for source, dest, _ in beat:
            for link in links.route(source, dest):
                if links.rates[link] * links.byte(source, dest) < 2:
                    before, rank = last.get(link, (number, source))
                    if rank != source:
                        found[before, rank, source] = None
                    last[link] = number, source
    return found


class Kind(NamedTuple):
    """Ways between two ranks that are equally slow and have equally many links."""

    byte: float  # seconds
    sources: list  # of each rank: those who have such a way to it
    closer: list  # those who have a quicker way to it, and itself: a set
    common: list  # links that all such ways to it pass


class Ways:
    """The ways to each rank, kind by kind: the slowest first, of those the shortest."""

    def __init__(self, links):
        self.links, ranks = links, range(links.p)
        byte = [[links.byte(s, d) if s != d else 0.0 for s in ranks] for d in ranks]
        found = defaultdict(lambda: [[] for _ in ranks])
        for d in ranks:
            for s in ranks:
                if s != d:
                    found[-byte[d][s], len(links.route(s, d))][d].append(s)
        self.kinds = [
            Kind(-slow, found[slow, long], *self.about(found[slow, long], -slow, byte))
            for slow, long in sorted(found)
        ]
        self.slowest = max((kind.byte for kind in self.kinds), default=1.0)
        self.groups = [[] for _ in ranks]
        for group in {group for kind in self.kinds for group in kind.closer}:
            for rank in elements(group):
                self.groups[rank].append(group)

    def about(self, sources, slow, byte):
        """For each rank who is closer, and which links all these ways pass."""
        closer, common = [], []
        for d, mine in enumerate(sources):
            closer.append(sum(1 << s for s, each in enumerate(byte[d]) if s == d or each < slow))
            routes = [set(self.links.route(s, d)) for s in mine]
            common.append(sorted(set.intersection(*routes)) if routes else [])
        return closer, common


def elements(numbers):
    """The elements of a set that is an integer."""
    return [i for i in range(numbers.bit_length()) if numbers >> i & 1]


class Search:
    """One greedy search. Sets of chunks, or of ranks, are integers: bit i stands for number i.

    Times are in beats; ports may save what they do not use, until it is enough for a message.
    """

    def __init__(self, ways, pieces, length, work, seed):
        self.ways, self.chance, ranks = ways, Random(seed).random, range(ways.links.p)
        self.cost = [kind.byte / length for kind in ways.kinds]
        self.need = [1 / (rate * length) for rate in ways.links.rates]
        self.work = work / length
        self.most = max(1.0, ways.slowest / length + self.work)
        self.out, self.into = [self.most for _ in ranks], [self.most for _ in ranks]
        self.total = ways.links.p * pieces
        self.all = (1 << self.total) - 1
        self.held = [((1 << pieces) - 1) << rank * pieces for rank in ranks]
        self.known = [*self.held]  # when this beat is over
        self.copies = [1] * self.total
        self.among = defaultdict(int)  # what is known in a group of ranks
        for rank in ranks:
            for group in ways.groups[rank]:
                self.among[group] |= self.held[rank]

    def beats(self):
        """Match what is free in a beat, until every rank has all chunks."""
        while any(held != self.all for held in self.held):
            for ports in (self.out, self.into):
                ports[:] = [min(self.most, left + 1) for left in ports]
            self.left = [1 + ROUNDING for _ in self.need]
            self.rarest = self.by_copies()
            yield [found for number in range(len(self.cost)) for found in self.matches(number)]
            self.held = [*self.known]

    def by_copies(self):
        """The chunks of which there are equally many copies, the rarest first."""
        levels = defaultdict(int)
        for chunk, copies in enumerate(self.copies):
            levels[copies] |= 1 << chunk
        return [levels[copies] for copies in sorted(levels)]

    def matches(self, number):
        """A chunk for everybody by ways of a kind, from different ranks; again while it goes."""
        kind = self.ways.kinds[number]
        waiting = [dest for dest, sources in enumerate(kind.sources) if sources]
        while waiting := [dest for dest in waiting if self.can_take(dest, number)]:
            waiting.sort(key=lambda dest: self.claim(dest, kind.closer[dest]))
            idle, served = {*range(len(self.held))}, []
            for dest in waiting:
                found = self.source_for(dest, number, idle)
                if found:
                    idle.discard(found[0])
                    served.append(dest)
                    yield self.match(found, dest, number)
            waiting = served

    def can_take(self, dest, number):
        """Whether a rank has time for a chunk by ways of a kind, and there is one for it."""
        kind, left, need = self.ways.kinds[number], self.left, self.need
        if self.into[dest] < self.cost[number] - ROUNDING:
            return False
        full = [link for link in kind.common[dest] if left[link] < need[link]]
        return not full and self.among[kind.closer[dest]] != self.all

    def claim(self, dest, group):
        """What puts a rank before others: the least counts."""
        known, own = self.among[group].bit_count(), self.known[dest].bit_count()
        return known, -round(self.into[dest], 6), own, self.chance()

    def source_for(self, dest, number, idle):
        """Who can give a rank the rarest chunk by ways of a kind, and a set of such chunks."""
        if not self.can_take(dest, number):
            return None
        kind, cost = self.ways.kinds[number], self.cost[number]
        lacking = self.all & ~self.among[kind.closer[dest]]
        found, level = None, len(self.rarest)
        sources = kind.sources[dest]
        start = int(self.chance() * len(sources))
        for source in sources[start:] + sources[:start]:
            useful = self.held[source] & lacking
            if useful and source in idle and self.can_give(source, dest, cost):
                rarest = 0
                while not self.rarest[rarest] & useful:
                    rarest += 1
                if rarest < level:
                    found, level = (source, useful & self.rarest[rarest]), rarest
                    if not rarest:
                        break
        return found

    def can_give(self, source, dest, cost):
        """Whether a rank has time for one more chunk and the work with it, and so has the way."""
        out, into = self.out[source] + ROUNDING, self.into[source] + ROUNDING
        if out < cost + self.work or into < self.work:
            return False
        route, left, need = self.ways.links.route(source, dest), self.left, self.need
        return all([left[link] >= need[link] for link in route])

    def match(self, found, dest, number):
        """Use a way for one of the chunks."""
        source, chunks = found
        chunk = self.one_of(chunks)
        for link in self.ways.links.route(source, dest):
            self.left[link] -= self.need[link]
        self.out[source] -= self.cost[number] + self.work
        self.into[source] -= self.work
        self.into[dest] -= self.cost[number]
        self.copies[chunk] += 1
        self.known[dest] |= 1 << chunk
        for group in self.ways.groups[dest]:
            self.among[group] |= 1 << chunk
        return source, dest, chunk

    def one_of(self, chunks):
        """A chunk of a set: the first from a random number on, or from 0 if there is none."""
        start = int(self.chance() * self.total)
        rest = chunks >> start << start or chunks
        return (rest & -rest).bit_length() - 1
