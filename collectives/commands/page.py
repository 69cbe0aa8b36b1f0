"""What `explain --html` writes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from collectives.algorithms.language.registry import AUTO
from collectives.catalogue import DEFAULTS
from collectives.commands.options import given_clock
from collectives.errors import ArgumentError
from collectives.explain.html import page
from collectives.files import STDOUT, write


def write_page(arguments: argparse.Namespace, chosen: Sequence[tuple[str, str | None]]) -> int:
    """Write the page of one algorithm, or of two side by side; returns the exit status."""
    primitives = list(dict.fromkeys(primitive for primitive, _ in chosen))
    if len(primitives) > 1:
        raise ArgumentError(
            f"explain: --html needs algorithms of one primitive, got {', '.join(primitives)}; "
            "name one, and one or two of its algorithms"
        )
    if arguments.counts is not None:
        raise ArgumentError("explain: a page has even blocks, got --counts; leave out one of them")
    [primitive] = primitives
    names = [spec or DEFAULTS[primitive] for _, spec in chosen]
    options = {} if arguments.n is None else {"n": arguments.n}
    clock = given_clock(arguments)
    made = page(primitive, names, p=arguments.p, root=arguments.root, clock=clock, **options)
    write(arguments.html, made, "--html")
    if arguments.html != STDOUT:
        print(f"{arguments.html}: open it in a browser")
        if AUTO in names:
            print("auto is shown as what it takes where all ranks are on one node")
    return 0
