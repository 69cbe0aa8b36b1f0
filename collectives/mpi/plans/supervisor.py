"""Supervision of one communicator: calls that the ranks compare, and calls that have a time limit.

The first call of each algorithm is compared by all ranks; in checked mode every call is.
Under a time limit every call is advanced bit by bit, so that its rank can answer where it
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from collectives.algorithms.language.registry import Generator
from collectives.errors import Interrupted
from collectives.mpi.engines.calls import compile_stages, run
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.shield import SHIELD
from collectives.mpi.engines.stages import Stage
from collectives.mpi.engines.tally import Tally
from collectives.mpi.guards.agreement import Agreement
from collectives.mpi.guards.settings import Settings
from collectives.mpi.guards.watch import LAST, Watch, limit_the_end
from collectives.mpi.plans.recording import Attempt
from collectives.mpi.plans.traffic import COMPARISON_TAG, REPORT_TAG, Traffic

Each = TypeVar("Each")
Stages = Iterator[Stage]


def describe(error: BaseException) -> str:
    """An error in one line."""
    text = str(error).strip().splitlines()
    return type(error).__name__ + (f": {text[0]}" if text else "")


class Supervisor:
    """Compares and limits the calls of one communicator.

    Parameters
    ----------
    lane : Lane
    traffic : Traffic
        The operations in flight there.
    tally : Tally
        Counts what runs there.

    Attributes
    ----------
    settings : Settings
    active : bool
        Whether a call is more than its algorithm.
    """

    def __init__(self, lane: Lane, traffic: Traffic, tally: Tally):
        self.lane = lane
        self.tally = tally
        self.traffic = traffic
        self.settings = Settings()
        self.active = False
        self.watch: Watch | None = None
        self._number = 0  # of calls, while it is active
        self._agreements: list[Agreement] = []
        self.agreed: set[Generator] = set()
        self.left = ""  # what keeps this rank from further calls

    def compare_settings(self, wanted: Settings) -> None:
        """Raise CallMismatch if the ranks want different things. Collective."""
        self.run(self.agree(f"Comm with {wanted}", None))

    def adopt(self, wanted: Settings) -> None:
        """Check and limit calls from now on, or stop it: all ranks want the same."""
        if self.watch is not None and wanted.timeout != self.settings.timeout:
            self.watch.close()
            self.watch = None
        self.settings, self.active = wanted, wanted.active
        if wanted.timeout is not None and self.watch is None:
            self.watch = Watch(self.lane, REPORT_TAG, wanted.timeout)

    @property
    def given_up(self) -> bool:
        """Whether a call did not end in time: its messages keep the communicator."""
        return bool(self.left) or (self.watch is not None and bool(self.watch.verdict))

    def give_up(self, why: str) -> None:
        """Take no more calls; where time is limited, the other ranks are told why."""
        self.left = self.left or why
        self.active = True  # so that every call comes here first
        limit_the_end(LAST)
        if self.watch is not None:
            self.watch.give_up(self.left)

    def begin(self, name: str, within: str = "") -> int:
        """The number of a call of the user's; what is done within it has the same.

        Raises
        ------
        Timeout
            An earlier call did not end in time.
        Interrupted
            An earlier call was left in the middle.
        """
        if self.left:
            raise Interrupted(
                f"{name}: needs a communicator on which all calls have ended, got one with "
                f"{self.left}; make another one, or end the program"
            )
        number = self._number + 1
        if not within:
            self._number = number
        if self.watch is not None:
            self.watch.begin(name, number)
        return number

    def see_through(self, stages: Callable[[Operation], Stages], name: str, number: int) -> None:
        """Carry out the stages of an operation, within the time limit if there is one."""
        operation = self.traffic.kind(self.traffic, iter(()))
        operation.stages = stages(operation)
        try:
            self.waiter(name, number)(operation)
        except BaseException as error:
            if not operation.done:
                self.traffic.give_up(error, operation)
            raise
        if operation.error is not None:
            self._number = number  # the call is over, even if this was only a part of it
            raise operation.error

    def waiter(self, name: str, number: int | None) -> Callable[[Operation], None]:
        """What waits for an operation, within the time limit if there is one by then."""

        def wait(operation: Operation) -> None:
            if self.watch is None:
                PROGRESS.wait(operation)
            else:
                self.watch.wait(operation, name, number)

        return wait

    def compare(
        self, attempt: Attempt, within: str = "", number: int | None = None
    ) -> Iterator[Stage]:
        """What it takes to raise on all ranks if one has a problem or calls differ."""
        name = f"{within}: {attempt.name}" if within else attempt.name
        call = name if number is None else f"{name}, call {number}"
        yield from self.agree(call, attempt.problem)
        if attempt.algorithm is not None:
            self.agreed.add(attempt.algorithm.generator)

    def closing(self, name: str, call: Operation, alone: bool = True) -> Stages:
        """In checked mode, let all ranks know if one has failed in the middle of a call.

        If the caller waits for this call `alone`, what is held back is an error of it, too.
        """
        if not self.settings.check:
            return
        own, lost = call.error, call.lost
        held = own or (SHIELD.first if alone else None)
        call.error, call.lost = None, False  # or the comparison's own work would be left out
        problem = None
        if held is not None:
            problem = Interrupted(
                f"{name}: rank {self.lane.rank} raised {describe(held)} in the middle; "
                "what this call has received is undefined"
            )
        try:
            yield from self.agree(f"the end of {name}", problem)
        finally:
            call.error, call.lost = own or call.error, lost or call.lost

    def compares(self, attempt: Attempt) -> bool:
        """Whether the ranks compare this call."""
        if self.settings.check:
            return True
        return attempt.algorithm is not None and attempt.algorithm.generator not in self.agreed

    def agree(self, call: str, problem: Exception | None) -> Iterator[Stage]:
        """Raise on all ranks if one has a problem, or if they do not say the same of the call."""
        agreement = self._agreements.pop() if self._agreements else Agreement(self.lane, self.tally)
        yield from agreement.stages(call, problem)
        self._agreements.append(agreement)

    def conclude(self, call: str, problem: Exception | None) -> None:
        """Raise on all ranks if one has a problem at the end of a call."""
        self._agree(f"the end of {call}", problem, call, self._number)

    def _agree(self, call: str, problem: Exception | None, name: str, number: int) -> None:
        stages = self.agree(call, problem)
        self.see_through(lambda _: stages, name, number)

    def run(self, stages: Iterator[Stage]) -> None:
        """Carry out the stages of a comparison at once, without a time limit."""
        for stage in stages:
            run(compile_stages([stage], self.lane, COMPARISON_TAG))

    def guarded(self, calls: Iterator[Each], name: str) -> Iterator[Each]:
        """What a call comes to; if that is wrong on a rank, the others that compare are told."""
        while True:
            try:
                call = next(calls)
            except StopIteration:
                return
            except Exception as error:
                if self.settings.check:
                    self._agree("", error, name, self._number + 1)
                raise
            yield call

    def close(self) -> None:
        """Answer no more questions of other ranks."""
        if self.watch is not None:
            self.watch.close()
