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
from collectives.algorithms.language.steps import Local, copy, decode, encode, reduce
from collectives.engines.driver import Message, Round, misplaced, views_of
from collectives.engines.packing import pieces
from collectives.engines.places import Place, Places, Spans, UnknownMemory
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
        backward = Clearing(places)
        rounds = [backward.round(round_) for round_ in reversed(rounds)][::-1]
        redirect(places, rounds, backward.last)
        landing = Landing(places, operator, backward.last)
        rounds = [landing.round(round_) for round_ in rounds]
    except UnknownMemory:
        return plan
    return Plan(plan.title, rounds, plan.lines)


def redirect(places: Places, rounds: list[Round], last: set[tuple[int, Place | None]]) -> None:
    """Leave out the copies of what can be made where it will end up."""
    redirection = Redirection(places, rounds)
    for number, round_ in enumerate(rounds):
        for index, step in reversed([*enumerate(round_.local)]):
            single = isinstance(step, copy) and isinstance(step.src, np.ndarray)
            final = single and (id(step), places.of(step.src)) in last
            if final and redirection.spares(number, index):
                del round_.local[index]


# What the steps call the views that they write, and those that they read.
WRITTEN = {reduce: "out", copy: "dst", encode: "packet", decode: "dst"}
READ = {reduce: ("inbuf", "inoutbuf"), copy: ("src",), encode: ("src",), decode: ("packet",)}

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
        elif isinstance(step, encode):
            yield self._encode(step)
            self._sources.write(step.packet)
        else:
            self._sources.write(step.dst)
            yield decode(step.packet, step.dst, step.codec)

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
        return encode(step.src if clash else source, step.packet, step.codec)

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
    """Backward through a plan: leave out the copies that nobody reads.

    Parameters
    ----------
    places : Places

    Attributes
    ----------
    last : set of (int, Place)
        The ids of local steps, and what nobody reads after them of what they read.
    """

    def __init__(self, places: Places):
        self.last: set[tuple[int, Place | None]] = set()
        self._places = places
        self._needed = Needed(places)

    def round(self, round_: Round) -> Round:
        """The round with what is needed of its copies."""
        local = [step for x in reversed(round_.local) if (step := self._step(x)) is not None]
        for view in _views(round_.recvs):
            self._needed.write(view)
        for view in _views(round_.sends):
            self._needed.read(view)
        return Round(list(round_.sends), list(round_.recvs), local[::-1])

    def _step(self, step: Local) -> Local | None:
        written = views_of(step.written)
        if isinstance(step, copy):
            pairs = list(pieces(step.read, written))
            kept = [(s[part], t[part]) for s, t in pairs for part in self._needed.parts(t)]
            if not kept:
                return None
            step = _copy_of(kept)
        self.last |= {(id(step), self._places.of(x)) for x in step.read if self._ends(x)}
        for view in written:
            self._needed.write(view)
        for view in step.read:
            self._needed.read(view)
        return step

    def _ends(self, view: np.ndarray) -> bool:
        return not self._needed.parts(view)


class Redirection:
    """Let what the last reader of a place copies be made where it will end up.

    Parameters
    ----------
    places : Places
    rounds : list of Round
        Changed.
    """

    def __init__(self, places: Places, rounds: list[Round]):
        self._places = places
        self._rounds = rounds

    def spares(self, number: int, index: int) -> bool:
        """Make the copies in a local step of a round needless, if that is possible.

        Before, up to where the source is made in one go, nothing is where the copy goes,
        and the source is read as a whole.
        """
        final = self._rounds[number].local[index]
        here, there = self._places.of(final.src), self._places.of(final.dst)
        readers: list[Round | Local] = []
        for each in self._before(number, index):
            read, written = _accessed(each)
            places = [self._places.of(view) for view in read + written]
            if any(_meet(place, there) for place in places):
                return False
            met = [v for v, place in zip(read + written, places) if _meet(place, here)]
            if any(self._places.of(v) != here or v.dtype != final.src.dtype for v in met):
                return False
            if any(_meet(self._places.of(view), here) for view in written):
                return self._make(each, here, final.dst, readers)
            if met:
                readers.append(each)
        return False

    def _before(self, number: int, index: int) -> Iterator[Round | Local]:
        """What comes before a local step, backward; a round stands for its messages."""
        yield from reversed(self._rounds[number].local[:index])
        yield self._rounds[number]
        for round_ in reversed(self._rounds[:number]):
            yield from reversed(round_.local)
            yield round_

    def _make(
        self, maker: Round | Local, here: Place | None, there: np.ndarray, readers: list
    ) -> bool:
        """Let it be made, and then read, in another place; False if it is made in pieces."""

        def moved(views: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple([there if self._places.of(view) == here else view for view in views])

        if isinstance(maker, Round):
            parts = _views(message for message in maker.recvs if len(message.views) > 1)
            if any(self._places.of(view) == here for view in parts):
                return False
            maker.recvs[:] = [Message(moved(m.views), m.peer) for m in maker.recvs]
        elif isinstance(maker.written, list):
            return False
        else:
            setattr(maker, WRITTEN[type(maker)], there)
        for reader in readers:
            if isinstance(reader, Round):
                reader.sends[:] = [Message(moved(m.views), m.peer) for m in reader.sends]
                continue
            for name, buf in [(name, getattr(reader, name)) for name in READ[type(reader)]]:
                views = moved(views_of(buf))
                setattr(reader, name, [*views] if isinstance(buf, list) else views[0])
        return True


class Landing:
    """Let a message of a round land where the sum that is made of it will lie.

    There is less traffic to memory than with three places. It may land there if nobody else
    needs it, and nothing else of the round is there before it is added. A single element
    has no traffic to save, and would be added in place.

    Parameters
    ----------
    places : Places
    operator : Operator
    last : set of (int, Place)
        What `Clearing` has found.
    """

    def __init__(self, places: Places, operator: Operator, last: set[tuple[int, Place | None]]):
        self._places = places
        self._operator = operator
        self._last = last

    def round(self, round_: Round) -> Round:
        """The round with its messages where they may land."""
        numbers = {
            self._places.of(message.views[0]): number
            for number, message in enumerate(round_.recvs)
            if len(message.views) == 1
        }
        recvs, local = list(round_.recvs), list(round_.local)
        taken: Occupied | None = None
        for index, step in enumerate(round_.local):
            for arriving, summing in self._choices(step) if numbers else ():
                number = numbers.get(self._places.of(arriving))
                if number is None or (id(step), self._places.of(arriving)) not in self._last:
                    continue
                taken = taken or Occupied(self._places, _views([*round_.sends, *recvs]))
                both = Occupied(self._places, [arriving, summing.out])
                earlier = [v for x in round_.local[:index] for views in _accessed(x) for v in views]
                same = arriving.dtype == recvs[number].views[0].dtype
                if same and not taken.meets(summing.out) and not any(map(both.meets, earlier)):
                    recvs[number] = Message((summing.out,), recvs[number].peer)
                    taken.add(summing.out)
                    local[index] = summing
                    break
        return Round(round_.sends, recvs, local)

    def _choices(self, step: Local) -> Iterator[tuple[np.ndarray, reduce]]:
        """Each operand that could land where the result of a reduction is, and what is then added.

        Some operators have to copy unless the right one is there.
        """
        if not isinstance(step, reduce):
            return
        left, right, out = step.inbuf, step.inoutbuf, step.out
        into_right = self._operator.into_right
        if out.size > 1 and not into_right and not misplaced(reduce(out, right, out)):
            yield left, reduce(out, right, out)
        if (out.size > 1 or into_right) and not misplaced(reduce(left, out, out)):
            yield right, reduce(left, out, out)


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


def _accessed(each: Round | Local) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The views that a local step, or the messages of a round, read and write."""
    if isinstance(each, Round):
        return [*_views(each.sends)], [*_views(each.recvs)]
    return [*each.read], [*views_of(each.written)]


def _meet(one: Place | None, other: Place | None) -> bool:
    """Whether two places have bytes in common."""
    if one is None or other is None or one.buffer != other.buffer:
        return False
    return one.start < other.stop and other.start < one.stop


def _copy_of(pairs: list[Pair]) -> copy:
    """One step for several copies."""
    if len(pairs) == 1:
        return copy(*pairs[0])
    return copy([source for source, _ in pairs], [target for _, target in pairs])
