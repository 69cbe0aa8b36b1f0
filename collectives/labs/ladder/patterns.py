"""What the rounds of all ranks look like: who sends to whom, and how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from collectives.labs.feedback import ranks_in_words
from collectives.labs.handover import Rounds


@dataclass(frozen=True)
class Sent:
    """A message: its rank, round and line, the peer, and how many elements it has."""

    rank: int
    round: int
    line: int
    peer: int
    size: int


@dataclass(frozen=True)
class Pattern:
    """All messages of a run.

    Attributes
    ----------
    p : int
    sent : list of Sent
    received : list of Sent
        The same, seen from the receivers; `peer` is the source.
    """

    p: int
    sent: list[Sent]
    received: list[Sent]

    @classmethod
    def of(cls, ranks: Sequence[Rounds]) -> Pattern:
        """The pattern of the rounds of all ranks."""
        both: tuple[list[Sent], list[Sent]] = [], []
        for rank, mine in enumerate(ranks):
            for number, (line, _, *messages, _) in enumerate(mine.rounds, 1):
                for found, some in zip(both, messages, strict=True):
                    for peer, places in some:
                        size = sum(stop - start for _, start, stop in places)
                        found.append(Sent(rank, number, line, peer, size))
        return cls(len(ranks), *both)

    @property
    def sizes(self) -> list[int]:
        """Elements that each rank sends."""
        found = [0] * self.p
        for each in self.sent:
            found[each.rank] += each.size
        return found

    @property
    def most_sent(self) -> int:
        return max(self.sizes, default=0)

    @property
    def all_alike(self) -> bool:
        """All ranks send nearly as much."""
        return self.most_sent - min(self.sizes, default=0) <= 0.1 * self.most_sent

    @property
    def most_rounds(self) -> int:
        """The most rounds with messages that a rank has."""
        rounds: dict[int, set[int]] = defaultdict(set)
        for each in [*self.sent, *self.received]:
            rounds[each.rank].add(each.round)
        return max(map(len, rounds.values()), default=0)

    def crowd(self) -> tuple[int, int, int, list[int]] | None:
        """The first round in which one rank is sent to by several: it, a line, to whom, who."""
        targets: dict[tuple[int, int], list[Sent]] = defaultdict(list)
        for each in self.sent:
            targets[each.round, each.peer].append(each)
        for (number, dest), some in sorted(targets.items(), key=lambda x: (x[0][0], -len(x[1]))):
            if len(some) > 1:
                return number, some[0].line, dest, [each.rank for each in some]
        return None

    def together(self, most: int = 0) -> tuple[int, int, int, int] | None:
        """The first round with too many messages in one direction: rank, number, how many, line.

        With 0, more than one in both directions together.
        """
        groups: dict[tuple[int, int], list[Sent]] = defaultdict(list)
        for each in self.sent:
            groups[each.round, each.rank].append(each)
        for each in self.received:
            groups[each.round, each.rank if not most else self.p + each.rank].append(each)
        for (number, _), some in sorted(groups.items()):
            if len(some) > (most or 1):
                return some[0].rank, number, len(some), some[0].line
        return None

    def empty(self) -> tuple[int, int, int, int] | None:
        """The first message without elements: rank, round, line and peer."""
        for each in self.sent:
            if not each.size:
                return each.rank, each.round, each.line, each.peer
        return None

    def why_messages(self, p: int) -> str:
        """The most likely reason for too many messages."""
        sources: dict[tuple[int, int], list[int]] = defaultdict(list)
        for each in self.sent:
            sources[each.round, each.rank].append(each.peer)
        (number, rank), peers = max(sources.items(), key=lambda x: len(x[1]), default=((0, 0), [0]))
        if len(peers) > 2 and len(peers) >= p // 2 - 1:
            return (
                f"in round {number} rank {rank} sends to {self.few(peers)}, "
                "one after the other through its one port"
            )
        if (crowd := self.crowd()) and len(crowd[3]) > 2:
            return f"in round {crowd[0]} {self.few(crowd[3])} all send to {crowd[2]}"
        if self.most_rounds >= p - 1 > 2:
            return f"there are {self.most_rounds} rounds in a row, each to the next rank"
        if self.most_rounds == 1:
            return "the sends of the one round meet recvs that wait for others"
        return f"there are {self.most_rounds} rounds in a row"

    def why_bytes(self, n: int) -> str:
        """The most likely reason for too many bytes."""
        longest = max((each.size for each in self.sent), default=0)
        if longest >= n > 0:
            return "you forward the whole vector"
        if longest * 2 >= n > 0:
            return f"a message carries {longest / n:.2f} n, which is more than its receiver needs"
        return "some blocks travel more often than they have to"

    def busiest_line(self) -> str:
        """The line whose messages carry most."""
        lines: dict[int, int] = defaultdict(int)
        for each in self.sent:
            lines[each.line] += each.size + 1
        return f"line {max(lines, key=lambda line: lines[line])}" if lines else ""

    @staticmethod
    def few(ranks: Sequence[int]) -> str:
        """Ranks in words."""
        return f"rank{'s' * (len(ranks) > 1)} {ranks_in_words(ranks)}"
