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

State = Sequence[Sequence[Sequence[int]]]  # of each rank, of each part: the values held


def is_new(now: Sequence[int], *earlier: Sequence[int]) -> bool:
    """Whether something is held that was not held before, nor in the beginning.

    A rank that has passed on a sum has its own input left, and that is nothing new.
    """
    return bool(set(now).difference(*earlier))


def grid(words: Words, before: State, after: State, width: int) -> Iterator[Text]:
    """The lines of a grid, in bands of columns that fit into the width."""
    parts = words.trace.parts
    if not parts:
        yield Text("(there are no elements)")
        return
    cells = [
        [_cell(words, k, mine[k], is_new(mine[k], *earlier)) for k, earlier in enumerate(zip(*old))]
        for mine, *old in zip(after, before, words.trace.held_at(0), strict=True)
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
