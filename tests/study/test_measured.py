"""The critical path of what was measured, held against the simulator's where that knows it."""

import pytest

import collectives
from collectives.study.measured import critical


@pytest.mark.parametrize("late", [{}, {2: 5e-5}, {0: 3e-5, 4: 1e-5}], ids=str)
@pytest.mark.parametrize(
    "primitive, algorithm",
    [
        *(("allreduce", "ring"), ("allreduce", "recursive_doubling"), ("bcast", "tree")),
        *(("gather", "tree"), ("allgather", "ring"), ("allreduce", "rabenseifner")),
        ("barrier", "ring"),
    ],
)
def test_critical_path(primitive, algorithm, late):
    """A send of the simulator ends when it has passed the port."""
    clock = collectives.Clock(1e-6, 0, 0)
    made = collectives.trace(primitive, algorithm, p=5, late=late, clock=clock)
    assert critical(made, [message.left + 1e-6 for message in made.messages]) == made.critical
