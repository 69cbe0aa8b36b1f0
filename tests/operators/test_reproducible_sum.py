"""The reproducible sum by every algorithm, in the simulator: one result, whatever runs."""

import math

import numpy as np
import pytest

from collectives import REPRODUCIBLE_SUM, algorithms_for, count, simulate
from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS
from collectives.catalogue import check_restrictions, find
from collectives.errors import ArgumentError, RestrictionError
from collectives.operators import accumulator
from collectives.operators.binned import RECORD, rounded, summed
from collectives.operators.operator import OPERATORS, SUM
from collectives.problems import Buffers, Problem
from collectives.study.verify import simulator, verify

EVERY = [
    algorithm
    for name in sorted(REDUCTIONS)
    for algorithm in REGISTRY[name].values()
    if not algorithm.lossy  # those take no other operator than the usual sum
]


def possible(algorithm, p):
    if algorithm.lossy:
        return False
    try:
        check_restrictions(algorithm, p)
    except RestrictionError:
        return False
    return True


def reduced(primitive, name, vectors, operator):
    """What each rank gets from a vector of each."""
    p, n, dtype = len(vectors), len(vectors[0]), vectors[0].dtype
    problem = Problem(primitive, p, n, dtype=dtype, operator=operator)
    buffers = []
    for rank, vector in enumerate(vectors):
        size = problem.recv_size(rank)
        buffers.append(Buffers(vector, None if size is None else np.zeros(size, dtype)))
    simulator(find(primitive, name)[0], problem, buffers).run()
    return [b"" if mine.recv is None else mine.recv.tobytes() for mine in buffers]


def able(primitive, p):
    return [name for name in algorithms_for(primitive) if possible(find(primitive, name)[0], p)]


@pytest.mark.share(3)
@pytest.mark.parametrize("algorithm", EVERY, ids=str)
@pytest.mark.parametrize("p", [1, 2, 3, 5, 7, 8, 12])
def test_every_algorithm_gives_the_records_of_a_sum_in_rank_order(algorithm, p):
    if possible(algorithm, p):
        for n in (1, 2 * p + 1):
            verify(algorithm, Problem(algorithm.primitive, p, n, p // 2, RECORD, REPRODUCIBLE_SUM))


@pytest.mark.share(2)
@pytest.mark.parametrize("primitive", sorted(REDUCTIONS))
@pytest.mark.parametrize("p", [4, 8, 13])
def test_all_algorithms_agree_on_floats(primitive, p):
    """To the bit; with the ordinary sum they do not."""
    rng = np.random.default_rng(p)
    vectors = [rng.standard_normal(40) * 10.0 ** rng.integers(-8, 8, 40) for _ in range(p)]
    records = [summed([vector]) for vector in vectors]
    names = able(primitive, p)
    ours = {tuple(reduced(primitive, name, records, REPRODUCIBLE_SUM)) for name in names}
    plain = {tuple(reduced(primitive, name, vectors, SUM)) for name in names}
    assert len(names) > 3 and len(ours) == 1 < len(plain)


def test_a_distributed_array_over_any_number_of_ranks():
    """The same bits for p = 1 .. 16 and each algorithm; the ordinary sum has many."""
    array = np.random.default_rng(0).standard_normal(1001) * 1e3
    ours, exact, plain = set(), set(), set()
    for p in range(1, 17):
        parts = np.array_split(array, p)
        for name in able("allreduce", p)[:: 1 + p // 5]:
            ours.update(reduced("allreduce", name, [*map(summed, parts)], REPRODUCIBLE_SUM))
            whole = [accumulator.accumulated(part) for part in parts]
            results = reduced("allreduce", name, whole, SUM)
            exact |= {accumulator.rounded(np.frombuffer(x, np.int64)) for x in results}
            plain.update(reduced("allreduce", name, [x.sum(keepdims=True) for x in parts], SUM))
    [record] = ours
    assert exact == {math.fsum(array)} == {*rounded(np.frombuffer(record, RECORD), float)}
    assert len(plain) > 3


def test_uneven_parts():
    array = np.random.default_rng(1).standard_normal((1000, 3)).astype(np.float32)
    results = set()
    for cuts in ([], [1], [999], [10, 10, 500], range(100, 1000, 100)):
        parts = [summed(part) for part in np.split(array, cuts)]
        results.update(reduced("allreduce", None, parts, REPRODUCIBLE_SUM))
    assert len(results) == 1


def test_the_operator_has_a_name():
    assert OPERATORS["reproducible_sum"] is REPRODUCIBLE_SUM


def test_the_simulator_counts_records():
    plain = count("allreduce", "ring", p=4, n=1000, dtype=np.float64)
    ours = count("allreduce", "ring", p=4, n=1000, dtype=np.float64, operator=REPRODUCIBLE_SUM)
    assert ours.bytes_sent == 4 * plain.bytes_sent and ours.messages == plain.messages
    pairs = simulate("scan", p=4, n=10, dtype=np.complex64, operator=REPRODUCIBLE_SUM)
    assert pairs.bytes_sent.sum() % 64 == 0
    with pytest.raises(ArgumentError, match="got reproducible_sum for int64; choose another"):
        simulate("reduce", p=4, n=10, dtype=np.int64, operator=REPRODUCIBLE_SUM)
