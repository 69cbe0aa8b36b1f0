"""The verdict in the forms that people and other programs read: one file a form.

Each has `text(verdict, leaderboard)`, and `ABOUT`, which says who reads it.
"""

from __future__ import annotations

from importlib import import_module

from collectives import files
from collectives.labs.verdict import Verdict
from collectives.labs.writers.clean import cleaned

FORMS = ("json", "gradescope", "classroom50", "autolab", "junit", "tap")


def about(form: str) -> str:
    """Who reads it."""
    return _writer(form).ABOUT


def in_form(form: str, verdict: Verdict, leaderboard: bool = False) -> str:
    """The verdict in one of the `FORMS`; its last line ends.

    Parameters
    ----------
    form : str
    verdict : Verdict
    leaderboard : bool
        Also the simulated seconds, where the form has a place for them.
    """
    return _writer(form).text(cleaned(verdict), leaderboard)


def write(form: str, verdict: Verdict, path: str, leaderboard: bool = False) -> None:
    """Write it to a file, or to stdout if that is `-`."""
    files.write(path, in_form(form, verdict, leaderboard), f"--{form}")


def _writer(form: str):
    return import_module(f"collectives.labs.writers.{'plain' if form == 'json' else form}")
