"""What is said about a rung: what happened, where, what was expected, and a hint.

The sentences are those of `check`: an error of the engines is taken apart, not written anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from collectives.engines.simulator import Simulator
from collectives.errors import Deadlock
from collectives.labs.handover import Case

# `allreduce.mine: rank 1 of 4: NEEDED, got WHAT (mine.py:31, round 2, k = 1); HINT`
_SENTENCE = re.compile(
    r"(?:[\w.]+: )?(?P<rank>rank \d+ of \d+): (?P<needed>.+?), got (?P<got>.+) "
    r"\((?P<place>[^()]+:\d+(?:, [^()]*)?)\)$",
    re.S,
)
# `rank 1 of 4: block 2 = {0, 1}: 2 missing, last touched in round 2 (mine.py:31)`
_FAULT = re.compile(r"(rank \d+) of \d+: (.*?)(, last touched in [^,]+|, never written)?$", re.S)
_TITLE = re.compile(r"^[\w.]+: ")

# Bytes of a message that no MPI sends before somebody asks for it.
LONG = "8 MB"


@dataclass(frozen=True)
class Feedback:
    """Four parts, and what a second hint says.

    Attributes
    ----------
    what : str
        What happened.
    where : str
        The smallest case, rank, round, file and line, as far as there is one.
    expected : str
    hint : str
    more : str
        A second hint. It never is the solution.
    """

    what: str
    where: str = ""
    expected: str = ""
    hint: str = ""
    more: str = ""

    def otherwise(self, more: str) -> Feedback:
        """The same, with a second hint if it has none."""
        return self if self.more else replace(self, more=more)

    def lines(self, hints: int = 1) -> list[str]:
        """In words, with one hint or two, or none."""
        parts = [("", self.what), ("where: ", self.where), ("expected: ", self.expected)]
        parts += [("hint: ", self.hint)] if hints > 0 else []
        parts += [("more: ", self.more)] if hints > 1 else []
        return [f"{name}{text}" for name, text in parts if text]


def of_message(message: str, hint: str, case: Case | None = None) -> Feedback:
    """An error of the engines, taken apart.

    Parameters
    ----------
    message : str
        With or without its hint at the end.
    hint : str
    case : Case, optional
        The smallest in which it was raised.
    """
    text = message.removesuffix(f"; {hint}") if hint else message
    smallest = "" if case is None else f"smallest case: {case}"
    found = _SENTENCE.match(text)
    if not found:
        return Feedback(_TITLE.sub("", text), smallest, hint=hint)
    where = "; ".join(filter(None, [f"{found['rank']}, {found['place']}", smallest]))
    what = f"breaks a rule: got {found['got']}"
    if found["got"].split(":")[0].isidentifier() and ":" in found["got"]:
        what = found["got"]  # an error of Python's
    return Feedback(what, where, found["needed"], hint)


def of_fault(message: str, hint: str, case: Case) -> Feedback:
    """A wrong answer, as `study.symbolic` tells it."""
    text = _TITLE.sub("", message)
    found = _FAULT.match(text)
    if not found:
        return Feedback(text, f"smallest case: {case}", hint=hint)
    rank, holds, touched = found.groups()
    holds = re.sub(r"\bcontribution (\d+)", r"contribution of \1", holds)
    what = f"{rank} {holds}" + (f"; {touched[2:]}" if touched else "")
    return Feedback(what, f"smallest case: {case}", "each contribution once, in its place", hint)


def of_deadlock(simulator: Simulator, error: Deadlock, case: Case, ends_eager: bool) -> Feedback:
    """Ranks that wait for each other.

    Parameters
    ----------
    simulator : Simulator
        In which they wait.
    error : Deadlock
    case : Case
    ends_eager : bool
        The same program ends if messages leave at once.
    """
    chain = error.chain
    first = chain[0][0]
    number = simulator.ranks[first].process.number
    peers = [int(step.split()[-1]) for _, step, _ in chain]
    links = [
        f"{rank} {'waits for' if not at else 'for'} {peer}" + (f" ({place})" if not at else "")
        for at, ((rank, _, place), peer) in enumerate(zip(chain, peers, strict=True))
    ]
    if simulator.ranks[peers[-1]].finished:
        links[-1] += ", which has finished"
    limit = "0" if simulator.eager < 0 else "infinity"
    what = f"DEADLOCK in round {number} (eager limit {limit}): {', '.join(_few(links))}."
    if ends_eager:
        nbytes = max(_waiting_bytes(simulator), default=0)
        what += (
            f" It may run under mpirun, because {nbytes} B fit the eager buffer; "
            f"with {LONG} it would hang."
        )
    else:
        what += " It hangs under every MPI, whatever the length."
    steps = ", ".join(_few([f"rank {rank} in {step} ({place})" for rank, step, place in chain]))
    expected = "the program ends whether or not a send waits for its recv"
    return Feedback(what, f"{steps}; smallest case: {case}", expected, error.hint)


def _waiting_bytes(simulator: Simulator) -> Sequence[int]:
    return [message.nbytes for rank in simulator.ranks for message in rank.round.sends]


def _few(links: list[str], most: int = 6) -> list[str]:
    return links if len(links) <= most else [*links[: most - 1], "...", links[-1]]


def ranks_in_words(ranks: Sequence[int]) -> str:
    """`1..7`, or `0, 2, 5`."""
    ranks = sorted(ranks)
    if len(ranks) > 2 and ranks == [*range(ranks[0], ranks[-1] + 1)]:
        return f"{ranks[0]}..{ranks[-1]}"
    return ", ".join(map(str, ranks))
