"""Say in words why a collective does not end, from where each rank stands.

This is a function of the ranks' states alone, so ranks that know the same states
say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

MAX_LINES = 16  # ranks that are reported one by one


@dataclass(frozen=True)
class State:
    """Where one rank stands.

    Attributes
    ----------
    rank : int
    started : int
        Calls that it has started on the communicator.
    call : str
        The call that it waits in; empty if it waits in none.
    number : int or None
        Of that call; None for a persistent one, which may be started in any order.
    round : int
        The round of the algorithm that it is in, from 1 on; 0 before the first, while the
        ranks compare their calls.
    pending : list of (str, int)
        The messages that it waits for: "recv from" or "send to", and a rank.
    line : str
        File and line of the algorithm.
    last : str
        The call that it started last; empty if there was none.
    at : str
        File and line of the program.
    left : str
        How it left the program; empty while it runs.
    """

    rank: int
    started: int = 0
    call: str = ""
    number: int | None = None
    round: int = 0
    pending: tuple[tuple[str, int], ...] = ()
    line: str = ""
    last: str = ""
    at: str = ""
    left: str = ""

    def in_words(self, call: str, number: int | None) -> str:
        """In words; the call is named unless it is the one that all know of."""
        if self.left:
            return f"rank {self.rank} {self.left}{self._past()}"
        at = f" at {self.at}" if self.at else ""
        if not self.call:
            return f"rank {self.rank} is in no collective but{at or ' elsewhere'}{self._past()}"
        if self.pending:
            steps = " and ".join(f"{verb} {peer}" for verb, peer in self.pending)
            where = f"in round {self.round}" if self.round else "in the comparison of calls"
            doing = f"waits {where} for {steps} ({self.line})"
        else:
            where = f" in round {self.round}" if self.round else ""
            doing = f"is at work{where}" + (f" ({self.line})" if self.line else "")
        known = (self.call, self.number) == (call, number)
        inside = "" if known else f"in {_numbered(self.call, self.number)} "
        return f"rank {self.rank} {inside}{doing}, called{at}"

    def _past(self) -> str:
        return f"; its last was {_numbered(self.last, self.started)}" if self.last else ""


def explain(states: Mapping[int, State], p: int, seconds: float) -> str:
    """Why a call did not end within `seconds`.

    Parameters
    ----------
    states : mapping
        Of the ranks that answered, by rank.
    p : int
    seconds : float
    """
    call, number = _the_call(states)
    guilty, reason = _reason(states, p, call, number)
    lines = [f"{_numbered(call, number)}: no end within {seconds:g} s: {reason}"]
    order = sorted(states, key=lambda rank: (rank not in guilty, rank))
    lines += [states[rank].in_words(call, number) for rank in order[:MAX_LINES]]
    if len(order) > MAX_LINES:
        lines.append(f"and {len(order) - MAX_LINES} more ranks")
    return "\n  ".join(lines)


def _the_call(states: Mapping[int, State]) -> tuple[str, int | None]:
    """The earliest call in which ranks wait: who is further waits for these.

    If ranks call different things there, it is what most of them call.
    """
    waiting = [state for state in states.values() if state.call]
    earliest = min(state.number or 0 for state in waiting)
    votes: dict[tuple[str, int | None], int] = defaultdict(int)
    for state in waiting:
        if (state.number or 0) == earliest:
            votes[state.call, state.number] += 1
    return max(votes, key=lambda each: votes[each])


def _reason(
    states: Mapping[int, State], p: int, call: str, number: int | None
) -> tuple[set[int], str]:
    """The ranks to look at, and what is the matter with them."""
    silent = [rank for rank in range(p) if rank not in states]
    absent = [s.rank for s in states.values() if s.left or _never_came(s, number)]
    elsewhere = [s for s in states.values() if s.number == number and s.call not in ("", call)]
    reasons = []
    if absent:
        reasons.append(f"{ranks_in_words(sorted(absent))} never came")
    if silent:
        reasons.append(f"{ranks_in_words(silent)} did not answer")
    parties: dict[str, list[int]] = defaultdict(list)
    for state in elsewhere:
        parties[_numbered(state.call, state.number)].append(state.rank)
    for other, ranks in parties.items():
        reasons.append(f"{ranks_in_words(sorted(ranks))} called {other}")
    guilty = {*absent, *(state.rank for state in elsewhere)}
    return (guilty, ", and ".join(reasons)) if reasons else _chain(states)


def _never_came(state: State, number: int | None) -> bool:
    return not state.call and (number is None or state.started < number)


def _chain(states: Mapping[int, State]) -> tuple[set[int], str]:
    """Follow who waits for whom until a rank comes up again or waits for nobody."""
    waits = {state.rank: state.pending[0][1] for state in states.values() if state.pending}
    path = [min(waits, default=min(states))]
    while (peer := waits.get(path[-1])) is not None and peer not in path:
        path.append(peer)
    if peer is not None:
        cycle = path[path.index(peer) :]
        return set(cycle), f"ranks wait for each other, {' for '.join(map(str, [*cycle, peer]))}"
    last = states[path[-1]]
    if last.call:
        return {last.rank}, f"rank {last.rank} is still at work"
    return {last.rank}, f"rank {last.rank} has ended this call, but others wait for it"


def ranks_in_words(ranks: list[int]) -> str:
    """`rank 2`, or `ranks 0, 1, 3`; of many, the first."""
    shown = ", ".join(map(str, ranks[:MAX_LINES]))
    more = f" and {len(ranks) - MAX_LINES} more" if len(ranks) > MAX_LINES else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}{more}"


def _numbered(call: str, number: int | None) -> str:
    return call if number is None else f"{call}, call {number}"
