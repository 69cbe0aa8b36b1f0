"""The gallery: a page for every algorithm, and one from which all can be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from collectives.algorithms import REGISTRY
from collectives.catalogue import titled
from collectives.errors import ArgumentError
from collectives.explain.html import page, text

# Of the page from which all can be found.
HOME = "index.html"


def write(folder: Path) -> Iterator[Path]:
    """Write the gallery, page after page.

    Parameters
    ----------
    folder : Path
        Made if it is not there. Links are relative, so it can lie anywhere.

    Yields
    ------
    Path
        Of what has been written.

    Raises
    ------
    ArgumentError
        The folder cannot be written.
    """
    try:
        for primitive, algorithms in REGISTRY.items():
            (folder / primitive).mkdir(parents=True, exist_ok=True)
            for name in algorithms:
                path = folder / primitive / f"{name}.html"
                path.write_text(page(primitive, [name], home=f"../{HOME}"), encoding="utf-8")
                yield path
        (folder / HOME).write_text(index(), encoding="utf-8")
        yield folder / HOME
    except OSError as error:
        raise ArgumentError(
            f"gallery: a folder that can be written is needed, got {folder} ({error.strerror}); "
            "choose another"
        ) from None


def index() -> str:
    """The page from which all others can be found."""
    sections = []
    for primitive, algorithms in REGISTRY.items():
        rows = "".join(
            f'<tr><th scope="row"><a href="{primitive}/{name}.html">'
            f"{escape(titled(primitive, name))}</a></th><td>{_marked(algorithm.summary)}</td>"
            f"<td><code>{escape(algorithm.cost)}</code></td></tr>"
            for name, algorithm in algorithms.items()
        )
        sections.append(
            f'<section><h2 id="{primitive}">{primitive}</h2><table><thead><tr>'
            '<th scope="col">Algorithm</th><th scope="col">What it does</th>'
            f'<th scope="col">Cost</th></tr></thead><tbody>{rows}</tbody></table></section>'
        )
    links = " ".join(f'<a href="#{primitive}">{primitive}</a>' for primitive in REGISTRY)
    return (
        text("gallery.html")
        .replace("{{style}}", text("page.css") + text("gallery.css"))
        .replace("{{links}}", links)
        .replace("{{sections}}", "\n".join(sections))
    )


def _marked(summary: str) -> str:
    """A line of a docstring, with its `names` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(summary))
