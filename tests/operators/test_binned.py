"""Sums of floats that no order or grouping changes: records, and long accumulators."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectives.operators import accumulator, binned
from collectives.operators.binned import ROOM, decode, encode, join, rounded, summed

repeatable = settings(derandomize=True, deadline=None, max_examples=150, print_blob=True)

LARGEST, SMALLEST = np.finfo(np.float64).max, 5e-324
NARROW = [np.float16, np.float32]
EDGES = [0.0, -0.0, SMALLEST, -SMALLEST, LARGEST, -LARGEST, 2.0**-30, 2.0**10, 1.0, 2.0**-1022]
EDGES += [math.nextafter(x, 0.0) for x in (2.0**-30, 2.0**10, 1.0, 2.0**-1022)]

finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(EDGES)
close = st.floats(-2.0, 2.0, allow_subnormal=False)  # so that much cancels
several = st.lists(finite, min_size=1, max_size=12) | st.lists(close, min_size=1, max_size=12)


@st.composite
def cancelling(draw):
    """Floats most of which come with their negatives."""
    numbers = draw(several)
    return [*numbers, *(-x for x in numbers[1:]), draw(finite)]


summands = several | cancelling()


def records(numbers, dtype=np.float64):
    values = np.array(numbers, dtype)
    encoded = np.empty(values.size, binned.record_of(values.dtype))
    encode(values, encoded)
    return encoded


def joined(left, right):
    out = np.empty_like(left)
    join(left, right, out)
    return out


def exact(record):
    """The number that a record stands for."""
    head, *sums = record.view(np.int64).tolist()
    unit = Fraction(2) ** (40 * (head >> 8) - binned.ORIGIN)
    return sum(digit * unit / 2 ** (40 * place) for place, digit in enumerate(sums))


def nearest(number, dtype):
    """The float that is nearest to a fraction, of two equally near the even one."""
    if dtype is np.float64:
        try:
            return np.float64(number.numerator / number.denominator)
        except OverflowError:
            return np.float64(math.inf if number > 0 else -math.inf)
    with np.errstate(over="ignore"):
        guess = dtype(float(number))
        up, down = np.nextafter(guess, dtype(np.inf)), np.nextafter(guess, dtype(-np.inf))
    around = [x for x in (down, guess, up) if np.isfinite(x)]
    bits = f"u{guess.itemsize}"
    return min(around, key=lambda x: (abs(Fraction(float(x)) - number), int(x.view(bits)) & 1))


# One float


@given(finite | st.sampled_from([math.inf, -math.inf]))
@repeatable
def test_one_float_comes_back(x):
    assert rounded(records([x]), np.float64).tobytes() == np.float64(x).tobytes()


@pytest.mark.parametrize("dtype", NARROW)
def test_all_short_floats_come_back(dtype):
    """All 65536 of float16, and as many of float32."""
    size = np.dtype(dtype).itemsize
    bits = np.arange(2**16, dtype=np.uint32) * (1 if size == 2 else 65537)
    values = bits.astype(f"u{size}").view(dtype)
    values = values[~np.isnan(values)]
    assert rounded(records(values, dtype), dtype).tobytes() == values.tobytes()


@given(finite)
@repeatable
def test_a_record_is_exact(x):
    assert exact(records([x])) == Fraction(x)


# Sums


@given(summands, st.randoms(use_true_random=False))
@example([1e16, 1.0, -1e16], None)
@example([LARGEST, SMALLEST, -LARGEST], None)
@repeatable
def test_no_order_or_grouping_changes_a_bit(numbers, random):
    """Neighbours are joined at random until one record is left, in a random order."""
    encoded = records(numbers)
    left_to_right = encoded[:1]
    for k in range(1, len(numbers)):
        left_to_right = joined(left_to_right, encoded[k : k + 1])
    parts = [encoded[k : k + 1] for k in range(len(numbers))]
    if random is not None:
        random.shuffle(parts)
    while len(parts) > 1:
        k = random.randrange(len(parts) - 1) if random is not None else len(parts) - 2
        parts[k : k + 2] = [joined(parts[k], parts[k + 1])]
    assert parts[0].tobytes() == left_to_right.tobytes() == summed(numbers).tobytes()


@given(summands)
@repeatable
def test_the_sum_is_within_the_bound(numbers):
    [total] = rounded(summed(numbers), np.float64).tolist()
    right = sum(map(Fraction, numbers))
    if math.isinf(total):
        assert abs(right) >= Fraction(LARGEST)
        return
    dropped = len(numbers) * max(abs(Fraction(x)) for x in numbers) / 2**80
    assert abs(Fraction(total) - right) <= Fraction(math.ulp(total)) / 2 + dropped


@given(summands)
@repeatable
def test_the_sum_is_rounded_correctly(numbers):
    record = summed(numbers)
    [total] = rounded(record, np.float64)
    assert total == nearest(exact(record), np.float64)


@pytest.mark.parametrize("dtype", NARROW)
@given(data=st.data())
@repeatable
def test_a_short_sum_is_rounded_once(dtype, data):
    """Not to float64 first, which would round some sums twice."""
    floats = st.floats(width=8 * np.dtype(dtype).itemsize, allow_nan=False, allow_infinity=False)
    record = summed(np.array(data.draw(st.lists(floats, min_size=1, max_size=9)), dtype))
    [total] = rounded(record, dtype)
    if np.isfinite(total):
        assert total == nearest(exact(record), dtype)
    else:
        assert abs(exact(record)) > Fraction(float(np.finfo(dtype).max))


def test_where_rounding_twice_is_wrong():
    """Just above the middle of two float32, which float64 cannot tell from the middle."""
    numbers = np.array([1.0, 2.0**-24, 2.0**-80], np.float32)
    assert rounded(summed(numbers), np.float32) == np.float32(1) + np.finfo(np.float32).eps
    assert np.float32(math.fsum(numbers)) == 1.0


def test_the_plain_sum_does_depend_on_the_order():
    """What this is for."""
    numbers = np.random.default_rng(0).standard_normal(1000)
    orders = [np.random.default_rng(seed).permutation(numbers) for seed in range(20)]
    assert len({float(np.sum(order)) for order in orders}) > 1
    assert len({summed(order).tobytes() for order in orders}) == 1
    assert rounded(summed(numbers), np.float64) == math.fsum(numbers)


def test_the_largest_number_of_floats_has_room():
    """The largest chunks of both signs, `ROOM` times, joined by doubling."""
    for x in (math.nextafter(2.0**10, 0.0), -math.nextafter(2.0**10, 0.0), -LARGEST):
        power, total = records([x]), np.zeros(1, binned.RECORD)
        for _ in range(23):  # 1 + 2 + 4 + ...
            total, power = joined(total, power), joined(power, power)
        assert exact(total) == ROOM * Fraction(x)
        assert rounded(total, np.float64) == nearest(exact(total), np.float64)


def test_overflow():
    """At the end, as in IEEE 754, and never on the way."""
    with np.errstate(all="raise"):
        assert rounded(summed([LARGEST, LARGEST]), np.float64) == math.inf
        assert rounded(summed([-LARGEST, -LARGEST]), np.float64) == -math.inf
        assert rounded(summed([LARGEST, LARGEST, -LARGEST]), np.float64) == LARGEST
        assert rounded(summed(np.float32([3e38, 3e38])), np.float32) == np.inf
        assert rounded(summed(np.float16([65504, 15])), np.float16) == 65504
        assert rounded(summed(np.float16([65504, 16])), np.float16) == np.inf


@given(st.lists(finite | st.sampled_from([math.inf, -math.inf, math.nan]), max_size=6))
@repeatable
def test_infinities_and_nans(numbers):
    special = [x for x in numbers if not math.isfinite(x)]
    totals = rounded(summed(np.array(numbers, float)), np.float64)[0], _accumulated(numbers)
    for total in totals:
        if special:
            assert np.array_equal(total, sum(special), equal_nan=True)
            assert (
                not math.isnan(total)
                or np.float64(total).tobytes() == np.float64(math.nan).tobytes()
            )
        else:
            assert not math.isnan(total)


@pytest.mark.parametrize(
    "numbers, zero",
    [([], 0.0), ([-0.0], -0.0), ([-0.0] * 3, -0.0), ([-0.0, 0.0], 0.0), ([1.0, -1.0, -0.0], 0.0)],
)
def test_signs_of_zero(numbers, zero):
    assert rounded(summed(np.array(numbers, float)), float).tobytes() == np.float64(zero).tobytes()
    assert np.float64(_accumulated(numbers)).tobytes() == np.float64(zero).tobytes()


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers(dtype):
    rng = np.random.default_rng(1)
    numbers = (rng.standard_normal((50, 6)) @ [[1], [1j], [0], [0], [1], [1j]]).astype(dtype)
    [total] = rounded(summed(numbers), dtype)
    part = total.real.dtype
    assert total.real == rounded(summed(numbers.real), part)[0]
    assert total.imag == rounded(summed(numbers.imag), part)[0]


def test_any_number_of_rows_and_columns():
    rng = np.random.default_rng(2)
    for shape in [(1, 1), (2, 3), (9001, 1), (4099, 3), (3, 5000), (7, 2, 2), (0, 3), (3, 0)]:
        rows = rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 9, shape)
        columns = np.moveaxis(rows, 0, -1).reshape(math.prod(shape[1:]), shape[0])
        assert rounded(summed(rows), float).tolist() == [math.fsum(column) for column in columns]
        assert summed(rows).tobytes() == summed(rows[::-1]).tobytes()


@pytest.mark.parametrize("shifted", [0, 1, 3, 10])
def test_the_result_may_be_an_operand(shifted):
    """For tops that are equal, and that differ by one or more bins."""
    rng = np.random.default_rng(shifted)
    left = records(rng.standard_normal(5000))
    right = records(np.ldexp(rng.standard_normal(5000), 40 * rng.integers(0, shifted + 1, 5000)))
    total = joined(left, right)
    assert total.tobytes() == joined(right, left).tobytes()
    for position in range(2):
        operands = [left.copy(), right.copy()]
        join(*operands, operands[position])
        assert operands[position].tobytes() == total.tobytes()
        assert operands[1 - position].tobytes() == (right, left)[position].tobytes()


def test_decoding_writes_where_it_is_told():
    values = np.full(9, 7.0)
    decode(records([1.0, 2.0]), values[3:5])
    assert values.tolist() == [7, 7, 7, 1, 2, 7, 7, 7, 7]


def test_what_has_no_records():
    for values in (np.arange(3), np.zeros(3, np.longdouble), np.zeros(3, bool), 1.0, ["x"]):
        with pytest.raises(TypeError, match="needs an array of floats of up to 64 bits, got "):
            summed(values)
    with pytest.raises(ValueError, match=f"needs at most {ROOM} floats in a sum, got {ROOM + 1}"):
        summed(np.broadcast_to(np.float16(0), ROOM + 1))
    with pytest.raises(TypeError, match="needs records, got float64; encode makes them"):
        joined(np.zeros(4), np.ones(4))
    with pytest.raises(TypeError, match="needs records of complex128, got those of another kind"):
        rounded(records([1.0]), np.complex128)


# Accumulators


def _accumulated(numbers):
    return accumulator.rounded(accumulator.accumulated(np.array(numbers, np.float64)))


@given(summands)
@repeatable
def test_an_accumulator_is_exact(numbers):
    assert _accumulated(numbers) == nearest(sum(map(Fraction, numbers)), np.float64)


@given(summands, st.integers(0, 24))
@repeatable
def test_accumulators_add_up(numbers, cut):
    values = np.array(numbers, np.float64)
    parts = accumulator.accumulated(values[:cut]) + accumulator.accumulated(values[cut:])
    assert accumulator.rounded(parts) == _accumulated(numbers)


def test_an_accumulator_has_room():
    """Carries move up, and what is added up of many ranks has room, too."""
    rng = np.random.default_rng(3)
    numbers = np.ldexp(rng.random(100_000), rng.integers(-60, 60, 100_000))
    assert _accumulated(numbers) == math.fsum(numbers)
    one = accumulator.accumulated(np.full(100_000, -LARGEST))
    assert np.abs(one[:-6]).max() < 2**41
    assert accumulator.rounded(one * 2**20 + accumulator.accumulated(np.ones(1))) == -math.inf
