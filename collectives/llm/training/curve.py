"""The loss as a curve."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from collectives.errors import ArgumentError

FORMS = ("svg", "pdf", "png")


def check(path: str) -> str:
    """The form that a name asks for.

    Raises
    ------
    ArgumentError
        It asks for none of ours, or there is no matplotlib.
    """
    form = Path(path).suffix[1:].lower()
    if form not in FORMS:
        raise ArgumentError(
            f"train: --plot needs a name that ends in .{', .'.join(FORMS)}, got {path!r}; "
            "name it loss.svg"
        )
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise ArgumentError(
            "train: --plot needs matplotlib, got none; pip install 'mpi-collectives[pictures]'"
        ) from None
    return form


def drawn(numbers: Sequence[int], losses: Sequence[float], title: str, form: str) -> bytes:
    """The loss of each step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.85, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(numbers, losses, linewidth=1)
    axes.set(title=title, xlabel="step", ylabel="loss, nats per character")
    axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format=form)
    return content.getvalue()
