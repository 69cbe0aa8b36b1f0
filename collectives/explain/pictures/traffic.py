"""Bytes from each rank to each: a square with sources as rows and destinations as columns."""

from __future__ import annotations

from collectives.engines.trace import Trace
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.style import FAINT, PAPER, SMALL, SOFT, shade
from collectives.explain.words import Words
from collectives.units import format_bytes

CELL = 8.0  # millimetres at most
LEFT, HEAD = 10.0, 7.5


class Traffic:
    """The square of a trace."""

    title = "Bytes from each rank to each"

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.trace, self.width = trace, width
        self.sums: dict[tuple[int, int], int] = {}
        for message in trace.messages:
            pair = message.source, message.dest
            self.sums[pair] = self.sums.get(pair, 0) + message.nbytes
        p = trace.setting.p
        self.cell = min(CELL, (min(width, 120) - LEFT) / p)
        self.most = max(self.sums.values(), default=0)
        self.unit, self.size = next(
            (unit, size)
            for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
            if self.most >= 4 * size or size == 1
        )
        self.height = HEAD + p * self.cell + 6.5

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw it, from this height on."""
        p, cell, y = self.trace.setting.p, self.cell, top + HEAD
        canvas.text(LEFT + p * cell / 2, top + 1.5, "to rank", colour=SOFT, across="center")
        middle = y + p * cell / 2
        canvas.text(2, middle, "from rank", colour=SOFT, across="center", turn=90)
        every = next(k for k in (1, 2, 4, 8, 16) if k * cell >= max(measure(str(p - 1)) + 0.6, 2.6))
        for rank in range(0, p, every):
            canvas.text(LEFT + (rank + 0.5) * cell, y - 2, str(rank), across="center")
            canvas.text(LEFT - 1.5, y + (rank + 0.5) * cell, str(rank), across="right")
        pairs = [f"{a} -> {b}: {format_bytes(n)}" for (a, b), n in sorted(self.sums.items())]
        side = p * cell
        canvas.box(LEFT, y, side, side, PAPER, None, name="traffic", title=self.title,
                   words="; ".join(pairs))
        texts = {pair: self._text(nbytes) for pair, nbytes in self.sums.items()}
        fits = max(map(measure, texts.values()), default=0) < cell - 0.5
        for (source, dest), nbytes in self.sums.items():
            fill, ink = shade(nbytes / self.most if self.most else 0)
            x0, y0 = LEFT + dest * cell, y + source * cell
            canvas.box(x0, y0, cell, cell, fill, PAPER, 0.3 if cell > 1.5 else 0.1, z=1.5)
            if fits:
                text = texts[source, dest]
                canvas.text(x0 + cell / 2, y0 + cell / 2, text, SMALL, ink, across="center")
        for rank in range(p):
            canvas.shape(_diagonal(LEFT + rank * cell, y + rank * cell, cell), FAINT, z=1)
        canvas.box(LEFT, y, side, side, None, FAINT, 0.5, z=2)
        self._key(canvas, y + side + 4)

    def _text(self, nbytes: int) -> str:
        return f"{nbytes / self.size:.3g}" if nbytes else "0"

    def _key(self, canvas: Canvas, y: float) -> None:
        x = LEFT
        for share in (0, 0.25, 0.5, 0.75, 1):
            canvas.box(x, y - 1.3, 5, 2.6, shade(share)[0], FAINT, 0.3)
            x += 5
        total = sum(self.sums.values())
        canvas.text(LEFT - 1.2, y, "0", colour=SOFT, across="right")
        text = f"{self._text(self.most)} {self.unit};  in all {format_bytes(total)}"
        canvas.text(x + 1.2, y, text, colour=SOFT)


def _diagonal(x: float, y: float, size: float) -> list[tuple[float, float]]:
    """A small diamond in the middle of a cell: a rank sends nothing to itself."""
    r = min(0.18 * size, 0.5)
    cx, cy = x + size / 2, y + size / 2
    return [(cx - r, cy), (cx, cy - r), (cx + r, cy), (cx, cy + r)]
