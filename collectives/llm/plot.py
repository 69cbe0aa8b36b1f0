"""Memory as stacked bars: of ranks, of stages of ZeRO, or of recipes; SVG, PDF or PNG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collectives.explain.pictures.needs import form_of, matplotlib
from collectives.explain.pictures.style import GRID, HEAD, INK, PALETTE, SOFT, TEXT
from collectives.files import check_target, write
from collectives.llm import recipes
from collectives.llm.fits import SIZES
from collectives.llm.memory import Memory, memory, typical_ranks, worst
from collectives.llm.recipes import Recipe
from collectives.llm.setups import Setup
from collectives.llm.words import GB

if TYPE_CHECKING:
    from collectives.explain.pictures.canvas import Canvas

# What a bar is made of, from the bottom up.
LAYERS = ("weights", "gradients", "master weights", "moments", "gathered", "activations")

# Millimetres.
WIDTH, LEFT, BARS, ABOVE, BELOW = 174.0, 12.0, 62.0, 17.0, 14.0

# More bars than these cannot be read.
MOST = 16


@dataclass(frozen=True)
class Bar:
    """One bar: its name, and GB of each of `LAYERS`."""

    name: str
    heights: tuple[float, ...]

    @property
    def total(self) -> float:
        """GB in all."""
        return sum(self.heights)


def write_memory(path: str, setup: Setup) -> None:
    """Draw what ranks hold, into a file.

    Raises
    ------
    ArgumentError
        The file's name says no form, it cannot be written, or matplotlib is missing.
    """
    form = form_of(path, "--plot")
    check_target(path, "--plot")
    with matplotlib("--plot"):
        from collectives.explain.pictures.canvas import Canvas, drawing
    groups = bars(setup)
    how = (
        f"recipe {setup.recipe.name}, {setup.layout.name}" if setup.layout.ranks > 1 else "one rank"
    )
    title = f"{setup.model.name}, {how}: GB on a rank"
    with drawing():
        canvas = Canvas(WIDTH, ABOVE + BARS + BELOW)
        canvas.text(0, 2.4, title, HEAD, bold=True)
        _draw(canvas, groups)
        write(path, canvas.file(form, title, described(groups)), "--plot")


def bars(setup: Setup) -> dict[str, list[Bar]]:
    """Bars in groups: the ranks that differ, stages of ZeRO, and of one rank the recipes."""
    layout, recipe = setup.layout, setup.recipe
    if layout.ranks == 1:
        every = [recipes.recipe(name) for name in recipes.names()]
        every += [recipe] if recipe not in every else []
        return {
            "recipes": [_bar(one.name, one, worst(replace(setup, recipe=one))) for one in every]
        }
    held = [memory(setup, rank) for rank in typical_ranks(layout)]
    unlike = [one for one, before in zip(held, [None, *held]) if not _alike(one, before)]
    found = {"this layout": [_bar(f"rank {one.rank}", recipe, one) for one in unlike[:MOST]]}
    if layout.copies > 1:
        found["worst rank with"] = [
            _bar(name, recipe, worst(setup.with_layout(zero=zero)))
            for zero, name in enumerate(("plain dp", "zero1", "zero2", "zero3"))
        ]
    return found


def described(groups: dict[str, list[Bar]]) -> str:
    """What the bars show, in words."""
    return " ".join(
        f"{name}: {', '.join(f'{bar.name} {bar.total:.1f} GB' for bar in group)}."
        for name, group in groups.items()
    )


def _alike(one: Memory, other: Memory | None) -> bool:
    """Whether two ranks hold as much but for what nobody can see."""
    return other is not None and abs(one.total - other.total) < 1e-3 * one.total


def _bar(name: str, recipe: Recipe, held: Memory) -> Bar:
    of_kind = dict.fromkeys(recipes.KINDS, 0.0)
    for line in recipe.lines:
        of_kind[line.kind] += held.lines[line.name]
    heights = [of_kind[kind] for kind in ("weights", "gradients", "master", "moments")]
    heights += [sum(held.passing.values()), sum(held.activations.values())]
    return Bar(name, tuple(height / GB for height in heights))


def _draw(canvas: Canvas, groups: dict[str, list[Bar]]) -> None:
    every = [bar for group in groups.values() for bar in group]
    top = max(bar.total for bar in every) * 1.08
    floor = ABOVE + BARS
    _scale(canvas, top, floor)
    x = LEFT
    for number, layer in enumerate(LAYERS):
        if any(bar.heights[number] for bar in every):
            canvas.box(x, 7, 3, 3, PALETTE[number][0])
            canvas.text(x + 4.2, 8.6, layer, TEXT, SOFT)
            x += 27
    pitch = (WIDTH - LEFT) / (len(every) + len(groups) - 1 + 0.2)
    x = LEFT + 0.1 * pitch
    for name, group in groups.items():
        middle = x + pitch * len(group) / 2
        canvas.text(middle, floor + 9, name, TEXT, INK, across="center", bold=True)
        for bar in group:
            _draw_bar(canvas, bar, x + pitch * 0.15, pitch * 0.7, floor, BARS / top)
            x += pitch
        x += pitch


def _draw_bar(canvas: Canvas, bar: Bar, x: float, width: float, floor: float, scale: float) -> None:
    y = floor
    for (fill, _), layer, height in zip(PALETTE, LAYERS, bar.heights):
        if height:
            y -= height * scale
            title = f"{bar.name}: {layer} {height:.2f} GB"
            canvas.box(x, y, width, height * scale, fill, name=title.replace(" ", "-"), title=title)
    canvas.text(x + width / 2, y - 1.6, f"{bar.total:.1f}", TEXT, INK, across="center")
    canvas.text(x + width / 2, floor + 4, bar.name, TEXT, SOFT, across="center")


def _scale(canvas: Canvas, top: float, floor: float) -> None:
    """The floor, and the memory of usual devices."""
    canvas.line([(LEFT, floor), (WIDTH, floor)], INK)
    for size in SIZES:
        if size <= top:
            y = floor - size / top * BARS
            canvas.line([(LEFT, y), (WIDTH, y)], GRID, 0.8, dashes=(4, 2), z=0)
            canvas.text(LEFT - 1, y, f"{size} GB", TEXT, SOFT, across="right")
