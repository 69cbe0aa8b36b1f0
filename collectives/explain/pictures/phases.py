"""The phases of an algorithm: messages that one statement of its page sends.

The statement is the outermost one that tells phases apart: `yield from` that calls a
reduction over a tree is one phase, and that which calls a broadcast is the next.
"""

from __future__ import annotations

from dataclasses import dataclass

from collectives.engines.trace import Message, Place, Trace
from collectives.explain.words import ranks_in_words


@dataclass(frozen=True)
class Phase:
    """Messages that belong together, and the line that sends them."""

    place: Place
    messages: tuple[Message, ...]
    parts: tuple[int, ...] = ()  # the only ones that are sent, if that is what sets it apart

    @property
    def beats(self) -> tuple[int, ...]:
        """In which its messages move."""
        return tuple(sorted({message.beat for message in self.messages}))

    @property
    def span(self) -> str:
        """Its beats in words: `2-5,7`."""
        return ranks_in_words(self.beats)

    def links(self) -> dict[tuple[int, int], list[Message]]:
        """The messages from one rank to another, by both."""
        found: dict[tuple[int, int], list[Message]] = {}
        for message in self.messages:
            found.setdefault((message.source, message.dest), []).append(message)
        return found

    def by_beat(self) -> list[Phase]:
        """One phase for each beat."""
        return [
            Phase(self.place, tuple(m for m in self.messages if m.beat == beat))
            for beat in self.beats
        ]

    def by_parts(self) -> list[Phase]:
        """One phase for the parts that go the same ways; only itself if messages mix parts."""
        ways: dict[int, list[Message]] = {}
        for message in self.messages:
            sent = {held.part for held in message.carries}
            if len(sent) != 1:
                return [self]
            ways.setdefault(sent.pop(), []).append(message)
        groups: dict[frozenset, list[int]] = {}
        for part, messages in sorted(ways.items()):
            groups.setdefault(frozenset((m.source, m.dest) for m in messages), []).append(part)
        return [
            Phase(self.place, tuple(m for part in parts for m in ways[part]), tuple(parts))
            for parts in groups.values()
        ]


def phases(trace: Trace) -> list[Phase]:
    """All phases, in the order in which they begin."""
    stacks = [_stack(trace, message) for message in trace.messages]
    depth = next(
        (
            d
            for d in range(max(map(len, stacks), default=1))
            if len({_at(s, d) for s in stacks}) > 1
        ),
        0,
    )
    groups: dict[Place, list[Message]] = {}
    for message, stack in zip(trace.messages, stacks, strict=True):
        groups.setdefault(_at(stack, depth), []).append(message)
    found = [Phase(place, tuple(messages)) for place, messages in groups.items()]
    return sorted(found, key=lambda phase: (phase.beats, phase.place.line))


def _stack(trace: Trace, message: Message) -> tuple[Place, ...]:
    """Where a message is sent, the line of the algorithm itself first."""
    return trace.ranks[message.source].rounds[message.sent - 1].places[::-1]


def _at(stack: tuple[Place, ...], depth: int) -> Place:
    return stack[min(depth, len(stack) - 1)]
