"""The catalogue held against the lower bounds: counted, never written by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from collectives import checks
from collectives.algorithms.language.pages import docstring
from collectives.algorithms.language.registry import PRIMITIVES, REDUCTIONS, REGISTRY, Algorithm
from collectives.catalogue import algorithms_for, find, titled
from collectives.console import table
from collectives.errors import RestrictionError
from collectives.machine.model import Machine
from collectives.references import Work, cited, works
from collectives.study.bounds import (
    BANDWIDTH,
    COMPUTATION,
    LATENCY,
    TERMS,
    TOGETHER,
    bounds,
    bounds_of,
)
from collectives.study.cost import critical_path
from collectives.study.prediction import bound_of, predicted
from collectives.study.simulation import Counts, count
from collectives.units import format_bytes, seconds

# What the page counts, few ranks and more. All p divide both lengths.
RANKS = (5, 8, 12, 32)
SHORT, LONG = 960, 960 * 1024

# In place of what is optimal: the bounds are for exact algorithms, and one that is lossy
# may be below them, which makes it neither optimal nor wrong.
LOSSY = "lossy"

COMMAND = "python -m collectives list --bounds --markdown > docs/catalogue.md"


def counted(counts: Counts) -> dict[str, int]:
    """What has a bound, by term."""
    values = counts.critical_path, counts.bytes_busiest, counts.bytes_reduced_max
    return dict(zip(TERMS, values))


def met(values: Mapping[str, int], least: Mapping[str, int]) -> list[str]:
    """The terms in which nothing can be better."""
    return [term for term in least if values[term] == least[term]]


def optimality_table(primitive: str, p: int, n: int, machine: Machine | None = None) -> Table:
    """All algorithms of a primitive beside its lower bounds, for about `n` bytes on `p` ranks.

    The length is rounded up to a multiple of p: blocks of one byte more or less would
    hide what is optimal. With a machine there is one more column: the predicted time, as a
    multiple of the bound that the machine sets.
    """
    p, n = checks.ranks(primitive, p), checks.integer(primitive, "the number of bytes n", n)
    n = -(-n // p) * p
    least = bounds(primitive, p, n)
    columns = ["algorithm", "critical\npath"]
    if BANDWIDTH in least:
        columns += ["bytes,\nbusiest\nrank", "bytes,\ncritical\npath"]
    if COMPUTATION in least:
        columns += ["work,\nbusiest\nrank", "work,\ncritical\npath", "reductions"]
    length = f", n = {format_bytes(n)}" if BANDWIDTH in least else ""
    bound = None if machine is None else bound_of(primitive, p, n, machine)[0]
    if bound is not None:
        columns.append("time /\nbound")
    new = table(f"{primitive}, p = {p}{length}", *columns, "optimal in", numbers=True)
    new.columns[-1].justify = "left"
    lowest = [text for term in least for text in _cells(term, least[term])]
    lowest += [""] * (COMPUTATION in least)
    if bound is not None:
        new.caption, new.caption_justify = (
            f"bound: {seconds(bound.seconds)}, {bound.because}",
            "left",
        )
        lowest.append(seconds(bound.seconds))
    new.add_row("(lower bound)", *lowest, style="italic")
    for name in algorithms_for(primitive):
        row = _row(primitive, name, p, n, least, machine)
        if machine is not None and bound is not None and len(row) > 1:
            found = predicted(primitive, name, p, n, machine, bound, False)
            row.insert(-1, "" if found.ratio is None else f"{found.ratio:.2f}")
        new.add_row(titled(primitive, name), *row)
    return new


def _row(
    primitive: str,
    name: str,
    p: int,
    n: int,
    least: Mapping[str, int],
    machine: Machine | None = None,
) -> list[str]:
    try:
        counts = count(primitive, name, p=p, n=n, topology=machine)
        path = critical_path(primitive, name, p, n, machine)
    except RestrictionError as error:
        return [escape(f"n/a: {error}")]
    values = counted(counts)
    along = dict(zip(TERMS, (path.messages, path.nbytes, path.work)))
    row = [text for term in least for text in _cells(term, values[term], along[term])]
    if COMPUTATION in least:
        row.append(str(counts.reductions_max))
    algorithm, _ = find(primitive, name)
    return [*row, LOSSY if algorithm.lossy else ", ".join(met(values, least))]


def _cells(term: str, value: int, along: int | None = None) -> list[str]:
    """A count as text; messages are those of the critical path anyway."""
    if term == LATENCY:
        return [str(value)]
    return [format_bytes(value), format_bytes(value if along is None else along)]


def literature(primitives: Sequence[str]) -> list[Work]:
    """The works that algorithms and bounds of these primitives cite, in the order of their keys."""
    lines = [algorithm.reference for name in primitives for algorithm in REGISTRY[name].values()]
    lines += [bound.reference for name in primitives for bound in bounds_of(name).values()]
    found = {work.key for line in lines for work in cited(line)}
    return [work for work in works().values() if work.key in found]


def markdown() -> str:
    """The whole catalogue as a page: bounds, counts, costs, references."""
    chapters = [line for each in PRIMITIVES for line in _chapter(each)]
    return "\n".join([*_introduction(), *chapters, *_references()])


def _introduction() -> Iterator[str]:
    ranks = ", ".join(map(str, RANKS[:-1]))
    yield f"""\
# The catalogue

What each algorithm does, what it costs, and what no algorithm can beat. This page is
generated from the algorithms and from the rounds that they run; a test compares:

    {COMMAND}

{" · ".join(f"[{name}](#{name})" for name in PRIMITIVES)}

The model is a rank that sends one message and receives one at a time: alpha for a message,
beta for a byte, gamma for a byte reduced; n is the whole vector, on p ranks. In costs, lg is the
logarithm to the base 2, and fold(p) is 1 if p is not a power of two, else 0;
[CONTRIBUTING.md](../CONTRIBUTING.md#add-an-algorithm) has the rest.

The bounds hold for every p and every root. Each is about one term:

- *latency*: messages on the critical path, the longest chain in which each waits for the one
  before; every one takes alpha;
- *bandwidth*: bytes that the busiest rank sends, or receives if that is more, of which every
  one takes beta;
- *computation*: bytes of results that the operator makes on the busiest rank, of which every
  one takes gamma.

The counts are for {ranks} and {RANKS[-1]} ranks: messages on the critical path, bytes as a
multiple of n, bytes of results as a multiple of n. **Bold** is optimal for that p, and the
last column speaks of these p only. The critical path is that of a short vector ({SHORT} B), where
it matters; bytes and results are those of a long one ({LONG // 1024} KiB). A pipelined algorithm
cuts the long one into segments and has a longer critical path for it, as its cost line says. A
*lossy* algorithm sends packets, here of float32 and with the codec that it has by default; the
bounds are not for it, and [compression.md](compression.md) tells what it loses. A name in
parentheses is what the literature calls the algorithm.
`python -m collectives list --bounds -p 12 -n 1M` counts any other p and n.
"""


def _chapter(primitive: str) -> Iterator[str]:
    yield f"## {primitive}\n"
    home = sys.modules[f"collectives.algorithms.{primitive}"]
    yield docstring(home).partition("\n")[0] + "\n"
    yield from _grid(["bound on", "at least", "because", "reference"], _bound_rows(primitive))
    yield f"Can they be met together? {TOGETHER[primitive]}\n"
    columns = ["algorithm", *[f"p = {p}" for p in RANKS], "optimal in"]
    algorithms = REGISTRY[primitive].values()
    yield from _grid(columns, [_count_row(algorithm) for algorithm in algorithms])
    columns = ["algorithm", "in a line", "cost", "restrictions", "reference"]
    yield from _grid(columns, [_reading_row(algorithm) for algorithm in algorithms])


def _references() -> Iterator[str]:
    yield "## References\n"
    yield "`python -m collectives list --bibtex` prints them for LaTeX.\n"
    rows = [[work.label, work.text] for work in literature(PRIMITIVES)]
    yield from _grid(["cited as", "title"], rows)


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (columns, ["---"] * len(columns), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _bound_rows(primitive: str) -> list[list[str]]:
    every = bounds_of(primitive).values()
    return [[bound.term, bound.formula, bound.argument, bound.reference] for bound in every]


def _reading_row(algorithm: Algorithm) -> list[str]:
    texts = algorithm.restrictions, algorithm.reference
    return [_name(algorithm), algorithm.summary, f"`{algorithm.cost}`", *texts]


def _count_row(algorithm: Algorithm) -> list[str]:
    cells, optimal = [], {}
    for p in RANKS:
        try:
            short, long = (
                count(algorithm.primitive, algorithm.name, p=p, n=n) for n in (SHORT, LONG)
            )
        except RestrictionError:
            cells.append("n/a")
            continue
        least = bounds(algorithm.primitive, p, LONG)
        values = {**counted(long), LATENCY: short.critical_path}
        optimal[p] = [] if algorithm.lossy else met(values, least)
        cells.append(_cell(algorithm.primitive, values, optimal[p]))
    where = _where(optimal, radix="k" in algorithm.parameters)
    return [_name(algorithm), *cells, LOSSY if algorithm.lossy else where]


def _name(algorithm: Algorithm) -> str:
    return f"`{algorithm.name}`" + (f" ({algorithm.known_as})" if algorithm.known_as else "")


def _cell(primitive: str, values: Mapping[str, int], optimal: Sequence[str]) -> str:
    texts = {LATENCY: str(values[LATENCY])}
    if primitive != "barrier":
        texts[BANDWIDTH] = f"{values[BANDWIDTH] / LONG:.4g}n"
    if primitive in REDUCTIONS:
        texts[COMPUTATION] = f"{values[COMPUTATION] / LONG:.4g}n"
    return ", ".join(f"**{text}**" if term in optimal else text for term, text in texts.items())


# When something is optimal for some of the p that are counted.
_KINDS = {
    "": lambda p: True,
    " (even p)": lambda p: p % 2 == 0,
    " (powers of two)": lambda p: p & (p - 1) == 0,
}


def _where(optimal: Mapping[int, Sequence[str]], radix: bool) -> str:
    """Terms that are optimal for all p that are counted, or for all of a kind.

    An algorithm to a radix has a kind of its own, the p with one digit that is not 0; if p are
    of another kind, too, that is chance.
    """
    found, kinds = [], {"": _KINDS[""]} if radix else _KINDS
    for term in TERMS:
        ranks = {p for p, terms in optimal.items() if term in terms}
        for kind, belongs in kinds.items():
            if ranks and ranks == {p for p in optimal if belongs(p)}:
                found.append(term + kind)
                break
    return ", ".join(found)
