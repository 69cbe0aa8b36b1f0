"""Labels that do not lie upon each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor

CELL = 8.0  # millimetres


class Places:
    """The rectangles that are taken, found again by the squares in which they lie."""

    def __init__(self) -> None:
        self._taken: dict[tuple[int, int], list[tuple[float, float, float, float]]] = {}

    def take(self, x: float, y: float, width: float, height: float) -> None:
        """Take a rectangle around a point."""
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        for square in _squares(box):
            self._taken.setdefault(square, []).append(box)

    def free(self, x: float, y: float, width: float, height: float) -> bool:
        """Whether nothing that is taken lies in it."""
        left, top, right, low = (
            x - width / 2,
            y - height / 2,
            x + width / 2,
            y + height / 2,
        )
        return not any(
            left < other[2] and other[0] < right and top < other[3] and other[1] < low
            for square in _squares((left, top, right, low))
            for other in self._taken.get(square, ())
        )

    def first(
        self, points: Iterable[tuple[float, float]], width: float, height: float
    ) -> tuple[float, float] | None:
        """The first point with room around it, which is then taken; None if there is none."""
        for x, y in points:
            if self.free(x, y, width, height):
                self.take(x, y, width, height)
                return x, y
        return None


def _squares(box: tuple[float, float, float, float]) -> Iterator[tuple[int, int]]:
    left, top, right, low = (floor(side / CELL) for side in box)
    for column in range(left, right + 1):
        for row in range(top, low + 1):
            yield column, row
