"""Colours and sizes, and which colour and label a message has.

The colours are those of the page for browsers. They stay apart for colour-blind eyes, and never
stand alone: what has a colour has a label, or a place, that says the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from collectives.engines.trace import Message, Trace
from collectives.explain.words import Words, ranks_in_words
from collectives.units import seconds as seconds_in_ascii

KINDS = ("spacetime", "grid", "graph", "traffic")
FORMS = ("svg", "pdf", "png")

# Print widths in millimetres: one column of a journal, and the whole page.
WIDTHS = (84, 174)

# Nothing is higher than this: a page without margins and caption, in millimetres.
HEIGHT = 225

# Sizes of text in points: the smallest, the usual, and headings.
SMALL, TEXT, HEAD = 6.0, 6.5, 8.0

INK, SOFT, FAINT, GRID = "#16202a", "#46525e", "#aab2bb", "#e3e6ea"
PAPER, WASH, BAD, NEW = "#ffffff", "#f1f2f4", "#a4161a", "#d55e00"

# A fill, and the ink that can be read on it.
PALETTE = (
    *(("#0072b2", "#ffffff"), ("#e69f00", "#000000"), ("#009e73", "#000000")),
    *(("#cc79a7", "#000000"), ("#56b4e9", "#000000"), ("#d55e00", "#000000")),
    *(("#f0e442", "#000000"), ("#555555", "#ffffff"), ("#7b3f98", "#ffffff")),
    *(("#9ccb5f", "#000000"), ("#8c4a1f", "#ffffff"), ("#17717e", "#ffffff")),
    *(("#f2a6b5", "#000000"), ("#b9b9b9", "#000000"), ("#2b4a8f", "#ffffff")),
    ("#cdb67f", "#000000"),
)

# Of more things than the palette has colours, neighbours look alike: dark to light.
DARK, MIDDLE, LIGHT = (68, 1, 84), (33, 145, 140), (220, 227, 25)

# Labels of messages take at most so many characters.
SHORT = 6


def colour(number: int, total: int) -> tuple[str, str]:
    """The fill and the ink of one of so many things."""
    if total <= len(PALETTE):
        return PALETTE[number]
    share = number / (total - 1)
    fill = mixed(DARK, MIDDLE, 2 * share) if share < 0.5 else mixed(MIDDLE, LIGHT, 2 * share - 1)
    return fill, "#ffffff" if share < 0.55 else "#000000"


def seconds(time: float) -> str:
    """A time as print has it: 12.5 µs."""
    return seconds_in_ascii(time).replace(" us", " \N{MICRO SIGN}s")


def mixed(one: Sequence[int], other: Sequence[int], share: float) -> str:
    """A colour between two."""
    mean = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mean)


def shade(share: float) -> tuple[str, str]:
    """White for nothing, dark blue for all, and the ink on it."""
    if share <= 0:
        return PAPER, SOFT
    fill = mixed((228, 240, 249), (0, 84, 140), share)
    return fill, "#ffffff" if share > 0.5 else "#000000"


class Look:
    """Which colour and label the messages of a trace have.

    A message has the colour of the first block that it carries; where the vector is not cut, of
    the first rank whose contribution is in it. Where that is always the same, all are dark.

    Parameters
    ----------
    trace : Trace
    words : Words

    Attributes
    ----------
    by : str
        What the colours stand for: `block`, `piece`, `rank`, or nothing.
    total : int
        How many there are.
    """

    def __init__(self, trace: Trace, words: Words):
        self.trace, self.words = trace, words
        cut = len(trace.parts) > 1
        blocks = all(part.name.isdigit() for part in trace.parts)
        self.by = ("block" if blocks else "piece") if cut else "rank"
        self.total = len(trace.parts) if cut else trace.setting.p
        seen = {self._number(message) for message in trace.messages}
        if trace.setting.primitive == "barrier" or len(seen) < 2:
            self.by = ""

    @property
    def meaning(self) -> str:
        """What the colours stand for."""
        if self.by == "rank":
            return "first rank in the sum" if self.words.merges else "whose data"
        several = any(len({h.part for h in m.carries}) > 1 for m in self.trace.messages)
        return f"first {self.by}" if several else self.by

    @property
    def every_name(self) -> list[str]:
        """The names of all blocks, pieces or ranks that have a colour."""
        return [
            str(number) if self.by == "rank" else self.names([number])
            for number in range(self.total)
        ]

    def _number(self, message: Message) -> int:
        if not message.carries:
            return 0
        first = message.carries[0]
        if len(self.trace.parts) > 1:
            return first.part
        return min(self.trace.contributions(first.value)[:1], default=0)

    def fill(self, message: Message) -> tuple[str, str]:
        """The colour of a message, and the ink on it."""
        return self.of(self._number(message)) if self.by else (INK, "#ffffff")

    def of(self, number: int) -> tuple[str, str]:
        """The colour of one block, piece or rank."""
        return colour(number, self.total)

    def label(self, message: Message) -> str:
        """What a message carries, in a few characters."""
        parts = list(dict.fromkeys(held.part for held in message.carries))
        if not parts or self.trace.setting.primitive == "barrier":
            return ""
        if len(self.trace.parts) == 1:
            if not self.words.merges:
                return ""
            value = message.carries[0].value
            text = self.words.value(value)
            many = len(self.trace.contributions(value))
            return "\N{GREEK CAPITAL LETTER SIGMA}" + (
                text if len(text) <= SHORT else f"{many}\N{MULTIPLICATION SIGN}"
            )
        text = self.names(parts)
        return text if len(text) <= SHORT else f"{len(parts)}\N{MULTIPLICATION SIGN}"

    def names(self, parts: Sequence[int]) -> str:
        """Parts by name, neighbours as a run."""
        if self.by == "block" or all(self.trace.parts[part].name.isdigit() for part in parts):
            return ranks_in_words(parts)
        return self.words.parts(parts).partition(" ")[2]
