"""`gallery`: a page for every algorithm."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collectives.explain.gallery import HOME, write


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("gallery", help="a page for every algorithm, and an index")
    parser.add_argument("folder", type=Path, help="where to write them")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    written = sum(1 for _ in write(arguments.folder))
    print(f"{written} pages; open {arguments.folder / HOME}")
    return 0
