"""A recorded run as Chrome's trace JSON, which Perfetto (ui.perfetto.dev) and Chrome open.

A process is a rank of the world. On its tracks lie its calls, in them their rounds, and in these
the local steps; an arrow is a message. Calls that overlap in time, as nonblocking ones do, are
on tracks of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from os.path import basename
from typing import Any

from collectives.engines.records import Row, Stage
from collectives.study.recorded import Recorded

Event = dict[str, Any]

NANO = 1_000_000_000


def chrome(calls: Sequence[Recorded]) -> dict[str, Any]:
    """Calls as the mapping that such a file holds; the first of them begins at 0."""
    zero = min((call.begin for call in calls), default=0.0)
    page = _Page(zero)
    for call in sorted(calls, key=lambda call: call.begin):
        page.add(call)
    uncertain = max((call.uncertainty for call in calls), default=0.0)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"clocks agree to, in seconds": uncertain},
        "traceEvents": [*page.names(), *page.sorted()],
    }


class _Page:
    """The events, in the making."""

    def __init__(self, zero: float):
        self.zero = zero
        self.free: dict[int, list[int]] = defaultdict(list)  # when each track of a rank is free
        self.events: list[Event] = []
        self.flows = count(1)

    def names(self) -> Iterator[Event]:
        """What the tracks are called."""
        for rank, tracks in sorted(self.free.items()):
            yield _meta("process_name", rank, 0, name=f"rank {rank}")
            yield _meta("process_sort_index", rank, 0, sort_index=rank)
            for track in range(len(tracks)):
                name = "calls" if track == 0 else f"calls beside, {track}"
                yield _meta("thread_name", rank, track, name=name)

    def sorted(self) -> list[Event]:
        """The events in time; of those that begin together, the longest encloses the others."""
        ordered = sorted(self.events, key=lambda event: (event["at"], -event.get("lasts", -1)))
        return [_finished(event) for event in ordered]

    def add(self, call: Recorded) -> None:
        """A call with all that is in it."""
        rounds: list[list[tuple[int, int]]] = []
        tracks = []
        for rank, world in enumerate(call.crew.world):
            begin, end = self._at(call.begins[rank]), self._at(call.ends[rank])
            track = self._track(world, begin, end)
            tracks.append(track)
            self._slice(world, track, call.title, "call", begin, end, _about(call, rank))
            rounds.append(
                [self._round(world, track, *each, (begin, end)) for each in call.rows[rank]]
            )
        for message in call.messages:
            number = next(self.flows)
            for kind, rank, (place, _), time in (
                ("s", message.source, message.sent, message.left),
                ("f", message.dest, message.taken, message.seen),
            ):
                first, last = rounds[rank][place]  # within which an arrow must begin and end
                at = min(max(self._at(time), first), last)
                event = {"ph": kind, "cat": "message", "name": "message", "id": number, "at": at}
                event |= {"pid": call.crew.world[rank], "tid": tracks[rank]}
                self.events.append({**event, "bp": "e"} if kind == "f" else event)

    def _round(
        self, rank: int, track: int, stage: Stage, row: Row, within: tuple[int, int]
    ) -> tuple[int, int]:
        """A round; returns its begin and end."""
        times = map(self._at, (row.start, row.end))
        begin, end = (min(max(time, within[0]), within[1]) for time in times)
        about: dict[str, Any] = {}
        if stage.number:
            about["line"] = f"{basename(stage.file)}:{stage.line}"
        for name, messages in (("sends", stage.sends), ("receives", stage.recvs)):
            if messages:
                about[name] = ", ".join(f"{peer}: {nbytes} B" for peer, nbytes in messages)
        name = f"round {stage.number}" if stage.number else "copies"
        self._slice(rank, track, name, "round", begin, end, about)
        for kind, (first, last) in zip(stage.steps, row.steps, strict=True):
            first, last = (min(max(time, begin), end) for time in map(self._at, (first, last)))
            self._slice(rank, track, kind, "step", first, last, {})
        return begin, end

    def _slice(
        self, rank: int, track: int, name: str, kind: str, begin: int, end: int, about: Event
    ) -> None:
        event = {"ph": "X", "cat": kind, "name": name, "pid": rank, "tid": track, "args": about}
        self.events.append({**event, "at": begin, "lasts": end - begin})

    def _track(self, rank: int, begin: int, end: int) -> int:
        """A track of a rank on which nothing else lies at that time."""
        free = self.free[rank]
        for track, since in enumerate(free):
            if since <= begin:
                free[track] = end
                return track
        free.append(end)
        return len(free) - 1

    def _at(self, time: float) -> int:
        return round((time - self.zero) * NANO)


def _about(call: Recorded, rank: int) -> dict[str, Any]:
    sketch = call.sketches[rank]
    about = {"n": sketch.n * sketch.itemsize, "ranks": call.p, "form": call.calls[rank].form}
    about |= {"root": sketch.root} if sketch.root is not None else {}
    return about | ({"for": sketch.within} if sketch.within else {})


def _meta(kind: str, rank: int, track: int, **args: Any) -> Event:
    return {"ph": "M", "name": kind, "pid": rank, "tid": track, "args": args}


def _finished(event: Event) -> Event:
    """Times as the format has them: microseconds."""
    event = {**event, "ts": event.pop("at") / 1000}
    if "lasts" in event:
        event["dur"] = event.pop("lasts") / 1000
    return event
