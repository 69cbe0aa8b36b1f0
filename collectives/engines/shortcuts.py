"""Shortcuts: what is made lies at once where it is to be, without a detour through scratch.

They look at a plan that has been through propagation and clearing. The copies that are
left then wait for the messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from collectives.algorithms.language.steps import Local, copy, decode, encode, reduce
from collectives.engines.clearing import Last
from collectives.engines.driver import Message, Round, misplaced, views_of
from collectives.engines.places import Place, Places, meet
from collectives.engines.plan import views_in
from collectives.operators.operator import Operator

# How many views are looked at for one copy: so the pass takes as long as the plan is.
EFFORT = 256

# What the steps call the views that they write, and those that they read.
WRITTEN = {reduce: "out", copy: "dst", encode: "packet", decode: "dst"}
READ = {reduce: ("inbuf", "inoutbuf"), copy: ("src",), encode: ("src",), decode: ("packet",)}


class Redirection:
    """Let what only a copy goes on to read be made where the copy would bring it.

    Parameters
    ----------
    places : Places
    rounds : list of Round
        Changed.
    last : Last
        What `Clearing` has found.
    """

    def __init__(self, places: Places, rounds: list[Round], last: Last):
        self._places = places
        self._rounds = rounds
        self._last = last

    def take(self) -> None:
        """Leave out the copies of what can be made elsewhere."""
        for number, round_ in enumerate(self._rounds):
            for index in reversed(range(len(round_.local))):
                step = round_.local[index]
                if not isinstance(step, copy) or isinstance(step.src, list):
                    continue
                final = (id(step), self._places.of(step.src)) in self._last
                if final and self._is_spared(step.src, views_of(step.dst)[0], number, index):
                    del round_.local[index]

    def _is_spared(self, src: np.ndarray, dst: np.ndarray, number: int, index: int) -> bool:
        """Make in `dst` what a copy would bring there from `src`, if that is possible.

        From where it is made in one go up to the copy, nothing else may be in `dst`, and
        whoever reads `src` must read all of it.
        """
        here, there = self._places.of(src), self._places.of(dst)
        readers: list[Round | Local] = []
        seen = 0
        for each in self._before(number, index):
            read, written = accessed(each)
            seen += len(read) + len(written)
            if seen > EFFORT:
                return False
            if any(meet(self._places.of(view), there) for view in read + written):
                return False
            met = [view for view in read + written if meet(self._places.of(view), here)]
            if any(self._places.of(view) != here or view.dtype != src.dtype for view in met):
                return False
            if any(meet(self._places.of(view), here) for view in written):
                return self._make(each, here, dst, readers)
            if met:
                readers.append(each)
        return False

    def _before(self, number: int, index: int) -> Iterator[Round | Local]:
        """What comes before a local step, backward; a round stands for its messages."""
        local = self._rounds[number].local
        yield from (local[i] for i in reversed(range(index)))
        for i in reversed(range(number)):
            yield self._rounds[i + 1]
            yield from reversed(self._rounds[i].local)
        yield self._rounds[0]

    def _make(
        self, maker: Round | Local, here: Place | None, there: np.ndarray, readers: list
    ) -> bool:
        """Let it be made, and then read, in another place; False if it is part of a list."""

        def moved(views: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple([there if self._places.of(view) == here else view for view in views])

        for each in (maker, *readers):
            lists = _lists(each)
            if any(self._places.of(view) == here for views in lists for view in views):
                return False
        for each in (maker, *readers):
            if isinstance(each, Round):
                each.sends[:] = [Message(moved(m.views), m.peer) for m in each.sends]
                each.recvs[:] = [Message(moved(m.views), m.peer) for m in each.recvs]
        if not isinstance(maker, Round):
            setattr(maker, WRITTEN[type(maker)], there)
        for step in readers:
            for name in READ.get(type(step), ()):
                [view] = moved(views_of(getattr(step, name))[:1])
                setattr(step, name, view)
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
    last : Last
        What `Clearing` has found.
    """

    def __init__(self, places: Places, operator: Operator, last: Last):
        self._places = places
        self._into_right = operator.into_right  # others have to copy
        self._last = last

    def take(self, rounds: list[Round]) -> None:
        """Change the rounds of a plan."""
        for round_ in rounds:
            self._round(round_)

    def _round(self, round_: Round) -> None:
        if not round_.local or not round_.recvs:
            return
        numbers = {
            self._places.of(message.views[0]): number
            for number, message in enumerate(round_.recvs)
            if len(message.views) == 1
        }
        for index, step in enumerate(round_.local):
            if not isinstance(step, reduce) or (step.out.size == 1 and not self._into_right):
                continue
            left, right, out = step.inbuf, step.inoutbuf, step.out
            choices = [(right, reduce(left, out, out))]
            if not self._into_right:
                choices.append((left, reduce(out, right, out)))
            for arriving, summing in choices:
                number = numbers.get(self._places.of(arriving))
                if number is not None and self._may_land(round_, index, arriving, summing):
                    round_.recvs[number] = Message((out,), round_.recvs[number].peer)
                    round_.local[index] = summing
                    break

    def _may_land(self, round_: Round, index: int, arriving: np.ndarray, summing: reduce) -> bool:
        """Whether a message may land where it is added up, and not where it would arrive."""
        here, there = self._places.of(arriving), self._places.of(summing.out)
        if (id(round_.local[index]), here) not in self._last or misplaced(summing):
            return False
        messages = [*views_in(round_.sends), *views_in(round_.recvs)]
        if any(view.dtype != arriving.dtype for view in messages if self._places.of(view) == here):
            return False
        earlier = [v for step in round_.local[:index] for views in accessed(step) for v in views]
        taken = any(meet(self._places.of(view), there) for view in messages + earlier)
        return not taken and not any(meet(self._places.of(view), here) for view in earlier)


class Waiting:
    """Let copies that no message waits for be made later, when messages are on their way.

    A round without messages would hold up the next one.

    Parameters
    ----------
    places : Places
    """

    def __init__(self, places: Places):
        self._places = places

    def take(self, rounds: list[Round]) -> None:
        """Change the rounds of a plan."""
        for number, round_ in enumerate(rounds):
            if round_.sends or round_.recvs:
                continue
            while round_.local and isinstance(step := round_.local[-1], copy):
                later = self._later(step, rounds[number + 1 :])
                if later is None:
                    break
                later.local.append(round_.local.pop())

    def _later(self, step: copy, rounds: list[Round]) -> Round | None:
        """The last round with messages after which the copy is still in time."""
        found, seen = None, 0
        for round_ in rounds:
            others: list[Round | Local] = [round_, *round_.local]
            seen += sum(len(views) for each in others for views in accessed(each))
            if seen * len(step.read) > EFFORT or not self._is_free(step, others):
                break
            if round_.sends or round_.recvs:
                found = round_
        return found

    def _is_free(self, step: copy, others: Sequence[Round | Local]) -> bool:
        """Whether nothing of this writes what the copy reads, or looks at what it writes."""
        source = [self._places.of(view) for view in step.read]
        target = [self._places.of(view) for view in views_of(step.dst)]
        for each in others:
            read, written = ([self._places.of(v) for v in views] for views in accessed(each))
            if any(meet(a, b) for a in written for b in source):
                return False
            if any(meet(a, b) for a in read + written for b in target):
                return False
        return True


def accessed(each: Round | Local) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The views that a local step, or the messages of a round, read and write."""
    if isinstance(each, Round):
        return [*views_in(each.sends)], [*views_in(each.recvs)]
    return [*each.read], [*views_of(each.written)]


def _lists(each: Round | Local) -> list[Sequence[np.ndarray]]:
    """The lists of views in a local step, or in the messages of a round."""
    if isinstance(each, Round):
        return [m.views for m in [*each.sends, *each.recvs] if len(m.views) > 1]
    names = [*READ[type(each)], WRITTEN[type(each)]]
    return [buf for name in names if isinstance(buf := getattr(each, name), list)]
