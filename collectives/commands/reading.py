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
    value = _float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got {text!r}")
    return value


def share(text: str) -> float:
    """How much of something, if any."""
    value = _float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number from 0 on is needed, got {text!r}")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
