"""Who talks to whom, phase by phase, with the beats beside the links.

A link is wider for more bytes. Two ranks that send to each other have one link with two heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import pi

from collectives.engines.trace import Trace
from collectives.explain.moments import in_lock_step
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.layouts import CUBE, LINE, RING, fitting, parents, places
from collectives.explain.pictures.network import RADIUS, Network
from collectives.explain.pictures.phases import Phase, phases
from collectives.explain.pictures.style import SMALL, SOFT, TEXT
from collectives.explain.source import line_at
from collectives.explain.words import Words

TITLE = 8.0  # millimetres above a panel
GAP = 6.0
ROOM = 8.2  # from rank to rank on a ring
RINGS = (90.0, 70.0, 54.0, 39.0, 30.0)  # how wide at most, until all fits on a page
FEW = 6  # panels in place of one, at most

CUBES = {4: (26.0, 26.0), 8: (42.0, 38.0), 16: (82.0, 48.0)}


@dataclass(frozen=True)
class Panel:
    """One phase: its title, the line that sends, its layout and its size in millimetres."""

    phase: Phase
    title: str
    code: str
    layout: str
    width: float
    height: float

    @property
    def least(self) -> float:
        """The width that it needs with its title."""
        return max(self.width, measure(self.title, TEXT, True))


class Graph:
    """The panels of all phases."""

    title = "Who talks to whom"

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.trace, self.words, self.width = trace, words, width
        self.p = trace.setting.p
        self.unit = "round" if in_lock_step(trace) else "beat"
        for self.widest in RINGS:
            self.panels = [panel for phase in phases(trace) for panel in self._of(phase)]
            self.lines = self._lines()
            heights = [max(panel.height for panel in line) + TITLE for line in self.lines]
            self.height = sum(heights) + GAP * (len(heights) - 1) + 1 if heights else 5.0
            if self.height <= limit:
                break

    def _of(self, phase: Phase) -> Iterator[Panel]:
        """A phase; one that has no simple form by the parts that it sends, or beat by beat."""
        layout = fitting(self.p, phase.links())
        if layout != RING:
            yield self._panel(phase, layout)
            return
        links = phase.links()
        trees = phase.by_parts()
        if _branches(links) and 1 < len(trees) <= FEW and all(map(self._is_tree, trees)):
            for tree in trees:
                yield self._panel(tree, fitting(self.p, tree.links()))
            return
        beats = phase.by_beat()
        differ = len({frozenset(each.links()) for each in beats}) == len(beats)
        many = len({(min(link), max(link)) for link in links}) > 2 * self.p
        split = 1 < len(beats) <= FEW and differ and many
        for each in beats if split else [phase]:
            yield self._panel(each, RING)

    def _is_tree(self, phase: Phase) -> bool:
        return parents(self.p, phase.links()) is not None

    def _panel(self, phase: Phase, layout: str) -> Panel:
        wide, high = self._size(phase, layout)
        many = "s" * (len(phase.beats) > 1)
        title = f"{self.unit.title()}{many} {phase.span}"
        if phase.parts:
            title += f", {self.words.parts(phase.parts)}"
        code = f"{phase.place.line}  {line_at(self.trace, phase.place)}"
        return Panel(phase, title, code, layout, wide, high)

    def _size(self, phase: Phase, layout: str) -> tuple[float, float]:
        if layout == RING:
            size = min(max(ROOM * self.p / pi + 2 * RADIUS, 30), self.width, self.widest)
            return (size, size) if self.p > 1 else (30.0, 6.0)
        if layout == CUBE:
            wide, high = CUBES[self.p]
            return min(wide, self.width), high
        if layout == LINE:
            return min(max(self.p * 10.0, 30), self.width), 6.0
        points = places(layout, self.p, phase.links())
        leaves, levels = len({x for x, _ in points}), len({y for _, y in points})
        return min(max(leaves * 5.4, 30), self.width), (levels - 1) * 11.0 + 5

    def _lines(self) -> list[list[Panel]]:
        """As few lines as can be, with about as many panels in each."""
        panels = self.panels
        for count in range(1, len(panels) + 1):
            size = -(-len(panels) // count)
            lines = [panels[start : start + size] for start in range(0, len(panels), size)]
            wide = max(sum(panel.least + GAP for panel in line) - GAP for line in lines)
            if wide <= self.width or size == 1:
                return lines
        return []

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw them, from this height on: each in the middle of its share of the width."""
        if not self.panels:
            canvas.text(0, top + 3, "(nobody sends a message)", TEXT, colour=SOFT)
        y, number = top, 0
        for line in self.lines:
            spare = (self.width - sum(panel.least for panel in line)) / len(line)
            left = 0.0
            for panel in line:
                room = panel.least + spare
                self._draw(canvas, panel, left, y, room, number)
                left += room
                number += 1
            y += max(panel.height for panel in line) + TITLE + GAP

    def _draw(
        self, canvas: Canvas, panel: Panel, left: float, y: float, room: float, number: int
    ) -> None:
        middle = left + room / 2
        canvas.text(middle, y + 2, panel.title, TEXT, across="center", bold=True)
        code = _cut(panel.code, room - 3)
        canvas.text(middle, y + 5, code, SMALL, SOFT, across="center")
        x = left + (room - panel.width) / 2
        name = f"phase-{number}"
        box = x, y + TITLE, panel.width, panel.height
        Network(self.trace, panel.phase, panel.layout, self.unit).draw(
            canvas, box, name, f"{panel.title}, line {panel.code}"
        )


def _branches(links: Collection[tuple[int, int]]) -> bool:
    """Whether some rank talks to more than two others: no ring."""
    peers: dict[int, set[int]] = {}
    for one, other in links:
        peers.setdefault(one, set()).add(other)
        peers.setdefault(other, set()).add(one)
    return any(len(near) > 2 for near in peers.values())


def _cut(text: str, width: float) -> str:
    """A text, or its beginning."""
    if measure(text) <= width:
        return text
    while text and measure(text + "...") > width:
        text = text[:-1]
    return text + "..."
