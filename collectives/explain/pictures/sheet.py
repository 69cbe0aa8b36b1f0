"""The pictures of a trace one below the other, with a heading, as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collectives.engines.trace import Trace
from collectives.errors import ArgumentError
from collectives.explain import wrong
from collectives.explain.pictures.canvas import Canvas, drawing, measure
from collectives.explain.pictures.described import description
from collectives.explain.pictures.graph import Graph
from collectives.explain.pictures.holdings import Holdings
from collectives.explain.pictures.spacetime import Spacetime
from collectives.explain.pictures.style import BAD, HEAD, HEIGHT, KINDS, SOFT, TEXT
from collectives.explain.pictures.traffic import Traffic
from collectives.explain.words import Words, heading

DRAWN: Mapping[str, Any] = dict(zip(KINDS, (Spacetime, Holdings, Graph, Traffic), strict=True))

# More is no picture, and takes minutes.
MOST_MESSAGES, MOST_CELLS = 10_000, 2_000_000

GAP = 5.0


def picture(trace: Trace, kinds: Sequence[str], width: float, forms: Sequence[str]) -> list[bytes]:
    """Draw a trace.

    Parameters
    ----------
    trace : Trace
        Of at most 64 ranks.
    kinds : sequence of str
        Of `style.KINDS`, drawn from top to bottom.
    width : float
        Millimetres.
    forms : sequence of str
        Of `svg`, `pdf`, `png`.

    Returns
    -------
    list of bytes
        A file for each of the forms.

    Raises
    ------
    ArgumentError
        There is too much to be seen in a picture.
    """
    _check(trace, kinds)
    words = Words(trace)
    with drawing():
        head = _Heading(trace, width)
        titled = len(kinds) > 1
        above = 5.0 if titled else 0.0
        drawn = [DRAWN[kind](trace, words, width, HEIGHT - head.height) for kind in kinds]
        height = head.height + sum(each.height + above for each in drawn) + GAP * (len(drawn) - 1)
        canvas = Canvas(width, height)
        head.draw(canvas)
        y = head.height
        for letter, each in zip("abcdefgh", drawn, strict=False):
            if titled:
                canvas.text(0, y + 2, f"({letter})", TEXT + 0.5, bold=True)
                canvas.text(5.5, y + 2, each.title, TEXT + 0.5)
            each.draw(canvas, y + above)
            y += each.height + above + GAP
        title = f"{heading(trace)}: {', '.join(each.title.lower() for each in drawn)}"
        told = description(trace, words, kinds)
        return [canvas.file(form, title, told) for form in forms]


def _check(trace: Trace, kinds: Sequence[str]) -> None:
    cells = (trace.beats + 1) * trace.setting.p * len(trace.parts)
    for kind, what, number, most in (
        ("spacetime", "messages", len(trace.messages), MOST_MESSAGES),
        ("grid", "cells in all rounds", cells, MOST_CELLS),
    ):
        if kind in kinds and number > most:
            raise ArgumentError(
                f"{trace.title}: a {kind} picture has at most {most:,} {what}, got {number:,}; "
                "choose fewer ranks or segments"
            )


class _Heading:
    """What is drawn, and where it goes wrong, if it does."""

    def __init__(self, trace: Trace, width: float):
        first, _, rest = heading(trace).partition(", ")
        self.name = first
        self.beside = measure(first, HEAD, True) + 2
        room = width - self.beside
        self.lines = _wrapped(rest, room)
        self.failure = _wrapped(wrong.heading(trace.failure), width) if trace.failure else []
        self.height = 1 + 3.6 * max(len(self.lines), 1) + 3.4 * len(self.failure) + 1.5

    def draw(self, canvas: Canvas) -> None:
        """At the top of a sheet."""
        canvas.text(0, 2.4, self.name, HEAD, bold=True)
        y = 2.4
        for line in self.lines:
            canvas.text(self.beside, y, line, TEXT, SOFT)
            y += 3.6
        y = max(y, 6.0)
        for line in self.failure:
            canvas.text(0, y, line, TEXT, BAD, bold=True)
            y += 3.4


def _wrapped(text: str, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and measure(longer, TEXT, True) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
