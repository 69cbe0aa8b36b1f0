"""One panel of the graph: ranks in their places, and the links between them."""

from __future__ import annotations

from math import hypot

from collectives.engines.trace import Message, Trace
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.layouts import RING, places
from collectives.explain.pictures.phases import Phase
from collectives.explain.pictures.placing import Places
from collectives.explain.pictures.style import BAD, FAINT, INK, PAPER, SMALL, SOFT
from collectives.explain.words import ranks_in_words
from collectives.units import format_bytes

RADIUS = 2.1  # of a rank in millimetres, if there is room
LONG = 15.0  # links of at least this length carry their beats on the line

Point = tuple[float, float]


class Network:
    """A phase on a layout."""

    def __init__(self, trace: Trace, phase: Phase, layout: str, unit: str):
        self.phase, self.layout, self.unit = phase, layout, unit
        self.p = trace.setting.p
        self.links = phase.links()
        self.most = max((message.nbytes for message in trace.messages), default=0)
        # Of very many links only that they are there can be seen.
        self.crowded = len({(min(a), max(a)) for a in self.links}) > 3 * self.p
        self.points: list[Point] = []
        self.radius = RADIUS
        self.taken = Places()

    def draw(
        self, canvas: Canvas, box: tuple[float, float, float, float], name: str, title: str
    ) -> None:
        """Draw it into a box of x, y, width and height."""
        self._place(box)
        words = "; ".join(self._told(*link, found) for link, found in self.links.items())
        canvas.box(*box, None, name=name, title=title, words=words)
        for (source, dest), there in self.links.items():
            back = self.links.get((dest, source), [])
            if not (back and dest < source):
                self._link(canvas, source, dest, there, back)
        busy = {rank for link in self.links for rank in link}
        middle = box[0] + box[2] / 2, box[1] + box[3] / 2
        for rank in range(self.p):
            self._rank(canvas, rank, rank in busy, middle)

    def _place(self, box: tuple[float, float, float, float]) -> None:
        x, y, wide, high = box
        shares = places(self.layout, self.p, self.links)
        edge = RADIUS + 0.2
        self.points = [
            (x + edge + a * (wide - 2 * edge), y + edge + b * (high - 2 * edge)) for a, b in shares
        ]
        gap = min(
            (
                hypot(a[0] - b[0], a[1] - b[1])
                for k, a in enumerate(self.points)
                for b in self.points[:k]
            ),
            default=9.0,
        )
        inside = measure(str(self.p - 1), SMALL, True) / 2 + 0.25
        small = 0.28 * gap if self.layout == RING else 0.42 * gap
        self.radius = min(RADIUS, max(small, inside) if gap > 2.3 * inside else small)
        for px, py in self.points:
            self.taken.take(px, py, 2 * self.radius, 2 * self.radius)

    def _told(self, source: int, dest: int, found: list[Message]) -> str:
        beats = ranks_in_words(sorted({message.beat for message in found}))
        many = f"{len(found)} message{'s' * (len(found) > 1)}"
        total = format_bytes(sum(message.nbytes for message in found))
        return f"{source} -> {dest}: {many}, {total}, {self.unit} {beats}"

    def _link(
        self, canvas: Canvas, source: int, dest: int, there: list[Message], back: list[Message]
    ) -> None:
        one, other = self.points[source], self.points[dest]
        found = there + back
        far = hypot(other[0] - one[0], other[1] - one[1]) or 1.0
        along = (other[0] - one[0]) / far, (other[1] - one[1]) / far
        lost = any(message.taken is None for message in found)
        share = max(message.nbytes for message in found) / self.most if self.most else 0.4
        width = 0.3 if self.crowded else 0.5 + 0.8 * share
        size = 0.9 if self.crowded else 1.5 + 0.4 * share
        size = min(size, 0.45 * (far - 2 * self.radius))
        colour = BAD if lost else SOFT if self.crowded else INK
        heads = not (self.crowded and back)
        start = self.radius + (size * 0.9 if back and heads else 0)
        end = far - self.radius - (size * 0.9 if heads else 0)
        ends = [(one[0] + along[0] * at, one[1] + along[1] * at) for at in (start, end)]
        canvas.line(ends, colour, width, dashes=(2, 1.5) if lost else (), z=1)
        if heads:
            _head(canvas, other, along, self.radius, size, colour)
            if back:
                _head(canvas, one, (-along[0], -along[1]), self.radius, size, colour)
        beats = sorted({message.beat for message in found})
        if len(beats) < len(self.phase.beats) and not self.crowded:
            self._beats(canvas, ranks_in_words(beats), one, along, far)

    def _beats(self, canvas: Canvas, text: str, one: Point, along: Point, far: float) -> None:
        """The beats of a link: on a long line, or beside a short one."""
        width = measure(text) + 0.6
        on = far >= LONG
        aside = 0.0 if on else abs(along[1]) * width / 2 + abs(along[0]) * 1.2 + 0.4
        sides = ((aside, 1), (aside, -1)) if aside else ((0.0, 1),)
        points = [
            (
                one[0] + along[0] * share * far - along[1] * side * sign,
                one[1] + along[1] * share * far + along[0] * side * sign,
            )
            for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
            for side, sign in sides
        ]
        place = self.taken.first(points, width, 2.3)
        if place is None:
            return
        if on:
            canvas.box(place[0] - width / 2, place[1] - 1.2, width, 2.4, PAPER, None, z=2.5)
        canvas.text(*place, text, SMALL, INK, across="center")

    def _rank(self, canvas: Canvas, rank: int, busy: bool, middle: Point) -> None:
        x, y = self.points[rank]
        text = str(rank)
        edge, ink = (INK, INK) if busy else (FAINT, SOFT)
        if measure(str(self.p - 1), SMALL, True) < 2 * self.radius - 0.3:
            canvas.disc(x, y, self.radius, PAPER, edge, 0.7, z=3)
            canvas.text(x, y, text, SMALL, ink, across="center", bold=busy)
            return
        canvas.disc(x, y, max(0.6 * self.radius, 0.5), edge, None, z=3)
        away = hypot(x - middle[0], y - middle[1]) or 1.0
        if self.layout == RING:
            x, y = x + 2.4 * (x - middle[0]) / away, y + 2.4 * (y - middle[1]) / away
        else:
            y -= 2.0
        canvas.text(x, y, text, SMALL, ink, across="center", halo=True)


def _head(
    canvas: Canvas, tip: Point, along: Point, radius: float, size: float, colour: str
) -> None:
    """The head of an arrow that ends at the rim of a rank."""
    x, y = tip[0] - along[0] * radius, tip[1] - along[1] * radius
    foot = x - along[0] * size, y - along[1] * size
    side = -along[1] * size * 0.36, along[0] * size * 0.36
    canvas.shape(
        [(x, y), (foot[0] + side[0], foot[1] + side[1]), (foot[0] - side[0], foot[1] - side[1])],
        colour,
        z=2,
    )
