"""Arguments of what runs without MPI: one sentence, before anything else happens."""

import math

import numpy as np
import pytest

from collectives import Clock, Problem, algorithms_for, count, loss, simulate
from collectives.__main__ import main
from collectives.algorithms.language.registry import ROOTED
from collectives.errors import ArgumentError, UnknownAlgorithm
from collectives.machine.model import Machine
from collectives.study.bounds import bounds
from collectives.study.cost import predicted_time
from collectives.study.symbolic import prove
from collectives.study.tables import table_text
from collectives.study.why import table_of, why

NO_RANK = (-1, 3, 1.0, True, "0", None, math.nan, 2**70)
NO_NUMBER_OF_RANKS = (0, -1, 2.0, True, "2", None, math.nan, 10**12)
NO_TIME = (-1.0, -1e-300, math.nan, math.inf, -math.inf, "1", None, True, 1j, 10**400)


@pytest.mark.parametrize("primitive", sorted(ROOTED))
def test_roots(primitive):
    for name in algorithms_for(primitive):
        for root in NO_RANK:
            with pytest.raises(ArgumentError, match="root must be a rank from 0 to 2, got"):
                count(primitive, name, p=3, n=24, root=root)
            with pytest.raises(ArgumentError, match="root must be a rank from 0 to 2, got"):
                prove(f"{primitive}.{name}", 3, root=root)
        assert count(primitive, name, p=3, n=24, root=np.int32(2)).messages > 0


@pytest.mark.parametrize("p", NO_NUMBER_OF_RANKS, ids=str)
def test_numbers_of_ranks(p):
    for call in (
        lambda: simulate("barrier", p=p),
        lambda: count("allreduce", "ring", p=p, n=8),
        lambda: prove("bcast.tree", p),
        lambda: Problem("bcast", p),
        lambda: loss("allreduce", "ring", p=p, n=8),
    ):
        with pytest.raises(ArgumentError, match="ranks"):
            call()
    if p != 10**12:  # of which bounds and cost lines say something
        for call in (
            lambda: bounds("bcast", p, 8),
            lambda: why("bcast", p, 8),
            lambda: table_of("bcast", None, [p]),
            lambda: table_text(Machine(), [p]),
        ):
            with pytest.raises(ArgumentError, match="ranks"):
                call()


@pytest.mark.parametrize("n", (-1, 1.5, True, "8", None, 2**63), ids=str)
def test_lengths(n):
    for call in (
        lambda: count("allreduce", "ring", p=4, n=n),
        lambda: simulate("gather", "tree", p=4, n=n, dtype=np.float64),
        lambda: why("allreduce", 4, n),
    ):
        with pytest.raises(ArgumentError, match=r"number of|all vectors together"):
            call()


@pytest.mark.parametrize("value", NO_TIME, ids=str)
def test_times(value):
    for name in ("alpha", "beta", "gamma"):
        with pytest.raises(ArgumentError, match=f"Clock: {name} must be a number of seconds"):
            Clock(**{name: value})


def test_times_of_all_numbers():
    clock = Clock(alpha=np.float32(1), beta=0, gamma=np.int64(2))
    assert simulate("barrier", "tree", p=2, clock=clock).time == 2


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"dtype": object}, "dtype must be"),
        ({"dtype": "no such"}, "dtype must be"),
        ({"dtype": "S0"}, "dtype must be"),
        ({"counts": [1, 2]}, "counts must be 3 integers"),
        ({"counts": [1, 2, -3]}, "counts must be 3 integers"),
        ({"counts": [1.0, 2, 3]}, "counts must be 3 integers"),
        ({"counts": [True] * 3}, "counts must be 3 integers"),
        ({"counts": [[1], [2, 3]]}, "counts must be 3 integers"),
        ({"counts": [2**61] * 3}, "all vectors together"),
        ({"operator": "sum"}, "operator must be of the class Operator"),
        ({"clock": 1.0}, "clock must be of the class Clock"),
        ({"topology": 2}, "needs a line, a preset or a file, got 2"),
        ({"segments": 0}, "no parameter 'segments'"),
    ],
)
def test_other_arguments(wrong, complaint):
    with pytest.raises(ArgumentError, match=f"reduce_scatter.*{complaint}"):
        simulate("reduce_scatter", "naive", p=3, n=9, **wrong)


def test_what_is_no_algorithm():
    for primitive in (["bcast"], None, 3):
        with pytest.raises(UnknownAlgorithm, match="a primitive is needed"):
            count(primitive, "ring", p=3)
    with pytest.raises(ArgumentError, match="algorithm must be of the class Algorithm"):
        prove(3, 3)


def test_counts_of_long_vectors_do_not_overflow():
    n = 2**62 // 16
    assert count("alltoall", "naive", p=16, n=n).bytes_sent == n // 16 * 16 * 15
    assert count("allreduce", "gather_all", p=16, n=n).bytes_sent > 2**62


@pytest.mark.parametrize(
    "command",
    [
        *("prove -p 0", "prove --also -3", "prove --jobs 0", "check -p 0", "count -p x"),
        *("count -n 99999999T", "count bcast -p 1000000000000", "plan bcast -n 1P"),
        *("plan bcast -n 9999T", "plan bcast --root 4", "plan bcast --rank -1", "error -n 9999T"),
        *("error --seed -1", "list --bounds -p 0", "list --bounds bcast -p 1000000000000"),
        *("why bcast --alpha=-1e-6", "table -p 4 --alpha=nan", "table --beta inf", "table -p 0"),
        *("table --write /nowhere/table", "error bcast"),
    ],
)
def test_the_command_line(command, capsys):
    try:
        status = main(command.split())
    except SystemExit as end:  # of argparse
        status = end.code
    told = capsys.readouterr().err
    assert status == 2
    assert " needed, got " in told or " must be " in told or " must fit " in told, told


@pytest.mark.usefixtures("registry")
def test_cost_lines_that_cannot_be_computed():
    from collectives.algorithms.language import algorithm
    from collectives.catalogue import find

    for number, cost in enumerate(("", "Cost: p*(alpha +", "Cost: q*alpha", "Cost: alpha/(p-p)")):

        def mine(rank, p, buf, root):
            yield []

        mine.__doc__ = f"Mine.\n\n{cost}\n"
        algorithm("bcast", name=f"mine{number}")(mine)
        with pytest.raises(ArgumentError, match=r"needs a line `Cost:` .* that can be computed"):
            predicted_time(find("bcast", f"mine{number}")[0], 4, 8, Clock())
