"""The loss as a curve."""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence

from collectives.explain.pictures.needs import form_of, matplotlib


def check(path: str) -> str:
    """The form that a name asks for.

    Raises
    ------
    ArgumentError
        It asks for none of ours, or there is no matplotlib.
    """
    form = form_of(path, "train: --plot")
    with matplotlib("train: --plot"):
        importlib.import_module("matplotlib.figure")
    return form


def drawn(numbers: Sequence[int], losses: Sequence[float], title: str, form: str) -> bytes:
    """The loss of each step."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.85, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(numbers, losses, linewidth=1)
    axes.set(title=title, xlabel="step", ylabel="loss, nats per character")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format=form)
    return content.getvalue()
