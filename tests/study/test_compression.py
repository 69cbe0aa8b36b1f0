"""Lossy allreduces in the simulator: the carriers, their limits, and what is reported of them."""

import numpy as np
import pytest

import collectives
from collectives.__main__ import main
from collectives.algorithms import REGISTRY, algorithm
from collectives.algorithms.language.codecs import Codec, TopK
from collectives.algorithms.language.memory import scratch
from collectives.algorithms.language.ranks import ceil_lg
from collectives.algorithms.language.steps import copy, decode, encode, recv, reduce, send
from collectives.catalogue import check_lossy, check_restrictions, find
from collectives.choice import decide, parse, written
from collectives.errors import ArgumentError, RestrictionError, WrongResult
from collectives.machine.clock import Clock
from collectives.machine.model import Machine
from collectives.operators.operator import MATPROD, MATRIX, MAX, SUM, Operator
from collectives.problems import Buffers, Problem
from collectives.study.compression import encodings, error_limit, loss
from collectives.study.cost import predicted_time
from collectives.study.simulation import count, simulate
from collectives.study.symbolic import prove
from collectives.study.tables import CANDIDATES
from collectives.study.verify import simulator, verify

LOSSY = [one for names in REGISTRY.values() for one in names.values() if one.lossy]
NAMES = [one.name for one in LOSSY]
CODECS = [{"codec": "int8"}, {"codec": "topk"}, {"codec": "topk", "ratio": 1}, {"codec": "exact"}]

every = pytest.mark.parametrize("algorithm", LOSSY, ids=str)


def possible(algorithm, ranks):
    return [p for p in ranks if p >= algorithm.minimum_p]


def outcome(algorithm, p, n, dtype=np.float32, change=None, draws=None, **parameters):
    """The inputs of all ranks, which `change` may change, and the result that all have."""
    random = np.random.default_rng([p, n])
    if draws is not None:
        parameters["seed"] = draws
    inputs = [random.standard_normal(n).astype(dtype) for _ in range(p)]
    if change:
        change(inputs)
    problem = Problem("allreduce", p, n, dtype=np.dtype(dtype))
    buffers = [Buffers(data, np.full(n, 7, dtype)) for data in inputs]
    simulator(algorithm, problem, buffers, parameters=parameters).run()
    results = {mine.recv.tobytes() for mine in buffers}
    assert len(results) == 1, "all ranks must have the same bits"
    return inputs, buffers[0].recv


# Right within the limit


@pytest.mark.share(5)
@pytest.mark.parametrize("parameters", CODECS, ids=str)
@every
def test_any_ranks_and_lengths(algorithm, parameters):
    """Odd p, one rank, more ranks than elements, nothing at all."""
    for p in (*range(1, 7), 8, 9, 12, 17):
        for i, n in enumerate((0, 1, p - 1, p + 1, 1000)):
            dtype = np.dtype([np.float32, np.float64][(p + i) % 2])
            problem = Problem("allreduce", p, n, dtype=dtype, in_place=(p + i // 2) % 2 == 0)
            verify(algorithm, problem, rendezvous=bool(i % 2), parameters=parameters)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@every
def test_random_data_of_all_magnitudes(algorithm, dtype):
    def change(inputs):
        for data in inputs:
            data *= (10.0 ** (np.arange(data.size) % 7 - 3)).astype(dtype)

    for p in (1, 2, 5, 8, 13):
        inputs, result = outcome(algorithm, p, 900, dtype, change=change, bucket=50)
        exact = np.sum(inputs, axis=0, dtype=np.float64)
        limit = error_limit(algorithm, inputs, {"bucket": 50})
        assert (np.abs(result - exact) <= limit).all()


@every
def test_the_limit_is_not_far_off(algorithm):
    """It would be no test if everything were within it."""
    for p in (2, 8, 16):
        inputs, result = outcome(algorithm, p, 5000)
        exact = np.sum(inputs, axis=0, dtype=np.float64)
        assert np.abs(result - exact).max() > error_limit(algorithm, inputs) / 100


@every
def test_an_exact_codec_gives_what_numpy_does(algorithm):
    for parameters in ({"codec": "exact"}, {"codec": "topk", "ratio": 1}):
        for p in (1, 3, 8):
            problem = Problem("allreduce", p, 50, dtype=np.dtype(np.float64))
            buffers = [problem.buffers(rank) for rank in range(p)]
            simulator(algorithm, problem, buffers, parameters=parameters).run()
            for rank, mine in enumerate(buffers):
                assert (mine.recv == problem.expected(rank)).all()


def test_a_sparse_oneshot_is_the_sum_of_what_is_kept():
    """Exactly: each rank's largest elements, added up in rank order."""
    for p in (1, 2, 5, 8):
        inputs, result = outcome(
            find("allreduce", "compressed_oneshot")[0], p, 333, codec="topk", ratio=9
        )
        total = None
        for data in inputs:
            codec = TopK(9)
            [packet] = codec.packets(data, [data.size])
            kept = np.empty_like(data)
            codec.encode(data, packet)
            codec.decode(packet, kept)
            total = kept if total is None else total + kept
        assert result.tobytes() == total.tobytes()


@every
def test_what_is_not_a_number_reaches_everybody(algorithm):
    for value in (np.nan, np.inf):

        def change(inputs, value=value):
            inputs[-1][40] = value

        for codec in ("int8", "topk", "exact"):
            _, result = outcome(algorithm, 5, 100, change=change, codec=codec)
            assert not np.isfinite(result[40])


@pytest.mark.share(2)
@every
def test_right_on_average(algorithm):
    """Over many seeds the mean comes near the sum, as that of fair draws does."""
    results = []
    for seed in range(400):
        inputs, result = outcome(algorithm, 5, 40, np.float64, draws=seed)
        results.append(result)
    assert len({result.tobytes() for result in results}) == 400
    spread = np.std(results, axis=0) / np.sqrt(len(results))
    errors = np.abs(np.mean(results, axis=0) - np.sum(inputs, axis=0))
    assert (errors <= 5 * spread + 1e-12).all()


@every
def test_the_same_seed_gives_the_same_result(algorithm):
    once, again = (outcome(algorithm, 4, 500, draws=3)[1] for _ in range(2))
    assert (once == again).all()
    assert (once != outcome(algorithm, 4, 500, draws=4)[1]).any()


# How often


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 8, 9, 16, 31, 32])
def test_how_often_a_contribution_is_encoded(p):
    ring, halving, oneshot = (encodings(one, p) for one in LOSSY)
    assert ring.most == p and ring.mean == pytest.approx((p + 1) / 2)
    assert halving.most <= ceil_lg(p) + 1
    if p & (p - 1) == 0:
        assert halving.most == ceil_lg(p) + 1
        assert halving.mean == pytest.approx(ceil_lg(p) / 2 + 1)
    assert oneshot.most == 1 and oneshot.mean == 1
    assert ring.mean >= halving.mean >= oneshot.mean


def test_the_error_grows_with_the_root_of_how_often():
    """Squares of independent errors add up."""
    for p in (4, 8, 16):
        lost = [loss("allreduce", name, p=p, n=40_000) for name in NAMES]
        ring, halving, oneshot = (one.error for one in lost)
        assert ring > halving > oneshot > 0
        for one in lost:
            assert one.error / oneshot == pytest.approx(np.sqrt(one.encodings.mean), rel=0.1)


def test_loss():
    lost = loss("allreduce", "compressed_ring", p=8, n=2**16)
    assert 0.01 < lost.error < 0.03 and lost.error < lost.largest < 0.3
    assert abs(lost.bias) < 5 * lost.error / 2**8 and lost.kept == pytest.approx(1, abs=1e-3)
    assert lost == loss("allreduce", "quantised_ring", p=8, n=2**16)
    assert lost != loss("allreduce", "quantised_ring", p=8, n=2**16, seed=1)
    sparse = loss("allreduce", "sparse_oneshot", p=8, n=2**16)
    assert sparse.error > 0.5 and 0.2 < sparse.kept < 0.5
    for exact in ("ring", "compressed_ring:codec=exact", "sparse_ring:ratio=1"):
        assert loss("allreduce", exact, p=8, n=2**12).error < 1e-6
    assert collectives.loss is loss
    with pytest.raises(ArgumentError, match="the primitive must be allreduce, got 'bcast'"):
        loss("bcast", "ring", p=2, n=8)
    with pytest.raises(ArgumentError, match=r"allreduce.ring: the number of elements n .* got 0"):
        loss("allreduce", "ring", p=2, n=0)


def test_command(capsys):
    assert main(["error", "allreduce", "-p", "8", "-n", "64K"]) == 0
    title, _, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert " ".join(title) == "allreduce, p = 8, n = 64 KiB of float32, seed 0"
    shown = {row[0]: row for row in rows}
    assert list(shown) == ["ring"] + [
        f"{name}:codec={codec}" for name in NAMES for codec in ("int8", "topk")
    ]
    assert shown["ring"][-1] == "100.0%" and shown["ring"][5:7] == ["0", "0"]
    ring = shown["compressed_ring:codec=int8"]
    assert ring[5:7] == ["4.5", "8"] and ring[-1] == "25.4%"
    assert float(ring[1]) > float(shown["compressed_halving:codec=int8"][1])
    assert main(["error", "bcast"]) == 2
    assert "the primitive must be allreduce, got 'bcast'" in capsys.readouterr().err
    assert main(["error", "-p", "1", "-n", "1"]) == 0


# Bytes


@pytest.mark.parametrize("parameters", CODECS, ids=str)
@every
def test_bytes_of_every_codec_are_as_the_cost_line_says(algorithm, parameters):
    for p in (1, 2, 3, 8):
        n = 4 * 1000 * p
        counted = simulate(
            "allreduce", algorithm.name, p=p, n=n, clock=Clock(0, 1, 0), **parameters
        )
        line = predicted_time(algorithm, p, n, Clock(0, 1, 0), **parameters)
        assert counted.time == pytest.approx(line)


def test_bytes_of_the_types():
    """A packet is a quarter of float32, and an eighth of float64."""
    for dtype, part in ((np.float16, 2), (np.float32, 4), (np.float64, 8)):
        exact, packed = (
            count("allreduce", name, p=8, n=2**20, dtype=dtype).bytes_sent_max
            for name in ("ring", "compressed_ring")
        )
        assert exact / packed == pytest.approx(part, rel=0.05)
    assert count("allreduce", "compressed_ring", p=8, n=4001) == count(
        "allreduce", "compressed_ring", p=8, n=1001, dtype=np.float32
    )


# Proofs


@pytest.mark.share(6)
@pytest.mark.parametrize(
    "algorithm, p", [(one, p) for one in LOSSY for p in possible(one, range(1, 34))], ids=str
)
def test_every_contribution_comes_once(algorithm, p):
    prove(algorithm, p)
    prove(algorithm, p, rendezvous=False, codec="topk", ratio=3)


def test_a_wrong_sum_is_told_where_it_was_written(registry):
    @algorithm("allreduce", commutative=True, lossy=True)
    def forgets(rank, p, sendbuf, recvbuf):
        """A step is left out."""
        ring = REGISTRY["allreduce"]["compressed_ring"].generator
        for number, steps in enumerate(ring(rank, p, sendbuf, recvbuf)):
            yield steps[:3] if number == 2 else steps

    with pytest.raises(WrongResult, match=r"0 of 3: block \d = \{.*missing, last touched in round"):
        prove("allreduce.forgets", 3)


# What a wrong one is told


def test_verify_notices_what_is_beyond_the_limit(registry):
    @algorithm("allreduce", commutative=True, lossy=True)
    def alone(rank, p, sendbuf, recvbuf):
        """Nothing is sent."""
        yield copy(sendbuf, recvbuf)

    @algorithm("allreduce", lossy=True)
    def unequal(rank, p, sendbuf, recvbuf):
        """Near enough, but rank 1 has other bits."""
        arriving, noise = scratch(recvbuf), scratch(recvbuf)
        yield send(sendbuf, 1 - rank), recv(arriving, 1 - rank), copy(sendbuf, recvbuf)
        if rank == 0:
            yield reduce(arriving, recvbuf)
        else:
            yield copy(sendbuf, noise), reduce(arriving, recvbuf), reduce(noise, recvbuf)

    problem = Problem("allreduce", 2, 9, dtype=np.dtype(np.float64))
    with pytest.raises(WrongResult, match="rank 1 of 2: must have the same bits as rank 0"):
        verify(find("allreduce", "unequal")[0], problem)
    with pytest.raises(WrongResult, match="alone: rank 1 of 2: must have the same bits"):
        verify(find("allreduce", "alone")[0], problem)
    assert main(["check", "allreduce.alone", "-p", "3"]) == 1


def test_output_beyond_the_limit(registry):
    @algorithm("allreduce", commutative=True, lossy=True)
    def nothing(rank, p, sendbuf, recvbuf):
        """All ranks keep what they had."""
        yield from ()

    problem = Problem("allreduce", 2, 9, dtype=np.dtype(np.float64))
    with pytest.raises(WrongResult, match=r"rank 0 of 2: output\[0\] must be within .* of 100005"):
        verify(find("allreduce", "nothing")[0], problem)


# One's own


class Half(Codec):
    """Every element in half precision."""

    step = 2.0**-11

    def nbytes(self, size, dtype):
        return 2 * size

    def encode(self, src, packet):
        packet.view(np.float16)[...] = src

    def decode(self, packet, dst):
        dst[...] = packet.view(np.float16)


def test_a_codec_of_ones_own(registry, capsys):
    """All that there is finds it: verify, proofs, counts, the table of errors."""

    @algorithm("allreduce", lossy=True)
    def pair(rank, p, sendbuf, recvbuf):
        """Everybody tells rank 0 in half precision, and rank 0 everybody."""
        codec = Half().suited_to(recvbuf)
        packet, arriving = codec.packets(recvbuf, [recvbuf.size] * 2), scratch(recvbuf)
        yield copy(sendbuf, recvbuf)
        if rank > 0:
            yield encode(sendbuf, packet[0], codec)
            yield send(packet[0], 0)
            yield recv(packet[1], 0), decode(packet[1], recvbuf, codec)
            return
        for source in range(1, p):
            yield (
                recv(packet[0], source),
                decode(packet[0], arriving, codec),
                reduce(recvbuf, arriving, out=recvbuf),
            )
        yield encode(recvbuf, packet[1], codec), decode(packet[1], arriving, codec)
        yield [send(packet[1], dest) for dest in range(1, p)]
        yield copy(arriving, recvbuf)

    found, _ = find("allreduce", "pair")
    for p in range(1, 6):
        prove(found, p)
        problem = Problem("allreduce", p, 30, dtype=np.dtype(np.float64))
        inputs = [np.linspace(-1, 1, 30)] * p
        verify_half(found, problem, inputs)
    assert encodings(found, 4).most == 2 and encodings(found, 4).steps == 2 * Half.step
    assert count("allreduce", "pair", p=4, n=4000).bytes_sent_max == 3 * 2000
    assert main(["error", "-p", "3", "-n", "1K"]) == 0
    [row] = [x.split() for x in capsys.readouterr().out.splitlines() if x.startswith("pair ")]
    assert row[0] == "pair" and row[6] == "2"


def verify_half(found, problem, inputs):
    buffers = [Buffers(data, np.empty(data.size)) for data in inputs]
    simulator(found, problem, buffers).run()
    limit = error_limit(found, inputs)
    for mine in buffers:
        assert (np.abs(mine.recv - sum(inputs)) <= limit).all()
        assert limit < 1e-2


def test_only_an_allreduce_is_lossy():
    with pytest.raises(ValueError, match=r"bcast\.mine: only an allreduce can be lossy"):
        algorithm("bcast", name="mine", lossy=True)(lambda rank, p, buf, root: ())


# What it is asked for


@every
def test_only_sums_of_floats(algorithm):
    for dtype in (np.float16, np.float32, np.float64, ">f4"):
        check_lossy(algorithm, 2, SUM, np.dtype(dtype))
    mine = Operator("mine", np.add)
    for operator, dtype, got in (
        (MAX, np.float32, "max of float32"),
        (SUM, np.int64, "sum of int64"),
        (SUM, np.complex64, "sum of complex64"),
        (mine, np.float64, "mine of float64"),
        (MATPROD, MATRIX, "matprod of "),
    ):
        message = f"{algorithm}: needs a sum of floating-point numbers, because it is lossy, got "
        with pytest.raises(RestrictionError, match=message + got) as raised:
            check_lossy(algorithm, 2, operator, np.dtype(dtype))
        assert "; use naive or" in str(raised.value)
        with pytest.raises(RestrictionError, match=message + got):
            verify(algorithm, Problem("allreduce", 2, 3, 0, np.dtype(dtype), operator))
    check_lossy(find("allreduce", "ring")[0], 2, MAX, np.dtype(np.int8))


def test_nobody_is_sent_to_a_lossy_algorithm(registry):
    @algorithm("allreduce", minimum_p=9)
    def crowd(rank, p, sendbuf, recvbuf):
        """Nothing for few."""
        yield from ()

    with pytest.raises(RestrictionError) as raised:
        check_restrictions(find("allreduce", "crowd")[0], 2)
    assert "use naive or ring" in str(raised.value) and "compressed" not in str(raised.value)


def test_auto_is_exact(monkeypatch):
    assert not set(NAMES) & set(CANDIDATES["allreduce"])
    rows = {"allreduce": {(1, 2): [(0, "quantised_ring")]}}
    text = written(Machine(Clock()), None, 8, rows, {})
    monkeypatch.setattr("collectives.choice.choices", lambda: parse("mine", text))
    auto, given = find("allreduce", "auto")
    message = r"allreduce\.auto: needs a table of exact algorithms, got quantised_ring in mine "
    with pytest.raises(ArgumentError, match=message):
        decide(auto, given, 4, 100)


def test_names_of_the_codecs():
    for carrier in ("ring", "halving", "oneshot"):
        for word, codec in (("quantised", "int8"), ("sparse", "topk")):
            found, given = find("allreduce", f"{word}_{carrier}")
            assert found.name == f"compressed_{carrier}" and given == {"codec": codec}


def test_list_says_lossy(capsys):
    main(["list", "allreduce"])
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("compressed_")]
    assert len(told) == 3 and all("lossy" in line for line in told)
    assert "kept" in told[2] and "not kept" not in told[2]
