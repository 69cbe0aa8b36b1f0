"""What every rank holds, as rows and columns.

A cell with something new has a star; colours only repeat what stands there: the first rank
that contributed. A row is a rank and a column a part of the vector; if there is one part only,
a column is a rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from collectives.explain.words import Words

COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "bright_cyan", "bright_yellow")


def grid(words: Words, beat: int, width: int, marks: bool = True) -> Iterator[Text]:
    """The lines of a grid after a beat, in bands of columns that fit into the width."""
    parts, after = words.trace.parts, words.trace.held_at(beat)
    if not parts:
        yield Text("(there are no elements)")
        return
    cells = [
        [
            _cell(words, part, values, marks and words.is_new(values, beat, rank, part))
            for part, values in enumerate(mine)
        ]
        for rank, mine in enumerate(after)
    ]
    heads, sides = [part.name for part in parts], [str(rank) for rank in range(len(after))]
    if len(parts) == 1:
        cells, heads, sides = [[row[0] for row in cells]], sides, [""]
    corner, margin = "rank", 5
    size = max([*map(len, heads), *[len(cell) for row in cells for cell in row]]) + 1
    fit = max((width - margin) // (size + 1), 1)
    for start in range(0, len(heads), fit):
        if start:
            yield Text()
        head = "".join(f" {name:<{size}}" for name in heads[start : start + fit])
        yield Text(f"{corner:{margin}}{head}".rstrip(), style="dim")
        for side, row in zip(sides, cells, strict=True):
            line = Text(side.rjust(len(corner)).ljust(margin), style="dim")
            for cell in row[start : start + fit]:
                padded = cell.copy()
                padded.pad_right(size - len(cell))
                line.append(" ").append_text(padded)
            line.rstrip()
            yield line


def _cell(words: Words, part: int, now: Sequence[int], new: bool) -> Text:
    star = "*" if new else ""
    return Text(
        words.cell(part, now) + star, style=style_of(words, now) + (" bold" if star else "")
    )


def style_of(words: Words, values: Sequence[int]) -> str:
    """The colour of what is held: that of the first rank that contributed."""
    ranks = [rank for value in values for rank in words.trace.contributions(value)[:1]]
    return COLOURS[ranks[0] % len(COLOURS)] if ranks else "dim"
