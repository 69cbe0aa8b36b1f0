"""What a picture needs: a file whose name says its form, and matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collectives.errors import ArgumentError
from collectives.explain.pictures.style import FORMS

EXTRA = "mpi-collectives[pictures]"


def form_of(path: str, title: str) -> str:
    """The form that the name of a file asks for.

    Raises
    ------
    ArgumentError
        It asks for none of ours.
    """
    form = Path(path).suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise ArgumentError(
            f"{title}: a file that ends in {', '.join(FORMS)} is needed, got {path!r}; name another"
        )
    return form


@contextmanager
def matplotlib(title: str) -> Iterator[None]:
    """Raise ArgumentError if what draws cannot be imported because there is no matplotlib."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ArgumentError(
            f"{title}: pictures need matplotlib, got none; pip install '{EXTRA}'"
        ) from None
