"""Numbers of a command line, which argparse reads. Nothing here imports numpy."""

from __future__ import annotations

import argparse


def number(text: str, what: str = "a number", least: int = 1) -> int:
    """How many of something."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{what} from {least} on is needed, got {text!r}")
    return value


def whole(text: str) -> int:
    """How many of something, if any."""
    return number(text, least=0)


def positive(text: str) -> float:
    """How much of something."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got {text!r}")
    return value
