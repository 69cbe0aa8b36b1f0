"""The trace: what an algorithm did on every rank, round by round, as plain data.

It is made by the simulator together with what each message holds (`collectives.trace`),
or from a run over MPI. Whoever draws, explains or checks an algorithm reads a trace, and
runs nothing by himself. `to_json` gives a mapping of plain values, `from_json` takes it
back; `trace.schema.json`, beside this file, describes it. Its version grows whenever a reader
of the old form would misread the new one.

The words:

round          what one yield starts and ends, counted on each rank from 1 as the page yields
beat           a moment of a lock-step animation. A round begins in the beat after the rank's
               last round; a message moves as soon as both its rounds have begun, and a round
               lasts until all its messages have moved
part           a piece of the vector that the run never cut, and that is held as a whole;
               often a block
contributions  the ranks whose inputs went into a value, in the order in which they were
               combined, as runs of ranks: ((3, 5), (0, 2)) are 3, 4, 0, 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from collectives.engines.plain import plain, restored

FORMAT, VERSION = "collectives.trace", 1

SIMULATED, MEASURED = "simulated", "measured"


@dataclass(frozen=True)
class Place:
    """A line of a page, and the function in which it stands."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Source:
    """The text of a function that took part; the first of a trace is the algorithm.

    Attributes
    ----------
    file, function : str
        As in `Place`.
    first : int
        Number of the first line of `text` in the file.
    text : str
        Empty if the text is not to be had.
    """

    file: str
    function: str
    first: int
    text: str


@dataclass(frozen=True)
class Memory:
    """A vector of one rank: `sendbuf`, `recvbuf`, `buf` in bcast, or `scratch 1` and so on."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class Range:
    """The bytes from `start` on, and before `stop`, of the memory of this number of a rank."""

    memory: int
    start: int
    stop: int


@dataclass(frozen=True)
class Part:
    """A piece of the vector.

    Attributes
    ----------
    name : str
        `2` is block 2, `2.0` the first piece of block 2, `all` the whole vector, `news` that
        of a barrier, which has no data.
    start, stop : int
        Its elements in the vector. In alltoall the vector is the input of any rank, and where
        its blocks differ in length, as long as the longest.
    block : int or None
        The block in which it lies, if it lies in one.
    """

    name: str
    start: int
    stop: int
    block: int | None


@dataclass(frozen=True)
class Held:
    """A part with certain contributions: numbers into `Trace.parts` and `Trace.values`."""

    part: int
    value: int


@dataclass(frozen=True)
class Cell:
    """What a rank holds of a part: numbers into `Trace.values`, which may be none or several."""

    part: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes
    ----------
    source, dest : int
        Ranks.
    nbytes : int
    beat : int
        In which it moves.
    sent, taken : int or None
        The round of the source in which it is sent, and that of the destination in which it
        is taken; None if nobody has taken it.
    reads, writes : tuple of Range
        Where its bytes lie in the memory of the source, and of the destination.
    carries : tuple of Held
        In the order of its bytes.
    left, arrived, had : float or None
        Seconds at which it starts to leave, at which its last byte has come in, and at which
        the destination has come to take it. None if that has not happened.
    """

    source: int
    dest: int
    nbytes: int
    beat: int
    sent: int
    taken: int | None
    reads: tuple[Range, ...]
    writes: tuple[Range, ...]
    carries: tuple[Held, ...]
    left: float | None
    arrived: float | None
    had: float | None


@dataclass(frozen=True)
class Step:
    """A local step.

    Attributes
    ----------
    kind : str
        `reduce`, `copy`, `encode` or `decode`.
    reads : tuple of tuple of Range
        One operand, or two of a reduction, the left one first.
    writes : tuple of Range
    makes : tuple of Held
        What is in `writes` afterwards.
    nbytes : int
        Bytes written.
    start, end : float
        Seconds.
    """

    kind: str
    reads: tuple[tuple[Range, ...], ...]
    writes: tuple[Range, ...]
    makes: tuple[Held, ...]
    nbytes: int
    start: float
    end: float


@dataclass(frozen=True)
class Round:
    """What one yield of one rank started and ended.

    Attributes
    ----------
    number : int
        From 1 on, as the page yields.
    beat, until : int
        From 1 on: in which it begins, and in which it ends, or waits.
    places : tuple of Place
        The yield; then, if it stands in another function than the algorithm, the
        `yield from` that led there, and so on to the algorithm itself.
    variables : mapping of str to number or tuple of numbers
        The local variables of the function that yields.
    start, end : float
        Seconds. `end` is None if the rank still waits in it.
    sends, recvs : tuple of int
        Numbers into `Trace.messages`, in the order of the yield; of `recvs` only those that
        a message met.
    steps : tuple of Step
        In the order in which they run, after the messages.
    drops : tuple of int
        Scratch memory that is used for the last time in this round.
    changes : tuple of Cell
        The parts of which the rank holds something else after this round than before.
    """

    number: int
    beat: int
    until: int
    places: tuple[Place, ...]
    variables: Mapping[str, Any]
    start: float
    end: float | None
    sends: tuple[int, ...]
    recvs: tuple[int, ...]
    steps: tuple[Step, ...]
    drops: tuple[int, ...]
    changes: tuple[Cell, ...]


@dataclass(frozen=True)
class Rank:
    """What one rank did.

    Attributes
    ----------
    begin : tuple of Cell
        What it holds before its first round.
    finished : float or None
        Seconds; None if it did not come to its end.
    """

    memories: tuple[Memory, ...]
    begin: tuple[Cell, ...]
    rounds: tuple[Round, ...]
    finished: float | None


@dataclass(frozen=True)
class Wait:
    """A rank that waits for another: `kind` is `recv from` or `send to`."""

    rank: int
    round: int
    kind: str
    peer: int
    place: Place
    in_cycle: bool


@dataclass(frozen=True)
class Fault:
    """Something that a rank should hold in the end, and does not.

    Attributes
    ----------
    rank, part : int
    wanted, got : int or None
        Numbers into `Trace.values`; None is unwritten memory.
    what : str
        In words: `contribution 1 twice, 2 missing`.
    round : int or None
        The round in which that place was last written.
    """

    rank: int
    part: int
    wanted: int
    got: int | None
    what: str
    round: int | None


@dataclass(frozen=True)
class Failure:
    """Where an algorithm went wrong.

    Attributes
    ----------
    kind : str
        `deadlock`; `schedule`, a rule was broken; `error`, the page raised an error; or
        `wrong`, it ran to its end and the answer is wrong.
    message : str
        The whole of it in one sentence.
    rank, round : int or None
        Where it shows.
    waits : tuple of Wait
        Of a deadlock: all ranks that wait, those of the cycle first, each for the next.
    faults : tuple of Fault
        Of a wrong answer.
    """

    kind: str
    message: str
    rank: int | None
    round: int | None
    waits: tuple[Wait, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Cost:
    """What the algorithm costs, beside what nothing can beat.

    Attributes
    ----------
    formula : str
        The algorithm's cost line.
    formula_seconds : float or None
        What it says for this p, n and clock; None if there is no such line.
    messages, nbytes, work : int or None
        Messages, bytes and bytes reduced on the critical path of each term. None if the
        algorithm failed, or for a measured trace.
    counts : mapping of str to int
        As `collectives.count` gives them.
    bounds : mapping of str to int
        As `collectives.study.bounds` gives them; bandwidth and computation in bytes.
    """

    formula: str
    formula_seconds: float | None
    messages: int | None
    nbytes: int | None
    work: int | None
    counts: Mapping[str, int]
    bounds: Mapping[str, int]


@dataclass(frozen=True)
class Setting:
    """What was run, and how.

    Attributes
    ----------
    primitive, algorithm : str
    parameters : mapping
        Of the algorithm.
    p, n, itemsize : int
        Ranks, elements of the whole vector, bytes of an element.
    root : int or None
    counts : tuple of tuple of int
        Elements of each rank's block; in alltoall one row for each rank. Empty where there
        are no blocks.
    operator : str or None
    commutative : bool
    alpha, beta, gamma : float
        The clock.
    groups : tuple of int
        The node of each rank; empty without nodes.
    near : tuple of float
        alpha and beta within a node; empty without nodes.
    eager : int or None
        Bytes up to which messages leave at once; None if all do, -1 if none does.
    late : tuple of float
        Seconds after which each rank begins.
    """

    primitive: str
    algorithm: str
    parameters: Mapping[str, Any]
    p: int
    n: int
    itemsize: int
    root: int | None
    counts: tuple[tuple[int, ...], ...]
    operator: str | None
    commutative: bool
    alpha: float
    beta: float
    gamma: float
    groups: tuple[int, ...]
    near: tuple[float, ...]
    eager: int | None
    late: tuple[float, ...]


@dataclass(frozen=True)
class Trace:
    """What an algorithm did.

    Attributes
    ----------
    origin : str
        `simulated` or `measured`.
    setting : Setting
    summary, text : str
        Of the algorithm's docstring, the first line and all of it.
    sources : tuple of Source
    parts : tuple of Part
        The whole vector, in order.
    values : tuple of tuple of (int, int)
        Contributions: runs of ranks, first and one after the last.
    spoiled : tuple of int
        Numbers into `values`: those that hold unwritten memory or elements of other parts, too.
    ranks : tuple of Rank
    messages : tuple of Message
        In the order in which they left.
    critical : tuple of int
        The messages, one after the other, for which the last rank waited: numbers into `messages`.
    cost : Cost
    failure : Failure or None
    """

    origin: str
    setting: Setting
    summary: str
    text: str
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    values: tuple[tuple[tuple[int, int], ...], ...]
    spoiled: tuple[int, ...]
    ranks: tuple[Rank, ...]
    messages: tuple[Message, ...]
    critical: tuple[int, ...]
    cost: Cost
    failure: Failure | None

    @property
    def title(self) -> str:
        """Full name of the algorithm."""
        return f"{self.setting.primitive}.{self.setting.algorithm}"

    @property
    def time(self) -> float:
        """Seconds until the last rank ended, or came to where it waits."""
        ends = [rank.finished for rank in self.ranks if rank.finished is not None]
        begun = [r.end or r.start for rank in self.ranks for r in rank.rounds]
        return max([*ends, *begun], default=0.0)

    @property
    def beats(self) -> int:
        """How many beats a lock-step animation has."""
        return max([round_.until for rank in self.ranks for round_ in rank.rounds], default=0)

    def contributions(self, value: int) -> tuple[int, ...]:
        """The ranks whose inputs are in a value, in order."""
        return tuple(r for first, stop in self.values[value] for r in range(first, stop))

    def held(self, rank: int, number: int | None = None) -> tuple[tuple[int, ...], ...]:
        """What a rank holds of each part after so many of its rounds: by default, after all.

        Numbers into `values`. A value of which the rank holds more as well is left out.
        """
        number = len(self.ranks[rank].rounds) if number is None else number
        return self._held[rank][number]

    def held_at(self, beat: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """What every rank holds of each part after a beat; 0 is the beginning."""
        return tuple(
            self.held(rank, sum(1 for r in mine.rounds if r.until <= beat and r.end is not None))
            for rank, mine in enumerate(self.ranks)
        )

    @cached_property
    def _held(self) -> list[list[tuple[tuple[int, ...], ...]]]:
        return [list(self._states(rank)) for rank in self.ranks]

    def _states(self, rank: Rank) -> Iterator[tuple[tuple[int, ...], ...]]:
        state: list[tuple[int, ...]] = [()] * len(self.parts)
        for changes in (rank.begin, *[round_.changes for round_ in rank.rounds]):
            for cell in changes:
                state[cell.part] = cell.values
            yield tuple(state)

    def to_json(self) -> dict[str, Any]:
        """The trace as a mapping of plain values, which `json.dumps` takes."""
        return {"format": FORMAT, "version": VERSION, **plain(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trace:
        """The trace that `to_json` has made a mapping of.

        Raises
        ------
        ValueError
            It is none, or of another version.
        """
        found = data.get("format"), data.get("version")
        if found != (FORMAT, VERSION):
            raise ValueError(f"a trace of version {VERSION} is needed, got {found}")
        return restored(cls, data)
