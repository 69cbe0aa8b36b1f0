"""Values, parts and messages of a trace in words.

A value is told by the ranks that contributed to it, in order: `3-1` are the ranks from 3
on, round after the last one, up to 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from collectives.algorithms.language.registry import REDUCTIONS
from collectives.engines.trace import Held, Message, Trace
from collectives.units import format_bytes

NOTHING = "."

# Primitives in which a block has one owner only: who that is goes without saying.
OWNED = frozenset({"bcast", "scatter", "gather", "allgather"})

# Cells that take more characters leave out the order, or more.
SHORT = 11

# So many messages of one rank in one beat are told together, if they are alike.
MANY = 4

# How many separate values are listed as integers.
FEW = 3


class Words:
    """How a trace is told.

    Parameters
    ----------
    trace : Trace
    data : bool
        Integers in place of contributions. Rank r has `unit` * (r + 1) + i as part i.

    Attributes
    ----------
    merges : bool
        Values are sums, also in what a barrier tells: of several that are held, one never
        stands for the others.
    """

    def __init__(self, trace: Trace, data: bool = False):
        self.trace, self.data = trace, data and trace.setting.primitive != "barrier"
        self.merges = trace.setting.primitive in (*REDUCTIONS, "barrier")
        self.unit = 10 if len(trace.parts) <= 10 else 100

    def is_new(self, values: Sequence[int], beat: int, rank: int, part: int) -> bool:
        """Whether there is one among the values held after a beat that was never held before.

        What is seen again is not new: the rank's own input, say, when a sum has been passed on.
        """
        return any(self._first_held[rank, part, value] == beat for value in values)

    @cached_property
    def _first_held(self) -> dict[tuple[int, int, int], int]:
        """Of each rank, part and value the beat after which it is held for the first time."""
        first: dict[tuple[int, int, int], int] = {}
        for beat in range(self.trace.beats + 1):
            for rank, mine in enumerate(self.trace.held_at(beat)):
                for part, values in enumerate(mine):
                    for value in values:
                        first.setdefault((rank, part, value), beat)
        return first

    def value(self, value: int, part: int = 0) -> str:
        """A value: who contributed, or the integer that it is as this part."""
        if self.data:
            return str(self.number(value, part))
        text = runs(self.trace.values[value], self.trace.setting.p)
        return text + "?" if value in self.trace.spoiled else text

    def _sum(self, value: int, part: int) -> str:
        """A sum that is held, in brackets if nothing is missing."""
        text = self.value(value, part)
        if len(text) > SHORT and not self.data:
            text = "all" if self.complete(value) else self._set(value)
        return f"[{text}]" if self.complete(value) else text

    def _set(self, value: int) -> str:
        """The contributions without their order: every so many ranks, or how many."""
        held = self.trace.contributions(value)
        ranks, p = sorted({*held}), self.trace.setting.p
        mark = "?" if value in self.trace.spoiled or len(ranks) < len(held) else ""
        step = ranks[1] - ranks[0] if len(ranks) > 1 else 1
        if ranks == list(range(ranks[0], ranks[-1] + 1, step)):
            return f"{ranks[0]}-{ranks[-1]}/{step}{mark}" if step > 1 else f"{ranks[0]}-{ranks[-1]}"
        text = ranks_in_words(ranks)
        return (text if len(text) <= SHORT else f"{len(ranks)} of {p}") + mark

    def complete(self, value: int) -> bool:
        """Whether all ranks contributed."""
        ranks = self.trace.contributions(value)
        return len(ranks) == self.trace.setting.p > 1 and len({*ranks}) == len(ranks)

    def number(self, value: int, part: int) -> int:
        """The sum of the contributions to a part, as integers."""
        ranks = self.trace.contributions(value)
        return sum(self.unit * (rank + 1) + part for rank in ranks)

    def cell(self, part: int, values: Sequence[int]) -> str:
        """What a rank holds of a part."""
        if not values:
            return NOTHING
        if self.merges:
            return "|".join(self._sum(value, part) for value in values)
        if self.data:
            texts = [self.value(value, part) for value in values]
            return " ".join(texts if len(texts) <= FEW else [texts[0], "..", texts[-1]])
        ranks = sorted({r for value in values for r in self.trace.contributions(value)})
        return ranks_in_words(ranks)

    def parts(self, parts: Sequence[int]) -> str:
        """Parts by name: `block 3`, `blocks 0-3,5`, `the vector`."""
        names = [self.trace.parts[part].name for part in parts]
        if names in (["all"], ["news"]):
            return "the vector" if names == ["all"] else "news"
        if all(name.isdigit() for name in names):
            return f"block{'s' * (len(names) > 1)} {ranks_in_words(map(int, names))}"
        return f"piece{'s' * (len(names) > 1)} {_spans(parts, names)}"

    def carried(self, held: Sequence[Held]) -> str:
        """What a message carries, or a step makes: `block 2 {0-3}`."""
        if not held:
            return "no data"
        if self.trace.setting.primitive in OWNED and not self.data:
            return self.parts([each.part for each in held])
        if self.data:
            return ", ".join(
                f"{self.parts([part])} = {' '.join(str(self.number(v, part)) for v in values)}"
                for part, values in _grouped((each.part, each.value) for each in held).items()
            )
        by_value = _grouped((each.value, each.part) for each in held)
        by_part = _grouped((each.part, each.value) for each in held)
        if self.merges or len(by_value) <= len(by_part):
            return "; ".join(
                f"{self.parts(parts)} {self._owners(self.value(value))}"
                for value, parts in by_value.items()
            )
        return "; ".join(
            f"{self.parts([part])} {self._owners(self.cell(part, values))}"
            for part, values in by_part.items()
        )

    def _owners(self, ranks: str) -> str:
        return f"{{{ranks}}}" if self.merges else f"from {ranks}"

    def message(self, message: Message) -> str:
        """Who sends what to whom."""
        return f"{message.source} -> {message.dest}: {self.carried(message.carries)}"

    def messages(self, messages: Sequence[Message]) -> list[str]:
        """The same of several; those of one rank that are alike in one."""
        texts = []
        for source, numbers in _grouped((m.source, i) for i, m in enumerate(messages)).items():
            mine = [messages[number] for number in numbers]
            held = [message.carries for message in mine]
            dests = ranks_in_words(message.dest for message in mine)
            single = all(len(each) == 1 and each[0].value == held[0][0].value for each in held)
            if len(mine) >= MANY and all(each == held[0] for each in held):
                texts.append(f"{source} -> {dests}: {self.carried(held[0])}")
            elif len(mine) >= MANY and single:
                everything = self.carried([each[0] for each in held])
                texts.append(f"{source} -> {dests}: {everything}, one to each")
            else:
                texts += [self.message(message) for message in mine]
        return texts


def heading(trace: Trace) -> str:
    """What was run: the algorithm, p, n, and what else was chosen."""
    setting = trace.setting
    text = f"{trace.title}, p = {setting.p}"
    if setting.primitive != "barrier":
        text += f", n = {format_bytes(setting.n * setting.itemsize)}"
    given = {"root": setting.root, **setting.parameters}
    text += "".join(f", {key} = {told(value)}" for key, value in given.items() if value is not None)
    if setting.eager is not None:
        none = setting.eager < 0
        text += ", all sends wait" if none else f", eager up to {format_bytes(setting.eager)}"
    return text


def told(value: object) -> str:
    """A parameter; the number of a group for each rank as the groups: `0-3 | 4-7`."""
    if not isinstance(value, tuple):
        return str(value)
    groups = _grouped((group, rank) for rank, group in enumerate(value))
    return " | ".join(ranks_in_words(ranks) for ranks in groups.values())


def runs(spans: Sequence[tuple[int, int]], p: int) -> str:
    """Runs of ranks in words; two that go round after the last rank are one."""
    if len(spans) == 2 and spans[0][1] == p and spans[1][0] == 0 and spans[1][1] <= spans[0][0]:
        spans = [(spans[0][0], p + spans[1][1])]
    return ",".join(_run(first, stop, p) for first, stop in spans)


def _run(first: int, stop: int, p: int) -> str:
    return str(first) if stop == first + 1 else f"{first}-{(stop - 1) % p}"


def named(ranks: Sequence[int]) -> str:
    """`rank 3`, `ranks 0-2,5`."""
    return f"rank{'s' * (len(ranks) > 1)} {ranks_in_words(ranks)}"


def ranks_in_words(ranks: Iterable[int]) -> str:
    """Ranks, or blocks, in the order given: `0-3,5`."""
    spans: list[tuple[int, int]] = []
    for rank in ranks:
        if spans and rank == spans[-1][1]:
            spans[-1] = spans[-1][0], rank + 1
        else:
            spans.append((rank, rank + 1))
    return ",".join(str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in spans)


def _spans(parts: Sequence[int], names: Sequence[str]) -> str:
    """Names of parts, those of neighbours as `s0-s3`."""
    spans: list[list[int]] = []
    for place, part in enumerate(parts):
        if place and part == parts[place - 1] + 1:
            spans[-1].append(place)
        else:
            spans.append([place])
    ends = [(names[span[0]], names[span[-1]]) for span in spans]
    return ",".join(one if one == other else f"{one}-{other}" for one, other in ends)


def _grouped(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return groups
