"""What `explain --svg`, `--pdf` and `--png` write."""

from __future__ import annotations

import argparse
from typing import Any

from collectives.engines.trace import Trace
from collectives.errors import ArgumentError
from collectives.explain.pictures.needs import matplotlib
from collectives.explain.pictures.style import FORMS, KINDS, WIDTHS
from collectives.files import check_target, write

# What says less than a picture shows: it is for the terminal.
TERMINAL = ("data", "rank", "round", "all", "width")


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    for form in FORMS:
        parser.add_argument(f"--{form}", metavar="FILE", help=f"draw it: {form.upper()}")
    parser.add_argument(
        "--kind", metavar="KIND,...", help=f"what to draw: {', '.join(KINDS)} (the first)"
    )
    wide = " or ".join(map(str, WIDTHS))
    parser.add_argument(
        "--mm", metavar="WIDTH", help=f"width in print: {wide} millimetres ({WIDTHS[-1]})"
    )


def asked(arguments: argparse.Namespace) -> bool:
    """Whether pictures are asked for.

    Raises
    ------
    ArgumentError
        They are, in a way that cannot be served.
    """
    targets = _targets(arguments)
    if not targets:
        for name in ("kind", "mm"):
            if getattr(arguments, name) is not None:
                raise ArgumentError(
                    f"explain: --{name} is for pictures, got no file for one; add --svg FILE"
                )
        return False
    values = {name: getattr(arguments, name) for name in TERMINAL}
    given = [name for name, value in values.items() if value is not None and value is not False]
    if given:
        raise ArgumentError(
            f"explain: a picture shows all that happened, got --{given[0]}; leave it out"
        )
    _kinds(arguments)
    _width(arguments)
    for form, path in targets.items():
        check_target(path, f"--{form}")
    _picture()
    return True


def write_pictures(arguments: argparse.Namespace, made: Trace) -> None:
    """Write all pictures that are asked for."""
    targets = _targets(arguments)
    found = _picture()(made, _kinds(arguments), _width(arguments), list(targets))
    for (form, path), content in zip(targets.items(), found, strict=True):
        write(path, content, f"--{form}")


def _targets(arguments: argparse.Namespace) -> dict[str, str]:
    named = {form: getattr(arguments, form) for form in FORMS}
    return {form: path for form, path in named.items() if path is not None}


def _kinds(arguments: argparse.Namespace) -> list[str]:
    given = (arguments.kind or KINDS[0]).split(",")
    for kind in given:
        if kind not in KINDS:
            raise ArgumentError(
                f"explain: --kind must be of {', '.join(KINDS)}, got {kind!r}; "
                "name one, or several with commas between"
            )
    return list(dict.fromkeys(given))


def _width(arguments: argparse.Namespace) -> int:
    given = str(WIDTHS[-1]) if arguments.mm is None else arguments.mm
    if given not in map(str, WIDTHS):
        wide = " or ".join(map(str, WIDTHS))
        raise ArgumentError(
            f"explain: --mm must be {wide}, got {given!r}; choose the width of a column or a page"
        )
    return int(given)


def _picture() -> Any:
    """What draws; matplotlib is imported only here."""
    with matplotlib("explain"):
        from collectives.explain.pictures.sheet import picture
    return picture
