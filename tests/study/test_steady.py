"""Pipelines of many segments, from their first segments; held against whole runs."""

import pytest

from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.catalogue import find
from collectives.machine import machine
from collectives.study import fast, steady
from collectives.study.pricing import ESTIMATED, PIPELINED, SIMULATED, phantom_problem, priced

PIPELINES = [
    f"{primitive}.{name}"
    for primitive in PRIMITIVES
    for name, one in REGISTRY[primitive].items()
    if steady.SEGMENTS in one.parameters
]
NODES = machine("nodes:4x2,nic=25G,latency=15us,near_latency=5us,near_rate=5 GB/s,gamma=0.06ns")


@pytest.mark.share(4)
@pytest.mark.parametrize("full", PIPELINES)
def test_the_rest_is_like_the_beginning(full):
    """Messages are counted, and the time is near that of the whole run."""
    number = 330
    algorithm, given = find(*full.split(".", 1))
    given = {**given, steady.SEGMENTS: number}
    problem = phantom_problem(algorithm, 8, number * 65536)
    assert steady.segments_of(algorithm, problem, NODES, given) == number
    found = steady.steady(algorithm, problem, NODES, given, number, 8 * number)
    run = fast.run(algorithm, problem, NODES, given)
    assert found.messages.tolist() == run.messages.tolist()
    assert found.bytes_sent == pytest.approx(run.bytes_sent, rel=1e-3)
    assert found.time == pytest.approx(run.time, rel=0.02)
    if run.links:
        assert found.bottleneck.busy == pytest.approx(run.bottleneck.busy, rel=1e-3)


@pytest.mark.parametrize("full", PIPELINES)
def test_segments_are_those_that_it_takes_by_itself(full):
    algorithm, given = find(*full.split(".", 1))
    problem = phantom_problem(algorithm, 8, 10**7)
    number = steady.segments_of(algorithm, problem, NODES, given)
    whole = fast.run(algorithm, problem, NODES, given)
    said = fast.run(algorithm, problem, NODES, {**given, steady.SEGMENTS: number})
    assert said.messages.tolist() == whole.messages.tolist()


def test_few_segments_are_simulated():
    algorithm, given = find("bcast", "ring")
    problem = phantom_problem(algorithm, 8, 10**6)
    assert steady.steady(algorithm, problem, NODES, given, 30, 240) is None


def test_long_pipelines_are_priced_so():
    """By the first segments in a table of choices, as a whole where there is time."""
    on = machine("nodes:8x4,nic=25G,latency=15us")
    price = priced("bcast", "ring", 32, 2**30, on, PIPELINED)
    assert price.how == ESTIMATED and price.seconds == pytest.approx(2**30 * 8 / 25e9, rel=0.2)
    assert price.bottleneck.nbytes == pytest.approx(2**30, rel=1e-3)
    whole = priced("bcast", "ring", 32, 2**30, on)
    assert whole.how == SIMULATED and price.seconds == pytest.approx(whole.seconds, rel=0.02)
