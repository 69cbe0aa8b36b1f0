"""A sweep as a picture: who is fastest for which ranks and lengths, and how times grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from collectives.explain.pictures.canvas import Canvas, drawing
from collectives.explain.pictures.style import (
    FAINT,
    GRID,
    HEAD,
    INK,
    PALETTE,
    SMALL,
    SOFT,
    TEXT,
    WASH,
    WIDTHS,
    seconds,
)
from collectives.study.prediction import Ranking
from collectives.study.sweeping import winner
from collectives.units import format_bytes

LEFT, ROW, CHART, LINES = 16.0, 6.0, 62.0, 6


def picture(rankings: Sequence[Ranking], forms: Sequence[str]) -> list[bytes]:
    """Draw a sweep: the map of winners, and below it times by ranks, or by lengths.

    Parameters
    ----------
    rankings : sequence of Ranking
        One for each number of ranks and each length.
    forms : sequence of str
        Of ``svg``, ``pdf``, ``png``.
    """
    sheet = _Sheet(rankings)
    width = float(WIDTHS[-1])
    with drawing():
        canvas = Canvas(width, sheet.height)
        sheet.draw(canvas, width)
        words = "; ".join(sheet.words())
        return [canvas.file(form, sheet.title, words) for form in forms]


class _Sheet:
    def __init__(self, rankings: Sequence[Ranking]):
        self.at = {(one.p, one.n): one for one in rankings}
        self.ranks = sorted({one.p for one in rankings})
        self.rows = [[one for one in rankings if one.p == p] for p in self.ranks]
        fastest = [found.algorithm for one in rankings if (found := winner(one))]
        self.names = sorted(set(fastest), key=lambda name: (-fastest.count(name), name))
        self.title = f"{rankings[0].primitive}: the fastest algorithm"
        self.legend = -(-len(self.names) // 4)
        self.map_height = 12 + ROW * len(self.rows) + 4 * self.legend + 8
        self.height = self.map_height + CHART + 14

    def words(self) -> list[str]:
        """The map in words."""
        found = []
        for row in self.rows:
            for one in row:
                fastest = winner(one)
                name = fastest.algorithm if fastest else "none"
                found.append(f"p = {one.p}, n = {format_bytes(one.n)}: {name}")
        return found

    def fill(self, name: str) -> tuple[str, str]:
        """The colour of an algorithm; those that are seldom first share a light one."""
        place = self.names.index(name) if name in self.names else len(PALETTE)
        return PALETTE[place] if place < len(PALETTE) else (WASH, SOFT)

    def draw(self, canvas: Canvas, width: float) -> None:
        canvas.text(0, 2.4, self.title, HEAD, bold=True)
        columns = max(map(len, self.rows))
        step = (width - LEFT) / columns
        for k, one in enumerate(self.rows[0]):
            canvas.text(LEFT + (k + 0.5) * step, 8, _length(one.n), SMALL, SOFT, across="center")
        for y, row in enumerate(self.rows):
            top = 11 + ROW * y
            canvas.text(LEFT - 2, top + ROW / 2, f"p = {row[0].p}", SMALL, SOFT, across="right")
            for x, one in enumerate(row):
                self._cell(canvas, LEFT + x * step, top, step, one)
        self._legend(canvas, 11 + ROW * len(self.rows) + 4, width)
        self._chart(canvas, self.map_height, width)

    def _cell(self, canvas: Canvas, x: float, y: float, width: float, one: Ranking) -> None:
        fastest = winner(one)
        fill, ink = self.fill(fastest.algorithm) if fastest else (WASH, SOFT)
        canvas.box(x, y, width - 0.3, ROW - 0.3, fill)
        number = str(self.names.index(fastest.algorithm) + 1) if fastest else "-"
        canvas.text(x + width / 2, y + ROW / 2, number, SMALL, ink, across="center")

    def _legend(self, canvas: Canvas, y: float, width: float) -> None:
        for k, name in enumerate(self.names):
            x, down = k % 4 * width / 4, y + 4 * (k // 4)
            fill, ink = self.fill(name)
            canvas.box(x, down - 1.6, 3.6, 3.2, fill)
            canvas.text(x + 1.8, down, str(k + 1), SMALL - 0.5, ink, across="center")
            canvas.text(x + 4.6, down, name, SMALL)

    def _chart(self, canvas: Canvas, top: float, width: float) -> None:
        """Times of the algorithms that are first somewhere, and the bound."""
        if len(self.ranks) > 1:
            series = [row[-1] for row in self.rows]
            across, what = (
                [float(one.p) for one in series],
                f"n = {format_bytes(series[0].n)}, by p",
            )
            labels = [str(one.p) for one in series]
        else:
            series = self.rows[0]
            across, what = [float(one.n) for one in series], f"p = {series[0].p}, by n"
            labels = [_length(one.n) for one in series]
        lines = {"bound": [one.bound.seconds for one in series]}
        for name in self.names[:LINES]:
            lines[name] = [_time(one, name) for one in series]
        times = [time for line in lines.values() for time in line if time]
        canvas.text(0, top, f"Predicted time, {what}", TEXT, bold=True)
        if not times:
            return
        place = _scale(across, LEFT, width - 30)
        height = _scale(_decades(times), top + CHART, top + 5)
        for time in _decades(times):
            y = height(time)
            canvas.line([(LEFT, y), (width - 30, y)], GRID)
            canvas.text(LEFT - 2, y, seconds(time), SMALL, SOFT, across="right")
        for x, label in zip(across, labels):
            canvas.text(place(x), top + CHART + 4, label, SMALL, SOFT, across="center")
        self._lines(canvas, lines, across, place, height, width)

    def _lines(
        self,
        canvas: Canvas,
        lines: dict[str, list[float]],
        across: Sequence[float],
        place: Callable[[float], float],
        height: Callable[[float], float],
        width: float,
    ) -> None:
        ends = []
        for name, times in lines.items():
            points = [(place(x), height(time)) for x, time in zip(across, times) if time]
            fill = INK if name == "bound" else self.fill(name)[0]
            if len(points) > 1:
                canvas.line(points, fill, 1.0, dashes=(2, 2) if name == "bound" else ())
            for x, y in points:
                canvas.disc(x, y, 0.7, fill, FAINT, 0.2)
            if points:
                ends.append((points[-1][1], name, fill))
        y = -math.inf
        for wanted, name, _ in sorted(ends):
            y = max(wanted, y + 3.2)
            number = "" if name == "bound" else f"{self.names.index(name) + 1} "
            canvas.text(width - 28, y, f"{number}{name}", SMALL)


def _time(ranking: Ranking, name: str) -> float:
    found = [one.seconds for one in ranking.predictions if one.algorithm == name]
    return (found[0] or 0.0) if found else 0.0


def _length(nbytes: int) -> str:
    return format_bytes(nbytes).replace("iB", "").replace(" ", "")


def _decades(times: Sequence[float]) -> list[float]:
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """Where a number lies between two places, by its logarithm."""
    low, high = math.log(min(values)), math.log(max(values))
    reach = (high - low) or 1.0
    return lambda value: start + (math.log(value) - low) / reach * (end - start)
