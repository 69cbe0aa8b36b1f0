"""The space-time diagram: ranks across, time down, a slanted line for each message.

A line begins where the message starts to leave, and ends, in a dot, where its last byte has
come in. Labels stand where there is room.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10
from statistics import median

from collectives.engines.trace import Message, Round, Trace
from collectives.explain.pictures.canvas import Canvas, measure
from collectives.explain.pictures.placing import Places
from collectives.explain.pictures.style import (
    BAD,
    FAINT,
    GRID,
    INK,
    PALETTE,
    PAPER,
    SOFT,
    WASH,
    Look,
    seconds,
)
from collectives.explain.words import Words

HEAD = 8.0  # millimetres above the diagram, for the numbers of the ranks
PILL = 2.7  # height of a label
CROWDED = 0.2  # share of the diagram that labels may cover
WAITING = 16.0  # below the last moment, where ranks wait for ever
BAR = 1.3  # least height of a reduction: one that takes no time is seen, too


class Spacetime:
    """The diagram of a trace, so many millimetres wide.

    Attributes
    ----------
    height : float
        With everything, in millimetres.
    """

    title = "Space-time diagram"

    def __init__(self, trace: Trace, words: Words, width: float, limit: float):
        self.trace, self.words, self.width = trace, words, width
        self.look = Look(trace, words)
        self.ticks = list(_ticks(trace.time))
        self.left = max(measure(text) for _, text in self.ticks) + 3
        self.key_lines = list(self._key_lines(list(self._keys())))
        rest = HEAD + 4 + 4.2 * len(self.key_lines)
        self.waits = trace.failure.waits if trace.failure else ()
        rest += WAITING if self.waits else 0
        least = 30 if trace.time else 1
        self.depth = min(max(_rows(trace) * (5.5 if width < 100 else 6.5), least), limit - rest)
        self.height = rest + self.depth
        ranks = trace.setting.p
        self.inset = min((width - self.left) / ranks / 2, 5.0)
        self.step = (width - self.left - 2 * self.inset) / max(ranks - 1, 1)
        self.top = 0.0
        self.places = Places()
        self.apart = 0.3

    def x(self, rank: int) -> float:
        """Where a rank is."""
        return self.left + self.inset + rank * self.step

    def y(self, time: float) -> float:
        """Where a moment is."""
        return self.top + HEAD + self.depth * (time / self.trace.time if self.trace.time else 0)

    def draw(self, canvas: Canvas, top: float) -> None:
        """Draw it, from this height on."""
        self.top = top
        self._frame(canvas)
        for rank in range(self.trace.setting.p):
            self._lane(canvas, rank)
        self.apart = self._apart()
        critical = set(self.trace.critical)
        for number, message in enumerate(self.trace.messages):
            self._message(canvas, number, message, number in critical)
        order = sorted(
            range(len(self.trace.messages)),
            key=lambda number: (number not in critical, self._reach(number), number),
        )
        for number in order:
            self._label(canvas, self.trace.messages[number])
        self._failure(canvas)
        self._legend(canvas)

    def _apart(self) -> float:
        """How far labels stay apart: of very many only some are drawn, and lines are seen."""
        labels = map(self.look.label, self.trace.messages)
        area = sum((measure(label) + 1.2) * PILL for label in labels if label)
        return 0.3 if area < CROWDED * self.width * self.depth else 3.5

    def _reach(self, number: int) -> int:
        message = self.trace.messages[number]
        return abs(message.source - message.dest)

    def _bands(self, canvas: Canvas) -> None:
        """A ground behind the ranks of every second node, or group."""
        setting = self.trace.setting
        groups = setting.groups or setting.parameters.get("group") or ()
        if not isinstance(groups, tuple) or len(groups) != setting.p:
            return
        starts = [r for r, group in enumerate(groups) if not r or group != groups[r - 1]]
        if len(starts) > len(set(groups)):
            return  # nodes have no neighbouring ranks
        for first, stop in list(zip(starts, [*starts[1:], len(groups)], strict=True))[::2]:
            left, right = self.x(first) - self.step / 2, self.x(stop - 1) + self.step / 2
            left, right = max(left, self.left), min(right, self.width)
            canvas.box(left, self.top + HEAD, right - left, self.depth, WASH, z=-1)

    def _frame(self, canvas: Canvas) -> None:
        self._bands(canvas)
        every = _every(self.step, self.trace.setting.p)
        canvas.text(self.left - 1.5, self.top + 4, "rank", colour=SOFT, across="right")
        for rank in range(0, self.trace.setting.p, every):
            canvas.text(self.x(rank), self.top + 4, str(rank), bold=True, across="center")
        for time, text in self.ticks:
            y = self.y(time)
            canvas.line([(self.left, y), (self.width, y)], GRID, 0.4, z=0)
            canvas.text(self.left - 1.5, y, text, colour=SOFT, across="right")

    def _lane(self, canvas: Canvas, rank: int) -> None:
        """The life of a rank: a tick where a round ends, a bar where it reduces."""
        mine, x = self.trace.ranks[rank], self.x(rank)
        late = self.trace.setting.late[rank]
        end = max([late, *[r.end or r.start for r in mine.rounds]])
        canvas.line([(x, self.y(late)), (x, self.y(end))], FAINT, 0.7, z=1)
        half = min(0.9, self.step / 5)
        for time in sorted({round_.end for round_ in mine.rounds if round_.end is not None}):
            canvas.line([(x - half, self.y(time)), (x + half, self.y(time))], FAINT, 0.7, z=1)
        if mine.finished is not None:
            y = self.y(mine.finished)
            canvas.line([(x - 1.6 * half, y), (x + 1.6 * half, y)], SOFT, 1.2, z=1.5)
        for round_ in mine.rounds:
            self._bars(canvas, rank, round_)

    def _bars(self, canvas: Canvas, rank: int, round_: Round) -> None:
        half = min(1.0, self.step / 5)
        for number, step in enumerate(round_.steps):
            if step.kind != "reduce":
                continue
            top, low = self.y(step.start), self.y(step.end)
            low = max(low, top + BAR)
            part = step.makes[0].part if step.makes else 0
            fill = self.look.of(part)[0] if self.look.by in ("block", "piece") else SOFT
            canvas.box(
                self.x(rank) - half,
                top,
                2 * half,
                low - top,
                fill,
                INK,
                0.35,
                z=3,
                name=f"reduction-{rank}-{round_.number}-{number}",
                title=f"rank {rank} reduces {self.words.carried(step.makes)}, "
                f"{seconds(step.start)} to {seconds(step.end)}",
            )

    def _ends(self, message: Message) -> tuple[float, float]:
        """From when to when a line is drawn; of a message that never left, for a bit."""
        if message.left is None:
            start = self.trace.ranks[message.source].rounds[message.sent - 1].start
            return start, start
        return message.left, message.left if message.arrived is None else message.arrived

    def _line(self, message: Message) -> list[tuple[float, float]]:
        start, end = self._ends(message)
        xs, ys = (self.x(message.source), self.x(message.dest)), (self.y(start), self.y(end))
        if message.left is None or message.arrived is None:  # it never comes in
            return [(xs[0], ys[0]), (xs[1], ys[0] + WAITING - 5)]
        return [(xs[0], ys[0]), (xs[1], ys[1])]

    def _message(self, canvas: Canvas, number: int, message: Message, critical: bool) -> None:
        line, (fill, _) = self._line(message), self.look.fill(message)
        fine = self.step < 4 or len(self.trace.messages) > 400
        width = (1.5 if critical else 0.7) * (0.8 if fine else 1)
        lost = message.taken is None
        canvas.line(
            line,
            BAD if lost else fill,
            width,
            case=0 if fill == INK or lost else 0.3 if critical else 0.1 if fine else 0.2,
            dashes=(2, 1.5) if lost else (),
            z=2.5 if critical else 2,
            name=f"message-{number}",
            title=self._told(message),
        )
        if not lost or message.arrived is not None:
            size = 0.45 if fine else 0.6
            canvas.disc(*line[1], size, BAD if lost else INK, PAPER, 0.3, z=3.5)

    def _told(self, message: Message) -> str:
        text = self.words.message(message)
        if message.left is None:
            return f"{text}, waits"
        text += f", left {seconds(message.left)}"
        if message.arrived is not None:
            text += f", arrived {seconds(message.arrived)}"
        return text + (", nobody takes it" if message.taken is None else "")

    def _label(self, canvas: Canvas, message: Message) -> None:
        text, (fill, ink) = self.look.label(message), self.look.fill(message)
        if not text:
            return
        (x1, y1), (x2, y2) = self._line(message)
        width = measure(text) + 1.2
        far = abs(message.source - message.dest) > 1
        shares = (0.5, 0.38, 0.62, 0.28, 0.72, 0.2, 0.8) if far else (0.5, 0.4, 0.6)
        points = [(x1 + f * (x2 - x1), y1 + f * (y2 - y1)) for f in shares]
        points = [point for point in points if self._beside_lanes(point[0], width)]
        found = self.places.first(points, width + self.apart, PILL + self.apart)
        if found is None:
            return
        x, y = found
        canvas.box(x - width / 2, y - PILL / 2, width, PILL, fill, INK, 0.3, z=4)
        canvas.text(x, y, text, colour=ink, across="center")

    def _beside_lanes(self, x: float, width: float) -> bool:
        """Whether a label leaves the lanes free, or cannot."""
        if width > self.step - 1:
            return True
        share = (x - self.x(0)) / self.step % 1
        away = min(share, 1 - share) * self.step
        return away > width / 2 + 0.3

    def _failure(self, canvas: Canvas) -> None:
        """A cross where a rank waits for ever, or where what it holds is wrong."""
        failure = self.trace.failure
        if failure is None:
            return
        for wait in self.waits:
            start = self.trace.ranks[wait.rank].rounds[wait.round - 1].start
            self._cross(canvas, wait.rank, start, f"{wait.kind} {wait.peer}")
            text = f"{wait.kind} {wait.peer}"
            text = text if measure(text) < self.step - 0.5 else f"{wait.peer}?"
            y = self.top + HEAD + self.depth + WAITING - 3
            if measure(text) < self.step - 0.3:
                canvas.text(self.x(wait.rank), y, text, colour=BAD, across="center")
        where = {fault.rank for fault in failure.faults}
        if not failure.waits and not where and failure.rank is not None:
            where = {failure.rank}
        for rank in sorted(where):
            ends = [r.end or r.start for r in self.trace.ranks[rank].rounds]
            self._cross(canvas, rank, max(ends, default=0.0), "")

    def _cross(self, canvas: Canvas, rank: int, time: float, text: str) -> None:
        x, y, half = self.x(rank), self.y(time), 1.0
        for sign in (1, -1):
            canvas.line(
                [(x - half, y - sign * half), (x + half, y + sign * half)],
                BAD,
                1.4,
                z=6,
                name=f"failure-{rank}-{sign}" if sign == 1 else "",
                title=f"rank {rank} waits for ever: {text}" if text else f"rank {rank} goes wrong",
            )

    def _keys(self) -> Iterator[tuple[str, str]]:
        """What the reader is told below the diagram: signs, and what they mean."""
        trace = self.trace
        if trace.messages:
            yield "message", "message, from leaving to arrival"
        if trace.critical:
            yield "critical", "critical path"
        if any(s.kind == "reduce" for rank in trace.ranks for r in rank.rounds for s in r.steps):
            yield "bar", "reduction"
        if any(message.taken is None for message in trace.messages):
            yield "lost", "nobody takes it"
        if trace.failure is not None:
            yield "cross", "waits for ever" if trace.failure.waits else "goes wrong"
        if self.look.by:
            yield "colours", self.look.meaning

    def _key_lines(self, keys: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
        """The keys in lines that are not too long."""
        line: list[tuple[str, str]] = []
        x = 0.0
        for kind, text in keys:
            wide = 5.2 + measure(text) if kind != "colours" else self._scale_width(text)
            if line and x + wide > self.width:
                yield line
                line, x = [], 0.0
            line.append((kind, text))
            x += wide + 4
        yield line

    def _legend(self, canvas: Canvas) -> None:
        y = self.top + self.height - 4.2 * len(self.key_lines) + 2.5
        for line in self.key_lines:
            x = 0.0
            for kind, text in line:
                x = self._key(canvas, kind, text, x, y)
            y += 4.2

    def _key(self, canvas: Canvas, kind: str, text: str, x: float, y: float) -> float:
        fill = PALETTE[0][0] if self.look.by else INK
        if kind in ("message", "critical", "lost"):
            width = {"message": 0.7, "critical": 1.5, "lost": 0.7}[kind]
            ends = [(x + 0.3, y - 1), (x + 4, y + 1)]
            lost = kind == "lost"
            canvas.line(
                ends,
                BAD if lost else fill,
                width,
                case=0.2 if self.look.by and not lost else 0,
                dashes=(2, 1.5) if lost else (),
            )
            if not lost:
                canvas.disc(*ends[1], 0.6, INK, PAPER, 0.3, z=3)
        elif kind == "bar":
            canvas.box(x + 1.6, y - 1.1, 1.6, 2.2, FAINT, INK, 0.35)
        elif kind == "cross":
            for sign in (1, -1):
                canvas.line([(x + 1.4, y - sign), (x + 3.4, y + sign)], BAD, 1.4)
        else:
            return self._scale(canvas, text, x, y)
        canvas.text(x + 5.2, y, text, colour=SOFT)
        return x + 5.2 + measure(text) + 4

    def _scale_width(self, text: str) -> float:
        return measure(f"{text}:") + 1.2 + self.look.total * self._swatch()

    def _swatch(self) -> float:
        """The width of one colour in the key."""
        names = self.look.every_name
        return max(measure(names[0]), measure(names[-1])) + 1

    def _scale(self, canvas: Canvas, text: str, x: float, y: float) -> float:
        """The colours in a row, with their numbers, as far as they go."""
        canvas.text(x, y, f"{text}:", colour=SOFT)
        x += measure(f"{text}:") + 1.2
        wide, names = self._swatch(), self.look.every_name
        every = -(-len(names) // max(floor((self.width - x) / wide), 2))
        for number in range(0, len(names), every):
            fill, ink = self.look.of(number)
            canvas.box(x, y - PILL / 2, wide, PILL, fill, PAPER, 0.4)
            canvas.text(x + wide / 2, y, names[number], colour=ink, across="center")
            x += wide
        return x + 4


def _rows(trace: Trace) -> float:
    """How many messages follow each other, about."""
    lengths = [
        m.arrived - m.left
        for m in trace.messages
        if m.left is not None and m.arrived is not None and m.arrived > m.left
    ]
    return trace.time / median(lengths) if lengths else 1


def _ticks(end: float) -> Iterator[tuple[float, str]]:
    """Round moments from 0 to the end, with one unit."""
    if end <= 0:
        yield 0.0, "0 s"
        return
    power = 10 ** floor(log10(end / 5))
    step = next(power * k for k in (1, 2, 5, 10) if end / (power * k) <= 7)
    for number in range(floor(end / step + 1e-9) + 1):
        yield number * step, seconds(number * step) if number else "0"


def _every(step: float, total: int) -> int:
    """Every how many ranks are numbered, so that the numbers stay apart."""
    wide = measure(str(total - 1), bold=True) + 0.8
    return next(k for k in (1, 2, 4, 5, 8, 10, 16, 32, 64) if k * step >= wide)
