"""Codecs: what a packet holds, how far off it may be, and what happens to what is no number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from collectives.algorithms.language.codecs import CODECS, Exact, Int8, TopK, codec_for
from collectives.algorithms.language.memory import Phantom, phantom, scratch
from collectives.algorithms.language.steps import copy, decode, encode, recv, reduce, send
from collectives.engines.driver import Process
from collectives.engines.plan import record
from collectives.errors import ScheduleError

FLOATS = [np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)]
SIZES = [0, 1, 2, 255, 256, 257, 1000, 4096]
every_type = pytest.mark.parametrize("dtype", FLOATS, ids=str)
every_codec = pytest.mark.parametrize("name", CODECS)

repeatable = settings(derandomize=True, deadline=None, max_examples=150, print_blob=True)


def normal(size, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, size]).standard_normal(size).astype(dtype)


def through(codec, vector):
    """A vector, encoded and decoded."""
    [packet] = codec.packets(vector, [vector.size])
    assert packet.dtype == np.uint8 and packet.size == codec.nbytes(vector.size, vector.dtype)
    packet[...] = 0xA5
    result = np.full_like(vector, 77)
    codec.encode(vector, packet)
    codec.decode(packet, result)
    return result


def peak(vector):
    return float(np.abs(vector).max(initial=0))


# What comes back


@every_type
@every_codec
def test_lengths_of_all_kinds(name, dtype):
    """The vector does not change; what comes back is off by a step at most."""
    for size in SIZES:
        vector = normal(size, dtype)
        before = vector.copy()
        codec = codec_for(vector, name, rank=3)
        result = through(codec, vector)
        assert result.dtype == dtype and (vector == before).all()
        slack = 4 * float(np.finfo(dtype).eps) * peak(vector)
        assert (np.abs(result - vector) <= codec.step * peak(vector) + slack).all()
        assert peak(result) <= peak(vector)


@every_type
def test_exact_loses_nothing(dtype):
    for size in SIZES:
        vector = normal(size, dtype)
        assert through(Exact(), vector).tobytes() == vector.tobytes()
        assert Exact().nbytes(size, dtype) == vector.nbytes


@every_type
def test_each_bucket_has_its_own_scale(dtype):
    """A large element spoils its own bucket only."""
    vector = normal(64, dtype)
    vector[20] = 1000
    result = through(Int8(bucket=16), vector)
    for start in range(0, 64, 16):
        bucket, got = vector[start:][:16], result[start:][:16]
        limit = (1 / 127 + 4 * float(np.finfo(dtype).eps)) * peak(bucket)
        assert (np.abs(got - bucket) <= limit).all()
    assert result[20] == 1000


def test_the_largest_of_a_bucket_and_zeros_stay_as_they_are():
    vector = normal(1024, np.float32)
    vector[::3] = 0
    result = through(Int8(bucket=256), vector)
    assert (result[::3] == 0).all()
    for start in range(0, 1024, 256):
        place = start + np.abs(vector[start:][:256]).argmax()
        assert result[place] == vector[place]


@every_type
def test_whole_levels_stay_as_they_are(dtype):
    """Nothing is drawn where nothing has to be rounded."""
    levels = np.arange(-127, 128).astype(dtype)
    for _ in range(20):
        assert (through(Int8(), levels) == levels).all()


def test_topk_keeps_the_largest_and_drops_the_rest():
    vector = normal(1000)
    result = through(TopK(ratio=16), vector)
    kept = np.flatnonzero(result)
    assert kept.size == TopK(16).kept(1000) == 63
    assert (result[kept] == vector[kept]).all()
    assert np.abs(vector[kept]).min() > np.abs(np.delete(vector, kept)).max()


@every_type
def test_topk_that_keeps_all_is_exact(dtype):
    for size in SIZES:
        vector = normal(size, dtype)
        assert (through(TopK(ratio=1), vector) == vector).all()
    assert TopK(1).step == 0 and TopK(2).step == 1


@pytest.mark.parametrize("size, kept", [(0, 0), (1, 1), (15, 1), (16, 1), (17, 2), (32, 2)])
def test_topk_keeps_one_at_least(size, kept):
    assert TopK(ratio=16).kept(size) == kept
    assert np.count_nonzero(through(TopK(ratio=16), normal(size))) == kept


def test_topk_of_equal_magnitudes():
    for vector in (np.ones(100), -np.ones(100), np.zeros(100)):
        result = through(TopK(ratio=10), vector)
        assert np.count_nonzero(result) == (10 if vector.any() else 0)
        assert set(result) <= {0, vector[0]}


# Right on average


def test_int8_is_right_on_average():
    """The mean of many draws is as near the vector as that of a fair draw, 5 sigma."""
    vector = normal(512, np.float64, seed=4)
    codec, draws = Int8(bucket=128, seed=1), 4000
    mean = np.mean([through(codec, vector) for _ in range(draws)], axis=0)
    step = np.repeat([peak(vector[start:][:128]) / 127 for start in range(0, 512, 128)], 128)
    below = vector / step - np.floor(vector / step)
    sigma = step * np.sqrt(below * (1 - below) / draws)
    assert (np.abs(mean - vector) <= 5 * sigma + 1e-12).all()
    assert abs((mean - vector).sum()) <= 5 * np.sqrt((sigma**2).sum())


@every_type
def test_int8_is_not_biased_by_the_type(dtype):
    """All elements at once: the error of a million draws has no mean."""
    vector = np.full(2**20, 0.3, dtype)
    vector[::256] = 1
    errors = through(Int8(), vector).astype(np.float64) - vector.astype(np.float64)
    rounding = float(np.finfo(dtype).eps) * 0.3
    assert abs(errors.mean()) <= 5 * (1 / 127 / 2) / 2**10 + rounding


def test_draws_follow_from_seed_and_rank_and_go_on():
    vector = normal(1000)
    ours = Int8(seed=1, rank=2)
    first, second = through(ours, vector), through(ours, vector)
    assert (first != second).any()
    again = Int8(seed=1, rank=2)
    assert (through(again, vector) == first).all() and (through(again, vector) == second).all()
    for other in (Int8(seed=1, rank=3), Int8(seed=2, rank=2), Int8(seed=2, rank=1)):
        assert (through(other, vector) != first).any()


def test_draws_are_not_those_of_the_data():
    """Somebody may make the data of rank 0 with seed 0: the same draws would be a bias."""
    vector = np.random.default_rng(0).random(2**16)
    vector[::256] = 1
    for rank in range(3):
        errors = through(Int8(seed=0, rank=rank), vector) - vector
        assert abs(errors.mean()) <= 5 * (1 / 127 / 2) / 2**8


def test_a_bucket_may_be_longer_than_any_vector():
    """It takes no more memory for that."""
    vector = normal(100)
    result = through(Int8(bucket=10**15), vector)
    assert (np.abs(result - vector) <= 1.0001 * peak(vector) / 127).all()


# No numbers, and numbers at the edge


@every_type
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_int8_makes_a_bucket_nan_that_is_not_finite(dtype, value):
    vector = normal(40, dtype)
    vector[17] = value
    result = through(Int8(bucket=16), vector)
    assert np.isnan(result[16:32]).all()
    assert np.isfinite(result[:16]).all() and np.isfinite(result[32:]).all()


@every_type
def test_topk_counts_what_is_not_finite_as_largest(dtype):
    vector = normal(64, dtype)
    vector[[3, 9]] = np.inf, np.nan
    result = through(TopK(ratio=32), vector)
    assert result[3] == np.inf and np.isnan(result[9])
    assert (np.delete(result, [3, 9]) == 0).all()
    assert np.isnan(through(TopK(ratio=64), vector)[9])  # NaN before infinity


@every_type
@every_codec
def test_largest_and_smallest_numbers(name, dtype):
    """No overflow, no division by what has become zero, and no warning."""
    limits = np.finfo(dtype)
    for value in (limits.max, limits.tiny, limits.smallest_subnormal, 3 * limits.tiny / 2):
        vector = np.array([value, -value, 0, value / 2], dtype)
        codec = codec_for(vector, name, rank=0)
        with np.errstate(all="raise", under="ignore"):
            result = through(codec, vector)
        assert result[0] == value if name != "topk" else peak(result) == value
        assert result[2] == 0 and np.isfinite(result).all()
        slack = max(4 * float(limits.eps) * peak(vector), float(limits.smallest_subnormal))
        errors = np.abs(result.astype(np.float64) - vector)  # float16 has none so large
        assert (errors <= codec.step * peak(vector) + slack).all()


@every_codec
def test_zeros(name):
    codec = codec_for(np.zeros(1), name, rank=0)
    for size in SIZES:
        assert not through(codec, np.zeros(size)).any()
        assert not through(codec, -np.zeros(size)).any()


# Packets


def test_length_of_a_packet():
    assert Int8(bucket=256).nbytes(1000, np.dtype(np.float32)) == 4 * 4 + 1000
    assert Int8(bucket=256).nbytes(1000, np.dtype(np.float64)) == 4 * 8 + 1000
    assert TopK(ratio=10).nbytes(1000, np.dtype(np.float32)) == 100 * (4 + 4)
    assert TopK(ratio=10).nbytes(1000, np.dtype(np.float64)) == 100 * (4 + 8)
    assert TopK(ratio=2**20).nbytes(2**33, np.dtype(np.float64)) == 2**13 * (8 + 8)


@every_codec
def test_packets_lie_side_by_side(name):
    """At any address: nothing in a packet needs to be aligned."""
    vector = normal(300)
    codec = codec_for(vector, name, rank=0)
    sizes = [33, 0, 129, 138]
    packets = codec.packets(vector, sizes)
    assert [packets.size(i) for i in range(4)] == [codec.nbytes(n, vector.dtype) for n in sizes]
    assert packets.adjacent and len(packets.range(0, 4)) == 1
    parts = np.split(vector, np.cumsum(sizes)[:-1])
    for i, part in enumerate(parts):
        codec.encode(part, packets[i])
    results = [np.empty_like(part) for part in parts]
    for i, result in enumerate(results):
        codec.decode(packets[i], result)
    alone = codec_for(vector, name, rank=0)
    for part, result in zip(parts, results):
        assert (through(alone, part) == result).all()


@every_codec
def test_packets_of_phantoms_are_as_long(name):
    like = phantom(1000, np.dtype(np.float32))
    codec = codec_for(like, name, rank=0)
    [packet] = codec.packets(like, [1000])
    assert type(packet) is Phantom and packet.size == codec.nbytes(1000, like.dtype)


def test_scratch_of_another_type():
    assert scratch(np.empty(3), 5, np.uint8).dtype == np.uint8
    assert scratch(phantom(3, np.dtype(np.float64)), 5, np.uint8).nbytes == 5


def test_each_codec_takes_its_own_options():
    given = {"bucket": 3, "ratio": 5, "seed": 7}
    like = np.zeros(1)
    assert codec_for(like, "int8", 0, **given).bucket == 3
    assert codec_for(like, "topk", 0, **given).ratio == 5
    assert type(codec_for(like, "exact", 0, **given)) is Exact


# Properties


vectors = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 600),
    elements=st.floats(-1e6, 1e6, width=32),
)


@given(vectors, st.integers(1, 300), st.integers(0, 5))
@repeatable
def test_int8_keeps_its_limit(vector, bucket, seed):
    result = through(Int8(bucket, seed), vector)
    for start in range(0, vector.size, bucket):
        part, got = vector[start:][:bucket], result[start:][:bucket]
        limit = peak(part) * (1 / 127 + 4 * float(np.finfo(vector.dtype).eps))
        assert (np.abs(got - part) <= limit + float(np.finfo(vector.dtype).tiny)).all()
        assert peak(got) == peak(part)


@given(vectors, st.integers(1, 40))
@repeatable
def test_topk_keeps_what_nothing_exceeds(vector, ratio):
    result = through(TopK(ratio), vector)
    kept = result != 0
    assert (result[kept] == vector[kept]).all()
    assert kept.sum() <= TopK(ratio).kept(vector.size)
    lost = np.abs(vector[~kept])
    assert lost.max(initial=0) <= np.abs(result[kept]).min(initial=np.inf)
    assert kept.sum() == min(TopK(ratio).kept(vector.size), np.count_nonzero(vector))


# The steps


def schedule(*steps):
    def generator():
        yield steps

    return Process("allreduce.mine", 0, 2, generator())


def test_steps_say_what_they_are():
    vector, codec = np.zeros(5), Int8()
    [packet] = codec.packets(vector, [5])
    assert repr(encode(vector, packet, codec)) == "encode of 5 elements"
    assert repr(decode(packet, vector, codec)) == "decode of 5 elements"
    assert encode(vector, packet, codec).written is packet
    assert decode(packet, vector, codec).written is vector
    assert copy(vector, packet).written is packet
    assert reduce(vector, packet).written is packet
    assert reduce(vector, packet, out=vector).written is vector
    assert not hasattr(send(vector, 1), "written") and not hasattr(recv(vector, 1), "written")


def test_steps_that_break_a_rule_are_refused():
    vector, codec = np.zeros(20), Int8(bucket=8)
    [packet] = codec.packets(vector, [20])
    locked = packet.copy(), vector.copy()
    for one in locked:
        one.flags.writeable = False
    short, memory = packet[1:], np.zeros(packet.size + 8, np.uint8)
    for step, message in (
        (
            encode(vector, short, codec),
            r"encode needs a packet of uint8\[44\] for float64\[20\], got",
        ),
        (decode(short, vector, codec), r"decode needs a packet of uint8\[44\] .*got uint8\[43\]"),
        (encode(vector, packet.view(np.int8), codec), r"encode needs a packet .* got int8\[44\]"),
        (encode(vector, locked[0], codec), "encode needs writable memory"),
        (decode(packet, locked[1], codec), "decode needs writable memory"),
        (encode(vector[::2], packet, codec), "encode needs contiguous views"),
        (decode(packet, vector.reshape(4, 5), codec), "decode needs a one-dimensional"),
        (decode(memory[:9], memory[8:16].view(np.float64), codec), "decode must not overlap"),
    ):
        with pytest.raises(ScheduleError, match=rf"allreduce\.mine: rank 0 of 2: .*{message}"):
            schedule(step).advance()


def test_a_phantom_needs_a_phantom_packet():
    like, codec = phantom(20, np.dtype(np.float64)), Int8()
    process = schedule(encode(like, np.zeros(28, np.uint8), codec))
    process.phantom = True
    with pytest.raises(ScheduleError, match=r"temporary space must come from scratch\(\)"):
        process.advance()


def test_a_plan_knows_what_memory_packets_take():
    vector, codec = np.zeros(1000), Int8()
    packets = codec.packets(vector, [1000])
    plan = record(schedule(encode(vector, packets[0], codec)))
    assert plan.scratch_bytes() == vector.nbytes + packets.buf.nbytes
