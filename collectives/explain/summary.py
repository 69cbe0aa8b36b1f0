"""What an algorithm cost, beside what nothing can beat, and its cost line with numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from collectives.engines.trace import SIMULATED, Trace
from collectives.explain.words import named, told
from collectives.study.bounds import BANDWIDTH, COMPUTATION, LATENCY, bounds_of
from collectives.units import format_bytes, seconds


def costs(trace: Trace) -> Iterator[str]:
    """Messages, bytes and reductions, beside the lower bounds: the lines of a table."""
    cost, counts = trace.cost, trace.cost.counts
    terms = [
        (LATENCY, "messages", cost.messages, None, counts["messages"]),
        (BANDWIDTH, "bytes", cost.nbytes, counts["bytes_busiest"], counts["bytes_sent"]),
        (COMPUTATION, "bytes reduced", cost.work, counts["bytes_reduced_max"], None),
    ]
    formulas = bounds_of(trace.setting.primitive)
    least_of_all = ["at", "least"] if cost.bounds else ["", ""]
    heads = ["critical", "path"], ["busiest", "rank"], ["all", "ranks"], least_of_all
    rows = [["", *line, ""] for line in zip(*heads, strict=True)]
    for term, name, *values in terms:
        if term in formulas:
            show: Callable[[int], str] = str if term == LATENCY else format_bytes
            least = cost.bounds.get(term)
            bound = ["", ""] if least is None else [show(least), formulas[term].formula]
            rows.append([name, *["" if value is None else show(value) for value in values], *bound])
    if COMPUTATION in formulas:
        busiest, every = str(counts["reductions_max"]), str(counts["reductions"])
        rows.append(["reductions", "", busiest, every, "", ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *numbers, row[5]]).rstrip()


def facts(trace: Trace) -> Iterator[tuple[str, str]]:
    """The critical path, the time, and the cost line with numbers put in."""
    setting, cost = trace.setting, trace.cost
    yield "critical path", path(trace)
    yield "time", ends(trace)
    if cost.formula and cost.formula_seconds is not None:
        yield "cost line", cost.formula
        yield "", f"= {put_in(trace)}"
        yield "", f"= {seconds(cost.formula_seconds)}"
    clock = [seconds(value) for value in (setting.alpha, setting.beta, setting.gamma)]
    name = "clock" if trace.origin == SIMULATED else "predicted by"
    yield name, "alpha {} a message, beta {} a byte, gamma {} a byte reduced".format(*clock)
    if setting.near:
        near = [seconds(value) for value in setting.near]
        yield "nodes", told(setting.groups)
        yield "", "alpha {} and beta {} within a node; links may be shared".format(*near)


def put_in(trace: Trace) -> str:
    """The cost line with the numbers of this run."""
    setting = trace.setting
    numbers = {
        **{key: str(value) for key, value in setting.parameters.items() if value is not None},
        "p": str(setting.p),
        "n": format_bytes(setting.n * setting.itemsize).replace(" ", ""),
        "alpha": seconds(setting.alpha).replace(" ", ""),
        "beta": seconds(setting.beta).replace(" ", "") + "/B",
        "gamma": seconds(setting.gamma).replace(" ", "") + "/B",
    }
    return re.sub(
        r"\b[a-z]+\b(?!\()", lambda match: numbers.get(match[0], match[0]), trace.cost.formula
    )


def path(trace: Trace) -> str:
    """The messages for which the last rank waited, as the way that they go."""
    chain = [trace.messages[number] for number in trace.critical]
    if not chain:
        return "nobody waits for a message"
    hops = [f"{message.source} -> {message.dest}" for message in chain]
    text = hops[0]
    for before, hop, message in zip(chain, hops[1:], chain[1:]):
        text += f" -> {message.dest}" if message.source == before.dest else f", {hop}"
    return text


def ends(trace: Trace) -> str:
    """When the ranks end."""
    times = [rank.finished for rank in trace.ranks]
    done = [time for time in times if time is not None]
    if len(done) < len(times):
        return f"{len(done)} of {len(times)} ranks come to their end"
    if min(done) == max(done):
        return f"{seconds(max(done))} on every rank"
    last = [rank for rank, time in enumerate(times) if time == max(done)]
    early = seconds(min(done))
    if early == seconds(max(done)):
        return f"{early} on every rank, or nearly so"
    return f"{seconds(max(done))} until {named(last)} ended; the first rank ended after {early}"
