"""How long a call takes on all ranks together."""

import numpy as np
import pytest

from collectives.bench.measure import elapsed


class Other:
    """A communicator with one other rank, whose part of a reduction is known."""

    def __init__(self, times, one_clock):
        begin, end = np.array(times)
        parts = [-begin, end] if one_clock else [0 * begin, end - begin]
        self.part = np.append(np.concatenate(parts), 7)

    def Allreduce(self, local, most, op):
        np.maximum(local, self.part, out=most)


# Two calls: this rank begins and ends, the other one does.
MINE = np.array([[10.0, 20.0], [11.0, 24.0]])
THEIRS = [[8.0, 21.0], [10.5, 22.0]]


@pytest.mark.parametrize("one_clock, times", [(True, [3.0, 4.0]), (False, [2.5, 4.0])])
def test_a_call_lasts_from_the_first_start_to_the_last_end(one_clock, times):
    """A rank that begins late, and finds all its data there, hides nothing."""
    found = elapsed(Other(THEIRS, one_clock), MINE, one_clock, more=3)
    assert found.tolist() == [*times, 7.0]
