"""Properties that hold for any ranks, sizes, roots, operators and modes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.ranks import ceil_lg
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.catalogue import check_restrictions
from collectives.errors import RestrictionError
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.operators.binned import RECORD
from collectives.operators.operator import MATPROD, MATRIX, OPERATORS, REPRODUCIBLE_SUM
from collectives.problems import BLOCKWISE, CAN_BE_IN_PLACE, Problem
from collectives.study.verify import simulator, verify

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
FLOATS = [np.float64, np.complex128]
INTEGERS = [np.uint8, np.int16, np.int32, np.int64, np.uint64]
BITWISE = {"band", "bor", "bxor"}
LOGICAL = {"land", "lor", "lxor"}
CODINGS = [
    {},
    {"codec": "int8", "bucket": 7, "seed": 5},
    {"codec": "topk"},
    {"codec": "topk", "ratio": 1},
    {"codec": "exact"},
]
ROUNDED = {"prod"}  # of floats: the order of operands shows in the last bits

# The same examples every time: a failure in CI is one that can be repeated.
repeatable = settings(derandomize=True, deadline=None, max_examples=150, print_blob=True)


def possible(algorithm, p, operator):
    if algorithm.lossy and operator.name != "sum":
        return False
    try:
        check_restrictions(
            algorithm, p, operator.commutative or algorithm.primitive not in REDUCTIONS
        )
    except RestrictionError:
        return False
    return True


def dtypes(operator, lossy=False):
    if lossy:
        return [np.float32, np.float64]
    if operator is MATPROD:
        return [MATRIX]
    if operator is REPRODUCIBLE_SUM:
        return [RECORD]
    if operator.name in BITWISE:
        return [*INTEGERS, np.bool_]
    if operator.name in LOGICAL:
        return [*INTEGERS, np.float64, np.bool_]
    if operator.name in ("max", "min"):
        return [*INTEGERS, np.float32, np.float64]
    return INTEGERS if operator.name in ROUNDED else [*INTEGERS, *FLOATS]


@st.composite
def cases(draw, ranks=24, largest=200):
    """An algorithm, a problem that it can solve, and its parameters."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    primitive = algorithm.primitive
    p = draw(st.integers(1, ranks))
    operator = OPERATORS["sum"]
    if primitive in REDUCTIONS:
        operator = draw(st.sampled_from([*OPERATORS.values()]))
    if not possible(algorithm, p, operator):
        algorithm = REGISTRY[primitive]["naive"]
    dtype = np.dtype(draw(st.sampled_from(dtypes(operator, algorithm.lossy))))
    n = draw(st.integers(0, largest))
    counts = None
    if primitive in BLOCKWISE and draw(st.booleans()):
        length = st.integers(0, 9) | st.just(0)
        if primitive == "alltoall":
            rows = st.lists(length, min_size=p, max_size=p)
            counts = np.array(draw(st.lists(rows, min_size=p, max_size=p)))
        else:
            counts = tuple(draw(st.lists(length, min_size=p, max_size=p)))
    root = draw(st.integers(0, p - 1)) if primitive in ROOTED else 0
    in_place = primitive in CAN_BE_IN_PLACE and draw(st.booleans())
    parameters = {}
    if "segments" in algorithm.parameters:
        parameters["segments"] = draw(st.none() | st.integers(1, 12))
    if algorithm.lossy:
        parameters = draw(st.sampled_from(CODINGS))
    return algorithm, Problem(primitive, p, n, root, dtype, operator, counts, in_place), parameters


def counts_of(run):
    return {
        name: getattr(run, name).tolist()
        for name in ("messages", "bytes_sent", "reductions", "bytes_reduced")
    }


def cost_only(algorithm, problem, parameters, rendezvous=False, clock=None):
    phantoms = [problem.phantoms(rank) for rank in range(problem.p)]
    return simulator(
        algorithm, problem, phantoms, rendezvous, True, Machine(clock or Clock()), parameters
    ).run()


@given(cases(), st.booleans())
@settings(repeatable, max_examples=400)
def test_the_result_is_right(case, rendezvous):
    algorithm, problem, parameters = case
    verify(algorithm, problem, rendezvous=rendezvous, parameters=parameters)


@given(cases(ranks=14))
@repeatable
def test_counts_do_not_depend_on_how_it_runs(case):
    """Eager or rendezvous, with data or without: the same messages, bytes and work."""
    algorithm, problem, parameters = case
    real = verify(algorithm, problem, parameters=parameters)
    for run in (
        verify(algorithm, problem, rendezvous=True, parameters=parameters),
        cost_only(algorithm, problem, parameters),
        cost_only(algorithm, problem, parameters, rendezvous=True),
    ):
        assert counts_of(run) == counts_of(real)
    assert (cost_only(algorithm, problem, parameters).finished == real.finished).all()


@given(cases(ranks=14))
@repeatable
def test_what_must_move_moves(case):
    """Bytes that any algorithm has to send, and results that it has to compute."""
    algorithm, problem, parameters = case
    run = cost_only(algorithm, problem, parameters)
    p, item, size = problem.p, problem.dtype.itemsize, problem.size
    sent, reduced = run.bytes_sent.sum(), run.bytes_reduced.sum()
    match problem.primitive:
        case "bcast":
            least = (p - 1) * size
        case "scatter" | "gather":
            least = size - problem.lengths[problem.root]
        case "allgather":
            least = (p - 1) * size
        case "alltoall":
            least = problem.matrix.sum() - problem.matrix.trace()
        case "reduce" | "reduce_scatter" | "scan" | "exscan":
            least = (p - 1) * size
        case "allreduce":
            least = 2 * (p - 1) * size
        case _:
            least = 0
    if not algorithm.lossy:  # whose packets may be smaller
        assert sent >= least * item
    if problem.primitive in REDUCTIONS - {"exscan"}:
        assert reduced >= (p - 1) * size * item
    if problem.primitive not in REDUCTIONS:
        assert run.reductions.sum() == 0


@given(cases(ranks=14), st.integers(1, 5))
@repeatable
def test_time_is_made_of_alpha_beta_and_gamma(case, factor):
    """A clock that is k times as slow takes k times as long; no part is free.

    The parts bound the whole from above only where all messages of a round are alike: messages
    of different lengths may come to a port in another order when there is latency, too.
    """
    algorithm, problem, parameters = case

    def time(alpha, beta, gamma):
        clock = Clock(alpha, beta, gamma)
        return cost_only(algorithm, problem, parameters, clock=clock).time

    both = time(64.0, 1.0, 0.5)
    assert time(64.0 * factor, 1.0 * factor, 0.5 * factor) == both * factor
    parts = time(64.0, 0, 0), time(0, 1.0, 0), time(0, 0, 0.5)
    assert max(parts) <= both
    if problem.counts is None:
        assert both <= sum(parts)


@given(cases())
@repeatable
def test_no_rank_is_forgotten(case):
    """Nobody is left out, and news cannot travel faster than one port allows."""
    algorithm, problem, parameters = case
    run = cost_only(algorithm, problem, parameters)
    p = problem.p
    assert (run.messages.sum() == 0) == (p == 1)
    assert run.messages.sum() >= p - 1
    latency = cost_only(algorithm, problem, parameters, clock=Clock(1, 0, 0))
    assert latency.time >= ceil_lg(p - 1 if algorithm.primitive == "exscan" and p > 1 else p)
    assert latency.time >= run.messages.max()  # one after the other through one port
