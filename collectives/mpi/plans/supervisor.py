"""Supervision of one communicator: calls that the ranks compare, and calls that have a time limit.

The first call of each algorithm is compared by all ranks; in checked mode every call is.
Under a time limit every call is advanced bit by bit, so that its rank can answer where it
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from collectives.algorithms.language.registry import Generator
from collectives.mpi.engines.calls import compile_stages, run
from collectives.mpi.engines.lanes import Lane
from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import PROGRESS
from collectives.mpi.engines.stages import Stage
from collectives.mpi.engines.tally import Tally
from collectives.mpi.guards.agreement import Agreement
from collectives.mpi.guards.settings import Settings
from collectives.mpi.guards.watch import Watch
from collectives.mpi.plans.recording import Attempt
from collectives.mpi.plans.traffic import COMPARISON_TAG, REPORT_TAG, Flight, Traffic

Each = TypeVar("Each")


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

    def configure(self, wanted: Settings) -> None:
        """Check and limit calls from now on, or stop it. Collective.

        Raises
        ------
        CallMismatch
            The ranks want different things.
        """
        self.compare_settings(wanted)
        self.adopt(wanted)

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
        return self.watch is not None and bool(self.watch.verdict)

    def begin(self, name: str, within: str = "") -> int:
        """The number of a call of the user's; what is done within it has the same.

        Raises
        ------
        Timeout
            An earlier call did not end in time.
        """
        number = self._number + 1
        if not within:
            self._number = number
        if self.watch is not None:
            self.watch.begin(name, number)
        return number

    def see_through(self, stages: Iterator[Stage], name: str, number: int) -> None:
        """Carry out stages, within the time limit if there is one."""
        operation = Flight(self.traffic, stages)
        self.waiter(name, number)(operation)
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
        self.see_through(self.agree(f"the end of {call}", problem), call, self._number)

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
                    self.see_through(self.agree("", error), name, self._number + 1)
                raise
            yield call

    def close(self) -> None:
        """Answer no more questions of other ranks."""
        if self.watch is not None:
            self.watch.close()
