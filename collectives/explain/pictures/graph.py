"""Who talks to whom, phase by phase, with the beats beside the links.

Width of a link grows with its bytes. Two ranks that send to each other have one link with two heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot

from collectives.engines.trace import Message, Trace
from collectives.explain.moments import in_lock_step
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.layouts import CUBE, LINE, RING, fitting, places
from collectives.explain.pictures.phases import FEW, Phase, phases
from collectives.explain.pictures.placing import Places
from collectives.explain.pictures.style import BAD, FAINT, INK, PAPER, SMALL, SOFT, TEXT
from collectives.explain.words import Words, ranks_in_words
from collectives.units import format_bytes

TITLE = 5.0  # millimetres above a panel
GAP = 4.0
RADIUS = 2.1  # of a rank, if there is room


@dataclass(frozen=True)
class Panel:
    """One phase: its title, its layout and its size in millimetres."""

    phase: Phase
    title: str
    layout: str
    width: float
    height: float


class Graph:
    """The panels of all phases."""

    title = "Who talks to whom"

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.trace, self.width = trace, width
        self.unit = "round" if in_lock_step(trace) else "beat"
        self.most = max((message.nbytes for message in trace.messages), default=0)
        self.panels = [self._panel(phase) for phase in self._shown()]
        self.lines = list(self._lines())
        self.height = sum(_high(line) + TITLE + GAP for line in self.lines) + 1.0

    def _shown(self) -> Iterator[Phase]:
        """Phases; one whose beats all differ, and that has no simple form, beat by beat."""
        for phase in phases(self.trace):
            layout = fitting(self.trace.setting.p, phase.links())
            split = list(phase.by_beat())
            differ = len({frozenset(each.links()) for each in split}) == len(split)
            if layout == RING and 1 < len(split) <= FEW and differ and self.trace.setting.p > 4:
                yield from split
            else:
                yield phase

    def _panel(self, phase: Phase) -> Panel:
        p = self.trace.setting.p
        layout = fitting(p, phase.links())
        narrow = self.width < 100
        if layout in (RING, CUBE):
            size = max(4.2 * p / 3.14 + 4, 32) if layout == RING else {4: 26, 8: 38, 16: 54}[p]
            size = min(size, 80 if narrow else 84)
            wide, high = size, size if p > 1 else 8
        elif layout == LINE:
            wide, high = min(max(p * 9.0, 40), self.width), 10.0
        else:
            points = places(layout, p, phase.links())
            leaves = len({x for x, _ in points})
            levels = len({y for _, y in points})
            wide, high = min(max(leaves * 6.0, 36), self.width), (levels - 1) * 9.5 + 5
        place = phase.place
        many = "s" * (len(phase.beats) > 1)
        title = f"{self.unit}{many} {phase.span} (line {place.line})"
        return Panel(phase, title.capitalize(), layout, wide, high)

    def _lines(self) -> Iterator[list[Panel]]:
        line: list[Panel] = []
        for panel in self.panels:
            wide = sum(_wide(each) + GAP for each in line) + _wide(panel)
            if line and wide > self.width:
                yield line
                line = []
            line.append(panel)
        if line:
            yield line

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw them, from this height on."""
        if not self.panels:
            canvas.text(0, top + 3, "(nobody sends a message)", TEXT, SOFT)
        y = top
        number = 0
        for line in self.lines:
            x = 0.0
            for panel in line:
                _Drawn(self, canvas, panel, x, y + TITLE, number).draw()
                x += _wide(panel) + GAP
                number += 1
            y += _high(line) + TITLE + GAP


def _wide(panel: Panel) -> float:
    return max(panel.width, measure(panel.title, TEXT, True))


def _high(line: list[Panel]) -> float:
    return max(panel.height for panel in line)


class _Drawn:
    """One panel on a canvas."""

    def __init__(self, graph: Graph, canvas: Canvas, panel: Panel, x: float, y: float, number: int):
        self.graph, self.canvas, self.panel, self.number = graph, canvas, panel, number
        self.x, self.y = x, y
        p = graph.trace.setting.p
        self.links = panel.phase.links()
        shares = places(panel.layout, p, self.links)
        edge = RADIUS + 0.4
        self.points = [
            (x + edge + a * (panel.width - 2 * edge), y + edge + b * (panel.height - 2 * edge))
            for a, b in shares
        ]
        gaps = [
            hypot(a[0] - b[0], a[1] - b[1])
            for k, a in enumerate(self.points)
            for b in self.points[:k]
        ]
        self.radius = min(RADIUS, 0.42 * min(gaps, default=9.0))
        self.taken = Places()

    def draw(self) -> None:
        panel, canvas = self.panel, self.canvas
        canvas.text(self.x, self.y - 2.4, panel.title, TEXT, bold=True)
        busy = {rank for link in self.links for rank in link}
        for x, y in self.points:
            self.taken.take(x, y, 2 * self.radius, 2 * self.radius)
        canvas.box(
            self.x,
            self.y,
            panel.width,
            panel.height,
            None,
            name=f"phase-{self.number}",
            title=panel.title,
            words="; ".join(self._told(*link, found) for link, found in self.links.items()),
        )
        for (source, dest), found in self.links.items():
            both = (dest, source) in self.links
            if not (both and dest < source):
                self._link(source, dest, found, self.links.get((dest, source), []))
        for rank, (x, y) in enumerate(self.points):
            self._rank(rank, x, y, rank in busy)

    def _told(self, source: int, dest: int, found: list[Message]) -> str:
        beats = ranks_in_words(sorted({message.beat for message in found}))
        many = f"{len(found)} message{'s' * (len(found) > 1)}"
        return (
            f"{source} -> {dest}: {many}, {format_bytes(sum(m.nbytes for m in found))}, "
            f"{self.graph.unit} {beats}"
        )

    def _link(self, source: int, dest: int, there: list[Message], back: list[Message]) -> None:
        (x1, y1), (x2, y2) = self.points[source], self.points[dest]
        far = hypot(x2 - x1, y2 - y1) or 1.0
        ux, uy = (x2 - x1) / far, (y2 - y1) / far
        lost = any(message.taken is None for message in there + back)
        most = max(message.nbytes for message in there + back)
        width = 0.6 + 1.2 * (most / self.graph.most if self.graph.most else 0)
        crowded = len(self.links) > 6 * len(self.points)
        width = 0.35 if crowded else width
        size = 0.8 if crowded else min(0.9 + width / 2, 0.7 * self.radius + 0.5)
        colour = BAD if lost else SOFT if crowded else INK
        start, end = self.radius + (size if back else 0), far - self.radius - size
        ends = [(x1 + ux * start, y1 + uy * start), (x1 + ux * end, y1 + uy * end)]
        self.canvas.line(ends, colour, width, dashes=(2, 1.5) if lost else (), z=1)
        heads = [((x2, y2), (ux, uy))] + ([((x1, y1), (-ux, -uy))] if back else [])
        for (x, y), (dx, dy) in heads:
            tip = (x - dx * self.radius, y - dy * self.radius)
            foot = (tip[0] - dx * size * 1.5, tip[1] - dy * size * 1.5)
            side = (-dy * size * 0.6, dx * size * 0.6)
            self.canvas.shape(
                [tip, (foot[0] + side[0], foot[1] + side[1]), (foot[0] - side[0], foot[1] - side[1])],
                colour,
                z=2,
            )
        self._beats(there + back, (x1, y1), (x2, y2))

    def _beats(self, found: list[Message], one: tuple, other: tuple) -> None:
        beats = sorted({message.beat for message in found})
        if len(beats) == len(self.panel.phase.beats):
            return  # the title says it
        text = ranks_in_words(beats)
        width = measure(text, SMALL) + 0.6
        points = [
            (one[0] + f * (other[0] - one[0]), one[1] + f * (other[1] - one[1]))
            for f in (0.5, 0.42, 0.58, 0.34, 0.66)
        ]
        place = self.taken.first(points, width, 2.4)
        if place is None:
            return
        self.canvas.box(place[0] - width / 2, place[1] - 1.2, width, 2.4, PAPER, None, z=2.5)
        self.canvas.text(*place, text, SMALL, INK, across="center")

    def _rank(self, rank: int, x: float, y: float, busy: bool) -> None:
        text = str(rank)
        edge, ink = (INK, INK) if busy else (FAINT, SOFT)
        inside = measure(text, SMALL, True) < 2 * self.radius - 0.4
        if inside:
            self.canvas.disc(x, y, self.radius, PAPER, edge, 0.8, z=3)
            self.canvas.text(x, y, text, SMALL, ink, across="center", bold=busy)
            return
        self.canvas.disc(x, y, max(0.6 * self.radius, 0.5), edge, None, z=3)
        middle = self.x + self.panel.width / 2, self.y + self.panel.height / 2
        away = 1 + 2.2 / (hypot(x - middle[0], y - middle[1]) or 1)
        self.canvas.text(
            middle[0] + (x - middle[0]) * away,
            middle[1] + (y - middle[1]) * away,
            text,
            SMALL,
            ink,
            across="center",
            halo=True,
        )
