"""The driver: the only code that resumes an algorithm.

It turns what an algorithm yields into a `Round` whose steps keep the rules, and
reports a step that does not with the file and line of the yield.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from types import CodeType, FrameType, GeneratorType
from typing import Any

import numpy as np

from collectives.algorithms.language.blocks import Blocks
from collectives.algorithms.language.memory import Phantom
from collectives.algorithms.language.steps import Local, copy, decode, encode, recv, reduce, send
from collectives.engines.hints import hint_for
from collectives.engines.scene import locate, scene
from collectives.errors import FAILURES, CollectiveError, PageError, ScheduleError

Spot = tuple[CodeType, int]  # a place in a code object: an instruction

# Vectors of these types are views of phantoms: there is nothing to check.
PHANTOMS = {Phantom}


class RuleBroken(Exception):
    """Raised by a buffer that sees a rule broken between two yields; the driver says where."""

    def __init__(self, needed: str, got: str, hint: str):
        super().__init__(needed, got, hint)
        self.needed, self.got, self.hint = needed, got, hint


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
    first : int
        The number of its first yield: 0 if that one is not the page's.

    Attributes
    ----------
    rounds : int
        How often the algorithm has been resumed.
    """

    __slots__ = ("first", "generator", "p", "phantom", "rank", "rounds", "title")

    letter = Message  # what the messages of its rounds are made as

    def __init__(
        self,
        title: str,
        rank: int,
        p: int,
        generator: Iterator,
        phantom: bool = False,
        first: int = 1,
    ):
        self.title = title
        self.rank = rank
        self.p = p
        self.generator = generator
        self.phantom = phantom
        self.first = first
        self.rounds = 0

    def advance(self) -> Round | None:
        """Resume the algorithm up to its next yield; None when it has ended.

        Raises
        ------
        ScheduleError
            What it yielded breaks a rule.
        PageError
            It raised an error of Python's.
        """
        steps = self.resume()
        if steps is None:
            return None
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
                self._no_step(step)
        if not self.phantom:
            self._check_writable([view for message in recvs for view in message.views], "recv")
            self._check_overlap(sends, recvs)
        return Round(sends, recvs, local)

    def resume(self) -> tuple | list | None:
        """What the algorithm yields next, as it is; None when it has ended."""
        self.rounds += 1
        try:
            steps = next(self.generator)
        except StopIteration:
            return None
        except (CollectiveError, MemoryError):
            raise
        except FAILURES as error:
            raise self._raised(error) from error
        return steps if type(steps) is tuple or type(steps) is list else (steps,)

    def where(self) -> str:
        """File and line of the yield at which the algorithm stands."""
        return locate(self.line())

    def line(self) -> tuple[str, int]:
        """The same, unformatted: cheap enough to keep for every round."""
        generator = self._innermost()
        frame = generator.gi_frame
        return generator.gi_code.co_filename, frame.f_lineno if frame else 0

    def spot(self) -> Spot:
        """The same before the line is looked up: cheap enough to keep for every message."""
        generator = self._innermost()
        return generator.gi_code, generator.gi_frame.f_lasti

    def _innermost(self) -> Any:
        """The algorithm, or what it yields from, or what that yields from."""
        generator: Any = self.generator
        while (inner := generator.gi_yieldfrom) is not None and hasattr(inner, "gi_frame"):
            generator = inner
        return generator

    def frames(self) -> list[FrameType]:
        """The frames of the algorithm and of what it yields from, the innermost last."""
        generator: Any = self.generator
        frames = [generator.gi_frame]
        while hasattr(generator := generator.gi_yieldfrom, "gi_frame"):
            frames.append(generator.gi_frame)
        return [frame for frame in frames if frame is not None]

    def scene(self) -> str:
        """File and line of the yield, which round it is, and the variables of its loops."""
        frames = self.frames() if hasattr(self.generator, "gi_frame") else []
        return scene(self.line(), self.number, frames[-1] if frames else None)

    @property
    def number(self) -> int:
        """Which of the algorithm's yields is the last one, from 1 on."""
        return self.rounds - 1 + self.first

    def fail(self, needed: str, got: str, hint: str) -> None:
        """Raise a ScheduleError that points at the yield, and says what to do."""
        raise ScheduleError(self._sentence(needed, got, self.scene(), hint), hint=hint)

    def _sentence(self, needed: str, got: str, where: str, hint: str) -> str:
        return f"{self.title}: rank {self.rank} of {self.p}: {needed}, got {got} ({where}); {hint}"

    def _raised(self, error: BaseException) -> ScheduleError:
        """What the algorithm raised, with the last line of its own file."""
        frame, line = self._own_line(error)
        where = scene((frame.f_code.co_filename, line), self.number, frame)
        if isinstance(error, RuleBroken):
            text = self._sentence(error.needed, error.got, where, error.hint)
            return ScheduleError(text, hint=error.hint)
        hint, got = hint_for(error, frame), f"{type(error).__name__}: {error}"
        needed = "an algorithm must come to its end"
        return PageError(self._sentence(needed, got, where, hint), hint=hint)

    def _own_line(self, error: BaseException) -> tuple[FrameType, int]:
        trace = error.__traceback__
        assert trace is not None
        if self.first == 0 and trace.tb_next is not None:
            trace = trace.tb_next  # not the page's either
        found, home = trace, None
        while (trace := trace.tb_next) is not None:
            file = trace.tb_frame.f_code.co_filename
            home = home or file
            found = trace if file == home else found
        return found.tb_frame, found.tb_lineno

    def _no_step(self, got: Any) -> None:
        hint = "yield send(...), recv(...), reduce(...) or copy(...), with commas between them"
        if isinstance(got, GeneratorType):
            name = got.__name__
            hint = f"run another algorithm with `yield from {name}(...)`"
            if name == "<genexpr>":
                hint = "write square brackets instead of round ones, `yield [... for ...]`"
        elif isinstance(got, (list, tuple)):
            hint = "join the lists, `yield [*first, *second]`: there are no lists in a list"
        elif got is None:
            hint = "a bare `yield`, or a function without `return`, gives None"
        self.fail("yield a step, or several in a tuple or a list", _describe(got), hint)

    def _message(self, step: send | recv, buf, peer: int) -> Message:
        if type(peer) is not int or not 0 <= peer < self.p or peer == self.rank:
            peer = self._peer(step, peer)
        views = (buf,) if self.phantom and type(buf) in PHANTOMS else self._views(step, buf)
        return self.letter(views, peer)

    def _peer(self, step: send | recv, peer: Any) -> int:
        """Another rank, as Python counts."""
        if (type(peer) is not int and not isinstance(peer, np.integer)) or not 0 <= peer < self.p:
            self._no_rank(peer)
        if peer == self.rank:
            self.fail("a message needs another rank as its peer", repr(step), _alone(self.p))
        return int(peer)

    def _no_rank(self, peer: Any) -> None:
        hint = "count round with `% p`, or leave this message out"
        if not isinstance(peer, (int, np.integer)):
            hint = "the buffer comes first, then the rank: send(buf, dest), recv(buf, source)"
            if isinstance(peer, (float, np.floating)):
                hint = "ranks are integers: divide with `//`"
        self.fail(f"a peer must be a rank from 0 to {self.p - 1}", _describe(peer), hint)

    def _views(self, step, buf) -> tuple[np.ndarray, ...]:
        views = (buf,) if type(buf) is not list else tuple(buf)
        for view in views:
            if self.phantom:
                if isinstance(view, Phantom):
                    continue
                if not isinstance(view, np.ndarray) or view.size:
                    self.fail(
                        "temporary space must come from scratch()",
                        _describe(view),
                        "write scratch(like) or scratch(like, size), not np.empty and the like",
                    )
            elif not isinstance(view, np.ndarray) or view.ndim != 1:
                self._no_view(step, view)
            elif not view.flags.c_contiguous:
                self.fail(
                    f"{type(step).__name__} needs contiguous views",
                    _describe(view),
                    "a slice may have no stride, as in buf[::2]; send a list of views",
                )
        return views

    def _no_view(self, step, got: Any) -> None:
        verb = type(step).__name__
        needed = f"{verb} needs a one-dimensional numpy view"
        if not isinstance(step, reduce):
            needed += " or a list of them"
        hint = "give it a buffer, a slice or a block of one"
        if isinstance(got, Blocks):
            hint = "the vector behind the blocks is `blocks.buf`"
        elif isinstance(got, list) and isinstance(step, reduce):
            hint = "reduce the views one by one; `[view] = blocks[a:b]` takes the only one out"
        elif isinstance(got, tuple):
            hint = "several views go in a list, [one, other]"
        elif isinstance(got, list):
            hint = "there are no lists in the list: join them, [*first, *second]"
        elif isinstance(got, (int, np.integer)):
            hint = f"the buffer comes first: {verb}(buf, rank)"
        elif got is None:
            hint = "this rank has no such buffer: only the root has it"
        self.fail(needed, _describe(got), hint)

    def _reduce(self, step: reduce) -> reduce:
        operands = one, other, out = step.inbuf, step.inoutbuf, step.out
        if not (self.phantom and type(one) is type(other) is type(out) in PHANTOMS):
            self._views(step, list(operands))
        if not one.size == other.size == out.size or not one.dtype == other.dtype == out.dtype:
            self.fail(
                "reduce needs operands of one length and dtype",
                " and ".join(_describe(x) for x in operands),
                "cut all of them alike: x[: other.size]",
            )
        if not self.phantom:
            self._check_writable((step.out,), "reduce")
            if rule := misplaced(step):
                self.fail(rule, repr(step), "let one of them lie in scratch(...)")
        return step

    def _copy(self, step: copy) -> copy | None:
        """The checked step; None if there is nothing to do."""
        src, dst = self._views(step, step.src), self._views(step, step.dst)
        lengths = [sum(view.size for view in views) for views in (src, dst)]
        if lengths[0] != lengths[1] or len({view.dtype for view in src + dst}) > 1:
            self.fail(
                "copy needs source and destination of one length and dtype",
                " and ".join(", ".join(map(_describe, views)) for views in (src, dst)),
                "look whose block this is: blocks of uneven vectors differ in length",
            )
        if self.phantom:
            return step
        src, dst = (tuple([view for view in views if view.size]) for views in (src, dst))
        overlaps = [(a, b) for a in src for b in dst if np.may_share_memory(a, b)]
        pairs = [(a, b) for a, b in zip(src, dst) if same_memory(a, b)]
        if len(overlaps) > len(pairs):
            self.fail(
                "source and destination of copy must not overlap",
                repr(step),
                "copy by way of scratch(...)",
            )
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
                "make it with scratch(vector, codec.nbytes(vector.size, vector.dtype), np.uint8)",
            )
        if not self.phantom:
            self._check_writable((step.written,), verb)
            if np.may_share_memory(vector, step.packet):
                self.fail(
                    f"vector and packet of {verb} must not overlap",
                    repr(step),
                    "let the packet lie in scratch(...)",
                )
        return step

    def _check_writable(self, views, verb: str) -> None:
        for view in views:
            if view.size and not view.flags.writeable:
                self.fail(
                    f"{verb} needs writable memory",
                    f"{_describe(view)}, read-only",
                    "sendbuf must stay as it is: copy it to scratch(sendbuf), and work there",
                )

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
                "receive in scratch(...), or yield the two one after the other",
            )


def line_of(spot: Spot) -> tuple[str, int]:
    """File and line of a spot."""
    code, instruction = spot
    for first, end, line in code.co_lines():
        if first <= instruction < end and line:
            return code.co_filename, line
    return code.co_filename, 0


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


def _alone(p: int) -> str:
    if p == 1:
        return "with p = 1 there is nobody else: let the loop run p - 1 times, so not at all"
    return "what stays on its rank goes by copy(src, dst)"


def _describe(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(map(_describe, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    if isinstance(value, GeneratorType):
        return f"a generator, {value.__name__}"
    if isinstance(value, Blocks):
        return f"{len(value)} blocks"
    return repr(value)
