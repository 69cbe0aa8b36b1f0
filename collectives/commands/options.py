"""What several commands take, and how they report."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich.markup import escape

from collectives.algorithms import PRIMITIVES, REGISTRY, Algorithm
from collectives.algorithms.language.registry import named
from collectives.catalogue import algorithms_for, check_restrictions, find, is_loaded
from collectives.commands.reading import number
from collectives.console import console
from collectives.errors import (
    ArgumentError,
    CollectiveError,
    RestrictionError,
    UnknownAlgorithm,
    in_words,
)
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.machine.spec import machine
from collectives.study.pricing import DECLARED_CLOCK
from collectives.units import parse_bytes

# Without -p, and without a topology that says so.
RANKS = 8

# An algorithm, how often it was run, and what is wrong with it.
Outcome = tuple[str, int, str | None]

PRIMITIVES_HELP: dict[str, Any] = {"nargs": "*", "metavar": "primitive", "help": "all without one"}
NAMES_HELP: dict[str, Any] = {
    "nargs": "*",
    "metavar": "algorithm",
    "help": "as bcast.ring, bcast ring:segments=8, or bcast, which is all of it; all without one",
}


def add_size(command: argparse.ArgumentParser) -> None:
    """How many ranks, and how long the vector."""
    command.add_argument("-p", type=ranks, default=RANKS, help="number of ranks (%(default)s)")
    command.add_argument(
        "-n", type=size, default="1M", help="bytes of the whole vector (%(default)s)"
    )


def add_clock(command: argparse.ArgumentParser) -> None:
    """The clock."""
    for name, what in (
        ("alpha", "a message"),
        ("beta", "a byte sent"),
        ("gamma", "a byte reduced"),
    ):
        command.add_argument(
            f"--{name}",
            type=float,
            metavar="SECONDS",
            help=f"seconds {what}, as collectives.bench.parameters measures",
        )


def add_nodes(command: argparse.ArgumentParser, ranks: bool = True) -> None:
    """The machine, where only its nodes matter."""
    command.add_argument(
        "--topology",
        type=topology,
        metavar="SPEC",
        help="as nodes:8x8,nic=25G,latency=10us, a preset or a TOML file (a flat machine)",
    )
    if ranks:
        command.set_defaults(p=None)


def add_topology(command: argparse.ArgumentParser, ranks: bool = True) -> None:
    """The machine: a topology, or a flat one's clock."""
    add_nodes(command, ranks)
    add_clock(command)


def topology(text: str) -> Machine:
    """A machine, which argparse reads."""
    try:
        return machine(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def given_machine(arguments: argparse.Namespace, several: int = RANKS) -> Machine:
    """The machine of the command line: its topology, or a flat one with its clock.

    Where the command line has no number of ranks, it becomes that of the topology, or `several`.

    Raises
    ------
    ArgumentError
        Both are given, or the topology has no place for so many ranks.
    """
    clock, given = given_clock(arguments), arguments.topology
    if arguments.p is None:
        arguments.p = (given and given.p) or several
    if given is None:
        return Machine(clock or DECLARED_CLOCK)
    if clock is not None:
        raise ArgumentError(
            "--topology: one of --topology and --alpha, --beta, --gamma is needed, got both; "
            "a topology has its own: nodes:8x8,nic=25G,latency=10us,gamma=0.06ns"
        )
    given.at(arguments.p)
    return given


def asked_machine(arguments: argparse.Namespace) -> Machine | None:
    """The machine of the command line; None where it has neither a topology nor a clock."""
    found = given_machine(arguments)
    given = arguments.topology is not None or given_clock(arguments) is not None
    return found if given else None


def given_clock(arguments: argparse.Namespace) -> Clock | None:
    """The clock of the command line; what it leaves out is as in the declared table."""
    given = {name: getattr(arguments, name) for name in ("alpha", "beta", "gamma")}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(DECLARED_CLOCK, **given) if given else None


def ranks(text: str) -> int:
    """A number of ranks, which argparse reads."""
    return number(text, "a number of ranks")


def size(text: str) -> int:
    """A number of bytes, which argparse reads."""
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def report(examined: Iterable[Outcome], what: str) -> int:
    """Say how it went with each algorithm."""
    wrong = 0
    for name, done, error in examined:
        wrong += error is not None
        line = f"{name}: {done} {what}, all right" if error is None else f"WRONG {error}"
        console().print(escape(line), soft_wrap=True)
    return 1 if wrong else 0


def failed(name: str, error: BaseException) -> str:
    """What an algorithm raised, with its name, and what to do on a line of its own."""
    text, hint = in_words(error), getattr(error, "hint", "")
    text = text if isinstance(error, CollectiveError) else f"{name}: {text}"
    return "\n".join([text.removesuffix(f"; {hint}"), *what_to_do(hint)])


def what_to_do(hint: str) -> list[str]:
    """The line that says so, if there is something to say."""
    return [f"  what to do: {hint}"] if hint else []


def chosen(arguments: argparse.Namespace) -> list[str]:
    """The algorithms named, or those of the loaded files, or all."""
    return full_names(arguments.names) or [
        str(algorithm)
        for algorithms in REGISTRY.values()
        for algorithm in algorithms.values()
        if is_loaded(algorithm) or not arguments.load
    ]


def full_names(words: Iterable[str]) -> list[str]:
    """What the words of a command line name: `bcast.ring`, `bcast ring`, or all of `bcast`.

    An algorithm may have parameters, `bcast.ring:segments=8`.

    Raises
    ------
    UnknownAlgorithm
        There is no such primitive, or no such algorithm.
    """
    names: list[str] = []
    primitive, alone = "", False  # the last word was a primitive, and nothing else
    for word in [*words, ""]:
        first, dot, spec = word.partition(".")
        begins = first in PRIMITIVES
        if alone and (begins or not word):
            names += [f"{primitive}.{name}" for name in algorithms_for(primitive)]
        if not word:
            break
        if not begins and primitive and not (dot and ":" not in first and "=" not in first):
            spec = word
        elif not begins:
            raise UnknownAlgorithm(_no_primitive(word, first))
        else:
            primitive, alone = first, not dot
        if spec or not begins:
            find(primitive, spec)  # raises if there is none
            names.append(f"{primitive}.{spec}")
            alone = False
    return names


def one_primitive(first: str, others: Sequence[str]) -> tuple[str, list[str]]:
    """A primitive and its algorithms, from `bcast ring tree`, `bcast.ring tree` and the like."""
    primitive, dot, spec = first.partition(".")
    names = [other.removeprefix(f"{primitive}.") for other in others]
    return primitive, [spec, *names] if dot else names


def by_primitive(names: Iterable[str]) -> dict[str, list[str]]:
    """The algorithms of full names, for each primitive."""
    found: dict[str, list[str]] = {}
    for name in names:
        primitive, _, spec = name.partition(".")
        found.setdefault(primitive, []).append(spec)
    return found


def _no_primitive(word: str, first: str) -> str:
    """Say what a name lacks; an algorithm's own name may be known to some primitives."""
    bare = word.partition(":")[0]
    homes = [primitive for primitive in PRIMITIVES if named(primitive, bare)]
    if homes:
        return f"{word}: needs its primitive before it, got none; write {homes[0]}.{word}"
    try:
        algorithms_for(first)
    except UnknownAlgorithm as error:
        return str(error)
    return ""


def possible(algorithm: Algorithm, p: int) -> bool:
    """Whether an algorithm takes this number of ranks."""
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return False
    return True
