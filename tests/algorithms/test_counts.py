"""The cost lines and the textbook's numbers against the rounds that really ran.

A clock with alpha = 1 and the rest 0 counts the messages on the critical path, one
with beta = 1 the bytes sent there, one with gamma = 1 its bytes reduced.
"""

import inspect
from functools import cache

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.machine.clock import Clock
from collectives.study.cost import predicted_time
from collectives.study.simulation import count, simulate

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
RANKS = range(1, 34)
# Algorithms beyond the textbook's four meet fewer, to save time.
SOME = {*range(1, 7), 8, 9, 12, 16, 17, 33}
ALPHA, BETA, GAMMA = Clock(1, 0, 0), Clock(0, 1, 0), Clock(0, 0, 1)


def up(p):
    """ceil(lg p), without floats."""
    return (p - 1).bit_length()


def down(p):
    """floor(lg p), without floats."""
    return p.bit_length() - 1


def power(p):
    return p & (p - 1) == 0


def odd(p):
    """1 for a p that is not a power of two."""
    return int(not power(p))


def hypercube(p):
    """Messages of an exchange in each dimension, the folded ranks' two included."""
    players = 1 << down(p)
    return players * down(p) + 2 * (p - players)


# What the textbooks say: messages on the critical path, and of all ranks.
TEXTBOOK = {
    "barrier.naive": (lambda p: 2 * (p - 1), lambda p: 2 * (p - 1)),
    "barrier.ring": (lambda p: 2 * (p - 1), lambda p: 2 * (p - 1)),
    "barrier.recursive_doubling": (up, lambda p: p * up(p)),
    "barrier.tree": (lambda p: 2 * up(p), lambda p: 2 * (p - 1)),
    "bcast.naive": (lambda p: p - 1, lambda p: p - 1),
    "bcast.ring": (lambda p: p - 1, lambda p: p - 1),
    "bcast.recursive_doubling": (
        lambda p: up(p) + down(p) + 2 * odd(p),
        lambda p: p - 1 + hypercube(p),
    ),
    "bcast.tree": (up, lambda p: p - 1),
    "scatter.naive": (lambda p: p - 1, lambda p: p - 1),
    "scatter.ring": (lambda p: p - 1, lambda p: p * (p - 1) // 2),
    "scatter.recursive_doubling": (up, lambda p: p - 1),
    "scatter.tree": (up, lambda p: p - 1),
    "gather.naive": (lambda p: p - 1, lambda p: p - 1),
    "gather.ring": (lambda p: p - 1, lambda p: p * (p - 1) // 2),
    "gather.recursive_doubling": (up, lambda p: p - 1),
    "gather.tree": (up, lambda p: p - 1),
    "allgather.naive": (lambda p: p - 1, lambda p: p * (p - 1)),
    "allgather.ring": (lambda p: p - 1, lambda p: p * (p - 1)),
    "allgather.recursive_doubling": (lambda p: down(p) + 2 * odd(p), hypercube),
    "allgather.tree": (lambda p: 2 * up(p), lambda p: 2 * (p - 1)),
    "reduce.naive": (lambda p: p - 1, lambda p: p - 1),
    "reduce.ring": (lambda p: p - 1, lambda p: p - 1),
    "reduce.recursive_doubling": (
        lambda p: down(p) + 2 * odd(p) + up(p),
        lambda p: hypercube(p) + p - 1,
    ),
    "reduce.tree": (up, lambda p: p - 1),
    "allreduce.naive": (lambda p: 2 * (p - 1), lambda p: 2 * (p - 1)),
    "allreduce.ring": (lambda p: 2 * (p - 1), lambda p: 2 * p * (p - 1)),
    "allreduce.recursive_doubling": (lambda p: down(p) + 2 * odd(p), hypercube),
    "allreduce.tree": (lambda p: 2 * up(p), lambda p: 2 * (p - 1)),
    "reduce_scatter.naive": (lambda p: p - 1, lambda p: p * (p - 1)),
    "reduce_scatter.ring": (lambda p: p - 1, lambda p: p * (p - 1)),
    "reduce_scatter.recursive_doubling": (lambda p: down(p) + 2 * odd(p), hypercube),
    "reduce_scatter.tree": (lambda p: 2 * up(p), lambda p: 2 * (p - 1)),
    "alltoall.naive": (lambda p: p - 1, lambda p: p * (p - 1)),
    "alltoall.ring": (lambda p: p - 1, lambda p: p * (p - 1)),
    "alltoall.recursive_doubling": (up, lambda p: p * up(p)),
    "alltoall.tree": (lambda p: 2 * up(p), lambda p: 2 * (p - 1)),
    "scan.naive": (lambda p: p - 1, lambda p: p * (p - 1) // 2),
    "scan.ring": (lambda p: p - 1, lambda p: p - 1),
    "scan.recursive_doubling": (up, lambda p: p * up(p) - (1 << up(p)) + 1),
    # No report from a subtree that ends with rank p-1: one for each bit of p-1.
    "scan.tree": (lambda p: max(2 * up(p) - 1, 0), lambda p: 2 * (p - 1) - (p - 1).bit_count()),
    "exscan.naive": (lambda p: p - 1, lambda p: p * (p - 1) // 2),
    "exscan.ring": (lambda p: p - 1, lambda p: p - 1),
    "exscan.recursive_doubling": (
        lambda p: (1 + up(p - 1)) * (p > 1),
        lambda p: (p - 1 + (p - 1) * up(p - 1) - (1 << up(p - 1)) + 1) * (p > 1),
    ),
    "exscan.tree": (lambda p: max(2 * up(p) - 1, 0), lambda p: 2 * (p - 1) - (p - 1).bit_count()),
}

TWO_SIDED = {"reduce.ring", "reduce.in_order_binary"}


def size(p):
    """Bytes that p, 3, 5 and 32 divide."""
    return 480 * p


def run(algorithm, p, clock, segments=None):
    return _run(algorithm.primitive, algorithm.name, p, clock, segments)


@cache
def _run(primitive, name, p, clock, segments):
    given = {} if segments is None else {"segments": segments}
    return simulate(primitive, name, p=p, n=size(p), clock=clock, **given)


def every(choose=lambda algorithm: True):
    return pytest.mark.parametrize("algorithm", [*filter(choose, ALGORITHMS)], ids=str)


def segmentations(algorithm):
    return [1, 3, 8] if "segments" in algorithm.parameters else [None]


def possible(algorithm, ranks):
    """Those numbers of ranks that the algorithm says it can do."""
    wanted = ranks if str(algorithm) in TEXTBOOK else [p for p in ranks if p in SOME]
    return [
        p for p in wanted if p >= algorithm.minimum_p and (power(p) or not algorithm.power_of_two)
    ]


def price(algorithm, p, clock, segments=None, n=None):
    given = {} if segments is None else {"segments": segments}
    return predicted_time(algorithm, p, size(p) if n is None else n, clock, **given)


def rough(algorithm):
    """Whether the docstring says that the cost line is only an upper bound."""
    return "All factors are upper bounds" in " ".join(algorithm.generator.__doc__.split())


@pytest.mark.share(6)
@every()
def test_critical_path_is_as_the_cost_line_says(algorithm):
    for segments in segmentations(algorithm):
        for p in possible(algorithm, RANKS):
            counted = run(algorithm, p, ALPHA, segments).time
            line = price(algorithm, p, ALPHA, segments)
            assert counted <= line <= 2 * counted, f"p = {p}, {segments=}"
            assert counted == line or rough(algorithm), f"p = {p}, {segments=}"


@pytest.mark.share(8)
@pytest.mark.parametrize("clock", [BETA, GAMMA], ids=["beta", "gamma"])
@every()
def test_bytes_are_as_the_cost_line_says(algorithm, clock):
    """Exact for powers of two; elsewhere an upper bound if the docstring says so.

    With another radix a power of two is nothing special.
    """
    if clock is GAMMA and algorithm.primitive not in REDUCTIONS:
        assert price(algorithm, 8, GAMMA, segmentations(algorithm)[0]) == 0
        return
    bound = "upper bound" in " ".join(inspect.getdoc(algorithm.generator).split())
    for segments in segmentations(algorithm):
        for p in possible(algorithm, RANKS):
            counted = run(algorithm, p, clock, segments).time
            line = price(algorithm, p, clock, segments)
            exact = power(p) and "k" not in algorithm.parameters and not rough(algorithm)
            if exact or not bound:
                assert counted == pytest.approx(line, abs=1e-6), f"p = {p}, {segments=}"
            else:
                assert counted <= line + 1e-6, f"p = {p}"
                assert line <= 2 * counted + 1e-6, f"p = {p}"


@pytest.mark.share(4)
@every(lambda algorithm: "segments" in algorithm.parameters and not rough(algorithm))
def test_default_segments_keep_the_cost_line(algorithm):
    """Here the segments do not divide the vector: some are a byte longer."""
    for p in range(1, 18):
        n = 100_000
        path, nbytes = (
            simulate(algorithm.primitive, algorithm.name, p=p, n=n, clock=clock).time
            for clock in (ALPHA, BETA)
        )
        [segments, *_] = [s for s in range(1, 99) if price(algorithm, p, ALPHA, s, n) == path]
        line = price(algorithm, p, BETA, segments, n)
        assert abs(nbytes - line) <= path


@pytest.mark.share(5)
@every(lambda algorithm: algorithm.primitive in ROOTED)
def test_cost_line_at_other_roots(algorithm):
    """The critical path is that of root 0, the bytes at most twice as many.

    Only the reductions that reach the root from both sides in rank order take
    more messages for some roots, as their docstrings say.
    """
    for p in possible(algorithm, [2, 3, 4, 5, 6, 7, 8, 11, 12, 16]):
        for clock in (ALPHA, BETA, GAMMA)[: 2 + (algorithm.primitive == "reduce")]:
            for segments in segmentations(algorithm)[:2]:
                given = {} if segments is None else {"segments": segments}
                line = price(algorithm, p, clock, segments)
                for root in range(1, p):
                    counted = simulate(
                        algorithm.primitive,
                        algorithm.name,
                        p=p,
                        n=size(p),
                        root=root,
                        clock=clock,
                        **given,
                    ).time
                    if clock is ALPHA and str(algorithm) not in TWO_SIDED:
                        assert counted == line or rough(algorithm), f"{p=}, {root=}"
                    assert counted <= 2 * line + 1e-6, f"{p=}, {root=}"


@pytest.mark.parametrize("full_name", TEXTBOOK)
def test_critical_path_and_messages_are_the_textbooks(full_name):
    primitive, name = full_name.split(".")
    algorithm = REGISTRY[primitive][name]
    path, messages = TEXTBOOK[full_name]
    for p in RANKS:
        one = run(algorithm, p, ALPHA, segmentations(algorithm)[0])
        assert one.time == path(p), f"critical path, p = {p}"
        assert one.messages.sum() == messages(p), f"messages, p = {p}"


@pytest.mark.parametrize("primitive", ["bcast", "reduce", "scan", "exscan"])
def test_pipeline_sends_a_segment_more_per_message(primitive):
    for p in (2, 3, 8, 13):
        for segments in (1, 4, 9):
            counted = count(primitive, "ring", p=p, n=36, segments=segments)
            assert counted.critical_path == p - 2 + segments
            assert counted.messages == (p - 1) * segments
            assert counted.bytes_sent_max == 36


@every()
def test_no_algorithm_beats_the_lower_bound(algorithm):
    """News cannot reach more than twice as many ranks with every message."""
    for p in possible(algorithm, RANKS):
        informed = p - 1 if algorithm.primitive == "exscan" else p
        assert run(algorithm, p, ALPHA, segmentations(algorithm)[0]).time >= up(max(informed, 1))


@pytest.mark.parametrize("p", [2, 3, 4, 5, 8, 12, 16, 33])
def test_bytes_of_the_busiest_rank(p):
    """As fractions of the vector: 1 is all of it, 1/p one block."""
    n = size(p)
    for full_name, blocks in {
        "bcast.naive": (p - 1) * p,
        "bcast.tree": up(p) * p,
        "scatter.naive": p - 1,
        "scatter.tree": p - 1,
        "gather.naive": 1,
        "allgather.naive": p - 1,
        "allgather.ring": p - 1,
        "reduce.tree": p,
        "allreduce.naive": (p - 1) * p,
        "allreduce.ring": 2 * (p - 1),
        "allreduce.recursive_doubling": (down(p) + odd(p)) * p,
        "allreduce.tree": up(p) * p,
        "reduce_scatter.naive": p - 1,
        "reduce_scatter.ring": p - 1,
        "alltoall.naive": p - 1,
        "alltoall.ring": p * (p - 1) // 2,
        "alltoall.tree": (p - 1) * p,
        "scan.naive": (p - 1) * p,
    }.items():
        assert count(*full_name.split("."), p=p, n=n).bytes_sent_max * p == blocks * n, full_name


@pytest.mark.parametrize("p", [1, 2, 3, 5, 8, 13, 16, 33])
def test_operator_uses(p):
    """Of all ranks together."""

    def uses(primitive, name):
        algorithm = REGISTRY[primitive][name]
        return run(algorithm, p, ALPHA, segmentations(algorithm)[0]).reductions.sum()

    for name in ("naive", "ring", "tree"):
        assert uses("reduce", name) == p - 1
    assert uses("allreduce", "tree") == p - 1
    assert uses("allreduce", "ring") == uses("reduce_scatter", "ring") == p * (p - 1)
    assert uses("scan", "ring") == p - 1
    assert uses("scan", "naive") == p * (p - 1) // 2
    assert uses("scan", "recursive_doubling") == p * up(p) - (1 << up(p)) + 1
    assert uses("scan", "tree") <= 3 * p
    assert uses("exscan", "tree") <= 2 * p


@pytest.mark.parametrize("root", range(8))
@pytest.mark.parametrize("primitive", sorted(ROOTED))
def test_critical_path_for_every_root(primitive, root):
    def path(name, **given):
        return count(primitive, name, p=8, n=64, root=root, **given).critical_path

    assert path("tree") == 3
    assert path("naive") == 7
    assert path("recursive_doubling") == (3 if primitive in ("scatter", "gather") else 6)
    if primitive in ("scatter", "gather"):
        assert path("ring") == 7
    elif primitive == "bcast":
        assert path("ring", segments=1) == 7
    else:  # two chains that meet at the root
        longer = max(root, 7 - root)
        assert longer <= path("ring", segments=1) <= longer + 1


def test_counts_add_up():
    counted = count("allreduce", "ring", p=4, n=1000, dtype=np.float64)
    assert counted.critical_path == 6
    assert counted.messages == 24
    assert counted.bytes_sent == 4 * counted.bytes_sent_max == 4 * 6 * 2000
    assert counted.reductions == 4 * counted.reductions_max == 12
    assert counted.bytes_reduced_max == 3 * 2000
