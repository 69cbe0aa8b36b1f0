"""The vector cut where a run cut it, and what a rank holds of every part."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from collectives.engines.trace import Cell, Held, Part
from collectives.study.holdings import Ledger, Piece, unpacked


class Values:
    """The histories of a trace, in the order in which they are met."""

    def __init__(self, ledger: Ledger, merges: bool):
        self.ledger, self.merges = ledger, merges
        self.numbers: dict[int, int] = {}
        self.order: list[int] = []
        self._sorted: dict[int, list[tuple[int, int]]] = {}

    def of(self, history: int) -> int:
        number = self.numbers.setdefault(history, len(self.order))
        if number == len(self.order):
            self.order.append(history)
        return number

    @property
    def runs(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The contributions of each: runs of ranks."""
        known = self.ledger.known
        return tuple(
            tuple((first, stop) for _, first, stop in known[history] if first >= 0)
            for history in self.order
        )

    @property
    def spoiled(self) -> tuple[int, ...]:
        """Those that hold what is no contribution to their part."""
        known = self.ledger.known
        return tuple(
            number
            for number, history in enumerate(self.order)
            if any(block or first < 0 for block, first, _ in known[history])
        )

    def foremost(self, histories: Iterable[int]) -> tuple[int, ...]:
        """Without those of which more is there, too: a sum stands for what went into it."""
        several = list(histories)
        if self.merges and len(several) > 1:
            several = [
                one for one in several if not any(self._less(one, other) for other in several)
            ]
        return tuple(sorted(map(self.of, several), key=self._place))

    def _less(self, one: int, other: int) -> bool:
        """Whether one has only contributions of the other, and not all of them."""
        mine, theirs = self._set(one), self._set(other)
        return mine != theirs and all(any(a <= c and d <= b for a, b in theirs) for c, d in mine)

    def _set(self, history: int) -> list[tuple[int, int]]:
        """The ranks in runs that do not meet, in order."""
        if history not in self._sorted:
            runs: list[tuple[int, int]] = []
            for first, stop in sorted((a, b) for _, a, b in self.ledger.known[history]):
                if runs and first <= runs[-1][1]:
                    runs[-1] = runs[-1][0], max(stop, runs[-1][1])
                else:
                    runs.append((first, stop))
            self._sorted[history] = runs
        return self._sorted[history]

    def _place(self, value: int) -> tuple:
        return self.ledger.known[self.order[value]], value


class Parts:
    """The parts of the vector.

    Parameters
    ----------
    cuts : iterable of int
        Bytes of the vector at which something that is held, or carried, begins or ends.
    bounds : sequence of int
        Elements at which blocks begin, and at which the last one ends.
    itemsize : int
    news : bool
        There is no vector, only news, as in a barrier.
    """

    def __init__(self, cuts: Iterable[int], bounds: Sequence[int], itemsize: int, news: bool):
        self.itemsize = itemsize
        whole = 1 if news else bounds[-1]
        inner = {cut // itemsize for cut in cuts}
        self.starts = sorted({0, *[cut for cut in inner if 0 < cut < whole]}) if whole else []
        spans = list(pairwise([*self.starts, whole]))
        blocks = [_block(bounds, *span) for span in spans]
        names = ["news"] if news else _names(spans, blocks, bounds)
        self.all = tuple(
            Part(name, *span, block) for name, span, block in zip(names, spans, blocks, strict=True)
        )

    def within(self, start: int, stop: int) -> range:
        """The parts that lie in these bytes of the vector."""
        first, last = start // self.itemsize, -(-stop // self.itemsize)
        return range(max(bisect_right(self.starts, first) - 1, 0), bisect_left(self.starts, last))

    def held(self, pieces: Iterable[Piece], values: Values) -> tuple[Held, ...]:
        """What pieces hold, in order."""
        return tuple(
            Held(part, values.of(piece.history))
            for piece in unpacked(pieces)
            if piece.history
            for part in self.within(piece.start, piece.start + piece.nbytes)
        )


def cuts_of(pieces: Iterable[Piece]) -> Iterator[int]:
    """Where pieces begin and end in the vector."""
    for piece in unpacked(pieces):
        if piece.history:
            yield piece.start
            yield piece.start + piece.nbytes


class Hand:
    """What one rank holds, while it changes."""

    def __init__(self, parts: Parts, values: Values):
        self.parts, self.values = parts, values
        self.counts: list[Counter[int]] = [Counter() for _ in parts.all]
        self.cells: list[tuple[int, ...]] = [()] * len(parts.all)

    def change(self, lost: Iterable[Piece], gained: Iterable[Piece]) -> tuple[Cell, ...]:
        """Memory holds other pieces in place of these; the cells that change by that."""
        touched: set[int] = set()
        for pieces, sign in ((gained, 1), (lost, -1)):
            for piece in unpacked(pieces):
                if piece.history:
                    there = self.parts.within(piece.start, piece.start + piece.nbytes)
                    touched.update(there)
                    for part in there:
                        self.counts[part][piece.history] += sign
        changed = []
        for part in sorted(touched):
            counts = self.counts[part] = +self.counts[part]  # those that are left
            now = self.values.foremost(counts)
            if now != self.cells[part]:
                self.cells[part] = now
                changed.append(Cell(part, now))
        return tuple(changed)


def _block(bounds: Sequence[int], start: int, stop: int) -> int | None:
    """The block in which a span lies."""
    block = bisect_right(bounds, start) - 1
    return block if block + 1 < len(bounds) and stop <= bounds[block + 1] else None


def _names(
    spans: Sequence[tuple[int, int]], blocks: Sequence[int | None], bounds: Sequence[int]
) -> list[str]:
    """The names of parts: of blocks, of pieces of blocks, or numbers."""
    if len(spans) == 1 and len(bounds) > 2 and blocks[0] is None:
        return ["all"]
    if None in blocks:
        return [f"s{number}" for number in range(len(spans))]
    pieces = Counter(blocks)
    seen: Counter[int | None] = Counter()
    names = []
    for block in blocks:
        names.append(str(block) if pieces[block] == 1 else f"{block}.{seen[block]}")
        seen[block] += 1
    return names
