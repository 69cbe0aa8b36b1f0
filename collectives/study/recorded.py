"""A recorded run: the files of its ranks put together, on one clock."""

from __future__ import annotations

import json
import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from collectives.engines import records
from collectives.engines.plain import restored
from collectives.engines.records import (
    FORMAT,
    PREFIX,
    SUFFIX,
    VERSION,
    Call,
    Crew,
    Offset,
    Row,
    Sketch,
    Stage,
)
from collectives.errors import ArgumentError

# Its place, its bytes, when it left, and when the sender saw that.
Sending = tuple[tuple[int, int], int, float, float]

KINDS: dict[str, Any] = {"crew": Crew, "sketch": Sketch, "call": Call}


@dataclass
class Process:
    """What one process has written."""

    rank: int
    crew: list[Crew] = field(default_factory=list)
    sketch: list[Sketch] = field(default_factory=list)
    call: list[Call] = field(default_factory=list)
    dropped: int = 0


class Clock(NamedTuple):
    """From the seconds of one clock to those of another."""

    scale: float
    shift: float

    def __call__(self, time: float) -> float:
        return self.scale * time + self.shift

    def then(self, other: Clock) -> Clock:
        """First this one, then another."""
        return Clock(self.scale * other.scale, other(self.shift))

    def back(self) -> Clock:
        """The other way round."""
        return Clock(1 / self.scale, -self.shift / self.scale)


SAME = Clock(1.0, 0.0)


@dataclass(frozen=True)
class Passage:
    """A message: the places of its ends, and their moments.

    Attributes
    ----------
    source, dest, nbytes : int
    sent, taken : (int, int)
        The stage, and its place among the messages that are sent, or received, there.
    left, seen : float
        When it was sent, and when the receiver saw that it had come.
    out : float
        When the sender saw that its send had ended: of a long message, when somebody took it.
    """

    source: int
    dest: int
    nbytes: int
    sent: tuple[int, int]
    taken: tuple[int, int]
    left: float
    seen: float
    out: float


class Recorded:
    """A call on all ranks.

    Parameters
    ----------
    crew : Crew
        On rank 0.
    calls : sequence of Call
        Of each rank.
    sketches : sequence of Sketch
    clocks : sequence of Clock
        From each rank's clock to the common one.
    uncertainty : float
        Of these, in seconds.
    """

    def __init__(
        self,
        crew: Crew,
        calls: Sequence[Call],
        sketches: Sequence[Sketch],
        clocks: Sequence[Clock],
        uncertainty: float,
    ):
        self.crew, self.calls, self.sketches, self.clocks = crew, calls, sketches, clocks
        self.uncertainty = uncertainty
        self.p = len(calls)
        self.times = [
            [math.nan if time is None else clock(time) for time in call.times]
            for call, clock in zip(calls, clocks, strict=True)
        ]
        self.begins = [times[records.BEGIN] for times in self.times]
        self.ends = [times[records.END] for times in self.times]
        self.begin = min(self.begins)

    @property
    def title(self) -> str:
        sketch = self.sketches[0]
        return f"{sketch.primitive}.{sketch.algorithm}"

    @property
    def seconds(self) -> float:
        """From the first rank's begin to the last one's end."""
        return max(self.ends) - self.begin

    @property
    def failed(self) -> bool:
        return any(call.failed for call in self.calls)

    @cached_property
    def rows(self) -> list[list[tuple[Stage, Row]]]:
        """The stages of each rank with their moments."""
        return [list(records.rows(*each)) for each in zip(self.sketches, self.times, strict=True)]

    @cached_property
    def messages(self) -> list[Passage]:
        """Its messages; those between two ranks match in order.

        Raises
        ------
        ArgumentError
            What was sent is not what was received.
        """
        sent: dict[tuple[int, int], deque[Sending]] = defaultdict(deque)
        found = []
        for rank, mine in enumerate(self.rows):
            for number, (stage, row) in enumerate(mine):
                for place, (dest, nbytes) in enumerate(stage.sends):
                    end = (number, place), nbytes, *row.sends[place]
                    sent[rank, dest].append(end)
        for rank, mine in enumerate(self.rows):
            for number, (stage, row) in enumerate(mine):
                for place, (source, nbytes) in enumerate(stage.recvs):
                    there = sent[source, rank].popleft() if sent[source, rank] else None
                    if there is None or there[1] != nbytes:
                        raise _mixed(f"messages from {source} to {rank} that do not match")
                    sent_at, _, left, out = there
                    taken, seen = (number, place), row.recvs[place][1]
                    ends = sent_at, taken, left, seen, out
                    found.append(Passage(source, rank, nbytes, *ends))
        if any(sent.values()):
            raise _mixed("messages that nobody has received")
        return found


class Run:
    """A recorded run.

    Parameters
    ----------
    directory : path
        With the files of all ranks.

    Attributes
    ----------
    calls : list of Recorded
        Those of which all ranks have kept what they noted, in the order in which they began.
    dropped : int
        How many others some rank has noted.

    Raises
    ------
    ArgumentError
        There are no such files, not those of all ranks, or not those of one run.
    """

    def __init__(self, directory: str | Path):
        self.processes = _read(Path(directory))
        self._check()
        self.clocks = self._clocks()
        self.calls = sorted(self._matched(), key=lambda call: call.begin)
        kept = sum(call.p for call in self.calls)
        noted = sum(len(each.call) + each.dropped for each in self.processes.values())
        self.dropped = noted - kept

    def _check(self) -> None:
        names = {
            rank: {crew.name for crew in process.crew} for rank, process in self.processes.items()
        }
        for process in self.processes.values():
            for crew in process.crew:
                for rank in crew.world:
                    if rank not in names:
                        raise ArgumentError(
                            f"explain: --from needs the files of all {len(crew.world)} ranks, got "
                            f"none of rank {rank}; copy it there, or record the run again"
                        )
                    if crew.name not in names[rank]:
                        raise _mixed(f"those of ranks {process.rank} and {rank} of different runs")

    def _clocks(self) -> dict[int, Clock]:
        """From each process's clock to that of the first; large communicators come first."""
        all_crews = [crew for process in self.processes.values() for crew in process.crew]
        worlds = {crew.name: crew.world for crew in all_crews}
        crews = sorted(worlds.items(), key=lambda crew: -len(crew[1]))
        clocks: dict[int, Clock] = {}
        while len(clocks) < len(self.processes):
            new = next((crew for crew in crews if _is_edge(crew[1], clocks)), None)
            if new is None:
                first = min(set(self.processes) - set(clocks))
                clocks[first] = SAME
                continue
            name, world = new
            own = [_clock(self._crew(rank, name).offsets) for rank in world]
            known = next(place for place, rank in enumerate(world) if rank in clocks)
            root = own[known].back().then(clocks[world[known]])
            for rank, clock in zip(world, own, strict=True):
                clocks.setdefault(rank, clock.then(root))
        return clocks

    def _crew(self, rank: int, name: int) -> Crew:
        return next(crew for crew in self.processes[rank].crew if crew.name == name)

    def _matched(self) -> Iterator[Recorded]:
        found: dict[tuple[int, str], dict[int, tuple[Crew, Call, Sketch]]] = defaultdict(dict)
        for process in self.processes.values():
            for call in process.call:
                crew = process.crew[call.crew]
                noted = crew, call, process.sketch[call.sketch]
                found[crew.name, call.key][crew.rank] = noted
        for ranks in found.values():
            crew = next(iter(ranks.values()))[0]
            if len(ranks) < len(crew.world):
                continue
            crews, calls, sketches = zip(*(ranks[rank] for rank in range(len(ranks))), strict=True)
            if len({(each.primitive, each.algorithm) for each in sketches}) > 1:
                raise _mixed("ranks that made different calls")
            clocks = [self.clocks[rank] for rank in crew.world]
            uncertain = max(_uncertainty(each.offsets) for each in crews)
            yield Recorded(crews[0], calls, sketches, clocks, uncertain)


def _is_edge(world: Sequence[int], clocks: Mapping[int, Clock]) -> bool:
    """Whether the clocks of some ranks are known, and those of others not."""
    known = sum(1 for rank in world if rank in clocks)
    return 0 < known < len(world)


def _clock(offsets: Sequence[Offset]) -> Clock:
    """From a rank's clock to that of rank 0.

    Where nothing contradicts that the clocks are the same, as those of one machine are, they are.
    """
    if _agree(offsets):
        return SAME
    first, *rest = [(x.at, x.seconds) for x in offsets]
    if not rest or rest[-1][0] <= first[0]:
        return Clock(1.0, -first[1])
    drift = (rest[-1][1] - first[1]) / (rest[-1][0] - first[0])
    return Clock(1.0 - drift, drift * first[0] - first[1])


def _agree(offsets: Sequence[Offset]) -> bool:
    return all(abs(each.seconds) <= each.uncertainty for each in offsets)


def _uncertainty(offsets: Sequence[Offset]) -> float:
    """How far a rank's clock may be off: by each measurement, unless all say that it is right."""
    return (min if _agree(offsets) else max)(each.uncertainty for each in offsets)


def _read(directory: Path) -> dict[int, Process]:
    if not directory.is_dir():
        raise ArgumentError(
            f"explain: --from needs a directory that a run has recorded, got {directory}; "
            f"start the run with COLLECTIVES_TRACE={directory}"
        )
    files = sorted(directory.glob(f"{PREFIX}*{SUFFIX}"))
    if not files:
        raise ArgumentError(
            f"explain: --from needs a directory with {PREFIX}0{SUFFIX} and so on, got {directory} "
            f"without; start a run with COLLECTIVES_TRACE={directory}"
        )
    processes = [_process(file) for file in files]
    return {process.rank: process for process in sorted(processes, key=lambda x: x.rank)}


def _process(file: Path) -> Process:
    process, ended, number = Process(-1), False, 0
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            number += 1
            [(kind, content)] = json.loads(line).items()
            if kind == "header":
                found = content["format"], content["version"]
                if found != (FORMAT, VERSION):
                    raise ArgumentError(
                        f"explain: --from needs files of version {VERSION}, got {file.name} of "
                        f"{found[1]}; record the run again"
                    )
                process.rank = content["rank"]
            elif kind == "end":
                process.dropped, ended = content["dropped"], True
            else:
                getattr(process, kind).append(restored(KINDS[kind], content))
    except OSError as error:
        raise ArgumentError(
            f"explain: --from needs files that can be read, got {file} ({error.strerror}); "
            "choose another directory"
        ) from None
    except ArgumentError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _torn(file, f"is broken in line {number}") from None
    if not ended:
        raise _torn(file, f"ends after line {number}, without its end")
    return process


def _torn(file: Path, what: str) -> ArgumentError:
    return ArgumentError(
        f"explain: --from needs files of a run that came to its end, got {file.name}, which "
        f"{what}; record the run again"
    )


def _mixed(got: str) -> ArgumentError:
    return ArgumentError(
        f"explain: --from needs the files of one run, got {got}; record it into a new directory"
    )
