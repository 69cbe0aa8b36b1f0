"""Many ranks and large vectors cost time to simulate, but no memory."""

import tracemalloc

import pytest

from collectives.study.simulation import count, simulate

GIGABYTE = 2**30


def peak_memory(call):
    """The most memory that was in use at once during the call, in bytes."""
    call()  # imports and caches are not what is measured
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ring_allreduce_of_a_gigabyte():
    p = 128
    counted = count("allreduce", "ring", p=p, n=GIGABYTE)
    assert counted.critical_path == 2 * (p - 1)
    assert counted.messages == 2 * p * (p - 1)
    assert counted.bytes_sent_max == 2 * (p - 1) * GIGABYTE // p
    assert counted.bytes_reduced_max == (p - 1) * GIGABYTE // p


@pytest.mark.parametrize(
    ("primitive", "algorithm"),
    [
        ("allreduce", "ring"),
        ("allreduce", "recursive_doubling"),
        ("reduce_scatter", "recursive_doubling"),
        ("bcast", "recursive_doubling"),
        ("alltoall", "recursive_doubling"),
        ("alltoall", "tree"),
        ("gather", "tree"),
        ("scan", "tree"),
    ],
)
def test_memory_does_not_grow_with_the_vector(primitive, algorithm):
    """A terabyte takes as little as a kilobyte."""
    small, large = (
        peak_memory(lambda n=n: simulate(primitive, algorithm, p=32, n=n)) for n in (2**10, 2**40)
    )
    assert large < 1.5 * small + 100_000
    assert large < 10_000_000


def test_memory_for_a_thousand_ranks():
    """Nothing of size p for each of p ranks."""
    assert peak_memory(lambda: simulate("allreduce", "tree", p=1024, n=GIGABYTE)) < 20_000_000
    assert peak_memory(lambda: simulate("scatter", "tree", p=1024, n=GIGABYTE)) < 20_000_000


def test_recursive_doubling_over_4096_ranks():
    p = 4096
    counted = count("allreduce", "recursive_doubling", p=p, n=GIGABYTE)
    assert counted.critical_path == 12
    assert counted.messages == 12 * p
    assert counted.reductions == 12 * p
    assert counted.bytes_sent_max == 12 * GIGABYTE


@pytest.mark.parametrize("primitive", ["bcast", "scatter"])
def test_trees_over_10_000_ranks(primitive):
    counted = count(primitive, "tree", p=10_000, n=10_000)
    assert counted.critical_path == 14
    assert counted.messages == 9_999


@pytest.mark.slow
def test_ring_allreduce_over_1024_ranks():
    p = 1024
    counted = count("allreduce", "ring", p=p, n=GIGABYTE)
    assert counted.critical_path == 2 * (p - 1)
    assert counted.messages == 2 * p * (p - 1)
    assert counted.bytes_sent_max == 2 * (p - 1) * GIGABYTE // p
