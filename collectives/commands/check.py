"""`check`: run algorithms in the simulator, for many p, and say what to do about what is wrong."""

from __future__ import annotations

import argparse
import traceback
from typing import Any

from rich.markup import escape

from collectives.catalogue import find
from collectives.commands.options import NAMES_HELP, chosen, ranks, what_to_do
from collectives.console import console, print_json
from collectives.study.examine import Examined, Finding, examine


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("check", help="run algorithms in the simulator, for many p")
    parser.add_argument("names", **NAMES_HELP)
    parser.add_argument("-p", type=ranks, default=17, help="up to so many ranks (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print it for programs")
    parser.add_argument(
        "--traceback", action="store_true", help="also show how Python came to the error"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    wrong, everything = 0, []
    for name in chosen(arguments):
        examined = examine(*_halves(name, arguments.p))
        wrong += examined.finding is not None
        if arguments.json:
            everything.append(_plain(name, examined))
            continue
        for line in _lines(name, examined, arguments.p):
            console().print(escape(line), soft_wrap=True)
        if examined.finding is not None and arguments.traceback:
            _show_traceback(examined.finding)
    if arguments.json:
        print_json(everything)
    return 1 if wrong else 0


def _halves(name: str, most: int) -> tuple[Any, int, Any]:
    algorithm, parameters = find(*name.split(".", 1))
    return algorithm, most, parameters


def _lines(name: str, examined: Examined, most: int) -> list[str]:
    finding = examined.finding
    if finding is None:
        return [f"{name}: {examined.runs} runs, p up to {most}, all right"]
    lines = [f"WRONG {finding.message}"]
    if finding.case is None:
        lines.append(f"  its answers are right in {examined.runs} runs, p up to {most}")
    else:
        lines.append(f"  smallest case: {finding.case}")
    return [*lines, *what_to_do(finding.hint)]


def _plain(name: str, examined: Examined) -> dict[str, Any]:
    """The same for programs."""
    finding = examined.finding
    plain: dict[str, Any] = {"algorithm": name, "runs": examined.runs, "right": finding is None}
    if finding is not None:
        plain |= {"message": finding.message, "hint": finding.hint, "case": None}
    if finding is not None and finding.case is not None:
        problem = finding.case.problem
        plain["case"] = {
            "p": problem.p,
            "n": problem.size,
            "root": problem.root,
            "in_place": problem.in_place,
            "rendezvous": finding.case.rendezvous,
            "parameters": dict(finding.case.parameters),
        }
    return plain


def _show_traceback(finding: Finding) -> None:
    error = finding.error.__cause__ or finding.error
    print("".join(traceback.format_exception(error)), end="")
