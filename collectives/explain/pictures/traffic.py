"""Bytes from each rank to each: a square with sources as rows and destinations as columns."""

from __future__ import annotations

from collectives.engines.trace import Trace
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.style import FAINT, PAPER, SMALL, SOFT, shade
from collectives.explain.words import Words
from collectives.units import format_bytes

CELL = 7.5  # millimetres at most
LEFT, HEAD = 10.0, 7.5
SUMS = 9.0  # beside and below the square
UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))


class Traffic:
    """The square of a trace; of messages if none of them has a byte."""

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.p, self.width = trace.setting.p, width
        self.empty = not any(message.nbytes for message in trace.messages)
        self.title = f"{'Messages' if self.empty else 'Bytes'} from each rank to each"
        self.sums: dict[tuple[int, int], int] = {}
        for message in trace.messages:
            pair = message.source, message.dest
            self.sums[pair] = self.sums.get(pair, 0) + (1 if self.empty else message.nbytes)
        self.cell = min(CELL, (min(width, 130) - LEFT - SUMS) / self.p)
        self.side = self.p * self.cell
        self.left = LEFT + (width - LEFT - self.side - SUMS) / 2
        self.most = max(self.sums.values(), default=0)
        units = (("", 1),) if self.empty else UNITS
        self.unit, self.size = next(u for u in units if self.most >= 4 * u[1] or u[1] == 1)
        self.height = HEAD + self.side + 10

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw it, from this height on."""
        p, cell, left, y = self.p, self.cell, self.left, top + HEAD
        middle = self.side / 2
        canvas.text(left + middle, top + 1.5, "to rank", colour=SOFT, across="center")
        canvas.text(left - 7, y + middle, "from rank", colour=SOFT, across="center", turn=90)
        apart = max(measure(str(p - 1)) + 0.6, 2.6)
        every = next(k for k in (1, 2, 4, 8, 16, 32, 64) if k * cell >= apart)
        for rank in range(0, p, every):
            canvas.text(left + (rank + 0.5) * cell, y - 2, str(rank), across="center", bold=True)
            canvas.text(left - 1.5, y + (rank + 0.5) * cell, str(rank), across="right", bold=True)
        self._square(canvas, left, y)
        self._totals(canvas, y)
        self._key(canvas, y + self.side + 7.5)

    def _square(self, canvas: Canvas, left: float, y: float) -> None:
        cell = self.cell
        told = [f"{a} -> {b}: {self._exact(n)}" for (a, b), n in sorted(self.sums.items())]
        side, words = self.side, "; ".join(told)
        canvas.box(left, y, side, side, PAPER, name="traffic", title=self.title, words=words)
        texts = {pair: self._text(number) for pair, number in self.sums.items()}
        fits = max(map(measure, texts.values()), default=0) < cell - 0.5
        for (source, dest), number in self.sums.items():
            fill, ink = shade(number / self.most if self.most else 0)
            x0, y0 = left + dest * cell, y + source * cell
            canvas.box(x0, y0, cell, cell, fill, PAPER, 0.3 if cell > 1.5 else 0.1, z=1.5)
            if fits:
                text = texts[source, dest]
                canvas.text(x0 + cell / 2, y0 + cell / 2, text, SMALL, ink, across="center")
        for rank in range(self.p):
            canvas.shape(_diagonal(left + rank * cell, y + rank * cell, cell), FAINT, z=1)
        canvas.box(left, y, self.side, self.side, None, FAINT, 0.5, z=2)

    def _totals(self, canvas: Canvas, y: float) -> None:
        """What each rank sends and receives, beside and below the square, if there is room."""
        sent, received = [0] * self.p, [0] * self.p
        for (source, dest), number in self.sums.items():
            sent[source] += number
            received[dest] += number
        texts = [self._text(number) for number in (*sent, *received)]
        if max(map(measure, texts)) > self.cell - 0.3 or self.cell < 2.6:
            return
        right, low = self.left + self.side, y + self.side
        canvas.text(right + 1.2, y - 2, "sent", colour=SOFT)
        canvas.text(self.left - 1.5, low + 2, "received", colour=SOFT, across="right")
        for rank in range(self.p):
            at = (rank + 0.5) * self.cell
            canvas.text(right + 1.2, y + at, self._text(sent[rank]), colour=SOFT)
            canvas.text(
                self.left + at, low + 2, self._text(received[rank]), colour=SOFT, across="center"
            )

    def _text(self, number: int) -> str:
        return f"{number / self.size:.3g}" if number else "0"

    def _exact(self, number: int) -> str:
        if self.empty:
            return f"{number} message{'s' * (number > 1)}"
        return format_bytes(number)

    def _key(self, canvas: Canvas, y: float) -> None:
        x = self.left
        for share in (0, 0.25, 0.5, 0.75, 1):
            canvas.box(x, y - 1.3, 4, 2.6, shade(share)[0], FAINT, 0.3)
            x += 4
        canvas.text(self.left - 1.2, y, "0", colour=SOFT, across="right")
        total = self._exact(sum(self.sums.values()))
        text = f"{self._text(self.most)} {self.unit}".strip() + f";  {total} in all"
        canvas.text(x + 1.2, y, text, colour=SOFT)


def _diagonal(x: float, y: float, size: float) -> list[tuple[float, float]]:
    """A small diamond in the middle of a cell: a rank sends nothing to itself."""
    r = min(0.18 * size, 0.5)
    cx, cy = x + size / 2, y + size / 2
    return [(cx - r, cy), (cx, cy - r), (cx + r, cy), (cx, cy + r)]
