"""How the thread that advances operations decides when to look again; without the thread."""

import pytest

from collectives.mpi.engines.operation import Operation
from collectives.mpi.engines.progress import CALM, LONGEST, QUIET, SHORTEST, Progress
from collectives.mpi.engines.stages import Stage


class Steps(Operation):
    """An operation of so many stages, each of which is over when it is looked at."""

    def __init__(self, many):
        super().__init__(iter([Stage()] * many))

    def _post(self, stage):
        return [Waiting()]


class Waiting:
    """A request that ends at the second look."""

    def __init__(self):
        self.looks = 0

    def Test(self):
        self.looks += 1
        return self.looks > 1


@pytest.fixture
def progress():
    return Progress()


def turns(progress, many, pause=QUIET):
    pauses = [pause]
    for _ in range(many):
        pauses.append(progress._turn(pauses[-1]))
    return pauses[1:]


def test_the_idle_thread_looks_ever_less_often(progress):
    pauses = turns(progress, 10)
    assert pauses == sorted(pauses) and pauses[0] > QUIET and pauses[-1] == CALM


def test_whoever_waits_by_our_methods_is_left_in_peace(progress):
    """Its operations are in its hands when the thread looks, or have ended."""
    operation = Steps(3)
    for _ in range(10):
        progress.operations[operation] = None
        operation.turn.clear()
        progress.polled = True
        pause = progress._turn(CALM)
    assert pause == CALM and operation.rounds == 0


def test_an_operation_left_alone_is_advanced(progress):
    operation = Steps(2)
    progress.operations[operation] = None
    progress.polled = True
    assert progress._turn(CALM) == QUIET and operation.rounds == 0  # somebody has just polled
    assert progress._turn(QUIET) == SHORTEST and operation.rounds == 1
    pauses = turns(progress, 3, SHORTEST)
    assert operation.done
    del progress.operations[operation]
    pauses = turns(progress, 20, pauses[-1])
    assert max(pauses) == QUIET, "a thread that has been needed looks often"


def test_without_progress_it_looks_less_often_but_often_enough(progress):
    operation = Steps(1)
    operation.before = Operation(iter(()))  # which does not end
    progress.operations[operation] = None
    pauses = turns(progress, 10, SHORTEST)
    assert pauses[:3] == [2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST] and pauses[-1] == LONGEST


def test_it_calls_what_is_watched_and_is_needed_if_that_finds_something(progress):
    found = iter([False] * 10 + [True] + [False] * 10)
    progress.watched[0] = lambda: next(found)
    assert turns(progress, 10)[-1] == CALM
    assert max(turns(progress, 11, CALM)) == QUIET
    assert next(found, None) is None, "every turn looks"
