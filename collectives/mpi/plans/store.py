"""The plans of one communicator, kept for the calls to come.

Each shape of calls has a pool of plans. A call takes one out and puts it back at its end,
so that two calls that are in flight together, or one that user code makes within another,
never share memory. A call that comes again with the same buffers gets a direct plan, which
works on these buffers and has nothing to look up; it shares the scratch memory of a plan,
and so they have one turn.
So calls that may run while a nonblocking one is in flight have other plans than that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import RLock

from collectives.algorithms.language import registry
from collectives.algorithms.language.registry import PRIMITIVES
from collectives.catalogue import DEFAULTS
from collectives.engines.packing import Call
from collectives.mpi.engines.calls import TAG, GivenUp
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.replay import Setup
from collectives.mpi.engines.tally import Meter
from collectives.mpi.plans.callplan import CALL_BYTES, Addresses, CallPlan, Turn
from collectives.mpi.plans.keys import Shape, tokens_in
from collectives.mpi.plans.traffic import Traffic

MAX_PLANS = 1024
MAX_BYTES = 64 * 2**20
MAX_ALIKE = 64  # plans of one shape
MAX_SEEN = 64  # addresses that a shape remembers

# What makes, of the words for a call and its number, what waits for its operation.
Waiter = Callable[[str, "int | None"], Callable[[Operation], None]]

# What becomes of a call that could not even be gone through with, and which memory it used.
GiveUp = Callable[[GivenUp, object], BaseException]

# What calls are found by at once: a direct plan by all that they depend on, a pool by the same
# without addresses.
Ready = dict
Direct = tuple[Turn, "list[Call]"]


class Pool:
    """The plans of one shape of calls.

    Attributes
    ----------
    idle : list of CallPlan
        Those that no call uses now.
    plans : int
        How many there are, with those in use and the direct ones.
    direct : dict
        The direct plans, by addresses.
    meter : Meter or None
        Counts their runs.
    nbytes : int
        The memory of all of them.
    """

    def __init__(self, store: Store, shape: Shape):
        self.store = store
        self.shape = shape
        self.tokens = [*tokens_in(shape)]
        self.idle: list[CallPlan] = []
        self.plans = 0
        self.direct: dict[Addresses, tuple[Turn, Setup]] = {}
        self.meter: Meter | None = None
        self.seen: set[Addresses] = set()
        self.nbytes = 0
        self.closed = False
        self.shortcuts: list[tuple[Ready, tuple]] = []

    def take(self, addresses: Addresses) -> CallPlan | None:
        """A plan for buffers at these addresses, which belongs to the caller until `give`."""
        try:
            plan = self.idle.pop()
        except IndexError:
            return None
        if plan.turn.taken:
            self.idle.insert(0, plan)  # of a direct plan, within which this call is made
            if self.idle[-1].turn.taken:
                return None
            plan = self.idle.pop()
        if not plan.improved:
            plan.improve()
        if plan.allows(addresses) and (not plan.placed or plan.can_be_at(addresses)):
            return plan
        self.idle.append(plan)
        return None

    def give(self, plan: CallPlan) -> None:
        """Put back a plan that nobody uses any more."""
        self.idle.append(plan)
        if self.closed:
            self.clear()

    def end(self, plan: CallPlan, succeeded: bool) -> None:
        """A call has ended: its plan is of use again unless it failed in the middle."""
        if succeeded:
            self.give(plan)
        else:
            self.store.discard(self, plan)

    def clear(self) -> None:
        """Free the plans that no call uses now; another thread may be at it, too."""
        with suppress(IndexError):
            while True:
                self.idle.pop().free()
        with suppress(KeyError):
            while True:
                self.store.retire(self.direct.popitem()[1])

    def run(self, addresses: Addresses) -> bool:
        """Carry out a call; False if that takes more than a plan that is there.

        A call that comes for the second time is worth a direct plan.
        """
        if addresses in self.seen:
            return False
        plan = self.take(addresses)
        if plan is None:
            return False
        self.saw(addresses)
        self.carry_out(plan, addresses)
        return True

    def saw(self, addresses: Addresses) -> None:
        """Remember that a call has come with buffers there."""
        if len(self.seen) >= MAX_SEEN:
            self.seen.clear()
        self.seen.add(addresses)

    def note(self, ready: Ready, shortcut: tuple, found: object) -> None:
        """Let a call find a pool, or the calls of a direct plan, at once."""
        if shortcut not in ready and not self.closed:
            ready[shortcut] = found
            self.shortcuts.append((ready, shortcut))

    def carry_out(self, plan: CallPlan, addresses: Addresses) -> None:
        """Carry out a call by a plan that was taken."""
        plan.turn.taken = True
        try:
            plan.run(addresses)
        except GivenUp as lost:  # the turn stays taken: messages may still come
            raise self.store.give_up(lost, plan) from None
        except BaseException:
            plan.turn.taken = False
            self.end(plan, succeeded=False)
            raise
        plan.turn.taken = False
        self.give(plan)


class Store:
    """The pools of one communicator.

    Attributes
    ----------
    lane : Lane
    traffic : Traffic
        Where its nonblocking calls are in flight.
    pools : dict
        By shape, the oldest first.
    plans, nbytes : int
        How many plans all pools have, and the memory of all.
    """

    def __init__(self, lane: Lane, traffic: Traffic, waiter: Waiter, give_up: GiveUp):
        self.lane = lane
        self._retired: list[tuple[Turn, Setup]] = []
        self.give_up = give_up
        self.traffic = traffic
        self._waiter = waiter
        self.pools: dict[Shape, Pool] = {}
        self.plans = self.nbytes = 0
        self.revision = registry.revision
        self._lock = RLock()  # whatever advances an operation in flight may come here, too
        self._ready: Ready = {}
        self._others: dict[tuple[str, ...], Ready] = {}  # under other defaults

    def ready(self, defaults: Mapping[str, str]) -> Ready:
        """What is ready where calls that name no algorithm take these."""
        if defaults is DEFAULTS:
            return self._ready
        return self._others.setdefault(tuple(defaults[name] for name in PRIMITIVES), {})

    def add(self, shape: Shape, plan: CallPlan, alone: bool = True) -> Pool:
        """Keep a new plan, which is in use; the oldest make room, and what cannot come again.

        Unless the caller is `alone`, a call may be under way by a direct plan, so that
        nothing is dropped: a plan for which there is no room ends with its call.
        """
        with self._lock:
            if alone:
                self._drop_dead()
            pool = self.pools.get(shape) or Pool(self, shape)
            fits = plan.nbytes <= MAX_BYTES and pool.plans < MAX_ALIKE
            if not fits or not (alone or self._room(1, plan.nbytes)):
                pool = Pool(self, shape)
                pool.closed = True  # it ends with the call
                return pool
            self.pools[shape] = pool
            plan.wait = self._waiter(plan.description, None)
            self._count(pool, 1, plan.nbytes)
            while not self._room():
                self.drop(next(iter(self.pools)))
            return pool

    def make_room(self) -> None:
        """See that calls that are not alone can add their plans: two at most, usually."""
        with self._lock:
            if not self._room(2):
                self._drop_dead()
            while self.pools and not self._room(2):
                self.drop(next(iter(self.pools)))

    def direct(self, pool: Pool, plan: CallPlan, addresses: Addresses) -> Direct | None:
        """A direct plan, made from one of the pool: its turn, and its calls.

        None if there is no room, or if it is in use. There may be one already, for a call
        that was spelled otherwise.
        """
        if addresses in pool.direct:
            turn, setup = pool.direct[addresses]
            return None if turn.taken else (turn, [plan.tick, *setup.calls()])
        stages = plan.direct(addresses)
        nbytes = CALL_BYTES * sum(stage.size for stage in stages)
        with self._lock:
            while not self._room(1, nbytes):
                oldest = next(iter(self.pools.values()))
                if oldest is pool:
                    return None
                self.drop(oldest.shape)
            setup = Setup(stages, self.lane, TAG)
            pool.direct[addresses] = plan.turn, setup
            self._count(pool, 1, nbytes)
        pool.meter = plan.meter  # which lives as long as the calls below
        return plan.turn, [plan.tick, *setup.calls()]

    def retire(self, direct: tuple[Turn, Setup]) -> None:
        """Free a direct plan, or keep it until the call has ended that uses it."""
        self._retired.append(direct)
        retired, self._retired = self._retired, []
        for turn, setup in retired:
            if turn.taken:
                self._retired.append((turn, setup))
            else:
                setup.free()

    def discard(self, pool: Pool, plan: CallPlan) -> None:
        """Give up a plan that was in use: its messages may be anywhere."""
        self.lane.spoilt = True
        plan.free()
        with self._lock:
            if not pool.closed:
                self._count(pool, -1, -plan.nbytes)

    def drop(self, shape: Shape) -> None:
        """Drop the plans of one shape; those in use end with their calls."""
        with self._lock:
            pool = self.pools.pop(shape)
            pool.closed = True
            for ready, shortcut in pool.shortcuts:
                ready.pop(shortcut, None)
            pool.clear()
            self.nbytes -= pool.nbytes
            self.plans -= pool.plans

    def forget_addresses(self) -> None:
        """Forget which buffers have come: none are worth a direct plan."""
        for pool in self.pools.values():
            pool.seen.clear()

    def forget(self) -> None:
        """Drop all plans."""
        for shape in [*self.pools]:
            self.drop(shape)

    def hide(self) -> None:
        """Let no call be found at once any more."""
        for ready in (self._ready, *self._others.values()):
            ready.clear()

    def _drop_dead(self) -> None:
        """Drop what cannot come again."""
        if self.revision != registry.revision:
            self.forget()
            self.revision = registry.revision
        for shape, pool in [*self.pools.items()]:
            if pool.tokens and not all(token.alive for token in pool.tokens):
                self.drop(shape)

    def _room(self, plans: int = 0, nbytes: int = 0) -> bool:
        """Whether all that there is may be kept, with so much more."""
        return self.plans + plans <= MAX_PLANS and self.nbytes + nbytes <= MAX_BYTES

    def _count(self, pool: Pool, plans: int, nbytes: int) -> None:
        pool.plans += plans
        pool.nbytes += nbytes
        self.plans += plans
        self.nbytes += nbytes
