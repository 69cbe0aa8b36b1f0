"""A trace on a terminal, or as plain lines in a file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.text import Text

from collectives.engines.trace import Message, Trace
from collectives.errors import ArgumentError
from collectives.explain import summary, wrong
from collectives.explain.grid import grid
from collectives.explain.legend import legend
from collectives.explain.moments import Line, Moment, alike, in_lock_step, moments
from collectives.explain.source import body, explanation, line_at
from collectives.explain.words import Words, heading, named
from collectives.units import format_bytes, seconds

WIDTH = 100  # of lines, at most, unless somebody asks for more
MOST_RANKS = 64  # that can be drawn
LONG = 200  # lines of beats; of more, those that do the same are shown once


@dataclass(frozen=True)
class View:
    """What is to be shown of a trace.

    Attributes
    ----------
    width : int
    data : bool
        Integers in place of contributions.
    rank : int or None
        The life of this rank only.
    beat : int or None
        This beat only.
    everything : bool
        Beats that do the same, too.
    """

    width: int = WIDTH
    data: bool = False
    rank: int | None = None
    beat: int | None = None
    everything: bool = False


class Page:
    """A trace as lines.

    Parameters
    ----------
    trace : Trace
    view : View
    other : Trace, optional
        The same with messages that all leave at once, if it ends in a deadlock; with
        messages that all wait, if some might.

    Raises
    ------
    ArgumentError
        There are too many ranks, or no such rank or beat.
    """

    def __init__(self, trace: Trace, view: View, other: Trace | None = None):
        self.trace, self.view, self.other = trace, view, other
        self.words = Words(trace, view.data)
        self.moments = moments(trace)
        self.unit = "round" if in_lock_step(trace) else "beat"
        self.marked = wrong.marked(trace)
        self._check()

    def _check(self) -> None:
        title, view, p = self.trace.title, self.view, self.trace.setting.p
        check_ranks(title, p)
        if view.rank is not None and not 0 <= view.rank < p:
            raise ArgumentError(
                f"{title}: --rank must be a rank from 0 to {p - 1}, got {view.rank}"
            )
        if view.beat is not None and not 1 <= view.beat <= len(self.moments):
            raise ArgumentError(
                f"{title}: --round must be from 1 to {len(self.moments)}, got {view.beat}"
            )

    def lines(self) -> Iterator[Text]:
        """All that is shown."""
        view = self.view
        yield from self._wrapped(heading(self.trace), style="bold")
        if view.rank is not None:
            yield from self._life(view.rank)
        elif view.beat is not None:
            yield from self._beat(self.moments[view.beat - 1], close=True)
        else:
            yield from self._introduction()
            yield from self._beats()
        yield from self._end()

    def _introduction(self) -> Iterator[Text]:
        yield Text()
        for number, paragraph in enumerate(explanation(self.trace)):
            if number:
                yield Text()
            yield from self._wrapped(paragraph)
        for source in self.trace.sources:
            if source.text:
                yield Text(f"\n{source.file}", style="dim")
                yield from map(self._code, body(source))
        yield Text()
        yield from self._wrapped(legend(self.trace, self.words, self.unit == "beat"))
        yield Text("\nAt first", style="bold")
        yield from grid(self.words, 0, self.view.width, marks=False)

    def _code(self, line: tuple[int, str]) -> Text:
        number, text = line
        return self._cut(Text.assemble((f"{number:5}  ", "dim"), text))

    def _beats(self) -> Iterator[Text]:
        grids = self._grid_height() + 6
        short = self.view.everything or len(self.moments) * grids <= LONG
        for group in [[moment] for moment in self.moments] if short else alike(self.moments):
            kept = group if len(group) <= 3 else [group[0], group[-1]]
            for moment in kept:
                if moment is group[-1] and len(group) > 3:
                    yield Text()
                    yield from self._wrapped(self._skipped(group), style="italic")
                yield from self._beat(moment)

    def _grid_height(self) -> int:
        return len(list(grid(self.words, len(self.moments), self.view.width, marks=False)))

    def _skipped(self, group: Sequence[Moment]) -> str:
        first, last = group[1].beat, group[-2].beat
        many = f"{self.unit.title()}s {first} to {last} do the same with other blocks"
        return f"{many}: --round {first} shows one of them, --all all."

    def _beat(self, moment: Moment, close: bool = False) -> Iterator[Text]:
        """One beat: who stands where, what moves, and what is held afterwards."""
        wrong_here = "   <- here it goes wrong" if moment.beat in self.marked else ""
        yield Text(f"\n{self.unit.title()} {moment.beat}{wrong_here}", style="bold")
        everybody = len(moment.lines) == 1 and len(moment.lines[0].ranks) == len(self.trace.ranks)
        for line in moment.lines:
            yield self._cut(self._line(line, everybody))
        before = self.trace.held_at(moment.beat - 1)
        if close:
            yield Text("before", style="italic")
            yield from grid(self.words, moment.beat - 1, self.view.width, marks=False)
        yield from self._messages(moment.messages, close)
        for kind, ranks in moment.steps:
            everyone = len(ranks) == len(self.trace.ranks)
            yield Text(f"    {kind} on {'all ranks' if everyone else named(ranks)}")
        if not moment.messages and not moment.steps:
            yield Text("    (nothing moves)")
        if close:
            yield Text("after", style="italic")
        after = self.trace.held_at(moment.beat)
        if close or after != before:
            yield from grid(self.words, moment.beat, self.view.width)

    def _line(self, line: Line, everybody: bool) -> Text:
        who = "" if everybody else f"{named(line.ranks)}: "
        values = "".join(f", {key} = {value}" for key, value in line.variables.items())
        here = line.place.file == self.trace.sources[0].file
        file = "" if here else f"{PurePath(line.place.file).name} "
        where = f"{who}{file}line {line.place.line}{values}"
        return Text.assemble(("    " + where, ""), ("  " + line_at(self.trace, line.place), "dim"))

    def _messages(self, messages: Sequence[Message], close: bool) -> Iterator[Text]:
        lost = [message for message in messages if message.taken is None]
        taken = [message for message in messages if message.taken is not None]
        texts = [] if close else self.words.messages(taken)
        for message in taken if close else ():
            assert message.left is not None
            when = "" if message.arrived is None else f" to {seconds(message.arrived)}"
            texts.append(f"{self.words.message(message)}  {seconds(message.left)}{when}")
        for message in lost:
            why = "waits" if message.left is None else "nobody takes it"
            texts.append(f"{self.words.message(message)} ({why})")
        yield from self._columns(texts)

    def _columns(self, texts: Sequence[str]) -> Iterator[Text]:
        """Short texts side by side."""
        if not texts:
            return
        size = max(map(len, texts)) + 3
        count = max((self.view.width - 4) // size, 1)
        rows = -(-len(texts) // count)
        for row in range(rows):
            line = "".join(text.ljust(size) for text in texts[row::rows])
            yield self._cut(Text("    " + line.rstrip()))

    def _life(self, rank: int) -> Iterator[Text]:
        """What one rank does, round by round."""
        trace = self.trace
        yield Text(f"\nRank {rank} of {trace.setting.p}", style="bold")
        yield from self._holds(rank, 0)
        for round_ in trace.ranks[rank].rounds:
            place = round_.places[0]
            end = "waits for ever" if round_.end is None else f"to {seconds(round_.end)}"
            yield Text(f"\nRound {round_.number}   {seconds(round_.start)} {end}", style="bold")
            values = {k: v for k, v in round_.variables.items() if k not in ("rank", "p")}
            known = "".join(f", {key} = {value}" for key, value in values.items())
            yield from self._wrapped(f"{place.file}:{place.line}{known}", "    ")
            yield self._cut(Text("    " + line_at(trace, place), style="dim"))
            yield from self._moves(round_, rank)
            if round_.changes:
                yield from self._holds(rank, round_.number)

    def _moves(self, round_: Any, rank: int) -> Iterator[Text]:
        for verb, numbers in (("send", round_.sends), ("recv", round_.recvs)):
            for number in numbers:
                message = self.trace.messages[number]
                other = f"to {message.dest}" if verb == "send" else f"from {message.source}"
                what = f"{verb} {self.words.carried(message.carries)} {other}"
                yield from self._wrapped(f"{what}, {format_bytes(message.nbytes)}", "    ")
        for step in round_.steps:
            yield from self._wrapped(f"{step.kind}: {self.words.carried(step.makes)}", "    ")
        for wait in self.trace.failure.waits if self.trace.failure else ():
            if (wait.rank, wait.round) == (rank, round_.number):
                yield Text(f"    waits in {wait.kind} {wait.peer}", style="red")

    def _holds(self, rank: int, number: int) -> Iterator[Text]:
        trace = self.trace
        cells = [
            f"{part.name}: {self.words.cell(place, values)}"
            for place, (part, values) in enumerate(zip(trace.parts, trace.held(rank, number)))
            if values
        ]
        yield from self._wrapped(f"holds   {'   '.join(cells) or 'nothing'}", "    ")

    def _end(self) -> Iterator[Text]:
        trace = self.trace
        if trace.failure is not None:
            yield Text(f"\n{wrong.heading(trace.failure)}", style="bold red")
            for text in wrong.told(trace, self.words, self.other):
                yield from self._wrapped(text)
        elif self.other is not None and self.other.failure is not None:
            yield Text("\nOnly short messages let it end", style="bold")
            for text in wrong.warned(trace):
                yield from self._wrapped(text)
        if trace.failure is None and self.view.rank is None and self.view.beat is None:
            yield Text("\nWhat it costs", style="bold")
            yield from (self._cut(Text(line)) for line in summary.costs(trace))
            yield Text()
            for head, text in summary.facts(trace):
                yield from self._wrapped(f"{head:15}{text}", hanging=15)

    def _wrapped(
        self, text: str, indent: str = "", hanging: int = 0, style: str = ""
    ) -> Iterator[Text]:
        for line in text.splitlines() or [""]:
            deeper = indent + " " * (len(line) - len(line.lstrip()))
            wrapped = textwrap.wrap(
                line.lstrip(),
                self.view.width,
                initial_indent=deeper,
                subsequent_indent=deeper + " " * hanging,
                break_on_hyphens=False,
            )
            yield from (Text(each, style=style) for each in wrapped or [""])

    def _cut(self, text: Text) -> Text:
        if len(text) > self.view.width:
            text.truncate(self.view.width - 3)
            text.append("...")
        return text


def check_ranks(title: str, p: int) -> None:
    """Raise ArgumentError if there are too many ranks for a picture."""
    if p > MOST_RANKS:
        raise ArgumentError(
            f"{title}: needs at most {MOST_RANKS} ranks to be drawn, got {p}; choose fewer, "
            "or --json"
        )


def show(lines: Iterable[Text], width: int) -> None:
    """Print it; no line is longer than the width."""
    console = Console(width=width, highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)
