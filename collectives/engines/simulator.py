"""The simulator: all ranks in one process, on a machine that is only described, without MPI.

It carries out rounds: messages find their recvs, then local steps run. When a message
passes is the business of `ports`, and of `flows` where messages share links.
Encoding and decoding are free, and so are local copies unless the machine says otherwise.

eager       a message leaves at once; it waits at the receiver if need be
rendezvous  a message leaves when the receiver has posted the matching recv

MPI sends short messages the first way and long ones the second, so there may be a limit
in bytes between the two.

A schedule that ends under rendezvous ends under any MPI. Matching follows MPI's
own bookkeeping: per pair of ranks a queue of messages that nobody expected yet
and a queue of recvs that nobody served yet; one of the two is always empty.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from collectives.algorithms.language.steps import Local, copy, decode, encode, reduce
from collectives.engines.advice import LEFT_OVER, LENGTHS, way_out
from collectives.engines.driver import Message, Process, Round, views_of
from collectives.engines.endless import Guard, check_ends, many
from collectives.engines.flows import Flows
from collectives.engines.ports import Ports
from collectives.engines.postings import Posted, Rank, Sent, put, queued, take, transfer
from collectives.engines.uncollected import uncollected
from collectives.errors import Deadlock, ScheduleError, Timeout
from collectives.machine.chance import Chance
from collectives.machine.model import Machine
from collectives.operators.operator import SUM, Operator

# Bytes that a rank copies before and after the messages of a round, by the round's number.
Copies = Callable[[int], Mapping[int, tuple[int, int]]]


@dataclass(frozen=True)
class Load:
    """What passed a link that ranks share.

    Attributes
    ----------
    name : str
        As ``NIC of node 3, out``.
    rate : float
        Bytes a second.
    nbytes : int
    burst : int
        Bytes of them that could pass at once.
    """

    name: str
    rate: float
    nbytes: int
    burst: int = 0

    @property
    def busy(self) -> float:
        """Seconds that these bytes take at full rate."""
        return max(0, self.nbytes - self.burst) / self.rate


@dataclass(frozen=True)
class Run:
    """What a simulated run did.

    Attributes
    ----------
    finished : numpy.ndarray
        Seconds at which each rank ended, shape (p,).
    messages, bytes_sent, bytes_received, reductions, bytes_reduced : numpy.ndarray
        What each rank sent, received and reduced, shape (p,).
    links : tuple of Load
        What passed each link that ranks share, those with anything.
    exact : bool
        False if what is copied was looked up for some ranks only, and the others were taken to
        do the same (`study/copies.py`).
    """

    finished: np.ndarray
    messages: np.ndarray
    bytes_sent: np.ndarray
    bytes_received: np.ndarray
    reductions: np.ndarray
    bytes_reduced: np.ndarray
    links: tuple[Load, ...] = ()
    exact: bool = True

    @property
    def time(self) -> float:
        """Seconds until the last rank ended."""
        return float(self.finished.max())

    @property
    def bottleneck(self) -> Load | None:
        """The link that was busy longest, if ranks share any."""
        return max(self.links, key=lambda load: load.busy, default=None)


class Simulator:
    """Run one algorithm on p simulated ranks.

    Parameters
    ----------
    title : str
        Full name of the algorithm, for messages.
    p : int
        Number of ranks.
    program : callable
        `program(rank)` returns the algorithm's generator for that rank.
    operator : Operator
        What `reduce` does.
    machine : Machine, optional
    rendezvous : bool
        Sends wait for their recv.
    phantom : bool
        Cost only: the buffers are phantoms and no data is touched.
    eager : int, optional
        Bytes up to which a message leaves at once; longer ones wait for their recv.
        Without it the machine says, or `rendezvous` holds for all.
    late : mapping, optional
        Seconds after which some ranks begin, by rank.
    copies : callable, optional
        `copies(rank)` gives the bytes that a rank copies in a round, before its messages and
        after them, by the round's number. Without it copies are free.

    Raises
    ------
    Deadlock
        From `run`: ranks wait for each other or for a rank that has finished.
    ScheduleError
        From `run`: a step breaks a rule, lengths of a send and its recv differ,
        a message was left over, or an algorithm does not end.
    Timeout
        From `run`: the time that `endless.until` gives is over.
    """

    def __init__(
        self,
        title: str,
        p: int,
        program: Callable[[int], Iterator],
        operator: Operator = SUM,
        machine: Machine | None = None,
        rendezvous: bool = False,
        phantom: bool = False,
        eager: int | None = None,
        late: Mapping[int, float] | None = None,
        copies: Copies | None = None,
    ):
        self.title = title
        self.p = p
        self.machine = machine = machine or Machine()
        self.gamma = machine.clock.gamma
        self.placed = placed = machine.at(p)
        chance = Chance(machine, p) if machine.noise or machine.late else None
        self.chance = chance if machine.noise else None
        self.wires: Ports = Ports(machine, placed, self.chance)
        if machine.shares and placed is not None:
            self.wires = Flows(machine, placed, self.chance, self._end)
        self.copies, self.delta = copies, machine.delta
        self.kernel = operator.kernel
        eager = machine.eager if eager is None and not rendezvous else eager
        self.eager = eager if eager is not None else -1 if rendezvous else math.inf
        self.phantom = phantom
        self.program = program
        self.many = many(p)
        self.ranks = [Rank(Process(title, r, p, program(r), phantom)) for r in range(p)]
        self.late = late or (chance.late() if chance else {})
        self.ready = sorted([(self.late.get(r, 0.0), r) for r in range(p)])
        self.unexpected: dict[int, Sent] = {}  # the first of each queue
        self.expected: dict[int, Posted] = {}

    def run(self) -> Run:
        """Run to the end."""
        with uncollected(), Guard() as guard:
            wires, ready = self.wires, self.ready
            while not guard.late:
                if wires.pending and not self._is_next():
                    wires.step()
                elif ready:
                    self._advance(*heapq.heappop(ready))
                else:
                    break
        if guard.late:
            raise Timeout(f"{self.title}: the simulated run must end in time, got no end")
        self._check_finished()
        self._check_nothing_left()
        columns = zip(*[rank.tally() for rank in self.ranks], strict=True)
        links = self.placed.links if self.placed is not None else []
        passed = [(links[number], nbytes) for number, nbytes in sorted(self.wires.loads.items())]
        loads = tuple(Load(link.name, link.rate, nbytes, link.burst) for link, nbytes in passed)
        return Run(*[np.array(column) for column in columns], loads)  # type: ignore

    def _is_next(self) -> bool:
        """Whether a rank goes on before anything else happens, or at the same time."""
        return bool(self.ready) and self.ready[0][0] <= self.wires.when()

    def _advance(self, now: float, number: int) -> None:
        rank = self.ranks[number]
        rank.now = now
        round_ = rank.process.advance()
        if rank.process.rounds == self.many:
            check_ends(Process(self.title, number, self.p, self.program(number), self.phantom))
        if round_ is None:
            rank.finished = True
        else:
            self._start(rank, round_)

    def _start(self, rank: Rank, round_: Round) -> None:
        """Post the messages of a round; those that find their match move."""
        sends, recvs = round_.sends, round_.recvs
        rank.round = round_
        rank.ends = rank.busy = rank.taken = rank.now
        if self.copies is not None:
            rank.ends = rank.busy = rank.taken = rank.now + self._copying(rank, 0)
        rank.waits = len(recvs)
        rank.posting = True
        if sends:
            self._post_sends(rank, sends)
        if recvs:
            self._post_recvs(rank, recvs)
        rank.posting = False
        if not rank.waits:
            self._end(rank)

    def _post_sends(self, rank: Rank, messages: list[Message]) -> None:
        base, expected = rank.number * self.p, self.expected
        rank.messages += len(messages)
        for message in messages:
            nbytes = message.nbytes
            rank.bytes_sent += nbytes
            sent = Sent(rank, message)
            if nbytes <= self.eager:
                self._leave(sent)
            else:
                rank.waits += 1
            channel = base + message.peer
            if channel in expected:
                self._match(sent, take(expected, channel))
            else:
                sent.line = rank.process.line()  # the rank may go on before this is matched
                sent.number = rank.process.number
                put(self.unexpected, channel, sent)

    def _post_recvs(self, rank: Rank, messages: list[Message]) -> None:
        me, p, unexpected = rank.number, self.p, self.unexpected
        for message in messages:
            rank.bytes_received += message.nbytes
            channel = message.peer * p + me
            posted = Posted(rank, message)
            if channel in unexpected:
                self._match(take(unexpected, channel), posted)
            else:
                put(self.expected, channel, posted)

    def _leave(self, sent: Sent) -> None:
        """Eager: the message goes to the port out; then its memory may change."""
        self.wires.leave(sent)
        if not self.phantom:
            sent.views = tuple([view.copy() for view in sent.views])

    def _match(self, sent: Sent, posted: Posted) -> None:
        """A message meets its recv."""
        source, target, nbytes = sent.rank, posted.rank, sent.message.nbytes
        if nbytes != posted.message.nbytes:
            self._fail_lengths(sent, posted)
        if nbytes and sent.views[0].dtype is not posted.message.views[0].dtype:
            self._check_dtypes(sent, posted)
        if not self.phantom:
            transfer(sent.views, posted.message.views)
        if nbytes <= self.eager:
            known = self.wires.arrive(sent, target)
        elif known := self.wires.meet(sent, target):
            source.waits -= 1
            if not source.waits and not source.posting:
                self._end(source)
        if known:
            target.waits -= 1
            if not target.waits and not target.posting:
                self._end(target)

    def _end(self, rank: Rank) -> None:
        """All messages of the round have moved: run its local steps."""
        if rank.arrivals:
            self._receive(rank)
        if self.copies is not None:
            rank.ends += self._copying(rank, 1)
        for step in rank.round.local:
            self._work(rank, step)
        heapq.heappush(self.ready, (rank.ends, rank.number))

    def _receive(self, rank: Rank) -> None:
        self.wires.receive(rank)

    def _copying(self, rank: Rank, after: int) -> float:
        """Seconds that a rank copies in its round, before its messages or after them."""
        assert self.copies is not None
        process = rank.process
        return self.delta * self.copies(process.rank).get(process.number, (0, 0))[after]

    def _work(self, rank: Rank, step: Local) -> None:
        if not self.phantom:
            self._perform(step)
        if type(step) is reduce:
            nbytes = step.out.nbytes
            rank.reductions += 1
            rank.bytes_reduced += nbytes
            seconds = self.gamma * nbytes
            if self.chance is not None:
                seconds *= self.chance.stretch(rank.number)
            rank.ends += seconds

    def _perform(self, step: Local) -> None:
        if isinstance(step, copy):
            transfer(views_of(step.src), views_of(step.dst))
        elif isinstance(step, encode):
            step.codec.encode(step.src, step.packet)
        elif isinstance(step, decode):
            step.codec.decode(step.packet, step.dst)
        elif step.out.size:  # an empty view may be read-only
            self.kernel(step.inbuf, step.inoutbuf, step.out)

    def _fail_lengths(self, sent: Sent, posted: Posted) -> None:
        needed, got = posted.message.nbytes, sent.message.nbytes
        self._fail_pair(sent, posted, f"{needed} bytes", f"{got}", LENGTHS)

    def _check_dtypes(self, sent: Sent, posted: Posted) -> None:
        needed, got = posted.message.views[0].dtype, sent.views[0].dtype
        if needed != got:
            self._fail_pair(sent, posted, f"{needed}", f"{got}", "both need one dtype")

    def _fail_pair(self, sent: Sent, posted: Posted, needed: str, got: str, hint: str) -> None:
        target = posted.rank.process
        raise ScheduleError(
            f"{self.title}: rank {target.rank} of {self.p}: needs {needed} "
            f"from rank {posted.message.peer} ({target.scene()}), "
            f"got {got} ({sent.scene or sent.rank.process.scene()}); {hint}",
            hint=hint,
        )

    def _check_finished(self) -> None:
        stuck = [rank for rank in self.ranks if not rank.finished]
        if stuck:
            raise Deadlock(*self._explain(stuck))

    def waits(self) -> dict[int, tuple[int, str]]:
        """For whom each rank that is stuck waits, and in what."""
        waits: dict[int, tuple[int, str]] = {}
        for posted in queued(self.expected):
            peer = posted.message.peer
            waits[posted.rank.number] = peer, f"recv from {peer}"
        for sent in queued(self.unexpected):
            if sent.message.nbytes > self.eager:
                peer = sent.message.peer
                waits.setdefault(sent.rank.number, (peer, f"send to {peer}"))
        return waits

    def _explain(self, stuck: list[Rank]) -> tuple[str, list[tuple[int, str, str]], str]:
        """Follow who waits for whom until a rank comes up again or has finished."""
        waits = self.waits()
        path = [stuck[0].process.rank]
        while (peer := waits[path[-1]][0]) in waits and peer not in path:
            path.append(peer)
        cycle = path[path.index(peer) :] if peer in path else path
        chain = [(r, waits[r][1], self.ranks[r].process.where()) for r in cycle]
        links = [
            f"rank {r} waits in {step} ({self.ranks[r].process.scene()})" for r, step, _ in chain
        ]
        links.append(f"rank {peer} again" if peer in cycle else f"rank {peer} has finished")
        others = len(stuck) - len(cycle)
        behind = f"; {others} more ranks wait behind them" if others else ""
        hint = way_out(chain, None if peer in cycle else peer)
        return f"{self.title}: deadlock: {', '.join(links)}{behind}; {hint}", chain, hint

    def _check_nothing_left(self) -> None:
        for sent in queued(self.unexpected):
            raise ScheduleError(
                f"{self.title}: every message needs a recv, got none for {sent.message.nbytes} "
                f"bytes from rank {sent.rank.process.rank} to rank {sent.message.peer} "
                f"({sent.scene}); {LEFT_OVER}",
                hint=LEFT_OVER,
            )
