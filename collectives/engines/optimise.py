"""What a plan need not do: copies that need not happen, and detours through scratch memory.

An algorithm's page says what the textbook says: copy the input to the output, then
exchange and add. Much of that is there for the reader. A recorded plan shows all that will
ever happen to the memory of a rank, so that here can be decided what has to::

    page                                        plan
    copy      sendbuf -> recvbuf
    send      block 0 of recvbuf                send      block 0 of sendbuf
    recv      scratch                           recv      block 1 of recvbuf
    reduce    scratch + block 1 of recvbuf      reduce    block 1 of recvbuf + of sendbuf
              -> block 1 of recvbuf                       -> block 1 of recvbuf

Forward through the plan, whoever reads what a copy has written reads the copy's source
instead, as long as neither has been written since (`Sources`). Backward, what nobody
reads any more need not be copied (`Needed`), and a message may arrive where the sum or
the copy that is made of it will lie, if nothing else is there (`Clearing`).

Messages stay what they are, and so do the reductions, their number and the order of their
operands. No memory is written that the page does not write, and a round that has nothing
left to do stays where it was, so that the others keep their numbers.
"""

from __future__ import annotations

import operator as comparing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.steps import Local, copy, encode, reduce
from collectives.engines.driver import Message, Round, misplaced, views_of
from collectives.engines.packing import pieces
from collectives.engines.places import Places, Spans, UnknownMemory
from collectives.engines.plan import Plan
from collectives.operators.operator import Operator


def optimise(plan: Plan, given: Sequence[np.ndarray], operator: Operator) -> Plan:
    """A plan that leaves the same in the buffers of a call, with less work.

    Parameters
    ----------
    plan : Plan
        Of real memory: there is nothing to save on phantoms. It stays as it is, and so
        does the result if the plan has views of memory that is neither given nor its own.
    given : sequence of numpy.ndarray
        The buffers of the call: what lies in them in the end counts. All other memory is
        scratch, and nobody looks at it afterwards.
    operator : Operator
        What `reduce` does.
    """
    if not any(round_.local for round_ in plan.rounds):
        return plan
    try:
        places = Places(given)
        forward = Propagation(places, operator)
        rounds = [forward.round(round_) for round_ in plan.rounds]
        backward = Clearing(places, operator)
        rounds = [backward.round(round_) for round_ in reversed(rounds)]
    except UnknownMemory:
        return plan
    return Plan(plan.title, rounds[::-1], plan.lines)


# The source and the target of a copy.
Pair = tuple[np.ndarray, np.ndarray]


class Copied(NamedTuple):
    """How part of a buffer was written: when, and if by a copy, from where.

    Attributes
    ----------
    when : int
        Writes are counted.
    start : int
        The first byte that was written.
    source : numpy.ndarray or None
        What has been copied there.
    """

    when: int
    start: int
    source: np.ndarray | None


class Sources:
    """Where else what lies in a place can be read."""

    def __init__(self, places: Places):
        self._places = places
        self._written: dict[int, Spans] = defaultdict(Spans)
        self._writes = 0

    def write(self, view: np.ndarray, source: np.ndarray | None = None) -> None:
        """Something else is in the view from now on: a copy of `source`, if there is one."""
        place = self._places.of(view)
        if place is not None:
            self._writes += 1
            fact = Copied(self._writes, place.start, source)
            self._written[place.buffer].put(place.start, place.stop, fact)

    def of(self, view: np.ndarray) -> np.ndarray:
        """The part of a copy's source that still has what the view has; else the view itself.

        What belongs together in one is not looked for in parts of several, and a view must
        see the elements that were copied: of their type, and none of them cut.
        """
        place = self._places.of(view)
        if place is None:
            return view
        found = self._written[place.buffer].within(place.start, place.stop)
        if len(found) != 1 or found[0][:2] != (place.start, place.stop):
            return view
        _, start, source = copied = found[0][2]
        if source is None or source.dtype != view.dtype:
            return view
        first, cut = divmod(place.start - start, view.itemsize)
        origin = source[first : first + view.size]
        return view if cut or self._changed(origin, copied) else origin

    def _changed(self, source: np.ndarray, copied: Copied) -> bool:
        """Whether a source has been written since it was copied."""
        place = self._places.of(source)
        assert place is not None
        later = self._written[place.buffer].within(place.start, place.stop)
        return any(written.when > copied.when for _, _, written in later)


class Propagation:
    """Forward through a plan: read from the sources of copies.

    Parameters
    ----------
    places : Places
    operator : Operator
    """

    def __init__(self, places: Places, operator: Operator):
        self._places = places
        self._operator = operator
        self._sources = Sources(places)

    def round(self, round_: Round) -> Round:
        """The round with its views replaced."""
        sends = self._sends(round_)
        for message in round_.recvs:
            for view in message.views:
                self._sources.write(view)
        return Round(sends, round_.recvs, [x for step in round_.local for x in self._local(step)])

    def _sends(self, round_: Round) -> list[Message]:
        """Its messages from where their views were copied from, in no more pieces.

        Where a message of the round lands none is read.
        """
        sends = []
        landing: Occupied | None = None
        for message in round_.sends:
            views = tuple([self._sources.of(view) for view in message.views])
            if any(map(comparing.is_not, views, message.views)):
                landing = landing or Occupied(self._places, _views(round_.recvs))
                more = self._pieces(views) > self._pieces(message.views)
                if not more and not any(map(landing.meets, views)):
                    message = Message(views, message.peer)
            sends.append(message)
        return sends

    def _pieces(self, views: Sequence[np.ndarray]) -> int:
        """In how many pieces they lie, neighbours in one."""
        found = [place for view in views if (place := self._places.of(view))]
        joined = [a.buffer == b.buffer and a.stop == b.start for a, b in pairwise(found)]
        return len(found) - sum(joined)

    def _local(self, step: Local) -> Iterator[Local]:
        if isinstance(step, copy):
            yield from self._copy(step)
        elif isinstance(step, reduce):
            yield from self._reduce(step)
        else:
            if isinstance(step, encode):
                step = self._encode(step)
            self._sources.write(step.written)
            yield step

    def _copy(self, step: copy) -> Iterator[copy]:
        """The copy from where its own source was copied from, piece by piece."""
        pairs = list(pieces(views_of(step.src), views_of(step.dst)))
        moved = self._elsewhere([(self._sources.of(source), target) for source, target in pairs])
        targets = Occupied(self._places, [target for _, target in pairs])
        if not any(targets.meets(source) for source, _ in moved):
            pairs = moved
        for source, target in self._elsewhere(pairs):
            self._sources.write(target, source)
        if pairs := self._elsewhere(pairs):
            yield _copy_of(pairs)

    def _elsewhere(self, pairs: list[Pair]) -> list[Pair]:
        """Those of which both are not the same memory."""
        return [(a, b) for a, b in pairs if self._places.of(a) != self._places.of(b)]

    def _encode(self, step: encode) -> encode:
        source = self._sources.of(step.src)
        clash = np.may_share_memory(source, step.packet)
        return step if clash else encode(source, step.packet, step.codec)

    def _reduce(self, step: reduce) -> Iterator[Local]:
        """The reduction of operands that lie elsewhere, as far as the rules allow.

        A function of the user may write to what it is given: the copy protects the source.
        """
        operands, out = [step.inbuf, step.inoutbuf], step.out
        for i, operand in enumerate(operands if not self._operator.foreign else ()):
            operands[i] = self._sources.of(operand)
            if misplaced(reduce(*operands, out)):
                operands[i] = operand
        if self._is_slow(operands, out):
            result = scratch(out)
            self._sources.write(result)
            yield reduce(*operands, result)
            yield from self._copy(copy(result, out))
        else:
            self._sources.write(out)
            yield reduce(*operands, out)

    def _is_slow(self, operands: list[np.ndarray], out: np.ndarray) -> bool:
        """Whether this is a single element in place: numpy's ufuncs take thrice as long."""
        single = out.size == 1 and not self._operator.into_right
        return single and any(np.may_share_memory(operand, out) for operand in operands)


class Needed:
    """What of the memory will still be read, seen from some step of a plan on.

    In the end that is what lies in the buffers of the call.
    """

    def __init__(self, places: Places):
        self._places = places
        self._spans: dict[int, Spans] = defaultdict(Spans)
        for buffer, start, stop in places.given:
            self._spans[buffer].put(start, stop, True)

    def read(self, view: np.ndarray) -> None:
        """Before a step that reads the view."""
        if place := self._places.of(view):
            self._spans[place.buffer].put(place.start, place.stop, True)

    def write(self, view: np.ndarray) -> None:
        """Before a step that writes all of the view."""
        if place := self._places.of(view):
            self._spans[place.buffer].forget(place.start, place.stop)

    def parts(self, view: np.ndarray) -> list[slice]:
        """Which elements of the view are needed."""
        place = self._places.of(view)
        if place is None:
            return []
        found = self._spans[place.buffer].within(place.start, place.stop)
        begin, item = place.start, view.itemsize  # a part of an element needs all of it
        return [slice((a - begin) // item, -((begin - b) // item)) for a, b, _ in found]


class Clearing:
    """Backward through a plan: leave out what nobody reads, and take the shorter way.

    Parameters
    ----------
    places : Places
    operator : Operator
    """

    def __init__(self, places: Places, operator: Operator):
        self._places = places
        self._operator = operator
        self._needed = Needed(places)

    def round(self, round_: Round) -> Round:
        """The round without the copies that are not needed, its messages where they may land."""
        landing, local = Landing(self._places, round_), []
        for index in reversed(range(len(round_.local))):
            step = self._step(round_.local[index], index, landing)
            if step is not None:
                local.append(step)
        for message in landing.recvs:
            for view in message.views:
                self._needed.write(view)
        for view in _views(round_.sends):
            self._needed.read(view)
        return Round(round_.sends, landing.recvs, local[::-1])

    def _step(self, step: Local, index: int, landing: Landing) -> Local | None:
        if isinstance(step, copy):
            return self._copy(step, index, landing)
        if isinstance(step, reduce):
            step = self._reduce(step, index, landing)
        self._needed.write(step.written)
        for view in step.read:
            self._needed.read(view)
        return step

    def _copy(self, step: copy, index: int, landing: Landing) -> copy | None:
        """What is needed of a copy; None if it is nothing, or a message can bring it."""
        pairs = list(pieces(views_of(step.src), views_of(step.dst)))
        kept = [(s[part], t[part]) for s, t in pairs for part in self._needed.parts(t)]
        single = len(pairs) == 1 and not self._needed.parts(pairs[0][0])
        if kept and single and landing.move(*pairs[0], index):
            return None
        for _, target in pairs:
            self._needed.write(target)
        for source, _ in kept:
            self._needed.read(source)
        return _copy_of(kept) if kept else None

    def _reduce(self, step: reduce, index: int, landing: Landing) -> reduce:
        """The reduction, with an operand that lands where the result will be if it can.

        There is less traffic to memory than with three places. A single element has none to
        save, and would be added in place.
        """
        left, right, out = step.inbuf, step.inoutbuf, step.out
        if self._operator.into_right:
            choices = [(right, reduce(left, out, out))]
        elif out.size > 1:
            choices = [(left, reduce(out, right, out)), (right, reduce(left, out, out))]
        else:
            choices = []
        for arriving, other in choices:
            free = not misplaced(other) and not self._needed.parts(arriving)
            if free and landing.move(arriving, out, index):
                return other
        return step


class Landing:
    """Where the messages of one round land.

    Attributes
    ----------
    recvs : list of Message
    """

    def __init__(self, places: Places, round_: Round):
        self.recvs = list(round_.recvs)
        self._places = places
        self._round = round_
        self._numbers = {
            places.of(message.views[0]): number
            for number, message in enumerate(self.recvs if round_.local else ())
            if len(message.views) == 1
        }
        self._taken: Occupied | None = None  # by messages

    def move(self, arriving: np.ndarray, there: np.ndarray, index: int) -> bool:
        """Let a message land elsewhere, unless anything before a local step is at one of both.

        Only that step reads what has arrived.
        """
        number = self._numbers.get(self._places.of(arriving))
        if number is None or arriving.dtype != self.recvs[number].views[0].dtype:
            return False
        if self._places.of(arriving) == self._places.of(there):
            return False
        self._taken = self._taken or Occupied(
            self._places, [*_views(self._round.sends), *_views(self.recvs)]
        )
        both = Occupied(self._places, [arriving, there])
        earlier = (view for step in self._round.local[:index] for view in _touched(step))
        if self._taken.meets(there) or any(map(both.meets, earlier)):
            return False
        self.recvs[number] = Message((there,), self.recvs[number].peer)
        del self._numbers[self._places.of(arriving)]
        self._taken.add(there)
        return True


class Occupied:
    """The places of some views."""

    def __init__(self, places: Places, views: Iterable[np.ndarray]):
        self._places = places
        self._spans: dict[int, Spans] = defaultdict(Spans)
        for view in views:
            self.add(view)

    def add(self, view: np.ndarray) -> None:
        if place := self._places.of(view):
            self._spans[place.buffer].put(place.start, place.stop, True)

    def meets(self, view: np.ndarray) -> bool:
        """Whether any of them shares memory with this one."""
        place = self._places.of(view)
        return bool(place and self._spans[place.buffer].within(place.start, place.stop))


def _views(messages: Iterable[Message]) -> Iterator[np.ndarray]:
    return (view for message in messages for view in message.views)


def _touched(step: Local) -> Iterator[np.ndarray]:
    """The views that a local step reads or writes."""
    yield from step.read
    yield from views_of(step.written)


def _copy_of(pairs: list[Pair]) -> copy:
    """One step for several copies."""
    if len(pairs) == 1:
        return copy(*pairs[0])
    return copy([source for source, _ in pairs], [target for _, target in pairs])
