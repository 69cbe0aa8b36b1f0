"""`gradescope`: write the zip that Gradescope wants, with all that it needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collectives.labs import gradescope
from collectives.labs.commands.options import add_lab
from collectives.labs.lab import lab


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("gradescope", help="write a zip for Gradescope, with wheels")
    add_lab(parser)
    parser.add_argument("file", type=Path, help="the zip")
    parser.add_argument(
        "--python", default="3.10", help="the Python of its image (%(default)s, of Ubuntu 22.04)"
    )
    parser.add_argument(
        "--machine", choices=("x86_64", "aarch64"), default="x86_64", help="(%(default)s)"
    )
    parser.add_argument("--leaderboard", action="store_true", help="rank by simulated time")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    options = ["--leaderboard"] if arguments.leaderboard else []
    chosen = lab(arguments.lab)
    gradescope.write(chosen, arguments.file, arguments.python, options, arguments.machine)
    size = arguments.file.stat().st_size / 1e6
    print(f"{arguments.file}: {size:.1f} MB, for Python {arguments.python}")
    return 0
