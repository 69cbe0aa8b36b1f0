"""The grid of holdings: what every rank holds, a small grid for each round.

A row is a rank and a column a part of the vector; if the vector is not cut, one grid has the
rounds as rows and the ranks as columns. A cell says in words what is held, or only how many
contributed, or only shows it by its shade: whatever leaves all rounds readable. A corner marks
what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from collectives.engines.trace import Trace
from collectives.explain.moments import in_lock_step
from collectives.explain.pictures.canvas import Canvas, Outline, measure
from collectives.explain.pictures.style import BAD, FAINT, NEW, PAPER, SMALL, SOFT, TEXT, shade
from collectives.explain.words import OWNED, Words, ranks_in_words

WORDS, COUNTS, SHADES = "words", "counts", "shades"

GAP = 4.0  # millimetres between grids
TITLE = 3.6  # above a grid
LEAST = 0.9  # a cell
HIGH = 2.9  # a cell with text
KEY = 10.0  # below all grids


@dataclass(frozen=True)
class Plan:
    """How the grids are laid out: what cells say, their size, grids in a row, the beats shown."""

    level: str
    across: float
    down: float
    columns: int
    beats: tuple[int, ...]


class Holdings:
    """The grids of a trace, so many millimetres wide, and not much higher than `limit`."""

    title = "What each rank holds"

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.trace, self.words, self.width = trace, words, width
        self.limit = limit - KEY
        self.states = [trace.held_at(beat) for beat in range(trace.beats + 1)]
        self._texts: dict[tuple[tuple[int, ...], str], str] = {}
        self.flat = len(trace.parts) == 1
        self.unit = "round" if in_lock_step(trace) else "beat"
        ranks, parts = trace.setting.p, len(trace.parts)
        self.names = [str(rank) for rank in range(ranks)]
        self.heads = self.names if self.flat else [part.name for part in trace.parts]
        sides = [self._beat(b) for b in range(trace.beats + 1)] if self.flat else self.names
        self.side = max(map(measure, sides)) + 1.6
        self.rows = 1 if self.flat else ranks
        self.across = ranks if self.flat else max(parts, 1)
        self.shown = [
            beat
            for beat, state in enumerate(self.states)
            if not beat or state != self.states[beat - 1] or beat == trace.beats
        ]
        self.plan = self._flat_plan() if self.flat else self._plan()
        lines = ceil(len(self.plan.beats) / self.plan.columns)
        self.height = self._needed(self.plan, lines) + KEY

    def text(self, beat: int, rank: int, part: int, level: str) -> str:
        """What a cell says."""
        key = self.states[beat][rank][part], level
        if key not in self._texts:
            self._texts[key] = self._text(*key)
        return self._texts[key]

    def _text(self, values: tuple[int, ...], level: str) -> str:
        if level == SHADES or not values:
            return ""
        if level == COUNTS:
            return str(self._many(values))
        return self.words.cell(0, values).replace("[", "").replace("]", "")

    def _many(self, values: Sequence[int]) -> int:
        if self.words.merges:
            return max(len({*self.trace.contributions(value)}) for value in values)
        return len({rank for value in values for rank in self.trace.contributions(value)})

    def share(self, beat: int, rank: int, part: int) -> float:
        """How much of what can be held of a part is held."""
        values = self.states[beat][rank][part]
        if not values:
            return 0.0
        if self.trace.setting.primitive in OWNED:
            return 1.0
        return self._many(values) / self.trace.setting.p

    def _beat(self, beat: int) -> str:
        return f"{self.unit} {beat}" if beat else "at first"

    def _wide(self, level: str, beats: Sequence[int]) -> float:
        """The widest text of a cell."""
        ranks, parts = range(self.trace.setting.p), range(len(self.trace.parts))
        texts = {self.text(b, r, k, level) for b in beats for r in ranks for k in parts}
        return max((measure(text, SMALL, True) for text in texts), default=0.0)

    def _plan(self) -> Plan:
        """The most telling level at which all grids fit; if none does, only some beats."""
        beats = tuple(self.shown)
        for level in (WORDS, COUNTS):
            across = max(self._wide(level, beats) + 1.0, HIGH)
            plan = self._fitted(level, across, HIGH, beats)
            if plan.columns and self._needed(plan, ceil(len(beats) / plan.columns)) <= self.limit:
                return plan
        for tenths in range(24, round(LEAST * 10) - 1, -1):
            plan = self._fitted(SHADES, tenths / 10, tenths / 10, beats)
            if plan.columns and self._needed(plan, ceil(len(beats) / plan.columns)) <= self.limit:
                return plan
        return self._thinned()

    def _fitted(self, level: str, across: float, down: float, beats: tuple[int, ...]) -> Plan:
        room = self.width - self.side - 0.4
        columns = int((room + GAP) // (self.across * across + GAP))
        columns = min(columns, len(beats))
        if columns:
            even = -(-len(beats) // -(-len(beats) // columns))  # as many in the last row
            columns = even if level != WORDS else columns
            fill = ((room + GAP) / columns - GAP) / self.across
            across = min(fill, across * 1.35) if level != SHADES else across
        return Plan(level, across, down, columns, beats)

    def _thinned(self) -> Plan:
        """Fewer grids, evenly spread, of cells that can be seen."""
        columns = 3 if self.width < 100 else 5
        size = (self.width - self.side - 0.4 + GAP) / columns - GAP
        cell = min(size / self.across, 2.4)
        lines = max(int(self.limit // (self.rows * cell + TITLE + GAP)), 1)
        beats = self._some(lines * columns)
        return Plan(SHADES, cell, cell, min(columns, len(beats)), beats)

    def _some(self, most: int) -> tuple[int, ...]:
        """So many of the beats in which something changes, evenly spread, with both ends."""
        count, last = min(most, len(self.shown)), len(self.shown) - 1
        places = sorted({round(k * last / max(count - 1, 1)) for k in range(count)})
        return tuple(self.shown[place] for place in places)

    def _flat_plan(self) -> Plan:
        """One grid: a line for each beat."""
        beats = self._some(int((self.limit - 2 * TITLE) // HIGH))
        room = (self.width - self.side - 0.4) / self.across
        for level in (WORDS, COUNTS, SHADES):
            wide = self._wide(level, beats) + 1.0
            if wide <= room:
                break
        return Plan(level, min(max(wide, 9.0), room), HIGH, 1, beats)

    def _needed(self, plan: Plan, lines: int) -> float:
        """The height of all grids."""
        if self.flat:
            return TITLE + 3 + len(plan.beats) * plan.down
        return 3 + lines * (self.rows * plan.down + TITLE + GAP) - GAP

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw them, from this height on."""
        plan = self.plan
        for place, beat in enumerate(plan.beats):
            line, column = divmod(place, plan.columns)
            x = self.side + column * (self.across * plan.across + GAP)
            y = top + 3 + line * (self.rows * plan.down + TITLE + GAP) + TITLE
            if self.flat:
                x, y = self.side, top + 3 + TITLE + place * plan.down
            self._grid(canvas, beat, x, y, first=column == 0, head=line == 0)
        self._key(canvas, top + self.height - 5.5)

    def _grid(self, canvas: Canvas, beat: int, x: float, y: float, first: bool, head: bool) -> None:
        plan, width, height = self.plan, self.across * self.plan.across, self.rows * self.plan.down
        top = y - 1.8
        if self.flat:
            canvas.text(x - 1, y + plan.down / 2, self._beat(beat), colour=SOFT, across="right")
            head = beat == 0
        else:
            canvas.text(x, y - (5.0 if head else 1.8), self._beat(beat), TEXT, bold=True)
            if first:
                self._numbers(canvas, x, y)
        if head:
            every = _every(plan.across, max(map(measure, self.heads)) + 0.6)
            for number in range(0, self.across, every):
                middle = x + (number + 0.5) * plan.across
                canvas.text(middle, top, self.heads[number], colour=SOFT, across="center")
        canvas.box(
            x,
            y,
            width,
            height,
            PAPER,
            None,
            name=f"grid-{beat}",
            title=self._beat(beat),
            words=self._told(beat),
        )
        self._cells(canvas, beat, x, y)
        canvas.box(x, y, width, height, None, FAINT, 0.5, z=2.5)

    def _numbers(self, canvas: Canvas, x: float, y: float) -> None:
        every = _every(self.plan.down, 2.4)
        for rank in range(0, self.rows, every):
            middle = y + (rank + 0.5) * self.plan.down
            canvas.text(x - 1, middle, str(rank), colour=SOFT, across="right")

    def _told(self, beat: int) -> str:
        """A grid in words, a rank after the other."""
        rows = []
        for rank, row in enumerate(self.states[beat]):
            cells = [
                f"{part.name}: {self.words.cell(number, row[number])}"
                for number, part in enumerate(self.trace.parts)
                if row[number]
            ]
            rows.append(f"rank {rank} holds {', '.join(cells) or 'nothing'}")
        return "; ".join(rows)

    def _cells(self, canvas: Canvas, beat: int, x: float, y: float) -> None:
        """All cells of a grid; those that look alike are one shape."""
        plan = self.plan
        shapes: dict[tuple[str, float], list[Outline]] = {}
        for rank in range(self.trace.setting.p):
            for part in range(len(self.trace.parts)):
                column, row = (rank, 0) if self.flat else (part, rank)
                left, top = x + column * plan.across, y + row * plan.down
                share = self.share(beat, rank, part)
                fill, ink = shade(share)
                if share:
                    shapes.setdefault((fill, 1.5), []).append(self._box(left, top))
                elif plan.across > 1.5:
                    shapes.setdefault((FAINT, 1.4), []).append(self._dot(left, top))
                values = self.states[beat][rank][part]
                new = beat > 0 and self.words.is_new(values, beat, rank, part)
                if new and plan.across > 1.1:
                    shapes.setdefault((NEW, 2), []).append(self._corner(left, top))
                text = self.text(beat, rank, part, plan.level)
                if text:
                    middle = left + plan.across / 2, top + plan.down / 2
                    canvas.text(*middle, text, colour=ink, across="center", bold=new)
                if beat == self.trace.beats and self._wrong(rank, part):
                    canvas.box(left, top, plan.across, plan.down, None, BAD, 1.2, z=3)
        for (fill, z), outlines in shapes.items():
            canvas.shapes(outlines, fill, z)

    def _box(self, x: float, y: float) -> Outline:
        """A cell, with a hair of paper around it if it is large."""
        hair = 0.05 if self.plan.across > 1.5 else 0.0
        right, low = x + self.plan.across - hair, y + self.plan.down - hair
        return [(x + hair, y + hair), (right, y + hair), (right, low), (x + hair, low)]

    def _dot(self, x: float, y: float) -> Outline:
        x, y, half = x + self.plan.across / 2, y + self.plan.down / 2, 0.16
        return [(x - half, y), (x, y - half), (x + half, y), (x, y + half)]

    def _corner(self, x: float, y: float) -> Outline:
        size = min(1.0, 0.4 * self.plan.across)
        return [(x, y), (x + size, y), (x, y + size)]

    def _wrong(self, rank: int, part: int) -> bool:
        faults = self.trace.failure.faults if self.trace.failure else ()
        return any((fault.rank, fault.part) == (rank, part) for fault in faults)

    def _note(self) -> str:
        """What rows and columns are, and which rounds are not there."""
        columns = "ranks" if self.flat else "blocks" if self.heads[:1] == ["0"] else "pieces"
        note = f"columns: {columns}" if self.flat else f"rows: ranks, columns: {columns}"
        quiet = [beat for beat in range(1, self.trace.beats + 1) if beat not in self.shown]
        if quiet:
            many = "s" * (len(quiet) > 1)
            note += f"; nothing new in {self.unit}{many} {ranks_in_words(quiet)}"
        if len(self.plan.beats) < len(self.shown):
            note += f"; {len(self.plan.beats)} of {len(self.shown)} grids are shown"
        return note

    def _key(self, canvas: Canvas, y: float) -> None:
        x = 0.0
        if self.trace.setting.primitive not in OWNED:
            canvas.text(x, y, "contributions", colour=SOFT)
            x += measure("contributions") + 1.2
            for share in (0.0, 0.25, 0.5, 0.75, 1.0):
                canvas.box(x, y - 1.3, 4, 2.6, shade(share)[0], FAINT, 0.3)
                text = {0.0: "0", 1.0: str(self.trace.setting.p)}.get(share, "")
                canvas.text(x + 2, y, text, colour=shade(share)[1], across="center")
                x += 4
            x += 4
        if self.plan.across > 1.1:
            canvas.box(x, y - 1.3, 2.6, 2.6, PAPER, FAINT, 0.3)
            canvas.shape([(x, y - 1.3), (x + 1, y - 1.3), (x, y - 0.3)], NEW, z=2)
            canvas.text(x + 3.6, y, "new", colour=SOFT)
            x += 3.6 + measure("new") + 4
        if self.trace.failure is not None and self.trace.failure.faults:
            canvas.box(x, y - 1.3, 2.6, 2.6, PAPER, BAD, 1.2)
            canvas.text(x + 3.6, y, "wrong", colour=SOFT)
        canvas.text(0, y + 3.8, self._note(), colour=SOFT)


def _every(size: float, needed: float) -> int:
    """Every how many rows or columns are numbered."""
    return next(k for k in (1, 2, 4, 8, 16, 32, 64, 4096) if k * size >= needed or k == 4096)
