"""The tracer: the simulator, which also notes what each rank does and what lies where.

One run gives times and holdings, so they cannot disagree.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from collectives import algorithms
from collectives.algorithms.language.registry import Algorithm
from collectives.algorithms.language.steps import Local, decode, encode, reduce
from collectives.engines.driver import Message, Round, views_of
from collectives.engines.postings import Posting
from collectives.engines.simulator import Simulator
from collectives.engines.trace import Place
from collectives.errors import ScheduleError
from collectives.problems import Buffers, Problem
from collectives.study.holdings import Ledger, Packet, Piece, Store, Vessel, unpacked
from collectives.study.layout import Layout

Ranges = list[tuple[Vessel, int, int]]

ALGORITHMS = Path(algorithms.__file__).parent

# A tuple of so many numbers is still a variable to be shown.
SHORT = 8


class MessageNote:
    """What is known of a message."""

    def __init__(self, source: RoundNote, message: Message, reads: Ranges, pieces: list[Piece]):
        self.message = message  # kept, so that its id stays its own
        self.source = source
        self.target: RoundNote | None = None
        self.reads, self.pieces = reads, pieces
        self.writes: Ranges = []
        self.beat = source.beat
        self.sent: Posting | None = None  # the simulator's own: it lacks what is not known yet
        self.at_once = False  # it left before it had met its recv

    @property
    def left(self) -> float | None:
        """When it began to pass the port out."""
        return getattr(self.sent, "start", None)

    @property
    def passed(self) -> float:
        """When it had passed the port out; one that has not left never has."""
        passed = getattr(self.sent, "passed", None)
        return math.inf if passed is None else passed

    @property
    def arrived(self) -> float | None:
        """When it had come in."""
        return getattr(self.sent, "arrived", None)

    @property
    def taken(self) -> float | None:
        """When the destination's CPU had taken it."""
        return getattr(self.sent, "taken", None)

    @property
    def cost(self) -> float:
        """How long it keeps a port busy by itself."""
        return getattr(self.sent, "cost", 0.0)


class StepNote:
    """What is known of a local step."""

    def __init__(self, kind: str, reads: list[Ranges], writes: Ranges, pieces: list[Piece]):
        self.kind, self.reads, self.writes, self.pieces = kind, reads, writes, pieces
        self.start = self.end = 0.0


class RoundNote:
    """What is known of a round."""

    def __init__(self, rank: int, number: int, beat: int, start: float):
        self.rank, self.number, self.start = rank, number, start
        self.beat = self.until = beat
        self.end: float | None = None
        self.places: list[Place] = []
        self.variables: dict[str, Any] = {}
        self.sends: list[MessageNote] = []
        self.recvs: list[MessageNote] = []
        self.steps: list[StepNote] = []
        self.lost: list[Piece] = []  # what was in the memory that was written
        self.gained: list[Piece] = []  # and what is there now


class Tracer(Simulator):
    """Run an algorithm and note everything.

    Parameters
    ----------
    algorithm : Algorithm
    problem : Problem
    parameters : mapping
        Of the algorithm.
    **options
        Of the simulator.
    """

    def __init__(self, algorithm: Algorithm, problem: Problem, parameters: Any, **options: Any):
        self.problem, self.layout, self.ledger = problem, Layout(problem), Ledger()
        self.stores = [Store(self.ledger) for _ in range(problem.p)]
        self.buffers = [self._buffers(rank) for rank in range(problem.p)]
        self.begin = [store.contents() for store in self.stores]
        self.rounds: list[list[RoundNote]] = [[] for _ in range(problem.p)]
        self.messages: list[MessageNote] = []
        self.flying: dict[int, MessageNote] = {}
        self.functions: dict[tuple[str, str, int], Any] = {}  # whose lines have been seen
        self.twice: RoundNote | None = None
        self.at = 0

        def program(rank: int):
            return problem.start(algorithm, rank, self.buffers[rank], parameters)

        super().__init__(
            str(algorithm), problem.p, program, problem.operator, phantom=True, **options
        )

    def _buffers(self, rank: int) -> Buffers:
        """The buffers of a rank, the input filled with its contributions."""
        problem, store = self.problem, self.stores[rank]
        if problem.primitive == "barrier":
            news = store.vector("news", 1, np.dtype(np.uint8)).vessel
            news.write(0, Piece(1, 0, self.ledger.number(((0, rank, rank + 1),))), 0)
            store.given = 1
            return Buffers(None, None)
        bcast = problem.primitive == "bcast"
        sizes = {"sendbuf": problem.send_size(rank), "recvbuf": problem.recv_size(rank)}
        names = [name for name, size in sizes.items() if size is not None]
        if bcast:
            names, sizes["buf"] = ["buf"], problem.size
        made = {name: store.vector(name, sizes[name] or 0, problem.dtype) for name in names}
        store.given = len(made)
        full = "buf" if bcast and rank == problem.root else "sendbuf"
        if full in made:
            vessel = made[full].vessel
            pieces = self.ledger.laid(self.layout.input(rank), problem.dtype.itemsize)
            store.write([(vessel, 0, vessel.nbytes)], pieces, 0)
            vessel.fixed = not bcast
        return Buffers(made.get("sendbuf"), made.get("buf" if bcast else "recvbuf"))

    # What the simulator does, and what is noted of it.

    def _advance(self, now: float, number: int) -> None:
        self.at, before = number, len(self.rounds[number])
        try:
            super()._advance(now, number)
        except Exception:
            if len(self.rounds[number]) == before and self.ranks[number].process.frames():
                self._new_round(self.ranks[number], now)  # the yield at which it went wrong
            raise

    def _start(self, rank: Any, round_: Round) -> None:
        note = self._new_round(rank, rank.now)
        me = note.rank
        for message in round_.sends:
            reads = self._ranges(me, message.views)
            pieces = self.stores[me].read(reads)
            if self.problem.primitive == "barrier":
                pieces = list(self.stores[me].vessels[0].read(0, 1))
            sending = MessageNote(note, message, reads, pieces)
            self.flying[id(message)] = sending
            note.sends.append(sending)
            self.messages.append(sending)
        super()._start(rank, round_)

    def _leave(self, sent: Any) -> None:
        super()._leave(sent)
        note = self.flying[id(sent)]
        note.sent, note.at_once = sent, True

    def _match(self, sent: Any, posted: Any) -> None:
        if sent.nbytes == posted.nbytes:
            note = self.flying.pop(id(sent))
            me = posted.rank.process.rank
            self._deliver(note, self.rounds[me][-1], posted)
            note.sent = sent
        super()._match(sent, posted)

    def _deliver(self, note: MessageNote, target: RoundNote, message: Message) -> None:
        note.target = target
        note.beat = max(note.source.beat, target.beat)
        target.until = max(target.until, note.beat)
        if note.message.nbytes > self.eager:
            note.source.until = max(note.source.until, note.beat)
        target.recvs.append(note)
        note.writes = self._ranges(target.rank, message.views, written="recv")
        if self.problem.primitive == "barrier":
            self._hear(target, note.pieces[0])
        else:
            self._write(target, note.writes, note.pieces)

    def _write(self, note: RoundNote, writes: Ranges, pieces: list[Piece]) -> None:
        store = self.stores[note.rank]
        note.lost += store.read(writes)
        note.gained += pieces
        store.write(writes, pieces, note.number)

    def _hear(self, target: RoundNote, news: Piece) -> None:
        """The destination has heard of all of whom the source has heard."""
        vessel = self.stores[target.rank].vessels[0]
        [mine] = vessel.read(0, 1)
        known = self.ledger.known
        heard = {
            rank
            for _, first, stop in known[mine.history] + known[news.history]
            for rank in range(first, stop)
        }
        known_now = Piece(1, 0, self.ledger.heard(sorted(heard)))
        self._write(target, [(vessel, 0, 1)], [known_now])

    def _end(self, rank: Any) -> None:
        note = self.rounds[rank.process.rank][-1]
        super()._end(rank)
        note.end = rank.ends

    def _work(self, rank: Any, step: Local) -> None:
        me, start = rank.process.rank, rank.ends
        super()._work(rank, step)
        store, note = self.stores[me], self.rounds[me][-1]
        reads = [self._ranges(me, [view]) for view in step.read]
        if not isinstance(step, reduce):
            reads = [[each for ranges in reads for each in ranges]]
        writes = self._ranges(me, views_of(step.written), written=type(step).__name__)
        pieces = self._made(step, [store.read(ranges) for ranges in reads], writes)
        self._write(note, writes, pieces)
        noted = StepNote(type(step).__name__, reads, writes, pieces)
        noted.start, noted.end = start, rank.ends
        note.steps.append(noted)
        if isinstance(step, reduce) and self.twice is None and self._doubled(pieces):
            self.twice = note

    def _made(self, step: Local, read: list[list[Piece]], writes: Ranges) -> list[Piece]:
        """What a step leaves where it writes."""
        if isinstance(step, reduce):
            return self.ledger.join(*read)
        if isinstance(step, encode):
            nbytes = sum(stop - start for _, start, stop in writes)
            return [Piece(nbytes, 0, 0, Packet(read[0]))]
        return unpacked(read[0]) if isinstance(step, decode) else read[0]

    def _doubled(self, pieces: Iterable[Piece]) -> bool:
        return any(self.ledger.doubled(piece.history) for piece in pieces)

    # Notes.

    def _new_round(self, rank: Any, now: float) -> RoundNote:
        me = rank.process.rank
        before = self.rounds[me]
        note = RoundNote(me, len(before) + 1, before[-1].until + 1 if before else 1, now)
        frames = rank.process.frames()
        for frame in frames:
            code = frame.f_code
            place = Place(short_name(code.co_filename), frame.f_lineno, code.co_name)
            note.places.insert(0, place)
            self.functions.setdefault((place.file, place.function, code.co_firstlineno), code)
        note.variables = _numbers(frames[-1].f_locals) if frames else {}
        before.append(note)
        return note

    def _ranges(self, me: int, views: Sequence[np.ndarray], written: str = "") -> Ranges:
        process, number = self.ranks[me].process, len(self.rounds[me])
        if any(view.nbytes and view.start < 0 for view in views):  # type: ignore[attr-defined]
            process.fail(
                "a step needs contiguous views",
                "some with gaps",
                "a slice may have no stride, as in buf[::2]; send a list of views",
            )
        found = self.stores[me].ranges(views, number)
        if written and any(vessel.fixed for vessel, _, _ in found):
            process.fail(
                f"{written} needs writable memory",
                "sendbuf, read-only",
                "sendbuf must stay as it is: copy it to scratch(sendbuf), and work there",
            )
        return found

    # The end.

    def run_to_failure(self) -> Exception | None:
        """Run to the end, or to what goes wrong: an error of the page or of its schedule."""
        try:
            self.run()
        except ScheduleError as error:
            self._take_in()
            return error
        return None

    def _take_in(self) -> None:
        """Note what has come to ranks that wait for something else."""
        for rank in self.ranks:
            if rank.arrivals:
                self.wires.receive(rank)


@cache
def short_name(file: str) -> str:
    """A file's name as a reader knows it: from `algorithms/` on, or from the current folder."""
    path = Path(file)
    if path.is_relative_to(ALGORITHMS):
        return str(Path("algorithms") / path.relative_to(ALGORITHMS))
    relative = os.path.relpath(path)
    return path.name if relative.startswith(os.pardir) else relative


def _numbers(variables: dict[str, Any]) -> dict[str, Any]:
    """Those of them that are numbers or short tuples of numbers, as Python's own."""
    found = {}
    for name, value in variables.items():
        if isinstance(value, tuple) and len(value) <= SHORT and all(map(_is_number, value)):
            found[name] = tuple(_number(each) for each in value)
        elif _is_number(value):
            found[name] = _number(value)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
