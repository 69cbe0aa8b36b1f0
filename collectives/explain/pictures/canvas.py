"""Lines, boxes and text in millimetres, from the upper left corner; and the files they make.

The only file that knows matplotlib.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from matplotlib import style as styles
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from collectives.explain.pictures.style import INK, PAPER, SMALL

Outline = Sequence[tuple[float, float]]

INCH = 25.4
POINT = INCH / 72  # in millimetres
DOTS = 300  # of a PNG, to the inch

FONT = "DejaVu Sans"  # comes with matplotlib, so every machine makes the same picture

FONTS = f"'{FONT}', Verdana, sans-serif"  # of an SVG, where it may not be installed

SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "svg.fonttype": "none",
    "svg.hashsalt": "collectives",
    "pdf.fonttype": 42,
    "text.usetex": False,
    "path.simplify": False,
}

# No date and no version in a file: the same picture is the same file.
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


@contextmanager
def drawing() -> Iterator[None]:
    """Everything is drawn and written in here, whatever a user's matplotlibrc says."""
    with styles.context(["default", SETTINGS]), warnings.catch_warnings():
        # A character that the font lacks: an SVG keeps it, and others show a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@cache
def measure(text: str, size: float = SMALL, bold: bool = False) -> float:
    """The width of a text in millimetres."""
    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return text_to_path.get_text_width_height_descent(text, font, False)[0] * POINT


class Canvas:
    """A sheet of so many millimetres; y grows downwards."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / INCH, height / INCH), facecolor=PAPER)
        FigureCanvasAgg(self.figure)
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._axes.set_axis_off()
        self._titles: dict[str, tuple[str, str]] = {}

    def _add(self, artist: Any, name: str, title: str, words: str = "") -> None:
        artist.set_clip_on(False)
        if name:
            artist.set_gid(name)
            self._titles[name] = title, words
        self._axes.add_artist(artist)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str = INK,
        width: float = 0.5,
        *,
        case: float = 0,
        dashes: Sequence[float] = (),
        z: float = 1,
        name: str = "",
        title: str = "",
    ) -> None:
        """A line through points; `width` in points, `case` that of a dark rim around it."""
        xs, ys = zip(*points, strict=True)
        line = Line2D(xs, ys, color=colour, linewidth=width, zorder=z, solid_capstyle="butt")
        if dashes:
            line.set_dashes(list(dashes))
        if case:
            line.set_path_effects([withStroke(linewidth=width + 2 * case, foreground=INK)])
        self._add(line, name, title)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | None = PAPER,
        edge: str | None = None,
        line: float = 0.4,
        *,
        z: float = 1,
        name: str = "",
        title: str = "",
        words: str = "",
    ) -> None:
        """A rectangle with its upper left corner at a point."""
        patch = Rectangle((x, y), width, height, linewidth=line if edge else 0, zorder=z)
        patch.set_facecolor(fill or "none")
        patch.set_edgecolor(edge or "none")
        self._add(patch, name, title, words)

    def disc(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str = PAPER,
        edge: str | None = None,
        line: float = 0.6,
        z: float = 1,
    ) -> None:
        """A circle."""
        look = {"facecolor": fill, "edgecolor": edge or "none", "linewidth": line if edge else 0}
        self._add(Circle((x, y), radius, zorder=z, **look), "", "")

    def shape(self, points: Outline, fill: str = INK, z: float = 1) -> None:
        """A filled polygon."""
        self.shapes([points], fill, z)

    def shapes(self, outlines: Sequence[Outline], fill: str = INK, z: float = 1) -> None:
        """Filled polygons that do not lie upon each other."""
        path = Path.make_compound_path(*[Path([*o, o[0]], closed=True) for o in outlines])
        self._add(PathPatch(path, facecolor=fill, linewidth=0, zorder=z), "", "")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = SMALL,
        colour: str = INK,
        *,
        across: str = "left",
        down: str = "center_baseline",
        bold: bool = False,
        halo: bool = False,
        z: float = 5,
        turn: float = 0,
    ) -> None:
        """A text; `across` and `down` say which point of it is given."""
        artist = Text(
            x,
            y,
            text,
            color=colour,
            fontsize=size,
            ha=across,
            va=down,
            weight="bold" if bold else "normal",
            rotation=turn,
            rotation_mode="anchor",
            zorder=z,
            parse_math=False,
        )
        if halo:
            artist.set_path_effects([withStroke(linewidth=1.6, foreground=PAPER)])
        self._add(artist, "", "")

    def file(self, form: str, title: str, words: str) -> bytes:
        """The picture as a file.

        Parameters
        ----------
        form : str
            `svg`, `pdf` or `png`.
        title, words : str
            What it is, and what it shows.
        """
        found = io.BytesIO()
        metadata = dict(METADATA[form])
        if form != "svg":
            metadata["Title"] = title
            metadata["Subject" if form == "pdf" else "Description"] = words
        self.figure.savefig(found, format=form, dpi=DOTS, metadata=metadata)
        return (
            self._described(found.getvalue(), title, words) if form == "svg" else found.getvalue()
        )

    def _described(self, svg: bytes, title: str, words: str) -> bytes:
        """An SVG with titles and descriptions, and no more digits than can be seen."""
        ET.register_namespace("", SVG)
        ET.register_namespace("xlink", XLINK)
        root = ET.fromstring(svg)
        for metadata in root.findall(f"{{{SVG}}}metadata"):
            root.remove(metadata)
        for element in root.iter():
            for key, value in element.attrib.items():
                if key in ("d", "x", "y", "transform", "width", "height", "style"):
                    element.set(key, _short(value).replace(f"'{FONT}'", FONTS))
            name = element.get("id")
            if name in self._titles:
                _describe(element, *self._titles[name])
        _describe(root, title, words, "picture")
        root.set("role", "img")
        root.set("aria-labelledby", "picture-title picture-desc")
        return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _short(value: str) -> str:
    """Numbers with two digits after the point."""

    def rounded(found: re.Match) -> str:
        return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")

    return re.sub(r"-?\d+\.\d+(e-?\d+)?", rounded, value)


def _describe(element: ET.Element, title: str, words: str, name: str = "") -> None:
    for tag, text in (("desc", words), ("title", title)):
        if text:
            child = ET.Element(f"{{{SVG}}}{tag}")
            child.text = clean(text)
            if name:
                child.set("id", f"{name}-{tag}")
            element.insert(0, child)


def clean(text: str) -> str:
    """A text without the characters that XML does not allow."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
