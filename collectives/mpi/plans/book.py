"""What this process records: its last calls, kept in memory and written when MPI ends."""

from __future__ import annotations

import json
import math
import os
import warnings
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from mpi4py import MPI

from collectives.engines.plain import plain
from collectives.engines.records import FORMAT, PREFIX, SUFFIX, VERSION, Crew, Sketch
from collectives.errors import ArgumentError

MOST_BYTES = 64 * 2**20  # of calls that are kept, roughly; the oldest make room
ENTRY_BYTES, STAGE_BYTES = 400, 500  # what a call, and a stage of a plan, take besides


class Entry(NamedTuple):
    """A call: see `collectives.engines.records.Call`."""

    crew: int
    sketch: Sketch
    key: str
    form: str
    failed: bool
    times: array


class Book:
    """The calls of this process.

    Parameters
    ----------
    directory : str
        It is made if it does not exist; a file of an earlier run of this rank is replaced.

    Attributes
    ----------
    dropped : int
        Calls for which there was no room.

    Raises
    ------
    OSError
    """

    def __init__(self, directory: str):
        self.rank = MPI.COMM_WORLD.Get_rank()
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{PREFIX}{self.rank}{SUFFIX}"
        self.calls: deque[Entry] = deque()
        self.dropped = 0
        self._crews: list[Callable[[], Crew]] = []
        self._uses: Counter[int] = Counter()  # of the sketches, by id
        self._nbytes = 0
        self._lock = Lock()
        self.path.write_text(self._line("header", self._header()), encoding="utf-8")

    def add_crew(self, crew: Callable[[], Crew]) -> int:
        """Record calls of a communicator, too; its number. It is asked for in the end."""
        with self._lock:
            self._crews.append(crew)
            return len(self._crews) - 1

    def add(self, entry: Entry) -> None:
        """Keep a call; the oldest ones make room."""
        with self._lock:
            self.calls.append(entry)
            self._count(entry, 1)
            while self._nbytes > MOST_BYTES:
                self._count(self.calls.popleft(), -1)
                self.dropped += 1

    def _count(self, entry: Entry, one: int) -> None:
        key = id(entry.sketch)
        shared = self._uses[key] + min(one, 0)  # how many others have the sketch
        self._uses[key] += one
        if not self._uses[key]:
            del self._uses[key]
        sketch = 0 if shared else STAGE_BYTES * (1 + len(entry.sketch.stages))
        self._nbytes += one * (entry.times.itemsize * len(entry.times) + ENTRY_BYTES + sketch)

    def write(self) -> None:
        """Write all there is: the run is over."""
        with self.path.open("w", encoding="utf-8") as file:
            file.writelines(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self._line("header", self._header())
        for crew in self._crews:
            yield self._line("crew", plain(crew()))
        numbers: dict[int, int] = {}
        for entry in self.calls:
            if id(entry.sketch) not in numbers:
                numbers[id(entry.sketch)] = len(numbers)
                yield self._line("sketch", plain(entry.sketch))
            call = entry._asdict()
            times = [None if math.isnan(time) else time for time in entry.times]
            yield self._line("call", {**call, "sketch": numbers[id(entry.sketch)], "times": times})
        yield self._line("end", {"dropped": self.dropped})

    def _header(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "rank": self.rank}

    @staticmethod
    def _line(kind: str, content: Any) -> str:
        return json.dumps({kind: content}) + "\n"


def book_in(directory: str) -> Book:
    """The book of this process in a directory.

    Raises
    ------
    ArgumentError
        It cannot be written.
    """
    try:
        return _book(os.path.realpath(directory))
    except OSError as error:
        raise ArgumentError(
            f"trace: a directory that can be written is needed, got {directory!r} "
            f"({error.strerror}); choose another"
        ) from None


@cache
def _book(directory: str) -> Book:
    book = Book(directory)
    _BOOKS.append(book)
    return book


def write_books() -> None:
    """Write all that this process has recorded."""
    for book in _BOOKS:
        try:
            book.write()
        except OSError as error:
            warnings.warn(f"trace: {book.path} could not be written ({error})", stacklevel=1)


_BOOKS: list[Book] = []
