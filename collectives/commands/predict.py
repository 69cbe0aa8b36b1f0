"""`predict`: what every algorithm would take on a machine, and why."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from collectives.catalogue import algorithms_for, titled
from collectives.commands.options import (
    add_size,
    add_topology,
    given_machine,
    number,
    one_primitive,
    ranks,
    size,
)
from collectives.console import console, table
from collectives.errors import ArgumentError
from collectives.explain.pictures.needs import matplotlib
from collectives.files import STDOUT, check_target, write
from collectives.machine.model import Machine
from collectives.machine.words import in_lines, is_slower_inside
from collectives.study.prediction import SHARES, Prediction, Ranking, cells
from collectives.study.pricing import ESTIMATED, LINE
from collectives.study.sweeping import powers, sweep, winner
from collectives.units import format_bytes, seconds, times_as_long

MARKS = {
    ESTIMATED: ("~", "estimated: messages sent together share links, or a few ranks stand for all"),
    LINE: ("=", "by its cost line: too many messages to be simulated"),
}
HEADS = dict(zip(SHARES, ("latency", "bytes", "work", "waiting")))
HEADS_IN_WORDS = """\
latency, bytes, work: shares of the time, for messages to start, bytes to pass
the ports of ranks, reductions and copies; waiting: what shared links add to it.
busiest: the shared link, or else the cost, that takes up most of the time"""
SLOWER_INSIDE = """\
note     ranks of a node are slower among themselves than its NIC: if they are not
         on yours, as GPUs with NVLink, give near_rate and gamma, or take a preset"""
WINNERS = ("p", "n", "algorithm", "time", "x bound", "next")
FORMS = ("json", "csv", "svg", "pdf", "png")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = commands.add_parser("predict", help="what each would take on a machine, and why")
    parser.add_argument("primitive", help="or an algorithm, as bcast.ring:segments=8")
    parser.add_argument("algorithms", nargs="*", help="these only (all)")
    add_size(parser)
    add_topology(parser)
    parser.add_argument(
        "--tune", action="store_true", help="other values of parameters, too, where cheap"
    )
    parser.add_argument(
        "--jobs", type=number, default=0, metavar="N", help="processes at most (one for each core)"
    )
    parser.add_argument("--ranks", type=span(ranks), metavar="A:B", help="sweep: A, 2A, 4A, ... B")
    parser.add_argument("--sizes", type=span(size), metavar="A:B", help="sweep, as 1K:1G")
    for form in FORMS:
        what = "write all to it" if form in ("json", "csv") else f"draw the sweep: {form.upper()}"
        parser.add_argument(f"--{form}", metavar="FILE", help=what)


def span(one: Callable[[str], int]) -> Callable[[str], tuple[int, int]]:
    """What reads `first:last`, or one number alone."""

    def read(text: str) -> tuple[int, int]:
        first, colon, last = text.partition(":")
        low, high = one(first), one(last if colon else first)
        if not 0 < low <= high:
            raise argparse.ArgumentTypeError(f"A:B with 0 < A <= B is needed, got {text!r}")
        return low, high

    return read


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit status."""
    primitive, names = one_primitive(arguments.primitive, arguments.algorithms)
    names = names or list(algorithms_for(primitive))
    swept = bool(arguments.ranks or arguments.sizes)
    targets = {form: path for form in FORMS if (path := getattr(arguments, form)) is not None}
    makers = {form: _maker(form, swept) for form in targets}
    for form, path in targets.items():
        check_target(path, f"--{form}")
    machine, sizes = _sizes(arguments, primitive)
    with _progress(len(names) * len(sizes)) as step:
        rankings = sweep(
            primitive,
            names,
            sizes,
            machine,
            shares=not swept,
            tune=arguments.tune,
            processes=arguments.jobs,
            files=arguments.load,
            step=step,
        )
    for form, path in targets.items():
        write(path, makers[form](rankings), f"--{form}")
    if STDOUT not in targets.values():
        for each in _winners(rankings) if swept else _ranking(rankings[0]):
            console().print(each)
    return 0


def _sizes(arguments: argparse.Namespace, primitive: str) -> tuple[Machine, list[tuple[int, int]]]:
    """The machine, and each number of ranks with each length."""
    swept = bool(arguments.ranks or arguments.sizes)
    if swept and arguments.tune:
        raise ArgumentError("predict: a sweep takes defaults, got --tune; choose one of both")
    if arguments.ranks and arguments.p:
        raise ArgumentError("predict: one of -p and --ranks is needed, got both; leave one out")
    if arguments.ranks:
        arguments.p = arguments.ranks[1]
    machine = given_machine(arguments)
    lengths = powers(*arguments.sizes) if arguments.sizes else [arguments.n]
    several = powers(*arguments.ranks) if arguments.ranks else [arguments.p]
    if primitive == "barrier":
        lengths = [0]
    return machine, [(p, n) for p in several for n in lengths]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """What is called after each algorithm; a bar shows it while somebody looks."""
    columns = BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}")
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=total)
        done = 0

        def step(name: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=name)

        yield step


# What is printed.


def _width() -> int:
    """Of lines of words."""
    return min(99, console().width)


def _ranking(ranking: Ranking) -> Iterator[Any]:
    machine, bound = ranking.machine, ranking.bound
    length = "" if ranking.primitive == "barrier" else f", n = {format_bytes(ranking.n)}"
    yield f"[bold]{ranking.primitive}, p = {ranking.p}{length}[/]"
    yield in_lines(machine, ranking.p, "machine  ", _width())
    yield f"bound    {seconds(bound.seconds)}: {bound.because}"
    if is_slower_inside(machine):
        yield SLOWER_INSIDE
    yield ""
    timed = [one for one in ranking.predictions if one.seconds is not None]
    terms = [x for x in SHARES if any((one.shares or {}).get(x, 0) > 0 for one in timed)]
    heads = [HEADS[term] for term in terms]
    new = table("", "algorithm", "time", "x bound", *heads, "busiest", numbers=True)
    new.title = None
    new.columns[-1].justify = "left"
    for one in timed:
        new.add_row(*_row(ranking.primitive, one, terms))
    yield new
    yield from _left_out(ranking.predictions)
    yield from _legend(ranking.predictions)


def _row(primitive: str, one: Prediction, terms: Sequence[str]) -> list[str]:
    mark = MARKS[one.how][0] if one.how in MARKS else ""
    ratio = "lossy" if one.lossy else "" if one.ratio is None else f"{one.ratio:.2f}"
    shares = one.shares or {}
    parts = [f"{shares.get(term, 0):.0%}" for term in terms]
    name = escape(titled(primitive, one.algorithm))
    assert one.seconds is not None
    return [name, f"{mark}{seconds(one.seconds)}", ratio, *parts, escape(one.bottleneck)]


def _left_out(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Those without a time, and why."""
    out = [one for one in predictions if one.seconds is None]
    if out:
        yield "\nwithout a time"
        for one in out:
            yield escape(f"  {one.algorithm}: {one.reason}")


def _legend(predictions: Sequence[Prediction]) -> Iterator[str]:
    if any(one.shares for one in predictions):
        yield "\n" + HEADS_IN_WORDS
    for how, (mark, words) in MARKS.items():
        if any(one.how == how for one in predictions):
            yield f"{mark} {words}"
    if any(one.lossy for one in predictions):
        yield "lossy: results are near the exact ones only, and the bound is not for them"


def _winners(rankings: Sequence[Ranking]) -> Iterator[Any]:
    """The fastest exact algorithm for each number of ranks and each length."""
    machine = rankings[0].machine
    ranks = [one.p for one in rankings]
    yield in_lines(machine, max(ranks), "machine  ", _width(), min(ranks))
    new = table(f"{rankings[0].primitive}: the fastest", *WINNERS, numbers=True)
    new.columns[2].justify = new.columns[-1].justify = "left"
    missing = 0
    for ranking in rankings:
        best, second = winner(ranking), None
        timed = [x for x in ranking.predictions if x.seconds is not None and not x.lossy]
        missing += sum(x.seconds is None for x in ranking.predictions)
        second = timed[1] if len(timed) > 1 else None
        size = str(ranking.p), format_bytes(ranking.n)
        if best is None or best.seconds is None:
            new.add_row(*size, "none could be priced")
            continue
        mark = MARKS[best.how][0] if best.how in MARKS else ""
        ratio = "" if best.ratio is None else f"{best.ratio:.2f}"
        behind = ""
        if second is not None and second.seconds and best.seconds:
            behind = f"{second.algorithm}, {times_as_long(second.seconds / best.seconds)}"
        new.add_row(*size, best.algorithm, f"{mark}{seconds(best.seconds)}", ratio, behind)
    yield new
    for how, (mark, words) in MARKS.items():
        if any(x.how == how for ranking in rankings for x in ranking.predictions):
            yield f"{mark} {words}"
    if missing:
        yield f"{missing} times are missing; --json FILE has the reason for each"


# Files.


def _maker(form: str, swept: bool) -> Callable[[Sequence[Ranking]], str | bytes]:
    """What makes a file of this form."""
    if form == "json":
        return _json
    if form == "csv":
        return _csv
    if not swept:
        raise ArgumentError(
            f"predict: a picture shows a sweep, got --{form} without one; add --ranks or --sizes"
        )
    with matplotlib("predict"):
        from collectives.explain.pictures.winners import picture
    return lambda rankings: picture(rankings, [form])[0]


def _json(rankings: Sequence[Ranking]) -> str:
    rows = [f" {json.dumps(cell)}" for cell in cells(rankings)]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _csv(rankings: Sequence[Ranking]) -> str:
    rows = list(cells(rankings))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
