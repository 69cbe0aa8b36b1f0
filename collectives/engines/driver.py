"""The driver: the only code that resumes an algorithm.

It turns what an algorithm yields into a `Round` whose steps keep the rules, and
reports a step that does not with the file and line of the yield.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from types import FrameType
from typing import Any

import numpy as np

from collectives.algorithms.language.memory import Phantom
from collectives.algorithms.language.steps import Local, copy, decode, encode, recv, reduce, send
from collectives.errors import ScheduleError


class Message:
    """One message of a round: the views it carries and the rank at the other end."""

    __slots__ = ("nbytes", "peer", "views")

    def __init__(self, views: tuple[np.ndarray, ...], peer: int):
        self.views = views
        self.peer = peer
        self.nbytes = views[0].nbytes if len(views) == 1 else sum([v.nbytes for v in views])


class Round:
    """What one yield starts and ends: messages, then local steps in order."""

    __slots__ = ("local", "recvs", "sends")

    def __init__(self, sends: list[Message], recvs: list[Message], local: list[Local]):
        self.sends = sends
        self.recvs = recvs
        self.local = local


class Process:
    """One rank's run of one algorithm.

    Parameters
    ----------
    title : str
        Full name of the algorithm, for messages.
    rank, p : int
        This rank and the number of ranks.
    generator : iterator
        What the algorithm returned for this rank.
    phantom : bool
        The buffers are phantoms: every step's buffer must be one, and there is
        no memory that could overlap.

    Attributes
    ----------
    rounds : int
        How often the algorithm has been resumed.
    """

    __slots__ = ("generator", "p", "phantom", "rank", "rounds", "title")

    def __init__(self, title: str, rank: int, p: int, generator: Iterator, phantom: bool = False):
        self.title = title
        self.rank = rank
        self.p = p
        self.generator = generator
        self.phantom = phantom
        self.rounds = 0

    def advance(self) -> Round | None:
        """Resume the algorithm up to its next yield; None when it has ended.

        Raises
        ------
        ScheduleError
            What it yielded breaks a rule.
        """
        self.rounds += 1
        try:
            steps = next(self.generator)
        except StopIteration:
            return None
        if type(steps) is not tuple and type(steps) is not list:
            steps = (steps,)
        sends: list[Message] = []
        recvs: list[Message] = []
        local: list[Local] = []
        for step in steps:
            kind = type(step)
            if kind is send:
                sends.append(self._message(step, step.buf, step.dest))
            elif kind is recv:
                recvs.append(self._message(step, step.buf, step.source))
            elif kind is reduce:
                local.append(self._reduce(step))
            elif kind is copy:
                if self._copy(step):
                    local.append(step)
            elif kind is encode:
                local.append(self._code(step, step.src))
            elif kind is decode:
                local.append(self._code(step, step.dst))
            else:
                self.fail("yield a step, or several in a tuple or a list", repr(step))
        if not self.phantom:
            self._check_writable([view for message in recvs for view in message.views], "recv")
            self._check_overlap(sends, recvs)
        return Round(sends, recvs, local)

    def where(self) -> str:
        """File and line of the yield at which the algorithm stands."""
        return locate(self.line())

    def line(self) -> tuple[str, int]:
        """The same, unformatted: cheap enough to keep for every round."""
        generator: Any = self.generator
        while (inner := generator.gi_yieldfrom) is not None and hasattr(inner, "gi_frame"):
            generator = inner
        frame = generator.gi_frame
        return generator.gi_code.co_filename, frame.f_lineno if frame else 0

    def frames(self) -> list[FrameType]:
        """The frames of the algorithm and of what it yields from, the innermost last."""
        generator: Any = self.generator
        frames = [generator.gi_frame]
        while hasattr(generator := generator.gi_yieldfrom, "gi_frame"):
            frames.append(generator.gi_frame)
        return [frame for frame in frames if frame is not None]

    def fail(self, needed: str, got: str) -> None:
        """Raise a ScheduleError that points at the yield."""
        raise ScheduleError(
            f"{self.title}: rank {self.rank} of {self.p}: {needed}, got {got} ({self.where()})"
        )

    def _message(self, step: send | recv, buf, peer: int) -> Message:
        if type(peer) is not int:
            if not isinstance(peer, np.integer):
                self.fail(f"a peer must be a rank from 0 to {self.p - 1}", repr(peer))
            peer = int(peer)
        if not 0 <= peer < self.p:
            self.fail(f"a peer must be a rank from 0 to {self.p - 1}", repr(peer))
        if peer == self.rank:
            self.fail("a message needs another rank as its peer; use copy", repr(step))
        return Message(self._views(step, buf), peer)

    def _views(self, step, buf) -> tuple[np.ndarray, ...]:
        views = (buf,) if type(buf) is not list else tuple(buf)
        for view in views:
            if self.phantom:
                if isinstance(view, Phantom):
                    continue
                if not isinstance(view, np.ndarray) or view.size:
                    self.fail("temporary space must come from scratch()", _describe(view))
            elif not isinstance(view, np.ndarray) or view.ndim != 1:
                self.fail(
                    f"{type(step).__name__} needs a one-dimensional numpy view or a list of them",
                    _describe(view),
                )
            elif not view.flags.c_contiguous:
                self.fail(f"{type(step).__name__} needs contiguous views", _describe(view))
        return views

    def _reduce(self, step: reduce) -> reduce:
        operands = one, other, out = step.inbuf, step.inoutbuf, step.out
        self._views(step, list(operands))
        if not one.size == other.size == out.size or not one.dtype == other.dtype == out.dtype:
            self.fail(
                "reduce needs operands of one length and dtype",
                " and ".join(_describe(x) for x in operands),
            )
        if not self.phantom:
            self._check_writable((step.out,), "reduce")
            if rule := misplaced(step):
                self.fail(rule, repr(step))
        return step

    def _copy(self, step: copy) -> copy | None:
        """The checked step; None if there is nothing to do."""
        src, dst = self._views(step, step.src), self._views(step, step.dst)
        lengths = [sum(view.size for view in views) for views in (src, dst)]
        if lengths[0] != lengths[1] or len({view.dtype for view in src + dst}) > 1:
            self.fail(
                "copy needs source and destination of one length and dtype",
                " and ".join(", ".join(map(_describe, views)) for views in (src, dst)),
            )
        if self.phantom:
            return step
        src, dst = (tuple([view for view in views if view.size]) for views in (src, dst))
        overlaps = [(a, b) for a in src for b in dst if np.may_share_memory(a, b)]
        pairs = [(a, b) for a, b in zip(src, dst) if same_memory(a, b)]
        if len(overlaps) > len(pairs):
            self.fail("source and destination of copy must not overlap", repr(step))
        if len(pairs) == len(src) == len(dst):
            return None
        self._check_writable(dst, "copy")
        return step

    def _code(self, step: encode | decode, vector: np.ndarray) -> encode | decode:
        """The checked step, which encodes `vector` or decodes into it."""
        verb = type(step).__name__
        self._views(step, [vector, step.packet])
        needed = step.codec.nbytes(vector.size, vector.dtype)
        if step.packet.dtype != np.uint8 or step.packet.size != needed:
            self.fail(
                f"{verb} needs a packet of uint8[{needed}] for {_describe(vector)}",
                _describe(step.packet),
            )
        if not self.phantom:
            self._check_writable((step.written,), verb)
            if np.may_share_memory(vector, step.packet):
                self.fail(f"vector and packet of {verb} must not overlap", repr(step))
        return step

    def _check_writable(self, views, verb: str) -> None:
        for view in views:
            if view.size and not view.flags.writeable:
                self.fail(f"{verb} needs writable memory", f"{_describe(view)}, read-only")

    def _check_overlap(self, sends: list[Message], recvs: list[Message]) -> None:
        """No message may land where another one of the round lands or is read."""
        if not recvs or len(sends) + len(recvs) == 1 == len(recvs[0].views):
            return
        landing = [view for message in recvs for view in message.views if view.size]
        leaving = [view for message in sends for view in message.views if view.size]
        if first_overlap(landing, leaving):
            self.fail(
                "a message must not land where another of its round is read or lands",
                "overlapping buffers",
            )


def views_of(buf: np.ndarray | list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The views of a buffer, whether it is one or a list of them."""
    return tuple(buf) if isinstance(buf, list) else (buf,)


def misplaced(step: reduce) -> str | None:
    """The rule that a reduction breaks by where its views lie."""
    if np.may_share_memory(step.inbuf, step.inoutbuf):
        return "the operands of reduce must not overlap"
    for operand in (step.inbuf, step.inoutbuf):
        if np.may_share_memory(operand, step.out) and not same_memory(operand, step.out):
            return "the result of reduce must not overlap half an operand"
    return None


def first_overlap(written: list[np.ndarray], read: list[np.ndarray]) -> bool:
    """Whether a written view meets another view, written or read."""
    if len(written) * (len(written) + len(read)) <= 16:
        pairs = [(a, b) for a in written for b in read] + list(combinations(written, 2))
        return any(np.may_share_memory(a, b) for a, b in pairs)
    spans = sorted(
        [(*_span(view), True) for view in written] + [(*_span(view), False) for view in read]
    )
    reach_written = reach = 0
    for start, stop, writes in spans:
        if start < (reach if writes else reach_written):
            return True
        reach = max(reach, stop)
        if writes:
            reach_written = max(reach_written, stop)
    return False


def same_memory(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two contiguous views are the very same memory."""
    return one is other or _span(one) == _span(other)


def _span(view: np.ndarray) -> tuple[int, int]:
    start = view.__array_interface__["data"][0]
    return start, start + view.nbytes


def locate(line: tuple[str, int]) -> str:
    """`file:line`, the file relative to the current folder if it lies below."""
    path, number = line
    relative = os.path.relpath(path)
    return f"{path if relative.startswith(os.pardir) else relative}:{number}"


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    return repr(value)
