"""Every algorithm in the simulator: ranks, sizes, roots, dtypes, modes.

`verify` compares every output with the answer, sees that inputs have not changed
and that no message is left over, and the driver checks the rules on the way. The
parameters come from the registry, so a new algorithm is tested as it stands.
"""

import numpy as np
import pytest

from collectives.algorithms import REGISTRY
from collectives.algorithms.language.registry import REDUCTIONS, ROOTED
from collectives.catalogue import TEXTBOOK, check_restrictions
from collectives.errors import RestrictionError
from collectives.operators.operator import MATPROD, MATRIX, SUM
from collectives.problems import BLOCKWISE, CAN_BE_IN_PLACE, Buffers, Problem
from collectives.study.verify import simulator, verify

ALGORITHMS = [algorithm for names in REGISTRY.values() for algorithm in names.values()]
SMALL = list(range(1, 18))
LARGE = [31, 32, 33, 64]

# The four that every primitive has meet every p; the others meet some, here, and
# all of them where `python -m collectives prove` is run.
SOME = [1, 2, 3, 4, 5, 6, 8, 12, 17]

# (dtype, operator); the last one does not commute.
DATA = [(np.int64, SUM), (np.float64, SUM), (np.complex128, SUM), (MATRIX, MATPROD)]
# The sums that a lossy algorithm can do; `verify` knows how far off it may be.
FLOATS = [(np.float64, SUM), (np.float32, SUM), (np.float64, SUM), (np.float32, SUM)]
MODES = [(False, False), (True, False), (False, True), (True, True)]  # rendezvous, in place


def sizes(p, algorithm):
    """Elements of the whole vector, around p; a barrier has none."""
    return [0] if algorithm.primitive == "barrier" else sorted({0, 1, p - 1, p, p + 1, 1000})


def every(choose=lambda algorithm: True):
    """Parametrize a test over the algorithms that `choose` takes."""
    return pytest.mark.parametrize("algorithm", [*filter(choose, ALGORITHMS)], ids=str)


def attempt(algorithm, p, n, root, data, mode, parameters=None, **problem):
    """Verify one combination, unless the algorithm declares that it cannot do it."""
    dtype, operator = FLOATS[DATA.index(data)] if algorithm.lossy else data
    rendezvous, in_place = mode
    primitive = algorithm.primitive
    commutative = operator.commutative or primitive not in REDUCTIONS
    try:
        check_restrictions(algorithm, p, commutative)
    except RestrictionError:
        return
    in_place = in_place and primitive in CAN_BE_IN_PLACE
    instance = Problem(
        primitive, p, n, root, np.dtype(dtype), operator, in_place=in_place, **problem
    )
    verify(algorithm, instance, rendezvous=rendezvous, parameters=parameters)


@pytest.mark.share(10)
@pytest.mark.parametrize("p", SMALL)
@every(lambda algorithm: algorithm.name in TEXTBOOK)
def test_every_root_and_size(algorithm, p):
    """Each root with each size; per size each dtype and mode, of many ranks in turns."""
    roots = range(p) if algorithm.primitive in ROOTED else [0]
    for i, n in enumerate(sizes(p, algorithm)):
        for root in roots:
            attempt(algorithm, p, n, root, DATA[0], MODES[(i + root) % 4])
        for j in (1, 2, 3) if p < 6 else [1 + i % 3]:
            attempt(algorithm, p, n, roots[(i + j) % len(roots)], DATA[j], MODES[(i + j) % 4])


@pytest.mark.share(10)
@pytest.mark.parametrize("p", LARGE)
@every(lambda algorithm: algorithm.name in TEXTBOOK)
def test_many_ranks(algorithm, p):
    """Every root and every size, not each with each; dtypes and modes in turns."""
    lengths = sizes(p, algorithm)
    for i in range(p) if algorithm.primitive in ROOTED else range(len(lengths)):
        root = i if algorithm.primitive in ROOTED else 0
        n = lengths[i % len(lengths)]
        attempt(algorithm, p, n, root, DATA[i // 6 % 4], MODES[(i + p) % 4])


@pytest.mark.slow
@pytest.mark.parametrize("p", SMALL + LARGE)
@every()
def test_everything(algorithm, p):
    """Each root with each size, dtype and mode: hours."""
    for root in range(p) if algorithm.primitive in ROOTED else [0]:
        for n in sizes(p, algorithm):
            for data in DATA:
                for mode in MODES:
                    attempt(algorithm, p, n, root, data, mode)


@pytest.mark.share(8)
@pytest.mark.parametrize("p", SOME)
@every(lambda algorithm: algorithm.name not in TEXTBOOK)
def test_the_rest_of_the_catalogue(algorithm, p):
    """Every size, some roots; dtypes and modes in turns."""
    for i, n in enumerate(sizes(p, algorithm)):
        for root in {i * p // 6, p - 1} if algorithm.primitive in ROOTED else [0]:
            attempt(algorithm, p, n, root, DATA[i % 4], MODES[(i + root + p) % 4])


@pytest.mark.share(9)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7, 8, 12, 17])
@every(lambda algorithm: algorithm.primitive in BLOCKWISE - {"alltoall"})
def test_uneven_blocks(algorithm, p):
    """Random block lengths with empty ones, all in one block, ever longer blocks."""
    random = np.random.default_rng(p)
    lone = [0] * p
    lone[p // 2] = 11
    some = random.integers(0, 5, p) * random.integers(0, 2, p)
    for i, counts in enumerate(([0] * p, lone, range(p), range(p)[::-1], some.tolist())):
        root = int(random.integers(p))
        for j, data in enumerate(DATA):
            attempt(algorithm, p, 0, root, data, MODES[(i + j) % 4], counts=tuple(counts))


@pytest.mark.share(4)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7, 8, 12, 17])
@every(lambda algorithm: algorithm.primitive == "alltoall")
def test_uneven_matrix(algorithm, p):
    """Random lengths with empty ones, one block only, one row, one column, a triangle."""
    random = np.random.default_rng(p)
    one, row, column = (np.zeros((p, p), int) for _ in range(3))
    one[p - 1, p // 2] = 7
    row[p // 3] = random.integers(0, 4, p)
    column[:, p // 3] = random.integers(0, 4, p)
    some = random.integers(0, 4, (p, p)) * random.integers(0, 2, (p, p))
    for i, counts in enumerate((one, row, column, np.tri(p, dtype=int), some)):
        attempt(algorithm, p, 0, 0, DATA[i % 3], MODES[i % 2], counts=counts)


@pytest.mark.share(8)
@pytest.mark.parametrize("segments", [1, 2, 3, 8, 50])
@every(lambda algorithm: "segments" in algorithm.parameters)
def test_segments(algorithm, segments):
    """More segments than elements, fewer, and lengths that do not divide."""
    for p in (1, 2, 3, 4, 5, 8) if algorithm.name in TEXTBOOK else (2, 3, 5):
        for root in range(p) if algorithm.primitive in ROOTED else [0]:
            for i, n in enumerate((0, 1, 7, 100)):
                data, mode = DATA[(i + p) % 4], MODES[(i + root) % 4]
                attempt(algorithm, p, n, root, data, mode, {"segments": segments})


@pytest.mark.share(4)
@pytest.mark.parametrize("mode", MODES, ids=["eager", "rendezvous", "in-place", "both"])
@every(lambda algorithm: "segments" in algorithm.parameters)
def test_default_segments(algorithm, mode):
    """Long enough for the default to cut the vector."""
    for p in (2, 3, 8):
        attempt(algorithm, p, 10_001, p // 2, DATA[0], mode)


@pytest.mark.share(9)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every(lambda algorithm: algorithm.primitive == "allreduce")
def test_same_bits_on_all_ranks(algorithm, dtype):
    """Rounding may differ between algorithms, never between ranks."""
    for p in (*SMALL, *LARGE[:3]):
        random = np.random.default_rng(p)
        problem = Problem("allreduce", p, 37, 0, np.dtype(dtype))
        buffers = [
            Buffers(
                (random.standard_normal(37) * 10.0 ** random.integers(-6, 6, 37)).astype(dtype),
                problem.buffers(rank).recv,
            )
            for rank in range(p)
        ]
        simulator(algorithm, problem, buffers).run()
        assert len({mine.recv.tobytes() for mine in buffers}) == 1
